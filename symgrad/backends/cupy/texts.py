"""What the texts of kernels share: names that tell texts apart, and the places of elements of stretched operands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from symgrad.backends.cupy.kernel import CudaKernel, kernel_text
from symgrad.backends.cupy.prelude import TYPES

LARGEST_SHORT = 2**31 - 1
"""Indices up to here are counted in 32 bits, whose divisions take a fourth of the time."""


@dataclass(frozen=True)
class Launch:
    """How a kernel is launched, and what it costs: the fields of `CudaKernel` besides name and text."""

    grid: tuple[int, int, int] = (1, 1, 1)
    threads: int = 128
    may_fail: bool = False
    flops: int = 0
    bytes: int = 0


def kernel(
    label: str, parameters: Sequence[tuple[str, str]], body: str, launch: Launch, helpers: str = ""
) -> CudaKernel:
    """Return a kernel whose name is its label and a digest of its text.

    Parameters
    ----------
    label : str
        What it does.
    parameters : sequence of (str, str)
        Type and name of each.
    body : str
        Its statements.
    launch : Launch
        How it is launched.
    helpers : str
        Device functions in front of it, guarded so that a module may hold them several times.
    """
    plain = kernel_text("kernel", parameters, body, launch.threads)
    digest = hashlib.blake2b(f"{helpers}{plain}{launch.grid}".encode(), digest_size=6).hexdigest()
    name = f"{label}_{digest}"
    text = kernel_text(name, parameters, body, launch.threads)
    if launch.may_fail and "__syncthreads" in body:  # another block may fail while this one begins
        text = text.replace("    GUARD\n", "    GUARD_TOGETHER\n", 1)
    text = helpers + text
    return CudaKernel(
        name, text, launch.grid, launch.threads, may_fail=launch.may_fail, flops=launch.flops, bytes=launch.bytes
    )


def guarded(name: str, text: str) -> str:
    """Return device functions that a module takes once, however many kernels bring them along."""
    return f"#ifndef SYMGRAD_{name}\n#define SYMGRAD_{name}\n{text.strip()}\n#endif\n"


def blocks_of(count: int, threads: int) -> int:
    """Return how many blocks give every element a thread; at least one."""
    return max(-(-count // threads), 1)


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a C-contiguous array in elements."""
    return tuple([prod(shape[axis + 1 :]) for axis in range(len(shape))])


def stretched_strides(
    shape: Sequence[int], sizes: Sequence[int], strides: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return the strides with which an operand is read as if it had other sizes: 0 where it stretches.

    Parameters
    ----------
    shape, sizes : sequence of int
        Its own sizes, and the others.
    strides : sequence of int, optional
        Its own strides, if it isn't C-contiguous.
    """
    own = contiguous_strides(shape) if strides is None else strides
    kept = [0 if size == 1 else stride for size, stride in zip(shape, own, strict=True)]
    return (*[0] * (len(sizes) - len(shape)), *kept)


def stretches(shape: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether an operand broadcasts to sizes."""
    if len(shape) > len(sizes):
        return False
    return all(size in (1, wanted) for size, wanted in zip(shape[::-1], sizes[::-1], strict=False))


def place(index: str, sizes: Sequence[int], strides: Sequence[int]) -> str:
    """Return where the element with a flat index lies, as an expression.

    Parameters
    ----------
    index : str
        A name: the number of the element, in C order over `sizes`.
    sizes, strides : sequence of int
        Of each axis; axes that lie in memory as one are taken as one.

    Examples
    --------
    >>> place("k", (4, 5, 6), (30, 6, 1))
    'k'
    >>> place("k", (4, 5, 6), (0, 1, 0))
    'k / 6 % 5'
    """
    terms = []
    inner = 1
    groups = joined(sizes, strides)
    for number, (size, stride) in reversed(list(enumerate(groups))):
        if stride:
            shifted = index if inner == 1 else f"{index} / {inner}"
            wrapped = shifted if number == 0 else f"{shifted} % {size}"
            terms.append(wrapped if stride == 1 else f"({wrapped}) * {stride}")
        inner *= size
    return " + ".join(terms) or "0"


def joined(sizes: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Return (size, stride) of axes, neighbours joined where one step of the outer is all of the inner."""
    groups: list[tuple[int, int]] = []
    for size, stride in zip(sizes, strides, strict=True):
        if size == 1:
            continue
        if groups and groups[-1][1] == stride * size:
            groups[-1] = (groups[-1][0] * size, stride)
        else:
            groups.append((size, stride))
    return groups


def loaded(dtype: str, text: str) -> str:
    """Return an element in memory as a number to compute with."""
    return f"to_f32({text})" if dtype in ("float16", "bfloat16") else text


def stored(dtype: str, text: str) -> str:
    """Return a computed number as an element in memory."""
    return f"to_{TYPES[dtype]}((f32)({text}))" if dtype in ("float16", "bfloat16") else f"({TYPES[dtype]})({text})"


def literal(value: float | int | bool, dtype: str) -> str:
    """Return a number of a dtype, as it is computed with."""
    kind = "f32" if dtype in ("float16", "bfloat16") else TYPES[dtype]
    if kind not in ("f32", "f64"):
        return f"({kind}){int(value)}{'ull' if int(value) >= 2**63 else 'll'}"
    number = float(np.float32(value)) if kind == "f32" else float(value)
    if np.isfinite(number):
        return f"({kind}){number!r}"
    return f"({kind}){'NAN' if np.isnan(number) else 'INFINITY' if number > 0 else '(-INFINITY)'}"
