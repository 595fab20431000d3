"""Loops and branches in native programs: no Python between the rounds, and the same results as the ops' own meaning."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.program import NativeProgram
from symgrad.control.bodies import make_body
from symgrad.control.layout import Layout
from symgrad.control.scan_op import Scan
from symgrad.errors import IndexingError
from symgrad.kernels.grammar import State

TAPS = [(-1,), (-2,), (-1, -2), (-3, -1)]
FUNCTIONS = [T.tanh, T.sin, T.sqr, abs]


def function(inputs, outputs, **options):
    with symgrad.config.change_flags(backend="native"):
        return symgrad.function(inputs, outputs, on_unused_input="ignore", **options)


def program_of(f):
    """The program that ran last."""
    return list(f._programs.values())[-1][1]


# ---- any loop: as the op says ---------------------------------------------------------------------------------------


@st.composite
def loops(draw, until=False):
    """A loop with random states, sequences and constants, and its operands."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    states = [State(draw(st.sampled_from(TAPS)), draw(st.booleans())) for _ in range(draw(st.integers(1, 2)))]
    counts = draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.integers(0, 2))
    sequences, constants, stacked = counts
    shape = draw(st.sampled_from([(), (3,), (2, 4), (1, 3), (0, 2)]))
    row = T.TensorType(dtype, [None] * len(shape))
    names = [*[f"row{n}" for n in range(sequences)], *[f"s{n}{t}" for n, s in enumerate(states) for t in s.taps],
             *[f"c{n}" for n in range(constants)]]  # fmt: skip
    inner = [row(name) for name in names]
    values = list(inner)
    for _ in range(draw(st.integers(1, 4))):
        x, y = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        values.append(draw(st.sampled_from(FUNCTIONS))(x) * 0.5 + y * 0.25)
    outputs = [draw(st.sampled_from(values)) for _ in range(len(states) + stacked)]
    ends = [T.gt(T.sum(draw(st.sampled_from(values))), draw(st.floats(-1, 1)))] if until else []
    layout = Layout(sequences, tuple(states), stacked, constants, until)
    rounds, longer = draw(st.sampled_from([0, 1, 2, 3, 9])), draw(st.integers(0, 2))
    random = np.random.RandomState(draw(st.integers(0, 1000)))
    shapes = [*[(rounds + longer, *shape)] * sequences, *[(s.depth, *shape) for s in states], *[shape] * constants]
    arrays = [random.uniform(-1, 1, size).astype(dtype) for size in shapes]
    return Scan(make_body(inner, [*outputs, *ends]), layout), rounds, arrays


def check(op, rounds, arrays, number):
    """Compare a compiled loop with the op's meaning; `number` is how the number of rounds is given."""
    operands = [T.TensorType(array.dtype.name, [None] * array.ndim)(f"x{n}") for n, array in enumerate(arrays)]
    made = op(number, *operands)
    f = function([*([number] if number.owner is None and not hasattr(number, "data") else []), *operands], list(made)
                 if isinstance(made, list | tuple) else [made], mode="none")  # fmt: skip
    given = [rounds] if len(f.inputs) > len(arrays) else []
    expected = op.evaluate(np.array(rounds), *arrays)
    tolerance = 1e-4 if arrays and arrays[0].dtype == np.float32 else 1e-10
    for _ in range(2):
        for found, wanted in zip(f(*given, *arrays), expected, strict=True):
            assert found.shape == wanted.shape and found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    return f


@settings(max_examples=25, deadline=None)
@given(loops())
def test_a_loop_is_part_of_the_native_program(case):
    op, rounds, arrays = case
    f = check(op, rounds, arrays, T.constant(rounds, dtype="int64"))
    assert isinstance(program_of(f), NativeProgram)


@settings(max_examples=15, deadline=None)
@given(loops())
def test_the_number_of_rounds_may_be_known_in_the_call_only(case):
    check(*case, T.lscalar("n"))


@settings(max_examples=15, deadline=None)
@given(loops(until=True))
def test_a_loop_may_end_itself(case):
    check(*case, T.lscalar("n"))


