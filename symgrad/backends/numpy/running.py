"""Library routines of running sums and products; their meaning is in `symgrad.kernels.running`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from symgrad.backends.numpy.convolution import Workspace
from symgrad.backends.numpy.library import Attributes, routine
from symgrad.kernels import running


@routine
def cumulative(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Running sums or products."""
    return partial(running.cumulative, attributes["function"], attributes["axis"])


@routine
def linear_recurrence(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Each element from the one before."""
    return partial(running.linear_recurrence, attributes["axis"], attributes["reverse"])


@routine
def shift(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Elements moved along an axis."""
    return partial(running.shifted, attributes["axis"], attributes["by"], attributes["fill"])
