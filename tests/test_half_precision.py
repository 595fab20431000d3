"""float16 and bfloat16: stored, never computed in; mixed precision; loss scaling."""

from __future__ import annotations

import pickle
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from network3 import ConvPoolLayer, FullyConnectedLayer, Network, ReLU, SoftmaxLayer, load_data_shared

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.llvm.host import host
from symgrad.checkpoint import load_checkpoint, save_checkpoint
from symgrad.control import ifelse, scan
from symgrad.errors import CallError, DTypeError, RangeError, SymgradError
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import InferenceError, Operand, registry
from symgrad.graph.types import TensorType
from symgrad.kernels.grammar import Library
from symgrad.kernels.ir.builder import KernelBuilder, cast, print_kernel
from symgrad.kernels.ir.interpreter import interpret
from symgrad.kernels.ir.verifier import KernelMistake
from symgrad.lowering import lower
from symgrad.lowering.half_operands import PRODUCTS, with_half_operands
from symgrad.ops.reduction_op import Reduction
from symgrad.rewriting.engine import all_rule_names, rewrite

HALVES = ("float16", "bfloat16")
BITS = {"float16": 11, "bfloat16": 8}
each_half = pytest.mark.parametrize("half", HALVES)


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def run(backend: str, inputs: list[Any], output: Any, *values: Any) -> Any:
    with symgrad.config.change_flags(backend=backend):
        return symgrad.function(inputs, output, on_unused_input="ignore")(*values)


def bits(array: np.ndarray) -> np.ndarray:
    """The bits of an array of 16-bit floats; all nans are one."""
    return np.where(np.isnan(array.astype("float32")), np.uint16(0xFFFF), array.view("uint16"))


# ---- the dtypes in the language -------------------------------------------------------------------------------------


def test_promotion() -> None:
    cases = {
        ("bfloat16", "float32"): "float32", ("bfloat16", "float16"): "float32", ("bfloat16", "float64"): "float64",
        ("bfloat16", "int64"): "bfloat16", ("bfloat16", "bool"): "bfloat16", ("bfloat16", "complex64"): "complex64",
    }  # fmt: skip
    for (a, b), wanted in cases.items():
        x, y = T.TensorType(a, (2,))("x"), T.TensorType(b, (2,))("y")
        assert (x + y).dtype == (y + x).dtype == wanted
    x = T.TensorType("bfloat16", (2,))("x")
    assert (x * 1.5).dtype == (1 + x).dtype == T.exp(x).dtype == T.sum(x).dtype == T.dot(x, x).dtype == "bfloat16"
    with symgrad.config.change_flags(cast_policy="custom"):
        for other in ("bool", "int8", "uint8", "int16", "int64", "float32", "complex64"):
            y = T.TensorType(other, (2,))("y")
            as_float16 = (T.TensorType("float16", (2,))("x") + y).dtype
            assert (x + y).dtype == ("bfloat16" if as_float16 == "float16" else as_float16), other


@each_half
def test_types_shared_variables_and_constants(half: str) -> None:
    kind = T.TensorType(half, (2, None))
    assert pickle.loads(pickle.dumps(kind)) == kind and str(kind) == f"{half} (2, ?)"
    w = symgrad.shared(np.array([1.5, 2.0], half), name="w")
    w.set_value(np.array([0.5, 0.25], half))
    assert w.get_value().dtype.name == w.dtype == half
    assert T.constant(np.ones(2, half)).dtype == T.zeros(3, half).dtype == T.cast(w, half).dtype == half
    clone = pickle.loads(pickle.dumps(w))
    np.testing.assert_array_equal(clone.get_value(), w.get_value())


@each_half
def test_arguments_are_converted_only_where_nothing_is_lost(half: str) -> None:
    x = T.TensorType(half, (None,))("x")
    f = symgrad.function([x], x * 2)
    assert f([1, 2.5]).tolist() == [2, 5] and f(np.array([3], "int8")).tolist() == [6]
    with pytest.raises(CallError, match=f"astype\\('{half}'\\)"):
        f(np.ones(2, "float32"))
    with pytest.raises(CallError, match="doesn't fit"):
        f([0.1])
    g = symgrad.function([x], x, allow_input_downcast=True)
    assert g(np.array([0.1])).dtype.name == half