def test_a_loop_that_ends_itself_goes_on_for_long():
    (values, squares), _ = symgrad.scan(
        lambda x: ([x + 1, x * x], symgrad.until(x >= 500)), None, [T.constant(0.0), None], n_steps=10**9
    )
    f = function([], [values, squares])
    found = f()
    np.testing.assert_array_equal(found[0], np.arange(1.0, 502))
    np.testing.assert_array_equal(found[1], np.arange(501.0) ** 2)


# ---- what is inside, and where operands are -------------------------------------------------------------------------


def test_loops_in_loops_and_branches_are_regions_too():
    x = T.dmatrix("x")

    def row_total(row, total):
        (steps), _ = symgrad.scan(lambda e, s: T.tanh(s + e), [row], [T.zeros((), "float64")])
        new = symgrad.ifelse(T.lt(total, 1), total + steps[-1], total * 0.5)
        return new, steps

    (totals, steps), _ = symgrad.scan(row_total, [x], [T.zeros((), "float64"), None])
    f = function([x], [totals, steps, symgrad.grad(T.sum(totals), x)])
    value = np.random.RandomState(0).uniform(-1, 2, (6, 4))
    with symgrad.config.change_flags(backend="numpy"):
        expected = symgrad.function([x], f.graph.outputs, mode="none")(value)
    for found, wanted in zip(f(value), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10)
    assert isinstance(program_of(f), NativeProgram)
    assert "if true:" in f.source() and "4 rounds of:" in f.source()


def test_only_the_chosen_branch_runs():
    x, i, c = T.dvector("x"), T.lscalar("i"), T.bscalar("c")
    f = function([x, i, c], symgrad.ifelse(c, x[i] * 2, T.sum(x)))
    values = np.arange(3.0)
    assert f(values, 2, 1) == 4 and f(values, 9, 0) == 3
    assert isinstance(program_of(f), NativeProgram)
    with pytest.raises(IndexingError):
        f(values, 9, 1)


VIEWS = [lambda x: x[::-1], lambda x: x[1::2], lambda x: x.dimshuffle(1, 0, 2), lambda x: x[2:]]


@pytest.mark.parametrize("how", VIEWS)
def test_rows_are_read_where_they_are(how):
    x, w = T.dtensor3("x"), T.dmatrix("w")
    states, _ = symgrad.scan(lambda row, s, w: T.tanh(row + T.dot(s, w.T)), [how(x)], [T.zeros((4, 3), "float64")], [w])
    f = function([x, w], states)
    random = np.random.RandomState(1)
    value, weight = random.normal(size=(4, 4, 3)), random.normal(size=(3, 3))
    state, expected = np.zeros((4, 3)), []
    for row in how(T.as_tensor_variable(value)).eval():
        state = np.tanh(row + state @ weight.T)
        expected.append(state)
    np.testing.assert_allclose(f(value, weight), expected, rtol=1e-12)
    assert isinstance(program_of(f), NativeProgram)


def test_a_size_that_a_loop_gets_as_a_constant_is_known_inside():
    x, n = T.dmatrix("x"), T.lscalar("n")
    rows, _ = symgrad.scan(lambda row, size: T.zeros((size,), "float64") + T.sum(row), [x], None, [x.shape[0]])
    f = function([x], rows)
    np.testing.assert_allclose(f(np.ones((4, 3))), np.full((4, 4), 3.0))
    assert isinstance(program_of(f), NativeProgram)
    rows, _ = symgrad.scan(lambda row, size: T.zeros((size,), "float64") + T.sum(row), [x], None, [n], strict=True)
    f = function([x, n], rows)
    for size in (2, 5, 2):
        np.testing.assert_allclose(f(np.ones((4, 3)), size), np.full((4, size), 3.0))


