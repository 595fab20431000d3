"""Productions of elementwise functions: special ones, bits, complex numbers; sums that run, and statistics."""

from __future__ import annotations

from typing import Any

import direct
import numpy as np
from random_programs import MARGIN, Builder, production

# ---- elementwise ----------------------------------------------------------------------------------------------------

SPECIAL = {
    "gamma": ("gamma", 0.3, 4.0), "gammaln": ("gammaln", 0.3, 1e3), "psi": ("psi", 0.3, 1e3),
    "erfc": ("erfc", -4.0, 4.0), "erfcx": ("erfcx", -1.5, 30.0), "erfinv": ("erfinv", -0.9, 0.9),
    "erfcinv": ("erfcinv", 0.1, 1.9), "j0": ("j0", -10.0, 10.0), "j1": ("j1", -10.0, 10.0), "i0": ("i0", -3.0, 3.0),
    "i1": ("i1", -3.0, 3.0), "logit": ("logit", 0.1, 0.9), "expit": ("expit", -30.0, 30.0),
}  # fmt: skip
OTHERS = {
    "log10": ("np.log10({x})", 0.1, 1e3), "arccos": ("np.arccos({x})", -0.9, 0.9), "sinh": ("np.sinh({x})", -3.0, 3.0),
    "arccosh": ("np.arccosh({x})", 1.2, 1e3), "arctanh": ("np.arctanh({x})", -0.9, 0.9),
    "deg2rad": ("np.deg2rad({x})", -1e3, 1e3), "rad2deg": ("np.rad2deg({x})", -5.0, 5.0),
    "tri_gamma": ("scipy.special.polygamma(1, {x}).astype({x}.dtype)", 0.3, 30.0),
    "log1mexp": ("np.log1p(-np.exp({x}))", -6.0, -0.1), "xlogx": ("{x} * np.log({x})", 0.1, 30.0),
    "nnet.softsign": ("{x} / (1 + abs({x}))", -30.0, 30.0),
    "nnet.selu": ("", 0.1, 30.0), "nnet.elu": ("", 0.1, 30.0), "nnet.hard_sigmoid": ("", -2.4, 2.4),
    "nnet.ultra_fast_sigmoid": ("", 0.1, 3.0),
}  # fmt: skip


@production(4)
def special_function(b: Builder) -> str:
    if b.chance(0.5):
        name = b.random.choice(list(SPECIAL))
        meaning, low, high = SPECIAL[name]
        text = f"scipy.special.{meaning}({{x}})"
    else:
        name = b.random.choice(list(OTHERS))
        text, low, high = OTHERS[name]
    x = b.pick(lambda v: v.size > 0 and bool(np.all((v >= low) & (v <= high))))
    if not text or b.values[x].dtype == np.float16:
        return b.add(f"T.{name}({x})")
    operand = f"real(floatX, {x})[0]"
    return b.add(f"T.{name}({x})", text.format(x=operand))


@production(1)
def function_of_two(b: Builder) -> str:
    x = b.pick_float()
    b.require((b.values[x] > 0.3) & (b.values[x] < 10))
    y = b.partner(x)
    b.require((b.values[y] >= 0) & (b.values[y] < 10))
    name = b.random.choice(["xlogy", "xlogy0", "power"])
    if name == "power":
        return b.add(f"T.power({x}, {y})", f"np.power(*common({x}, {y}))")
    return b.add(f"T.{name}({y}, {x})", f"scipy.special.xlogy(*real(floatX, {y}, {x}))")


