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
    assert theano.gpuarray.dnn.dnn_present.msg  # why not, as the doctor says it
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


# ---- names that larger programs import ----


def test_correlations_as_ops_and_their_gradients(theano: Any, T: Any) -> None:
    from theano.tensor.nnet.abstract_conv import AbstractConv2d, BaseAbstractConv
    from theano.tensor.nnet.corr import CorrMM, CorrMM_gradInputs, CorrMM_gradWeights
    from theano.tensor.nnet.corr3d import Corr3dMM, Corr3dMM_gradInputs, Corr3dMM_gradWeights

    rng = np.random.RandomState(0)
    cases: list[Any] = [
        (2, "valid", 1, (CorrMM, CorrMM_gradWeights, CorrMM_gradInputs)),
        (2, (1, 0), 2, (CorrMM, CorrMM_gradWeights, CorrMM_gradInputs)),
        (3, "valid", 1, (Corr3dMM, Corr3dMM_gradWeights, Corr3dMM_gradInputs)),
    ]
    for count, mode, step, (corr, of_filters, of_images) in cases:
        x, w, g = [T.TensorType("float64", [False] * (2 + count))(name) for name in "xwg"]
        images, filters = rng.normal(size=(2, 2) + (5,) * count), rng.normal(size=(3, 2, 3) + (2,) * (count - 1))
        options = {"border_mode": mode, "subsample": (step,) * count}
        result = corr(**options)(x, w)
        sizes = [[v.shape[2 + axis] for axis in range(count)] if step > 1 else None for v in (w, x)]
        built = [of_filters(**options)(x, g, sizes[0]), of_images(**options)(w, g, sizes[1])]
        values = {x: images, w: filters, g: np.ones(result.eval({x: images, w: filters}).shape)}
        for found, wrt in zip(built, (w, x), strict=True):
            np.testing.assert_allclose(
                found.eval(values), T.grad(result.sum(), wrt).eval({x: images, w: filters}), atol=1e-12
            )
        if mode == "valid":
            window = tuple(slice(0, size) for size in filters.shape[2:])
            first = (images[(0, slice(None), *window)] * filters[1]).sum()
            np.testing.assert_allclose(result.eval({x: images, w: filters})[(0, 1) + (0,) * count], first)
    assert isinstance(AbstractConv2d(), BaseAbstractConv)
    assert isinstance(CorrMM()(T.dtensor4(), T.dtensor4()).owner.op, BaseAbstractConv)
    with pytest.raises(ValueError, match="shape must be given"):
        CorrMM_gradWeights(subsample=(2, 2))(T.dtensor4(), T.dtensor4())


def test_gradients_of_pooling_as_ops(theano: Any, T: Any) -> None:
    from theano.tensor.signal import pool

    x, g = T.dtensor4("x"), T.dtensor4("g")
    images = np.random.RandomState(0).permutation(32).reshape(1, 2, 4, 4) + 0.5
    built = [
        pool.MaxPoolGrad(True)(x, None, g, (2, 2)), pool.AveragePoolGrad(True)(x, g, (2, 2)),
        pool.MaxPoolRop(True)(x, x * 2, (2, 2)), pool.DownsampleFactorMaxGradGrad(True)(x, None, x * 2, (2, 2)),
    ]  # fmt: skip
    f = theano.function([x, g], built)
    most, mean, forward, again = f(images, np.full((1, 2, 2, 2), 3.0))
    maxima = images.reshape(1, 2, 2, 2, 2, 2).max((3, 5))
    np.testing.assert_array_equal(most, 3.0 * np.isin(images, maxima))
    np.testing.assert_allclose(mean, np.full(images.shape, 0.75))
    np.testing.assert_allclose([forward, again], [2 * maxima] * 2)
    with pytest.raises(ValueError, match="mode"):
        pool.PoolGrad(True, "median")._pooled(x, (2, 2), None, None)


def test_scalar_composites_identity_and_xlogx(theano: Any, T: Any) -> None:
    from theano.tensor.xlogx import XlogX, XlogY0, xlogx, xlogy0

    a, b = theano.scalar.floats("ab")
    both = theano.scalar.Composite([a, b], [a * b, a + b])
    x = T.dmatrix("x")
    values = np.arange(6.0).reshape(2, 3)
    found = theano.function([x], T.Elemwise(both)(x, 2.0))(values)
    np.testing.assert_allclose(found, [values * 2, values + 2])
    assert both.impl(2.0, 3.0) == [6, 5] and (both.nin, both.nout) == (2, 2)
    with pytest.raises(TypeError, match="2 operands"):
        both(x)
    one = T.Elemwise(theano.scalar.Identity(theano.scalar.same_out))(x) + theano.scalar.identity(x)
    np.testing.assert_allclose(one.eval({x: values}), 2 * values)
    assert isinstance(xlogx(x).owner.op.scalar_op, XlogX) and isinstance(xlogy0(x, x).owner.op.scalar_op, XlogY0)


def test_variables_of_graphs_are_mapped(theano: Any, T: Any) -> None:
    from theano.compile.pfunc import rebuild_collect_shared
    from theano.scan_module.scan_utils import map_variables

    x = T.dscalar("x")
    y = x * 2
    z = y + 1
    y.tag.replacement, z.tag.replacement = x * 10, z * y
    found = map_variables(lambda v: getattr(v.tag, "replacement", v), [z, y, x])
    assert [v.eval({x: 3.0}) for v in found[:2]] == [31 * 30, 30] and found[2] is x
    with pytest.raises(NotKeptError, match="Replace variables"):
        map_variables(lambda v: v, [theano.map(lambda s: s * 2, T.dvector())[0]])
    with pytest.raises(NotKeptError, match=r"theano\.clone"):
        rebuild_collect_shared([z])


