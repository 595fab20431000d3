"""Reverse mode: from the cost back to what it depends on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from symgrad.config import config
from symgrad.errors import DisconnectedInputError, GradientError, NullTypeGradError, SymgradError, render
from symgrad.graph.absent import DisconnectedType, NullType
from symgrad.graph.garbage import no_garbage_collection
from symgrad.graph.op import Disconnected, Undefined, attributed_to, describe_operands, user_error
from symgrad.graph.test_values import complete_test_values
from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.ops.casting import cast
from symgrad.ops.creation import ones_like, zeros_like
from symgrad.ops.identity import WithInputs
from symgrad.ops.promotion import is_complex, is_discrete, variables_in
from symgrad.ops.sizes import Size

CHOICES = ("raise", "warn", "ignore")
STAND_INS = ("zero", "none", "disconnected")

Reasons = dict[Variable, tuple[Apply, str]]
"""For a variable without a gradient: the node that is the reason, and what that node says."""


def grad(
    cost: Any,
    wrt: Any,
    consider_constant: Sequence[Any] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Mapping[Any, Any] | None = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """Return the gradient of a scalar with respect to variables, as expressions.

    Parameters
    ----------
    cost : float scalar or None
        What to differentiate. None if `known_grads` says where the gradient starts.
    wrt : variable, or list or tuple of variables
        With respect to what: inputs, shared variables, or any variable on the way to the cost.
    consider_constant : sequence of variables, optional
        Variables through which no gradient flows. (Their own gradient may still be asked for.)
    disconnected_inputs : {'raise', 'warn', 'ignore'}
        What to do if the cost doesn't depend on a variable of `wrt`; the latter two return zeros.
    add_names : bool
        Whether the results are named ``(dcost/dx)`` where both have names.
    known_grads : mapping of variable to variable, optional
        Cotangents of variables that are known already, instead of (or besides) the cost.
    return_disconnected : {'zero', 'none', 'disconnected'}
        What stands for a disconnected input, if that isn't an error: zeros, None, or a variable of `DisconnectedType`.
    null_gradients : {'raise', 'return'}
        What to do about a gradient that an op declares as undefined: raise, or return a variable of `NullType`.

    Returns
    -------
    variable, or list or tuple like `wrt`
        Each has the dtype and shape of its variable.

    Raises
    ------
    TypeError
        If the cost isn't a scalar.
    GradientError
        If the cost is of integers.
    DisconnectedInputError
        If the cost doesn't depend on a variable in a differentiable way; it names the op that cut the path.
    NullTypeGradError
        If a gradient would have to go through an op that declares it as undefined.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.grad``. The gradient with respect to integers is an error, as if the cost
    didn't depend on them; with ``cast_policy = custom`` it is what it would be if they were real numbers, as in Theano.
    With it, all inputs of the cost also count as inputs of the gradient, even where it doesn't depend on their values.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> print(symgrad.grad(x ** 3, x).eval({x: 2.0}))
    12.0
    """
    if disconnected_inputs not in CHOICES:
        raise ValueError(f"disconnected_inputs is one of {', '.join(CHOICES)}, got {disconnected_inputs!r}")
    if not isinstance(return_disconnected, str) or return_disconnected.lower() not in STAND_INS:
        raise ValueError(f"return_disconnected is one of {', '.join(STAND_INS)}, got {return_disconnected!r}")
    if not isinstance(known_grads, Mapping | None):
        found = f"{type(known_grads).__name__} {known_grads!r:.60}"
        raise user_error(TypeError, f"known_grads is a dictionary, got {found}")
    if null_gradients not in ("raise", "return"):
        raise ValueError(f"null_gradients is raise or return, got {null_gradients!r}")
    targets = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    for target in targets:
        if not isinstance(target, Variable):
            raise user_error(
                TypeError, f"wrt must be variables, got {type(target).__name__} {target!r:.60}",
                remedy="Pass the variables of the expression: inputs, shared variables, or values on the way.",
            )  # fmt: skip
    seeds = _seeds(cost, known_grads)
    if isinstance(consider_constant, set | frozenset):
        consider_constant = list(consider_constant)
    blocked = frozenset(variables_in(consider_constant or [], "grad", "consider_constant"))
    undefined = [v for v, cotangent in (known_grads or {}).items() if isinstance(cotangent.type, NullType)]
    with no_garbage_collection():
        walk = _PullBack(seeds, targets, blocked, undefined)
    if config.cast_policy == "custom":
        walk.cotangents.update(_of_integers(cost, known_grads, [t for t in targets if t not in walk.cotangents]))
    results = [
        _undefined(target, walk.undefined[target], null_gradients) if target in walk.undefined
        else _result(cost, target, walk.cotangents, walk.cuts,
                     "ignore" if _is_held_constant(target, blocked) else disconnected_inputs, return_disconnected)
        for target in targets
    ]  # fmt: skip
    complete_test_values(results)
    if add_names and cost is not None and getattr(cost, "name", None):
        for target, result in zip(targets, results, strict=True):
            if result is not None and target.name and result.name is None:
                result.name = f"(d{cost.name}/d{target.name})"
    if isinstance(wrt, list | tuple):
        return type(wrt)(results) if type(wrt) in (list, tuple) else results
    return results[0]


def _seeds(cost: Any, known_grads: Mapping[Any, Any] | None) -> dict[Variable, Any]:
    seeds: dict[Variable, Any] = {}
    known = known_grads or {}
    if cost is None and not known:
        raise user_error(TypeError, "grad needs a cost, or known_grads")
    if cost is not None and (not isinstance(cost, Variable) or cost not in known):
        if not isinstance(cost, Variable) or not isinstance(cost.type, TensorType):
            raise user_error(TypeError, f"cost must be a symbolic scalar, got {type(cost).__name__} {cost!r:.60}")
        if cost.type.ndim:
            raise TypeError(
                render("cost must be a scalar.", str(cost.source or ""), describe_operands([cost]),
                       "Take its mean or sum, or differentiate one element.")
            )  # fmt: skip
        if is_discrete(cost.type.dtype) and config.cast_policy != "custom":
            raise GradientError(
                render(f"a cost of {cost.type.dtype} has no gradient", str(cost.source or ""),
                       describe_operands([cost]), "Compute it in floats.")
            )  # fmt: skip
        if is_complex(cost.type.dtype):
            raise GradientError(
                render("a complex cost has no gradient", str(cost.source or ""), describe_operands([cost]),
                       "Take a real number of it: T.real(cost), or abs(cost).")
            )  # fmt: skip
        if not is_discrete(cost.type.dtype):
            seeds[cost] = ones_like(cost)
            if config.cast_policy == "custom":  # as in Theano, the inputs of the cost are inputs of its gradient
                seeds[cost] = WithInputs()(seeds[cost], cost)
    for variable, cotangent in known.items():
        if isinstance(cotangent.type, DisconnectedType | NullType):
            continue
        wanted = variable.type
        if _is_discrete(variable) and not _is_discrete(cotangent):
            wanted = wanted.with_dtype(cotangent.type.dtype)
        elif config.cast_policy == "custom" and not _is_discrete(cotangent):
            cotangent = cast(cotangent, wanted.dtype)
        is_theirs = config.cast_policy == "custom" and hasattr(getattr(variable.owner, "op", None), "perform")
        if not _same_kind(wanted, cotangent.type) and not is_theirs:  # Theano leaves it to an op's own grad
            raise user_error(
                GradientError, f"known_grads gives {cotangent.type} for {variable}, which is {variable.type}",
                [variable, cotangent], "Give a gradient of the variable's own type.",
            )  # fmt: skip
        seeds[variable] = cotangent
    return seeds


def _is_held_constant(target: Variable, blocked: frozenset[Any]) -> bool:
    """Whether the user has said that a gradient doesn't flow: some variable held constant is made of the target."""
    return bool(blocked) and any(target in node.inputs for node in applies_before(blocked))


