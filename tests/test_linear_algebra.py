"""Linear algebra: NumPy's and SciPy's values, gradients of real and complex matrices, and errors of singular ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, GradientError, LinearAlgebraError, RangeError, ShapeError

SIZES = st.integers(1, 4)
DTYPES = st.sampled_from(["float32", "float64", "complex64", "complex128"])
STACKS = st.sampled_from([(), (2,), (2, 1)])


def numbers(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    random = np.random.default_rng([*shape, seed])
    x = random.normal(size=shape)
    return (x + 1j * random.normal(size=shape) if dtype.startswith("c") else x).astype(dtype)


def regular(size: int, *stack: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Return matrices that are far from singular."""
    return numbers(*stack, size, size, dtype=dtype, seed=seed) + (3 * np.eye(size)).astype(dtype)


def positive(size: int, *stack: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Return positive definite matrices."""
    x = numbers(*stack, size, size, dtype=dtype, seed=seed)
    return x @ np.swapaxes(x.conj(), -1, -2) + np.eye(size, dtype=dtype)


def computed(build: Callable[..., Any], *values: np.ndarray) -> Any:
    """Compile for known sizes and for open ones; both results must agree."""
    results = []
    for known in (True, False):
        variables = [T.tensor(v.dtype.name, v.shape if known else (None,) * v.ndim) for v in values]
        output = build(*variables)
        outputs = list(output) if isinstance(output, tuple) else [output]
        found = symgrad.function(variables, outputs)(*values)
        for variable, value in zip(outputs, found, strict=True):
            oracle.check_type(variable.type, value)
        results.append(found)
    for first, second in zip(*results, strict=True):
        oracle.assert_same(first, second, 1e-4 if first.dtype in ("float32", "complex64") else None, least_scale=1.0)
    return results[0] if len(results[0]) > 1 else results[0][0]


def close(found: Any, expected: Any, dtype: str) -> None:
    tolerance = 2e-4 if dtype in ("float32", "complex64") else 1e-9
    oracle.assert_same(found, np.asarray(expected), tolerance, least_scale=1.0)


# ---- values ----

SQUARE = {
    "inv": (T.linalg.inv, np.linalg.inv),
    "matrix_inverse": (T.linalg.matrix_inverse, np.linalg.inv),
    "det": (T.linalg.det, np.linalg.det),
    "slogdet": (T.linalg.slogdet, np.linalg.slogdet),
    "power": (lambda a: T.linalg.matrix_power(a, 5), lambda a: np.linalg.matrix_power(a, 5)),
    "power 0": (lambda a: T.linalg.matrix_power(a, 0), lambda a: np.linalg.matrix_power(a, 0)),
    "power -2": (lambda a: T.linalg.matrix_power(a, -2), lambda a: np.linalg.matrix_power(a, -2)),
    "trace": (T.linalg.trace, lambda a: np.trace(a, axis1=-2, axis2=-1)),
    "cond": (T.linalg.cond, np.linalg.cond),
    "cond 1": (lambda a: T.linalg.cond(a, 1), lambda a: np.linalg.cond(a, 1)),
    "expm": (T.linalg.expm, scipy.linalg.expm),
}


@settings(max_examples=20)
@given(st.sampled_from(list(SQUARE)), SIZES, STACKS, DTYPES)
def test_functions_of_square_matrices_are_numpy_s(name: str, size: int, stack: Any, dtype: str) -> None:
    build, function = SQUARE[name]
    x = regular(size, *stack, dtype=dtype)
    found, expected = computed(build, x), function(x)
    if isinstance(found, list):
        for one, other in zip(found, expected, strict=True):
            close(one, other, dtype)
    else:
        close(found, expected, dtype)


ANY = {
    "pinv": (T.linalg.pinv, np.linalg.pinv),
    "svdvals": (T.linalg.svdvals, lambda a: np.linalg.svd(a, compute_uv=False)),
    "matrix_rank": (T.linalg.matrix_rank, np.linalg.matrix_rank),
    "norm": (T.linalg.norm, np.linalg.norm),
    "trace 1": (lambda a: T.linalg.trace(a, 1), lambda a: np.trace(a, 1, -2, -1)),
    "trace -1": (lambda a: T.linalg.trace(a, -1), lambda a: np.trace(a, -1, -2, -1)),
}


@settings(max_examples=20)
@given(st.sampled_from(list(ANY)), SIZES, SIZES, STACKS, DTYPES)
def test_functions_of_any_matrices_are_numpy_s(name: str, rows: int, columns: int, stack: Any, dtype: str) -> None:
    build, function = ANY[name]
    x = numbers(*stack, rows, columns, dtype=dtype)
    close(computed(build, x), function(x), dtype)


@settings(max_examples=15)
@given(SIZES, SIZES, STACKS, DTYPES, st.booleans(), st.booleans())
def test_decompositions_give_the_matrix_back(
    rows: int, columns: int, stack: Any, dtype: str, full: bool, is_square: bool
) -> None:
    x = numbers(*stack, rows, columns, dtype=dtype)
    u, s, vh = computed(lambda a: T.linalg.svd(a, full_matrices=full), x)
    shape = tuple(part.shape for part in np.linalg.svd(x, full_matrices=full))
    assert (u.shape, s.shape, vh.shape) == shape
    count = min(rows, columns)
    close((u[..., :count] * s[..., np.newaxis, :]) @ vh[..., :count, :], x, dtype)
    mode = "complete" if full else "reduced"
    q, r = computed(lambda a: T.linalg.qr(a, mode), x)
    assert q.shape == np.linalg.qr(x, mode).Q.shape
    close(q @ r, x, dtype)
    close(computed(lambda a: T.linalg.qr(a, "r"), x), np.linalg.qr(x, "r"), dtype)
    for one, other in zip(computed(lambda a: T.linalg.qr(a, "raw"), x), np.linalg.qr(x, "raw"), strict=True):
        close(one, other, dtype)


@settings(max_examples=15)
@given(SIZES, STACKS, DTYPES, st.booleans())
def test_only_one_triangle_of_a_symmetric_matrix_is_read(size: int, stack: Any, dtype: str, lower: bool) -> None:
    x = positive(size, *stack, dtype=dtype)
    noise = numbers(size, size, dtype=dtype, seed=9)
    spoiled = x + (np.triu(noise, 1) if lower else np.tril(noise, -1))
    factor = computed(lambda a: T.linalg.cholesky(a, lower=lower), spoiled)
    upper = np.swapaxes(factor.conj(), -1, -2)
    close(factor @ upper if lower else upper @ factor, x, dtype)
    close(computed(lambda a: T.linalg.eigvalsh(a, lower=lower), spoiled), np.linalg.eigvalsh(x), dtype)
    w, v = computed(lambda a: T.linalg.eigh(a, "L" if lower else "U"), spoiled)
    close(x @ v, v * w[..., np.newaxis, :], dtype)
    b = numbers(*stack, size, 2, dtype=dtype)
    for kind in ("pos", "her"):
        found = computed(lambda a, b, kind=kind: T.linalg.solve(a, b, kind, lower), spoiled, b)
        close(found, np.linalg.solve(x, b), dtype)


def test_cholesky_of_bad_matrices_is_nan_if_asked() -> None:
    x = np.stack([positive(2), -positive(2)])
    factor = computed(lambda a: T.linalg.cholesky(a, on_error="nan"), x)
    close(factor[0], np.linalg.cholesky(x[0]), "float64")
    assert np.isnan(factor[1]).all()


@settings(max_examples=15)
@given(SIZES, STACKS, DTYPES)
def test_eigenvectors_of_any_matrix(size: int, stack: Any, dtype: str) -> None:
    x = regular(size, *stack, dtype=dtype)
    w, v = computed(T.linalg.eig, x)
    assert w.dtype.kind == v.dtype.kind == "c"
    np.testing.assert_allclose(x @ v, v * w[..., np.newaxis, :], atol=2e-4 if dtype.endswith(("32", "x64")) else 1e-9)
    np.testing.assert_array_equal(computed(T.linalg.eigvals, x), np.linalg.eigvals(x).astype(w.dtype))


@settings(max_examples=15)
@given(SIZES, st.sampled_from([(), (2,)]), st.sampled_from([None, 1, 3]), DTYPES, st.booleans(), st.sampled_from("NTC"))
def test_equations(size: int, stack: Any, columns: int | None, dtype: str, lower: bool, trans: str) -> None:
    a = regular(size, *stack, dtype=dtype)
    b = numbers(size, dtype=dtype) if columns is None else numbers(*stack, size, columns, dtype=dtype)
    if columns is None and stack:
        return  # NumPy and SciPy disagree about vectors that meet stacks
    close(computed(T.linalg.solve, a, b), np.linalg.solve(a, b), dtype)
    assert_triangular(a, b, dtype, lower, trans)


def assert_triangular(a: np.ndarray, b: np.ndarray, dtype: str, lower: bool, trans: str) -> None:
    kept = np.tril(a) if lower else np.triu(a)
    turned = {"N": kept, "T": np.swapaxes(kept, -1, -2), "C": np.swapaxes(kept.conj(), -1, -2)}[trans]
    found = computed(lambda a, b: T.linalg.solve_triangular(a, b, trans, lower), a, b)
    close(found, np.linalg.solve(turned, b), dtype)
    function = T.linalg.solve_lower_triangular if lower else T.linalg.solve_upper_triangular
    close(computed(function, a, b), np.linalg.solve(kept, b), dtype)
    kind = "lower_triangular" if lower else "upper_triangular"
    close(computed(lambda a, b: T.linalg.solve(a, b, kind), a, b), np.linalg.solve(kept, b), dtype)


def test_solutions_for_what_is_known_about_a_matrix() -> None:
    x, b = positive(3), numbers(3)
    close(computed(T.linalg.solve_symmetric, x, b), np.linalg.solve(x, b), "float64")
    close(computed(lambda a, b: T.linalg.solve(a, b, "diagonal"), x, b), b / np.diag(x), "float64")
    close(computed(lambda a, b: T.linalg.solve(a, b, "sym"), x, b), np.linalg.solve(x, b), "float64")
    for lower in (True, False):
        def build(a: Any, b: Any, lower: bool = lower) -> Any:
            return T.linalg.cho_solve((T.linalg.cholesky(a, lower), lower), b)

        close(computed(build, x, b), np.linalg.solve(x, b), "float64")
    close(computed(T.linalg.eigvalsh, x, positive(3, seed=5)), scipy.linalg.eigvalsh(x, positive(3, seed=5)), "float64")


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("columns", [(), (2,)])
def test_least_squares(shape: tuple[int, int], columns: tuple[int, ...]) -> None:
    a, b = numbers(*shape), numbers(shape[0], *columns)
    found = computed(T.linalg.lstsq, a, b)
    for one, other in zip(found, np.linalg.lstsq(a, b), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    cut = computed(lambda a, b: T.linalg.lstsq(a, b, 0.9), a, b)
    np.testing.assert_allclose(cut[0], np.linalg.lstsq(a, b, rcond=0.9)[0])


ORDERS = [None, "fro", "nuc", "inf", np.inf, -np.inf, 1, -1, 2, -2]


@pytest.mark.parametrize("ord", ORDERS)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_matrix_norms(ord: Any, keepdims: bool, dtype: str) -> None:
    x = numbers(2, 3, 4, dtype=dtype)
    given = np.inf if ord == "inf" else ord
    for axes in ((0, 1), (2, 0), (-2, -1)):
        found = computed(lambda a, axes=axes: T.linalg.norm(a, ord, axes, keepdims), x)
        close(found, np.linalg.norm(x, given, axes, keepdims), dtype)


def test_norms_by_their_newer_names() -> None:
    x = numbers(2, 3, 4)
    for keepdims in (False, True):
        close(computed(lambda a, k=keepdims: T.linalg.matrix_norm(a, k, 1), x),
              np.linalg.matrix_norm(x, keepdims=keepdims, ord=1), "float64")  # fmt: skip
        for axis in (None, 1):
            close(computed(lambda a, k=keepdims, axis=axis: T.linalg.vector_norm(a, axis, k, 3), x),
                  np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=3), "float64")  # fmt: skip


@pytest.mark.parametrize("ord", [None, 0, 1, 2, 3, 0.5, -1, np.inf, -np.inf, "-inf"])
def test_vector_norms(ord: Any) -> None:
    given = -np.inf if ord == "-inf" else ord
    for x in (numbers(3, 4), numbers(3, 4, dtype="complex128"), np.arange(1, 13).reshape(3, 4)):
        expected = np.linalg.norm(x, given, axis=1)
        np.testing.assert_allclose(T.linalg.norm(T.constant(x), ord, axis=1).eval(), expected, rtol=1e-6)
    close(computed(lambda a: T.linalg.norm(a, ord), numbers(5)), np.linalg.norm(numbers(5), given), "float64")


def test_products() -> None:
    a, b, c = numbers(2, 3), numbers(3, 5), numbers(5, 1)
    close(computed(T.linalg.matrix_dot, a, b, c), a @ b @ c, "float64")
    for count in (2, 3):
        factors = [a, b, c][:count]
        close(computed(lambda *v: T.linalg.multi_dot(v), *factors), np.linalg.multi_dot(factors), "float64")
    vectors = numbers(2), a, numbers(3)
    close(computed(lambda *v: T.linalg.multi_dot(v), *vectors), np.linalg.multi_dot(vectors), "float64")
    for left, right in ((a, b), (a, numbers(2)), (numbers(4), numbers(2)), (numbers(2, 1, 2), b), (a, np.float64(2))):
        close(computed(T.linalg.kron, left, np.asarray(right)), np.kron(left, right), "float64")
    found = computed(T.linalg.block_diag, a, numbers(2), b)
    close(found, scipy.linalg.block_diag(a, numbers(2), b), "float64")


def test_a_chain_of_known_sizes_is_multiplied_in_the_best_order() -> None:
    a, b, c = [T.tensor("float64", shape) for shape in ((2, 100), (100, 100), (100, 1))]
    product = T.linalg.multi_dot([a, b, c])
    assert product.owner.inputs[0] is a


def test_tensor_equations() -> None:
    a, b = regular(6).reshape(2, 3, 3, 2), numbers(2, 3)
    close(computed(T.linalg.tensorinv, a), np.linalg.tensorinv(a), "float64")
    close(computed(lambda a: T.linalg.tensorinv(a, 1), regular(6).reshape(6, 3, 2)),
          np.linalg.tensorinv(regular(6).reshape(6, 3, 2), 1), "float64")  # fmt: skip
    close(computed(T.linalg.tensorsolve, a, b), np.linalg.tensorsolve(a, b), "float64")
    moved = np.moveaxis(a, 0, -1)
    close(computed(lambda a, b: T.linalg.tensorsolve(a, b, (1, 3)), moved, numbers(3, 2)),
          np.linalg.tensorsolve(moved, numbers(3, 2), (1, 3)), "float64")  # fmt: skip


def test_matrix_functions() -> None:
    x = positive(3)
    for name in ("logm", "sqrtm", "cosm", "sinm"):
        close(computed(getattr(T.linalg, name), x), getattr(scipy.linalg, name)(x), "float64")
    y = regular(2, seed=3)
    close(computed(T.linalg.solve_sylvester, x, y, numbers(3, 2)),
          scipy.linalg.solve_sylvester(x, y, numbers(3, 2)), "float64")  # fmt: skip
    for dtype in ("float64", "complex128"):
        a, q = regular(3, dtype=dtype), numbers(3, 3, dtype=dtype)
        for name in ("solve_continuous_lyapunov", "solve_discrete_lyapunov"):
            close(computed(getattr(T.linalg, name), a, q), getattr(scipy.linalg, name)(a, q), dtype)


# ---- derivatives: what conformance doesn't see, because it is composed or complex ----

ROOTS = np.array([[2.0, 1.0, 0.3], [0.2, 5.0, 1.0], [0.5, -0.4, 9.0]])

COMPOSED: dict[str, Callable[..., Any]] = {
    "upper cholesky": lambda a: T.linalg.cholesky(a, lower=False),
    "solve of a vector": lambda a: T.linalg.solve(a, a[0]),
    "solve pos": lambda a: T.linalg.solve(a, a[:, :2], "pos"),
    "solve sym": lambda a: T.linalg.solve(a, a, "sym", True),
    "transposed": lambda a: T.linalg.solve_triangular(a, a[:, :2], 1, True),
    "generalised": lambda a: T.linalg.eigvalsh(a, a * a + 10 * T.eye(3, dtype="float64")),
    "upper eigh": lambda a: T.linalg.eigh(a, "U")[1],
    "power": lambda a: T.linalg.matrix_power(a, -3),
    "kron": lambda a: T.linalg.kron(a, a[:2]),
    "trace": lambda a: T.linalg.trace(a, -1),
    "block_diag": lambda a: T.linalg.block_diag(a, a[:1], a[0, 0]),
    "multi_dot": lambda a: T.linalg.multi_dot([a, a[:, :2], a[0, :2]]),
    "tensorinv": lambda a: T.linalg.tensorinv(T.reshape(a[:2, :2], (1, 2, 2, 1)), 2),
    "tensorsolve": lambda a: T.linalg.tensorsolve(T.reshape(a, (3, 1, 3)), a[:, :1]),
    "lstsq": lambda a: T.linalg.lstsq(a[:, :2], a[:, 1:])[0],
    "wide lstsq": lambda a: T.linalg.lstsq(a[:2], a[:2, 0])[0],
    "lstsq's singular values": lambda a: T.linalg.lstsq(a[:, :2], a[:, 1:])[3],
    "lyapunov": lambda a: T.linalg.solve_discrete_lyapunov(a, a),
    "continuous": lambda a: T.linalg.solve_continuous_lyapunov(a, a),
    "cond": T.linalg.cond,
    "cond fro": lambda a: T.linalg.cond(a, "fro"),
    "r": lambda a: T.linalg.qr(a[:, :2], "r"),
    "complete": lambda a: T.linalg.qr(T.specify_shape(a, (3, 3)), "complete")[0],
    "unit": lambda a: T.linalg.solve_triangular(a, a, unit_diagonal=True),
    "tensor product": lambda a: T.linalg.slogdet(T.stack([a, 2 * a]))[1],
    **{f"norm {ord}": (lambda a, ord=ord: T.linalg.norm(a, ord)) for ord in ORDERS},
    **{f"vector norm {ord}": (lambda a, ord=ord: T.linalg.norm(a, ord, 0)) for ord in (None, 1, 3, np.inf)},
}  # fmt: skip


@pytest.mark.parametrize("name", list(COMPOSED))
def test_gradients_of_composed_functions(name: str) -> None:
    symgrad.verify_grad(COMPOSED[name], [ROOTS], n_tests=1, rng=np.random.default_rng(1))
    x, v = T.dmatrices("x", "v")
    y = COMPOSED[name](x)
    weights = T.constant(np.random.default_rng(2).normal(size=y.eval({x: ROOTS}).shape))
    forward, backward = (symgrad.Rop(y, x, v) * weights).sum(), (symgrad.grad((y * weights).sum(), x) * v).sum()
    one, other = symgrad.function([x, v], [forward, backward], mode="none")(ROOTS, ROOTS[::-1])
    assert one == pytest.approx(other, rel=1e-7, abs=1e-8)


def squares(*parts: Any) -> Any:
    """Return a real number for complex results that doesn't depend on the phases of vectors."""
    total: Any = 0.0
    for position, part in enumerate(parts):
        modulus = T.real(part) ** 2 + T.imag(part) ** 2
        total = total + (modulus * (T.cumsum(T.ones_like(modulus).flatten()).reshape(modulus.shape) + position)).sum()
    return total


COMPLEX: dict[str, Callable[..., Any]] = {
    "inv": lambda z: squares(T.linalg.inv(z)),
    "det": lambda z: squares(T.linalg.det(z)),
    "second det": lambda z: squares(symgrad.grad(squares(T.linalg.det(z)), z)),
    "slogdet": lambda z: T.real(T.linalg.slogdet(z)[0] * (1 + 2j)) + T.linalg.slogdet(z)[1],
    "solve": lambda z: squares(T.linalg.solve(z, z[:, :2] * z[:, 1:])),
    "cholesky": lambda z: squares(T.linalg.cholesky(T.dot(z, T.conj(z).T))),
    "cholesky's triangle": lambda z: squares(T.linalg.cholesky(z + 9 * T.eye(3, dtype="float64"))),
    "triangular": lambda z: squares(T.linalg.solve_triangular(z, z, 2)),
    "eigvalsh": lambda z: squares(T.linalg.eigvalsh(z)),
    "eigh": lambda z: squares(*T.linalg.eigh(z)),
    "eigvals": lambda z: squares(T.linalg.eigvals(z).sum(), (T.linalg.eigvals(z) ** 3).sum()),
    "eig": lambda z: squares(*T.linalg.eig(z)),
    "svdvals": lambda z: squares(T.linalg.svdvals(z)),
    "svd": lambda z: squares(*T.linalg.svd(z[:, :2], full_matrices=False)),
    "wide svd": lambda z: squares(*T.linalg.svd(z[:2], full_matrices=False)),
    "svd's product": lambda z: squares(T.dot(*T.linalg.svd(z, full_matrices=False)[::2]) + z),
    "qr": lambda z: squares(*[part + z[:2, :2] for part in T.linalg.qr(z[:2], "reduced")][:1]),
    "tall qr": lambda z: squares(T.linalg.qr(z[:, :2])[0], T.linalg.qr(z[:, :2])[1] + 1j),
    "pinv": lambda z: squares(T.linalg.pinv(z[:, :2]), T.linalg.pinv(z[:2])),
    "expm": lambda z: squares(T.linalg.expm(z / 5)),
    "logm": lambda z: squares(T.linalg.logm(z + 3)),
    "sylvester": lambda z: squares(T.linalg.solve_sylvester(z, z[:2, :2], z[:, :2])),
    "norm": lambda z: T.linalg.norm(z, "nuc") + T.linalg.norm(z) + T.linalg.norm(z, 1),
    "lstsq": lambda z: squares(T.linalg.lstsq(z[:, :2], z[:, 1:])[0]),
    "power": lambda z: squares(T.linalg.matrix_power(z, -2)),
}


@pytest.mark.parametrize("name", list(COMPLEX))
def test_gradients_of_complex_matrices(name: str) -> None:
    def cost(x: Any, y: Any) -> Any:
        return COMPLEX[name](T.complex(x, y))

    parts = [ROOTS, np.array([[0.3, -1.0, 0.5], [0.7, -0.2, 0.1], [-0.4, 0.6, 0.9]])]
    symgrad.verify_grad(cost, parts, n_tests=1, rng=np.random.default_rng(3))
    x, y, dx, dy = T.dmatrices("x", "y", "dx", "dy")
    forward = symgrad.Rop(cost(x, y), [x, y], [dx, dy])
    backward = sum((g * d).sum() for g, d in zip(symgrad.grad(cost(x, y), [x, y]), (dx, dy), strict=True))
    one, other = symgrad.function([x, y, dx, dy], [forward, backward], mode="none")(*parts, parts[1] * 3, parts[0])
    assert one == pytest.approx(other, rel=1e-7)


def test_eigenvalues_of_a_real_matrix_have_a_gradient() -> None:
    def cost(x: Any) -> Any:
        w, v = T.linalg.eig(x)
        return squares((w**3).sum(), abs(v)) + T.imag(T.linalg.eigvals(x) ** 2)[0]

    symgrad.verify_grad(cost, [np.array([[1.0, 2.0, 0.3], [-2.0, 1.5, 0.1], [0.4, 0.2, -3.0]])])


def test_equal_eigenvalues_have_a_gradient_where_the_basis_has_no_say() -> None:
    def rebuilt(x: Any) -> Any:
        w, v = T.linalg.eigh(x)
        return T.dot(v * w, v.T)

    x = T.dmatrix("x")
    gradient = symgrad.grad((rebuilt(x) * T.constant(np.tril(ROOTS))).sum(), x).eval({x: np.eye(3)})
    assert np.isfinite(gradient).all()
    for full in (False, True):
        values = T.linalg.svd(x, full_matrices=full)[1].sum()
        np.testing.assert_allclose(symgrad.grad(values, x).eval({x: np.eye(3)}), np.eye(3), atol=1e-12)


def test_the_determinant_of_a_singular_matrix_has_a_gradient() -> None:
    x = T.dmatrix("x")
    gradient = symgrad.grad(T.linalg.det(x), x).eval({x: [[1.0, 2.0], [2.0, 4.0]]})
    np.testing.assert_allclose(gradient, [[4.0, -2.0], [-2.0, 1.0]], atol=1e-12)


def test_gaussian_likelihood_trains() -> None:
    """A covariance fits data: Cholesky, triangular solution and log-determinant in one compiled step."""
    random = np.random.default_rng(0)
    data = random.multivariate_normal([0, 0], [[2.0, 0.8], [0.8, 1.0]], size=200)
    x = T.dmatrix("x")
    root = symgrad.shared(np.eye(2), "root")
    covariance = T.dot(root, root.T) + 1e-3 * T.eye(2, dtype="float64")
    factor = T.linalg.cholesky(covariance)
    scaled = T.linalg.solve_triangular(factor, x.T, lower=True)
    cost = (scaled**2).sum() / 400 + T.log(T.stack([factor[0, 0], factor[1, 1]])).sum()
    step = symgrad.function([x], cost, updates=[(root, root - 0.2 * symgrad.grad(cost, root))])
    for _ in range(300):
        step(data)
    fitted = root.get_value() @ root.get_value().T + 1e-3 * np.eye(2)
    np.testing.assert_allclose(fitted, data.T @ data / 200, atol=1e-3)


# ---- errors ----


def test_singular_matrices_name_the_user_s_line() -> None:
    x, y = T.fmatrix("x"), T.dmatrix("y")
    cases: list[tuple[Any, Any, np.ndarray, str]] = [
        (x, T.linalg.inv(x), np.ones((2, 2)), "singular"),
        (x, T.tanh(T.linalg.solve(x, x[0])), np.zeros((2, 2)), "singular"),
        (x, T.linalg.cholesky(-x), np.eye(2), "positive definite"),
        (x, T.linalg.solve_triangular(x, x), np.zeros((2, 2)), "zeros on the diagonal"),
        (y, T.linalg.sqrtm(y), -np.eye(2), "complex"),
    ]
    for variable, output, value, words in cases:
        function = symgrad.function([variable], output)
        with pytest.raises(LinearAlgebraError, match=words) as caught:
            function(value.astype(variable.dtype))
        assert "test_linear_algebra.py" in str(caught.value) and f"{variable.dtype} (2, 2)" in str(caught.value)
        assert isinstance(caught.value, np.linalg.LinAlgError)
        function(np.array([[5.0, 1], [1, 4]], variable.dtype) * (-1 if "positive" in words else 1))


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: T.linalg.inv(T.tensor("float64", (2, 3))), ShapeError, "2 rows and 3 columns"),
        (lambda: T.linalg.det(T.dvector()), ShapeError, "matrices"),
        (lambda: T.linalg.solve(T.dmatrix(), T.dscalar()), ShapeError, "vectors or matrices"),
        (lambda: T.linalg.solve(T.tensor("float64", (2, 2)), T.tensor("float64", (3,))), ShapeError, "2 and 3"),
        (lambda: T.linalg.solve(T.dmatrix(), T.dvector(), "big"), RangeError, "assume_a"),
        (lambda: T.linalg.solve_triangular(T.dmatrix(), T.dvector(), trans=3), RangeError, "trans"),
        (lambda: T.linalg.cholesky(T.dmatrix(), on_error="ignore"), RangeError, "raise or nan"),
        (lambda: T.linalg.qr(T.dmatrix(), "full"), RangeError, "modes"),
        (lambda: T.linalg.eigh(T.dmatrix(), "X"), RangeError, "UPLO"),
        (lambda: T.linalg.norm(T.dmatrix(), 3), RangeError, "no order 3"),
        (lambda: T.linalg.norm(T.dvector(), "nuc"), RangeError, "no order 'nuc'"),
        (lambda: T.linalg.norm(T.dtensor3(), 1), ShapeError, "two axes"),
        (lambda: T.linalg.matrix_power(T.dmatrix(), 0.5), TypeError, "integer exponent"),
        (lambda: T.linalg.matrix_power(T.tensor("float64", (2, 3)), 2), ShapeError, "square"),
        (lambda: T.linalg.trace(T.dvector()), ShapeError, "matrices"),
        (lambda: T.linalg.matrix_dot(), ShapeError, "at least one"),
        (lambda: T.linalg.multi_dot([T.dmatrix()]), ShapeError, "at least two"),
        (lambda: T.linalg.block_diag(T.dtensor3()), ShapeError, "block_diag"),
        (lambda: T.linalg.tensorinv(T.dmatrix(), 0), RangeError, "ind above 0"),
        (lambda: T.linalg.inv(T.tensor("float16", (2, 2))), DTypeError, "float16"),
        (lambda: T.linalg.lstsq(T.dtensor3(), T.dvector()), ShapeError, "lstsq"),
    ],
)
def test_mistakes_are_explained(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        build()
    assert "test_linear_algebra.py" in str(caught.value)


def test_what_has_no_gradient_says_so() -> None:
    x = T.dmatrix("x")
    for output in (T.linalg.svd(x)[0], T.linalg.qr(x, "complete")[0], T.linalg.lstsq(x, x[:, 0])[1]):
        with pytest.raises(GradientError, match=r"use|differentiate"):
            symgrad.grad(output.sum(), x)
    with pytest.raises(GradientError, match="full_matrices=False"):
        symgrad.Rop(T.linalg.svd(x)[0], x, x)


def test_roots_of_singular_matrices_raise_no_warning() -> None:
    x = T.dmatrix()
    np.testing.assert_allclose(T.linalg.sqrtm(x).eval({x: np.ones((2, 2))}), np.full((2, 2), 0.5**0.5), rtol=1e-6)
