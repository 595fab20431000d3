"""Unit tests of layers, random numbers and sparse matrices in the manner of those that Theano came with."""

import copy
import pickle
import unittest

import numpy as np
import scipy.sparse as sp
import scipy.special

import theano
import theano.tensor as T
from theano import config, function, shared, sparse, tensor
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano.tensor import raw_random
from theano.tensor.nnet import (
    abstract_conv, batch_normalization, batch_normalization_test, batch_normalization_train, binary_crossentropy,
    categorical_crossentropy, confusion_matrix, conv2d, conv3d, crossentropy_softmax_1hot,
    crossentropy_softmax_1hot_with_bias, crossentropy_softmax_argmax_1hot_with_bias, elu, h_softmax, hard_sigmoid,
    logsoftmax, relu, selu, sigmoid, sigmoid_binary_crossentropy, softmax, softmax_with_bias, softplus, softsign,
    ultra_fast_sigmoid)
from theano.tensor.raw_random import RandomFunction, random_state_type
from theano.tensor.shared_randomstreams import RandomStreams
from theano.tensor.signal.pool import Pool, max_pool_2d_same_size, pool_2d, pool_3d
from theano.tests import unittest_tools as utt


class T_Softmax(unittest.TestCase):
    def setUp(self):
        utt.seed_rng()

    def test_values(self):
        x = T.dmatrix("x")
        xv = np.random.randn(6, 8)
        want = scipy.special.softmax(xv, axis=1)
        assert np.allclose(function([x], softmax(x))(xv), want)
        assert np.allclose(function([x], logsoftmax(x))(xv), np.log(want))
        assert np.allclose(function([x], T.log(softmax(x)))(xv * 1000), scipy.special.log_softmax(xv * 1000, axis=1))
        for i in range(3):
            utt.verify_grad(lambda a: softmax(a)[:, i], [xv[:2]])
        v = T.dvector()
        out = softmax(v)
        self.assertEqual(out.ndim, 2)
        self.assertEqual(out.broadcastable, (True, False))
        assert np.allclose(function([v], out)(xv[0]), want[:1])
        b = T.dvector()
        assert np.allclose(function([x, b], softmax_with_bias(x, b))(xv, xv[0]), scipy.special.softmax(xv + xv[0], axis=1))
        self.assertRaises((ValueError, TypeError), softmax, T.scalar())

    def test_crossentropies(self):
        x, b, y = T.dmatrix("x"), T.dvector("b"), T.lvector("y")
        xv, bv, yv = np.random.randn(4, 5), np.random.randn(5), np.array([0, 4, 2, 2])
        p = scipy.special.softmax(xv, axis=1)
        pb = scipy.special.softmax(xv + bv, axis=1)
        nll, sm, am = crossentropy_softmax_argmax_1hot_with_bias(x, b, y)
        found = function([x, b, y], [nll, sm, am])(xv, bv, yv)
        for a, want in zip(found, (-np.log(pb[np.arange(4), yv]), pb, pb.argmax(1))):
            assert np.allclose(a, want)
        assert np.allclose(function([x, y], crossentropy_softmax_1hot(x, y)[0])(xv, yv), -np.log(p[np.arange(4), yv]))
        assert np.allclose(function([x, b, y], crossentropy_softmax_1hot_with_bias(x, b, y)[1], on_unused_input="ignore")(xv, bv, yv), pb)
        for cost in (-T.mean(T.log(softmax(x))[T.arange(y.shape[0]), y]), categorical_crossentropy(softmax(x), y).mean(),
                     -T.log(softmax(x)[T.arange(4), y]).mean()):
            value, slope = function([x, y], [cost, T.grad(cost, x)])(xv, yv)
            assert np.allclose(value, -np.log(p[np.arange(4), yv]).mean())
            assert np.allclose(slope, (p - np.eye(5)[yv]) / 4)
        t = T.dmatrix()
        assert np.allclose(function([x, t], categorical_crossentropy(x, t))(p, np.eye(5)[yv]), -np.log(p[np.arange(4), yv]))
        assert np.allclose(function([x, t], binary_crossentropy(x, t))(p, np.eye(5)[yv]),
                           -np.where(np.eye(5)[yv] == 1, np.log(p), np.log(1 - p)))
        assert np.allclose(function([x, t], sigmoid_binary_crossentropy(x, t))(xv, p),
                           -(p * np.log(scipy.special.expit(xv)) + (1 - p) * np.log(scipy.special.expit(-xv))))
        utt.verify_grad(lambda x: sigmoid_binary_crossentropy(x, T.constant(p)), [xv])
        self.assertRaises(TypeError, categorical_crossentropy, x, T.lscalar())
        a, c = T.lvector(), T.lvector()
        matrix, order = function([a, c], confusion_matrix(a, c))([0, 1, 2, 1, 0], [0, 0, 2, 1, 2])
        assert matrix.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]

    def test_h_softmax(self):
        x = T.dmatrix("x")
        W1, b1, W2, b2 = [np.random.randn(*s) for s in ((6, 3), (3,), (3, 6, 4), (3, 4))]
        out = h_softmax(x, 5, 10, 3, 4, W1, b1, W2, b2)
        probs = function([x], out)(np.random.randn(5, 6))
        self.assertEqual(probs.shape, (5, 10))
        target = h_softmax(x, 5, 10, 3, 4, W1, b1, W2, b2, T.constant(np.array([0, 3, 9, 5, 1])))
        xv = np.random.randn(5, 6)
        assert np.allclose(function([x], target)(xv), function([x], out)(xv)[np.arange(5), [0, 3, 9, 5, 1]])

    def test_activations(self):
        x = T.dmatrix("x")
        X = np.random.randn(20, 30)
        for op, want in (
            (relu, np.maximum(X, 0)), (lambda x: relu(x, 0.3), np.where(X > 0, X, .3 * X)), (sigmoid, scipy.special.expit(X)),
            (lambda x: relu(x, T.constant(np.arange(30.0))), np.where(X > 0, X, np.arange(30) * X)),
            (elu, np.where(X > 0, X, np.expm1(X))), (lambda x: elu(x, 0.5), np.where(X > 0, X, .5 * np.expm1(X))),
            (softplus, np.logaddexp(0, X)), (softsign, X / (1 + abs(X))), (hard_sigmoid, np.clip(X * .2 + .5, 0, 1)),
            (selu, 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X))),
        ):
            assert np.allclose(function([x], op(x))(X), want), op
            if op is not hard_sigmoid and X.shape[1] == 30:
                utt.verify_grad(op, [X[:2]])
        assert abs(function([x], ultra_fast_sigmoid(x))(X) - scipy.special.expit(X)).max() < 0.03

    def test_stable(self):
        x = T.dvector()
        v = np.array([-1000.0, -50, 0, 50, 1000])
        assert np.isfinite(function([x], T.log(sigmoid(x)))(v)).all()
        assert np.isfinite(function([x], T.log(1 - sigmoid(x)))(v)).all()
        assert np.isfinite(function([x], T.log1p(T.exp(x)))(v)).all()
        assert np.allclose(function([x], T.log(1 - sigmoid(x)))(v), -np.logaddexp(0, v))