def test_bfloat16_without_its_package_is_one_clear_error() -> None:
    code = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "import symgrad, symgrad.tensor as T\n"
        "try: T.cast(T.fvector('x'), 'bfloat16')\n"
        "except ImportError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.splitlines() == [
        "bfloat16 needs the package ml_dtypes, which isn't installed", "  Install it: pip install symgrad[half]"
    ], found.stderr  # fmt: skip
    code = "import sys, symgrad, symgrad.tensor; print('ml_dtypes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_dtype_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(DTypeError, match="Did you mean 'bfloat16'"):
        T.cast(T.fvector("x"), "bfloat")


def test_checkpoints_keep_them(tmp_path: Any) -> None:
    arrays = {half: random(1).normal(size=(3, 4)).astype(half).T for half in HALVES}
    save_checkpoint(tmp_path / "a.safetensors", arrays, {})
    code = (
        "import sys; from symgrad.checkpoint import load_checkpoint\n"
        "print(load_checkpoint(sys.argv[1])[0]['bfloat16'].astype('float32').sum())"
    )
    found, _ = load_checkpoint(tmp_path / "a.safetensors")
    for half, array in arrays.items():
        assert found[half].dtype == array.dtype
        np.testing.assert_array_equal(found[half].view("uint16"), np.ascontiguousarray(array).view("uint16"))
    command = [sys.executable, "-c", code, str(tmp_path / "a.safetensors")]
    fresh = subprocess.run(command, capture_output=True, text=True)
    assert float(fresh.stdout) == pytest.approx(float(arrays["bfloat16"].astype("float32").sum()), abs=1e-4)


# ---- what ops mean --------------------------------------------------------------------------------------------------


def half_samples(op_class: Any, half: str) -> Any:
    """Yield ops and arguments with floats of 16 bits, where the op takes them."""
    for op, sample in op_class.samples():
        if sample.error is not None or not all(isinstance(value, np.ndarray) for value in sample.arguments):
            continue
        with np.errstate(over="ignore"):
            arguments = [value.astype(half) if value.dtype.kind == "f" else value for value in sample.arguments]
        if not any(value.dtype.name == half for value in arguments):
            continue
        try:
            kinds = op.infer(*[Operand(TensorType(value.dtype, value.shape)) for value in arguments])
        except InferenceError:
            continue
        yield op, arguments, kinds


@each_half
def test_every_op_computes_in_float32_and_rounds_once(half: str) -> None:
    tried = 0
    for op_class in registry.ops.values():
        if op_class.takes_any_type or not op_class.__module__.startswith("symgrad."):
            continue
        if op_class.__name__ in ("RandomSample", "NumPySample"):  # which refuse probabilities that were rounded
            continue
        for op, arguments, kinds in half_samples(op_class, half):
            single = [value.astype("float32") if value.dtype.name == half else value for value in arguments]
            with np.errstate(all="ignore"):
                found, wanted = op.evaluate(*arguments), op.evaluate(*single)
            for value, expected, kind in zip(found, wanted, kinds, strict=True):
                assert value.dtype.name == kind.dtype, op
                if kind.dtype == half:
                    expected = np.asarray(expected).astype("float32").astype(half)
                    assert np.array_equal(bits(np.asarray(value)), bits(expected)), op
            tried += 1
    assert tried > 250


@each_half
def test_long_sums_are_accumulated_in_float32(half: str) -> None:
    x = T.TensorType(half, (3, 5000))("x")
    ones = np.ones((3, 5000), half)
    outputs = [T.sum(x), T.sum(x, axis=1), T.dot(x, x.T)[0], T.mean(x), T.sum(x, axis=1, acc_dtype=half)]
    wanted = [15000, [5000] * 3, [5000] * 3, 1, [5000] * 3]
    for backend in ("numpy", "native"):
        for output, value in zip(outputs, wanted, strict=True):
            found = run(backend, [x], output, ones)
            np.testing.assert_array_equal(found, np.array(value, "float32").astype(half))
    for axis, wanted_sum in ((0, [3] * 5000), (1, [5000] * 3)):
        (found,) = Reduction("sum", (axis,), False, half).evaluate(ones.astype("float32"))
        np.testing.assert_array_equal(found, np.array(wanted_sum, "float32").astype(half))
    softmax = run("native", [x], T.nnet.softmax(x), ones).astype("float32")
    np.testing.assert_allclose(softmax, 1 / 5000, rtol=2.0 ** -BITS[half])


