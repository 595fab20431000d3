"""Every rewrite rule: an example on which it fires, with the same results before and after."""

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.compile.closing import close_graph
from symgrad.errors import ShapeError
from symgrad.gradient.row_by_row import RowByRow
from symgrad.graph.traversal import applies_before
from symgrad.ops.identity import WithInputs
from symgrad.ops.linalg import Dot
from symgrad.rewriting.engine import ENGINE_RULES, RULES, all_rule_names, rewrite

RNG = np.random.RandomState(0)


def floats(*shape):
    return RNG.uniform(0.1, 2.0, shape)


# ---- one example a rule: inputs, values, expression, and how often ops must be left ---------------------------------


def merge():
    x = T.dvector("x")
    return [x], [floats(3)], T.exp(x) * T.exp(x), {"exp": 1}


def fold():
    x = T.dvector("x")
    return [x], [floats(3)], x * (T.constant(2.0) + T.constant(3.0)), {"add": 0}


def size_of_result():
    x, y = T.dmatrices("x", "y")
    z = T.tanh(T.dot(x, y)).T
    return [x, y], [floats(2, 3), floats(3, 4)], z.shape[0] * 10 + z.shape[1], {"dot": 0, "tanh": 0}


def known_sizes():
    x = T.tensor("float64", (2, 6), name="x")
    y = T.dmatrix("y")
    return [x, y], [floats(2, 6), floats(3, 4)], x.reshape((y.shape[0] * 0 + 3, 4)) + y, {}


def polynomial():
    i, b = T.lscalars("i", "b")
    return [i, b], [np.int64(3), np.int64(7)], (i + 1) * b - i * b, {"multiply": 0, "add": 0, "subtract": 0}


def element_of_made_vector():
    a, b = T.dscalars("a", "b")
    vector = T.stack([a, b])
    return [a, b], [np.float64(1), np.float64(2)], vector[T.constant(1)] * 3, {"make_vector": 0}


def slice_before_cast():
    x, i = T.dvector("x"), T.lscalar("i")
    return [x, i], [floats(9), np.int64(2)], T.cast(T.exp(x), "float32")[i : i + 3], {}


def dimshuffles():
    x = T.dmatrix("x")
    return [x], [floats(2, 3)], x.T.dimshuffle("x", 1, 0), {"dimshuffle{1,0}": 0}


def gradient_only():
    x = T.dvector("x")
    same = T.grad_clip(T.grad_scale(T.zero_grad(T.disconnected_grad(T.undefined_grad(x))), 2), -1, 1)
    same = T.transfer(WithInputs()(same, x[0]), "cuda0")
    names = ["grad_clip", "grad_scale", "zero_grad", "disconnected_grad", "undefined_grad", "with_inputs", "transfer"]
    return [x], [floats(3)], same * 3, dict.fromkeys(names, 0)


def diagonal():
    x, v = T.dmatrix("x"), T.dvector("v")
    identity = T.eye(v.shape[0], dtype="float64")
    columns = T.dot(x, identity * v.dimshuffle("x", 0))
    return [x, v], [floats(3, 3), floats(3)], T.dot(identity * v, T.dot(columns, identity)), {"dot": 0, "eye": 0}


def row_by_row():
    x, y = T.dtensor3("x"), T.dmatrix("y")
    rows = RowByRow(Dot(), (True, False))(x, y)
    return [x, y], [floats(4, 2, 3), floats(3, 2)], rows, {"row_by_row{dot}": 0}


def reshapes():
    x = T.tensor("float64", (2, 6), name="x")
    return [x], [floats(2, 6)], x.reshape((12,)).reshape((4, 3)), {"reshape": 1}


def same_type():
    x = T.tensor("float64", (2, 6), name="x")
    return [x], [floats(2, 6)], x.reshape((2, 6)) + 1, {"reshape": 0}


def neutral():
    x = T.dvector("x")
    return [x], [floats(3)], ((x + 0) * 1 - 0) / 1, {"add": 0, "multiply": 0, "subtract": 0, "true_divide": 0}


