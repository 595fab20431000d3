"""Unit tests of tensors in the manner of those that Theano came with."""

import operator
import unittest

import numpy as np
from numpy.testing import assert_array_equal

import theano
from theano import compile, config, function, gof, shared, tensor
from theano.compat import PY3, exc_message
from theano.compile.mode import get_default_mode
from theano.tensor import (
    Alloc, Argmax, MaxAndArgmax, Join, Reshape, Dot, TensorType, addbroadcast, alloc, as_tensor_variable,
    bmatrix, bscalar, clip, constant, cscalar, default, dmatrix, dot, dscalar, dvector, eq, fmatrix, fscalar, fvector,
    get_scalar_constant_value, grad, hessian, horizontal_stack, imatrix, inplace, iscalar, itensor3, ivector, join,
    lscalar, lvector, matrix, max_and_argmax, mean, nonzero, opt, patternbroadcast, scalar, scalars, second, shape,
    smallest, stack, sub, sum, tensor3, tensor4, tile, tensordot, tri, tril, triu, unbroadcast, vector,
    vectors, vertical_stack, wmatrix, zvector, NotScalarConstantError, ScalarFromTensor, TensorFromScalar, Tri, Eye,
    EmptyConstantError, PermuteRowElements, inverse_permutation, permute_row_elements, nonzero_values, flatnonzero,
    choose, batched_dot, power, ogrid, mgrid, swapaxes, ptp, roll, stacklists, diag, Diagonal, AllocDiag)
from theano.tests import unittest_tools as utt
from theano.tests.unittest_tools import attr

if config.mode == "FAST_COMPILE":
    mode_opt = "FAST_RUN"
else:
    mode_opt = get_default_mode()


def rand(*shape):
    r = np.random.rand(*shape) * 2 - 1
    return np.asarray(r, dtype=config.floatX)


def eval_outputs(outputs, ops=(), mode=None):
    f = function([], outputs, mode=mode)
    variables = f()
    if isinstance(variables, (tuple, list)) and len(variables) == 1:
        return variables[0]
    return variables


def make_broadcast_tester(op, expected, dtypes=("float64", "float32", "int8", "int32")):
    class Checker(unittest.TestCase):
        def setUp(self):
            utt.seed_rng()

        def test_good(self):
            for dtype in dtypes:
                for shapes in (((2, 3), (2, 3)), ((2, 3), (1, 3)), ((2, 3), (2, 1)), ((0, 3), (1, 3))):
                    values = [(np.random.uniform(1, 9, s)).astype(dtype) for s in shapes]
                    symbols = [TensorType(dtype, [n == 1 for n in s])() for s in shapes]
                    f = function(symbols, op(*symbols))
                    wanted = expected(*values)
                    found = f(*values)
                    self.assertEqual(found.shape, wanted.shape)
                    utt.assert_allclose(wanted, found, rtol=1e-4)

        def test_bad_runtime(self):
            x, y = tensor.matrices("x", "y")
            f = function([x, y], op(x, y))
            for one, other in (((2, 3), (3, 2)), ((2, 3), (1, 3)), ((2, 3), (2, 1))):
                self.assertRaises(ValueError, f, rand(*one), rand(*other))

        def test_grad(self):
            if "float64" not in dtypes or op in (tensor.int_div, tensor.floor_div):
                return
            utt.verify_grad(op, [np.random.uniform(1, 2, (2, 3)), np.random.uniform(2.5, 3, (2, 3))], mode=mode_opt)
            utt.verify_grad(op, [np.random.uniform(1, 2, (2, 3)), np.random.uniform(2.5, 3, (1, 3))])

    return Checker


AddTester = make_broadcast_tester(tensor.add, np.add)
SubTester = make_broadcast_tester(tensor.sub, np.subtract)
MulTester = make_broadcast_tester(tensor.mul, np.multiply, ("float64", "float32", "int32"))
MaximumTester = make_broadcast_tester(tensor.maximum, np.maximum)
MinimumTester = make_broadcast_tester(tensor.minimum, np.minimum)
TrueDivTester = make_broadcast_tester(tensor.true_div, np.true_divide, ("float64", "float32", "int32"))
IntDivTester = make_broadcast_tester(tensor.int_div, np.floor_divide)
ModTester = make_broadcast_tester(tensor.mod, np.mod)
PowTester = make_broadcast_tester(tensor.pow, np.power, ("float64",))
Arctan2Tester = make_broadcast_tester(tensor.arctan2, np.arctan2, ("float64", "float32"))
SwitchedTester = make_broadcast_tester(lambda x, y: tensor.switch(tensor.gt(x, y), x, y), np.maximum)


