"""How kernels for images are written: constants, then a body of plain CUDA C++ that speaks of them by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from symgrad.backends.cupy.kernel import CudaKernel, element, kernel_text
from symgrad.backends.cupy.texts import LARGEST_SHORT
from symgrad.graph.dtypes import HALVES
from symgrad.kernels.ir.functions import DTYPES

THREADS = 256
"""Threads of a block, where each does its own work."""

ELEMENTS = ("float16", "bfloat16", "float32", "float64")
"""The dtypes of images and filters."""

ACTIVATIONS = {"none": "x", "rectify": "rectified(x)", "tanh": "TANH(x)", "sigmoid": "sigmoid(x)"}
"""What may follow a convolution."""


@dataclass(frozen=True)
class Dtypes:
    """The dtypes of a routine: floats of 16 bits may be multiplied for sums that stay float32.

    Attributes
    ----------
    operands : str
        Of images, filters and cotangents.
    results : str
        Of results, and of biases that are added to them.
    """

    operands: str
    results: str

    @property
    def are_halves(self) -> bool:
        """Whether floats of 16 bits are multiplied for wider results."""
        return self.operands in HALVES and self.operands != self.results


@dataclass(frozen=True)
class Buffer:
    """A parameter of a kernel.

    Attributes
    ----------
    name : str
        What the body calls it.
    kind : str
        The C++ type of its elements: ``T`` is the dtype of what is multiplied, ``R`` that of results and biases.
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
    return DTYPES[dtype]


def blocks(count: int, threads: int = THREADS) -> tuple[int, int, int]:
    """Return the grid that has a thread for each of `count` things."""
    return (max(1, -(-count // threads)), 1, 1)


def written_kernel(
    label: str,
    dtype: str | Dtypes,
    buffers: Sequence[Buffer],
    constants: Mapping[str, int],
    body: str,
    grid: tuple[int, int, int],
    threads: int = THREADS,
    activation: str = "none",
    flops: int = 0,
    bytes: int = 0,
) -> CudaKernel:
    """Return a kernel whose body speaks of the types ``T`` of operands, ``A`` of arithmetic, ``R`` of results.

    It speaks of constants, too. ``read`` makes of an operand what is computed with, ``read_result`` of a result, and
    ``written`` makes a result of that; ``activated`` is the activation.

    Parameters
    ----------
    label : str
        What its name begins with.
    dtype : str or Dtypes
        Of images and filters; of results too, if there is one dtype only.
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
    dtypes = dtype if isinstance(dtype, Dtypes) else Dtypes(dtype, dtype)
    types = {"T": element(dtypes.operands), "R": element(dtypes.results)}
    function = ACTIVATIONS[activation].replace("TANH", "tanh" if dtypes.results == "float64" else "tanhf")
    result = f"to_{types['R']}(x)" if dtypes.results in HALVES else "x"
    lines = [
        f"    typedef {types['T']} T;",
        f"    typedef {types['R']} R;",
        f"    typedef {arithmetic(dtypes.operands)} A;",
        f"    auto read = [](T x) {{ return {_computed('x', dtypes.operands)}; }};",
        f"    auto read_result = [](R x) {{ return {_computed('x', dtypes.results)}; }};",
        f"    auto written = [](A x) {{ return {result}; }};",
        f"    auto activated = [](A x) {{ return {function}; }};",
        *[f"    constexpr {_type_of(value)} {name} = {value};" for name, value in constants.items()],
    ]
    whole = "\n".join(lines) + "\n" + body.strip("\n")
    parameters = []
    for buffer in buffers:
        kind = types.get(buffer.kind, buffer.kind)
        parameters.append((f"const {kind}* __restrict__" if buffer.is_read else f"{kind}* __restrict__", buffer.name))
    text = kernel_text(label, parameters, whole, threads)
    name = f"{label}_{blake2b(text.encode(), digest_size=6).hexdigest()}"
    text = kernel_text(name, parameters, whole, threads)
    return CudaKernel(name, text, grid, threads, flops=flops, bytes=bytes)


def _computed(text: str, dtype: str) -> str:
    return f"to_f32({text})" if dtype in HALVES else text


def _type_of(value: int) -> str:
    return "int" if abs(value) <= LARGEST_SHORT else "i64"
