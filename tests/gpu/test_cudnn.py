"""How cuDNN is asked, against a stand-in for its package that knows the real names, and against the package itself."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from gpu.shim.kernels import run_found
from symgrad.backends.correlation import Geometry
from symgrad.backends.cupy.calls import LibraryCall
from symgrad.backends.cupy.convolutions import convolution_calls
from symgrad.backends.cupy.kernel import CudaKernel, Target
from symgrad.backends.cupy.libraries import cudnn
from symgrad.errors import DeviceError
from symgrad.graph.dtypes import HALVES, NUMPY_DTYPES
from symgrad.kernels import reference

GEOMETRY = Geometry((16, 64, 34, 33), (128, 64, 3, 3), ((1, 1), (0, 0)), (2, 1), (1, 2))
KINDS = ("conv_fprop", "conv_dgrad", "conv_wgrad")
TARGET = Target(cudnn=True)


class NotSupportedError(Exception):
    """The stand-in's exception of a graph that no engine takes."""


class Tensor:
    """A tensor of the stand-in's graphs: remembers what it was given."""

    def __init__(self, **given: Any) -> None:
        self.given = given

    def set_dim(self, dim: list[int]) -> None:
        self.given["dim"] = dim

    def set_stride(self, stride: list[int]) -> None:
        self.given["stride"] = stride

    def set_data_type(self, data_type: Any) -> None:
        self.given["data_type"] = data_type

    def set_output(self, is_output: bool) -> None:
        self.given["is_output"] = is_output


class Graph:
    """The stand-in's graph: takes what the package's takes, in the order in which that wants it."""

    STEPS = ("validate", "build_operation_graph", "create_execution_plans", "deselect_numeric_notes",
             "deselect_workspace_greater_than", "check_support", "build_plans")  # fmt: skip
    supported = True

    def __init__(
        self, *, io_data_type: Any, intermediate_data_type: Any, compute_data_type: Any, handle: Any
    ) -> None:
        self.given = {"io": io_data_type, "compute": compute_data_type, "handle": handle}
        self.done: list[str] = []
        self.notes: list[str] = []
        self.executed: list[tuple[Any, ...]] = []

    def tensor(self, *, name: str, dim: list[int], stride: list[int], data_type: Any) -> Tensor:
        return Tensor(name=name, dim=dim, stride=stride, data_type=data_type)

    def _node(self, kind: str, first: Tensor, second: Tensor, options: dict[str, Any]) -> Tensor:
        expected = {"pre_padding", "post_padding", "stride", "dilation", "compute_data_type", "name"}
        assert set(options) == expected and not self.done
        self.kind, self.options = kind, options
        return Tensor(name="output")

    def conv_fprop(self, image: Tensor, weight: Tensor, **options: Any) -> Tensor:
        return self._node("conv_fprop", image, weight, options)

    def conv_dgrad(self, loss: Tensor, filter: Tensor, **options: Any) -> Tensor:
        return self._node("conv_dgrad", loss, filter, options)

    def conv_wgrad(self, image: Tensor, loss: Tensor, **options: Any) -> Tensor:
        return self._node("conv_wgrad", image, loss, options)

    def _step(self, name: str) -> None:
        self.done.append(name)
        assert tuple(self.done) == self.STEPS[: len(self.done)]

    def validate(self) -> None:
        self._step("validate")

    def build_operation_graph(self) -> None:
        self._step("build_operation_graph")

    def create_execution_plans(self, heuristics: list[str]) -> None:
        assert heuristics == ["A", "FALLBACK"]
        self._step("create_execution_plans")

    def deselect_numeric_notes(self, notes: list[str]) -> None:
        self.notes = notes
        self._step("deselect_numeric_notes")

    def deselect_workspace_greater_than(self, limit: int) -> None:
        assert limit == cudnn.WORKSPACE
        self._step("deselect_workspace_greater_than")

    def check_support(self) -> None:
        self._step("check_support")
        if not Graph.supported:
            raise NotSupportedError("no engine\nand more")

    def build_plans(self) -> None:
        self._step("build_plans")

    def execute(self, buffers: dict[Tensor, int], workspace: int, handle: Any) -> None:
        assert self.done[-1] == "build_plans"
        assert all(type(address) is int for address in (*buffers.values(), workspace))
        self.executed.append(([tensor.given["name"] for tensor in buffers], list(buffers.values()), workspace, handle))


def named(*names: str) -> Any:
    return SimpleNamespace(**{name: name for name in names})


