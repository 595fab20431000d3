"""Long graphs repeat themselves: what is equal is analysed and written once, and computes the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.backends.native import selection

WAYS = ["next", "flip", "transpose", "total"]
FUNCTIONS = [T.tanh, T.sqr, T.sin, abs]


def chain(x, w, b, layers):
    """A deep network whose layers share their parameters."""
    for _ in range(layers):
        x = T.tanh(T.dot(x, w) + b)
    return x


def both(inputs, outputs, arguments):
    """Return the results of native code and of NumPy, and whether the former was one native program."""
    results = []
    for backend in ("native", "numpy"):
        with symgrad.config.change_flags(backend=backend):
            f = symgrad.function(inputs, outputs)
            results.append(f(*arguments))
            if backend == "native":
                assert f.source().startswith("# native:")
    return results


def test_equal_layers_have_one_kernel_each(monkeypatch, tmp_path):
    written = []
    emit = selection.kernel_ir

    def noted(step, *given):
        written.append(step)
        return emit(step, *given)

    monkeypatch.setattr(selection, "kernel_ir", noted)
    numbers = np.random.RandomState(0)
    x = T.dmatrix("x")
    w = symgrad.shared(0.3 * numbers.randn(6, 6), name="w")
    b = symgrad.shared(numbers.randn(6), name="b")
    counts = []
    with symgrad.config.change_flags(backend="native", cache_dir=str(tmp_path)):
        for layers in (20, 60):
            del written[:]
            cost = T.sum(chain(x, w, b, layers))
            f = symgrad.function([x], [cost, symgrad.grad(cost, w)])
            f(numbers.randn(4, 6))
            counts.append(len(written))
    assert 0 < counts[1] <= counts[0] + 2  # a sum of more terms is cut differently


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(FUNCTIONS), st.sampled_from(WAYS)), max_size=6),
    st.integers(2, 4),
)
def test_repeated_blocks_compute_what_numpy_computes(block, repetitions):
    numbers = np.random.RandomState(1)
    x = T.dmatrix("x")
    value, extra = x, x
    for _ in range(repetitions):
        for function, how in block:
            made = function(value + 0.25 * extra)
            if how == "flip":
                made = made[:, ::-1]
            elif how == "transpose":
                made = made.T
            elif how == "total":
                made = made - T.mean(made, axis=1, keepdims=True)
            value, extra = T.tanh(made), value
    outputs = [value, symgrad.grad(T.sum(value * value), x)]
    native, numpy = both([x], outputs, [numbers.randn(5, 5)])
    for found, expected in zip(native, numpy, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("step", [slice(None, None, -1), slice(1, None), slice(None, None, 2)])
def test_a_part_of_a_value_that_another_kernel_keeps_to_itself(step):
    x = T.dmatrix("x")
    first = x * 2.0
    stored = T.sum(first, axis=0, keepdims=True) + first
    through = T.tanh(T.sqr(first))
    outputs = [stored, T.tanh(first[:, step]), through]
    native, numpy = both([x], outputs, [np.random.RandomState(2).randn(5, 7)])
    for found, expected in zip(native, numpy, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
