"""`function`: inputs, outputs, updates, givens, calls, copies, errors."""

import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad import In, Out
from symgrad.errors import CallError, MissingInputError, ShapeError, UnusedInputError

MODES = ["default", "none"]


@pytest.fixture(autouse=True)
def float32():
    with symgrad.config.change_flags(floatX="float32"):
        yield


# ---- outputs --------------------------------------------------------------------------------------------------------


def test_outputs_none_one_list_dict():
    x = T.dscalar("x")
    assert symgrad.function([x], None, on_unused_input="ignore")(1.0) == []
    assert symgrad.function([x], [], on_unused_input="ignore")(1.0) == []
    one = symgrad.function([x], x + 1)(1.0)
    assert isinstance(one, np.ndarray) and one.shape == () and one == 2.0
    assert symgrad.function([x], [x + 1])(1.0) == [2.0]
    assert symgrad.function([x], [x + 1, x * 3])(1.0) == [2.0, 3.0]
    assert symgrad.function([x], {"a": x + 1, "b": x * 3})(1.0) == {"a": 2.0, "b": 3.0}
    assert symgrad.function([x], Out(x + 1, borrow=True))(1.0) == 2.0
    assert symgrad.function([], 3)() == 3


def test_outputs_belong_to_the_caller():
    x = T.dmatrix("x")
    s = symgrad.shared(np.zeros((2, 2)))
    f = symgrad.function([x], [x, x.T, x + 1, (x + 1).T, s, s.T, x.reshape((4,)), T.constant(np.ones(2))])
    value = np.arange(4.0).reshape(2, 2)
    first = f(value)
    kept = [result.copy() for result in first]
    for result in first:
        assert result.flags.writeable
        assert not np.shares_memory(result, value)
        assert not np.shares_memory(result, s.get_value(borrow=True))
    for a in range(len(first)):
        for b in range(a):
            assert not np.shares_memory(first[a], first[b])
    for result in first:
        result[...] = 77.0
    for expected, result in zip(kept, f(value), strict=True):
        np.testing.assert_array_equal(expected, result)


def test_results_of_an_earlier_call_stay_as_they_are():
    x = T.dvector("x")
    f = symgrad.function([x], [T.exp(x), T.exp(x) * 2])
    first = f([1.0, 2.0])
    kept = [result.copy() for result in first]
    f([5.0, 6.0])
    for expected, result in zip(kept, first, strict=True):
        np.testing.assert_array_equal(expected, result)


# ---- inputs ---------------------------------------------------------------------------------------------------------


def test_names_defaults_and_order():
    x, y, z = T.dscalars("x", "y", "z")
    f = symgrad.function([x, In(y, value=10.0), In(z, name="last", value=100.0)], x + 2 * y + 3 * z)
    assert f(1.0) == 1 + 20 + 300
    assert f(1.0, 2.0) == 1 + 4 + 300
    assert f(1.0, last=2.0) == 1 + 20 + 6
    assert f(x=1.0, y=0.0, last=0.0) == 1
    with pytest.raises(CallError, match="Missing required input: x"):
        f()
    with pytest.raises(CallError, match="Too many parameter passed"):
        f(1, 2, 3, 4)
    with pytest.raises(CallError, match="no input named 'w'"):
        f(1.0, w=2.0)
    with pytest.raises(CallError, match="two values for 'x'"):
        f(1.0, x=2.0)


def test_arguments_are_converted_as_theano_does():
    f = symgrad.function([x := T.fscalar("x")], x)
    assert f(0.1) == np.float32(0.1)
    assert f(3) == 3 and f(np.int8(3)) == 3
    with symgrad.config.change_flags(floatX="float64"), pytest.raises(TypeError, match="Bad input argument"):
        f(0.1)
    i = symgrad.function([k := T.iscalar("k")], k)
    assert i(7) == 7
    with pytest.raises(TypeError, match=r"Bad input argument to symgrad function at index 0 \(0-based\)"):
        i(0.5)
    with pytest.raises(TypeError):
        i(2**40)
    m = symgrad.function([a := T.fmatrix("a")], a)
    with pytest.raises(TypeError, match="would lose information"):
        m(np.zeros((2, 2)))
    assert symgrad.function([a], a, allow_input_downcast=True)(np.zeros((2, 2))).dtype == "float32"
    with pytest.raises(TypeError, match="expected float32"):
        m(np.zeros(2, "float32"))
    with pytest.raises(TypeError):
        m("no numbers")
    with pytest.raises(TypeError):
        symgrad.function([In(a, strict=True)], a)([[1.0]])


