"""The library routine that draws random samples; the bits are those of `symgrad.kernels.philox`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgrad.backends.numpy.convolution import Workspace
from symgrad.backends.numpy.library import Array, Attributes, routine
from symgrad.kernels.checks import check_stretch
from symgrad.kernels.random_sample import DISTRIBUTIONS, sample_sizes


@routine
def random_sample(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """A sample of a distribution, from state, parameters, and the sizes that only the call knows."""
    distribution = DISTRIBUTIONS[attributes["distribution"]]
    dtype, sizes, fixed_axes = attributes["dtype"], attributes["sizes"], attributes["fixed_axes"]
    count, axis_count = len(distribution.parameters), len(attributes["sizes"])

    def run(state: Array, *operands: Array, out: Array | None = None) -> Array:
        parameters = operands[:count]
        if out is not None:  # all sizes are known, and so were compared when the function was bound
            return distribution.sample(state, out.shape[:axis_count], parameters, dtype, out)
        wanted = sample_sizes(sizes, operands[count:])
        for parameter, array, axes in zip(distribution.parameters, parameters, fixed_axes, strict=True):
            check_stretch(distribution.name, array.shape[: array.ndim - parameter.own_axes], wanted, axes)
        return distribution.sample(state, wanted, parameters, dtype)

    return run
