"""Rules of the user's own: functions of a node, and pairs of patterns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.graph.op import Op
from symgrad.graph.variables import Apply, Variable
from symgrad.ops.elementwise_op import Elementwise, ElementwiseFunction, call_row, rows
from symgrad.ops.promotion import as_operand
from symgrad.rewriting.engine import ENGINE_RULES, PHASES, RULES, Context, Rule
from symgrad.rewriting.patterns import is_number

_names_of_users: set[str] = set()


def rewrite(
    *targets: Any, phase: str = "canonicalize", name: str | None = None, reason: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a rewrite rule of a function; for use as a decorator.

    The function gets a node, and returns what replaces its output (for several outputs, a list), or None if the rule
    doesn't apply. Functions that are compiled from then on use the rule; its name can be given to `Mode.excluding`.
    The engine goes on with what a rule returns, carries the user's lines over, and raises if a type changes.

    Parameters
    ----------
    *targets : functions such as ``T.exp``, classes of ops, or ops
        At which nodes the rule looks.
    phase : {'canonicalize', 'stabilize', 'specialize'}
        When it is tried.
    name : str, optional
        Its name, by default the function's.
    reason : str
        Why it is worth doing.

    Raises
    ------
    ValueError
        If there is a rule of that name, or no such phase.
    TypeError
        If a target isn't an op.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> @symgrad.rewrite(T.exp, reason="the logarithm undoes it")
    ... def exp_of_log_is_its_operand(node):
    ...     inner = node.inputs[0].owner
    ...     return inner.inputs[0] if inner is not None and inner.op == T.log.op else None
    >>> x = T.dvector('x')
    >>> f = symgrad.function([x], T.exp(T.log(x)) + 1)
    >>> [node.op.name for node in f.rewritten.order]
    ['add']
    >>> symgrad.forget_rewrite("exp_of_log_is_its_operand")
    """
    if phase not in PHASES:
        raise ValueError(f"phase is one of {', '.join(PHASES)}, got {phase!r}")
    if not targets:
        raise TypeError("rewrite needs the ops at which the rule looks: @symgrad.rewrite(T.exp)")
    matchers = [_matcher(target) for target in targets]

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        own_name = name or function.__name__
        takes_context = len(inspect.signature(function).parameters) > 1

        def rewriter(node: Apply, context: Context) -> Any:
            if not any(matches(node) for _, matches in matchers):
                return None
            result = function(node, context) if takes_context else function(node)
            if result is None or result is False:
                return None
            results = [as_operand(value) for value in (result if isinstance(result, list | tuple) else [result])]
            return results if len(results) > 1 else results[0]

        _enter(own_name, phase, tuple(dict.fromkeys(kind for kind, _ in matchers)), reason, rewriter)
        return function

    return declare


def _enter(name: str, phase: str, ops: tuple[type[Op], ...], reason: str, rewriter: Callable[..., Any]) -> None:
    if name in RULES or name in ENGINE_RULES:
        raise ValueError(f"there is a rewrite rule {name!r} already; pass another name")
    RULES[name] = Rule(name, phase, ops, (), reason, rewriter)
    _names_of_users.add(name)


def _matcher(target: Any) -> tuple[type[Op], Callable[[Apply], bool]]:
    """Return the class of ops that a target means, and the test of a node."""
    if isinstance(target, ElementwiseFunction):
        target = target.op
    if isinstance(target, Op):
        return type(target), lambda node: node.op == target
    if isinstance(target, type) and issubclass(target, Op):
        return target, lambda node: isinstance(node.op, target)
    raise TypeError(f"a rewrite rule looks at ops: at functions such as T.exp, or classes of ops; got {target!r:.60}")


