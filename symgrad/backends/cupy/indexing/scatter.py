"""Writing and adding at positions: the same result as one thread that goes through the positions in order.

Positions may repeat. An element that several positions mean is changed by one warp only, which adds what is written in
the positions' order, or takes the last; so there are no atomics, and the bits are NumPy's. With few positions a warp
finds the others that mean the same by comparing; many are sorted first. All positions are looked at before anything is
written, so a call with one out of range changes nothing. The output may be the first operand's memory; if it isn't, the
operand is copied into it first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from symgrad.backends.cupy.calls import Found, Temporary
from symgrad.backends.cupy.indexing.parts import Part, part_of
from symgrad.backends.cupy.indexing.sorting import Pass, order_passes
from symgrad.backends.cupy.kernel import CudaKernel, Target, element
from symgrad.backends.cupy.texts import (
    LARGEST_SHORT,
    Launch,
    blocks_of,
    contiguous_strides,
    kernel,
    literal,
    loaded,
    place,
    stored,
    stretched_strides,
    stretches,
)
from symgrad.kernels.ir.functions import DTYPES
from symgrad.lowering.fusion.sources import Source

THREADS = 256
WARPS = THREADS // 32
LARGEST_COMPARED = 1024
"""So many positions are compared by each warp; more are sorted."""
COLUMNS = 4
"""Elements of a position that a lane holds at once."""
LARGEST_GRID = 65535
INDEX_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def scatter_calls(
    name: str,
    attributes: dict[str, Any],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str],
    inputs: int,
    target: Target,
) -> Found:
    """Return the kernels of ``write`` and ``write_at``, or None where slices depend on operands, or with masks.

    Parameters
    ----------
    name : str
        ``"write"`` or ``"write_at"``.
    attributes : dict
        ``index``; ``sets``: whether elements are replaced, or added to; and ``in_place``, if it is known that the
        output is the first operand's memory: then nothing looks whether it must be copied.
    shapes, dtypes : sequence
        Of the operands (what is changed, what is written, the indices), then of the output.
    inputs : int
        How many operands there are.
    target : Target
        The device.
    """
    operands = [Source(shape, number, contiguous_strides(shape)) for number, shape in enumerate(shapes[:inputs])]
    return scattered(attributes, operands, dtypes, inputs, target)


def scattered(
    attributes: dict[str, Any], operands: Sequence[Source], dtypes: Sequence[str], output: int, target: Target
) -> Found:
    """Return the same kernels for operands that are numbers, or lie somewhere in the step's inputs.

    Parameters
    ----------
    attributes : dict
        As for `scatter_calls`.
    operands : sequence of Source
        Where they are: `symgrad.lowering.fusion.sources_of` says it of a fused step.
    dtypes : sequence of str
        Of the operands.
    output : int
        Which buffer the output is, counted behind the step's inputs.
    target : Target
        The device.
    """
    dtype, shape, sets = dtypes[0], operands[0].shape, attributes["sets"]
    part = part_of(attributes["index"], shape)
    if part is None or dtypes[1] != dtype or dtype not in DTYPES or (dtype == "bool" and not sets):
        return None
    positions = (*part.scalars, *part.arrays)
    if any(dtypes[position.operand] not in INDEX_DTYPES for position in positions):
        return None
    try:
        picked = np.broadcast_shapes(*[operands[position.operand].shape for position in part.arrays])
    except ValueError:
        return None
    whole = (*part.sizes[: part.before], *picked, *part.sizes[part.before :])
    if not stretches(operands[1].shape, whole) or prod(picked) > LARGEST_SHORT:
        return None
    in_place = attributes.get("in_place", False) and prod(part.sizes) > 0
    return _Writer(part, picked, operands, dtypes, output, sets, target).found(in_place)


@dataclass(frozen=True)
class _Writer:
    """Writes the kernels: `picked` are the sizes of the index arrays together, the others as in `scattered`."""

    part: Part
    picked: tuple[int, ...]
    operands: Sequence[Source]
    dtypes: Sequence[str]
    output: int
    sets: bool
    target: Target

    def found(self, in_place: bool) -> Found:
        """Return the kernels, in order."""
        count, rest = prod(self.picked), prod(self.part.sizes)
        if prod(self.operands[0].shape) == 0 and not count:
            return []
        found: list[Pass] = []
        is_many = count > LARGEST_COMPARED
        if is_many:
            keys, order, ordered = Temporary(8 * count), Temporary(4 * count), Temporary(8 * count)
            found.append((self._keys(), [*self._inputs, keys]))
        if not in_place:
            found.append((self._copy(checks=not is_many), self._buffers))
        if not count * rest:
            return found
        if is_many:
            found += order_passes(1, count, keys, order, "int32", ordered)
            found.append((self._sorted(), [*self._buffers, ordered, order]))
        else:
            found.append((self._one() if count == 1 else self._compared(), self._buffers))
        return found

    # ---- texts ----

    @property
    def _inputs(self) -> list[int]:
        """The inputs of the step that operands lie in."""
        return list(dict.fromkeys([operand.input for operand in self.operands if operand.input is not None]))

    @property
    def _buffers(self) -> list[int]:
        return [*self._inputs, self.output]

    @property
    def _index(self) -> str:
        largest = max(prod(self.operands[0].shape), prod(self.picked) * prod(self.part.sizes))
        far = [operand.start + sum([size * abs(stride) for size, stride in zip(operand.shape, operand.strides)])
               for operand in self.operands]  # fmt: skip
        return "i32" if max(largest, *far) <= LARGEST_SHORT else "i64"

    def _parameters(self, output: bool = True) -> list[tuple[str, str]]:
        kinds = {operand.input: element(dtype) for operand, dtype in zip(self.operands, self.dtypes, strict=False)}
        found = [(f"const {kinds[number]}*", f"in{number}") for number in self._inputs]
        return [*found, (f"{element(self.dtypes[0])}*", "out")] if output else found

    def _element(self, number: int, where: str) -> str:
        """Return an element of an operand, as it is in memory."""
        operand = self.operands[number]
        if operand.input is None:
            return stored(self.dtypes[number], literal(operand.value, self.dtypes[number]))
        return f"in{operand.input}[{f'{operand.start} + ' if operand.start else ''}{where}]"

    def _place_of(self, pick: str) -> str:
        """Return statements that find where the part of a pick begins, and whether it is inside."""
        lines = [f"i64 base = {self.part.start};", "bool is_inside = true;"]
        for position in (*self.part.scalars, *self.part.arrays):
            operand = self.operands[position.operand]
            strides = stretched_strides(operand.shape, self.picked, operand.strides) if operand.strides else ()
            where = place(pick, self.picked, strides) if strides else "0"
            wrapped = "" if self.dtypes[position.operand].startswith("u") else f"if (at < 0) at += {position.size};"
            lines.append(f"{{ i64 at = (i64){self._element(position.operand, where)}; {wrapped}")
            lines.append(f"is_inside = is_inside && at >= 0 && at < {position.size};")
            lines.append(f"base += at * {position.stride}; }}")
        return "\n        ".join(lines)

    def _written(self, pick: str, rest: str) -> str:
        """Return what is written at a pick, at an element of its part."""
        part, operand = self.part, self.operands[1]
        if operand.input is None:
            return self._element(1, "")
        whole = (*part.sizes[: part.before], *self.picked, *part.sizes[part.before :])
        strides = stretched_strides(operand.shape, whole, operand.strides)
        behind = part.before + len(self.picked)
        by_pick = place(pick, self.picked, strides[part.before : behind])
        by_rest = place(rest, part.sizes, (*strides[: part.before], *strides[behind:]))
        return self._element(1, f"{by_pick} + {by_rest}")

    def _sum(self, first: str, second: str) -> str:
        dtype = self.dtypes[0]
        return stored(dtype, f"{loaded(dtype, first)} + {loaded(dtype, second)}")

    def _check(self, keeps: bool) -> str:
        """Return statements with which a block looks at all positions, and ends if one is out of range."""
        count = prod(self.picked)
        return f"""
    bool is_bad = false;
    for (i32 pick = threadIdx.x; pick < {count}; pick += {THREADS}) {{
        {self._place_of("pick")}
        is_bad = is_bad || !is_inside;
        {"keys[pick] = base;" if keeps else ""}
    }}
    if (__syncthreads_or(is_bad)) {{
        if (threadIdx.x == 0) FAIL(1);
        return;
    }}"""

    def _copy(self, checks: bool) -> CudaKernel:
        """Return the kernel that copies the operand to the output, unless that is where it is."""
        kind, operand = element(self.dtypes[0]), self.operands[0]
        count = prod(operand.shape)
        straight = operand.input is not None and operand.start == 0
        straight = straight and operand.strides == contiguous_strides(operand.shape)
        group = 16 // DTYPES[self.dtypes[0]]
        is_last = prod(self.part.sizes) == 0
        lines = [f"if (in{operand.input} == out) return;"] if straight and not is_last else []
        if checks and (self.part.scalars or self.part.arrays):
            lines.append(self._check(keeps=False))
        lines.append(f"const i64 step = (i64)gridDim.x * {THREADS}, first = (i64)blockIdx.x * {THREADS} + threadIdx.x;")
        if straight:
            x = f"in{operand.input}"
            lines += [
                f"struct alignas(16) Group {{ {kind} values[{group}]; }};",
                f"const i64 groups = ((u64){x} | (u64)out) % 16 ? 0 : {count // group};",
                f"for (i64 at = first; at < groups; at += step) ((Group*)out)[at] = ((const Group*){x})[at];",
                f"for (i64 at = groups * {group} + first; at < {count}; at += step) out[at] = {x}[at];",
            ]
        else:
            value = self._element(0, place("at", operand.shape, operand.strides) if operand.strides else "0")
            lines.append(f"for (i64 at = first; at < {count}; at += step) out[at] = {value};")
        blocks = min(blocks_of(count, THREADS * group), 8 * self.target.multiprocessors)
        launch = Launch((blocks, 1, 1), THREADS, may_fail=checks, bytes=2 * count * DTYPES[self.dtypes[0]])
        return kernel("write_copy", self._parameters(), "".join([f"    {line}\n" for line in lines]), launch)

    def _one(self) -> CudaKernel:
        """Return the kernel for a single position: a thread for each element of the part."""
        part, kind = self.part, self._index
        rest = prod(part.sizes)
        value = self._written("0", "at")
        put = value if self.sets else self._sum("*target", value)
        body = f"""
    const {kind} at = ({kind})((i64)blockIdx.x * {THREADS} + threadIdx.x);
    {self._place_of("0")}
    if (!is_inside) {{ FAIL(1); return; }}
    if (at >= {rest}) return;
    {element(self.dtypes[0])}* target = out + base + ({place("at", part.sizes, part.strides)});
    *target = {put};
