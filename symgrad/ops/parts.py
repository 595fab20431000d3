"""What indexing of both kinds shares: the ops that read a part of a tensor, and those that write one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import RankError
from symgrad.graph.op import Disconnected, InferenceError, Op
from symgrad.graph.types import TensorType
from symgrad.kernels.checks import mismatch
from symgrad.kernels.grammar import FromOperand, IndexEntry, Range, fill_index
from symgrad.ops.creation import zeros_like
from symgrad.ops.promotion import is_discrete, zero_of
from symgrad.ops.shape import sum_to_type

Index = tuple[IndexEntry, ...]


def index_text(index: Index) -> str:
    """Return an index as names of ops show it: ``[1:, i]``."""

    def bound(value: Any) -> str:
        return "" if value is None else "i" if isinstance(value, FromOperand) else str(value)

    def entry_text(entry: IndexEntry) -> str:
        if isinstance(entry, Range):
            step = f":{bound(entry.step)}" if entry.step is not None else ""
            return f"{bound(entry.start)}:{bound(entry.stop)}{step}"
        if isinstance(entry, FromOperand):
            return "i"
        return str(entry.value) if hasattr(entry, "value") else "array"

    return f"[{', '.join(entry_text(entry) for entry in index)}]"


@dataclass(frozen=True)
class ReadPart(Op):
    """``x[index]``. What of the index isn't known arrives in operands: scalars, arrays of positions, masks."""

    index: Index

    def part_type(self, x: Any, operands: Sequence[Any]) -> TensorType:
        """Return the type of the part."""
        raise NotImplementedError(f"{type(self).__name__} declares no part_type")

    def writer(self, sets: bool) -> WritePart:
        """Return the op that writes such a part, or adds to it."""
        raise NotImplementedError(f"{type(self).__name__} declares no writer")

    def infer(self, x: Any, *operands: Any) -> list[TensorType]:
        return [self.part_type(x, operands)]

    def evaluate(self, x: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(x[fill_index(self.index, operands)])]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Add the cotangent to zeros, at the place of the part."""
        x, *operands = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")] * len(inputs)
        scattered = self.writer(sets=False)(zeros_like(x), cotangents[0], *operands)
        return [scattered, *[Disconnected("it is an index") for _ in operands]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Index the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]


@dataclass(frozen=True)
class WritePart(Op):
    """`x` with `y` added to (or put in place of) the part ``x[index]``; `y` stretches to the part's sizes."""

    index: Index
    sets: bool

    def reader(self) -> ReadPart:
        """Return the op that reads such a part."""
        raise NotImplementedError(f"{type(self).__name__} declares no reader")

    def still_there(self, x: Any, part: Any, operands: Sequence[Any]) -> Any:
        """Return which elements of what was put in place stay there, as a mask of the part; None if all do."""
        return None

    def infer(self, x: Any, y: Any, *operands: Any) -> list[TensorType]:
        check_written(self.sets, self.reader().part_type(x, operands), y)
        return [x.type]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Read the part of the cotangent for `y`; what `y` replaced takes no part."""
        x, y, *operands = inputs
        (cotangent,) = cotangents
        of_x: Any = cotangent
        if is_discrete(x.type.dtype):
            of_x = Disconnected(f"{x} is {x.type.dtype}")
        elif self.sets:
            of_x = self(cotangent, zero_of(y.type.dtype), *operands)
        of_y: Any = Disconnected(f"{y} is {y.type.dtype}")
        if not is_discrete(y.type.dtype):
            of_y = sum_to_type(self._read_back(x, cotangent, operands), y)
        return [of_x, of_y, *[Disconnected("it is an index") for _ in operands]]

    def _read_back(self, x: Any, cotangent: Any, operands: Sequence[Any]) -> Any:
        from symgrad.ops.elementwise import switch

        part = self.reader()(cotangent, *operands)
        stays = self.still_there(x, part, operands) if self.sets else None
        return part if stays is None else switch(stays, part, zero_of(part.type.dtype))

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Write the tangent of `y` into that of `x`."""
        x, y, *operands = inputs
        if tangents[0] is None and tangents[1] is None:
            return [None]
        dx, dy = [zeros_like(v) if t is None else t for v, t in zip((x, y), tangents[:2], strict=True)]
        return [self(dx, dy, *operands)]

    def fixed_axes(self, inputs: Sequence[Any]) -> tuple[int, ...]:
        """Return the axes, from the last, on which only a call can tell whether what is written fits its place."""
        x, y, *operands = inputs
        target = self.reader().part_type(x, operands)
        return tuple([
            axis for axis in range(-y.type.ndim, 0)
            if not y.type.broadcastable[axis] and None in (y.type.shape[axis], target.shape[axis])
        ])  # fmt: skip


def check_written(sets: bool, target: TensorType, y: Any) -> None:
    """Raise unless `y` stretches to the type of a part, as far as sizes are known."""
    name = "set_subtensor" if sets else "inc_subtensor"
    if y.type.ndim > target.ndim:
        raise InferenceError(RankError, f"{name} can't write {y.type} into a part of {target}: too many axes")
    for axis in range(-y.type.ndim, 0):
        found, wanted = y.type.shape[axis], target.shape[axis]
        if not y.type.broadcastable[axis] and None not in (found, wanted) and found != wanted:
            raise mismatch(name, (found, wanted), axis + target.ndim)
