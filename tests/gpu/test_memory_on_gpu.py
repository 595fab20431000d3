"""The memory of devices: what is used, and what happens when there is no more."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from gpu.shim.fake_cupy import fake_devices
from symgrad.backends.cupy.devices.device import find_device
from symgrad.backends.cupy.devices.out_of_memory import out_of_memory
from symgrad.errors import DeviceMemoryError


def test_memory_is_counted_and_given_back(gpu: Any) -> None:
    device = find_device("cuda0")
    before = device.memory()
    w = symgrad.shared(np.zeros(1 << 18, "float32"))
    assert device.memory().used - before.used == 1 << 20
    del w
    assert device.memory().used == before.used and device.memory().kept > before.kept
    device.give_back()
    assert device.memory().kept == before.used


def test_a_value_too_large_is_an_error_of_the_users_line() -> None:
    with fake_devices(), symgrad.config.change_flags(device="cuda", memory_limit=1):
        small = symgrad.shared(np.zeros(1000, "float32"))
        with pytest.raises(DeviceMemoryError) as caught:
            symgrad.shared(np.zeros(1 << 19, "float32"))  # the large one
        text = str(caught.value)
        assert text.startswith("cuda0 is out of memory: 2.00 MiB are asked for, ")
        assert "1.00 MiB is the limit" in text and "test_memory_on_gpu.py" in text and "the large one" in text
        assert isinstance(caught.value, MemoryError)
        with pytest.raises(DeviceMemoryError):
            small.set_value(np.zeros(1 << 19, "float32"))
        assert small.get_value().shape == (1000,)


def test_a_call_that_needs_too_much_names_the_largest_and_can_be_made_again() -> None:
    with fake_devices(), symgrad.config.change_flags(device="cuda", memory_limit=8):
        x = T.fvector("x")
        f = symgrad.function([x], T.exp(T.sort(T.exp(x)))[::-1].sum())
        with pytest.raises(DeviceMemoryError, match=re.escape("8.00 MiB is the limit")):
            f(np.zeros(1 << 21, "float32"))
        assert f(np.zeros(10, "float32")) == pytest.approx(10 * np.e, rel=1e-6)


def test_the_five_largest_buffers_are_shown() -> None:
    buffers = [(f"b{number}", number << 20, f"net.py:{number}   line {number}") for number in range(1, 8)]
    text = str(out_of_memory(3 << 20, 5 << 30, 6 << 30, buffers, "cuda1"))
    assert re.findall(r"b(\d)   (\d)\.00 MiB   net\.py:\d", text) == [(n, n) for n in "76543"]


def test_an_output_that_stays_and_does_not_fit_changes_nothing() -> None:
    with fake_devices(), symgrad.config.change_flags(device="cuda", memory_limit=8):
        x, count = T.fvector("x"), symgrad.shared(0)
        f = symgrad.function([x], (x + 1).transfer("cuda0"), updates=[(count, count + 1)])
        kept = []
        with pytest.raises(DeviceMemoryError, match=r"1.00 MiB are asked for[^$]*test_memory_on_gpu.py"):
            while len(kept) < 9:
                kept.append(f(np.zeros(1 << 18, "float32")))
        assert kept and count.get_value() == len(kept)
        kept.pop()
        f(np.zeros(1 << 18, "float32"))


def test_a_function_of_cupys_that_needs_too_much_changes_nothing() -> None:
    with fake_devices(), symgrad.config.change_flags(device="cuda", memory_limit=8):
        x, count = T.fvector("x"), symgrad.shared(0)
        f = symgrad.function([x], T.sort(x)[0], updates=[(count, count + 1)])
        f(np.zeros(1 << 18, "float32"))
        taken = find_device("cuda0").empty((5 << 18,), "float32")
        with pytest.raises(DeviceMemoryError, match=r"1.00 MiB are asked for[^$]*sort"):
            f(np.zeros(1 << 18, "float32"))
        assert count.get_value() == 1
        del taken
        f(np.zeros(1 << 18, "float32"))


def test_rows_of_repeated_steps_that_do_not_fit_together_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_devices() as world, symgrad.config.change_flags(device="cuda", memory_limit=8):
        x, total = T.fvector("x"), symgrad.shared(np.float32(0))
        f = symgrad.function([x], x[0], updates=[(total, total + x.sum())])
        rows = np.ones((48, 1 << 16), "float32")  # 12 MiB
        rows[:, 0] = np.arange(48)
        first = f.repeat(rows[:2])
        world.transfers.clear()
        assert np.array_equal([*first, *f.repeat(rows[2:])], rows[:, 0])
        assert total.get_value() == rows.sum()
        assert len(world.transfers) < 46
