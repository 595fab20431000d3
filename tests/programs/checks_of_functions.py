"""Unit tests of functions, shared variables, graphs, printing and settings in the manner of those that Theano came with."""

import copy
import io
import os
import pickle
import sys
import tempfile
import unittest
from collections import OrderedDict

import numpy as np

import theano
import theano.tensor as T
from theano import config, gof, pp, printing, shared
from theano.compile import In, Out, SymbolicInput, as_op, deep_copy_op
from theano.compile.function import function
from theano.compile.function_module import Function, UnusedInputError
from theano.compile.io import SymbolicOutput
from theano.compile.pfunc import Param, pfunc
from theano.compile.sharedvalue import SharedVariable, generic
from theano.gof import MissingInputError
from theano.gof.graph import (Apply, Constant, Variable, ancestors, as_string, clone, clone_get_equiv, equal_computations,
                              general_toposort, inputs, io_toposort, is_same_graph, list_of_nodes, ops, orphans,
                              stack_search, variables)
from theano.printing import debugprint, min_informative_str, pprint
from theano.tensor import dmatrices, dmatrix, dscalar, dscalars, fscalar, iscalar, lscalar
from theano.tests import unittest_tools as utt


def PatternOptimizer(p1, p2, ign=False):
    return gof.OpKeyOptimizer(gof.PatternSub(p1, p2), ignore_newtrees=ign)


