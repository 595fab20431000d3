"""Products of tensors by their subscripts, and by name: NumPy's results, gradients of both operands, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import ShapeError
from symgrad.graph.types import TensorType

SIZES = {"a": 2, "b": 3, "c": 1, "d": 4, "e": 2}


def numbers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def variables(values: list[np.ndarray], static: bool = False) -> list[Any]:
    shapes = [[n if static or n == 1 else None for n in value.shape] for value in values]
    return [TensorType("float64", shape)(f"x{number}") for number, shape in enumerate(shapes)]


def compare(build: Any, values: list[np.ndarray], expected: Any) -> None:
    """Compare with NumPy; and as the function is linear in each operand, its derivatives with the function itself."""
    expected = np.asarray(expected)
    for static in (True, False):
        given_variables = variables(values, static)
        y = build(*given_variables)
        oracle.check_type(y.type, expected)
        f = symgrad.function(given_variables, y, on_unused_input="ignore")
        oracle.assert_same(f(*values), expected)
    weights = numbers(expected.shape, 99)
    gradients = symgrad.grad((y * T.constant(weights)).sum(), given_variables)
    g = symgrad.function(given_variables, gradients, on_unused_input="ignore")
    for number, (cotangent, value) in enumerate(zip(g(*values), values, strict=True)):
        assert cotangent.shape == value.shape
        others = [numbers(value.shape, 5) if k == number else v for k, v in enumerate(values)]
        moved = float((f(*others) * weights).sum())
        assert float((cotangent * others[number]).sum()) == pytest.approx(moved, rel=1e-9, abs=1e-9)


@st.composite
def subscripts(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    """Draw subscripts of one to three operands, with or without an arrow and an ellipsis."""
    groups = draw(st.lists(st.text("abcde", max_size=3), min_size=1, max_size=3))
    dots = [draw(st.booleans()) for _ in groups]
    hidden = [draw(st.integers(0, 2)) if dot else 0 for dot in dots]
    shapes = []
    texts = []
    for group, dot, count in zip(groups, dots, hidden, strict=True):
        place = draw(st.integers(0, len(group)))
        texts.append(group[:place] + "..." + group[place:] if dot else group)
        before, behind = [[SIZES[letter] for letter in part] for part in (group[:place], group[place:])]
        extra = [draw(st.sampled_from([2, 1])) for _ in range(count)]
        shapes.append((*before, *extra, *behind))
    text = ",".join(texts)
    if draw(st.booleans()) or any(dots):
        letters = sorted(set("".join(groups)))
        chosen = draw(st.permutations(letters))[: draw(st.integers(0, len(letters)))] if letters else []
        text += "->" + "..." * any(dots) + "".join(chosen)
    return text, shapes


@settings(max_examples=40)
@given(subscripts())
def test_einsum_is_numpy_s(case: tuple[str, list[tuple[int, ...]]]) -> None:
    text, shapes = case
    values = [numbers(shape, seed) for seed, shape in enumerate(shapes)]
    compare(lambda *x: T.einsum(text, *x), values, np.einsum(text, *values))


def test_einsum_is_a_matrix_product_where_it_can_be() -> None:
    x, y = T.dtensor3("x"), T.dtensor3("y")
    names = str([node.op for node in symgrad.function([x, y], T.einsum("bij,bjk->bik", x, y)).graph.order])
    assert "Product" in names and "multiply" not in names
    values = [numbers((5, 4), 0), numbers((4, 3), 1), numbers((3, 6), 2)]
    compare(lambda *m: T.einsum("ij,jk,kl->il", *m), values, np.linalg.multi_dot(values))


def test_einsum_of_integers_and_mixed_dtypes() -> None:
    x, y = np.array([[1, 2], [3, 4]], "int8"), np.array([100, 100], "int8")
    oracle.assert_same(T.einsum("ij,j->i", x, y).eval(), np.einsum("ij,j->i", x, y))
    assert T.einsum("ij,j", T.fmatrix(), T.ivector()).dtype == "float32"
    assert T.einsum("i,i", T.constant([True, False]), T.constant([True, True])).eval()


def test_bad_subscripts() -> None:
    x = T.tensor("float64", (2, 3), "x")
    for text, operands, error, message in (
        ("ij,jk", (x,), ValueError, "speaks of 2 operands, got 1"),
        ("ijk", (x,), ValueError, "'ijk' doesn't fit float64"),
        ("i", (x,), ValueError, "'i' doesn't fit float64"),
        ("ij->ik", (x,), ValueError, "'ik' isn't a choice of the letters of 'ij'"),
        ("ij->ii", (x,), ValueError, "isn't a choice"),
        ("i1", (x,), ValueError, "subscripts are letters"),
        ("ij,ij->i", (x, x.T), ShapeError, "einsum needs equal sizes where"),
        ("ii", (x,), ShapeError, "einsum needs equal sizes where 'i' stands, got 2 and 3"),
    ):
        with pytest.raises(error, match=message) as caught:
            T.einsum(text, *operands)
        assert "test_einsum.py" in str(caught.value)
    with pytest.raises(TypeError, match="einsum needs its subscripts as text"):
        T.einsum(x, "ij")
    y, z = T.dmatrix("y"), T.dmatrix("z")
    for text in ("ij,jk->ik", "ij,ij->ij"):
        with pytest.raises(ShapeError, match=r"test_einsum\.py"):
            symgrad.function([y, z], T.einsum(text, y, z))(np.ones((2, 3)), np.ones((2, 3))[:, :2])


# ---- products by name ------------------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(st.lists(st.sampled_from([0, 1, 2, 3]), max_size=3), st.lists(st.sampled_from([1, 2, 3]), max_size=3), st.data())
def test_products_of_all_ranks(left: list[int], right: list[int], data: Any) -> None:
    x = numbers(tuple(left), 0)
    if left and right:
        y = right.copy()
        y[max(len(y) - 2, 0)] = left[-1]
        y_value = numbers(tuple(y), 1)
        compare(T.dot, [x, y_value], np.dot(x, y_value))
        y = [*right[:-1], left[-1]]
        compare(T.inner, [x, numbers(tuple(y), 2)], np.inner(x, numbers(tuple(y), 2)))
    y_value = numbers(tuple(right), 3)
    compare(T.outer, [x, y_value], np.outer(x, y_value))
    same = numbers(tuple(left), 4)
    compare(T.vdot, [x, same], np.vdot(x, same))
    count = data.draw(st.integers(0, len(left)))
    y_value = numbers((*left[len(left) - count :], *right), 6)
    compare(lambda a, b: T.tensordot(a, b, count), [x, y_value], np.tensordot(x, y_value, count))
    order = list(data.draw(st.permutations(range(len(left)))))
    turned = numbers((*right, *[left[axis] for axis in order]), 7)
    pairs = [order, list(range(len(right), turned.ndim))]
    compare(lambda a, b: T.tensordot(a, b, pairs), [x, turned], np.tensordot(x, turned, pairs))


def test_products_for_each_index_of_a_first_axis() -> None:
    x, y = numbers((4, 2, 3, 5), 0), numbers((4, 5, 3, 6), 1)
    expected = np.stack([np.tensordot(a, b, [[1, 2], [1, 0]]) for a, b in zip(x, y, strict=True)])
    compare(lambda a, b: T.batched_tensordot(a, b, [[2, 3], [2, 1]]), [x, y], expected)
    compare(lambda a, b: T.batched_tensordot(a, b, 1), [x, y],
            np.stack([np.tensordot(a, b, 1) for a, b in zip(x, y, strict=True)]))  # fmt: skip
    matrices, columns, vectors = numbers((4, 2, 3), 2), numbers((4, 3, 5), 3), numbers((4, 3), 4)
    compare(T.batched_dot, [matrices, columns], matrices @ columns)
    compare(T.batched_dot, [matrices, vectors], np.einsum("bij,bj->bi", matrices, vectors))
    compare(T.batched_dot, [vectors, columns], np.einsum("bj,bjk->bk", vectors, columns))
    compare(T.batched_dot, [vectors, vectors], np.einsum("bj,bj->b", vectors, vectors))
    wide = columns[:, :1].repeat(5, 1)
    compare(T.batched_dot, [x, wide], np.einsum("bijk,bkl->bijl", x, wide))
    compare(lambda a, b: a.dot(b), [matrices[0], columns[0]], matrices[0] @ columns[0])
