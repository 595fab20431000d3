"""Unit tests of indexing, extra ops, sorting and linear algebra in the manner of those that Theano came with."""

import unittest

import numpy as np
import numpy.linalg
import scipy.linalg
from numpy.testing import assert_array_equal, assert_array_almost_equal

import theano
import theano.tensor as T
import theano.tensor.basic as basic
from theano import config, function, shared
from theano.tensor import TensorType, as_tensor_variable, inc_subtensor, set_subtensor
from theano.tensor.extra_ops import (
    CumOp, DiffOp, RepeatOp, Unique, bartlett, bincount, compress, cpu_contiguous, cumprod, cumsum, diff,
    fill_diagonal, fill_diagonal_offset, repeat, searchsorted, squeeze, to_one_hot)
from theano.tensor.nlinalg import (
    Det, Eig, Eigh, MatrixInverse, MatrixPinv, QRFull, SVD, TensorInv, alloc_diag, det, diag, eig, eigh,
    extract_diag, lstsq, matrix_dot, matrix_inverse, matrix_power, norm, pinv, qr, svd, tensorinv, tensorsolve, trace)
from theano.tensor.slinalg import (
    Cholesky, Eigvalsh, Expm, Solve, cholesky, eigvalsh, expm, kron, solve, solve_lower_triangular,
    solve_upper_triangular)
from theano.tensor.sort import SortOp, argsort, argtopk, sort, topk, topk_and_argtopk
from theano.tensor.subtensor import (
    AdvancedIncSubtensor, AdvancedIncSubtensor1, AdvancedSubtensor, AdvancedSubtensor1, IncSubtensor, Subtensor,
    advanced_inc_subtensor1, advanced_set_subtensor1, advanced_subtensor1, advanced_inc_subtensor, advanced_subtensor,
    get_canonical_form_slice)
from theano.tests import unittest_tools as utt