class T_function(unittest.TestCase):
    def test_empty(self):
        fn = function([], [])
        assert fn() == []

    def test_none(self):
        fn = function([], None)
        self.assertTrue(fn() is None or fn() == [])

    def test_basic(self):
        x, s = T.scalars("xs")
        f = function([x], x * 2)
        self.assertEqual(f(2), 4)
        self.assertTrue(isinstance(f(2), np.ndarray))
        self.assertEqual(f(2).shape, ())
        self.assertEqual(function([x], [x, x + 1])(1), [1, 2])
        self.assertEqual(function([x], [x])(1), [1])

    def test_errors(self):
        x, s = T.scalars("x", "s")
        self.assertRaises(MissingInputError, function, [x], x + s)
        self.assertRaises(UnusedInputError, function, [x, s], x)
        self.assertRaises(TypeError, function, x, x)
        f = function([x, s], s / x)
        self.assertRaises(TypeError, f)
        self.assertRaises(TypeError, f, 1)
        self.assertRaises(TypeError, f, 1, 2, 3)
        self.assertRaises(TypeError, f, 1, y=3)
        self.assertRaises(TypeError, f, np.zeros(3), 1)
        self.assertEqual(f(2, 4), 2)
        self.assertEqual(f(2, s=4), 2)
        self.assertEqual(f(s=4, x=2), 2)
        self.assertRaises(TypeError, f, 1, x=1, s=2)
        try:
            f(np.zeros((2, 2)), 1)
        except TypeError as e:
            assert "Bad input argument" in str(e) and "index 0 (0-based)" in str(e)
        self.assertRaises(Exception, function, [x, x], x)

    def test_named_and_default_inputs(self):
        x, a, s = T.scalars("xas")
        f = function([x, In(a, value=1.0, name="a"), In(s, value=0.0, update=s + a * x, mutable=True)], s + a * x)
        self.assertEqual(f[s], 0)
        self.assertEqual(f(1), 1)
        self.assertEqual(f[s], 1)
        self.assertEqual(f(3.0), 4.0)
        self.assertEqual(f(3.0, a=4.0), 16)
        self.assertEqual(f[s], 16)
        f[s] = 9.0
        self.assertEqual(f["s"], 9)
        self.assertEqual(f.value["s"], 9)
        f.value[s] = 2.0
        self.assertEqual(f[s], 2)
        self.assertEqual(f[a], 1)
        g = function([x, In(a, value=2.0)], x * a)
        self.assertEqual((g(3), g(3, 5), g(3, a=7)), (6, 15, 21))
        h = function([x, Param(a, default=2.0)], x + a)
        self.assertEqual(h(1), 3)
        self.assertRaises(Exception, g.__getitem__, "nothing")

    def test_shared_state(self):
        a, x = T.scalars("a", "x")
        state = shared(0.0, "state")
        f = function([x], state + x, updates=[(state, state + x)])
        f(1)
        f(5)
        self.assertEqual(state.get_value(), 6)
        g = function([], state * 2)
        self.assertEqual(g(), 12)
        skip = function([x], x + state, givens=[(state, x * 10)])
        self.assertEqual(skip(1), 11)
        self.assertEqual(state.get_value(), 6)

    def test_copy(self):
        a, x = T.scalars("a", "x")
        y = shared(1.0, name="y")
        z = shared(2.0, name="z")
        f = function([x], x + y, updates=OrderedDict([(y, y + 1)]), name="named")
        g = f.copy(share_memory=False, name="other")
        h = f.copy(swap={y: z})
        k = f.copy(delete_updates=True)
        self.assertEqual([one(1) for one in (f, h, k)], [2, 3, 3])
        self.assertEqual((y.get_value(), z.get_value()), (2, 3))
        self.assertEqual(g.name, "other")
        self.assertEqual(copy.copy(f)(1), f(1) - 1)

    def test_pickle(self):
        x, s = T.scalars("x", "s")
        f = function([x, In(s, value=1.0)], x * s)
        g = pickle.loads(pickle.dumps(f, protocol=-1))
        self.assertEqual(g(3), f(3))
        y = shared(np.arange(3.0), name="y")
        h = function([], y, updates={y: y + 1})
        h()
        again = copy.deepcopy(h)
        utt.assert_allclose(again(), [1, 2, 3])
        utt.assert_allclose(y.get_value(), [1, 2, 3])
        w = pickle.loads(pickle.dumps(y))
        utt.assert_allclose(w.get_value(), y.get_value())
        self.assertEqual(w.name, "y")
        expression = pickle.loads(pickle.dumps(T.vector("v") * 2 + 1))
        assert is_same_graph(expression, inputs([expression])[0] * 2 + 1)
        path = os.path.join(tempfile.mkdtemp(), "f.pkl")
        with open(path, "wb") as out:
            theano.misc.pkl_utils.dump([y, {"w": y * 2}], out)
        with open(path, "rb") as source:
            loaded = theano.misc.pkl_utils.load(source)
        utt.assert_allclose(loaded[0].get_value(), y.get_value())

    def test_output_keys(self):
        x = T.dscalar()
        f = function([x], outputs={"first": x + 1, "second": x * 2})
        self.assertEqual({k: float(v) for k, v in f(3.0).items()}, {"first": 4, "second": 6})
        f = function([x], [x, x * 3, x + 1])
        self.assertEqual(f(2.0, output_subset=[0, 2]), [2, 3])

    def test_weird_inputs(self):
        x = T.dmatrix()
        f = function([x], x.sum())
        self.assertEqual(f([[1, 2], [3, 4]]), 10)
        self.assertEqual(f(np.ones((3, 2), "float32")), 6)
        self.assertEqual(f(np.asfortranarray(np.arange(6.0).reshape(2, 3))), 15)
        self.assertEqual(f(np.arange(12.0).reshape(4, 3)[::2, ::-1]), 3 + 21)
        n = T.ivector()
        g = function([n], n + 1, allow_input_downcast=True)
        self.assertEqual(g(np.array([1.7, 2.2])).tolist(), [2, 3])
        h = function([In(n, allow_downcast=False)], n)
        self.assertRaises(TypeError, h, np.array([1, 2]))
        k = function([In(n, strict=True)], n)
        self.assertRaises(TypeError, k, [1, 2])
        b = T.bscalar()
        self.assertRaises(TypeError, function([b], b), 1000)
        self.assertEqual(function([b], b)(100), 100)

    def test_borrow(self):
        x = T.dvector()
        f = function([In(x, borrow=True)], Out(x + 1, borrow=True))
        a = np.zeros(3)
        utt.assert_allclose(f(a), np.ones(3))
        y = shared(np.zeros(3), borrow=True)
        out = function([], y)()
        out += 5
        utt.assert_allclose(y.get_value(), np.zeros(3))
        z = y.get_value(borrow=True)
        assert z.shape == (3,)

    def test_maker(self):
        x = T.dmatrix("x")
        f = function([x], [T.exp(x), x.sum()], mode="FAST_RUN", name="f")
        self.assertEqual(f.name, "f")
        self.assertEqual(len(f.maker.fgraph.outputs), 2)
        self.assertEqual(len(f.maker.fgraph.inputs), 1)
        topo = f.maker.fgraph.toposort()
        self.assertTrue(any(isinstance(node.op, T.Elemwise) for node in topo))
        self.assertTrue(all(isinstance(node, Apply) for node in topo))
        assert isinstance(f, Function)
        self.assertTrue(f.maker.mode is not None)
        self.assertTrue(len(f.input_storage) == 1)
        f.trust_input = True
        utt.assert_allclose(f(np.zeros((2, 2)))[0], np.ones((2, 2)))

    def test_modes(self):
        x = T.dvector()
        for mode in ("FAST_RUN", "FAST_COMPILE", "DebugMode", theano.Mode(linker="py", optimizer="fast_compile"), None,
                     theano.compile.mode.Mode("cvm", "fast_run"), theano.compile.get_default_mode().including("fusion"),
                     theano.compile.get_default_mode().excluding("local_elemwise_fusion", "inplace"),
                     theano.compile.get_mode("FAST_RUN").including("conv_gemm")):
            utt.assert_allclose(function([x], T.log(T.exp(x)) / 2, mode=mode)(np.ones(2)), [0.5, 0.5])
        from theano.compile.nanguardmode import NanGuardMode
        guarded = function([x], T.log(x), mode=NanGuardMode(nan_is_error=True, inf_is_error=True, big_is_error=True))
        self.assertRaises(AssertionError, guarded, np.array([-1.0]))
        utt.assert_allclose(guarded(np.ones(2)), [0, 0])

        def inspect(i, node, fn):
            seen.append(node)

        seen = []
        monitored = function([x], 5 * x, mode=theano.compile.MonitorMode(pre_func=inspect, post_func=inspect))
        monitored(np.ones(2))
        assert seen
        self.assertRaises(Exception, function, [x], x, mode="NoSuchMode")


