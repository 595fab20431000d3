"""Test values: a graph computed on examples while it is built, so that mistakes show on the line that makes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import (
    IndexingError,
    MissingTestValueError,
    OperandDescription,
    ShapeError,
    SymgradError,
    render,
)
from symgrad.graph.source import current_source, operand_texts
from symgrad.graph.traversal import applies_before
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Constant, SharedVariable, Variable


class _Missing(Exception):
    """A variable has no test value, and none can be computed."""

    def __init__(self, variable: Variable) -> None:
        super().__init__(str(variable))
        self.variable = variable


def get_test_value(v: Any) -> Any:
    """Return the test value of a variable, of a constant its value, of a shared variable its present value.

    Parameters
    ----------
    v : Variable or array_like
        Anything but a variable is its own test value.

    Raises
    ------
    AttributeError
        If there is none, and what the variable is computed from has none either.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> x.tag.test_value = np.array([1., 2.])
    >>> get_test_value(x), get_test_value(x * 2)
    (array([1., 2.]), array([2., 4.]))
    """
    if not isinstance(v, Variable):
        return np.asarray(v)
    try:
        return _value(v)
    except _Missing as missing:
        raise _missing_error(missing.variable) from None


def get_debug_values(*args: Any) -> list[tuple[Any, ...]]:
    """Return the test values of several variables as a list that holds one tuple, or nothing.

    It is meant for ``for x_value, y_value in get_debug_values(x, y): ...``: the block runs once if test values are
    computed and all are there.

    Raises
    ------
    AttributeError
        If one is missing, and ``compute_test_value`` is ``raise``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> get_debug_values(T.dvector('x'))
    []
    """
    mode = config.compute_test_value
    if mode == "off":
        return []
    try:
        return [tuple([_value(v) if isinstance(v, Variable) else np.asarray(v) for v in args])]
    except _Missing as missing:
        if mode == "raise":
            raise _missing_error(missing.variable) from None
        if mode == "warn":
            warnings.warn(f"{missing.variable} has no test value", stacklevel=2)
        return []


def _missing_error(variable: Variable, headline: str = "") -> MissingTestValueError:
    return MissingTestValueError(
        render(headline or f"{variable} has no test value", str(variable.source or ""),
               remedy=f"Give it one: {variable.name or 'x'}.tag.test_value = an array of {variable.type}.")
    )  # fmt: skip


def _own_value(variable: Variable) -> Any:
    """Return the value that a variable has without computing anything; None if it has none."""
    if isinstance(variable, Constant):
        return variable.data
    if variable._tag is not None and hasattr(variable._tag, "test_value"):
        value = variable._tag.test_value
        try:
            return variable.type.convert(value)
        except SymgradError as error:
            text = f"the test value of {variable} doesn't have its type: {error}"
            raise type(error)(render(text, str(variable.source or ""))) from None
    if isinstance(variable, SharedVariable):
        return variable.container.on_host()
    return None


def _value(variable: Variable) -> Any:
    """Return a variable's value; what it is computed from is computed as far as necessary, and kept."""
    value = _own_value(variable)
    if value is not None:
        return value
    if variable.owner is None:
        raise _Missing(variable)
    for node in applies_before([variable]):
        if any(_own_value(output) is None for output in node.outputs):
            _compute(node, [_value_here(operand) for operand in node.inputs])
    return _own_value(variable)


def _value_here(variable: Variable) -> Any:
    value = _own_value(variable)
    if value is None:
        raise _Missing(variable)
    return value


def _compute(node: Apply, values: Sequence[Any]) -> None:
    """Compute the outputs of a node, and keep them in their tags; an error names the node's line."""
    from symgrad.graph.op import InferenceError, Operand

    try:
        node.op.infer(*[
            Operand(_bound(variable.type, value), variable.known)
            for variable, value in zip(node.inputs, values, strict=True)
        ])  # fmt: skip
        results = node.op.evaluate(*values)
    except InferenceError as error:
        raise _located(error.error, error.headline, node, values, error.remedy) from None
    except SymgradError as error:
        raise _located(type(error), str(error), node, values) from None
    except (ValueError, IndexError) as error:
        kind = IndexingError if isinstance(error, IndexError) else ShapeError
        raise _located(kind, f"{node.op} failed on test values: {error}", node, values) from None
    for output, result in zip(node.outputs, results, strict=True):
        output.tag.test_value = result


def _bound(kind: Any, value: Any) -> Any:
    if not isinstance(kind, TensorType) or not isinstance(value, np.ndarray) or value.ndim != kind.ndim:
        return kind
    return TensorType(kind.dtype, value.shape, kind.broadcastable)


def _located(
    kind: type[SymgradError], headline: str, node: Apply, values: Sequence[Any], remedy: str = ""
) -> SymgradError:
    texts = operand_texts(node.inputs)
    operands = [
        OperandDescription(text or str(variable), f"{value.dtype} {value.shape}" if hasattr(value, "shape") else "",
                           "test value")
        for text, variable, value in zip(texts, node.inputs, values, strict=True)
    ]  # fmt: skip
    return kind(render(headline, str(node.source or current_source() or ""), operands, remedy))


_paused: ContextVar[bool] = ContextVar("symgrad_test_values_paused", default=False)


@contextmanager
def without_test_values() -> Iterator[None]:
    """Compute no test values in this block, in which variables stand for something that has none."""
    token = _paused.set(True)
    try:
        yield
    finally:
        _paused.reset(token)


def complete_test_values(variables: Sequence[Any]) -> None:
    """Compute those of results that were made `without_test_values`, as far as there are values for it."""
    if config.compute_test_value == "off" or _paused.get():
        return
    for variable in variables:
        if isinstance(variable, Variable) and variable.owner is not None:
            with suppress(_Missing):
                _value(variable)


def note_test_values(node: Apply) -> None:
    """Compute the outputs of a fresh node on the test values of its inputs, as ``compute_test_value`` says."""
    if _paused.get():
        return
    mode = config.compute_test_value
    try:
        values = [_value(variable) for variable in node.inputs]
    except _Missing as missing:
        position = next((k for k, v in enumerate(node.inputs) if v is missing.variable), None)
        which = f"input {position} ({missing.variable})" if position is not None else str(missing.variable)
        text = f"Cannot compute test value: {which} of {node.op} missing default value"
        if mode == "raise":
            raise _missing_error(missing.variable, text) from None
        if mode == "warn":
            warnings.warn(text, stacklevel=4)
        elif mode == "pdb":
            breakpoint()
        return
    try:
        _compute(node, values)
    except SymgradError:
        if mode == "pdb":
            breakpoint()
        raise