class UnaryTester(unittest.TestCase):
    def test_functions(self):
        for name, low, high in (
            ("exp", -2, 2), ("exp2", -2, 2), ("expm1", -2, 2), ("log", 0.1, 5), ("log2", 0.1, 5), ("log10", 0.1, 5),
            ("log1p", -0.5, 2), ("sin", -3, 3), ("cos", -3, 3), ("tan", -1, 1), ("arcsin", -0.9, 0.9),
            ("arccos", -0.9, 0.9), ("arctan", -3, 3), ("sinh", -2, 2), ("cosh", -2, 2), ("tanh", -2, 2),
            ("arcsinh", -3, 3), ("arccosh", 1.1, 5), ("arctanh", -0.9, 0.9), ("sqrt", 0.1, 4), ("deg2rad", -180, 180),
            ("rad2deg", -3, 3),
        ):
            op = getattr(tensor, name)
            x = tensor.dmatrix("x")
            value = np.random.RandomState(1).uniform(low, high, (3, 4))
            utt.assert_allclose(getattr(np, name)(value), function([x], op(x))(value))
            utt.verify_grad(op, [value])
            in_place = getattr(tensor.inplace, name + "_inplace")
            utt.assert_allclose(getattr(np, name)(value), function([theano.In(x, mutable=True)], in_place(x),
                                                                   accept_inplace=True)(value.copy()))

    def test_roundings(self):
        value = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4])
        x = dvector()
        for op, expected in (
            (tensor.round_half_to_even, np.round(value)), (lambda x: tensor.round(x, mode="half_to_even"), value.round()),
            (tensor.round_half_away_from_zero, np.array([-3, -2, -1, 1, 2, 3, 2.])),
            (tensor.iround, np.array([-3, -2, -1, 1, 2, 3, 2])), (tensor.ceil, np.ceil(value)), (tensor.floor, np.floor(value)),
            (tensor.trunc, np.trunc(value)), (tensor.sgn, np.sign(value)), (tensor.neg, -value), (abs, abs(value)),
            (tensor.inv, 1 / value), (tensor.sqr, value ** 2), (tensor.isnan, np.isnan(value)),
        ):
            assert_array_equal(function([x], op(x))(value), expected)
        self.assertEqual(tensor.iround(x).dtype, "int64")

    def test_special(self):
        import scipy.special
        value = np.random.RandomState(1).uniform(0.2, 0.9, (3, 4))
        x = tensor.dmatrix()
        for name, other in (("erf", "erf"), ("erfc", "erfc"), ("erfinv", "erfinv"), ("erfcinv", "erfcinv"),
                            ("erfcx", "erfcx"), ("gamma", "gamma"), ("gammaln", "gammaln"), ("psi", "psi"),
                            ("j0", "j0"), ("j1", "j1"), ("i0", "i0"), ("i1", "i1")):
            utt.assert_allclose(getattr(scipy.special, other)(value), function([x], getattr(tensor, name)(x))(value))
            utt.verify_grad(getattr(tensor, name), [value])
        utt.assert_allclose(scipy.special.jv(2.5, value), function([x], tensor.jv(2.5, x))(value))
        utt.assert_allclose(scipy.special.polygamma(1, value), function([x], tensor.tri_gamma(x))(value))
        utt.assert_allclose(scipy.special.chdtrc(3, value), function([x], tensor.chi2sf(x, 3))(value))


class CastTester(unittest.TestCase):
    def test_all(self):
        for source in ("bool", "int8", "int16", "int32", "int64", "uint8", "float32", "float64"):
            for target in ("int8", "int64", "uint16", "float32", "float64", "complex64", "complex128"):
                x = TensorType(source, [False])("x")
                y = tensor.cast(x, target)
                self.assertEqual(y.dtype, target)
                value = np.array([0, 1, 1], source)
                assert_array_equal(function([x], y)(value), value.astype(target))
                assert y.astype(target) is y

    def test_complex_to_real(self):
        self.assertRaises(TypeError, tensor.cast, zvector(), "float64")
        self.assertRaises(TypeError, tensor.cast, tensor.cvector(), "int32")

    def test_cast_to_same_is_the_variable(self):
        x = dmatrix()
        assert tensor.cast(x, "float64") is x
        assert x.astype("float64") is x


class Test_constants(unittest.TestCase):
    def test_autocast(self):
        with theano.config.change_flags(floatX="float32"):
            assert (fvector() + 1.1).dtype == "float32"
            assert (fvector() + theano._asarray(1.1, dtype="float64")).dtype == "float64"

    def test_scalar_constants(self):
        self.assertEqual(get_scalar_constant_value(tensor.as_tensor_variable(3)), 3)
        self.assertEqual(get_scalar_constant_value(np.array(3)), 3)
        a = tensor.stack([1, 2, 3])
        self.assertEqual(get_scalar_constant_value(a[0]), 1)
        self.assertRaises(NotScalarConstantError, get_scalar_constant_value, tensor.scalar())
        self.assertRaises(NotScalarConstantError, get_scalar_constant_value, tensor.as_tensor_variable([0, 1]))
        self.assertEqual(get_scalar_constant_value(tensor.constant([[[3]]])), 3)
        c = tensor.alloc(np.asarray(4, dtype="float64"), 3, 2)
        self.assertEqual(get_scalar_constant_value(c[0, 1]), 4)
        self.assertEqual(tensor.extract_constant(tensor.constant(5)), 5)
        x = tensor.row()
        self.assertEqual(get_scalar_constant_value(x.shape[0]), 1)
        s = theano.scalar.constant(2)
        self.assertEqual(get_scalar_constant_value(tensor.tensor_from_scalar(s)), 2)

    def test_as_tensor_variable(self):
        x = as_tensor_variable(np.array([1, 0], dtype="int8"))
        self.assertEqual(x.dtype, "int8")
        self.assertRaises(TypeError, as_tensor_variable, object())
        self.assertRaises((TypeError, ValueError), as_tensor_variable, [[1, 2], [1]])
        y = as_tensor_variable([tensor.scalar(), tensor.scalar()])
        self.assertEqual(y.ndim, 1)
        self.assertEqual(as_tensor_variable(tensor.vector(), ndim=2).broadcastable, (True, False))
        self.assertRaises(ValueError, as_tensor_variable, tensor.matrix(), ndim=1)
        self.assertEqual(as_tensor_variable(2, name="two").name, "two")
        n = tensor.constant(np.arange(3))
        assert_array_equal(n.data, [0, 1, 2])
        assert_array_equal(n.value, [0, 1, 2])
        self.assertTrue(tensor.constant(1).equals(tensor.constant(1)))
        self.assertEqual(n.signature(), tensor.constant(np.arange(3)).signature())

    def test_mutating_constants_raises(self):
        self.assertRaises((TypeError, ValueError), operator.setitem, tensor.vector(), 0, 1)


