"""Where steps that put elements in their places find their operands, for backends with kernels of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symgrad.graph.variables import Variable
from symgrad.lowering.fusion.building import Facts
from symgrad.lowering.fusion.copying import CopyWriter
from symgrad.lowering.fusion.terms import Number
from symgrad.lowering.steps import Step


@dataclass(frozen=True)
class Source:
    """Where a step that puts elements in their places finds an operand.

    Attributes
    ----------
    shape : tuple of int
        The operand's sizes.
    input : int or None
        Which of the fused step's inputs it lies in; None for a number.
    strides : tuple of int
        In elements.
    start : int
        Where it starts, in elements.
    value : float, int or bool
        The number that all its elements are, if it lies nowhere.
    """

    shape: tuple[int, ...]
    input: int | None
    strides: tuple[int, ...] = ()
    start: int = 0
    value: float | int | bool = 0


def sources(facts: Facts, step: Step, inputs: Sequence[Variable]) -> list[Source]:
    """Return where the operands of such a step are, views folded, or raise `UnfusableError`.

    Parameters
    ----------
    facts : Facts
        What is known about variables.
    step : Step
        What is done.
    inputs : sequence of Variable
        The memories that it reads.
    """
    writer = CopyWriter(facts, "sources", step, inputs)
    found = []
    for number, variable in enumerate(step.inputs):
        node = writer.terms[number].node
        shape = writer.known_shape(variable)
        if isinstance(node, Number) and not isinstance(node.value, str):
            found.append(Source(shape, None, value=node.value))
            continue
        operand = writer.operand(number)
        memory = [memory is operand.memory for memory in writer.memories.values()].index(True)
        found.append(Source(shape, memory, operand.strides, operand.start))
    return found
