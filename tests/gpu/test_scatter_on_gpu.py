"""Writing and adding at positions on the GPU: NumPy's order where positions repeat, in place and into other memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad.tensor as T
from gpu.shim.kernels import ORDERS, run_found
from gpu.shim.nvrtc import check_compiles, nvrtc
from symgrad.backends.cupy.indexing.scatter import LARGEST_COMPARED, scatter_calls, scattered
from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant
from symgrad.kernels.grammar import Fixed, FromArray, FromOperand, Range, fill_index
from symgrad.lowering.fusion import fuse, sources_of
from symgrad.lowering.steps import Fused, Step, lower

quick = settings(max_examples=12, deadline=None)
DTYPES = ["float32", "float64", "int8", "int64", "uint16", "float16", "bool"]
INDEX_DTYPES = ["int64", "int32", "int8", "uint8", "uint64"]


def wanted_of(index: Any, sets: bool, x: np.ndarray, written: np.ndarray, operands: list[np.ndarray]) -> Any:
    """Return what one thread would make of `x`, or None if a position is out of range."""
    result, filled = x.copy(), fill_index(index, operands)
    try:
        if sets:
            result[filled] = written
        else:
            np.add.at(result, filled, written)
    except IndexError:
        return None
    return result


def check(
    index: Any, sets: bool, x: np.ndarray, written: np.ndarray, *operands: np.ndarray, in_place: bool = False,
    orders: Any = ORDERS,
) -> None:  # fmt: skip
    """Check what the kernels write; a call that fails must have written nothing."""
    wanted = wanted_of(index, sets, x, written, list(operands))
    buffers = [x, written, *operands, np.empty_like(x)]
    attributes = {"index": index, "sets": sets, "in_place": in_place}
    found = scatter_calls("write_at", attributes, [b.shape for b in buffers], [b.dtype.name for b in buffers],
                          len(buffers) - 1, Target())  # fmt: skip
    assert found is not None
    last = len(buffers) - 1
    place = 0 if in_place else last
    found = [(work, [place if number == last else number for number in places]) for work, places in found]
    for order in orders:
        target = x.copy() if in_place else np.full_like(x, 7)
        copies = [x.copy(), *buffers[1:]]
        copies[place] = target
        untouched = target.copy()
        status = run_found(found, copies, updated=[place], order=order)
        assert (status != 0) == (wanted is None)
        assert target.tobytes() == (untouched if wanted is None else wanted).tobytes()


def numbers(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers whose sums depend on the order in which they are added."""
    return np.asarray(rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 2, shape)).astype(dtype)


@quick
@given(st.data(), st.booleans(), st.booleans(), st.sampled_from(DTYPES), st.sampled_from(INDEX_DTYPES),
       st.sampled_from([(5,), (4, 3), (6, 2, 70)]), st.sampled_from([0, 1, 2, 33, 90]),
       st.integers(0, 1000))  # fmt: skip
