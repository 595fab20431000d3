"""Convolution and pooling: templates that write kernels for the routines of the grammar that work on images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np

from symgrad.backends.correlation import Correlation, Geometry, of_inputs
from symgrad.backends.correlation import forward as of_outputs  # a module here is called forward, too
from symgrad.backends.native.convolutions.addresses import ELEMENTS
from symgrad.backends.native.convolutions.filters import FilterGradient
from symgrad.backends.native.convolutions.forward import Buffers, Finish, Forward
from symgrad.backends.native.convolutions.pooling import Pooling, Windows
from symgrad.backends.native.convolutions.pooling_vectors import VectorPooling, suits
from symgrad.backends.native.convolutions.sparse_filters import SparseFilterGradient
from symgrad.backends.native.convolutions.sparse_inputs import SparseInputGradient
from symgrad.backends.native.kernel import NativeKernel, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Value, index, literal

__all__ = ["NAMES", "convolution_kernel"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """What a kernel is asked for.

    Attributes
    ----------
    symbol : str
        The kernel's name.
    attributes : mapping
        Of the routine.
    shapes : sequence of shapes
        Of operands, then outputs: as the kernel's buffers are numbered.
    dtype : str
        Of images and filters.
    vector_bytes : int
        Bytes of a vector register.
    """

    symbol: str
    attributes: Mapping[str, Any]
    shapes: Sequence[Shape]
    dtype: str
    vector_bytes: int

    @property
    def element(self) -> str:
        """The LLVM type of an element."""
        return ELEMENTS[self.dtype]

    @property
    def bytes(self) -> int:
        """What must be read and written at the least."""
        return sum(map(prod, self.shapes)) * np.dtype(self.dtype).itemsize


Template = Callable[[Request], NativeKernel]
_TEMPLATES: dict[str, Template] = {}


def _template(template: Template) -> Template:
    """Enter a template under its function's name."""
    _TEMPLATES[template.__name__[1:]] = template
    return template


def convolution_kernel(
    name: str, attributes: Mapping[str, Any], shapes: Sequence[Sequence[int | None]], dtype: str, vector_bytes: int
) -> NativeKernel | None:
    """Return the kernel of a routine, or None if there is none for such operands.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    attributes : mapping
        As the routine's `symgrad.kernels.grammar.Library` has them.
    shapes : sequence of shapes
        Of the operands (sizes among them have none), then of the outputs: as the kernel's buffers are numbered.
    dtype : str
        Of images and filters, and of the first output.
    vector_bytes : int
        Bytes of a vector register.
    """
    if name not in _TEMPLATES or dtype not in ELEMENTS or any(None in shape for shape in shapes):
        return None
    known: list[Shape] = [tuple(size or 0 for size in shape) for shape in shapes]
    identity = repr((sorted(attributes.items()), known, dtype, vector_bytes)).encode()
    symbol = f"{name}_{blake2b(identity, digest_size=6).hexdigest()}"
    request = Request(symbol, attributes, known, dtype, vector_bytes)
    if any(0 in shape for shape in known):
        return _zeros(request) if prod(known[-1]) == 0 or name not in ("conv_pool", "conv_bias") else None
    return _TEMPLATES[name](request)


def _zeros(request: Request) -> NativeKernel:
    """Return a kernel for operands without elements: sums of nothing are zeros."""
    function = kernel_function(request.symbol)
    count = prod(request.shapes[-1])
    if count:
        output = buffer_pointer(function, len(request.shapes) - 1)
        with function.loop(index(0), index(count), hint="zeros") as loop:
            function.store(literal(0, request.element), function.offset(output, loop.index, request.element))
    function.give(Value("0", "i32"))
    return NativeKernel(request.symbol, [function])


# ---- convolution ----


def _sums(request: Request, correlation: Correlation, finish: Finish, buffers: Buffers) -> NativeKernel:
    writer = Forward(
        request.symbol, correlation, finish, buffers, request.dtype, request.element, request.vector_bytes
    )  # fmt: skip
    return NativeKernel(
        request.symbol, [writer.write()], units=writer.units, scratch=writer.scratch, flops=correlation.flops,
        bytes=request.bytes,
    )  # fmt: skip


@_template
def _conv2d(request: Request) -> NativeKernel:
    image, filters, _ = request.shapes
    geometry = Geometry.of(image, filters, request.attributes)
    return _sums(request, of_outputs(geometry), Finish(), Buffers(0, 1, 2))


@_template
def _conv_bias(request: Request) -> NativeKernel:
    image, filters = request.shapes[:2]
    has_linear = request.attributes["has_linear"]
    finish = Finish("after", request.attributes["activation"], has_linear=has_linear)
    buffers = Buffers(0, 1, 3, bias=2, linear=4 if has_linear else None)
    return _sums(request, of_outputs(Geometry.of(image, filters, request.attributes)), finish, buffers)


