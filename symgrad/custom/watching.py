"""Ops that look at values when a function is called: `Print`, `Assert`, `Breakpoint`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.custom.python_op import PythonOp, disconnected_type
from symgrad.errors import FailedAssertionError
from symgrad.graph.absent import DisconnectedType
from symgrad.graph.op import user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.ops.creation import zeros_like
from symgrad.ops.promotion import as_operand, is_discrete


class _Passing(PythonOp):
    """What they share: their first operands pass, and so do gradients and tangents."""

    passes = 1

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        return [*output_gradients, *[disconnected_type() for _ in inputs[len(output_gradients) :]]]

    def R_op(self, inputs: Sequence[Any], eval_points: Sequence[Any]) -> list[Any]:
        """Tangents pass."""
        return list(eval_points[: self.passes])

    def infer_shape(self, node: Apply, input_shapes: Sequence[Any]) -> Sequence[Any]:
        return input_shapes[: len(node.outputs)]

    @property
    def may_fold(self) -> bool:
        """It does something in each call."""
        return False


def print_attributes(op: Any, value: Any) -> None:
    """Print what `Print` says: a line for each attribute."""
    for attribute in op.attrs:
        found = getattr(value, attribute)
        shown = found() if callable(found) else found
        print(op.message, attribute, "=", shown)


class Print(_Passing):
    """Prints its operand whenever a function computes it.

    ``Print('x')(x)`` is `x`; what is computed from it is printed first. If nothing uses the result, nothing is printed.

    Parameters
    ----------
    message : str
        What is printed before the value.
    attrs : tuple of str
        Which attributes of the array are printed, or methods that are called: ``('shape', 'min')``.
    global_fn : callable, optional
        ``global_fn(op, array)`` is called instead.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.printing.Print``. Each call takes the value out to Python, so functions
    with it are slower.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> f = symgrad.function([x], symgrad.Print('doubled')(x * 2) + 1)
    >>> y = f([1., 2.])
    doubled __str__ = [2. 4.]
    """

    __props__ = ("message", "attrs", "global_fn")
    view_map = {0: [0]}

    def __init__(
        self, message: str = "", attrs: Sequence[str] = ("__str__",), global_fn: Callable[..., Any] = print_attributes
    ) -> None:
        self.message = message
        self.attrs = tuple(attrs)
        self.global_fn = global_fn

    @property  # type: ignore[misc]
    def name(self) -> str:
        return f"Print{{{self.message}}}" if self.message else "Print"

    def make_node(self, x: Any) -> Apply:
        """Pass one operand."""
        x = as_operand(x)
        return Apply(self, [x], [x.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        output_storage[0][0] = inputs[0]
        self.global_fn(self, np.array(inputs[0]))


class Assert(_Passing):
    """Raises an error when a function is called and a condition doesn't hold.

    ``Assert('no rows')(x, x.shape[0] > 0)`` is `x`.

    Parameters
    ----------
    msg : str
        The error's text.

    Raises
    ------
    FailedAssertionError
        (An ``AssertionError``.) In a call, if one of the conditions is false anywhere; it names the line that applied
        the assertion.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.tensor.opt.Assert``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> y = symgrad.Assert('all must be positive')(x, T.all(x > 0))
    >>> print(T.log(y).eval({x: [1.]}))
    [0.]
    """

    __props__ = ("msg",)
    view_map = {0: [0]}

    def __init__(self, msg: str = "Assert failed!") -> None:
        self.msg = msg

    @property  # type: ignore[misc]
    def name(self) -> str:
        return f"Assert{{msg={self.msg!r}}}"

    def make_node(self, value: Any, *conds: Any) -> Apply:
        """Pass a value under conditions."""
        value, conditions = as_operand(value), [as_operand(cond) for cond in conds]
        return Apply(self, [value, *conditions], [value.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        value, *conditions = inputs
        if not all(np.all(condition) for condition in conditions):
            raise FailedAssertionError(self.msg)
        output_storage[0][0] = value


class Breakpoint(_Passing):
    """Stops in Python's debugger when a function is called and a condition holds.

    ``x, y = Breakpoint('here')(x.max() > 10, x, y)``: in the debugger, ``monitored`` is the list of the values. What is
    put into it there is what the function goes on with.

    Parameters
    ----------
    name : str
        What is printed when it stops.

    Notes
    -----
    Keeps the behaviour of Theano's ``PdbBreakpoint``.
    """

    __props__ = ("name",)
    passes = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def make_node(self, condition: Any, *monitored_vars: Any) -> Apply:
        """Pass the monitored values, under a condition."""
        condition, values = as_operand(condition), [as_operand(v) for v in monitored_vars]
        if condition.type.ndim != 0:
            raise user_error(TypeError, "a breakpoint's condition must be a scalar", [condition])
        if not values:
            raise user_error(TypeError, "a breakpoint needs at least one value to pass")
        return Apply(self, [condition, *values], [v.type() for v in values])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        condition, *values = inputs
        if condition:
            monitored = [value.copy() for value in values]
            print(f"breakpoint {self.name}: the values are in `monitored`; enter c to go on")
            breakpoint()
            values = monitored
        for cell, value in zip(output_storage, values, strict=True):
            cell[0] = value

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        passed = [
            zeros_like(x) if isinstance(g.type, DisconnectedType) and not _is_discrete(x) else g
            for x, g in zip(inputs[1:], output_gradients, strict=True)
        ]
        return [disconnected_type(), *passed]

    def R_op(self, inputs: Sequence[Any], eval_points: Sequence[Any]) -> list[Any]:
        """Tangents pass."""
        return list(eval_points[1:])

    def infer_shape(self, node: Apply, input_shapes: Sequence[Any]) -> Sequence[Any]:
        return input_shapes[1:]


def _is_discrete(x: Any) -> bool:
    return not isinstance(x.type, TensorType) or is_discrete(x.type.dtype)
