"""What a native program is made from, as text: programs with the same description have the same kernels.

The description holds all that fusion, the kernels' writers and the plan look at: the lowered steps, the types and known
values of their variables, the constants' data, which sizes are open, the settings and the processor. It holds no
address and no name of a variable; variables are numbers, in the order in which they appear.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

import numpy as np

from symgrad.backends.native.llvm.cache import key_of
from symgrad.backends.native.llvm.host import host
from symgrad.config import config
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import Evaluate, ScalarFunction
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.steps import Step

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
    numbers : mapping
        Their numbers.
    """

    key: str
    steps: Sequence[Step]
    variables: Sequence[Variable]
    numbers: Mapping[Variable, int]


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
        kernel = described.content(step.kernel)
        described.parts.append(f"{step.name} {kernel} {described.variables(step.inputs)}>{described.variables(step.outputs)}")
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
    return f"{array.dtype.str}{array.shape}{array.strides}{digest}"


def surroundings() -> tuple[str, ...]:
    """Return what besides the steps decides about a program: symgrad itself, Python, NumPy, settings, the processor.

    Raises
    ------
    IndescribableError
        If symgrad's source files aren't files.
    """
    sources = source_files()
    if not sources:
        raise IndescribableError("symgrad's sources")
    processor = host()
    details = (processor.vector_bytes, processor.masked, processor.registers)
    return (sources, sys.version, np.__version__, processor.triple, processor.name, processor.features, repr(details),
            f"fusion={config.fusion}")  # fmt: skip


@cache
def source_files() -> str:
    """Return a text that is another one for every other state of symgrad's source files; empty if there are none.

    Names, sizes and dates are enough: this is read on every start, and a cached program from before a change of the
    sources would be wrong code.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    digest, count = hashlib.sha256(root.encode()), 0
    pending = [root]
    try:
        while pending:
            with os.scandir(pending.pop()) as found:
                for entry in sorted(found, key=os.fspath):
                    if entry.name.endswith(".py"):
                        about = entry.stat()
                        digest.update(f"{entry.path} {about.st_size} {about.st_mtime_ns}\n".encode())
                        count += 1
                    elif entry.name != "__pycache__" and entry.is_dir():
                        pending.append(entry.path)
    except OSError:
        return ""
    return digest.hexdigest() if count else ""
