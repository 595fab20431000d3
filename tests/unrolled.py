"""Random loops, and what they mean: the same steps written one after the other, without a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T

SIZE = 3
UNARY = ("tanh", "sin", "reversed", "dot", "total", "half", "loop")
BINARY = ("add", "multiply", "maximum", "switch", "choice", "graph")


@dataclass(frozen=True)
class Recipe:
    """A step as instructions: each takes earlier values by number, and gives one more.

    Attributes
    ----------
    instructions : tuple
        Pairs or triples: what to do, and with which values.
    sequence_taps, state_taps : tuple of tuples
        Of each sequence, of each recurrent output.
    others : int
        How many outputs are only collected.
    steps : int
        How many steps there are.
    go_backwards : bool
        Whether sequences are gone through from their ends.
    """

    instructions: tuple[tuple[Any, ...], ...]
    sequence_taps: tuple[tuple[int, ...], ...]
    state_taps: tuple[tuple[int, ...], ...]
    others: int
    steps: int
    go_backwards: bool

    def step(self, *arguments: Any) -> list[Any]:
        """Return the outputs of a step from its rows, earlier values and the matrix, which comes last."""
        *values, matrix = arguments
        for what, *places in self.instructions:
            values.append(apply(what, [values[place % len(values)] for place in places], matrix))
        count = len(self.state_taps) + self.others
        return [T.tanh(value) for value in values[-count:]]

    def sequence_lengths(self) -> list[int]:
        """Return how many rows each sequence needs."""
        return [self.steps + max(*taps, 0) - min(*taps, 0) for taps in self.sequence_taps]

    def points(self, seed: int) -> list[np.ndarray]:
        """Return values of sequences, initial values and matrix."""
        random = np.random.default_rng(seed)
        shapes: list[tuple[int, ...]] = [(length, SIZE) for length in self.sequence_lengths()]
        shapes += [(SIZE,) if taps == (-1,) else (-min(taps), SIZE) for taps in self.state_taps]
        return [random.normal(size=shape) for shape in [*shapes, (SIZE, SIZE)]]


def apply(what: str, values: Sequence[Any], matrix: Any) -> Any:
    """Carry out one instruction."""
    one = values[0]
    if what == "dot":
        return T.dot(one, matrix)
    if what == "reversed":
        return one[::-1]
    if what == "total":
        return one * 0.1 + one.sum()
    if what == "half":
        return one * 0.5
    if what == "loop":
        return symgrad.scan(lambda element, state: T.sin(state + element), one, one[0])[0]
    if what == "switch":
        return T.switch(one > 0, one, values[1])
    if what == "choice":
        return symgrad.ifelse(one.sum() > 0.1, T.sin(one), values[1])
    if what == "graph":
        a, b = T.dvectors("a", "b")
        return symgrad.OpFromGraph([a, b], [T.cos(a) * b])(*values)
    return getattr(T, what)(*values)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Draw a loop that has an output and something to go by."""
    sequences = draw(st.lists(st.sampled_from([(0,), (-1, 0), (0, 2), (-2,)]), max_size=2))
    states = draw(st.lists(st.sampled_from([(-1,), (-2,), (-2, -1), (-3, -1)]), max_size=2))
    others = draw(st.integers(0 if states else 1, 2))
    if not sequences and not states:
        states = [(-1,)]
    unary = st.tuples(st.sampled_from(UNARY), st.integers(0, 20))
    binary = st.tuples(st.sampled_from(BINARY), st.integers(0, 20), st.integers(0, 20))
    count = len(states) + others
    instructions = draw(st.lists(st.one_of(unary, binary), min_size=count, max_size=count + 4))
    return Recipe(
        tuple(instructions), tuple(sequences), tuple(states), others, draw(st.integers(1, 5)), draw(st.booleans())
    )


def looped(recipe: Recipe, variables: Sequence[Any], **options: Any) -> list[Any]:
    """Return the outputs of a recipe as a loop."""
    *others, matrix = variables
    sequences = [
        {"input": x, "taps": list(taps)} for x, taps in zip(others, recipe.sequence_taps, strict=False)
    ]
    infos: list[Any] = [
        {"initial": x, "taps": list(taps)}
        for x, taps in zip(others[len(sequences) :], recipe.state_taps, strict=True)
    ]
    outputs, updates = symgrad.scan(
        recipe.step, sequences, [*infos, *[None] * recipe.others], matrix, recipe.steps,
        go_backwards=recipe.go_backwards, return_list=True, **options,
    )  # fmt: skip
    assert not updates
    return list(outputs)


def unrolled(recipe: Recipe, variables: Sequence[Any]) -> list[Any]:
    """Return the outputs of a recipe, one step written after the other."""
    *others, matrix = variables
    sequences = others[: len(recipe.sequence_taps)]
    past: list[list[Any]] = []
    for x, taps in zip(others[len(sequences) :], recipe.state_taps, strict=True):
        past.append([x] if taps == (-1,) else [x[row] for row in range(-min(taps))])
    collected: list[list[Any]] = [[] for _ in range(len(past) + recipe.others)]
    for step in range(recipe.steps):
        time = recipe.steps - 1 - step if recipe.go_backwards else step
        rows = [
            x[time - min(*taps, 0) + tap] for x, taps in zip(sequences, recipe.sequence_taps, strict=True)
            for tap in taps
        ]  # fmt: skip
        earlier = [values[tap] for values, taps in zip(past, recipe.state_taps, strict=True) for tap in taps]
        results = recipe.step(*rows, *earlier, matrix)
        for values, result in zip(past, results, strict=False):
            values.append(result)
        for stack, result in zip(collected, results, strict=True):
            stack.append(result)
    return [T.stack(stack) for stack in collected]


def inputs_of(recipe: Recipe) -> list[Any]:
    """Return inputs for the points of a recipe, of no known sizes."""
    return [T.tensor("float64", [None] * point.ndim, f"x{place}") for place, point in enumerate(recipe.points(0))]


def weighted_cost(outputs: Sequence[Any], seed: int = 1) -> Any:
    """Return a number that all elements of all outputs count in, each with another weight."""
    weights = np.random.default_rng(seed).normal(size=(len(outputs), 2)).tolist()
    return sum(
        (output * weight).sum() + (output[-1] ** 2).sum() * other
        for output, (weight, other) in zip(outputs, weights, strict=True)
    )
