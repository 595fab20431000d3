"""Elementwise functions, constants, casts and static broadcasting: values, dtypes, kinks and errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, Float64Warning, ShapeError
from symgrad.ops.elementwise_op import rows

INTEGERS = ["int8", "int16", "int32", "int64"]

# What each function of the table means, written without symgrad. Operators are NumPy's own.
MEANINGS: dict[str, Any] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "rectify": lambda x: np.where(x > 0, x, 0 * x),
    "step": lambda x: (np.sign(x) + 1) / 2,
    "rectify_gradient": lambda x, c: np.where(x > 0, c, np.where(x < 0, 0 * c, c / 2)),
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "switch": lambda c, x, y: np.array([a if w else b for w, a, b in zip(c, x, y, strict=True)]),
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "reciprocal": lambda x: 1 / x,
    "neq": np.not_equal,
    "eq": np.equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "sqr": lambda x: x * x,
    "deg2rad": lambda x: x / 180 * np.pi,
    "rad2deg": lambda x: x * 180 / np.pi,
    "logaddexp": lambda x, y: np.log(np.exp(x) + np.exp(y)),
    "exp2": lambda x: 2.0**x,
    "floor_divide": lambda x, y: np.floor(x / y),
    "mod": lambda x, y: x - np.floor(x / y) * y,
    "complex": lambda x, y: x + 1j * y,
    "complex_from_polar": lambda x, y: x * np.exp(1j * y),
    "gamma": lambda x: np.exp(scipy.special.loggamma(x)),
    "gammaln": scipy.special.loggamma,
    "psi": scipy.special.digamma,
    "tri_gamma": lambda x: scipy.special.zeta(2, x),
    "polygamma": scipy.special.polygamma,
    "gammainc": lambda k, x: scipy.stats.gamma(k).cdf(x),
    "gammaincc": lambda k, x: scipy.stats.gamma(k).sf(x),
    "gammal": lambda k, x: x**k / k * scipy.special.hyp1f1(k, k + 1, -x),
    "gammau": lambda k, x: scipy.special.gamma(k) * scipy.stats.gamma(k).sf(x),
    "chi2sf": lambda x, k: scipy.stats.chi2(k).sf(x),
    "erfinv": lambda x: scipy.stats.norm.ppf((x + 1) / 2) / np.sqrt(2),
    "erfcinv": lambda x: scipy.stats.norm.isf(x / 2) / np.sqrt(2),
    "erfcx": lambda x: np.exp(x * x) * scipy.special.erfc(x),
    "jv": scipy.special.jv,
    "j0": lambda x: scipy.special.jv(0, x),
    "j1": lambda x: scipy.special.jv(1, x),
    "iv": scipy.special.iv,
    "i0": lambda x: scipy.special.iv(0, x),
    "i1": lambda x: scipy.special.iv(1, x),
    "logit": lambda x: np.log(x / (1 - x)),
    "log1mexp": lambda x: np.log(1 - np.exp(x)),
    "xlogx": lambda x: x * np.log(x),
    "xlogy0": lambda x, y: x * np.log(y),
}
NUMPY_NAMES = {"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "abs": "abs"}


def values_for(name: str) -> list[np.ndarray]:
    row = rows[name]
    low, high = row.domain
    random = np.random.default_rng(3)
    if "f" not in row.kinds:
        return [random.integers(-9, 9, 40) for _ in range(row.arity)]
    operands = [random.uniform(low, high, 40) for _ in range(row.arity)]
    if name == "polygamma":
        operands[0] = random.integers(0, 5, 40)
    return [operands[0] > 0, *operands[1:]] if name == "switch" else operands


@pytest.mark.parametrize("name", list(rows))
def test_function_means_what_numpy_computes(name: str) -> None:
    function = getattr(T, f"{name}_", None) or getattr(T, name)
    meaning = MEANINGS.get(name) or getattr(np, NUMPY_NAMES.get(name, name))
    operands = values_for(name)
    variables = [T.tensor(v.dtype.name, (None,)) for v in operands]
    found = symgrad.function(variables, function(*variables))(*operands)
    np.testing.assert_allclose(found, meaning(*operands), rtol=1e-12, atol=1e-14)


def test_extreme_values_do_not_overflow() -> None:
    x = T.dvector()
    f = symgrad.function([x], [T.sigmoid(x), T.softplus(x), T.log1p(T.exp(x)), T.logaddexp(x, -x)])
    for found in f([-1000.0, 1000.0]):
        assert np.isfinite(found).all()
    np.testing.assert_array_equal(f([-1000.0, 1000.0])[1], [0.0, 1000.0])


# ---- constants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1, "int8"), (127, "int8"), (128, "int16"), (-128, "int8"), (-129, "int16"), (300, "int16"), (100000, "int32"),
     (2**40, "int64"), (2**63, "uint64"), (True, None)],
)  # fmt: skip
@pytest.mark.parametrize("policy", ["floatX", "custom"])
def test_python_integers_take_the_smallest_dtype(value: int, dtype: str | None, policy: str) -> None:
    dtype = dtype or {"floatX": "bool", "custom": "int8"}[policy]  # Theano's True is an integer
    with symgrad.config.change_flags(cast_policy=policy):
        assert T.constant(value).dtype == dtype
        assert T.constant(value).data == value


@pytest.mark.parametrize(
    ("floatx", "policy", "value", "dtype"),
    [
        ("float64", "custom", 0.1, "float64"),
        ("float64", "custom", 1.0, "float32"),
        ("float64", "custom", 1e10, "float32"),
        ("float32", "custom", 0.1, "float32"),
        ("float32", "floatX", 0.1, "float32"),
        ("float64", "floatX", 0.1, "float64"),
        ("float32", "floatX", 1e10, "float32"),
    ],
)
def test_python_floats_become_floatx(floatx: str, policy: str, value: float, dtype: str) -> None:
    with symgrad.config.change_flags(floatX=floatx, cast_policy=policy):
        assert T.constant(value).dtype == dtype


@given(
    st.sampled_from(["int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64"]),
    st.one_of(
        st.integers(-100, 100),
        st.floats(-10, 10),
        st.floats(-10, 10).map(np.float64),
        st.integers(0, 100).map(np.int64),
    ),
)
def test_python_numbers_never_widen_a_float(dtype: str, number: Any) -> None:
    x = T.vector(dtype=dtype) if dtype.startswith("float") else T.tensor(dtype, (None,))
    results = [
        x + number,
        number * x,
        T.maximum(x, number),
        x - number,
        T.switch(x > 0, x, number),
        T.clip(x, 0, number),
    ]
    for result in results:
        if dtype.startswith("float"):
            assert result.dtype == dtype
        elif isinstance(number, float):
            assert result.dtype == "float32"
        else:
            assert result.dtype.startswith(("int", "uint"))


def test_widths_under_the_floatx_policy() -> None:
    f, d, i, b = T.fvector(), T.dvector(), T.ivector(), T.bvector()
    assert (f + i).dtype == (f * T.lvector()).dtype == "float32"
    assert (f + d).dtype == (i + d).dtype == "float64"
    assert (i / i).dtype == T.exp(i).dtype == T.mean(i).dtype == "float32"
    assert (i * 0.5).dtype == "float32" and (i * 2).dtype == "int32" and (b + 1000).dtype == "int16"
    assert T.sqrt(b).dtype == T.sigmoid(i).dtype == "float32"


def test_widths_under_the_custom_policy() -> None:
    with symgrad.config.change_flags(cast_policy="custom", floatX="float64"):
        f, i, b = T.fvector(), T.ivector(), T.bvector()
        assert (f + i).dtype == (f * T.lvector()).dtype == (f * np.int64(2)).dtype == "float64"
        assert (i * 1.0).dtype == "float64" and (b * 1.0).dtype == "float32"
        assert (i / i).dtype == (b / b).dtype == "float64"
        assert T.exp(b).dtype == "float32" and T.exp(i).dtype == "float64"
    with symgrad.config.change_flags(cast_policy="custom", floatX="float32"):
        assert (T.ivector() / T.ivector()).dtype == "float32"


def test_bools() -> None:
    x, y = T.tensor("bool", (None,)), T.tensor("bool", (None,))
    assert (x + y).dtype == (x * y).dtype == (x & y).dtype == "bool"
    assert (x < y).dtype == T.eq(x, y).dtype == T.isnan(T.fvector()).dtype == "bool"
    f = symgrad.function([x, y], [x + y, x * y, x & y, x | y, x ^ y, ~x, T.sqr(x), x // y])
    found = f(np.array([True, True, False]), np.array([True, False, False]))
    expected = [[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]
    for value, wanted in zip(found, expected, strict=False):
        np.testing.assert_array_equal(value, wanted)
    with pytest.raises(DTypeError, match="subtract doesn't take bool"):
        x - y
    with pytest.raises(TypeError, match="Variables do not support boolean operations"):
        bool(x < y)


# ---- integer arithmetic ---------------------------------------------------------------------------------------------


@given(
    st.sampled_from(INTEGERS).flatmap(
        lambda dtype: st.tuples(arrays.arrays(dtype, 6), arrays.arrays(dtype, 6), st.sampled_from("+-*"))
    )
)
def test_integers_wrap_around(case: Any) -> None:
    x, y, operator = case
    a, b = [T.tensor(x.dtype.name, (None,)) for _ in range(2)]
    with np.errstate(all="ignore"):
        expected = eval(f"x {operator} y", {"x": x, "y": y})
    found = symgrad.function([a, b], eval(f"a {operator} b", {"a": a, "b": b}))(x, y)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, expected)


@given(st.sampled_from(INTEGERS).flatmap(lambda dtype: st.tuples(arrays.arrays(dtype, 6), arrays.arrays(dtype, 6))))
def test_whole_division_floors(case: Any) -> None:
    x, y = case
    y = np.where(y == 0, 1, y).astype(y.dtype)
    a, b = [T.tensor(x.dtype.name, (None,)) for _ in range(2)]
    quotient, rest = symgrad.function([a, b], list(divmod(a, b)))(x, y)
    for q, r, left, right in zip(quotient.tolist(), rest.tolist(), x.tolist(), y.tolist(), strict=True):
        if left // right <= np.iinfo(x.dtype).max:
            assert (q, r) == (left // right, left % right)


def test_round_modes() -> None:
    x = T.fvector()
    values = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997, 8388609.0, -0.2], "float32")
    even, away = symgrad.function([x], [T.round(x), x.round("half_away_from_zero")])(values)
    np.testing.assert_array_equal(even, [-2, -2, 0, 0, 2, 2, 0, 8388609, 0])
    np.testing.assert_array_equal(away, [-3, -2, -1, 1, 2, 3, 0, 8388609, 0])
    with pytest.raises(ValueError, match="round has no mode 'up'"):
        T.round(x, "up")


# ---- kinks ----------------------------------------------------------------------------------------------------------


def slopes(function: Any, *points: float) -> list[float]:
    variables = [T.dvector() for _ in points]
    gradients = symgrad.grad(function(*variables).sum(), variables, disconnected_inputs="ignore")
    found = [
        symgrad.function(variables, gradients, mode=mode)(*[[point] for point in points])
        for mode in ("none", "default")
    ]
    np.testing.assert_array_equal(found[0], found[1])
    return [float(value[0]) for value in found[0]]


def test_gradients_at_kinks() -> None:
    assert slopes(T.maximum, 1.0, 1.0) == [1.0, 0.0]
    assert slopes(T.minimum, 1.0, 1.0) == [1.0, 0.0]
    assert slopes(T.relu, 0.0) == [0.5]
    assert slopes(lambda x: T.relu(x, 0.1), 0.0) == [0.55]
    assert slopes(abs, 0.0) == [0.0]
    assert slopes(lambda x: T.clip(x, -1, 1), 1.0) == [1.0]
    assert slopes(lambda x: T.clip(x, -1, 1), -1.0) == [1.0]
    assert slopes(lambda x: T.clip(x, -1, 1), 1.5) == [0.0]
    assert slopes(T.sqrt, 0.0) == [np.inf]
    assert slopes(T.sgn, 0.0) == [0.0]
    assert slopes(lambda x: x**0, 0.0) == [0.0]
    assert slopes(lambda x: x**2, 0.0) == [0.0]
    assert slopes(lambda x: x**1, 0.0) == [1.0]
    assert slopes(T.pow, 0.0, 2.0) == [0.0, 0.0]
    assert slopes(T.clip, 2.0, -1.0, 1.0) == [0.0, 0.0, 1.0]
    assert slopes(T.clip, 0.0, 1.0, -1.0) == [0.0, 0.0, 1.0]


def test_a_power_of_zero_differentiates_three_times() -> None:
    x = T.dvector()
    slope = (x**2).sum()
    for expected in (0.0, 2.0, 0.0):
        slope = symgrad.grad(slope, x).sum()
        assert slope.eval({x: [0.0]}) == expected


def test_choosing_never_multiplies_by_infinity() -> None:
    """An infinite cotangent on the side that isn't chosen must not become nan."""
    assert slopes(lambda x: T.sqrt(T.switch(x > 0, x, 0.0)), -1.0) == [0.0]
    assert slopes(lambda x: T.sqrt(T.maximum(x, 0.0)), -1.0) == [0.0]
    assert slopes(lambda x: T.sqrt(T.minimum(0.0, x)), 1.0) == [0.0]
    assert slopes(lambda x: T.sqrt(T.clip(x, 0, 1)), -1.0) == [0.0]
    assert slopes(lambda x: T.sqrt(T.relu(x)), -1.0) == [0.0]


