"""Where values are: transfers, shared variables on devices, arrays lent and borrowed, several devices."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import symgrad
import symgrad.tensor as T
from gpu.shim.fake_cupy import fake_devices
from symgrad.backends.cupy.devices import doctor, staging
from symgrad.backends.cupy.devices.device import Device, find_device
from symgrad.backends.cupy.programs.blocks import STATUS_BYTES
from symgrad.errors import CallError, ConfigError, DeviceError, DTypeError, ShapeError
from symgrad.graph.residence import on_device, on_host

DTYPES = ("bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64")
SOME = np.arange(6, dtype="float32").reshape(2, 3)


def copies(gpu: Any) -> list[tuple[str, int]]:
    """Return the transfers since the last time that somebody asked."""
    found = [tuple(transfer) for transfer in gpu.transfers]
    gpu.transfers.clear()
    return found


def is_on(value: Any, number: int) -> bool:
    """Whether a value is an array of a device."""
    return on_device(value) and value.data.device_id == number


# ---- transfers ----


@contextmanager
def device_of_small_pieces() -> Iterator[Device]:
    """Give a device to and from which all but the smallest arrays go in several pieces."""
    with pytest.MonkeyPatch.context() as patch, fake_devices():
        patch.setattr(staging, "PIECE_BYTES", 256)
        yield find_device("cuda0")


shapes = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(shapes, st.sampled_from(DTYPES), st.booleans()), min_size=1, max_size=4), st.data())
def test_what_goes_up_comes_down(kinds: Any, data: Any) -> None:
    sent = [data.draw(arrays_of.arrays(dtype, shape)) for shape, dtype, _ in kinds]
    sent = [array[::-1] if turned and array.ndim else array for array, (*_, turned) in zip(sent, kinds, strict=True)]
    expected = [array.copy() for array in sent]
    with device_of_small_pieces() as device:
        there = [device.upload(array) for array in sent]
        for array in sent:
            array[...] = 0  # the copy doesn't depend on it any more
        again = [device.copy(array) for array in there]
        results = [device.downloads(there), device.downloads(again), [device.download(array) for array in there]]
    for found in results:
        for array, wanted in zip(found, expected, strict=True):
            assert array.dtype == wanted.dtype
            np.testing.assert_array_equal(array, wanted)


def test_bfloat16_comes_back_as_it_was(gpu: Any) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.array([1.5, -2.0, np.inf, 3e38], ml_dtypes.bfloat16)
    found = find_device("cuda").download(find_device("cuda").upload(values))
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_pieces_are_used_again_only_when_the_device_has_read_them() -> None:
    with device_of_small_pieces() as device:
        there = [device.upload(np.full(40, number, "int32")) for number in range(50)]
        for number, array in enumerate(there):
            np.testing.assert_array_equal(device.download(array), np.full(40, number))


# ---- shared variables ----


def test_a_shared_variable_lies_on_the_device_from_the_start(gpu: Any) -> None:
    w = symgrad.shared(SOME, "w")
    assert is_on(w.container.value, 0) and copies(gpu) == [("up", 24)]
    assert w.type.dtype == "float32" and w.expected.shape == (2, 3)
    found = w.get_value()
    assert type(found) is np.ndarray and copies(gpu) == [("down", 24)]
    np.testing.assert_array_equal(found, SOME)


def test_a_new_value_of_the_same_sizes_keeps_the_address(gpu: Any) -> None:
    w = symgrad.shared(SOME)
    address = w.container.value.data.ptr
    w.set_value(SOME + 1)
    assert w.container.value.data.ptr == address
    np.testing.assert_array_equal(w.get_value(), SOME + 1)
    w.zero()
    assert w.container.value.data.ptr == address and not w.get_value().any()
    w.set_value(np.ones((4, 3), "float32"))
    assert is_on(w.container.value, 0) and w.get_value().shape == (4, 3)
    with pytest.raises(DTypeError):
        w.set_value(SOME.astype("complex64"))
    with pytest.raises(ShapeError):
        w.set_value(np.ones(3, "float32"))
    assert w.get_value().shape == (4, 3)


def test_the_array_inside_can_be_had_or_copied(gpu: Any) -> None:
    w = symgrad.shared(SOME)
    inside, other = (w.get_value(borrow=borrow, return_internal_type=True) for borrow in (True, False))
    assert inside is w.container.value and is_on(other, 0) and other.data.ptr != inside.data.ptr
    w.set_value(other)
    assert w.container.value is inside
    copies(gpu)
    w.set_value(symgrad.shared(SOME + 2).get_value(borrow=True, return_internal_type=True))
    assert copies(gpu) == [("up", 24)]  # of the other variable's first value only
    np.testing.assert_array_equal(w.get_value(), SOME + 2)
    taken = symgrad.shared(w.get_value(borrow=True, return_internal_type=True))
    assert taken.type.dtype == "float32" and taken.container.value is not w.container.value
    np.testing.assert_array_equal(taken.get_value(), SOME + 2)


def test_what_the_caller_does_with_a_lent_array_is_waited_for(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    w = symgrad.shared(SOME)
    device, waits = find_device("cuda0"), []
    monkeypatch.setattr(device, "await_callers", lambda: waits.append(True))
    i = T.fscalar("i")
    f = symgrad.function([i], w * i)
    for _ in range(4):
        f(np.float32(2))
    assert not waits  # who has no array of symgrad's can't change one
    w.get_value(borrow=True, return_internal_type=True)
    for number in range(4):
        f(np.float32(2))
        assert len(waits) == number + 1


def test_files_hold_numpy_arrays(gpu: Any) -> None:
    w = symgrad.shared(SOME, "w")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        text = pickle.dumps(w, protocol)
        assert b"cupy" not in text
        read = pickle.loads(text)
        assert type(read.container.value) is np.ndarray
        np.testing.assert_array_equal(read.get_value(), SOME)
    twin = copy.deepcopy(w)
    twin.set_value(SOME * 2)
    np.testing.assert_array_equal(w.get_value(), SOME)
    x = T.fmatrix("x")
    f = pickle.loads(pickle.dumps(symgrad.function([x], x + w)))
    np.testing.assert_array_equal(f(SOME), SOME * 2)


def test_a_value_moves_to_where_a_function_runs(gpu: Any) -> None:
    w = symgrad.shared(SOME, "w")
    with symgrad.config.change_flags(device="cpu"):
        on_cpu = symgrad.function([], w * 2, updates=[(w, w + 1)])
        late = symgrad.shared(SOME, "late")
    on_gpu = symgrad.function([], w * 3 + late, updates=[(w, w + 1)])
    assert is_on(w.container.value, 0) and type(late.container.value) is np.ndarray
    np.testing.assert_array_equal(on_cpu(), SOME * 2)
    assert type(w.container.value) is np.ndarray
    np.testing.assert_array_equal(on_gpu(), (SOME + 1) * 3 + SOME)
    assert is_on(w.container.value, 0) and is_on(late.container.value, 0)
    for _ in range(3):
        on_gpu()
    np.testing.assert_array_equal(on_cpu(), (SOME + 5) * 2)
    np.testing.assert_array_equal(w.get_value(), SOME + 6)


def test_a_fast_call_on_the_cpu_sees_that_its_value_left(gpu: Any) -> None:
    i = T.lscalar("i")
    with symgrad.config.change_flags(device="cpu"):
        total = symgrad.shared(np.int64(0))
        add = symgrad.function([i], total, updates=[(total, total + i)])
    add(1), add(2)
    double = symgrad.function([], total, updates=[(total, total * 2)])
    assert double() == 3
    assert is_on(total.container.value, 0)
    assert add(4) == 6 and add(1) == 10
    assert type(total.container.value) is np.ndarray


def test_sparse_matrices_and_other_values_stay_on_the_host(gpu: Any) -> None:
    scipy_sparse = pytest.importorskip("scipy.sparse")
    from symgrad import sparse

    matrix = sparse.shared(scipy_sparse.csr_matrix(SOME))
    assert not on_device(matrix.container.value) and copies(gpu) == []
    dense = symgrad.function([], sparse.dense_from_sparse(matrix) * 2)
    np.testing.assert_array_equal(dense(), SOME * 2)


def test_test_values_are_those_of_the_variable(gpu: Any) -> None:
    with symgrad.config.change_flags(compute_test_value="raise"):
        w = symgrad.shared(SOME)
        np.testing.assert_array_equal((w * 2).tag.test_value, SOME * 2)


# ---- outputs and inputs on devices ----


@pytest.mark.parametrize("size", [3, 2_000_000])
def test_a_transferred_output_never_sees_the_host(gpu: Any, size: int) -> None:
    w = symgrad.shared(np.ones(size, "float32"))
    f = symgrad.function([], [(w * 2).transfer("cuda0"), w.sum()], updates=[(w, w + 1)])
    first, _ = f()
    copies(gpu)
    second, total = f()
    assert is_on(first, 0) and is_on(second, 0) and type(total) is np.ndarray
    assert all(count < size * 4 or size < 100 for _, count in copies(gpu))
    f(), f()
    np.testing.assert_array_equal(on_host(first), np.full(size, 2))  # later calls don't touch it
    np.testing.assert_array_equal(on_host(second), np.full(size, 4))


def test_copies_of_a_function_return_outputs_where_it_does(gpu: Any) -> None:
    w = symgrad.shared(SOME)
    f = symgrad.function([], [(w * 2).transfer("cuda1"), w])
    for other in (f.copy(), f.copy(swap={w: symgrad.shared(SOME)}), pickle.loads(pickle.dumps(f))):
        there, here = other()
        assert is_on(there, 1) and type(here) is np.ndarray
        np.testing.assert_array_equal(on_host(there), SOME * 2)


def test_a_device_array_is_an_argument(gpu: Any) -> None:
    x = T.fmatrix("x")
    f = symgrad.function([x], (x * 2).transfer("cuda0"))
    there = f(SOME)
    copies(gpu)
    for _ in range(3):
        there = f(there)
    assert {(direction, count) for direction, count in copies(gpu) if count != STATUS_BYTES} == set()
    np.testing.assert_array_equal(on_host(there), SOME * 16)
    with symgrad.config.change_flags(device="cpu"):
        on_cpu = symgrad.function([x], x + 1)
    np.testing.assert_array_equal(on_cpu(there), SOME * 16 + 1)


def test_an_argument_may_be_changed_after_the_call_on_any_stream(gpu: Any) -> None:
    import cupy

    x, total = T.matrix("x"), symgrad.shared(np.zeros((2, 3), "float32"))
    add = symgrad.function([x], [], updates=[(total, total + x)])
    own = cupy.cuda.Stream(non_blocking=True)
    with own:
        mine = cupy.asarray(SOME)
        for _ in range(4):
            add(mine)
            mine[...] = mine + 1
        own.synchronize()  # the stand-in does now what the stream was asked for, and what that waits for
    np.testing.assert_array_equal(total.get_value(), 4 * SOME + 6)


def test_an_argument_on_a_device_must_fit_as_any_other(gpu: Any) -> None:
    x, y = T.fmatrix("x"), T.dvector("y")
    f, g = symgrad.function([x], x.sum()), symgrad.function([y], y * 0.5)
    device = find_device("cuda0")
    np.testing.assert_array_equal(g(device.upload(np.arange(4, dtype="float32"))), np.arange(4) / 2)
    with pytest.raises(CallError, match=re.escape("index 0")):
        f(device.upload(np.zeros(3, "float32")))
    with pytest.raises(CallError, match="lose information"):
        f(device.upload(np.zeros((2, 2), "float64")))
    strict = symgrad.function([symgrad.In(y, strict=True)], y * 0.5)
    with pytest.raises(CallError, match="strict"):
        strict(device.upload(np.zeros(2, "float32")))


def test_repeated_steps_return_numpy_arrays(gpu: Any) -> None:
    x = T.fscalar("x")
    f = symgrad.function([x], (x * 2).transfer("cuda0"))
    np.testing.assert_array_equal(f.repeat(np.arange(5, dtype="float32")), np.arange(5) * 2)


def test_transfer_has_a_gradient_and_changes_nothing_inside(gpu: Any) -> None:
    x = T.fvector("x")
    f = symgrad.function([x], symgrad.grad((T.exp(x).transfer("cuda1") * 2).transfer("cpu").sum(), x))
    np.testing.assert_allclose(f([0.0, 1.0]), 2 * np.exp([0.0, 1.0]), rtol=1e-6)


def test_a_name_that_is_no_device() -> None:
    with pytest.raises(ConfigError, match="device can't be 'gpu'"):
        T.transfer(T.fvector("x"), "gpu")  # the method knows it where Theano's names are on
    assert T.transfer(T.fvector("x"), None).owner is None


def test_auto_is_the_first_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = T.fvector("x")
    with fake_devices(), symgrad.config.change_flags(device="cuda"):
        assert is_on(symgrad.function([x], x.transfer("auto"))(SOME[0]), 0)
    monkeypatch.setattr(doctor, "find_problem", lambda number: ("it is gone", "Look for it."))
    assert not on_device(symgrad.function([x], x.transfer("auto"))(SOME[0]))


# ---- several devices ----


def test_values_and_functions_on_two_devices(gpu: Any) -> None:
    a, b = symgrad.shared(SOME, "a"), symgrad.shared(SOME * 10, "b", target="cuda1")
    assert is_on(a.container.value, 0) and is_on(b.container.value, 1)
    b.set_value(SOME * 100)
    assert is_on(b.container.value, 1)
    with symgrad.config.change_flags(device="cuda1"):
        f = symgrad.function([], [(a + b).transfer("cuda0"), b.transfer("cuda1")], updates=[(b, b + 1)])
    left, right = f()
    assert is_on(left, 0) and is_on(right, 1)
    assert is_on(a.container.value, 1) and is_on(b.container.value, 1)
    np.testing.assert_array_equal(on_host(left), SOME * 101)
    np.testing.assert_array_equal(b.get_value(), SOME * 100 + 1)
    x = T.fmatrix("x")
    np.testing.assert_array_equal(symgrad.function([x], x + a)(right), SOME * 101)


def test_a_device_that_is_not_there(gpu: Any) -> None:
    with pytest.raises(DeviceError, match="there is no cuda2: cuda0 to cuda1 are here"):
        symgrad.shared(SOME, target="cuda2")
    x = T.fmatrix("x")
    with pytest.raises(DeviceError, match="there is no cuda5"):
        symgrad.function([x], (x * 2).transfer("cuda5"))


def test_a_forked_process_says_why_it_has_no_devices(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from symgrad.backends.cupy.devices import device

    w = symgrad.shared(SOME)
    monkeypatch.setattr(doctor, "_forked", [])
    find_device("cuda0").synchronize()
    device._forget_devices()  # what happens in the child
    with pytest.raises(DeviceError, match=r"forked from one that uses CUDA[^$]*spawn"):
        w.get_value()


def test_symgrad_alone_imports_nothing_of_it() -> None:
    code = "import sys, symgrad; print([name for name in sys.modules if 'cupy' in name])"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "SYMGRAD_FLAGS": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


# ---- Theano's words ----


def test_theanos_names_of_devices(tmp_path: Path) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from gpu.shim.fake_cupy import fake_devices
with fake_devices():
    import numpy as np, symgrad.compat.theano
    import theano, theano.tensor as T
    theano.config.device = 'gpu0'
    x = T.fvector('x')
    a, b = theano.shared(np.ones(3, 'float32'), target='gpu1'), theano.shared(np.ones(3, 'float32'), target='dev0')
    found = theano.function([x], [(x + b).transfer('gpu0'), T.transfer(x, 'cpu')])(np.ones(3, 'float32'))
    print([v.container.value.data.device_id for v in (a, b)], found[0].data.device_id, type(found[1]).__name__)
    inside = b.get_value(return_internal_type=True)
    print(bool(theano.sandbox.cuda.cuda_enabled), a.container.data, inside.data.device_id)
    import zipfile
    from theano.misc.pkl_utils import dump, load
    a.name = 'a'
    with open('a.zip', 'wb') as file:
        dump((a, b, a), file)
    with open('a.zip', 'rb') as file:
        first, _, again = load(file)
    print(sorted(zipfile.ZipFile('a.zip').namelist()), first is again, first.get_value())
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "SYMGRAD_FLAGS": ""}
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, tests], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    expected = "[1, 0] 0 ndarray\nTrue [1. 1. 1.] 0\n['a', 'array_1', 'pkl'] True [1. 1. 1.]\n"
    assert done.stdout == expected, done.stdout + done.stderr
