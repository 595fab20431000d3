"""``theano.misc``: a set that keeps its order, a mapping that can be a key, and the op of Theano's tutorial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableSet, Sequence
from typing import Any

from symgrad.custom import PythonOp
from symgrad.graph.variables import Apply
from symgrad.ops.promotion import as_operand


class OrderedSet(MutableSet[Any]):
    """A set whose items keep the order in which they came.

    Examples
    --------
    >>> found = OrderedSet([3, 1, 3, 2])
    >>> found.discard(1)
    >>> found.update([5, 3])
    >>> print(found, found == [3, 2, 5], found == {2, 3, 5})
    OrderedSet([3, 2, 5]) True True
    """

    def __init__(self, iterable: Iterable[Any] = ()) -> None:
        self._items: dict[Any, None] = dict.fromkeys(iterable or ())

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Any) -> None:
        """Add an item behind the others, unless it is there."""
        self._items[item] = None

    def discard(self, item: Any) -> None:
        """Take an item out, if it is there."""
        self._items.pop(item, None)

    def pop(self, last: bool = True) -> Any:
        """Take out the last item, or the first, and return it."""
        if not self._items:
            raise KeyError("set is empty")
        item = next(reversed(self._items) if last else iter(self._items))
        del self._items[item]
        return item

    def update(self, iterable: Iterable[Any]) -> None:
        """Add items."""
        self._items.update(dict.fromkeys(iterable))

    def union(self, other: Iterable[Any]) -> OrderedSet:
        """Return these items and then those of the other."""
        return OrderedSet([*self, *other])

    def intersection_update(self, other: Iterable[Any]) -> None:
        """Keep the items that the other has too."""
        kept = set(other)
        self._items = dict.fromkeys(item for item in self._items if item in kept)

    def difference_update(self, other: Iterable[Any]) -> None:
        """Take out the items of the other."""
        for item in other:
            self.discard(item)

    def copy(self) -> OrderedSet:
        """Return a set of the same items."""
        return OrderedSet(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, OrderedSet | list):
            return list(self) == list(other)
        return isinstance(other, set | frozenset) and set(self) == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"OrderedSet({list(self)})" if self._items else "OrderedSet()"


class frozendict(Mapping[Any, Any]):
    """A mapping that doesn't change, and can be a key of others.

    Examples
    --------
    >>> plain = frozendict(a=1)
    >>> more = plain.copy(b=2)
    >>> dict(more), {plain: "one"}[frozendict({"a": 1})]
    ({'a': 1, 'b': 2}, 'one')
    """

    dict_cls: type = dict

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._dict = self.dict_cls(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self._dict[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def __hash__(self) -> int:
        return hash((type(self), frozenset(self._dict.items())))

    def copy(self, **add_or_replace: Any) -> frozendict:
        """Return a mapping with some values added or replaced."""
        return type(self)({**self._dict, **add_or_replace})

    def __repr__(self) -> str:
        return f"<frozendict {self._dict!r}>"


class FrozenOrderedDict(frozendict):
    """The same; mappings keep their order anyway."""


class DoubleOp(PythonOp):
    """The op of Theano's tutorial: twice a tensor."""

    __props__ = ()

    def make_node(self, x: Any) -> Apply:
        """Apply it."""
        x = as_operand(x)
        return Apply(self, [x], [x.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        """Compute it."""
        output_storage[0][0] = inputs[0] * 2

    def infer_shape(self, node: Apply, input_shapes: Sequence[Any]) -> Sequence[Any]:
        """The sizes stay."""
        return input_shapes

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradient."""
        return [output_gradients[0] * 2]

    def R_op(self, inputs: Sequence[Any], eval_points: Sequence[Any]) -> Sequence[Any]:
        """Return the forward derivative."""
        return [None if eval_points[0] is None else eval_points[0] * 2]


__all__ = ["DoubleOp", "FrozenOrderedDict", "OrderedSet", "frozendict"]
