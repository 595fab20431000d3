"""The texts of errors: each is what a user sees after a mistake, compared with ``tests/golden/errors``."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mistakes import MISTAKES

import symgrad.tensor as T

PROGRAMS = {
    "dot_inner_sizes": """
        x = T.tensor('float32', (10, 784), 'x')
        w = T.tensor('float32', (256, 30), 'w')
        y = T.dot(x, w)
    """,
    "dot_with_a_shared_attribute": """
        class Layer: pass
        layer = Layer()
        layer.inpt = T.tensor('float32', (10, 784), 'inpt')
        layer.w = symgrad.shared(np.zeros((256, 30), 'float32'), 'w')
        output = T.tanh(layer.inpt.dot(layer.w))
    """,
    "dot_at_the_call": """
        x, w = T.fmatrix('x'), symgrad.shared(np.zeros((256, 30), 'float32'), 'w')
        f = symgrad.function([x], T.dot(x, w))
        f(np.zeros((10, 784), 'float32'))
    """,
    "sizes_that_differ": """
        a = T.tensor('float64', (3, 4), 'a')
        total = a + np.ones((3, 5))
    """,
    "sizes_that_differ_at_the_call": """
        x, y = T.dvectors('x', 'y')
        total = T.exp(x) * y
        symgrad.function([x, y], total)([1, 2, 3], [1, 2])
    """,
    "a_size_that_happens_to_be_one": """
        x, b = T.dmatrix('x'), symgrad.shared(np.zeros((1, 3)), 'b')
        f = symgrad.function([x], x + b)
        f(np.ones((4, 3)))
    """,
    "a_size_that_only_the_data_tell": """
        x, y, k = T.dvector('x'), T.dvector('y'), T.lscalar('k')
        f = symgrad.function([x, y, k], x[:k] - y)
        f([1, 2, 3], [1, 2], 1)
    """,
    "reshape": """
        x = T.tensor('float32', (10, 784), 'x')
        images = x.reshape((10, 1, 28, 29))
    """,
    "reshape_at_the_call": """
        x = T.fmatrix('x')
        f = symgrad.function([x], T.tanh(x).reshape((-1, 1, 28, 28)))
        f(np.zeros((10, 700), 'float32'))
    """,
    "index_out_of_bounds": """
        x = T.tensor('float32', (10, 784), 'x')
        row = x[10]
    """,
    "index_out_of_bounds_at_the_call": """
        x, i = T.fmatrix('x'), T.lscalar('i')
        f = symgrad.function([x, i], x[i])
        f(np.zeros((3, 2), 'float32'), 3)
    """,
    "label_out_of_bounds": """
        x, y = T.fmatrix('x'), T.ivector('y')
        loss = -T.mean(T.log(T.softmax(x))[T.arange(y.shape[0]), y])
        f = symgrad.function([x, y], loss)
        f(np.zeros((2, 10), 'float32'), [3, 10])
    """,
    "concatenate": """
        parts = [T.zeros((2, 3)), T.zeros((2, 4))]
        T.concatenate(parts, axis=0)
    """,
    "conv2d_channels": """
        x = T.tensor('float32', (10, 3, 28, 28), 'x')
        w = symgrad.shared(np.zeros((20, 1, 5, 5), 'float32'), 'w', shape=(20, 1, 5, 5))
        maps = T.conv2d(input=x, filters=w)
    """,
    "conv2d_at_the_call": """
        x = T.ftensor4('x')
        w = symgrad.shared(np.zeros((20, 1, 5, 5), 'float32'), 'w')
        f = symgrad.function([x], T.conv2d(x, w))
        f(np.zeros((10, 1, 4, 28), 'float32'))
    """,
    "pool_2d_window": """
        x = T.tensor4('x')
        y = T.pool_2d(x, ws=(2, 0), ignore_border=True)
    """,
    "labels_of_floats": """
        p, y = T.softmax(T.matrix('x')), T.vector('y')
        loss = T.categorical_crossentropy(p, y)
    """,
    "order_of_complex_numbers": """
        z = T.cvector('z')
        z < 1
    """,
    "axis": """
        x = T.matrix('x')
        m = x.mean(axis=2)
    """,
    "dimshuffle_drops": """
        x = T.matrix('x')
        v = x.dimshuffle(1)
    """,
    "set_subtensor_sizes": """
        x = T.tensor('float64', (5, 3), 'x')
        y = T.set_subtensor(x[1:3], np.ones((3, 3)))
    """,
    "set_subtensor_dtype": """
        x, d = T.fvector('x'), T.dscalar('d')
        y = T.inc_subtensor(x[0], d)
    """,
    "empty_maximum_at_the_call": """
        x = T.dmatrix('x')
        f = symgrad.function([x], x.max(axis=0))
        f(np.ones((0, 3)))
    """,
    "specify_shape_at_the_call": """
        x, k = T.dvector('x'), T.lscalar('k')
        f = symgrad.function([x, k], T.specify_shape(x[:k], (3,)))
        f([1, 2, 3, 4], 2)
    """,
    "matmul_stacks": """
        a, b = T.tensor('float32', (4, 2, 3), 'a'), T.tensor('float32', (5, 3, 2), 'b')
        c = a @ b
    """,
    "an_operand_that_is_no_number": """
        x = T.vector('x')
        y = x + 'one'
    """,
    "float64_appears": """
        symgrad.config.warn_float64 = 'raise'
        x, scale = T.fvector('x'), np.ones(3)
        y = x * scale
    """,
    "truth_of_a_variable": """
        x = T.scalar('x')
        if x > 0:
            pass
    """,
    "assignment": """
        x = T.vector('x')
        x[0] = 1
    """,
    "cost_is_no_scalar": """
        x = T.vector('x')
        g = symgrad.grad(x ** 2, x)
    """,
    "cost_of_integers": """
        x = T.ivector('x')
        g = symgrad.grad(T.sum(x), x)
    """,
    "gradient_cut_by_an_op": """
        x, w = T.matrix('x'), symgrad.shared(np.zeros((3, 2), 'float32'), 'w')
        prediction = T.argmax(T.dot(x, w), axis=1)
        cost = T.mean(T.cast(prediction, 'floatX'))
        g = symgrad.grad(cost, w)
    """,
    "gradient_without_a_path": """
        x, b = T.vector('x'), T.vector('b')
        g = symgrad.grad(T.sum(x ** 2), b)
    """,
    "gradient_of_an_integer": """
        x, i = T.vector('x'), T.iscalar('i')
        g = symgrad.grad(T.sum(x * i), i)
    """,
    "integer_to_a_negative_power": """
        i = T.lvector('i')
        f = symgrad.function([i], i ** -1)
        f([1, 2])
    """,
    "shared_value_of_another_dtype": """
        w = symgrad.shared(np.zeros(3, 'float32'), 'w')
        w.set_value(np.ones(3))
    """,
    "mask_of_another_size": """
        x = T.tensor('float32', (4,), 'x')
        y = x[np.array([True, False, True])]
    """,
    "too_many_indices": """
        x = T.vector('x')
        y = x[0, 1]
    """,
}


def text_of(name: str) -> str:
    """Run a program that goes wrong; return the error as Python shows it."""
    import numpy as np

    import symgrad
    import symgrad.tensor as T

    lines = (PROGRAMS | MISTAKES)[name].strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    source = "\n".join(line[indent:] for line in lines).rstrip() + "\n"
    filename = f"{name}.py"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        with symgrad.config.change_flags(floatX="float32", warn_float64="ignore"):
            exec(compile(source, filename, "exec"), {"np": np, "symgrad": symgrad, "T": T})
    except Exception as error:
        return f"{type(error).__name__}: {error}\n"
    finally:
        del linecache.cache[filename]
    pytest.fail(f"the program {name} raises nothing")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine be one without CuPy and without a driver, whatever it has."""
    from symgrad.backends.cupy.devices import doctor

    monkeypatch.setattr(doctor, "distributions", lambda: [])
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "driver_version", lambda: 0)
    doctor.find_problem.cache_clear()
    yield
    doctor.find_problem.cache_clear()


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", [*PROGRAMS, *MISTAKES])
def test_text_of_an_error(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"errors/{name}.txt", text_of(name))


