"""Copies of graphs, with parts replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgrad.errors import render
from symgrad.graph.op import describe_operands
from symgrad.graph.traversal import applies_before, apply_again
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Constant, SharedVariable, Variable
from symgrad.ops.promotion import as_operand
from symgrad.ops.sizes import addbroadcast, unbroadcast


def clone_replace(
    output: Any,
    replace: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None = None,
    strict: bool = True,
    share_inputs: bool = True,
    copy_inputs: bool | None = None,
) -> Any:
    """Return a copy of expressions in which variables are replaced.

    Parameters
    ----------
    output : variable, list, tuple or dict of variables
        What to copy.
    replace : mapping or pairs of (variable, expression), optional
        What to replace, by what. All are replaced at once: an expression may hold the variables themselves.
    strict : bool
        Whether an expression must have the dtype, the number of axes and the broadcast pattern of what it replaces.
        If not, every op is applied anew.
    share_inputs : bool
        Whether the copy has the same inputs. If not, they are fresh variables; fresh shared variables have the
        storage of the old ones, and may get updates of their own.
    copy_inputs : bool, optional
        The older name of `share_inputs`.

    Returns
    -------
    like `output`

    Raises
    ------
    TypeError
        If an expression doesn't fit (`strict`), or something isn't a variable.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.clone``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x, y = T.dscalars('x', 'y')
    >>> z = symgrad.clone_replace(x ** 2 + y, {x: x + 1})
    >>> print(z.eval({x: 2., y: 10.}))
    19.0
    """
    if copy_inputs is not None:
        share_inputs = copy_inputs
    pairs = dict(replace.items() if isinstance(replace, Mapping) else replace or ())
    replacements = {old: _replacement(old, new, strict) for old, new in pairs.items()}
    if isinstance(output, Mapping):
        outputs = list(output.values())
    else:
        outputs = list(output) if isinstance(output, list | tuple) else [output]
    for variable in outputs:
        if not isinstance(variable, Variable):
            raise TypeError(f"clone_replace copies variables, got {type(variable).__name__} {variable!r:.60}")
    copies = _copied(outputs, replacements, share_inputs)
    if isinstance(output, Mapping):
        return dict(zip(output, copies, strict=True))
    return type(output)(copies) if isinstance(output, list | tuple) else copies[0]


def _replacement(old: Any, new: Any, strict: bool) -> Any:
    if not isinstance(old, Variable):
        raise TypeError(f"clone_replace replaces variables, got {type(old).__name__} {old!r:.60}")
    if not isinstance(new, Variable):
        new = as_operand(new, [getattr(old.type, "dtype", "float32")])
    if not strict or new.type == old.type or not isinstance(old.type, TensorType):
        return new
    if not isinstance(new.type, TensorType) or new.type.dtype != old.type.dtype or new.type.ndim != old.type.ndim:
        raise TypeError(
            render(f"{old} can't be replaced: {new.type} isn't {old.type}", "", describe_operands([old, new]),
                   "Cast or reshape it, or pass strict=False.")
        )  # fmt: skip
    return _stretching_as(old.type, new)


def _stretching_as(kind: TensorType, new: Any) -> Any:
    pairs = list(enumerate(zip(kind.broadcastable, new.type.broadcastable, strict=True)))
    promised = [axis for axis, (wanted, has) in pairs if wanted and not has]
    held = [axis for axis, (wanted, has) in pairs if has and not wanted]
    new = addbroadcast(new, *promised) if promised else new
    return unbroadcast(new, *held) if held else new


def _copied(outputs: Sequence[Variable], replacements: Mapping[Any, Any], share_inputs: bool) -> list[Any]:
    """Apply every op anew; what replaces a variable is copied too, if the inputs are."""
    new: dict[Variable, Any] = dict(replacements)
    if not share_inputs:
        fresh = clone_get_equiv([], list(replacements.values()), copy_inputs=True, copy_orphans=False)
        new = {old: fresh.get(value, value) for old, value in replacements.items()}
        new.update({leaf: copy for leaf, copy in fresh.items() if isinstance(leaf, Variable) and leaf not in new})

    def current(variable: Variable) -> Any:
        if variable in new or variable.owner is not None or share_inputs or isinstance(variable, Constant):
            return new.get(variable, variable)
        return new.setdefault(variable, _fresh(variable))

    for node in applies_before(outputs, stop_at=replacements):
        results = apply_again(node, [current(variable) for variable in node.inputs])
        for old, result in zip(node.outputs, results, strict=True):
            new.setdefault(old, result)
            _copy_tag(old, result)
    return [current(variable) for variable in outputs]


def _fresh(variable: Variable) -> Variable:
    if isinstance(variable, SharedVariable):
        return variable.clone() if hasattr(variable, "clone") else variable  # type: ignore[no-any-return]
    copy: Variable = variable.type(variable.name)
    copy._source = variable._source
    _copy_tag(variable, copy)
    return copy


def _copy_tag(old: Variable, new: Variable) -> None:
    if old._tag is not None:
        new.tag.__dict__.update(old._tag.__dict__)


def clone_get_equiv(
    inputs: Iterable[Variable],
    outputs: Iterable[Variable],
    copy_inputs: bool = True,
    copy_orphans: bool = True,
    memo: dict[Any, Any] | None = None,
) -> dict[Any, Any]:
    """Copy the graph between inputs and outputs; return a dict from each variable and node to its copy.

    Parameters
    ----------
    inputs, outputs : iterables of Variable
        The graph.
    copy_inputs : bool
        Whether the inputs are copied; else they are their own copies.
    copy_orphans : bool
        Whether other variables without an owner are copied: constants. Shared variables never are.
    memo : dict, optional
        Copies that are there already.

    Notes
    -----
    Keeps the behaviour of Theano's ``gof.graph.clone_get_equiv``.
    """
    found: dict[Any, Any] = {} if memo is None else memo
    given = list(inputs)
    outputs = list(outputs)
    for variable in given:
        found.setdefault(variable, _copied_leaf(variable) if copy_inputs else variable)
    for node in applies_before(outputs, stop_at=given):
        for variable in node.inputs:
            if variable not in found:
                found[variable] = _orphan(variable, copy_orphans)
        if node not in found:
            results = apply_again(node, [found[variable] for variable in node.inputs])
            found[node] = results[0].owner
            found.update({old: new for old, new in zip(node.outputs, results, strict=True) if old not in found})
            for old, new in zip(node.outputs, results, strict=True):
                _copy_tag(old, new)
    for variable in outputs:
        if variable not in found:
            found[variable] = _orphan(variable, copy_orphans)
    return found


def _orphan(variable: Variable, copies: bool) -> Variable:
    return _copied_leaf(variable) if copies else variable


def _copied_leaf(variable: Variable) -> Variable:
    if isinstance(variable, SharedVariable):
        return variable
    if isinstance(variable, Constant):
        return type(variable)(variable.type, variable.data, variable.name)
    return _fresh(variable)


def clone(
    i: Iterable[Variable], o: Iterable[Variable], copy_inputs: bool = True, copy_orphans: bool | None = None
) -> tuple[list[Variable], list[Variable]]:
    """Copy the graph between inputs and outputs; return the copies of both.

    Notes
    -----
    Keeps the behaviour of Theano's ``gof.graph.clone``. (``theano.clone`` is `clone_replace`.)

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.scalar('x')
    >>> (x2,), (y2,) = clone([x], [T.exp(x)])
    >>> x2 is x, y2.owner.inputs[0] is x2, x2.name
    (False, True, 'x')
    """
    given, outputs = list(i), list(o)
    copies = clone_get_equiv(given, outputs, copy_inputs, copy_inputs if copy_orphans is None else copy_orphans)
    return [copies[variable] for variable in given], [copies[variable] for variable in outputs]


def clone_node(node: Apply) -> Apply:
    """Return another application of the same op to the same variables."""
    owner = apply_again(node, node.inputs)[0].owner
    assert owner is not None
    return owner


__all__ = ["clone", "clone_get_equiv", "clone_node", "clone_replace"]