def functions_of(x: Any, y: Any, half: str) -> list[Any]:
    return [
        T.exp(x) * y + x, T.nnet.softmax(x), T.sum(x * y, axis=0), T.max(x, axis=1), T.switch(x > y, x, y),
        T.nnet.sigmoid(x) / (1 + y * y), T.dot(x, y.T), x[::2, ::-1], T.concatenate([x, y]), T.cumsum(x, axis=1),
        T.argmax(x, axis=1), T.set_subtensor(x[0], y[0]), T.inc_subtensor(x[1:], y[1:]), T.grad(T.sum(T.tanh(x)), x),
        T.cast(x, "int32"), T.cast(T.cast(x, "float32") * 3, half), T.mean(x), T.var(x), T.sort(x, axis=1),
    ]  # fmt: skip


def test_processors_without_conversions_of_float16_leave_them_to_numpy() -> None:
    x = T.TensorType("float16", (5,))("x")
    with symgrad.config.change_flags(cpu_features="sse2" if host().architecture == "x86_64" else "auto"):
        np.testing.assert_array_equal(run("native", [x], T.cast(x, "float32") / 4, np.arange(5, dtype="float16")),
                                      np.arange(5) / 4)  # fmt: skip


@each_half
@settings(max_examples=6)
@given(rows=st.integers(1, 5), columns=st.integers(1, 40), seed=st.integers(0, 99), which=st.integers(0, 18))
def test_native_code_does_what_numpy_does(half: str, rows: int, columns: int, seed: int, which: int) -> None:
    x, y = [T.TensorType(half, (rows, columns), (False, False))(name) for name in "xy"]
    values = [random(seed + k).normal(size=(rows, columns)).astype(half) for k in range(2)]
    output = functions_of(x, y, half)[which]
    found, wanted = [np.asarray(run(backend, [x, y], output, *values)) for backend in ("native", "numpy")]
    assert found.dtype == wanted.dtype
    tolerance = 2.0 ** (1 - BITS[half])  # one unit: elementary functions differ in the last bits of float32
    np.testing.assert_allclose(found.astype("float64"), wanted.astype("float64"), rtol=tolerance, atol=1e-7)


@each_half
def test_casts_are_numpys_for_all_bits(half: str) -> None:
    x, y = T.TensorType(half, (65536,))("x"), T.TensorType("float32", (65536,))("y")
    every = np.arange(65536, dtype="uint16").view(half)
    with np.errstate(all="ignore"):
        wide = every.astype("float32")
    np.testing.assert_array_equal(run("native", [x], T.cast(x, "float32"), every), wide)
    assert np.array_equal(bits(run("native", [x], T.cast(T.cast(x, "float64"), half), every)), bits(every))
    ties = np.arange(65536, dtype="uint32") << 16 | np.where(np.arange(65536) % 3, 0x8000, 0x9000).astype("uint32")
    for numbers in (random(0).integers(0, 2**32, 65536, "uint32").view("float32"), ties.view("float32"), wide):
        with np.errstate(all="ignore"):
            wanted = numbers.astype(half)
        assert np.array_equal(bits(run("native", [y], T.cast(y, half), numbers)), bits(wanted))


@each_half
def test_kernels_only_store_them(half: str) -> None:
    builder = KernelBuilder("twice")
    x, y = builder.input("x", half, (4,)), builder.output("y", half, (4,))
    with builder.vector(4) as loop:
        y[loop.index] = cast(cast(x[loop.index], "float32") * 3, half)
    kernel = builder.kernel()
    assert f"{half}(float32(x[i]) * 3.0f)" in print_kernel(kernel)
    given, result = np.array([0.1, 1, 300, -7], half), np.zeros(4, half)
    assert interpret(kernel, [given, result], {}) == 0
    np.testing.assert_array_equal(result, (given.astype("float32") * 3).astype(half))
    with builder.vector(4) as loop:
        y[loop.index] = x[loop.index] + x[loop.index]
    with pytest.raises(KernelMistake, match="kernels compute nothing in floats of 16 bits"):
        builder.kernel()


@each_half
def test_debugging_modes_look_at_them(half: str) -> None:
    x = T.TensorType(half, (2, 3))("x")
    f = symgrad.function([x], [T.log(x), T.dot(x, x.T)], mode="DebugMode")
    assert [value.dtype.name for value in f(np.ones((2, 3), half))] == [half, half]
    with pytest.raises(SymgradError, match="nan"):
        symgrad.function([x], T.log(x), mode="NanGuard")(-np.ones((2, 3), half))


# ---- mixed precision ------------------------------------------------------------------------------------------------


def rounded(array: np.ndarray, half: str) -> np.ndarray:
    return array.astype(half).astype("float32")


