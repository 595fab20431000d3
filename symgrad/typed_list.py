"""Lists of tensors as values of a graph: ``append``, ``insert``, ``remove``, indexing. All of it runs in Python.

Theano's ``typed_list``. A list is a value like any other: no op changes one, each makes a new list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from symgrad.custom.python_op import PythonOp
from symgrad.errors import DTypeError, IndexingError
from symgrad.graph.op import InferenceError, user_error
from symgrad.graph.types import TensorType, Type
from symgrad.graph.variables import Apply, Variable
from symgrad.ops.promotion import as_operand


class ListValue(list[Any]):
    """A list as graphs hold it. To what looks at arrays, it has no axes."""

    shape = ()
    ndim = 0


class TypedListType(Type):
    """The type of lists whose elements all have one type.

    Parameters
    ----------
    ttype : Type
        Of the elements.
    depth : int
        How many more lists there are around each element.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> vectors = TypedListType(T.dvector().type)('vectors')
    >>> f = symgrad.function([vectors], vectors.append(vectors[0] * 2)[-1])
    >>> print(f([[1., 2.]]))
    [2. 4.]
    """

    __slots__ = ("ttype",)

    ttype: Type
    shape = ()
    ndim = 0
    broadcastable = ()
    is_static = False

    def __init__(self, ttype: Type, depth: int = 0) -> None:
        if depth < 0:
            raise ValueError(f"depth must not be negative, got {depth}")
        if not isinstance(ttype, Type):
            raise TypeError(f"a list's elements have a type, got {type(ttype).__name__} {ttype!r:.60}")
        self.ttype = ttype if depth == 0 else TypedListType(ttype, depth - 1)

    @property
    def dtype(self) -> str:
        """Of the elements' elements."""
        return str(self.ttype.dtype)  # type: ignore[attr-defined]

    @property
    def variable_class(self) -> Any:
        """Its variables understand Python's list methods."""
        return TypedListVariable

    def get_depth(self) -> int:
        """Return how many more lists there are around each element."""
        return 1 + self.ttype.get_depth() if isinstance(self.ttype, TypedListType) else 0

    def check_use(self, op: Any) -> None:
        """Raise unless an op takes lists."""
        if not op.takes_any_type:
            raise InferenceError(DTypeError, f"{op.name} takes tensors, and no lists", "Take an element: x[0].")

    def convert(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """Return a list whose elements have the type, or raise."""
        if not isinstance(value, list) or (strict and not all(self._holds(one) for one in value)):
            raise DTypeError(f"expected a {self}, got {type(value).__name__}")
        return ListValue([self.ttype.convert(one, strict, allow_downcast) for one in value])

    def _holds(self, value: Any) -> bool:
        if isinstance(self.ttype, TensorType):
            return isinstance(value, np.ndarray) and value.dtype == self.ttype.numpy_dtype
        return isinstance(value, list)

    def accepts(self, other: Type) -> bool:
        """Whether a value of another type may stand where this one is declared."""
        return self == other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedListType) and self.ttype == other.ttype

    def __hash__(self) -> int:
        return hash((TypedListType, self.ttype))

    def __str__(self) -> str:
        return f"list of {self.ttype}"

    def __repr__(self) -> str:
        return f"TypedListType({self.ttype!r})"


class TypedListVariable(Variable):
    """A list in a graph."""

    __slots__ = ()

    @property
    def ttype(self) -> Type:
        """The type of the elements."""
        return self.type.ttype  # type: ignore[attr-defined, no-any-return]

    @property
    def dtype(self) -> str:
        """Of the elements' elements."""
        return self.type.dtype  # type: ignore[attr-defined, no-any-return]

    def __getitem__(self, index: Any) -> Any:
        return getitem(self, index)

    def __len__(self) -> int:
        raise TypeError("the length of a list isn't known while the graph is built: use symgrad.typed_list.length(x)")

    def append(self, element: Any) -> Any:
        """`symgrad.typed_list.append`."""
        return append(self, element)

    def extend(self, other: Any) -> Any:
        """`symgrad.typed_list.extend`."""
        return extend(self, other)

    def insert(self, index: Any, element: Any) -> Any:
        """`symgrad.typed_list.insert`."""
        return insert(self, index, element)

    def remove(self, element: Any) -> Any:
        """`symgrad.typed_list.remove`."""
        return remove(self, element)

    def reverse(self) -> Any:
        """`symgrad.typed_list.reverse`."""
        return reverse(self)

    def count(self, element: Any) -> Any:
        """`symgrad.typed_list.count`."""
        return count(self, element)

    def ind(self, element: Any) -> Any:
        """`symgrad.typed_list.index`."""
        return index(self, element)