@_template
def _conv2d_input_gradient(request: Request) -> NativeKernel:
    filters, *_, image = request.shapes
    geometry = Geometry.of(image, filters, request.attributes)
    return _sums(request, of_inputs(geometry), Finish(), Buffers(1, 0, len(request.shapes) - 1))


@_template
def _conv2d_filter_gradient(request: Request) -> NativeKernel:
    image, *_, filters = request.shapes
    geometry = Geometry.of(image, filters, request.attributes)
    number = len(request.shapes) - 1
    writer = FilterGradient(request.symbol, geometry, number, request.element, request.vector_bytes)
    flops = of_outputs(geometry).flops
    return NativeKernel(
        request.symbol, [writer.write()], units=writer.units, scratch=writer.scratch, flops=flops, bytes=request.bytes
    )


# ---- convolution with pooling ----


@_template
def _conv_pool(request: Request) -> NativeKernel:
    attributes = request.attributes
    image, filters = request.shapes[:2]
    correlation = of_outputs(Geometry.of(image, filters, attributes), attributes["window"])
    bias = None if attributes["bias"] == "none" else 2
    output = 2 if bias is None else 3
    has_linear = attributes["has_linear"]
    finish = Finish(attributes["bias"], attributes["activation"], True, has_linear, attributes["activation_first"])
    buffers = Buffers(0, 1, output, bias, output + 1, output + 2 if has_linear else None)
    return _sums(request, correlation, finish, buffers)


def _sparse(request: Request, writer: SparseFilterGradient | SparseInputGradient, geometry: Geometry) -> NativeKernel:
    flops = 2 * prod(request.shapes[1]) * prod(geometry.filters[1:])
    return NativeKernel(
        request.symbol, [writer.write()], units=writer.units, scratch=writer.scratch, flops=flops, bytes=request.bytes
    )


@_template
def _conv_pool_filter_gradient(request: Request) -> NativeKernel:
    image, *_, filters = request.shapes
    geometry = Geometry.of(image, filters, request.attributes)
    window, number = request.attributes["window"], len(request.shapes) - 1
    writer = SparseFilterGradient(request.symbol, geometry, window, number, request.element, request.vector_bytes)
    return _sparse(request, writer, geometry)


@_template
def _conv_pool_input_gradient(request: Request) -> NativeKernel:
    filters, *_, image = request.shapes
    geometry = Geometry.of(image, filters, request.attributes)
    window, number = request.attributes["window"], len(request.shapes) - 1
    writer = SparseInputGradient(request.symbol, geometry, window, number, request.element, request.vector_bytes)
    return _sparse(request, writer, geometry)


# ---- pooling ----


def _pooling(
    request: Request, image: Shape, pooled: Shape, is_gradient: bool = False
) -> tuple[Pooling, dict[str, Any]]:
    """Return a writer for pooling, and the numbers of its kernel."""
    sizes = (image[-2], image[-1]), (pooled[-2], pooled[-1])
    windows = Windows.of(prod(image[:-2]), *sizes, request.attributes)
    writes = VectorPooling if suits(windows, is_gradient) else Pooling
    writer = writes(request.symbol, windows, request.element, request.vector_bytes)
    return writer, {"units": writer.units, "flops": prod(pooled) * prod(windows.window), "bytes": request.bytes}


@_template
def _pool2d(request: Request) -> NativeKernel:
    writer, numbers = _pooling(request, request.shapes[0], request.shapes[1])
    return NativeKernel(request.symbol, [writer.pool(request.attributes["mode"])], **numbers)


@_template
def _max_pool_gradient(request: Request) -> NativeKernel:
    writer, numbers = _pooling(request, request.shapes[0], request.shapes[1], is_gradient=True)
    return NativeKernel(request.symbol, [writer.max_gradient()], **numbers)


@_template
def _max_pool_pushforward(request: Request) -> NativeKernel:
    writer, numbers = _pooling(request, request.shapes[0], request.shapes[1])
    return NativeKernel(request.symbol, [writer.max_pushforward()], **numbers)


@_template
def _sum_pool_gradient(request: Request) -> NativeKernel:
    writer, numbers = _pooling(request, request.shapes[-1], request.shapes[0], is_gradient=True)
    function = writer.sum_gradient(request.attributes["mode"], len(request.shapes) - 1)
    return NativeKernel(request.symbol, [function], **numbers)


@_template
def _at_places(request: Request) -> NativeKernel:
    window = request.attributes["window"]
    sizes = Windows(
        prod(request.shapes[0][:-2]), request.shapes[-1][-2:], request.shapes[0][-2:], window, window, (0, 0)  # type: ignore[arg-type]
    )  # fmt: skip
    writer = Pooling(request.symbol, sizes, request.element, request.vector_bytes)
    function = writer.at_places(len(request.shapes) - 1)
    return NativeKernel(request.symbol, [function], units=writer.units, bytes=request.bytes)


NAMES = frozenset(_TEMPLATES)
"""The routines that have templates here."""