class Test_pfunc(unittest.TestCase):
    def test_shared(self):
        a = T.lscalar()
        b = shared(1)
        f1 = pfunc([a], (a + b))
        f2 = pfunc([In(a, value=44)], a + b, updates={b: b + 1})
        self.assertTrue(b.get_value() == 1)
        self.assertTrue(f1(3) == 4)
        self.assertTrue(f2(3) == 4)
        self.assertTrue(b.get_value() == 2)
        b.set_value(0)
        self.assertTrue(f1(3) == 3)
        self.assertTrue(f2() == 44)

    def test_no_shared_as_input(self):
        w = shared(np.random.rand(2, 2), "w")
        self.assertRaises(TypeError, pfunc, [w], theano.tensor.sum(w * w))
        try:
            pfunc([w], w)
        except TypeError as e:
            assert "Cannot use a shared variable (w) as explicit input" in str(e)

    def test_updates(self):
        x, y = shared(0, "x"), T.iscalar("y")
        f = function([y], [], updates={x: x + y})
        f(10)
        self.assertEqual(x.get_value(), 10)
        z = T.iscalar()
        self.assertRaises(ValueError, function, [y], [], updates=[(x, x + y), (x, x * y)])
        self.assertRaises(TypeError, function, [y], [], updates=[(z, y)])
        self.assertRaises(TypeError, function, [y], [], updates={x: x + 0.5})
        self.assertRaises(TypeError, function, [], [], updates={shared(np.zeros(2)): T.as_tensor_variable(np.zeros((2, 2)))})
        output_var, up = 3 * y, [(x, y)]
        g = function([y], output_var, updates=up)
        self.assertEqual(g(2), 6)
        f = function([], [], updates=OrderedDict([(x, shared(7))]))
        f()
        self.assertEqual(x.get_value(), 7)
        a, b = shared(1.0), shared(2.0)
        swap = function([], [], updates=[(a, b), (b, a)])
        swap()
        self.assertEqual((a.get_value(), b.get_value()), (2, 1))

    def test_default_updates(self):
        x = shared(0)
        x.default_update = x + 1
        f = pfunc([], [x])
        f()
        self.assertEqual(x.get_value(), 1)
        del x.default_update
        f()
        self.assertEqual(x.get_value(), 2)
        g = pfunc([], [x])
        g()
        self.assertEqual(x.get_value(), 2)
        y = shared(1)
        y.default_update = y - 1
        x.default_update = x + y
        for flags, want in ((dict(no_default_updates=True), (2, 1)), (dict(no_default_updates=[x, y]), (2, 1)),
                            (dict(no_default_updates=[x]), (2, 0)), (dict(no_default_updates=False), (2, -1)),
                            (dict(updates={x: x - 1}), (1, -2))):
            pfunc([], [x + y], **flags)()
            self.assertEqual((int(x.get_value()), int(y.get_value())), want)
        self.assertRaises(TypeError, pfunc, [], [x], no_default_updates=x)

    def test_givens(self):
        x, y = T.dvectors("x", "y")
        s = shared(np.ones(2))
        f = pfunc([y], x + s, givens={x: y * 2})
        utt.assert_allclose(f(np.ones(2)), [3, 3])
        self.assertRaises(RuntimeError, function, [x], x, givens=[(x, x + 1)])
        g = pfunc([], x.sum(), givens=[(x, s)])
        self.assertEqual(g(), 2)
        i = T.lscalar()
        data = shared(np.arange(20.0).reshape(10, 2))
        m = T.matrix(dtype="float64")
        h = function([i], m.sum(), givens={m: data[i * 5:(i + 1) * 5]})
        self.assertEqual(h(1), np.arange(10, 20).sum())