def package() -> Any:
    """Return the stand-in."""
    graphs: list[Graph] = []

    def pygraph(**given: Any) -> Graph:
        graphs.append(Graph(**given))
        return graphs[-1]

    return SimpleNamespace(
        pygraph=pygraph, graphs=graphs, data_type=named("FLOAT", "HALF", "BFLOAT16"), heur_mode=named("A", "FALLBACK"),
        numerical_note=named("NONDETERMINISTIC", "DOWN_CONVERT_INPUTS", "TENSOR_CORE"),
        cudnnGraphNotSupportedError=NotSupportedError, create_handle=lambda: "handle",
        set_stream=lambda *, handle, stream: None,
    )  # fmt: skip


@pytest.fixture
def supported() -> Iterator[None]:
    yield
    Graph.supported = True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_convolution_is_planned_once_and_run_often(kind: str, dtype: str) -> None:
    fake = package()
    handle = cudnn.Cudnn(fake, "handle", SimpleNamespace(ptr=4096))
    convolution = cudnn.Convolution(kind, GEOMETRY, dtype, allow_tf32=False)
    handle.run(convolution, (1, 2, 3))
    handle.run(cudnn.Convolution(kind, GEOMETRY, dtype, allow_tf32=False), (4, 5, 6))
    (graph,) = fake.graphs
    assert graph.kind == kind and graph.given["compute"] == "FLOAT"
    assert graph.options["pre_padding"] == graph.options["post_padding"] == [1, 0]
    assert (graph.options["stride"], graph.options["dilation"]) == ([2, 1], [1, 2])
    names = ["first", "second", "output"]
    assert graph.executed == [(names, [1, 2, 3], 4096, "handle"), (names, [4, 5, 6], 4096, "handle")]
    assert ("TENSOR_CORE" in graph.notes) == (dtype == "float32")
    assert "NONDETERMINISTIC" in graph.notes


def test_shapes_are_those_of_the_three_products() -> None:
    image, filters, output = (16, 64, 34, 33), (128, 64, 3, 3), (16, 128, 17, 29)
    assert reference.conv2d_output_shape(image, filters, ((1, 1), (0, 0)), (2, 1), (1, 2)) == output
    shapes = [cudnn.Convolution(kind, GEOMETRY, "float32", False).shapes for kind in KINDS]
    assert shapes == [(image, filters, output), (output, filters, image), (image, output, filters)]


def test_what_cudnn_refuses_is_told(supported: None) -> None:
    Graph.supported = False
    handle = cudnn.Cudnn(package(), "handle", SimpleNamespace(ptr=4096))
    with pytest.raises(DeviceError, match=r"no engine\. Without the package nvidia-cudnn-frontend"):
        handle.run(cudnn.Convolution("conv_fprop", GEOMETRY, "float32", False), (1, 2, 3))


@pytest.mark.parametrize("flip", [False, True])
def test_large_convolutions_go_to_cudnn_with_filters_turned_around(flip: bool) -> None:
    """What is around cuDNN's calls runs on the CPU; for the calls themselves stands the reference."""
    image, filters = (128, 64, 12, 12), (64, 64, 3, 3)
    output = (128, 64, 10, 10)
    attributes = {"padding": ((0, 0), (0, 0)), "stride": (1, 1), "dilation": (1, 1), "groups": 1, "flip": flip}
    found = convolution_calls("conv2d", attributes, [image, filters, output], ["float32"] * 3, 2, TARGET)
    assert found is not None
    assert [type(work) for work, _ in found] == [CudaKernel, LibraryCall][not flip :]
    shapes, dtypes = [image, output, (), (), filters], ["float32", "float32", "int64", "int64", "float32"]
    found = convolution_calls("conv2d_filter_gradient", attributes, shapes, dtypes, 4, TARGET)
    assert found is not None
    assert [type(work) for work, _ in found] == [LibraryCall, CudaKernel][: 1 + flip]
    if flip:
        given = np.random.RandomState(1).standard_normal(filters).astype("float32")
        turned = np.empty_like(given)
        kernel, _ = found[1]
        assert run_found([(kernel, [0, 1])], [given, turned]) == 0
        np.testing.assert_array_equal(turned, given[:, :, ::-1, ::-1])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("half", HALVES)
