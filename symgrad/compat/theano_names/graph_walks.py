"""Theano's tools that replace variables of graphs: `map_variables`, and what isn't kept of `pfunc`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symgrad.compat.theano_names.errors import NotKeptError
from symgrad.graph.variables import Variable
from symgrad.tools import clone_replace, io_toposort


def map_variables(
    replacer: Callable[[Any], Any], graphs: Iterable[Any], additional_inputs: Sequence[Any] = ()
) -> list[Any]:
    """Return graphs in which what `replacer` returns stands for each variable that is computed.

    Parameters
    ----------
    replacer : callable
        Takes a variable and returns what replaces it, or the variable itself.
    graphs : iterable of variables
        Whose graphs to change.
    additional_inputs : sequence of variables
        Accepted.

    Raises
    ------
    NotKeptError
        If there is an op that holds a graph, such as a scan: replace what is in it where the graph is written.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> y = x * 2
    >>> y.tag.replacement = x * 3
    >>> (z,) = map_variables(lambda found: getattr(found.tag, "replacement", found), [y + 1])
    >>> print(z.eval({x: 5.}))
    16.0
    """
    outputs = list(graphs)
    mapping: dict[Any, Any] = {}
    for node in io_toposort([], outputs):
        if getattr(node.op, "graphs", ()):
            raise NotKeptError(f"map_variables doesn't go into the graph of {node.op}. Replace variables before that.")
        for variable in node.outputs:
            replacement = replacer(variable)
            if replacement is not variable:
                mapping[variable] = clone_replace(replacement, mapping)
    return list(clone_replace(outputs, mapping))


def rebuild_collect_shared(outputs: Any, *arguments: Any, **options: Any) -> Any:
    """Theano's step before compiling, which isn't kept."""
    raise NotKeptError(
        "symgrad doesn't keep rebuild_collect_shared. Call theano.clone to replace variables, and "
        "theano.gof.graph.inputs to find shared ones."
    )


class Composite:
    """A function of scalars made of others: ``Composite([a, b], [a * b + 1])(x, y)``, also of tensors' elements.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a, b = T.dscalars('a', 'b')
    >>> print(Composite([a, b], [a * b + 1])([1., 2.], 3.).eval())
    [4. 7.]
    """

    def __init__(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.nin, self.nout = len(self.inputs), len(self.outputs)

    def __call__(self, *operands: Any) -> Any:
        """Return the result, or a list of them."""
        if len(operands) != self.nin:
            raise TypeError(f"Composite takes {self.nin} operands, got {len(operands)}")
        from symgrad.tensor import as_tensor_variable

        pairs = zip(self.inputs, [as_tensor_variable(operand) for operand in operands], strict=True)
        found = clone_replace(self.outputs, list(pairs), strict=False)
        return found[0] if self.nout == 1 else found

    def impl(self, *numbers: Any) -> Any:
        """Compute the result for numbers."""
        found = self(*numbers)
        return found.eval()[()] if self.nout == 1 else [one.eval()[()] for one in found]


__all__ = ["Composite", "map_variables", "rebuild_collect_shared"]
