"""`Rop`: directional derivatives against Jacobians, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import oracle
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.errors import GradientError
from symgrad.graph.op import Disconnected, Op, Sample, registry


def test_direction_times_jacobian() -> None:
    x, v = T.dvectors("x", "v")
    y = T.stack([x[0] * x[1], T.sin(x[1]), x.sum() ** 2])
    tangent = symgrad.Rop(y, x, v)
    rows = [symgrad.grad(y[i], x) for i in range(3)]
    f = symgrad.function([x, v], [tangent, T.dot(T.stack(rows), v)])
    found, expected = f([0.5, -2.0], [3.0, 0.25])
    oracle.assert_same(found, expected)


def test_a_tangent_has_the_shape_of_its_output() -> None:
    """One operand stretches the other: the tangent is stretched too, or sums of it would come out too small."""
    x, v, m = T.dvector("x"), T.dvector("v"), T.dmatrix("m")
    outputs = [x + m, x * m, T.switch(m > 0, x, 0.0), T.maximum(m, x), x.dimshuffle("x", 0) - m]
    tangents = symgrad.Rop(outputs, x, v)
    totals = symgrad.function([x, v, m], [t.sum() for t in tangents])(np.ones(3), np.ones(3), np.full((2, 3), 0.5))
    np.testing.assert_allclose(totals, [6, 3, 6, 6, 6])


def test_sizes_and_stopped_gradients_count_as_constant() -> None:
    x, v = T.dmatrix("x"), T.dmatrix("v")
    f = symgrad.function([x, v], [symgrad.Rop(T.mean(x), x, v), symgrad.Rop(T.logsumexp(x, 1), x, v),
                                  symgrad.Rop(x * T.disconnected_grad(x), x, v)])  # fmt: skip
    point, direction = np.random.default_rng(0).normal(size=(2, 2, 3))
    mean, logsumexp, stopped = f(point, direction)
    np.testing.assert_allclose(mean, direction.mean())
    weights = np.exp(point) / np.exp(point).sum(1, keepdims=True)
    np.testing.assert_allclose(logsumexp, (weights * direction).sum(1))
    np.testing.assert_allclose(stopped, point * direction)


def test_several_inputs_and_outputs_keep_their_form() -> None:
    x, y = T.dvectors("x", "y")
    assert isinstance(symgrad.Rop([x * y, x], [x, y], [y, x]), list)
    single = symgrad.Rop(x * y, [x, y], [y, x])
    np.testing.assert_array_equal(single.eval({x: [2.0], y: [3.0]}), [13.0])
    np.testing.assert_array_equal(symgrad.Rop(y, x, x).eval({x: [1.0], y: [5.0]}), [0.0])


def test_forward_over_reverse_is_a_hessian_vector_product() -> None:
    x, v = T.dvectors("x", "v")
    slope = symgrad.grad((x**3).sum() + x.prod(), x)
    product = symgrad.Rop(slope, x, v)
    twice = symgrad.grad((slope * v).sum(), x, consider_constant=[v])
    f = symgrad.function([x, v], [product, twice])
    oracle.assert_same(*f([1.0, 2.0, 0.0], [0.5, -1.0, 2.0]))


def test_all_inputs_count_as_used_under_theanos_policy() -> None:
    w, v, x = T.dmatrix("w"), T.dmatrix("v"), T.dvector("x")
    with symgrad.config.change_flags(cast_policy="custom"):
        product = symgrad.Rop(T.dot(x, w), w, v)
        f = symgrad.function([w, v, x], product)
        slope = symgrad.grad(product.sum(), v)
    np.testing.assert_array_equal(f(np.ones((2, 2)), np.full((2, 2), 2.0), [0.0, 1.0]), [2.0, 2.0])
    assert [node.op.name for node in f.rewritten.order] == ["dot"]
    np.testing.assert_array_equal(slope.eval({x: [3.0, 1.0], v: np.ones((2, 2)), w: np.ones((2, 2))})[:, 0], [3.0, 1.0])


def test_directions_that_do_not_fit() -> None:
    x, y = T.dvectors("x", "y")
    with pytest.raises(GradientError, match="the direction of x is float32"):
        symgrad.Rop(x * 2, x, T.fvector())
    with pytest.raises(GradientError, match="one direction for each variable, got 2 for 1"):
        symgrad.Rop(x * 2, [x], [y, y])


def test_every_op_with_a_gradient_has_a_forward_derivative() -> None:
    """Where a sample's gradient flows through an op, a tangent does, and both tell the same number."""
    for name, op, sample in differentiable_samples():
        variables = [T.tensor(v.dtype.name, [1 if n == 1 else None for n in v.shape]) for v in sample.arguments]
        outputs = op(*variables)
        outputs = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
        floats = [(v, value) for v, value in zip(variables, sample.arguments, strict=True) if v.dtype == "float64"]
        rng = np.random.default_rng(0)
        weights = [T.constant(rng.normal(size=np.shape(o)), dtype="float64") for o in op.evaluate(*sample.arguments)]
        cost = sum((o * w).sum() for o, w in zip(outputs, weights, strict=True))
        slopes = symgrad.grad(cost, [v for v, _ in floats], disconnected_inputs="ignore", return_disconnected="none")
        if all(slope is None for slope in slopes):
            continue
        directions = [rng.normal(size=value.shape) for _, value in floats]
        tangents = symgrad.Rop(outputs, [v for v, _ in floats], [T.constant(d, dtype="float64") for d in directions])
        known = dict(zip(variables, sample.arguments, strict=True))
        pushed = oracle.evaluate_graph(tangents, known)
        pulled = oracle.evaluate_graph([s for s in slopes if s is not None], known)
        along = sum(np.sum(s * d) for s, d in zip(pulled, [d for s, d in zip(slopes, directions, strict=True)
                                                           if s is not None], strict=True))  # fmt: skip
        forward = sum(np.sum(w.data * t) for w, t in zip(weights, pushed, strict=True))
        assert forward == pytest.approx(along, rel=1e-9, abs=1e-9), f"{name}: {op!r}"


