"""Questions about graphs, and walks over them, by the names that Theano's ``gof.graph`` has for them.

A walk never recurses, so depth doesn't matter. `symgrad.graph.traversal` has those that symgrad itself uses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.variables import Apply, Constant, Variable, construction_observers
from symgrad.kernels.grammar import View


def stack_search(
    start: Iterable[Any], expand: Callable[[Any], Iterable[Any] | None], mode: str = "bfs", build_inv: bool = False
) -> Any:
    """Return everything that can be reached, in the order in which it is come by.

    Parameters
    ----------
    start : iterable
        Where the walk starts; a deque is emptied.
    expand : callable
        Returns what follows a node, or None.
    mode : {'bfs', 'dfs'}
        Whether the walk is wide or deep.
    build_inv : bool
        Whether a dict is returned too: for each node, those that it followed.

    Examples
    --------
    >>> stack_search([1], lambda n: [2 * n, 2 * n + 1] if n < 4 else None)
    [1, 2, 3, 4, 5, 6, 7]
    """
    if mode not in ("bfs", "dfs"):
        raise ValueError(f"mode should be bfs or dfs, got {mode!r}")
    waiting = start if isinstance(start, deque) else deque(start)
    found: dict[Any, None] = {}
    expanded: dict[Any, list[Any]] = {}
    while waiting:
        node = waiting.popleft() if mode == "bfs" else waiting.pop()
        if node in found:
            continue
        found[node] = None
        following = list(expand(node) or ())
        for after in following:
            expanded.setdefault(after, []).append(node)
        waiting.extend(following)
    return (list(found), expanded) if build_inv else list(found)


def ancestors(variable_list: Iterable[Variable], blockers: Collection[Variable] = ()) -> list[Variable]:
    """Return the variables that others depend on, and these themselves, results first; nothing behind `blockers`.

    The walk begins with the last variable of the list, as Theano's does.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, y = T.scalars('x', 'y')
    >>> ancestors([x + y])
    [add, x, y]
    """
    def expand(variable: Variable) -> Iterable[Variable] | None:
        if variable.owner is None or (blockers and variable in blockers):
            return None
        return reversed(variable.owner.inputs)

    return stack_search(deque(variable_list), expand, "dfs")  # type: ignore[no-any-return]


def inputs(variable_list: Iterable[Variable], blockers: Collection[Variable] = ()) -> list[Variable]:
    """Return the variables without an owner that others depend on: inputs, shared variables and constants.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, y = T.scalars('x', 'y')
    >>> inputs([x * y + 2])
    [x, y, 2.]
    """
    return [variable for variable in ancestors(variable_list, blockers) if variable.owner is None]


def variables_and_orphans(i: Collection[Variable], o: Iterable[Variable]) -> tuple[list[Variable], list[Variable]]:
    """Return all variables between inputs and outputs, and those that are needed besides the inputs: orphans."""
    given = set(i)
    found = dict.fromkeys(ancestors(o, given))
    return list(found), [variable for variable in found if variable.owner is None and variable not in given]


def variables(i: Collection[Variable], o: Iterable[Variable]) -> list[Variable]:
    """Return all variables between inputs and outputs, both included."""
    return variables_and_orphans(i, o)[0]


def orphans(i: Collection[Variable], o: Iterable[Variable]) -> list[Variable]:
    """Return the variables without an owner that outputs need besides the inputs; constants are among them."""
    return variables_and_orphans(i, o)[1]


def ops(i: Collection[Variable], o: Iterable[Variable]) -> set[Apply]:
    """Return the nodes between inputs and outputs."""
    return set(applies_before(o, stop_at=i))


def list_of_nodes(inputs: Collection[Variable], outputs: Iterable[Variable]) -> list[Apply]:
    """Return the nodes between inputs and outputs, causes first."""
    return applies_before(outputs, stop_at=inputs)


def io_toposort(
    inputs: Collection[Variable], outputs: Iterable[Variable], orderings: Mapping[Apply, Sequence[Apply]] | None = None
) -> list[Apply]:
    """Return the nodes between inputs and outputs, each after those that it depends on.

    Parameters
    ----------
    inputs, outputs : variables
        The graph.
    orderings : mapping, optional
        For a node, further nodes that come before it.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.scalar('x')
    >>> io_toposort([x], [T.exp(x) * x])
    [exp(x), multiply(exp, x)]
    """
    given = set(inputs)
    nodes = applies_before(outputs, stop_at=given)
    if not orderings:
        return nodes
    among = set(nodes)

    def before(node: Apply) -> list[Apply]:
        owners = [variable.owner for variable in node.inputs if variable.owner in among and variable not in given]
        return [*owners, *[one for one in orderings.get(node, ()) if one in among]]  # type: ignore[list-item]

    return general_toposort(nodes, before)


def general_toposort(
    outputs: Iterable[Any], deps: Callable[[Any], Iterable[Any]], debug_print: bool = False
) -> list[Any]:
    """Return everything that `outputs` depend on and themselves, each after what it depends on.

    Parameters
    ----------
    outputs : iterable
        Anything hashable.
    deps : callable
        Returns what one depends on.
    debug_print : bool
        Accepted for Theano's sake.

    Raises
    ------
    ValueError
        If something depends on itself.

    Examples
    --------
    >>> general_toposort(['c'], {'c': ['a', 'b'], 'b': ['a'], 'a': []}.get)
    ['a', 'b', 'c']
    """
    waiting_for: dict[Any, set[Any]] = {}

    def expand(node: Any) -> list[Any]:
        needed = list(deps(node) or ())
        waiting_for[node] = set(needed)
        return needed

    found, clients = stack_search(deque(outputs), expand, "dfs", build_inv=True)
    ready = deque(node for node in found if not waiting_for[node])
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for client in clients.get(node, ()):
            if node in waiting_for[client]:
                waiting_for[client].discard(node)
                if not waiting_for[client]:
                    ready.append(client)
    if len(order) != len(found):
        raise ValueError("the graph has a cycle")
    return order


def is_in_ancestors(l_node: Apply, f_node: Apply) -> bool:
    """Whether `f_node` is `l_node`, or makes something that `l_node` depends on."""
    return f_node in applies_before(l_node.outputs)


def view_roots(r: Variable) -> list[Variable]:
    """Return the variables whose memory `r` shows: it itself, unless the op that makes it is a view."""
    found: list[Variable] = []
    pending = [r]
    while pending:
        variable = pending.pop()
        node = variable.owner
        shown: Any = None
        if node is not None:
            views = getattr(node.op, "view_map", {}) or {}
            if variable.index in views:
                shown = [node.inputs[position] for position in views[variable.index]]
            elif isinstance(node.op.lower(node), View):
                shown = [node.inputs[0]]
        if shown:
            pending.extend(shown)
        else:
            found.append(variable)
    return found


@contextmanager
def nodes_constructed() -> Iterator[list[Variable]]:
    """Collect the variables that are made in a block.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.scalar('x')
    >>> with nodes_constructed() as made:
    ...     y = T.exp(x)
    >>> made
    [exp]
    """
    made: list[Variable] = []
    construction_observers.append(made.append)
    try:
        yield made
    finally:
        construction_observers.remove(made.append)


# ---- are two graphs the same? ----


def equal_computations(
    xs: Sequence[Any], ys: Sequence[Any], in_xs: Sequence[Any] = (), in_ys: Sequence[Any] = ()
) -> bool:
    """Whether expressions compute the same, op by op, where ``in_xs[k]`` stands for ``in_ys[k]``.

    Other inputs must be the same variables; constants must be equal.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, y = T.scalars('x', 'y')
    >>> equal_computations([x + 1], [y + 1]), equal_computations([x + 1], [y + 1], [x], [y])
    (False, True)
    """
    if len(xs) != len(ys) or len(in_xs) != len(in_ys):
        raise ValueError("equal_computations needs sequences of equal lengths")
    matched = dict(zip(in_xs, in_ys, strict=True))
    taken = set(in_ys)
    pending = list(zip(xs, ys, strict=True))
    seen: set[tuple[Any, Any]] = set()
    while pending:
        x, y = pending.pop()
        if (x, y) in seen:
            continue
        seen.add((x, y))
        if x in matched or y in taken:
            if matched.get(x) is not y:
                return False
        elif x.owner is None or y.owner is None:
            if x is not y and not _are_equal_constants(x, y):
                return False
        elif x.index != y.index or x.owner.op != y.owner.op or len(x.owner.inputs) != len(y.owner.inputs):
            return False
        else:
            pending.extend(zip(x.owner.inputs, y.owner.inputs, strict=True))
    return True


def _are_equal_constants(x: Variable, y: Variable) -> bool:
    if not isinstance(x, Constant) or not isinstance(y, Constant) or x.type != y.type:
        return False
    if not isinstance(x.data, np.ndarray):
        return bool(x.data == y.data)
    return np.array_equal(x.data, y.data, equal_nan=x.data.dtype.kind in "fc")


def is_same_graph(var1: Variable, var2: Variable, givens: Any = None, debug: bool = False) -> bool:
    """Whether two expressions compute the same from the same inputs.

    Parameters
    ----------
    var1, var2 : Variable
        The expressions.
    givens : mapping or pairs, optional
        Variables to replace in both, as in `function`.
    debug : bool
        Accepted for Theano's sake.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, y = T.scalars('x', 'y')
    >>> is_same_graph(x * 2, x * 2), is_same_graph(x * 2, y * 2, givens={y: x})
    (True, True)
    """
    replacements = dict(givens or {})
    first, second = substitute([var1, var2], replacements) if replacements else (var1, var2)
    return equal_computations([first], [second])
