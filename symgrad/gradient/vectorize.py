"""`vectorize` and `vmap`: the same computation for many values at once, along a new leading axis.

Each op is replaced by one that does its work for all rows; how, says `symgrad.gradient.leading_axis`. Nothing is
repeated: what doesn't depend on the rows is computed once, and a graph of products and elementwise functions stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from symgrad.errors import ShapeError
from symgrad.gradient.leading_axis import Rows, Single, with_leading_axis
from symgrad.graph.op import attributed_to, user_error
from symgrad.graph.traversal import applies_before, apply_again
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.ops.axes import moveaxis
from symgrad.ops.promotion import as_operand
from symgrad.ops.sizes import addbroadcast, size_of, unbroadcast


def vectorize(graph: Any, replace: Mapping[Any, Any]) -> Any:
    """Return `graph` computed for each row of what replaces its variables.

    Parameters
    ----------
    graph : variable or list of variables
        Expressions of one row.
    replace : mapping of variable to variable
        For each variable that differs from row to row, the tensor that holds its values: of the same dtype, with one
        more axis, the first. All have the same number of rows.

    Returns
    -------
    variable or list of variables
        Like `graph`, each with one more axis, the first.

    Raises
    ------
    ShapeError
        If a replacement hasn't got exactly one axis more, or numbers of rows differ.
    TypeError
        If nothing is to be replaced, or a dtype differs.

    Notes
    -----
    Ops that have no form for many rows run row by row, in NumPy.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x, w, xs = T.dvector('x'), T.dvector('w'), T.dmatrix('xs')
    >>> norms = symgrad.vectorize(T.dot(w, x) / x.max(), {x: xs})
    >>> print(norms.eval({xs: [[1., 2.], [3., 4.]], w: [1., 10.]}))
    [10.5  10.75]
    """
    outputs = list(graph) if isinstance(graph, list | tuple) else [graph]
    pairs = {variable: as_operand(rows) for variable, rows in replace.items()}
    _check(pairs)
    rows = Rows(_count(list(pairs.values())))
    found: dict[Variable, Any] = {variable: _as_declared(variable, x) for variable, x in pairs.items()}
    single: dict[Variable, Any] = {}
    for node in applies_before(outputs, stop_at=pairs):
        batched = [variable in found for variable in node.inputs]
        if not any(batched) and not any(variable in single for variable in node.inputs):
            continue
        inputs = [found.get(variable, single.get(variable, variable)) for variable in node.inputs]
        if any(batched):
            with attributed_to(node.source):
                results = with_leading_axis(node.op, node, inputs, batched, rows)
        else:
            results = [Single(result) for result in apply_again(node, inputs)]
        for old, result in zip(node.outputs, results, strict=True):
            if isinstance(result, Single):
                single.setdefault(old, result.variable)
            else:
                found.setdefault(old, _as_declared(old, result))
    of_rows = [found[v] if v in found else rows.repeated(single.get(v, v)) for v in outputs]
    return of_rows if isinstance(graph, list | tuple) else of_rows[0]


def _as_declared(variable: Any, rows: Any) -> Any:
    """Let exactly those axes of the rows stretch that stretch in the variable in whose place they come."""
    pairs = list(enumerate(zip(variable.type.broadcastable, rows.type.broadcastable[1:], strict=True), 1))
    promised = [axis for axis, (wanted, has) in pairs if wanted and not has]
    held = [axis for axis, (wanted, has) in pairs if has and not wanted]
    rows = addbroadcast(rows, *promised) if promised else rows
    return unbroadcast(rows, *held) if held else rows


def _check(pairs: Mapping[Any, Any]) -> None:
    if not pairs:
        raise user_error(TypeError, "vectorize needs at least one variable to replace")
    for variable, rows in pairs.items():
        if not isinstance(variable, Variable) or not isinstance(variable.type, TensorType):
            raise user_error(TypeError, f"vectorize replaces tensors, got {type(variable).__name__} {variable!r:.60}")
        if rows.type.dtype != variable.type.dtype:
            raise user_error(
                TypeError, f"vectorize can't put {rows.type.dtype} in place of {variable}, which is {variable.type}",
                [variable, rows], f"Cast it: .astype('{variable.type.dtype}').",
            )  # fmt: skip
        unlike = [a != b for a, b in zip(variable.type.shape, rows.type.shape[1:], strict=False) if None not in (a, b)]
        if rows.type.ndim != variable.type.ndim + 1 or any(unlike):
            raise user_error(
                ShapeError, f"vectorize needs the sizes of {variable} behind one more axis, got {rows.type}",
                [variable, rows],
            )  # fmt: skip


def _count(rows: Sequence[Any]) -> Any:
    """Return the number of rows: a number if one of the tensors knows it, else a scalar."""
    known = {kind.type.shape[0] for kind in rows if kind.type.shape[0] is not None}
    if len(known) > 1:
        raise user_error(ShapeError, f"vectorize needs equal numbers of rows, got {sorted(known)}", rows)
    return known.pop() if known else size_of(rows[0], 0)


def vmap(function: Callable[..., Any], in_axes: int | Sequence[int | None] | None = 0) -> Callable[..., Any]:
    """Return a function that does for each row of its operands what `function` does for one.

    Parameters
    ----------
    function : callable
        Takes variables, and returns a variable or a list of them.
    in_axes : int, None, or sequence of them
        Along which axis each operand has its rows; None for an operand that all rows share.

    Returns
    -------
    callable
        Its results have the rows along their first axis.

    Raises
    ------
    ShapeError
        If an operand has no axis for its rows.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> a, b = T.dmatrices('a', 'b')
    >>> products = symgrad.vmap(T.dot)(a, b)
    >>> print(products.eval({a: [[1., 2.], [3., 4.]], b: [[1., 1.], [1., -1.]]}))
    [ 3. -1.]
    """

    @wraps(function)
    def of_rows(*operands: Any) -> Any:
        variables = [as_operand(operand) for operand in operands]
        axes = [in_axes] * len(variables) if in_axes is None or isinstance(in_axes, int) else list(in_axes)
        if len(axes) != len(variables):
            raise user_error(TypeError, f"vmap has {len(axes)} in_axes for {len(variables)} operands", variables)
        replace: dict[Any, Any] = {}
        single = []
        for variable, axis in zip(variables, axes, strict=True):
            if axis is None:
                single.append(variable)
                continue
            if variable.type.ndim == 0:
                raise user_error(ShapeError, f"vmap needs an axis for the rows, got {variable.type}", [variable])
            rows = moveaxis(variable, axis, 0) if axis % variable.type.ndim else variable
            row = TensorType(rows.type.dtype, rows.type.shape[1:], rows.type.broadcastable[1:])(variable.name)
            replace[row] = rows
            single.append(row)
        return vectorize(function(*single), replace)

    return of_rows