def negations():
    x, y = T.dvectors("x", "y")
    return [x, y], [floats(3), floats(3)], T.neg(-x) + (-y), {"negative": 0}


def stretched():
    x = T.dmatrix("x")
    return [x], [floats(2, 3)], x * T.alloc(2.0, x.shape[0], x.shape[1]), {"alloc": 0}


def function_of_stretched():
    x, n = T.dscalar("x"), T.lscalar("n")
    return [x, n], [np.float64(0.5), np.int64(4)], T.exp(T.alloc(x, n)), {}


def log_softmax():
    x = T.dmatrix("x")
    return [x], [floats(2, 3)], T.log(T.softmax(x)), {"softmax": 0, "log_softmax": 1}


def picked_log_softmax():
    x, y = T.dmatrix("x"), T.ivector("y")
    picked = T.log(T.softmax(x)[T.arange(y.shape[0]), y])
    return [x, y], [floats(2, 3), np.array([2, 0], "int32")], picked, {"softmax": 0}


def log_softmax_gradient():
    x = T.dmatrix("x")
    return [x], [floats(2, 3)], symgrad.grad(T.sum(T.log(T.softmax(x))[:, 0]), x), {"softmax_gradient": 0}


def softplus():
    x = T.dvector("x")
    return [x], [floats(3)], T.log(1 + T.exp(x)) + T.log1p(T.exp(x)), {"exp": 0, "softplus": 1}


def one_plus_exp():
    x = T.dvector("x")
    both = 1 / (1 + T.exp(-x)) + T.exp(x) / (1 + T.exp(x))
    return [x], [floats(3)], both, {"exp": 0, "true_divide": 0, "sigmoid": 1}


def one_plus_exp_gradient():
    x = T.dvector("x")
    return [x], [floats(3)], symgrad.grad(T.sum(1 / (1 + T.exp(-x))), x), {"exp": 0, "true_divide": 0}


def log_sigmoid():
    x = T.dvector("x")
    return [x], [floats(3)], T.log(T.sigmoid(x)) + T.log(1 - T.sigmoid(x)), {"sigmoid": 0, "log": 0}


def crossentropy_gradient():
    x, t = T.dvectors("x", "t")
    cost = T.sum(T.binary_crossentropy(T.sigmoid(x), t))
    return [x, t], [floats(3), np.array([0.0, 1.0, 0.3])], symgrad.grad(cost, x), {"true_divide": 0}


def square():
    x = T.dvector("x")
    return [x], [floats(3)], x**2 + x**0.5 + x**-1, {"power": 0}


def sum_of_squares():
    x = T.dmatrix("x")
    return [x], [floats(3, 2)], T.sum(x**2), {"sum_of_squares": 1, "sqr": 0}


def constant_factors():
    x = T.dvector("x")
    return [x], [floats(3)], -(3.0 * (x / 4.0)), {"multiply": 1, "true_divide": 0, "negative": 0}


def picked_row():
    x, y = T.dmatrix("x"), T.ivector("y")
    picked = T.log_softmax(x)[T.arange(y.shape[0]), y]
    return [x, y], [floats(2, 3), np.array([2, 0], "int32")], picked, {"log_softmax": 0, "log_softmax_at": 1}


def softmax_minus_one_hot():
    x, y = T.dmatrix("x"), T.ivector("y")
    cost = -T.mean(T.log(T.softmax(x))[T.arange(y.shape[0]), y])
    return [x, y], [floats(2, 3), np.array([2, 0], "int32")], symgrad.grad(cost, x), {"label_gradient": 1}


def gemm():
    w, h, d = T.dmatrices("w", "h", "d")
    step = w - 0.1 * (T.dot(h.T, d) + 0.5 * w)
    return [w, h, d], [floats(4, 3), floats(2, 4), floats(2, 3)], step, {"gemm": 1, "dot": 0, "subtract": 0}


