"""What a loop saves for its backward rounds, and what these compute again.

Values that cost much (products, functions such as exp, random numbers, loops inside) are **saved**: they become further
stacked outputs of the forward loop. Values that are cheap to make of saved ones (sums, products of elements, views),
and those that are the same in all rounds, are computed again. So no product of matrices and no transcendental function
is computed twice, and memory holds, for each round, the states and what derivatives need, and no more.

The forward loop with more outputs is a node of its own; rewriting merges it with the loop that it extends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.control.bodies import Body, make_body
from symgrad.control.choices import IfElse
from symgrad.control.patterns import as_outputs, input_like
from symgrad.graph.op import InferenceError, Operand
from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.kernels.grammar import Library, Map, State, View
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.joining import concatenate
from symgrad.ops.promotion import is_discrete
from symgrad.ops.sizes import size_of

CHEAP = frozenset((
    "add", "subtract", "multiply", "negative", "abs", "sign", "sqr", "maximum", "minimum", "clip", "switch", "rectify",
    "rectify_gradient", "step", "cast", "eq", "neq", "lt", "le", "gt", "ge", "and", "or", "xor", "invert",
    "isnan", "isinf", "isfinite",
))  # fmt: skip
"""Functions of elements that take no more time than reading their result from memory."""
MOVES = frozenset(("size", "concatenate", "write"))
"""Routines that only move their operands' values."""
MADE_UP = 2
"""A size for examples."""


class Saved:
    """What backward rounds need of the forward ones, and where they get it.

    Parameters
    ----------
    op : Scan
        The forward loop.
    inputs, outputs : sequence of Variable
        Its operands and outputs.
    roots : sequence of Variable
        What a backward round computes, in terms of the variables of the forward body.
    fresh : sequence of Variable
        The inputs that only backward rounds have.

    Attributes
    ----------
    roots : list of Variable
        The same in terms of `rows`, `constants` and `fresh`.
    rows : dict
        Inputs of a backward round, and the stacks that they are rows of, in forward order.
    constants : dict
        Inputs that are the same in all rounds, and what they are outside.
    rounds : Variable
        How many rounds the forward loop took.
    """

    def __init__(
        self, op: Any, inputs: Sequence[Any], outputs: Sequence[Any], roots: Sequence[Any], fresh: Sequence[Any]
    ) -> None:
        self._op = op
        self._operands = op.layout.operands(inputs)
        self._made = op.layout.results(op.body.outputs)
        inner = op.layout.inner(op.body.inputs)
        saved = _values_to_save(op.body, op.layout, roots, fresh)
        stand_ins = {variable: input_like(variable) for variable in saved}
        self.roots = substitute(list(roots), stand_ins)
        used = set(self.roots)
        for node in applies_before(self.roots, stop_at=fresh):
            used.update(node.inputs)
        taps = [
            (number, tap, variable)
            for number, (state, variables) in enumerate(zip(op.layout.states, inner.taps, strict=True))
            for tap, variable in zip(state.taps, variables, strict=True) if variable in used
        ]  # fmt: skip
        stacks = self._stacks(inputs, outputs, saved, [number for number, _, _ in taps])
        self.rounds = size_of(next(iter(stacks.values())), 0) if op.layout.until else self._operands.rounds
        self.rows: dict[Any, Any] = {
            v: outside for v, outside in zip(inner.rows, self._operands.sequences, strict=True) if v in used
        }
        for number, tap, variable in taps:
            history = concatenate([self._operands.initial[number], stacks[self._made.states[number]]])
            self.rows[variable] = history[op.layout.states[number].depth + tap : tap]
        self.rows |= {stand_in: stacks[variable] for variable, stand_in in stand_ins.items()}
        self.constants = {
            v: outside for v, outside in zip(inner.constants, self._operands.constants, strict=True) if v in used
        }

    def _stacks(
        self, inputs: Sequence[Any], outputs: Sequence[Any], saved: Sequence[Any], read: Sequence[int]
    ) -> dict[Any, Any]:
        """Return the stacks of what the forward loop keeps: outputs of it if it keeps enough, else of a longer one."""
        op, layout, made = self._op, self._op.layout, self._made
        kept = {*read, *[number for number, state in enumerate(made.states) if state in saved]}
        more = [variable for variable in saved if variable not in (*made.states, *made.stacked)]
        states = tuple([
            State(state.taps, state.keeps_all or number in kept) for number, state in enumerate(layout.states)
        ])  # fmt: skip
        if layout.until and not (more or made.stacked or any(state.keeps_all for state in states)):
            more = [made.ends]  # its length tells how many rounds there were
        found = layout.results(list(outputs))
        if more or states != layout.states:
            layout = replace(layout, states=states, stacked=layout.stacked + len(more))
            ends = [] if made.ends is None else [made.ends]
            body = make_body(op.body.inputs, [*made.states, *made.stacked, *more, *ends])
            longer = replace(op, body=body, layout=layout)(*inputs)
            found = layout.results(as_outputs(longer))
        pairs = [*zip(made.states, found.states, strict=True), *zip((*made.stacked, *more), found.stacked, strict=True)]
        kinds = [*[state.keeps_all for state in states], *[True] * (len(made.stacked) + len(more))]
        return {variable: stack for (variable, stack), is_stack in zip(pairs, kinds, strict=True) if is_stack}


