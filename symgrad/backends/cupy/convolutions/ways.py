"""The ways to carry out a routine, and about how long each takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

from symgrad.backends.correlation import Geometry, Pair
from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.convolutions.apart import finishing_kernel, turning_kernel, widening_kernel
from symgrad.backends.cupy.convolutions.correlations import Finish, Source, Task
from symgrad.backends.cupy.convolutions.filter_products import best_filter_product, filter_product_kernels
from symgrad.backends.cupy.convolutions.plain import plain_correlation
from symgrad.backends.cupy.convolutions.plain_filters import plain_filter_gradient
from symgrad.backends.cupy.convolutions.pooling import pooling_kernel
from symgrad.backends.cupy.convolutions.products import best_product, product_kernels
from symgrad.backends.cupy.convolutions.tiled import tile_of, tiled_correlation
from symgrad.backends.cupy.convolutions.tiled_filters import best_filter_tile, tiled_filter_gradient
from symgrad.backends.cupy.convolutions.writing import Dtypes, element_bytes
from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.libraries.cudnn import Convolution, cudnn_call, suits_cudnn

Place = int | Temporary
Pieces = Sequence[tuple[Any, Sequence[Place]]]

LAUNCH = 2500
"""Cycles that a further kernel costs."""
BYTES_PER_CYCLE = 16
"""What a multiprocessor reads and writes of device memory."""
FLOPS_PER_CYCLE = 180
"""What a multiprocessor computes in cuDNN's engines, without tensor cores; those do `TENSOR_CORES` times as much."""
TENSOR_CORES = 6
LEAST_OF_TF32 = 80
"""The compute capability since which tensor cores multiply float32 as TF32."""


@dataclass(frozen=True)
class Way:
    """A way to carry out a routine.

    Attributes
    ----------
    name : {"plain", "tiled", "product", "cudnn", "apart"}
    cycles : float
        About how long it takes.
    pieces : callable
        Returns its pieces of work.
    """

    name: str
    cycles: float
    pieces: Callable[[], Pieces]


def fastest(ways: Sequence[Way]) -> Pieces:
    """Return the pieces of the way that promises to be fastest.

    Examples
    --------
    >>> fastest([Way("plain", float("inf"), lambda: []), Way("tiled", 3.0, lambda: [(None, [0])])])
    [(None, [0])]
    """
    return min(ways, key=lambda way: way.cycles).pieces()


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes
    ----------
    label : str
        What the kernels' names begin with.
    kind : {"conv_fprop", "conv_dgrad", "conv_wgrad"}
        Whether it is a convolution, or the gradient of its images or filters.
    geometry : Geometry
        Of the convolution.
    dtypes : Dtypes
    operands, outputs : sequence of int or Temporary
        The buffers, in the order in which the kernels take them.
    target : Target
    """

    label: str
    kind: str
    geometry: Geometry
    dtypes: Dtypes
    operands: Sequence[Place]
    outputs: Sequence[Place]
    target: Target

    @property
    def images(self) -> tuple[int, int, int, int]:
        """The shape of what the convolution makes."""
        return (self.geometry.image[0], self.geometry.filters[0], *self.geometry.output)

    def temporary(self, shape: Sequence[int], dtype: str) -> Temporary:
        """Return memory for an array."""
        return Temporary(prod(shape) * element_bytes(dtype))

    def apart(self, shape: Sequence[int], dtype: str) -> float:
        """Return about how long it takes to write an array in one kernel, and to read it in another."""
        return LAUNCH + 2 * prod(shape) * element_bytes(dtype) / (BYTES_PER_CYCLE * self.target.multiprocessors)

    def places(self, values: Place, places: Place, window: Pair) -> tuple[Temporary, Pieces]:
        """Return memory for images that are zero but for values at places, and what writes it."""
        pooled = (*self.images[:2], self.images[2] // window[0], self.images[3] // window[1])
        kernel = pooling_kernel("at_places", {"window": window}, self.images, pooled, self.dtypes.operands)
        images = self.temporary(self.images, self.dtypes.operands)
        return images, [(kernel, [values, places, images])]


def ways_to_correlate(job: Job, task: Task) -> list[Way]:
    """Return the ways to carry out a correlation: a convolution, or the gradient of its images.

    Parameters
    ----------
    job : Job
        Its operands are those of the task's buffers.
    task : Task
    """
    buffers = [*job.operands, *job.outputs]
    ways = [Way("plain", float("inf"), lambda: [(plain_correlation(job.label, task), buffers)])]
    tile = tile_of(task, job.target)
    if tile is not None:
        cycles = tile.cycles(job.target)
        ways.append(Way("tiled", cycles, lambda: [(tiled_correlation(job.label, task, tile), buffers)]))
    return [*ways, *_ways_of_many_channels(job, task), *_apart(job, task)]


def _ways_of_many_channels(job: Job, task: Task) -> list[Way]:
    """Return the ways that pay with many channels."""
    ways = []
    product = best_product(task, job.target)
    if product is not None:

        def pieces() -> Pieces:
            (first, arranged), second = product_kernels(job.label, task, product)
            buffers, filters = [*job.operands, *job.outputs], len(task.source.buffers)
            return [
                (first, [buffers[filters], arranged]), (second, [*buffers[:filters], arranged, *buffers[filters + 1 :]])
            ]  # fmt: skip

        ways.append(Way("product", product.cycles(job.target), pieces))
    is_plain = task.source.sparse is None and task.finish == Finish() and prod(task.correlation.window) == 1
    if is_plain and suits_cudnn(job.geometry, job.dtypes.results, job.target):
        ways.append(Way("cudnn", _library_cycles(job), lambda: _by_library(job)))
    return ways


def _library_cycles(job: Job) -> float:
    flops = 2 * prod(job.images) * prod(job.geometry.filters[1:])
    has_tensor_cores = job.dtypes.operands != "float32" or job.target.allow_tf32
    if job.dtypes.are_halves:
        has_tensor_cores = job.target.capability >= LEAST_OF_TF32
    cycles = flops / job.target.multiprocessors / FLOPS_PER_CYCLE / (TENSOR_CORES if has_tensor_cores else 1) + LAUNCH
    widened = _operand_shapes(job) if job.dtypes.are_halves else []
    return cycles + sum(job.apart(shape, job.dtypes.results) for shape in widened)


def _operand_shapes(job: Job) -> Sequence[Sequence[int]]:
    return _convolution(job).shapes[:2]


def _convolution(job: Job) -> Convolution:
    """Return what a library is asked for.

    It has no engines for operands of 16 bits with a result of 32. But float32 with such numbers is TF32 without loss:
    that rounds to 11 bits, and has float32's range.
    """
    dtypes = job.dtypes
    allow_tf32 = job.target.allow_tf32 or dtypes.are_halves
    return Convolution(job.kind, replace(job.geometry, flip=False), dtypes.results, allow_tf32)


def _by_library(job: Job) -> Pieces:
    """Return a library's product: it correlates, so filters to convolve with are turned around before."""
    is_gradient, dtypes = job.kind == "conv_wgrad", job.dtypes
    before: list[tuple[Any, Sequence[Place]]] = []
    operands = list(job.operands)
    for number, shape in enumerate(_operand_shapes(job)):
        if number == 1 and job.geometry.flip and not is_gradient:
            kernel = turning_kernel(job.label, shape, dtypes)
        elif dtypes.are_halves:
            kernel = widening_kernel(job.label, shape, dtypes)
        else:
            continue
        made = job.temporary(shape, dtypes.results)
        before.append((kernel, [operands[number], made]))
        operands[number] = made
    call = cudnn_call(_convolution(job))
    if not (job.geometry.flip and is_gradient):
        return [*before, (call, [*operands, *job.outputs])]
    turn = turning_kernel(job.label, job.geometry.filters, replace(dtypes, operands=dtypes.results))
    turned = job.temporary(job.geometry.filters, dtypes.results)
    return [*before, (call, [*operands, turned]), (turn, [turned, *job.outputs])]


