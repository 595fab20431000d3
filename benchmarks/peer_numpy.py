"""The step written by hand with NumPy and SciPy's BLAS, from the layers of ``numpy_layers``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from benchmarks.expressions import Expression
from benchmarks.numpy_expressions import expression_function
from benchmarks.numpy_layers import FLOAT32, ConvolutionPool, Rates, compile_layer
from benchmarks.numpy_sequences import NumpySequenceStep
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, Peer, TrainingStep
from benchmarks.workloads import Workload


class NumpyStep(TrainingStep):
    """A workload written out in NumPy.

    Parameters
    ----------
    workload : Workload
        Layers and hyper-parameters.
    images : (n, 784)
        The training images, in `dtype`.
    labels : int64 (n,)
        Their digits.
    dtype : numpy.dtype
        float32; float64 serves to check the program against references.
    """

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray, dtype: np.dtype = FLOAT32) -> None:
        batch_size = workload.batch_size
        self._layers = [
            compile_layer(layer, batch_size, position == 0, dtype) for position, layer in enumerate(workload.layers)
        ]
        self._image_shape = workload.image_shape
        self._images, self._labels = images, labels
        self._rows = np.arange(batch_size)
        self._by_layer = workload.by_layer
        self._rates = Rates(workload.eta, workload.l1, workload.l2_factor(len(images)))
        self._batch_size = batch_size

    def step(self, index: int) -> np.floating:
        """Run one step on minibatch `index` and return its cost."""
        start = index * self._batch_size
        inputs = self._images[start : start + self._batch_size]
        labels = self._labels[start : start + self._batch_size]
        logits = self._forward(inputs)
        logits -= np.maximum.reduce(logits, axis=1, keepdims=True)
        right = logits[self._rows, labels]
        probabilities = np.exp(logits, out=logits)
        totals = np.add.reduce(probabilities, axis=1, keepdims=True)
        cost = (np.log(totals).sum() - right.sum()) / self._batch_size
        cost += sum(layer.weights.penalty(self._rates) for layer in self._layers)
        probabilities /= totals
        probabilities[self._rows, labels] -= 1
        probabilities /= self._batch_size
        self._backward(probabilities)
        return cost

    def _forward(self, inputs: np.ndarray) -> np.ndarray:
        """Return the logits."""
        if self._image_shape:
            inputs = inputs.reshape(self._batch_size, *self._image_shape).transpose(2, 3, 0, 1)
        for layer in self._layers:
            if inputs.ndim == 4 and not isinstance(layer, ConvolutionPool):
                self._flattened_shape = inputs.shape
                inputs = inputs.transpose(2, 3, 0, 1).reshape(self._batch_size, -1)
            inputs = layer.forward(inputs)
        return inputs

    def _backward(self, cotangent: np.ndarray) -> None:
        """Update every layer, from the logits' cotangent."""
        for layer in reversed(self._layers):
            if cotangent.ndim == 2 and isinstance(layer, ConvolutionPool):
                height, width, batch_size, channels = self._flattened_shape
                cotangent = cotangent.reshape(batch_size, channels, height, width).transpose(2, 3, 0, 1)
            cotangent = layer.backward(cotangent, self._rates)

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        for layer, own in zip(self._layers, self._by_layer(parameters), strict=True):
            layer.load(*own)

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [parameter for layer in self._layers for parameter in layer.parameters()]


class NumpyPeer(Peer):
    """NumPy and SciPy's BLAS."""

    title = "NumPy by hand"

    def versions(self) -> dict[str, str]:
        """Return the versions of NumPy and SciPy."""
        return {"numpy": np.__version__, "scipy": scipy.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return NumpyStep(workload, images, labels)

    def build_sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Return the step of a recurrent network."""
        return NumpySequenceStep(workload)

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Return the step of `expression`."""
        return ExpressionStep(expression_function(expression))
