"""Unit tests of loops and lazy choices in the manner of those that Theano came with."""

from __future__ import absolute_import, print_function, division

from collections import OrderedDict
import pickle
import unittest

import numpy as np

import theano
import theano.sandbox.rng_mrg
from theano import tensor
from theano.gof.op import get_test_value
from theano.ifelse import IfElse, ifelse
from theano.scan_module.scan_utils import clone, equal_computations
from theano.tests import unittest_tools as utt

mode_with_opt = theano.compile.mode.get_default_mode()


def asarrayX(value):
    return theano._asarray(value, dtype=theano.config.floatX)


def scan_nodes_from_fct(fct):
    nodes = fct.maker.fgraph.toposort()
    return [n for n in nodes if isinstance(n.op, theano.scan_module.scan_op.Scan)]


class T_Scan(unittest.TestCase):
    def setUp(self):
        utt.seed_rng()

    def test_generator_one_output_scalar(self):
        def f_pow2(x_tm1):
            return 2 * x_tm1

        state = theano.tensor.scalar("state")
        n_steps = theano.tensor.iscalar("nsteps")
        output, updates = theano.scan(f_pow2, [], state, [], n_steps=n_steps, truncate_gradient=-1, go_backwards=False)
        my_f = theano.function([state, n_steps], output, updates=updates, allow_input_downcast=True)
        rng = np.random.RandomState(utt.fetch_seed())
        state = rng.uniform()
        utt.assert_allclose(np.array([state * (2 ** (k + 1)) for k in range(5)]), my_f(state, 5))
        self.assertEqual(my_f(state, 0).shape, (0,))

    def test_subtensor_multiple_slices(self):
        def f_pow2(x_tm1):
            return 2 * x_tm1

        state = theano.tensor.vector("state")
        n_steps = theano.tensor.iscalar("nsteps")
        output, updates = theano.scan(f_pow2, [], state, [], n_steps=n_steps)
        my_f = theano.function([state, n_steps], output[::2, 1:], updates=updates, allow_input_downcast=True)
        self.assertEqual(my_f(np.ones(3), 6).shape, (3, 2))

    def test_one_sequence_one_output_weights(self):
        def f_rnn(u_t, x_tm1, W_in, W):
            return u_t * W_in + x_tm1 * W

        u = theano.tensor.vector("u")
        x0 = theano.tensor.scalar("x0")
        W_in = theano.tensor.scalar("win")
        W = theano.tensor.scalar("w")
        output, updates = theano.scan(f_rnn, u, x0, [W_in, W], n_steps=None)
        f2 = theano.function([u, x0, W_in, W], output, updates=updates, allow_input_downcast=True)
        v_u, v_x0, w_in, w = np.random.uniform(-5, 5, 4), 0.3, 0.5, -0.7
        v_out = np.zeros((4,))
        v_out[0] = v_u[0] * w_in + v_x0 * w
        for step in range(1, 4):
            v_out[step] = v_u[step] * w_in + v_out[step - 1] * w
        utt.assert_allclose(f2(v_u, v_x0, w_in, w), v_out)
        backwards, _ = theano.scan(f_rnn, u, x0, [W_in, W], go_backwards=True)
        utt.assert_allclose(theano.function([u, x0, W_in, W], backwards)(v_u[::-1].astype(theano.config.floatX), v_x0, w_in, w), v_out)

        def cost(u, x0, w_in, w):
            return theano.scan(f_rnn, u, x0, [w_in, w], name="rnn")[0].sum()

        utt.verify_grad(cost, [v_u, np.float64(v_x0), np.float64(w_in), np.float64(w)])

    def test_shared_arguments_and_strict(self):
        u = theano.tensor.vector("u")
        W = theano.shared(asarrayX(0.5), name="w")
        output, _ = theano.scan(lambda u_t, x: u_t + x * W, u, theano.shared(asarrayX(0.0)))
        f = theano.function([u], output)
        utt.assert_allclose(f(asarrayX([1, 1])), [1, 1.5])
        W.set_value(asarrayX(0))
        utt.assert_allclose(f(asarrayX([1, 1])), [1, 1])
        strict, _ = theano.scan(lambda u_t, x, w: u_t + x * w, u, theano.shared(asarrayX(0.0)), non_sequences=[W],
                                strict=True)
        utt.assert_allclose(theano.function([u], strict)(asarrayX([1, 1])), [1, 1])
        with self.assertRaises(Exception):
            theano.scan(lambda u_t, x: u_t + x * W, u, theano.shared(asarrayX(0.0)), strict=True)

    def test_multiple_inputs_multiple_outputs(self):
        W1, W2 = np.random.uniform(-.5, .5, (2,)), np.random.uniform(-.5, .5, (2, 2))
        Wout = np.random.uniform(-.5, .5, (2,))
        u1, u2 = theano.tensor.vector("u1"), theano.tensor.matrix("u2")
        x0, y0 = theano.tensor.vector("x0"), theano.tensor.scalar("y0")
        shared_w1, shared_w2, shared_out = [theano.shared(asarrayX(w)) for w in (W1, W2, Wout)]

        def f_rnn_cmpl(u1_t, u2_t, x_tm1, y_tm1, W_in1):
            return [theano.dot(u1_t * W_in1, shared_w2) + theano.dot(u2_t, shared_w2) + theano.dot(x_tm1, shared_w2),
                    theano.dot(x_tm1, shared_out)]

        outputs, updates = theano.scan(f_rnn_cmpl, [u1, u2], [x0, y0], shared_w1, n_steps=None,
                                       truncate_gradient=-1, go_backwards=False)
        f4 = theano.function([u1, u2, x0, y0], outputs, updates=updates, allow_input_downcast=True)
        v_u1, v_u2, x, y = np.random.rand(3), np.random.rand(3, 2), np.random.rand(2), 0.2
        found_x, found_y = f4(v_u1, v_u2, x, y)
        for i in range(3):
            y = x.dot(Wout)
            x = (v_u1[i] * W1).dot(W2) + v_u2[i].dot(W2) + x.dot(W2)
            utt.assert_allclose(x, found_x[i], rtol=1e-4)
            utt.assert_allclose(y, found_y[i], rtol=1e-4)

    def test_using_taps_sequence(self):
        x = theano.tensor.dvector()
        y, updates = theano.scan(lambda x: [x], sequences=dict(input=x, taps=[-1]), outputs_info=[None])
        inp = np.arange(5).astype("float64")
        rval = theano.function([x], y, updates=updates)(inp)
        assert np.all(rval == inp[:-1])

    def test_taps_input_and_output(self):
        def f_rnn_shared(u1_t, u2_tm3, u2_t, u2_tp1, x_tm1, x_tm2, y_tm1):
            return [u1_t + u2_t * u2_tp1 + x_tm1 * 0.5, y_tm1 + x_tm2 + u2_tm3]

        u1, u2 = theano.tensor.dvector("u1"), theano.tensor.dvector("u2")
        x0, y0 = theano.tensor.dvector("x0"), theano.tensor.dscalar("y0")
        outputs, updates = theano.scan(
            f_rnn_shared, [u1, dict(input=u2, taps=[-3, 0, 1])],
            [dict(initial=x0, taps=[-1, -2]), y0], n_steps=None)
        f = theano.function([u1, u2, x0, y0], outputs, updates=updates)
        v1, v2, xs, y = np.random.rand(6), np.random.rand(9), list(np.random.rand(2)), 0.5
        found = f(v1, v2, np.array(xs), y)
        for n in range(5):
            u1_t, u2_tm3, u2_t, u2_tp1 = v1[n], v2[n], v2[n + 3], v2[n + 4]
            xs.append(u1_t + u2_t * u2_tp1 + xs[-1] * 0.5)
            y = y + xs[-3] + u2_tm3
            utt.assert_allclose(xs[-1], found[0][n])
            utt.assert_allclose(y, found[1][n])

    def test_future_taps(self):
        u = theano.tensor.dvector()
        out, _ = theano.scan(lambda now, later: later - now, dict(input=u, taps=[0, 2]))
        utt.assert_allclose(theano.function([u], out)(np.arange(6.0) ** 2), [4, 8, 12, 16])

    def test_simple_shared_random(self):
        for streams in (theano.tensor.shared_randomstreams.RandomStreams, theano.sandbox.rng_mrg.MRG_RandomStreams):
            theano_rng = streams(utt.fetch_seed())
            values, updates = theano.scan(lambda: theano_rng.uniform((2,), -1, 1), [], [], [], n_steps=5)
            my_f = theano.function([], values, updates=updates, allow_input_downcast=True)
            first, second = my_f(), my_f()
            self.assertEqual(first.shape, (5, 2))
            assert not np.allclose(first, second)
            assert len(np.unique(first)) == 10
        rng = np.random.RandomState(utt.fetch_seed())
        theano_rng = tensor.shared_randomstreams.RandomStreams(utt.fetch_seed())
        values, updates = theano.scan(lambda: theano_rng.uniform((2,), -1, 1), [], [], [], n_steps=5)
        stream = np.random.RandomState(int(rng.randint(2 ** 30)))
        utt.assert_allclose(theano.function([], values, updates=updates)(),
                            np.array([stream.uniform(-1, 1, size=(2,)) for n in range(5)]))

    def test_only_shared_no_input_no_output(self):
        state = theano.shared(asarrayX(0.3), "vstate")
        n_steps = theano.tensor.iscalar("nsteps")
        output, updates = theano.scan(lambda: OrderedDict([(state, 2 * state)]), [], [], [], n_steps=n_steps)
        this_f = theano.function([n_steps], output, updates=updates)
        this_f(5)
        utt.assert_allclose(state.get_value(), 0.3 * 2 ** 5)

    def test_updates_with_outputs(self):
        counter = theano.shared(np.int64(0), name="counter")
        out, updates = theano.scan(lambda x: (x * 2, {counter: counter + 1}), sequences=tensor.arange(4))
        f = theano.function([], out, updates=updates)
        self.assertEqual(f().tolist(), [0, 2, 4, 6])
        self.assertEqual(counter.get_value(), 4)
        assert isinstance(updates, theano.updates.OrderedUpdates)

    def test_map_functionality(self):
        v_u = asarrayX([-1, 2, 3])
        u = theano.tensor.vector("u")
        abs_expr, abs_updates = theano.map(lambda x: abs(x), u, [], truncate_gradient=-1, go_backwards=False)
        utt.assert_allclose(theano.function([u], abs_expr, updates=abs_updates)(v_u), abs(v_u))
        abs_expr, _ = theano.map(lambda x, k: x * k, u, [tensor.constant(3)], go_backwards=True, name="m")
        utt.assert_allclose(theano.function([u], abs_expr)(v_u), 3 * v_u[::-1])

    def test_reduce_and_folds(self):
        v = theano.tensor.vector("v")
        s = theano.tensor.scalar("s")
        result, updates = theano.reduce(lambda x, y: x + y, v, s)
        f = theano.function([v, s], result, updates=updates, allow_input_downcast=True)
        assert abs(np.sum([1.0, 2, 3, 4, 5]) - f([1, 2, 3, 4, 5], 0.)) < 1e-3
        left, _ = theano.foldl(lambda x, acc: acc - x, v, s)
        right, _ = theano.foldr(lambda x, acc: x - acc, v, s)
        utt.assert_allclose(theano.function([v, s], [left, right], allow_input_downcast=True)([1, 2, 4], 0), [-7, 3])
        two, _ = theano.reduce(lambda x, a, b: (a + x, b * x), v, [s, tensor.ones_like(s)])
        utt.assert_allclose(theano.function([v, s], two, allow_input_downcast=True)([1, 2, 4], 0), [7, 8])

    def test_while(self):
        x = tensor.vector("x")
        o, _ = theano.scan(lambda x: (x * x, theano.scan_module.until(x > 3)), x)
        f = theano.function([x], o)
        vx = np.zeros((50,), dtype=theano.config.floatX)
        vx[23] = 4
        out = f(vx)
        assert len(out) == 24
        last = theano.function([x], o[-1])(vx)
        self.assertEqual(last, 16)
        self.assertEqual(len(f(np.zeros(7, theano.config.floatX))), 7)
        steps, _ = theano.scan(lambda v: (v * 2, theano.scan_module.until(v * 2 > 45)),
                               outputs_info=tensor.constant(1.5), n_steps=1024)
        self.assertEqual(len(theano.function([], steps)()), 5)

    def test_gradient_of_scan(self):
        W = np.random.uniform(-.5, .5, (3, 3))
        x0 = np.random.uniform(-1, 1, (3,))
        us = np.random.uniform(-1, 1, (4, 3))

        def loss(us, x0, W):
            xs, _ = theano.scan(lambda u, x, w: tensor.tanh(tensor.dot(x, w) + u), [us], [x0], [W])
            return (xs ** 2).sum() + xs[-1].sum()

        utt.verify_grad(loss, [us, x0, W])

        def nested(us, x0, W):
            def outer(u, x, w):
                inner, _ = theano.scan(lambda row, acc: acc + tensor.dot(row, x) * row, w, tensor.zeros_like(x))
                return tensor.tanh(inner[-1] + u)

            xs, _ = theano.scan(outer, [us], [x0], [W])
            return xs.sum()

        utt.verify_grad(nested, [us, x0, W])

        def with_taps(us, x0):
            xs, _ = theano.scan(lambda u, a, b: tensor.tanh(u.sum() + a * b), us, dict(initial=x0, taps=[-3, -1]))
            return xs.sum()

        utt.verify_grad(with_taps, [us, x0])
        m = tensor.dmatrix()
        v = tensor.dvector()
        cost = loss(m, v, tensor.as_tensor_variable(W))
        H = theano.function([m, v], theano.gradient.hessian(cost, v))(us, x0)
        utt.assert_allclose(H, H.T, atol=1e-8)
        tangent = theano.function([m, v], theano.Rop(tensor.grad(cost, v), v, tensor.ones_like(v)))(us, x0)
        utt.assert_allclose(tangent, H.sum(1), rtol=1e-4)

    def test_truncated_gradient(self):
        x0, u = tensor.dscalar("x0"), tensor.dvector("u")
        full, _ = theano.scan(lambda u, x: u + x * 0.5, u, x0)
        short, _ = theano.scan(lambda u, x: u + x * 0.5, u, x0, truncate_gradient=2)
        g = theano.function([u, x0], [tensor.grad(full[-1], u), tensor.grad(short[-1], u), tensor.grad(short[-1], x0)],
                            on_unused_input="ignore")
        a, b, c = g(np.ones(5), 1.0)
        utt.assert_allclose(a, 0.5 ** np.arange(4, -1, -1))
        utt.assert_allclose(b[-2:], [0.5, 1])
        assert not b[:3].any()
        self.assertEqual(c, 0)

    def test_gradient_disconnected_and_unused(self):
        v, n = tensor.dvector("v"), tensor.lscalar("n")
        out, _ = theano.scan(lambda x, i: [x * 2, i + 1], v, [None, n])
        g = tensor.grad(out[0].sum(), v)
        utt.assert_allclose(theano.function([v, n], g, on_unused_input="ignore")(np.ones(3), 1), [2, 2, 2])

    def test_alloc_and_broadcast_states(self):
        x = tensor.row("x")
        with self.assertRaises(Exception):
            theano.scan(lambda s: tensor.concatenate([s, s]), outputs_info=x, n_steps=2)
        a = tensor.unbroadcast(tensor.shape_padleft(tensor.vector()), 0)
        out, _ = theano.scan(lambda s: s + 1, outputs_info=[a], n_steps=3)
        self.assertEqual(out.ndim, 3)

    def test_reordering_and_save_mem(self):
        u = tensor.dvector()
        x0 = tensor.dvector()
        outs, _ = theano.scan(lambda u, a, b, c: [a + u, b * 2 + u, a - c], u,
                              [x0[0], dict(initial=x0[1], taps=[-1]), x0[2]])
        f = theano.function([u, x0], [outs[0][-1], outs[1][-2:], outs[2][0]], mode=mode_with_opt)
        a, b, c = f(np.arange(4.0), np.ones(3))
        self.assertEqual((float(a), b.tolist(), float(c)), (7, [12, 27], 0))
        self.assertEqual(len(scan_nodes_from_fct(f)), 1)

    def test_outputs_info_forms(self):
        n = tensor.iscalar()
        for info in (tensor.constant(0.0), [tensor.constant(0.0)], dict(initial=tensor.constant(0.0)),
                     [dict(initial=tensor.constant(0.0), taps=[-1])], np.float64(0)):
            out, _ = theano.scan(lambda x: x + 1.5, outputs_info=info, n_steps=n)
            utt.assert_allclose(theano.function([n], out)(3), [1.5, 3, 4.5])
        out, _ = theano.scan(fn=lambda i, x: x + i, sequences=tensor.arange(3), outputs_info=np.int64(0))
        self.assertEqual(out.eval().tolist(), [0, 1, 3])
        listed = theano.scan(lambda x: x + 1, tensor.arange(3), return_list=True)[0]
        assert isinstance(listed, list)
        coefficients, x = tensor.vector("coefficients"), tensor.scalar("x")
        components, _ = theano.scan(fn=lambda coefficient, power, free_variable: coefficient * (free_variable ** power),
                                    outputs_info=None, sequences=[coefficients, tensor.arange(1000)], non_sequences=x)
        polynomial = theano.function(inputs=[coefficients, x], outputs=components.sum())
        utt.assert_allclose(polynomial(asarrayX([1, 0, 2]), 3), 19)

    def test_errors(self):
        x = tensor.vector()
        self.assertRaises(ValueError, theano.scan, lambda: 1)
        self.assertRaises((ValueError, TypeError), theano.scan, lambda a, b: a, x)
        with self.assertRaises(Exception):
            theano.scan(lambda s: tensor.cast(s, "float64") * 0.1, outputs_info=tensor.iscalar(), n_steps=2)
        out, _ = theano.scan(lambda a, b: a + b, [x, x[:-1]])
        utt.assert_allclose(theano.function([x], out)(asarrayX([1, 2, 3])), [2, 4])

    def test_set_subtensor_in_loop(self):
        location, values, output_model = tensor.imatrix("location"), tensor.vector("values"), tensor.matrix("output_model")

        def set_value_at_position(a_location, a_value, output_model):
            zeros = tensor.zeros_like(output_model)
            zeros_subtensor = zeros[a_location[0], a_location[1]]
            return tensor.set_subtensor(zeros_subtensor, a_value)

        result, updates = theano.scan(fn=set_value_at_position, outputs_info=None, sequences=[location, values],
                                      non_sequences=output_model)
        f = theano.function(inputs=[location, values, output_model], outputs=result)
        found = f(np.asarray([[1, 1], [2, 3]], dtype=np.int32), asarrayX([42, 50]), np.zeros((5, 5), theano.config.floatX))
        self.assertEqual((found[0, 1, 1], found[1, 2, 3], found.sum()), (42, 50, 92))

    def test_pickled_function(self):
        x = tensor.vector()
        out, _ = theano.scan(lambda a, s: s * 0.5 + a, x, tensor.zeros((), theano.config.floatX))
        f = theano.function([x], out)
        g = pickle.loads(pickle.dumps(f, pickle.HIGHEST_PROTOCOL))
        utt.assert_allclose(g(asarrayX([1, 2])), f(asarrayX([1, 2])))

    def test_checkpoints(self):
        k, A = tensor.iscalar("k"), tensor.vector("A")
        result, _ = theano.scan(lambda p, a: p * a, outputs_info=tensor.ones_like(A), non_sequences=A, n_steps=k)
        saved, _ = theano.scan_checkpoints(lambda p, a: p * a, outputs_info=tensor.ones_like(A), non_sequences=A,
                                           n_steps=k, save_every_N=3)
        f = theano.function([k, A], [result[-1], saved[-1], tensor.grad(result[-1].sum(), A),
                                     tensor.grad(saved[-1].sum(), A)])
        a, b, c, d = f(9, asarrayX([1, 1.1, 0.9]))
        utt.assert_allclose(a, b)
        utt.assert_allclose(c, d)

    def test_clone_and_equal_computations(self):
        x, y = tensor.vectors("x", "y")
        z = x ** 2 + y
        replaced = clone(z, replace={x: y}, strict=True, share_inputs=True)
        assert equal_computations([replaced], [y ** 2 + y])
        assert not equal_computations([replaced], [z])
        self.assertTrue(theano.gof.graph.is_same_graph(replaced, y ** 2 + y))
        copied = clone(z, share_inputs=False)
        assert x not in theano.gof.graph.inputs([copied])