class Test_SharedVariable(unittest.TestCase):
    def test_ctors(self):
        for value, dtype, ndim in ((7, "int64", 0), (7.0, "float64", 0), (np.float32(7), "float32", 0),
                                   (np.zeros((5, 5), "int8"), "int8", 2), ([1, 2], "int64", 1), (np.bool_(True), "bool", 0)):
            if isinstance(value, list):
                value = np.array(value)
            self.assertEqual((shared(value).type.dtype, shared(value).ndim), (dtype, ndim))
        self.assertRaises(TypeError, shared, T.vector())
        self.assertEqual(shared(np.zeros((1, 3))).broadcastable, (False, False))
        self.assertEqual(shared(np.zeros((1, 3)), broadcastable=(True, False)).broadcastable, (True, False))
        self.assertRaises((TypeError, ValueError), shared, np.zeros((2, 3)), broadcastable=(True, False))
        u = T.sharedvar.TensorSharedVariable(
            name="u", type=T.TensorType(broadcastable=[False], dtype="float64"), value=np.asarray([1., 2.]), strict=False)
        u.set_value([3, 4])
        self.assertRaises(TypeError, u.set_value, "asdf")
        self.assertRaises(TypeError, u.set_value, np.zeros((2, 2)))
        utt.assert_allclose(u.get_value(), [3, 4])
        self.assertTrue(isinstance(u, theano.compile.SharedVariable))
        self.assertTrue(isinstance(u, theano.tensor.sharedvar.TensorSharedVariable))
        self.assertEqual(str(u), "u")

    def test_strict_and_downcast(self):
        def f(var, val):
            var.set_value(val)

        b = shared(np.int64(7))
        self.assertRaises(TypeError, f, b, 8.23)
        c = shared(np.zeros(5, dtype="float32"), allow_downcast=True)
        f(c, np.random.rand(5))
        d = shared(np.zeros(5, dtype="float64"))
        f(d, np.zeros(5, "float32"))

    def test_memory(self):
        a = np.zeros(3)
        x = shared(a)
        a[0] = 1
        utt.assert_allclose(x.get_value(), 0)
        got = x.get_value()
        got[0] = 5
        utt.assert_allclose(x.get_value(), 0)
        x.get_value(borrow=True)[:] = 2
        utt.assert_allclose(x.get_value(), [2, 2, 2])
        b = np.ones(3)
        y = shared(b, borrow=True)
        b[0] = 9
        utt.assert_allclose(y.get_value(), [9, 1, 1])
        z = x.clone()
        z.set_value(np.zeros(3))
        utt.assert_allclose(x.get_value(), [0, 0, 0])
        self.assertEqual(x.container.value.tolist(), [0, 0, 0])
        x.set_value(np.ones(7))
        self.assertEqual(x.get_value().shape, (7,))
        x.zero()
        utt.assert_allclose(x.get_value(), np.zeros(7))


