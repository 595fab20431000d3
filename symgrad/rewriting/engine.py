"""The engine: it walks the graph, applies rules, carries source lines over, and checks that types stay the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from operator import is_
from typing import Any

import numpy as np

from symgrad.errors import GraphError
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Op, attributed_to, only_types_inferred
from symgrad.graph.traversal import apply_again, uses
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Constant, Variable, make_constant
from symgrad.ops.sizes import unbroadcast

PHASES = ("canonicalize", "stabilize", "specialize")
MAXIMAL_PASSES = 12
MAXIMAL_DEPTH = 256
"""So many rules, one after the other, may change what a node became in one pass."""
FOLDED_SIZE = 4096

Rewriter = Callable[[Apply, "Context"], Any]
GraphRewriter = Callable[[ClosedGraph, Callable[[ClosedGraph], ClosedGraph]], ClosedGraph]


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
    backends : tuple of str
        Names of the backends that it is for; empty for all.
    """

    name: str
    phase: str
    ops: tuple[type[Op], ...]
    functions: tuple[str, ...]
    reason: str
    rewriter: Rewriter
    backends: tuple[str, ...] = ()


RULES: dict[str, Rule] = {}


@dataclass(frozen=True)
class GraphRule:
    """A rule about ops that hold graphs, which has to see the whole graph.

    It runs after the other rules of its phase, which then run again; and only if there is such an op.

    Parameters
    ----------
    name, phase, reason : str
        As of a `Rule`.
    rewriter : callable
        ``rewriter(graph, inner)`` returns the graph as it is, or another one; ``inner(graph)`` rewrites a graph inside
        an op as far as the phase goes.
    """

    name: str
    phase: str
    reason: str
    rewriter: GraphRewriter


GRAPH_RULES: dict[str, GraphRule] = {}
MAXIMAL_GRAPH_PASSES = 4

MERGE = "equal_nodes_are_one"
FOLD = "constants_are_folded"
ENGINE_RULES = {
    MERGE: "the same op on the same variables is computed once",
    FOLD: "what depends on constants only is computed once, at compile time",
}


def rule(
    phase: str, *ops: type[Op], reason: str, functions: Sequence[str] = (), backends: tuple[str, ...] = ()
) -> Callable[[Rewriter], Rewriter]:
    """Declare a rule; the function's name becomes the rule's."""

    def declare(rewriter: Rewriter) -> Rewriter:
        name = rewriter.__name__  # type: ignore[attr-defined]
        RULES[name] = Rule(name, phase, ops, tuple(functions), reason, rewriter, backends)
        return rewriter

    return declare


def graph_rule(phase: str, reason: str) -> Callable[[GraphRewriter], GraphRewriter]:
    """Declare a rule about ops that hold graphs; the function's name becomes the rule's."""

    def declare(rewriter: GraphRewriter) -> GraphRewriter:
        name = rewriter.__name__  # type: ignore[attr-defined]
        GRAPH_RULES[name] = GraphRule(name, phase, reason, rewriter)
        return rewriter

    return declare


@dataclass(frozen=True)
class Change:
    """One application of a rule, for people who look."""

    rule: str
    before: Variable
    after: Variable


class Context:
    """What a rule may ask besides its node: how often a variable is used, and by which nodes.

    Attributes
    ----------
    asked : bool
        Whether a rule has asked: its answer may then be another in the next pass, though its node is the same.
    """

    def __init__(self, counts: dict[Variable, int], order: Sequence[Apply] = ()) -> None:
        self.asked = False
        self._counts = counts
        self._order = order
        self._users: dict[Variable, list[tuple[Apply, int]]] | None = None
        self._positions: dict[Apply, int] | None = None
        self._origin: dict[Variable, Variable] = {}

    def replaces(self, new: Variable, old: Variable) -> None:
        """Note that `new` stands for `old` in this pass."""
        if new in self._counts:  # at least so often: a rule that hesitates for that is asked again in the next pass
            self._counts[new] += self._counts.get(self._origin.get(old, old), 1)
        else:
            self._origin[new] = self._origin.get(old, old)

    def uses(self, variable: Variable) -> int:
        """Return how many nodes and outputs use a variable; one for a variable that a rule just made."""
        self.asked = True
        return self._counts.get(self._origin.get(variable, variable), 1)

    def users(self, variable: Variable) -> list[tuple[Apply, int]]:
        """Return the nodes that use a variable, as they were before this pass, and at which position; no outputs."""
        self.asked = True
        if self._users is None:
            self._users = {}
            for node in self._order:
                for position, operand in enumerate(node.inputs):
                    self._users.setdefault(operand, []).append((node, position))
        return self._users.get(self._origin.get(variable, variable), [])

    def position(self, node: Apply) -> int:
        """Return where a node stood in the order before this pass: after all that it depends on."""
        self.asked = True
        if self._positions is None:
            self._positions = {known: number for number, known in enumerate(self._order)}
        return self._positions.get(node, len(self._order))


