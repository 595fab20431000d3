"""`Rop`: directional derivatives against Jacobians, and what it refuses."""

from __future__ import annotations

import numpy as np
import oracle
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.errors import GradientError


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


def test_directions_that_do_not_fit() -> None:
    x, y = T.dvectors("x", "y")
    with pytest.raises(GradientError, match="the direction of x is float32"):
        symgrad.Rop(x * 2, x, T.fvector())
    with pytest.raises(GradientError, match="one direction for each variable, got 2 for 1"):
        symgrad.Rop(x * 2, [x], [y, y])