@production(2)
def bits(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iu")
    y = b.partner(x, b.values[x].dtype.name)
    name = b.random.choice(["left_shift", "right_shift", "bitwise_and", "bitwise_or", "bitwise_xor"])
    if name.endswith("shift"):
        b.require((b.values[y] >= 0) & (b.values[y] < 7))
    return b.add(f"T.{name}({x}, {y})", f"np.{name}({x}, {y})")


@production(1)
def truth(b: Builder) -> str:
    x = b.pick(lambda v: True)
    b.away(x)
    if b.chance(0.3):
        return b.add(f"T.logical_not({x})", f"np.logical_not({x})")
    if b.chance(0.3):
        name = b.random.choice(["isnan", "isinf", "isfinite"])
        return b.add(f"T.{name}({x})", f"np.{name}({x})")
    y = b.partner(x)
    b.away(y)
    name = b.random.choice(["logical_and", "logical_or", "logical_xor"])
    return b.add(f"T.{name}({x}, {y})", f"np.{name}({x}, {y})")


@production(1)
def whole_power(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iu")
    y = b.partner(x, b.values[x].dtype.name)
    b.require((b.values[y] >= 0) & (b.values[y] < 4))
    return b.add(f"{x} ** {y}", f"np.power({x}, {y})")


@production(1)
def quotient_and_rest(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iu")
    y = b.partner(x, b.dtype("iu"))
    b.require(b.values[y] != 0)
    place = b.random.randrange(2)
    return b.add(f"T.divmod({x}, {y})[{place}]", f"divmod(*common({x}, {y}))[{place}]")


@production(2)
def nearby(b: Builder) -> str:
    x = b.pick(lambda v: v.dtype.kind in "iuf" and v.size > 0)
    symbolic, numeric, kinks = b.random.choice([
        ("T.clip({x}, 0, 1)", "np.clip({x}, 0, 1)", ["{x}", "{x} - 1.0"]),
        ("T.step({x})", "", ["{x}"]), ("T.isclose({x}, {x} + 1)", "np.isclose({x}, {x} + 1)", ["{x}"]),
        ("T.round_half_away_from_zero({x})", "", ["{x} - np.floor({x}) - 0.5"]),
        ("T.sgn({x})", "np.sign({x})", ["{x}"]),
    ])  # fmt: skip
    b.away(*[kink.format(x=x) for kink in kinks])
    return b.add(symbolic.format(x=x), numeric.format(x=x))


# ---- complex numbers ------------------------------------------------------------------------------------------------


@production(3)
def complex_number(b: Builder) -> str:
    x = b.pick_float()
    y = b.partner(x, b.values[x].dtype.name)
    b.require(b.values[x].dtype != np.float16)
    if b.chance(0.6):
        return b.add(f"T.complex({x}, {y})", f"np.add(*np.broadcast_arrays({x}, 1j * {y}))")
    return b.add(f"T.complex_from_polar({x}, {y})", f"{x} * np.exp(1j * {y})")


@production(5)
def function_of_complex(b: Builder) -> str:
    x = b.pick(lambda v: bool(np.all((abs(v) > 0.1) & (abs(v.imag) > 0.01))), "c")
    symbolic, numeric = b.random.choice([
        ("T.real({x})", "{x}.real"), ("T.imag({x})", "{x}.imag"), ("abs({x})", "abs({x})"), ("-{x}", "-{x}"),
        ("T.angle({x})", "np.angle({x})"), ("T.conj({x})", "np.conj({x})"), ("T.exp({x})", "np.exp({x})"),
        ("T.sqr({x})", "np.square({x})"), ("1 / {x}", "1 / {x}"), ("T.log({x})", "np.log({x})"),
        ("T.sin({x})", "np.sin({x})"), ("T.sqrt({x})", "np.sqrt({x})"), ("{x}.sum()", "np.sum({x})"),
        ("{x}.real", "{x}.real"), ("{x}.T", "{x}.T"), ("T.mean({x})", "np.mean({x})"), ("{x}.conj()", "{x}.conj()"),
        ("T.prod({x})", "np.prod({x})"), ("T.cumsum({x})", "np.cumsum({x})"), ("T.neq({x}, 0)", "{x} != 0"),
        ("T.tanh({x})", "np.tanh({x})"), ("{x} * 2j", "{x} * 2j"), ("{x} + 1", "{x} + 1"),
    ])  # fmt: skip
    return b.add(symbolic.format(x=x), numeric.format(x=x))


@production(2)
def complex_arithmetic(b: Builder) -> str:
    x = b.pick(lambda v: True, "c")
    y = b.partner(x, b.values[x].dtype.name if b.chance(0.4) else b.dtype())
    symbolic, function = b.random.choice([
        ("{x} + {y}", "np.add"), ("{x} - {y}", "np.subtract"), ("{x} * {y}", "np.multiply"),
        ("T.dot({x}.flatten(), {x}.flatten())", ""), ("T.dot({x}.T, {x})", ""),
    ])  # fmt: skip
    b.require(".T" not in symbolic or b.values[x].ndim <= 2)
    return b.add(symbolic.format(x=x, y=y), function and f"{function}(*common({x}, {y}))")


# ---- sums that run, statistics --------------------------------------------------------------------------------------


def axis_of(b: Builder, x: str) -> int:
    """Return one axis of a name, counted from either end."""
    ndim = b.values[x].ndim
    b.require(ndim > 0)
    return b.random.randrange(-ndim, ndim)


@production(3)
def running(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0)
    axis: Any = axis_of(b, x) if b.chance(0.7) else None
    name = b.random.choice(["cumsum", "cumsum", "cumprod"])
    b.require(b.values[x].dtype != bool)
    style = b.random.choice(["T.{n}({x}, {a})", "{x}.{n}(axis={a})"])
    return b.add(style.format(n=name, x=x, a=axis), f"np.{name}({x}, {axis}, dtype={x}.dtype)")


@production(1)
def differences(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0, "if")
    axis = axis_of(b, x)
    times = b.random.choice([1, 1, 2])
    b.require(b.values[x].shape[axis] >= times)
    return b.add(f"T.diff({x}, {times}, {axis})", f"np.diff({x}, {times}, {axis})")


@production(3)
def spread_of_values(b: Builder) -> str:
    x = b.pick_float(1)
    axis: Any = axis_of(b, x) if b.chance(0.7) else None
    keep = b.chance(0.4)
    count = b.values[x].size if axis is None else b.values[x].shape[axis]
    name = b.random.choice(["var", "std", "median", "average", "nansum", "nanmean", "nanmax"])
    if name in ("var", "std"):
        b.require(count > 1)
        options = f"axis={axis}, ddof=1, keepdims={keep}"
        if name == "std":
            b.require(b.value(f"np.var({x}, axis={axis})") > 0.1)
        return b.add(f"T.{name}({x}, {options})", f"np.{name}({x}, {options})")
    if name in ("median", "nanmax"):
        axes = tuple(range(b.values[x].ndim)) if axis is None else (axis % b.values[x].ndim,)
        b.require(direct.gap(b.values[x], axes) > MARGIN)
    if name == "average":
        weights = b.fresh(b.values[x].shape, b.values[x].dtype.name, 0.5, 2.0, ones=False)
        b.require(b.meet(x, weights) and b.pattern(x) == b.pattern(weights))
        text = f"average({x}, {axis}, {weights}, keepdims={keep})"
        return b.add(f"T.{text}", f"np.{text}")
    return b.add(f"T.{name}({x}, {axis}, keepdims={keep})",
                 f"np.{name}({x}, {axis}, keepdims={keep}).astype({x}.dtype)")  # fmt: skip


@production(1)
def covariance(b: Builder) -> str:
    x = b.pick_float(2, 2)
    b.require(b.values[x].shape[1] > 1 and b.values[x].shape[0] > 1)
    return b.add(f"T.cov({x})", f"np.cov({x}).astype({x}.dtype)")


@production(2)
def norm_of_kind(b: Builder) -> str:
    x = b.pick_float(1, 3)
    b.away(x, margin=0.05)
    ndim = b.values[x].ndim
    order = b.random.choice([1, 2, 3, "np.inf", "None"])
    axis: Any = axis_of(b, x)
    if order == "np.inf":
        b.require(direct.gap(abs(b.values[x]), (axis % ndim,)) > MARGIN)
    keep = b.chance(0.4)
    if ndim >= 2 and b.chance(0.3):
        order, axis = b.random.choice(["None", "'fro'", 1]), (-2, -1)
        b.require(order != 1 or direct.gap(abs(b.values[x]).sum(-2), (ndim - 2,)) > MARGIN)
    text = f"linalg.norm({x}, {order}, axis={axis}, keepdims={keep})"
    return b.add(f"T.{text}", f"np.{text}")
