"""Kernels on a device: compiled once, loaded, launched, captured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad
from symgrad.backends.cupy.devices import compilation
from symgrad.backends.cupy.devices.compilation import KernelTextError
from symgrad.backends.cupy.devices.device import Device, find_device
from symgrad.backends.cupy.kernel import kernel_text
from symgrad.backends.cupy.prelude import PRELUDE

TWICE = "    y[threadIdx.x] = 2.0f * x[threadIdx.x];"


def twice() -> str:
    """Return a module of one kernel."""
    return PRELUDE + kernel_text("twice", [("const f32*", "x"), ("f32*", "y")], TWICE, 32)


def launched(device: Device, text: str, shared_bytes: int = 0) -> np.ndarray:
    """Return what the kernel makes of the first numbers."""
    x, y = device.upload(np.arange(32, dtype="float32")), device.empty((32,), "float32")
    status = device.upload(np.zeros(1, "int32"))
    kernel = device.kernels(text, ["twice"])["twice"]
    device.launch(kernel, (1, 1, 1), 32, [int(a.data.ptr) for a in (x, y, status)], shared_bytes)
    return device.download(y)


def test_a_kernel_is_compiled_once_and_then_read_from_the_cache(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiled: list[str] = []
    compile_now = compilation._compiled_now

    def recorded(nvrtc: Any, text: str, options: tuple[str, ...]) -> bytes:
        compiled.append(text)
        return compile_now(nvrtc, text, options)

    monkeypatch.setattr(compilation, "_compiled_now", recorded)
    with symgrad.config.change_flags(cache_dir=str(tmp_path)):
        for _ in range(2):
            np.testing.assert_array_equal(launched(find_device("cuda0"), twice()), 2 * np.arange(32))
        assert len(compiled) == 1
        launched(find_device("cuda0"), twice() + "// another text\n")
        assert len(compiled) == 2


def test_a_kernel_may_have_much_shared_memory(gpu: Any) -> None:
    np.testing.assert_array_equal(launched(find_device("cuda0"), twice(), 100 << 10), 2 * np.arange(32))


def test_a_text_that_does_not_compile_says_why(gpu: Any) -> None:
    with pytest.raises(KernelTextError, match="no_such_name"):
        launched(find_device("cuda0"), twice().replace("threadIdx", "no_such_name"))


def test_a_capture_that_fails_leaves_the_stream_as_it_was(gpu: Any) -> None:
    device = find_device("cuda0")
    with pytest.raises(Exception, match="apture"), device.capture():
        device.empty((3,), "float32")
    with pytest.raises(ZeroDivisionError), device.capture():
        raise ZeroDivisionError
    np.testing.assert_array_equal(launched(device, twice()), 2 * np.arange(32))


def test_what_is_captured_runs_at_each_launch(gpu: Any) -> None:
    device = find_device("cuda0")
    x = device.upload(np.arange(4, dtype="int32"))
    y = device.empty((4,), "int32")
    with device.capture() as graph:
        device.move(int(y.data.ptr), int(x.data.ptr), 16)
    device.upload(np.arange(4, 8, dtype="int32"), into=x)
    graph.launch()
    np.testing.assert_array_equal(device.download(y), np.arange(4, 8))


def test_settings_reach_the_device(gpu: Any) -> None:
    device = find_device("cuda0")
    assert not device.target.allow_tf32
    with symgrad.config.change_flags(allow_tf32=True):
        assert device.target.allow_tf32
    assert (device.target.capability, device.target.multiprocessors) == (gpu.capability, gpu.multiprocessors)
