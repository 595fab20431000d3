"""What the tests of the CUDA backend share: devices that the CPU stands for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import symgrad
from gpu.shim.build import compiler
from gpu.shim.fake_cupy import World, fake_devices

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Kernels are compiled by g++: without it nothing here can run, but for what needs NVRTC only."""
    if compiler() is None:
        for item in items:
            if item.path.is_relative_to(HERE) and item.path.name != "test_nvrtc.py":
                item.add_marker(pytest.mark.skip(reason="g++ for Linux isn't here"))


@pytest.fixture
def gpu() -> Iterator[World]:
    """Two devices that the CPU stands for, the first of them chosen: what is compiled runs there."""
    with fake_devices() as world, symgrad.config.change_flags(device="cuda"):
        yield world