class T_graph(unittest.TestCase):
    def test_walks(self):
        x, y = T.vectors("x", "y")
        e = x + y
        z = T.exp(e) * 2
        self.assertEqual(inputs([z])[:2], [x, y])
        self.assertEqual([v for v in gof.graph.inputs([z]) if not isinstance(v, Constant)], [x, y])
        assert {x, y, e, z} <= set(ancestors([z]))
        self.assertEqual([str(v) for v in ancestors([z], blockers=[e])].count("x"), 0)
        assert z.owner.inputs[0].owner.inputs[0] is e
        self.assertEqual(len(io_toposort([x, y], [z])), len(list_of_nodes([x, y], [z])))
        assert e in variables([x, y], [z])
        self.assertEqual(orphans([x, y], [e]), [])
        self.assertEqual(len(ops([x, y], [z])), len(io_toposort([x, y], [z])))
        self.assertEqual(io_toposort([x, y], [z])[-1], z.owner)
        i, o = clone([x, y], [z])
        assert i[0] is not x and o[0] is not z
        self.assertTrue(is_same_graph(z, T.exp(x + y) * 2))
        self.assertFalse(is_same_graph(z, T.exp(x + y) * 3))
        self.assertTrue(is_same_graph(x + 1, y + 1, givens={x: y}))
        self.assertTrue(equal_computations([z], [T.exp(x + y) * 2]))
        equiv = clone_get_equiv([x, y], [z])
        assert equiv[x] is not x
        fgraph = gof.FunctionGraph([x, y], [z], clone=False)
        self.assertEqual(len(fgraph.toposort()), len(io_toposort([x, y], [z])))
        self.assertEqual(z.owner.op, z.owner.op)
        self.assertEqual(z.owner.outputs[0], z)
        self.assertEqual(z.index, 0)
        found = stack_search(start=__import__("collections").deque([z]), expand=lambda v: v.owner and v.owner.inputs, mode="bfs")
        self.assertIn(x, list(found))

    def test_replacement(self):
        x, y, z = T.vectors("x", "y", "z")
        out = T.tanh(x * y)
        new = theano.clone(out, replace={x: z})
        assert z in inputs([new]) and x not in inputs([new])
        new = theano.clone([out, out + 1], replace=[(out, z)])
        self.assertEqual(len(new), 2)
        f = function([y, z], theano.clone(out, replace={x: z * 2}))
        utt.assert_allclose(f(np.ones(2, config.floatX), np.ones(2, config.floatX)), np.tanh(2))

    def test_tags_and_names(self):
        x = T.matrix()
        x.tag.roles = ["weight"]
        x.tag.annotations = {}
        self.assertEqual(x.tag.roles, ["weight"])
        self.assertTrue(hasattr(x.tag, "roles"))
        self.assertFalse(hasattr(x.tag, "nothing"))
        x.name = "renamed"
        self.assertEqual(str(x), "renamed")
        y = x * 2
        y.name = "y"
        z = copy.copy(x)
        self.assertEqual(z.name, "renamed")
        self.assertEqual(x.auto_name[:5], "auto_")

    def test_test_values(self):
        with config.change_flags(compute_test_value="raise"):
            x = T.matrix("x")
            x.tag.test_value = np.ones((3, 4), dtype=config.floatX)
            y = T.matrix("y")
            y.tag.test_value = np.ones((4, 5), dtype=config.floatX)
            z = T.dot(x, y)
            self.assertEqual(z.tag.test_value.shape, (3, 5))
            self.assertEqual(theano.gof.op.get_test_value(z).shape, (3, 5))
            y.tag.test_value = np.ones((6, 5), dtype=config.floatX)
            self.assertRaises(ValueError, T.dot, x, y)
            self.assertRaises(AttributeError, lambda: T.exp(T.vector()))
        with theano.configparser.change_flags(compute_test_value="ignore"):
            T.exp(T.vector())

        @theano.configparser.change_flags(compute_test_value="off")
        def decorated():
            return config.compute_test_value

        self.assertEqual(decorated(), "off")