def test_the_condition_of_a_switch_has_no_say_in_the_dtype() -> None:
    assert T.switch(T.fvector(), 1, 0).dtype == "int8"
    assert T.switch(T.dvector() > 0, T.fvector(), 0.5).dtype == "float32"
    assert T.where(T.lvector(), T.bvector(), 1).dtype == "int8"
    x = T.fvector()
    assert T.switch(x, 1, 0).eval({x: [0.0, 2.0, np.nan]}).tolist() == [0, 1, 1]


# ---- broadcasting ---------------------------------------------------------------------------------------------------


def test_what_the_graph_knows_to_be_one_stretches() -> None:
    x, n = T.matrix(), T.lscalar()
    stretching = [
        T.zeros((1, 3)), x.reshape((1, -1)), x.sum(0, keepdims=True), x[0].dimshuffle("x", 0), T.row(),
        T.tensor("float32", (1, None)), x.max(axis=0, keepdims=True), T.ones_like(T.row()), T.alloc(0.0, 1, n),
        T.tensor("float32", (4, 3))[1:2], T.constant(np.ones((1, 3))), T.addbroadcast(x, 0),
        symgrad.shared(np.zeros((1, 3)), broadcastable=(True, False)), T.concatenate([T.row()]), T.row()[:, 1:],
    ]  # fmt: skip
    for variable in stretching:
        assert variable.broadcastable[0], variable
        assert (variable + x).broadcastable == (False, False)
    for variable in [x[0:1], symgrad.shared(np.zeros((1, 3))), T.alloc(0.0, n, 3), x, T.unbroadcast(T.row(), 0)]:
        assert not variable.broadcastable[0], variable


