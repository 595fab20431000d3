"""The plain expressions by hand in NumPy: in blocks that stay in the cache, with temporary arrays allocated once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.expressions import SCALE, SHIFT, Expression

BLOCK = 16384
"""Elements in a block: a few of them fit in a core's cache."""


def expression_function(expression: Expression) -> Callable[[], np.ndarray]:
    """Return the function that computes `expression` of its own arrays."""
    arrays = expression.arrays()
    if expression.function == "chain":
        return _chain(arrays[0], _chain_gradient_block if expression.gradient else _chain_block, expression.in_place)
    if expression.function == "softmax":
        return _softmax_gradient(*arrays) if expression.gradient else _softmax(*arrays)
    return _logsumexp(*arrays)


Temporaries = tuple[np.ndarray, np.ndarray]


def _sigmoid_block(x: np.ndarray, out: np.ndarray) -> None:
    """Compute sigmoid(SCALE * x + SHIFT)."""
    np.multiply(x, -SCALE, out=out)
    out -= SHIFT
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)


def _chain_block(x: np.ndarray, out: np.ndarray, temporaries: Temporaries) -> None:
    """Compute the chain for a block."""
    tanh, _ = temporaries
    _sigmoid_block(x, out)
    out *= np.tanh(x, out=tanh)
    out += np.multiply(x, x, out=tanh)


def _chain_gradient_block(x: np.ndarray, out: np.ndarray, temporaries: Temporaries) -> None:
    """Compute s (a (1 - s) t + 1 - t**2) + 2 x for a block, with s the sigmoid and t the hyperbolic tangent."""
    tanh, other = temporaries
    _sigmoid_block(x, out)
    np.tanh(x, out=tanh)
    np.subtract(1, out, out=other)
    other *= SCALE
    other -= tanh
    other *= tanh
    other += 1
    out *= other
    out += x
    out += x


def _chain(
    x: np.ndarray, compute: Callable[[np.ndarray, np.ndarray, Temporaries], None], in_place: bool
) -> Callable[[], np.ndarray]:
    """Return the function that goes through x in blocks."""
    temporaries = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    resident = np.empty_like(x)

    def run() -> np.ndarray:
        out = resident if in_place else np.empty_like(x)
        for start in range(0, x.size, BLOCK):
            block = x[start : start + BLOCK]
            compute(block, out[start : start + BLOCK], (temporaries[0][: block.size], temporaries[1][: block.size]))
        return out

    return run


def _softmax_rows(x: np.ndarray, out: np.ndarray) -> None:
    """Compute the softmax of a few rows."""
    np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    out *= 1 / np.add.reduce(out, axis=1, keepdims=True)


def _softmax(x: np.ndarray) -> Callable[[], np.ndarray]:
    """Return the softmax of each row."""
    rows = max(1, BLOCK // x.shape[1])

    def run() -> np.ndarray:
        out = np.empty_like(x)
        for start in range(0, len(x), rows):
            _softmax_rows(x[start : start + rows], out[start : start + rows])
        return out

    return run


def _softmax_gradient(x: np.ndarray, c: np.ndarray) -> Callable[[], np.ndarray]:
    """Return the gradient of sum(softmax(x) * c): s (c - sum(s c)), for each row."""
    rows = max(1, BLOCK // x.shape[1])
    temporary = np.empty((rows, x.shape[1]), np.float32)

    def run() -> np.ndarray:
        out = np.empty_like(x)
        for start in range(0, len(x), rows):
            block, cotangent = out[start : start + rows], c[start : start + rows]
            _softmax_rows(x[start : start + rows], block)
            mean = np.einsum("ij,ij->i", block, cotangent)[:, None]
            block *= np.subtract(cotangent, mean, out=temporary[: len(block)])
        return out

    return run


def _logsumexp(x: np.ndarray) -> Callable[[], np.ndarray]:
    """Return the logarithm of the sum of exponentials of each row."""
    rows = max(1, BLOCK // x.shape[1])
    temporary = np.empty((rows, x.shape[1]), np.float32)

    def run() -> np.ndarray:
        out = np.empty(len(x), np.float32)
        for start in range(0, len(x), rows):
            block = x[start : start + rows]
            largest = np.maximum.reduce(block, axis=1)
            exponentials = np.subtract(block, largest[:, None], out=temporary[: len(block)])
            np.exp(exponentials, out=exponentials)
            np.log(np.add.reduce(exponentials, axis=1), out=out[start : start + rows])
            out[start : start + rows] += largest
        return out

    return run