def test_rows_at_positions_that_repeat(
    data: Any, sets: bool, in_place: bool, dtype: str, kind: str, shape: Any, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sets = sets or dtype == "bool"
    low = 0 if kind.startswith("u") else -shape[0]
    high = shape[0] + data.draw(st.sampled_from([0, 0, 0, 1]))
    positions = rng.integers(low, high, count).astype(kind)
    rows = numbers(rng, dtype, data.draw(st.sampled_from([(count, *shape[1:]), (1, *shape[1:]), shape[1:], ()])))
    check((FromArray(),), sets, numbers(rng, dtype, shape), rows, positions, in_place=in_place)


INDICES = [
    ((FromArray(), FromArray()), [(7,), (7,)]),
    ((FromArray(), FromArray()), [(3, 1), (5,)]),
    ((FromArray(), Range(), FromArray()), [(2, 1), (3,)]),
    ((Range(None, None, -1), FromArray(), Fixed(1)), [(6,)]),
    ((Fixed(-1), Range(1, 3), FromArray()), [(4,)]),
    ((Range(), FromArray(), FromOperand()), [(9,), ()]),
    ((Range(2, 2), FromArray()), [(3,)]),
    ((FromArray(),), [()]),
    ((FromOperand(), Range(0, 3, 2)), [()]),
    ((Range(1, None), Fixed(0)), []),
    ((), []),
]


@quick
@given(st.sampled_from(INDICES), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_indices_of_every_sort(index: Any, sets: bool, in_place: bool, stretches: bool, seed: int) -> None:
    entries, shapes = index
    rng = np.random.default_rng(seed)
    x = numbers(rng, "float32", (4, 3, 5))
    operands = [rng.integers(-3, 3, shape) for shape in shapes]
    part = x[(*fill_index(entries, operands), ...)].shape
    written = numbers(rng, "float32", part[len(part) - 1 :] if stretches else part)
    check(entries, sets, x, written, *operands, in_place=in_place)


@pytest.mark.parametrize("sets", [False, True])
@pytest.mark.parametrize("count", [LARGEST_COMPARED + 1, 4500])
def test_many_positions_are_sorted(sets: bool, count: int) -> None:
    rng = np.random.default_rng(count)
    x, rows = numbers(rng, "float32", (300, 3)), numbers(rng, "float32", (count, 3))
    positions = np.minimum(rng.integers(0, 600, count), 299)  # half of them mean the last row
    check((FromArray(),), sets, x, rows, positions, in_place=sets, orders=ORDERS[1:])
    positions[count // 2] = 300
    check((FromArray(),), sets, x, rows, positions, in_place=not sets, orders=ORDERS[:1])


def test_what_has_no_kernel() -> None:
    def found(index: Any, *operands: np.ndarray, sets: bool = True, dtype: str = "float32") -> Any:
        arrays = [np.zeros((3, 3), dtype), np.zeros((), dtype), *operands]
        shapes, dtypes = [a.shape for a in arrays], [a.dtype.name for a in arrays]
        attributes = {"index": index, "sets": sets}
        return scatter_calls("write_at", attributes, [*shapes, (3, 3)], [*dtypes, dtype], len(arrays), Target())

    assert found((FromArray(),), np.array([1])) is not None
    assert found((FromArray(),), np.array([True, False, True])) is None
    assert found((Range(FromOperand()),), np.array(1)) is None
    assert found((FromArray(),), np.array([1]), sets=False, dtype="bool") is None


def fused_write(outputs: Any, inputs: Any) -> tuple[Step, Any]:
    """Return the fused step that writes at positions, and the types of its variables."""
    graph = ClosedGraph(tuple(inputs), (outputs,), (), ())
    types = {variable: Operand(variable.type, variable.data if isinstance(variable, Constant) else None)
             for node in graph.order for variable in (*node.inputs, *node.outputs)}  # fmt: skip
    steps = fuse(lower(graph), types, graph.roots, lambda *_: True)
    return next(step for step in steps if isinstance(step.kernel, Fused) and step.inputs), types


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("transposed", [False, True])
def test_operands_that_are_numbers_or_views_are_read_where_they_are(count: int, transposed: bool) -> None:
    rows = T.TensorType("float32", (count, 4) if transposed else (4, count))("rows")
    positions = T.TensorType("int32", (2 * count,))("positions")
    part = rows if transposed else rows.T
    zeros = T.zeros((7, 4), dtype="float32")
    step, types = fused_write(T.inc_subtensor(zeros[positions[::2]], part), [rows, positions])
    assert isinstance(step.kernel, Fused)
    inner = step.kernel.steps[-1]
    operands = sources_of(step, types)
    assert operands[0].input is None and operands[1].strides == ((4, 1) if transposed else (1, count))
    found = scattered(dict(inner.kernel.attributes), operands, [v.type.dtype for v in inner.inputs], len(step.inputs),
                      Target())  # fmt: skip
    assert found is not None and len(found) == 2
    rng = np.random.default_rng(count)
    values = {rows: numbers(rng, "float32", rows.type.shape), positions: rng.integers(-7, 7, 2 * count).astype("int32")}
    wanted = np.zeros((7, 4), "float32")
    np.add.at(wanted, values[positions][::2], values[rows] if transposed else values[rows].T)
    arrays = [values.get(v, np.zeros(())) for v in step.inputs]
    for order in ORDERS:
        output = np.empty_like(wanted)
        assert run_found(found, [*arrays, output], order=order) == 0
        assert output.tobytes() == wanted.tobytes()


@pytest.mark.skipif(nvrtc() is None, reason="the wheel nvidia-cuda-nvrtc isn't installed")
def test_all_kernels_compile() -> None:
    texts = []
    for dtype in ("float16", "uint8"):
        for count in (1, 50, 5000):
            for sets in (True, False):
                shapes = [(30, 7), (count, 7), (count,), (30, 7)]
                found = scatter_calls("write_at", {"index": (FromArray(),), "sets": sets}, shapes,
                                      [dtype, dtype, "int32", dtype], 3, Target())  # fmt: skip
                texts += [work.text for work, _ in found or ()]
    check_compiles("\n".join([PRELUDE, *dict.fromkeys(texts)]))