@pytest.mark.parametrize("mode", ["none", "default"])
def test_a_size_that_is_one_only_at_run_time_does_not_stretch(mode: str) -> None:
    x, y, k = T.dvector("x"), T.dvector("y"), T.lscalar("k")
    f = symgrad.function([x, y], x + y, mode=mode)
    assert f([1.0], [2.0]) == [3.0]
    with pytest.raises(ShapeError, match="Input dimension mis-match: add got sizes 1 and 3 on axis 0"):
        f([1.0], [1.0, 2.0, 3.0])
    part = symgrad.function([x, y, k], x[:k] + y, mode=mode)
    assert part([5.0, 0.0], [1.0], 1) == [6.0]
    with pytest.raises(ValueError, match="Input dimension mis-match: add got sizes 1 and 3 on axis 0"):
        part([1.0, 2.0], [1.0, 2.0, 3.0], 1)


def test_three_operands_of_which_one_stretches() -> None:
    """Sizes known only to the call are compared among the operands that don't stretch."""
    x, y, row, k = T.dmatrix(), T.dmatrix(), T.drow(), T.lscalar()
    f = symgrad.function([x, y, row, k], T.switch(x[:k] > 0, y[:k], row))
    np.testing.assert_array_equal(f(-np.ones((4, 2)), np.ones((4, 2)), [[7.0, 8.0]], 3), [[7, 8]] * 3)