class T_max_and_argmax(unittest.TestCase):
    def setUp(self):
        utt.seed_rng()
        MaxAndArgmax.debug = 0

    def test_basic(self):
        n = as_tensor_variable(5.0)
        v, i = eval_outputs(max_and_argmax(n))
        self.assertTrue(v == 5.0)
        self.assertTrue(i == 0)
        assert i.dtype == "int64"
        v = eval_outputs(max_and_argmax(n)[0].shape)
        assert len(v) == 0

    def test_axes(self):
        data = rand(2, 3, 4)
        n = as_tensor_variable(data)
        for axis in (-1, 0, 1, 2, None, [1], (0, 2), [0, 1, 2], np.array(1), tensor.constant(1)):
            v, i = eval_outputs(max_and_argmax(n, axis))
            assert i.dtype == "int64"
            np_axis = None if axis is None else (
                tuple(axis) if isinstance(axis, (list, tuple)) else int(axis.data if isinstance(axis, tensor.Constant) else axis))
            utt.assert_allclose(v, data.max(axis=np_axis))
        for axis in (3, -4, [0, 5]):
            self.assertRaises((ValueError, IndexError), max_and_argmax, n, axis)
        self.assertRaises(TypeError, max_and_argmax, n, 0.5)
        self.assertRaises(ValueError, tensor.max, n, 3)
        self.assertRaises(TypeError, tensor.max, n, tensor.lscalar())

    def test_nan(self):
        data = rand(2, 3)
        data[1, 1] = np.nan
        v, i = eval_outputs(max_and_argmax(as_tensor_variable(data), 1))
        assert np.isnan(v[1]) and i[1] == 1
        f = function([], tensor.min(as_tensor_variable(data)))
        assert np.isnan(f())

    def test_grad(self):
        data = np.random.permutation(24).reshape(2, 3, 4) * 1.0
        n = as_tensor_variable(data)
        for axis in (0, 1, 2, None, (0, 1)):
            utt.verify_grad(lambda v: max_and_argmax(v, axis=axis)[0], [data])
            utt.verify_grad(lambda v: tensor.min(v, axis=axis), [data])
        x = dmatrix()
        place = tensor.argmax(x, axis=1)
        self.assertEqual(place.dtype, "int64")
        assert_array_equal(function([x], grad(place.sum().astype("float64") + x.sum(), x))(data[0]), np.ones((3, 4)))
        m = function([x], grad(tensor.max(x), x))(np.array([[1.0, 2.0], [2.0, 0.0]]))
        assert_array_equal(m, [[0, 1], [1, 0]])

    def test_uint(self):
        for dtype in ("uint8", "uint16", "uint32", "uint64"):
            i = np.array([0, 5, np.iinfo(dtype).max, 3], dtype)
            self.assertEqual(tensor.min(as_tensor_variable(i)).eval(), 0)
            self.assertEqual(tensor.max(as_tensor_variable(i)).eval(), np.iinfo(dtype).max)
        for op in (tensor.max, tensor.min):
            assert op(tensor.constant(np.array([True, False]))).dtype == "bool"


class T_Join_and_Split(unittest.TestCase):
    def setUp(self):
        utt.seed_rng()
        self.split_op_class = tensor.basic.Split
        self.join_op = Join()

    def test_join_scalar(self):
        a = as_tensor_variable(1)
        b = as_tensor_variable(2)
        self.assertRaises(TypeError, join, 0, a, b)

    def test_stack_mixed_type_constants(self):
        a, b = as_tensor_variable(1), as_tensor_variable(2.0)
        s = stack([a, b, as_tensor_variable(3.0)])
        want = np.array([1, 2, 3])
        out = eval_outputs([s])
        self.assertTrue((out == want).all())

    def test_stack_scalar(self):
        s = stack([1, tensor.scalar("b"), as_tensor_variable(3.0)])
        self.assertEqual(s.ndim, 1)
        x, y = tensor.dvectors("x", "y")
        got = function([x, y], [stack([x, y]), stack([x, y], axis=1), stack([x, y], axis=-1), tensor.stack(x, y)])(
            [1, 2], [3, 4])
        for one, want in zip(got, ([[1, 2], [3, 4]], [[1, 3], [2, 4]], [[1, 3], [2, 4]], [[1, 2], [3, 4]])):
            assert_array_equal(one, want)
        self.assertRaises(IndexError, stack, [x, y], 4)
        self.assertRaises((ValueError, Exception), stack, [])

    def test_join_vectors_and_matrices(self):
        av, bv = rand(4), rand(5)
        a, b = shared(av), as_tensor_variable(bv)
        utt.assert_allclose(np.concatenate([av, bv]), function([], join(0, a, b))())
        utt.assert_allclose(np.concatenate([av, bv]), function([], self.join_op(0, a, b))())
        utt.verify_grad(lambda a, b: join(0, a, b), [av, bv])
        m, n = rand(2, 3), rand(2, 4)
        for axis in (1, -1, tensor.constant(1)):
            utt.assert_allclose(np.concatenate([m, n], 1), function([], join(axis, shared(m), shared(n)))())
            utt.verify_grad(lambda a, b: join(axis, a, b), [m, n])
        self.assertRaises((ValueError, IndexError), join, 2, shared(m), shared(n))
        self.assertRaises((ValueError, IndexError), join, -4, shared(m), shared(n))
        self.assertRaises((ValueError, TypeError), join, 0, shared(m), shared(av))
        x, y = matrix("x"), matrix("y")
        g = function([x, y], join(1, x, y))
        self.assertEqual(g(rand(2, 3), rand(2, 4)).shape, (2, 7))
        self.assertRaises(ValueError, g, rand(2, 3), rand(3, 4))

    def test_stacks(self):
        a, b = as_tensor_variable(np.array([[1, 2], [3, 4]])), as_tensor_variable(np.array([[5, 6], [7, 8]]))
        assert_array_equal(eval_outputs([horizontal_stack(a, b)]), [[1, 2, 5, 6], [3, 4, 7, 8]])
        assert_array_equal(eval_outputs([vertical_stack(a, b)]), [[1, 2], [3, 4], [5, 6], [7, 8]])
        assert_array_equal(eval_outputs([stacklists([[1, 2], [3, 4]])]), [[1, 2], [3, 4]])

    def test_broadcastable_flags(self):
        a = TensorType(dtype="int8", broadcastable=[0, 0, 1])()
        b = TensorType(dtype="int8", broadcastable=[1, 0, 1])()
        c = join(1, a, b)
        self.assertEqual(c.type.broadcastable, (True, False, True))
        d = join(0, b)
        self.assertEqual(d.type.broadcastable, (True, False, True))

    def test_split(self):
        rng = np.random.RandomState(utt.fetch_seed())
        m = rng.rand(4, 6)
        x = dmatrix()
        parts = tensor.split(x, [2, 1, 3], 3, axis=1)
        for found, want in zip(function([x], parts)(m), np.split(m, [2, 3], axis=1)):
            assert_array_equal(found, want)
        parts = self.split_op_class(2)(x, 0, [3, 1])
        self.assertEqual([p.shape for p in function([x], parts)(m)], [(3, 6), (1, 6)])
        f = function([x], tensor.split(x, [3, 3], 2))
        self.assertRaises(ValueError, f, m)
        utt.verify_grad(lambda x: tensor.split(x, [2, 2, 2], 3, axis=1)[1], [m])
        splits = tensor.ivector()
        f = function([x, splits], tensor.split(x, splits, n_splits=3, axis=1))
        self.assertEqual([p.shape[1] for p in f(m, np.array([1, 1, 4], "int32"))], [1, 1, 4])


