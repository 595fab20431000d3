"""Parts of sparse matrices: rows, columns, blocks and elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import IndexingError
from symgrad.graph.op import Disconnected, user_error
from symgrad.graph.variables import Variable
from symgrad.ops.axes import shape_padleft
from symgrad.ops.creation import arange
from symgrad.ops.promotion import as_operand, is_discrete, listed
from symgrad.sparse.parts import (
    Elements,
    FromElements,
    Parts,
    Positions,
    SparseOp,
    SparseSize,
    by_lines,
    check_bounds,
    check_sparse,
    check_vector,
    unless_discrete,
)
from symgrad.sparse.types import SparseType
from symgrad.sparse.variables import as_sparse_variable


@dataclass(frozen=True)
class Select(SparseOp):
    """Some rows and some columns of a sparse matrix: all elements where they cross."""

    @property
    def name(self) -> str:
        return "get_item_2d"

    def infer(self, x: Any, rows: Any, columns: Any) -> list[SparseType]:
        check_sparse(self.name, x)
        check_vector(self.name, "rows", rows, "iu")
        check_vector(self.name, "columns", columns, "iu")
        return [x.type]

    def evaluate(self, x: Any, rows: np.ndarray, columns: np.ndarray) -> list[Any]:
        check_bounds(rows, x.shape[0], "row")
        check_bounds(columns, x.shape[1], "column")
        return [x.tocsr()[rows][:, columns].asformat(x.format, copy=True)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, rows, columns = inputs
        given = by_lines(cotangents[0])
        found_rows, found_columns = Positions()(given)
        sizes = [SparseSize(axis)(x) for axis in (0, 1)]
        placed = FromElements(x.type.format)(Parts()(given)[0], rows[found_rows], columns[found_columns], *sizes)
        return [unless_discrete(x, placed), *[Disconnected("it is an index")] * 2]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The same part of the tangent."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]


def _all(x: Any, axis: int) -> Any:
    return arange(SparseSize(axis)(x))


def _is_list(entry: Any) -> bool:
    if isinstance(entry, Variable):
        return entry.type.ndim == 1  # type: ignore[attr-defined]
    return isinstance(entry, list | tuple) or (isinstance(entry, np.ndarray) and entry.ndim == 1)


def _is_number(entry: Any) -> bool:
    if isinstance(entry, Variable):
        return entry.type.ndim == 0 and is_discrete(entry.type.dtype)  # type: ignore[attr-defined]
    return isinstance(entry, int | np.integer) and not isinstance(entry, bool)


def _vector(entry: Any) -> Any:
    return as_operand(np.zeros(0, "int64") if isinstance(entry, list | tuple) and not entry else entry)


def get_item(x: Any, key: Any) -> Any:
    """Return ``x[key]`` of a sparse matrix.

    Parameters
    ----------
    x : sparse matrix
    key : index
        ``x[a:b, c:d]``, ``x[a:b]``: a sparse matrix. ``x[i, j]`` with integers: a scalar. ``x[rows]`` with a list: a
        sparse matrix of these rows. ``x[rows, columns]`` with two lists: the vector of these elements.

    Raises
    ------
    IndexingError
        For one integer: sparse matrices have no rows that are vectors; write ``x[i:i + 1]``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.get_item(x, (slice(1), slice(None))).eval().toarray())
    [[0. 2.]]
    """
    x = as_sparse_variable(x)
    entries = list(key) if isinstance(key, tuple) else [key]
    if len(entries) > 2 or not entries:
        raise user_error(IndexingError, f"a sparse matrix takes one or two indices, got {len(entries)}", [x])
    entries += [slice(None)] * (2 - len(entries))
    if all(map(_is_number, entries)):
        return get_item_scalar(x, entries)
    if all(map(_is_list, entries)):
        return get_item_2lists(x, *entries)
    places = []
    for axis, entry in enumerate(entries):
        if _is_list(entry):
            places.append(_vector(entry))
        elif isinstance(entry, slice):
            places.append(_all(x, axis)[entry] if entry != slice(None) else _all(x, axis))
        elif _is_number(entry):
            raise user_error(IndexingError, "a part of a sparse matrix is a matrix, not a vector", [x],
                             "Write x[i:i + 1] for a row, or x[:, j:j + 1] for a column.")  # fmt: skip
        else:
            raise user_error(IndexingError, f"{entry!r:.60} can't index a sparse matrix", [x])
    return Select()(x, *places)


def get_item_2d(x: Any, ind: Any) -> Any:
    """Return a part of a sparse matrix, by slices.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.get_item_2d(x, (slice(1), slice(None))).eval().toarray())
    [[0. 2.]]
    """
    return get_item(x, tuple(ind) if isinstance(ind, list) else ind)


def get_item_list(x: Any, index: Any) -> Any:
    """Return some rows of a sparse matrix, as a sparse matrix.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.get_item_list(x, [1]).eval().toarray())
    [[3. 0.]]
    """
    x = as_sparse_variable(x)
    return Select()(x, _vector(index), _all(x, 1))


def get_item_list_grad(x: Any, index: Any, gz: Any) -> Any:
    """Return the gradient of the rows ``x[index]`` with respect to `x`, from that of the rows.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.get_item_list_grad(x, [1], scipy.sparse.csr_matrix([[5., 7.]])).eval().toarray())
    [[0. 0.]
     [5. 7.]]
    """
    x = as_sparse_variable(x)
    return Select().gradient([x, _vector(index), _all(x, 1)], [], [as_sparse_variable(gz)])[0]


def get_item_2lists(x: Any, ind1: Any, ind2: Any) -> Any:
    """Return the elements in rows `ind1` and columns `ind2`, as a vector.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.get_item_2lists(x, [0, 1], [1, 0]).eval())
    [2. 3.]
    """
    return Elements()(as_sparse_variable(x), _vector(ind1), _vector(ind2))


def get_item_2lists_grad(x: Any, ind1: Any, ind2: Any, gz: Any) -> Any:
    """Return the gradient of the elements ``x[ind1, ind2]`` with respect to `x`, from that of the elements.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.get_item_2lists_grad(x, [0, 1], [1, 0], [5., 7.]).eval().toarray())
    [[0. 5.]
     [7. 0.]]
    """
    x = as_sparse_variable(x)
    return Elements().gradient([x, _vector(ind1), _vector(ind2)], [], [as_operand(gz)])[0]


def get_item_scalar(x: Any, index: Any) -> Any:
    """Return one element of a sparse matrix, as a scalar.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.get_item_scalar(x, [1, 0]).eval())
    3.0
    """
    numbers = listed(index, "get_item_scalar", "two integers")
    if len(numbers) != 2:
        raise user_error(IndexingError, f"get_item_scalar needs two integers, got {len(numbers)}")
    row, column = [shape_padleft(number) for number in numbers]
    return Elements()(as_sparse_variable(x), row, column)[0]


__all__ = [
    "get_item", "get_item_2d", "get_item_2lists", "get_item_2lists_grad", "get_item_list", "get_item_list_grad",
    "get_item_scalar",
]  # fmt: skip
