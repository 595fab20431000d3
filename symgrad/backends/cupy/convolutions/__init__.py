"""Convolution and pooling: the kernels of all routines that work on images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from symgrad.backends.correlation import Geometry, forward, of_inputs
from symgrad.backends.cupy.calls import Found
from symgrad.backends.cupy.convolutions.correlations import Finish, Source, Task
from symgrad.backends.cupy.convolutions.pooling import pooling_kernel
from symgrad.backends.cupy.convolutions.ways import Job, fastest, ways_to_correlate, ways_to_filter_gradients
from symgrad.backends.cupy.convolutions.writing import ELEMENTS, Buffer, Dtypes, blocks, written_kernel
from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.texts import LARGEST_SHORT
from symgrad.graph.dtypes import HALVES
from symgrad.kernels.ir.functions import DTYPES

__all__ = ["NAMES", "convolution_calls"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    name : str
        Of the routine.
    attributes : mapping
        Of the routine.
    shapes : sequence of shapes
        Of operands, then outputs.
    dtypes : Dtypes
    inputs : int
        How many operands there are; the first output comes after them.
    target : Target
    """

    name: str
    attributes: Mapping[str, Any]
    shapes: Sequence[Shape]
    dtypes: Dtypes
    inputs: int
    target: Target

    @property
    def outputs(self) -> range:
        """The numbers of the outputs."""
        return range(self.inputs, len(self.shapes))


def convolution_calls(
    name: str,
    attributes: Mapping[str, Any],
    shapes: Sequence[Shape],
    dtypes: Sequence[str],
    inputs: int,
    target: Target,
) -> Found:
    """Return the pieces of work of a routine, or None if there are none for such operands.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    attributes : mapping
        As the routine's `symgrad.kernels.grammar.Library` has them.
    shapes, dtypes : sequence
        Of the operands, then of the outputs. All are contiguous. What convolutions multiply may be of 16 bits where all
        else is float32.
    inputs : int
        How many of them are operands.
    target : Target
    """
    result = dtypes[inputs]
    if name not in _TEMPLATES:
        return None
    is_mixed = name.startswith("conv") and result == "float32" and dtypes[0] == dtypes[1] and dtypes[0] in HALVES
    if not _are_alike(dtypes[2:] if is_mixed else dtypes, result):
        return None
    is_selection = name == "pool2d" and attributes["mode"] in ("max", "sum") and result in DTYPES
    if result not in ELEMENTS and not is_selection:
        return None
    if any(prod(shape[-2:]) > LARGEST_SHORT for shape in shapes):
        return None  # places within a plane are counted in 32 bits
    kinds = Dtypes(dtypes[0] if is_mixed else result, result)
    request = Request(name, attributes, [tuple(shape) for shape in shapes], kinds, inputs, target)
    if any(0 in shape for shape in request.shapes):
        return _of_nothing(request)
    return _TEMPLATES[name](request)


def _are_alike(dtypes: Sequence[str], dtype: str) -> bool:
    """Whether all floats have one dtype; the others are places and sizes."""
    return all(kind == dtype or not kind.startswith(("float", "bfloat", "complex")) for kind in dtypes)


def _of_nothing(request: Request) -> Found:
    """Return the work of operands without elements: sums of nothing are zeros."""
    if all(prod(request.shapes[output]) == 0 for output in request.outputs):
        return []
    if request.name in ("conv_pool", "conv_bias"):
        return None
    output = request.inputs
    count = prod(request.shapes[output])
    body = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number < COUNT) result[number] = written(A(0));
"""
    result = [Buffer("result", is_read=False)]
    return [(written_kernel("zeros", request.dtypes.results, result, {"COUNT": count}, body, blocks(count)), [output])]


def _job(request: Request, kind: str, geometry: Geometry, operands: Sequence[int]) -> Job:
    return Job(request.name, kind, geometry, request.dtypes, operands, request.outputs, request.target)


def _forward(request: Request, finish: Finish, operands: Sequence[int]) -> Found:
    """Return the work of a convolution and what follows it."""
    image, filters = request.shapes[:2]
    geometry = Geometry.of(image, filters, request.attributes)
    source = Source(forward(geometry, request.attributes.get("window", (1, 1))))
    job = _job(request, "conv_fprop", geometry, operands)
    return fastest(ways_to_correlate(job, Task(source, request.dtypes, finish)))


def _conv2d(request: Request) -> Found:
    return _forward(request, Finish(), (0, 1))


def _conv_bias(request: Request) -> Found:
    return _forward(request, Finish.of({**request.attributes, "bias": "after"}, has_places=False), (0, 1, 2))


def _conv_pool(request: Request) -> Found:
    finish = Finish.of(request.attributes, has_places=True)
    return _forward(request, finish, (0, 1) if finish.bias == "none" else (0, 1, 2))


def _input_gradient(request: Request) -> Found:
    geometry = Geometry.of(request.shapes[-1], request.shapes[0], request.attributes)
    sparse = request.attributes.get("window")
    task = Task(Source(of_inputs(geometry), sparse), request.dtypes)
    job = _job(request, "conv_dgrad", geometry, (1, 0) if sparse is None else (1, 2, 0))
    return fastest(ways_to_correlate(job, task))


def _filter_gradient(request: Request) -> Found:
    geometry = Geometry.of(request.shapes[0], request.shapes[-1], request.attributes)
    sparse = request.attributes.get("window")
    job = _job(request, "conv_wgrad", geometry, (0, 1) if sparse is None else (0, 1, 2))
    return fastest(ways_to_filter_gradients(job, Source(forward(geometry)), sparse))


def _pooling(request: Request) -> Found:
    image, pooled = request.shapes[0], request.shapes[1]
    if request.name in ("sum_pool_gradient", "at_places"):
        image, pooled = request.shapes[-1], request.shapes[0]
    kernel = pooling_kernel(request.name, request.attributes, image, pooled, request.dtypes.results)
    read = {"pool2d": 1, "sum_pool_gradient": 1, "at_places": 2}.get(request.name, 3)
    return [(kernel, [*range(read), request.inputs])]


_TEMPLATES: dict[str, Callable[[Request], Found]] = {
    "conv2d": _conv2d,
    "conv_bias": _conv_bias,
    "conv2d_input_gradient": _input_gradient,
    "conv2d_filter_gradient": _filter_gradient,
    "conv_pool": _conv_pool,
    "conv_pool_input_gradient": _input_gradient,
    "conv_pool_filter_gradient": _filter_gradient,
    "pool2d": _pooling,
    "max_pool_gradient": _pooling,
    "max_pool_pushforward": _pooling,
    "sum_pool_gradient": _pooling,
    "at_places": _pooling,
}

NAMES = frozenset(_TEMPLATES)
"""The routines that have templates here."""