"""
        launch = Launch((blocks_of(rest, THREADS), 1, 1), THREADS, may_fail=True, bytes=self._moved())
        return kernel("write_part", self._parameters(), body, launch)

    def _moved(self) -> int:
        return (3 - self.sets) * prod(self.picked) * prod(self.part.sizes) * DTYPES[self.dtypes[0]]

    def _grid(self) -> tuple[int, int, int]:
        """Return a warp for each pick, and for each so many columns."""
        chunks = blocks_of(prod(self.part.sizes), 32 * COLUMNS)
        return blocks_of(prod(self.picked), WARPS), min(chunks, LARGEST_GRID), 1

    def _columns(self, body: str) -> str:
        """Return a loop over the columns of a block, in chunks that lanes hold."""
        kind, rest = self._index, prod(self.part.sizes)
        return f"""
    for ({kind} chunk = blockIdx.y * {32 * COLUMNS} + lane; chunk - lane < {rest}; chunk += gridDim.y * {32 * COLUMNS}) {{
{body}
    }}"""  # noqa: E501

    def _each(self, statement: str, depth: int) -> str:
        """Return a loop over the columns of a lane; `column` is one inside the part."""
        pad = " " * depth
        return f"""{pad}#pragma unroll
{pad}for (i32 number = 0; number < {COLUMNS}; ++number) {{
{pad}    const {self._index} column = chunk + 32 * number;
{pad}    if (column < {prod(self.part.sizes)}) {statement}
{pad}}}"""

    def _target(self) -> str:
        return f"out[base + ({place('column', self.part.sizes, self.part.strides)})]"

    def _compared(self) -> CudaKernel:
        """Return the kernel for few positions: a warp goes through all, and takes those that mean the same."""
        count, kind = prod(self.picked), element(self.dtypes[0])
        others = "other > pick" if self.sets else "other < pick"
        if self.sets:
            work = self._each(f"{self._target()} = {self._written('pick', 'column')};", 8)
        else:
            add = self._each(f"sums[number] = {self._sum('sums[number]', self._written('same', 'column'))};", 16)
            work = f"""        {kind} sums[{COLUMNS}];
{self._each(f"sums[number] = {self._target()};", 8)}
        for (i32 start = pick / 32 * 32; start < {count}; start += 32) {{
            const i32 other = start + lane;
            u32 found = __ballot_sync(0xffffffffu, other >= pick && other < {count} && keys[other] == base);
            for (; found; found &= found - 1) {{
                const i32 same = start + __ffs(found) - 1;
{add}
            }}
        }}
{self._each(f"{self._target()} = sums[number];", 8)}"""
        body = f"""
    __shared__ i64 keys[{count}];
{self._check(keeps=True)}
    const i32 lane = threadIdx.x % 32;
    const i32 pick = blockIdx.x * {WARPS} + threadIdx.x / 32;
    if (pick >= {count}) return;
    const i64 base = keys[pick];
    bool is_other = false;
    for (i32 other = lane; other < {count}; other += 32) is_other = is_other || ({others} && keys[other] == base);
    if (__any_sync(0xffffffffu, is_other)) return;
{self._columns(work)}
"""
        launch = Launch(self._grid(), THREADS, may_fail=True, bytes=self._moved())
        return kernel("write_compared", self._parameters(), body, launch)

    def _keys(self) -> CudaKernel:
        """Return the kernel that finds where each position is, and that it is inside."""
        count = prod(self.picked)
        body = f"""
    const i32 pick = blockIdx.x * {THREADS} + threadIdx.x;
    if (pick >= {count}) return;
    {self._place_of("pick")}
    if (!is_inside) {{ FAIL(1); return; }}
    keys[pick] = (u64)base;
