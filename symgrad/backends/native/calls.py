"""What runs in a native program: kernels with their operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from symgrad.backends.native.kernel import NativeKernel
from symgrad.graph.variables import Variable
from symgrad.lowering.steps import Step


@dataclass(eq=False)
class Temporary:
    """Memory that lives during one step only."""

    bytes: int


@dataclass(eq=False)
class Call:
    """One native kernel with its operands and outputs, in the order of its buffers.

    Attributes
    ----------
    kernel : NativeKernel
        What runs.
    buffers : sequence of Variable or Temporary
        Operands, then outputs.
    units : int
        Number of units.
    sizes : sequence of int
        The sizes that the kernel leaves open.
    step : Step
        What it does a part of.
    """

    kernel: NativeKernel
    buffers: Sequence[Variable | Temporary]
    units: int
    sizes: Sequence[int] = ()
    step: Step | None = None


class Label(NamedTuple):
    """What one record of a step does, for people.

    Attributes
    ----------
    name : str
        The kernel's symbol; ``view`` or ``copy``.
    step : Step or None
        What it does a part of; None for copies to where results are handed out or kept.
    kernel : NativeKernel or None
        The kernel, if it is one.
    operands : sequence of Variable or Temporary
        A kernel's buffers; what a copy reads and, if it is an update, the shared variable that it writes.
    program : Program or None
        What a region runs.
    """

    name: str
    step: Step | None
    kernel: NativeKernel | None
    operands: Sequence[Variable | Temporary]
    program: Any = None
