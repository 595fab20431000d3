"""What an error that a program raises has to do with the user's lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from symgrad.backends.base import WRITTEN_PROGRAMS
from symgrad.errors import IndexingError, OperandDescription, RangeError, ShapeError, SymgradError, render
from symgrad.graph.op import InferenceError, describe_operands
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Map


def explain(error: Exception, inputs: Sequence[Any], arguments: Sequence[np.ndarray]) -> NoReturn:
    """Raise an error that names the user's line which the failed step came from.

    Parameters
    ----------
    error : Exception
        What a program raised.
    inputs : sequence of InputSpec
        The function's inputs.
    arguments : sequence of ndarray
        What it was called with.
    """
    step, frame, program = _failed_step(error)
    if step is None or program is None or isinstance(error, MemoryError):
        raise error
    values = program.operands_in(frame, step)
    types = [kind_of(v, value) for v, value in zip(step.inputs, values, strict=True)]
    operands = describe_operands(step.inputs, (), types)
    given = [
        OperandDescription(spec.name or f"argument {index}", shape_of(array), "argument")
        for index, (spec, array) in enumerate(zip(inputs, arguments, strict=True))
        if spec.variable not in step.inputs
    ]
    is_users = getattr(getattr(step.kernel, "evaluate", None), "runs_users_code", False)
    is_users = is_users and not isinstance(error, SymgradError)
    kind = _also(type(error)) if is_users else _shown_kind(error, step)
    headline, remedy = f"{step.name} failed: {error}", ""
    if isinstance(error, InferenceError):
        headline, remedy = error.headline, error.remedy
    elif isinstance(error, SymgradError):
        headline = str(error)
    text = render(headline, str(step.source or ""), [*operands, *given], remedy)
    raise kind(text) from (error if is_users else None)


def _failed_step(error: Exception) -> tuple[Any, Any, Any]:
    """Return the step of a program that an error comes from, the frame that ran it, and the program."""
    step, frame, program = None, None, None
    trace = error.__traceback__
    while trace is not None:
        owner = WRITTEN_PROGRAMS.get(trace.tb_frame.f_code.co_filename)
        found = None if owner is None else owner.steps_by_line.get(trace.tb_lineno)
        if found is not None:
            step, frame, program = found, trace.tb_frame, owner
        trace = trace.tb_next
    return step, frame, program


def _shown_kind(error: Exception, step: Any) -> type[Exception]:
    """Return which error of symgrad's the user sees."""
    if isinstance(error, InferenceError):
        return error.error
    value_error = RangeError if isinstance(step.kernel, Map) else ShapeError
    for candidate, shown in ((SymgradError, type(error)), (IndexError, IndexingError), (ValueError, value_error)):
        if isinstance(error, candidate):
            return shown
    return SymgradError


def _also(kind: type[Exception]) -> type[Exception]:
    """Return an error of symgrad's that can be caught as `kind` too: what a user's op raised keeps its class."""
    try:
        made: type[Exception] = type(kind.__name__, (SymgradError, kind), {"__module__": kind.__module__})
        made("")
    except TypeError:  # one that can't be combined, or that is made of something else than a text
        return SymgradError
    return made


def shape_of(array: np.ndarray) -> str:
    """Return dtype and shape of an array, as errors show them."""
    return f"{array.dtype.name} {array.shape}"


def kind_of(variable: Variable, value: Any) -> Any:
    """Return what an error says about an operand: the sizes that it had, or its type."""
    if isinstance(value, np.ndarray):
        return shape_of(value)
    return f"{variable.type} {value.shape}" if hasattr(value, "shape") else variable.expected
