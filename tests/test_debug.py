"""Graphs as trees and as lines of Python."""

from __future__ import annotations

import io

import numpy as np
import pytest
from debug_graphs import softmax_regression
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.debug import debugprint, draw, pp, to_networkx
from symgrad.debug.printing import DEEPEST_INDENTATION
from symgrad.graph.traversal import applies_before
from symgrad.graph.variables import Constant

# ---- debugprint -----------------------------------------------------------------------------------------------------


def test_tree_of_a_function_before_and_after_rewriting(golden):
    train = softmax_regression(symgrad.Mode(["equal_nodes_are_one", "constants_are_folded"]))
    golden("debugprint_before.txt", debugprint(train.graph, file="str") + "\n")
    golden("debugprint_after.txt", debugprint(train, print_type=True, print_source=True, file="str") + "\n")


def test_options_of_debugprint(capsys):
    x = T.dvector("x")
    y = T.exp(x)
    y.name = "y"
    z = y * y + T.sqrt(y)
    assert debugprint(z, depth=2, file="str").splitlines() == [
        "add [id A]", " |multiply [id B] ...", " |sqrt [id C] ...",
    ]  # fmt: skip
    assert debugprint(z, stop_on_name=True, ids="", file="str").splitlines() == [
        "add", " |multiply", " | |exp 'y' ...", " | |exp 'y' ...", " |sqrt", "   |exp 'y' ...",
    ]  # fmt: skip
    assert "exp [id 2] 'y'" in debugprint(z, ids="int", file="str")
    assert f"[id {id(x)}]" in debugprint(z, ids="id", file="str")
    stream = io.StringIO()
    assert debugprint(z, file=stream) is None
    assert debugprint(z) is None
    assert stream.getvalue() == capsys.readouterr().out == debugprint(z, file="str") + "\n"


def test_a_subtree_that_depth_cuts_is_printed_where_it_comes_nearer():
    x = T.dvector("x")
    inner = T.exp(x)
    text = debugprint([T.sqrt(T.sqrt(inner)) + inner], depth=3, file="str")
    assert text.splitlines()[-2:] == [" |exp [id D]", "   |x [id E]"]


def test_outputs_of_a_dict_and_several_outputs_are_labelled():
    x = T.dvector("x")
    by_name = symgrad.function([x], {"double": 2 * x, "square": x * x})
    assert "output double: multiply" in debugprint(by_name, file="str")
    assert "output 1: x [id" in debugprint(symgrad.function([x], [2 * x, x]), file="str")


def test_what_computes_an_input_is_not_shown():
    x = T.dvector("x")
    y = T.exp(x)
    y.name = "y"
    f = symgrad.function([y], y + 1)
    assert "exp" not in debugprint(f.graph, file="str")
    assert pp(f.graph) == "y + 1.0"


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(0, 2**30))
def test_each_node_is_written_out_once(choices, seed):
    rng = np.random.default_rng(seed)
    variables = [T.dvector("x")]
    for _ in choices:
        variables.append(variables[rng.integers(len(variables))] * variables[rng.integers(len(variables))])
    top = variables[-1]
    lines = debugprint(top, file="str").splitlines()
    full = [line.split("[id ")[1] for line in lines if "multiply" in line and not line.endswith((" ...", "(below)"))]
    assert sorted(full) == sorted(set(full))
    assert len(full) == len(applies_before([top]))
    assert len(lines) <= 1 + 3 * len(full)


@pytest.fixture(scope="module")
def deep_chain():
    x = T.dscalar("x")
    for _ in range(50_000):
        x = T.exp(x) + 1
    return x


def test_a_chain_of_100_000_nodes_is_text_of_linear_size(deep_chain):
    lines = debugprint(deep_chain, file="str").splitlines()
    assert max(map(len, lines)) < 2 * DEEPEST_INDENTATION + 60
    assert sum("exp" in line and "(below)" not in line for line in lines) == 50_000
    waiting = [line.split("[id ")[1].split("]")[0] for line in lines if line.endswith("(below)")]
    started = [line.split("[id ")[1].split("]")[0] for line in lines if not line.startswith(" ")]
    assert waiting == started[1:]