class T_BatchNormalization(unittest.TestCase):
    def test_train_and_test(self):
        utt.seed_rng()
        for ndim, axes in ((2, "per-activation"), (4, "spatial"), (4, (0,)), (3, (0, 2)), (5, "spatial")):
            X = np.random.randn(*((5, 4, 3, 2, 3)[:ndim]))
            reduced = {"per-activation": (0,), "spatial": (0,) + tuple(range(2, ndim))}.get(axes, axes)
            shape = tuple(1 if n in reduced else s for n, s in enumerate(X.shape))
            scale, bias, mean, var = np.random.rand(*shape) + .5, np.random.randn(*shape), np.zeros(shape), np.ones(shape)
            x = T.TensorType("float64", (False,) * ndim)("x")
            s, b, m, v = [T.TensorType("float64", [n == 1 for n in shape])() for name in "sbmv"]
            out, x_mean, x_invstd, new_mean, new_var = batch_normalization_train(
                x, s, b, axes, epsilon=1e-3, running_average_factor=0.2, running_mean=m, running_var=v)
            f = function([x, s, b, m, v], [out, x_mean, x_invstd, new_mean, new_var] + T.grad((out ** 2).sum(), [x, s, b]))
            found = f(X, scale, bias, mean, var)
            mu, sigma = X.mean(reduced, keepdims=True), X.var(reduced, keepdims=True)
            count = X.size / mu.size
            for a, want in zip(found, ((X - mu) / np.sqrt(sigma + 1e-3) * scale + bias, mu, 1 / np.sqrt(sigma + 1e-3), .2 * mu,
                                       .8 + .2 * sigma * count / (count - 1))):
                assert np.allclose(a, want, atol=1e-6)
            t = batch_normalization_test(x, s, b, m, v, axes, epsilon=1e-3)
            assert np.allclose(function([x, s, b, m, v], t)(X, scale, bias, mu, sigma), found[0])
            utt.verify_grad(lambda x, s, b: batch_normalization_train(
                x, T.addbroadcast(s, *reduced), T.addbroadcast(b, *reduced), axes)[0], [X, scale, bias], n_tests=1)
        x, s, b, m, d = T.dmatrix(), T.dvector(), T.dvector(), T.dvector(), T.dvector()
        old = batch_normalization(x, s, b, m, d, mode="low_mem")
        X = np.random.randn(5, 3)
        args = [np.random.rand(3) + .5 for n in range(4)]
        assert np.allclose(function([x, s, b, m, d], old)(X, *args), (X - args[2]) * args[0] / args[3] + args[1])


