"""How much work a workload is: the operations that it can't do without, and the bytes that have to move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.expressions import Expression
from benchmarks.sequences import SequenceWorkload
from benchmarks.workloads import (
    WORKLOADS,
    AnyWorkload,
    ConvolutionPoolLayer,
    Layer,
    NormalizedLayer,
    Workload,
    parameter_shapes,
)

FLOAT_BYTES = 4

PROJECTIONS = 3
"""Matrix products of a layer in a step: forward, for the weights' gradient, and for its input's cotangent."""


@dataclass(frozen=True)
class Work:
    """The least that a step does.

    Attributes
    ----------
    flops : float
        Operations of matrix products and convolutions, a product with its addition as two. In the gradients of a
        pooled convolution only the pixels that were the maximum count: a quarter.
    functions : float
        Values of exp, tanh, sigmoid and their like.
    bytes : float
        Every input, and every parameter before the step, read once; every result, and every parameter after it,
        written once. What lies between layers is taken to stay in the caches.
    """

    flops: float
    functions: float
    bytes: float

    def seconds_at(self, limits: Mapping[str, float]) -> float:
        """Return how long the work takes on a machine that only its limits hold back."""
        return max(self.flops / limits["sgemm"], self.bytes / limits["copy"])

    def bound(self, limits: Mapping[str, float]) -> str:
        """Return the limit that the work meets first: ``arithmetic`` or ``memory``."""
        return "arithmetic" if self.flops / limits["sgemm"] > self.bytes / limits["copy"] else "memory"


def work_of(workload: AnyWorkload) -> Work:
    """Return the work of one step of a workload."""
    if isinstance(workload, SequenceWorkload):
        return _sequence_work(workload)
    return _expression_work(workload) if isinstance(workload, Expression) else _training_work(workload)


def _sequence_work(workload: SequenceWorkload) -> Work:
    """Return the work of a training step of an LSTM; nobody needs the cotangents of its inputs."""
    rows, gates = workload.steps * workload.batch_size, 4 * workload.hidden
    flops = 2.0 * rows * gates * (2 * workload.n_in + PROJECTIONS * workload.hidden)
    elements = gates * (workload.n_in + workload.hidden + 1)
    functions = 5.0 * rows * workload.hidden
    return Work(flops, functions, FLOAT_BYTES * (2 * elements + rows * (workload.n_in + workload.hidden)))


def _expression_work(expression: Expression) -> Work:
    """Return the work of a plain expression: it has no matrix products."""
    arrays = 2 if expression.gradient and expression.function == "softmax" else 1
    functions = {"chain": 2, "softmax": 1, "logsumexp": 1}[expression.function] * expression.size
    return Work(0.0, functions, FLOAT_BYTES * (arrays * expression.size + math.prod(expression.result_shape)))


def _training_work(workload: Workload) -> Work:
    """Return the work of a training step."""
    batch_size = workload.batch_size
    flops = functions = 0.0
    for position, layer in enumerate(workload.layers):
        flops += _layer_flops(layer, batch_size, first=position == 0)
        functions += _layer_functions(layer, batch_size)
    elements = sum(math.prod(shape) for layer in workload.layers for shape in parameter_shapes(layer).values())
    first = workload.layers[0]
    inputs = math.prod(first.image_shape) if isinstance(first, ConvolutionPoolLayer) else first.n_in
    return Work(flops, functions, FLOAT_BYTES * (2 * elements + batch_size * (inputs + 1)))


def _layer_flops(layer: Layer, batch_size: int, first: bool) -> float:
    """Return a layer's operations in a step; nobody needs the cotangent of the first layer's input."""
    gradients = (PROJECTIONS - 1) - first
    if not isinstance(layer, ConvolutionPoolLayer):
        return 2.0 * batch_size * layer.n_in * layer.n_out * (1 + gradients)
    _, height, width = layer.pooled_shape
    pool_area = 4
    pooled = 2.0 * batch_size * height * width * math.prod(layer.filter_shape)
    return pooled * (pool_area + gradients)


def _layer_functions(layer: Layer, batch_size: int) -> float:
    """Return how many exponentials and the like a layer takes; relu is none."""
    if isinstance(layer, ConvolutionPoolLayer):
        outputs = math.prod(layer.pooled_shape)
    else:
        outputs = layer.n_out
    activation = getattr(layer, "activation", "softmax")
    count = 0 if activation == "relu" else outputs
    return float(batch_size * count + (layer.n_out if isinstance(layer, NormalizedLayer) else 0))


def work_by_name() -> dict[str, Work]:
    """Return the work of every workload."""
    return {name: work_of(workload) for name, workload in WORKLOADS.items()}