class T_reductions(unittest.TestCase):
    def test_dtypes(self):
        for dtype in ("bool", "int8", "int32", "uint8", "uint32", "float32", "float64", "complex64"):
            x = tensor.matrix(dtype=dtype)
            total = x.sum()
            if dtype in ("bool", "int8", "int32"):
                self.assertEqual(total.dtype, "int64")
            elif dtype.startswith("uint"):
                self.assertEqual(total.dtype, "uint64")
            else:
                self.assertEqual(total.dtype, dtype)
            if not dtype.startswith("c") and dtype != "bool":
                self.assertEqual(x.mean().dtype, dtype if dtype.startswith("float") else "float64")
            self.assertEqual(x.sum(dtype="float64" if dtype[0] != "c" else "complex128").dtype,
                             "float64" if dtype[0] != "c" else "complex128")
        x = tensor.fmatrix()
        self.assertEqual(x.sum(acc_dtype="float64").dtype, "float32")
        self.assertEqual(tensor.fvector().prod(dtype="float64", acc_dtype="float64").dtype, "float64")
        self.assertRaises(TypeError, tensor.zmatrix().sum, dtype="float32")

    def test_values(self):
        a = np.random.RandomState(4).uniform(-1, 1, (3, 4, 5))
        x = tensor.dtensor3()
        for axis in (None, 0, 1, -1, (0, 2), [1, 2], (0, 1, 2)):
            np_axis = tuple(axis) if isinstance(axis, list) else axis
            for name in ("sum", "prod", "mean", "var", "std", "max", "min"):
                for keepdims in (False, True):
                    want = getattr(np, name)(a, axis=np_axis, keepdims=keepdims)
                    out = getattr(tensor, name)(x, axis=axis, keepdims=keepdims)
                    found = function([x], out)(a)
                    utt.assert_allclose(want, found)
                    if keepdims:
                        axes = range(3) if axis is None else [n % 3 for n in np.atleast_1d(axis)]
                        self.assertEqual(out.broadcastable, tuple(n in axes for n in range(3)))
        for name in ("all", "any"):
            utt.assert_allclose(getattr(np, name)(a > 0, 1), function([x], getattr(tensor, name)(x > 0, axis=1))(a))
        utt.assert_allclose(np.ptp(a, 1), function([x], ptp(x, 1))(a))
        utt.verify_grad(lambda x: tensor.prod(x, 1), [np.array([[0.0, 2, 3], [1, 0, 0]])])
        utt.verify_grad(lambda x: tensor.std(x, axis=1), [a])
        utt.assert_allclose(function([x], tensor.Prod(no_zeros_in_input=True)(x))(a), a.prod())
        utt.assert_allclose(function([x], tensor.Sum(axis=(0,), dtype="float64")(x))(a), a.sum(0))
        for n, p in ((1, "inf"), (2, 2), (2, 1)):
            v = function([x], x.norm(1 if p == 1 else 2, axis=n))(a)
            utt.assert_allclose(np.linalg.norm(a, 1 if p == 1 else 2, axis=n), v)
        self.assertRaises(ValueError, tensor.sum, x, 3)
        self.assertRaises((TypeError, ValueError), tensor.mean, x, "a")

    def test_mean_of_python_values(self):
        assert function([], mean(as_tensor_variable([1, 2, 3])))() == 2
        x = vector()
        f = function([x], mean(x))
        assert f(np.asarray([1, 3], config.floatX)) == 2


