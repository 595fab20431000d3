"""Kernels that go along an axis element by element: running sums and products, recurrences, shifts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from symgrad.graph.dtypes import HALVES, widened
from symgrad.kernels.ir.builder import Term, call, cast
from symgrad.lowering.fusion.axes import UnfusableError
from symgrad.lowering.fusion.copying import CopyWriter, copying, offset
from symgrad.lowering.steps import Step

Elements = Callable[[list[Any]], Term]
"""``elements(indices)`` is an element of an operand."""
Following = Callable[[Term, list[Any], list[Any]], Term]
"""``following(last, before, indices)`` is the next value, from the last one, the indices of that, and its own."""

FUNCTIONS = {"cumsum": "add", "cumprod": "multiply"}


@copying
def cumulative(w: CopyWriter, step: Step, attributes: dict[str, Any]) -> None:
    """Sums or products of the first 1, 2, 3, ... elements."""
    function = FUNCTIONS[attributes["function"]]
    _require(w, function)
    x = _wide_elements(w, 0)
    _go_along(w, attributes["axis"], False, x, lambda last, _, place: call(function, last, x(place)))


@copying
def linear_recurrence(w: CopyWriter, step: Step, attributes: dict[str, Any]) -> None:
    """Each element from the one before (in reverse, the one behind): ``factor * last + term``."""
    _require(w, "add")
    _require(w, "multiply")
    reverse = attributes["reverse"]
    if w.known_shape(step.inputs[0]) != w.known_shape(step.inputs[1]):
        raise UnfusableError("factors of other sizes")
    factors, terms = _wide_elements(w, 0), _wide_elements(w, 1)

    def following(last: Term, before: list[Any], place: list[Any]) -> Term:
        return factors(before if reverse else place) * last + terms(place)

    _go_along(w, attributes["axis"], reverse, terms, following)


@copying
def shift(w: CopyWriter, step: Step, attributes: dict[str, Any]) -> None:
    """Elements moved along an axis, and a number where none arrive."""
    axis, by = attributes["axis"], attributes["by"]
    x, size = _elements(w, 0), w.shape[axis]
    rest = min(abs(by), size)
    fill = w.builder.literal(attributes["fill"], w.output.buffer.dtype)
    for count, start, source in ((size - rest, max(by, 0), max(-by, 0)), (rest, 0 if by > 0 else size - rest, None)):
        sizes = [count if place == axis else extent for place, extent in enumerate(w.shape)]
        with w.loops(sizes) as indices:
            value = fill if source is None else x(_moved(indices, axis, source))
            w.output[offset(_moved(indices, axis, start), w.strides, 0)] = value


def _elements(w: CopyWriter, number: int) -> Elements:
    """Return what gives the element of an operand at some indices."""
    part = w.part(number)
    return (lambda _: part) if isinstance(part, Term) else part.at


def _wide_elements(w: CopyWriter, number: int) -> Elements:
    """As `_elements`, in the dtype in which kernels compute."""
    element = _elements(w, number)
    return lambda indices: cast(found := element(indices), widened(found.dtype))


def _moved(indices: list[Any], axis: int, by: int) -> list[Any]:
    return [index + by if place == axis and by else index for place, index in enumerate(indices)]


def _require(w: CopyWriter, function: str) -> None:
    """Raise unless there is an arithmetic function of the output's dtype."""
    dtype = w.output.buffer.dtype
    if not w.facts.allows(function, (dtype, dtype), dtype):
        raise UnfusableError(f"{function} of {dtype} isn't supported")


def _go_along(w: CopyWriter, axis: int, reverse: bool, first: Elements, following: Following) -> None:
    """Write all lines along an axis: in registers if it is the last, else side by side in lanes."""
    size, inner = w.shape[axis], w.shape[axis + 1 :]
    b, dtype = w.builder, w.output.buffer.dtype
    if size == 0:
        raise UnfusableError("an axis of nothing")
    if dtype in HALVES and any(extent != 1 for extent in inner):
        raise UnfusableError("totals of floats of 16 bits that aren't kept in float32")

    def place(steps: Any) -> Any:
        return size - 1 - steps if reverse else steps

    with _lines(w, w.shape[:axis]) as outer:
        if all(extent == 1 for extent in inner):
            rest: list[Any] = [0] * len(inner)
            start = b.let("start", first([*outer, place(0), *rest]))
            w.output[offset([*outer, place(0)], w.strides[: axis + 1], 0)] = cast(start, dtype)
            with b.serial(size - 1, last=(None, start)) as loop:
                before, now = [[*outer, place(steps), *rest] for steps in (loop.index, loop.index + 1)]
                value = b.let("value", following(loop["last"], before, now))
                w.output[offset(now, w.strides, 0)] = cast(value, dtype)
                loop.carry("last", value)
            return
        with w.loops(inner) as across:
            at_first = [*outer, place(0), *across]
            w.output[offset(at_first, w.strides, 0)] = first(at_first)
        with b.serial(size - 1) as loop, w.loops(inner) as across:
            before, now = [[*outer, place(steps), *across] for steps in (loop.index, loop.index + 1)]
            last = w.output[offset(before, w.strides, 0)]
            w.output[offset(now, w.strides, 0)] = following(last, before, now)


@contextmanager
def _lines(w: CopyWriter, sizes: tuple[int, ...]) -> Iterator[list[Any]]:
    """Open the loops over the axes before; the rounds of the first may run on any thread."""
    if not sizes:
        yield []
        return
    with w.builder.parallel(sizes[0]) as loop, w.loops(sizes[1:], vector=False) as others:
        yield [loop.index, *others]