def all_rule_names() -> list[str]:
    """Return the names of all rules, those that the engine itself applies first."""
    return [*ENGINE_RULES, *RULES, *GRAPH_RULES]


def rewrite(
    graph: ClosedGraph,
    rules: Collection[str],
    on_change: Callable[[Change], None] | None = None,
    backend: str = "numpy",
    last_phase: str = PHASES[-1],
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
    backend : str
        Name of the backend that will run the graph: rules for other ones don't apply.
    last_phase : str
        Where to stop.
    """
    enabled = frozenset(rules)
    suited = [found for found in RULES.values() if found.name in enabled and backend in (found.backends or (backend,))]
    memory = _Memory(MERGE in enabled, FOLD in enabled, on_change)
    with only_types_inferred():
        for phase in PHASES[: PHASES.index(last_phase) + 1]:
            memory.activate([found for found in suited if found.phase == phase])
            if memory.active or enabled & ENGINE_RULES.keys():
                graph = _to_fixed_point(graph, memory)
            inner = _Inner(partial(rewrite, rules=enabled, on_change=on_change, backend=backend, last_phase=phase))
            graph = _by_graph_rules(graph, [GRAPH_RULES[n] for n in GRAPH_RULES if n in enabled], phase, inner, memory)
    return graph


class _Inner:
    """Rewrites graphs inside ops, each once."""

    def __init__(self, rewriter: Callable[[ClosedGraph], ClosedGraph]) -> None:
        self._rewriter = rewriter
        self._done: dict[int, tuple[ClosedGraph, ClosedGraph]] = {}

    def __call__(self, graph: ClosedGraph) -> ClosedGraph:
        """Return the graph after the phases so far."""
        known = self._done.get(id(graph))
        if known is None:
            found = self._rewriter(graph)
            known = self._done[id(graph)] = (graph, found)
            self._done[id(found)] = (found, found)
        return known[1]


def _by_graph_rules(
    graph: ClosedGraph,
    rules: Sequence[GraphRule],
    phase: str,
    inner: Callable[[ClosedGraph], ClosedGraph],
    memory: _Memory,
) -> ClosedGraph:
    """Apply the rules that see the whole graph, and after each change the others again."""
    if not any(getattr(node.op, "graphs", None) for node in graph.order):
        return graph
    for _ in range(MAXIMAL_GRAPH_PASSES):
        before = graph
        for one in rules:
            if one.phase == phase:
                graph = memory.told(one.name, graph, one.rewriter(graph, inner))
        if graph is before:
            break
        graph = _to_fixed_point(graph, memory)
    return graph


def _to_fixed_point(graph: ClosedGraph, memory: _Memory) -> ClosedGraph:
    for _ in range(MAXIMAL_PASSES):
        one_pass = _Pass(graph, memory)
        graph = one_pass.result()
        if not one_pass.changed:
            break
    return graph


class _Memory:
    """What the passes over a graph know from each other, so that each looks only at what is new to it.

    Attributes
    ----------
    active : list of Rule
        The rules of this phase and of those before, in this order.
    tried : dict
        For a node that is offered no more: how many of its rules have had it, and which of these must be asked again
        in each pass, because the answer depends on more than the node.
    """

    def __init__(self, merges: bool, folds: bool, on_change: Callable[[Change], None] | None) -> None:
        self.merges = merges
        self.folds = folds
        self.on_change = on_change
        self.active: list[Rule] = []
        self.tried: dict[Apply, tuple[int, list[Rule]]] = {}
        self._ops: dict[int, tuple[Op, Op, list[Rule]]] = {}
        self._rules: dict[tuple[type[Op], Any], list[Rule]] = {}
        self._equal_ops: dict[Op, Op] = {}
        self._nodes: dict[Any, Apply] = {}
        self._constants: dict[Any, Constant] = {}
        self._merged: dict[Constant, Constant] = {}

    def told(self, name: str, before: ClosedGraph, after: ClosedGraph) -> ClosedGraph:
        """Return a graph, after telling what has become of the roots."""
        if self.on_change is not None:
            for old, new in zip(before.roots, after.roots, strict=True):
                if old is not new:
                    self.on_change(Change(name, old, new))
        return after

    def activate(self, rules: Sequence[Rule]) -> None:
        """Begin the next phase."""
        self.active += rules
        self._ops.clear()
        self._rules.clear()

    def candidates(self, op: Op) -> list[Rule]:
        """Return the active rules for an op, those of earlier phases first."""
        return self._facts(op)[2]

    def _facts(self, op: Op) -> tuple[Op, Op, list[Rule]]:
        """Return an op, the first that is equal to it, and the rules for it; hashes of ops take long."""
        facts = self._ops.get(id(op))
        if facts is None:
            kind, function = type(op), getattr(op, "function", None)
            rules = self._rules.get((kind, function))
            if rules is None:
                rules = [one for one in self.active if _applies(one, kind, function)]
                self._rules[kind, function] = rules
            facts = self._ops[id(op)] = (op, self._equal_ops.setdefault(op, op), rules)
        return facts

    def is_done(self, node: Apply) -> bool:
        """Whether no rule has anything to say about a node, as long as it stays as it is."""
        state = self.tried.get(node)
        return state is not None and not state[1] and state[0] == len(self.candidates(node.op))

    def equal_node(self, node: Apply) -> Apply:
        """Return the first node that applied the same op to the same variables: `node` itself, if it is the first."""
        return self._nodes.setdefault((id(self._facts(node.op)[1]), *map(id, node.inputs)), node)

    def equal_constant(self, constant: Constant) -> Constant:
        """Return the first small constant of the same value and type."""
        known = self._merged.get(constant)
        if known is None:
            known = constant
            if isinstance(constant.type, TensorType) and constant.data.size <= 64 and constant.name is None:
                pattern = constant.type.broadcastable
                key = (constant.data.dtype.str, constant.data.shape, pattern, constant.data.tobytes())
                known = self._constants.setdefault(key, constant)
            self._merged[constant] = known
        return known


class _Pass:
    """One pass over the graph, causes first: nodes are rebuilt on new inputs, merged, folded and offered to the rules.

    What a rule makes goes the same way at once, so that those who use it see only what is settled.
    """

    def __init__(self, graph: ClosedGraph, memory: _Memory) -> None:
        self.graph = graph
        self.memory = memory
        self.changed = False
        self.given = frozenset(graph.inputs)
        self.new: dict[Variable, Variable] = {}
        self.settled: set[Apply] = set()
        self.context = Context(uses(graph.roots, graph.order), graph.order)

    def result(self) -> ClosedGraph:
        """Walk, and return the new graph."""
        for node in self.graph.order:
            if self.memory.is_done(node) and not any(variable in self.new for variable in node.inputs):
                self.settled.add(node)
            else:
                self._settle(node)
        roots = [self._current(root) for root in self.graph.roots]
        return self.graph if all(map(is_, roots, self.graph.roots)) else self.graph.with_roots(roots)

    def _current(self, variable: Variable) -> Variable:
        found = self.new.get(variable)
        if found is not None:
            return found
        if self.memory.merges and isinstance(variable, Constant):
            return self.memory.equal_constant(variable)
        return variable

    def _settle(self, node: Apply) -> None:
        """Settle a node, after what it needs, and then what replaces it."""
        stack: list[tuple[Apply, int, Sequence[Variable] | None]] = [(node, 0, None)]
        while stack:
            node, depth, outputs = stack.pop()
            if outputs is not None:
                self._replace(node, outputs)
            elif node not in self.settled:
                inputs = [self._current(variable) for variable in node.inputs]
                waiting = self._unsettled(inputs)
                if waiting:
                    stack.append((node, depth, None))
                    stack += [(owner, depth, None) for owner in waiting]
                    continue
                self.settled.add(node)
                outputs = self._outcome(node, inputs, depth)
                if outputs is node.outputs:
                    continue
                outputs = [_held(*pair) for pair in zip(node.outputs, outputs, strict=True)]
                waiting = self._unsettled(outputs)
                if waiting:
                    stack.append((node, depth, outputs))
                    stack += [(owner, depth + 1, None) for owner in waiting]
                else:
                    self._replace(node, outputs)

    def _unsettled(self, variables: Sequence[Variable]) -> list[Apply]:
        """Return the nodes that make variables and aren't settled, the last first."""
        return [
            variable.owner for variable in reversed(variables)
            if variable.owner is not None and variable.owner not in self.settled and variable not in self.given
        ]  # fmt: skip

    def _replace(self, node: Apply, outputs: Sequence[Variable]) -> None:
        """From here on, what `outputs` became stands for the outputs of a node."""
        for old, new in zip(node.outputs, outputs, strict=True):
            new = self._current(new)
            if new is not old:
                if new.name is None and new.owner is not None:
                    new.name = old.name
                self.new[old] = new
                self.context.replaces(new, old)

    def _outcome(self, node: Apply, inputs: Sequence[Variable], depth: int) -> Sequence[Variable]:
        """Return what a node's outputs become: themselves, if nothing applies."""
        memory = self.memory
        if not all(map(is_, inputs, node.inputs)):
            outputs = apply_again(node, inputs)
            for old, new in zip(node.outputs, outputs, strict=True):
                self.context.replaces(new, old)
            node = outputs[0].owner or node
        if node not in memory.tried:
            if memory.merges:
                known = memory.equal_node(node)
                if known is not node:
                    self._tell(MERGE, node.outputs[0], known.outputs[0])
                    return known.outputs
            folded = _fold(node) if memory.folds else None
            if folded is not None:
                self._tell(FOLD, node.outputs[0], folded[0])
                return folded
        return self._offer(node) if depth <= MAXIMAL_DEPTH else node.outputs

    def _offer(self, node: Apply) -> Sequence[Variable]:
        candidates = self.memory.candidates(node.op)
        count, again = self.memory.tried.get(node, (0, []))
        untried = again + candidates[count:]
        again = []
        if untried:
            with attributed_to(node.source):
                for candidate in untried:
                    self.context.asked = False
                    result = candidate.rewriter(node, self.context)
                    if result is not None:
                        outputs = result if isinstance(result, list) else [result, *node.outputs[1:]]
                        self._tell(candidate.name, node.outputs[0], outputs[0])
                        return outputs
                    if self.context.asked:
                        again.append(candidate)
        self.memory.tried[node] = (len(candidates), again)
        self.settled.add(node)
        return node.outputs

    def _tell(self, name: str, before: Variable, after: Variable) -> None:
        self.changed = True
        if self.memory.on_change is not None:
            self.memory.on_change(Change(name, before, after))


def _applies(candidate: Rule, op: type[Op], function: str | None) -> bool:
    return op in candidate.ops and (not candidate.functions or function in candidate.functions)


def _may_stand_for(old: Any, new: Any) -> bool:
    """Whether a rewrite may put a value of type `new` where `old` was: it may know more sizes, never other ones."""
    if old == new or not isinstance(old, TensorType) or not isinstance(new, TensorType):
        return bool(old == new)
    if old.dtype != new.dtype or old.ndim != new.ndim:
        return False
    return all(None in pair or pair[0] == pair[1] for pair in zip(old.shape, new.shape, strict=True))


def _held(old: Any, new: Any) -> Any:
    """Return `new` in the form in which it may stand for `old`.

    A rewrite may find out that a size is 1. The axis still doesn't stretch: the gradient was built without that.
    """
    kind = old.type
    if not _may_stand_for(kind, new.type):
        raise GraphError(f"a rewrite changed the type of {old} from {kind} to {new.type}")
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
    if not node.inputs or not all(isinstance(variable, Constant) for variable in node.inputs) or not node.op.may_fold:
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