"""
        launch = Launch((blocks_of(count, THREADS), 1, 1), THREADS, may_fail=True, bytes=16 * count)
        return kernel("write_keys", [*self._parameters(output=False), ("u64*", "keys")], body, launch)

    def _sorted(self) -> CudaKernel:
        """Return the kernel for sorted positions: the warp of the first (the last) of equal ones takes them all."""
        count, kind = prod(self.picked), element(self.dtypes[0])
        if self.sets:
            alone = f"rank + 1 < {count} && keys[rank + 1] == keys[rank]"
            work = self._each(f"{self._target()} = {self._written('pick', 'column')};", 8)
        else:
            alone = "rank && keys[rank - 1] == keys[rank]"
            add = self._each(f"sums[number] = {self._sum('sums[number]', self._written('same', 'column'))};", 16)
            work = f"""        {kind} sums[{COLUMNS}];
{self._each(f"sums[number] = {self._target()};", 8)}
        for (i32 start = rank, found = 32; found == 32; start += 32) {{
            const bool is_same = start + lane < {count} && keys[start + lane] == keys[rank];
            found = __popc(__ballot_sync(0xffffffffu, is_same));
            const i32 mine = is_same ? order[start + lane] : 0;
            for (i32 number_of_same = 0; number_of_same < found; ++number_of_same) {{
                const i32 same = __shfl_sync(0xffffffffu, mine, number_of_same);
{add}
            }}
        }}
{self._each(f"{self._target()} = sums[number];", 8)}"""
        body = f"""
    const i32 lane = threadIdx.x % 32;
    const i32 rank = blockIdx.x * {WARPS} + threadIdx.x / 32;
    if (rank >= {count} || ({alone})) return;
    const i64 base = (i64)keys[rank];
    {"const i32 pick = order[rank];" if self.sets else ""}
{self._columns(work)}
"""
        parameters = [*self._parameters(), ("const u64*", "keys"), ("const i32*", "order")]
        return kernel("write_sorted", parameters, body, Launch(self._grid(), THREADS, bytes=self._moved()))


__all__ = ["scatter_calls", "scattered"]