def differentiable_samples() -> Iterator[tuple[str, Any, Sample]]:
    """Yield, of each op (and each elementwise function), the first sample that has a derivative in float64."""
    seen = set()
    for class_name, kind in registry.ops.items():
        if not kind.__module__.startswith("symgrad."):
            continue
        for op, sample in kind.samples():
            name = f"{class_name}.{getattr(op, 'function', '')}"
            if name in seen or sample.error is not None or not sample.differentiable:
                continue
            if {v.dtype.name for v in sample.arguments if v.dtype.kind in "fc"} != {"float64"}:
                continue
            if all(value.dtype == np.float64 for value in op.evaluate(*sample.arguments)):
                seen.add(name)
                yield name, op, sample


def test_an_op_that_declares_only_a_gradient_is_pushed_forward_by_pulling_twice() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Powers(Op):
        def infer(self, x, y):
            return [x.type, x.type]

        def evaluate(self, x, y):
            return [x**2 * y, np.sin(x)]

        def gradient(self, inputs, outputs, cotangents):
            (x, y), (first, second) = inputs, [0 if c is None else c for c in cotangents]
            return [2 * x * y * first + T.cos(x) * second, Disconnected("it counts as constant")]

    x, y, v = T.dvectors("x", "y", "v")
    first, second = symgrad.Rop(Powers()(x, y), x, v)
    f = symgrad.function([x, y, v], [first, second])
    a, b, d = np.random.default_rng(0).normal(size=(3, 4))
    for found, expected in zip(f(a, b, d), [2 * a * b * d, np.cos(a) * d], strict=True):
        np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(symgrad.Rop(Powers()(x, y)[0], y, v).eval({x: a, y: b, v: d}), 0 * d)
