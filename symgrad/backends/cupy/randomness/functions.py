"""Device functions of the random kernels: Philox4x32-10, and arithmetic whose bits are those of the other backends.

What they compute is written down in `symgrad.kernels.philox`, `symgrad.kernels.distributions`,
`symgrad.kernels.normal_quantile` and `symgrad.kernels.binomial`. The intrinsics round each operation to nearest and are
never contracted to fused multiply-adds, so every sample equals the one of the NumPy backend bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.cupy.texts import guarded
from symgrad.kernels.binomial import (
    INVERSION_DRAW,
    INVERSION_MEAN,
    LARGEST_INVERSION,
    REJECTION_DRAWS,
    SINGLE_TRIAL_DRAW,
    STIRLING_CORRECTIONS,
)
from symgrad.kernels.normal_quantile import CENTRAL_SQUARE, DOUBLE, SINGLE, TAIL_SHIFT, QuantileTable
from symgrad.kernels.philox import DRAW_BITS, KEY_INCREMENTS, MULTIPLIERS, ROUNDS, STEP_BITS, STREAM_BITS

PHILOX = guarded("PHILOX", f"""
struct PhiloxStream {{ u32 key0, key1, tag, step, stream; }};
struct PhiloxBlock {{ u32 words[4]; }};

// Reads key, stream and step; false if they are no state.
__device__ inline bool philox_open(const u64* state, PhiloxStream& found) {{
    const u64 key = state[0], stream = state[1], step = state[2];
    found.key0 = (u32)key;
    found.key1 = (u32)(key >> 32);
    found.tag = (u32)(step >> 32) << 16;
    found.step = (u32)step;
    found.stream = (u32)stream;
    return (stream >> {STREAM_BITS}) == 0 && (step >> {STEP_BITS}) == 0;
}}

