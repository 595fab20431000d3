"""Productions that sort, count, repeat, pad, roll, cut and pick."""

from __future__ import annotations

from typing import Any

import direct
import numpy as np
from productions_of_numbers import axis_of
from productions_of_shapes import ALL
from random_programs import MARGIN, Builder, UnfitError, production


def ordered_apart(b: Builder, x: str, axis: Any) -> None:
    """Give the line up unless floats along an axis are apart from one another."""
    if b.values[x].dtype.kind == "f":
        axes = tuple(range(b.values[x].ndim)) if axis is None else (axis % b.values[x].ndim,)
        near = 10 * MARGIN if b.values[x].dtype == np.float16 else MARGIN
        b.require(direct.gap(b.values[x], axes) > near)


# ---- order ----------------------------------------------------------------------------------------------------------


@production(3)
def sorting(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0)
    axis: Any = axis_of(b, x) if b.chance(0.8) else None
    ordered_apart(b, x, axis)
    name = b.random.choice(["sort", "sort", "argsort"])
    kind = ", kind='stable'" if name == "argsort" else ""
    return b.add(f"T.{name}({x}, {axis})", f"np.{name}({x}, {axis}{kind})")


@production(2)
def largest_few(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0 and v.size > 0, "iuf")
    axis = axis_of(b, x)
    ordered_apart(b, x, axis)
    count = b.random.randint(1, b.values[x].shape[axis]) * b.random.choice([1, -1])
    name = b.random.choice(["topk", "argtopk"])
    b.require(name == "topk" or len(np.unique(b.values[x])) == b.values[x].size)
    return b.add(f"T.{name}({x}, {count}, {axis})")


@production(1)
def place_in_order(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim == 1 and v.size > 0, "iuf")
    v = b.pick(lambda v: True, "iuf")
    b.away(f"np.subtract.outer({x}.astype('float64'), {v}.astype('float64'))")
    side = b.random.choice(["left", "right"])
    if b.chance(0.5):
        return b.add(f"T.searchsorted(T.sort({x}), {v}, {side!r})",
                     f"np.asarray(np.searchsorted(np.sort({x}), {v}, {side!r}))")  # fmt: skip
    return b.add(f"T.digitize({v}, T.sort({x}))", f"np.asarray(np.digitize({v}, np.sort({x})))")


@production(2)
def counting(b: Builder) -> str:
    x = b.pick(lambda v: v.size > 0, "iu")
    if b.chance(0.5):
        place = b.random.choice(["", ", return_index=True)[1", ", return_inverse=True)[1", ", return_counts=True)[1"])
        text = f"unique({x}{place}" + ("]" if place else ")")
        return b.add(f"T.{text}", f"np.{text}.reshape(-1)")
    b.require(b.values[x].ndim == 1 and b.values[x].min() >= 0 and b.values[x].max() < 20)
    b.require(b.values[x].dtype != np.uint64)
    if b.chance(0.5):
        least = b.random.choice([0, 5])
        return b.add(f"T.bincount({x}, minlength={least})", f"np.bincount({x}, minlength={least})")
    weights = b.fresh(b.values[x].shape, b.dtype("f"))
    b.require(b.values[weights].dtype == np.float64)
    return b.add(f"T.bincount({x}, {weights})", f"np.bincount({x}, {weights})")


@production(1)
def one_hot(b: Builder) -> str:
    rows, classes = b.random.randint(1, 4), b.random.randint(1, 4)
    x = b.fresh((rows,), b.dtype("iu"), 0, classes - 1)
    return b.add(f"T.to_one_hot({x}, {classes})", f"np.eye({classes}, dtype=floatX)[{x}]")


@production(2)
def found_places(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0 and np.count_nonzero(v) > 1)
    b.away(x)
    ndim = b.values[x].ndim
    symbolic, numeric = b.random.choice([
        ("T.nonzero({x})[{k}]", "np.nonzero({x})[{k}]"), ("T.flatnonzero({x})", "np.flatnonzero({x})"),
        ("T.nonzero_values({x})", "{x}[np.nonzero({x})]"), ("{x}[{x}.nonzero()]", "{x}[np.nonzero({x})]"),
        ("{x}[T.neq({x}, 0)]", "{x}[{x} != 0]"), ("T.nonzero({x}, True)", "np.array(np.nonzero({x}))"),
    ])  # fmt: skip
    place = b.random.randrange(ndim)
    return b.add(symbolic.format(x=x, k=place), numeric.format(x=x, k=place))


# ---- repeating, padding, cutting ------------------------------------------------------------------------------------


