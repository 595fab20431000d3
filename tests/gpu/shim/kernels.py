"""Runs CUDA kernels on arrays of the host, in memory that shows what they do wrong."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu.shim.build import Function, load
from gpu.shim.launches import ORDERS, POISON, KernelError, launch
from gpu.shim.memory import READ_ONLY, READ_WRITE, Guarded
from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.kernel import CudaKernel
from symgrad.backends.cupy.prelude import PRELUDE

Found = Sequence[tuple[Any, Sequence[int | Temporary]]]
Span = tuple[int, int]


class _Buffers:
    """The arrays of a run in guarded memory, with its temporaries; what was the same memory stays the same memory."""

    def __init__(self, arrays: Sequence[np.ndarray], written: Sequence[bool], order: str) -> None:
        self.arrays, self._order = arrays, order
        self.spans = [_span(array) for array in arrays]
        self._found: dict[Span | int, Guarded] = {}
        self._labels: dict[Span | int, str] = {}
        for place, span in enumerate(self.spans):
            if span not in self._found:
                self._found[span] = self._new(span[1] - span[0], 16, written[place])
                self._labels[span] = f"buffer {place}"
        self.status = self._found[0] = self._new(4, 4)
        self._labels[0] = "the status word"
        self.status.array(np.int32)[:] = 0

    def _new(self, nbytes: int, alignment: int, written: bool = True) -> Guarded:
        """Return fresh memory: by the order at the end of its pages or at their start."""
        poison = POISON[self._order]
        # What is around a written buffer differs from its poison: poison that is carried there has to show.
        return Guarded(nbytes, alignment, self._order != "descending", poison, poison ^ 0x33 if written else poison)

    def fill(self, fresh: Sequence[bool]) -> None:
        """Copy the arrays in, but for memory that only fresh ones have: that stays poisoned."""
        for place, span in enumerate(self.spans):
            if not fresh[place] and span[1] > span[0]:
                ctypes.memmove(self._found[span].address, span[0], span[1] - span[0])

    def address(self, place: int | Temporary) -> int:
        """Return where the first element of an array or a temporary lies."""
        if isinstance(place, Temporary):
            if id(place) not in self._found:
                self._found[id(place)] = self._new(place.bytes, 256)
                self._labels[id(place)] = f"a temporary of {place.bytes} bytes"
            return self._found[id(place)].address
        array, span = self.arrays[place], self.spans[place]
        return self._found[span].address + (array.ctypes.data - span[0] if array.size else 0)

    def protect(self, written: Sequence[bool]) -> None:
        """Let nobody write memory that no written array has."""
        some = {span for span, writes in zip(self.spans, written, strict=True) if writes}
        for span in {*self.spans} - some:
            self._found[span].protect(READ_ONLY)

    def describe(self, address: int) -> str:
        """Say which array an address belongs to."""
        for key, buffer in self._found.items():
            if buffer.covers(address):
                return f"{self._labels[key]}, {buffer.place(address)}"
        return f"address {address:#x}, which is no buffer's"

    def check(self, name: str) -> None:
        """Raise an error if something was written around an array."""
        for key, buffer in self._found.items():
            if not buffer.whole():
                raise KernelError(f"kernel {name} writes beyond {self._labels[key]}")

    def copy_back(self, written: Sequence[bool]) -> None:
        """Copy what was computed into the arrays."""
        for span, writes in zip(self.spans, written, strict=True):
            if writes and span[1] > span[0]:
                self._found[span].protect(READ_WRITE)
                ctypes.memmove(span[0], self._found[span].address, span[1] - span[0])


def _span(array: np.ndarray) -> Span:
    """Return the addresses between which an array's elements lie."""
    if not array.size:
        return (id(array), id(array))
    low, high = np.lib.array_utils.byte_bounds(array)
    return (int(low), int(high))


def _written(functions: Sequence[Function], found: Found, count: int) -> list[bool]:
    """Tell for each array whether a kernel may write it: its address isn't one of constants."""
    written = [False] * count
    for function, (_, chosen) in zip(functions, found, strict=True):
        for place, parameter in zip(chosen, function.parameters, strict=False):
            if isinstance(place, int):
                written[place] |= parameter.element > 0 and not parameter.constant
    return written


def _arguments(
    function: Function, chosen: Sequence[int | Temporary], buffers: _Buffers, sizes: Sequence[int]
) -> list[bytes]:
    """Return a kernel's arguments as bytes."""
    for place, parameter in zip(chosen, function.parameters, strict=False):
        if isinstance(place, int) and parameter.element not in (buffers.arrays[place].itemsize, 0):
            itemsize = buffers.arrays[place].itemsize
            raise KernelError(
                f"kernel {function.name}: buffer {place} has elements of {itemsize} bytes, not {parameter.element}"
            )
    addresses = [*[buffers.address(place) for place in chosen]]
    widths = [parameter.bytes for parameter in function.parameters[len(chosen) : -1]]
    if len(widths) != len(sizes):
        raise KernelError(f"kernel {function.name} takes {len(widths)} sizes, got {len(sizes)}")
    numbers = [int(size).to_bytes(width, "little", signed=True) for size, width in zip(sizes, widths, strict=True)]
    return [
        *[address.to_bytes(8, "little") for address in addresses],
        *numbers,
        buffers.status.address.to_bytes(8, "little"),
    ]