def test_arguments_are_never_changed():
    x = T.dvector("x")
    y = T.set_subtensor(x[0], 9.0)
    value = np.arange(3.0)
    symgrad.function([x], [y, -x, y * 2])(value)
    np.testing.assert_array_equal(value, np.arange(3.0))


def test_missing_unused_and_impossible_inputs():
    x, y = T.dscalars("x", "y")
    with pytest.raises(MissingInputError, match="Missing required input: y"):
        symgrad.function([x], x + y)
    with pytest.raises(UnusedInputError, match="isn't used: y"):
        symgrad.function([x, y], x)
    with pytest.warns(UserWarning, match="isn't used: y"):
        symgrad.function([x, y], x, on_unused_input="warn")
    assert symgrad.function([x, y], x, on_unused_input="ignore")(1.0, 2.0) == 1.0
    with pytest.raises(TypeError, match="Cannot use a shared variable"):
        symgrad.function([symgrad.shared(1.0)], x)
    with pytest.raises(UnusedInputError, match="twice"):
        symgrad.function([x, x], x)
    with pytest.raises(TypeError, match="must be a list"):
        symgrad.function(x, x)


def test_an_intermediate_variable_can_be_an_input():
    x = T.dscalar("x")
    middle = x * 2
    assert symgrad.function([middle], middle + 1)(10.0) == 11.0


# ---- updates and givens ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_updates_use_old_values_and_take_effect_together(mode):
    a, b = symgrad.shared(1.0, "a"), symgrad.shared(2.0, "b")
    f = symgrad.function([], [a, b], updates=[(a, b), (b, a)], mode=mode)
    assert f() == [1.0, 2.0]
    assert (a.get_value(), b.get_value()) == (2.0, 1.0)
    g = symgrad.function([], a + b, updates={a: a + b, b: a * b}, mode=mode)
    assert g() == 3.0
    assert (a.get_value(), b.get_value()) == (3.0, 2.0)


