"""What a native kernel is: the contract between those who write kernels and the plan that calls them.

Every kernel is one function of a module,

    i32 @name(ptr buffers, ptr sizes, i64 begin, i64 end, ptr scratch)

`buffers` points to the addresses of the operands and then of the outputs, `sizes` to the 64-bit sizes that the text
leaves open. The work is cut into `units` that can run in any order and on any thread; one call does the units from
`begin` to `end`. Each thread has scratch memory of its own. The result is 0, or a positive number if the kernel found
something that it can't do (an index out of range): then nothing that the user can see has changed yet, and the NumPy
backend runs the same call and explains it.

Operands and outputs are C-contiguous unless the kernel was asked for with strides, arena buffers are aligned to 64
bytes, others to their element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symgrad.backends.native.llvm.text import Function, Value

PARAMETERS = (("ptr noalias", "buffers"), ("ptr noalias", "sizes"), ("i64", "begin"), ("i64", "end"),
              ("ptr noalias", "scratch"))  # fmt: skip

SINGLE_THREAD_WORK = 1 << 20
"""Kernels with fewer operations (flops, or bytes moved) than this run on one thread."""


@dataclass(frozen=True, eq=False)
class NativeKernel:
    """A kernel as text, or one that is compiled already.

    Attributes
    ----------
    name : str
        Its symbol: readable, and the same for the same text.
    functions : sequence of Function, or None
        Its functions; the first is the kernel, the others are internal and named after it. None where a program was
        found in the cache: then nobody needs the text.
    units : int or str
        Into how many independent parts the work falls; or the name of an open size, which is cut into blocks of
        `unit_block`: then there are ``ceil(size / unit_block)`` units.
    unit_block : int
        See `units`.
    scratch : int
        Bytes of scratch memory for each thread, aligned to 64.
    flops : int
        Floating-point operations of a whole call, for the profile.
    bytes : int
        Bytes that a whole call has to read and write at the least, for the profile.
    may_fail : bool
        Whether it can return anything but 0.
    """

    name: str
    functions: Sequence[Function] | None
    units: int | str = 1
    unit_block: int = 1
    scratch: int = 0
    flops: int = 0
    bytes: int = 0
    may_fail: bool = False


def kernel_function(name: str) -> Function:
    """Return a function to write a kernel into; its parameters are buffers, sizes, begin, end, scratch."""
    from symgrad.backends.native.llvm.text import Function

    return Function(name, PARAMETERS)


def buffer_pointer(function: Function, number: int) -> Value:
    """Load the address of buffer `number`."""
    from symgrad.backends.native.llvm.text import index

    return function.load(function.offset(function.parameters[0], index(number), "ptr"), "ptr")