def _values_to_save(body: Body, layout: Any, roots: Sequence[Any], fresh: Sequence[Any]) -> list[Any]:
    """Return the values of a forward round that a backward one reads from stacks."""
    inner = layout.inner(body.inputs)
    states = set(layout.results(body.outputs).states)
    order = applies_before(roots, stop_at=(*fresh, *body.inputs))
    backward = set(fresh)
    for node in order:
        if any(variable in backward for variable in node.inputs):
            backward.update(node.outputs)
    changing, ragged = _changing(order, {*inner.rows, *[tap for taps in inner.taps for tap in taps]})
    needed = [root for root in roots if root not in backward]
    needed += [v for node in order if node.outputs[0] in backward for v in node.inputs if v not in backward]
    given = set(body.inputs)
    saved: dict[Variable, None] = {}
    seen: set[Variable] = set()
    while needed:
        variable = needed.pop()
        if variable in seen or variable in given or isinstance(variable, Constant):
            continue
        seen.add(variable)
        if variable in states:
            saved[variable] = None
        elif variable not in changing or variable in ragged or _is_cheap(variable.owner):
            needed += variable.owner.inputs
        else:
            saved[variable] = None
    return list(saved)


def _changing(order: Sequence[Apply], start: set[Variable]) -> tuple[set[Variable], set[Variable]]:
    """Return the variables that change from round to round, and those whose sizes may: these can't be stacked."""
    changing = set(start)
    ragged: set[Variable] = set()
    for node in order:
        if not any(variable in changing for variable in node.inputs):
            continue
        changing.update(node.outputs)
        if any(variable in ragged for variable in node.inputs) or _makes_ragged(node, changing):
            ragged.update(output for output in node.outputs if not getattr(output.type, "is_static", False))
    return changing, ragged


def _makes_ragged(node: Apply, changing: set[Variable]) -> bool:
    """Whether the sizes of a node's outputs depend on values that change.

    They do if they aren't known even where all sizes of the operands are, and the values of those that don't change.
    The sides of a choice may differ in their sizes.
    """
    if isinstance(node.op, Elementwise):
        return False
    if isinstance(node.op, IfElse):
        return node.inputs[0] in changing
    try:
        kinds = node.op.infer(*[_example(variable, variable in changing) for variable in node.inputs])
    except InferenceError:  # sizes made up for the example don't fit others that are known
        return False
    return not all(getattr(kind, "is_static", True) for kind in kinds)


def _example(variable: Any, is_changing: bool) -> Operand:
    """Return what could be known of an operand in a call: made-up sizes, and a value unless it changes."""
    kind = variable.type
    if not isinstance(kind, TensorType):
        return Operand(kind)
    sizes = [MADE_UP if size is None else size for size in kind.shape]
    known = variable.known
    if known is None and not is_changing and is_discrete(kind.dtype):
        known = np.ones(sizes, kind.dtype)
    return Operand(TensorType(kind.dtype, sizes, kind.broadcastable), None if is_changing else known)


def _is_cheap(node: Any) -> bool:
    """Whether a node's outputs are computed again: so what takes no longer than reading them from memory would."""
    if getattr(node.op, "recomputed", False):
        return True
    kernel = node.op.lower(node)
    if isinstance(kernel, Map):
        return kernel.function.name in CHEAP
    return isinstance(kernel, View) or (isinstance(kernel, Library) and kernel.name in MOVES)
