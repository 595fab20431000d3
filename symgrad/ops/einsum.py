"""Sums of products as Einstein wrote them, made of matrix products, reordered axes and sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import dimshuffle
from symgrad.ops.casting import cast_operands
from symgrad.ops.diagonals import diagonal
from symgrad.ops.linalg import matmul
from symgrad.ops.promotion import as_operands, upcast
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import known_size, sizes_product

Labels = tuple[str, ...]


class Factor(NamedTuple):
    """A tensor with a label for each axis."""

    tensor: Any
    labels: Labels


def einsum(subscripts: str, *operands: Any) -> Any:
    """Return a sum of products of tensors, as `numpy.einsum`.

    Parameters
    ----------
    subscripts : str
        A letter for each axis of each operand, ``'ij,jk->ik'``. Axes with the same letter run together; letters that
        the result doesn't have are summed over. Without an arrow, the result has the letters that stand once, in
        alphabetical order. ``...`` stands for further axes in front of those that follow, which broadcast.
    *operands : tensors
        As many as there are groups of letters.

    Returns
    -------
    tensor
        Of the dtype in which the operands meet.

    Raises
    ------
    ValueError
        If the subscripts make no sense or don't fit the operands.
    ShapeError
        If axes with one letter are known to have different sizes.

    Notes
    -----
    Products are taken two by two, the smallest intermediate result first where sizes are known; a pair that shares
    summed axes is one (batched) matrix product.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> print(T.einsum('ij,kj->ik', x, x).eval({x: [[1., 2.], [3., 4.]]}))
    [[ 5. 11.]
     [11. 25.]]
    """
    if not isinstance(subscripts, str):
        raise user_error(TypeError, f"einsum needs its subscripts as text first, got {type(subscripts).__name__}")
    tensors = as_operands(*operands)
    groups, result = _parse(subscripts, tensors)
    dtype = upcast(*[tensor.type.dtype for tensor in tensors])
    tensors = cast_operands(tensors, [dtype] * len(tensors))
    factors = [_with_diagonals(Factor(tensor, labels)) for tensor, labels in zip(tensors, groups, strict=True)]
    _check_sizes(factors, tensors)
    while len(factors) > 1:
        first, second = _cheapest_pair(factors, result)
        others = [factor for number, factor in enumerate(factors) if number not in (first, second)]
        wanted = {*result, *(label for factor in others for label in factor.labels)}
        factors = [*others, _product(factors[first], factors[second], wanted)]
    tensor, labels = _summed(factors[0], set(result))
    return dimshuffle(tensor, *[labels.index(label) for label in result])


def _parse(subscripts: str, tensors: Sequence[Any]) -> tuple[list[Labels], Labels]:
    """Return the labels of each operand and of the result; axes of an ellipsis are labelled by numbers."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    groups = left.split(",")
    if len(groups) != len(tensors):
        raise user_error(
            ValueError, f"einsum: {subscripts!r} speaks of {len(groups)} operands, got {len(tensors)}", tensors
        )
    hidden = [tensor.type.ndim - len(group.replace("...", "")) for group, tensor in zip(groups, tensors, strict=True)]
    for group, count, tensor in zip(groups, hidden, tensors, strict=True):
        if count < 0 or (count and "..." not in group):
            raise user_error(ValueError, f"einsum: {group!r} doesn't fit {tensor.type}", [tensor])
    most = max([count for group, count in zip(groups, hidden, strict=True) if "..." in group], default=0)
    labelled = [_labels(group, count, most, subscripts) for group, count in zip(groups, hidden, strict=True)]
    if arrow:
        result = _labels(right, most if "..." in right else 0, most, subscripts)
    else:
        every = [label for labels in labelled for label in labels]
        result = (*_numbers(most, most), *sorted(label for label in set(every) if every.count(label) == 1
                                                 and label.isalpha()))  # fmt: skip
    known = {label for labels in labelled for label in labels}
    if len(set(result)) != len(result) or not set(result) <= known:
        raise user_error(ValueError, f"einsum: {right!r} isn't a choice of the letters of {left!r}", tensors)
    return labelled, result


def _labels(group: str, count: int, most: int, subscripts: str) -> Labels:
    before, dots, behind = group.partition("...")
    letters = before + behind
    if letters and not (letters.isalpha() and letters.isascii()):
        raise user_error(ValueError, f"einsum: subscripts are letters, commas, '->' and '...', got {subscripts!r}")
    return (*before, *(_numbers(count, most) if dots else ()), *behind)


def _numbers(count: int, most: int) -> Labels:
    """Return labels of the last `count` of `most` axes of an ellipsis."""
    return tuple([str(number) for number in range(most - count, most)])


