"""Productions that change axes and sizes, index, write, join, make tensors, and work on images."""

from __future__ import annotations

from typing import Any

import direct
import numpy as np
from random_programs import MARGIN, Builder, UnfitError, production

ALL = "biufc"

# ---- axes and sizes -------------------------------------------------------------------------------------------------


@production(4)
def reordering(b: Builder) -> str:
    x = b.pick(lambda v: True, ALL)
    ndim, pattern = b.values[x].ndim, b.pattern(x)
    kept = [axis for axis in range(ndim) if not (pattern[axis] and b.chance(0.5))]
    order: list[Any] = b.random.sample(kept, len(kept))
    numeric = f"{x}.transpose({[*order, *(axis for axis in range(ndim) if axis not in kept)]})"
    numeric += f".reshape({tuple(b.values[x].shape[axis] for axis in order)})"
    for _ in range(b.random.randint(0, 2)):
        place = b.random.randint(0, len(order))
        order.insert(place, "x")
        numeric = f"np.expand_dims({numeric}, {place})"
    return b.add(f"{x}.dimshuffle({order})", numeric)


@production(3)
def transposition(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, ALL)
    ndim = b.values[x].ndim
    i, j = b.random.randrange(-ndim, ndim), b.random.randrange(-ndim, ndim)
    symbolic, numeric = b.random.choice([
        ("{x}.T", "{x}.T"), ("{x}.swapaxes({i}, {j})", "{x}.swapaxes({i}, {j})"),
        ("T.moveaxis({x}, {i}, {j})", "np.moveaxis({x}, {i}, {j})"), ("T.transpose({x})", "{x}.T"),
        ("T.expand_dims({x}, {i})", "np.expand_dims({x}, {i})"), ("T.shape_padright({x})", "{x}[..., None]"),
        ("T.shape_padleft({x}, 2)", "{x}[None, None]"),
    ])  # fmt: skip
    return b.add(symbolic.format(x=x, i=i, j=j), numeric.format(x=x, i=i, j=j))


@production(1)
def squeezing(b: Builder) -> str:
    x = b.pick(lambda v: 1 in v.shape, ALL)
    ones = tuple(axis for axis, stretches in enumerate(b.pattern(x)) if stretches)
    b.require(bool(ones))
    if b.chance(0.5):
        return b.add(f"{x}.squeeze()", f"np.squeeze({x}, {ones})")
    return b.add(f"T.squeeze({x}, {ones[0]})", f"np.squeeze({x}, {ones[0]})")


def _split(b: Builder, count: int) -> list[int]:
    """Return sizes whose product is `count`."""
    sizes = []
    while count > 1 and len(sizes) < 3:
        factor = b.random.choice([f for f in range(1, count + 1) if count % f == 0])
        sizes.append(factor)
        count //= factor
    return [*sizes, count]


@production(4)
def reshaping(b: Builder) -> str:
    x = b.pick(lambda v: True, ALL)
    sizes = _split(b, b.values[x].size)
    text = [str(size) for size in sizes]
    if b.chance(0.4) and b.values[x].size:
        text[b.random.randrange(len(text))] = "-1"
    for place, size in enumerate(sizes):
        same = [axis for axis, n in enumerate(b.values[x].shape) if n == size]
        if text[place] != "-1" and same and b.chance(0.3):
            text[place] = f"{x}.shape[{same[0]}]"
    numeric = f"{x}.reshape({tuple(sizes)})"
    style = b.random.choice(["{x}.reshape(({t},))", "T.reshape({x}, [{t}])", "{x}.reshape({t})"])
    return b.add(style.format(x=x, t=", ".join(text)), numeric)


@production(2)
def flattening(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, ALL)
    ndim = b.random.randint(1, b.values[x].ndim)
    shape = b.values[x].shape
    sizes = (*shape[: ndim - 1], int(np.prod(shape[ndim - 1 :])))
    style = b.random.choice(["{x}.flatten({n})", "T.flatten({x}, {n})"])
    return b.add(style.format(x=x, n=ndim), f"{x}.reshape({sizes})")