__device__ inline PhiloxBlock philox_block(const PhiloxStream& from, u64 block, u32 draw) {{
    u32 c0 = (u32)block, c1 = (u32)(block >> 32) | draw << {DRAW_BITS} | from.tag, c2 = from.step, c3 = from.stream;
    u32 key0 = from.key0, key1 = from.key1;
    #pragma unroll
    for (i32 round = 0; round < {ROUNDS}; ++round) {{
        const u64 first = (u64)c0 * {MULTIPLIERS[0]:#x}u, second = (u64)c2 * {MULTIPLIERS[1]:#x}u;
        c0 = (u32)(second >> 32) ^ c1 ^ key0;
        c2 = (u32)(first >> 32) ^ c3 ^ key1;
        c1 = (u32)second;
        c3 = (u32)first;
        key0 += {KEY_INCREMENTS[0]:#x}u;
        key1 += {KEY_INCREMENTS[1]:#x}u;
    }}
    PhiloxBlock made;
    made.words[0] = c0;
    made.words[1] = c1;
    made.words[2] = c2;
    made.words[3] = c3;
    return made;
}}

__device__ inline u64 philox_lane(const PhiloxBlock& block, i32 lane) {{
    return block.words[2 * lane] | (u64)block.words[2 * lane + 1] << 32;
}}

// The 64-bit element of any index.
__device__ inline u64 philox_lane_at(const PhiloxStream& from, u64 element, u32 draw) {{
    const PhiloxBlock block = philox_block(from, element >> 1, draw);
    return element & 1 ? philox_lane(block, 1) : philox_lane(block, 0);
}}
""")

EXACT = guarded("EXACT", """
__device__ inline f32 exact_add(f32 a, f32 b) { return __fadd_rn(a, b); }
__device__ inline f32 exact_sub(f32 a, f32 b) { return __fadd_rn(a, -b); }
__device__ inline f32 exact_mul(f32 a, f32 b) { return __fmul_rn(a, b); }
__device__ inline f32 exact_div(f32 a, f32 b) { return __fdiv_rn(a, b); }
__device__ inline f32 exact_sqrt(f32 a) { return __fsqrt_rn(a); }
__device__ inline f64 exact_add(f64 a, f64 b) { return __dadd_rn(a, b); }
__device__ inline f64 exact_sub(f64 a, f64 b) { return __dadd_rn(a, -b); }
__device__ inline f64 exact_mul(f64 a, f64 b) { return __dmul_rn(a, b); }
__device__ inline f64 exact_div(f64 a, f64 b) { return __ddiv_rn(a, b); }
__device__ inline f64 exact_sqrt(f64 a) { return __dsqrt_rn(a); }
__device__ inline f32 exact_min(f32 a, f32 b) { return a < b ? a : b; }
__device__ inline f64 exact_min(f64 a, f64 b) { return a < b ? a : b; }

// A lane as a number in [0, 1), and as one in (0, 1).
__device__ inline f64 fraction_of(u64 lane) { return exact_mul((f64)(lane >> 11), 0x1p-53); }
__device__ inline f64 open_fraction_of(u64 lane) {
    return exact_mul(exact_add(exact_mul((f64)(lane >> 12), 2.0), 1.0), 0x1p-53);
}
""").replace("0x1p-53", repr(2.0**-53))

INTEGERS = guarded("INTEGERS", f"""
// The high half of lane times range (0 stands for 2**64); later draws where the low half would favour some values.
__device__ inline u64 random_offset(const PhiloxStream& from, u64 element, u64 lane, u64 range) {{
    if (range == 0) return lane;
    for (u32 draw = 1; draw < {1 << DRAW_BITS} && lane * range < range && lane * range < (0 - range) % range; ++draw)
        lane = philox_lane_at(from, element, draw);
    return __umul64hi(lane, range);
}}
""")


def _literal(value: float, kind: str) -> str:
    return f"{value!r}f" if kind == "f32" else repr(value)


def _polynomial(name: str, coefficients: Sequence[float], kind: str) -> str:
    """Return a function of Horner's rule."""
    last = _literal(coefficients[-1], kind)
    lines = [f"    {kind} value = exact_mul(x, {last});"]
    lines += [
        f"    value = exact_mul(exact_add(value, {_literal(coefficient, kind)}), x);"
        for coefficient in coefficients[-2:0:-1]
    ]
    lines.append(f"    return exact_add(value, {_literal(coefficients[0], kind)});")
    body = "\n".join(lines)
    return f"__device__ inline {kind} {name}({kind} x) {{\n{body}\n}}\n"


def _logarithm(table: QuantileTable, kind: str, signed: str, to_bits: str, from_bits: str) -> str:
    """Return the function of the natural logarithm of positive normal numbers."""
    one, two, half = [_literal(value, kind) for value in (1.0, 2.0, 0.5)]
    mask = (1 << table.mantissa_bits) - 1
    return f"""
{_polynomial("exact_log_series", table.logarithm, kind)}
__device__ inline {kind} exact_log({kind} x) {{
    const {signed} offset = {to_bits}(x) - ({signed}){table.sqrt_half_bits:#x};
    const {kind} exponent = ({kind})(offset >> {table.mantissa_bits});
    const {kind} fraction = exact_sub({from_bits}((offset & ({signed}){mask:#x}) + ({signed}){table.sqrt_half_bits:#x}), {one});
    const {kind} ratio = exact_div(fraction, exact_add(fraction, {two}));
    const {kind} square = exact_mul(ratio, ratio);
    const {kind} half_square = exact_mul(exact_mul(fraction, {half}), fraction);
    const {kind} series = exact_mul(exact_log_series(square), square);
    const {kind} correction = exact_mul(exact_add(series, half_square), ratio);
    const {kind} rest = exact_sub(fraction, exact_sub(half_square, correction));
    return exact_add(exact_mul(exponent, {_literal(table.ln2, kind)}), rest);
}}
"""  # noqa: E501


def _normal(table: QuantileTable, kind: str, unsigned: str) -> str:
    """Return the function of the standard normal variate of random bits."""
    width = 8 * table.bits_dtype.itemsize
    scale = _literal(2.0 ** -(width + 1), kind)
    polynomials = "".join([
        _polynomial(f"normal_{name}", coefficients, kind)
        for name, coefficients in (
            ("central_numerator", table.central_numerator), ("central_denominator", table.central_denominator),
            ("tail_numerator", table.tail_numerator), ("tail_denominator", table.tail_denominator),
        )
    ])  # fmt: skip
    return f"""
{polynomials}
__device__ inline {kind} normal_from_bits({unsigned} bits) {{
    const bool is_negative = bits >> {width - 1};
    const {unsigned} odd = (is_negative ? ~bits : bits) << 1 | 1;
    {kind} value;
    if (odd > ({unsigned})13 << {width - 4}) {{
        const {kind} probability = exact_mul(({kind})(({unsigned})0 - odd), {scale});
        const {kind} root = exact_sqrt(-exact_log(probability));
        const {kind} x = exact_sub(root, {_literal(TAIL_SHIFT, kind)});
        value = exact_add(root, exact_div(normal_tail_numerator(x), normal_tail_denominator(x)));
    }} else {{
        const {kind} quantile = exact_mul(({kind})odd, {scale});
        const {kind} square = exact_mul(quantile, quantile);
        const {kind} x = exact_sub({_literal(CENTRAL_SQUARE, kind)}, square);
        const {kind} ratio = exact_div(normal_central_numerator(x), normal_central_denominator(x));
        value = exact_mul(quantile, exact_add(exact_mul(square, ratio), {_literal(table.sqrt_two_pi, kind)}));
    }}
    return is_negative ? -value : value;
}}
"""


LOGARITHM = {
    "f32": guarded("LOGARITHM_F32", _logarithm(SINGLE, "f32", "i32", "__float_as_int", "__int_as_float")),
    "f64": guarded("LOGARITHM_F64", _logarithm(DOUBLE, "f64", "i64", "__double_as_longlong", "__longlong_as_double")),
}
"""The natural logarithm, by type."""

NORMAL = {
    "f32": EXACT + LOGARITHM["f32"] + guarded("NORMAL_F32", _normal(SINGLE, "f32", "u32")),
    "f64": EXACT + LOGARITHM["f64"] + guarded("NORMAL_F64", _normal(DOUBLE, "f64", "u64")),
}
"""The standard normal variate of random bits, by type."""

_CORRECTIONS = ", ".join(map(repr, STIRLING_CORRECTIONS.tolist()))

BINOMIAL = EXACT + LOGARITHM["f64"] + guarded("BINOMIAL", f"""
__device__ inline u64 bernoulli_threshold(f64 chance) {{
    return (u64)ceil(exact_mul(chance, {2.0**24!r})) << 8;
}}

// Adds probabilities up to a uniform number.
__device__ inline i64 binomial_by_inversion(const PhiloxStream& from, u64 element, i64 trials, f64 chance) {{
    const f64 uniform = fraction_of(philox_lane_at(from, element, {INVERSION_DRAW}));
    const f64 failure = exact_sub(1.0, chance);
    const f64 odds = exact_div(chance, failure);
    const f64 scaled_odds = exact_mul((f64)(trials + 1), odds);
    f64 probability = 1.0, base = failure;
    for (i64 exponent = trials; exponent; exponent >>= 1) {{
        if (exponent & 1) probability = exact_mul(probability, base);
        base = exact_mul(base, base);
    }}
    f64 cumulative = probability;
    i64 count = 0;
    for (; count < {LARGEST_INVERSION} && cumulative <= uniform; ++count) {{
        probability = exact_mul(probability, exact_sub(exact_div(scaled_odds, (f64)(count + 1)), odds));
        cumulative = exact_add(cumulative, probability);
    }}
    return count < trials ? count : trials;
}}

__device__ inline f64 stirling_correction(f64 value) {{
    const f64 table[10] = {{{_CORRECTIONS}}};
    if (value < 10.0) return table[(i32)value];
    const f64 following = exact_add(value, 1.0);
    const f64 square = exact_mul(following, following);
    const f64 inner = exact_sub({1.0 / 360!r}, exact_div({1.0 / 1260!r}, square));
    return exact_div(exact_sub({1.0 / 12!r}, exact_div(inner, square)), following);
}}

// The logarithm of the probability of a count over that of the most likely count.
__device__ inline f64 binomial_log_ratio(f64 count, f64 trials, f64 chance) {{
    const f64 odds = exact_div(chance, exact_sub(1.0, chance));
    const f64 more = exact_add(trials, 1.0);
    const f64 mode = floor(exact_mul(more, chance));
    const f64 mode_failures = exact_add(exact_sub(trials, mode), 1.0);
    const f64 failures = exact_add(exact_sub(trials, count), 1.0);
    const f64 at_mode = exact_div(exact_add(mode, 1.0), exact_mul(odds, mode_failures));
    const f64 at_count = exact_div(exact_mul(failures, odds), exact_add(count, 1.0));
    f64 result = exact_mul(exact_add(mode, 0.5), exact_log(at_mode));
    result = exact_add(result, exact_mul(more, exact_log(exact_div(mode_failures, failures))));
    result = exact_add(result, exact_mul(exact_add(count, 0.5), exact_log(at_count)));
    result = exact_add(exact_add(result, stirling_correction(mode)), stirling_correction(exact_sub(trials, mode)));
    result = exact_sub(exact_sub(result, stirling_correction(count)), stirling_correction(exact_sub(trials, count)));
    return result;
}}

// Transformed rejection; an element without an accepted attempt, which doesn't happen, gets the mode.
__device__ inline i64 binomial_by_rejection(const PhiloxStream& from, u64 element, i64 whole, f64 chance) {{
    const f64 trials = (f64)whole;
    const f64 mean = exact_mul(trials, chance);
    const f64 deviation = exact_sqrt(exact_mul(mean, exact_sub(1.0, chance)));
    const f64 b = exact_add(1.15, exact_mul(2.53, deviation));
    const f64 a = exact_add(exact_add(-0.0873, exact_mul(0.0248, b)), exact_mul(0.01, chance));
    for (u32 draw = {REJECTION_DRAWS.start}; draw < {REJECTION_DRAWS.stop}; ++draw) {{
        const PhiloxBlock block = philox_block(from, element, draw);
        const f64 centred = exact_sub(open_fraction_of(philox_lane(block, 0)), 0.5);
        const f64 height = open_fraction_of(philox_lane(block, 1));
        const f64 margin = exact_sub(0.5, fabs(centred));
        const f64 slope = exact_add(exact_div(exact_mul(2.0, a), margin), b);
        const f64 proposal = floor(exact_add(exact_mul(slope, centred), exact_add(mean, 0.5)));
        if (margin >= 0.07 && height <= exact_sub(0.92, exact_div(4.2, b))) return (i64)proposal;
        if (!(proposal >= 0.0 && proposal <= trials)) continue;
        const f64 stretch = exact_mul(exact_add(2.83, exact_div(5.1, b)), deviation);
        const f64 density = exact_add(exact_div(a, exact_mul(margin, margin)), b);
        const f64 scaled = exact_div(exact_mul(height, stretch), density);
        if (exact_log(scaled) <= binomial_log_ratio(proposal, trials, chance)) return (i64)proposal;
    }}
    return (i64)floor(exact_mul((f64)(whole + 1), chance));
}}

__device__ inline i64 binomial_count(const PhiloxStream& from, u64 element, i64 trials, f64 chance) {{
    if (trials == 1) {{
        const PhiloxBlock block = philox_block(from, element >> 2, {SINGLE_TRIAL_DRAW});
        u32 word = block.words[0];
        for (i32 lane = 1; lane < 4; ++lane)
            if ((i32)(element & 3) == lane) word = block.words[lane];
        return word < bernoulli_threshold(chance);
    }}
    const bool is_flipped = chance > 0.5;
    const f64 rarer = is_flipped ? exact_sub(1.0, chance) : chance;
    const i64 count = exact_mul((f64)trials, rarer) < {INVERSION_MEAN!r}
        ? binomial_by_inversion(from, element, trials, rarer)
        : binomial_by_rejection(from, element, trials, rarer);
    return is_flipped ? trials - count : count;
}}
""")
"""How many of some trials succeed."""
