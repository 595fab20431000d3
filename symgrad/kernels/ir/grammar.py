"""Kernel IR: what a generated kernel is made of. This screen is the whole grammar.

    kernel     = Kernel(name, buffers, sizes, body)
    buffer     = Buffer(name, dtype, shape, strides, role)        strides in elements, 0 where the buffer is stretched
    size       = an integer, or the name of one that only the call knows
    body       = statement*
    statement  = Let(name, value)                                 a value that later statements refer to
               | Store(buffer, indices, value, mask)
               | Check(condition, code)                           leaves the kernel with `code` unless it holds
               | Loop(index, extent, kind, carried, body)         index counts from 0 to extent - 1
    carried    = Carried(name, start, combine)                    a value that goes from round to round
               | ... inside the loop: Carry(name, value)          what it becomes
    expression = Literal(value, dtype)
               | Ref(name)                                        a Let, a loop's index, a carried value, a size
               | Load(buffer, indices, mask)                      a gather where indices are not affine; 0 where masked
               | Call(function, operands, dtype)                  a scalar function by name, see `functions`
               | Cast(value, dtype)

`kind` is PARALLEL (rounds in any order, on any thread; outermost only), VECTOR (rounds in any order; a carried value is
kept in lanes and combined at the end), UNROLLED (a fixed, small extent) or SERIAL. `combine` names an associative
function of two operands (add, multiply, maximum, minimum, and, or): in a PARALLEL or VECTOR loop each Carry must be
``combine(Ref(name), something)``, and nothing else in the loop may read the name. After the loop the name stands for
the last value. float16 and bfloat16 are only loaded, stored and cast to and from float32: kernels compute nothing in
them. Names are unique in a kernel; all integers that count or index are int64; no two rounds of a PARALLEL or
VECTOR loop write one element. Nothing here knows about lanes, threads or caches.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

Size = int | str


class Role(enum.Enum):
    """What a buffer is for."""

    INPUT = "input"
    OUTPUT = "output"
    SCRATCH = "scratch"
    """Memory of the thread, for values between two passes over the same row; it has static sizes."""


class Kind(enum.Enum):
    """How the rounds of a loop may run."""

    PARALLEL = "parallel"
    VECTOR = "vector"
    UNROLLED = "unrolled"
    SERIAL = "serial"


@dataclass(frozen=True)
class Buffer:
    """Typed memory: element ``[i, j]`` is at ``i * strides[0] + j * strides[1]``."""

    name: str
    dtype: str
    shape: tuple[Size, ...]
    strides: tuple[Size, ...]
    role: Role


@dataclass(frozen=True)
class Literal:
    """A number."""

    value: float | int | bool
    dtype: str


@dataclass(frozen=True)
class Ref:
    """A value by its name."""

    name: str


@dataclass(frozen=True)
class Load:
    """An element of a buffer; where `mask` is false, 0, and memory isn't touched."""

    buffer: str
    indices: tuple[Expression, ...]
    mask: Expression | None = None


@dataclass(frozen=True)
class Call:
    """A scalar function: all operands and the result have the function's own dtypes; nothing is promoted."""

    function: str
    operands: tuple[Expression, ...]
    dtype: str


@dataclass(frozen=True)
class Cast:
    """A value in another dtype, as NumPy's ``astype``."""

    value: Expression
    dtype: str


Expression = Literal | Ref | Load | Call | Cast


@dataclass(frozen=True)
class Let:
    """Names a value."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Store:
    """Writes an element of a buffer, unless `mask` is false."""

    buffer: str
    indices: tuple[Expression, ...]
    value: Expression
    mask: Expression | None = None


@dataclass(frozen=True)
class Check:
    """Leaves the kernel with `code` unless `condition` holds (in every lane)."""

    condition: Expression
    code: int = 1


@dataclass(frozen=True)
class Carried:
    """A value that goes from round to round."""

    name: str
    start: Expression
    combine: str | None = None


@dataclass(frozen=True)
class Carry:
    """What a carried value of the innermost loop becomes."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Loop:
    """``for index in range(extent)``."""

    index: str
    extent: Size
    kind: Kind
    body: tuple[Statement, ...]
    carried: tuple[Carried, ...] = ()


Statement = Let | Store | Check | Carry | Loop


@dataclass(frozen=True)
class Kernel:
    """A kernel: buffers in the order in which they are passed, open sizes in theirs, statements."""

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    body: tuple[Statement, ...]
