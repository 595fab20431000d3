"""MRG31k3p as a CUDA kernel: a thread for each stream, the numbers of `symgrad.kernels.mrg31k3p`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from symgrad.backends.cupy.calls import Found
from symgrad.backends.cupy.kernel import Target, element
from symgrad.backends.cupy.texts import Launch, blocks_of, guarded, kernel
from symgrad.kernels.ir.functions import DTYPES
from symgrad.kernels.mrg31k3p import M1, M2, SCALE32, SCALE64, SECOND_FACTOR

THREADS = 128

MRG = guarded("MRG", f"""
__device__ inline u32 mrg_below(u32 number, u32 modulus) {{ return number >= modulus ? number - modulus : number; }}

// 2**15 times a word, modulo the second modulus.
__device__ inline u32 mrg_second(u32 word) {{
    return mrg_below(((word & 0xffffu) << 15) + (word >> 16) * {SECOND_FACTOR}u, {M2}u);
}}

// Moves a stream on by one number, and returns the number: 1 to the first modulus.
__device__ inline i32 mrg_next(u32* words) {{
    const u32 low = ((words[1] & 511u) << 22) + (words[1] >> 9);
    const u32 high = ((words[2] & 0xffffffu) << 7) + (words[2] >> 24);
    const u32 first = mrg_below(mrg_below(low + high, {M1}u) + words[2], {M1}u);
    const u32 second = mrg_below(mrg_below(mrg_second(words[5]) + words[5], {M2}u) + mrg_second(words[3]), {M2}u);
    words[2] = words[1];
    words[1] = words[0];
    words[0] = first;
    words[5] = words[4];
    words[4] = words[3];
    words[3] = second;
    return (i32)(first > second ? first - second : first - second + {M1}u);
}}
""")


def mrg_calls(
    name: str,
    attributes: dict[str, Any],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str],
    inputs: int,
    target: Target,
) -> Found:
    """Return the kernel of ``mrg_sample``; the new states may be where the old ones are.

    Parameters
    ----------
    name : str
        ``"mrg_sample"``.
    attributes : dict
        Aren't needed.
    shapes, dtypes : sequence
        Of the operands (the states, sizes, which aren't read), then of the new states and the sample.
    inputs : int
        How many operands there are.
    target : Target
        The device.
    """
    streams, count, dtype = shapes[0][0], prod(shapes[-1]), dtypes[-1]
    if not streams or dtype not in ("float32", "float64"):
        return None
    kind = element(dtype)
    scale = f"{float(SCALE32)!r}f" if dtype == "float32" else repr(SCALE64)
    body = f"""
    const i64 stream = (i64)blockIdx.x * {THREADS} + threadIdx.x;
    if (stream >= {streams}) return;
    u32 words[6];
    for (i32 word = 0; word < 6; ++word) words[word] = (u32)states[6 * stream + word];
    for (i64 at = stream; at < {count}; at += {streams}) sample[at] = ({kind})mrg_next(words) * {scale};
    for (i32 word = 0; word < 6; ++word) new_states[6 * stream + word] = (i32)words[word];
"""
    parameters = [("const i32*", "states"), ("i32*", "new_states"), (f"{kind}*", "sample")]
    moved = 48 * streams + count * DTYPES[dtype]
    launch = Launch((blocks_of(streams, THREADS), 1, 1), THREADS, flops=30 * count, bytes=moved)
    return [(kernel("mrg_sample", parameters, body, launch, MRG), [0, inputs, inputs + 1])]


__all__ = ["mrg_calls"]