def rewrite_pattern(
    in_pattern: Any, out_pattern: Any, phase: str = "canonicalize", name: str | None = None, reason: str = ""
) -> str:
    """Make a rewrite rule of two patterns: what the first matches becomes the second.

    A pattern is a tuple ``(op, operand, ...)`` of an op as in `rewrite` and patterns; a name, which stands for any
    expression (the same one wherever it appears); a number, which stands for constants of that value; or a dict
    ``{'pattern': ..., 'constraint': function}``, where the function says whether a variable will do.

    Parameters
    ----------
    in_pattern : tuple or dict
        What is replaced.
    out_pattern : tuple, str or number
        By what. Of its ops, functions and ops can be applied.
    phase, name, reason
        As in `rewrite`.

    Returns
    -------
    str
        The rule's name.

    Notes
    -----
    Keeps the behaviour of Theano's ``PatternSub``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> rule = symgrad.rewrite_pattern((T.power, 'x', 3), (T.multiply, 'x', (T.sqr, 'x')), name="cubes_are_products")
    >>> x = T.dvector('x')
    >>> [node.op.name for node in symgrad.function([x], x ** 3).rewritten.order]
    ['sqr', 'multiply']
    >>> symgrad.forget_rewrite(rule)
    """
    root = in_pattern["pattern"] if isinstance(in_pattern, dict) else in_pattern
    if not isinstance(root, tuple) or not root:
        raise TypeError(f"a pattern is a tuple (op, operand, ...), got {in_pattern!r:.60}")
    name = name or f"{_pattern_text(in_pattern)} becomes {_pattern_text(out_pattern)}"

    def replaced(node: Apply) -> Any:
        found: dict[str, Variable] = {}
        if len(node.outputs) != 1 or not _matches(in_pattern, node.outputs[0], found):
            return None
        result = _built(out_pattern, found, node.outputs[0])
        return None if result is node.outputs[0] else result

    rewrite(root[0], phase=phase, name=name, reason=reason)(replaced)
    return name


def _matches(pattern: Any, variable: Variable, found: dict[str, Variable]) -> bool:
    """Whether a variable is what a pattern says; the variables that names stand for are collected."""
    pending = [(pattern, variable)]
    while pending:
        wanted, here = pending.pop()
        if isinstance(wanted, dict):
            constraint = wanted.get("constraint")
            if constraint is not None and not constraint(here):
                return False
            pending.append((wanted["pattern"], here))
        elif isinstance(wanted, str):
            if found.setdefault(wanted, here) is not here:
                return False
        elif isinstance(wanted, tuple):
            node = here.owner
            if node is None or len(wanted) - 1 != len(node.inputs) or not _matcher(wanted[0])[1](node):
                return False
            pending += reversed(list(zip(wanted[1:], node.inputs, strict=True)))
        elif isinstance(wanted, int | float | np.number):
            if not is_number(here, float(wanted)):
                return False
        else:
            raise TypeError(f"a pattern is made of tuples, names, numbers and dicts, got {wanted!r:.60}")
    return True


def _built(pattern: Any, found: dict[str, Variable], like: Any) -> Any:
    if isinstance(pattern, dict):
        return _built(pattern["pattern"], found, like)
    if isinstance(pattern, str):
        if pattern not in found:
            raise ValueError(f"the name {pattern!r} isn't in the pattern that is replaced; it has {', '.join(found)}")
        return found[pattern]
    if not isinstance(pattern, tuple):
        return as_operand(pattern, [like.type.dtype])
    op, *operands = pattern
    values: Sequence[Any] = [_built(operand, found, like) for operand in operands]
    if isinstance(op, Elementwise):
        return call_row(rows[op.function], *values)
    if isinstance(op, type):
        op = op()
    return op(*values)


def _pattern_text(pattern: Any) -> str:
    if isinstance(pattern, dict):
        return _pattern_text(pattern["pattern"])
    if isinstance(pattern, tuple):
        name = getattr(pattern[0], "__name__", str(pattern[0]))
        return f"{name}({', '.join(_pattern_text(part) for part in pattern[1:])})"
    return str(pattern)


def forget_rewrite(name: str) -> None:
    """Take a rule of the user's own away: functions that are compiled from then on don't use it.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in _names_of_users:
        known = ", ".join(sorted(_names_of_users)) or "none"
        raise ValueError(f"there is no rewrite rule of yours named {name!r}; there are {known}")
    _names_of_users.discard(name)
    del RULES[name]


__all__ = ["forget_rewrite", "rewrite", "rewrite_pattern"]