class T_subtensor(unittest.TestCase):
    def setUp(self):
        utt.seed_rng()
        self.shared = shared
        self.data = np.arange(24, dtype=config.floatX).reshape(2, 3, 4)
        self.n = shared(self.data)

    def eval_output_and_check(self, t, want):
        f = function([], t)
        found = f()
        assert_array_equal(found, want)
        return f

    def test_basic(self):
        n, d = self.n, self.data
        for index in (0, -1, slice(1, None), (slice(None), 1), (0, 1, 2), (Ellipsis, 0), (slice(None, None, -1), 2),
                      (slice(None), slice(0, 2), slice(-1, None, -2)), None, (slice(None), None, 1), (0, Ellipsis, 1),
                      (slice(5, 9),), (slice(None), slice(2, 0, -1)), (np.int8(1),), (slice(0, 0),)):
            self.eval_output_and_check(n[index], d[index])
            if d[index].size:
                utt.verify_grad(lambda x: x[index], [d.astype("float64")], n_tests=1)

    def test_errors(self):
        n = self.n
        self.assertRaises((IndexError, ValueError), lambda: n[0, 0, 0, 0])
        self.assertRaises(IndexError, function([], n[5]))
        self.assertRaises(IndexError, function([], n[-3]))
        i = T.lscalar()
        self.assertRaises(IndexError, function([i], n[i]), 2)
        self.assertRaises((TypeError, IndexError), lambda: n[1.5])
        self.assertRaises((TypeError, IndexError), lambda: n["a"])
        self.assertRaises((TypeError, IndexError), lambda: T.dscalar()[0])
        self.assertRaises((TypeError, IndexError), lambda: n[T.dscalar()])
        x = T.vector()
        with self.assertRaises(TypeError):
            x[0] = 1

    def test_symbolic(self):
        n, d = self.n, self.data
        i, j, k = T.lscalars("i", "j", "k")
        f = function([i, j, k], [n[0, i:j:k], n[:, j], n[:, ::k][..., i]])
        a, b, c = f(0, 2, 1)
        assert_array_equal(a, d[0, 0:2:1])
        assert_array_equal(b, d[:, 2])
        assert_array_equal(function([i, j, k], n[0, i:j:k])(2, 0, -1), d[0, 2:0:-1])
        assert_array_equal(function([i], n[0][i:])(-1), d[0][-1:])
        self.assertTrue(isinstance(n[0].owner.op, Subtensor))

    def test_advanced(self):
        n, d = self.n, self.data
        for index in ([0, 1, 1, 0], np.array([[0, 1], [1, 1]]), (0, [0, 2]), ([0, 1], [0, 2]), (slice(None), [2, 0]),
                      ([[0], [1]], [0, 2], slice(None)), ([1, 0], slice(None), [0, 3]), (slice(None), slice(None), [1, 1]),
                      (Ellipsis, [0, -1]), np.array([True, False]), (np.array([True, True]), 0), (None, [0, 1]),
                      d > 10, (0, np.array([True, False, True]))):
            want = d[tuple(index) if isinstance(index, tuple) else index]
            f = self.eval_output_and_check(n[index], want)
            utt.verify_grad(lambda x: x[index], [d.astype("float64")], n_tests=1)
        ix = T.lmatrix()
        f = function([ix], n[ix])
        assert_array_equal(f([[0, 1]]), d[[[0, 1]]])
        self.assertRaises(IndexError, f, [[0, 5]])
        m = T.tensor3(dtype="bool")
        assert_array_equal(function([m], n[m])(d > 3), d[d > 3])
        assert_array_equal(function([], n[n > 3])(), d[d > 3])
        assert_array_equal(function([], n[(n > 3).nonzero()])(), d[d > 3])
        self.assertRaises((IndexError, ValueError), function([m], n[m]), d[:, :2] > 3)
        t = T.vector()
        ok = function([t], t[[0, 2]])
        self.assertRaises(IndexError, ok, np.zeros(2, config.floatX))
        self.assertEqual(n[[0, 1]].ndim, 3)
        row = T.matrix()[T.lvector().dimshuffle(0, "x"), T.lvector()]
        self.assertEqual(row.ndim, 2)

    def test_set_and_inc(self):
        d = self.data.astype("float64")
        for index, shape in ((0, (3, 4)), ((slice(None), 1), (4,)), ((slice(None), slice(None, None, 2)), ()),
                             ([1, 1, 0], (3, 4)), ((0, [2, 2, 1]), (4,)), ((slice(None), [0, 0]), (2, 2, 4)),
                             (d > 7, ()), ((slice(None, None, -1), 1, slice(1, 3)), (2,)), ((Ellipsis, 0), (3,))):
            value = np.random.uniform(size=shape)
            x, y = T.dtensor3(), TensorType("float64", (False,) * len(shape))()
            for write in (set_subtensor, inc_subtensor):
                want = d.copy()
                if write is set_subtensor:
                    want[index] = value
                else:
                    np.add.at(want, index, value)
                utt.assert_allclose(want, function([x, y], write(x[index], y))(d, value))
                if not (write is set_subtensor and isinstance(index, list)):
                    utt.verify_grad(lambda x, y: write(x[index], y), [d, value], n_tests=1)
        x = T.dvector("x")
        f = function([x], inc_subtensor(x[:2], 5.0))
        a = np.zeros(3)
        assert_array_equal(f(a), [5, 5, 0])
        assert_array_equal(a, 0)
        self.assertRaises(TypeError, set_subtensor, x + 1, 3)
        self.assertRaises((TypeError, ValueError), inc_subtensor, x[0], T.dvector())
        g = function([x], set_subtensor(x[[0, 1]], x[[1, 0]]))
        assert_array_equal(g([1.0, 2, 3]), [2, 1, 3])
        self.assertTrue(isinstance(inc_subtensor(x[0], 1.0).owner.op, IncSubtensor))
        y = T.matrix()
        with self.assertRaises(ValueError):
            function([y], set_subtensor(y[:2], np.zeros((3, 1), config.floatX)))(np.zeros((4, 5), config.floatX))

    def test_function_forms(self):
        x, y, i = T.dmatrix(), T.dmatrix(), T.lvector()
        v, w, at = np.arange(12.0).reshape(4, 3), np.ones((2, 3)), [1, 3]
        assert_array_equal(function([x, i], advanced_subtensor1(x, i))(v, at), v[at])
        want = v.copy()
        want[at] += w
        assert_array_equal(function([x, y, i], advanced_inc_subtensor1(x, y, i))(v, w, at), want)
        want[at] = w
        assert_array_equal(function([x, y, i], advanced_set_subtensor1(x, y, i))(v, w, at), want)
        assert_array_equal(function([x, i], advanced_subtensor(x, i, i[:2] - 1))(v, at), v[at, [0, 2]])
        assert_array_equal(function([x, i], x.take(i, axis=0))(v, at), v.take(at, 0))
        assert_array_equal(function([x, i], T.take(x, i))(v, at), v.take(at))
        for mode in ("raise", "wrap", "clip"):
            assert_array_equal(function([x, i], x.take(i, axis=0, mode=mode))(v, at), v.take(at, 0, mode=mode))
        assert_array_equal(function([x, i], T.take(x, i, mode="wrap", axis=1))(v, [4, -1]), v.take([4, -1], 1, mode="wrap"))
        W = shared(np.zeros((5, 2)))
        step = function([i], [], updates=[(W, inc_subtensor(W[i], 1.0))])
        step([0, 0, 3])
        assert_array_equal(W.get_value()[:, 0], [2, 0, 0, 1, 0])
        g = T.grad((W[i] ** 2).sum(), W)
        assert_array_equal(function([i], g)([0, 3])[0], [4, 4])
        sub = W[i]
        step = function([i], [], updates=[(W, set_subtensor(sub, sub - 0.5 * T.grad((sub ** 2).sum(), sub)))])
        step([0, 3])
        assert_array_equal(W.get_value()[:, 0], [0, 0, 0, 0, 0])

    def test_nested(self):
        x = T.dmatrix()
        v = np.arange(12.0).reshape(3, 4)
        want = v[1:].copy()
        want[:, 2] = 7
        assert_array_equal(function([x], set_subtensor(x[1:][:, 2], 7))(v), want)
        y = T.inc_subtensor(x[:, 1:3], 1)
        assert_array_equal(function([x], T.set_subtensor(y[0], 0))(v)[0], 0)
        diagonal = set_subtensor(x[T.arange(3), T.arange(3)], 0)
        assert_array_equal(np.diag(function([x], diagonal)(v)), 0)
        self.assertEqual(get_canonical_form_slice(slice(None, None), T.constant(4))[1], 1)