class T_creation(unittest.TestCase):
    def test_arange(self):
        start, stop, step = tensor.iscalars("start", "stop", "step")
        out = tensor.arange(start, stop, step)
        self.assertIn(out.dtype, ("int32", "int64"))
        f = function([start, stop, step], out)
        for args in ((0, 5, 1), (2, 11, 4), (-5, 1, 1), (10, 2, -2), (0, 0, 1), (5, 1, 1)):
            assert_array_equal(f(*args), np.arange(*args))
        x = tensor.dscalar()
        self.assertEqual(tensor.arange(x).dtype, "float64")
        self.assertEqual(tensor.arange(tensor.iscalar(), dtype="float32").dtype, "float32")
        assert_array_equal(tensor.arange(5).eval(), np.arange(5))
        self.assertEqual(tensor.arange(5).dtype, "int64")
        a, b = [v.eval() for v in ogrid[0:5:2, 1:4]]
        assert_array_equal(a, np.ogrid[0:5:2, 1:4][0])
        assert_array_equal(b, np.ogrid[0:5:2, 1:4][1])
        for found, want in zip(mgrid[0:3, 1:10:3], np.mgrid[0:3, 1:10:3]):
            assert_array_equal(found.eval(), want)

    def test_eye_tri(self):
        for dtype in ("int64", config.floatX):
            n, m, k = tensor.iscalars("n", "m", "k")
            f = function([n, m, k], [tensor.eye(n, m, k, dtype=dtype), tri(n, m, k, dtype=dtype)])
            for args in ((3, 3, 0), (3, 5, 1), (4, 2, -1)):
                eye, triangle = f(*args)
                assert_array_equal(eye, np.eye(*args))
                assert_array_equal(triangle, np.tri(*args))
                self.assertEqual(eye.dtype, dtype)
        x = dmatrix()
        a = rand(4, 5)
        for op, want in ((tril, np.tril), (triu, np.triu)):
            for k in (0, 1, -2):
                utt.assert_allclose(want(a, k), function([x], op(x, k))(a))
        utt.assert_allclose(np.identity(3), function([x], tensor.identity_like(x))(np.zeros((3, 3))))

    def test_zeros_ones_alloc(self):
        for op, value in ((tensor.zeros, 0), (tensor.ones, 1)):
            self.assertEqual(op((2, 3)).dtype, config.floatX)
            self.assertEqual(op((1, 3)).broadcastable, (True, False))
            assert_array_equal(op([2, 3], dtype="int8").eval(), np.full((2, 3), value))
            assert_array_equal(op(()).eval(), value)
            n = tensor.lscalar()
            assert_array_equal(function([n], op((n, 2)))(3), np.full((3, 2), value))
            v = op((n,))
            assert_array_equal(function([n], v)(4), np.full(4, value))
        x = dmatrix("x")
        for op, value in ((tensor.zeros_like, 0), (tensor.ones_like, 1)):
            found = function([x], op(x, dtype="int32"))(rand(2, 3))
            assert_array_equal(found, np.full((2, 3), value))
            self.assertEqual(found.dtype, "int32")
        assert_array_equal(function([x], x.zeros_like())(rand(2, 3)), np.zeros((2, 3)))
        assert_array_equal(function([x], tensor.fill(x, 7))(rand(2, 3)), np.full((2, 3), 7.0))
        assert_array_equal(function([x], second(x, 7))(rand(2, 3)), np.full((2, 3), 7.0))
        assert_array_equal(alloc(np.arange(3), 2, 3).eval(), [[0, 1, 2]] * 2)
        self.assertEqual(alloc(1, 1, n).broadcastable, (True, False))
        self.assertRaises(TypeError, alloc, 1, 2.5)
        self.assertRaises((TypeError, ValueError), alloc, matrix(), 2)
        self.assertEqual(tensor.AllocEmpty("float32")(2, 3).eval().shape, (2, 3))
        self.assertEqual(tensor.basic.Alloc()(np.float32(0), 2).eval().shape, (2,))

    def test_nonzero(self):
        m = np.array([[0, 1, 2], [0, 0, 3]])
        x = tensor.lmatrix()
        for found, want in zip(function([x], nonzero(x))(m), np.nonzero(m)):
            assert_array_equal(found, want)
        assert_array_equal(function([x], nonzero(x, return_matrix=True))(m), np.vstack(np.nonzero(m)))
        assert_array_equal(function([x], flatnonzero(x))(m), np.flatnonzero(m))
        assert_array_equal(function([x], nonzero_values(x))(m), m[np.nonzero(m)])
        assert_array_equal(function([x], x.nonzero_values())(m), m[np.nonzero(m)])
        self.assertRaises(ValueError, nonzero, tensor.lscalar())

    def test_linspace_and_choose(self):
        a, b = tensor.lvector(), tensor.dmatrix()
        choices = np.arange(12.0).reshape(3, 4)
        index = np.array([0, 2, 1, 2])
        for mode in ("raise", "wrap", "clip"):
            assert_array_equal(function([a, b], choose(a, b, mode=mode))(index, choices), np.choose(index, choices))
        f = function([a, b], choose(a, b))
        self.assertRaises((ValueError, IndexError), f, np.array([0, 3, 1, 1]), choices)