@pytest.mark.parametrize("mode", MODES)
def test_momentum_reads_the_old_weights(mode):
    rng = np.random.RandomState(0)
    w0, v0, g0 = [rng.randn(4, 3) for _ in range(3)]
    w, v = symgrad.shared(w0), symgrad.shared(v0)
    g = T.dmatrix("g")
    new_v = 0.9 * v - 0.1 * g
    f = symgrad.function([g], None, updates=[(v, new_v), (w, w + new_v)], mode=mode)
    f(g0)
    np.testing.assert_allclose(v.get_value(), 0.9 * v0 - 0.1 * g0, rtol=1e-14)
    np.testing.assert_allclose(w.get_value(), w0 + 0.9 * v0 - 0.1 * g0, rtol=1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_weights_in_a_circle(mode):
    """Each matrix's update reads the other's old value."""
    rng = np.random.RandomState(0)
    a0, b0, h0 = rng.randn(3, 3), rng.randn(3, 3), rng.randn(3, 3)
    a, b, h = symgrad.shared(a0), symgrad.shared(b0), T.dmatrix("h")
    f = symgrad.function([h], None, updates=[(a, a - 0.1 * T.dot(h, b)), (b, b - 0.1 * T.dot(a, h))], mode=mode)
    f(h0)
    np.testing.assert_allclose(a.get_value(), a0 - 0.1 * h0 @ b0, rtol=1e-13)
    np.testing.assert_allclose(b.get_value(), b0 - 0.1 * a0 @ h0, rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_a_gemm_that_reads_its_own_matrix(mode):
    rng = np.random.RandomState(0)
    a0 = rng.randn(3, 3)
    a = symgrad.shared(a0)
    f = symgrad.function([], None, updates=[(a, 2 * a - 0.5 * T.dot(a, a.T))], mode=mode)
    f()
    np.testing.assert_allclose(a.get_value(), 2 * a0 - 0.5 * a0 @ a0.T, rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_an_update_may_be_an_output_and_a_view(mode):
    s = symgrad.shared(np.arange(4.0).reshape(2, 2))
    new = s.T + 1
    f = symgrad.function([], [new, new.T, s], updates=[(s, new)], mode=mode)
    outputs = f()
    np.testing.assert_array_equal(outputs[0], [[1, 3], [2, 4]])
    np.testing.assert_array_equal(outputs[2], [[0, 1], [2, 3]])
    outputs[0][...] = 99
    outputs[1][...] = 99
    np.testing.assert_array_equal(s.get_value(), [[1, 3], [2, 4]])
    transposed = symgrad.function([], None, updates=[(s, s.T)], mode=mode)
    transposed()
    np.testing.assert_array_equal(s.get_value(), [[1, 2], [3, 4]])


def test_updates_that_change_sizes():
    s = symgrad.shared(np.arange(3.0))
    f = symgrad.function([], s.shape[0], updates=[(s, T.concatenate([s, s]))])
    assert [int(f()) for _ in range(4)] == [3, 6, 12, 24]
    assert s.get_value().shape == (48,)


def test_a_cast_update_and_updates_that_do_not_fit():
    counter = symgrad.shared(np.int64(0))
    symgrad.function([], None, updates=[(counter, counter + np.int32(2))])()
    assert counter.get_value() == 2 and counter.get_value().dtype == "int64"
    single = symgrad.shared(np.float32(0))
    with pytest.raises(TypeError, match=r"float64, and must be float32"):
        symgrad.function([], None, updates=[(single, T.constant(np.array(0.1)))])
    with pytest.raises(ValueError, match="must have float32"):
        symgrad.function([], None, updates=[(single, T.fvector())])
    with pytest.raises(TypeError, match="update target must be a SharedVariable"):
        symgrad.function([], None, updates=[(T.dscalar(), 1.0)])
    with pytest.raises(ValueError, match="this shared variable already has an update expression"):
        symgrad.function([], None, updates=[(single, 1.0), (single, 2.0)])
    with pytest.raises(TypeError, match="must be pairs"):
        symgrad.function([], None, updates=[single])


def test_givens_replace_inputs_shared_variables_and_intermediates():
    x, y = T.dscalars("x", "y")
    s = symgrad.shared(5.0, "s").astype("float64")
    base = symgrad.shared(np.float64(5.0))
    middle = x * base
    out = middle + 1
    assert symgrad.function([y], out, givens={x: y + 1})(2.0) == 16.0
    assert symgrad.function([x], out, givens=[(base, T.constant(2.0).astype("float64"))])(3.0) == 7.0
    assert symgrad.function([y], out, givens={middle: y})(3.0) == 4.0
    assert symgrad.function([], out, givens={x: s})() == 26.0
    with pytest.raises(RuntimeError, match="both supplied and replaced"):
        symgrad.function([x], out, givens={x: y})
    with pytest.raises(TypeError, match="must be float64"):
        symgrad.function([], out, givens={x: T.constant(np.complex64(1))})


def test_givens_apply_to_updates_and_to_each_other():
    x, y = T.dscalars("x", "y")
    s = symgrad.shared(np.float64(1.0))
    f = symgrad.function([y], x, updates=[(s, s + x)], givens={x: 10 * y})
    assert f(2.0) == 20.0 and s.get_value() == 21.0
    z = T.dscalar("z")
    g = symgrad.function([z], x + y, givens={x: y * 2, y: z + 1})
    assert g(1.0) == 6.0


def test_a_given_of_unknown_size_for_one_that_stretches_is_checked():
    row, m = T.drow("row"), T.dmatrix("m")
    data = symgrad.shared(np.ones((1, 3)))
    f = symgrad.function([m], m + row, givens={row: data})
    assert f(np.zeros((2, 3))).shape == (2, 3)
    data.set_value(np.ones((2, 3)))
    with pytest.raises(ShapeError):
        f(np.zeros((2, 3)))


def test_default_updates():
    s = symgrad.shared(0)
    s.default_update = s + 1
    assert [int(symgrad.function([], s)()) for _ in range(2)] == [0, 1]
    f = symgrad.function([], s, no_default_updates=True)
    assert f() == 2 and f() == 2
    g = symgrad.function([], s, no_default_updates=[s])
    assert g() == 2 and g() == 2
    h = symgrad.function([], s, updates=[(s, s + 10)])
    assert h() == 2 and s.get_value() == 12


# ---- a call that fails changes nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_call_leaves_shared_variables_as_they_were(mode):
    rng = np.random.RandomState(0)
    w = symgrad.shared(rng.randn(3, 3), "w")
    b = symgrad.shared(np.zeros(3), "b")
    x, i = T.dmatrix("x"), T.lscalar("i")
    gradient = T.dot(x.T, x)
    f = symgrad.function([x, i], x[i], updates=[(b, b + 1), (w, w - 0.1 * gradient)], mode=mode)
    f(np.ones((2, 3)), 1)
    before = w.get_value(), b.get_value()
    with pytest.raises(IndexError):
        f(np.ones((2, 3)), 7)
    with pytest.raises(ValueError):
        f(np.ones((2, 4)), 0)
    with pytest.raises(TypeError):
        f(np.ones((2, 3)), "a")
    np.testing.assert_array_equal(w.get_value(), before[0])
    np.testing.assert_array_equal(b.get_value(), before[1])


def test_an_interrupt_leaves_all_or_nothing(tmp_path):
    """Ctrl-C at any moment: either every update of a call has taken effect, or none."""
    script = tmp_path / "steps.py"
    script.write_text(
        "import signal, numpy as np, symgrad, symgrad.tensor as T\n"
        "w = [symgrad.shared(np.zeros((200, 200), 'float32')) for _ in range(6)]\n"
        "h = T.fmatrix('h')\n"
        "f = symgrad.function([h], None, updates=[(v, v - 1.0 * T.dot(h, h)) for v in w])\n"
        "ones = np.ones((200, 200), 'float32') / 200\n"
        "calling, caught = False, 0\n"
        "def interrupt(number, frame):\n"
        "    if calling: raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGALRM, interrupt)\n"
        "for attempt in range(400):\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.0002 + attempt % 40 * 0.00005)\n"
        "    if attempt == 40: f(ones)\n"  # until then, interrupts come while it is being compiled
        "    try:\n"
        "        calling = True\n"
        "        f(ones)\n"
        "        f(ones)\n"
        "        calling = False\n"
        "    except KeyboardInterrupt:\n"
        "        calling, caught = False, caught + 1\n"
        "    values = {float(v.get_value(borrow=True)[0, 0]) for v in w}\n"
        "    assert len(values) == 1, values\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "print('caught', caught)\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 5


# ---- errors at call time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_mismatch_at_call_time_names_the_users_line(mode):
    x, w = T.dmatrix("x"), symgrad.shared(np.ones((3, 2)), "w")
    y = T.dot(x, w) * 2  # the user's line
    f = symgrad.function([x], y.sum(), mode=mode)
    with pytest.raises(ShapeError, match="dot needs matching inner sizes, got 4 and 3") as caught:
        f(np.ones((2, 4)))
    text = str(caught.value)
    assert "test_function.py" in text and "# the user's line" in text
    assert "float64 (2, 4)" in text and "float64 (3, 2)" in text


@pytest.mark.parametrize("mode", MODES)
def test_a_size_that_is_1_only_at_run_time_is_an_error(mode):
    x, y = T.dmatrix("x"), T.dmatrix("y")
    f = symgrad.function([x, y], x + y, mode=mode)
    assert f(np.ones((2, 3)), np.ones((2, 3))).shape == (2, 3)
    with pytest.raises(ValueError, match="Input dimension mis-match"):
        f(np.ones((2, 3)), np.ones((1, 3)))
    i = T.lscalar("i")
    g = symgrad.function([x, y, i], x[:i] * y, mode=mode)
    assert g(np.ones((5, 3)), np.ones((2, 3)), 2).shape == (2, 3)
    with pytest.raises(ValueError, match="Input dimension mis-match"):
        g(np.ones((5, 3)), np.ones((2, 3)), 1)


# ---- copies, pickles, threads ---------------------------------------------------------------------------------------


def test_copy_and_swap():
    s, t = symgrad.shared(1.0, "s"), symgrad.shared(100.0, "t")
    f = symgrad.function([], s, updates=[(s, s + 1)], name="count")
    f()
    g = f.copy(swap={s: t}, name="other")
    assert g() == 100.0 and t.get_value() == 101.0 and s.get_value() == 2.0
    h = f.copy(share_memory=True)
    assert h() == 2.0 and s.get_value() == 3.0
    assert (g.name, h.name) == ("other", "count")
    with pytest.raises(TypeError):
        f.copy(swap={s: symgrad.shared(np.zeros(2))})
    with pytest.raises(ValueError):
        f.copy(swap={t: s})


def test_functions_pickle_with_their_shared_variables():
    x = T.fvector("x")
    w = symgrad.shared(np.ones(3, "float32"), "w")
    f = symgrad.function([x, In(T.fscalar("eta"), value=0.5)], T.sum(w * x), updates=[(w, w + x)],
                         on_unused_input="ignore", name="step")  # fmt: skip
    f([1, 2, 3])
    g, v = pickle.loads(pickle.dumps((f, w)))
    assert g.name == "step"
    assert g([1, 1, 1]) == f([1, 1, 1]) == 9.0
    np.testing.assert_array_equal(v.get_value(), w.get_value())
    g([1, 1, 1])
    assert v.get_value()[0] == w.get_value()[0] + 1


def test_graphs_pickle_with_identity_and_sharing():
    x = T.dmatrix("x")
    s = symgrad.shared(np.ones(3), "s")
    a = T.exp(x) + s
    b = a * 2
    a.tag.note = "kept"
    x2, s2, a2, b2, again = pickle.loads(pickle.dumps((x, s, a, b, a)))
    assert again is a2 and b2.owner.inputs[0] is a2 and a2.owner.inputs[1].owner is not s2
    assert a2.tag.note == "kept" and x2.name == "x"
    f = symgrad.function([x2], b2)
    np.testing.assert_allclose(f(np.zeros((1, 3))), [[4, 4, 4]])
    assert a2.owner.source.text == a.owner.source.text


def test_a_function_called_from_many_threads():
    x = T.dvector("x")
    f = symgrad.function([x], T.sum(T.exp(x) * 2 + x))
    expected = {n: float(np.sum(np.exp(np.full(n, 0.5)) * 2 + 0.5)) for n in range(1, 30)}
    wrong = []

    def work():
        for n, value in expected.items():
            if abs(float(f(np.full(n, 0.5))) - value) > 1e-9:
                wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_many_sizes_rebind():
    x = T.dvector("x")
    f = symgrad.function([x], [T.exp(x).sum(), x.shape[0]])
    for n in [*range(100), *range(100)]:
        total, size = f(np.zeros(n))
        assert total == n and size == n
    assert len(f.plans) <= 64


# ---- deep graphs ----------------------------------------------------------------------------------------------------


def test_a_chain_of_100000_nodes():
    """Builds, differentiates, pickles, compiles and runs, without recursion and in linear time."""
    x = T.dscalar("x")
    y = x
    for number in range(100_000):
        y = T.sin(y) if number % 2 else y * 1.0001
    y, x = pickle.loads(pickle.dumps((y, x)))
    gradient = symgrad.grad(y, x)
    value, slope = symgrad.function([x], [y, gradient])(0.5)
    expected, derivative = 0.5, 1.0
    for number in range(100_000):
        derivative *= np.cos(expected) if number % 2 else 1.0001
        expected = np.sin(expected) if number % 2 else expected * 1.0001
    np.testing.assert_allclose(value, expected, rtol=1e-8)
    np.testing.assert_allclose(slope, derivative, rtol=1e-8)


# ---- looking inside -------------------------------------------------------------------------------------------------


def test_source_shows_the_program_and_the_users_lines():
    x = T.fmatrix("x")
    w = symgrad.shared(np.ones((3, 2), "float32"))
    with symgrad.config.change_flags(backend="numpy"):
        f = symgrad.function([x], T.tanh(T.dot(x, w)))
    assert "tanh(" in f.source() and "test_function.py" in f.source()
    f(np.ones((2, 3), "float32"))
    assert "out=t" in f.source()


def test_debug_shows_each_stage(capfd):
    x = T.fvector("x")
    with symgrad.config.change_flags(debug="all"):
        symgrad.function([x], T.log(T.softmax(x)), name="net")([1, 2])
    shown = capfd.readouterr().err
    for stage in ("graph", "rewrites", "kernels", "plan", "source"):
        assert f"---- net: {stage} ----" in shown
    assert "log_of_softmax_is_log_softmax" in shown


def test_memory_of_dead_results_is_reused():
    x = T.fvector("x")
    y = x
    for _ in range(20):
        y = T.exp(T.sum(y) * x)
    f = symgrad.function([x], y.sum())
    f(np.ones(1000, "float32"))
    assert f.plans[-1].arena_size <= 4 * 4096


def test_repr_is_short():
    x = T.fvector("x")
    assert repr(symgrad.function([x, In(T.fscalar(), name="eta")], x, name="step", on_unused_input="ignore")) == (
        "<step of (x, eta): 1 outputs, 0 updates>"
    )


def test_eval():
    x = T.dvector("x")
    np.testing.assert_array_equal((x * 2).eval({x: [1.0, 2.0]}), [2.0, 4.0])
    assert symgrad.shared(3.0).eval() == 3.0
