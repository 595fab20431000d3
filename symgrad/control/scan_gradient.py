"""The gradient of a loop: another loop, which goes through the rounds from the last to the first.

A state that round t reads k rounds back has a cotangent in round t, which belongs to its value k rounds before. In the
backward loop that is a state with the tap -k: so many rounds later it is added to the cotangent of the value itself.
Where only the last values of a state were returned, their cotangents are what such a state starts with. The cotangents
of what is the same in all rounds are added up, and those of the rows of sequences are stacked.

Which values of the forward rounds are read from memory, and which are computed again: see `symgrad.control.scan_saved`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgrad.control.bodies import Body, make_body
from symgrad.control.derivatives import gradients_inside, missing
from symgrad.control.layout import Layout, Results
from symgrad.control.patterns import as_outputs, fit_pattern, has_length, input_like, split_last
from symgrad.control.scan_saved import Saved
from symgrad.graph.op import Disconnected, Undefined
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import State
from symgrad.ops.axes import shape_padleft
from symgrad.ops.casting import cast
from symgrad.ops.creation import zeros_like
from symgrad.ops.elementwise import minimum
from symgrad.ops.indexing import set_subtensor
from symgrad.ops.joining import concatenate
from symgrad.ops.promotion import is_discrete, zero_of
from symgrad.ops.shape import alloc
from symgrad.ops.sizes import size_of

WHERE = "the body of the loop"
Pair = tuple[int, int]
"""A state, and the place of one of its taps, both by number."""


def gradient_of_scan(
    op: Any, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """Return the cotangents of a loop's operands."""
    return _Backward(op, inputs, outputs, cotangents).results()