class T_Pool_Conv(unittest.TestCase):
    def test_more_pooling(self):
        utt.seed_rng()
        x = T.dtensor4()
        a = np.random.rand(1, 2, 6, 6)
        same = function([x], max_pool_2d_same_size(x, (2, 3)))(a)
        self.assertEqual(same.shape, a.shape)
        self.assertEqual((same != 0).sum(), 2 * 3 * 2)
        m = T.dmatrix()
        self.assertEqual(function([m], pool_2d(m, (2, 2), ignore_border=True))(a[0, 0]).shape, (3, 3))
        t = T.dtensor3()
        self.assertEqual(function([t], pool_2d(t, (2, 2), ignore_border=True))(a[0]).shape, (2, 3, 3))
        self.assertRaises(Exception, pool_2d, T.dvector(), (2, 2))
        self.assertRaises(ValueError, pool_2d, x, (2, 2), ignore_border=True, mode="nothing")
        R = T.Rop(pool_2d(x, (2, 2), ignore_border=True), x, T.ones_like(x))
        assert np.allclose(function([x], R)(a), 1)
        g = T.grad(pool_2d(x, (2, 2), ignore_border=True).sum(), x)
        utt.verify_grad(lambda v: T.grad(pool_2d(v ** 2, (2, 2), ignore_border=True).sum(), v), [a], n_tests=1)

    def test_conv_errors_and_3d(self):
        utt.seed_rng()
        x, w = T.dtensor4("x"), T.dtensor4("w")
        self.assertRaises((ValueError, TypeError), conv2d, T.dmatrix(), w)
        self.assertRaises(ValueError, conv2d, x, w, border_mode="nothing")
        self.assertRaises((ValueError, Exception), conv2d, x, w, input_shape=(1, 2, 3), filter_shape=(1, 2, 3, 3))
        f = function([x, w], conv2d(x, w))
        self.assertRaises(ValueError, f, np.zeros((1, 2, 5, 5)), np.zeros((3, 4, 2, 2)))
        utt.verify_grad(lambda x, w: conv2d(x, w, border_mode="half", subsample=(2, 1)),
                        [np.random.rand(1, 2, 5, 4), np.random.rand(3, 2, 3, 3)], n_tests=1)
        v, k = T.dtensor5("v"), T.dtensor5("k")
        utt.verify_grad(lambda v, k: conv3d(v, k, border_mode=(1, 0, 1)), [np.random.rand(1, 2, 3, 4, 3), np.random.rand(2, 2, 2, 2, 2)],
                        n_tests=1)
        out = T.nnet.conv3d2d.conv3d(T.dtensor5("s"), T.dtensor5("f"))
        self.assertEqual(out.ndim, 5)
        self.assertEqual(abstract_conv.get_conv_output_shape((2, 3, 10, 10), (4, 3, 3, 3), "half", (2, 2)), (2, 4, 5, 5))
        b = T.nnet.separable_conv2d(x, T.constant(np.random.rand(4, 1, 3, 3)), T.constant(np.random.rand(5, 4, 1, 1)), 2)
        self.assertEqual(function([x], b)(np.random.rand(1, 2, 5, 5)).shape, (1, 5, 3, 3))
        c = T.nnet.conv2d_transpose(x, w, (1, 2, 5, 5))
        self.assertEqual(function([x, w], c)(np.random.rand(1, 3, 3, 3), np.random.rand(3, 2, 3, 3)).shape, (1, 2, 5, 5))


