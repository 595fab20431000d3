"""How kernels for images are written: constants, then a body of plain CUDA C++ that speaks of them by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from symgrad.backends.cupy.kernel import CudaKernel, element, kernel_text
from symgrad.backends.cupy.texts import ELEMENT_BYTES, LARGEST_SHORT

THREADS = 256
"""Threads of a block, where each does its own work."""

ELEMENTS = ("float16", "bfloat16", "float32", "float64")
"""The dtypes of images and filters."""

ACTIVATIONS = {"none": "x", "rectify": "rectified(x)", "tanh": "TANH(x)", "sigmoid": "sigmoid(x)"}
"""What may follow a convolution."""


@dataclass(frozen=True)
class Buffer:
    """A parameter of a kernel.

    Attributes
    ----------
    name : str
        What the body calls it.
    kind : str
        The C++ type of its elements: ``T`` is the dtype of images and filters.
    is_read : bool
        Whether it is an operand.
    """

    name: str
    kind: str = "T"
    is_read: bool = True


def arithmetic(dtype: str) -> str:
    """Return the C++ type in which elements of a dtype are added and multiplied."""
    if dtype in ELEMENTS:
        return "f64" if dtype == "float64" else "f32"
    return "i64" if dtype.startswith("int") else "u64"


def arithmetic_bytes(dtype: str) -> int:
    """Return how many bytes a number takes while it is worked with."""
    return 8 if dtype == "float64" else 4


def element_bytes(dtype: str) -> int:
    """Return how many bytes an element takes in memory."""
    return ELEMENT_BYTES[dtype]


def blocks(count: int, threads: int = THREADS) -> tuple[int, int, int]:
    """Return the grid that has a thread for each of `count` things."""
    return (max(1, -(-count // threads)), 1, 1)


def written_kernel(
    label: str,
    dtype: str,
    buffers: Sequence[Buffer],
    constants: Mapping[str, int],
    body: str,
    grid: tuple[int, int, int],
    threads: int = THREADS,
    activation: str = "none",
    flops: int = 0,
    bytes: int = 0,
) -> CudaKernel:
    """Return a kernel whose body speaks of ``T`` and ``A``, the types of elements and of arithmetic, and of constants.

    ``read`` and ``written`` convert from one type to the other, ``activated`` is the activation.

    Parameters
    ----------
    label : str
        What its name begins with.
    dtype : str
        Of images and filters.
    buffers : sequence of Buffer
        Operands, then outputs.
    constants : mapping
        By name.
    body : str
        The statements.
    grid, threads, flops, bytes
        As `CudaKernel` has them.
    activation : str
        One of `ACTIVATIONS`.
    """
    memory = element(dtype)
    function = ACTIVATIONS[activation].replace("TANH", "tanh" if dtype == "float64" else "tanhf")
    is_half = dtype in ("float16", "bfloat16")
    lines = [
        f"    typedef {memory} T;",
        f"    typedef {arithmetic(dtype)} A;",
        f"    auto read = [](T x) {{ return {'to_f32(x)' if is_half else 'x'}; }};",
        f"    auto written = [](A x) {{ return {f'to_{memory}(x)' if is_half else 'x'}; }};",
        f"    auto activated = [](A x) {{ return {function}; }};",
        *[f"    constexpr {_type_of(value)} {name} = {value};" for name, value in constants.items()],
    ]
    whole = "\n".join(lines) + "\n" + body.strip("\n")
    parameters = []
    for buffer in buffers:
        kind = memory if buffer.kind == "T" else buffer.kind
        parameters.append((f"const {kind}* __restrict__" if buffer.is_read else f"{kind}* __restrict__", buffer.name))
    text = kernel_text(label, parameters, whole, threads)
    name = f"{label}_{blake2b(text.encode(), digest_size=6).hexdigest()}"
    text = kernel_text(name, parameters, whole, threads)
    return CudaKernel(name, text, grid, threads, flops=flops, bytes=bytes)


def _type_of(value: int) -> str:
    return "int" if abs(value) <= LARGEST_SHORT else "i64"
