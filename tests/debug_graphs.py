"""A graph to look at."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgrad
import symgrad.tensor as T
from symgrad.compile.executable import Function
from symgrad.graph.source import Source, attributed_to


def softmax_regression(mode: Any = None) -> Function:
    """A training function whose nodes all have one made-up source line."""
    with attributed_to(Source("model.py", 7, "cost = loss(x, y)")):
        data = symgrad.shared(np.zeros((60, 8), "float32"), name="data")
        labels = symgrad.shared(np.zeros(60, "int32"), name="labels")
        w, b = symgrad.shared(np.zeros((8, 3), "float32"), name="w"), symgrad.shared(np.zeros(3, "float32"), name="b")
        index, x, y = T.lscalar("index"), T.fmatrix("x"), T.ivector("y")
        p = T.softmax(T.dot(x, w) + b)
        cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
        p.name, cost.name = "p", "cost"
        updates = [(v, v - np.float32(0.1) * g) for v, g in zip((w, b), symgrad.grad(cost, [w, b]))]
        part = slice(index * 10, (index + 1) * 10)
        givens = {x: data[part], y: labels[part]}
        return symgrad.function([index], cost, updates=updates, givens=givens, mode=mode, name="train")
