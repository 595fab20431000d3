"""Kernels that go along an axis: running sums and products, linear recurrences, shifts.

Where there are many lines side by side, a thread goes along each, with loads that its neighbours share. Few long lines
get a block each: running sums and products are scanned, each thread its own elements, then the threads' totals, always
in the same order; a recurrence, whose products could leave the range of the dtype if they were taken first, is carried
by one thread through pieces that all threads have fetched. Very long lines of sums are scanned in parts by many blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from symgrad.backends.cupy.calls import Found, Temporary
from symgrad.backends.cupy.kernel import CudaKernel, Target, element
from symgrad.backends.cupy.texts import Launch, blocks_of, kernel, literal, loaded, stored
from symgrad.kernels.ir.functions import DTYPES

THREADS = 256
OWN = 4
"""Elements that a thread of a scan has at once."""
PIECE = THREADS * OWN
SMALLEST_SPLIT = 8 * PIECE
"""Lines longer than this are scanned in parts, if there aren't enough of them for all multiprocessors."""
FLOATS = ("float16", "bfloat16", "float32", "float64")


def recurrence_calls(
    name: str,
    attributes: dict[str, Any],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str],
    inputs: int,
    target: Target,
) -> Found:
    """Return the kernels of ``cumulative``, ``linear_recurrence`` and ``shift``, or None for dtypes without them.

    Parameters
    ----------
    name : str
        The routine.
    attributes : dict
        ``axis`` and, as the routine has them, ``function``, ``reverse``, ``by`` and ``fill``.
    shapes, dtypes : sequence
        Of the operands, then of the output.
    inputs : int
        How many operands there are.
    target : Target
        The device.
    """
    axis, shape, dtype = attributes["axis"], shapes[0], dtypes[-1]
    if dtype not in DTYPES or any(other != shape for other in shapes) or any(kind != dtype for kind in dtypes):
        return None
    if not prod(shape):
        return []
    lines = _Lines(dtype, prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]), target)
    if name == "shift":
        return [(lines.shifted(attributes["by"], attributes["fill"]), [0, 1])]
    if dtype == "bool":
        return None
    if name == "linear_recurrence":
        return [(lines.recurrence(attributes["reverse"]), [0, 1, 2])]
    return lines.scan("+" if attributes["function"] == "cumsum" else "*")


