"""`grad`: what it accepts, what it returns, and what it says when it can't."""

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.errors import DisconnectedInputError, GradientError


def test_one_or_several_variables_and_their_types():
    x, y = T.dmatrix("x"), T.fvector("y")
    cost = T.sum(T.cast(x, "float32") * y)
    assert symgrad.grad(cost, x).type == x.type
    gradients = symgrad.grad(cost, [x, y])
    assert isinstance(gradients, list) and [g.dtype for g in gradients] == ["float64", "float32"]
    assert isinstance(symgrad.grad(cost, (x, y)), tuple)


def test_with_respect_to_an_intermediate_and_beyond():
    x = T.dscalar("x")
    middle = x**2
    cost = middle**3
    to_middle, to_x = symgrad.grad(cost, [middle, x])
    f = symgrad.function([x], [to_middle, to_x])
    assert f(2.0) == [48.0, 192.0]


def test_second_and_third_derivatives():
    x = T.dscalar("x")
    first = symgrad.grad(T.exp(2 * x), x)
    second = symgrad.grad(first, x)
    third = symgrad.grad(second, x)
    np.testing.assert_allclose(symgrad.function([x], [first, second, third])(0.3), np.exp(0.6) * np.array([2, 4, 8]))


def test_a_hessian_vector_product_of_a_network():
    rng = np.random.RandomState(0)
    w, v = T.dmatrices("w", "v")
    x = rng.randn(5, 3)
    cost = T.sum(T.tanh(T.dot(x, w)) ** 2)
    gradient = symgrad.grad(cost, w)
    product = symgrad.grad(T.sum(gradient * v), w)
    f = symgrad.function([w], gradient)
    w0, v0 = rng.randn(3, 2), rng.randn(3, 2)
    expected = (f(w0 + 1e-6 * v0) - f(w0 - 1e-6 * v0)) / 2e-6
    np.testing.assert_allclose(symgrad.function([w, v], product)(w0, v0), expected, rtol=1e-6, atol=1e-8)
    forward = symgrad.Rop(gradient, w, v)
    np.testing.assert_allclose(symgrad.function([w, v], forward)(w0, v0), expected, rtol=1e-6, atol=1e-8)


def test_consider_constant():
    x = T.dscalar("x")
    square = x**2
    assert symgrad.grad(x * square, x, consider_constant=[square]).eval({x: 3.0}) == 9.0
    assert symgrad.grad(x * square, x).eval({x: 3.0}) == 27.0
    assert symgrad.grad(x * T.disconnected_grad(square), x).eval({x: 3.0}) == 9.0


def test_known_grads():
    x = T.dvector("x")
    y = x**2
    g = T.dvector("g")
    result = symgrad.grad(None, x, known_grads={y: g})
    np.testing.assert_array_equal(result.eval({x: [1.0, 2.0], g: [10.0, 100.0]}), [20.0, 400.0])
    both = symgrad.grad(T.sum(x), x, known_grads={y: g})
    np.testing.assert_array_equal(both.eval({x: [1.0, 2.0], g: [10.0, 100.0]}), [21.0, 401.0])
    with pytest.raises(GradientError, match="known_grads gives"):
        symgrad.grad(None, x, known_grads={y: T.fvector()})
    with pytest.raises(TypeError, match="needs a cost, or known_grads"):
        symgrad.grad(None, x)


def test_a_cost_must_be_a_float_scalar():
    x = T.dvector("x")
    with pytest.raises(TypeError, match=r"cost must be a scalar\."):
        symgrad.grad(x * 2, x)
    with pytest.raises(GradientError, match="a cost of int64 has no gradient"):
        symgrad.grad(T.sum(T.lvector()), x)
    with pytest.raises(TypeError, match="symbolic scalar"):
        symgrad.grad(3.0, x)
    with pytest.raises(TypeError, match="wrt must be variables"):
        symgrad.grad(T.sum(x), 3.0)
    with pytest.raises(ValueError, match="disconnected_inputs"):
        symgrad.grad(T.sum(x), x, disconnected_inputs="maybe")


def test_a_disconnected_input_names_the_variable_and_what_cut_the_path():
    x, y = T.dvectors("x", "y")
    with pytest.raises(DisconnectedInputError, match="isn't a differentiable function of y") as caught:
        symgrad.grad(T.sum(x), y)
    assert "No path leads from it to the cost" in str(caught.value)
    picked = T.argmax(y)
    with pytest.raises(DisconnectedInputError) as caught:
        symgrad.grad(T.sum(x[: picked + 1]), [x, y])  # cut here
    text = str(caught.value)
    assert "subtensor" in text and "cut the path: it is an index" in text and "# cut here" in text
    k = T.lscalar("k")
    with pytest.raises(DisconnectedInputError, match="with respect to k, which is int64"):
        symgrad.grad(T.sum(x) * k, k)
    with pytest.raises(ValueError):
        symgrad.grad(T.sum(T.floor(x)), x)


def test_disconnected_inputs_may_be_ignored():
    x, y, k = T.dvector("x"), T.fvector("y"), T.lvector("k")
    result = symgrad.grad(T.sum(x), [x, y, k], disconnected_inputs="ignore")
    assert [g.dtype for g in result] == ["float64", "float32", symgrad.config.floatX]
    np.testing.assert_array_equal(result[1].eval({y: np.ones(3, "float32")}), np.zeros(3))
    with pytest.warns(UserWarning, match="isn't a differentiable function of y"):
        symgrad.grad(T.sum(x), y, disconnected_inputs="warn")
    assert symgrad.grad(T.sum(x), y, disconnected_inputs="ignore", return_disconnected="none") is None


def test_the_language_has_it_too():
    assert T.grad is symgrad.grad


def test_names_of_gradients():
    x = T.dscalar("x")
    cost = x**2
    cost.name = "cost"
    assert symgrad.grad(cost, x).name == "(dcost/dx)"


def test_gradient_nodes_carry_the_forward_line():
    x = T.dvector("x")
    cost = T.sum(T.tanh(x))  # forward
    assert "# forward" in symgrad.grad(cost, x).owner.source.text


def test_verify_grad_finds_a_wrong_gradient():
    from dataclasses import dataclass

    from symgrad.graph.op import Op

    @dataclass(frozen=True)
    class Wrong(Op):
        def infer(self, x):
            return [x.type]

        def evaluate(self, x):
            return [x**2]

        def gradient(self, inputs, outputs, cotangents):
            return [cotangents[0] * inputs[0]]

    point = [np.array([1.0, 2.0, -3.0])]
    symgrad.verify_grad(lambda x: x**2, point)
    with pytest.raises(GradientError, match="finite differences say"):
        symgrad.verify_grad(lambda x: Wrong()(x), point)
    with pytest.raises(GradientError, match="float arrays"):
        symgrad.verify_grad(lambda x: x, [np.array([1])])


def test_verify_grad_of_a_whole_network():
    rng = np.random.RandomState(1)

    def network(image, filters, bias, weights):
        hidden = T.tanh(T.pool_2d(T.conv2d(image, filters), ws=(2, 2)) + bias.dimshuffle("x", 0, "x", "x"))
        return T.log_softmax(T.dot(hidden.flatten(2), weights))

    symgrad.verify_grad(network, [rng.randn(2, 1, 6, 6), rng.randn(3, 1, 3, 3), rng.randn(3), rng.randn(12, 4)])
