"""Lists of tensors in graphs."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad import typed_list
from symgrad.errors import CallError, DTypeError, IndexingError
from symgrad.typed_list import TypedListType

VECTOR = T.dvector().type
lists = TypedListType(VECTOR)
x, other, e, i = lists("x"), lists("other"), T.dvector("e"), T.lscalar("i")
FUNCTIONS = {
    "append": symgrad.function([x, e], x.append(e)),
    "extend": symgrad.function([x, other], x.extend(other)),
    "insert": symgrad.function([x, i, e], x.insert(i, e)),
    "reverse": symgrad.function([x], x.reverse()),
    "length": symgrad.function([x], typed_list.length(x)),
    "count": symgrad.function([x, e], x.count(e)),
    "part": symgrad.function([x, i], x[i::-1]),
}


def same(found: Any, expected: Any) -> None:
    assert isinstance(found, list) and len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


vectors = st.lists(st.lists(st.integers(-2, 2).map(float), min_size=1, max_size=3).map(np.array), max_size=4)


@settings(max_examples=30, deadline=None)
@given(vectors, vectors, st.integers(-3, 3))
def test_lists_do_what_pythons_do(a: list[np.ndarray], b: list[np.ndarray], position: int) -> None:
    element = np.array([1.0, -1.0])
    before = copy.deepcopy(a)
    same(FUNCTIONS["append"](a, element), [*a, element])
    same(FUNCTIONS["extend"](a, b), a + b)
    inserted = list(a)
    inserted.insert(position, element)
    same(FUNCTIONS["insert"](a, position, element), inserted)
    same(FUNCTIONS["reverse"](a), a[::-1])
    same(FUNCTIONS["part"](a, position), a[position::-1])
    assert FUNCTIONS["length"](a) == len(a)
    assert FUNCTIONS["count"]([*a, element], element) == 1 + sum(np.array_equal(one, element) for one in a)
    same(a, before)


def test_elements_take_part_in_computations() -> None:
    y = T.tanh(x[i]) * 2 + x[-1].sum()
    f = symgrad.function([x, i], y)
    np.testing.assert_allclose(f([[1.0, 2.0], [3.0]], 0), np.tanh([1, 2]) * 2 + 3)
    with pytest.raises(IndexingError, match="index 5 is out of bounds for a list of 1") as caught:
        f([[1.0]], 5)
    assert "test_typed_list.py" in str(caught.value)
    made = typed_list.make_list([e, e * 2, np.array([1.0])])
    same(symgrad.function([e], made)([2.0]), [[2.0], [4.0], [1.0]])
    assert symgrad.function([e, i], [typed_list.index(made, e * 2), made[i]])([2.0], 1)[0] == 1


def test_removing() -> None:
    f = symgrad.function([x, e], x.remove(e))
    same(f([[1.0], [2.0], [1.0]], [1.0]), [[2.0], [1.0]])
    with pytest.raises(ValueError, match="isn't in the list"):
        f([[1.0]], [3.0])


def test_lists_of_lists() -> None:
    nested = TypedListType(VECTOR, 1)
    assert nested.ttype == lists and nested.get_depth() == 1 and lists.get_depth() == 0 and nested != lists
    z = nested("z")
    f = symgrad.function([z, x], [z.append(x), z[0][0] + 1])
    found, first = f([[[1.0]]], [[2.0], [3.0]])
    assert len(found) == 2 and len(found[1]) == 2 and first == [2.0]
    assert str(nested) == "list of list of float64 (?,)" and pickle.loads(pickle.dumps(nested)) == nested


def test_functions_with_lists_pickle() -> None:
    f = pickle.loads(pickle.dumps(symgrad.function([x, e], x.append(e)[0] * 2)))
    np.testing.assert_array_equal(f([[1.0]], [2.0]), [2.0])


def test_mistakes() -> None:
    with pytest.raises(DTypeError, match="append takes elements of float64"):
        x.append(T.fvector())
    with pytest.raises(TypeError, match="extend takes a list"):
        x.extend(e)
    with pytest.raises(DTypeError, match="extend joins lists of one type"):
        x.extend(TypedListType(T.fvector().type)())
    with pytest.raises(DTypeError, match="an integer scalar as index"):
        x[e]
    with pytest.raises(DTypeError, match=r"takes tensors, and no lists[\s\S]*Take an element"):
        T.exp(x)
    with pytest.raises(CallError, match="expected a list of"):
        symgrad.function([x], x.reverse())(np.ones(3))
    with pytest.raises(TypeError, match="length of a list isn't known"):
        len(x)
    with pytest.raises(TypeError, match="elements have a type"):
        TypedListType(3)
    with pytest.raises(ValueError, match="negative"):
        TypedListType(VECTOR, -1)
    with pytest.raises(TypeError, match="at least one element"):
        typed_list.make_list([])