@pytest.mark.parametrize("mode", ["none", "default"])
def test_a_rewrite_that_learns_a_size_does_not_let_it_stretch(mode: str) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    f = symgrad.function([x, i], T.ones([(i + 1) - i]) + x[T.gt(x, 0)], mode=mode)
    assert f([1.0, -1.0], 3) == [2.0]
    with pytest.raises(ShapeError, match="Input dimension mis-match"):
        f([1.0, 1.0], 3)


@pytest.mark.parametrize("mode", ["none", "default"])
def test_a_given_of_size_one_does_not_stretch(mode: str) -> None:
    x, y = T.dvectors("x", "y")
    cost = (x + y).sum()
    f = symgrad.function([y], [cost, symgrad.grad(cost, x)], givens={x: np.ones(1)}, mode=mode)
    assert f([1.0])[1].shape == (1,)
    with pytest.raises(ShapeError, match="Input dimension mis-match"):
        f([1.0, 2.0])


# ---- what is found out late, where float64 comes from ---------------------------------------------------------------


def test_warn_float64_names_the_first_line() -> None:
    x, y = T.fvector("x"), T.dvector("y")
    with symgrad.config.change_flags(warn_float64="warn"):
        with pytest.warns(
            Float64Warning, match="the result of cast_float64 is float64, while floatX is float32"
        ) as caught:
            first = x.astype("float64")
        assert "first = x.astype" in str(caught[0].message) and caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            first + y
            x * 0.5 + np.float64(2)
    with symgrad.config.change_flags(warn_float64="raise"), pytest.raises(DTypeError, match="astype\\('float32'\\)"):
        x + np.ones(3)
    with symgrad.config.change_flags(warn_float64="raise"), pytest.raises(DTypeError, match="shared, created at"):
        x * symgrad.shared(np.ones(3), "scale")


def test_wrong_operands_are_named() -> None:
    x, z = T.fvector("x"), T.cvector("z")
    with pytest.raises(DTypeError, match="lt doesn't take complex64"):
        T.lt(x, z)
    with pytest.raises(DTypeError, match="and doesn't take float32"):
        x & x
    with pytest.raises(TypeError, match="exp takes 1 operands, got 2"):
        T.exp(x, x)
    with pytest.raises(DTypeError, match="expected a symbolic variable, a number or an array, got str 'a'"):
        x + "a"