class _Backward:
    """The backward loop of one forward loop."""

    def __init__(self, op: Any, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> None:
        self.op = op
        self.layout: Layout = op.layout
        self.body: Body = op.body
        self.inputs = inputs
        self.outputs = outputs
        self.operands = self.layout.operands(inputs)
        self.inner = self.layout.inner(self.body.inputs)
        self.made = self.layout.results(self.body.outputs)
        self.given = self.layout.results(list(cotangents))
        self.stacks, self.last = self._split()

    def _split(self) -> tuple[list[Any], dict[int, Any]]:
        """Return for each state the cotangents of all its values, or None, and for some that of the last ones."""
        stacks: list[Any] = []
        last: dict[int, Any] = {}
        for number, (state, cotangent) in enumerate(zip(self.layout.states, self.given.states, strict=True)):
            dense, end = cotangent, None
            if not state.keeps_all:
                dense, end = None, cotangent
            elif state.depth == 1:
                dense, end = split_last(cotangent, self.operands.initial[number][0])
                end = None if end is None else shape_padleft(end)
            stacks.append(dense)
            if end is not None:
                last[number] = end
        return stacks, last

    # ---- what the gradient goes through ----

    def _reached(self) -> tuple[set[Variable], list[Pair]]:
        """Return the inputs of the body that the gradient reaches, and the (state, tap) pairs among them."""
        roots = [*self.made.states, *self.made.stacked]
        given = [*self.given.states, *self.given.stacked]
        leads_to = _outputs_reached(self.body, roots)
        active = {number for number, cotangent in enumerate(given) if cotangent is not None}
        while True:
            bits = sum(1 << number for number in active)
            reached = {variable for variable, mask in leads_to.items() if mask & bits}
            more = {number for number, taps in enumerate(self.inner.taps) if reached.intersection(taps)}
            if more <= active:
                break
            active |= more
        pairs = [
            (number, position)
            for number, (taps, state) in enumerate(zip(self.inner.taps, self.layout.states, strict=True))
            for position, (variable, tap) in enumerate(zip(taps, state.taps, strict=True))
            if variable in reached or (number in self.last and tap == -state.depth)
        ]
        return reached, pairs

    def results(self) -> list[Any]:
        """Return the cotangents of all operands."""
        reached, pairs = self._reached()
        while True:
            carried = {pair: input_like(self._tap(pair), f"d {self._tap(pair)}") for pair in pairs}
            seeds, received = self._seeds(carried)
            found = gradients_inside(seeds, [v for v in self.body.inputs if v in reached])
            needless = [pair for pair in pairs if found.get(self._tap(pair)) is None and not self._is_start(pair)]
            if not needless:
                break
            pairs = [pair for pair in pairs if pair not in needless]
        return self._loop(carried, received, found)

    def _tap(self, pair: Pair) -> Any:
        return self.inner.taps[pair[0]][pair[1]]

    def _tap_depth(self, pair: Pair) -> int:
        return -self.layout.states[pair[0]].taps[pair[1]]

    def _is_start(self, pair: Pair) -> bool:
        """Whether the cotangent of a state's last values stands before the first round of this one."""
        return pair[0] in self.last and self._tap_depth(pair) == self.layout.states[pair[0]].depth

    def _seeds(self, carried: Mapping[Pair, Any]) -> tuple[list[tuple[Any, Any]], dict[Any, Any]]:
        """Return outputs of the body and their cotangents, and for each stack of cotangents the row that is read."""
        received: dict[Any, Any] = {}
        seeds: list[tuple[Any, Any]] = []

        def row_of(cotangent: Any, output: Any) -> Any:
            return received.setdefault(cotangent, input_like(output, f"d {output}"))

        for number, (output, cotangent) in enumerate(zip(self.made.states, self.stacks, strict=True)):
            parts = [] if cotangent is None else [row_of(cotangent, output)]
            parts += [variable for pair, variable in carried.items() if pair[0] == number]
            if parts:
                total = parts[0]
                for part in parts[1:]:
                    total = total + part
                seeds.append((output, total))
        for output, cotangent in zip(self.made.stacked, self.given.stacked, strict=True):
            if cotangent is not None:
                seeds.append((output, row_of(cotangent, output)))
        return seeds, received

    # ---- the loop ----

    def _loop(
        self, carried: Mapping[Pair, Any], received: dict[Any, Any], found: dict[Variable, Any]
    ) -> list[Any]:
        rows = [v for v in self.inner.rows if v in found]
        summed = [v for v in self.inner.constants if v in found and isinstance(v.type, TensorType)]
        sums = {v: input_like(v, f"sum of d {v}") for v in summed}
        taps = [self._tap(pair) for pair in carried]
        outputs = [found[tap] if tap in found else zeros_like(tap) for tap in taps]
        outputs += [total + found[v] for v, total in sums.items()]
        outputs = [fit_pattern(g, v.type) for g, v in zip(outputs, (*taps, *sums), strict=True)]
        outputs += [found[v] for v in rows]
        if not outputs:
            return [missing(operand, WHERE) for operand in self.inputs]
        fresh = [*carried.values(), *sums.values(), *received.values()]
        saved = Saved(self.op, self.inputs, self.outputs, outputs, fresh)
        back = _Rounds(saved.rounds, self.op.truncate)
        stacks = {variable: cotangent for cotangent, variable in received.items()} | saved.rows
        body = make_body([*stacks, *carried.values(), *sums.values(), *saved.constants], saved.roots)
        states = [State((-self._tap_depth(pair),), back.is_cut) for pair in carried] + [State((-1,), False)] * len(sums)
        layout = Layout(len(stacks), tuple(states), len(rows), len(saved.constants))
        outside = dict(zip(self.inner.constants, self.operands.constants, strict=True))
        first = [self._start(pair) for pair in carried] + [shape_padleft(zeros_like(outside[v])) for v in sums]
        op = type(self.op)(body, layout, f"gradient of {self.op.label}" if self.op.label else "gradient")
        longer = set(self.operands.sequences)
        turned = [(back.cut(stack) if stack in longer else stack)[::-1] for stack in stacks.values()]
        made = op(back.count, *turned, *first, *saved.constants.values())
        results = layout.results(as_outputs(made))
        return self._distribute(carried, list(sums), rows, results, back)

    def _start(self, pair: Pair) -> Any:
        """Return the cotangents that rounds after the last one would have left."""
        number, _ = pair
        if self._is_start(pair):
            end = self.last[number]
            return end if end.type.shape[0] == 1 else end[::-1]
        return zeros_like(self.operands.initial[number][: self._tap_depth(pair)])

    def _distribute(
        self, carried: Mapping[Pair, Any], sums: list[Any], rows: list[Any], results: Results[Any], back: _Rounds
    ) -> list[Any]:
        """Return the cotangent of each operand of the forward loop."""
        of_pairs = dict(zip(carried, results.states, strict=False))
        of_sums = dict(zip(sums, results.states[len(carried) :], strict=True))
        of_rows = dict(zip(rows, results.stacked, strict=True))
        found: list[Any] = [Disconnected("it is a number of rounds")]
        for variable, sequence in zip(self.inner.rows, self.operands.sequences, strict=True):
            found.append(back.spread(of_rows[variable], sequence) if variable in of_rows else missing(sequence, WHERE))
        for number, initial in enumerate(self.operands.initial):
            own = [(pair, values) for pair, values in of_pairs.items() if pair[0] == number]
            parts = [self._of_initial(pair, values, initial, back) for pair, values in own]
            found.append(sum(parts[1:], parts[0]) if parts else missing(initial, WHERE))
        for variable, constant in zip(self.inner.constants, self.operands.constants, strict=True):
            if isinstance(constant.type, TensorType):
                found.append(of_sums[variable][0] if variable in of_sums else missing(constant, WHERE))
            else:
                found.append(Undefined(f"which adds up no gradients of {constant.type}: hand in its parts"))
        return [
            one if isinstance(one, Disconnected | Undefined) else fit_pattern(one, operand.type)
            for one, operand in zip(found, self.inputs, strict=True)
        ]

    def _of_initial(self, pair: Pair, values: Any, initial: Any, back: _Rounds) -> Any:
        """Return what the first rounds, which read the first values, leave for these."""
        depth, rows = self._tap_depth(pair), self.layout.states[pair[0]].depth
        first = values if depth == 1 else values[::-1]
        if back.is_cut:
            first = back.first(values, self._start(pair))
        return first if depth == rows else set_subtensor(zeros_like(initial)[rows - depth :], first)


def _outputs_reached(body: Body, roots: Sequence[Any]) -> dict[Variable, int]:
    """Return for each float input of a body a bit for each of the roots that it leads to through floats."""
    masks: dict[Variable, int] = {}
    for number, root in enumerate(roots):
        if not is_discrete(root.type.dtype):
            masks[root] = masks.get(root, 0) | 1 << number
    for node in reversed(body.order):
        mask = 0
        for output in node.outputs:
            mask |= masks.get(output, 0)
        for variable in node.inputs if mask else ():
            if not is_discrete(variable.type.dtype):  # type: ignore[attr-defined]
                masks[variable] = masks.get(variable, 0) | mask
    return {variable: masks[variable] for variable in body.inputs if variable in masks}


class _Rounds:
    """How many rounds the backward loop takes, and how its rows and those of the forward loop correspond."""

    def __init__(self, rounds: Any, truncate: int) -> None:
        self.rounds = rounds
        self.is_cut = truncate >= 0
        self.count = cast(minimum(rounds, truncate), "int64") if self.is_cut else rounds

    def cut(self, sequence: Any) -> Any:
        """Return the rows that the rounds saw."""
        return sequence if has_length(sequence, self.rounds) else sequence[: self.rounds]

    def spread(self, stack: Any, like: Any) -> Any:
        """Return rows of the backward loop as those of the sequence `like`; rows that no round saw are zeros."""
        if not self.is_cut and has_length(like, self.rounds):
            return stack[::-1]
        return set_subtensor(zeros_like(like)[self.rounds - self.count : self.rounds], stack[::-1])

    def first(self, stack: Any, start: Any) -> Any:
        """Return the values of the first rounds, as many as `start` has: zeros for those that a cut loop leaves out."""
        sizes = [size_of(start, axis) for axis in range(1, start.type.ndim)]
        left_out = alloc(zero_of(start.type.dtype), self.rounds - self.count, *sizes)
        return concatenate([left_out, stack[::-1], start[::-1]])[: size_of(start, 0)]