def _apart(job: Job, task: Task) -> list[Way]:
    """Return the way of which a plain correlation is a part: values are put at places before, sums pooled after."""
    of, sparse = task.correlation, task.source.sparse
    if sparse is not None:
        images, before = job.places(job.operands[0], job.operands[1], sparse)
        plain = replace(job, operands=[images, job.operands[2]])
        ways = _ways_of_many_channels(plain, Task(Source(of), job.dtypes))
        cost = job.apart(job.images, job.dtypes.operands)
        return [Way("apart", way.cycles + cost, partial(_joined, before, way, [])) for way in ways]
    if task.finish == Finish():
        return []
    images = job.temporary(job.images, job.dtypes.results)
    plain = replace(job, operands=job.operands[:2], outputs=[images])
    whole = Source(replace(of, window=(1, 1), result=job.geometry.output))
    ways = _ways_of_many_channels(plain, Task(whole, job.dtypes))
    kernel = finishing_kernel(job.label, job.images, of.window, task.finish, job.dtypes.results)
    after = [(kernel, [images, *job.operands[2:], *job.outputs])]
    cost = job.apart(job.images, job.dtypes.results)
    return [Way("apart", way.cycles + cost, partial(_joined, [], way, after)) for way in ways]


def _joined(before: Pieces, way: Way, after: Pieces) -> Pieces:
    return [*before, *way.pieces(), *after]


def ways_to_filter_gradients(job: Job, source: Source, sparse: Pair | None) -> list[Way]:
    """Return the ways to compute the gradient of a convolution's filters.

    Parameters
    ----------
    job : Job
        Its operands are images and cotangents, or images, values and places.
    source : Source
        The convolution, with plain images.
    sparse : (int, int), optional
        The pooling windows whose values at places make the cotangent.
    """
    label, dtypes, target, operands, (output,) = job.label, job.dtypes, job.target, job.operands, job.outputs
    ways = [Way("plain", float("inf"), lambda: plain_filter_gradient(label, source, sparse, dtypes, operands, output))]
    tile = best_filter_tile(source, sparse, dtypes.operands, target)
    if tile is not None:
        cycles = tile.cycles(target)
        ways.append(Way("tiled", cycles, lambda: tiled_filter_gradient(label, source, dtypes, tile, operands, output)))
    if sparse is None:
        return [*ways, *_filter_ways_of_many_channels(job, source)]
    images, before = job.places(operands[1], operands[2], sparse)
    dense = _filter_ways_of_many_channels(replace(job, operands=[operands[0], images]), source)
    cost = job.apart(job.images, dtypes.operands)
    apart = [Way("apart", way.cycles + cost, partial(_joined, before, way, [])) for way in dense]
    return [*ways, *apart]


def _filter_ways_of_many_channels(job: Job, source: Source) -> list[Way]:
    """Return the ways that pay with many channels, from plain cotangents."""
    ways = []
    product = best_filter_product(source.correlation, job.dtypes.operands, job.target)
    if product is not None:
        (output,) = job.outputs
        make = partial(filter_product_kernels, job.label, source, job.dtypes, product, job.operands, output)
        ways.append(Way("product", product.cycles(job.target), make))
    if suits_cudnn(job.geometry, job.dtypes.results, job.target):
        ways.append(Way("cudnn", _library_cycles(job), lambda: _by_library(job)))
    return ways
