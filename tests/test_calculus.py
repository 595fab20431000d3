"""Jacobians, Hessians, products with them, partial gradients, and ops that change only the gradient."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.errors import DisconnectedInputError, GradientError, NullTypeGradError
from symgrad.graph.absent import DisconnectedType, NullType


def numeric_jacobian(function: object, point: np.ndarray) -> np.ndarray:
    """Central differences, one element after the other."""
    columns = []
    for position in np.ndindex(point.shape):
        step = np.zeros_like(point)
        step[position] = 1e-6
        columns.append((np.asarray(function(point + step)) - np.asarray(function(point - step))) / 2e-6)  # type: ignore[operator]
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *point.shape)


EXPRESSIONS = {
    "squares": lambda x: x**2,
    "product": lambda x: T.dot(x, T.constant(np.arange(12.0).reshape(4, 3))),
    "softmax": lambda x: T.softmax(x),
    "parts": lambda x: T.concatenate([x[::-1] * x[0], T.tanh(x[1:3])]),
    "positions": lambda x: x[np.array([3, 0, 0])] ** 2,
    "prod": lambda x: T.stack([x.prod(), x.max(), x.sum()]),
    "reshaped": lambda x: x.reshape((2, 2)).T.flatten() * x.dimshuffle("x", 0).mean(axis=0),
    "written": lambda x: T.set_subtensor(x[1:3], x[0] * x[2]),
    "cumulated": lambda x: T.dot(T.constant(np.tril(np.ones((4, 4)))), T.exp(x)),
    "matrix": lambda x: T.outer(x, x)[:3],
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_jacobian_equals_finite_differences(name: str) -> None:
    x = T.dvector("x")
    y = EXPRESSIONS[name](x)
    jacobian = symgrad.jacobian(y, x)
    value, found = symgrad.function([x], y), symgrad.function([x], jacobian)
    point = np.array([0.3, -1.2, 0.7, 2.0])
    np.testing.assert_allclose(found(point), numeric_jacobian(value, point), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (0, 2), (3, 1)])
def test_jacobian_of_any_shape(shape: tuple[int, int]) -> None:
    x, w = T.dmatrix("x"), T.dvector("w")
    y = T.tanh(T.dot(x, w) + x.sum(axis=1))
    value, jacobians = symgrad.function([x, w], y), symgrad.function([x, w], symgrad.jacobian(y, [x, w]))
    rng = np.random.default_rng(0)
    point, weights = rng.normal(size=shape), rng.normal(size=shape[1])
    to_x, to_w = jacobians(point, weights)
    assert to_x.shape == (shape[0], *shape)
    if point.size:
        np.testing.assert_allclose(to_x, numeric_jacobian(lambda p: value(p, weights), point), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(to_w, numeric_jacobian(lambda p: value(point, p), weights), rtol=1e-6, atol=1e-8)


def test_jacobian_of_scalars_and_sequences() -> None:
    x, y = T.dvectors("x", "y")
    found = symgrad.jacobian(x.sum() * y[0], [x, y])
    assert isinstance(found, list) and [j.ndim for j in found] == [1, 1]
    assert isinstance(symgrad.jacobian(x * y, (x, y)), tuple)
    with pytest.raises(DisconnectedInputError):
        symgrad.jacobian(x * 2, y)
    zeros = symgrad.jacobian(x * 2, y, disconnected_inputs="ignore")
    np.testing.assert_array_equal(zeros.eval({x: [1.0, 2.0], y: [1.0, 2.0, 3.0]}), np.zeros((2, 3)))
    held = symgrad.jacobian(x * (x**2), x, consider_constant=[x**2])
    assert held.ndim == 2
    with pytest.raises(GradientError, match="int64 has no jacobian"):
        symgrad.jacobian(T.lvector(), x)
    with pytest.raises(TypeError, match="jacobian needs a tensor as expression, got float"):
        symgrad.jacobian(3.0, x)


def test_jacobian_is_one_backward_pass() -> None:
    x = T.dvector("x")
    nodes = [len(symgrad.function([x], symgrad.jacobian(T.tanh(T.dot(x, np.eye(n))), x)).rewritten.order)
             for n in (3, 30)]  # fmt: skip
    assert nodes[0] == nodes[1]


def test_hessian() -> None:
    x, m = T.dvector("x"), T.dmatrix("m")
    cost = (x**3).sum() * x[0] + T.dot(T.dot(m, x), x)
    f = symgrad.function([x, m], [symgrad.hessian(cost, x), symgrad.hessian(cost, m)])
    slope = symgrad.function([x, m], symgrad.grad(cost, x))
    point, matrix = np.array([1.0, -0.5, 2.0]), np.arange(9.0).reshape(3, 3)
    of_x, of_m = f(point, matrix)
    np.testing.assert_allclose(of_x, numeric_jacobian(lambda p: slope(p, matrix), point), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(of_m, np.zeros((3, 3, 3, 3)))
    np.testing.assert_array_equal(symgrad.hessian(x.sum(), x).eval({x: [1.0, 2.0]}), np.zeros((2, 2)))


def test_products_with_the_hessian_and_the_jacobian() -> None:
    x, v = T.dvectors("x", "v")
    cost = T.exp(x).prod() + x[0] * x[1]
    y = T.stack([x[0] * x[1], T.sin(x[2])])
    u = T.dvector("u")
    f = symgrad.function([x, v, u], [
        symgrad.hessian_vector_product(cost, x, v), T.dot(symgrad.hessian(cost, x), v),
        symgrad.Lop(y, x, u), T.dot(u, symgrad.jacobian(y, x)),
        symgrad.Rop(y, x, v), T.dot(symgrad.jacobian(y, x), v),
    ])  # fmt: skip
    found = f([0.1, 0.2, 0.3], [1.0, -1.0, 0.5], [2.0, 3.0])
    for product, expected in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_allclose(product, expected, rtol=1e-12)


def test_lop_of_outputs_that_depend_on_each_other() -> None:
    x = T.dscalar("x")
    first = x**2
    second = first * 3
    a, b = T.dscalars("a", "b")
    found = symgrad.Lop([first, second], x, [a, b]).eval({x: 2.0, a: 1.0, b: 10.0})
    assert found == 4.0 * 1 + 12.0 * 10
    with pytest.raises(GradientError, match="one direction for each variable, got 1 for 2"):
        symgrad.Lop([first, second], x, [a])
    with pytest.raises(GradientError, match="a direction like"):
        symgrad.Lop(first, x, T.dvector())


def test_subgraph_gradients_chain() -> None:
    x, w1, w2 = T.dvector("x"), T.dvector("w1"), T.dvector("w2")
    hidden = T.tanh(x * w1)
    extra = (hidden**2).sum()
    cost = (hidden * w2).sum() ** 2
    (to_w2,), (to_hidden,) = symgrad.subgraph_grad([w2], [hidden], cost=cost)
    (to_w1,), ends, from_start, from_cost = symgrad.subgraph_grad(
        [w1], [x], start={hidden: to_hidden}, cost=extra, details=True
    )
    assert len(ends) == 1 and len(from_start) == len(from_cost) == 2
    expected = symgrad.grad(cost + extra, [w1, w2])
    f = symgrad.function([x, w1, w2], [to_w1, to_w2, *expected])
    a, b, c, d = f(*np.random.default_rng(0).normal(size=(3, 4)))
    np.testing.assert_allclose(a, c)
    np.testing.assert_allclose(b, d)
    assert symgrad.subgraph_grad([w1], [hidden], start={hidden: to_hidden})[0][0].owner is not None
    with pytest.raises(ValueError, match="start or cost"):
        symgrad.subgraph_grad([w1], [x])


def test_ops_that_change_only_the_gradient() -> None:
    x = T.dvector("x")
    point = np.array([-3.0, 0.1, 2.0])
    cases = {
        "clip": (T.grad_clip(x, -1, 1), np.clip(2 * point, -1, 1)),
        "scale": (T.grad_scale(x, -0.5), -point),
        "zero": (T.zero_grad(x), np.zeros(3)),
        "constant": (T.consider_constant(x), np.zeros(3)),
    }
    for same, slope in cases.values():
        value, found = symgrad.function([x], [same, symgrad.grad((same**2).sum(), x)])(point)
        np.testing.assert_array_equal(value, point)
        np.testing.assert_allclose(found, slope)
    with pytest.raises(DisconnectedInputError):
        symgrad.grad(T.disconnected_grad(x).sum(), x)
    with pytest.raises(ValueError, match="lower bound below the upper one"):
        T.grad_clip(x, 1, -1)
    with pytest.raises(TypeError, match="grad_scale takes numbers"):
        T.grad_scale(x, x)


def test_an_undefined_gradient_is_an_error_only_where_it_is_needed() -> None:
    x, y = T.dvectors("x", "y")
    cost = (T.undefined_grad(x) * y).sum()
    np.testing.assert_array_equal(symgrad.grad(cost, y).eval({x: [1.0, 2.0], y: [3.0, 4.0]}), [1.0, 2.0])
    with pytest.raises(NullTypeGradError, match="undefined_grad says so") as caught:
        symgrad.grad(cost, x)
    assert isinstance(caught.value, TypeError) and "test_calculus.py" in str(caught.value)
    with pytest.raises(NullTypeGradError):
        symgrad.grad((T.undefined_grad(x**2) * y).sum(), x)
    null = symgrad.grad(cost, x, null_gradients="return")
    assert isinstance(null.type, NullType) and "undefined_grad" in null.type.why_null
    ignored = symgrad.grad(cost, x, consider_constant=[cost.owner.inputs[0]], disconnected_inputs="ignore")
    assert ignored.ndim == 1


def test_what_stands_for_a_disconnected_gradient() -> None:
    x, y = T.dvectors("x", "y")
    options = {"disconnected_inputs": "ignore"}
    assert symgrad.grad(x.sum(), y, return_disconnected="None", **options) is None
    assert isinstance(symgrad.grad(x.sum(), y, return_disconnected="Disconnected", **options).type, DisconnectedType)
    with pytest.raises(ValueError, match="return_disconnected is one of"):
        symgrad.grad(x.sum(), y, return_disconnected="nothing")
    with pytest.raises(ValueError, match="null_gradients is raise or return"):
        symgrad.grad(x.sum(), x, null_gradients="maybe")


def test_numeric_gradients() -> None:
    from symgrad.gradient import numeric_grad

    a, b = np.array([0.5, -1.0]), np.array([[2.0]])
    found = numeric_grad(lambda x, y: (x**2).sum() * y[0, 0], [a, b])
    np.testing.assert_allclose(found.gf[0], 4 * a, rtol=1e-8)
    np.testing.assert_allclose(found.gf[1], [[1.25]], rtol=1e-8)
    assert numeric_grad(lambda x: float(x.sum()), a.astype("float32")).gf.dtype == np.float32
    place, element, absolute, relative = found.max_err([4 * a + [0, 0.1], [[1.25]]], 1e-3, 1e-3)
    assert (place, element) == (0, 1)
    assert absolute == pytest.approx(0.1) and relative == pytest.approx(0.1 / 7.9, rel=1e-3)
    with pytest.raises(ValueError, match="expected 2 gradients, got 1"):
        found.abs_rel_errors([a])


def test_verify_grad_takes_what_theanos_takes() -> None:
    point = [np.array([0.3, 0.7], "float32")]
    symgrad.verify_grad(T.tanh, point, 1, np.random.RandomState(0), eps=1e-2, out_type="float32", abs_tol=1e-2,
                        rel_tol=1e-2, mode="none", cast_to_output_type=True, no_debug_ref=False)  # fmt: skip
    with pytest.raises(GradientError, match="finite differences say"):
        symgrad.verify_grad(lambda x: T.zero_grad(x) ** 2, [np.array([0.3])])


def test_gradients_of_integers_under_theanos_policy() -> None:
    n, m, x = T.lvector("n"), T.lmatrix("m"), T.dvector("x")
    cost = (T.dot(T.tanh(n * 0.5), T.cast(m, "float64")) * x).sum()
    with pytest.raises(DisconnectedInputError, match="with respect to n, which is int64"):
        symgrad.grad(cost, n)
    with symgrad.config.change_flags(cast_policy="custom", floatX="float64"):
        of_n, of_x = symgrad.grad(cost, [n, x])
        value = symgrad.function([n, m, x], of_n)([1, 2], [[1, 2], [3, 4]], [1.0, 10.0])
        assert value.dtype == np.float64 and of_x.dtype == "float64"
        np.testing.assert_allclose(value, 0.5 / np.cosh([0.5, 1.0]) ** 2 * [21, 43])
        with pytest.raises(DisconnectedInputError):
            symgrad.grad(x[n].sum(), n)
        k = T.lscalar("k")
        assert symgrad.grad(k, k).eval({k: 5}) == 1.0 and symgrad.grad(k * k, k).eval({k: 5}) == 10.0
        with pytest.raises(DisconnectedInputError):
            symgrad.grad(x.sum(), n)


def test_known_gradients_of_any_kind() -> None:
    x, y, n = T.dscalar("x"), T.dscalar("y"), T.lscalar("n")
    assert symgrad.grad(None, n, known_grads={n: y}) is y
    total = n + 1
    with pytest.raises(NullTypeGradError, match="known_grads says so"):
        symgrad.grad(total, n, known_grads={total: NullType("why")()})
    product = x * y
    with pytest.raises(NullTypeGradError):
        symgrad.grad(product, [x, y], known_grads={product: NullType()()})
    with pytest.raises(DisconnectedInputError):
        symgrad.grad(product, [x, y], known_grads={product: DisconnectedType()()})
    doubled, more = x * 2, x + 1
    zero = symgrad.grad(doubled + more, x, consider_constant=[doubled, more])
    assert zero.eval({x: 3.0}) == 0.0


def test_forward_mode_of_what_does_not_depend_on_the_variables() -> None:
    x, y, v = T.dvectors("x", "y", "v")
    assert list(symgrad.Rop(y, x, v).eval({y: [1.0]})) == [0.0]
    with pytest.raises(GradientError, match="isn't a differentiable function of the variables that change"):
        symgrad.Rop(T.argmax(x), x, v, disconnected_outputs="raise")
    with symgrad.config.change_flags(cast_policy="custom"), pytest.raises(ValueError, match="isn't a differentiable"):
        symgrad.Rop(y * 2, x, v)
    np.testing.assert_array_equal(symgrad.Rop(T.zero_grad(x) * x, x, v).eval({x: [3.0], v: [2.0]}), [6.0])


def test_inputs_of_the_cost_are_inputs_of_its_gradient_under_theanos_policy() -> None:
    x, b = T.dvectors("x", "b")
    with pytest.raises(symgrad.errors.UnusedInputError):
        symgrad.function([x, b], symgrad.grad(x.sum() + b[0], b))
    with symgrad.config.change_flags(cast_policy="custom"):
        slope = symgrad.grad((x**2).sum() + b.sum(), b)
        np.testing.assert_array_equal(slope.eval({b: [3.0]}), [1.0])
        f = symgrad.function([x, b], slope)
        assert "sqr" not in [node.op.name for node in f.rewritten.order]
        np.testing.assert_array_equal(f([1.0, 2.0], [3.0, 4.0]), [1.0, 1.0])
        np.testing.assert_array_equal(symgrad.hessian((x**3).sum(), x).eval({x: [1.0, 2.0]}), [[6.0, 0], [0, 12.0]])
