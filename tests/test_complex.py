"""Complex numbers: values, dtypes, and gradients as d/dx + i d/dy of a real cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, GradientError
from symgrad.ops.elementwise_op import Elementwise, rows
from symgrad.ops.promotion import is_complex
from symgrad.ops.sampling import spread

ACCEPTING = [
    name for name, row in rows.items()
    if "c" in row.kinds and Elementwise(name).row.dtype_rule(*["complex128"] * row.arity)[1] != "bool"
]  # fmt: skip
PIECEWISE = ("rint", "switch")


def numbers(*shape: int, start: int = 0) -> np.ndarray:
    """Complex numbers off the cuts of all functions."""
    modulus, angle = spread(*shape, low=0.3, high=1.7, start=start), spread(*shape, low=0.2, high=1.3, start=start + 5)
    return modulus * np.exp(1j * angle)


def real_cost(outputs: list[Any], seed: int = 4) -> Any:
    """A real cost that depends on real and imaginary parts in different ways."""
    random = np.random.default_rng(seed)
    cost = T.constant(0.0, dtype="float64")
    for output in outputs:
        for part in (T.real(output), T.imag(output)):
            weight = float(random.normal())
            cost = cost + T.sum(T.sqr(part) * weight + part)
    return cost


def difference(function: Any, points: list[np.ndarray], which: int, direction: np.ndarray, step: float = 1e-6) -> float:
    moved = [[p + sign * step * direction if k == which else p for k, p in enumerate(points)] for sign in (1, -1)]
    return float((function(*moved[0]) - function(*moved[1])) / (2 * step))


def check_gradient(build: Any, points: list[np.ndarray]) -> None:
    """Compare the gradient, and the gradient of a cost made of it, with finite differences along x and along y."""
    variables = [T.TensorType(p.dtype, [1 if n == 1 else None for n in p.shape])() for p in points]
    cost = real_cost([build(*variables)])
    for _ in range(2):
        gradients = symgrad.grad(cost, variables, disconnected_inputs="ignore")
        value = symgrad.function(variables, cost, on_unused_input="ignore")
        found = symgrad.function(variables, gradients, on_unused_input="ignore")(*points)
        for which, (point, gradient) in enumerate(zip(points, found, strict=True)):
            assert gradient.dtype == point.dtype and gradient.shape == point.shape
            units = (1, 1j) if is_complex(point.dtype.name) else (1,)
            for unit in units:
                direction = unit * spread(*point.shape, start=which)
                expected = difference(value, points, which, direction)
                along = np.sum((np.conj(gradient) * direction).real)
                assert along == pytest.approx(expected, rel=1e-5, abs=1e-6)
        cost = real_cost([g for g in gradients if g.owner is not None], seed=5)


@pytest.mark.parametrize("name", [name for name in ACCEPTING if name not in PIECEWISE])
def test_gradients_of_elementwise_functions(name: str) -> None:
    row = rows[name]
    op = Elementwise(name)
    check_gradient(op, [numbers(2, 3, start=7 * k) for k in range(row.arity)])


@pytest.mark.parametrize("name", ["complex", "complex_from_polar"])
def test_gradients_of_what_is_made_of_reals(name: str) -> None:
    check_gradient(getattr(T, name), [spread(2, 3), spread(3, low=0.2, high=1.5)])


def switched(z: Any) -> Any:
    return T.switch(T.real(z) > 0.5, z * z, 1 / z)


BUILT: dict[str, Any] = {
    "sum": lambda z: T.sum(z, axis=0),
    "mean": T.mean,
    "prod": lambda z: T.prod(z, axis=1),
    "var": lambda z: T.var(z, axis=1, ddof=1),
    "std": T.std,
    "norm": lambda z: T.norm(z, axis=0),
    "3-norm": lambda z: T.norm(z, 3),
    "cumsum": lambda z: T.cumsum(z, axis=1),
    "cumprod": T.cumprod,
    "cov": T.cov,
    "sort": lambda z: T.sort(z, axis=1) * z,
    "dot": lambda z: T.dot(z, z.T),
    "matmul": lambda z: (z[None] @ z.T[None]).sum(axis=0),
    "inner": lambda z: T.dot(z[0], z[1].conj()),
    "index": lambda z: z[0, ::-1] * z[1, [0, 0, 2]],
    "parts": lambda z: z.real * z.imag + T.angle(z),
    "real factor": lambda z: abs(z) * z,
    "switch": switched,
    "cast": lambda z: z.real.astype("complex128") * z,
    "mixed": lambda z: 2 * z + z.real - 1j * z.imag**2,
}


@pytest.mark.parametrize("name", BUILT)
def test_gradients_of_expressions(name: str) -> None:
    check_gradient(BUILT[name], [numbers(2, 3)])


def test_forward_mode_is_the_change_of_the_value() -> None:
    z, v = T.zmatrix("z"), T.zmatrix("v")
    point, direction = numbers(2, 3), spread(2, 3) + 1j * spread(2, 3, start=9)
    for name, build in BUILT.items():
        output = build(z)
        tangent = symgrad.function([z, v], symgrad.Rop(output, z, v), on_unused_input="ignore")(point, direction)
        value = symgrad.function([z], output)
        expected = (value(point + 1e-6 * direction) - value(point - 1e-6 * direction)) / 2e-6
        assert tangent.dtype == output.dtype, name
        np.testing.assert_allclose(tangent, expected, rtol=1e-6, atol=1e-7, err_msg=name)


STABILISED: list[Any] = [
    lambda z: T.log(1 + T.exp(z)),
    lambda z: T.log1p(T.exp(z)),
    lambda z: 1 / (1 + T.exp(-z)),
    lambda z: T.exp(z) / (1 + T.exp(z)),
    lambda z: T.sum(T.sqr(z)) + z**0.5 + z**-1,
    lambda z: 3 * (2j * z) / 4 - T.neg(-z),
    lambda z: abs(-z) ** 2 + abs(T.sqr(z)),
]


@pytest.mark.parametrize("number", range(len(STABILISED)))
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_rewriting_keeps_values(number: int, dtype: str) -> None:
    z = T.tensor(dtype, (None,))
    points = numbers(4).astype(dtype)
    output = STABILISED[number](z)
    gradient = symgrad.grad(real_cost([output]), z)
    plain = symgrad.function([z], [output, gradient], mode="none")(points)
    for found, expected in zip(symgrad.function([z], [output, gradient])(points), plain, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "complex64" else 1e-12)


def test_dtypes() -> None:
    c, z, f, d, i = T.cvector(), T.zvector(), T.fvector(), T.dvector(), T.ivector()
    assert (c + f).dtype == (c * 2.5).dtype == (c * 1j).dtype == (f * 1j).dtype == (i + c).dtype == "complex64"
    assert (c + d).dtype == (z * f).dtype == (d * 1j).dtype == T.exp(z).dtype == "complex128"
    assert T.real(c).dtype == T.imag(c).dtype == abs(c).dtype == T.angle(c).dtype == c.var().dtype == "float32"
    assert T.complex(f, f).dtype == T.complex_from_polar(f, i).dtype == "complex64"
    assert T.complex(f, d).dtype == T.complex(d, d).dtype == "complex128"
    assert T.real(d) is d and T.conj(d) is d and d.real is d and z.conjugate().dtype == "complex128"
    assert T.isnan(z).dtype == T.eq(z, 1j).dtype == "bool"
    with symgrad.config.change_flags(floatX="float64"):
        assert (c * 1j).dtype == "complex64" and T.constant(1j).dtype == "complex128"


def test_parts_of_real_numbers() -> None:
    x = T.dvector("x")
    values = np.array([-1.0, 0.0, 2.0])
    found = symgrad.function([x], [T.real(x), T.imag(x), T.angle(x), T.conj(x)])(values)
    for part, expected in zip(found, [values, 0 * values, np.angle(values), values], strict=True):
        np.testing.assert_array_equal(part, expected)


def test_modulus_of_zero_has_gradient_zero() -> None:
    z = T.zvector("z")
    np.testing.assert_array_equal(symgrad.grad(abs(z).sum(), z).eval({z: [0, 3j]}), [0, 1j])


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "maximum", "minimum", "mod", "floor_divide", "arctan2", "sgn",
                                  "floor", "max", "argmax", "gammaln", "sigmoid", "largest"])  # fmt: skip
def test_what_needs_an_order_refuses(name: str) -> None:
    z = T.zvector("z")
    binary = name in ("lt", "le", "gt", "ge", "maximum", "minimum", "mod", "floor_divide", "arctan2", "largest")
    with pytest.raises((DTypeError, TypeError), match="complex"):
        getattr(T, name)(*[z, z][: 1 + binary])


def test_a_complex_cost_is_refused() -> None:
    z = T.zscalar("z")
    with pytest.raises(GradientError, match="complex cost"):
        symgrad.grad(z * z, z)
    with pytest.raises(DTypeError, match="complex"):
        z.astype("float64")