def matrix_step():
    w, h, d = T.dmatrices("w", "h", "d")
    step = w - 0.1 * (T.dot(h.T, d) + 0.5 * w)
    counts = {"matrix_step": 1, "gemm": 0, "dot": 0, "sum_of_squares": 0}
    return [w, h, d], [floats(4, 3), floats(2, 4), floats(2, 3)], T.sum(T.dot(d, w.T)) * step + T.sum(w**2), counts


def pooled_convolution():
    x, w = T.tensor("float64", (8, 2, 7, 7), name="x"), T.tensor("float64", (3, 2, 3, 2), name="w")
    pooled = T.pool_2d(T.conv2d(x, w), (2, 2), ignore_border=True)
    gradient = symgrad.grad(T.sum(pooled**2), [x, w])
    counts = {"conv2d": 0, "windowed_conv2d": 1, "window_maximum": 1, "images_of_windows": 0}
    return [x, w], [floats(8, 2, 7, 7), floats(3, 2, 3, 2)], T.sum(gradient[0]) * gradient[1], counts


def convolution_with_places(bias_first, activation):
    x, w, b = (T.tensor("float64", shape, name="x") for shape in ((2, 2, 7, 7), (3, 2, 3, 2), (3,)))
    output, bias = T.conv2d(x, w), b.dimshuffle("x", 0, "x", "x")
    if bias_first:
        output = output + bias
    output = T.pool_2d(output, (2, 2), ignore_border=True)
    output = activation(output if bias_first else output + bias)
    gradient = symgrad.grad(T.sum(output**2), [x, w, b])
    values = [floats(2, 2, 7, 7), floats(3, 2, 3, 2) - 1, floats(3) - 1]
    return [x, w, b], values, T.sum(gradient[0]) * T.sum(gradient[1]) * gradient[2]


LEFT_OF_POOLING = {"conv2d": 0, "pool_2d_max": 0, "max_pool_gradient": 0, "at_places": 0, "conv_pool": 1}


def bias_after_pooling():
    return *convolution_with_places(False, T.relu), LEFT_OF_POOLING | {"rectify": 0, "add": 0}


def bias_before_pooling():
    return *convolution_with_places(True, T.tanh), LEFT_OF_POOLING | {"tanh": 0, "add": 0}


def convolution_with_bias():
    x, w, b = (T.tensor("float64", shape, name="x") for shape in ((2, 2, 7, 7), (3, 2, 3, 2), (3,)))
    output = T.relu(T.conv2d(x, w, subsample=(2, 1)) + b.dimshuffle("x", 0, "x", "x"))
    gradient = symgrad.grad(T.sum(output**2), [x, w, b])
    values = [floats(2, 2, 7, 7), floats(3, 2, 3, 2) - 1, floats(3) - 1]
    counts = {"conv2d": 0, "conv_bias": 1, "rectify": 0, "add": 0}
    return [x, w, b], values, T.sum(gradient[0]) * T.sum(gradient[1]) * gradient[2], counts