class T_printing(unittest.TestCase):
    def test_pp(self):
        x, y = T.dscalars("x", "y")
        self.assertIn("x + y", pp(x + y))
        self.assertIn("x ** ", pp(T.grad(x ** 2, x)))
        self.assertIn("exp", pprint(T.exp(x)))
        self.assertIn("sigmoid", pp(T.nnet.sigmoid(x)))

    def test_debugprint(self):
        A, B = T.matrix(name="A"), T.matrix(name="B")
        C = A + B
        C.name = "C"
        D = T.matrix(name="D")
        G = C * D
        text = debugprint(G, file="str")
        for name in ("A", "B", "C", "D"):
            self.assertIn(name, text)
        s = io.StringIO()
        debugprint(G, file=s, ids="int")
        self.assertIn("|", s.getvalue())
        f = function([A, B, D], G)
        debugprint(f, file=s, print_type=True)
        old, sys.stdout = sys.stdout, io.StringIO()
        try:
            debugprint([C, G], depth=1)
            assert sys.stdout.getvalue()
        finally:
            sys.stdout = old
        text = min_informative_str(G)
        self.assertIn("A", text)
        self.assertEqual(len(debugprint(G, file="str", stop_on_name=True).splitlines()), 3)

    def test_print_op(self):
        out = io.StringIO()
        x = T.dvector("x")
        printed = printing.Print("the value of x is", attrs=("__str__", "shape"))(x)
        old, sys.stdout = sys.stdout, out
        try:
            function([x], printed * 2)(np.array([1.0, 2.0]))
        finally:
            sys.stdout = old
        self.assertIn("the value of x is __str__ = [1. 2.]", out.getvalue())
        self.assertIn("the value of x is shape = (2,)", out.getvalue())
        utt.verify_grad(printing.Print("m", global_fn=lambda *a: None), [np.ones(2)])

    def test_pydotprint(self):
        x = T.dmatrix("x")
        path = os.path.join(tempfile.mkdtemp(), "graph.png")
        try:
            printing.pydotprint(function([x], T.exp(x).sum()), outfile=path, var_with_name_simple=True)
        except RuntimeError as e:
            assert "pydot" in str(e) or "graphviz" in str(e).lower()


class T_config(unittest.TestCase):
    def test_values(self):
        for name in ("floatX", "device", "mode", "optimizer", "linker", "compute_test_value", "on_unused_input",
                     "exception_verbosity", "warn_float64", "cast_policy", "allow_gc", "base_compiledir", "compiledir", "cxx",
                     "profile", "openmp", "int_division", "numpy", "blas", "warn", "lib", "dnn", "scan", "NanGuardMode",
                     "DebugMode", "traceback", "unittests", "experimental", "gpuarray", "force_device", "nocleanup",
                     "optimizer_excluding", "optimizer_including", "profile_memory", "reoptimize_unpickled_function"):
            getattr(config, name)
        self.assertEqual(config.warn.subtensor_merge_bug in (True, False), True)
        config.blas.ldflags
        config.lib.amdlibm
        self.assertRaises(AttributeError, getattr, config, "no_such_setting")
        with config.change_flags(floatX="float32"):
            self.assertEqual(T.matrix().dtype, "float32")
        self.assertEqual(T.matrix().dtype, config.floatX)
        self.assertRaises(ValueError, setattr, config, "compute_test_value", "invalid")
        from theano.configparser import AddConfigVar, BoolParam, EnumStr, IntParam, StrParam
        if not hasattr(config, "my_test_setting"):
            AddConfigVar("my_test_setting", "A test.", IntParam(5), in_c_key=False)
            AddConfigVar("T_config.test_enum", "A test.", EnumStr("one", "two"))
        self.assertEqual(config.my_test_setting, 5)
        self.assertEqual(config.T_config.test_enum, "one")
        assert "floatX" in str(config)

    def test_versions(self):
        assert tuple(int(p) for p in theano.__version__.split(".")[:2]) >= (0, 8)
        assert theano.version.version


