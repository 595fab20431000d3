"""Examples of loops for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from symgrad.control.bodies import make_body
from symgrad.control.layout import Layout
from symgrad.control.scan_op import Scan
from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.graph.op import Op, Sample
from symgrad.graph.types import TensorType
from symgrad.kernels.grammar import State
from symgrad.ops.comparison import gt
from symgrad.ops.elementwise import sin, tanh
from symgrad.ops.linalg import dot
from symgrad.ops.reduction import sum as total_of
from symgrad.ops.sampling import number, spread

LAST = State((-1,))


def _inputs(*ranks: int, dtype: str = "float64") -> list[Any]:
    return [TensorType(dtype, (None,) * rank)(f"v{place}") for place, rank in enumerate(ranks)]


def recurrent(keeps_all: bool = True) -> Scan:
    """Return a recurrent network: a sequence, a state, a matrix of weights, and a value that is only collected."""
    x, h, w = _inputs(1, 1, 2)
    made = tanh(x + dot(h, w))
    return Scan(make_body([x, h, w], [made, total_of(made * h)]), Layout(1, (State((-1,), keeps_all),), 1, 1))


def delayed() -> Scan:
    """Return a loop whose state is read one and three rounds back, next to one of which the last value is returned."""
    old, last, total = _inputs(0, 0, 0)
    made = sin(old) + 0.5 * last
    states = (State((-3, -1)), State((-1,), False))
    return Scan(make_body([old, last, total], [made, total * made]), Layout(0, states, 0, 0))


def bounded() -> Scan:
    """Return a loop that ends as soon as a sum is large."""
    x, total = _inputs(0, 0)
    made = total + x * x
    return Scan(make_body([x, total], [made, gt(made, 3.0)]), Layout(1, (LAST,), 0, 0, True))


def samples() -> Iterable[tuple[Op, Sample]]:
    """Yield loops and operands."""
    x, h, w = spread(4, 3), spread(1, 3, start=20), spread(3, 3, start=30)
    yield recurrent(), Sample((number(4), x, h, w))
    yield recurrent(), Sample((number(2), x, h, w))
    yield recurrent(False), Sample((number(3), x, h, w))
    yield recurrent(False), Sample((number(0), x, h, w))
    yield recurrent(), Sample((number(1), spread(1, 1), spread(1, 1), spread(1, 1)))
    yield delayed(), Sample((number(5), spread(3), spread(1)))
    yield delayed(), Sample((number(2), spread(3), spread(1)))
    yield bounded(), Sample((number(5), np.array([0.5, 1.0, 1.5, 2.0, 0.1]), np.array([0.2])))
    yield bounded(), Sample((number(2), np.array([0.5, 1.0, 1.5]), np.array([0.2])))
    n, count = _inputs(0, 0, dtype="int32")
    yield Scan(make_body([n, count], [count + n]), Layout(1, (LAST,), 0, 0)), Sample(
        (number(3), np.array([3, 1, 2], "int32"), np.array([1], "int32"))
    )
    yield recurrent(), Sample((number(5), x, h, w), ShapeError)
    yield recurrent(), Sample((number(-1), x, h, w), RangeError)
    yield recurrent(), Sample((number(4), x, spread(2, 3), w), ShapeError)
    yield recurrent(), Sample((number(4), x, h, spread(3, 2)), ShapeError)
    yield recurrent(), Sample((number(1.5, "float64"), x, h, w), DTypeError)
