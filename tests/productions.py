"""What a line of a random program may be: each production picks operands, and writes the line for symgrad and NumPy."""

from __future__ import annotations

from typing import Any

import direct
import numpy as np
from random_programs import MARGIN, Builder, production

# ---- elementwise ----------------------------------------------------------------------------------------------------

SMOOTH = {
    "exp": ("np.exp({x})", -6.0, 3.0),
    "log": ("np.log({x})", 0.1, 1e3),
    "log1p": ("np.log1p({x})", -0.8, 1e3),
    "expm1": ("np.expm1({x})", -6.0, 3.0),
    "sqrt": ("np.sqrt({x})", 0.1, 1e3),
    "reciprocal": ("1 / {x}", 0.2, 1e3),
    "sin": ("np.sin({x})", -20.0, 20.0),
    "cos": ("np.cos({x})", -20.0, 20.0),
    "tan": ("np.tan({x})", -1.2, 1.2),
    "arctan": ("np.arctan({x})", -1e3, 1e3),
    "arcsin": ("np.arcsin({x})", -0.9, 0.9),
    "tanh": ("np.tanh({x})", -1e3, 1e3),
    "cosh": ("np.cosh({x})", -3.0, 3.0),
    "arcsinh": ("np.arcsinh({x})", -1e3, 1e3),
    "sigmoid": ("1 / (1 + np.exp(-{x}))", -30.0, 30.0),
    "softplus": ("np.log1p(np.exp({x}))", -30.0, 30.0),
    "erf": ("np.asarray(scipy.special.erf({x})).astype({x}.dtype)", -4.0, 4.0),
    "exp2": ("np.exp2({x})", -6.0, 4.0),
    "log2": ("np.log2({x})", 0.1, 1e3),
}


@production(6)
def smooth_function(b: Builder) -> str:
    name = b.random.choice(list(SMOOTH))
    text, low, high = SMOOTH[name]
    x = b.pick(lambda v: bool(np.all((v >= low) & (v <= high))))
    return b.add(f"T.{name}({x})", text.format(x=f"real(floatX, {x})[0]"))


