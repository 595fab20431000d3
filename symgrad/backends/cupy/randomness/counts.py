"""Binomial and multinomial counts as CUDA kernels; each draw is one thread's, which makes the bits that it needs."""

from __future__ import annotations

from symgrad.backends.cupy.calls import Found, Temporary
from symgrad.backends.cupy.kernel import element
from symgrad.backends.cupy.randomness.functions import BINOMIAL, PHILOX
from symgrad.backends.cupy.randomness.parameters import LARGEST_COUNTS, THREADS, Sample, indented
from symgrad.backends.cupy.texts import Launch, blocks_of, kernel, loaded, stored
from symgrad.kernels.binomial import LARGEST_TRIALS
from symgrad.kernels.categorical import CATEGORY_DRAW, SUM_TOLERANCE

_LARGEST = repr(1.7976931348623157e308)


def binomial(sample: Sample) -> Found:
    """The number of successes in some trials."""
    body = f"""
    PhiloxStream from;
    if (!philox_open(state, from)) {{ FAIL(1); return; }}
{_index(sample)}
{_trials(sample)}
    const f64 chance = (f64){sample.parameter(1)};
    if (!(chance >= 0 && chance <= 1)) {{ FAIL(1); return; }}
    sample[k] = {stored(sample.dtype, "binomial_count(from, k, trials, chance)")};
"""
    return [(kernel("random_binomial", _parameters(sample), body, _launch(sample), PHILOX + BINOMIAL), sample.buffers)]


def multinomial(sample: Sample) -> Found:
    """How often each category comes up: one-hot rows for a single trial, else binomial counts of what is left.

    What each category's probability is a part of, the sum of it and those behind it, lies in temporary memory.
    """
    categories = sample.own[0]
    weight = loaded(sample.dtypes[1], "row[category]")
    total = f"""
        f64 total = 0;
        for (i64 category = 0; category < {categories}; ++category) {{
            const f64 weight = (f64){weight};
            if (!(weight >= 0 && weight <= {_LARGEST})) {{ FAIL(1); return; }}
            total = category ? exact_add(total, weight) : weight;
        }}
        if (!(fabs(total - 1.0) <= {SUM_TOLERANCE!r})) {{ FAIL(1); return; }}
    """
    one, zero = stored(sample.dtype, "1"), stored(sample.dtype, "0")
    body = f"""
    PhiloxStream from;
    if (!philox_open(state, from)) {{ FAIL(1); return; }}
{_index(sample)}
{_trials(sample)}
    const {element(sample.dtypes[1])}* row = parameter1 + ({sample.place(1, own_axes=1)});
{indented(total, 4)}
    {element(sample.dtype)}* counts = sample + (i64)k * {categories};
    if (trials == 1) {{
        const f64 threshold = exact_mul(fraction_of(philox_lane_at(from, k, {CATEGORY_DRAW})), total);
        f64 sum = 0;
        bool is_found = false;
        for (i64 category = 0; category < {categories}; ++category) {{
            const f64 weight = (f64){weight};
            sum = category ? exact_add(sum, weight) : weight;
            counts[category] = !is_found && sum > threshold ? {one} : {zero};
            is_found = is_found || sum > threshold;
        }}
        return;
    }}
    f64* behind = sums + (i64)k * {categories};
    f64 sum = 0;
    for (i64 category = {categories} - 1; category >= 0; --category) {{
        sum = category < {categories} - 1 ? exact_add(sum, (f64){weight}) : (f64){weight};
        behind[category] = sum;
    }}
    i64 left = trials;
    for (i64 category = 0; category < {categories}; ++category) {{
        const f64 chance = behind[category] > 0 ? exact_div((f64){weight}, behind[category]) : 0.0;
        const i64 count = binomial_count(from, (u64)k * {categories} + category, left, chance);
        counts[category] = {stored(sample.dtype, "count")};
        left -= count;
    }}
"""
    parameters = [*_parameters(sample), ("f64*", "sums")]
    work = kernel("random_multinomial", parameters, body, _launch(sample), PHILOX + BINOMIAL)
    sums = Temporary(max(sample.count * categories, 1) * 8)
    return [(work, [*sample.buffers, sums])]


def _index(sample: Sample) -> str:
    """Return the statements that number the draws."""
    kind = sample.index_type
    return f"    const {kind} k = ({kind})blockIdx.x * {THREADS} + threadIdx.x;\n    if (k >= {sample.count}) return;"


def _trials(sample: Sample) -> str:
    most = LARGEST_COUNTS.get(sample.dtype, str(LARGEST_TRIALS))
    limit = min(int(most), LARGEST_TRIALS)
    return indented(f"{sample.whole(0, 'trials')}\nif (trials < 0 || trials > {limit}ll) {{ FAIL(1); return; }}", 4)


def _parameters(sample: Sample) -> list[tuple[str, str]]:
    return [*sample.pointers(), (f"{element(sample.dtype)}*", "sample")]


def _launch(sample: Sample) -> Launch:
    return Launch((blocks_of(sample.count, THREADS), 1, 1), THREADS, may_fail=True, bytes=sample.bytes)
