"""Tests of the package that stands for CuPy: it has CuPy's names, and is as strict as CUDA, or stricter."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from gpu.shim.fake_cupy import World, fake_devices, make_package
from gpu.shim.fake_cupy import world as current
from gpu.shim.fake_cupy.errors import CUDADriverError, CUDARuntimeError, MisuseError, OutOfMemoryError
from gpu.shim.kernels import KernelError
from symgrad.backends.cupy.kernel import kernel_text
from symgrad.backends.cupy.prelude import PRELUDE

PARAMETERS = [("const f32*", "x"), ("f32*", "y"), ("i64", "count")]
BODY = "    i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x;\n    if (k < count) y[k] = 2 * x[k];"


@pytest.fixture
def world() -> Iterator[World]:
    with fake_devices() as found:
        yield found


@pytest.fixture
def cupy(world: World) -> Any:
    import cupy

    return cupy


@pytest.fixture
def stream(cupy: Any) -> Any:
    return cupy.cuda.Stream(non_blocking=True)


def double(cupy: Any, text: str = "") -> Any:
    """Return a kernel that doubles numbers."""
    module = cupy.cuda.Module()
    nvrtc = cupy.cuda.nvrtc
    program = nvrtc.createProgram(PRELUDE + (text or kernel_text("double_it", PARAMETERS, BODY, 64)), "a.cu", (), ())
    nvrtc.compileProgram(program, ("-arch=sm_80",))
    module.load(nvrtc.getCUBIN(program))
    return module.get_function("double_it")


def arrays(cupy: Any, stream: Any, count: int = 10) -> tuple[Any, Any, Any]:
    """Return an operand, an output and a status word, there for work on a stream."""
    with stream:
        x = cupy.asarray(np.arange(count, dtype=np.float32))
        return x, cupy.empty(count, np.float32), cupy.zeros(1, np.int32)


def test_work_is_done_when_it_is_waited_for(cupy: Any, stream: Any, world: World) -> None:
    x, y, status = arrays(cupy, stream)
    double(cupy)((1,), (32,), (x, y, 10, status), stream=stream)
    assert np.isnan(y.get()).all()  # on the default stream, which doesn't wait for this one
    assert world.kernels == []
    stream.synchronize()
    assert_array_equal(y.get(), 2 * np.arange(10))
    assert world.kernels == ["double_it"]


def test_events_order_streams(cupy: Any, stream: Any) -> None:
    x, y, status = arrays(cupy, stream)
    double(cupy)((1,), (32,), (x, y, 10, status), stream=stream)
    other = cupy.cuda.Stream(non_blocking=True)
    other.wait_event(stream.record())
    with other:
        assert_array_equal(y.get(), 2 * np.arange(10))


def test_page_locked_memory_is_read_and_written_later(cupy: Any, stream: Any) -> None:
    runtime = cupy.cuda.runtime
    pinned = cupy.cuda.alloc_pinned_memory(40)
    host = np.frombuffer(pinned, np.float32, 10)
    host[:] = 1
    with stream:
        x = cupy.empty(10, np.float32)
    runtime.memcpyAsync(x.data.ptr, host.ctypes.data, 40, runtime.memcpyHostToDevice, stream.ptr)
    host[:] = 2  # too early
    stream.synchronize()
    with stream:
        assert_array_equal(x.get(), np.full(10, 2))
    runtime.memcpyAsync(host.ctypes.data, x.data.ptr, 40, runtime.memcpyDeviceToHost, stream.ptr)
    assert not (host == 2).any()  # too early as well
    stream.synchronize()
    assert (host == 2).all()


def captured(cupy: Any, stream: Any, x: Any, y: Any, status: Any) -> Any:
    """Return a graph of one kernel."""
    function = double(cupy)
    with stream:
        function((1,), (32,), (x, y, 0, status))
        stream.synchronize()
        current.forget()
        stream.begin_capture(cupy.cuda.runtime.streamCaptureModeThreadLocal)
        function((1,), (32,), (x, y, 10, status))
        return stream.end_capture()


def test_a_kernel_cant_be_loaded_in_a_capture(cupy: Any, stream: Any) -> None:
    x, y, status = arrays(cupy, stream)
    function = double(cupy)
    with stream:
        stream.begin_capture(cupy.cuda.runtime.streamCaptureModeThreadLocal)
        with pytest.raises(CUDADriverError, match="not permitted when stream is capturing"):
            function((1,), (32,), (x, y, 10, status))
        with pytest.raises(CUDARuntimeError, match="previous error during capture"):
            stream.end_capture()


def test_a_graph_replays_with_its_addresses(cupy: Any, stream: Any, world: World) -> None:
    x, y, status = arrays(cupy, stream)
    graph = captured(cupy, stream, x, y, status)
    stream.synchronize()
    assert world.kernels == []
    with stream:
        assert np.isnan(y.get()).all()
        for factor in (1, 3):
            x[...] = factor
            graph.launch(stream)
            assert_array_equal(y.get(), np.full(10, 2 * factor))
    assert (world.launches, world.graph_launches, world.kernels) == (0, 2, ["double_it", "double_it"])


def test_memory_that_a_graph_uses_must_be_held(cupy: Any, stream: Any) -> None:
    x, y, status = arrays(cupy, stream)
    graph = captured(cupy, stream, x, y, status)
    del x
    stream.synchronize()
    graph.launch(stream)
    with pytest.raises(MisuseError, match="freed"):
        stream.synchronize()


def test_memory_lives_until_the_work_before_it_is_done(cupy: Any, stream: Any) -> None:
    x, y, status = arrays(cupy, stream)
    double(cupy)((1,), (32,), (x, y, 10, status), stream=stream)
    del x
    stream.synchronize()
    with stream:
        assert_array_equal(y.get(), 2 * np.arange(10))


@pytest.mark.parametrize("what", ["allocate", "synchronize", "get", "page-locked", "event", "device", "linalg"])
def test_what_a_capture_forbids(cupy: Any, stream: Any, what: str) -> None:
    x, _, _ = arrays(cupy, stream)
    actions = {
        "allocate": lambda: cupy.empty(3), "synchronize": stream.synchronize, "get": x.get,
        "page-locked": lambda: cupy.cuda.alloc_pinned_memory(8), "event": cupy.cuda.Event().synchronize,
        "device": cupy.cuda.Device().synchronize, "linalg": lambda: cupy.linalg.norm(x),
    }  # fmt: skip
    with stream:
        stream.begin_capture(cupy.cuda.runtime.streamCaptureModeThreadLocal)
        with pytest.raises(CUDARuntimeError, match="not permitted when stream is capturing"):
            actions[what]()
        with pytest.raises(CUDARuntimeError, match="previous error during capture"):
            stream.end_capture()
        assert not stream.is_capturing()
        stream.synchronize()


def test_the_default_stream_cant_be_used_in_a_capture(cupy: Any, stream: Any) -> None:
    x, _, _ = arrays(cupy, stream)
    stream.begin_capture()
    with pytest.raises(CUDARuntimeError, match="legacy stream"):
        x[...] = 1
    with pytest.raises(CUDARuntimeError):
        stream.end_capture()


def test_kernels_take_the_right_arguments_only(cupy: Any, stream: Any) -> None:
    x, y, status = arrays(cupy, stream)
    function = double(cupy)
    host = np.zeros(10, np.float32)
    with stream:
        with pytest.raises(MisuseError, match="takes 4 arguments, got 3"):
            function((1,), (32,), (x, y, status))
        with pytest.raises(MisuseError, match="no memory of a device"):
            function((1,), (32,), (host.ctypes.data, y, 10, status))
        with pytest.raises(TypeError, match="Unsupported type"):
            function((1,), (32,), (host, y, 10, status))
        with pytest.raises(CUDADriverError):
            function((1,), (2048,), (x, y, 10, status))
        with pytest.raises(CUDADriverError):
            function((1,), (32,), (x, y, 10, status), shared_mem=60_000)
        function((1,), (32,), (x, y, np.int32(10), status))
        with pytest.raises(KernelError, match="takes arguments of"):
            stream.synchronize()
    with cupy.cuda.Device(1):
        other = cupy.empty(10, np.float32)
    with pytest.raises(MisuseError, match="device 1 used on device 0"):
        function((1,), (32,), (other, y, 10, status), stream=stream)


def test_what_a_kernel_does_wrong_comes_out(cupy: Any, stream: Any) -> None:
    x, y, status = arrays(cupy, stream)
    double(cupy)((64,), (32,), (x, y, 1000, status), stream=stream)
    with pytest.raises((KernelError, MisuseError), match=r"out of bounds|beyond"):
        stream.synchronize()


def test_copies_are_checked(cupy: Any, stream: Any) -> None:
    x, y, _ = arrays(cupy, stream)
    runtime, host = cupy.cuda.runtime, np.zeros(10, np.float32)
    to_host, between = runtime.memcpyDeviceToHost, runtime.memcpyDeviceToDevice
    for target, source, size, kind in (
        (x.data.ptr, y.data.ptr, 4000, between), (host.ctypes.data, x.data.ptr, 40, between),
        (y.data.ptr, x.data.ptr, 40, to_host), (host.ctypes.data, x.data.ptr + 20, 40, to_host),
    ):  # fmt: skip
        with pytest.raises(MisuseError):
            runtime.memcpyAsync(target, source, size, kind, stream.ptr)


def test_host_and_device_arrays_arent_mixed(cupy: Any) -> None:
    x = cupy.zeros(3)
    with pytest.raises(TypeError):
        np.asarray(x)
    with pytest.raises(TypeError):
        x + np.ones(3)
    with pytest.raises(TypeError):
        x[...] = np.ones(3)


def test_a_pool_has_a_limit(cupy: Any) -> None:
    pool = cupy.get_default_memory_pool()
    pool.set_limit(size=4096)
    first = cupy.empty(3000, np.uint8)
    with pytest.raises(OutOfMemoryError, match="limit set to: 4,096 bytes"):
        cupy.empty(2000, np.uint8)
    del first
    assert (pool.used_bytes(), pool.total_bytes()) == (0, 3072)
    cupy.empty(4096, np.uint8)
    with cupy.cuda.Device(1):
        assert pool.get_limit() == 0
        cupy.empty(8192)


def test_transfers_are_recorded(cupy: Any, stream: Any, world: World) -> None:
    x, _, _ = arrays(cupy, stream)
    world.forget()
    with stream:
        x.get()
        x.set(np.zeros(10, np.float32))
    assert [tuple(transfer) for transfer in world.transfers] == [("down", 40), ("up", 40)]


shapes = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)
slices = st.builds(
    slice, st.none() | st.integers(-3, 3), st.none() | st.integers(-3, 3), st.sampled_from([None, 1, 2, -1])
)


@settings(max_examples=30)
@given(shape=shapes, keys=st.lists(slices | st.none(), max_size=3), seed=st.integers(0, 99))
def test_views_are_those_of_numpy(shape: tuple[int, ...], keys: list[Any], seed: int) -> None:
    keys = [key for number, key in enumerate(keys) if key is None or number < len(shape)][: len(shape)]
    values = np.random.default_rng(seed).normal(size=shape)
    with fake_devices():
        import cupy

        found = cupy.asarray(values)
        view, expected = found[tuple(keys)], values[tuple(keys)]
        assert_array_equal(view.get(), expected)
        assert_array_equal(view.T.get(), expected.T)
        assert_array_equal(cupy.ascontiguousarray(view.T).reshape(-1).get(), expected.T.reshape(-1))
        view[...] = 7
        expected[...] = 7
        assert_array_equal(found.get(), values)
        assert view.flags.c_contiguous == expected.flags.c_contiguous


def test_the_fake_goes_as_it_came() -> None:
    before = sys.modules.get("cupy")
    with fake_devices(count=1):
        assert sys.modules["cupy"] is not before
    assert sys.modules.get("cupy") is before


def test_what_outlives_its_devices_does_no_harm() -> None:
    with fake_devices():
        import cupy

        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            kept = cupy.zeros(3)
    with fake_devices() as world:
        stream.synchronize()
        del kept
        assert world.regions == []
    with fake_devices(), pytest.raises(CUDARuntimeError, match="invalid resource handle"):
        sys.modules["cupy"].cuda.runtime.streamSynchronize(12345)


NAMES = """
import warnings; warnings.simplefilter("ignore")
import cupy, cupy.cuda
from cupy_backends.cuda.libs import nvrtc
for name in {names!r}:
    found = cupy
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            print(name)
            break
"""


def names_of_the_fake() -> list[str]:
    """Return what the fake has, with the attributes of its classes, as the tests above and symgrad use it."""
    cupy = make_package()["cupy"]
    names = [f"{name}" for name in vars(cupy) if not name.startswith("_")]
    for space in ("cuda", "cuda.runtime", "cuda.driver", "cuda.nvrtc", "cuda.memory", "linalg", "fft"):
        found: Any = cupy
        for part in space.split("."):
            found = getattr(found, part)
        names += [f"{space}.{name}" for name in vars(found) if not name.startswith("_")]
    for kind in (
        "ndarray",
        "cuda.Stream",
        "cuda.Event",
        "cuda.Graph",
        "cuda.Device",
        "cuda.MemoryPointer",
        "cuda.MemoryPool",
    ):
        found = cupy
        for part in kind.split("."):
            found = getattr(found, part)
        names += [f"{kind}.{name}" for name in vars(found) if not name.startswith("_")]
    return names


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy isn't installed")
def test_the_real_package_has_all_that_the_fake_has() -> None:
    code = NAMES.format(names=names_of_the_fake())
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    assert (done.stdout, done.returncode) == ("", 0), done.stderr