def test_what_cannot_be_looked_at_is_an_error():
    for look in (debugprint, pp, to_networkx, draw):
        with pytest.raises(TypeError, match=rf"{look.__name__} takes a variable.*got int 3"):
            look(3)
    with pytest.raises(ValueError, match="ids is one of"):
        debugprint(T.scalar(), ids="letters")
    with pytest.raises(TypeError, match="file is a stream"):
        debugprint(T.scalar(), file="tree.txt")
    with pytest.raises(ValueError, match="which is 'rewritten' or 'graph'"):
        to_networkx(T.scalar(), which="after")


# ---- pp -------------------------------------------------------------------------------------------------------------

A, B, V = T.dmatrix("a"), T.dmatrix("b"), T.dvector("v")
INDEX, ROWS, FLAGS = T.lscalar("i"), T.lvector("j"), T.tensor("bool", (None, None), "flags")
LEAVES = {"a": A, "b": B, "v": V, "i": INDEX, "j": ROWS, "flags": FLAGS}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (A - (B - A), "a - (b - a)"),
        (A - B - A, "a - b - a"),
        ((A + B) * A, "(a + b) * a"),
        (A * B + A, "a * b + a"),
        (-(A**2), "-a ** 2.0"),
        ((-A) ** 2, "(-a) ** 2.0"),
        (A**-B, "a ** -b"),
        ((A**B) ** A, "(a ** b) ** a"),
        (A ** (B**A), "a ** b ** a"),
        (T.negative(-A), "--a"),
        (A * -1, "a * -1.0"),
        (T.constant(-1.0) ** A, "(-1.0) ** a"),
        ((A < B) & ~FLAGS, "(a < b) & ~flags"),
        (T.eq(A < B, FLAGS), "eq(a < b, flags)"),
        (A[INDEX * 10 : (INDEX + 1) * 10], "a[i*10:(i+1)*10]"),
        (A[::2, -1], "a[::2, -1]"),
        (T.log(A)[T.arange(ROWS.shape[0]), ROWS], "log(a)[arange(j.shape[0]), j]"),
        (T.arange(1, INDEX), "arange(1, i)"),
        (A.T.dot(B), "dot(a.T, b)"),
        ((A + B).T, "(a + b).T"),
        (V[:, None] * V, "v[:, None] * v"),
        (A.sum(axis=1), "sum(a, axis=1)"),
        (A.sum(), "sum(a)"),
        (A.max(axis=0, keepdims=True), "max(a, axis=0, keepdims=True)"),
        (A.argmax(axis=1), "argmax(a, axis=1)"),
        (A.shape, "a.shape"),
        (A.shape[1] + 1, "a.shape[1] + 1"),
        (T.stack([A.shape[1], A.shape[0]]), "stack([a.shape[1], a.shape[0]])"),
        (A.reshape((-1, 3)), "reshape(a, (-1, 3))"),
        (A.reshape((B.shape[0] * 2,)), "reshape(a, (b.shape[0] * 2,))"),
        (T.set_subtensor(A[1:], 0.0), "set_subtensor(a[1:], 0.0)"),
        (A.astype("int32"), "cast(a, 'int32')"),
        (T.switch(FLAGS, A, 0), "switch(flags, a, 0.0)"),
        (T.softmax(A, axis=0), "softmax(a, axis=0)"),
        (T.concatenate([A, B], axis=1), "concatenate([a, b], axis=1)"),
        (T.constant(np.array([[1, 2], [3, 4]])), "[[1, 2], [3, 4]]"),
        (T.constant(np.float32(0.1)) * T.fmatrix("f"), "0.1 * f"),
        (T.fmatrix() + 1, "<float32 (?, ?)> + 1.0"),
    ],
)  # fmt: skip
def test_written_as_python(expression, text):
    assert pp(expression) == text


def test_convolution_and_pooling_are_written_as_the_user_wrote_them():
    x, w = T.ftensor4("x"), T.ftensor4("w")
    assert pp(T.conv2d(x, w)) == "conv2d(x, w)"
    shown = pp(T.conv2d(x, w, border_mode=(1, 2), subsample=(2, 2), filter_flip=False))
    assert shown == "conv2d(x, w, border_mode=(1, 2), subsample=(2, 2), filter_flip=False)"
    assert pp(T.pool_2d(x, (2, 2))) == "pool_2d(x, ws=(2, 2))"
    assert pp(T.pool_2d(x, (3, 3), stride=(2, 2), mode="sum")) == "pool_2d(x, ws=(3, 3), stride=(2, 2), mode='sum')"


