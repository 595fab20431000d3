"""network3's reference trajectories on a device that the CPU stands for; see ``tests/test_golden.py``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import test_golden
from test_golden import NAMES, load_case, mnist, norms, values

import symgrad
from gpu.shim.fake_cupy import World
from gpu.shim.nvrtc import Gathered, nvrtc
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.data import Mnist

pytestmark = test_golden.pytestmark
__all__ = ["mnist"]

FEW = 25
"""Steps in float32, through a loop of `repeat`, and of convolutions: the shim is slow.

``pytest --all-combinations`` goes through all steps of each trajectory in float64.
"""


@pytest.fixture
def device(gpu: World) -> Iterator[World]:
    """The device; NVRTC compiles its kernels at the end."""
    yield gpu
    gathered = Gathered(PRELUDE)
    for text in gpu.texts:
        gathered.add(text)
    if nvrtc() is not None:
        gathered.check()


@pytest.mark.parametrize("name", NAMES)
@symgrad.config.change_flags(floatX="float64")
def test_float64(name: str, mnist: Mnist, device: World, request: pytest.FixtureRequest) -> None:
    case = load_case(name)
    net, recorded = case.network(), case.recorded
    train = case.training_function(net, test_golden.share(mnist.training))
    is_slow = "conv" in name and not request.config.getoption("--all-combinations")
    steps = FEW if is_slow else case.steps
    costs = [float(train(step)) for step in range(steps)]
    np.testing.assert_allclose(costs, recorded["costs"][:steps], rtol=1e-9)
    assert device.graph_launches == steps - 1
    if steps == case.steps:
        np.testing.assert_allclose(norms(values(net)), recorded["final_parameter_norms"], rtol=1e-9)
        np.testing.assert_allclose(net.layers[-1].w.get_value(), recorded["final_softmax_w"], rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_float32(name: str, mnist: Mnist, device: World) -> None:
    case = load_case(name)
    net = case.network()
    assert {value.dtype for value in values(net)} == {np.dtype("float32")}
    train = case.training_function(net, test_golden.share(mnist.training))
    costs = [float(train(step)) for step in range(FEW)]
    np.testing.assert_allclose(costs, case.recorded["costs"][:FEW], rtol=1e-3)


def test_repeated_steps_are_those_of_single_calls(mnist: Mnist, device: World) -> None:
    found = []
    for _ in range(2):
        case = load_case("shallow_sigmoid")
        net = case.network()
        train = case.training_function(net, test_golden.share(mnist.training))
        costs = train.repeat(np.arange(FEW)) if found else [train(step) for step in range(FEW)]
        found.append((np.asarray(costs), values(net)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    for once, again in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(once, again)