def _of_integers(cost: Any, known_grads: Mapping[Any, Any] | None, targets: Sequence[Any]) -> dict[Variable, Any]:
    """Return the gradients of those targets that are integers, as Theano defines them: as if they were real numbers.

    The graph is built once more on a float in place of the integer. Where that can't be, as with an index, there is no
    gradient.
    """
    found: dict[Variable, Any] = {}
    for target in targets:
        if not _is_discrete(target):
            continue
        if target is cost:
            found[target] = ones_like(target, config.floatX)
            continue
        real = TensorType(config.floatX, target.type.shape, target.type.broadcastable)()
        known = dict(known_grads or {})
        roots = [*([] if cost is None else [cost]), *known]
        try:
            new = substitute(roots, {target: real})
            seeds = dict(zip(new[len(roots) - len(known) :], known.values(), strict=True))
            slope = grad(new[0] if cost is not None else None, real, disconnected_inputs="ignore", known_grads=seeds,
                         return_disconnected="none")  # fmt: skip
        except (SymgradError, TypeError):
            continue
        if slope is not None:
            found[target] = substitute([slope], {real: cast(target, config.floatX)})[0]
    return found


def _on_the_way(order: Sequence[Apply], targets: Sequence[Variable]) -> set[Apply]:
    """Return the nodes that depend on a target; only through them must the gradient go."""
    reached = set(targets)
    nodes = set()
    for node in order:
        if any(variable in reached for variable in node.inputs):
            nodes.add(node)
            reached.update(node.outputs)
    return nodes