def test_a_body_that_needs_numpy_runs_from_python():
    x = T.dtensor3("x")
    found, _ = symgrad.scan(lambda m, s: T.linalg.det(m) + s, [x], [T.zeros((), "float64")])
    value = np.random.RandomState(2).normal(size=(5, 3, 3))
    np.testing.assert_allclose(function([x], found)(value), np.cumsum(np.linalg.det(value)), rtol=1e-10)


def test_words_go_through_an_embedding_and_back():
    words, table = T.lmatrix("words"), T.dmatrix("table")
    vectors = table[words.flatten()].reshape((words.shape[0], words.shape[1], table.shape[1]))
    start = T.zeros((words.shape[1], table.shape[1]), "float64")
    states, _ = symgrad.scan(lambda row, s: T.tanh(row + 0.5 * s), [vectors], [start], n_steps=words.shape[0])
    cost = T.sum(T.sqr(states[-1]))
    f = function([words, table], [cost, symgrad.grad(cost, table)])
    values = np.random.RandomState(6).randint(0, 5, (7, 3)), np.random.RandomState(7).normal(size=(5, 4))
    expected = symgrad.function(f.graph.inputs, f.graph.outputs, mode="none")(*values)
    for found, wanted in zip(f(*values), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10)
    assert isinstance(program_of(f), NativeProgram)


def test_native_parts_know_the_sizes_that_others_compute():
    x = T.dmatrix("x")
    ordered = T.sort(x, axis=0)
    f = function([x], T.zeros((x.shape[0] * 2, x.shape[1]), "float64") + T.sum(T.exp(ordered), axis=0))
    for rows in (3, 4):
        value = np.random.RandomState(rows).normal(size=(rows, 2))
        np.testing.assert_allclose(f(value), np.tile(np.exp(value).sum(0), (2 * rows, 1)), rtol=1e-12)
        inside = program_of(f)._inner()
        assert inside and all(isinstance(program, NativeProgram) for program in inside)


# ---- products leave the loop ----------------------------------------------------------------------------------------