def activation_before_pooling():
    x, w, b = (T.tensor("float64", shape, name="x") for shape in ((2, 2, 7, 7), (3, 2, 3, 2), (3,)))
    output = T.pool_2d(T.relu(T.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")), (2, 2), ignore_border=True)
    gradient = symgrad.grad(T.sum(output**2), [x, w, b])
    values = [floats(2, 2, 7, 7), floats(3, 2, 3, 2) - 1, floats(3) - 1]
    return [x, w, b], values, T.sum(gradient[0]) * T.sum(gradient[1]) * gradient[2], LEFT_OF_POOLING | {"rectify": 0}


def recurrent():
    x, w, u = T.dtensor3("x"), T.dmatrix("w"), T.dmatrix("u")

    def step(row, state, w, u):
        return T.tanh(T.dot(row, w) + T.dot(state, u * 2)[:, :4])

    states, _ = symgrad.scan(step, [x], [T.zeros((2, 4), "float64")], [w, u])
    gradients = symgrad.grad(T.sum(states**2), [w, u])
    values = [floats(5, 2, 3) / 4, floats(3, 4) / 4, floats(4, 4) / 4]
    return [x, w, u], values, gradients[0][0] + gradients[1][0], {"dot": 3}


def known_choice():
    x = T.dvector("x")
    return [x], [floats(3)], symgrad.ifelse(T.constant(1), T.exp(x), T.log(x)) + 0.5, {"log": 0}


def steps_to_rewrite():
    x = T.dmatrix("x")
    states, _ = symgrad.scan(lambda row, s: T.log(1 + T.exp(row)) * 1.0 + s**2, [x], [T.zeros(3, "float64")])
    return [x], [floats(5, 3) / 4], states, {}


def output_layer():
    x, w = T.dtensor3("x"), T.dmatrix("w")

    def step(row, state, w):
        new = T.tanh(row + state)
        return new, T.softmax(T.dot(new, w))

    (_, results), _ = symgrad.scan(step, [x], [T.zeros((2, 3), "float64"), None], [w])
    return [x, w], [floats(5, 2, 3), floats(3, 4)], results, {"dot": 1}


def collected_rows():
    x = T.dmatrix("x")
    (rows, sums), _ = symgrad.scan(lambda row, total: (row, total + row), [x], [None, T.zeros(3, "float64")])
    return [x], [floats(5, 3)], rows * 2 + sums, {}


def slices_and_their_gradient():
    x = T.dmatrix("x")
    cost = T.sum(T.exp(x[:, :2])) + T.sum(x[:, 2:3] ** 3) + T.sum(T.tanh(x[:, 3:]))
    return [x], [floats(4, 6)], symgrad.grad(cost, x), {"concatenate{1}": 1, "add": 0}


def zeros_written_over():
    x = T.dmatrix("x")
    zeros = T.zeros((x.shape[0], 3), "float64")
    return [x], [floats(4, 3)], T.set_subtensor(zeros[: x.shape[0]], T.tanh(x)) * 2, {"alloc": 0}


def whole_numbers(dtype):
    return np.arange(-3, 3).reshape(2, 3).astype(dtype)


def rounded_product():
    x, w = T.fmatrix("x"), T.fmatrix("w")
    product = symgrad.mixed_precision(T.dot(x / 3, w), "float16")
    return [x, w], [3 * whole_numbers("float32"), whole_numbers("float32").T], product, {"cast_float16": 2}


def rounded_cotangent_behind_pooling():
    shapes = (2, 2, 7, 7), (3, 2, 2, 2)
    x, w = (T.tensor("float32", shape, name="x") for shape in shapes)
    pooled = symgrad.mixed_precision(T.pool_2d(T.conv2d(x, w), (2, 2), ignore_border=True), "float16")
    gradients = symgrad.grad(T.sum(pooled**2), [x, w])
    values = [np.arange(np.prod(shape)).reshape(shape).astype("float32") % 5 - 2 for shape in shapes]
    return [x, w], values, T.sum(gradients[0]) + gradients[1], {"at_places": 0, "conv_pool": 1}


def half_product():
    x, w = [T.matrix(name, dtype="float16") for name in "xw"]
    return [x, w], [whole_numbers("float16"), whole_numbers("float16").T], T.dot(x, w), {"cast_float16": 1}


EXAMPLES = {
    "rounding_is_a_cast_and_back": rounded_product,
    "products_of_halves_are_rounded_products_of_float32": half_product,
    "equal_nodes_are_one": merge,
    "constants_are_folded": fold,
    "size_of_a_result_is_a_size_of_its_operand": size_of_result,
    "known_sizes_move_into_the_op": known_sizes,
    "integer_arithmetic_is_a_polynomial": polynomial,
    "element_of_a_made_vector_is_the_scalar": element_of_made_vector,
    "slice_comes_before_cast_and_functions_of_one_operand": slice_before_cast,
    "dimshuffle_of_dimshuffle_is_one": dimshuffles,
    "what_changes_only_the_gradient_is_its_operand": gradient_only,
    "product_with_a_diagonal_is_elementwise": diagonal,
    "rows_are_rounds_of_a_loop": row_by_row,
    "reshape_of_reshape_is_one": reshapes,
    "conversion_to_the_same_type_disappears": same_type,
    "neutral_operands_disappear": neutral,
    "negations_cancel": negations,
    "stretched_operands_stay_small": stretched,
    "function_of_a_stretched_operand_is_stretched": function_of_stretched,
    "log_of_softmax_is_log_softmax": log_softmax,
    "log_of_picked_softmax_is_picked_log_softmax": picked_log_softmax,
    "softmax_gradient_of_log_is_log_softmax_gradient": log_softmax_gradient,
    "log_of_one_plus_exp_is_softplus": softplus,
    "quotient_of_one_plus_exp_is_sigmoid": one_plus_exp,
    "exp_over_one_plus_exp_in_a_product_is_sigmoid": one_plus_exp_gradient,
    "log_of_sigmoid_is_softplus": log_sigmoid,
    "quotient_by_sigmoid_cancels_in_its_gradient": crossentropy_gradient,
    "power_two_is_square": square,
    "sum_of_squares_is_one_op": sum_of_squares,
    "constant_factors_meet": constant_factors,
    "picked_log_softmax_is_one_op": picked_row,
    "softmax_minus_one_hot_is_one_op": softmax_minus_one_hot,
    "step_on_a_matrix_is_one_gemm": gemm,
    "other_readers_of_a_matrix_join_its_step": matrix_step,
    "max_pooling_of_a_convolution_keeps_window_positions_apart": pooled_convolution,
    "gradients_of_a_convolution_take_window_positions_apart": pooled_convolution,
    "max_pooling_of_a_convolution_keeps_places": bias_after_pooling,
    "gradients_of_a_convolution_take_values_at_places": bias_after_pooling,
    "slope_of_values_at_places_is_needed_there_only": activation_before_pooling,
    "rounding_of_values_at_places_is_of_the_values": rounded_cotangent_behind_pooling,
    "sum_of_values_at_places_is_the_sum_of_values": bias_before_pooling,
    "bias_joins_a_convolution": convolution_with_bias,
    "bias_joins_a_pooled_convolution": bias_after_pooling,
    "activation_joins_a_convolution": convolution_with_bias,
    "places_come_from_the_largest_op": bias_before_pooling,
    "slope_comes_from_the_largest_op": bias_after_pooling,
    "loops_within_loops_are_one": recurrent,
    "loops_are_simplified": recurrent,
    "size_of_a_loops_result_is_known_before": recurrent,
    "graphs_inside_are_canonicalized": steps_to_rewrite,
    "graphs_inside_are_stabilized": steps_to_rewrite,
    "graphs_inside_are_specialized": steps_to_rewrite,
    "choices_are_simplified": known_choice,
    "parts_between_zeros_are_joined": slices_and_their_gradient,
    "zeros_written_over_are_the_written_values": zeros_written_over,
    "what_all_rounds_share_is_computed_before_the_loop": recurrent,
    "products_of_rows_are_one_before_the_loop": recurrent,
    "sums_of_products_are_one_product_after_the_loop": recurrent,
    "products_that_only_leave_the_loop_are_one_after_it": output_layer,
    "rows_that_are_collected_are_the_sequence": collected_rows,
}


def rewritten(inputs, output, rules, backend="numpy"):
    fired = []
    graph = close_graph(inputs, [output], None, None, "ignore", False)
    return rewrite(graph, rules, lambda change: fired.append(change.rule), backend), fired


def backend_of(name):
    """A backend that a rule is for."""
    return next(iter(RULES[name].backends), "numpy") if name in RULES else "numpy"


def value_of(graph, values):
    """The first output, as the ops themselves mean it."""
    known = dict(zip(graph.inputs, map(np.asarray, values), strict=True))
    known.update((constant, constant.data) for constant in graph.constants())
    for node in graph.order:
        operands = [known[variable] for variable in node.inputs]
        known.update(zip(node.outputs, node.op.evaluate(*operands), strict=True))
    return known[graph.outputs[0]]


def test_every_rule_has_an_example():
    assert set(all_rule_names()) - {"cast_of_bernoulli_draw_is_drawn_in_that_dtype"} == set(EXAMPLES)
    for rule in RULES.values():
        assert rule.reason and rule.phase in ("canonicalize", "stabilize", "specialize")
    assert all(ENGINE_RULES.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_rule_fires_and_keeps_the_meaning(name):
    inputs, values, output, counts = EXAMPLES[name]()
    graph, fired = rewritten(inputs, output, all_rule_names(), backend_of(name))
    assert name in fired
    ops = [str(node.op) for node in graph.order]
    for op, count in counts.items():
        assert ops.count(op) == count, (op, ops)
    expected = symgrad.function(inputs, output, mode="none", on_unused_input="ignore")(*values)
    found = symgrad.function(inputs, output, mode="default", on_unused_input="ignore")(*values)
    # Where large terms cancel, the absolute error stays.
    size = {"rtol": 1e-12, "atol": 1e-14 * float(np.abs(expected).max(initial=0))}
    np.testing.assert_allclose(found, expected, **size)
    assert found.dtype == expected.dtype
    alone = symgrad.function(inputs, output, mode=symgrad.Mode([name]), on_unused_input="ignore")(*values)
    np.testing.assert_allclose(alone, expected, **size)
    for rules in (all_rule_names(), [name]):
        graph, _ = rewritten(inputs, output, rules, backend_of(name))
        np.testing.assert_allclose(value_of(graph, values), expected, **size)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_rule_can_be_left_out(name):
    inputs, values, output, _ = EXAMPLES[name]()
    mode = symgrad.Mode.named("default").excluding(name)
    graph, fired = rewritten(inputs, output, mode.rewrites, backend_of(name))
    assert name not in fired
    expected = symgrad.function(inputs, output, mode="none", on_unused_input="ignore")(*values)
    found = symgrad.function(inputs, output, mode=mode, on_unused_input="ignore")(*values)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(value_of(graph, values), expected, rtol=1e-12)


def test_a_rule_for_one_backend_leaves_others_alone():
    for name in EXAMPLES:
        other = {"numpy": "native", "native": "numpy"}[backend_of(name)]
        if name in RULES and RULES[name].backends:
            inputs, _, output, _ = EXAMPLES[name]()
            assert name not in rewritten(inputs, output, all_rule_names(), other)[1]


def test_a_mode_can_be_put_together():
    one, two = "constants_are_folded", "equal_nodes_are_one"
    assert symgrad.Mode([one]).including(two).rewrites == {one, two}
    assert symgrad.Mode([one, two]).excluding(one).rewrites == {two}
    assert symgrad.Mode.named("default").rewrites == set(all_rule_names())


def test_rewriting_carries_the_users_lines():
    x = T.dmatrix("x")
    y = T.log(T.softmax(x))  # here it was written
    graph, _ = rewritten([x], y, all_rule_names())
    (node,) = graph.order
    assert node.op.name == "log_softmax" and "here it was written" in node.source.text


def test_the_users_graph_stays_as_it_is():
    x = T.dmatrix("x")
    y = T.log(T.softmax(x)) * 1.0 + 0.0
    before = [str(node) for node in applies_before([y])]
    rewritten([x], y, all_rule_names())
    assert [str(node) for node in applies_before([y])] == before


# ---- stability: finite where the plain expression isn't -------------------------------------------------------------


def test_the_softmax_cost_is_finite_far_from_the_label():
    x, y = T.dmatrix("x"), T.ivector("y")
    cost = -T.mean(T.log(T.softmax(x))[T.arange(y.shape[0]), y])
    f = symgrad.function([x, y], [cost, symgrad.grad(cost, x)])
    value, gradient = f([[0.0, 2000.0], [1000.0, -1000.0]], np.array([0, 1], "int32"))
    assert value == 2000.0
    np.testing.assert_array_equal(gradient, [[-0.5, 0.5], [0.5, -0.5]])


def test_picked_probabilities_are_finite_too():
    x, y = T.dmatrix("x"), T.ivector("y")
    cost = T.mean(T.categorical_crossentropy(T.softmax(x), y))
    f = symgrad.function([x, y], [cost, symgrad.grad(cost, x)])
    value, gradient = f([[0.0, 2000.0]], np.array([0], "int32"))
    assert value == 2000.0
    np.testing.assert_array_equal(gradient, [[-1.0, 1.0]])


def test_true_probabilities_as_targets_are_finite():
    x, t = T.dmatrices("x", "t")
    cost = T.mean(T.categorical_crossentropy(T.softmax(x), t))
    f = symgrad.function([x, t], [cost, symgrad.grad(cost, x)])
    value, gradient = f([[0.0, 2000.0]], [[1.0, 0.0]])
    assert value == 2000.0
    np.testing.assert_array_equal(gradient, [[-1.0, 1.0]])


def test_binary_crossentropy_is_finite_at_both_ends():
    x, t = T.dvectors("x", "t")
    cost = T.sum(T.binary_crossentropy(T.sigmoid(x), t))
    f = symgrad.function([x, t], [cost, symgrad.grad(cost, x)])
    value, gradient = f([-800.0, 800.0, 800.0], [1.0, 0.0, 1.0])
    assert value == 1600.0
    np.testing.assert_allclose(gradient, [-1.0, 1.0, 0.0], atol=1e-12)


def test_the_logistic_regression_of_theanos_tutorial_is_finite():
    """Written with exp and log, as there; far from 0 both would overflow."""
    x, y, w, b = T.dmatrix("x"), T.dvector("y"), T.dvector("w"), T.dscalar("b")
    p = 1 / (1 + T.exp(-T.dot(x, w) - b))
    cost = (-y * T.log(p) - (1 - y) * T.log(1 - p)).mean()
    f = symgrad.function([x, y, w, b], [cost, *symgrad.grad(cost, [w, b])])
    value, to_w, to_b = f([[1000.0], [-1000.0]], [0.0, 1.0], [1.0], 0.0)
    assert value == 1000.0
    np.testing.assert_allclose(to_w, [1000.0], rtol=1e-12)
    np.testing.assert_allclose(to_b, 0.0, atol=1e-12)
    near = [[0.5], [-0.3]], [0.0, 1.0], [1.0], 0.1
    for found, expected in zip(f(*near), symgrad.function(
            [x, y, w, b], [cost, *symgrad.grad(cost, [w, b])], mode="none")(*near), strict=True):  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_an_unknown_rule_is_an_error_with_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'constants_are_folded'"):
        symgrad.Mode(["constant_are_folded"])
    with pytest.raises(ValueError, match="there is no mode 'fast'"):
        symgrad.function([], 1, mode="fast")


def test_fewer_labels_than_rows_pick_from_the_first_rows():
    x, y = T.dmatrix("x"), T.lvector("y")
    values, labels = np.random.default_rng(0).normal(size=(5, 3)), np.array([2, 0, 1])
    costs = [
        T.log_softmax(x)[T.arange(y.shape[0]), y], T.log(T.softmax(x))[T.arange(3), y], T.trace(T.log_softmax(x), 1),
        T.log_softmax(x)[T.arange(x.shape[0]), T.addbroadcast(y[:1], 0)],
    ]  # fmt: skip
    outputs = [part for cost in costs for part in (cost, symgrad.grad(T.sum(cost * 2.0), x))]
    expected = symgrad.function([x, y], outputs, mode="none")(values, labels)
    for backend in ("numpy", "native"):
        with symgrad.config.change_flags(backend=backend):
            found = symgrad.function([x, y], outputs)(values, labels)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
            too_few = symgrad.function([x, y], T.log_softmax(x)[T.arange(x.shape[0]), y])
            with pytest.raises(ShapeError):
                too_few(values, labels)
