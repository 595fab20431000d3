"""Kernels like those that fusion writes, of drawn sizes: channels, rows with totals over them, copies, running sums."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).resolve().parents[1] / "native"))

from random_kernels import FAMILIES, Maker
from test_scalars import operands_of

from symgrad.kernels.ir.builder import Term, call

FEW = st.sampled_from((1, 2, 3, 5, 7))
MANY = st.sampled_from((1, 2, 5, 10, 16, 33, 64, 100, 150))


def buffers_of(maker: Maker, inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> list[Any]:
    """Declare contiguous float32 buffers of these shapes."""
    found = []
    for shape in inputs:
        maker.arrays.append(maker.random.standard_normal(shape).astype("float32"))
        found.append(maker.builder.input("x", "float32", shape))
    for shape in outputs:
        maker.arrays.append(np.full(shape, 7, "float32"))
        found.append(maker.builder.output("y", "float32", shape))
    return found


def zero(maker: Maker) -> Term:
    return maker.builder.literal(0, "float32")


@st.composite
def channels(draw: Any) -> Maker:
    """Totals over images and pixels of each channel, and their use: as batch normalisation."""
    maker = Maker(draw, "channels")
    b = maker.builder
    images, count, pixels = draw(FEW), draw(FEW), draw(MANY)
    x, y, means = buffers_of(maker, [(images, count, pixels)], [(images, count, pixels), (count,)])
    with b.parallel(count) as channel:
        with b.serial(images, total=("add", zero(maker))) as image:
            with b.vector(pixels, part=("add", image["total"])) as pixel:
                pixel.carry("part", x[image.index, channel.index, pixel.index])
            b.add(_becomes(image["total"], pixel["part"]))
        mean = b.let("mean", image["total"] / float(images * pixels))
        with b.serial(images) as again, b.vector(pixels) as pixel:
            place = again.index, channel.index, pixel.index
            y[place] = x[place] - mean
        means[channel.index] = mean
    return maker


def _becomes(name: Term, value: Term) -> Any:
    from symgrad.kernels.ir.grammar import Carry

    return Carry(name.expression.name, value.expression)  # type: ignore[union-attr]


@st.composite
def kept_rows(draw: Any) -> Maker:
    """Rows along the last of three axes, kept in scratch memory: as softmax."""
    maker = Maker(draw, "kept")
    b = maker.builder
    shape = draw(FEW), draw(FEW), draw(MANY)
    x, y = buffers_of(maker, [shape], [shape])
    kept = b.scratch("kept", "float32", shape[2:])
    with b.parallel(shape[0]) as i, b.serial(shape[1]) as j:
        with b.vector(shape[2], largest=("maximum", b.literal(-np.inf, "float32"))) as k:
            k.carry("largest", x[i.index, j.index, k.index])
        with b.vector(shape[2], total=("add", zero(maker))) as k2:
            value = b.let("value", call("exp_below_one", x[i.index, j.index, k2.index] - k["largest"]))
            kept[k2.index] = value
            k2.carry("total", value)
        with b.vector(shape[2]) as k3:
            y[i.index, j.index, k3.index] = kept[k3.index] / k2["total"]
    return maker


@st.composite
def rows_in_total(draw: Any) -> Maker:
    """A total over rows, each of which has passes of its own, and a position that is checked: as a loss."""
    maker = Maker(draw, "loss")
    b = maker.builder
    rows, width = draw(MANY), draw(MANY)
    labels = maker.random.integers(0, width + draw(st.integers(0, 1)), rows)
    maker.arrays.append(labels)
    where = b.input("labels", "int64", (rows,))
    x, y, loss = buffers_of(maker, [(rows, width)], [(rows, width), ()])
    with b.serial(rows, cost=("add", b.literal(1.5, "float32"))) as row:
        label = b.let("label", where[row.index])
        b.check((label >= 0) & (label < width), 5)
        with b.vector(width, largest=("maximum", b.literal(-np.inf, "float32"))) as k:
            k.carry("largest", x[row.index, k.index])
        with b.vector(width) as k2:
            y[row.index, k2.index] = x[row.index, k2.index] - k["largest"]
        row.carry("cost", x[row.index, label] - k["largest"])
    loss[()] = row["cost"]
    return maker


@st.composite
def joined(draw: Any) -> Maker:
    """Tensors side by side."""
    maker = Maker(draw, "joined")
    b = maker.builder
    rows, widths = draw(FEW), [draw(MANY) for _ in range(draw(st.integers(1, 3)))]
    *parts, y = buffers_of(maker, [(rows * width,) for width in widths], [(rows * sum(widths),)])
    with b.parallel(rows) as row:
        for number, (part, width) in enumerate(zip(parts, widths, strict=True)):
            with b.vector(width) as k:
                y[row.index * sum(widths) + sum(widths[:number]) + k.index] = part[row.index * width + k.index]
    return maker


@st.composite
def overwritten(draw: Any) -> Maker:
    """A copy, and a part of it that is written or added to, sometimes from a position that only the call knows."""
    maker = Maker(draw, "overwritten")
    b = maker.builder
    shape = draw(FEW), draw(MANY)
    steps = [draw(st.sampled_from((1, 2, -1))) for _ in shape]
    sizes = [draw(st.integers(0, -(-size // abs(step)))) for size, step in zip(shape, steps, strict=True)]
    starts = [0 if step > 0 else size - 1 for size, step in zip(shape, steps, strict=True)]
    is_moved, adds = draw(st.booleans()), draw(st.booleans())
    maker.arrays.append(maker.random.integers(0, 1, 1))
    first = b.input("first", "int64", (1,))
    x, y = buffers_of(maker, [(shape[0] * shape[1],)], [(shape[0] * shape[1],)])
    start: Any = starts[0] * shape[1] + starts[1]
    if is_moved:
        start = b.let("start", first[0]) * shape[1] + start
    with b.vector(shape[0] * shape[1]) as copy:
        y[copy.index] = x[copy.index]
    with b.serial(sizes[0]) as i, b.vector(sizes[1]) as j:
        place = i.index * (steps[0] * shape[1]) + j.index * steps[1] + start
        y[place] = y[place] + 2.0 if adds else zero(maker)
    return maker


@st.composite
def running(draw: Any) -> Maker:
    """Running sums along an axis; the steps may overlap, so that each must wait for the one before."""
    maker = Maker(draw, "running")
    b = maker.builder
    outer, size, inner = draw(FEW), draw(FEW), [draw(FEW), draw(MANY)][draw(st.integers(0, 1)) :]
    width = int(np.prod(inner))
    hop = draw(st.sampled_from((width, width, width, 1, max(width - 1, 1))))
    x, y = buffers_of(maker, [(outer * size * width,)], [(outer * size * width,)])

    def across(write: Callable[[Term], None], base: Any) -> None:
        if len(inner) == 1:
            with b.vector(inner[0]) as k:
                write(base + k.index)
            return
        with b.serial(inner[0]) as j, b.vector(inner[1]) as k:
            write(base + j.index * inner[1] + k.index)

    with b.parallel(outer) as o:
        base = o.index * (size * width)

        def begin(place: Term) -> None:
            y[place] = x[place]

        across(begin, base)
        with b.serial(size - 1) as step:
            def go_on(place: Term) -> None:
                last = b.cast(step.index, "float32") if hop < width else y[place]
                y[place + hop] = last + x[place + hop]

            across(go_on, base + step.index * hop)
    return maker


__all__ = ["KERNELS", "Maker", "operands_of"]

KERNELS = {
    **FAMILIES, "channels": channels, "kept rows": kept_rows, "rows in a total": rows_in_total, "joined": joined,
    "overwritten": overwritten, "running": running,
}  # fmt: skip