@production(2)
def stretching(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim < 4, ALL)
    own = [b.random.choice([1, 2, 3]) if ones else n for n, ones in zip(b.values[x].shape, b.pattern(x), strict=True)]
    sizes = (*b.shape(0, 1), *own)
    style = b.random.choice(["T.alloc({x}, *{s})", "T.broadcast_to({x}, {s})"])
    return b.add(style.format(x=x, s=sizes), f"np.broadcast_to({x}, {sizes}).copy()")


@production(1)
def vouching(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, ALL)
    sizes = [n if b.chance(0.6) else None for n in b.values[x].shape]
    ones = [axis for axis, n in enumerate(b.values[x].shape) if n == 1]
    if ones and b.chance(0.5):
        return b.add(f"T.{b.random.choice(['addbroadcast', 'unbroadcast'])}({x}, {ones[0]})", x)
    return b.add(f"T.specify_shape({x}, {sizes})", x)


@production(2)
def sizes(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, ALL)
    axis = b.random.randrange(b.values[x].ndim)
    symbolic, numeric = b.random.choice([
        ("{x}.shape[{a}]", "np.int64({x}.shape[{a}])"), ("{x}.shape", "np.array({x}.shape)"),
        ("{x}.size", "np.int64({x}.size)"), ("{x}.shape[-1] * 2 - 1", "np.int64({x}.shape[-1] * 2 - 1)"),
        ("T.arange({x}.shape[{a}])", "np.arange({x}.shape[{a}])"),
        ("T.arange(1, {x}.shape[{a}] * 2 + 1, 2)", "np.arange(1, {x}.shape[{a}] * 2 + 1, 2)"),
        ("T.zeros_like({x})", "np.zeros_like({x})"), ("T.ones_like({x}, 'float64')", "np.ones({x}.shape)"),
        ("T.fill({x}, 2)", "np.full_like({x}, 2)"), ("T.eye({x}.shape[{a}])", "np.eye({x}.shape[{a}], dtype=floatX)"),
        ("T.zeros(({x}.shape[{a}], 2))", "np.zeros(({x}.shape[{a}], 2), floatX)"),
    ])  # fmt: skip
    if "fill" in symbolic:
        b.require(b.values[x].dtype != bool)
    return b.add(symbolic.format(x=x, a=axis), numeric.format(x=x, a=axis))


# ---- indexing -------------------------------------------------------------------------------------------------------


def _integer(b: Builder, value: int) -> str:
    """Write an integer: as a number, or as a symbolic scalar."""
    if b.chance(0.75):
        return str(value)
    dtype = b.random.choice(["int8", "int32", "int64"])
    return b.fresh((), dtype, value, value)


def _slice(b: Builder, size: int) -> str:
    start = _integer(b, b.random.randint(-size - 1, size + 1)) if b.chance(0.5) else ""
    stop = _integer(b, b.random.randint(-size - 1, size + 1)) if b.chance(0.5) else ""
    step = b.random.choice(["", "", ":1", ":2", ":-1", ":-2"])
    return f"{start}:{stop}{step}"


def _positions(b: Builder, size: int, shape: tuple[int, ...]) -> str:
    """Write index positions: as a constant, or as an integer input."""
    if b.chance(0.5):
        return b.fresh(shape, b.random.choice(["int32", "int64"]), -size, size - 1, ones=False)
    return f"np.array({b.numbers.integers(-size, size, shape).tolist()}, int)"


def _basic_key(b: Builder, x: str) -> str:
    entries = []
    for size in b.values[x].shape[: b.random.randint(0, b.values[x].ndim)]:
        if size and b.chance(0.35):
            entries.append(_integer(b, b.random.randint(-size, size - 1)))
        else:
            entries.append(_slice(b, size))
        if b.chance(0.08):
            entries.append("None")
    if b.chance(0.15):
        entries.append("...")
    return ", ".join(entries) if len(entries) != 1 else entries[0]