class T_extra_ops(unittest.TestCase):
    def setUp(self):
        utt.seed_rng()

    def test_cumulative(self):
        x, a = T.dtensor3("x"), np.random.random((3, 5, 2))
        for axis in (None, 0, 1, 2, -1):
            assert np.allclose(np.cumsum(a, axis), function([x], cumsum(x, axis=axis))(a))
            assert np.allclose(np.cumprod(a, axis), function([x], cumprod(x, axis=axis))(a))
            assert np.allclose(np.cumsum(a, axis), function([x], CumOp(axis=axis, mode="add")(x))(a))
        utt.verify_grad(lambda x: cumprod(x, axis=1), [a])
        self.assertRaises(ValueError, cumsum, x, axis=4)
        self.assertEqual(cumsum(T.bvector()).dtype, "int8")

    def test_diff_repeat_bincount(self):
        x = T.dmatrix("x")
        a = np.random.random((10, 4))
        for k in range(1, 3):
            for axis in (0, 1):
                assert np.allclose(np.diff(a, n=k, axis=axis), function([x], diff(x, n=k, axis=axis))(a))
        assert np.allclose(np.diff(a, axis=-1), function([x], DiffOp(n=1, axis=-1)(x))(a))
        for axis in (None, 0, 1):
            assert np.allclose(np.repeat(a, 3, axis), function([x], repeat(x, 3, axis=axis))(a))
        r = T.lvector()
        times = np.arange(4)
        assert np.allclose(np.repeat(a, times, 1), function([x, r], RepeatOp(axis=1)(x, r))(a, times))
        n = T.lscalar()
        assert np.allclose(np.repeat(a, 2, 0), function([x, n], repeat(x, n, axis=0))(a, 2))
        utt.verify_grad(lambda x: repeat(x, 2, axis=0), [a])
        i, w = T.lvector(), T.dvector()
        counted = np.array([0, 3, 1, 1])
        assert_array_equal(function([i], bincount(i))(counted), np.bincount(counted))
        assert np.allclose(function([i, w], bincount(i, weights=w))(counted, np.arange(4.0)), np.bincount(counted, np.arange(4.0)))
        assert_array_equal(function([i], bincount(i, minlength=7))(counted), np.bincount(counted, minlength=7))

    def test_shapes(self):
        x = T.TensorType("float64", (False, True, False, True))()
        a = np.random.rand(3, 1, 2, 1)
        assert squeeze(x).ndim == 2
        assert np.allclose(function([x], squeeze(x))(a), a.squeeze())
        assert np.allclose(function([x], x.squeeze())(a), a.squeeze())
        m = T.dmatrix()
        v = np.random.rand(4, 3)
        assert np.allclose(function([m], compress([True, False, True, True], m, axis=0))(v), v.compress([1, 0, 1, 1], 0))
        assert np.allclose(function([m], m.compress([1, 0, 1], axis=1))(v), v.compress([1, 0, 1], 1))
        filled = v.copy()
        np.fill_diagonal(filled, 9)
        assert np.allclose(function([m], fill_diagonal(m, 9.0))(v), filled)
        utt.verify_grad(lambda m, x: fill_diagonal(m, x), [v, np.array(2.0)])
        off = v.copy()
        off[[0, 1], [1, 2]] = 5
        assert np.allclose(function([m], fill_diagonal_offset(m, 5.0, 1))(v), off)
        assert_array_equal(to_one_hot([0, 2, 1], 3).eval(), np.eye(3)[[0, 2, 1]])
        self.assertEqual(to_one_hot([0, 2], 3, dtype="int32").dtype, "int32")
        n = T.lscalar()
        assert np.allclose(function([n], bartlett(n))(6), np.bartlett(6))
        assert cpu_contiguous(m.T).eval({m: v}).flags["C_CONTIGUOUS"]
        u = T.lvector()
        data = np.array([3, 1, 1, 2])
        assert_array_equal(function([u], Unique()(u))(data), np.unique(data))
        for found, want in zip(function([u], Unique(True, True, True)(u))(data), np.unique(data, True, True, True)):
            assert_array_equal(found, want)
        s, q = T.dvector(), T.dvector()
        for side in ("left", "right"):
            assert_array_equal(function([s, q], searchsorted(s, q, side))([1, 2, 3], [2, 0, 9]),
                               np.searchsorted([1, 2, 3], [2, 0, 9], side))

    def test_xlogx(self):
        x = as_tensor_variable([1, 0, 2.0])
        assert np.all(np.isfinite(function([], [T.xlogx.xlogx(x)])()))
        utt.verify_grad(T.xlogx.xlogx, [np.random.rand(3, 4)])
        utt.verify_grad(T.xlogx.xlogy0, [np.random.rand(3, 4), np.random.rand(3, 4)])


