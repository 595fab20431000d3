"""What a CUDA program consists of: launches of kernels, calls of libraries, and steps that the host carries out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.backends.cupy.kernel import CudaKernel
from symgrad.graph.variables import Variable
from symgrad.lowering.steps import Step


class StoppedError(Exception):
    """A call can't go on: a kernel found something that it can't do, or a step on the host or in CuPy has no result.

    The substitute backend runs the same call and explains it.
    """


@dataclass(eq=False)
class Temporary:
    """Device memory that nobody outside of the calls knows.

    Attributes
    ----------
    bytes : int
        How much.
    lasts : bool
        Whether it lives during the whole call, and not just during one step.
    """

    bytes: int
    lasts: bool = False


@dataclass(frozen=True, eq=False)
class LibraryCall:
    """A call of a library such as cuBLAS.

    Attributes
    ----------
    name : str
        What it is called in listings and profiles.
    run : callable
        ``run(device, *addresses)``: enqueues the work on the device's stream, given the addresses of the buffers as
        ints. `device` is a `symgrad.backends.cupy.devices.device.Device`.
    can_be_captured : bool
        Whether it may be called while a stream is captured: it allocates nothing and waits for nothing.
    flops, bytes : int
        For the profile.
    """

    name: str
    run: Callable[..., None]
    can_be_captured: bool = True
    flops: int = 0
    bytes: int = 0


@dataclass(frozen=True, eq=False)
class ArrayCall:
    """A function of CuPy arrays: linear algebra, sorts, Fourier transforms; it allocates, so it can't be captured.

    Attributes
    ----------
    name : str
        What it is called in listings and profiles.
    run : callable
        ``run(cupy, *operands)`` returns the outputs as new arrays, which are then copied to where the plan wants them.
    """

    name: str
    run: Callable[..., Sequence[Any]]


@dataclass(frozen=True, eq=False)
class HostCall:
    """A step that only its op's own NumPy meaning can do: operands go to the host, results come back.

    Attributes
    ----------
    name : str
        What it is called in listings and profiles.
    run : callable
        ``run(*operands)`` returns the outputs, all of them NumPy arrays.
    """

    name: str
    run: Callable[..., Sequence[Any]]


@dataclass(eq=False)
class Call:
    """One piece of work with its operands and outputs.

    Attributes
    ----------
    work : CudaKernel, LibraryCall, ArrayCall or HostCall
        What is done.
    buffers : sequence of Variable or Temporary
        Operands, then outputs; for a kernel in the order of its parameters.
    sizes : sequence of int
        The sizes that a kernel leaves open.
    step : Step
        What it does a part of.
    """

    work: CudaKernel | LibraryCall | ArrayCall | HostCall
    buffers: Sequence[Variable | Temporary]
    sizes: Sequence[int] = ()
    step: Step | None = None


Found = Sequence[tuple[CudaKernel | LibraryCall, Sequence[int | Temporary]]] | None
"""What the rooms of routines answer: pieces of work in order, and for each which of the operands and outputs (counted
through) or which temporaries are its buffers; None if there are none."""
