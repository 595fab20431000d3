"""Every op of the registry against its samples: types, backend, derivatives, rewriting, printing, pickling, errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import oracle
import pytest
from combinations import Combination

import symgrad
import symgrad.ops.numpy_random
import symgrad.tensor as T
import symgrad.tensor.fft
import symgrad.tensor.linalg
import symgrad.tensor.nnet
from symgrad.debug.printing import debugprint, pp
from symgrad.errors import DisconnectedInputError, SymgradError
from symgrad.graph.op import Op, Sample, registry
from symgrad.graph.types import TensorType
from symgrad.ops.elementwise_op import Elementwise, rows

symgrad_ops = sorted(name for name, op in registry.ops.items() if op.__module__.startswith("symgrad."))


def samples_of(name: str) -> list[tuple[Op, Sample]]:
    """Return the samples of an op; of elementwise functions, those of one row."""
    if name.startswith("Elementwise."):
        return [pair for pair in ELEMENTWISE if pair[0].function == name.split(".")[1]]
    return list(registry.ops[name].samples())


STATIC = ("uint64",)  # the state of a random stream always has three words
ELEMENTWISE: list[Any] = list(Elementwise.samples())
SUBJECTS = [name for name in symgrad_ops if name != "Elementwise"] + [f"Elementwise.{name}" for name in rows]


def good(name: str) -> list[tuple[Op, Sample]]:
    return [(op, sample) for op, sample in samples_of(name) if sample.error is None]


def variables_for(sample: Sample, static: bool) -> list[Any]:
    """Inputs for a sample's arguments: with all sizes known, or only those that are 1."""
    return [
        TensorType(value.dtype, [n if static or n == 1 or value.dtype in STATIC else None for n in value.shape])(
            f"x{index}"
        )
        for index, value in enumerate(sample.arguments)
    ]


def outputs_of(op: Op, variables: list[Any]) -> list[Any]:
    result = op(*variables)
    return list(result) if isinstance(result, tuple) else [result]


def describe(op: Op, sample: Sample) -> str:
    return f"{op!r} of {', '.join(f'{v.dtype} {v.shape}' for v in sample.arguments)}"


@pytest.mark.parametrize("name", SUBJECTS)
def test_op_has_samples(name: str) -> None:
    assert good(name), f"{name} declares no samples"
    assert (registry.ops.get(name) or Elementwise).__doc__


@pytest.mark.parametrize("name", SUBJECTS)
def test_infer_says_what_evaluate_returns(name: str) -> None:
    for op, sample in good(name):
        before = [value.copy() for value in sample.arguments]
        for static in (True, False):
            outputs = outputs_of(op, variables_for(sample, static))
            results = op.evaluate(*sample.arguments)
            assert len(results) == len(outputs)
            for output, result in zip(outputs, results, strict=True):
                oracle.check_type(output.type, result, describe(op, sample))
        for value, kept in zip(sample.arguments, before, strict=True):
            np.testing.assert_array_equal(value, kept, f"{describe(op, sample)} changes its operands")


