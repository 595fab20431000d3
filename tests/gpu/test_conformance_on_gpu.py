"""Every op of the registry against its samples on a device that the CPU stands for, and every kernel through NVRTC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import oracle
import pytest
from test_conformance import (
    SUBJECTS,
    Derivatives,
    describe,
    differentiable,
    good,
    outputs_of,
    samples_of,
    variables_for,
)

import symgrad
from gpu.shim.fake_cupy import World
from gpu.shim.nvrtc import Gathered, nvrtc
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.errors import SymgradError


@pytest.fixture(scope="module")
def kernels() -> Iterator[Gathered]:
    """All kernels of the tests here: at the end, NVRTC compiles them for all architectures."""
    gathered = Gathered(PRELUDE)
    yield gathered
    if nvrtc() is not None:
        gathered.check()


@pytest.fixture
def device(gpu: World, kernels: Gathered) -> Iterator[World]:
    """The device, whose kernels are noted."""
    yield gpu
    for text in gpu.texts:
        kernels.add(text)


def some(share: int, *, of: str) -> list[str]:
    """Return one of so many ops, always the same for the same test."""
    return [name for name in SUBJECTS if crc32(f"{of} {name}".encode()) % share == 0]


def on_host(value: Any) -> Any:
    """Return an output's elements: `transfer` leaves some on the device."""
    return value.get() if hasattr(value, "get") else value


def check(name: str, mode: str) -> None:
    """Compile an op for its samples, call it twice, the second time captured, and compare with its meaning."""
    for op, sample in good(name):
        expected = op.evaluate(*sample.arguments)
        for static in (True, False):
            variables = variables_for(sample, static)
            function = symgrad.function(variables, outputs_of(op, variables), mode=mode, on_unused_input="ignore")
            for _ in range(2):
                for found, wanted in zip(function(*sample.arguments), expected, strict=True):
                    oracle.assert_same(on_host(found), wanted, what=describe(op, sample))


@pytest.mark.parametrize("name", SUBJECTS)
def test_device_equals_evaluate(name: str, device: World) -> None:
    check(name, "default")


@pytest.mark.parametrize("name", some(6, of="none"))
def test_device_equals_evaluate_without_rewriting(name: str, device: World) -> None:
    check(name, "none")


@pytest.mark.parametrize("name", some(3, of="gradient"))
def test_gradient_equals_the_walk(name: str, device: World) -> None:
    for op, sample in differentiable(name):
        d = Derivatives(op, sample, static=True)
        function = symgrad.function(d.variables, d.cotangents, on_unused_input="ignore")
        for found, expected in zip(function(*d.points), d.walk(d.cotangents, d.points), strict=True):
            oracle.assert_same(found, expected, what=describe(op, sample))


@pytest.mark.parametrize("name", [name for name in SUBJECTS if any(sample.error for _, sample in samples_of(name))])
def test_bad_samples_raise_what_they_say(name: str, device: World) -> None:
    for op, sample in samples_of(name):
        if sample.error is None:
            continue
        for static in (True, False):
            variables = variables_for(sample, static)
            with pytest.raises(sample.error) as caught:
                function = symgrad.function(variables, outputs_of(op, variables), on_unused_input="ignore")
                function(*sample.arguments)
            assert isinstance(caught.value, SymgradError), describe(op, sample)
            assert "test_conformance" in str(caught.value), f"{describe(op, sample)}: {caught.value}"