def _with_diagonals(factor: Factor) -> Factor:
    """Take the diagonal where one operand has a letter twice."""
    tensor, labels = factor
    while len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        sizes = tensor.type.shape[first], tensor.type.shape[second]
        if None not in sizes and sizes[0] != sizes[1]:
            raise _unequal(label, sizes, [tensor])
        tensor = diagonal(tensor, 0, first, second)
        labels = (*[own for axis, own in enumerate(labels) if axis not in (first, second)], label)
    return Factor(tensor, labels)


def _unequal(label: str, sizes: Sequence[Any], tensors: Sequence[Any]) -> Exception:
    found = " and ".join(map(str, sizes))
    return user_error(ShapeError, f"einsum needs equal sizes where {label!r} stands, got {found}", tensors)


def _check_sizes(factors: Sequence[Factor], tensors: Sequence[Any]) -> None:
    found: dict[str, int] = {}
    for tensor, labels in factors:
        for axis, label in enumerate(labels):
            size = tensor.expected.shape[axis]
            if size is None or tensor.type.broadcastable[axis]:
                continue
            if found.setdefault(label, size) != size:
                raise _unequal(label, (found[label], size), tensors)


def _cheapest_pair(factors: Sequence[Factor], result: Labels) -> tuple[int, int]:
    """Return the two factors whose product is smallest, taking unknown sizes to be moderate."""
    usual = 32
    sizes: dict[str, int] = {}
    for tensor, labels in factors:
        for axis, label in enumerate(labels):
            sizes[label] = max(sizes.get(label, 1), tensor.type.shape[axis] or usual)

    def cost(pair: tuple[int, int]) -> float:
        rest = {*result, *(label for n, f in enumerate(factors) if n not in pair for label in f.labels)}
        both = {*factors[pair[0]].labels, *factors[pair[1]].labels}
        made = float(np.prod([sizes[label] for label in both & rest]))
        used = [float(np.prod([sizes[label] for label in factors[number].labels])) for number in pair]
        return made - sum(used)

    pairs = [(first, second) for second in range(len(factors)) for first in range(second)]
    return min(pairs, key=cost)


def _summed(factor: Factor, wanted: set[str]) -> Factor:
    """Sum over the axes that nobody else needs."""
    axes = tuple([axis for axis, label in enumerate(factor.labels) if label not in wanted])
    if not axes:
        return factor
    kept = tuple([label for label in factor.labels if label in wanted])
    dtype = factor.tensor.type.dtype
    return Factor(sum_over(factor.tensor, axis=axes, dtype=dtype), kept)


def _product(x: Factor, y: Factor, wanted: set[str]) -> Factor:
    """Multiply two factors, and sum over what they share and nobody else needs."""
    x = _summed(x, wanted | set(y.labels))
    y = _summed(y, wanted | set(x.labels))
    inner = [label for label in x.labels if label in y.labels and label not in wanted]
    stretches = any(
        factor.tensor.type.broadcastable[factor.labels.index(label)]
        for factor, other in ((x, y), (y, x)) for label in factor.labels if label in other.labels
    )  # fmt: skip
    if not inner or stretches or x.tensor.type.dtype == "bool":
        return _summed(_elementwise_product(x, y), wanted)
    batch = [label for label in x.labels if label in y.labels and label in wanted]
    rows = [label for label in x.labels if label not in y.labels]
    columns = [label for label in y.labels if label not in x.labels]
    left = _matrix(x, batch, rows, inner)
    right = _matrix(y, batch, inner, columns)
    sizes = {label: known_size(tensor, axis) for tensor, labels in (y, x) for axis, label in enumerate(labels)}
    labels = (*batch, *rows, *columns)
    return Factor(reshape(matmul(left, right), [sizes[label] for label in labels]), labels)


def _elementwise_product(x: Factor, y: Factor) -> Factor:
    labels = (*x.labels, *[label for label in y.labels if label not in x.labels])
    tensors = [
        dimshuffle(tensor, *[own.index(label) if label in own else "x" for label in labels]) for tensor, own in (x, y)
    ]
    return Factor(tensors[0] * tensors[1], labels)


def _matrix(factor: Factor, batch: Sequence[str], rows: Sequence[str], columns: Sequence[str]) -> Any:
    """Return a factor as a matrix, or a stack of them along one axis: each group of labels becomes one axis."""
    tensor, labels = factor
    tensor = dimshuffle(tensor, *[labels.index(label) for label in (*batch, *rows, *columns)])
    sizes = iter([known_size(tensor, axis) for axis in range(tensor.type.ndim)])
    groups = [[next(sizes) for _ in group] for group in (batch, rows, columns)]
    return reshape(tensor, [sizes_product(group) for group in groups[not batch :]])


__all__ = ["einsum"]
