"""Theano's ops and checks of networks: batch normalization, pooling along any number of axes, shapes, refused names."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from symgrad.compat.theano_names.activation import activated
from symgrad.compat.theano_names.errors import NotKeptError


@pytest.fixture
def theano() -> Iterator[Any]:
    with activated(floatX="float64") as module:
        yield module


def test_the_gradient_op_of_batch_normalization_agrees_with_the_gradient(theano: Any) -> None:
    T, bn = theano.tensor, importlib.import_module("theano.tensor.nnet.bn")
    rng = np.random.default_rng(0)
    x, scale, bias, dy = T.dmatrix(), T.drow(), T.drow(), T.dmatrix()
    out, mean, deviation = bn.AbstractBatchNormTrain((0,))(x, scale, bias, 1e-4)
    expected = theano.grad((out * dy).sum(), [x, scale, bias])
    made = bn.AbstractBatchNormTrainGrad((0,))(x, dy, scale, mean, deviation, 1e-4)
    values = [rng.normal(size=shape) for shape in ((6, 3), (1, 3), (1, 3), (6, 3))]
    f = theano.function([x, scale, bias, dy], [*made, *expected], on_unused_input="ignore")
    results = f(*values)
    for a, b in zip(results[:3], results[3:], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "average_exc_pad", "sum"])
def test_pooling_along_one_axis(theano: Any, mode: str) -> None:
    T, pool = theano.tensor, importlib.import_module("theano.tensor.signal.pool")
    images = np.random.default_rng(1).normal(size=(2, 3, 7))
    x = T.dtensor3()
    pooled = pool.Pool(ignore_border=True, mode=mode, ndim=1)(x, (3,), (2,), (0,))
    windows = np.lib.stride_tricks.sliding_window_view(images, 3, axis=2)[:, :, ::2]
    reduce = {"max": np.max, "sum": np.sum}.get(mode, np.mean)
    np.testing.assert_allclose(pooled.eval({x: images}), reduce(windows, axis=-1))
    weights = np.random.default_rng(2).normal(size=(2, 3, 3))
    kind = pool.MaxPoolGrad if mode == "max" else pool.AveragePoolGrad
    given = [x, pooled, weights] if mode == "max" else [x, weights]
    options = {} if mode == "max" else {"mode": mode}
    made = kind(ignore_border=True, ndim=1, **options)(*given, (3,), (2,), (0,))
    expected = theano.grad((pooled * weights).sum(), x)
    np.testing.assert_allclose(made.eval({x: images}), expected.eval({x: images}))


def test_shapes_of_convolutions_are_checked(theano: Any) -> None:
    T, conv = theano.tensor, importlib.import_module("theano.tensor.nnet.abstract_conv")
    sizes = [T.iscalar() for _ in range(4)]
    f = theano.function(sizes, conv.assert_conv_shape(sizes))
    assert [int(size) for size in f(0, 2, 3, 4)] == [0, 2, 3, 4]
    for wrong in ((1, 2, 0, 4), (-1, 2, 3, 4)):
        with pytest.raises(AssertionError, match="sizes of at least"):
            f(*wrong)
    with pytest.raises(ValueError, match="axis 2, got 0"):
        conv.assert_conv_shape((1, 2, 0, 4))
    shapes = ((5, 3, 9, 9), (4, 3, 3, 3))
    assert conv.check_conv_gradinputs_shape(*shapes, (5, None, 7, 7), "valid", (1, 1))
    assert not conv.check_conv_gradinputs_shape(*shapes, (5, 4, 8, 7), "valid", (1, 1))
    assert not conv.check_conv_gradinputs_shape(*shapes, (5, 4, 7, 7), "valid", (1, 1, 1))
    x = T.dmatrix()
    assert conv.assert_shape(x, (2, 3)) is x
    with theano.change_flags([("conv.assert_shape", True)]), pytest.raises(AssertionError, match="Unexpected shape"):
        theano.function([x], conv.assert_shape(x, (2, None)))(np.zeros((3, 3)))


def test_improbable_classes_that_no_label_names_leave_the_gradient_finite(theano: Any) -> None:
    T = theano.tensor
    p = T.dmatrix()
    loss = T.nnet.crossentropy_categorical_1hot(p, np.array([0, 1])).sum()
    found = theano.function([p], theano.grad(loss, p))(np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(found, [[-2, 0, 0], [0, -1, 0]])


def test_sizes_of_old_convolutions_may_be_constants_of_the_graph(theano: Any) -> None:
    T, conv = theano.tensor, importlib.import_module("theano.tensor.nnet.conv")
    images, filters = T.dtensor4(), T.dtensor4()
    result = conv.conv2d(images, filters, T.as_tensor_variable([3, 2, 8, 1]), T.as_tensor_variable([4, 2, 5, 1]))
    f = theano.function([images, filters], result)
    assert f(np.ones((3, 2, 8, 1)), np.ones((4, 2, 5, 1))).shape == (3, 4, 4, 1)


def test_a_constant_column_is_put_in_front(theano: Any) -> None:
    nnet = theano.tensor.nnet
    made = nnet.Prepend_scalar_constant_to_each_row(4.0)(np.array([[1.0], [2.0]])).eval()
    np.testing.assert_array_equal(made, [[4, 1], [4, 2]])


def test_internals_can_be_imported_and_refuse_when_used(theano: Any) -> None:
    assert importlib.import_module("theano.gof.opt").check_stack_trace(None, ops_to_check="all")
    sigm = importlib.import_module("theano.tensor.nnet.sigm")
    for use in (sigm.simplify_mul, lambda: sigm.register_local_1msigmoid.name):
        with pytest.raises(NotKeptError, match=r"theano\.tensor\.nnet\.sigm"):
            use()
