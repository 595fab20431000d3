"""The step in symgrad, written as the tutorials and the book write it: shared data, givens, an index, updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import symgrad
import symgrad.tensor as T
from benchmarks.steps import Peer, TrainingStep
from benchmarks.workloads import ConvolutionPoolLayer, Layer, SoftmaxLayer, Workload
from symgrad.random import RandomStreams


def _activate(name: str, values: Any) -> Any:
    """Return the activation `name` of a symbolic tensor."""
    if name == "relu":
        return T.maximum(0.0, values)
    return T.tanh(values) if name == "tanh" else T.sigmoid(values)


def _layer_output(layer: Layer, batch_size: int, inputs: Any, w: Any, b: Any, streams: RandomStreams) -> Any:
    """Return the symbolic output of one layer; of a softmax layer, the probabilities."""
    if isinstance(layer, ConvolutionPoolLayer):
        convolved = T.conv2d(
            input=inputs,
            filters=w,
            filter_shape=layer.filter_shape,
            input_shape=(batch_size, *layer.image_shape),
            border_mode="valid",
        )
        pooled = T.pool_2d(input=convolved, ws=(2, 2), ignore_border=True)
        return _activate(layer.activation, pooled + b.dimshuffle("x", 0, "x", "x"))
    inputs = inputs.reshape((batch_size, layer.n_in))
    if layer.dropout:
        mask = streams.binomial(n=1, p=1 - layer.dropout, size=(batch_size, layer.n_in))
        inputs = inputs * T.cast(mask, "float32")
    output = T.dot(inputs, w) + b
    return T.softmax(output) if isinstance(layer, SoftmaxLayer) else _activate(layer.activation, output)


@dataclass
class TrainingGraph:
    """The symbolic half of a step, not yet compiled.

    Attributes
    ----------
    index : variable
        The minibatch's number, an ``lscalar``.
    cost : variable
        The scalar cost.
    parameters : list of shared variables
        ``w, b`` of each layer in order.
    eta : float
        Learning rate.
    givens : dict
        What the inputs stand for: slices of the shared data.
    """

    index: Any
    cost: Any
    parameters: list[Any]
    eta: float
    givens: dict[Any, Any]

    def compile(self) -> Any:
        """Return the train function: gradient, updates, compilation."""
        gradients = symgrad.grad(self.cost, self.parameters)
        updates = [
            (parameter, parameter - self.eta * gradient)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
        ]
        return symgrad.function([self.index], self.cost, updates=updates, givens=self.givens)


def training_graph(workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingGraph:
    """Write `workload` as a symbolic expression.

    Parameters
    ----------
    workload : Workload
        Layers and hyper-parameters.
    images : float32 (n, 784)
        The training images.
    labels : int64 (n,)
        Their digits; kept as float32 and cast, as the tutorials do so that they can live on a GPU.
    """
    train_x = symgrad.shared(images, name="train_x", borrow=True)
    train_y = T.cast(symgrad.shared(labels.astype(np.float32), name="train_y", borrow=True), "int32")
    x, y, index = T.matrix("x"), T.ivector("y"), T.lscalar("index")
    parameters = [
        symgrad.shared(value, name=f"{'wb'[position % 2]}{position // 2}", borrow=True)
        for position, value in enumerate(workload.initial_parameters())
    ]
    batch_size = workload.batch_size
    streams = RandomStreams(seed=1)
    output = x.reshape((batch_size, *workload.image_shape)) if workload.image_shape else x
    for position, layer in enumerate(workload.layers):
        w, b = parameters[2 * position : 2 * position + 2]
        output = _layer_output(layer, batch_size, output, w, b, streams)
    cost = -T.mean(T.log(output)[T.arange(y.shape[0]), y])
    l2_factor = workload.l2_factor(len(images))
    if l2_factor:
        cost = cost + l2_factor * sum((w**2).sum() for w in parameters[0::2])
    minibatch = slice(index * batch_size, (index + 1) * batch_size)
    return TrainingGraph(index, cost, parameters, workload.eta, {x: train_x[minibatch], y: train_y[minibatch]})


class SymgradStep(TrainingStep):
    """A workload as one compiled function."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        graph = training_graph(workload, images, labels)
        self._parameters = graph.parameters
        self.step = graph.compile()

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        for mine, value in zip(self._parameters, parameters, strict=True):
            mine.set_value(value)

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [parameter.get_value() for parameter in self._parameters]


class SymgradPeer(Peer):
    """symgrad, on the device and with the flags of its configuration."""

    title = "symgrad"

    def versions(self) -> dict[str, str]:
        """Return symgrad's version, and NumPy's."""
        return {"symgrad": symgrad.__version__, "numpy": np.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return SymgradStep(workload, images, labels)
