"""The benchmark harness: its numeric check, its rounds, its tables, and the hand-written reference step."""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import contestants, harness, machine, micro, pages, report, run, work
from benchmarks.check import CheckFailure, Record, check, relative_difference
from benchmarks.contestants import Contestant, Place
from benchmarks.expressions import EXPRESSIONS, Expression
from benchmarks.goals import GOALS
from benchmarks.numpy_expressions import expression_function
from benchmarks.numpy_sequences import NumpySequenceStep
from benchmarks.peer_numpy import NumpyStep
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, Peer, PeerUnavailable
from benchmarks.workloads import (
    CHECK_STEPS,
    WORKLOADS,
    ConvolutionPoolLayer,
    FullyConnectedLayer,
    NormalizedLayer,
    SoftmaxLayer,
    Workload,
)

ACTIVATIONS = ("relu", "tanh", "sigmoid")
EXAMPLES = 80


def dense_workload(activation: str, batch_size: int, lmbda: float) -> Workload:
    """A perceptron small enough for finite differences."""
    layers = (FullyConnectedLayer(12, 7, activation), SoftmaxLayer(7, 4))
    return Workload("dense", "dense", layers, batch_size, eta=0.1, initialization="nielsen", l1=lmbda / 9, lmbda=lmbda)


def normalized_workload(activation: str, batch_size: int, lmbda: float) -> Workload:
    """Two layers with batch normalisation, whose batches are larger than one."""
    layers = (NormalizedLayer(12, 7, activation), NormalizedLayer(7, 6, activation), SoftmaxLayer(6, 4))
    size = batch_size + 4
    return Workload("normal", "normal", layers, size, eta=0.1, initialization="glorot", l1=lmbda / 9, lmbda=lmbda)


def image_workload(activation: str, batch_size: int, lmbda: float) -> Workload:
    """Two convolutions, then a fully connected layer, on images of 2 x 14 x 18."""
    first = ConvolutionPoolLayer((3, 2, 3, 3), (2, 14, 18), activation)
    second = ConvolutionPoolLayer((4, 3, 3, 5), first.pooled_shape, activation)
    flat = math.prod(second.pooled_shape)
    layers = (first, second, FullyConnectedLayer(flat, 6, activation), SoftmaxLayer(6, 4))
    return Workload("image", "image", layers, batch_size, eta=0.1, initialization="nielsen", lmbda=lmbda)


def random_data(workload: Workload, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Images and labels that fit a workload."""
    random = np.random.RandomState(3)
    size = math.prod(workload.image_shape) if workload.image_shape else workload.layers[0].n_in
    return random.uniform(0, 1, (EXAMPLES, size)).astype(dtype), random.randint(0, 4, EXAMPLES)


def random_parameters(workload: Workload, dtype: str = "float64") -> list[np.ndarray]:
    """Parameters with nothing at zero, so that every gradient shows."""
    random = np.random.RandomState(5)
    return [random.normal(0, 0.4, p.shape).astype(dtype) for p in workload.initial_parameters()]


def peer_of(name: str) -> Peer:
    """The peer of a name; skips the test where its library isn't installed."""
    module, class_name = contestants.PEERS[name]
    try:
        return getattr(importlib.import_module(module), class_name)()
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} isn't installed")


WORKLOAD_STRATEGY = st.builds(
    lambda make, activation, batch_size, lmbda: make(activation, batch_size, lmbda),
    st.sampled_from([dense_workload, normalized_workload, image_workload]),
    st.sampled_from(ACTIVATIONS),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5]),
)