def _advanced_key(b: Builder, x: str) -> str:
    shape = b.values[x].shape
    if not shape or 0 in shape:
        raise UnfitError
    length = b.random.choice([2, 3])
    kinds = [b.random.choice(["array", "array", "slice", "integer"]) for _ in range(b.random.randint(1, len(shape)))]
    kinds[b.random.randrange(len(kinds))] = "array"
    entries = []
    for kind, size in zip(kinds, shape, strict=False):
        if kind == "slice":
            entries.append(_slice(b, size))
        elif kind == "integer":
            entries.append(_integer(b, b.random.randint(-size, size - 1)))
        else:
            entries.append(_positions(b, size, (length,)))
    return ", ".join(entries)


def _mask_key(b: Builder, x: str) -> str:
    """Write a mask of one or all axes, with at least two elements."""
    shape = b.values[x].shape
    found = [n for n, v in b.values.items() if v.dtype == bool and v.shape in (shape, shape[:1]) and v.sum() > 1]
    if not found or not shape:
        raise UnfitError
    return b.random.choice(found)


def _key(b: Builder, x: str) -> str:
    maker = b.random.choice([_basic_key, _basic_key, _basic_key, _advanced_key, _advanced_key, _mask_key])
    key = maker(b, x)
    if not key:
        raise UnfitError
    return key


@production(8)
def indexing(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, ALL)
    key = _key(b, x)
    return b.add(f"{x}[{key}]", f"np.asarray({x}[{key}])")


@production(5)
def writing(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, "iufc")
    key = _key(b, x)
    sets = b.chance(0.5)
    part = b.value(f"{x}[{key}]")
    b.require("None" not in key and not (b.values[x].dtype == "int64" and b.values[x].ndim == 1))
    dtype = b.values[x].dtype.name
    if b.chance(0.3):
        y = "1" if "int" in dtype else "0.5"
    elif sets and "np.array" in key and _repeats(b, x, key):
        raise UnfitError
    else:
        shape = part.shape[b.random.randint(0, part.ndim) :]
        y = b.fresh(tuple(n if b.chance(0.8) else 1 for n in shape), dtype)
    b.require(sets is False or not _repeats(b, x, key) or y in ("1", "0.5"))
    name = "set_subtensor" if sets else "inc_subtensor"
    return b.add(f"T.{name}({x}[{key}], {y})", f"written({x}, np.s_[{key}], {y}, {sets})")


def _repeats(b: Builder, x: str, key: str) -> bool:
    """Whether an index picks an element twice."""
    numbers = np.arange(b.values[x].size).reshape(b.values[x].shape)
    b.state.values["_numbers"] = numbers
    try:
        picked = b.value(f"_numbers[{key}]")
    finally:
        del b.state.values["_numbers"]
    return len(np.unique(picked)) < picked.size


@production(1)
def taking(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0 and v.size > 0, ALL)
    axis = b.random.randrange(b.values[x].ndim)
    positions = _positions(b, b.values[x].shape[axis], b.shape(1, 2))
    return b.add(f"{x}.take({positions}, {axis})", f"np.take({x}, {positions}, {axis})")


# ---- joining --------------------------------------------------------------------------------------------------------


@production(3)
def joining(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, ALL)
    axis = b.random.randrange(b.values[x].ndim)
    fitting = [
        n
        for n, v in b.values.items()
        if v.ndim == b.values[x].ndim
        and all(a == c for k, (a, c) in enumerate(zip(v.shape, b.values[x].shape, strict=True)) if k != axis)
    ]
    parts = [x, *(b.random.choice(fitting) for _ in range(b.random.randint(0, 2)))]
    b.random.shuffle(parts)
    signed = axis - b.values[x].ndim if b.chance(0.3) else axis
    text = ", ".join(parts)
    return b.add(f"T.concatenate([{text}], axis={signed})", f"np.concatenate(common({text}), axis={axis})")


@production(2)
def stacking(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim < 4, ALL)
    same = [n for n, v in b.values.items() if v.shape == b.values[x].shape]
    parts = [x, *(b.random.choice(same) for _ in range(b.random.randint(0, 2)))]
    axis = b.random.randint(0, b.values[x].ndim)
    text = ", ".join(parts)
    return b.add(f"T.stack([{text}], axis={axis})", f"np.stack(common({text}), axis={axis})")


# ---- images ---------------------------------------------------------------------------------------------------------


