"""What a CUDA kernel is: the contract between those who write kernels and the program that launches them.

Every kernel is one function of a module,

    extern "C" __global__ void name(T0* buffer0, T1* buffer1, ..., i64 size0, ..., i32* status)

Its parameters are the addresses of the operands and then of the outputs, the sizes that the text leaves open, and the
program's status word. The text is header-free CUDA C++ and uses nothing but what `symgrad.backends.cupy.prelude`
defines and CUDA's own names. A module is the prelude and the kernels of one function.

The status word is 0 as long as nothing went wrong. A kernel that finds something that it can't do (an index out of
range) says ``FAIL(code)``, reads and writes nothing out of bounds, and goes on or ends. A kernel that begins with
``GUARD`` does nothing from then on. All are written that way; the tape takes it from those that can write only what the
call forgets (`unguarded`). So what the user can see doesn't change, and the substitute backend runs the same call and
explains it.

Operands and outputs are C-contiguous unless the kernel was asked for with strides. Buffers of the arena are aligned to
64 bytes, others to their element. Memory isn't cleared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from symgrad.backends.cupy.prelude import TYPES


@dataclass(frozen=True)
class Target:
    """The device that kernels are written for.

    Attributes
    ----------
    capability : int
        Its compute capability, as 75, 80, 90 or 120.
    multiprocessors : int
        How many it has.
    shared_bytes : int
        Shared memory that a block may have without asking for more.
    allow_tf32 : bool
        Whether products of float32 may round their operands to 10 bits.
    cublas, cudnn : bool
        Whether these libraries can be used.
    """

    capability: int = 80
    multiprocessors: int = 108
    shared_bytes: int = 48 * 1024
    allow_tf32: bool = False
    cublas: bool = False
    cudnn: bool = False


@dataclass(frozen=True, eq=False)
class CudaKernel:
    """A kernel as text, and how it is launched.

    Attributes
    ----------
    name : str
        Its symbol: readable, and the same for the same text.
    text : str
        The whole function, and device functions that only it uses, named after it.
    grid : tuple of int
        Blocks, along x, y and z; all at least 1.
    threads : int
        Threads of a block, along x.
    shared_bytes : int
        Dynamic shared memory.
    may_fail : bool
        Whether it ever says ``FAIL``.
    flops : int
        Operations of a whole call, for the profile.
    bytes : int
        Bytes that a whole call has to read and write at the least, for the profile.
    """

    name: str
    text: str
    grid: tuple[int, int, int] = (1, 1, 1)
    threads: int = 128
    shared_bytes: int = 0
    may_fail: bool = False
    flops: int = 0
    bytes: int = 0


def kernel_text(name: str, parameters: Sequence[tuple[str, str]], body: str, threads: int) -> str:
    """Return the text of a kernel's function.

    Parameters
    ----------
    name : str
        Its symbol.
    parameters : sequence of (str, str)
        Type and name of each, without the status word, as ``("const f32* __restrict__", "x")``.
    body : str
        The statements, each line indented.
    threads : int
        Threads of a block, the most that it is ever launched with.

    Examples
    --------
    >>> body = "    y[threadIdx.x] = 2 * x[threadIdx.x];"
    >>> print(kernel_text("twice", [("const f32*", "x"), ("f32*", "y")], body, 32))
    extern "C" __global__ void __launch_bounds__(32) twice(const f32* x, f32* y, i32* status) {
        GUARD
        y[threadIdx.x] = 2 * x[threadIdx.x];
    }
    <BLANKLINE>
    """
    listed = ", ".join([f"{kind} {label}" for kind, label in (*parameters, ("i32*", "status"))])
    bounds = f"__launch_bounds__({threads})"
    return f'extern "C" __global__ void {bounds} {name}({listed}) {{\n    GUARD\n{body.rstrip()}\n}}\n'


def element(dtype: str) -> str:
    """Return the C++ type of a dtype's elements in memory."""
    return TYPES[dtype]


def written_parameters(kernel: CudaKernel) -> tuple[bool, ...]:
    """Return for each parameter of a kernel whether it points to memory that the kernel may write.

    Examples
    --------
    >>> text = kernel_text("twice", [("const f32* __restrict__", "x"), ("f32*", "y"), ("i64", "n")], "", 32)
    >>> written_parameters(CudaKernel("twice", text))
    (False, True, False, True)
    """
    parameters = _signature(kernel).group("parameters").split(",")
    return tuple(["*" in parameter and not parameter.lstrip().startswith("const ") for parameter in parameters])


def _signature(kernel: CudaKernel) -> re.Match[str]:
    found = re.search(rf"__global__[^(]*(\([^)]*\)\s*)?\b{kernel.name}\s*\((?P<parameters>[^)]*)\)\s*{{", kernel.text)
    assert found is not None, kernel.text
    return found


def starting_late(kernel: CudaKernel, buffers: Sequence[int]) -> CudaKernel:
    """Return the same kernel for operands that start late: by how many elements, is a number on the device.

    Its parameters are followed by the addresses of these numbers, before the status word.

    Parameters
    ----------
    kernel : CudaKernel
        One without open sizes.
    buffers : sequence of int
        Which of its parameters start late, in order.
    """
    signature = _signature(kernel)
    names = [parameter.split()[-1].lstrip("*") for parameter in signature.group("parameters").split(",")]
    added = "".join(f", const i64* start_of_{names[number]}" for number in buffers)
    moved = "".join(f"    {names[number]} += *start_of_{names[number]};\n" for number in buffers)
    head = kernel.text[: signature.end()].replace(f", i32* {names[-1]}", f"{added}, i32* {names[-1]}")
    text = f"{head}\n{moved}{kernel.text[signature.end():].lstrip(chr(10))}"
    name = f"{kernel.name}_from_{'_'.join(map(str, buffers))}"
    return replace(kernel, name=name, text=re.sub(rf"\b{kernel.name}", name, text))


def unguarded(kernel: CudaKernel) -> CudaKernel:
    """Return the same kernel without its look at the status word, for where it may write whatever happened before."""
    text = kernel.text.replace("    GUARD\n", "")
    if text == kernel.text:
        return kernel
    name = f"{kernel.name}_unguarded"
    return replace(kernel, name=name, text=re.sub(rf"\b{kernel.name}", name, text))
