"""Builds kernels: loops are ``with`` blocks, expressions have operators, names are made unique.

>>> builder = KernelBuilder("row_sums")
>>> n = builder.size("n")
>>> x = builder.input("x", "float32", (n, 10))
>>> y = builder.output("y", "float32", (n,))
>>> with builder.parallel(n) as row:
...     with builder.vector(10, total=("add", builder.literal(0, "float32"))) as column:
...         column.carry("total", x[row.index, column.index])
...     y[row.index] = column["total"]
>>> print(print_kernel(builder.kernel()))
kernel row_sums(input x: float32[n, 10], output y: float32[n]; n)
    parallel i < n:
        total = 0.0f
        vector j < 10, total by add:
            total = total + x[i, j]
        y[i] = total
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from symgrad.kernels.ir.functions import result_dtype
from symgrad.kernels.ir.grammar import (
    Buffer,
    Call,
    Carried,
    Carry,
    Cast,
    Check,
    Expression,
    Kernel,
    Kind,
    Let,
    Literal,
    Load,
    Loop,
    Ref,
    Role,
    Size,
    Statement,
    Store,
)  # fmt: skip
from symgrad.kernels.ir.printer import print_kernel
from symgrad.kernels.ir.verifier import verify

INDEX = "int64"
_LOOP_LABELS = "ijklpqr"


@dataclass(frozen=True, eq=False)
class Term:
    """An expression with its dtype, and operators. Numbers beside it take its dtype."""

    expression: Expression
    dtype: str

    def _binary(self, name: str, other: Any, swapped: bool = False) -> Term:
        operands = (self, lifted(other, self.dtype))
        return call(name, *(operands[::-1] if swapped else operands))

    def __add__(self, other: Any) -> Term:
        return self._binary("add", other)

    def __radd__(self, other: Any) -> Term:
        return self._binary("add", other, swapped=True)

    def __sub__(self, other: Any) -> Term:
        return self._binary("subtract", other)

    def __rsub__(self, other: Any) -> Term:
        return self._binary("subtract", other, swapped=True)

    def __mul__(self, other: Any) -> Term:
        return self._binary("multiply", other)

    def __rmul__(self, other: Any) -> Term:
        return self._binary("multiply", other, swapped=True)

    def __truediv__(self, other: Any) -> Term:
        return self._binary("true_divide", other)

    def __rtruediv__(self, other: Any) -> Term:
        return self._binary("true_divide", other, swapped=True)

    def __floordiv__(self, other: Any) -> Term:
        return self._binary("floor_divide", other)

    def __mod__(self, other: Any) -> Term:
        return self._binary("mod", other)

    def __neg__(self) -> Term:
        return call("negative", self)

    def __lt__(self, other: Any) -> Term:
        return self._binary("lt", other)

    def __le__(self, other: Any) -> Term:
        return self._binary("le", other)

    def __gt__(self, other: Any) -> Term:
        return self._binary("gt", other)

    def __ge__(self, other: Any) -> Term:
        return self._binary("ge", other)

    def __and__(self, other: Any) -> Term:
        return self._binary("and", other)

    def __or__(self, other: Any) -> Term:
        return self._binary("or", other)

    def __invert__(self) -> Term:
        return call("invert", self)


def lifted(value: Any, dtype: str) -> Term:
    """Return a number, or the name of a size, as a term; terms stay as they are."""
    if isinstance(value, Term):
        return value
    if isinstance(value, str):
        return Term(Ref(value), INDEX)
    return Term(Literal(value, dtype), dtype)


def call(name: str, *operands: Term) -> Term:
    """Apply a scalar function."""
    dtype = result_dtype(name, [operand.dtype for operand in operands])
    return Term(Call(name, tuple(operand.expression for operand in operands), dtype), dtype)


def cast(value: Term, dtype: str) -> Term:
    """Convert to another dtype; nothing is written if it is that already."""
    return value if value.dtype == dtype else Term(Cast(value.expression, dtype), dtype)


@dataclass(frozen=True, eq=False)
class Memory:
    """A buffer in a builder: ``x[i, j]`` loads, ``x[i, j] = value`` stores."""

    buffer: Buffer
    _builder: KernelBuilder

    def _indices(self, indices: Any) -> tuple[Expression, ...]:
        entries = indices if isinstance(indices, tuple) else (indices,)
        return tuple(lifted(entry, INDEX).expression for entry in entries)

    def __getitem__(self, indices: Any) -> Term:
        return self.load(indices)

    def __setitem__(self, indices: Any, value: Any) -> None:
        self.store(indices, value)

    def load(self, indices: Any, mask: Term | None = None) -> Term:
        """Load an element, 0 where `mask` is false."""
        where = None if mask is None else mask.expression
        return Term(Load(self.buffer.name, self._indices(indices), where), self.buffer.dtype)

    def store(self, indices: Any, value: Any, mask: Term | None = None) -> None:
        """Store an element, unless `mask` is false."""
        where = None if mask is None else mask.expression
        term = lifted(value, self.buffer.dtype)
        self._builder.add(Store(self.buffer.name, self._indices(indices), term.expression, where))


@dataclass(eq=False)
class OpenLoop:
    """A loop that is being built: ``index``, the values it carries by their labels, `carry`."""

    index: Term
    _builder: KernelBuilder
    _carried: dict[str, tuple[Term, str | None]] = field(default_factory=dict)

    def __getitem__(self, label: str) -> Term:
        return self._carried[label][0]

    def carry(self, label: str, value: Any) -> None:
        """Say what a carried value becomes; if the loop combines it, what is combined with it."""
        current, combine = self._carried[label]
        term = lifted(value, current.dtype)
        if combine is not None:
            term = call(combine, current, term)
        assert isinstance(current.expression, Ref)
        self._builder.add(Carry(current.expression.name, term.expression))


class KernelBuilder:
    """Builds one kernel.

    Parameters
    ----------
    name : str
        The kernel's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._buffers: list[Buffer] = []
        self._sizes: list[str] = []
        self._names: set[str] = {name}
        self._blocks: list[list[Statement]] = [[]]

    def unique(self, label: str) -> str:
        """Return a name that nothing in the kernel has yet."""
        name, number = label, 0
        while name in self._names:
            number += 1
            name = f"{label}{number}"
        self._names.add(name)
        return name

    def add(self, statement: Statement) -> None:
        """Append a statement to the innermost open loop."""
        self._blocks[-1].append(statement)

    # ---- what the kernel works on ----

    def size(self, label: str = "n") -> str:
        """Declare a size that only the call knows."""
        name = self.unique(label)
        self._sizes.append(name)
        return name

    def _memory(
        self, label: str, dtype: str, shape: Sequence[Size], strides: Sequence[Size] | None, role: Role
    ) -> Memory:
        strides = contiguous_strides(shape) if strides is None else strides
        buffer = Buffer(self.unique(label), dtype, tuple(shape), tuple(strides), role)
        self._buffers.append(buffer)
        return Memory(buffer, self)

    def input(self, label: str, dtype: str, shape: Sequence[Size], strides: Sequence[Size] | None = None) -> Memory:
        """Declare an operand; without `strides` it is C-contiguous."""
        return self._memory(label, dtype, shape, strides, Role.INPUT)

    def output(self, label: str, dtype: str, shape: Sequence[Size], strides: Sequence[Size] | None = None) -> Memory:
        """Declare an output; without `strides` it is C-contiguous."""
        return self._memory(label, dtype, shape, strides, Role.OUTPUT)

    def scratch(self, label: str, dtype: str, shape: Sequence[int]) -> Memory:
        """Declare memory of the thread."""
        return self._memory(label, dtype, shape, None, Role.SCRATCH)

    # ---- expressions ----

    def literal(self, value: float, dtype: str) -> Term:
        """Return a number."""
        return Term(Literal(value, dtype), dtype)

    def call(self, name: str, *operands: Term) -> Term:
        """Apply a scalar function."""
        return call(name, *operands)

    def cast(self, value: Term, dtype: str) -> Term:
        """Convert to another dtype."""
        return cast(value, dtype)

    # ---- statements ----

    def let(self, label: str, value: Term) -> Term:
        """Name a value."""
        name = self.unique(label)
        self.add(Let(name, value.expression))
        return Term(Ref(name), value.dtype)

    def check(self, condition: Term, code: int = 1) -> None:
        """Leave the kernel with `code` unless the condition holds."""
        self.add(Check(condition.expression, code))

    @contextmanager
    def loop(
        self, kind: Kind, extent: Size, label: str | None = None, **carried: tuple[str | None, Term]
    ) -> Iterator[OpenLoop]:
        """Open a loop; each of `carried` is ``label=(combine or None, start)``."""
        index = self.unique(label or next((one for one in _LOOP_LABELS if one not in self._names), "i"))
        names = {key: self.unique(key) for key in carried}
        loop = OpenLoop(Term(Ref(index), INDEX), self)
        for key, (combine, start) in carried.items():
            loop._carried[key] = (Term(Ref(names[key]), start.dtype), combine)
        self._blocks.append([])
        yield loop
        body = tuple(self._blocks.pop())
        starts = tuple(Carried(names[key], start.expression, how) for key, (how, start) in carried.items())
        self.add(Loop(index, extent, kind, body, starts))

    def parallel(self, extent: Size, label: str | None = None, **carried: tuple[str | None, Term]) -> Any:
        """Open a loop whose rounds may run on any thread."""
        return self.loop(Kind.PARALLEL, extent, label, **carried)

    def vector(self, extent: Size, label: str | None = None, **carried: tuple[str | None, Term]) -> Any:
        """Open a loop whose rounds may run in lanes."""
        return self.loop(Kind.VECTOR, extent, label, **carried)

    def serial(self, extent: Size, label: str | None = None, **carried: tuple[str | None, Term]) -> Any:
        """Open a loop whose rounds run one after the other."""
        return self.loop(Kind.SERIAL, extent, label, **carried)

    def unrolled(self, extent: int, label: str | None = None, **carried: tuple[str | None, Term]) -> Any:
        """Open a loop whose rounds are written out."""
        return self.loop(Kind.UNROLLED, extent, label, **carried)

    def kernel(self) -> Kernel:
        """Return the finished kernel, verified."""
        assert len(self._blocks) == 1, "a loop is still open"
        kernel = Kernel(self.name, tuple(self._buffers), tuple(self._sizes), tuple(self._blocks[0]))
        verify(kernel)
        return kernel


def contiguous_strides(shape: Sequence[Size]) -> tuple[Size, ...]:
    """Return the strides, in elements, of a C-contiguous array.

    An open size may only be the first of a shape: the product of two sizes has no name.

    Examples
    --------
    >>> contiguous_strides(("n", 3, 4))
    (12, 4, 1)
    >>> contiguous_strides((7, "n"))
    ('n', 1)
    """
    strides: list[Size] = []
    step: Size = 1
    for number, size in enumerate(reversed(shape)):
        strides.append(step)
        if number == len(shape) - 1:
            break
        if isinstance(step, int) and step == 1:
            step = size
        elif isinstance(step, int) and isinstance(size, int):
            step = step * max(size, 1)
        else:
            raise ValueError(f"the strides of {tuple(shape)} are products of open sizes; give them as sizes")
    return tuple(reversed(strides))


__all__ = [
    "KernelBuilder", "Memory", "OpenLoop", "Term", "call", "cast", "contiguous_strides", "lifted", "print_kernel",
]  # fmt: skip
