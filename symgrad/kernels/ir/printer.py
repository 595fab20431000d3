"""Prints kernels as text that reads like Python."""

from __future__ import annotations

from collections.abc import Iterator

from symgrad.graph.dtypes import kind_of
from symgrad.kernels.ir.grammar import (
    Call,
    Carry,
    Cast,
    Check,
    Expression,
    Kernel,
    Let,
    Literal,
    Load,
    Loop,
    Ref,
    Size,
    Statement,
    Store,
)  # fmt: skip

_SYMBOLS = {
    "add": ("+", 4), "subtract": ("-", 4), "multiply": ("*", 5), "true_divide": ("/", 5), "floor_divide": ("//", 5),
    "mod": ("%", 5), "lt": ("<", 2), "le": ("<=", 2), "gt": (">", 2), "ge": (">=", 2), "eq": ("==", 2),
    "neq": ("!=", 2), "and": ("&", 3), "or": ("|", 3), "xor": ("^", 3),
}  # fmt: skip
_SUFFIXES = {"float32": "f", "float64": "", "int64": "", "bool": ""}


def print_kernel(kernel: Kernel) -> str:
    """Return a kernel as text."""
    buffers = ", ".join(
        f"{b.role.value} {b.name}: {b.dtype}[{_sizes(b.shape)}]{_strides(b.shape, b.strides)}" for b in kernel.buffers
    )
    sizes = f"; {', '.join(kernel.sizes)}" if kernel.sizes else ""
    lines = [f"kernel {kernel.name}({buffers}{sizes})"]
    lines += [f"    {line}" for statement in kernel.body for line in _lines(statement)]
    return "\n".join(lines)


def print_expression(expression: Expression, strength: int = 0) -> str:
    """Return an expression as text, in brackets if its operator binds less than `strength`."""
    if isinstance(expression, Ref):
        return expression.name
    if isinstance(expression, Literal):
        return _literal(expression)
    if isinstance(expression, Load):
        element = f"{expression.buffer}[{', '.join(map(print_expression, expression.indices))}]"
        return element if expression.mask is None else f"({element} if {print_expression(expression.mask)} else 0)"
    if isinstance(expression, Cast):
        return f"{expression.dtype}({print_expression(expression.value)})"
    if expression.function not in _SYMBOLS:
        name = f"bits_as_{expression.dtype}" if expression.function == "bitcast" else expression.function
        return f"{name}({', '.join(map(print_expression, expression.operands))})"
    return _infix(expression, strength)


def _infix(expression: Call, strength: int) -> str:
    symbol, own = _SYMBOLS[expression.function]
    first, second = expression.operands
    text = f"{print_expression(first, own)} {symbol} {print_expression(second, own + 1)}"
    return f"({text})" if own < strength else text


def _literal(literal: Literal) -> str:
    if literal.dtype in _SUFFIXES:
        return f"{_number(literal)}{_SUFFIXES[literal.dtype]}"
    return f"{literal.dtype}({_number(literal)})"


def _number(literal: Literal) -> str:
    if kind_of(literal.dtype) == "f":
        return repr(float(literal.value))
    return str(bool(literal.value) if literal.dtype == "bool" else int(literal.value))


def _lines(statement: Statement) -> Iterator[str]:
    if isinstance(statement, Let | Carry):
        yield f"{statement.name} = {print_expression(statement.value)}"
    elif isinstance(statement, Store):
        where = "" if statement.mask is None else f"if {print_expression(statement.mask)}: "
        place = ", ".join(map(print_expression, statement.indices))
        yield f"{where}{statement.buffer}[{place}] = {print_expression(statement.value)}"
    elif isinstance(statement, Check):
        yield f"check {print_expression(statement.condition)} else {statement.code}"
    else:
        yield from _loop(statement)


def _loop(loop: Loop) -> Iterator[str]:
    for carried in loop.carried:
        yield f"{carried.name} = {print_expression(carried.start)}"
    carries = "".join(f", {c.name} by {c.combine}" if c.combine else f", {c.name}" for c in loop.carried)
    yield f"{loop.kind.value} {loop.index} < {loop.extent}{carries}:"
    for statement in loop.body:
        for line in _lines(statement):
            yield f"    {line}"


def _sizes(sizes: tuple[Size, ...]) -> str:
    return ", ".join(map(str, sizes))


def _strides(shape: tuple[Size, ...], strides: tuple[Size, ...]) -> str:
    """Strides are shown where they aren't those of a C-contiguous buffer."""
    expected: list[Size | None] = []
    step: Size | None = 1
    for size in reversed(shape):
        expected.append(step)
        if isinstance(step, int) and isinstance(size, int):
            step = step * max(size, 1)
        else:
            step = size if step == 1 else None
    usual = all(e is None or e == s or size == 1 for e, s, size in zip(reversed(expected), strides, shape, strict=True))
    return "" if usual else f" strides {_sizes(strides)}"