class T_Random(unittest.TestCase):
    def test_shared_streams(self):
        m = RandomStreams(utt.fetch_seed())
        fn = function([], m.uniform((2, 2)))
        gn = function([], m.normal((2, 2)))
        a, b, c = fn(), fn(), gn()
        rng_seed = np.random.RandomState(utt.fetch_seed()).randint(2 ** 30)
        rng = np.random.RandomState(int(rng_seed))
        assert np.allclose(a, rng.uniform(size=(2, 2)))
        assert np.allclose(b, rng.uniform(size=(2, 2)))
        m.seed(int(utt.fetch_seed()))
        assert np.allclose(fn(), a)

    def test_reseed_and_state(self):
        m = RandomStreams(234)
        out = m.uniform((2, 2))
        fn = function([], out)
        v0 = fn()
        state = out.rng.get_value(borrow=True)
        v1 = fn()
        out.rng.set_value(copy.deepcopy(np.random.RandomState(23)), borrow=True)
        v2 = fn()
        assert np.allclose(v2, np.random.RandomState(23).uniform(size=(2, 2)))
        out.rng.set_value(state)
        m[out.rng] = np.random.RandomState(23)
        assert np.allclose(fn(), v2)
        self.assertEqual(len(m.state_updates), 1)
        self.assertEqual(len(m.updates()), 1)
        still = function([], out, no_default_updates=True)
        assert np.allclose(still(), still())
        double = function([], out + out - 2 * out)
        assert not double().any()

    def test_distributions(self):
        for streams in (RandomStreams(3), MRG_RandomStreams(3)):
            draws = {
                "uniform": streams.uniform((500,), low=-1, high=3), "normal": streams.normal((500,), avg=2.0, std=0.5),
                "binomial": streams.binomial((500,), n=1, p=0.3), "multinomial": streams.multinomial(n=1, pvals=np.array([[.2, .3, .5]] * 4)),
            }
            means = {"uniform": 1, "normal": 2, "binomial": 0.3, "multinomial": 1 / 3}
            for name, draw in draws.items():
                found = function([], draw)()
                self.assertAlmostEqual(found.mean(), means[name], delta=0.15, msg=name)
            assert draws["multinomial"].eval().sum(axis=1).tolist() == [1, 1, 1, 1]
        r = RandomStreams(4)
        assert sorted(r.permutation(n=8, size=(2,)).eval()[1]) == list(range(8))
        integers = function([], r.random_integers((300,), 1, 6))()
        assert set(integers) == set(range(1, 7))
        chosen = function([], r.choice((300,), a=5))()
        assert set(chosen) == set(range(5))
        assert function([], r.poisson((500,), lam=4.0))().mean() - 4 < 0.5
        x = T.dmatrix()
        shuffled = function([x], r.shuffle_row_elements(x))(np.arange(6.0).reshape(2, 3))
        assert sorted(shuffled[0]) == [0, 1, 2]
        mrg = MRG_RandomStreams(5)
        picked = function([], mrg.choice(size=2, replace=False, p=T.constant(np.array([[.2, .3, .5]] * 6))))()
        assert (picked[:, 0] != picked[:, 1]).all()
        p, mean = T.dmatrix("p"), T.dvector("mean")
        by_rows = function([mean], mrg.normal((3,), avg=mean, std=1e-6))([1.0, 2, 3])
        assert np.allclose(by_rows, [1, 2, 3], atol=1e-4)
        n = T.lscalar()
        self.assertEqual(function([n], mrg.uniform((n, 2)))(7).shape, (7, 2))
        like = T.dmatrix()
        self.assertEqual(function([like], mrg.uniform(like.shape, ndim=2))(np.zeros((3, 4))).shape, (3, 4))
        clone = pickle.loads(pickle.dumps(mrg))
        assert np.allclose(clone.uniform((2,)).eval(), mrg.uniform((2,)).eval())
        assert abs(function([], mrg.truncated_normal((400,)))()).max() <= 2.28  # the spread is that of the whole normal distribution

    def test_mrg_numbers(self):
        a = function([], MRG_RandomStreams(seed=12345).uniform((3,)))
        first, second = a(), a()
        assert not np.allclose(first, second)
        b = MRG_RandomStreams(12345)
        assert np.allclose(first, b.uniform((3,)).eval())
        c = MRG_RandomStreams([12345] * 6)
        self.assertEqual(len(c.rstate), 6)
        c.set_rstate(777)
        self.assertRaises((ValueError, TypeError), MRG_RandomStreams, "seed")

    def test_raw_random(self):
        rng_R = random_state_type()
        post_r, out = raw_random.uniform(rng_R, (4,))
        f = theano.compile.function([theano.compile.In(rng_R, value=np.random.RandomState(55), update=post_r, mutable=True)],
                                    [out], accept_inplace=True)
        want = np.random.RandomState(55)
        for n in range(2):
            assert np.allclose(f()[0], want.uniform(size=4))
        rf = RandomFunction(np.random.RandomState.uniform, T.dvector)
        new_r, out = rf(rng_R, (4,), 0., 1.)
        g = function([rng_R], [new_r, out])
        assert np.allclose(g(np.random.RandomState(55))[1], np.random.RandomState(55).uniform(size=4))


