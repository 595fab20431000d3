"""Ops that users write: Theano's protocol, functions of arrays, functions of numbers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.custom import PythonOp, disconnected_type, grad_not_implemented, grad_undefined
from symgrad.errors import (
    DisconnectedInputError,
    DTypeError,
    GradientError,
    NullTypeGradError,
    ShapeError,
    SymgradError,
)
from symgrad.graph.absent import DisconnectedType


class Scaled(PythonOp):
    """One input, a parameter, all methods."""

    __props__ = ("factor",)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def make_node(self, x: Any) -> Any:
        x = T.as_tensor_variable(x)
        return symgrad.Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        (x,) = inputs
        (z,) = output_storage
        z[0] = x * self.factor

    def infer_shape(self, node: Any, shapes: Any) -> Any:
        return shapes

    def grad(self, inputs: Any, output_grads: Any) -> Any:
        return [output_grads[0] * self.factor]

    def R_op(self, inputs: Any, eval_points: Any) -> Any:
        return [None if eval_points[0] is None else self(eval_points[0])]


class SumAndProduct(PythonOp):
    """Two inputs, two outputs, and an integer that the gradient doesn't reach; no R_op, no infer_shape."""

    __props__ = ()

    def make_node(self, x: Any, y: Any, n: Any) -> Any:
        x, y, n = map(T.as_tensor_variable, (x, y, n))
        return symgrad.Apply(self, [x, y, n], [x.type(), x.type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        x, y, n = inputs
        output_storage[0][0] = x + n * y
        output_storage[1][0] = x * y

    def grad(self, inputs: Any, output_grads: Any) -> Any:
        x, y, n = inputs
        to_sum, to_product = output_grads
        zero = x.zeros_like()
        to_sum = zero if isinstance(to_sum.type, DisconnectedType) else to_sum
        to_product = zero if isinstance(to_product.type, DisconnectedType) else to_product
        return [to_sum + to_product * y, to_sum * n + to_product * x, disconnected_type()]

    def connection_pattern(self, node: Any) -> Any:
        return [[True, True], [True, True], [False, False]]


def test_an_op_of_ones_own() -> None:
    x = T.dmatrix("x")
    y = T.tanh(Scaled(3.0)(x)) + 1
    value = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_allclose(symgrad.function([x], y)(value), np.tanh(3 * value) + 1)
    symgrad.verify_grad(Scaled(3.0), [value])
    np.testing.assert_allclose(symgrad.Rop(Scaled(3.0)(x) ** 2, x, x).eval({x: value}), 18 * value**2)
    assert y.owner.inputs[0].owner.inputs[0].owner.op == Scaled(3.0) != Scaled(2.0)
    assert str(Scaled(3.0)) == "Scaled{factor=3.0}" and "Scaled{factor=3.0}" in symgrad.debugprint(y, file="str")


def test_equal_ops_are_computed_once() -> None:
    x = T.dvector("x")
    f = symgrad.function([x], Scaled(2.0)(x) + Scaled(2.0)(x) * Scaled(5.0)(x))
    assert sum(isinstance(node.op, Scaled) for node in f.rewritten.order) == 2


def test_sizes_are_those_that_infer_shape_tells() -> None:
    x = T.tensor("float64", (2, None))
    assert Scaled(1.0)(x).type.shape == (2, None)
    n = T.constant(2)
    first, second = SumAndProduct()(x, x, n)
    assert first.type.shape == second.type.shape == (None, None)
    f = symgrad.function([x], T.dot(Scaled(2.0)(T.exp(x)), first.T))
    value = np.ones((2, 3))
    np.testing.assert_allclose(f(value), (2 * np.e * value) @ (3 * value).T)


def test_several_inputs_and_outputs() -> None:
    x, y, n = T.dvector("x"), T.dvector("y"), T.lscalar("n")
    total, product = SumAndProduct()(x, y, n)
    p, q = np.random.default_rng(1).normal(size=(2, 4))
    f = symgrad.function([x, y, n], [total, product, *symgrad.grad((total * product).sum(), [x, y])])
    found = f(p, q, 3)
    wanted = [p + 3 * q, p * q, p * q + (p + 3 * q) * q, 3 * p * q + (p + 3 * q) * p]
    for value, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(value, expected)
    np.testing.assert_allclose(symgrad.grad(product.sum(), x).eval({x: p, y: q, n: 1}), q)
    with pytest.raises(DisconnectedInputError):
        symgrad.grad(total.sum(), n)


def test_forward_mode_and_second_derivatives_without_r_op() -> None:
    x, y, v = T.dvector("x"), T.dvector("y"), T.dvector("v")
    total, product = SumAndProduct()(x, y, T.constant(3))
    tangents = symgrad.Rop([total, product], [x, y], [v, None])
    p, q, d = np.random.default_rng(2).normal(size=(3, 4))
    along, of_product = symgrad.function([x, y, v], tangents, on_unused_input="ignore")(p, q, d)
    np.testing.assert_allclose(along, d)
    np.testing.assert_allclose(of_product, d * q)
    hessian = symgrad.hessian((product**2).sum(), x)
    np.testing.assert_allclose(symgrad.function([x, y], hessian)(p, q), np.diag(2 * q**2))


class Unwritten(Scaled):
    def grad(self, inputs: Any, output_grads: Any) -> Any:
        return [grad_not_implemented(self, 0, inputs[0], "nobody needed it")]


class Wrong(PythonOp):
    """An op whose methods return what the test says."""

    def __init__(self, result: Any = None, gradients: Any = None) -> None:
        self.result = result
        self.gradients = gradients

    def make_node(self, x: Any) -> Any:
        return symgrad.Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        output_storage[0][0] = self.result

    def grad(self, inputs: Any, output_grads: Any) -> Any:
        return self.gradients


def test_gradients_that_are_not_there() -> None:
    x = T.dvector("x")
    with pytest.raises(NullTypeGradError, match=r"isn't written\. nobody needed it"):
        symgrad.grad(Unwritten(1.0)(x).sum(), x)
    undefined = Wrong(gradients=[grad_undefined(None, 0, x)])
    with pytest.raises(NullTypeGradError, match="isn't defined"):
        symgrad.grad(undefined(x).sum(), x)
    for gradients, words in ((None, "must return a list of gradients"), ([None], "returned None for input 0"),
                             ([T.dmatrix()], r"returned float64 \(\?, \?\) for input 0")):  # fmt: skip
        with pytest.raises(GradientError, match=words):
            symgrad.grad(Wrong(gradients=gradients)(x).sum(), x)


@pytest.mark.parametrize(
    ("result", "error", "words"),
    [
        (None, ShapeError, "left output 0 empty"),
        (np.ones((2, 2)), ShapeError, r"returned shape \(2, 2\) as output 0, which is declared"),
        (np.ones(2, complex), DTypeError, "returned complex128 as output 0"),
    ],
)
def test_results_that_are_not_as_declared(result: Any, error: type[Exception], words: str) -> None:
    x = T.dvector("x")
    with pytest.raises(error, match=words) as caught:
        symgrad.function([x], Wrong(result)(x))([1.0, 2.0])
    assert "test_custom_op.py" in str(caught.value)


def test_results_are_converted_where_nothing_is_lost() -> None:
    x = T.dvector("x")
    np.testing.assert_array_equal(symgrad.function([x], Wrong([1, 2, 3])(x))([0.0]), [1.0, 2.0, 3.0])


class Overwriting(PythonOp):
    """Works in its operand's memory, and says so."""

    __props__ = ()
    destroy_map = {0: [0]}
    view_map = {1: [0]}
    itypes = [T.dvector]
    otypes = [T.dvector, T.dvector]

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        inputs[0][:] = 7
        output_storage[0][0] = inputs[0]
        output_storage[1][0] = inputs[0][:1]


def test_nothing_of_the_callers_is_overwritten() -> None:
    x = T.dvector("x")
    w = symgrad.shared(np.zeros(2), name="w")
    (first, part), (second, _) = Overwriting()(x), Overwriting()(w)
    value = np.array([1.0, 2.0])
    found = symgrad.function([x], [first, part, second, x + w])(value)
    assert [list(array) for array in found] == [[7, 7], [7], [7, 7], [1, 2]]
    assert list(value) == [1, 2] and list(w.get_value()) == [0, 0]
    with pytest.raises(ValueError, match="takes 1 inputs, got 2"):
        Overwriting()(x, x)
    with pytest.raises(DTypeError, match=r"takes \(float64 \(\?,\)\)"):
        Overwriting()(T.fvector())


class WithThunk(PythonOp):
    __props__ = ()

    def make_node(self, x: Any) -> Any:
        return symgrad.Apply(self, [x], [x.type()])

    def make_thunk(self, node: Any, storage_map: Any, compute_map: Any, no_recycling: Any) -> Any:
        source, target = storage_map[node.inputs[0]], storage_map[node.outputs[0]]

        def thunk() -> None:
            target[0] = source[0] + 1

        return thunk


class OnlyC(WithThunk):
    make_thunk: Any = property()

    def c_code(self, *arguments: Any) -> str:
        return "%(z)s = 0;"


def test_thunks_and_code_in_c() -> None:
    x = T.dvector("x")
    np.testing.assert_array_equal(symgrad.function([x], WithThunk()(x))([1.0]), [2.0])
    with pytest.raises(NotImplementedError, match=r"defines no perform. It has c_code only"):
        symgrad.function([x], OnlyC()(x))([1.0])


def test_an_error_of_the_users_keeps_its_class_and_names_the_line() -> None:
    class Refused(KeyError):
        pass

    def refuse(x: np.ndarray) -> np.ndarray:
        raise Refused("not this")

    x = T.dvector("x")
    f = symgrad.function([x], symgrad.as_op([T.dvector], [T.dvector])(refuse)(x))
    with pytest.raises(Refused, match="not this") as caught:
        f([1.0])
    assert isinstance(caught.value, SymgradError) and isinstance(caught.value.__cause__, Refused)
    assert "as_op([T.dvector]" in str(caught.value)


@symgrad.as_op(itypes=[T.dmatrix, T.dvector], otypes=[T.dvector])
def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solves."""
    return np.linalg.solve(matrix, right)


def test_as_op() -> None:
    m, v = T.dmatrix("m"), T.dvector("v")
    f = symgrad.function([m, v], solved(m, v) * 2)
    np.testing.assert_allclose(f(np.eye(2) * 2, [2.0, 4.0]), [2.0, 4.0])
    assert solved.__name__ == "solved" and solved.__doc__ == "Solves."
    with pytest.raises(NullTypeGradError, match="isn't written"):
        symgrad.grad(solved(m, v).sum(), v)
    with pytest.raises(DTypeError, match="takes"):
        solved(m, m)
    decorate = symgrad.as_op(T.dvector, [T.dvector, T.dscalar], lambda node, shapes: [shapes[0], ()])
    two = decorate(lambda x: [x * 2, x.sum()])
    x = T.tensor("float64", (3,))
    first, second = two(x)
    assert first.type.shape == (3,)
    np.testing.assert_array_equal(symgrad.function([x], [first, second])(np.ones(3))[0], [2, 2, 2])
    with pytest.raises(TypeError, match="must be types such as"):
        symgrad.as_op([3], [T.dvector])
    with pytest.raises(ShapeError, match="returned 1 values, and declares 2"):
        symgrad.function([x], symgrad.as_op(T.dvector, [T.dvector] * 2)(lambda x: x)(x)[0])(np.ones(3))


def test_functions_with_such_ops_pickle_and_copy() -> None:
    m, v, x = T.dmatrix("m"), T.dvector("v"), T.dvector("x")
    for f, arguments in ((symgrad.function([m, v], solved(m, v)), (np.eye(2), [1.0, 2.0])),
                         (symgrad.function([x], Scaled(2.0)(x)), ([1.0],))):  # fmt: skip
        for again in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f)):
            np.testing.assert_array_equal(again(*arguments), f(*arguments))


def test_nodes_made_of_variables() -> None:
    x = T.dvector("x")
    node = Scaled(1.0).make_node(x)
    assert node.nin == node.nout == 1 and node.default_output() is node.outputs[0] and node.outputs[0].owner is node
    node.tag.note = 3
    assert node.tag.note == 3
    with pytest.raises(TypeError, match="Apply takes variables, got float"):
        symgrad.Apply(Scaled(1.0), [1.0], [x.type()])
    with pytest.raises(ValueError, match="an output of Apply must be a fresh variable"):
        symgrad.Apply(Scaled(1.0), [x], [node.outputs[0]])
