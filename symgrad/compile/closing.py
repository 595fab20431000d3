"""From what the user passes to `function` to a closed graph: givens put in, updates collected, inputs checked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgrad.config import config
from symgrad.errors import DTypeError, MissingInputError, NullTypeGradError, RankError, UnusedInputError, render
from symgrad.graph.absent import NullType
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import describe_operands, user_error
from symgrad.graph.traversal import applies_before, apply_again, graph_inputs, substitute
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Constant, SharedVariable, Variable
from symgrad.ops.casting import cast
from symgrad.ops.identity import WithInputs
from symgrad.ops.promotion import as_operand, upcast
from symgrad.ops.sizes import addbroadcast, unbroadcast

Pairs = Iterable[tuple[Any, Any]] | Mapping[Any, Any] | None


def close_graph(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    updates: Pairs,
    givens: Pairs,
    on_unused_input: str,
    no_default_updates: bool | Sequence[Any],
) -> ClosedGraph:
    """Return the closed graph of a function.

    Raises
    ------
    MissingInputError, UnusedInputError
        If a variable is needed and isn't supplied, or supplied and not needed.
    TypeError
        If an update or a given doesn't fit, or a shared variable is an input.
    """
    _check_inputs(inputs)
    pairs = _pairs(updates, "updates")
    targets, values = _updates(pairs)
    replacements = _givens(givens, inputs)
    roots = substitute([*outputs, *values], replacements) if replacements else [*outputs, *values]
    defaults = _default_updates(inputs, roots, targets, no_default_updates)
    while defaults:
        targets += list(defaults)
        roots += substitute(list(defaults.values()), replacements) if replacements else list(defaults.values())
        defaults = _default_updates(inputs, roots, targets, no_default_updates)
    graph = ClosedGraph(tuple(inputs), tuple(roots[: len(outputs)]), tuple(targets), tuple(roots[len(outputs) :]))
    needed = _without_formal_inputs(graph)
    _check_missing(needed)
    _check_unused(graph, on_unused_input)
    return needed


def _without_formal_inputs(graph: ClosedGraph) -> ClosedGraph:
    """Leave out what counts as used only: a function takes it as an input, and can do without."""
    if not any(isinstance(node.op, WithInputs) for node in graph.order):
        return graph
    new: dict[Variable, Variable] = {}
    for node in graph.order:
        if isinstance(node.op, WithInputs):
            new[node.outputs[0]] = new.get(node.inputs[0], node.inputs[0])
        elif any(variable in new for variable in node.inputs):
            results = apply_again(node, [new.get(variable, variable) for variable in node.inputs])
            new.update(zip(node.outputs, results, strict=True))
    return graph.with_roots([new.get(root, root) for root in graph.roots])


def _check_inputs(inputs: Sequence[Any]) -> None:
    seen = set()
    for variable in inputs:
        if isinstance(variable, SharedVariable):
            raise user_error(
                TypeError, f"Cannot use a shared variable ({variable}) as explicit input", [variable],
                "It is read without being passed; to replace it for this function use givens.",
            )  # fmt: skip
        if not isinstance(variable, Variable):
            raise user_error(
                TypeError, f"inputs must be symbolic variables, got {type(variable).__name__} {variable!r:.60}",
                remedy="Declare them, T.vector('x') say; values are passed when the function is called.",
            )  # fmt: skip
        if isinstance(variable, Constant):
            raise user_error(
                TypeError, f"a constant ({variable}) can't be an input", [variable],
                "Declare a variable, T.scalar('x') say, or leave it out: a constant needs no value.",
            )  # fmt: skip
        if variable in seen:
            raise user_error(
                UnusedInputError, f"{variable} is listed twice among the inputs", [variable],
                "List it once: each input is passed once.",
            )  # fmt: skip
        seen.add(variable)


def _pairs(given: Pairs, where: str) -> list[tuple[Any, Any]]:
    if given is None:
        return []
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise user_error(TypeError, f"{where} must be pairs (variable, expression) or a dict, got {pair!r:.60}")
    return [(left, right) for left, right in pairs]


def _updates(pairs: Sequence[tuple[Any, Any]]) -> tuple[list[SharedVariable], list[Any]]:
    targets: list[SharedVariable] = []
    seen: set[SharedVariable] = set()
    values = []
    for target, expression in pairs:
        if not isinstance(target, SharedVariable):
            raise user_error(
                TypeError, f"update target must be a SharedVariable, got {target!r:.60}",
                [target] if isinstance(target, Variable) else [], "Make it one: symgrad.shared(value).",
            )  # fmt: skip
        if target in seen:
            raise user_error(
                ValueError, f"this shared variable already has an update expression: {target}", [target],
                "A call updates each shared variable once: put both into one expression.",
            )  # fmt: skip
        seen.add(target)
        targets.append(target)
        values.append(_fit(target, expression, f"the update of {target}"))
    return targets, values


def _fit(target: Any, expression: Any, what: str) -> Any:
    """Return `expression` with the type of `target`: cast if nothing is lost, else raise."""
    value = as_operand(expression, [target.type.dtype])
    if not (isinstance(target.type, TensorType) and isinstance(value.type, TensorType)):
        return _of_same_type(target, value, what)
    if value.type.dtype != target.type.dtype and upcast(value.type.dtype, target.type.dtype) == target.type.dtype:
        value = cast(value, target.type.dtype)
    if value.type.dtype != target.type.dtype:
        raise DTypeError(
            render(f"{what} is {value.type.dtype}, and must be {target.type.dtype}", str(value.source or ""),
                   describe_operands([target, value]), f"Cast it: .astype('{target.type.dtype}').")
        )  # fmt: skip
    unlike = [None not in pair and pair[0] != pair[1]
              for pair in zip(target.type.shape, value.type.shape, strict=False)]  # fmt: skip
    if value.type.ndim != target.type.ndim or any(unlike):
        raise RankError(
            render(f"{what} has type {value.type}, and must have {target.type}", str(value.source or ""),
                   describe_operands([target, value]), "Reshape or index it so that its axes agree.")
        )  # fmt: skip
    return value


def _of_same_type(target: Any, value: Any, what: str) -> Any:
    """Return `value` if its type is that of `target`: between other types than tensors, nothing is converted."""
    if target.type != value.type:
        raise DTypeError(
            render(f"{what} is {value.type}, and must be {target.type}", str(value.source or ""),
                   describe_operands([target, value]), "Convert it.")
        )  # fmt: skip
    return value


def _givens(givens: Pairs, inputs: Sequence[Any]) -> dict[Any, Any]:
    replacements: dict[Any, Any] = {}
    for variable, expression in _pairs(givens, "givens"):
        if not isinstance(variable, Variable):
            raise user_error(
                TypeError, f"givens replace symbolic variables, got {type(variable).__name__} {variable!r:.60}"
            )
        if variable in replacements:
            raise user_error(ValueError, f"givens names {variable} twice", [variable], "Leave one of them out.")
        if variable in inputs:
            raise user_error(
                RuntimeError, f"{variable} is an input and in givens: it can't be both supplied and replaced",
                [variable],
                "Leave it out of the inputs, or out of givens.",
            )  # fmt: skip
        replacements[variable] = _as_broadcastable(variable, _fit(variable, expression, f"the given for {variable}"))
    return _with_givens_in_givens(replacements)


def _as_broadcastable(variable: Any, value: Any) -> Any:
    """Let exactly those axes stretch that stretch where the variable is replaced, so that the graph means the same."""
    if not isinstance(variable.type, TensorType):
        return value
    pairs = list(enumerate(zip(variable.type.broadcastable, value.type.broadcastable, strict=True)))
    promised = [axis for axis, (wanted, found) in pairs if wanted and not found]
    held = [axis for axis, (wanted, found) in pairs if found and not wanted]
    value = addbroadcast(value, *promised) if promised else value
    return unbroadcast(value, *held) if held else value


def _with_givens_in_givens(replacements: dict[Any, Any]) -> dict[Any, Any]:
    """Replace variables inside the expressions of other givens too, unless that would go in a circle."""
    result = dict(replacements)
    for variable, value in replacements.items():
        others = {key: other for key, other in replacements.items() if key is not variable}
        inside = set(graph_inputs([value])) & others.keys()
        if inside and not any(variable in graph_inputs([others[key]]) for key in inside):
            result[variable] = substitute([value], {key: others[key] for key in inside})[0]
    return result


def _default_updates(
    inputs: Sequence[Any],
    roots: Sequence[Any],
    targets: Sequence[SharedVariable],
    no_default_updates: bool | Sequence[Any],
) -> dict[SharedVariable, Any]:
    if no_default_updates is True:
        return {}
    excluded = set(targets) | set(no_default_updates or ())
    return {
        variable: _fit(variable, variable.default_update, f"the default update of {variable}")
        for variable in _inputs_of(roots, inputs)
        if isinstance(variable, SharedVariable) and variable.default_update is not None and variable not in excluded
    }


def _inputs_of(roots: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """Return what the roots depend on, without what lies behind given variables that the graph computes elsewhere."""
    if all(variable.owner is None for variable in given):
        return graph_inputs(roots)
    nodes = applies_before(roots, stop_at=given)
    return list(dict.fromkeys([*roots, *[variable for node in nodes for variable in node.inputs]]))


def _check_missing(graph: ClosedGraph) -> None:
    given = set(graph.inputs)
    missing = [v for v in graph.leaves() if not isinstance(v, Constant | SharedVariable) and v not in given]
    if not missing:
        return
    if isinstance(missing[0].type, NullType):
        raise NullTypeGradError(
            render(f"a gradient that isn't defined has no value: {missing[0].type.why_null}", "",
                   describe_operands(missing[:1]), "Leave it out of what the function computes.")
        )  # fmt: skip
    user = next((node for node in graph.order if missing[0] in node.inputs), None)
    used = f", used by {user.op} at {user.source}" if user is not None and user.source else ""
    raise MissingInputError(
        render(f"Missing required input: {missing[0]}{used}", "", describe_operands(missing),
               "Add it to the inputs, or replace it with givens.")
    )  # fmt: skip


def _check_unused(graph: ClosedGraph, on_unused_input: str) -> None:
    if on_unused_input not in ("raise", "warn", "ignore"):
        raise ValueError(f"on_unused_input is raise, warn or ignore, got {on_unused_input!r}")
    if on_unused_input == "ignore":
        return
    used = set(graph.roots)
    for node in applies_before(graph.roots, stop_at=graph.inputs):
        used.update(node.inputs)
    for variable in graph.inputs:
        if variable in used:
            continue
        text = render(
            f"function was asked to create a function with an input that isn't used: {variable}",
            "", describe_operands([variable]), "Leave it out, or pass on_unused_input='ignore'.",
        )  # fmt: skip
        if on_unused_input == "raise":
            raise UnusedInputError(text)
        warnings.warn(text, stacklevel=4)


def configured_on_unused_input(given: str | None) -> str:
    """Return what the call says, else what the configuration says."""
    return str(config.on_unused_input) if given is None else given