class T_sort(unittest.TestCase):
    def test_sort(self):
        a = np.random.RandomState(1).rand(4, 5)
        x = T.dmatrix()
        for ax in (0, 1, -1, None):
            assert_array_equal(function([x], sort(x, ax))(a), np.sort(a, ax))
            assert_array_equal(function([x], argsort(x, ax))(a), np.argsort(a, ax))
        assert_array_equal(function([x], x.sort())(a), np.sort(a))
        assert_array_equal(function([x], x.argsort(axis=0, kind="mergesort"))(a), np.argsort(a, 0))
        assert_array_equal(function([x], SortOp("mergesort")(x, 1))(a), np.sort(a, 1))
        utt.verify_grad(lambda x: T.sort(x, 0), [a])
        self.assertRaises((ValueError, IndexError), sort, x, 3)
        v = T.dvector()
        for k in (1, 3, -2):
            top = np.sort(function([v], topk(v, k))(a[0]))
            assert_array_equal(top, np.sort(a[0])[-k:] if k > 0 else np.sort(a[0])[:-k])
        values, places = function([v], topk_and_argtopk(v, 2))(a[1])
        assert_array_equal(a[1][places], values)
        assert_array_equal(np.sort(function([x], argtopk(x, 2, axis=1))(a), 1), np.sort(np.argsort(a, 1)[:, -2:], 1))