@each_half
@pytest.mark.parametrize("mode", ["default", "none"])
def test_products_and_their_gradients_take_rounded_operands(half: str, mode: str) -> None:
    x, w = T.fmatrix("x"), symgrad.shared(random(1).normal(size=(5, 4)).astype("float32"), "w")
    given, kept = random(2).normal(size=(3, 5)).astype("float32"), w.get_value()
    weights = random(3).normal(size=(3, 4)).astype("float32")
    product = symgrad.mixed_precision(T.dot(x, w), half)
    cost = T.sum(product * weights)
    found = symgrad.function([x], [product, *symgrad.grad(cost, [x, w])], mode=mode)(given)
    a, b, cotangent = [rounded(array, half) for array in (given, kept, weights)]
    for value, wanted in zip(found, [a @ b, cotangent @ b.T, a.T @ cotangent], strict=True):
        assert value.dtype == "float32"
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)
    assert np.any(found[0] != given @ kept)


@each_half
def test_convolutions_take_rounded_operands(half: str) -> None:
    x, w = T.tensor4("x", dtype="float32"), symgrad.shared(random(1).normal(size=(2, 3, 3, 3)).astype("float32"))
    given, weights = random(2).normal(size=(2, 3, 6, 6)).astype("float32"), w.get_value()
    convolved = T.conv2d(x, w)
    exact = symgrad.function([x], [convolved, *symgrad.grad(T.sum(convolved), [x, w])])
    mixed = symgrad.mixed_precision(convolved, half)
    found = symgrad.function([x], [mixed, *symgrad.grad(T.sum(mixed), [x, w])])(given)
    w.set_value(rounded(weights, half))
    for value, wanted in zip(found, exact(rounded(given, half)), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5)


def test_loops_and_choices_are_gone_into() -> None:
    x, w = T.fvector("x"), symgrad.shared(np.full((2, 2), 1 / 3, "float32"))
    last = scan(lambda h: T.dot(h, w), outputs_info=x, n_steps=2)[0][-1]
    chosen = ifelse(x[0] > 0, T.dot(x, w), x)
    f = symgrad.function([x], symgrad.mixed_precision([last, chosen], "bfloat16"))
    a = rounded(np.full((2, 2), 1 / 3, "float32"), "bfloat16")
    once = np.ones(2, "float32") @ a
    for value, wanted in zip(f([1, 1]), [rounded(once, "bfloat16") @ a, once], strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-6)


def test_what_is_no_product_of_float32_stays() -> None:
    x, w = T.dmatrix("x"), T.fvector("w")
    outputs = (T.dot(x, x), T.exp(w).sum(), w)
    assert symgrad.mixed_precision(outputs) == outputs
    with pytest.raises(DTypeError, match="takes float16 or bfloat16"):
        symgrad.mixed_precision(w, "float32")
    with pytest.raises(TypeError, match="variables"):
        symgrad.mixed_precision(3)


@each_half
def test_routines_may_read_what_was_cast(half: str) -> None:
    x, w = T.TensorType("float32", (3, 5))("x"), T.TensorType("float32", (4, 5))("w")
    cost = T.sum(symgrad.mixed_precision(T.dot(x, w.T), half) ** 2)
    outputs = tuple(symgrad.grad(cost, [x, w]))
    graph = rewrite(ClosedGraph((x, w), outputs, (), ()), all_rule_names(), None, "cuda")
    steps = lower(graph)
    types: Any = {v: v for step in steps for v in (*step.inputs, *step.outputs)}
    read = with_half_operands(steps, types, {}, graph.roots, PRODUCTS)
    products = [step for step in read if isinstance(step.kernel, Library) and step.kernel.name in PRODUCTS]
    for step in products:
        assert {step.inputs[place].type.dtype for place in PRODUCTS[step.kernel.name]} == {half}  # type: ignore[attr-defined]
    assert len(products) == 3
    given = {x: random(1).normal(size=(3, 5)).astype("float32"), w: random(2).normal(size=(4, 5)).astype("float32")}
    for value, wanted in zip(evaluated(read, graph, given), evaluated(steps, graph, given), strict=True):
        np.testing.assert_array_equal(value, wanted)


def evaluated(steps: Any, graph: ClosedGraph, given: dict[Any, np.ndarray]) -> list[np.ndarray]:
    values: dict[Any, Any] = {**given, **{constant: constant.data for constant in graph.constants()}}
    for step in steps:
        results = step.evaluate(*[values[v] for v in step.inputs])
        assert [value.dtype.name for value in results] == [output.type.dtype for output in step.outputs]
        values.update(zip(step.outputs, results, strict=True))
    return [values[output] for output in graph.outputs]