def test_helpers_of_random_numbers_and_transforms(theano: Any, T: Any) -> None:
    from theano.sandbox import rng_mrg
    from theano.tensor.fft import IRFFTOp, RFFTOp
    from theano.tensor.raw_random import permutation_helper

    assert rng_mrg.guess_n_streams((1,)) == 1 and rng_mrg.guess_n_streams(T.iscalar()) == 60 * 256
    state = np.arange(1, 7)
    shift = np.roll(np.eye(3, dtype=int), 1, axis=1) * 2**30
    halves = [[int(row @ part.astype(object)) % m for row in shift.astype(object)]
              for part, m in ((state[:3], rng_mrg.M1), (state[3:], rng_mrg.M2))]  # fmt: skip
    assert rng_mrg.multMatVect(state, shift, rng_mrg.M1, shift, rng_mrg.M2).tolist() == halves[0] + halves[1]
    stream = rng_mrg.MRG_RandomStreams(5)
    states = theano.shared(stream.get_substream_rstates(3, "float64", inc_rstate=False))
    after, sample = rng_mrg.mrg_uniform(T.dvector)(states, (18,))
    np.testing.assert_array_equal(sample.eval(), rng_mrg.MRG_RandomStreams(5).uniform((18,), dtype="float64").eval())
    np.testing.assert_array_equal(after.eval(), rng_mrg.mrg_uniform.new(states, 1, "float64", (18,))[0].eval())
    drawn = permutation_helper(np.random.RandomState(1), 4, (2, 3))
    assert drawn.shape == (2, 3, 4) and (np.sort(drawn) == np.arange(4)).all()
    x = T.dmatrix("x")
    values = np.random.RandomState(0).normal(size=(2, 5))
    parts = RFFTOp()(x, x.shape[1:])
    expected = np.fft.rfft(values)
    np.testing.assert_allclose(parts.eval({x: values}), np.stack([expected.real, expected.imag], -1), atol=1e-12)
    np.testing.assert_allclose(IRFFTOp()(parts, x.shape[1:]).eval({x: values}), 5 * values)


def test_sets_mappings_and_helpers(theano: Any, T: Any) -> None:
    from theano.gof import utils
    from theano.misc.doubleop import DoubleOp
    from theano.misc.frozendict import frozendict
    from theano.misc.ordered_set import OrderedSet

    items = OrderedSet("cab")
    items.update("ad")
    items.difference_update("c")
    assert list(items) == list("abd") and items.pop(last=False) == "a" and list(reversed(items)) == ["d", "b"]
    assert items.union("xb") == ["b", "d", "x"] and items & {"d"} == {"d"} and len(OrderedSet()) == 0
    assert hash(frozendict(a=1)) == hash(frozendict({"a": 1})) and frozendict(a=1).copy(a=2)["a"] == 2
    x = T.dvector("x")
    theano.gradient.verify_grad(DoubleOp(), [np.ones(3)], rng=np.random.RandomState(0))
    assert DoubleOp()(x).eval({x: [1, 2]}).tolist() == [2, 4]
    assert utils.toposort({"c": ["b"], "b": ["a"], "a": []}) == ["a", "b", "c"]
    assert utils.give_variables_names([T.dscalar("a"), T.dscalar("a")]) == ["a", "a_1"]
    assert utils.hist("aab") == {"a": 2, "b": 1} and utils.type_guard(int)(3) and utils.add_tag_trace(x) is x
    assert utils.simple_extract_stack(limit=1)[0].name == "simple_extract_stack" and utils.object2 is not object
    with pytest.warns(DeprecationWarning, match="old.py"):
        assert utils.deprecated("old.py")(abs)(-1) == 1


def test_checks_of_both_modes(theano: Any, T: Any) -> None:
    from theano.misc.doubleop import DoubleOp
    from theano.tensor.slinalg import CholeskyGrad
    from theano.tests import unittest_tools
    from theano.tests.test_rop import RopLop_checker

    checker = RopLop_checker()
    checker.setUp()
    checker.check_rop_lop(T.tanh(checker.x) * checker.x.sum(), checker.in_shape)
    checker.check_mat_rop_lop(checker.mx.sum(axis=0), (checker.mat_in_shape[1],))
    with pytest.raises(AssertionError):
        checker.check_nondiff_rop(checker.x * 2)
    checker.check_nondiff_rop(T.round(T.zeros(3)))

    class Wrong(DoubleOp):
        def R_op(self, inputs: Any, eval_points: Any) -> Any:
            return [eval_points[0] * 3]

    with pytest.raises(unittest_tools.WrongValue):
        checker.check_rop_lop(Wrong()(checker.x), checker.in_shape)
    a, z = T.dmatrices("az")
    square = np.array([[4.0, 1.0], [1.0, 3.0]])
    found = CholeskyGrad()(a, None, z).eval({a: square, z: np.ones((2, 2))})
    for i, j in ((0, 0), (1, 0), (1, 1)):
        step = np.zeros((2, 2))
        step[i, j] = step[j, i] = 1e-6
        slope = (np.linalg.cholesky(square + step).sum() - np.linalg.cholesky(square - step).sum()) / 2e-6
        np.testing.assert_allclose(found[i, j], slope, rtol=1e-5)


def test_axis_of_join_may_be_a_known_variable(theano: Any, T: Any) -> None:
    x = T.dmatrix("x")
    for axis in (T.constant(1), T.constant(0) + 1, T.constant(-1)):
        assert T.join(axis, x, x).eval({x: np.zeros((2, 3))}).shape == (2, 6)
    with pytest.raises(TypeError, match="needs integers as axes"):
        T.join(T.iscalar(), x, x)