def matrices(inner):
    binary = st.sampled_from([T.add, T.subtract, T.multiply, T.true_divide, T.power, T.maximum, T.mod, T.floor_divide])
    unary = st.sampled_from([T.negative, T.exp, T.sqr, T.abs_, T.tanh, T.transpose, T.softmax])
    return st.one_of(
        st.builds(lambda f, x, y: f(x, y), binary, inner, inner),
        st.builds(lambda f, x: f(x), unary, inner),
        st.builds(lambda x, y: T.dot(x, y.T), inner, inner),
        st.builds(lambda x, y: T.switch(T.and_(T.lt(x, y), T.ge(x, 0)), x, y), inner, inner),
        st.builds(lambda x, axis: x.sum(axis=axis, keepdims=True) + x, inner, st.sampled_from([0, 1, None])),
        st.builds(lambda x, k: x[INDEX * k : INDEX + k, ::-1], inner, st.integers(1, 3)),
        st.builds(lambda x: x[ROWS, 1:], inner),
        st.builds(lambda x: x.max(axis=1)[:, None] * x, inner),
        st.builds(lambda x: T.set_subtensor(x[0], V), inner),
        st.builds(lambda x: x.reshape((x.shape[1], -1)), inner),
        st.builds(lambda x, y: T.concatenate([x, y], axis=0), inner, inner),
        st.builds(lambda x: x.astype("int32").astype("float64"), inner),
    )


def leaves():
    numbers = st.floats(-9, 9).map(lambda number: round(number, 2))
    return st.one_of(st.sampled_from([A, B]), numbers.map(lambda number: A + number))


def same(left, right) -> bool:
    """Whether two variables are computed by equal ops from the same leaves."""
    pairs = [(left, right)]
    while pairs:
        x, y = pairs.pop()
        if x.owner is None or y.owner is None:
            constants = isinstance(x, Constant) and isinstance(y, Constant)
            if x is not y and not (constants and x.type == y.type and np.array_equal(x.data, y.data)):
                return False
        elif x.owner.op != y.owner.op or x.index != y.index or len(x.owner.inputs) != len(y.owner.inputs):
            return False
        else:
            pairs += zip(x.owner.inputs, y.owner.inputs)
    return True


@settings(max_examples=300, deadline=None)
@given(st.recursive(leaves(), matrices, max_leaves=12))
def test_python_reads_the_line_back_as_the_same_graph(expression):
    line = pp(expression, max_nodes=10**6)
    with symgrad.config.change_flags(floatX="float64"):
        again = eval(line, {**vars(T), **LEAVES})
    assert same(expression, again), (line, pp(again))


def test_long_lines_leave_out_what_lies_deepest(deep_chain):
    assert pp(deep_chain, max_nodes=7) == "exp(exp(add(...)) + 1.0) + 1.0"
    x = T.dscalar("x")
    for _ in range(300):
        x = x * x
    assert len(pp(x)) < 3000


def test_names_inside_stop_if_asked():
    hidden = T.tanh(T.dot(A, B) + V)
    hidden.name = "hidden"
    out = T.exp(hidden)
    out.name = "out"
    assert pp(out) == "exp(tanh(dot(a, b) + v))"
    assert pp(out, stop_on_name=True) == "exp(hidden)"


def test_updates_are_written_as_assignments():
    w = symgrad.shared(1.0, name="w")
    x = T.scalar("x")
    assert pp(symgrad.function([x], x * w, updates=[(w, w + x)]).graph) == "x * w\nw = w + x"


def test_every_stage_of_the_pipeline_is_shown(capsys):
    with symgrad.config.change_flags(debug="graph,rewrites,kernels,plan,source"):
        train = softmax_regression()
        train(0)
    shown = capsys.readouterr().err
    for stage in ("graph", "rewrites", "kernels", "plan", "source"):
        assert f"---- train: {stage} ----" in shown
    assert "train: log_of_softmax_is_log_softmax: log(softmax(dot(data[index*10:(index+1)*10], w) + b" in shown