@production(2)
def repeating(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, ALL)
    axis: Any = axis_of(b, x) if b.chance(0.8) else None
    count: Any = b.random.choice([0, 1, 2, 3])
    length = b.values[x].size if axis is None else b.values[x].shape[axis]
    if b.chance(0.3):
        count = b.fresh((length,), b.random.choice(["int8", "int64"]), 0, 2, ones=False)
    if b.chance(0.2) and isinstance(count, int):
        count = b.fresh((), "int64", count, count)
    return b.add(f"T.repeat({x}, {count}, {axis})", f"np.repeat({x}, {count}, {axis})")


@production(2)
def tiling(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim < 4, ALL)
    counts = tuple(b.random.choice([1, 1, 2, 3]) for _ in range(b.random.randint(1, b.values[x].ndim + 1)))
    return b.add(f"T.tile({x}, {counts})", f"np.tile({x}, {counts})")


@production(2)
def rolling(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, ALL)
    axis: Any = axis_of(b, x) if b.chance(0.8) else None
    shift: Any = b.random.randint(-5, 5)
    if b.chance(0.2):
        shift = b.fresh((), "int64", shift, shift)
    return b.add(f"T.roll({x}, {shift}, {axis})", f"np.roll({x}, {shift}, {axis})")


@production(2)
def padding(b: Builder) -> str:
    x = b.pick(lambda v: 0 < v.ndim < 4 and v.size > 0, ALL)
    shape = b.values[x].shape
    width = [(b.random.randint(0, min(2, n - 1)), b.random.randint(0, min(2, n - 1))) for n in shape]
    mode = b.random.choice(["constant", "constant", "edge", "reflect", "symmetric", "wrap"])
    b.require(mode != "constant" or b.values[x].dtype != bool)
    options = ", constant_values=1" if mode == "constant" and b.chance(0.4) else ""
    text = f"pad({x}, {width}, {mode!r}{options})"
    return b.add(f"T.{text}", f"np.{text}")


@production(2)
def cutting(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0 and max(v.shape) > 1, ALL)
    axis = axis_of(b, x)
    size = b.values[x].shape[axis]
    first = b.random.randint(0, size)
    place = b.random.randrange(2)
    sizes = f"[{first}, {size - first}]" if b.chance(0.7) else b.fresh((), "int64", first, first)
    if not sizes.startswith("["):
        sizes = f"T.stack([{sizes}, {x}.shape[{axis}] - {sizes}])"
    return b.add(f"T.split({x}, {sizes}, 2, {axis})[{place}]", f"np.split({x}, [{first}], {axis})[{place}]")


@production(2)
def turning(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 1, ALL)
    axis = axis_of(b, x)
    symbolic, numeric = b.random.choice([
        ("T.flip({x}, {a})", "np.flip({x}, {a})"), ("T.rot90({x})", "np.rot90({x})"),
        ("T.flipud({x})", "np.flipud({x})"), ("T.fliplr({x})", "np.fliplr({x})"),
        ("T.rollaxis({x}, {a})", "np.rollaxis({x}, {a})"), ("T.atleast_3d({x})", "np.atleast_3d({x})"),
        ("{x}[::-1, ::-1]", "{x}[::-1, ::-1]"), ("{x}[..., ::-2]", "{x}[..., ::-2]"),
    ])  # fmt: skip
    if "atleast" in symbolic:
        b.require(b.values[x].ndim == 3)
    return b.add(symbolic.format(x=x, a=axis), numeric.format(x=x, a=axis))


@production(2)
def triangle(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim >= 1, ALL)
    k = b.random.randint(-2, 2)
    ndim = b.values[x].ndim
    if ndim == 1:
        return b.add(f"T.diag({x}, {k})", f"np.diag({x}, {k})")
    b.require(ndim == 2)
    rows, columns = b.values[x].shape
    symbolic, numeric = b.random.choice([
        ("T.tril({x}, {k})", "np.tril({x}, {k})"), ("T.triu({x}, {k})", "np.triu({x}, {k})"),
        ("T.diag({x}, {k})", "np.diag({x}, {k}).copy()"), ("{x}.diagonal({k})", "np.diagonal({x}, {k}).copy()"),
        ("T.trace({x}, {k})", "np.trace({x}, {k}, dtype=total_dtype({x}.dtype))"),
        ("T.fill_diagonal({x}, 1)", "diagonal_filled({x}, 1)"), ("T.alloc_diag({x})", ""),
    ])  # fmt: skip
    if "diag(" in symbolic or "diagonal(" in symbolic or "trace" in symbolic:
        b.require(-rows < k < columns)
    if "fill" in symbolic:
        b.require(b.values[x].dtype != bool and b.values[x].size > 0)
    return b.add(symbolic.format(x=x, k=k), numeric.format(x=x, k=k))