def recurrent_network(dtype):
    """A small LSTM and its gradient, written as users do."""
    x, w, u, b = [T.TensorType(dtype, [None] * n)(name) for n, name in ((3, "x"), (2, "w"), (2, "u"), (1, "b"))]

    def step(row, h, c, w, u, b):
        gates = T.dot(row, w) + T.dot(h, u) + b
        i, f, o, g = [gates[:, 3 * n : 3 * (n + 1)] for n in range(4)]
        c = T.nnet.sigmoid(f) * c + T.nnet.sigmoid(i) * T.tanh(g)
        return T.nnet.sigmoid(o) * T.tanh(c), c

    start = T.zeros((x.shape[1], 3), dtype)
    (h, _), _ = symgrad.scan(step, [x], [start, start], [w, u, b])
    cost = T.mean(T.sqr(h - 0.3))
    return [x, w, u, b], [cost, *symgrad.grad(cost, [w, u, b, x])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_products_of_an_lstm_are_one_each_but_two(dtype):
    inputs, outputs = recurrent_network(dtype)
    f = function(inputs, outputs)
    loops = [node for node in f.rewritten.order if isinstance(node.op, Scan)]
    inside = [[inner.op.name for inner in node.op.body.order].count for node in loops]
    assert [count("dot") + count("gemm") for count in inside] == [1, 1]
    random = np.random.RandomState(3)
    for rounds in (4, 1, 0):
        values = [random.normal(size=shape).astype(dtype) for shape in ((rounds, 2, 5), (5, 12), (3, 12), (12,))]
        found = f(*values)
        assert isinstance(program_of(f), NativeProgram)
        if rounds:
            plain = symgrad.function(inputs, outputs, mode="none")(*values)
            for one, other in zip(found, plain, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9 if dtype == "float64" else 1e-3, atol=1e-6)


# ---- calls ----------------------------------------------------------------------------------------------------------


def test_ten_thousand_rounds_take_no_time():
    x, start = T.dvector("x"), T.dscalar("start")
    values, _ = symgrad.scan(lambda row, s: T.tanh(row + 0.5 * s), [x], [start])
    began = time.perf_counter()
    f = function([x, start], values[-1])
    value = np.random.RandomState(4).normal(size=10_000)
    f(value, 0.0)
    assert time.perf_counter() - began < 5  # under a second where nothing else runs
    times = []
    for _ in range(20):
        began = time.perf_counter()
        f(value, 0.0)
        times.append(time.perf_counter() - began)
    assert min(times) / 10_000 < 1e-6


def test_an_error_in_a_round_names_the_users_line():
    table, positions = T.dvector("table"), T.lvector("positions")
    picked, _ = symgrad.scan(lambda i, table: table[i] * 2, [positions], None, [table])  # the user's line
    f = function([table, positions], picked)
    np.testing.assert_array_equal(f([1.0, 2.0, 3.0], [2, 0, -1]), [6, 2, 6])
    with pytest.raises(IndexingError, match=r"index 7 is out of bounds[\s\S]*the user's line"):
        f([1.0, 2.0, 3.0], [0, 7, 1])
    np.testing.assert_array_equal(f([1.0, 2.0, 3.0], [2]), [6])


def test_debugging_modes_look_inside():
    x = T.dvector("x")
    values, _ = symgrad.scan(lambda row, s: T.log(row) + s, [x], [T.zeros((), "float64")])
    checked = function([x], values, mode="DebugMode")
    np.testing.assert_allclose(checked([1.0, np.e]), [0, 1], rtol=1e-12)
    with pytest.raises(symgrad.errors.NonFiniteError, match="log made inf"):
        function([x], values, mode="NanGuard")([1.0, 0.0])


def test_a_profile_shows_the_kernels_of_rounds():
    x = T.dvector("x")
    values, _ = symgrad.scan(lambda row, s: T.tanh(row + s), [x], [T.zeros((), "float64")])
    f = function([x], values)
    f(np.ones(7))
    with f.profile() as profile:
        f(np.ones(7))
    assert [row.calls for row in profile.rows if "tanh" in row.name] == [7]
    assert "7 rounds of:" in f.source()


def test_steps_with_loops_are_repeated_natively():
    x, i = symgrad.shared(np.random.RandomState(5).normal(size=(6, 4, 3)), name="x"), T.lscalar("i")
    w = symgrad.shared(np.ones(3), name="w")
    states, _ = symgrad.scan(lambda row, s, w: T.tanh(row * w + s), [x[i]], [T.zeros((3,), "float64")], [w])
    cost = T.sum(T.sqr(states))
    f = function([i], cost, updates=[(w, w - 0.1 * symgrad.grad(cost, w))])
    expected = [f(number) for number in range(6)]
    after = w.get_value()
    w.set_value(np.ones(3))
    np.testing.assert_array_equal(f.repeat(range(6)), expected)
    np.testing.assert_array_equal(w.get_value(), after)
    assert isinstance(program_of(f), NativeProgram)


def test_functions_that_share_a_graph_can_be_called_at_the_same_time():
    x = T.dmatrix("x")
    states, _ = symgrad.scan(lambda row, s: T.tanh(row + s), [x], [T.zeros((2000,), "float64")])
    f = function([x], states[-1])
    functions = [f, f.copy(), f]
    values = [np.random.RandomState(n).normal(size=(300, 2000)) for n in range(3)]
    expected = [f(value) for value in values]
    wrong: list[int] = []

    def work(number: int) -> None:
        found = [functions[number](values[number]) for _ in range(5)]
        wrong.extend(number for each in found if not np.array_equal(each, expected[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="sends itself a signal")
def test_an_interrupt_ends_a_long_loop_and_changes_nothing():
    w, start = symgrad.shared(np.zeros(3), name="w"), T.dvector("start")
    states, _ = symgrad.scan(lambda s: T.tanh(s * 0.5 + 0.1), None, [start], n_steps=100_000_000)
    f = function([start], [T.sum(states[-1])], updates=[(w, w + 1)])
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        f(np.zeros(8))
    timer.join()
    np.testing.assert_array_equal(w.get_value(), np.zeros(3))
