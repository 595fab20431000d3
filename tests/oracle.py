"""Graphs evaluated op by op with the ops' own NumPy meaning, independently of the compiler; and finite differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import symgrad
from symgrad.graph.traversal import applies_before
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Constant, SharedVariable

TOLERANCES = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-10, "complex64": 2e-5, "complex128": 1e-10}


def evaluate_graph(outputs: Sequence[Any], values: Mapping[Any, np.ndarray]) -> list[np.ndarray]:
    """Return the values of `outputs`, computed node by node; each must have the type that `infer` promised."""
    known = dict(values)

    def value_of(variable: Any) -> np.ndarray:
        if variable not in known:
            if isinstance(variable, Constant):
                return variable.data
            assert isinstance(variable, SharedVariable), f"{variable} has no value"
            return variable.container.value
        return known[variable]

    for node in applies_before(outputs, stop_at=values):
        results = node.op.evaluate(*[value_of(variable) for variable in node.inputs])
        assert len(results) == len(node.outputs)
        for variable, result in zip(node.outputs, results, strict=True):
            check_type(variable.type, result, node)
            known.setdefault(variable, result)
    return [value_of(output) for output in outputs]


def check_type(kind: Any, value: Any, what: Any = "") -> None:
    """Fail unless a value has the dtype and the sizes that a type promises."""
    assert isinstance(value, np.ndarray), f"{what}: {type(value).__name__} instead of an array"
    assert value.dtype.name == kind.dtype, f"{what}: {value.dtype} instead of {kind}"
    assert value.ndim == kind.ndim, f"{what}: shape {value.shape} instead of {kind}"
    for size, found in zip(kind.shape, value.shape, strict=True):
        assert size in (None, found), f"{what}: shape {value.shape} instead of {kind}"
    for ones, found in zip(kind.broadcastable, value.shape, strict=True):
        assert not ones or found == 1, f"{what}: an axis of size {found} is said to stretch: {kind}"


def assert_same(
    found: Any, expected: Any, tolerance: float | None = None, what: str = "", least_scale: float = 0.0
) -> None:
    """Fail unless two values have the same dtype, shape, and (to rounding) elements.

    Floats may differ by the tolerance times themselves, plus the tolerance times the largest (or `least_scale`).
    """
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype, f"{what}: {found.dtype} instead of {expected.dtype}"
    assert found.shape == expected.shape, f"{what}: shape {found.shape} instead of {expected.shape}"
    if expected.dtype.kind in "iub":
        np.testing.assert_array_equal(found, expected, what)
        return
    allowed = TOLERANCES[expected.dtype.name] if tolerance is None else tolerance
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(least_scale, float(finite.max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=allowed, atol=allowed * scale, equal_nan=True, err_msg=what)


def directional_difference(
    function: Callable[..., Sequence[np.ndarray]],
    points: Sequence[np.ndarray],
    direction: Sequence[np.ndarray | None],
    weights: Sequence[np.ndarray],
    step: float = 1e-6,
) -> float:
    """Return the derivative of ``sum(weights * function(points))`` along a direction, by central differences."""

    def along(sign: float) -> float:
        moved = [p if d is None else np.asarray(p + sign * step * d) for p, d in zip(points, direction, strict=True)]
        return float(sum(np.sum(w * value) for w, value in zip(weights, function(*moved), strict=True)))

    return (along(1.0) - along(-1.0)) / (2 * step)


def variables_for(value: np.ndarray) -> list[Any]:
    """The same input with all sizes known, and with none but those that are 1."""
    return [
        TensorType(value.dtype, value.shape)("x"),
        TensorType(value.dtype, [1 if n == 1 else None for n in value.shape])("x"),
    ]


def compare_built(build: Any, value: np.ndarray, expected: Any, mode: str = "default") -> None:
    """Build on both kinds of inputs, compile, and compare with what NumPy gives."""
    for x in variables_for(value):
        y = build(x)
        check_type(y.type, np.asarray(expected))
        assert_same(symgrad.function([x], y, mode=mode, on_unused_input="ignore")(value), np.asarray(expected))


def filled(shape: tuple[int, ...]) -> np.ndarray:
    """Return different numbers in a shape."""
    return np.arange(float(np.prod(shape))).reshape(shape)
