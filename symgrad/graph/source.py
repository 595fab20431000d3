"""Where the user wrote something: file, line, and the text of that line."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Sequence
from contextvars import ContextVar, Token
from types import FrameType, ModuleType
from typing import Any, NamedTuple

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Source(NamedTuple):
    """The place in the user's program that made a node.

    The text of the line is read when it is shown, not when the node is made.
    """

    filename: str
    line: int
    text_read: str | None = None

    @property
    def text(self) -> str:
        """The user's line, stripped; empty if the file can't be read."""
        if self.text_read is not None:
            return self.text_read
        return linecache.getline(self.filename, self.line).strip()

    @property
    def place(self) -> str:
        """``file:line``, with the file relative to the working folder when it lies inside."""
        filename = self.filename
        if os.path.isabs(filename):
            relative = os.path.relpath(filename)
            filename = filename if relative.startswith("..") else relative
        return f"{filename}:{self.line}"

    def __str__(self) -> str:
        text = self.text
        return f"{self.place}   {text}" if text else self.place

    def with_text(self) -> Source:
        """Return a source that carries the text itself, for a pickle that travels to another machine."""
        return Source(self.filename, self.line, self.text)


_override: ContextVar[Source | None] = ContextVar("symgrad_source", default=None)


def user_frame() -> FrameType | None:
    """Return the innermost frame that runs code outside symgrad, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_internal(frame):
        frame = frame.f_back
    return frame


def _is_internal(frame: FrameType) -> bool:
    """Whether a frame runs symgrad's own code, which includes what dataclasses generate for it."""
    filename = frame.f_code.co_filename
    if filename == "<string>":
        return str(frame.f_globals.get("__name__", "")).startswith("symgrad.")
    return filename.startswith(PACKAGE_FOLDER)


def current_source() -> Source | None:
    """Return the user's line that is running, or the one set by `attributed_to`."""
    override = _override.get()
    if override is not None:
        return override
    frame = user_frame()
    return None if frame is None else Source(frame.f_code.co_filename, frame.f_lineno)


class attributed_to:
    """Attribute nodes made in this block to `source`: gradients and rewrites keep the line of the forward node."""

    __slots__ = ("_source", "_token")

    _token: Token[Source | None]

    def __init__(self, source: Source | None) -> None:
        self._source = source

    def __enter__(self) -> None:
        self._token = _override.set(self._source)

    def __exit__(self, *error: object) -> None:
        _override.reset(self._token)


def operand_texts(operands: Sequence[Any]) -> list[str]:
    """Return how the expression that the user's frame is evaluating writes each operand; empty where it doesn't.

    Python records the columns of each instruction, so while the line still runs, the very call or operator that
    failed can be cut out of it.
    """
    frame = user_frame() if _override.get() is None else None
    expression = None if frame is None else _running_expression(frame)
    if frame is None or expression is None:
        return [""] * len(operands)
    found = {id(_resolve(node, frame)): ast.unparse(node) for node in ast.walk(expression)}
    texts = [found.get(id(operand), "") for operand in operands]
    written = _operands_of(expression, frame)
    symbolic = [one for one in written if not isinstance(one.node, ast.Constant | ast.Tuple | ast.List)]
    for candidates in (written, symbolic):
        fitting = len(candidates) == len(operands) and all(
            candidate.may_be(operand) for candidate, operand in zip(candidates, operands, strict=True)
        )
        if fitting:
            return [text or candidate.text for text, candidate in zip(texts, candidates, strict=True)]
    return texts


class _Written(NamedTuple):
    """An operand as the line writes it, and the object that it means, if that can be known without running code."""

    node: ast.expr
    value: Any
    text: str

    def may_be(self, operand: Any) -> bool:
        """Whether this may be what became `operand`."""
        if isinstance(self.node, ast.Constant):
            return hasattr(operand, "data")
        return self.value is None or hasattr(self.value, "owner") or not isinstance(self.value, list | tuple | dict)


def _running_expression(frame: FrameType) -> ast.expr | None:
    """Return the call or operator that a frame is evaluating."""
    positions = list(frame.f_code.co_positions())
    line, end_line, column, end_column = positions[frame.f_lasti // 2]
    if line is None or end_line is None or column is None or end_column is None:
        return None
    lines = [linecache.getline(frame.f_code.co_filename, number) for number in range(line, end_line + 1)]
    if not lines or not lines[0]:
        return None
    lines[-1] = lines[-1].encode()[:end_column].decode(errors="replace")
    lines[0] = lines[0].encode()[column:].decode(errors="replace")
    try:
        return ast.parse(f"({''.join(lines)})", mode="eval").body
    except SyntaxError:
        return None


def _operands_of(expression: ast.expr, frame: FrameType) -> list[_Written]:
    """Return both sides of an operator, or the arguments of a call, after the object whose method is called.

    A list of operands stands for its elements.
    """
    nodes: list[ast.expr] = []
    if isinstance(expression, ast.BinOp):
        nodes = [expression.left, expression.right]
    elif isinstance(expression, ast.Compare):
        nodes = [expression.left, *expression.comparators]
    elif isinstance(expression, ast.Subscript):
        nodes = [expression.value]
    elif isinstance(expression, ast.Call):
        function = expression.func
        is_method = isinstance(function, ast.Attribute) and not isinstance(_resolve(function.value, frame), ModuleType)
        nodes = [function.value] if is_method else []  # type: ignore[attr-defined]
        nodes += [*expression.args, *(keyword.value for keyword in expression.keywords)]
    written: list[_Written] = []
    for node in nodes:
        value, text = _resolve(node, frame), ast.unparse(node)
        if isinstance(value, list | tuple) and any(hasattr(element, "owner") for element in value):
            written += [_Written(node, element, f"{text}[{index}]") for index, element in enumerate(value)]
        elif isinstance(node, ast.List | ast.Tuple) and not all(isinstance(e, ast.Constant) for e in node.elts):
            written += [_Written(element, _resolve(element, frame), ast.unparse(element)) for element in node.elts]
        else:
            written.append(_Written(node, value, text))
    return written


def _resolve(node: ast.AST, frame: FrameType) -> Any:
    """Return the object that a name, or an attribute of one, means; no user's code runs. None if that isn't known."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        return getattr(_resolve(node.value, frame), "__dict__", {}).get(node.attr)
    return None