def run_found(
    found: Found,
    arrays: Sequence[np.ndarray],
    sizes: Sequence[int] = (),
    *,
    updated: Sequence[int] = (),
    order: str = "ascending",
    seed: int = 0,
) -> int:
    """Run what a room of routines answers: kernels one after another, with temporaries between them.

    Parameters
    ----------
    found : sequence of (CudaKernel, sequence of int or Temporary)
        The kernels, and for each which of the arrays or temporaries are its buffers.
    arrays : sequence of numpy.ndarray
        Operands and outputs. What the kernels may write (their parameter isn't const) is copied back into them.
    sizes : sequence of int
        The sizes that these kernels leave open.
    updated : sequence of int
        Those arrays that are read and written: others that a kernel writes are poisoned first.
    order : str
        The order of threads and blocks, one of `ORDERS`.
    seed : int
        Of the shuffled order.

    Returns
    -------
    int
        The status word.

    Raises
    ------
    KernelError
        If a kernel did something that it must not do.
    """
    functions = [load(f"{PRELUDE}\n{kernel.text}")[kernel.name] for kernel, _ in found]
    written = _written(functions, found, len(arrays))
    buffers = _Buffers(arrays, written, order)
    buffers.fill([writes and place not in updated for place, writes in enumerate(written)])
    buffers.protect(written)
    for function, (kernel, chosen) in zip(functions, found, strict=True):
        arguments = _arguments(function, chosen, buffers, sizes)
        block = (kernel.threads,)
        launch(function, kernel.grid, block, arguments, kernel.shared_bytes, order, seed, buffers.describe)
        buffers.check(kernel.name)
    buffers.copy_back(written)
    return int(buffers.status.array(np.int32)[0])


def check_found(
    found: Found, arrays: Sequence[np.ndarray], sizes: Sequence[int] = (), *, updated: Sequence[int] = (), seed: int = 0
) -> int:
    """Run kernels in all orders of their threads and see that they compute the same bits; as `run_found`."""
    before = [array.copy() for array in arrays]
    results: list[tuple[int, list[bytes]]] = []
    for order in ORDERS:
        for array, values in zip(arrays, before, strict=True):
            if array.flags.writeable:
                array[...] = values
        status = run_found(found, arrays, sizes, updated=updated, order=order, seed=seed)
        results.append((status, [array.tobytes() for array in arrays]))
    names = ", ".join([kernel.name for kernel, _ in found])
    for order, (status, contents) in zip(ORDERS, results, strict=True):
        if status != results[0][0]:
            raise KernelError(f"{names}: status {results[0][0]} in ascending order, {status} in {order} order")
        for place, (first, other) in enumerate(zip(results[0][1], contents, strict=True)):
            if first != other:
                raise KernelError(f"{names}: {_difference(place, arrays[place], first, other, order)}")
    return results[0][0]


def _difference(place: int, array: np.ndarray, first: bytes, other: bytes, order: str) -> str:
    found = np.frombuffer(first, np.uint8) != np.frombuffer(other, np.uint8)
    element = int(np.flatnonzero(found)[0]) // array.itemsize
    values = [np.frombuffer(content, array.dtype)[element] for content in (first, other)]
    index = tuple(int(at) for at in np.unravel_index(element, array.shape))
    return (
        f"buffer {place} depends on the order of the threads: element {index} is {values[0]} in ascending order and "
        f"{values[1]} in {order} order (an order's own poison is {POISON[order]:#x})"
    )


def run_kernel(
    kernel: CudaKernel,
    arrays: Sequence[np.ndarray],
    sizes: Sequence[int] = (),
    *,
    updated: Sequence[int] = (),
    order: str = "ascending",
    seed: int = 0,
) -> int:
    """Run one kernel on its operands and outputs, and return the status word; as `run_found`."""
    return run_found([(kernel, range(len(arrays)))], arrays, sizes, updated=updated, order=order, seed=seed)


def check_kernel(
    kernel: CudaKernel,
    arrays: Sequence[np.ndarray],
    sizes: Sequence[int] = (),
    *,
    updated: Sequence[int] = (),
    seed: int = 0,
) -> int:
    """Run one kernel in all orders of its threads and see that it computes the same bits; as `run_found`."""
    return check_found([(kernel, range(len(arrays)))], arrays, sizes, updated=updated, seed=seed)