class T_ops_of_users(unittest.TestCase):
    def test_double_op(self):
        class DoubleOp(theano.Op):
            __props__ = ()

            itypes = [T.dmatrix]
            otypes = [T.dmatrix]

            def perform(self, node, inputs, output_storage):
                output_storage[0][0] = inputs[0] * 2

            def infer_shape(self, node, i0_shapes):
                return i0_shapes

            def grad(self, inputs, output_grads):
                return [output_grads[0] * 2]

            def R_op(self, inputs, eval_points):
                if eval_points[0] is None:
                    return eval_points
                return self.grad(inputs, eval_points)

        x = T.dmatrix()
        f = function([x], DoubleOp()(x))
        inp = np.random.rand(5, 4)
        utt.assert_allclose(f(inp), inp * 2)
        utt.verify_grad(DoubleOp(), [inp])
        self.assertEqual(DoubleOp(), DoubleOp())
        self.assertEqual(hash(DoubleOp()), hash(DoubleOp()))
        r = function([x], T.Rop(DoubleOp()(x), x, T.ones_like(x)))(inp)
        utt.assert_allclose(r, np.full((5, 4), 2.0))
        self.assertEqual(str(DoubleOp()), "DoubleOp")

    def test_other_gradients(self):
        class Modified(object):
            """An op whose gradient is given to it, for each type of its input."""

            def __init__(self, nonlinearity):
                self.nonlinearity = nonlinearity
                self.ops = {}

            def __call__(self, x):
                if x.type not in self.ops:
                    inp = x.type()
                    op = theano.OpFromGraph([inp], [self.nonlinearity(inp)])
                    op.grad = self.grad
                    self.ops[x.type] = op
                return self.ops[x.type](x)

            def grad(self, inputs, out_grads):
                (inp,), (grd,) = inputs, out_grads
                return (grd * (inp > 0).astype(inp.dtype) * (grd > 0).astype(inp.dtype),)

        class Clipped(theano.compile.ViewOp):
            def __init__(self, low, high):
                self.low, self.high = low, high

            def grad(self, args, g_outs):
                return [T.clip(g_out, self.low, self.high) for g_out in g_outs]

        x = T.dvector()
        guided = T.grad((Modified(T.nnet.relu)(x) * np.array([1.0, -1, 1])).sum(), x)
        self.assertEqual(function([x], guided)([1.0, 1, -1]).tolist(), [1, 0, 0])
        clipped = T.grad((Clipped(-1, 1)(x) * np.array([5.0, 0.5, -3])).sum(), x)
        self.assertEqual(function([x], clipped, on_unused_input="ignore")(np.ones(3)).tolist(), [1, 0.5, -1])

    def test_inputs_that_are_computed(self):
        x = T.dmatrix("x")
        z = x.dimshuffle("x", 0, 1) + T.exp(x).dimshuffle("x", 0, 1)
        for out in (T.tanh(T.dot(z, np.ones((2, 2)))), z.shape[1] * z, T.shape_padleft(z[0]) * T.ones_like(z), z.sum(axis=0)):
            found = function([z], out)(np.ones((1, 3, 2)))
            utt.assert_allclose(out.eval({z: np.ones((1, 3, 2))}), found)
        rng = T.shared_randomstreams.RandomStreams(1)
        noisy = x + rng.normal(x.shape)
        self.assertEqual(function([noisy], noisy * 2)(np.ones((1, 1))), 2)

    def test_as_op(self):
        @as_op(itypes=[T.fmatrix, T.fmatrix], otypes=[T.fmatrix], infer_shape=lambda node, shapes: [shapes[0]])
        def cumprod_of_dot(a, b):
            return np.dot(a, b)

        x, y = T.fmatrix("x"), T.fmatrix("y")
        f = function([x, y], cumprod_of_dot(x, y))
        a = np.arange(4, dtype="float32").reshape(2, 2)
        utt.assert_allclose(f(a, a), a.dot(a))

    def test_op_with_params_and_generic(self):
        class Scale(gof.Op):
            __props__ = ("factor", "inplace")

            def __init__(self, factor, inplace=False):
                self.factor = factor
                self.inplace = inplace
                if inplace:
                    self.destroy_map = {0: [0]}

            def make_node(self, x):
                x = T.as_tensor_variable(x)
                return gof.Apply(self, [x], [T.TensorType(x.dtype, x.broadcastable)()])

            def perform(self, node, inp, out):
                (x,), (z,) = inp, out
                z[0] = x * self.factor

            def grad(self, inp, grads):
                return [grads[0] * self.factor]

            def c_code_cache_version(self):
                return (1,)

        self.assertEqual(Scale(2), Scale(2))
        self.assertNotEqual(Scale(2), Scale(3))
        x = T.dvector()
        utt.assert_allclose(function([x], Scale(3)(x))(np.ones(2)), [3, 3])
        utt.assert_allclose(Scale(3, inplace=True)(x).eval({x: np.ones(2)}), [3, 3])
        utt.verify_grad(Scale(2.5), [np.ones(3)])
        self.assertIn("Scale", str(Scale(2)))

    def test_undefined_gradients(self):
        class Odd(theano.Op):
            def __eq__(self, other):
                return type(self) == type(other)

            def __hash__(self):
                return hash(type(self))

            def make_node(self, x, y):
                x, y = T.as_tensor_variable(x), T.as_tensor_variable(y)
                return Apply(self, [x, y], [x.type()])

            def perform(self, node, inputs, outputs):
                outputs[0][0] = inputs[0] + inputs[1]

            def grad(self, inputs, gradients):
                return [gradients[0], theano.gradient.grad_not_implemented(self, 1, inputs[1])]

        x, y = T.dscalars("x", "y")
        z = Odd()(x, y)
        self.assertEqual(function([x, y], T.grad(z, x), on_unused_input="ignore")(1.0, 2.0), 1)
        self.assertRaises(theano.gradient.NullTypeGradError, T.grad, z, y)

    def test_op_from_graph(self):
        x, y, z = T.matrices("x", "y", "z")
        e = x + y * z
        op = theano.OpFromGraph([x, y, z], [e])
        f = op(x, y, z) - op(y, z, x)
        fn = function([x, y, z], f)
        xv, yv, zv = [np.full((2, 2), v, config.floatX) for v in (1, 3, 5)]
        utt.assert_allclose(fn(xv, yv, zv), 1 + 15 - (3 + 5))
        inline = theano.compile.builders.OpFromGraph([x, y, z], [e], inline=True)
        utt.assert_allclose(function([x, y, z], T.grad(inline(x, y, z).sum(), y))(xv, yv, zv), zv)

        def override(inputs, gradients):
            a, b = inputs
            return [gradients[0] * 10, gradients[0] * b]

        a, b = T.dscalars("a", "b")
        odd = theano.OpFromGraph([a, b], [a * b], grad_overrides=override)
        utt.assert_allclose(function([a, b], T.grad(odd(a, b), [a, b]), on_unused_input="ignore")(2.0, 3.0), [10, 3])

    def test_gradients(self):
        x, y = T.dvectors("x", "y")
        cost = (x ** 2 * y).sum()
        self.assertRaises(theano.gradient.DisconnectedInputError, T.grad, cost, T.dvector())
        self.assertRaises(ValueError, T.grad, cost, T.dvector())
        g = T.grad(cost, T.dvector("other"), disconnected_inputs="ignore")
        self.assertEqual(g.ndim, 1)
        self.assertRaises(TypeError, T.grad, x, x)
        self.assertEqual(len(T.grad(cost, [x, y])), 2)
        assert isinstance(T.grad(cost, (x, y)), tuple)
        v = np.array([1.0, 2.0])
        for block, want in ((theano.gradient.disconnected_grad, 0), (theano.gradient.zero_grad, 0),
                            (theano.gradient.consider_constant, 0)):
            g = T.grad((x * block(x)).sum(), x)
            utt.assert_allclose(function([x], g)(v), v)
        utt.assert_allclose(function([x], T.grad(theano.gradient.grad_clip(x * 3, -1, 1).sum() * 5, x), on_unused_input="ignore")(v), [3, 3])
        utt.assert_allclose(function([x], T.grad(theano.gradient.grad_scale(x, 2).sum(), x), on_unused_input="ignore")(v), [2, 2])
        J = theano.gradient.jacobian(x ** 2, x)
        utt.assert_allclose(function([x], J)(v), np.diag(2 * v))
        H = theano.gradient.hessian((x ** 3).sum(), x)
        utt.assert_allclose(function([x], H)(v), np.diag(6 * v))
        utt.assert_allclose(function([x, y], theano.gradient.Rop(x * y, x, y))(v, v), v * v)
        utt.assert_allclose(function([x, y], theano.gradient.Lop(x * y, x, y), on_unused_input="ignore")(v, v), v * v)
        z = x * 2
        known = T.grad(None, x, known_grads=OrderedDict([(z, y)]))
        utt.assert_allclose(function([x, y], known, on_unused_input="ignore")(v, v), 2 * v)
        ends, between = theano.gradient.subgraph_grad([x], [x], start=OrderedDict([(z, y)]))
        utt.assert_allclose(function([x, y], ends[0], on_unused_input="ignore")(v, v), 2 * v)
        num = theano.gradient.numeric_grad(lambda a: (a ** 2).sum(), v)
        utt.assert_allclose(num.gf, 2 * v, rtol=1e-4)
        self.assertRaises(theano.gradient.verify_grad.E_grad, theano.gradient.verify_grad,
                          lambda x: theano.gradient.grad_scale(x, 3), [v], rng=np.random.RandomState(1))


if __name__ == "__main__":
    unittest.main()
