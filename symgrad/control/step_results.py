"""What the user's function of one step returns: outputs, updates, and a condition, told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, render
from symgrad.graph.op import describe_operands, user_error
from symgrad.graph.source import current_source
from symgrad.graph.variables import SharedVariable, Variable
from symgrad.ops.comparison import neq
from symgrad.ops.promotion import as_operand


class until:
    """The condition that ends a loop: `scan` stops after the step in which it is true.

    Parameters
    ----------
    condition : bool scalar
        Symbolic, made in the step. A number is true unless it is zero.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.scan_module.until``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> powers, _ = symgrad.scan(lambda p: (2 * p, symgrad.until(2 * p > 50)), outputs_info=T.constant(1), n_steps=100)
    >>> powers.eval()
    array([ 2,  4,  8, 16, 32, 64], dtype=int8)
    """

    def __init__(self, condition: Any) -> None:
        self.condition = as_operand(condition)


@dataclass(frozen=True)
class StepResults:
    """What a step returns, told apart."""

    outputs: list[Any]
    updates: dict[SharedVariable, Any]
    condition: Any = None


def parse_results(returned: Any) -> StepResults:
    """Tell outputs, updates and condition apart.

    Outputs come first, as one variable or a list of them; then updates, as a dict or a list of pairs; then `until`.
    Each may be missing.

    Raises
    ------
    TypeError
        If something else was returned.
    """
    if returned is None:
        return StepResults([], {})
    if not isinstance(returned, list | tuple):
        parts = [returned]
    elif _is_updates(returned):
        parts = [dict(returned)]
    else:
        parts = list(returned)
    conditions = [part.condition for part in parts if isinstance(part, until)]
    parts = [part for part in parts if not isinstance(part, until)]
    updates = [part for part in parts if _is_updates(part)]
    outputs = [part for part in parts if not _is_updates(part)]
    if len(conditions) > 1 or len([part for part in updates if part]) > 1:
        raise _not_understood(returned, "It has several sets of updates, or several conditions.")
    if len(outputs) == 1 and isinstance(outputs[0], list | tuple):
        outputs = list(outputs[0])
    merged = {target: value for part in updates for target, value in dict(part).items()}
    for target in merged:
        if not isinstance(target, SharedVariable):
            raise user_error(
                TypeError, f"a step of a loop can only update shared variables, got {target!r:.60}", (),
                "Return the outputs first, then the updates.",
            )  # fmt: skip
    variables = [_as_output(output, returned) for output in outputs]
    return StepResults(variables, merged, _as_condition(conditions[0]) if conditions else None)


def _is_updates(part: Any) -> bool:
    """Whether something is a dict, or a list of pairs that begin with shared variables; an empty list is one too."""
    if isinstance(part, Mapping):
        return True
    return isinstance(part, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], SharedVariable)
        and not isinstance(pair[1], SharedVariable | list | tuple)
        for pair in part
    )  # fmt: skip


def _as_output(output: Any, returned: Any) -> Any:
    if isinstance(output, Variable):
        return output
    if isinstance(output, bool | int | float | complex | np.ndarray | np.generic):
        return as_operand(output)
    raise _not_understood(returned, f"{type(output).__name__} {output!r:.60} isn't a symbolic variable.")


def _not_understood(returned: Any, reason: str) -> Exception:
    return user_error(
        TypeError, f"scan doesn't understand what a step returned: {returned!r:.100}", (),
        f"{reason} Return outputs, updates, until(condition), in this order; each may be missing.",
    )  # fmt: skip


def _as_condition(condition: Any) -> Any:
    kind = condition.type
    if kind.ndim or kind.dtype.startswith("complex"):
        raise loop_error(
            DTypeError, f"the condition of until must be a bool scalar, got {kind}", {"condition": condition},
            "Reduce it with T.all or T.any.",
        )  # fmt: skip
    return condition if kind.dtype == "bool" else neq(condition, 0)


def loop_error(error: type[Exception], headline: str, parts: Mapping[str, Any], remedy: str = "") -> Exception:
    """Return an error about the user's line, which shows variables by what they are to the loop."""
    described = describe_operands(list(parts.values()), list(parts))
    return error(render(headline, str(current_source() or ""), described, remedy))


def as_list(value: Any) -> list[Any]:
    """Return a list or tuple as a list, None as an empty one, anything else as a list of it."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


class OrderedUpdates(dict[Any, Any]):
    """Updates of shared variables, in order; two of them can be added.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.updates.OrderedUpdates``.
    """

    def __init__(self, given: Any = (), /, **named: Any) -> None:
        super().__init__()
        self.update(given, **named)

    def __setitem__(self, target: Any, value: Any) -> None:
        if not isinstance(target, SharedVariable):
            raise TypeError(f"updates are of shared variables, got {type(target).__name__} {target!r:.60}")
        super().__setitem__(target, value)

    def update(self, other: Any = (), /, **named: Any) -> None:
        """Take over the updates of another mapping or sequence of pairs."""
        pairs: Sequence[Any] = list(other.items()) if isinstance(other, Mapping) else list(other)
        for target, value in [*pairs, *named.items()]:
            self[target] = value

    def __add__(self, other: Any) -> OrderedUpdates:
        """Return the updates of both; if both update a variable differently, that is an error."""
        result = OrderedUpdates()
        result.update(self)
        for target, value in OrderedUpdates.of(other).items():
            if target in result and result[target] is not value:
                raise KeyError(f"both have an update of {target}")
            result[target] = value
        return result

    def __radd__(self, other: Any) -> OrderedUpdates:
        return OrderedUpdates.of(other) + self

    @classmethod
    def of(cls, other: Any) -> OrderedUpdates:
        """Return updates made of a mapping or of pairs."""
        result = cls()
        result.update(other)
        return result


__all__ = ["OrderedUpdates", "StepResults", "as_list", "loop_error", "parse_results", "until"]
