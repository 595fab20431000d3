"""Theano's semantics, which programs lean on, under the names of Theano."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from symgrad.compat.theano_names.activation import activated


@pytest.fixture(autouse=True)
def theano() -> Iterator[Any]:
    with activated() as module:
        yield module


@pytest.fixture
def T(theano: Any) -> Any:
    return theano.tensor


# ---- constants and casts ----


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1, "int8"), (300, "int16"), (100_000, "int32"), (2**40, "int64"), (True, "int8"), (0.1, "float64"),
     (1.0, "float32"), (1e10, "float32"), ([1, 2], "int64"), ([1.0], "float64"), (np.float64(0.1), "float64"),
     (np.int64(1), "int64"), (np.float32(0.1), "float32"), (np.bool_(True), "bool")],
)  # fmt: skip
def test_a_constant_takes_the_smallest_type(T: Any, value: Any, dtype: str) -> None:
    assert T.constant(value).dtype == dtype
    assert T.as_tensor_variable(value).dtype == dtype


def test_with_floatX_float32_all_floats_are_float32(theano: Any, T: Any) -> None:
    with theano.config.change_flags(floatX="float32"):
        assert T.constant(0.1).dtype == T.constant(1.0).dtype == "float32"
        assert (T.ivector() / T.ivector()).dtype == "float32"


@pytest.mark.parametrize(
    ("left", "right", "dtype"),
    [("float32", "int32", "float64"), ("float32", "int64", "float64"), ("float32", "int16", "float32"),
     ("int8", "int16", "int16"), ("bool", "bool", "bool"), ("uint8", "int8", "int16"), ("uint64", "int64", "float64")],
)  # fmt: skip
def test_dtypes_of_sums(T: Any, left: str, right: str, dtype: str) -> None:
    assert (T.vector(dtype=left) + T.vector(dtype=right)).dtype == dtype


def test_numbers_beside_tensors(T: Any) -> None:
    f, i, b = T.fvector(), T.ivector(), T.bvector()
    assert (f + np.int64(1)).dtype == "float64"
    assert (f * 2).dtype == (f * 2.0).dtype == "float32"
    assert (f * 0.1).dtype == "float64"
    assert (i * 1.0).dtype == "float64"
    assert (b * 1.0).dtype == "float32"
    assert (i * 2).dtype == "int32"


def test_division(T: Any) -> None:
    i, j = T.ivector("i"), T.ivector("j")
    assert (i / j).dtype == "float64"
    values = {i: np.array([7, -7, 7, -7], "int32"), j: np.array([2, 2, -2, -2], "int32")}
    np.testing.assert_array_equal((i / j).eval(values), [3.5, -3.5, -3.5, 3.5])
    np.testing.assert_array_equal((i // j).eval(values), [3, -4, -4, 3])
    np.testing.assert_array_equal((i % j).eval(values), [1, 1, -1, -1])


def test_int8_wraps_around(T: Any) -> None:
    x = T.bvector("x")
    assert (x + x).dtype == "int8"
    np.testing.assert_array_equal((x + x).eval({x: np.array([100, -100], "int8")}), [-56, 56])


def test_comparisons_sums_and_functions(T: Any) -> None:
    b = T.bvector("b")
    assert (b > 1).dtype == T.eq(b, b).dtype == "bool"
    assert b.sum().dtype == "int64"
    assert T.cumsum(b).dtype == "int8"
    assert T.exp(b).dtype == "float32"
    assert T.exp(T.ivector()).dtype == "float64"
    assert T.mean(T.ivector()).dtype == "float64"
    assert T.mean(T.fvector()).dtype == "float32"


# ---- broadcasting ----


def test_what_is_known_to_be_1_broadcasts(theano: Any, T: Any) -> None:
    assert T.zeros((1, 3)).broadcastable == (True, False)
    x = T.matrix("x")
    assert x.reshape((1, -1)).broadcastable == (True, False)
    assert x.sum(axis=1, keepdims=True).broadcastable == (False, True)
    assert x.dimshuffle("x", 0, 1).broadcastable == (True, False, False)
    assert x[0:1].broadcastable == (False, False)
    assert theano.shared(np.zeros((1, 3))).broadcastable == (False, False)
    assert theano.shared(np.zeros((1, 3)), broadcastable=(True, False)).broadcastable == (True, False)


@pytest.mark.parametrize("sizes", [(2, 3), (1, 3)])
def test_sizes_that_differ_are_a_value_error(theano: Any, T: Any, sizes: tuple[int, int]) -> None:
    x, y = T.dvectors("x", "y")
    f = theano.function([x, y], x + y)
    with pytest.raises(ValueError, match="Input dimension mis-match"):
        f(*[np.ones(size) for size in sizes])


def test_softmax_of_a_vector_is_a_row(theano: Any, T: Any) -> None:
    x = T.dvector("x")
    assert T.nnet.softmax(x).broadcastable == (True, False)
    found = T.nnet.softmax(x).eval({x: [0.0, np.log(3.0)]})
    np.testing.assert_allclose(found, [[0.25, 0.75]])
    with pytest.raises(ValueError):
        T.nnet.softmax(T.tensor3())


# ---- convolution and pooling ----


def test_convolution_flips_filters(theano: Any, T: Any) -> None:
    from theano.tensor.nnet import conv2d

    images, filters = T.tensor4("images"), T.tensor4("filters")
    values = {images: np.arange(9.0).reshape(1, 1, 3, 3), filters: np.array([[[[1.0, 0.0], [0.0, 0.0]]]])}
    np.testing.assert_array_equal(conv2d(images, filters).eval(values)[0, 0], [[4, 5], [7, 8]])
    np.testing.assert_array_equal(conv2d(images, filters, filter_flip=False).eval(values)[0, 0], [[0, 1], [3, 4]])


def test_pooling_keeps_partial_windows(theano: Any, T: Any) -> None:
    from theano.tensor.signal import pool

    x = T.dmatrix("x")
    value = {x: np.arange(9.0).reshape(3, 3)}
    np.testing.assert_array_equal(pool.pool_2d(x, (2, 2), ignore_border=False).eval(value), [[4, 5], [7, 8]])
    np.testing.assert_array_equal(pool.pool_2d(x, (2, 2), ignore_border=True).eval(value), [[4]])
    averages = pool.pool_2d(x, (2, 2), ignore_border=False, mode="average_exc_pad").eval(value)
    np.testing.assert_array_equal(averages, [[2, 3.5], [6.5, 8]])


# ---- gradients ----


@pytest.mark.parametrize(
    ("build", "at", "expected"),
    [
        (lambda T, x: T.max(x), [1.0, 3.0, 3.0], [0, 1, 1]),
        (lambda T, x: T.sum(T.maximum(x, 2.0)), [2.0, 3.0], [1, 1]),
        (lambda T, x: T.sum(T.maximum(2.0, x)), [2.0, 3.0], [0, 1]),
        (lambda T, x: T.sum(T.nnet.relu(x)), [-1.0, 0.0, 1.0], [0, 0.5, 1]),
        (lambda T, x: T.sum(abs(x)), [-1.0, 0.0, 1.0], [-1, 0, 1]),
        (lambda T, x: T.sum(T.clip(x, 0.0, 1.0)), [-1.0, 0.0, 1.0, 2.0], [0, 1, 1, 0]),
        (lambda T, x: T.sum(T.sqrt(x)), [0.0, 4.0], [np.inf, 0.25]),
        (lambda T, x: T.prod(x), [2.0, 0.0, 3.0], [0, 6, 0]),
        (lambda T, x: T.prod(x), [0.0, 0.0, 3.0], [0, 0, 0]),
    ],
)
def test_gradients_at_kinks(theano: Any, T: Any, build: Any, at: list[float], expected: list[float]) -> None:
    x = T.dvector("x")
    found = theano.function([x], T.grad(build(T, x), x))(at)
    np.testing.assert_array_equal(found, expected)


# ---- functions and shared variables ----


def test_updates_use_old_values(theano: Any) -> None:
    a, b = theano.shared(1), theano.shared(2)
    f = theano.function([], [a, b], updates=[(a, b), (b, a)])
    assert [int(v) for v in f()] == [1, 2]
    assert (int(a.get_value()), int(b.get_value())) == (2, 1)


def test_outputs(theano: Any, T: Any) -> None:
    x = T.dscalar("x")
    s = theano.shared(0)
    assert theano.function([], updates=[(s, s + 1)])() == []
    result = theano.function([x], x * 2)(3.0)
    assert isinstance(result, np.ndarray) and result.shape == ()
    assert [type(v) for v in theano.function([x], [x * 2])(3.0)] == [np.ndarray]


def test_shared_copies_unless_borrowed(theano: Any) -> None:
    value = np.zeros(3)
    copied, borrowed = theano.shared(value), theano.shared(value, borrow=True)
    value[:] = 1
    assert copied.get_value().sum() == 0
    assert borrowed.get_value().sum() == 3
    copied.get_value()[:] = 5
    assert copied.get_value().sum() == 0
    copied.get_value(borrow=True)[:] = 5
    assert copied.get_value(borrow=True, return_internal_type=True).sum() == 15
    copied.zero()
    assert copied.get_value().sum() == 0


def test_outputs_never_alias_shared_state(theano: Any) -> None:
    s = theano.shared(np.zeros(3))
    out = theano.function([], s)()
    out[:] = 7
    assert s.get_value().sum() == 0


def test_equality_is_identity(T: Any) -> None:
    x, y = T.scalar("x"), T.scalar("x")
    assert x == x and x != y
    assert {x: 1}[x] == 1


def test_shared_of_python_numbers(theano: Any) -> None:
    with theano.config.change_flags(floatX="float32"):
        assert theano.shared(0.5).dtype == "float64"
    assert theano.shared(3).dtype == "int64"


def test_conversion_of_arguments(theano: Any, T: Any) -> None:
    f32, f64, i = T.fscalar("f"), T.dscalar("d"), T.iscalar("i")
    f, d, n = [theano.function([v], v + 0) for v in (f32, f64, i)]
    with pytest.raises(TypeError):
        f(0.1)
    assert f(1.0) == 1 and f(2) == 2 and d(3) == 3
    for bad in (1.5, 1.0, np.float64(2)):
        with pytest.raises(TypeError):
            n(bad)
    with theano.config.change_flags(floatX="float32"):
        assert theano.function([f32], f32)(0.1) == np.float32(0.1)
        with pytest.raises(TypeError):
            theano.function([f32], f32, allow_input_downcast=False)(0.1)
    assert theano.function([i], i, allow_input_downcast=True)(1.5) == 1
    with pytest.raises(TypeError):
        theano.function([theano.In(f64, strict=True)], f64)(1)


# ---- random streams ----


def test_streams_advance_and_repeat(theano: Any, T: Any) -> None:
    from theano.tensor.shared_randomstreams import RandomStreams

    streams = RandomStreams(seed=234)
    u, n = streams.uniform((2, 2)), streams.normal((2, 2))
    f = theano.function([], u)
    g = theano.function([], n, no_default_updates=True)
    first = f()
    np.testing.assert_allclose(first.ravel()[:2], [0.12672, 0.97092], atol=5e-6)
    assert not np.array_equal(first, f())
    np.testing.assert_array_equal(g(), g())
    nearly_zeros = theano.function([], u + u - 2 * u)
    np.testing.assert_allclose(nearly_zeros(), 0, atol=1e-12)
    assert streams.binomial((3,)).dtype == "int64"


def test_streams_are_seeded_and_shared(theano: Any) -> None:
    from theano.tensor.shared_randomstreams import RandomStreams

    streams = RandomStreams(seed=234)
    u = streams.uniform((2,))
    f = theano.function([], u)
    state = u.rng.get_value(borrow=True)
    state.seed(89234)
    u.rng.set_value(state, borrow=True)
    np.testing.assert_array_equal(f(), np.random.RandomState(89234).uniform(size=2))
    streams.seed(902340)
    seeds = np.random.RandomState(902340)
    np.testing.assert_array_equal(f(), np.random.RandomState(int(seeds.randint(2**30))).uniform(size=2))


def test_mrg_streams_draw_theanos_numbers(theano: Any) -> None:
    from theano.sandbox.rng_mrg import MRG_RandomStreams

    f = theano.function([], MRG_RandomStreams(234).uniform((2,)))
    np.testing.assert_allclose(f(), [0.4499, 0.30625], atol=5e-5)
    assert not np.array_equal(f(), f())


# ---- scan ----


def test_a_single_output_is_no_list_and_holds_no_initial_value(theano: Any, T: Any) -> None:
    x = T.dvector("x")
    start = T.constant(10.0, dtype="float64")
    outputs, updates = theano.scan(lambda value, total: total + value, sequences=x, outputs_info=start)
    assert isinstance(outputs, T.TensorVariable) and not updates
    np.testing.assert_array_equal(theano.function([x], outputs)([1, 2, 3]), [11, 13, 16])


def test_until_includes_the_last_step(theano: Any, T: Any) -> None:
    def doubled(value: Any) -> Any:
        return 2 * value, theano.scan_module.until(2 * value > 20)

    values, _ = theano.scan(doubled, outputs_info=T.constant(1.0, dtype="float64"), n_steps=100)
    np.testing.assert_array_equal(values.eval(), [2, 4, 8, 16, 32])


def test_one_step_keeps_the_leading_axis(theano: Any, T: Any) -> None:
    values, _ = theano.scan(lambda value: value + 1, outputs_info=T.zeros(2), n_steps=1)
    assert values.eval().shape == (1, 2)


def test_folds_from_the_right(theano: Any, T: Any) -> None:
    found, _ = theano.foldr(lambda a, p: a - p, T.as_tensor_variable([1, 2]), T.constant(0, dtype="int64"))
    assert int(found.eval()) == -1
    found, _ = theano.foldl(lambda a, p: a - p, T.as_tensor_variable([1, 2]), T.constant(0, dtype="int64"))
    assert int(found.eval()) == 1


def test_updates_of_scan_must_be_handed_on(theano: Any) -> None:
    count = theano.shared(0)
    values, updates = theano.scan(lambda: {count: count + 1}, n_steps=5)
    theano.function([], [], updates=updates)()
    assert values is None and count.get_value() == 5
    theano.function([], count)()
    assert count.get_value() == 5


# ---- errors that programs match ----


def test_errors_of_functions(theano: Any, T: Any) -> None:
    from theano.compile import UnusedInputError
    from theano.gof import MissingInputError

    x, y = T.dscalars("x", "y")
    s = theano.shared(1.0, name="s")
    with pytest.raises(UnusedInputError):
        theano.function([x, y], x)
    with pytest.raises(MissingInputError):
        theano.function([x], x + y)
    with pytest.raises(TypeError, match="Cannot use a shared variable"):
        theano.function([s], s)
    with pytest.raises(ValueError, match="this shared variable already has an update expression"):
        theano.function([], s, updates=[(s, s + 1), (s, s + 2)])
    with pytest.raises(TypeError, match="update target must be a SharedVariable"):
        theano.function([x], x, updates=[(x, x + 1)])


def test_errors_of_calls(theano: Any, T: Any) -> None:
    x, y = T.dvector("x"), T.dscalar("y")
    f = theano.function([x, y], x * y, name="product")
    text = r'Bad input argument to theano function with name "product" at index 0 \(0-based\)'
    with pytest.raises(TypeError, match=text):
        f("text", 1.0)
    with pytest.raises(TypeError, match="Bad input argument"):
        f(np.ones((2, 2)), 1.0)
    with pytest.raises(TypeError, match="Missing required input: y"):
        f(np.ones(2))
    with pytest.raises(TypeError, match="Too many parameter passed to theano function"):
        f(np.ones(2), 1.0, 2.0)


def test_errors_of_graphs(theano: Any, T: Any) -> None:
    from theano.gradient import DisconnectedInputError

    x, y = T.dvector("x"), T.dvector("y")
    with pytest.raises(TypeError, match=r"cost must be a scalar\."):
        T.grad(x, x)
    with pytest.raises(DisconnectedInputError):
        T.grad(x.sum(), y)
    with pytest.raises(TypeError, match="Variables do not support boolean operations"):
        bool(x > 0)


def test_numpys_functions_take_symbolic_tensors(theano: Any, T: Any) -> None:
    x = T.dvector("x")
    values = np.array([0.25, 4.0])
    for function in (np.exp, np.sqrt, np.tanh, np.absolute, np.log):
        np.testing.assert_allclose(function(x).eval({x: values}), function(values))
    array = np.array([1.0, 2.0])
    products = (array * x, np.multiply(array, x), np.float64(2) ** x, array / x, array < x, np.maximum(array, x))
    for made in products:
        assert isinstance(made, T.TensorVariable)
    np.testing.assert_allclose((array - x).eval({x: values}), array - values)
    np.testing.assert_array_equal((array < x).eval({x: values}), array < values)
    with pytest.raises(TypeError):
        np.add.reduce(x)
    with pytest.raises(TypeError):
        np.gcd(x, x)


# ---- derivatives, choices, indices and updates ----


def test_a_gradient_that_only_depends_on_a_shape_counts_its_input_as_used(theano: Any, T: Any) -> None:
    x, y = T.dscalars("xy")
    slope = T.grad(y * 2, x, disconnected_inputs="ignore")
    assert theano.function([x], slope)(3.0) == 0
    assert T.Rop(T.grad(x * 2, x), x, x).eval({x: 2.0}) == 0


def test_rop_of_a_tuple_is_a_tuple(T: Any) -> None:
    x, v = T.dvectors("xv")
    assert isinstance(T.Rop((x, x * 2), x, v), tuple) and isinstance(T.Rop([x, x * 2], x, v), list)
    with pytest.raises(ValueError, match="direction"):
        T.Rop(0.0, [T.matrix()], [T.vector()])


def test_an_undefined_gradient_cannot_be_computed(theano: Any, T: Any) -> None:
    x = T.dvector()
    undefined = theano.gradient.grad_undefined(T.add, 0, x, "no slope")
    with pytest.raises(TypeError, match="no slope"):
        theano.function([x], undefined, on_unused_input="ignore")


def test_an_undefined_gradient_stops_where_outputs_are_not_connected(theano: Any, T: Any) -> None:
    class Pair(theano.Op):
        __props__ = ()

        def make_node(self, x: Any) -> Any:
            return theano.Apply(self, [x], [x.type(), T.dscalar()])

        def connection_pattern(self, node: Any) -> list[list[bool]]:
            return [[True, False]]

        def perform(self, node: Any, inputs: Any, storage: Any) -> None:
            storage[0][0], storage[1][0] = inputs[0] * 3, np.array(0.0)

        def grad(self, inputs: Any, gradients: Any) -> Any:
            return [gradients[0] * 3]

    class Joined(theano.Op):
        __props__ = ()

        def make_node(self, x: Any, y: Any) -> Any:
            return theano.Apply(self, [x, y], [T.dscalar()])

        def grad(self, inputs: Any, gradients: Any) -> Any:
            return [T.ones_like(inputs[0]), theano.gradient.grad_undefined(self, 1, inputs[1])]

    x = T.dvector()
    slope = T.grad(Joined()(*Pair()(x)), x)
    np.testing.assert_array_equal(slope.eval({x: [1.0, 2.0]}), [3, 3])


def test_ifelse_can_be_made_as_an_op(theano: Any, T: Any) -> None:
    from theano.ifelse import IfElse

    n, x, y = T.iscalar(), T.dvector(), T.dvector()
    made = IfElse(1, as_view=True)(n, x, y)
    assert isinstance(made.owner.op, IfElse) and made.owner.op == IfElse(1) and made.owner.op != IfElse(2)
    np.testing.assert_array_equal(theano.function([n, x, y], made)(0, [1.0], [2.0, 3.0]), [2, 3])
    pair = IfElse(2)(n, x, y, y, x)
    assert [value.tolist() for value in theano.function([n, x, y], pair)(1, [1.0], [2.0])] == [[1], [2]]
    with pytest.raises(ValueError, match="arguments"):
        IfElse(2)(n, x, y)


def test_indices_that_theano_refuses_and_takes(T: Any) -> None:
    x = T.dmatrix()
    values = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(x[[slice(1, -1), slice(None, 2)]].eval({x: values}), values[1:-1, :2])
    with pytest.raises(TypeError, match="integers or bools"):
        x[[0.0, 1.0]]
    with pytest.raises(IndexError, match="int64"):
        x[: 2**63]


@pytest.mark.parametrize("start", [None, -9, -2, 0, 3, 9])
def test_a_slice_of_unknown_step_has_a_form_that_runs_forward(theano: Any, T: Any, start: int | None) -> None:
    stop, step, length = T.lscalars("stop", "step", "length")
    form, sign = theano.tensor.subtensor.get_canonical_form_slice(slice(start, stop, step), length)
    compute = theano.function([stop, step, length], [form.start, form.stop, form.step, sign])
    values = np.arange(5)
    for end in (-8, -1, 0, 4, 8):
        for stride in (-6, -2, -1, 1, 3):
            first, last, by, direction = compute(end, stride, 5)
            np.testing.assert_array_equal(values[first:last:by][::direction], values[start:end:stride])


def test_taps_of_an_output_differ_from_each_other(theano: Any, T: Any) -> None:
    start = {"initial": T.dvector(), "taps": [-1, -1]}
    with pytest.raises(ValueError, match="differ"):
        theano.scan(lambda x, before, again: before + again, T.dvector(), start)


def test_updates_are_of_shared_variables_from_the_start(theano: Any) -> None:
    with pytest.raises(TypeError, match="shared variables"):
        theano.OrderedUpdates({"d": 3})
    with pytest.raises(TypeError, match="shared variables"):
        theano.OrderedUpdates(d=3)
    shared = theano.shared(1.0)
    assert list(theano.OrderedUpdates([(shared, 3)])) == [shared]


# ---- imports ----


def test_submodules_are_there_after_import_theano_alone(theano: Any) -> None:
    assert callable(theano.tensor.signal.pool.pool_2d)
    assert callable(theano.ifelse.ifelse)
    assert callable(theano.tensor.shared_randomstreams.RandomStreams)
    from theano import theano as again

    assert again is theano
    assert theano.config.cxx and theano.config.blas.ldflags
    import theano.gpuarray
    import theano.sandbox.cuda

    assert not theano.sandbox.cuda.cuda_enabled and not theano.gpuarray.pygpu_activated
