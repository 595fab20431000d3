"""Random index expressions: each as NumPy's key, and as one in which any part may arrive as an input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from symgrad.graph.types import TensorType

INTEGERS = ("int8", "uint8", "int32", "int64")


@dataclass
class Key:
    """An index, as NumPy takes it and as a graph does, with the inputs of the graph and their values."""

    numpy: list[Any] = field(default_factory=list)
    symbolic: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)

    def add(self, value: Any, symbol: Any) -> None:
        self.numpy.append(value)
        self.symbolic.append(symbol)

    def late(self, value: np.ndarray) -> Any:
        """Return an input for a value that only the call knows; a size of 1 is known to stretch."""
        variable = TensorType(value.dtype, [1 if n == 1 else None for n in value.shape])(f"i{len(self.inputs)}")
        self.inputs.append(variable)
        self.values.append(value)
        return variable


@st.composite
def keys(draw: Any, shape: tuple[int, ...]) -> Key:
    """Draw an index of a tensor of a shape."""
    key = Key()
    joined = draw(arrays.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=3))
    axis, has_ellipsis = 0, False
    while axis < len(shape):
        kind = draw(st.sampled_from(["number", "slice", "slice", "array", "array", "mask", "new axis", "dots", "stop"]))
        if kind == "stop" and not has_ellipsis:
            break
        if kind == "new axis":
            key.add(None, None)
        elif kind == "dots":
            if not has_ellipsis:
                key.add(Ellipsis, Ellipsis)
                axis += draw(st.integers(0, len(shape) - axis))
            has_ellipsis = True
        elif kind == "mask":
            taken = draw(st.integers(1, min(2, len(shape) - axis)))
            mask = draw(arrays.arrays(bool, shape[axis : axis + taken]))
            if mask.sum() == 1:  # a size that is 1 by chance doesn't stretch, though NumPy's would
                continue
            key.add(mask, key.late(mask) if draw(st.booleans()) else mask)
            axis += taken
        elif kind != "stop":
            draw_entry = {"number": _number, "slice": _slice, "array": _array}[kind]
            draw_entry(draw, key, shape[axis], joined)
            axis += 1
    return key


def _number(draw: Any, key: Key, size: int, joined: Any) -> None:
    if size == 0:
        return _slice(draw, key, size, joined)
    value = draw(st.integers(-size, size - 1))
    dtype = draw(st.sampled_from(INTEGERS if value >= 0 else ("int8", "int64")))
    key.add(value, key.late(np.array(value, dtype)) if draw(st.booleans()) else value)
    return None


def _slice(draw: Any, key: Key, size: int, joined: Any) -> None:
    bounds = [draw(st.none() | st.integers(-size - 1, size + 1)) for _ in range(2)]
    bounds.append(draw(st.none() | st.sampled_from([1, -1, 2, -2, 3])))
    symbols = [
        key.late(np.array(bound)) if bound is not None and draw(st.integers(0, 2)) == 0 else bound for bound in bounds
    ]
    key.add(slice(*bounds), slice(*symbols))


def _array(draw: Any, key: Key, size: int, joined: tuple[int, ...]) -> None:
    if size == 0:
        return _slice(draw, key, size, joined)
    shape = [draw(st.sampled_from([n, 1])) for n in joined][draw(st.integers(0, len(joined) - 1)) :]
    value = draw(arrays.arrays(draw(st.sampled_from(INTEGERS)), shape, elements=st.integers(0, size - 1)))
    if value.dtype.kind == "i" and draw(st.booleans()):
        value = value - size
    form = draw(st.sampled_from(["late", "array", "list"] if value.size else ["late", "array"]))
    key.add(value, key.late(value) if form == "late" else value if form == "array" else value.tolist())
    return None


@st.composite
def indexed(draw: Any) -> tuple[tuple[int, ...], Key]:
    """Draw a shape, and an index of a tensor of it."""
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3))
    return shape, draw(keys(shape))


def is_accepted(shape: tuple[int, ...], key: Key) -> bool:
    """Whether NumPy takes an index: index arrays may not broadcast."""
    try:
        np.empty(shape)[tuple(key.numpy)]
    except IndexError:
        return False
    return True
