"""Large convolutions by cuDNN, through the package nvidia-cudnn-frontend.

This has never run on a GPU: what is known is that the package, from 1.16 to 1.32, takes these calls with these names.

A convolution is a graph of one node, which the package turns into a plan for one device. Engines whose results differ
from run to run are left out, and for float32 those with tensor cores, unless TF32 is allowed. A plan is made at the
first call, outside of any capture; then a call only enqueues work, in a workspace that the device's handle keeps.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

from symgrad.backends.correlation import Geometry
from symgrad.backends.cupy.calls import LibraryCall
from symgrad.backends.cupy.kernel import Target
from symgrad.errors import DeviceError

DATA_TYPES = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BFLOAT16"}
"""What cuDNN calls the dtypes."""

WORKSPACE = 64 << 20
"""Bytes of memory that an engine may use."""

LEAST_FLOPS = 1 << 29
"""With fewer operations the kernels here take hardly longer than launching cuDNN's and turning filters around."""
LEAST_CHANNELS = 32
"""With fewer, the tiles of cuDNN's engines stay half empty."""


@dataclass(frozen=True)
class Convolution:
    """One of the three products that belong to a convolution. Its filters correlate: they aren't turned around.

    Attributes
    ----------
    kind : {"conv_fprop", "conv_dgrad", "conv_wgrad"}
        What is computed: images from images and filters, the images' gradient from the cotangent and filters, or the
        filters' gradient from images and the cotangent.
    geometry : Geometry
        Of the convolution.
    dtype : str
        Of all numbers.
    allow_tf32 : bool
        Whether float32 may be rounded to 11 bits, or has no more of them anyway.
    """

    kind: str
    geometry: Geometry
    dtype: str
    allow_tf32: bool

    @property
    def shapes(self) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """Of both operands and the output."""
        geometry = self.geometry
        output = (geometry.image[0], geometry.filters[0], *geometry.output)
        return {
            "conv_fprop": (geometry.image, geometry.filters, output),
            "conv_dgrad": (output, geometry.filters, geometry.image),
            "conv_wgrad": (geometry.image, output, geometry.filters),
        }[self.kind]

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        geometry = self.geometry
        return 2 * geometry.image[0] * prod(geometry.output) * prod(geometry.filters)


def suits_cudnn(geometry: Geometry, dtype: str, target: Target) -> bool:
    """Whether cuDNN can be used, and is worth it."""
    if not target.cudnn or dtype not in DATA_TYPES or geometry.groups != 1:
        return False
    if any(before != after for before, after in geometry.padding) or min(geometry.output) < 1:
        return False
    flops = 2 * geometry.image[0] * prod(geometry.output) * prod(geometry.filters)
    return min(geometry.filters[:2]) >= LEAST_CHANNELS and flops >= LEAST_FLOPS


def cudnn_call(convolution: Convolution) -> LibraryCall:
    """Return the call; its buffers are both operands and the output, as the convolution's `shapes` are ordered."""

    def run(device: Any, *addresses: int) -> None:
        handle_of(device).run(convolution, addresses)

    return LibraryCall(f"cudnn_{convolution.kind.removeprefix('conv_')}", run, flops=convolution.flops)


@dataclass(frozen=True)
class Plan:
    """A graph that is ready to run, and its tensors: both operands, then the output."""

    graph: Any
    tensors: Sequence[Any]


def make_plan(cudnn: Any, handle: Any, convolution: Convolution) -> Plan:
    """Let cuDNN plan a convolution.

    Parameters
    ----------
    cudnn : module
        The package.
    handle : object
        As the package's ``create_handle`` returns it.
    convolution : Convolution
    """
    single, kind = cudnn.data_type.FLOAT, getattr(cudnn.data_type, DATA_TYPES[convolution.dtype])
    graph = cudnn.pygraph(io_data_type=kind, intermediate_data_type=single, compute_data_type=single, handle=handle)
    first, second, result = convolution.shapes
    operands = [
        graph.tensor(name=name, dim=list(shape), stride=_strides(shape), data_type=kind)
        for name, shape in (("first", first), ("second", second))
    ]
    geometry = convolution.geometry
    output = getattr(graph, convolution.kind)(
        *operands, pre_padding=[before for before, _ in geometry.padding],
        post_padding=[after for _, after in geometry.padding], stride=list(geometry.stride),
        dilation=list(geometry.dilation), compute_data_type=single, name=convolution.kind,
    )  # fmt: skip
    output.set_dim(list(result))
    output.set_stride(_strides(result))
    output.set_data_type(kind)
    output.set_output(True)
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    graph.deselect_numeric_notes(_notes(cudnn, convolution))
    graph.deselect_workspace_greater_than(WORKSPACE)
    graph.check_support()
    graph.build_plans()
    return Plan(graph, [*operands, output])


def _strides(shape: Sequence[int]) -> list[int]:
    """Return the strides of a contiguous array."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _notes(cudnn: Any, convolution: Convolution) -> list[Any]:
    """Return the properties that no engine may have."""
    notes = [cudnn.numerical_note.NONDETERMINISTIC, cudnn.numerical_note.DOWN_CONVERT_INPUTS]
    if convolution.dtype == "float32" and not convolution.allow_tf32:
        notes.append(cudnn.numerical_note.TENSOR_CORE)
    return notes


@dataclass
class Cudnn:
    """A handle for one device's stream, with its workspace and the plans that were made.

    Attributes
    ----------
    cudnn : module
        The package.
    handle : object
        As the package's ``create_handle`` returns it.
    workspace : object
        Device memory, with its address as ``ptr``.
    """

    cudnn: Any
    handle: Any
    workspace: Any
    _plans: dict[Convolution, Plan] = field(default_factory=dict)

    def run(self, convolution: Convolution, addresses: Sequence[int]) -> None:
        """Enqueue a convolution of buffers at these addresses.

        Raises
        ------
        DeviceError
            If cuDNN has no engine for it, or refuses.
        """
        try:
            plan = self._plans.get(convolution)
            if plan is None:
                plan = self._plans[convolution] = make_plan(self.cudnn, self.handle, convolution)
            buffers = dict(zip(plan.tensors, map(int, addresses), strict=True))
            plan.graph.execute(buffers, int(self.workspace.ptr), handle=self.handle)
        except (RuntimeError, ValueError, NotImplementedError, self.cudnn.cudnnGraphNotSupportedError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DeviceError(
                f"cuDNN can't compute {convolution.kind} of {convolution.geometry}: {reason}. Without the package "
                "nvidia-cudnn-frontend, symgrad's own kernels compute it."
            ) from error


_handles: WeakKeyDictionary[Any, Cudnn] = WeakKeyDictionary()
_making = threading.Lock()


def handle_of(device: Any) -> Cudnn:
    """Return the handle for a device's stream; the first call, which allocates, must come before any capture.

    Parameters
    ----------
    device : symgrad.backends.cupy.devices.device.Device
    """
    with _making:
        found = _handles.get(device)
        if found is None:
            cudnn = importlib.import_module("cudnn")
            workspace = device.allocate(WORKSPACE)
            with device.active():
                handle = cudnn.create_handle()
                cudnn.set_stream(handle=handle, stream=int(device.stream.ptr))
            found = _handles[device] = Cudnn(cudnn, handle, workspace)
        return found
