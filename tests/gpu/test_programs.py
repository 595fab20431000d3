"""CUDA programs on the stand-in for CuPy: transfers, captures, replays; and a call that fails changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.backends.cupy.devices.device import find_device
from symgrad.backends.cupy.tapes.ordering import Access, arranged
from symgrad.control import ifelse, scan
from symgrad.errors import SymgradError
from symgrad.lowering.plan import Change


def program_of(function: Any) -> Any:
    """Return the program that ran last."""
    return next(reversed(function._programs.values()))[1]


def minibatches(rows: int = 40, size: int = 10) -> tuple[Any, Any, Any]:
    """A step of logistic regression on a part of a matrix that the device has."""
    random = np.random.default_rng(1)
    data = symgrad.shared(random.normal(size=(rows, 5)).astype("float32"), "data")
    labels = symgrad.shared(random.integers(0, 3, rows), "labels")
    weights = symgrad.shared(np.zeros((5, 3), "float32"), "weights")
    i = T.lscalar("i")
    x, y = T.matrix("x"), T.lvector("y")
    cost = -T.mean(T.log(T.nnet.softmax(T.dot(x, weights)))[T.arange(size), y])
    step = symgrad.function(
        [i], cost, updates=[(weights, weights - 0.5 * symgrad.grad(cost, weights))],
        givens={x: data[i * size : (i + 1) * size], y: labels[i * size : (i + 1) * size]}, name="step",
    )  # fmt: skip
    return step, weights, data


def on_cpu(build: Any, run: Any) -> Any:
    """Return what the same program gives on the CPU."""
    with symgrad.config.change_flags(device="cpu", backend="numpy"):
        return run(*build())


def test_a_training_step_is_that_of_the_cpu(gpu: Any) -> None:
    def train(step: Any, weights: Any, data: Any) -> tuple[Any, Any]:
        return [float(step(k % 4)) for k in range(9)], weights.get_value()

    costs, weights = train(*minibatches())
    expected, wanted = on_cpu(minibatches, train)
    np.testing.assert_allclose(costs, expected, rtol=1e-5)
    np.testing.assert_allclose(weights, wanted, rtol=1e-4, atol=1e-6)


def test_the_second_call_is_captured_and_later_ones_are_one_launch(gpu: Any) -> None:
    step, _, _ = minibatches()
    step(0)
    assert gpu.graph_launches == 0
    step(1)
    assert gpu.graph_launches == 1
    before = gpu.launches
    step(2)
    assert gpu.graph_launches == 2
    assert gpu.launches == before


def test_what_cuda_refuses_side_by_side_is_captured_in_order(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu.shim.fake_cupy.errors import CUDARuntimeError
    from gpu.shim.fake_cupy.streams import Event

    step, weights, _ = minibatches()
    costs = [step(0)]
    marked: list[Any] = []

    def refused(event: Any, stream: Any = None) -> None:
        marked.append(stream)
        if len(marked) > 3:
            raise CUDARuntimeError(900)
        recorded(event, stream)

    recorded = Event.record
    monkeypatch.setattr(Event, "record", refused)
    costs += [step(k) for k in (1, 2)]
    assert len(marked) == 4
    monkeypatch.undo()
    costs.append(step(3))
    assert gpu.graph_launches == 3
    assert "not captured" not in step.source()
    assert program_of(step).obstacle == ""
    other, expected, _ = minibatches()
    assert costs == [other(k) for k in range(4)]
    np.testing.assert_array_equal(weights.get_value(), expected.get_value())


def test_only_the_border_is_crossed(gpu: Any) -> None:
    step, weights, _ = minibatches()
    step(0), step(1)
    gpu.transfers.clear()
    step(2)
    assert sum(transfer.bytes for transfer in gpu.transfers) < 2000  # an index, a cost, a status word; aligned
    assert {transfer.direction for transfer in gpu.transfers} == {"up", "down"}
    gpu.transfers.clear()
    weights.get_value()
    assert [transfer.bytes for transfer in gpu.transfers] == [60]


def test_an_index_out_of_range_names_the_line_and_changes_nothing(gpu: Any) -> None:
    step, weights, _ = minibatches()
    for k in range(3):
        step(k)
    before = weights.get_value()
    with pytest.raises(SymgradError, match=r"test_programs\.py"):
        step(4)
    np.testing.assert_array_equal(weights.get_value(), before)
    assert np.isfinite(step(1))


def test_rows_of_a_table_are_updated_in_place(gpu: Any) -> None:
    table, rows = symgrad.shared(np.zeros((50, 4), "float32"), "table"), T.lvector("rows")
    picked = table[rows]
    step = symgrad.function([rows], updates=[(table, T.inc_subtensor(picked, 1 + picked))])
    for _ in range(3):
        step([3, 7, 3])
    expected = np.zeros((50, 4), "float32")
    for _ in range(3):
        np.add.at(expected, [3, 7, 3], 1 + expected[[3, 7, 3]])
    np.testing.assert_array_equal(table.get_value(), expected)
    with pytest.raises(SymgradError, match=r"test_programs\.py"):
        step([3, 50, 1])
    np.testing.assert_array_equal(table.get_value(), expected)
    (commit,) = program_of(step).plan.commits
    assert commit.change is Change.WRITTEN


def test_bad_positions_do_no_harm_anywhere(gpu: Any) -> None:
    x, rows = T.matrix("x"), T.lvector("rows")
    f = symgrad.function([x, rows], T.inc_subtensor(T.exp(x)[rows], 1.0) * 2)
    ones = np.ones((5, 3), "float32")
    for _ in range(2):
        f(ones, [0, 4])
        with pytest.raises(SymgradError, match=r"test_programs\.py"):
            f(ones, [0, 5])


def test_many_steps_are_those_of_single_calls(gpu: Any) -> None:
    step, weights, _ = minibatches()
    order = np.array([0, 3, 1, 2, 2, 1, 0, 3, 0, 1, 2, 3, 1, 1, 0, 2, 3, 0, 1])
    costs = step.repeat(order)
    other, expected, _ = minibatches()
    np.testing.assert_array_equal(costs, [other(k) for k in order])
    np.testing.assert_array_equal(weights.get_value(), expected.get_value())


def test_many_steps_go_to_the_device_at_once(gpu: Any) -> None:
    step, _, _ = minibatches()
    step(0), step(1)
    gpu.transfers.clear()
    step.repeat(np.arange(64) % 4)
    assert len(gpu.transfers) < 12


def test_a_step_that_fails_among_many_keeps_those_before_it(gpu: Any) -> None:
    step, weights, _ = minibatches()
    with pytest.raises(SymgradError, match=r"test_programs\.py"):
        step.repeat(np.array([0, 1, 2, 3, 2, 4, 1, 0]))
    other, expected, _ = minibatches()
    for k in (0, 1, 2, 3, 2):
        other(k)
    np.testing.assert_array_equal(weights.get_value(), expected.get_value())


def test_a_value_that_is_set_goes_into_the_captured_graph(gpu: Any) -> None:
    x = symgrad.shared(np.arange(3.0))
    double = symgrad.function([], 2 * x)
    for _ in range(3):
        double()
    before = gpu.graph_launches
    x.set_value(np.array([5.0, 6.0, 7.0]))
    np.testing.assert_array_equal(double(), [10, 12, 14])
    assert gpu.graph_launches == before + 1
    x.set_value(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(double(), [2, 4])


def test_variables_change_places(gpu: Any) -> None:
    a, b = symgrad.shared(np.arange(3.0), "a"), symgrad.shared(np.ones(3), "b")
    swap = symgrad.function([], a + b, updates=[(a, b), (b, a)])
    for _ in range(3):
        np.testing.assert_array_equal(swap(), [1, 2, 3])
    np.testing.assert_array_equal(a.get_value(), np.ones(3))
    np.testing.assert_array_equal(b.get_value(), np.arange(3.0))


def test_a_variable_may_grow(gpu: Any) -> None:
    a = symgrad.shared(np.ones(1))
    grow = symgrad.function([], a.sum(), updates=[(a, T.concatenate([a, 2 * a]))])
    assert [float(grow()) for _ in range(4)] == [1, 3, 9, 27]
    assert a.get_value().shape == (16,)
    assert "changes its size" in program_of(grow).obstacle


def test_calls_like_the_last_one_take_the_short_way(gpu: Any) -> None:
    x, n = T.fmatrix("x"), T.lscalar("n")
    w = symgrad.shared(np.ones((2, 3), "float32"))
    f = symgrad.function([x, n], T.dot(x, w) * n, updates=[(w, w + 1)], allow_input_downcast=True)
    ones = np.ones((4, 2), "float32")
    for _ in range(2):
        f(ones, 1)
    long_way, f._call = f._call, None  # type: ignore[method-assign]
    for k in range(3):
        np.testing.assert_array_equal(f(ones * k, 2), np.full((4, 3), 2 * k * 2 * (3 + k)))
    f._call = long_way  # type: ignore[method-assign]
    np.testing.assert_array_equal(f([[1, 1]], 1), np.full((1, 3), 12))
    w.set_value(np.zeros((2, 3), "float32"))
    np.testing.assert_array_equal(f(ones, np.int8(3)), np.zeros((4, 3)))


def test_threads_take_turns(gpu: Any) -> None:
    x = T.dscalar("x")
    w = symgrad.shared(np.zeros(()))
    f = symgrad.function([x], w * 1, updates=[(w, w + x)])
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(f, [1.0] * 60))
    assert sorted(map(float, seen)) == list(range(60))


def test_a_captured_step_gives_the_same_in_any_order_that_its_edges_allow(gpu: Any) -> None:
    """The stand-in carries out the nodes of a graph in another order each time: a missing edge would show."""
    step, weights, _ = minibatches()
    start, results = weights.get_value(), set()
    for _ in range(40):
        weights.set_value(start)
        results.add((float(step(1)), weights.get_value().tobytes()))
    assert len(results) == 1
    assert gpu.graph_launches == 39


def test_calls_with_nothing_in_common_run_side_by_side(gpu: Any) -> None:
    x, y = T.matrix("x"), T.matrix("y")
    turns = arranged([[Access(0, 8, False), Access(8, 16, True)], [Access(16, 24, True)], [Access(8, 24, False)]],
                     [False] * 3)  # fmt: skip
    assert [turn.stream for turn in turns] == [0, 1, 1]
    assert [turn.waits for turn in turns] == [[], [], [0]]
    f = symgrad.function([x, y], [T.dot(x, x).sum(), T.dot(y, y).max()])
    values = np.ones((3, 3), "float32"), np.full((4, 4), 2, "float32")
    for _ in range(5):
        assert [float(value) for value in f(*values)] == [27, 16]


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.booleans()), max_size=4), max_size=12),
       st.integers(1, 4))  # fmt: skip
def test_turns_keep_the_order_of_those_that_share_memory(calls: Any, streams: int) -> None:
    accesses = [[Access(begin, begin + size, writes) for begin, size, writes in call] for call in calls]
    turns = arranged(accesses, [number % 5 == 0 for number in range(len(calls))], streams)
    before: list[set[int]] = []
    for number, turn in enumerate(turns):
        earlier = [other for other in range(number) if turns[other].stream == turn.stream]
        direct = {*earlier, *turn.waits}
        before.append(direct.union(*[before[other] for other in direct]))
        for other in range(number):
            if any((a.writes or b.writes) and a.begin < b.end and b.begin < a.end
                   for a in accesses[number] for b in accesses[other]):  # fmt: skip
                assert other in before[number]


def test_loops_are_captured(gpu: Any) -> None:
    h, w = T.vector("h"), symgrad.shared(np.eye(3, dtype="float32") * 0.5)
    states, _ = scan(lambda state, w: T.tanh(T.dot(w, state)), outputs_info=h, non_sequences=w, n_steps=6)
    cost = states[-1].sum() + states.mean()
    f = symgrad.function([h], [cost, symgrad.grad(cost, w)])
    values = np.array([1, -2, 0.5], "float32")
    with symgrad.config.change_flags(device="cpu", backend="numpy"):
        expected = symgrad.function([h], [cost, symgrad.grad(cost, w)])(values)
        w.get_value()
    for _ in range(3):
        for found, wanted in zip(f(values), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert program_of(f).obstacle == ""
    assert gpu.graph_launches == 2


def test_choices_are_made_on_the_host(gpu: Any) -> None:
    x = T.vector("x")
    f = symgrad.function([x], ifelse(x.sum() > 0, T.exp(x) * 2, x - 1))
    np.testing.assert_allclose(f([1.0, 2.0]), np.exp([1, 2]) * 2, rtol=1e-6)
    np.testing.assert_allclose(f([-1.0, -2.0]), [-2, -3])
    assert "choice" in program_of(f).obstacle


def test_what_has_no_kernel_runs_on_the_host_between_kernels(gpu: Any) -> None:
    x = T.vector("x")
    f = symgrad.function([x], T.sqr(T.gammaln(T.exp(x))) + 1)
    from scipy.special import gammaln

    for _ in range(3):
        np.testing.assert_allclose(f([0.5, 2.0]), gammaln(np.exp([0.5, 2.0])) ** 2 + 1, rtol=1e-5)
    assert "host" in program_of(f).obstacle
    assert "(on the host)" in f.source()


def test_what_nobody_reads_is_not_computed(gpu: Any) -> None:
    images, filters = T.ftensor4("images"), T.ftensor4("filters")
    loss = T.sqr(T.conv2d(images, filters)).sum()
    f = symgrad.function([images, filters], symgrad.grad(loss, filters))
    random = np.random.default_rng(0)
    given = [random.normal(size=shape).astype("float32") for shape in ((2, 3, 7, 7), (4, 3, 3, 3))]
    for _ in range(2):
        found = f(*given)
    np.testing.assert_allclose(found, on_cpu(lambda: given, lambda *values: symgrad.function(
        [images, filters], symgrad.grad(loss, filters))(*values)), rtol=1e-4, atol=1e-4)  # fmt: skip
    names = [piece.call.work.name.split("_")[0] for piece in program_of(f).tape.pieces()]
    assert names == ["conv2d", "fused", "conv2d"]  # no kernel for the sizes of the filters


@pytest.mark.parametrize("sync", [True, False])
def test_a_kernel_that_crashes_is_named_if_each_is_waited_for(
    gpu: Any, sync: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = T.matrix("x")
    hidden = T.dot(x, x)
    f = symgrad.function([x], T.exp(hidden).sum(axis=0))
    f(np.ones((2, 2), "float32"))
    device = find_device("cuda0")
    synchronize, launch = device.synchronize, device.launch
    crashed: list[str] = []

    def launched(function: Any, *arguments: Any) -> None:
        crashed.extend(["dot"] * (not crashed))  # the first kernel: the product
        launch(function, *arguments)

    def waited() -> None:
        if crashed:
            raise device.failures[0](700)
        synchronize()

    monkeypatch.setattr(device, "launch", launched)
    monkeypatch.setattr(device, "synchronize", waited)
    with symgrad.config.change_flags(sync=sync), pytest.raises(SymgradError, match="illegal memory access") as caught:
        f(np.ones((2, 2), "float32"))
    crashed.clear()
    assert ("hidden = T.dot(x, x)" in str(caught.value)) is sync
    assert ("sync = True" in str(caught.value)) is not sync


def test_a_copy_that_others_count_on_is_made_though_nobody_wants_its_step(gpu: Any) -> None:
    """The convolution itself is needed for its shape only, but its gradient reads the same strided minibatch."""
    data, i = symgrad.shared(np.random.default_rng(0).normal(size=(6, 5, 8, 2)).astype("float32")), T.lscalar("i")
    filters = symgrad.shared(np.ones((3, 2, 2, 2), "float32"))
    part = data[2 * i : 2 * i + 2].dimshuffle(0, 3, 1, 2)
    gradient = symgrad.grad(T.conv2d(part, filters).sum(), filters)
    f = symgrad.function([i], gradient, mode=symgrad.Mode([]))
    with symgrad.config.change_flags(device="cpu", backend="numpy"):
        expected = symgrad.function([i], gradient)(1)
    for _ in range(3):
        np.testing.assert_allclose(f(1), expected, rtol=1e-5)


def test_debug_mode_compares_every_kernel(gpu: Any) -> None:
    x = T.matrix("x")
    w = symgrad.shared(np.ones((3, 2), "float32"))
    f = symgrad.function([x], T.nnet.softmax(T.dot(x, w)).sum(), updates=[(w, w * 2)], mode="DebugMode")
    assert f(np.ones((4, 3), "float32")) == pytest.approx(4)
    np.testing.assert_array_equal(w.get_value(), np.full((3, 2), 2))


def test_a_shared_variable_moves_to_where_it_is_used(gpu: Any) -> None:
    w = symgrad.shared(np.arange(3.0))
    x = T.dscalar("x")
    on_gpu = symgrad.function([x], w * x, updates=[(w, w + 1)])
    with symgrad.config.change_flags(device="cpu"):
        on_host = symgrad.function([x], w - x, updates=[(w, w + 1)])
    with symgrad.config.change_flags(device="cuda1"):
        on_other = symgrad.function([x], w + x)
    for k in range(3):
        np.testing.assert_array_equal(on_gpu(2), (np.arange(3.0) + 2 * k) * 2)
        np.testing.assert_array_equal(on_host(2), np.arange(3.0) + 2 * k - 1)
        np.testing.assert_array_equal(on_other(2), np.arange(3.0) + 2 * k + 4)