class _PullBack:
    """A walk from the seeds back to the targets.

    Attributes
    ----------
    cotangents : dict
        Of all variables that the walk came by.
    cuts : dict
        For variables without a cotangent: what cut the path.
    undefined : dict
        For variables whose cotangent can't be told: the op that says so.
    """

    def __init__(
        self, seeds: Mapping[Variable, Any], targets: Sequence[Variable], blocked: frozenset[Any],
        undefined: Sequence[Variable],
    ) -> None:  # fmt: skip
        self.seeds = seeds
        self.cotangents = dict(seeds)
        self.cuts: Reasons = {}
        self.undefined: Reasons = {v: (v.owner, "known_grads says so") for v in undefined if v.owner is not None}
        order = applies_before([*seeds, *undefined], stop_at=blocked - seeds.keys())
        wanted = _on_the_way(order, targets)
        for node in reversed(order):
            if node not in wanted:
                continue
            given = [self.cotangents.get(output) for output in node.outputs]
            poisoned = [self.undefined.get(output) for output in node.outputs]
            if any(poisoned):
                given = [ones_like(v) if c is None else c for v, c in zip(node.outputs, given, strict=True)]
            elif all(cotangent is None for cotangent in given):
                continue
            with attributed_to(node.source):
                results = node.op.gradient(node.inputs, node.outputs, given)
                self._accumulate(node, results, _poisons(node, poisoned))

    def _accumulate(self, node: Apply, results: Sequence[Any], poisons: Sequence[tuple[Apply, str] | None]) -> None:
        if len(results) != len(node.inputs):
            raise GradientError(f"{node.op}.gradient returned {len(results)} cotangents for {len(node.inputs)} inputs")
        for variable, result, poison in zip(node.inputs, results, poisons, strict=True):
            if result is None:
                continue
            if isinstance(result, Disconnected):
                if poison is not None and _is_discrete(variable) and all(map(_is_discrete, node.outputs)):
                    self.undefined.setdefault(variable, poison)  # of integers made of integers it is undefined too
                self.cuts.setdefault(variable, (node, result.reason))
                continue
            seed = self.seeds.get(variable)
            if seed is not None and variable not in node.outputs and seed is self.cotangents.get(variable):
                continue
            if poison is not None or isinstance(result, Undefined):
                self.undefined.setdefault(variable, poison or (node, result.reason))
                continue
            if not _same_kind(variable.type, result.type):
                raise GradientError(f"{node.op}.gradient returned {result.type} as cotangent of {variable.type}")
            known = self.cotangents.get(variable)
            self.cotangents[variable] = result if known is None else known + result


def _poisons(node: Apply, poisoned: Sequence[tuple[Apply, str] | None]) -> list[tuple[Apply, str] | None]:
    """Return for each input of a node why its cotangent can't be told, given the same of its outputs."""
    pattern: Any = getattr(node.op, "connection_pattern", None)
    if not callable(pattern) or not any(poisoned):
        first = next(filter(None, poisoned), None)
        return [first for _ in node.inputs]
    return [
        next((reason for reason, is_connected in zip(poisoned, row, strict=True) if reason and is_connected), None)
        for row in pattern(node)
    ]