class Mixed(Network):
    """network3 with products of 16-bit floats."""

    half = ""

    def regularized_cost(self, l2_factor: float) -> Any:
        cost = super().regularized_cost(l2_factor)
        return symgrad.mixed_precision(cost, self.half) if self.half else cost


def accuracy(half: str) -> float:
    data = load_data_shared()
    rng = np.random.RandomState(0)
    layers = [
        ConvPoolLayer((6, 1, 5, 5), (10, 1, 28, 28), rng=rng, activation_fn=ReLU),
        FullyConnectedLayer(6 * 12 * 12, 30, rng=rng, activation_fn=ReLU), SoftmaxLayer(30, 10),
    ]  # fmt: skip
    net = Mixed(layers, 10)
    net.half = half
    return max(step.accuracies[0] for step in net.train(data[0], 2, 10, 0.03, *data[1:], 0.1) if step.accuracies)


def test_network3_learns_as_well_as_in_float32() -> None:
    single = accuracy("")
    assert single > 0.9
    for half in HALVES:
        assert accuracy(half) > single - 0.02


# ---- loss scaling ---------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@example(good=[1.0, 1.0], interval=1, power=24, factor=2.0)
@example(good=[np.inf, np.inf], interval=1, power=-13, factor=4.0)
@given(good=st.lists(st.sampled_from([1.0, 1.0, np.inf, np.nan]), max_size=14), interval=st.integers(1, 4),
       power=st.integers(-15, 24), factor=st.sampled_from([2.0, 4.0]))  # fmt: skip
def test_loss_scale_follows_its_rules(good: list[float], interval: int, power: int, factor: float) -> None:
    x, w, v = T.fscalar("x"), symgrad.shared(np.float32(1)), symgrad.shared(np.ones(2, "float32"))
    scale = symgrad.LossScale(2.0**power, interval, factor)
    gradients = scale.grad(x * w + T.sum(v), [w, v])
    steps = symgrad.shared(np.int32(0))
    pairs = [(w, w - gradients[0]), (v, v - gradients[1]), (steps, steps + 1)]
    f = symgrad.function([x], gradients[0], updates=scale.updates(pairs))
    value, count, weight, done = 2.0**power, 0, 1.0, 0
    for number in good:
        gradient = f(number)
        if np.isfinite(number):
            assert gradient == number
            count, weight, done = count + 1, weight - 1, done + 1
            if count == interval:
                value, count = min(value * factor, 2.0**24), 0
        else:
            value, count = max(value / factor, 2.0**-14), 0
        assert (scale.value.get_value(), scale.good_steps.get_value()) == (value, count)
        assert (w.get_value(), steps.get_value()) == (weight, done)
        np.testing.assert_array_equal(v.get_value(), np.full(2, weight, "float32"))


def test_small_gradients_survive_in_float16_with_a_scale() -> None:
    x, w = T.fmatrix("x"), symgrad.shared(np.ones((2, 1), "float32"))
    cost = 1e-9 * T.sum(symgrad.mixed_precision(T.dot(x, w), "float16"))
    plain = symgrad.function([x], symgrad.grad(cost, w))
    scaled = symgrad.function([x], symgrad.LossScale(2.0**20).grad(cost, w))
    assert np.all(plain([[1, 2]]) == 0)
    np.testing.assert_allclose(scaled([[1, 2]]), [[1e-9], [2e-9]], rtol=1e-3)


def test_a_scale_finds_its_size_by_itself() -> None:
    x, w = T.fmatrix("x"), symgrad.shared(np.ones((4, 1), "float32"))
    scale = symgrad.LossScale(2.0**24)
    cost = T.sum(symgrad.mixed_precision(T.dot(x, w), "float16") ** 2)
    f = symgrad.function([x], cost, updates=scale.updates({w: w - 0.01 * scale.grad(cost, w)}))
    costs = [float(f(np.eye(4, dtype="float32"))) for _ in range(25)]
    assert all(later <= earlier for earlier, later in pairwise(costs)) and costs[-1] < costs[0]
    assert 2.0**4 < scale.value.get_value() < 2.0**16


def test_bad_arguments() -> None:
    for arguments in ({"initial": 0}, {"initial": np.inf}, {"growth_interval": 0}, {"factor": 3}, {"factor": 1}):
        with pytest.raises(RangeError, match=f"LossScale: {next(iter(arguments))} must be"):
            symgrad.LossScale(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="without gradients"):
        symgrad.LossScale().updates([])
