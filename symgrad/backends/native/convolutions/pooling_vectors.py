"""Pooling of whole windows, many windows at a time: they lie along the lanes.

Pixels that neighbouring windows have at one place lie a stride apart in memory; a few vectors are loaded and the right
lanes picked. Gradients of windows that don't overlap go back the same way. The last vector of a row may overlap the
one before: both write the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from symgrad.backends.native.convolutions.addresses import element_at, minimum, power_below
from symgrad.backends.native.convolutions.pooling import Pooling, Windows
from symgrad.backends.native.kernel import buffer_pointer
from symgrad.backends.native.llvm.text import Function, Value, index, literal, vector_type

MOST_STEPS = 4
"""Larger strides take more shuffles than they save."""


def suits(windows: Windows, is_gradient: bool) -> bool:
    """Whether these kernels can do the windows."""
    is_inside = windows.is_inside(0) and windows.is_inside(1) and windows.size[1] > 1
    return is_inside and windows.stride[1] <= MOST_STEPS and (not is_gradient or windows.stride == windows.window)


class VectorPooling(Pooling):
    """Writes one kernel; a unit is one image."""

    def __init__(self, name: str, windows: Windows, element: str, vector_bytes: int) -> None:
        super().__init__(name, windows, element, vector_bytes)
        self.width = power_below(windows.size[1], self.lanes)
        self.kind = vector_type(element, self.width)

    # ---- kernels ----

    def pool(self, mode: str) -> Function:
        """Write the maximum, sum or average of each window."""
        function, of = self.function, self.of
        images, output = (buffer_pointer(function, number) for number in range(2))
        with self._vectors(images, output) as (pixels, target):
            with function.loop(index(0), index(of.window[0]), 1, [self._start(mode)], hint="row") as row:
                (total,) = row.carried
                for column in range(of.window[1]):
                    value = self._picked(element_at(function, pixels, self.element, (row.index, of.image[1])), column)
                    total = self._larger(value, total) if mode == "max" else function.add(total, value)
                row.next = [total]
            function.store(self._divided(row.results[0], mode), target)
        return self._end()

    def max_gradient(self) -> Function:
        """Write the gradient of the maximum: each window's cotangent at its first maximum."""
        function, of = self.function, self.of
        images, output, cotangent, gradient = (buffer_pointer(function, number) for number in range(4))
        self._clear_rest(gradient)
        zeros, none = literal(0, self.kind), literal(0, vector_type("i1", self.width))
        with self._vectors(images, output, gradient, cotangent) as (pixels, maxima, target, values):
            maximum, value = function.load(maxima, self.kind), function.load(values, self.kind)
            with function.loop(index(0), index(of.window[0]), 1, [none], hint="row") as row:
                (taken,) = row.carried
                parts = []
                for column in range(of.window[1]):
                    line = element_at(function, pixels, self.element, (row.index, of.image[1]))
                    pixel = self._picked(line, column)
                    is_nan, is_equal = (
                        function.compare(how, pixel, other) for how, other in (("uno", pixel), ("oeq", maximum))
                    )
                    wins = function.binary("or", is_nan, is_equal)
                    first = function.select(taken, none, wins)
                    taken = function.binary("or", taken, wins)
                    parts.append(function.select(first, value, zeros))
                row.next = [taken]
                self._store_apart(element_at(function, target, self.element, (row.index, of.image[1])), parts)
        return self._end()

    def sum_gradient(self, mode: str, output: int) -> Function:
        """Write the gradient of sums or averages: each window's cotangent, or its part, at each of its pixels."""
        function, of = self.function, self.of
        cotangent, gradient = buffer_pointer(function, 0), buffer_pointer(function, output)
        self._clear_rest(gradient)
        with self._vectors(gradient, cotangent) as (target, values):
            value = self._divided(function.load(values, self.kind), mode)
            with function.loop(index(0), index(of.window[0]), hint="row") as row:
                line = element_at(function, target, self.element, (row.index, of.image[1]))
                self._store_apart(line, [value] * of.window[1])
        return self._end()

    # ---- parts ----

    def _start(self, mode: str) -> Value:
        return literal(float("-inf") if mode == "max" else 0, self.kind)

    def _divided(self, value: Value, mode: str) -> Value:
        if not mode.startswith("average"):
            return value
        return self.function.divide(value, literal(self.of.window[0] * self.of.window[1], self.kind))

    def _clear_rest(self, images: Value) -> None:
        """Write zeros first if windows leave pixels over."""
        covered = tuple(size * step for size, step in zip(self.of.size, self.of.window, strict=True))
        if covered != self.of.image:
            self._clear(images)

    @contextmanager
    def _vectors(self, images: Value, pooled: Value, *others: Value) -> Iterator[tuple[Value, ...]]:
        """Write a loop over vectors of windows; give where their first pixels, and they themselves, are in memory.

        The arguments are images and pooled images in turn.
        """
        function, of = self.function, self.of
        _, _, begin, end, _ = function.parameters
        down, across = of.size
        pixels = of.image[0] * of.image[1]
        with (
            function.loop(begin, end, hint="unit") as unit,
            function.loop(index(0), index(down), hint="down") as y,
            function.loop(index(0), index(across), self.width, hint="across") as x,
        ):
            window = minimum(function, x.index, index(across - self.width)) if across % self.width else x.index
            terms = (unit.index, pixels), (y.index, of.stride[0] * of.image[1]), (window, of.stride[1])
            windows = (unit.index, down * across), (y.index, across), (window, 1)
            yield tuple([
                element_at(function, array, self.element, *(windows if number % 2 else terms))
                for number, array in enumerate((images, pooled, *others))
            ])  # fmt: skip

    def _picked(self, pixels: Value, column: int) -> Value:
        """Return the pixels of one column of all windows; what lies behind the last one isn't read."""
        function, step, lanes = self.function, self.of.stride[1], self.width
        last = (lanes - 1) * step
        starts = [min(number * lanes, last - lanes + 1) for number in range(step)] if lanes > 1 else [0]
        parts = [
            function.load(element_at(function, pixels, self.element, start=column + start), self.kind)
            for start in starts
        ]
        return self._gathered(parts, [
            next((number, lane * step - start) for number, start in enumerate(starts) if lane * step - start < lanes)
            for lane in range(lanes)
        ])  # fmt: skip

    def _gathered(self, parts: Sequence[Value], places: Sequence[tuple[int, int]]) -> Value:
        """Return a vector whose lanes are those at `places`: which part, and which of its lanes."""
        function, lanes = self.function, self.width
        if lanes == 1:
            return parts[places[0][0]]
        used = sorted({number for number, _ in places})
        result = parts[used[0]]
        chosen = [lane for _, lane in places]
        if len(used) == 1:
            return result if chosen == list(range(lanes)) else function.shuffle(result, result, chosen)
        is_first = True
        for number in used[1:]:
            mask = []
            for lane, (part, place) in enumerate(places):
                kept = place if is_first else lane
                mask.append(lanes + place if part == number else kept if part < number else 0)
            result = function.shuffle(result, parts[number], mask)
            is_first = False
        return result

    def _store_apart(self, target: Value, parts: Sequence[Value]) -> None:
        """Store one vector for each column of the windows, so that the pixels of each window lie side by side."""
        function, step, lanes = self.function, len(parts), self.width
        for number in range(step):
            places = [divmod(number * lanes + lane, step)[::-1] for lane in range(lanes)]
            address = element_at(function, target, self.element, start=number * lanes)
            function.store(self._gathered(parts, places), address)