@production(2)
def convolution(b: Builder) -> str:
    found = [n for n, v in b.values.items() if v.ndim == 4 and v.dtype.kind == "f" and min(v.shape) > 0]
    x = (
        b.random.choice(found)
        if found and b.chance(0.6)
        else b.fresh(
            (b.random.randint(1, 2), b.random.randint(1, 2), b.random.randint(2, 5), b.random.randint(2, 5)),
            b.dtype("f"),
        )
    )
    shape = b.values[x].shape
    window = [b.random.randint(1, min(3, n)) for n in shape[2:]]
    filters = b.fresh((b.random.randint(1, 2), shape[1], *window), b.values[x].dtype.name)
    mode: Any = b.random.choice(["valid", "full", "half", 1, (2, 0)])
    padding = {"valid": (0, 0), "full": (window[0] - 1, window[1] - 1), "half": (window[0] // 2, window[1] // 2)}
    pads = padding[mode] if isinstance(mode, str) else (mode, mode) if isinstance(mode, int) else mode
    stride = b.random.choice([(1, 1), (1, 1), (2, 1), (2, 2)])
    flip = b.chance(0.6)
    known = f", filter_shape={b.values[filters].shape}" if mode in ("full", "half") else ""
    return b.add(
        f"T.conv2d({x}, {filters}, border_mode={mode!r}, subsample={stride}, filter_flip={flip}{known})",
        f"conv2d({x}, {filters}, {pads}, {stride}, {flip})",
    )


@production(2)
def pooling(b: Builder) -> str:
    found = [n for n, v in b.values.items() if v.ndim >= 2 and v.dtype.kind == "f" and min(v.shape[-2:]) > 1 and v.size]
    x = b.random.choice(found) if found and b.chance(0.7) else b.fresh((1, b.random.randint(1, 2), 4, 5), b.dtype("f"))
    window = tuple(b.random.randint(1, min(3, n)) for n in b.values[x].shape[-2:])
    stride = window if b.chance(0.5) else (b.random.randint(1, 2), b.random.randint(1, 3))
    pad = tuple(b.random.randint(0, size - 1) for size in window) if b.chance(0.3) else (0, 0)
    mode = b.random.choice(["max", "max", "sum", "average_inc_pad", "average_exc_pad"])
    if mode == "max":
        b.require(direct.gap(b.values[x], (b.values[x].ndim - 2, b.values[x].ndim - 1)) > MARGIN)
    return b.add(
        f"T.pool_2d({x}, {window}, stride={stride}, pad={pad}, mode={mode!r}, ignore_border=True)",
        f"pool_2d({x}, {window}, {stride}, {pad}, {mode!r})",
    )


@production(2)
def convolutional_layer(b: Builder) -> str:
    """Convolution, max pooling, bias and activation, as networks stack them."""
    dtype = b.dtype("f")
    x = b.fresh((b.random.randint(1, 3), b.random.randint(1, 2), b.random.randint(4, 6), b.random.randint(4, 7)), dtype)
    filters = b.fresh((b.random.randint(1, 3), b.values[x].shape[1], 3, b.random.randint(2, 3)), dtype, ones=False)
    bias = b.fresh(b.values[filters].shape[:1], dtype, ones=False)
    window = b.random.choice([(2, 2), (2, 1), (1, 2)])
    images = f"conv2d({x}, {filters}, (0, 0), (1, 1), True)"
    b.require(direct.gap(b.value(images), (2, 3)) > MARGIN / 10)
    activation, meaning = b.random.choice([
        ("T.tanh({v})", "np.tanh({v})"), ("T.relu({v})", "np.maximum({v}, 0)"), ("{v}", "{v}"),
        ("T.sigmoid({v})", "1 / (1 + np.exp(-({v})))"),
    ])  # fmt: skip
    numeric = f"pool_2d({images}, {window}, {window}, (0, 0), 'max') + {bias}[:, None, None]"
    b.away(numeric, margin=MARGIN / 10)
    pooled = f"T.pool_2d(T.conv2d({x}, {filters}), {window}, ignore_border=True)"
    value = f"({pooled} + {bias}.dimshuffle('x', 0, 'x', 'x'))"
    return b.add(activation.format(v=value), meaning.format(v=numeric))
