"""Connectionist temporal classification, against the sum over all paths."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, ShapeError
from symgrad.tensor import nnet


def spelled(path: tuple[int, ...]) -> tuple[int, ...]:
    """Join repetitions, then take out blanks."""
    return tuple(symbol for symbol, _ in groupby(path) if symbol)


def cost_of(scores: np.ndarray, labels: np.ndarray) -> float:
    """Minus the logarithm of the sum over all paths that spell the labels."""
    probabilities = scipy.special.softmax(scores, axis=1)
    wanted = tuple(label for label in labels if label >= 0)
    paths = product(range(scores.shape[1]), repeat=len(scores))
    steps = np.arange(len(scores))
    total = sum(probabilities[steps, list(path)].prod() for path in paths if spelled(path) == wanted)
    return float(-np.log(total)) if total > 0 else np.inf


def drawn(draw: Any) -> list[np.ndarray]:
    steps, batch, symbols = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(2, 3))
    scores = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(steps, batch, symbols)) * 2
    labels = np.array(draw(st.lists(st.lists(st.integers(-1, symbols - 1), min_size=2, max_size=2), min_size=batch,
                                    max_size=batch)))  # fmt: skip
    labels[labels == 0] = -1
    lengths = np.array(draw(st.lists(st.integers(1, steps), min_size=batch, max_size=batch)))
    return [scores, labels, lengths]


@given(st.data())
@settings(max_examples=30)
def test_cost_is_the_sum_over_all_paths(data: Any) -> None:
    scores, labels, lengths = drawn(data.draw)
    x, y, n = T.dtensor3(), T.imatrix(), T.ivector()
    cost = nnet.ctc(x, y, n)
    found, slope = symgrad.function([x, y, n], [cost, symgrad.grad(cost.sum(), x)])(
        scores, labels.astype("int32"), lengths.astype("int32")
    )
    expected = [cost_of(scores[:length, i], labels[i]) for i, length in enumerate(lengths)]
    np.testing.assert_allclose(found, expected)
    counts = (np.arange(len(scores))[:, None] < lengths) & np.isfinite(expected)
    assert not slope[~counts].any()
    np.testing.assert_allclose(slope.sum(2), 0, atol=1e-12)  # softmax doesn't change when all scores grow alike


def test_derivatives() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 2, 3))
    labels, lengths = np.array([[1, 2], [2, 2]]), np.array([5, 4])

    def slope(x: Any) -> Any:
        return symgrad.grad((nnet.ctc(x, labels, lengths) * np.array([1.0, 2.0])).sum(), x)

    symgrad.verify_grad(lambda x: nnet.ctc(x, labels, lengths), [scores])
    symgrad.verify_grad(slope, [scores])
    x, v = T.dtensor3(), np.random.default_rng(1).normal(size=scores.shape)
    forward = symgrad.Rop(slope(x), x, T.constant(v)).eval({x: scores})
    reverse = symgrad.grad((slope(x) * v).sum(), x).eval({x: scores})
    np.testing.assert_allclose(forward, reverse)


def test_long_sequences_do_not_leave_the_range_of_floats() -> None:
    scores = np.random.default_rng(0).normal(size=(400, 2, 20)).astype("float32") * 30
    labels = np.random.default_rng(1).integers(1, 20, size=(2, 60))
    x = T.ftensor3()
    cost = nnet.ctc(x, labels, [400, 300])
    found, slope = symgrad.function([x], [cost, symgrad.grad(cost.sum(), x)])(scores)
    assert found.dtype == slope.dtype == np.float32
    assert np.isfinite(found).all() and np.isfinite(slope).all() and np.abs(slope).max() <= 1


def test_too_few_steps_cost_infinitely_much_and_teach_nothing() -> None:
    scores, labels = np.random.default_rng(0).normal(size=(2, 2, 3)), np.array([[1, 1], [1, 2]])
    x = T.dtensor3()
    cost = nnet.ctc(x, labels, [2, 2])
    assert np.isinf(cost.eval({x: scores})).tolist() == [True, False]
    slope = symgrad.grad(cost.sum(), x).eval({x: scores})
    assert not slope[:, 0].any() and slope[:, 1].any()


def test_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    scores, lengths = random.normal(size=(12, 3, 5)), np.array([12, 10, 7])
    labels = random.integers(1, 5, size=(3, 4))
    labels[1, 2:] = -1
    a = torch.tensor(scores, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        a.log_softmax(2), torch.tensor(labels).clamp(min=0), torch.tensor(lengths), torch.tensor([4, 2, 4]),
        reduction="none",
    )  # fmt: skip
    expected.sum().backward()
    x = T.dtensor3()
    cost = nnet.ctc(x, labels, lengths)
    np.testing.assert_allclose(cost.eval({x: scores}), expected.detach().numpy())
    np.testing.assert_allclose(symgrad.grad(cost.sum(), x).eval({x: scores}), a.grad.numpy(), atol=1e-10)


def test_operands_that_cannot_be() -> None:
    x, y, n = T.tensor3("x"), T.imatrix("y"), T.ivector("n")
    with pytest.raises(ShapeError, match="ctc takes activations"):
        nnet.ctc(x, n, n)
    with pytest.raises(DTypeError, match="labels and lengths of integers"):
        nnet.ctc(x, T.matrix(), n)
    f = symgrad.function([x, y, n], nnet.ctc(x, y, n), allow_input_downcast=True)
    scores = np.zeros((3, 1, 2))
    with pytest.raises(IndexError, match="the label 2, where there are 2 symbols"):
        f(scores, [[2]], [3])
    with pytest.raises(IndexError, match="input lengths from 4 to 4, where there are 3 steps"):
        f(scores, [[1]], [4])
    with pytest.raises(ShapeError, match="batches of different sizes: 1, 2"):
        f(scores, [[1], [1]], [3])