class T_Sparse(unittest.TestCase):
    def setUp(self):
        self.rng = np.random.RandomState(4)
        self.a = {name: sp.random(5, 4, 0.4, format=name, random_state=2) for name in ("csr", "csc")}

    def test_conversions(self):
        for name, make in (("csr", sparse.csr_matrix), ("csc", sparse.csc_matrix)):
            x = make("x", dtype="float64")
            self.assertEqual(x.type, sparse.SparseType(name, "float64"))
            self.assertEqual((x.ndim, x.dtype, x.format), (2, "float64", name))
            v = self.a[name]
            assert np.allclose(function([x], sparse.dense_from_sparse(x))(v), v.toarray())
            assert np.allclose(function([x], x.toarray())(v), v.toarray())
            out = function([x], x.T)(v)
            assert sp.issparse(out) and np.allclose(out.toarray(), v.toarray().T)
            d = T.dmatrix()
            back = function([d], getattr(sparse, name + "_from_dense")(d))(v.toarray())
            self.assertEqual(back.format, name)
            data, indices, indptr, shape = sparse.csm_properties(x)
            again = {"csr": sparse.CSR, "csc": sparse.CSC}[name](data * 2, indices, indptr, shape)
            assert np.allclose(function([x], again)(v).toarray(), 2 * v.toarray())
            assert sp.issparse(function([x], x)(v.toarray()))
            constant = sparse.as_sparse_variable(v)
            assert np.allclose(constant.eval().toarray(), v.toarray())
            state = shared(v, "s")
            self.assertTrue(isinstance(state.type, sparse.SparseType))
            assert np.allclose(function([], sparse.sp_sum(state, axis=0))(), np.asarray(v.sum(0)).ravel())
            assert x.type.is_valid_value(v)
            assert isinstance(x.owner, type(None)) and sparse.as_sparse_or_tensor_variable(x) is x

    def test_products(self):
        for name, make in (("csr", sparse.csr_matrix), ("csc", sparse.csc_matrix)):
            x, y, w = make("x", dtype="float64"), T.dmatrix(), T.dvector()
            v, m, u = self.a[name], self.rng.rand(4, 3), self.rng.rand(4)
            for product in (sparse.dot, sparse.structured_dot, lambda a, b: a.dot(b), sparse.basic.structured_dot):
                assert np.allclose(function([x, y], product(x, y))(v, m), v.dot(m))
            assert np.allclose(function([x, w], sparse.dot(x, w))(v, u), v.dot(u))
            assert np.allclose(function([x, y], sparse.dot(y.T, x.T))(v, m), m.T.dot(v.toarray().T))
            cost = (sparse.structured_dot(x, y) ** 2).sum()
            gx, gy = function([x, y], T.grad(cost, [x, y]))(v, m)
            assert np.allclose(gy, v.T.dot(2 * v.dot(m)))
            assert np.allclose(gx.toarray(), (2 * v.dot(m)).dot(m.T) * (v.toarray() != 0))
            assert np.allclose(function([x], sparse.true_dot(x, x.T))(v).toarray(), v.dot(v.T).toarray())
        W = shared(self.rng.rand(4, 2))
        x, t = sparse.csr_matrix("x", dtype="float64"), T.dmatrix()
        cost = T.sqr(sparse.dot(x, W) - t).mean()
        train = function([x, t], cost, updates=[(W, W - 0.5 * T.grad(cost, W))])
        costs = [train(self.a["csr"], np.ones((5, 2))) for n in range(20)]
        assert costs[-1] < costs[0]

    def test_arithmetic(self):
        x, y, d, w = sparse.csr_matrix("x", dtype="float64"), sparse.csr_matrix("y", dtype="float64"), T.dmatrix(), T.dvector()
        a, b = self.a["csr"], sp.random(5, 4, 0.5, format="csr", random_state=3)
        m, u = self.rng.rand(5, 4), self.rng.rand(4)
        for out, want in (
            (x + y, a + b), (x - y, a - b), (x * y, a.multiply(b)), (-x, -a), (sparse.mul_s_d(x, d), a.multiply(m)),
            (sparse.add(x, d), a.toarray() + m), (sparse.mul(x, d), a.multiply(m)), (sparse.col_scale(x, w), a.toarray() * u),
            (sparse.row_scale(x, T.constant(np.arange(5.0))), a.toarray() * np.arange(5.0)[:, None]), (x * 2.0, a * 2),
            (sparse.structured_add_s_v(x, w), a.toarray() + (a.toarray() != 0) * u), (sparse.structured_exp(x), np.exp(a.toarray()) * (a.toarray() != 0)),
            (sparse.sqr(x), a.multiply(a)), (sparse.sp_sum(x), a.sum()), (sparse.sp_sum(x, axis=1), np.asarray(a.sum(1)).ravel()),
            (x[1:3, 0:2], a[1:3, 0:2]), (x[2, 1], a[2, 1]), (sparse.hstack([x, y]), sp.hstack([a, b])), (sparse.vstack([x, y]), sp.vstack([a, b])),
            (sparse.cast(x, "float32"), a.astype("float32")), (sparse.structured_maximum(x, 0.5), np.maximum(a.toarray(), .5) * (a.toarray() != 0)),
            (sparse.remove0(x), a), (sparse.clean(x), a), (sparse.transpose(x), a.T), (sparse.square_diagonal(w), np.diag(u)),
            (sparse.diag(sparse.csr_from_dense(d[:4, :4])), np.diag(m[:4])), (sparse.ensure_sorted_indices(x), a),
        ):
            found = function([x, y, d, w], out, on_unused_input="ignore")(a, b, m, u)
            found, want = [v.toarray() if sp.issparse(v) else v for v in (found, want)]
            assert np.allclose(found, want), out


class T_typed_list(unittest.TestCase):
    def test_names_or_advice(self):
        try:
            from theano import typed_list
            mySymbolicList = typed_list.TypedListType(T.dvector)("l")
        except (AttributeError, ImportError) as e:
            assert "stack" in str(e)
            return
        v = T.dvector()
        f = function([mySymbolicList, v], typed_list.append(mySymbolicList, v))
        self.assertEqual(len(f([np.ones(2)], np.zeros(2))), 2)


if __name__ == "__main__":
    unittest.main()