class test_ifelse(unittest.TestCase, utt.TestOptimizationMixin):
    def test_lazy_if(self):
        x, y = tensor.vector("x"), tensor.vector("y")
        c = tensor.iscalar("c")
        f = theano.function([c, x, y], ifelse(c, x, y))
        vx, vy = asarrayX([1, 2]), asarrayX([3, 4, 5])
        assert np.allclose(vx, f(1, vx, vy))
        assert np.allclose(vy, f(0, vx, vy))

    def test_is_lazy(self):
        called = []

        class Note(theano.Op):
            __props__ = ("word",)

            def __init__(self, word):
                self.word = word

            def make_node(self, x):
                x = tensor.as_tensor_variable(x)
                return theano.Apply(self, [x], [x.type()])

            def perform(self, node, inputs, outputs):
                called.append(self.word)
                outputs[0][0] = inputs[0].copy()

        x, c = tensor.vector("x"), tensor.iscalar("c")
        f = theano.function([c, x], ifelse(tensor.gt(c, 0), Note("yes")(x), Note("no")(x) * 2))
        f(1, asarrayX([1.0]))
        self.assertEqual(called, ["yes"])
        f(0, asarrayX([1.0]))
        self.assertEqual(called, ["yes", "no"])

    def test_grad_lazy_if(self):
        x, y, c = tensor.vector("x"), tensor.vector("y"), tensor.iscalar("c")
        z = ifelse(c, x * 2, y * 3)
        gx, gy = tensor.grad(z.sum(), [x, y])
        f = theano.function([c, x, y], [gx, gy])
        vx, vy = asarrayX([1, 2]), asarrayX([3, 4])
        utt.assert_allclose(f(1, vx, vy)[0], [2, 2])
        utt.assert_allclose(f(1, vx, vy)[1], [0, 0])
        utt.assert_allclose(f(0, vx, vy)[1], [3, 3])

    def test_multiple_out(self):
        x, y, c = tensor.vector("x"), tensor.vector("y"), tensor.iscalar("c")
        z = ifelse(c, (x, y), (y, x))
        assert isinstance(z, (list, tuple))
        f = theano.function([c, x, y], z)
        vx, vy = asarrayX([1]), asarrayX([3])
        utt.assert_allclose(f(0, vx, vy)[0], vy)
        self.assertRaises((ValueError, TypeError), ifelse, c, (x, y), x)
        self.assertRaises(TypeError, ifelse, c, tensor.imatrix(), tensor.vector())
        nodes = [n for n in f.maker.fgraph.toposort() if isinstance(n.op, IfElse)]
        self.assertEqual(len(nodes), 1)

    def test_dtype_and_python_condition(self):
        x = tensor.fvector()
        out = ifelse(tensor.constant(1), x, x * np.float32(2))
        self.assertEqual(out.dtype, "float32")
        one = ifelse(tensor.iscalar("c") > 0, np.float32(1), np.float32(2))
        self.assertEqual(one.dtype, "float32")


if __name__ == "__main__":
    unittest.main()