def test_errors_are_python_s_own_kinds_too() -> None:
    """Programs written for Theano catch ValueError, TypeError and IndexError."""
    from symgrad import errors

    for kind, builtin in (
        (errors.ShapeError, ValueError),
        (errors.DTypeError, TypeError),
        (errors.IndexingError, IndexError),
        (errors.DisconnectedInputError, ValueError),
        (errors.CallError, TypeError),
        (errors.MissingInputError, ValueError),
    ):
        assert issubclass(kind, builtin) and issubclass(kind, errors.SymgradError)


OF_ANOTHER_KIND: dict[str, tuple[Callable[[Any], Any], str]] = {
    "rows of different lengths": (lambda x: T.add(x, [[1, 2], [3]]), "rows of equal lengths, got list"),
    "a dict as a number": (lambda x: T.full_like(x, {}), "expected a number of float64, got dict"),
    "an axis as axes": (lambda x: T.fft.fftn(x, axes=1), "fftn needs a list of axes, got int 1"),
    "a size as sizes": (lambda x: T.fft.rfft2(x, s=2), "rfft2 needs a list of sizes, got int 2"),
    "no sizes": (lambda x: T.broadcast_to(x, None), "broadcast_to needs a list of sizes"),
    "no axes": (lambda x: T.tensordot(x, x, None), "tensordot needs a list of axes"),
    "one axis of a plane": (lambda x: T.rot90(x, axes=(0,)), "rot90 needs two different axes"),
    "an array as arrays": (lambda x: T.linalg.multi_dot(1.5), "multi_dot needs a list of arrays"),
    "a factor without its side": (lambda x: T.linalg.cho_solve(x, x[0]), "needs a pair"),
    "a fraction of an axis": (lambda x: T.shape_padleft(x, 0.5), "needs an integer as n_ones, got float"),
    "a vector's identity": (lambda x: T.identity_like(x[0]), "identity_like needs a matrix"),
    "a part without sizes": (lambda x: T.split(x, x[0, 0].astype("int64"), 2), "split needs a vector of sizes"),
    "an unknown dtype": (lambda x: T.geomspace(1, 2, dtype="foo"), "foo"),
    "softmax of other sizes": (lambda x: T.nnet.softmax_grad(x, x[0]), "softmax_gradient along axis 0 got a cotangent"),
    "filters without axes": (lambda x: T.nnet.conv2d_transpose(x, x[0], (1, 1, 2, 2)), "filters of a convolution"),
    "one size of four": (lambda x: T.conv2d(x, x, input_shape=2), "conv2d needs a list of sizes as input_shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_ANOTHER_KIND)
def test_arguments_of_another_kind(name: str) -> None:
    """What a function can't take at all is an error of ours that names the line, not one from inside NumPy."""
    build, words = OF_ANOTHER_KIND[name]
    with pytest.raises((TypeError, ValueError), match=re.escape(words)) as caught:
        build(T.dmatrix("x"))
    assert "test_errors.py" in str(caught.value)
