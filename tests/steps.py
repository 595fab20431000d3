"""Loops, choices and graphs in graphs that lines of random programs apply."""

from __future__ import annotations

from typing import Any

import symgrad
import symgrad.tensor as T


def decaying(x: Any, rate: Any = 0.5) -> Any:
    """Return ``h = tanh(rate * h + row)`` after each row of `x`."""
    return symgrad.scan(lambda row, h: T.tanh(rate * h + row), x, T.zeros_like(x[0]))[0]


def backwards(x: Any) -> Any:
    """Return decaying sums from the last row to the first."""
    return symgrad.scan(lambda row, h: 0.5 * h + row, x, T.zeros_like(x[0]), go_backwards=True)[0]


def last(x: Any, weights: Any) -> Any:
    """Return the state after the last row, of a network with a matrix."""
    start = T.zeros_like(T.dot(x[0], weights))
    return symgrad.scan(lambda row, h, w: T.tanh(T.dot(row, w) + 0.5 * h), x, start, weights)[0][-1]


def two_taps(x: Any, steps: int) -> Any:
    """Return a recurrence with the last two values, whose first two are rows of `x`."""
    taps = {"initial": x[:2], "taps": [-2, -1]}
    return symgrad.scan(lambda before, now: T.sin(before) - 0.5 * now, None, taps, n_steps=steps)[0]


def neighbours(x: Any) -> Any:
    """Return sums of each row with the next one, and their running maximum."""
    found, _ = symgrad.scan(
        lambda row, after, most: [row * after, T.maximum(most, row)],
        {"input": x, "taps": [0, 1]}, [None, T.zeros_like(x[0]) - 1.0],
    )  # fmt: skip
    return found[0] + found[1]


def until_above(x: Any, limit: float) -> Any:
    """Return running sums of a vector's squares, up to the first above a limit."""
    def step(element: Any, total: Any) -> Any:
        total = total + element**2
        return total, symgrad.until(total > limit)

    return symgrad.scan(step, x, T.zeros_like(x[0]))[0]


def nested(x: Any) -> Any:
    """Return a decaying sum inside of each row, by a loop in a loop."""
    return symgrad.scan(
        lambda row: symgrad.scan(lambda v, h: 0.5 * h + T.sin(v), row, T.zeros_like(row[0]))[0], x
    )[0]  # fmt: skip


def powers(x: Any, steps: Any) -> Any:
    """Return ``x ** 1, x ** 2, ...``, by a loop with nothing but a number of steps."""
    return symgrad.scan(lambda before, x: before * x, None, T.ones_like(x), x, n_steps=steps)[0]


def chosen(condition: Any, x: Any) -> Any:
    """Return one of two functions of `x`, as a condition says."""
    return symgrad.ifelse(condition, T.sin(x), x * x)


def by_rows(x: Any) -> Any:
    """Return a function of a row for all rows."""
    row = T.zeros_like(x[0]).type()
    return symgrad.vectorize(T.tanh(row).sum() * row[::-1], {row: x})


def as_one(x: Any, y: Any, inline: bool) -> Any:
    """Return a graph of two operands as one op."""
    a, b = x.type(), y.type()
    return symgrad.OpFromGraph([a, b], [T.tanh(a * b) + a], inline=inline)(x, y)


def jacobian_of(x: Any) -> Any:
    """Return the Jacobian of a function of a vector."""
    return symgrad.jacobian(T.sin(x) * x.sum(), x)


def hessian_of(x: Any) -> Any:
    """Return the Hessian of a function of a vector."""
    return symgrad.hessian((T.sin(x) * x.sum()).sum(), x)