def test_operands_of_16_bits_are_made_wider_for_tf32(half: str, flip: bool) -> None:
    """TF32 holds all such numbers, so that tensor cores multiply them exactly for a result of float32."""
    image, filters, output = (128, 64, 12, 12), (64, 64, 3, 3), (128, 64, 10, 10)
    attributes = {"padding": ((0, 0), (0, 0)), "stride": (1, 1), "dilation": (1, 1), "groups": 1, "flip": flip}
    found = convolution_calls("conv2d", attributes, [image, filters, output], [half, half, "float32"], 2, TARGET)
    assert found is not None
    (*before, (call, buffers)) = found
    assert isinstance(call, LibraryCall) and [type(work) for work, _ in before] == [CudaKernel] * 2
    given = [np.random.RandomState(seed).standard_normal(shape) for seed, shape in enumerate((image, filters))]
    operands = [x.astype(NUMPY_DTYPES[half]) for x in given]
    wide = [np.empty(shape, "float32") for shape in (image, filters)]
    numbered = [(kernel, [place, 2 + number]) for number, (kernel, (place, _)) in enumerate(before)]
    assert [chosen[1] for _, chosen in before] == buffers[:2] and buffers[2] == 2
    assert run_found(numbered, [*operands, *wide]) == 0
    step = -1 if flip else 1
    np.testing.assert_array_equal(wide[0], operands[0].astype("float32"))
    np.testing.assert_array_equal(wide[1], operands[1].astype("float32")[:, :, ::step, ::step])
    fake = package()
    with mock.patch.object(cudnn, "handle_of", lambda _: cudnn.Cudnn(fake, "handle", SimpleNamespace(ptr=4096))):
        call.run(None, 1, 2, 3)
    (graph,) = fake.graphs
    assert graph.given["io"] == "FLOAT" and "TENSOR_CORE" not in graph.notes


def test_gradients_of_16_bits_are_made_wider_too() -> None:
    image, filters, output = (128, 64, 12, 12), (64, 64, 3, 3), (128, 64, 10, 10)
    attributes = {"padding": ((0, 0), (0, 0)), "stride": (1, 1), "dilation": (1, 1), "groups": 1, "flip": True}
    kinds = ["bfloat16", "bfloat16", "int64", "int64", "float32"]
    for name, shapes, labels in (
        ("conv2d_input_gradient", [filters, output, (), (), image], ["widen", "turn", "dgrad"]),
        ("conv2d_filter_gradient", [image, output, (), (), filters], ["widen", "widen", "wgrad", "turn"]),
    ):
        found = convolution_calls(name, attributes, shapes, kinds, 4, TARGET)
        assert found is not None
        for (work, _), label in zip(found, labels, strict=True):
            assert label in work.name


def test_small_and_double_convolutions_stay_here() -> None:
    plain = Geometry((128, 64, 32, 32), (64, 64, 3, 3), ((1, 1), (1, 1)))
    assert cudnn.suits_cudnn(plain, "float32", TARGET)
    assert not cudnn.suits_cudnn(plain, "float32", Target())
    assert not cudnn.suits_cudnn(plain, "float64", TARGET)
    for other in (
        Geometry((1, 64, 32, 32), (64, 64, 3, 3), ((1, 1), (1, 1))),
        Geometry((128, 3, 32, 32), (64, 3, 3, 3), ((1, 1), (1, 1))),
        Geometry((128, 64, 32, 32), (64, 32, 3, 3), ((1, 1), (1, 1)), groups=2),
        Geometry((128, 64, 32, 32), (64, 64, 3, 3), ((1, 0), (1, 1))),
    ):
        assert not cudnn.suits_cudnn(other, "float32", TARGET)


@pytest.mark.skipif(importlib.util.find_spec("cudnn") is None, reason="nvidia-cudnn-frontend isn't installed")
@pytest.mark.parametrize("kind", KINDS)
def test_the_package_knows_all_that_is_used(kind: str) -> None:
    """The real package takes tensors and the node, and stops where it needs a device."""
    real: Any = importlib.import_module("cudnn")
    for name in (*Graph.STEPS, "execute"):
        assert callable(getattr(real.pygraph, name))
    assert callable(real.create_handle) and callable(real.set_stream)
    if not isinstance(real.set_stream, type(len)):
        assert set(inspect.signature(real.set_stream).parameters) >= {"handle", "stream"}
    for dtype in cudnn.DATA_TYPES:
        with pytest.raises((RuntimeError, ImportError), match=r"cudnn|CUDA|cuda|handle"):
            cudnn.make_plan(real, None, cudnn.Convolution(kind, GEOMETRY, dtype, allow_tf32=False))