def _list(x: Any, where: str) -> Any:
    if not isinstance(x, Variable) or not isinstance(x.type, TypedListType):
        raise user_error(TypeError, f"{where} takes a list, got {x!s:.60}")
    return x


def _element(x: Any, element: Any, where: str) -> Any:
    """Return an element as a variable of the list's type."""
    variable = element if isinstance(element, Variable) else as_operand(element, [x.type.dtype])
    wanted, found = x.type.ttype, variable.type
    if isinstance(wanted, TensorType) and isinstance(found, TensorType):
        fits = wanted.dtype == found.dtype and wanted.ndim == found.ndim
    else:
        fits = wanted == found
    if not fits:
        raise user_error(DTypeError, f"{where} takes elements of {wanted}, got {found}", [variable])
    return variable


def _position(value: Any, where: str) -> Any:
    variable = as_operand(value)
    if variable.type.ndim or not variable.type.dtype.startswith(("int", "uint")):
        raise user_error(DTypeError, f"{where} takes an integer scalar as index, got {variable.type}", [variable])
    return variable


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return not isinstance(a, list) and not isinstance(b, list) and bool(np.array_equal(a, b))


class _ListOp(PythonOp):
    """What the ops share: they declare `make_node` and ``work(*values)``."""

    __props__: ClassVar[tuple[str, ...] | None] = ()

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        result = self.work(*inputs)
        output_storage[0][0] = ListValue(result) if isinstance(result, list) else np.asarray(result)

    def work(self, *values: Any) -> Any:
        """Return the result."""
        raise NotImplementedError


class GetItem(_ListOp):
    """An element of a list."""

    def make_node(self, x: Any, position: Any) -> Apply:
        """Apply it."""
        x = _list(x, "getitem")
        return Apply(self, [x, _position(position, "getitem")], [x.type.ttype()])

    def work(self, x: Any, position: Any) -> Any:
        """Return the element."""
        if not -len(x) <= int(position) < len(x):
            raise IndexingError(f"index {int(position)} is out of bounds for a list of {len(x)}")
        return x[int(position)]


class Part(_ListOp):
    """A part of a list; `given` says which of start, stop and step are operands."""

    __props__ = ("given",)

    def __init__(self, given: tuple[bool, bool, bool]) -> None:
        self.given = given

    def make_node(self, x: Any, *bounds: Any) -> Apply:
        """Apply it."""
        x = _list(x, "getitem")
        return Apply(self, [x, *[_position(bound, "getitem") for bound in bounds]], [x.type()])

    def work(self, x: Any, *bounds: Any) -> Any:
        """Return the part."""
        values = iter(bounds)
        return x[slice(*[int(next(values)) if is_given else None for is_given in self.given])]


class Append(_ListOp):
    """A list with one more element."""

    def make_node(self, x: Any, element: Any) -> Apply:
        """Apply it."""
        x = _list(x, "append")
        return Apply(self, [x, _element(x, element, "append")], [x.type()])

    def work(self, x: Any, element: Any) -> Any:
        """Return the list."""
        return [*x, element.copy()]


class Extend(_ListOp):
    """Two lists, one after the other."""

    def make_node(self, x: Any, other: Any) -> Apply:
        """Apply it."""
        x, other = _list(x, "extend"), _list(other, "extend")
        if x.type != other.type:
            raise user_error(DTypeError, f"extend joins lists of one type, got {x.type} and {other.type}", [x, other])
        return Apply(self, [x, other], [x.type()])

    def work(self, x: Any, other: Any) -> Any:
        """Return the list."""
        return [*x, *other]


