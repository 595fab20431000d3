"""Fusion: every fused kernel gives what its inner steps give, and groups are as large as they should be."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
import pytest
from fused_runs import bound, check_function, fused_of, run_interpreted
from hypothesis import given, settings
from hypothesis import strategies as st
from program_checks import Check
from random_programs import WITH_KERNELS, random_program, rebuilt

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.scalars import is_supported
from symgrad.compile.binding import bind_types
from symgrad.graph.variables import SharedVariable
from symgrad.kernels.grammar import Map, View
from symgrad.kernels.ir.grammar import Kind, Loop, Role
from symgrad.kernels.ir.interpreter import interpret
from symgrad.kernels.ir.traversal import walk
from symgrad.lowering.fusion import fuse, in_place, kernel_ir, work_of
from symgrad.lowering.meaning import evaluate
from symgrad.lowering.steps import Fused


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


def fused_steps(steps: list[Any]) -> list[Any]:
    return [step for step in steps if isinstance(step.kernel, Fused)]


def loops_of(kernel: Any) -> list[Loop]:
    return [statement for statement in walk(kernel.body) if isinstance(statement, Loop)]


def only_kernel(function: Any, *arguments: np.ndarray) -> Any:
    """Return the kernel that a function is, after checking what it computes."""
    steps = check_function(function, arguments)
    check_function(function, arguments, native=True)
    _, types = bound(function, arguments)
    (step,) = fused_steps(steps)
    return kernel_ir(step, types)


# ---- whole programs -------------------------------------------------------------------------------------------------


def perceptron(normalised: bool) -> Any:
    """The training step of two hidden layers, with batch normalisation or without."""
    random = np.random.default_rng(0)
    x, y = T.fmatrix("x"), T.ivector("y")
    parameters, h, size = [], x, 12
    for width in (9, 7):
        W = symgrad.shared(random.normal(0, 0.3, (size, width)).astype("float32"))
        g, b = (symgrad.shared(np.full(width, value, "float32")) for value in (1.5, 0.5))
        h, size = T.dot(h, W), width
        if normalised:
            h = g * (h - T.mean(h, axis=0)) / T.sqrt(T.var(h, axis=0) + np.float32(1e-3))
        h = T.tanh(h + b)
        parameters += [W, b, *([g] if normalised else [])]
    W = symgrad.shared(random.normal(0, 0.3, (size, 5)).astype("float32"))
    p, parameters = T.softmax(T.dot(h, W)), [*parameters, W]
    cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y]) + np.float32(0.01) * sum((w**2).sum() for w in parameters)
    gradients = symgrad.grad(cost, parameters)
    updates = [(p, p - np.float32(0.1) * g) for p, g in zip(parameters, gradients, strict=True)]
    return symgrad.function([x, y], cost, updates=updates)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("fusion", [True, False])
@pytest.mark.parametrize("normalised", [True, False])
def test_a_training_step_equals_its_inner_steps(normalised: bool, fusion: bool, native: bool) -> None:
    arguments = [numbers(8, 12), (np.arange(8) % 5).astype("int32")]
    check_function(perceptron(normalised), arguments, fusion, native)


def test_batch_normalisation_is_one_kernel_forward_and_one_backward() -> None:
    function = perceptron(True)
    arguments = [numbers(8, 12), (np.arange(8) % 5).astype("int32")]
    _, _, steps = fused_of(function, arguments)
    with_sums = [step for step in fused_steps(steps) if any(inner.name == "sum{0}" for inner in step.kernel.steps)]
    assert len([step for step in with_sums if "sqrt" in step.name and "tanh" in step.name]) == 2
    assert len(with_sums) == 5  # two layers, forward and backward, and the loss


def test_softmax_loss_and_its_gradient_are_one_kernel() -> None:
    x, y = T.fmatrix("x"), T.ivector("y")
    cost = -T.mean(T.log(T.softmax(x))[T.arange(y.shape[0]), y])
    function = symgrad.function([x, y], [cost, symgrad.grad(cost, x)])
    kernel = only_kernel(function, numbers(6, 10), np.array([0, 9, 3, -1, -10, 5], "int32"))
    outer = [loop for loop in kernel.body if isinstance(loop, Loop)]
    passes = [loop for loop in outer[0].body if isinstance(loop, Loop)]
    assert len(outer) == 1 and len(passes) == 3


@pytest.mark.parametrize("label", [10, -11])
def test_a_label_out_of_range_is_found(label: int) -> None:
    x, y = T.fmatrix("x"), T.ivector("y")
    function = symgrad.function([x, y], T.log(T.softmax(x))[T.arange(y.shape[0]), y])
    arguments = [numbers(3, 10), np.array([0, label, 2], "int32")]
    _, types, steps = fused_of(function, arguments)
    (step,) = fused_steps(steps)
    operands = {"x": arguments[0], "y": arguments[1]}
    arrays = [operands[str(v)].reshape(-1) for v in step.inputs] + [np.zeros(3, "float32")]
    assert interpret(kernel_ir(step, types), arrays, {}) == 1


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_random_programs(start: int) -> None:
    for seed in range(start, start + 20):
        program = random_program(seed, WITH_KERNELS)
        with symgrad.config.change_flags(floatX=program.floatx, warn_float64="ignore"):
            check = Check(program, rebuilt(program), [])
            check.differences = lambda *_: None  # type: ignore[method-assign]
            outputs = [*check.outputs, *check.derivatives()]
            explicit = [v for v in check.inputs if not isinstance(v, SharedVariable)]
            function = symgrad.function(explicit, outputs, on_unused_input="ignore")
        arguments = [value for v, value in zip(check.inputs, check.values, strict=True) if v in explicit]
        check_function(function, arguments, fusion=True)
        check_function(function, arguments, fusion=False)
        if seed % 10 == 0:
            check_function(function, arguments, native=True)


# ---- shapes of groups -----------------------------------------------------------------------------------------------


@st.composite
def reductions(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], bool, str]:
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 5, 17]), min_size=1, max_size=4)))
    axes = tuple(sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    return shape, axes, draw(st.booleans()), draw(st.sampled_from(["sum", "max", "prod", "argmax", "min", "any"]))


@settings(max_examples=40)
@given(reductions(), st.sampled_from(["float32", "float64", "int32", "int8"]), st.booleans())
def test_reductions_with_producers_and_consumers(
    case: tuple[tuple[int, ...], tuple[int, ...], bool, str], dtype: str, native: bool
) -> None:
    shape, axes, again, name = case
    x = T.TensorType(dtype, shape)("x")
    along = axes[0] if name == "argmax" else axes
    total = getattr(T, name)(x * 2 + 1, axis=along, keepdims=True)
    result = T.sqr(total) - x if again and name != "any" else total
    value = np.random.default_rng(1).integers(-3, 4, shape).astype(dtype)
    function = symgrad.function([x], [result, total])
    steps = check_function(function, [value], native=native)
    assert len(fused_steps(steps)) == 1 or name == "argmax"


def test_an_elementwise_chain_is_one_flat_loop() -> None:
    x, a = T.ftensor3("x"), T.fscalar("a")
    kernel = only_kernel(symgrad.function([x, a], [T.sigmoid(a * x) + x**2, x > a]), numbers(3, 4, 5), numbers())
    (loop,) = loops_of(kernel)
    assert loop.kind is Kind.VECTOR and loop.extent == 60


def test_what_a_bias_adds_is_loaded_where_it_changes() -> None:
    x, b = T.ftensor4("x"), T.fvector("b")
    function = symgrad.function([x, b], T.maximum(0, x + b.dimshuffle("x", 0, "x", "x")))
    kernel = only_kernel(function, numbers(2, 3, 4, 5), numbers(3))
    loops = loops_of(kernel)
    assert [loop.extent for loop in loops] == [2, 3, 20]
    assert [loop.kind for loop in loops] == [Kind.PARALLEL, Kind.SERIAL, Kind.VECTOR]


def test_views_are_folded_into_indices() -> None:
    x = T.fmatrix("x")
    parts = x.T[1:, ::-2] * 2 + x[:4:2, 1:].T.reshape((3, 2)) + x[3, 0]
    kernel = only_kernel(symgrad.function([x], parts), numbers(4, 4))
    assert len(kernel.buffers) == 2


def test_a_matrix_and_its_transpose() -> None:
    x = T.fmatrix("x")
    only_kernel(symgrad.function([x], T.exp(x) + x.T), numbers(5, 5))
    steps = check_function(symgrad.function([x], T.exp(x) + T.exp(x).T), [numbers(5, 5)])
    assert len(fused_steps(steps)) <= 2


def test_columns_are_summed_side_by_side() -> None:
    x = T.fmatrix("x")
    kernel = only_kernel(symgrad.function([x], [T.tanh(x) * 2, (T.tanh(x) * 2).sum(axis=0)]), numbers(6, 20))
    outer, inner = loops_of(kernel)
    assert (outer.kind, outer.extent, inner.kind, inner.extent) == (Kind.VECTOR, 20, Kind.SERIAL, 6)


def test_reductions_along_different_axes_are_different_kernels() -> None:
    x = T.fmatrix("x")
    function = symgrad.function([x], x - x.mean(axis=0) - x.mean(axis=1, keepdims=True))
    steps = check_function(function, [numbers(5, 7)])
    assert 2 <= len(fused_steps(steps)) <= 3


def test_an_expensive_value_is_kept_between_passes_and_a_cheap_one_is_not() -> None:
    x = T.fmatrix("x")
    expensive = only_kernel(symgrad.function([x], T.softmax(x)), numbers(3, 5))
    assert [b.dtype for b in expensive.buffers if b.role is Role.SCRATCH] == ["float32"]
    cheap = only_kernel(symgrad.function([x], (x + 1) / (x + 1).sum(axis=1, keepdims=True)), numbers(3, 5))
    assert not [b for b in cheap.buffers if b.role is Role.SCRATCH]


def test_an_expensive_function_of_a_row_is_not_computed_again_for_each_row() -> None:
    x, b = T.fmatrix("x"), T.fvector("b")
    steps = check_function(symgrad.function([x, b], x * T.exp(b)), [numbers(6, 5), numbers(5)])
    assert len(fused_steps(steps)) == 2


def test_large_totals_are_taken_in_parts_that_run_on_any_thread() -> None:
    x = T.fmatrix("x")
    function = symgrad.function([x], [(x**2).sum(), T.max(x), T.exp(x).sum(axis=0, keepdims=True)])
    arguments = [numbers(2048, 300)]
    for parts in (1, 5):
        check_function(function, arguments, native=True, parts=parts)
    _, types, steps = fused_of(function, arguments)
    large = [step for step in fused_steps(steps) if work_of(step, types)[1] > 1 << 20]
    assert large and all(loops_of(kernel_ir(step, types))[0].kind is Kind.PARALLEL for step in large)


def test_sizes_that_the_graph_knows_are_numbers() -> None:
    x = T.fmatrix("x")
    kernel = only_kernel(symgrad.function([x], T.mean(x, axis=1)), numbers(3, 8))
    assert [buffer.role for buffer in kernel.buffers] == [Role.INPUT, Role.OUTPUT]


def test_open_sizes_have_names() -> None:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    function = symgrad.function([x, y], [T.tanh(x) + y, T.softmax(x)])
    types = bind_types(function.rewritten, {})
    dims = {variable: ("n", "m") for variable in types if variable.type.ndim == 2}
    dims |= {output: ("n", "m") for step in function._compiled.steps for output in step.outputs}
    steps = fuse(function._compiled.steps, types, function.rewritten.roots, is_supported, dims)
    assert all(isinstance(step.kernel, Fused) for step in steps)
    values = {x: numbers(3, 5), y: numbers(3, 5, dtype="float32") + 1}
    for step in steps:
        operands = [values[variable] for variable in step.inputs]
        expected = evaluate(step, operands, types)
        kernel = kernel_ir(step, types, dims)
        arrays = [a.reshape(-1) for a in operands] + [np.zeros(a.size, a.dtype) for a in expected]
        assert interpret(kernel, arrays, {"n": 3, "m": 5}) == 0
        for found, wanted in zip(arrays[len(operands) :], expected, strict=True):
            np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-5)


def test_without_names_open_sizes_are_not_fused() -> None:
    x = T.fmatrix("x")
    function = symgrad.function([x], T.tanh(x) + 1)
    types = bind_types(function.rewritten, {})
    steps = fuse(function._compiled.steps, types, function.rewritten.roots, is_supported)
    assert steps == function._compiled.steps and all(isinstance(step.kernel, Map) for step in steps)


def test_unsupported_functions_stay_as_they_are() -> None:
    x = T.fmatrix("x")
    function = symgrad.function([x], T.tanh(x * 2) + 1)
    _, types = bound(function, [numbers(2, 3)])

    def without_tanh(name: str, dtypes: Any, dtype: str) -> bool:
        return name != "tanh" and is_supported(name, dtypes, dtype)

    steps = fuse(function._compiled.steps, types, function.rewritten.roots, without_tanh)
    assert [isinstance(step.kernel, Fused) for step in steps] == [True, False, True]


def test_a_slice_whose_start_is_an_argument_is_an_operand_with_strides() -> None:
    x, i = T.fmatrix("x"), T.lscalar("i")
    function = symgrad.function([x, i], T.tanh(x[:, i]) * 2)
    steps = check_function(function, [numbers(4, 6), np.array(2)])
    (step,) = [step for step in fused_steps(steps) if "tanh" in step.name]
    assert step.kernel.strides == ((6,),)


def test_long_chains_take_linear_time() -> None:
    times = []
    for length in (300, 2400):
        x = T.fvector("x")
        y = x
        for _ in range(length):
            y = T.tanh(y) + x
        function = symgrad.function([x], y)
        _, types = bound(function, [numbers(4)])
        begin = process_time()
        steps = fuse(function._compiled.steps, types, function.rewritten.roots, is_supported)
        times.append(process_time() - begin)
        assert length / 32 <= len(steps) <= length / 10
        assert len(fused_steps(steps)) == len(steps)
    assert times[1] < 30 * times[0]


def test_work_of_counts_elements() -> None:
    x = T.fmatrix("x")
    function = symgrad.function([x], T.tanh(x) * 2)
    _, types, steps = fused_of(function, [numbers(10, 10)])
    assert work_of(steps[0], types) == (200, 800)
    assert run_interpreted(kernel_ir(steps[0], types), [numbers(10, 10)], (None,), [numbers(10, 10)], 1)


# ---- elements in their places ---------------------------------------------------------------------------------------

x2, i1, k0 = T.fmatrix("x"), T.lvector("i"), T.lscalar("k")
PLACES = {
    "joined columns": T.concatenate([x2, x2[:, 1:] * 2, T.ones((5, 1), "float32")], axis=1),
    "joined rows of a transpose": T.concatenate([x2.T, x2[:4].T[:, ::-1]], axis=1),
    "a vector of scalars": T.stack([x2[0, 1], x2.sum(), x2[1, -1]]),
    "a row that is set": T.set_subtensor(x2[k0], np.float32(0)),
    "a part that is added to": T.inc_subtensor(x2[1:4:2, ::-1], x2[0, :]),
    "rows by number": x2[i1],
    "rows of a transpose by number": x2.T[i1 - 1],
    "elements by number": T.tanh(x2)[i1, i1 - 1],
    "columns by number": x2[1:, i1 - 1],
    "numbers and an array": x2.dimshuffle(0, "x", 1)[i1, 0, k0],
    "rows added at numbers, some twice": T.inc_subtensor(x2[i1], 2 * x2[i1]),
    "elements set at numbers": T.set_subtensor(x2[i1, i1 - 1], np.float32(3)),
    "a gradient that is scattered": symgrad.grad((x2[i1] ** 2).sum(), x2),
    "a reshape that is a copy": T.dot(x2.T.reshape((5, 4)), np.ones((4, 2), "float32")),
}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", list(PLACES))
def test_elements_in_their_places(name: str, native: bool) -> None:
    function = symgrad.function([x2, i1, k0], PLACES[name], on_unused_input="ignore")
    steps = check_function(function, [numbers(5, 4), np.array([1, 3, 3, -1]), np.array(-2)], native=native)
    assert all(isinstance(step.kernel, Fused | View) or step.name == "dot" for step in steps)


@pytest.mark.parametrize("name", ["rows by number", "rows added at numbers, some twice", "a row that is set"])
def test_a_number_out_of_range_is_found(name: str) -> None:
    function = symgrad.function([x2, i1, k0], PLACES[name], on_unused_input="ignore")
    good = [numbers(5, 4), np.array([1, 3, 3, -1]), np.array(-2)]
    _, types, steps = fused_of(function, good)
    codes = set()
    assert fused_steps(steps)[0].kernel.may_fail
    for step in fused_steps(steps):
        bad = {x2: good[0], i1: np.array([1, 5, 3, -1]), k0: np.array(-6)}
        operands = [np.ascontiguousarray(bad.get(v, good[0])).reshape(-1) for v in step.inputs]
        outputs = [np.zeros(types[v].type.shape, types[v].type.dtype).reshape(-1) for v in step.outputs]
        codes.add(interpret(kernel_ir(step, types), [*operands, *outputs], {}))
    assert 1 in codes


def test_numbers_that_one_step_has_checked_stop_no_other() -> None:
    function = symgrad.function([x2, i1], PLACES["rows added at numbers, some twice"])
    _, _, steps = fused_of(function, [numbers(5, 4), np.array([1, 3, 3, -1])])
    assert [step.kernel.may_fail for step in fused_steps(steps)] == [True, False]


def test_outputs_take_over_operands_that_are_read_where_they_are_written() -> None:
    x, y = T.fmatrix("x"), T.fmatrix("y")

    def pairs(output: Any) -> list[tuple[str, int]]:
        function = symgrad.function([x, y], output, on_unused_input="ignore")
        steps = check_function(function, [numbers(4, 4), numbers(4, 4) + 1])
        (step,) = fused_steps(steps)
        return sorted((str(step.inputs[operand]), made) for made, operand in in_place(step))

    assert pairs(x * 2 + y) == [("x", 0), ("y", 0)]
    assert pairs(x * 2 + y.T) == [("x", 0)]
    assert pairs(T.softmax(x) + y) == [("x", 0), ("y", 0)]
    assert pairs([T.exp(x), x.sum(axis=1) + y[0]]) == [("x", 0)]
    assert pairs([x + 1, (x + 1) / (x + 1).sum(axis=1, keepdims=True)]) == [("x", 1)]
    assert pairs(T.cast(x, "float64") + y) == []


def test_an_array_that_is_written_into_may_be_taken_over() -> None:
    function = symgrad.function([x2, i1], T.inc_subtensor(x2[i1], np.float32(1)))
    _, _, (step,) = fused_of(function, [numbers(5, 4), np.array([0, 0])])
    assert in_place(step) == [(0, 0)]


@settings(max_examples=15)
@given(st.integers(30, 70), st.integers(1, 9), st.booleans())
def test_many_short_rows_are_reduced_side_by_side(rows: int, columns: int, native: bool) -> None:
    x = T.fmatrix("x")
    function = symgrad.function([x], [T.softmax(x), T.argmax(x, axis=1), x - x.sum(axis=1, keepdims=True)])
    arguments = [numbers(rows, columns)]
    steps = check_function(function, arguments, native=native)
    _, types = bound(function, arguments)
    for step in fused_steps(steps):
        outer = loops_of(kernel_ir(step, types))[0]
        assert (outer.kind is Kind.VECTOR) == (columns <= 8 and rows >= 32) or columns == 1


def test_nothing_is_stored_that_nobody_reads() -> None:
    x = T.fmatrix("x")
    normalised = (x - x.mean(axis=0)) / T.sqrt(x.var(axis=0) + np.float32(1e-3))
    for function, arguments in (
        (symgrad.function([x], normalised), [numbers(2048, 200)]),
        (perceptron(True), [numbers(8, 12), (np.arange(8) % 5).astype("int32")]),
    ):
        steps = check_function(function, arguments, native=True)
        read = {variable for step in steps for variable in step.inputs} | set(function.rewritten.roots)
        assert all(output in read for step in fused_steps(steps) for output in step.outputs)
    _, types, steps = fused_of(symgrad.function([x], normalised), [numbers(2048, 200)])
    large = [v for step in steps for v in step.outputs if np.prod(types[v].type.shape) == 2048 * 200]
    assert len(large) == 1


def test_an_index_that_is_an_operand_too_has_axes_of_its_own():
    x, i, j = T.dtensor3("x"), T.lvector("i"), T.lvector("j")
    f = symgrad.function([x, i, j], T.sum((x * j)[i, j], axis=0))
    value = np.random.RandomState(0).normal(size=(3, 1, 3))
    rows, columns = np.array([1, 2, 0]), np.array([0, -1, 0])
    np.testing.assert_allclose(f(value, rows, columns), (value * columns)[rows, columns].sum(0), rtol=1e-12)


def test_an_index_that_runs_along_an_axis_of_what_it_picks_from() -> None:
    """All positions are found before any axis stands still."""
    x, i, y = T.dtensor3("x"), T.lvector("i"), T.dvector("y")
    table = T.switch(T.ge(x, y), x * y, 0.0)
    outputs = [table[0, i, 2] + table.sum((0, 1)), table[i, 1, i] * y, table[2, i[::-1], i].sum()]
    f = symgrad.function([x, i, y], outputs)
    numbers_ = np.random.default_rng(0)
    value, places, row = numbers_.normal(size=(3, 3, 3)), np.array([0, -3, -1]), numbers_.normal(size=3)
    wanted = np.where(value >= row, value * row, 0.0)
    found = f(value, places, row)
    np.testing.assert_allclose(found[0], wanted[0, places, 2] + wanted.sum((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(found[1], wanted[places, 1, places] * row, rtol=1e-12)
    np.testing.assert_allclose(found[2], wanted[2, places[::-1], places].sum(), rtol=1e-12)
