"""The engine: it walks the graph, applies rules, carries source lines over, and checks that types stay the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import GraphError
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Op, attributed_to
from symgrad.graph.traversal import apply_again, uses
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Constant, Variable, make_constant
from symgrad.ops.sizes import unbroadcast

PHASES = ("canonicalize", "stabilize", "specialize")
MAXIMAL_ROUNDS = 12
FOLDED_SIZE = 4096

Rewriter = Callable[[Apply, "Context"], Any]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    name : str
        Reads as a sentence: ``log_of_softmax_is_log_softmax``.
    phase : str
        One of `PHASES`.
    ops : tuple of Op classes
        The ops at the root of the pattern.
    functions : tuple of str
        Of elementwise ops, the functions; empty for all.
    reason : str
        Why it is worth doing.
    rewriter : callable
        ``rewriter(apply, context)`` returns what replaces the first output (or a list for all), or None.
    """

    name: str
    phase: str
    ops: tuple[type[Op], ...]
    functions: tuple[str, ...]
    reason: str
    rewriter: Rewriter


RULES: dict[str, Rule] = {}

MERGE = "equal_nodes_are_one"
FOLD = "constants_are_folded"
ENGINE_RULES = {
    MERGE: "the same op on the same variables is computed once",
    FOLD: "what depends on constants only is computed once, at compile time",
}


def rule(phase: str, *ops: type[Op], reason: str, functions: Sequence[str] = ()) -> Callable[[Rewriter], Rewriter]:
    """Declare a rule; the function's name becomes the rule's."""

    def declare(rewriter: Rewriter) -> Rewriter:
        name = rewriter.__name__  # type: ignore[attr-defined]
        RULES[name] = Rule(name, phase, ops, tuple(functions), reason, rewriter)
        return rewriter

    return declare


@dataclass(frozen=True)
class Change:
    """One application of a rule, for people who look."""

    rule: str
    before: Variable
    after: Variable


class Context:
    """What a rule may ask besides its node: how often a variable is used, and by which nodes."""

    def __init__(self, counts: dict[Variable, int], order: Sequence[Apply] = ()) -> None:
        self._counts = counts
        self._order = order
        self._users: dict[Variable, list[tuple[Apply, int]]] | None = None
        self._origin: dict[Variable, Variable] = {}

    def replaces(self, new: Variable, old: Variable) -> None:
        """Note that `new` stands for `old` in this pass."""
        if new is not old:
            self._origin[new] = self._origin.get(old, old)

    def uses(self, variable: Variable) -> int:
        """Return how many nodes and outputs use a variable; one for a variable that a rule just made."""
        return self._counts.get(self._origin.get(variable, variable), 1)

    def users(self, variable: Variable) -> list[tuple[Apply, int]]:
        """Return the nodes that use a variable, as they were before this pass, and at which position; no outputs."""
        if self._users is None:
            self._users = {}
            for node in self._order:
                for position, operand in enumerate(node.inputs):
                    self._users.setdefault(operand, []).append((node, position))
        return self._users.get(self._origin.get(variable, variable), [])


def all_rule_names() -> list[str]:
    """Return the names of all rules, those that the engine itself applies first."""
    return [*ENGINE_RULES, *RULES]


def rewrite(
    graph: ClosedGraph, rules: Collection[str], on_change: Callable[[Change], None] | None = None
) -> ClosedGraph:
    """Return the graph after all phases.

    Parameters
    ----------
    graph : ClosedGraph
        The graph; it is left as it is.
    rules : collection of str
        Names of the rules to apply.
    on_change : callable, optional
        Told about each change.
    """
    enabled = frozenset(rules)
    active: list[Rule] = []
    for phase in PHASES:
        active += [found for found in RULES.values() if found.phase == phase and found.name in enabled]
        if active or enabled & ENGINE_RULES.keys():
            graph = _to_fixed_point(graph, active, enabled, on_change)
    return graph


def _to_fixed_point(
    graph: ClosedGraph,
    active: Sequence[Rule],
    enabled: frozenset[str],
    on_change: Callable[[Change], None] | None,
) -> ClosedGraph:
    for _ in range(MAXIMAL_ROUNDS):
        walk = _Walk(graph, active, enabled, on_change)
        graph = walk.result()
        if not walk.changed:
            break
    return graph