class TestReferenceStep:
    """The NumPy step is what every peer is compared with, so it is compared with finite differences."""

    @settings(max_examples=25, deadline=None)
    @given(workload=WORKLOAD_STRATEGY, index=st.integers(0, EXAMPLES // 8 - 1), blank=st.booleans())
    def test_update_is_minus_eta_times_the_gradient(self, workload: Workload, index: int, blank: bool) -> None:
        images, labels = random_data(workload)
        if blank:
            images[:] = 0.5  # every pooling window is a tie
        start = random_parameters(workload)
        step = NumpyStep(workload, images, labels, np.dtype("float64"))
        step.load(start)
        step.step(index)
        gradients = [(before - after) / workload.eta for before, after in zip(start, step.parameters(), strict=True)]
        random = np.random.RandomState(index)
        for position, gradient in enumerate(gradients):
            direction = random.normal(0, 1, gradient.shape)
            costs = []
            for sign in (1, -1):
                moved = [p.copy() for p in start]
                moved[position] += sign * 1e-6 * direction
                step.load(moved)
                costs.append(float(step.step(index)))
            slope = (costs[0] - costs[1]) / 2e-6
            assert slope == pytest.approx(np.vdot(gradient, direction), rel=1e-4, abs=1e-6)

    def test_convolution_flips_its_filters(self) -> None:
        layers = (ConvolutionPoolLayer((1, 1, 3, 3), (1, 4, 4), "relu"), SoftmaxLayer(1, 2))
        workload = Workload("flip", "flip", layers, 1, eta=0.0, initialization="zeros")
        image = np.arange(16, dtype=np.float64)
        step = NumpyStep(workload, image[None], np.zeros(1, np.int64), np.dtype("float64"))
        corner = np.zeros((1, 1, 3, 3))
        corner[0, 0, 0, 0] = 1.0
        step.load([corner, np.zeros(1), np.array([[1.0, 0.0]]), np.zeros(2)])
        # A true convolution with a one in the filter's first corner picks each window's last pixel: at most 15.
        assert float(step.step(0)) == pytest.approx(math.log1p(math.exp(-15)))

    @pytest.mark.parametrize("peer", [name for name in contestants.PEERS if name not in ("numpy", "torch-compile")])
    @pytest.mark.parametrize("make", [dense_workload, normalized_workload, image_workload])
    def test_peers_take_the_same_step(self, peer: str, make: object, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        workload = make("relu", 4, 0.5)
        images, labels = random_data(workload, "float32")
        start = random_parameters(workload, "float32")
        try:
            steps = NumpyStep(workload, images, labels), peer_of(peer).build(workload, images, labels)
        except PeerUnavailable as reason:
            pytest.skip(str(reason))
        outcomes = []
        for step in steps:
            step.load(start)
            outcomes.append((step.costs(range(CHECK_STEPS)), step.parameters()))
        (expected_costs, expected), (costs, parameters) = outcomes
        np.testing.assert_allclose(costs, expected_costs, rtol=1e-5)
        for value, reference in zip(parameters, expected, strict=True):
            np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-5)


TRAINING = [workload for workload in WORKLOADS.values() if isinstance(workload, Workload)]


def small(expression: Expression) -> Expression:
    """The same expression of a few elements."""
    shape = (20_000,) if len(expression.shape) == 1 else (50, 33)
    return replace(expression, shape=shape)


def exact(expression: Expression) -> np.ndarray:
    """An expression in float64, gradients by finite differences."""
    x, *others = (array.astype(np.float64) for array in expression.arrays())

    def value(x: np.ndarray) -> np.ndarray:
        if expression.function == "chain":
            return np.tanh(x) / (1 + np.exp(0.5 - 1.5 * x)) + x**2
        exponentials = np.exp(x - x.max(axis=1, keepdims=True))
        totals = exponentials.sum(axis=1, keepdims=True)
        if expression.function == "logsumexp":
            return (np.log(totals) + x.max(axis=1, keepdims=True))[:, 0]
        return exponentials / totals

    if not expression.gradient:
        return value(x)
    if expression.function == "chain":
        return (value(x + 1e-5) - value(x - 1e-5)) / 2e-5
    result = np.empty_like(x)
    for column in range(x.shape[1]):
        step = 1e-5 * np.eye(x.shape[1])[column]
        result[:, column] = ((value(x + step) - value(x - step)) * others[0]).sum(axis=1) / 2e-5
    return result


class TestExpressions:
    """Every peer computes the plain expressions, call after call."""

    @pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.name)
    @pytest.mark.parametrize("peer", [name for name in contestants.PEERS if name != "torch-compile"])
    def test_results_are_those_of_float64(
        self, peer: str, expression: Expression, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        expression = small(expression)
        try:
            step = peer_of(peer).build_expression(expression)
        except PeerUnavailable as reason:
            pytest.skip(str(reason))
        assert isinstance(step, ExpressionStep)
        expected = exact(expression)
        for _ in range(2):
            result = step.result()
            assert result.dtype == np.float32 and result.shape == expression.result_shape
            np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)

    def test_calls_return_new_arrays_unless_they_work_in_place(self) -> None:
        for expression in map(small, EXPRESSIONS):
            run_once = expression_function(expression)
            assert np.shares_memory(run_once(), run_once()) == expression.in_place, expression.name


class TestSequences:
    """Every peer that has recurrent networks takes the same steps."""

    workload = SequenceWorkload("lstm-small", "a small LSTM", steps=7, batch_size=3, n_in=5, hidden=4)

    @pytest.mark.parametrize("peer", contestants.PEERS)
    def test_steps_are_those_of_float64(self, peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        try:
            step = peer_of(peer).build_sequence(self.workload)
        except PeerUnavailable as reason:
            pytest.skip(str(reason))
        exact = NumpySequenceStep(self.workload)
        exact.load([parameter.astype(np.float64) for parameter in self.workload.initial_parameters()])
        np.testing.assert_allclose(step.costs([0, 1, 3]), exact.costs([0, 1, 3]), rtol=1e-5)
        for value, expected in zip(step.parameters(), exact.parameters(), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)

    def test_the_gradient_by_hand_is_that_of_finite_differences(self) -> None:
        step = NumpySequenceStep(self.workload)
        start = [parameter.astype(np.float64) for parameter in self.workload.initial_parameters()]
        random = np.random.RandomState(2)
        direction = [random.normal(size=parameter.shape) for parameter in start]

        def cost_at(distance: float) -> float:
            step.load([value + distance * change for value, change in zip(start, direction, strict=True)])
            return step.step(0)

        slope = (cost_at(1e-6) - cost_at(-1e-6)) / 2e-6
        step.load(start)
        step.step(0)
        moved = sum(np.vdot(now - before, change)
                    for now, before, change in zip(step.parameters(), start, direction, strict=True))  # fmt: skip
        np.testing.assert_allclose(-moved / self.workload.eta, slope, rtol=1e-6)


class TestWorkloads:
    """The networks are those of the tutorials and of the book."""

    @pytest.mark.parametrize("workload", TRAINING, ids=lambda workload: workload.name)
    def test_parameters_are_float32_and_the_same_every_time(self, workload: Workload) -> None:
        first, second = workload.initial_parameters(), workload.initial_parameters()
        assert {parameter.dtype for parameter in first} == {np.dtype("float32")}
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert not first[-2].any() and not first[-1].any(), "the softmax layer starts at zero"

    def test_layers_of_network3_fit_together(self) -> None:
        for name in ("network3", "lenet"):
            first, second, dense, *_ = WORKLOADS[name].layers
            assert first.pooled_shape == second.image_shape
            assert math.prod(second.pooled_shape) == dense.n_in

    @pytest.mark.parametrize("workload", TRAINING, ids=lambda workload: workload.name)
    def test_parameters_of_layers_are_all_parameters(self, workload: Workload) -> None:
        parameters = workload.initial_parameters()
        grouped = workload.by_layer(parameters)
        assert [id(p) for group in grouped for p in group] == [id(p) for p in parameters]
        assert len(grouped) == len(workload.layers) == len(workload.weights(parameters))
        assert all(weight.ndim > 1 for weight in workload.weights(parameters))
        assert len(workload.parameter_names()) == len(parameters)

    def test_goals_are_about_workloads(self) -> None:
        assert set(GOALS) <= set(WORKLOADS)

    @given(examples=st.integers(100, 100_000))
    def test_l2_factor_divides_by_the_number_of_minibatches(self, examples: int) -> None:
        assert WORKLOADS["network3"].l2_factor(examples) == 0.5 * 0.1 / (examples // 10)
        assert WORKLOADS["mlp"].l2_factor(examples) == 0.0001


def record_of(workload: Workload) -> Record:
    """What a peer that does everything right would report."""
    random = np.random.RandomState(1)
    costs = list(random.uniform(1, 3, CHECK_STEPS))
    parameters = [p + random.normal(0, 0.01, p.shape).astype(np.float32) for p in workload.initial_parameters()]
    return Record(costs, parameters, [costs[0], *random.uniform(1, 3, CHECK_STEPS - 1)])


class TestCheck:
    """The numeric check fails loudly, and says which peer and what."""

    workload = WORKLOADS["shallow"]
    expected = record_of(WORKLOADS["shallow"])

    @settings(max_examples=30, deadline=None)
    @given(
        step=st.integers(0, CHECK_STEPS - 1),
        exponent=st.floats(-7, -1).filter(lambda value: abs(value + 4) > 0.1),
        sign=st.sampled_from([-1, 1]),
    )
    def test_costs_agree_to_the_tolerance(self, step: int, exponent: float, sign: int) -> None:
        costs = list(self.expected.costs)
        costs[step] *= 1 + sign * 10**exponent
        records = {"good": self.expected, "other": replace(self.expected, costs=costs)}
        if exponent < -4:
            assert check(self.workload, records, "good")["other"] == pytest.approx(10**exponent, rel=0.01)
        else:
            with pytest.raises(CheckFailure, match=rf"other: the cost of step {step} is"):
                check(self.workload, records, "good")

    def test_not_a_number_never_agrees(self) -> None:
        records = {"good": self.expected, "other": replace(self.expected, costs=[math.nan] * CHECK_STEPS)}
        with pytest.raises(CheckFailure, match="nan"):
            check(self.workload, records, "good")
        assert relative_difference(math.nan, 1.0) == relative_difference(1.0, math.nan) == math.inf

    @pytest.mark.parametrize("position", range(4))
    def test_a_parameter_that_was_not_updated_is_named(self, position: int) -> None:
        parameters = list(self.expected.parameters)
        parameters[position] = self.workload.initial_parameters()[position]
        records = {"good": self.expected, "other": replace(self.expected, parameters=parameters)}
        with pytest.raises(CheckFailure, match=f"change of {'wb'[position % 2]} of layer {position // 2} is off"):
            check(self.workload, records, "good")

    def test_a_norm_that_differs_is_named(self) -> None:
        parameters = [value * np.float32(1.001) for value in self.expected.parameters]
        records = {"good": self.expected, "other": replace(self.expected, parameters=parameters)}
        with pytest.raises(CheckFailure, match="other: the norm of w of layer 0"):
            check(self.workload, records, "good")

    def test_a_shape_that_differs_is_named(self) -> None:
        parameters = [self.expected.parameters[0].T, *self.expected.parameters[1:]]
        records = {"good": self.expected, "other": replace(self.expected, parameters=parameters)}
        with pytest.raises(CheckFailure, match=r"w of layer 0 has shape \(100, 784\)"):
            check(self.workload, records, "good")

    def test_dropout_compares_what_masks_leave_alone(self) -> None:
        workload = WORKLOADS["network3-dropout"]
        expected = record_of(workload)
        other = replace(expected, costs=[expected.costs[0], *(cost * 1.5 for cost in expected.costs[1:])])
        assert check(workload, {"good": expected, "other": other}, "good") == {"good": 0.0, "other": 0.0}
        first_off = replace(other, costs=[expected.costs[0] * 1.001, *other.costs[1:]])
        with pytest.raises(CheckFailure, match="other: the cost of step 0"):
            check(workload, {"good": expected, "other": first_off}, "good")
        same_masks = replace(expected, repeated_costs=list(expected.costs))
        with pytest.raises(CheckFailure, match="draws no new masks"):
            check(workload, {"good": expected, "other": same_masks}, "good")

    def test_results_of_expressions_are_compared_element_by_element(self) -> None:
        expression = small(EXPRESSIONS[0])
        value = expression_function(expression)()
        good = Record([], [value], [])
        moved = value.copy()
        moved[777] += 1e-1
        broken = value.copy()
        broken[5] = np.nan
        assert check(expression, {"good": good, "same": good}, "good")["same"] == 0.0
        for wrong in (moved, broken, value[:-1], value.astype(np.float64)):
            with pytest.raises(CheckFailure, match="other: "):
                check(expression, {"good": good, "other": Record([], [wrong], [])}, "good")


class FakeWorker:
    """Takes a fixed time for each step and writes down when it was called."""

    def __init__(self, name: str, seconds_per_step: float, calls: list[str]) -> None:
        self.name, self.seconds_per_step, self.calls = name, seconds_per_step, calls

    def time(self, steps: int) -> tuple[float, float]:
        """Return the time that so many steps take, half of it on the processor."""
        self.calls.append(self.name)
        return steps * self.seconds_per_step, steps * self.seconds_per_step / 2


FAKE_TIMES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=5)


class TestRounds:
    """Contestants take turns."""

    @given(seconds=FAKE_TIMES, ours=st.floats(1e-6, 1.0), rounds=st.integers(1, 6))
    def test_every_round_times_those_who_can_win(self, seconds: list[float], ours: float, rounds: int) -> None:
        calls: list[str] = []
        times = {Contestant("symgrad", 1): ours}
        times |= {Contestant("jax", threads): value for threads, value in enumerate(seconds, start=1)}
        workers = {contestant: FakeWorker(str(contestant), value, calls) for contestant, value in times.items()}
        samples = harness.interleave(workers, rounds, block_seconds=0.2)
        first, later = min(rounds, harness.SCREENING_ROUNDS), max(rounds - harness.SCREENING_ROUNDS, 0)
        fastest = min(seconds)
        good = [c for c, value in times.items() if c.peer == "symgrad" or value <= 1.999 * fastest]
        bad = [c for c, value in times.items() if c.peer != "symgrad" and value > 2.001 * fastest]
        for contestant, measured in samples.items():
            assert measured.median == pytest.approx(times[contestant])
            assert measured.processor_share == pytest.approx(0.5)
            assert measured.steps == harness.steps_for(times[contestant], 0.2)
            assert len(measured.wall) == (first if contestant in bad else len(measured.wall))
            assert len(measured.wall) == (first + later if contestant in good else len(measured.wall))
        start = len(calls) - sum(len(measured.wall) for measured in samples.values())
        assert calls[start : start + len(workers) * first] == [str(c) for c in workers] * first

    @given(seconds=st.floats(1e-6, 10.0), block=st.floats(1e-3, 10.0))
    def test_a_block_has_the_length_that_was_asked_for(self, seconds: float, block: float) -> None:
        steps = harness.steps_for(seconds, block)
        assert steps == harness.MINIMUM_STEPS or abs(steps * seconds - block) <= seconds


def comparison_of(medians: dict[str, float], workload: str = "mlp") -> harness.Comparison:
    """A finished comparison of one step; contestants by their names."""
    samples = {
        Contestant.parse(name): harness.Samples(10, wall=[0.9 * m, m, 1.2 * m], processor=[0.9 * m, m, 1.2 * m])
        for name, m in medians.items()
    }
    result = harness.Result(WORKLOADS[workload], dict.fromkeys(samples, 1e-7), samples, {"jax-loop": "no loop"})
    titles = {contestant.peer: contestant.peer.upper() for contestant in samples}
    return harness.Comparison([result], titles, {"numpy": np.__version__}, {"jax": "jax isn't installed"})


SETTINGS = {"rounds": 3, "block_seconds": 0.2, "examples": 5000}
LIMITS = {"1": {"sgemm": 1e11, "copy": 4e10}, "2": {"sgemm": 2e11, "copy": 5e10, "fma": 3e11}}
MEDIANS = {"symgrad@1": 2e-3, "symgrad@2": 1e-3, "symgrad-repeat@1": 1.6e-3, "numpy@1": 6e-3, "numpy@2": 5e-3}


def facts_of(medians: dict[str, float], workload: str = "mlp") -> dict:
    """The document of such a comparison, as a program would read it again."""
    comparison = comparison_of(medians, workload)
    return json.loads(json.dumps(report.document(comparison, report.machine_facts([0, 1]), LIMITS, SETTINGS)))


class TestReport:
    """One document, and the tables made from it."""

    def test_goals_are_judged_against_the_fastest_peer(self) -> None:
        lines = report.goal_table(facts_of(MEDIANS)).splitlines()
        assert lines[2] == (
            "| MLP 784-500-10 tanh, L1 + L2, batch 20 | NUMPY, 2 | 5.00 ms | 2.00 ms, **2.50 x** | 1.60 ms, **3.12 x** "
            "| 2.5 x, met | 1.00 ms, **5.00 x** |  | 4 x, met |"
        )

    @given(ours=st.floats(1e-6, 1e-1), threads=st.integers(1, 2))
    def test_a_goal_is_met_or_missed(self, ours: float, threads: int) -> None:
        goal = GOALS["mlp"].with_threads(threads)
        table = report.goal_table(facts_of({f"symgrad@{threads}": ours, "numpy@1": 5e-3}))
        assert ("met" in table) == (5e-3 / ours >= goal)
        assert ("missed" in table) == (5e-3 / ours < goal)

    def test_peers_are_shown_with_their_better_number_of_threads(self) -> None:
        table = report.peer_table(facts_of(MEDIANS))
        assert "| 1.00 ms (2) | 1.60 ms (1) | 5.00 ms (2) |" in table

    def test_share_of_the_limit(self) -> None:
        facts = facts_of(MEDIANS)
        limit = facts["workloads"]["mlp"]["flops"] / 1e11
        line = report.limit_table(facts).splitlines()[2]
        assert "arithmetic" in line and f"{limit / 1.6e-3:.0%}" in line and f"{limit / 2 / 1e-3:.0%}" in line

    def test_report_names_machine_versions_and_what_was_left_out(self) -> None:
        facts = facts_of(MEDIANS)
        text = report.markdown_report(facts)
        assert facts["machine"]["cpu"] in text and np.__version__ in text and facts["machine"]["date"] in text
        assert "Left out: jax, jax isn't installed." in text
        assert "jax-loop left out of mlp: no loop." in text
        assert "busy" not in text

    def test_busy_machine_is_mentioned(self) -> None:
        comparison = comparison_of({"numpy@1": 1e-3})
        samples = comparison.results[0].samples[Contestant("numpy", 1)]
        samples.processor = [wall * 0.6 for wall in samples.wall]
        (warning,) = report.busy_warnings(report.document(comparison, {}, {}, SETTINGS))
        assert "mlp" in warning and "60%" in warning

    def test_tables_are_made_from_the_document_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        facts = facts_of(MEDIANS)
        (tmp_path / "results.json").write_text(json.dumps(facts))
        for name, table in report.TABLES.items():
            assert report.main([str(tmp_path / "results.json"), "--table", name]) == 0
            assert capsys.readouterr().out == table(facts).rstrip("\n") + "\n"

    def test_tables_are_written_into_a_page(self, tmp_path: Path) -> None:
        facts, page = facts_of(MEDIANS), tmp_path / "page.md"
        (tmp_path / "results.json").write_text(json.dumps(facts))
        places = "\n".join(f"{name}\n<!-- table {name} -->old<!-- end -->" for name in report.PAGE_TABLES)
        page.write_text(places)
        for _ in range(2):
            assert report.main([str(tmp_path / "results.json"), "--into", str(page)]) == 0
            text = page.read_text()
            assert "old" not in text and text.count("<!-- end -->") == len(report.PAGE_TABLES)
            assert all(report.TABLES[name](facts) in text for name in report.PAGE_TABLES)

    def test_a_page_without_a_place_stays_as_it_is(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text("<!-- table one -->old<!-- end -->")
        with pytest.raises(pages.MissingTableError, match="two"):
            pages.fill_file(page, {"one": "new", "two": "new"})
        assert page.read_text() == "<!-- table one -->old<!-- end -->"

    def test_the_page_about_performance_has_all_places(self) -> None:
        page = (contestants.ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
        for name in (*report.PAGE_TABLES, "waits"):
            page = pages.fill(page, name, "table")

    def test_a_check_has_its_own_table(self) -> None:
        facts = facts_of(MEDIANS)
        facts["settings"]["rounds"] = 0
        assert "1.0e-07" in report.markdown_report(facts)

    def test_waits_are_judged_against_their_bounds(self) -> None:
        short = micro.Measurement("short", "", 0.3)
        long = micro.Measurement("long", "", 5e-6)
        peer = micro.Measurement("peer", "", None)
        lines = micro.table([(short, [0.2, 0.1, 0.9]), (long, [6e-6]), (peer, [1e-6])]).splitlines()
        assert lines[2] == "| short | 0.200 s | 0.100 s - 0.900 s | 0.300 s | met |"
        assert lines[3] == "| long | 6.00 us | 6.00 us - 6.00 us | 5.00 us | **missed** |"
        assert lines[4] == "| peer | 1.00 us | 1.00 us - 1.00 us |  |  |"


class TestWork:
    """Operations and bytes, counted by hand for a few."""

    def test_products_of_a_perceptron(self) -> None:
        counted = work.work_of(WORKLOADS["mlp"])
        assert counted.flops == 2 * 20 * (784 * 500 * 2 + 500 * 10 * 3)
        assert counted.bytes == 4 * (2 * (784 * 500 + 500 + 500 * 10 + 10) + 20 * 785)
        assert counted.functions == 20 * (500 + 10)

    def test_gradients_of_pooled_convolutions_are_a_quarter(self) -> None:
        layers = (ConvolutionPoolLayer((3, 2, 5, 5), (2, 12, 12), "relu"), SoftmaxLayer(48, 10))
        workload = Workload("one", "one", layers, 7, eta=0.1, initialization="zeros")
        forward = 2 * 7 * 3 * 2 * 25 * 8 * 8
        assert work.work_of(workload).flops == forward * 1.25 + 3 * 2 * 7 * 48 * 10

    def test_bytes_of_expressions(self) -> None:
        sizes = {name: counted.bytes for name, counted in work.work_by_name().items()}
        assert sizes["chain"] == sizes["chain-gradient"] == 80e6
        assert sizes["softmax-gradient"] == 3 * 4 * 4096 * 1000
        assert sizes["logsumexp"] == 4 * (4096 * 1000 + 4096)

    @given(flops=st.floats(1, 1e12), size=st.floats(1, 1e10))
    def test_the_limit_is_the_one_that_is_met_first(self, flops: float, size: float) -> None:
        counted, limits = work.Work(flops, 0.0, size), LIMITS["1"]
        seconds = {"arithmetic": flops / 1e11, "memory": size / 4e10}
        assert counted.seconds_at(limits) == max(seconds.values()) == seconds[counted.bound(limits)]


class TestMachine:
    """What the limits are measured with does what it says."""

    def test_shares_of_the_copy_are_apart_and_aligned(self) -> None:
        parts = machine._parts(3)
        for arrays in zip(*parts, strict=True):
            addresses = [array.ctypes.data for array in arrays]
            assert all(address % 64 == 0 for address in addresses)
            assert all(b - a == arrays[0].nbytes for a, b in pairwise(addresses))

    def test_loops_in_machine_code_compute(self) -> None:
        pytest.importorskip("llvmlite")
        from symgrad.backends.native.llvm.host import host
        from symgrad.backends.native.llvm.jit import load

        lanes = host().vector_bytes // 4
        functions = load(machine.kernel_text(lanes), ["multiply_add", "stream"])
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        cell = np.full(lanes, 0.5, np.float32)
        prototype(functions["multiply_add"])(cell.ctypes.data, None, 3)
        np.testing.assert_array_equal(cell, np.float32(0.5 * 1.5**3))
        (source, target), *_ = machine._parts(1)
        source[:64], target[:] = np.arange(64), 0
        prototype(functions["stream"])(target.ctypes.data, source.ctypes.data, 64)
        np.testing.assert_array_equal(target[:64], np.arange(64))
        assert not target[64:].any()

    def test_table_has_a_column_for_each_number_of_threads(self) -> None:
        lines = machine.table(LIMITS).splitlines()
        assert lines[0] == "| limit | 1 thread | 2 threads |"
        assert lines[2] == "| matrix product (BLAS, float32) | 100 GFLOP/s | 200 GFLOP/s |"
        assert lines[3].endswith("| - | 300 GFLOP/s |")


class TestProcesses:
    """Peers run in processes of their own."""

    images = np.random.RandomState(0).uniform(0, 1, (60, 784)).astype(np.float32)
    labels = np.random.RandomState(1).randint(0, 10, 60)

    def compare(self, lines: list[str], workload: str = "logistic-10") -> harness.Comparison:
        """Compare NumPy with a peer that isn't there."""
        return harness.compare(
            [WORKLOADS[workload]],
            [Contestant("jax", 1), Contestant("jax", 2), Contestant("numpy", 1), Contestant("numpy", 2)],
            self.images,
            self.labels,
            rounds=2,
            block_seconds=0.002,
            place=Place(Path()),
            say=lines.append,
        )

    @pytest.fixture(autouse=True)
    def _no_jax(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "jax.py").write_text("raise ModuleNotFoundError('no jax', name='jax')\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def test_a_missing_library_is_left_out_with_a_line(self) -> None:
        lines: list[str] = []
        comparison = self.compare(lines)
        assert lines[0].startswith("jax is left out: jax isn't installed")
        assert list(comparison.titles) == ["numpy"]
        (result,) = comparison.results
        assert list(result.differences) == [Contestant("numpy", 1), Contestant("numpy", 2)]
        assert result.differences[Contestant("numpy", 1)] == 0.0
        assert all(len(samples.wall) == 2 and samples.median > 0 for samples in result.samples.values())

    def test_a_peer_that_fails_stops_the_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self, "labels", np.full(60, 11))
        with pytest.raises(contestants.WorkerError, match="numpy@1 failed"):
            self.compare([])

    def test_a_workload_that_a_peer_declines_is_left_out(self) -> None:
        comparison = harness.compare(
            [WORKLOADS["softmax"]],
            [Contestant("symgrad-repeat", 1), Contestant("numpy", 1)],
            self.images,
            self.labels,
            rounds=0,
            block_seconds=0.002,
            place=Place(Path()),
            say=str,
        )
        (result,) = comparison.results
        assert list(result.left_out) == ["symgrad-repeat"] and list(result.differences) == [Contestant("numpy", 1)]

    @pytest.mark.parametrize("threads", [1, 2])
    def test_libraries_are_told_their_threads_before_they_are_imported(
        self, threads: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYMGRAD_FLAGS", "floatX=float64")
        variables = contestants.environment(threads, "numpy")
        program = "import symgrad; print(symgrad.config.threads, symgrad.config.backend, symgrad.config.floatX)"
        process = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **variables}, check=True, text=True, capture_output=True
        )
        assert process.stdout.split() == [str(threads), "numpy", "float64"]


class TestCommandLine:
    """Bad arguments end with a message."""

    @pytest.mark.parametrize(
        "arguments", [["--only", "nosuch"], ["--peers", "nosuch"], ["--rounds", "0"], ["--all", "--only", "mlp"]]
    )
    def test_bad_arguments_are_refused(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            run.parse(arguments)
        assert "error" in capsys.readouterr().err

    def test_without_options_everything_runs(self) -> None:
        options = run.parse(["--all"])
        assert options.only == list(WORKLOADS) and options.peers == list(contestants.PEERS)
        assert options.asked is None and options.threads == [1, 2]
        assert set(contestants.PEERS) - set(run.parse(["--quick"]).peers) == set(run.SLOW_TO_COMPILE)

    def test_peers_that_were_asked_for_must_run(self) -> None:
        comparison = comparison_of({"numpy@1": 1e-3})
        assert run.missing_peers(None, comparison) == []
        assert run.missing_peers(["numpy"], comparison) == []
        assert run.missing_peers(["jax", "numpy"], comparison) == ["jax: jax isn't installed"]
