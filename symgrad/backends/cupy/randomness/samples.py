"""Random samples as CUDA kernels: the same bits as on the CPU, from any number of threads.

An element's bits depend on the stream's state and on where the element is (`symgrad.kernels.philox`), so a thread makes
the elements of one block of the generator and stores them at once. Parameters may be numbers, or tensors that stretch;
out of range, they stop the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from symgrad.backends.cupy.calls import Found
from symgrad.backends.cupy.kernel import Target, element
from symgrad.backends.cupy.randomness.counts import binomial, multinomial
from symgrad.backends.cupy.randomness.functions import EXACT, INTEGERS, NORMAL, PHILOX
from symgrad.backends.cupy.randomness.orders import permutation, weighted_choice, weighted_choice_without_replacement
from symgrad.backends.cupy.randomness.parameters import THREADS, Sample, indented, no_room
from symgrad.backends.cupy.texts import Launch, blocks_of, kernel, stretches
from symgrad.kernels.ir.functions import DTYPES
from symgrad.kernels.random_sample import DISTRIBUTIONS

_LIMITS = {
    "int8": ("-128", "127"), "int16": ("-32768", "32767"), "int32": ("-2147483647 - 1", "2147483647"),
    "uint8": ("0", "255"), "uint16": ("0", "65535"), "uint32": ("0", "4294967295ll"),
}  # fmt: skip
_BITS = {
    "f32": ("i32", "u32", "__float_as_int", "__int_as_float", "0x7f800000"),
    "f64": ("i64", "u64", "__double_as_longlong", "__longlong_as_double", "0x7ff0000000000000ll"),
}


def random_calls(
    name: str,
    attributes: dict[str, Any],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str],
    inputs: int,
    target: Target,
) -> Found:
    """Return the kernels of ``random_sample``, or None for a distribution that the host draws from.

    Parameters
    ----------
    name : str
        ``"random_sample"``.
    attributes : dict
        Those of the routine: ``distribution``, ``sizes`` and others.
    shapes, dtypes : sequence
        Of the operands (the state, the parameters, sizes, which aren't read), then of the sample.
    inputs : int
        How many operands there are.
    target : Target
        The device.
    """
    declared = DISTRIBUTIONS[attributes["distribution"]]
    last = 1 + len(declared.parameters)
    axes = len(attributes["sizes"])
    sizes, own = tuple(shapes[inputs][:axes]), tuple(shapes[inputs][axes:])
    sample = Sample(dtypes[inputs], sizes, own, shapes[1:last], dtypes[1:last], inputs)
    fits = all(
        stretches(shape[: len(shape) - parameter.own_axes], sizes)
        for shape, parameter in zip(sample.shapes, declared.parameters, strict=True)
    )
    known = all(dtype in DTYPES for dtype in sample.dtypes) and sample.dtype in declared.dtypes
    if not sample.count or not fits or not known or declared.name not in _WRITERS:
        return None  # of a sample of nothing only the parameters are looked at
    return _WRITERS[declared.name](sample)


# ---- one number an element -------------------------------------------------------------------------------------------


def _elementwise(
    sample: Sample, label: str, helpers: str, prepared: str, value: str, bits: int, kind: str = ""
) -> Found:
    """Return the kernel of a distribution that takes the bits of element `k` to its value.

    `prepared` reads and checks the parameters; `value` is an expression of ``bits``. Numbers are read once a thread.
    """
    group = 128 // bits
    size = DTYPES[sample.dtype]
    kind = kind or element(sample.dtype)
    bits_of = "block.words[number]" if bits == 32 else "philox_lane(block, number)"
    once, each = ("", prepared) if sample.varies else (prepared, "")
    is_numbered = bool(re.search(r"\bk\b", each + value))
    number_of_draw = f"const {sample.index_type} k = ({sample.index_type})(first + number);\n" if is_numbered else ""
    body = f"""
    struct alignas({min(group * size, 16)}) Group {{ {kind} values[{group}]; }};
    PhiloxStream from;
    if (!philox_open(state, from)) {{ FAIL(1); return; }}
{indented(once, 4)}
    const i64 first = ((i64)blockIdx.x * {THREADS} + threadIdx.x) * {group};
    if (first >= {sample.count}) return;
    const PhiloxBlock block = philox_block(from, (u64)first / {group}, 0);
    Group made;
    #pragma unroll
    for (i32 number = 0; number < {group}; ++number) {{
        if (first + number >= {sample.count}) break;
        const u{bits} bits = {bits_of};
{indented(number_of_draw + each, 8)}
        made.values[number] = {value};
    }}
    if ((u64)sample % alignof(Group) == 0 && first + {group} <= {sample.count}) *(Group*)(sample + first) = made;
    else
        for (i32 number = 0; number < {group} && first + number < {sample.count}; ++number)
            sample[first + number] = made.values[number];
"""
    grid = (blocks_of(sample.count, THREADS * group), 1, 1)
    launch = Launch(grid, THREADS, may_fail=True, bytes=sample.bytes)
    parameters = [*sample.pointers(), (f"{kind}*", "sample")]
    return [(kernel(f"random_{label}", parameters, body, launch, PHILOX + helpers), sample.buffers)]


def _uniform(sample: Sample) -> Found:
    """``min(u * (high - low) + low, the largest number below high)``."""
    kind, width, shift, scale = element(sample.dtype), 32, 8, f"{2.0**-24!r}f"
    if kind == "f64":
        width, shift, scale = 64, 11, repr(2.0**-53)
    signed, unsigned, to_bits, from_bits, infinity = _BITS[kind]
    # Below a number comes the one with the bits a step towards zero or away from it; below 0, the smallest negative.
    prepared = f"""
        const {kind} low = ({kind}){sample.parameter(0)};
        const {kind} high = ({kind}){sample.parameter(1)};
        const {kind} span = exact_sub(high, low);
        if (!(span >= 0 && span < {from_bits}({infinity}))) {{ FAIL(1); return; }}
        const {signed} step = {to_bits}(high) + (high > 0 ? -1 : 1);
        const {kind} below = {from_bits}(high == 0 ? ({signed})(({unsigned})1 << {width - 1} | 1) : step);
        const {kind} limit = high == low ? low : below;
    """
    number = f"exact_add(exact_mul(exact_mul(({kind})(bits >> {shift}), {scale}), span), low)"
    return _elementwise(sample, "uniform", EXACT, prepared, f"exact_min({number}, limit)", width)


def _normal(sample: Sample) -> Found:
    """The normal quantile of the bits, times deviation, plus average."""
    kind = element(sample.dtype)
    prepared = f"""
        const {kind} average = ({kind}){sample.parameter(0)};
        const {kind} deviation = ({kind}){sample.parameter(1)};
        if (!(deviation >= 0)) {{ FAIL(1); return; }}
    """
    value = "exact_add(exact_mul(normal_from_bits(bits), deviation), average)"
    return _elementwise(sample, "normal", NORMAL[kind], prepared, value, 32 if kind == "f32" else 64)


def _bernoulli(sample: Sample) -> Found:
    """1 where ``word < ceil(p * 2**24) * 2**8``; a float16 is written as its bits."""
    prepared = f"""
        const f64 chance = (f64){sample.parameter(0)};
        if (!(chance >= 0 && chance <= 1)) {{ FAIL(1); return; }}
        const u64 bound = (u64)ceil(chance * {2.0**24!r}) << 8;
    """
    if sample.dtype == "float16":
        return _elementwise(sample, "bernoulli", "", prepared, "bits < bound ? 0x3c00 : 0", 32, "u16")
    return _elementwise(sample, "bernoulli", "", prepared, "bits < bound", 32)


def _integers(sample: Sample) -> Found:
    """From low to high, both included."""
    least, most = _LIMITS.get(sample.dtype, ("", ""))
    holds = f"low >= {least} && high <= {most}" if least else "low >= 0" if sample.dtype == "uint64" else "true"
    prepared = f"""
        {sample.whole(0, "low")}
        {sample.whole(1, "high")}
        if (!(low <= high && {holds})) {{ FAIL(1); return; }}
        const u64 range = (u64)high - (u64)low + 1;
    """
    value = f"({element(sample.dtype)})((u64)low + random_offset(from, k, bits, range))"
    return _elementwise(sample, "integers", INTEGERS, prepared, value, 64)


def _choice(sample: Sample) -> Found:
    """Positions below a number."""
    prepared = f"""
        {sample.whole(0, "size")}
        if (size < 1{no_room(sample)}) {{ FAIL(1); return; }}
    """
    value = f"({element(sample.dtype)})random_offset(from, k, bits, (u64)size)"
    return _elementwise(sample, "choice", INTEGERS, prepared, value, 64)


_WRITERS: dict[str, Callable[[Sample], Found]] = {
    "uniform": _uniform,
    "normal": _normal,
    "bernoulli": _bernoulli,
    "random_integers": _integers,
    "choice": _choice,
    "binomial": binomial,
    "multinomial": multinomial,
    "permutation": permutation,
    "weighted_choice": weighted_choice,
    "weighted_choice_without_replacement": weighted_choice_without_replacement,
}

__all__ = ["random_calls"]