@dataclass(frozen=True)
class _Lines:
    """Lines along an axis: `outer` times `inner` of them, of `length` elements each."""

    dtype: str
    outer: int
    length: int
    inner: int
    target: Target

    @property
    def count(self) -> int:
        """How many lines there are."""
        return self.outer * self.inner

    @property
    def _kind(self) -> str:
        return element(self.dtype)

    @property
    def _wide(self) -> str:
        """The type that is computed in: 16-bit numbers are rounded when they are stored."""
        return "f32" if self.dtype in ("float16", "bfloat16") else self._kind

    def _launch(self, blocks: int, operands: int) -> Launch:
        moved = operands * self.count * self.length * DTYPES[self.dtype]
        return Launch((blocks, 1, 1), THREADS, flops=self.count * self.length, bytes=moved)

    def _parameters(self, *names: str) -> list[tuple[str, str]]:
        return [*[(f"const {self._kind}* __restrict__", name) for name in names], (f"{self._kind}* __restrict__", "y")]

    @property
    def _goes_abreast(self) -> bool:
        """Whether each line gets a thread: enough of them, or so short that a block has nothing to do."""
        enough = 32 * 4 * self.target.multiprocessors
        return self.length <= 32 or (self.count >= enough and self.inner >= 32)

    # ---- shifts ----

    def shifted(self, by: int, fill: float) -> CudaKernel:
        """Return the kernel that moves elements along the axis."""
        total, step = self.count * self.length, by * self.inner
        first, last = max(by, 0), min(self.length + by, self.length)
        filled = stored(self.dtype, literal(fill, self.dtype))
        body = f"""
    const i64 at = (i64)blockIdx.x * {THREADS} + threadIdx.x;
    if (at >= {total}) return;
    const i64 place = at / {self.inner} % {self.length};
    y[at] = place >= {first} && place < {last} ? x[at - ({step})] : {filled};
"""
        return kernel("shift", self._parameters("x"), body, self._launch(blocks_of(total, THREADS), 2))

    # ---- recurrences ----

    def recurrence(self, reverse: bool) -> CudaKernel:
        """Return the kernel of ``factor * last + term``; in reverse the factor stands with the element before."""
        first, step = (self.length - 1, -self.inner) if reverse else (0, self.inner)
        start = f"(line / {self.inner} * {self.length} + {first}) * {self.inner} + line % {self.inner}"
        if self._goes_abreast or self.count * 32 >= self.target.multiprocessors * THREADS:
            factor = f"factors[at - ({step})]" if reverse else "factors[at]"
            body, blocks = self._recurrence_abreast(start, step, factor), blocks_of(self.count, THREADS)
        else:
            factor = f"begin + place ? factors[at - ({step})] : factors[at]" if reverse else "factors[at]"
            body, blocks = self._recurrence_in_pieces(start, step, factor), self.count
        return kernel("recurrence", self._parameters("factors", "terms"), body, self._launch(blocks, 3))

    def _following(self, factor: str, term: str) -> str:
        """Return the next value, with the product and the sum each rounded as if it were stored."""
        product = stored(self.dtype, f"{loaded(self.dtype, factor)} * {loaded(self.dtype, 'last')}")
        return stored(self.dtype, f"{loaded(self.dtype, product)} + {loaded(self.dtype, term)}")

    def _recurrence_abreast(self, start: str, step: int, factor: str) -> str:
        """Return the body with a thread for each line."""
        return f"""
    const i64 line = (i64)blockIdx.x * {THREADS} + threadIdx.x;
    if (line >= {self.count}) return;
    i64 at = {start};
    {self._kind} last = terms[at];
    y[at] = last;
    #pragma unroll 4
    for (i64 place = 1; place < {self.length}; ++place) {{
        at += {step};
        last = {self._following(factor, "terms[at]")};
        y[at] = last;
    }}
"""

    def _recurrence_in_pieces(self, start: str, step: int, factor: str) -> str:
        """Return the body with a block for each line: all threads fetch and store, one goes along."""
        return f"""
    __shared__ {self._kind} own_factors[{PIECE}], own_terms[{PIECE}];
    const i64 line = blockIdx.x;
    const i64 start = {start};
    {self._kind} last;
    for (i64 begin = 0; begin < {self.length}; begin += {PIECE}) {{
        const i32 size = {self.length} - begin < {PIECE} ? (i32)({self.length} - begin) : {PIECE};
        for (i32 place = threadIdx.x; place < size; place += {THREADS}) {{
            const i64 at = start + (begin + place) * {step};
            own_factors[place] = {factor};
            own_terms[place] = terms[at];
        }}
        __syncthreads();
        if (threadIdx.x == 0) {{
            if (begin == 0) last = own_terms[0];
            #pragma unroll 8
            for (i32 place = begin == 0; place < size; ++place) {{
                last = {self._following("own_factors[place]", "own_terms[place]")};
                own_terms[place] = last;
            }}
        }}
        __syncthreads();
        for (i32 place = threadIdx.x; place < size; place += {THREADS})
            y[start + (begin + place) * {step}] = own_terms[place];
        __syncthreads();
    }}
"""

    # ---- scans ----

    def scan(self, operator: str) -> Found:
        """Return the kernels of running sums or products."""
        if self._goes_abreast:
            return [(self._abreast(operator), [0, 1])]
        parts = min(2 * self.target.multiprocessors // self.count, -(-self.length // SMALLEST_SPLIT))
        if parts < 2:
            return [(self._part(operator, self.length, 1), [0, 1])]
        size = -(-self.length // parts)
        parts = -(-self.length // size)
        totals = Temporary(self.count * parts * 8)
        return [
            (self._totals(operator, size, parts), [0, totals]),
            (self._part(operator, size, parts), [0, totals, 1]),
        ]

    def _identity(self, operator: str) -> str:
        return literal(0 if operator == "+" else 1, self.dtype)

    def _abreast(self, operator: str) -> CudaKernel:
        """Return the kernel with a thread for each line: NumPy's own order, each result rounded as it is stored."""
        following = stored(self.dtype, f"{loaded(self.dtype, 'last')} {operator} {loaded(self.dtype, 'x[at]')}")
        body = f"""
    const i64 line = (i64)blockIdx.x * {THREADS} + threadIdx.x;
    if (line >= {self.count}) return;
    i64 at = line / {self.inner} * {self.length * self.inner} + line % {self.inner};
    {self._kind} last = x[at];
    y[at] = last;
    #pragma unroll 4
    for (i64 place = 1; place < {self.length}; ++place) {{
        at += {self.inner};
        last = {following};
        y[at] = last;
    }}
"""
        return kernel("running", self._parameters("x"), body, self._launch(blocks_of(self.count, THREADS), 2))

    def _across(self, operator: str) -> str:
        """Return statements that turn each thread's `total` into what stands before it, and `whole` into all of it."""
        return f"""
        {self._wide} up_to = total;
        for (i32 distance = 1; distance < 32; distance *= 2) {{
            const {self._wide} other = __shfl_up_sync(0xffffffffu, up_to, distance);
            if (lane >= distance) up_to = other {operator} up_to;
        }}
        {self._wide} before = __shfl_up_sync(0xffffffffu, up_to, 1);
        if (lane == 0) before = {self._identity(operator)};
        if (lane == 31) of_warps[threadIdx.x / 32] = up_to;
        __syncthreads();
        {self._wide} whole = {self._identity(operator)}, of_earlier = whole;
        for (i32 warp = 0; warp < {THREADS // 32}; ++warp) {{
            if (warp == threadIdx.x / 32) of_earlier = whole;
            whole = whole {operator} of_warps[warp];
        }}
        before = of_earlier {operator} before;
        __syncthreads();"""

    def _where(self, size: int, parts: int) -> str:
        return f"""
    __shared__ {self._wide} of_warps[{THREADS // 32}];
    const i32 lane = threadIdx.x % 32;
    const i64 line = blockIdx.x / {parts}, part = blockIdx.x % {parts};
    const i64 start = line / {self.inner} * {self.length * self.inner} + line % {self.inner};
    const i64 end = (part + 1) * {size} < {self.length} ? (part + 1) * {size} : {self.length};"""

    def _own(self, operator: str) -> str:
        """Return statements that load a thread's elements and run through them."""
        value = f"({self._wide}){loaded(self.dtype, f'x[start + (first + number) * {self.inner}]')}"
        return f"""
        const i64 first = begin + threadIdx.x * {OWN};
        {self._wide} own[{OWN}];
        #pragma unroll
        for (i32 number = 0; number < {OWN}; ++number) {{
            own[number] = first + number < end ? {value} : {self._identity(operator)};
            if (number) own[number] = own[number - 1] {operator} own[number];
        }}
        const {self._wide} total = own[{OWN - 1}];"""

    def _totals(self, operator: str, size: int, parts: int) -> CudaKernel:
        """Return the kernel of the totals of parts."""
        body = f"""{self._where(size, parts)}
    {self._wide} sum = {self._identity(operator)};
    for (i64 begin = part * {size}; begin < end; begin += {PIECE}) {{{self._own(operator)}{self._across(operator)}
        sum = sum {operator} whole;
    }}
    if (threadIdx.x == 0) totals[blockIdx.x] = sum;
"""
        parameters = [*self._parameters("x")[:1], (f"{self._wide}*", "totals")]
        return kernel("running_totals", parameters, body, self._launch(self.count * parts, 1))

    def _part(self, operator: str, size: int, parts: int) -> CudaKernel:
        """Return the kernel that scans parts, which begin with the totals of those before them."""
        carried = f"sum = sum {operator} totals[line * {parts} + earlier];"
        body = f"""{self._where(size, parts)}
    {self._wide} sum = {self._identity(operator)};
    {f"for (i64 earlier = 0; earlier < part; ++earlier) {carried}" if parts > 1 else ""}
    for (i64 begin = part * {size}; begin < end; begin += {PIECE}) {{{self._own(operator)}{self._across(operator)}
        before = sum {operator} before;
        #pragma unroll
        for (i32 number = 0; number < {OWN}; ++number)
            if (first + number < end)
                y[start + (first + number) * {self.inner}] = {stored(self.dtype, f"before {operator} own[number]")};
        sum = sum {operator} whole;
    }}
"""
        totals = [(f"const {self._wide}*", "totals")] if parts > 1 else []
        parameters = [*self._parameters("x")[:1], *totals, *self._parameters()]
        return kernel("running_parts", parameters, body, self._launch(self.count * parts, 2))


__all__ = ["recurrence_calls"]