class T_linalg(unittest.TestCase):
    def setUp(self):
        utt.seed_rng()
        self.rng = np.random.RandomState(utt.fetch_seed())
        root = self.rng.rand(4, 4)
        self.pd = root.dot(root.T) + np.eye(4)

    def test_inverses(self):
        r = self.rng.randn(4, 4)
        x = T.dmatrix("x")
        assert np.allclose(function([x], matrix_inverse(x))(r).dot(r), np.eye(4))
        assert np.allclose(function([x], MatrixInverse()(x))(r).dot(r), np.eye(4))
        utt.verify_grad(matrix_inverse, [r])
        self.assertRaises(np.linalg.LinAlgError, function([x], matrix_inverse(x)), np.zeros((3, 3)))
        self.assertRaises((ValueError, np.linalg.LinAlgError), function([x], matrix_inverse(x)), np.zeros((3, 4)))
        w = self.rng.randn(4, 3)
        assert np.allclose(function([x], pinv(x))(w), np.linalg.pinv(w))
        utt.verify_grad(pinv, [w])
        assert np.allclose(function([x], matrix_dot(x, x.T, x))(w), w.dot(w.T).dot(w))
        for n in (0, 1, 3, -2):
            assert np.allclose(function([x], matrix_power(x, n))(r), np.linalg.matrix_power(r, n)), n
        assert np.allclose(function([x], det(x))(r), np.linalg.det(r))
        utt.verify_grad(det, [r])
        utt.verify_grad(lambda x: T.log(det(x)), [self.pd])
        assert np.allclose(function([x], trace(x))(r), np.trace(r))
        self.assertRaises(TypeError, trace, 8)
        t = T.dtensor4()
        a = self.rng.randn(4, 6, 8, 3)
        assert np.allclose(function([t], tensorinv(t))(a), np.linalg.tensorinv(a))

    def test_decompositions(self):
        x = T.dmatrix("x")
        r, pd = self.rng.randn(4, 4), self.pd
        u, s, vt = function([x], svd(x))(r)
        assert np.allclose((u * s).dot(vt), r)
        assert np.allclose(function([x], svd(x, compute_uv=False))(r), np.linalg.svd(r, compute_uv=False))
        q, R = function([x], qr(x))(r)
        assert np.allclose(q.dot(R), r)
        assert np.allclose(function([x], qr(x, mode="r"))(r), np.linalg.qr(r, mode="r"))
        w, v = function([x], eigh(x))(pd)
        assert np.allclose((v * w).dot(v.T), pd)
        for lower in ("L", "U"):
            utt.verify_grad(lambda x: eigh(x.dot(x.T), lower)[0], [r])
        w, v = function([x], eig(x))(pd)
        assert np.allclose(np.sort(w), np.linalg.eigvalsh(pd))
        chol = function([x], cholesky(x))(pd)
        assert np.allclose(chol, np.linalg.cholesky(pd))
        assert np.allclose(function([x], Cholesky(lower=False)(x))(pd), np.linalg.cholesky(pd).T)
        self.assertRaises(scipy.linalg.LinAlgError, function([x], cholesky(x)), -pd)
        assert np.isnan(function([x], Cholesky(lower=True, on_error="nan")(x))(-pd)).all()
        utt.verify_grad(lambda r: cholesky(r.dot(r.T)), [r])
        b = T.dmatrix("b")
        assert np.allclose(function([x, b], eigvalsh(x, b))(pd, np.eye(4)), scipy.linalg.eigvalsh(pd, np.eye(4)))
        assert np.allclose(function([x], expm(x))(r), scipy.linalg.expm(r))
        utt.verify_grad(expm, [r * 0.3])

    def test_solve(self):
        A, b = T.dmatrix("A"), T.dmatrix("b")
        a, right = self.pd, self.rng.rand(4, 2)
        assert np.allclose(function([A, b], solve(A, b))(a, right), np.linalg.solve(a, right))
        v = T.dvector()
        assert np.allclose(function([A, v], solve(A, v))(a, right[:, 0]), np.linalg.solve(a, right[:, 0]))
        for structure, part, op in (("lower_triangular", np.tril, solve_lower_triangular),
                                    ("upper_triangular", np.triu, solve_upper_triangular)):
            lower = structure.startswith("lower")
            want = scipy.linalg.solve_triangular(part(a), right, lower=lower)
            assert np.allclose(function([A, b], op(A, b))(part(a), right), want)
            assert np.allclose(function([A, b], Solve(A_structure=structure, lower=lower)(A, b))(part(a), right), want)
            utt.verify_grad(lambda A, b: op(A + 2 * np.eye(4), b), [part(a), right])
        utt.verify_grad(solve, [a, right])
        self.assertRaises((AssertionError, ValueError, TypeError), solve, A, T.dscalar())
        c, d = T.dmatrix(), T.dmatrix()
        s = self.rng.randn(2, 3), self.rng.randn(4, 2)
        assert np.allclose(function([c, d], kron(c, d))(*s), np.kron(*s))
        found = function([A, v], lstsq()(A, v, T.constant(-1)))(self.rng.rand(5, 3), np.arange(5.0))
        self.assertEqual(found[0].shape, (3,))

    def test_diagonals(self):
        v, m = T.dvector(), T.dmatrix()
        a, b = np.arange(3.0), self.rng.rand(3, 4)
        assert np.allclose(function([v], alloc_diag(v))(a), np.diag(a))
        assert np.allclose(function([m], extract_diag(m))(b), np.diag(b))
        assert np.allclose(function([v], diag(v))(a), np.diag(a))
        assert np.allclose(function([m], T.ExtractDiag(1)(m))(b), np.diag(b, 1))
        utt.verify_grad(extract_diag, [b])
        utt.verify_grad(diag, [a])
        for order in (None, "fro", 1, 2, -1, "inf"):
            x, value = (v, a) if order in (None, 1, 2) else (m, b)
            want = np.linalg.norm(value, np.inf if order == "inf" else order)
            assert np.allclose(function([x], norm(x, order))(value), want), order

    def test_fft(self):
        x = T.dmatrix("x")
        a = self.rng.rand(3, 8)
        f = function([x], T.fft.rfft(x))(a)
        assert np.allclose(f[..., 0] + 1j * f[..., 1], np.fft.rfft(a))
        for form in (None, "ortho", "no_norm"):
            back = function([x], T.fft.irfft(T.fft.rfft(x, norm=form), norm=form))(a)
            assert np.allclose(back, a * (8 if form == "no_norm" else 1))
        utt.verify_grad(lambda x: T.fft.rfft(x), [a])


if __name__ == "__main__":
    unittest.main()