# ---- picking --------------------------------------------------------------------------------------------------------


@production(2)
def picking(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0 and v.size > 0, ALL)
    shape = b.values[x].shape
    axis = axis_of(b, x)
    sizes = list(shape)
    sizes[axis] = b.random.choice([1, 2, 3])
    places = b.fresh(tuple(sizes), b.random.choice(["int8", "int64"]), -shape[axis], shape[axis] - 1, ones=False)
    b.require(all(one is other for k, (one, other) in enumerate(zip(b.pattern(x), b.pattern(places), strict=True))
                  if k != axis % len(shape)))  # fmt: skip
    return b.add(f"T.take_along_axis({x}, {places}, {axis})",
                 f"np.take_along_axis({x}, {places}.astype('int64'), {axis})")  # fmt: skip


@production(1)
def choosing(b: Builder) -> str:
    x = b.pick(lambda v: v.size > 0)
    y = b.partner(x, b.values[x].dtype.name)
    which = b.fresh(b.values[x].shape, "int64", 0, 1, ones=False)
    b.require(b.meet(x, y, which))
    return b.add(f"T.choose({which}, [{x}, {y}])", f"np.choose({which}, [{x}, {y}])")


@production(1)
def compressing(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0 and v.size > 0, ALL)
    axis = axis_of(b, x)
    size = b.values[x].shape[axis]
    condition = b.fresh((size,), "bool", ones=False)
    b.require(b.values[condition].sum() != 1)
    return b.add(f"T.compress({condition}, {x}, {axis})", f"np.compress({condition}, {x}, {axis})")


@production(1)
def taking_wrapped(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0 and v.size > 0, ALL)
    places = b.fresh(b.shape(1, 2), "int64", -9, 9, ones=False)
    mode = b.random.choice(["wrap", "clip"])
    axis: Any = axis_of(b, x) if b.chance(0.7) else None
    return b.add(f"T.take({x}, {places}, {axis}, {mode!r})", f"np.take({x}, {places}, {axis}, mode={mode!r})")


@production(1)
def grid(b: Builder) -> str:
    x, y = b.pick(lambda v: v.ndim == 1), b.pick(lambda v: v.ndim == 1)
    indexing = b.random.choice(["ij", "xy"])
    place = b.random.randrange(2)
    text = f"meshgrid({x}, {y}, indexing={indexing!r})[{place}]"
    return b.add(f"T.{text}", f"np.{text}")


@production(1)
def stacking_along(b: Builder) -> str:
    x = b.pick(lambda v: 0 < v.ndim < 3, ALL)
    name = b.random.choice(["hstack", "vstack", "dstack", "column_stack"])
    same = [n for n, v in b.values.items() if v.shape == b.values[x].shape]
    y = b.random.choice(same)
    b.require(b.values[x].ndim == 2 or name == "hstack")
    return b.add(f"T.{name}([{x}, {y}])", f"np.{name}(common({x}, {y}))")


@production(1)
def raveling(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim == 2 and v.size > 0)
    rows, columns = b.values[x].shape
    if b.chance(0.5):
        i, j = b.fresh((3,), "int64", 0, rows - 1, ones=False), b.fresh((3,), "int64", 0, columns - 1, ones=False)
        return b.add(f"T.ravel_multi_index(({i}, {j}), {x}.shape)", f"np.ravel_multi_index(({i}, {j}), {x}.shape)")
    k = b.fresh((3,), "int64", 0, rows * columns - 1, ones=False)
    place = b.random.randrange(2)
    return b.add(f"T.unravel_index({k}, {x}.shape, ndim=2)[{place}]", f"np.unravel_index({k}, {x}.shape)[{place}]")


@production(2)
def chained_writes(b: Builder) -> str:
    """Two writes into one tensor, of which the second may overlap the first."""
    x = b.pick(lambda v: v.ndim == 1 and v.size > 1, "f")
    size = b.values[x].size
    first, second = [sorted(b.random.sample(range(size + 1), 2)) for _ in range(2)]
    if first[0] == first[1]:
        raise UnfitError
    part = b.fresh((), b.values[x].dtype.name)
    key, other = f"{first[0]}:{first[1]}", f"{second[0]}:{second[1]}"
    return b.add(
        f"T.inc_subtensor(T.set_subtensor({x}[{key}], {part})[{other}], {x}[{other}][::-1])",
        f"written(written({x}, np.s_[{key}], {part}, True), np.s_[{other}], {x}[{other}][::-1], False)",
    )
