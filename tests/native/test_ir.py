"""Kernel IR: the verifier finds each planted mistake, kernels print as they should, the interpreter means NumPy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symgrad.kernels.ir.affine import polynomial, value_range
from symgrad.kernels.ir.builder import KernelBuilder, call, cast
from symgrad.kernels.ir.functions import FUNCTIONS, Rule
from symgrad.kernels.ir.grammar import (
    Buffer,
    Call,
    Carried,
    Carry,
    Cast,
    Check,
    Expression,
    Kernel,
    Kind,
    Let,
    Literal,
    Load,
    Loop,
    Ref,
    Role,
    Statement,
    Store,
)
from symgrad.kernels.ir.interpreter import OutOfBounds, interpret, numpy_function
from symgrad.kernels.ir.printer import print_kernel
from symgrad.kernels.ir.verifier import KernelMistake, verify


def softmax_rows() -> Kernel:
    """A kernel with something of everything."""
    b = KernelBuilder("softmax_rows")
    m = b.size("m")
    x = b.input("x", "float32", (m, 10))
    labels = b.input("labels", "int32", (m,))
    y = b.output("y", "float64", (m, 10), (1, m))
    row = b.scratch("row", "float32", (10,))
    with b.parallel(m) as i:
        label = b.let("label", cast(labels[i.index], "int64"))
        b.check((label >= 0) & (label < 10), 2)
        with b.vector(10, greatest=("maximum", b.literal(float("-inf"), "float32"))) as first:
            first.carry("greatest", x[i.index, first.index])
        with b.vector(10, total=("add", b.literal(0, "float32"))) as second:
            power = b.let("power", call("exp", x[i.index, second.index] - first["greatest"]))
            row[second.index] = power
            second.carry("total", power)
        with b.vector(10) as third:
            share = cast(row[9 - third.index] / second["total"], "float64")
            y.store((i.index, third.index), -(share * 2 + 1.5), mask=~(third.index > label))
        with b.unrolled(2, product=(None, b.literal(1, "int8"))) as last:
            last.carry("product", last["product"] * (last["product"] + cast(last.index, "int8")))
    return b.kernel()


SOFTMAX_ROWS = """\
kernel softmax_rows(input x: float32[m, 10], input labels: int32[m], output y: float64[m, 10] strides 1, m, \
scratch row: float32[10]; m)
    parallel i < m:
        label = int64(labels[i])
        check (label >= 0) & (label < 10) else 2
        greatest = -inff
        vector j < 10, greatest by maximum:
            greatest = maximum(greatest, x[i, j])
        total = 0.0f
        vector k < 10, total by add:
            power = exp(x[i, k] - greatest)
            row[k] = power
            total = total + power
        vector l < 10:
            if invert(l > label): y[i, l] = negative(float64(row[9 - l] / total) * 2.0 + 1.5)
        product = int8(1)
        unrolled p < 2, product:
            product = product * (product + int8(p))"""


def test_kernels_print_as_text_to_be_read() -> None:
    assert print_kernel(softmax_rows()) == SOFTMAX_ROWS


def test_masked_loads_and_bits_print_too() -> None:
    b = KernelBuilder("bits")
    x, y = b.input("x", "uint32", (4,)), b.output("y", "uint32", (4,))
    with b.vector(4) as i:
        value = x.load(i.index - 1, mask=i.index > 0)
        y[i.index] = call("multiply_high", value, value % 3)
    assert print_kernel(b.kernel()).splitlines()[-1] == (
        "        y[i] = multiply_high((x[i - 1] if i > 0 else 0), (x[i - 1] if i > 0 else 0) % uint32(3))"
    )


# ---- the verifier ----

X = Buffer("x", "float32", (8, 4), (4, 1), Role.INPUT)
Y = Buffer("y", "float32", (8,), (1,), Role.OUTPUT)
ROW, COLUMN = Ref("i"), Ref("j")
ZERO, ONE = Literal(0.0, "float32"), Literal(1, "int64")
STORED = Store("y", (ROW,), ZERO)


def kernel(*body: Statement, buffers: tuple[Buffer, ...] = (X, Y), sizes: tuple[str, ...] = ("n",)) -> Kernel:
    return Kernel("k", buffers, sizes, body)


def rows(
    *body: Statement, extent: int | str = 8, kind: Kind = Kind.PARALLEL, carried: tuple[Carried, ...] = ()
) -> Loop:
    return Loop("i", extent, kind, body, carried)


def summed(value: Expression, kind: Kind = Kind.VECTOR, combine: str | None = "add", *more: Statement) -> Kernel:
    """A row sum whose round adds `value`."""
    inner = Loop("j", 4, kind, (*more, Carry("s", value)), (Carried("s", ZERO, combine),))
    return kernel(rows(inner, Store("y", (ROW,), Ref("s"))))


def plus(first: Expression, second: Expression, dtype: str = "float32") -> Call:
    return Call("add", (first, second), dtype)


ELEMENT = Load("x", (ROW, COLUMN))
MISTAKES: dict[str, tuple[Kernel, str]] = {
    "use before definition": (kernel(rows(Store("y", (ROW,), Ref("a")), Let("a", ZERO))), "a is used where"),
    "use after its loop": (kernel(rows(Let("a", ZERO), STORED), Let("b", Ref("a"))), "a is used where"),
    "index after its loop": (kernel(rows(STORED), Let("b", ROW)), "i is used where"),
    "one name for two things": (kernel(rows(Let("x", ZERO), STORED)), "two things are called x"),
    "one index for two loops": (kernel(rows(STORED), rows(STORED, kind=Kind.SERIAL)), "two things are called i"),
    "value of another dtype": (kernel(rows(Store("y", (ROW,), ONE))), "stored in y is int64"),
    "operands of two dtypes": (kernel(rows(Store("y", (ROW,), plus(ZERO, ONE)))), "add doesn't take float32, int64"),
    "result of another dtype": (kernel(rows(Store("y", (ROW,), plus(ONE, ONE)))), "add of int64, int64 gives int64"),
    "unknown function": (kernel(rows(Store("y", (ROW,), Call("foo", (ZERO,), "float32")))), "no scalar function 'foo'"),
    "missing operand": (kernel(rows(Store("y", (ROW,), Call("add", (ZERO,), "float32")))), "add takes 2 operands"),
    "number as condition": (
        kernel(rows(Store("y", (ROW,), Call("switch", (ONE, ZERO, ZERO), "float32")))), "switch doesn't take int64"),
    "bits of another size": (
        kernel(rows(Store("y", (ROW,), Call("bitcast", (ONE,), "float32")))), "the bits of int64 aren't"),
    "unknown dtype": (kernel(rows(Store("y", (ROW,), Cast(ZERO, "float31")))), "unknown dtype, float31"),
    "unknown buffer": (kernel(rows(Store("z", (ROW,), ZERO))), "no buffer z"),
    "too few indices": (kernel(rows(Store("y", (ROW,), Load("x", (ROW,))))), "x has 2 axes, got 1"),
    "index that is no int64": (
        kernel(rows(Store("y", (ROW,), Load("x", (ROW, Literal(0, "int32")))))), "an index of x is int32"),
    "mask that is no bool": (kernel(rows(Store("y", (ROW,), ZERO, ROW))), "a mask of y is int64"),
    "check that is no bool": (kernel(rows(STORED, Check(ROW))), "the condition of a check is int64"),
    "code of success": (kernel(rows(STORED, Check(Literal(True, "bool"), 0))), "must be positive"),
    "written input": (kernel(rows(STORED, Store("x", (ROW, ONE), ZERO))), "input x is written"),
    "unwritten output": (kernel(rows()), "y is never written"),
    "loop beyond the buffer": (kernel(rows(STORED, extent=9)), "runs from 0 to 8, its size is 8"),
    "loop beyond the buffer, after an empty loop": (
        kernel(Loop("j", 0, Kind.SERIAL, ()), rows(STORED, extent=9)), "runs from 0 to 8, its size is 8"),
    "index before the buffer": (
        kernel(rows(Store("y", (Call("subtract", (ROW, ONE), "int64"),), ZERO))), "runs from -1 to 6"),
    "combined index beyond": (
        kernel(rows(Let("p", plus(ROW, ROW, "int64")), Store("y", (Ref("p"),), ZERO))), "runs from 0 to 14"),
    "parallel loop inside": (
        kernel(rows(Loop("j", 4, Kind.PARALLEL, (STORED,)))), "parallel loop j isn't outermost"),
    "vector loop in a vector loop": (
        kernel(rows(Loop("j", 4, Kind.VECTOR, (STORED,)), kind=Kind.VECTOR)), "vector loop j is inside"),
    "unrolled open loop": (kernel(rows(STORED, extent="n", kind=Kind.UNROLLED)), "n rounds, too many"),
    "unrolled long loop": (kernel(rows(extent=1000, kind=Kind.UNROLLED)), "1000 rounds, too many"),
    "open size without a name": (kernel(rows(STORED, extent="m")), "m, which is no size"),
    "scratch of open size": (
        kernel(rows(STORED), buffers=(X, Y, Buffer("s", "int8", ("n",), (1,), Role.SCRATCH))), "has an open size"),
    "two strides for one axis": (
        kernel(rows(STORED), buffers=(X, Y, Buffer("s", "int8", (3,), (3, 1), Role.INPUT))), "1 sizes but 2 strides"),
    "carry without carried": (kernel(rows(STORED, Carry("s", ZERO))), "says what becomes of ['s']"),
    "carry outside of a loop": (kernel(rows(STORED), Carry("s", ZERO)), "carried outside of a loop"),
    "carried without carry": (kernel(rows(STORED, carried=(Carried("s", ZERO, "add"),))), "says what becomes of []"),
    "carry of another dtype": (summed(ONE), "what s becomes is int64"),
    "rounds in order, in a vector loop": (summed(ELEMENT), "must become add(s, ...)"),
    "wrong way round": (summed(plus(ELEMENT, Ref("s"))), "must become add(s, ...)"),
    "combined otherwise than said": (summed(plus(Ref("s"), ELEMENT), Kind.VECTOR, "maximum"), "maximum(s, ...)"),
    "combined by no name": (summed(plus(Ref("s"), ELEMENT), Kind.VECTOR, None), "must become None(s, ...)"),
    "what is combined reads it": (summed(plus(Ref("s"), plus(Ref("s"), ELEMENT))), "nothing in them may read s"),
    "a round reads it": (
        summed(plus(Ref("s"), ELEMENT), Kind.VECTOR, "add", Let("t", Ref("s"))), "nothing in them may read s"),
    "not associative": (
        summed(Call("subtract", (Ref("s"), ELEMENT), "float32"), Kind.VECTOR, "subtract"), "isn't associative"),
    "all rounds write one element": (
        kernel(rows(Loop("j", 4, Kind.VECTOR, (STORED,)))), "all rounds of j write the same element of y"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_the_verifier_finds(name: str) -> None:
    wrong, words = MISTAKES[name]
    with pytest.raises(KernelMistake, match="kernel k: ") as error:
        verify(wrong)
    assert words in str(error.value)


def test_the_verifier_accepts_what_the_mistakes_were_made_from() -> None:
    verify(kernel(rows(STORED)))
    verify(summed(plus(Ref("s"), ELEMENT)))
    verify(summed(plus(Ref("s"), plus(Ref("s"), ELEMENT)), Kind.SERIAL, None))
    verify(kernel(rows(STORED, extent=0)))
    verify(kernel(rows(Store("y", (plus(ROW, ROW, "int64"),), ZERO, Call("lt", (ROW, ONE), "bool")))))


def test_shared_expressions_are_checked_once() -> None:
    value: Expression = ZERO
    for _ in range(200):
        value = plus(value, value)
    verify(kernel(rows(Store("y", (ROW,), value))))


# ---- the builder ----


def test_names_are_unique() -> None:
    b = KernelBuilder("x")
    x, y = b.input("x", "int8", (3,)), b.output("x", "int8", (3,))
    with b.vector(3, "x") as i:
        y[i.index] = b.let("x", x[i.index]) + 1
    names = {x.buffer.name, y.buffer.name, b.kernel().body[0].index}  # type: ignore[union-attr]
    assert len(names) == 3 and "x" not in names


def test_strides_of_several_open_sizes_have_no_name() -> None:
    b = KernelBuilder("k")
    with pytest.raises(ValueError, match="products of open sizes"):
        b.input("x", "int8", (3, b.size(), b.size()))


def test_numbers_take_the_dtype_of_the_term_beside_them() -> None:
    b = KernelBuilder("k")
    half = 1 - b.literal(0.5, "float64") * 1
    assert isinstance(half.expression, Call)
    assert half.dtype == "float64" and half.expression.operands[0] == Literal(1, "float64")
    with pytest.raises(ValueError, match="add doesn't take"):
        half + b.literal(1, "int64")


# ---- the interpreter ----


def test_the_interpreter_runs_the_example() -> None:
    x = np.random.default_rng(0).normal(size=(6, 10)).astype("f")
    labels = np.array([0, 9, 3, 4, 5, 2], "i4")
    y = np.full((10, 6), 7.0)
    assert interpret(softmax_rows(), [x.ravel(), labels, y.ravel()], {"m": 6}) == 0
    power = np.exp(x - x.max(1, keepdims=True))
    share = (power[:, ::-1] / power.sum(1, keepdims=True)).astype("d")
    expected = np.where(np.arange(10) <= labels[:, None], -(share * 2 + 1.5), 7)
    np.testing.assert_allclose(y.T, expected, rtol=1e-6)
    labels[3] = 10
    assert interpret(softmax_rows(), [x.ravel(), labels, y.ravel()], {"m": 6}) == 2


def test_the_interpreter_finds_what_the_verifier_cant_know() -> None:
    b = KernelBuilder("k")
    n = b.size()
    x, y = b.input("x", "int64", (n,)), b.output("y", "int64", (n,))
    with b.vector(n) as i:
        y[i.index] = x[x[i.index]]
    arrays = [np.array([2, 1, 3]), np.zeros(3, "i8")]
    with pytest.raises(OutOfBounds):
        interpret(b.kernel(), arrays, {"n": 3})


@pytest.mark.parametrize("name", [name for name, (_, rule) in FUNCTIONS.items() if rule is not Rule.BITS])
def test_every_function_has_a_meaning(name: str) -> None:
    integers = name in ("and", "or", "xor", "invert", "multiply_high") or "shift" in name
    dtype = "uint32" if integers else "float32"
    arity, rule = FUNCTIONS[name]
    operands = [np.array([1, 2, 1], dtype) for _ in range(arity)]
    if rule is Rule.SELECTION:
        operands[0] = np.array([True, False, True])
    with np.errstate(all="ignore"):
        result = np.asarray(numpy_function(name)(*operands))
    assert result.dtype == ("bool" if rule is Rule.COMPARISON else dtype)


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_the_upper_half_of_a_product(a: int, b: int) -> None:
    high = numpy_function("multiply_high")
    assert int(high(np.uint64(a), np.uint64(b))) == a * b >> 64
    assert int(high(np.uint32(a >> 32), np.uint32(b >> 32))) == (a >> 32) * (b >> 32) >> 32


# ---- index arithmetic ----

NAMES = {"a": 4, "b": 3, "c": 5}


@st.composite
def index_expressions(draw: st.DrawFn, depth: int = 3) -> Expression:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([*map(Ref, NAMES), *[Literal(n, "int64") for n in (-2, 0, 3)]]))
    operands = [draw(index_expressions(depth=depth - 1)) for _ in range(2)]
    name = draw(st.sampled_from(("add", "subtract", "multiply", "negative")))
    return Call(name, tuple(operands[: FUNCTIONS[name][0]]), "int64")


def evaluated(expression: Expression, values: dict[str, int]) -> int:
    if isinstance(expression, Ref):
        return values[expression.name]
    if isinstance(expression, Literal):
        return int(expression.value)
    assert isinstance(expression, Call)
    operands = [evaluated(operand, values) for operand in expression.operands]
    return int(getattr(np, expression.function)(*operands))


@given(index_expressions())
def test_polynomials_mean_what_the_expression_means(expression: Expression) -> None:
    form = polynomial(expression, {})
    reached = value_range(form, NAMES)
    found = []
    for place in np.ndindex(*NAMES.values()):
        values = dict(zip(NAMES, map(int, place), strict=True))
        terms = [number * int(np.prod([evaluated(f, values) for f in m])) for m, number in form.terms.values()]
        found.append(evaluated(expression, values))
        assert sum(terms) == found[-1]
        parts = form.split("a")
        if parts is not None:
            inner, rest = (
                sum(n * int(np.prod([evaluated(f, values) for f in m])) for m, n in part.terms.values())
                for part in parts
            )
            assert inner * values["a"] + rest == found[-1]
    if reached is not None:
        assert reached == (min(found), max(found))


def test_grammar_classes_cant_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ONE.value = 2  # type: ignore[misc]