class _Walk:
    """One pass over the graph: nodes are rebuilt on new inputs, merged, folded, and offered to the rules."""

    def __init__(
        self,
        graph: ClosedGraph,
        active: Sequence[Rule],
        enabled: frozenset[str],
        on_change: Callable[[Change], None] | None,
    ) -> None:
        self.graph = graph
        self.active = active
        self.candidates: dict[Any, list[Rule]] = {}
        self.merges = MERGE in enabled
        self.folds = FOLD in enabled
        self.on_change = on_change
        self.changed = False
        self.new: dict[Variable, Variable] = {}
        self.seen: dict[Any, Any] = {}
        self.context = Context(uses(graph.roots, graph.order), graph.order)

    def result(self) -> ClosedGraph:
        """Walk, and return the new graph."""
        for node in self.graph.order:
            outputs = self._rebuild(node)
            for old, new in zip(node.outputs, outputs, strict=True):
                self._replace(old, new)
        return self.graph.with_roots([self._current(root) for root in self.graph.roots])

    def _current(self, variable: Variable) -> Variable:
        found = self.new.get(variable)
        if found is not None:
            return found
        if isinstance(variable, Constant) and self.merges:
            return self._merged_constant(variable)
        return variable

    def _merged_constant(self, constant: Constant) -> Variable:
        if constant.data.size > 64 or constant.name is not None:
            return constant
        pattern = constant.type.broadcastable  # type: ignore[attr-defined]
        key = (constant.data.dtype.str, constant.data.shape, pattern, constant.data.tobytes())
        return self.seen.setdefault(key, constant)  # type: ignore[no-any-return]

    def _replace(self, old: Variable, new: Variable) -> None:
        if new is old:
            return
        if not _may_stand_for(old.type, new.type):
            raise GraphError(f"a rewrite changed the type of {old} from {old.type} to {new.type}")
        new = _held(old.type, new)
        if new.name is None and new.owner is not None:
            new.name = old.name
        self.new[old] = new
        self.context.replaces(new, old)

    def _rebuild(self, node: Apply) -> Sequence[Variable]:
        inputs = [self._current(variable) for variable in node.inputs]
        if any(new is not old for new, old in zip(inputs, node.inputs, strict=True)):
            outputs = tuple(apply_again(node, inputs))
            for old, new in zip(node.outputs, outputs, strict=True):
                self.context.replaces(new, old)
            node = outputs[0].owner or node
        if self.merges:
            key = (node.op, *[id(variable) for variable in node.inputs])
            known = self.seen.setdefault(key, node)
            if known is not node:
                self._tell(MERGE, node.outputs[0], known.outputs[0])
                return tuple(known.outputs)
        if self.folds:
            folded = _fold(node)
            if folded is not None:
                self._tell(FOLD, node.outputs[0], folded[0])
                return folded
        return self._offer(node)

    def _offer(self, node: Apply) -> Sequence[Variable]:
        key = (type(node.op), getattr(node.op, "function", None))
        candidates = self.candidates.get(key)
        if candidates is None:
            candidates = self.candidates[key] = [found for found in self.active if _applies(found, *key)]
        if not candidates:
            return node.outputs
        with attributed_to(node.source):
            for candidate in candidates:
                result = candidate.rewriter(node, self.context)
                if result is not None:
                    outputs = result if isinstance(result, list) else [result, *node.outputs[1:]]
                    self._tell(candidate.name, node.outputs[0], outputs[0])
                    return outputs
        return node.outputs

    def _tell(self, name: str, before: Variable, after: Variable) -> None:
        self.changed = True
        if self.on_change is not None:
            self.on_change(Change(name, before, after))


def _applies(candidate: Rule, op: type[Op], function: str | None) -> bool:
    return op in candidate.ops and (not candidate.functions or function in candidate.functions)


def _may_stand_for(old: Any, new: Any) -> bool:
    """Whether a rewrite may put a value of type `new` where `old` was: it may know more sizes, never other ones."""
    if not isinstance(old, TensorType) or not isinstance(new, TensorType):
        return bool(old == new)
    if old.dtype != new.dtype or old.ndim != new.ndim:
        return False
    return all(None in pair or pair[0] == pair[1] for pair in zip(old.shape, new.shape, strict=True))


def _held(kind: Any, new: Any) -> Any:
    """A rewrite may find out that a size is 1. The axis still doesn't stretch: the gradient was built without that."""
    if not isinstance(kind, TensorType) or kind.broadcastable == new.type.broadcastable:
        return new
    grown = [axis for axis, ones in enumerate(new.type.broadcastable) if ones and not kind.broadcastable[axis]]
    if not isinstance(new, Constant) or new.name is not None:
        return unbroadcast(new, *grown) if grown else new
    held = make_constant(new.data)
    held.type = TensorType(kind.dtype, new.data.shape, kind.broadcastable)
    return held


def _fold(node: Apply) -> list[Variable] | None:
    """Return constants for the outputs of a node whose value is known, or None."""
    output = node.outputs[0]
    if output.known is not None:
        return [_constant(np.asarray(output.known))]
    if not node.inputs or not all(isinstance(variable, Constant) for variable in node.inputs):
        return None
    kinds = [variable.type for variable in node.outputs]
    largest = max(variable.data.size for variable in node.inputs)  # type: ignore[attr-defined]
    for kind in kinds:
        if not isinstance(kind, TensorType) or not kind.is_static or _count(kind) > max(FOLDED_SIZE, largest):
            return None
    try:
        values = node.op.evaluate(*[variable.data for variable in node.inputs])  # type: ignore[attr-defined]
    except (ValueError, IndexError, ArithmeticError):
        return None  # the error belongs to the call, where it names the user's line
    return [_constant(np.asarray(value)) for value in values]


def _count(kind: TensorType) -> int:
    return int(np.prod([size or 0 for size in kind.shape], dtype="int64"))


def _constant(value: np.ndarray) -> Any:
    value = np.array(value)
    value.flags.writeable = False
    return make_constant(value)