@pytest.mark.parametrize("mode", ["none", "default"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_backend_equals_evaluate(name: str, mode: str, combination: Combination) -> None:
    for op, sample in good(name):
        expected = op.evaluate(*sample.arguments)
        for static in (True, False):
            variables = variables_for(sample, static)
            function = symgrad.function(variables, outputs_of(op, variables), mode=mode, on_unused_input="ignore")
            for _ in range(2):
                for found, wanted in zip(function(*sample.arguments), expected, strict=True):
                    oracle.assert_same(found, wanted, what=describe(op, sample))


def is_differentiable(op: Op, sample: Sample) -> bool:
    floats = [value for value in sample.arguments if value.dtype == np.float64]
    narrow = [value for value in sample.arguments if value.dtype.kind in "fc" and value.dtype != np.float64]
    results = op.evaluate(*sample.arguments)
    return bool(sample.differentiable and floats and not narrow and results[0].dtype == np.float64)


def differentiable(name: str) -> list[tuple[Op, Sample]]:
    return [(op, sample) for op, sample in good(name) if is_differentiable(op, sample)]


def random_like(values: Any, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=value.shape) for value in values]


class Derivatives:
    """An op's outputs, weighted and summed, with cotangents of its float inputs, and everything needed to move them."""

    def __init__(self, op: Op, sample: Sample, static: bool) -> None:
        self.variables = variables_for(sample, static)
        self.points = list(sample.arguments)
        self.outputs = outputs_of(op, self.variables)
        self.weights = random_like(op.evaluate(*self.points), 1)
        self.floats = [v for v in self.variables if v.dtype == "float64"]
        constants = [T.constant(w, dtype="float64") for w in self.weights]
        cost = sum((output * w).sum() for output, w in zip(self.outputs, constants, strict=True))
        self.cotangents = symgrad.grad(cost, self.floats, disconnected_inputs="ignore")
        self.direction = [
            random if v.dtype == "float64" else None
            for v, random in zip(self.variables, random_like(self.points, 2), strict=True)
        ]

    def walk(self, outputs: list[Any], points: Any) -> list[np.ndarray]:
        return oracle.evaluate_graph(outputs, dict(zip(self.variables, points, strict=True)))

    def along(self, cotangents: list[np.ndarray]) -> float:
        moved = [d for d in self.direction if d is not None]
        return float(sum(np.sum(c * d) for c, d in zip(cotangents, moved, strict=True)))


@pytest.mark.parametrize("name", SUBJECTS)
def test_gradient_equals_finite_differences(name: str) -> None:
    for op, sample in differentiable(name):
        for static in (True, False):
            d = Derivatives(op, sample, static)
            for cotangent, variable in zip(d.cotangents, d.floats, strict=True):
                assert cotangent.type.dtype == variable.type.dtype
            found = d.walk(d.cotangents, d.points)
            for value, variable in zip(found, d.floats, strict=True):
                assert value.shape == d.points[d.variables.index(variable)].shape, describe(op, sample)
            expected = oracle.directional_difference(
                lambda *moved, d=d: d.walk(d.outputs, moved), d.points, d.direction, d.weights
            )
            assert d.along(found) == pytest.approx(expected, rel=1e-6, abs=1e-7), describe(op, sample)


@pytest.mark.parametrize("name", SUBJECTS)
def test_second_derivative_equals_finite_differences(name: str) -> None:
    for op, sample in differentiable(name):
        d = Derivatives(op, sample, static=False)
        weights = random_like(d.walk(d.cotangents, d.points), 3)
        cost = sum((c * T.constant(w, dtype="float64")).sum() for c, w in zip(d.cotangents, weights, strict=True))
        try:
            second = symgrad.grad(cost, d.floats, disconnected_inputs="ignore")
        except DisconnectedInputError:
            continue
        expected = oracle.directional_difference(
            lambda *moved, d=d: d.walk(d.cotangents, moved), d.points, d.direction, weights
        )
        found = d.along(d.walk(second, d.points))
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6), describe(op, sample)


@pytest.mark.parametrize("name", SUBJECTS)
def test_forward_and_reverse_mode_agree(name: str) -> None:
    for op, sample in differentiable(name):
        d = Derivatives(op, sample, static=False)
        directions = [T.constant(v, dtype="float64") for v in d.direction if v is not None]
        tangents = symgrad.Rop(d.outputs, d.floats, directions)
        for tangent, output in zip(tangents, d.outputs, strict=True):
            assert tangent.dtype == output.dtype and tangent.ndim == output.ndim
        forward = sum(np.sum(w * t) for w, t in zip(d.weights, d.walk(tangents, d.points), strict=True))
        reverse = d.along(d.walk(d.cotangents, d.points))
        assert float(forward) == pytest.approx(reverse, rel=1e-9, abs=1e-10), describe(op, sample)


@pytest.mark.parametrize("mode", ["none", "default"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_compiled_gradient_equals_the_walk(name: str, mode: str, combination: Combination) -> None:
    for op, sample in differentiable(name):
        d = Derivatives(op, sample, static=False)
        function = symgrad.function(d.variables, d.cotangents, mode=mode, on_unused_input="ignore")
        for found, expected in zip(function(*d.points), d.walk(d.cotangents, d.points), strict=True):
            oracle.assert_same(found, expected, what=describe(op, sample))


@pytest.mark.parametrize("name", SUBJECTS)
def test_bad_samples_raise_what_they_say(name: str, combination: Combination) -> None:
    for op, sample in samples_of(name):
        if sample.error is None:
            continue
        for static in (True, False):
            variables = variables_for(sample, static)
            with pytest.raises(sample.error) as caught:
                function = symgrad.function(variables, outputs_of(op, variables), on_unused_input="ignore")
                function(*sample.arguments)
            assert isinstance(caught.value, SymgradError), describe(op, sample)
            assert "test_conformance.py" in str(caught.value), f"{describe(op, sample)}: {caught.value}"


@pytest.mark.parametrize("name", SUBJECTS)
def test_op_prints(name: str) -> None:
    for op, sample in good(name)[:3]:
        variables = variables_for(sample, static=True)
        for output in outputs_of(op, variables):
            assert op.name in debugprint(output, file="str")
            assert pp(output)
            assert op.name in str(op)


@pytest.mark.parametrize("name", SUBJECTS)
def test_op_pickles_and_is_a_value(name: str) -> None:
    for op, _ in good(name):
        again = pickle.loads(pickle.dumps(op))
        assert again == op and hash(again) == hash(op)
    op, sample = good(name)[0]
    variables = variables_for(sample, static=True)
    inputs, outputs = pickle.loads(pickle.dumps((variables, outputs_of(op, variables))))
    found = oracle.evaluate_graph(outputs, dict(zip(inputs, sample.arguments, strict=True)))
    for value, expected in zip(found, op.evaluate(*sample.arguments), strict=True):
        oracle.assert_same(value, expected)