class T_shapes(unittest.TestCase):
    def test_reshape(self):
        a = dvector()
        b = dmatrix()
        c = tensor.reshape(b, as_tensor_variable(6), ndim=1)
        assert_array_equal(function([b], c)(np.arange(6.0).reshape(2, 3)), np.arange(6))
        f = function([a], a.reshape((2, -1)))
        assert_array_equal(f(np.arange(6.0)), np.arange(6.0).reshape(2, 3))
        self.assertRaises(ValueError, f, np.arange(5.0))
        n = tensor.lscalar()
        g = function([a, n], a.reshape((n, 3)))
        self.assertRaises(ValueError, g, np.arange(6.0), 3)
        h = function([a], Reshape(2)(a, [2, 3]))
        self.assertEqual(h(np.arange(6.0)).shape, (2, 3))
        self.assertRaises((ValueError, TypeError), a.reshape, (-1, -1))
        s = tensor.lvector()
        k = function([a, s], a.reshape(s, ndim=3))
        self.assertEqual(k(np.arange(6.0), [1, 2, 3]).shape, (1, 2, 3))
        self.assertEqual(a.reshape((1, -1)).broadcastable, (True, False))
        utt.verify_grad(lambda x: x.reshape((3, 2)), [rand(2, 3)])
        self.assertRaises((TypeError, ValueError), a.reshape, tensor.dscalar())

    def test_flatten(self):
        x = tensor.dtensor3()
        v = rand(2, 3, 4)
        for outdim, want in ((1, (24,)), (2, (2, 12)), (3, (2, 3, 4))):
            self.assertEqual(function([x], tensor.flatten(x, outdim))(v).shape, want)
            self.assertEqual(function([x], x.flatten(ndim=outdim))(v).shape, want)
        self.assertRaises(ValueError, tensor.flatten, x, 4)
        self.assertRaises(ValueError, tensor.flatten, x, 0)
        self.assertEqual(function([x], x.ravel())(v).shape, (24,))

    def test_dimshuffle(self):
        x = tensor.matrix()
        v = rand(2, 3)
        self.assertEqual(function([x], x.dimshuffle(1, "x", 0))(v).shape, (3, 1, 2))
        self.assertEqual(x.dimshuffle("x", 0, 1).broadcastable, (True, False, False))
        self.assertEqual(x.dimshuffle((1, 0)).ndim, 2)
        self.assertRaises((ValueError, TypeError), x.dimshuffle, 0)
        self.assertRaises((ValueError, TypeError), x.dimshuffle, 0, 0)
        self.assertRaises((ValueError, TypeError), x.dimshuffle, 0, 1, 2)
        assert_array_equal(function([x], x.T)(v), v.T)
        y = tensor.dtensor3()
        w = rand(2, 3, 4)
        for op, want in ((lambda y: y.transpose(2, 0, 1), w.transpose(2, 0, 1)), (lambda y: y.transpose(), w.T),
                         (lambda y: tensor.transpose(y, (0, 2, 1)), w.transpose(0, 2, 1)),
                         (lambda y: y.swapaxes(0, 2), w.swapaxes(0, 2)), (lambda y: swapaxes(y, 1, 2), w.swapaxes(1, 2)),
                         (lambda y: tensor.roll(y, 1, axis=1), np.roll(w, 1, 1)), (lambda y: roll(y, -2), np.roll(w, -2)),
                         (lambda y: tensor.shape_padleft(y, 2), w[None, None]),
                         (lambda y: tensor.shape_padright(y), w[..., None]),
                         (lambda y: tensor.shape_padaxis(y, 1), w[:, None]),
                         (lambda y: y.dimshuffle(1, 2, 0),
                          np.moveaxis(w, 0, 2)),
                         (lambda y: tile(y, (2, 1, 3)), np.tile(w, (2, 1, 3))), (lambda y: tile(y, 2, ndim=3), np.tile(w, 2)),
                         (lambda y: y[:, :, ::-1], w[:, :, ::-1]), (lambda y: y.repeat(2, axis=1), w.repeat(2, 1)),
                         (lambda y: y.take([1, 0], axis=1), w.take([1, 0], 1)), (lambda y: y.diagonal(0, 1, 2), w.diagonal(0, 1, 2))):
            found = function([y], op(y))(w)
            assert_array_equal(found, want)
        self.assertRaises((ValueError, IndexError), tensor.swapaxes, y, 0, 3)

    def test_rebroadcasts(self):
        x = matrix()
        self.assertEqual(addbroadcast(x, 0).broadcastable, (True, False))
        f = function([x], addbroadcast(x, 0))
        self.assertRaises(ValueError, f, rand(2, 3))
        self.assertEqual(unbroadcast(tensor.row(), 0).broadcastable, (False, False))
        self.assertEqual(patternbroadcast(tensor.row(), (False, True)).broadcastable, (False, True))
        self.assertEqual(tensor.Rebroadcast((1, True))(x).broadcastable, (False, True))
        s = tensor.specify_shape(x, (2, 3))
        g = function([x], s * 2)
        g(rand(2, 3))
        self.assertRaises((AssertionError, ValueError), g, rand(3, 2))
        self.assertEqual(tensor.DimShuffle((False, False), (1, 0))(x).ndim, 2)

    def test_shape(self):
        x = tensor.tensor3()
        f = function([x], [x.shape, shape(x), x.shape[1], x.size, x.shape.prod(), tensor.shape(x)[-1]])
        out = f(np.zeros((2, 3, 4), config.floatX))
        assert_array_equal(out[0], [2, 3, 4])
        self.assertEqual([int(o) for o in out[2:]], [3, 24, 24, 4])
        self.assertEqual(out[0].dtype, "int64")
        self.assertEqual(len(x.shape.eval({x: np.zeros((2, 3, 4), config.floatX)})), 3)
        self.assertEqual(tensor.Shape()(x).ndim, 1)


class T_products(unittest.TestCase):
    def test_dot(self):
        shapes = (((), ()), ((3,), ()), ((), (3,)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)),
                  ((2, 3, 4), (4,)), ((2, 3, 4), (4, 2)), ((2, 3), (4, 3, 2)), ((2, 3, 4), (2, 4, 3)))
        for a, b in shapes:
            x, y = [TensorType("float64", [False] * len(s))() for s in (a, b)]
            u, v = np.random.rand(*a), np.random.rand(*b)
            out = dot(x, y)
            self.assertEqual(out.ndim, np.dot(u, v).ndim)
            utt.assert_allclose(np.dot(u, v), function([x, y], out)(u, v))
            if len(a) == len(b) == 2:
                utt.verify_grad(dot, [u, v])
        x, y = matrix("x"), matrix("y")
        f = function([x, y], dot(x, y))
        self.assertRaises(ValueError, f, rand(2, 3), rand(2, 3))
        self.assertEqual(dot(tensor.fmatrix(), tensor.dmatrix()).dtype, "float64")
        self.assertEqual(dot(tensor.imatrix(), tensor.fmatrix()).dtype, "float64")
        self.assertEqual(dot(tensor.row(), tensor.matrix()).broadcastable, (True, False))
        utt.assert_allclose((x.dot(y)).eval({x: np.eye(2, dtype=config.floatX), y: np.eye(2, dtype=config.floatX)}), np.eye(2))
        self.assertTrue(isinstance(dot(x, y).owner.op, tensor.Dot))
        assert tensor.basic.dot is tensor.dot
        f = function([x, y], x.__matmul__(y))

    def test_tensordot(self):
        a, b = np.random.rand(2, 3, 4), np.random.rand(3, 4, 5)
        x, y = tensor.dtensor3s("x", "y")
        for axes in (2, ((1, 2), (0, 1)), [[2, 1], [1, 0]]):
            utt.assert_allclose(np.tensordot(a, b, axes), function([x, y], tensordot(x, y, axes=axes))(a, b))
            utt.verify_grad(lambda x, y: tensordot(x, y, axes), [a, b], mode=mode_opt)
        self.assertRaises(ValueError, tensordot, x, y, 4)
        self.assertRaises((ValueError, IndexError), tensordot, x, y, [[3], [0]])
        self.assertRaises(ValueError, tensordot, x, y, [[0, 1], [0]])
        batches = np.random.rand(2, 3, 4), np.random.rand(2, 4, 5)
        utt.assert_allclose(np.matmul(*batches), function([x, y], batched_dot(x, y))(*batches))
        utt.verify_grad(batched_dot, list(batches))
        utt.assert_allclose(np.matmul(*batches), function([x, y], tensor.batched_tensordot(x, y, axes=[2, 1]))(*batches))
        f = function([x, y], batched_dot(x, y))
        self.assertRaises(ValueError, f, np.random.rand(3, 3, 4), np.random.rand(2, 4, 5))
        self.assertRaises(ValueError, f, np.random.rand(2, 3, 4), np.random.rand(2, 5, 5))
        u, v = tensor.vectors("uv")
        for op in (tensor.outer, ):
            self.assertEqual(function([u, v], op(u, v))(rand(2), rand(3)).shape, (2, 3))