def _same_kind(expected: Any, found: Any) -> bool:
    """Whether a cotangent fits its variable: dtype, axes, and known sizes."""
    if not isinstance(expected, TensorType):
        return bool(expected == found)
    if expected.dtype != found.dtype or expected.ndim != found.ndim:
        return False
    return all(None in pair or pair[0] == pair[1] for pair in zip(expected.shape, found.shape, strict=True))


def _result(
    cost: Any,
    target: Variable,
    cotangents: Mapping[Variable, Any],
    cuts: Reasons,
    disconnected_inputs: str,
    return_disconnected: str,
) -> Any:
    found = cotangents.get(target)
    if found is not None:
        return found
    text = _explain(cost, target, cuts)
    if disconnected_inputs == "raise":
        raise DisconnectedInputError(text)
    if disconnected_inputs == "warn":
        warnings.warn(text, stacklevel=3)
    if return_disconnected.lower() == "none":
        return None
    if return_disconnected.lower() == "disconnected":
        return DisconnectedType()()
    dtype = target.type.dtype  # type: ignore[attr-defined]
    zeros = zeros_like(target, config.floatX if is_discrete(dtype) else dtype)
    return WithInputs()(zeros, target) if config.cast_policy == "custom" else zeros


def _undefined(target: Variable, reason: tuple[Apply, str], null_gradients: str) -> Any:
    node, why = reason
    if null_gradients == "return":
        return NullType(f"{node.op}: {why}")()
    raise NullTypeGradError(
        render(f"the gradient with respect to {target} isn't defined: it goes through {node.op}: {why}",
               str(node.source or ""), describe_operands(node.inputs),
               "Keep it out of the path with T.disconnected_grad, or list it in consider_constant.")
    )  # fmt: skip


def _explain(cost: Any, target: Variable, cuts: Reasons) -> str:
    """Say why no gradient arrives: nothing leads from the variable to the cost, or an op on the way cuts it."""
    kind: Any = target.type
    if is_discrete(kind.dtype):
        headline = f"the cost has no gradient with respect to {target}, which is {kind.dtype}"
        remedy = "Declare it with a float dtype."
    else:
        headline = f"the cost isn't a differentiable function of {target}"
        remedy = "Pass disconnected_inputs='ignore' if its gradient may be zero."
    cut = _first_cut(target, cuts)
    if cut is None:
        body = render(headline, str(target.source or ""), describe_operands([target]),
                      "No path leads from it to the cost. " + remedy)  # fmt: skip
        return body
    node, reason = _origin_of_cut(*cut)
    where = f"{node.source.place if node.source else 'here'}   {node.source.text if node.source else ''}".rstrip()
    return render(headline, where, describe_operands(node.inputs), f"{node.op} cut the path: {reason}. {remedy}")


def _first_cut(target: Variable, cuts: Reasons) -> tuple[Apply, str] | None:
    """Find an op that the target leads into and that stopped the gradient; by its values rather than its sizes."""
    if target in cuts:
        return cuts[target]
    for through_sizes in (False, True):
        for variable, cut in cuts.items():
            if _leads_to(target, variable, through_sizes):
                return cut
    return None


def _origin_of_cut(node: Apply, reason: str) -> tuple[Apply, str]:
    """Go back from an op that got no gradient because its operand is an integer to the op that made integers."""
    while True:
        makers = [v.owner for v in node.inputs if _is_discrete(v) and v.owner is not None]
        if len(makers) != len([v for v in node.inputs if not isinstance(v, Constant)]) or not makers:
            return node, reason
        (node, *_) = makers
        if not any(_is_discrete(v) for v in node.inputs):
            found = node.op.gradient(node.inputs, node.outputs, [None] * len(node.outputs))
            reasons = [entry.reason for entry in found if isinstance(entry, Disconnected)]
            return node, reasons[0] if reasons else f"it gives {node.outputs[0].type.dtype}"  # type: ignore[attr-defined]


def _is_discrete(variable: Variable) -> bool:
    return isinstance(variable.type, TensorType) and is_discrete(variable.type.dtype)


def _leads_to(target: Variable, variable: Variable, through_sizes: bool) -> bool:
    reached = {target}
    for node in applies_before([variable]):
        if (through_sizes or not isinstance(node.op, Size)) and not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
    return variable in reached
