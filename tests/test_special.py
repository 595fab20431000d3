"""Special functions: derivatives with respect to arguments and orders, edges, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, GradientError, NullTypeGradError
from symgrad.ops.elementwise_op import rows

ORDERED = {
    "polygamma": (1, [0.3, 1.2, 4.0]), "gammainc": (2.5, [0.3, 1.2, 4.0]), "gammaincc": (2.5, [0.3, 1.2, 4.0]),
    "gammal": (2.5, [0.3, 1.2, 4.0]), "gammau": (2.5, [0.3, 1.2, 4.0]), "jv": (1.5, [0.3, 1.2, 4.0]),
    "iv": (0.5, [0.3, 1.2, 4.0]),
}  # fmt: skip
SINGLE = [
    "gamma", "gammaln", "psi", "tri_gamma", "erf", "erfc", "erfinv", "erfcinv", "erfcx", "j0", "j1", "i0", "i1",
    "logit", "log1mexp", "xlogx",
]  # fmt: skip


def check_two_orders(build: Any, points: list[float]) -> None:
    value = np.array(points)
    symgrad.verify_grad(build, [value])
    symgrad.verify_grad(lambda x: symgrad.grad(T.sum(build(x)), x), [value], abs_tol=1e-4, rel_tol=1e-4)
    x, v = T.dvector(), T.dvector()
    tangent = symgrad.function([x, v], symgrad.Rop(build(x), x, v))(value, np.ones(len(points)))
    np.testing.assert_allclose(tangent, symgrad.grad(T.sum(build(x)), x).eval({x: value}), rtol=1e-10)


@pytest.mark.parametrize("name", ORDERED)
def test_derivatives_with_respect_to_the_argument(name: str) -> None:
    order, points = ORDERED[name]
    check_two_orders(lambda x: getattr(T, name)(order, x), points)


def test_derivatives_of_the_tail_of_chi_squared() -> None:
    check_two_orders(lambda x: T.chi2sf(x, 3), [0.5, 2.0, 9.0])


@pytest.mark.parametrize("name", [*ORDERED, "chi2sf"])
def test_an_order_has_no_derivative(name: str) -> None:
    x, order = T.dvectors("x", "order")
    operands = (x, order) if name == "chi2sf" else (order, x)
    y = T.sum(getattr(T, name)(*operands))
    with pytest.raises(NullTypeGradError, match="order"):
        symgrad.grad(y, order)
    with pytest.raises(GradientError, match="order"):
        symgrad.Rop(y, order, order)
    assert symgrad.grad(y, x).dtype == "float64"


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float16", "float32", "float64"])
def test_dtypes(name: str, dtype: str) -> None:
    low, high = rows[name].domain
    values = np.linspace(low + 0.05, high, 5).astype(dtype)
    x = T.tensor(dtype, (None,))
    y = getattr(T, name)(x)
    assert y.dtype == (dtype if dtype.startswith("float") else "float32")
    wide = values.astype("float64" if dtype == "float64" else "float32")
    special = {"tri_gamma": lambda v: scipy.special.polygamma(1, v), "xlogx": lambda v: scipy.special.xlogy(v, v),
               "log1mexp": lambda v: np.log(-np.expm1(v))}  # fmt: skip
    with np.errstate(all="ignore"):
        expected = special.get(name, getattr(scipy.special, name, None))(wide)
        expected = expected.astype(y.dtype)
    np.testing.assert_allclose(symgrad.function([x], y)(values), expected, rtol=2e-3 if dtype == "float16" else 2e-5)


def test_custom_policy_of_small_integers() -> None:
    with symgrad.config.change_flags(cast_policy="custom", floatX="float64"):
        assert T.gammaln(T.bvector()).dtype == T.erfinv(T.wvector()).dtype == "float32"
        assert T.psi(T.ivector()).dtype == "float64"


def test_edges() -> None:
    x = T.dvector("x")
    near_zero = [T.xlogx(x), T.xlogy0(x, x), T.xlogy0(0.0, x), T.log1mexp(-x)]
    for found in symgrad.function([x], near_zero)([0.0, 0.0])[:3]:
        np.testing.assert_array_equal(found, [0.0, 0.0])
    assert T.xlogy0(0.0, np.nan).eval() != 0
    np.testing.assert_allclose(T.log1mexp(x).eval({x: [-1e-20, -50.0]}), [-20 * np.log(10), -np.exp(-50.0)])
    np.testing.assert_array_equal(T.erfinv(x).eval({x: [-1.0, 1.0]}), [-np.inf, np.inf])
    np.testing.assert_allclose(T.erfcx(x).eval({x: [1e5]}), [1 / (1e5 * np.sqrt(np.pi))])
    assert np.isnan(T.polygamma(0.5, x).eval({x: [1.0]})).all()
    np.testing.assert_allclose(T.polygamma(0, x).eval({x: [1.5]}), scipy.special.psi([1.5]))


def test_the_digamma_function_of_the_gradient_of_a_dirichlet() -> None:
    a = T.dvector("a")
    log_norm = T.gammaln(T.sum(a)) - T.sum(T.gammaln(a))
    values = np.array([0.5, 1.5, 3.0])
    expected = scipy.special.psi(values.sum()) - scipy.special.psi(values)
    np.testing.assert_allclose(symgrad.grad(log_norm, a).eval({a: values}), expected)
    hessian = symgrad.grad(T.sum(symgrad.grad(log_norm, a) * values), a).eval({a: values})
    expected = scipy.special.polygamma(1, values.sum()) * values.sum() - scipy.special.polygamma(1, values) * values
    np.testing.assert_allclose(hessian, expected)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DTypeError, match="gammaln doesn't take complex128"):
        T.gammaln(T.zvector())
