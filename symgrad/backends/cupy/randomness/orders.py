"""Permutations and weighted choices as CUDA kernels: orders of random keys, and positions among running sums."""

from __future__ import annotations

from symgrad.backends.cupy.calls import Found, Temporary
from symgrad.backends.cupy.indexing.sorting import Pass, order_passes
from symgrad.backends.cupy.kernel import CudaKernel, element
from symgrad.backends.cupy.randomness.functions import EXACT, LOGARITHM, PHILOX
from symgrad.backends.cupy.randomness.parameters import THREADS, Sample, indented, no_room
from symgrad.backends.cupy.texts import Launch, blocks_of, kernel, stored
from symgrad.kernels.categorical import SUM_TOLERANCE

LARGEST_ROWS = 65535
"""Rows that one launch can sort."""
CHUNK = 1024
"""Probabilities that are fetched together."""

_INFINITY = "__longlong_as_double(0x7ff0000000000000ll)"
_SUMS = f"""
        for (i64 at = threadIdx.x; at < {CHUNK} && start + at < {{size}}; at += {THREADS})
            sums[start + at] = weights[at];
""".strip()


def permutation(sample: Sample) -> Found:
    """Rows of positions in the stable order of random keys."""
    (length,) = sample.own
    rows, keys = sample.count, Temporary(max(sample.count * length, 1) * 8)
    if rows > LARGEST_ROWS:
        return None
    body = f"""
    PhiloxStream from;
    if (!philox_open(state, from)) {{ FAIL(1); return; }}
    {indented(sample.whole(0, "size"), 4)}
    if (size != {length}{no_room(sample)}) {{ FAIL(1); return; }}
    const u64 first = ((u64)blockIdx.x * {THREADS} + threadIdx.x) * 2;
    const PhiloxBlock block = philox_block(from, first / 2, 0);
    for (i32 number = 0; number < 2; ++number)
        if (first + number < {rows * length}) keys[first + number] = philox_lane(block, number);
"""
    launch = Launch((blocks_of(rows * length, 2 * THREADS), 1, 1), THREADS, may_fail=True, bytes=rows * length * 8)
    made = kernel("random_keys", [*sample.pointers(), ("u64*", "keys")], body, launch, PHILOX)
    found: list[Pass] = [(made, [0, 1, keys])]
    if rows * length:
        found += order_passes(rows, length, keys, sample.result, sample.dtype)
    return found


def weighted_choice(sample: Sample) -> Found:
    """Positions by how many running sums of the probabilities a uniform number reaches."""
    (size,) = sample.shapes[1]
    sums = Temporary(max(size, 1) * 8)
    body = f"""
    PhiloxStream from;
    if (!philox_open(state, from)) {{ FAIL(1); return; }}
    const i64 k = (i64)blockIdx.x * {THREADS} + threadIdx.x;
    if (k >= {sample.count}) return;
    const f64 threshold = exact_mul(fraction_of(philox_lane_at(from, k, 0)), sums[{size - 1}]);
    i64 low = 0, high = {size};
    while (low < high) {{
        const i64 middle = (low + high) / 2;
        if (sums[middle] <= threshold) low = middle + 1;
        else high = middle;
    }}
    sample[k] = {stored(sample.dtype, "low")};
"""
    launch = Launch((blocks_of(sample.count, THREADS), 1, 1), THREADS, may_fail=True, bytes=sample.bytes)
    parameters = [("const u64*", "state"), ("const f64*", "sums"), (f"{element(sample.dtype)}*", "sample")]
    picked = kernel("random_weighted", parameters, body, launch, PHILOX + EXACT)
    return [(_weights(sample, 1, True), [1, 2, sums]), (picked, [0, sums, sample.result])]


def weighted_choice_without_replacement(sample: Sample) -> Found:
    """The order of exponential waiting times, each with the rate of its probability."""
    (size,) = sample.shapes[1]
    if sample.count > size:
        return None
    keys = Temporary(size * 8)
    body = f"""
    PhiloxStream from;
    if (!philox_open(state, from)) {{ FAIL(1); return; }}
    const i64 k = (i64)blockIdx.x * {THREADS} + threadIdx.x;
    if (k >= {size}) return;
    const f64 weight = (f64){sample.element(1, "k")};
    const f64 waiting = -exact_log(open_fraction_of(philox_lane_at(from, k, 0)));
    const f64 time = weight > 0 ? exact_div(waiting, weight) : {_INFINITY};
    keys[k] = (u64)__double_as_longlong(time);  // times aren't negative, so their bits have their order
"""
    launch = Launch((blocks_of(size, THREADS), 1, 1), THREADS, may_fail=True, bytes=16 * size)
    timed = kernel("random_waiting", [*sample.pointers(), ("u64*", "keys")], body, launch,
                   PHILOX + EXACT + LOGARITHM["f64"])  # fmt: skip
    checked = (_weights(sample, sample.count, False), [1, 2])
    passes = order_passes(1, size, keys, sample.result, sample.dtype, limit=sample.count)
    return [checked, (timed, [0, 1, 2, keys]), *passes]


def _weights(sample: Sample, wanted: int, keeps_sums: bool) -> CudaKernel:
    """Return the kernel that checks probabilities, of which at least `wanted` must not be 0, and adds them up.

    The running sums go from left to right, so one thread adds, from numbers that all threads have fetched.
    """
    (size,) = sample.shapes[1]
    body = f"""
    __shared__ f64 weights[{CHUNK}];
    {indented(sample.whole(0, "size"), 4)}
    f64 sum = 0;
    i64 count = 0;
    bool is_bad = size != {size}{no_room(sample)};
    for (i64 start = 0; start < {size}; start += {CHUNK}) {{
        __syncthreads();
        for (i64 at = threadIdx.x; at < {CHUNK} && start + at < {size}; at += {THREADS})
            weights[at] = (f64){sample.element(1, "start + at")};
        __syncthreads();
        if (threadIdx.x == 0)
            for (i64 at = 0; at < {CHUNK} && start + at < {size}; ++at) {{
                const f64 weight = weights[at];
                is_bad = is_bad || !(weight >= 0 && weight < {_INFINITY});
                count += weight > 0;
                sum = start + at ? exact_add(sum, weight) : weight;
                weights[at] = sum;
            }}
        __syncthreads();
        {_SUMS.format(size=size) if keeps_sums else ""}
    }}
    if (threadIdx.x == 0 && (is_bad || !(fabs(sum - 1.0) <= {SUM_TOLERANCE!r}) || count < {wanted})) FAIL(1);
"""
    parameters = [*sample.pointers()[1:], *([("f64*", "sums")] if keeps_sums else [])]
    return kernel("random_weights", parameters, body, Launch((1, 1, 1), THREADS, may_fail=True), EXACT)
