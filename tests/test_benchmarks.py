"""The benchmark harness: its numeric check, its rounds, its table, and the hand-written reference step."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import harness, micro, report, run
from benchmarks.check import CheckFailure, Record, check, relative_difference
from benchmarks.peer_numpy import NumpyStep
from benchmarks.workloads import (
    CHECK_STEPS,
    WORKLOADS,
    ConvolutionPoolLayer,
    FullyConnectedLayer,
    SoftmaxLayer,
    Workload,
)

ACTIVATIONS = ("relu", "tanh", "sigmoid")
EXAMPLES = 40


def dense_workload(activation: str, batch_size: int, lmbda: float) -> Workload:
    """A perceptron small enough for finite differences."""
    layers = (FullyConnectedLayer(12, 7, activation), SoftmaxLayer(7, 4))
    return Workload("dense", "dense", layers, batch_size, eta=0.1, initialization="nielsen", lmbda=lmbda)


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


WORKLOAD_STRATEGY = st.builds(
    lambda make, activation, batch_size, lmbda: make(activation, batch_size, lmbda),
    st.sampled_from([dense_workload, image_workload]),
    st.sampled_from(ACTIVATIONS),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5]),
)


class TestReferenceStep:
    """The NumPy step is what every peer is compared with, so it is compared with finite differences."""

    @settings(max_examples=25, deadline=None)
    @given(workload=WORKLOAD_STRATEGY, index=st.integers(0, EXAMPLES // 4 - 1), blank=st.booleans())
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

    @pytest.mark.parametrize("module, peer", [("peers_torch", "TorchEagerPeer"), ("peers_jax", "JaxPeer")])
    @pytest.mark.parametrize("make", [dense_workload, image_workload])
    def test_frameworks_take_the_same_step(self, module: str, peer: str, make: object) -> None:
        pytest.importorskip({"peers_torch": "torch", "peers_jax": "jax"}[module])
        peer_module = pytest.importorskip(f"benchmarks.{module}")
        workload = make("relu", 4, 0.5)
        images, labels = random_data(workload, "float32")
        start = random_parameters(workload, "float32")
        steps = NumpyStep(workload, images, labels), getattr(peer_module, peer)().build(workload, images, labels)
        outcomes = []
        for step in steps:
            step.load(start)
            outcomes.append((step.costs(range(CHECK_STEPS)), step.parameters()))
        (expected_costs, expected), (costs, parameters) = outcomes
        np.testing.assert_allclose(costs, expected_costs, rtol=1e-5)
        for value, reference in zip(parameters, expected, strict=True):
            np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-5)


class TestWorkloads:
    """The networks are those of the tutorials and of the book."""

    @pytest.mark.parametrize("workload", WORKLOADS.values(), ids=str)
    def test_parameters_are_float32_and_the_same_every_time(self, workload: Workload) -> None:
        first, second = workload.initial_parameters(), workload.initial_parameters()
        assert {parameter.dtype for parameter in first} == {np.dtype("float32")}
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert not first[-2].any() and not first[-1].any(), "the softmax layer starts at zero"

    def test_layers_of_network3_fit_together(self) -> None:
        first, second, dense, *_ = WORKLOADS["network3"].layers
        assert first.pooled_shape == second.image_shape
        assert math.prod(second.pooled_shape) == dense.n_in

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


class FakeWorker:
    """Takes a fixed time for each step and writes down when it was called."""

    def __init__(self, name: str, seconds_per_step: float, calls: list[str]) -> None:
        self.name, self.seconds_per_step, self.calls = name, seconds_per_step, calls

    def time(self, steps: int) -> tuple[float, float]:
        """Return the time that so many steps take, half of it on the processor."""
        self.calls.append(self.name)
        return steps * self.seconds_per_step, steps * self.seconds_per_step / 2


class TestRounds:
    """Peers take turns."""

    @given(seconds=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=5), rounds=st.integers(1, 6))
    def test_every_round_times_every_peer_once_in_order(self, seconds: list[float], rounds: int) -> None:
        calls: list[str] = []
        workers = {f"peer{i}": FakeWorker(f"peer{i}", value, calls) for i, value in enumerate(seconds)}
        samples = harness.interleave(workers, rounds, block_seconds=0.2)
        assert calls[-rounds * len(workers) :] == list(workers) * rounds
        for worker, measured in zip(workers.values(), samples.values(), strict=True):
            assert len(measured.wall) == rounds
            assert measured.median == pytest.approx(worker.seconds_per_step)
            assert measured.processor_share == pytest.approx(0.5)
            assert measured.steps == harness.steps_for(worker.seconds_per_step, 0.2)

    @given(seconds=st.floats(1e-6, 10.0), block=st.floats(1e-3, 10.0))
    def test_a_block_has_the_length_that_was_asked_for(self, seconds: float, block: float) -> None:
        steps = harness.steps_for(seconds, block)
        assert steps == harness.MINIMUM_STEPS or abs(steps * seconds - block) <= seconds


def comparison_of(medians: dict[str, float]) -> harness.Comparison:
    """A finished comparison of one step."""
    samples = {
        name: harness.Samples(10, wall=[0.9 * m, m, 1.2 * m], processor=[0.9 * m, m, 1.2 * m])
        for name, m in medians.items()
    }
    result = harness.Result(WORKLOADS["mlp"], dict.fromkeys(medians, 1e-7), samples)
    titles = {name: name.upper() for name in medians}
    return harness.Comparison([result], titles, {"numpy": np.__version__}, {"jax": "jax isn't installed"})


SETTINGS = {"rounds": 3, "block_seconds": 0.2, "examples": 5000}


class TestReport:
    """One table, one document."""

    def test_table_has_medians_spread_and_ratios_to_symgrad(self) -> None:
        table = report.markdown_table(comparison_of({"symgrad": 2e-3, "numpy": 5e-3}))
        assert table.splitlines() == [
            "| step | SYMGRAD | NUMPY |",
            "| --- | --- | --- |",
            "| MLP 784-500-10 tanh, batch 20 | 2.00 (1.80 - 2.40) ms | 5.00 (4.50 - 6.00) ms **x2.50** |",
        ]

    def test_report_names_machine_versions_and_what_was_left_out(self) -> None:
        machine = report.machine_facts(cpu=0)
        text = report.markdown_report(comparison_of({"symgrad": 2e-3, "numpy": 5e-3}), machine, SETTINGS)
        assert machine["cpu"] in text and np.__version__ in text and machine["date"] in text
        assert "Left out: jax, jax isn't installed." in text
        assert "busy" not in text

    def test_busy_machine_is_mentioned(self) -> None:
        comparison = comparison_of({"numpy": 1e-3})
        samples = comparison.results[0].samples["numpy"]
        samples.processor = [wall * 0.6 for wall in samples.wall]
        (warning,) = report.busy_warnings(comparison)
        assert "mlp" in warning and "60%" in warning

    def test_document_is_json_with_ratios(self) -> None:
        comparison = comparison_of({"symgrad": 2e-3, "numpy": 5e-3})
        facts = json.loads(json.dumps(report.document(comparison, report.machine_facts(None), SETTINGS)))
        peers = facts["workloads"]["mlp"]["peers"]
        assert peers["numpy"]["ratio"] == pytest.approx(2.5)
        assert peers["symgrad"]["ratio"] == 1.0
        assert len(peers["numpy"]["rounds_seconds"]) == 3
        assert facts["machine"]["python"] and facts["left_out"]["jax"]

    def test_without_symgrad_the_first_peer_is_the_baseline(self) -> None:
        comparison = comparison_of({"torch-eager": 1e-3, "numpy": 2e-3})
        assert report.document(comparison, {}, SETTINGS)["baseline"] == "torch-eager"
        assert "x2.00" in report.markdown_table(comparison)

    def test_waits_are_judged_against_their_bounds(self) -> None:
        short = micro.Measurement("short", "", 0.3)
        long = micro.Measurement("long", "", 5e-6)
        lines = micro.table([(short, [0.2, 0.1, 0.9]), (long, [6e-6])]).splitlines()
        assert lines[2] == "| short | 0.200 s | 0.100 s - 0.900 s | 0.300 s | met |"
        assert lines[3] == "| long | 6.00 us | 6.00 us - 6.00 us | 5.00 us | **missed** |"


class TestProcesses:
    """Peers run in processes of their own."""

    images = np.random.RandomState(0).uniform(0, 1, (60, 784)).astype(np.float32)
    labels = np.random.RandomState(1).randint(0, 10, 60)

    def compare(self, lines: list[str]) -> harness.Comparison:
        """Compare NumPy with a peer that isn't there."""
        workloads = [WORKLOADS["logistic-10"]]
        return harness.compare(
            workloads,
            ["jax", "numpy"],
            self.images,
            self.labels,
            rounds=2,
            block_seconds=0.002,
            cpu=None,
            say=lines.append,
        )

    def test_a_missing_library_is_left_out_with_a_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(harness.LIBRARIES, "jax", "a_library_nobody_has")
        lines: list[str] = []
        comparison = self.compare(lines)
        assert lines[0].startswith("jax is left out: a_library_nobody_has isn't installed")
        assert list(comparison.titles) == ["numpy"]
        (result,) = comparison.results
        assert result.differences == {"numpy": 0.0}
        assert len(result.samples["numpy"].wall) == 2 and result.samples["numpy"].median > 0

    def test_a_peer_that_fails_stops_the_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(harness.LIBRARIES, "jax", "a_library_nobody_has")
        monkeypatch.setattr(self, "labels", np.full(60, 11))
        with pytest.raises(harness.WorkerError, match="numpy failed"):
            self.compare([])


class TestCommandLine:
    """Bad arguments end with a message."""

    @pytest.mark.parametrize("arguments", [["--only", "nosuch"], ["--peers", "nosuch"], ["--rounds", "0"]])
    def test_bad_arguments_are_refused(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            run.parse(arguments)
        assert "error" in capsys.readouterr().err

    def test_peers_that_were_asked_for_must_run(self) -> None:
        comparison = comparison_of({"numpy": 1e-3})
        assert run.missing_peers(None, comparison) == []
        assert run.missing_peers(["numpy"], comparison) == []
        assert run.missing_peers(["jax", "numpy"], comparison) == ["jax: jax isn't installed"]
