"""The CUDA backend: kernels are written as CUDA C++, and the plan becomes a tape of launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.backends.base import Backend, Program, Turn, UnsupportedError
from symgrad.backends.cupy.devices.device import find_device
from symgrad.backends.cupy.prelude import TYPES
from symgrad.backends.cupy.programs.program import CudaProgram
from symgrad.backends.cupy.programs.turns import CudaTurn
from symgrad.backends.cupy.selection import fused_steps, has_kernel
from symgrad.backends.cupy.tapes.tape import write_tape
from symgrad.backends.cupy.traits import CUDA_TRAITS
from symgrad.config import config
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Container
from symgrad.lowering import Step
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import Plan

MOST_STEPS = 8000
"""Graphs with more steps run through NumPy: compiling them would take longer than most calls can win back."""


class CudaBackend:
    """Runs plans on one GPU.

    Parameters
    ----------
    device : str
        Its name, as ``cuda0``.
    """

    name = "cuda"
    traits = CUDA_TRAITS
    checks_lengths = True
    runs_everything = False

    def __init__(self, device: str) -> None:
        self.device = find_device(device)

    @property
    def substitute(self) -> Backend:
        """NumPy, which runs everything and explains what is wrong."""
        from symgrad.backends.numpy import NumpyBackend

        return NumpyBackend()

    def schedule(self, graph: ClosedGraph, steps: Sequence[Step], sizes: OpenSizes) -> Sequence[Step]:
        """Return the steps, fused; raise `UnsupportedError` if one can't be a part of a CUDA program."""
        kinds = [operand.type for operand in sizes.types.values()]
        if not all(isinstance(kind, TensorType) and kind.dtype in TYPES for kind in kinds):
            raise UnsupportedError("a GPU knows arrays of real numbers only")
        if len(steps) > MOST_STEPS:
            raise UnsupportedError("compiling so many kernels would take too long")
        return fused_steps(graph, steps, sizes, bool(config.fusion))

    def turn(self) -> Turn:
        """Return a lock."""
        return CudaTurn()

    def has_kernel(self, step: Step) -> bool:
        """Whether a step may be done on the device, once the sizes are known."""
        return has_kernel(step)

    def compile(self, plan: Plan, containers: Sequence[Container], explain: Callable[[], Program]) -> CudaProgram:
        """Choose the kernels and library calls, and lay out the tape."""
        return CudaProgram(plan, write_tape(plan, self.device.target), self.device, containers, explain)
