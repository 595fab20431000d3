"""What a native program is made from, as text: programs with the same description have the same kernels.

The description holds all that fusion, the kernels' writers and the plan look at: the lowered steps, the types and known
values of their variables, the constants' data, which sizes are open, the settings and the processor. It holds no
address and no name of a variable; variables are numbers, in the order in which they appear.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from symgrad.backends.code_cache import key_of
from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.llvm.library import fingerprint, source_files
from symgrad.config import config
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import Evaluate, ScalarFunction
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.steps import Bound, Step

_PLAIN = (int, float, bool, str, bytes, type(None))


class IndescribableError(Exception):
    """Something whose content can't be told: such a program isn't kept."""


@dataclass(eq=False)
class Ingredients:
    """What a program is made from.

    Attributes
    ----------
    key : str
        The name of all that its kernels depend on.
    steps : sequence of Step
        The lowered graph, large totals in parts.
    variables : sequence of Variable
        Its variables, by number.
    numbers : dict
        Their numbers.
    """

    key: str
    steps: Sequence[Step]
    variables: Sequence[Variable]
    numbers: dict[Variable, int]


def ingredients(graph: ClosedGraph, steps: Sequence[Step], sizes: OpenSizes) -> Ingredients:
    """Describe what a program is to be made from.

    Raises
    ------
    IndescribableError
        If there is something in it whose content can't be told, or if symgrad's own source files can't be looked at.
    """
    described = _Description()
    leaves = (graph.inputs, graph.shared(), graph.targets, graph.values, graph.outputs)
    described.parts += [described.variables(group) for group in leaves]
    for step in steps:
        operands, results = described.variables(step.inputs), described.variables(step.outputs)
        described.parts.append(f"{step.name} {described.content(step.kernel)} {operands} to {results}")
    for variable in list(described.numbers):
        described.parts.append(described.known(variable, sizes.types[variable], sizes.dims.get(variable)))
    described.parts.append(repr(sorted(sizes.values.items())))
    return Ingredients(key_of(*surroundings(), *described.parts), steps, list(described.numbers), described.numbers)


class _Description:
    """Numbers variables, and writes down what they and the kernels are."""

    def __init__(self) -> None:
        self.numbers: dict[Variable, int] = {}
        self.parts: list[str] = []

    def variables(self, variables: Iterable[Variable]) -> str:
        """Return the numbers of variables."""
        numbers = self.numbers
        return ",".join([str(numbers.setdefault(variable, len(numbers))) for variable in variables])

    def known(self, variable: Variable, operand: Operand, dims: Sequence[int | str] | None) -> str:
        """Return what is known of a variable: its type, its value, and its open sizes."""
        kind = operand.type
        text = f"{type(kind).__name__} {getattr(kind, 'dtype', kind)} {getattr(kind, 'shape', '')}"
        text += f"{getattr(kind, 'broadcastable', '')} {dims or ''}"
        if isinstance(variable, Constant):
            return f"{text} constant {_array(variable.data)}"
        owner = type(variable).__name__ if variable.owner is None else ""
        return text + owner + ("" if operand.known is None else f" is {_array(operand.known)}")

    def content(self, value: Any) -> str:
        """Return the content of a kernel, or of what stands in one."""
        if isinstance(value, Enum):
            return str(value)
        if isinstance(value, _PLAIN):
            return repr(value)
        if isinstance(value, tuple | list):
            return f"({','.join(map(self.content, value))})"
        if isinstance(value, Bound):
            return f"Bound({self.content(value.kernel)})"  # its programs have descriptions of their own
        if isinstance(value, ClosedGraph):
            return "graph"
        if isinstance(value, ScalarFunction | Evaluate):
            return f"{type(value).__name__} {value.name}"
        if isinstance(value, np.dtype):
            return str(value)
        if isinstance(value, np.ndarray | np.generic):
            return _array(np.asarray(value))
        fields = getattr(value, "__dataclass_fields__", None)
        if fields is None or isinstance(value, type):
            raise IndescribableError(type(value).__name__)
        return f"{type(value).__name__}({','.join([self.content(getattr(value, name)) for name in fields])})"


def _array(array: np.ndarray) -> str:
    """Return what an array holds."""
    if array.dtype.hasobject:
        raise IndescribableError("objects")
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype.str}{array.shape}{digest}"


def surroundings() -> tuple[str, ...]:
    """Return what besides the steps decides about a program: symgrad, llvmlite, Python, NumPy, settings, the processor.

    Raises
    ------
    IndescribableError
        If symgrad's sources or llvmlite's library aren't files.
    """
    sources, compiler = source_files(), fingerprint()
    if not sources or not compiler:
        raise IndescribableError("symgrad, or llvmlite")
    processor = host()
    details = (processor.vector_bytes, processor.masked, processor.registers)
    return (
        sources, compiler, sys.version, np.__version__, processor.triple, processor.name, processor.features,
        repr(details), f"fusion={config.fusion}",
    )  # fmt: skip