@production(3)
def function_in_any_dtype(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iuf")
    symbolic, numeric = b.random.choice([
        ("-{x}", "-{x}"), ("T.sqr({x})", "np.square({x})"), ("{x} ** 2", "np.square({x})"), ("T.copy({x})", "{x}"),
        ("T.neg({x})", "np.negative({x})"), ("{x}.astype('float64').astype('floatX')", "{x}.astype(floatX)"),
    ][:5 if b.chance(0.9) else 6])  # fmt: skip
    if "copy" in symbolic:
        symbolic = "{x}.copy()"
    return b.add(symbolic.format(x=x), numeric.format(x=x))


@production(3)
def kinked_function(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iuf")
    b.away(x)
    symbolic, numeric = b.random.choice([
        ("abs({x})", "np.abs({x})"), ("T.sgn({x})", "np.sign({x})"),
        ("T.relu({x})", "np.maximum({x}, 0).astype({x}.dtype)"),
        ("T.relu({x}, 0.1)", "np.where({x} > 0, {x}, 0.1 * {x}).astype(real(floatX, {x})[0].dtype)"),
    ])  # fmt: skip
    return b.add(symbolic.format(x=x), numeric.format(x=x))


@production(1)
def rounding_function(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iuf")
    b.away(f"{x} - np.rint({x})", f"{x} - np.floor({x}) - 0.5")
    name = b.random.choice(["floor", "ceil", "trunc"])
    if b.chance(0.3):
        return b.add(f"{x}.round()", f"np.rint(real(floatX, {x})[0])")
    return b.add(f"T.{name}({x})", f"np.{name}({x}).astype({x}.dtype)")


ARITHMETIC = [
    ("{x} + {y}", "np.add"), ("T.add({x}, {y})", "np.add"), ("{x} - {y}", "np.subtract"), ("{x} * {y}", "np.multiply"),
    ("T.mul({x}, {y})", "np.multiply"), ("T.maximum({x}, {y})", "np.maximum"), ("T.minimum({x}, {y})", "np.minimum"),
]  # fmt: skip


@production(10)
def arithmetic(b: Builder) -> str:
    x = b.pick(lambda v: True)
    y = b.partner(x)
    if b.chance(0.5):
        x, y = y, x
    symbolic, function = b.random.choice(ARITHMETIC)
    if function == "np.subtract":
        b.require("bool" not in (b.values[x].dtype, b.values[y].dtype))
    if function in ("np.maximum", "np.minimum"):
        b.away(f"difference({x}, {y})")
    return b.add(symbolic.format(x=x, y=y), f"{function}(*common({x}, {y}))")


@production(3)
def division(b: Builder) -> str:
    x = b.pick(lambda v: True)
    y = b.partner(x)
    b.away(y, margin=0.2)
    b.require(b.values[y] != 0)
    return b.add(f"{x} / {y}", f"np.divide(*real(floatX, {x}, {y}))")


@production(2)
def whole_division(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iuf")
    y = b.partner(x)
    b.require(b.values[y].dtype != bool)
    b.require(b.values[y] != 0)
    b.away(y, margin=0.2)
    b.away(f"np.divide({x}, {y}) - np.rint(np.divide({x}, {y}))")
    b.require(np.abs(b.value(f"np.divide({x}, {y}) - np.rint(np.divide({x}, {y}))")) > 0
              if "f" in (b.values[x].dtype.kind, b.values[y].dtype.kind) else True)  # fmt: skip
    operator, function = b.random.choice([("//", "np.floor_divide"), ("%", "np.remainder")])
    return b.add(f"{x} {operator} {y}", f"{function}(*common({x}, {y}))")


@production(2)
def with_a_number(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iuf")
    number: Any = b.random.choice([2, 3, 0.5, 1.5, -1, 0, 1])
    b.require(number >= 0 or b.values[x].dtype.kind != "u")
    floats = b.values[x].dtype.kind == "f" or isinstance(number, int)
    operator = b.random.choice("+-*")
    left, right = (x, str(number)) if b.chance(0.5) else (str(number), x)
    dtype = f"{x}.dtype" if floats else "floatX"
    return b.add(f"{left} {operator} ({right})", f"np.asarray({left} {operator} ({right})).astype({dtype})")


@production(1)
def two_smooth_operands(b: Builder) -> str:
    x = b.pick_float()
    y = b.partner(x, b.dtype("f"))
    name = b.random.choice(["arctan2", "logaddexp"])
    b.require(b.value(f"np.add(*common(np.square({x}), np.square({y})))") > 0.1)
    return b.add(f"T.{name}({x}, {y})", f"np.{name}(*common({x}, {y}))")


@production(1)
def power(b: Builder) -> str:
    x = b.pick_float()
    b.require((b.values[x] > 0.2) & (b.values[x] < 4))
    if b.chance(0.5):
        number = b.random.choice([2, 3, 0.5, -1, 1, 0, -0.5])
        return b.add(f"{x} ** ({number})", f"{x} ** ({number})")
    y = b.partner(x)
    b.require(np.abs(b.values[y]) < 4)
    return b.add(f"{x} ** {y}", f"np.power(*common({x}, {y}))")


@production(2)
def comparison(b: Builder) -> str:
    x = b.pick(lambda v: True)
    y = b.partner(x)
    b.away(f"difference({x}, {y})")
    symbolic, function = b.random.choice([
        ("{x} < {y}", "less"), ("{x} >= {y}", "greater_equal"), ("T.gt({x}, {y})", "greater"),
        ("T.eq({x}, {y})", "equal"), ("T.neq({x}, {y})", "not_equal"),
    ])  # fmt: skip
    return b.add(symbolic.format(x=x, y=y), f"np.{function}(*common({x}, {y}))")


@production(1)
def logic(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "ib")
    if b.chance(0.3):
        return b.add(f"~{x}", f"~{x}")
    y = b.partner(x, b.values[x].dtype.name)
    operator = b.random.choice("&|^")
    return b.add(f"{x} {operator} {y}", f"{x} {operator} {y}")


@production(2)
def choice(b: Builder) -> str:
    x = b.pick_float()
    y = b.partner(x)
    condition = b.partner(x, "bool")
    b.require(b.meet(x, y, condition))
    return b.add(f"T.switch({condition}, {x}, {y})", f"np.where({condition}, *common({x}, {y}))")


@production(1)
def clipping(b: Builder) -> str:
    x = b.pick_float()
    b.away(f"{x} + 1.0", f"{x} - 0.75")
    return b.add(f"T.clip({x}, -1, 0.75)", f"np.clip({x}, -1.0, 0.75).astype({x}.dtype)")


@production(2)
def conversion(b: Builder) -> str:
    x = b.pick(lambda v: True)
    target = b.dtype()
    if b.values[x].dtype.kind == "f" and target != "bool":
        b.away(*[f"{x} - np.rint({x})"] if np.dtype(target).kind in "iu" else [])
    if target in ("int8", "bool"):
        b.away(x)
        b.require(np.abs(b.values[x]) < 100)
    return b.add(f"T.cast({x}, '{target}')", f"{x}.astype('{target}')")


# ---- reductions -----------------------------------------------------------------------------------------------------


def _axis_text(b: Builder, x: str) -> tuple[str, tuple[int, ...]]:
    """Return axes as a user writes them, and what they mean."""
    ndim = b.values[x].ndim
    axes = b.axes(ndim, 1)
    if len(axes) == ndim and b.chance(0.6):
        return "None", axes
    signed = [axis - ndim if b.chance(0.3) else axis for axis in axes]
    if len(axes) == 1 and b.chance(0.7):
        return str(signed[0]), axes
    return str(tuple(signed)), axes


@production(5)
def reduction(b: Builder) -> str:
    x = b.pick(lambda v: v.size > 0)
    axis, _ = _axis_text(b, x)
    keep = b.chance(0.4)
    name = b.random.choice(["sum", "prod", "all", "any", "mean"])
    options = f"axis={axis}, keepdims={keep}"
    text = f"T.{name}({x}, {options})" if b.chance(0.5) else f"{x}.{name}({options})"
    numeric = f"np.{name}({x}, {options})"
    if name in ("sum", "prod"):
        numeric = f"np.{name}({x}, {options}, dtype=total_dtype({x}.dtype))"
    if name == "mean":
        numeric = f"np.mean(real(floatX, {x})[0], {options})"
    if name in ("all", "any"):
        b.away(x)
    return b.add(text, numeric)


@production(4)
def extreme(b: Builder) -> str:
    x = b.pick(lambda v: v.size > 0 and v.dtype.kind in "if" and v.ndim > 0)
    axis, axes = _axis_text(b, x)
    if b.values[x].dtype.kind == "f":
        b.require(direct.gap(b.values[x], axes) > MARGIN)
    keep = b.chance(0.4)
    name = b.random.choice(["max", "min", "argmax", "argmin", "ptp"])
    if name == "ptp":
        return b.add(f"T.ptp({x}, {axis})", f"np.ptp({x}, {axis})")
    if name.startswith("arg") and axis.startswith("("):
        b.require(len(axes) == 1)
        axis = str(axes[0])
    return b.add(f"{x}.{name}(axis={axis}, keepdims={keep})", f"np.{name}({x}, axis={axis}, keepdims={keep})")


@production(3)
def statistic(b: Builder) -> str:
    x = b.pick_float(1)
    axis, _ = _axis_text(b, x)
    keep = b.chance(0.4)
    name = b.random.choice(["var", "std", "logsumexp", "norm", "norm1"])
    if name == "logsumexp":
        return b.add(f"T.logsumexp({x}, {axis}, {keep})", f"np.log(np.sum(np.exp({x}), axis={axis}, keepdims={keep}))")
    if name == "norm":
        b.require(b.value(f"np.sum(np.square({x}), axis={axis})") > 0.1)
        return b.add(f"T.norm({x}, axis={axis})", f"np.sqrt(np.sum(np.square({x}), axis={axis}))")
    if name == "norm1":
        b.away(x)
        return b.add(f"{x}.norm(1, {axis})", f"np.sum(np.abs({x}), axis={axis})")
    if name == "std":
        b.require(b.value(f"np.var({x}, axis={axis})") > 0.1)
    return b.add(f"T.{name}({x}, axis={axis}, keepdims={keep})", f"np.{name}({x}, axis={axis}, keepdims={keep})")


# ---- products and losses --------------------------------------------------------------------------------------------


def _factor(b: Builder, name: str, shape: tuple[int, ...]) -> str:
    """Return a factor of the given shape: one that is there, or a new one."""
    found = [n for n, v in b.values.items() if v.shape == shape and v.dtype.kind == "f"]
    return b.random.choice(found) if found and b.chance(0.5) else b.fresh(shape, b.dtype("f"))


@production(5)
def product(b: Builder) -> str:
    x = b.pick_float(1, 2)
    shape = b.values[x].shape
    y = _factor(b, x, (shape[-1], *b.shape(0, 1)))
    if b.chance(0.3):
        x = f"{x}.T" if b.values[x].ndim == 2 and shape[0] == shape[-1] else x
    operator = b.random.choice(["T.dot({x}, {y})", "{x}.dot({y})", "{x} @ {y}"])
    return b.add(operator.format(x=x, y=y), f"np.dot(*common({x}, {y}))")


@production(2)
def stacked_product(b: Builder) -> str:
    x = b.pick_float(2, 4)
    shape = b.values[x].shape
    lead = shape[:-2][b.random.randint(0, len(shape) - 2) :]
    y = _factor(b, x, (*lead, shape[-1], b.random.choice([1, 2, 3])))
    stacks = [tuple(b.pattern(n)[:-2]) for n in (x, y)]
    b.require(all(a == c for a, c in zip(stacks[0][::-1], stacks[1][::-1], strict=False)))
    return b.add(f"T.matmul({x}, {y})", f"np.matmul(*common({x}, {y}))")


@production(1)
def batched_product(b: Builder) -> str:
    x = b.pick_float(2, 3)
    shape = b.values[x].shape
    y = _factor(b, x, (shape[0], shape[-1], *b.shape(0, 1)))
    b.require(b.pattern(x)[0] == b.pattern(y)[0])
    left, right = "abc"[: len(shape) - 1] + "z", "az" + "y" * (b.values[y].ndim - 2)
    result = left[:-1] + "y" * (b.values[y].ndim - 2)
    return b.add(f"T.batched_dot({x}, {y})", f"np.einsum('{left},{right}->{result}', *common({x}, {y}))")


@production(1)
def tensor_product(b: Builder) -> str:
    x = b.pick_float(1, 3)
    shape = b.values[x].shape
    count = b.random.randint(0, min(2, len(shape)))
    y = _factor(b, x, (*shape[len(shape) - count :], *b.shape(0, 1)))
    axes: Any = count
    if b.chance(0.5):
        axes = [list(range(len(shape) - count, len(shape))), list(range(count))]
        order = b.random.sample(range(count), count)
        axes = [[entry[k] for k in order] for entry in axes]
    return b.add(f"T.tensordot({x}, {y}, {axes})", f"tensordot(*common({x}, {y}), {axes})")


@production(1)
def outer_product(b: Builder) -> str:
    x, y = b.pick_float(1, 1), b.pick_float(1, 1)
    return b.add(f"T.outer({x}, {y})", f"np.outer(*common({x}, {y}))")


@production(3)
def soft_maximum(b: Builder) -> str:
    x = b.pick_float(1)
    axis = b.random.randrange(-b.values[x].ndim, b.values[x].ndim)
    if b.chance(0.5):
        return b.add(f"T.softmax({x}, {axis})", f"softmax({x}, {axis})")
    name = b.random.choice(["T.log_softmax({x}, {axis})", "T.log(T.softmax({x}, axis={axis}))"])
    return b.add(name.format(x=x, axis=axis), f"np.log(softmax({x}, {axis}))")


@production(2)
def negative_log_likelihood(b: Builder) -> str:
    x = b.pick_float(2, 2)
    rows, classes = b.values[x].shape
    labels = b.fresh((rows,), b.dtype("i"), 0, classes - 1, ones=False)
    picked = f"np.log(softmax({x}))[np.arange({rows}), {labels}]"
    symbolic = b.random.choice([
        "T.categorical_crossentropy(T.softmax({x}), {y})",
        "-T.log(T.softmax({x}))[T.arange({y}.shape[0]), {y}]",
        "-T.log_softmax({x})[T.arange({x}.shape[0]), {y}]",
        "-T.log(T.softmax({x})[T.arange({y}.shape[0]), {y}])",
    ])  # fmt: skip
    if b.chance(0.5):
        return b.add(f"T.mean({symbolic.format(x=x, y=labels)})", f"np.mean(-{picked})")
    return b.add(symbolic.format(x=x, y=labels), f"-{picked}")


@production(1)
def binary_cross_entropy(b: Builder) -> str:
    x = b.pick_float()
    b.require(np.abs(b.values[x]) < 6)
    y = b.fresh(b.values[x].shape, b.values[x].dtype.name, 0, 1, ones=False)
    b.require(b.meet(x, y))
    probability = f"(1 / (1 + np.exp(-{x})))"
    numeric = f"-({y} * np.log{probability} + (1 - {y}) * np.log(1 - {probability}))"
    return b.add(f"T.binary_crossentropy(T.sigmoid({x}), {y})", f"({numeric}).astype({x}.dtype)")


@production(3)
def dense_layer(b: Builder) -> str:
    """A product with a bias and an activation."""
    x = b.pick_float(2, 2)
    dtype = b.values[x].dtype.name
    weights = b.fresh((b.values[x].shape[1], b.random.randint(1, 3)), dtype, ones=False)
    bias = b.fresh(b.values[weights].shape[1:], dtype, ones=False)
    numeric = f"np.dot({x}, {weights}) + {bias}"
    activation, meaning = b.random.choice([
        ("T.tanh({v})", "np.tanh({v})"), ("T.relu({v})", "np.maximum({v}, 0)"), ("T.softmax({v})", "softmax({v})"),
        ("T.sigmoid({v})", "1 / (1 + np.exp(-({v})))"),
    ])  # fmt: skip
    b.away(numeric)
    b.require(np.abs(b.value(numeric)) < 20)
    return b.add(activation.format(v=f"T.dot({x}, {weights}) + {bias}"), meaning.format(v=numeric))