class T_comparisons(unittest.TestCase):
    def test_all(self):
        for dtype in ("float64", "float32", "complex128"):
            l, r = np.array([-1.0, 0, 1], dtype), np.array([0, 0, 0.0], dtype)
            x, y = TensorType(dtype, (False,))(), TensorType(dtype, (False,))()
            pairs = [(tensor.eq, np.equal), (tensor.neq, np.not_equal)]
            if dtype[0] != "c":
                pairs += [(tensor.lt, np.less), (tensor.le, np.less_equal), (tensor.gt, np.greater), (tensor.ge, np.greater_equal)]
            for op, want in pairs:
                out = op(x, y)
                self.assertEqual(out.dtype, "bool")
                assert_array_equal(function([x, y], out)(l, r), want(l, r))
                self.assertEqual(op(x, y[0]).ndim, 1)
        x, y = vectors("x", "y")
        for op in (operator.lt, operator.le, operator.gt, operator.ge):
            self.assertRaises(TypeError, bool, op(x, y))
        self.assertTrue(bool(x))
        self.assertFalse(x == y)
        self.assertTrue(x == x)
        self.assertTrue(x in [y, x])
        assert_array_equal(function([x, y], tensor.and_(x < y, x > 0))(np.asarray([1, 2], config.floatX), np.asarray([2, 1], config.floatX)), [True, False])

    def test_close(self):
        a, b = np.array([1.0, np.nan, 3, np.inf]), np.array([1 + 1e-7, np.nan, 3.1, np.inf])
        x, y = dvector(), dvector()
        for equal_nan in (False, True):
            assert_array_equal(function([x, y], tensor.isclose(x, y, equal_nan=equal_nan))(a, b), np.isclose(a, b, equal_nan=equal_nan))
            assert_array_equal(function([x, y], tensor.allclose(x, y, equal_nan=equal_nan))(a, b), np.allclose(a, b, equal_nan=equal_nan))

    def test_bits(self):
        l, r = np.array([0, 0, 1, 1, 6], "int32"), np.array([0, 1, 0, 1, 3], "int32")
        x, y = tensor.ivectors("x", "y")
        for op, want in ((operator.or_, l | r), (operator.and_, l & r), (operator.xor, l ^ r), (tensor.bitwise_or, l | r),
                         (tensor.bitwise_and, l & r), (tensor.bitwise_xor, l ^ r)):
            assert_array_equal(function([x, y], op(x, y))(l, r), want)
        assert_array_equal(function([x], ~x)(l), ~l)
        assert_array_equal(function([x], tensor.invert(x))(l), ~l)
        b = tensor.vector(dtype="bool")
        assert_array_equal(function([b], ~b)(l > 0), ~(l > 0))
        self.assertRaises(TypeError, operator.and_, dvector(), dvector())
        self.assertRaises(TypeError, operator.invert, dvector())


