"""What some of Theano's names do here: op classes, types, scalars, printing, pickles, tools of tests, GPU checks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from symgrad.compat.theano_names.activation import activated
from symgrad.compat.theano_names.errors import NotKeptError


@pytest.fixture(autouse=True)
def theano() -> Iterator[Any]:
    with activated() as module:
        yield module


@pytest.fixture
def T(theano: Any) -> Any:
    return theano.tensor


@pytest.mark.parametrize(
    "line",
    ["from theano.gof import local_optimizer", "from theano.gof.opt import PatternSub", "import theano.gof.cmodule",
     "from theano.compile import optdb", "from theano.tensor.opt import register_canonicalize",
     "from theano.sandbox.cuda.blas import GpuCorrMM", "import theano.gpuarray.opt"],
)  # fmt: skip
def test_internals_are_refused_by_module_or_word(line: str) -> None:
    with pytest.raises(ImportError, match="symgrad doesn't keep Theano's") as caught:
        exec(line)
    assert isinstance(caught.value, NotKeptError)


# ---- classes of ops ----


def test_isinstance_knows_symgrads_ops(theano: Any, T: Any) -> None:
    x = T.dmatrix("x")
    assert isinstance(T.exp(x).owner.op, T.Elemwise) and T.exp(x).owner.op == T.exp
    assert T.exp(x).owner.op != T.log
    assert isinstance(T.exp(x).owner.op.scalar_op, theano.scalar.Exp)
    assert not isinstance(T.exp(x).owner.op.scalar_op, theano.scalar.Log)
    assert isinstance(x.T.owner.op, T.DimShuffle) and not isinstance(x.T.owner.op, T.Elemwise)
    assert isinstance(x.sum().owner.op, T.elemwise.Sum) and not isinstance(x.sum().owner.op, T.elemwise.Prod)
    assert isinstance(T.dot(x, x).owner.op, T.Dot)
    assert isinstance(x[0].owner.op, T.Subtensor) and isinstance(x[[0]].owner.op, T.AdvancedSubtensor1)
    with pytest.raises(AttributeError):
        x.T.owner.op.scalar_op


def test_classes_take_parameters_and_then_operands(theano: Any, T: Any) -> None:
    values = np.arange(6.0).reshape(2, 3)
    x = T.dmatrix("x")
    built = [
        (T.elemwise.Sum(axis=[0])(x), values.sum(0)), (T.elemwise.Prod(1)(x), values.prod(1)),
        (T.elemwise.CAReduce(theano.scalar.maximum, axis=0)(x), values.max(0)),
        (T.DimShuffle((False, False), (1, "x", 0))(x), values.T[:, None]), (T.Reshape(1)(x, (6,)), values.ravel()),
        (T.Flatten(1)(x), values.ravel()), (T.Rebroadcast((0, False))(x), values), (T.Dot()(x, x.T), values @ values.T),
        (T.Join()(0, x, x), np.vstack([values] * 2)), (T.Split(2)(x, 1, [1, 2])[1], values[:, 1:]),
        (T.Elemwise(theano.scalar.add)(x, x), 2 * values), (T.exp.make_node(x).outputs[0], np.exp(values)),
        (T.MaxAndArgmax((0,))(x)[0], values.max(0)), (T.IncSubtensor(())(x, 1.0, 0), values + np.array([[1], [0]])),
        (theano.tensor.nlinalg.MatrixInverse()(T.dot(x, x.T)), np.linalg.inv(values @ values.T)),
    ]  # fmt: skip
    for expression, expected in built:
        np.testing.assert_allclose(expression.eval({x: values}), expected)


def test_add_and_mul_take_any_number(theano: Any, T: Any) -> None:
    a, b, c = T.dscalars("abc")
    f = theano.function([a, b, c], [T.add(a, b, c), T.mul(a, b, c), T.inplace.add_inplace(a, b)])
    assert [float(v) for v in f(2, 3, 5)] == [10, 30, 5]


# ---- types and scalars ----


def test_types(theano: Any, T: Any) -> None:
    kind = T.TensorType("float32", (False, True), name="narrow")
    assert kind == T.TensorType(dtype="float32", broadcastable=[False, True]) == T.fcol
    assert isinstance(kind, T.TensorType) and isinstance(T.matrix().type, T.TensorType)
    assert kind.filter([[1], [2]]).dtype == np.float32
    for value, options in (([[0.1]], {}), ([[1]], {"strict": True}), ([1], {}), ([[1, 2]], {})):
        with pytest.raises(TypeError):
            kind.filter(value, **options)
    assert kind.clone(dtype="float64") == T.dcol and kind.make_variable("v").name == "v"
    assert T.fmatrix.is_super(kind) and not kind.is_super(T.fmatrix) and kind.in_same_class(T.fcol)
    assert kind.filter_variable(T.fmatrix()).broadcastable == (False, True)
    with pytest.raises(TypeError, match="Cannot convert"):
        kind.filter_variable(T.dmatrix())
    nan = np.array([np.nan])
    assert T.TensorType.values_eq(nan, nan) and T.TensorType.values_eq_approx(nan + 0, nan)
    assert not T.TensorType.values_eq_approx(np.zeros(2), np.ones(2))


def test_a_scalar_function_of_the_programs_own(theano: Any, T: Any) -> None:
    class Cube(theano.scalar.UnaryScalarOp):
        def impl(self, x: float) -> float:
            return x * x * x

        def grad(self, inputs: Any, gradients: Any) -> Any:
            return [gradients[0] * 3 * inputs[0] ** 2]

    cube = T.Elemwise(Cube(theano.scalar.upgrade_to_float, name="cube"), name="cubes")
    x = T.dmatrix("x")
    f = theano.function([x], [cube(x), T.grad(cube(x).sum(), x)])
    values = np.array([[1.0, 2.0], [-1.0, 0.5]])
    np.testing.assert_allclose(f(values), [values**3, 3 * values**2])
    theano.gradient.verify_grad(cube, [values], rng=np.random.RandomState(0))
    assert theano.scalar.float64("a").type == T.dscalar
    assert [v.name for v in theano.scalar.floats("xyz")] == ["x", "y", "z"]


def test_plural_constructors(T: Any) -> None:
    assert [v.name for v in T.dscalars("xy")] == ["x", "y"] == [v.name for v in T.dscalars("x", "y")]
    assert len(T.matrices(3)) == 3 and T.vectors("x").name == "x"


# ---- what is written, kept and checked ----


def test_expressions_are_written_as_theano_writes_them(theano: Any, T: Any) -> None:
    x, y = T.dmatrices("xy")
    assert theano.pp(x + y) == "(x + y)" == theano.pprint(x + y)
    assert theano.pp(T.dot(T.exp(x), y) - x) == "((exp(x) \\dot y) - x)"
    deep = x
    for _ in range(60):
        deep = deep + deep
    assert len(theano.pp(deep)) < 20_000
    assert theano.printing.debugprint(T.exp(x), file="str").startswith("exp [id A]")
    assert theano.printing.min_informative_str(T.exp(x)) == theano.printing.debugprint(T.exp(x), file="str").strip()


def test_pickles_keep_arrays_beside(theano: Any) -> None:
    import zipfile

    from theano.misc.pkl_utils import dump, load

    weights = theano.shared(np.ones((2, 3)), name="weights")
    file = io.BytesIO()
    dump({"w": weights, "again": weights, "plain": [np.arange(3), np.zeros(2)]}, file)
    assert "weights" in zipfile.ZipFile(file).namelist()
    found = load(file)
    assert found["again"] is found["w"] and found["w"].get_value().sum() == 6
    np.testing.assert_array_equal(found["plain"][0], [0, 1, 2])


def test_tools_of_tests(theano: Any, T: Any) -> None:
    from theano.tests import unittest_tools

    assert unittest_tools.fetch_seed() == unittest_tools.seed_rng() == 666
    unittest_tools.verify_grad(T.tanh, [np.array([0.1, 0.2])])
    with pytest.raises(unittest_tools.WrongValue):
        unittest_tools.assert_allclose(np.zeros(3), np.full(3, 0.1))
    unittest_tools.assert_allclose(np.zeros(3), np.full(3, 1e-6))
    numeric = theano.gradient.numeric_grad(lambda x: (x**2).sum(), np.array([1.0, 3.0]))
    np.testing.assert_allclose(numeric.gf, [2, 6], rtol=1e-4)
    assert numeric.max_err([np.array([2.0, 7.0])], 1.0, 1.0)[:2] == (0, 1)


def test_gpu_checks_take_the_cpu(theano: Any, T: Any) -> None:
    from theano.sandbox.cuda import cuda_available, dnn
    from theano.sandbox.cuda.basic_ops import gpu_contiguous

    assert not cuda_available and not dnn.dnn_available() and cuda_available == False  # noqa: E712
    assert "CUDA" in theano.gpuarray.dnn.dnn_present.msg
    x, w = T.dtensor4(), T.dtensor4()
    images, filters = np.random.RandomState(0).normal(size=(1, 2, 4, 4)), np.ones((1, 2, 2, 2))
    found = dnn.dnn_conv(gpu_contiguous(x), w, conv_mode="cross").eval({x: images, w: filters})
    np.testing.assert_allclose(found[0, 0, 0, 0], images[0, :, :2, :2].sum())
    assert dnn.dnn_pool(x, (2, 2), (2, 2)).eval({x: images}).shape == (1, 2, 2, 2)


@pytest.mark.parametrize(
    ("image", "kernel", "mode", "step", "dilation"),
    [(7, 3, "valid", 1, 1), (7, 3, "full", 2, 1), (7, 3, "half", 2, 2), (8, 2, 1, 3, 1), (8, 3, (1, 2), 1, 2)],
)
def test_sizes_of_convolutions(
    theano: Any, T: Any, image: int, kernel: int, mode: Any, step: int, dilation: int
) -> None:
    from theano.tensor.nnet import abstract_conv

    x, w = T.dtensor4(), T.dtensor4()
    border = mode if isinstance(mode, str) else (mode, mode)
    conv = T.nnet.conv2d(x, w, border_mode=border, subsample=(step, step), filter_dilation=(dilation, dilation))
    found = conv.eval({x: np.zeros((2, 1, image, image)), w: np.zeros((3, 1, kernel, kernel))}).shape
    said = abstract_conv.get_conv_output_shape(
        (2, 1, image, image), (3, 1, kernel, kernel), border, (step, step), (dilation, dilation)
    )
    assert said == found
    if step == 1 and mode != "half":
        back = abstract_conv.get_conv_gradweights_shape((2, 1, image, image), found, border, (1, 1), (dilation,) * 2)
        assert back == (3, 1, kernel, kernel)
        again = abstract_conv.get_conv_gradinputs_shape((3, 1, kernel, kernel), found, border, (1, 1), (dilation,) * 2)
        assert again == (2, 1, image, image)


def test_three_dimensional_convolutions_of_old(theano: Any, T: Any) -> None:
    from theano.tensor.nnet.Conv3D import conv3D
    from theano.tensor.nnet.conv3d2d import conv3d
    from theano.tensor.signal.conv import conv2d

    rng = np.random.RandomState(0)
    signals, filters = rng.normal(size=(1, 4, 2, 5, 5)), rng.normal(size=(3, 2, 2, 3, 3))
    found = conv3d(T.as_tensor_variable(signals), T.as_tensor_variable(filters)).eval()
    flipped = filters[:, ::-1, :, ::-1, ::-1]
    assert found.shape == (1, 3, 3, 3, 3)  # batch, time, filter, rows, columns
    np.testing.assert_allclose(found[0, 1, 2, 0, 2], (signals[0, 1:3, :, 0:3, 2:5] * flipped[2]).sum())
    V, W = rng.normal(size=(1, 4, 4, 4, 2)), rng.normal(size=(3, 2, 2, 2, 2))
    corr = conv3D(T.as_tensor_variable(V), T.as_tensor_variable(W), T.zeros(3), (1, 1, 1)).eval()
    np.testing.assert_allclose(corr[0, 0, 1, 2, 1], (V[0, 0:2, 1:3, 2:4] * W[1]).sum())
    one, many = rng.normal(size=(4, 4)), rng.normal(size=(3, 2, 2))
    plain = conv2d(T.as_tensor_variable(one), T.as_tensor_variable(many)).eval()
    np.testing.assert_allclose(plain[1, 0, 0], (one[:2, :2] * many[1, ::-1, ::-1]).sum())