class Insert(_ListOp):
    """A list with one more element, before another."""

    def make_node(self, x: Any, position: Any, element: Any) -> Apply:
        """Apply it."""
        x = _list(x, "insert")
        return Apply(self, [x, _position(position, "insert"), _element(x, element, "insert")], [x.type()])

    def work(self, x: Any, position: Any, element: Any) -> Any:
        """Return the list."""
        result = list(x)
        result.insert(int(position), element.copy())
        return result


class Remove(_ListOp):
    """A list without the first element that equals another value."""

    def make_node(self, x: Any, element: Any) -> Apply:
        """Apply it."""
        x = _list(x, "remove")
        return Apply(self, [x, _element(x, element, "remove")], [x.type()])

    def work(self, x: Any, element: Any) -> Any:
        """Return the list."""
        position = _find(x, element)
        return [*x[:position], *x[position + 1 :]]


class Reverse(_ListOp):
    """A list from its end to its beginning."""

    def make_node(self, x: Any) -> Apply:
        """Apply it."""
        x = _list(x, "reverse")
        return Apply(self, [x], [x.type()])

    def work(self, x: Any) -> Any:
        """Return the list."""
        return x[::-1]


class _Counting(_ListOp):
    def make_node(self, x: Any, *elements: Any) -> Apply:
        """Apply it."""
        where = type(self).__name__.lower()
        x = _list(x, where)
        return Apply(self, [x, *[_element(x, one, where) for one in elements]], [TensorType("int64", ())()])


class Index(_Counting):
    """Where an element is in a list."""

    def work(self, x: Any, element: Any) -> Any:
        """Return the position."""
        return _find(x, element)


class Count(_Counting):
    """How often an element is in a list."""

    def work(self, x: Any, element: Any) -> Any:
        """Return the number."""
        return sum(_equal(one, element) for one in x)


class Length(_Counting):
    """How many elements a list has."""

    def work(self, x: Any) -> Any:
        """Return the number."""
        return len(x)


class MakeList(_ListOp):
    """Tensors put together to a list."""

    def make_node(self, *elements: Any) -> Apply:
        """Apply it."""
        variables = [one if isinstance(one, Variable) else as_operand(one) for one in elements]
        if not variables:
            raise user_error(TypeError, "make_list needs at least one element, which says the type of the list")
        first: Any = variables[0].type
        kind = TensorType(first.dtype, [None] * first.ndim) if isinstance(first, TensorType) else first
        made = TypedListType(kind)()
        return Apply(self, [_element(made, one, "make_list") for one in variables], [made])

    def work(self, *elements: Any) -> Any:
        """Return the list."""
        return [one.copy() for one in elements]


def _find(x: Iterable[Any], element: Any) -> int:
    for position, one in enumerate(x):
        if _equal(one, element):
            return position
    raise ValueError("the element isn't in the list")


def getitem(x: Any, position: Any) -> Any:
    """Return an element of a list, or, for a slice, a part of it."""
    if isinstance(position, slice):
        bounds = position.start, position.stop, position.step
        given = tuple([bound is not None for bound in bounds])
        return Part(given)(x, *[bound for bound in bounds if bound is not None])  # type: ignore[arg-type]
    return GetItem()(x, position)


append, extend, insert, remove, reverse = Append(), Extend(), Insert(), Remove(), Reverse()
index = index_ = Index()
count, length = Count(), Length()


def make_list(elements: Sequence[Any]) -> Any:
    """Return a list of tensors of one type.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, y = T.dvectors('x', 'y')
    >>> print(length(make_list([x, y, x])).eval({x: [1.], y: [2.]}))
    3
    """
    return MakeList()(*elements)


__all__ = [
    "Append", "Count", "Extend", "GetItem", "Index", "Insert", "Length", "MakeList", "Part", "Remove", "Reverse",
    "TypedListType", "TypedListVariable", "append", "count", "extend", "getitem", "index", "index_", "insert", "length",
    "make_list", "remove", "reverse",
]  # fmt: skip
