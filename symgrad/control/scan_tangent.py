"""The forward derivative of a loop: a loop that carries the tangents of its states along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symgrad.control.bodies import make_body
from symgrad.control.layout import Layout
from symgrad.control.patterns import as_outputs, fit_pattern, input_like
from symgrad.gradient.forward import Rop
from symgrad.graph.variables import Variable
from symgrad.ops.creation import zeros_like
from symgrad.ops.promotion import is_discrete


def tangents_of_scan(op: Any, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Return the tangents of a loop's outputs, None where nothing changes."""
    layout: Layout = op.layout
    inner, made = layout.inner(op.body.inputs), layout.results(op.body.outputs)
    operands, given = layout.operands(inputs), layout.operands(list(tangents))
    moved = [v for v, t in zip(inner.rows, given.sequences, strict=True) if t is not None]
    moved += [v for v, t in zip(inner.constants, given.constants, strict=True) if t is not None]
    states = {number for number, t in enumerate(given.initial) if t is not None}
    while True:
        reached = _reached(op.body, [*moved, *[tap for number in states for tap in inner.taps[number]]])
        more = {number for number, output in enumerate(made.states) if output in reached}
        if more <= states:
            break
        states |= more
    numbers = sorted(states)
    changed = [*moved, *[tap for number in numbers for tap in inner.taps[number]]]
    directions = {variable: input_like(variable, f"tangent of {variable}") for variable in changed}
    stacked = [output for output in made.stacked if output in reached]
    found = _pushed([*[made.states[number] for number in numbers], *stacked], directions)
    new_states, new_stacked = found[: len(numbers)], found[len(numbers) :]
    rows = [directions[v] for v in inner.rows if v in directions]
    taps = [directions[tap] for number in numbers for tap in inner.taps[number]]
    constants = [directions[v] for v in inner.constants if v in directions]
    body = make_body(
        [*inner.rows, *rows, *[tap for taps in inner.taps for tap in taps], *taps, *inner.constants, *constants],
        [*made.states, *new_states, *made.stacked, *new_stacked, *([] if made.ends is None else [made.ends])],
    )
    wider = Layout(
        layout.sequences + len(rows),
        (*layout.states, *[layout.states[number] for number in numbers]),
        layout.stacked + len(stacked),
        layout.constants + len(constants),
        layout.until,
    )
    first = [
        zeros_like(operands.initial[number]) if given.initial[number] is None else given.initial[number]
        for number in numbers
    ]
    result = replace(op, body=body, layout=wider)(
        operands.rounds,
        *operands.sequences, *[t for t in given.sequences if t is not None],
        *operands.initial, *first,
        *operands.constants, *[t for t in given.constants if t is not None],
    )  # fmt: skip
    results = wider.results(as_outputs(result))
    of_states = dict(zip(numbers, results.states[len(layout.states) :], strict=True))
    of_stacked = iter(results.stacked[layout.stacked :])
    return [
        *[of_states.get(number) for number in range(len(layout.states))],
        *[next(of_stacked) if output in reached else None for output in made.stacked],
    ]


def _reached(body: Any, moved: Sequence[Any]) -> set[Variable]:
    """Return the float variables of a body that changes of some of its inputs change."""
    reached = {variable for variable in moved if not is_discrete(variable.type.dtype)}
    for node in body.order:
        if any(variable in reached for variable in node.inputs):
            reached.update(output for output in node.outputs if not is_discrete(output.type.dtype))
    return reached


def _pushed(outputs: Sequence[Any], directions: dict[Any, Any]) -> list[Any]:
    """Return the tangents of outputs of a body, with the types of the outputs."""
    if not outputs:
        return []
    found = Rop(list(outputs), list(directions), list(directions.values()))
    return [fit_pattern(tangent, output.type) for tangent, output in zip(found, outputs, strict=True)]