class T_clip_switch(unittest.TestCase):
    def test_clip(self):
        x = dvector()
        v = np.array([-2.0, 0, 0.5, 3])
        assert_array_equal(function([x], clip(x, -1, 1))(v), v.clip(-1, 1))
        assert_array_equal(function([x], x.clip(-1, 1))(v), v.clip(-1, 1))
        assert_array_equal(function([x], grad(clip(x, -1, 1).sum(), x))(v), [0, 1, 1, 0])
        n = tensor.ivector()
        self.assertEqual(clip(n, 0, 5).dtype, "int32")
        utt.verify_grad(lambda x: clip(x, -1.0, 1.0), [np.array([-2.0, 0.2, 0.5, 3])])
        lo, hi = dscalar(), dscalar()
        f = function([x, lo, hi], clip(x, lo, hi))
        assert_array_equal(f(v, 0, 1), v.clip(0, 1))

    def test_power(self):
        rng = np.random.RandomState(3)
        x, y = tensor.vectors("xy")
        f = function([x, y], x ** y)
        z = rng.rand(10).astype(config.floatX) + 0.1
        utt.assert_allclose(z ** 2.5, f(z, np.full(10, 2.5, config.floatX)))
        for exponent in (0, 1, 2, 3, -1, 0.5, -0.5, 2.5):
            utt.assert_allclose(z ** exponent, function([x], power(x, exponent))(z))
            utt.verify_grad(lambda x: x ** exponent, [z])
        n = tensor.ivector()
        assert_array_equal(function([n], n ** 2)(np.array([1, 2, 3], "int32")), [1, 4, 9])
        utt.assert_allclose(function([x], 2 ** x)(z), 2 ** z)

    def test_division(self):
        i, j = tensor.iscalars("i", "j")
        f = function([i, j], [i // j, i % j, i / j] + list(divmod(i, j)))
        for a, b in ((7, 2), (-7, 2), (7, -2), (-7, -2)):
            assert_array_equal(f(a, b), [a // b, a % b, a / b, a // b, a % b])
        self.assertEqual(function([i, j], i // j)(7, 2).dtype, "int32")
        self.assertEqual(tensor.ceil_intdiv(i, 2).eval({i: 7}), 4)
        x, y = dscalar(), dscalar()
        self.assertEqual(function([x, y], x // y)(-7.5, 2), -4)
        self.assertRaises(theano.scalar.ComplexError, operator.mod, tensor.zscalar(), tensor.zscalar())
        self.assertRaises(theano.scalar.ComplexError, operator.floordiv, tensor.zscalar(), 2)


class T_types(unittest.TestCase):
    def test_filter(self):
        t = tensor.fmatrix
        self.assertRaises(TypeError, t.filter, np.zeros((2, 2)), strict=True)
        self.assertEqual(t.filter(np.zeros((2, 2), "int8")).dtype, "float32")
        self.assertRaises((TypeError, ValueError), t.filter, [1.0, 2.0])
        self.assertRaises(TypeError, t.filter, np.zeros((2, 2)), allow_downcast=False)
        self.assertEqual(t.filter(np.zeros((2, 2)), allow_downcast=True).dtype, "float32")
        self.assertRaises(TypeError, tensor.drow.filter, np.zeros((2, 2)))
        self.assertEqual(tensor.fscalar.filter(1, allow_downcast=None), 1)
        self.assertRaises(TypeError, tensor.lvector.filter, np.array([1.5]))
        self.assertRaises(TypeError, TensorType, "no_such_dtype", (False,))

    def test_equality(self):
        a, b = TensorType("float32", (False, True)), TensorType("float32", (False, True))
        self.assertEqual(a, b)
        self.assertEqual(hash(a), hash(b))
        self.assertNotEqual(a, TensorType("float32", (True, True)))
        self.assertNotEqual(a, TensorType("float64", (False, True)))
        self.assertEqual(a.clone(dtype="float64"), TensorType("float64", (False, True)))
        self.assertEqual(tensor.dmatrix, tensor.matrix(dtype="float64").type)
        self.assertTrue(isinstance(tensor.dscalar, TensorType))
        self.assertEqual(tensor.dmatrix.ndim, 2)
        self.assertEqual(tensor.dmatrix.broadcastable, (False, False))
        self.assertEqual(tensor.dmatrix.dtype, "float64")
        self.assertTrue(tensor.dmatrix.is_valid_value(np.zeros((2, 2))))
        self.assertTrue(TensorType.values_eq(np.array([np.nan]), np.array([np.nan])))
        self.assertTrue(TensorType.values_eq_approx(np.array([1.0]), np.array([1.0 + 1e-9])))
        self.assertEqual(tensor.dmatrix.numpy_dtype, np.dtype("float64"))
        x = tensor.dmatrix("x")
        self.assertEqual(x.name, "x")
        self.assertEqual(x.clone().type, x.type)
        self.assertEqual(x.type.make_variable("y").name, "y")

    def test_names_of_constructors(self):
        for letter, dtype in zip("bwilfdcz", ("int8", "int16", "int32", "int64", "float32", "float64", "complex64", "complex128")):
            for kind, ndim in (("scalar", 0), ("vector", 1), ("matrix", 2), ("row", 2), ("col", 2), ("tensor3", 3), ("tensor4", 4), ("tensor5", 5)):
                x = getattr(tensor, letter + kind)("n")
                self.assertEqual((x.dtype, x.ndim, x.name), (dtype, ndim, "n"))
            self.assertEqual(len(getattr(tensor, letter + "scalars")(3)), 3)
            self.assertEqual([v.name for v in getattr(tensor, letter + "matrices")("a", "b")], ["a", "b"])
        x, y, z = tensor.scalars("x", "y", "z")
        self.assertEqual(tensor.tensor("float32", (True, False), "n").broadcastable, (True, False))
        self.assertEqual(tensor.tensor(dtype="int8", broadcastable=(False,)).dtype, "int8")

    def test_permutations(self):
        x, p = dmatrix(), tensor.ivector()
        v, order = rand(3, 5), np.random.permutation(5).astype("int32")
        assert_array_equal(function([x, p], permute_row_elements(x, p))(v, order), v[:, order])
        assert_array_equal(function([x, p], permute_row_elements(x, p, inverse=True))(v, order), v[:, np.argsort(order)])
        assert_array_equal(function([p], inverse_permutation(p))(order), np.argsort(order))

    def test_complex(self):
        x = zvector()
        v = np.array([1 + 2j, -3 - 1j])
        for op, want in ((tensor.real, v.real), (tensor.imag, v.imag), (tensor.angle, np.angle(v)), (tensor.conj, v.conj()), (abs, abs(v))):
            utt.assert_allclose(want, function([x], op(x))(v))
        a, b = dvector(), dvector()
        utt.assert_allclose(function([a, b], tensor.complex(a, b))(v.real, v.imag), v)
        utt.assert_allclose(function([a, b], tensor.complex_from_polar(a, b))(abs(v), np.angle(v)), v)
        self.assertEqual(tensor.dvector().real.dtype, "float64")

    def test_len_and_iter(self):
        self.assertRaises(TypeError, len, vector())
        self.assertRaises(TypeError, float, scalar())
        self.assertRaises(TypeError, lambda: list(vector()))
        self.assertEqual(len(list(tensor.as_tensor_variable([1, 2, 3]))), 3)


if __name__ == "__main__":
    unittest.main()
