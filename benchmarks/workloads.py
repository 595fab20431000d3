"""What is benchmarked: the networks, their hyper-parameters and their initial parameters; and plain expressions.

A workload is data, not code: every peer reads the same layers and writes the step in its own idiom. The networks are
those of the Deep Learning Tutorials (logistic regression, multilayer perceptron, LeNet), of Nielsen's book (the shallow
net, and the two-convolution network of its sixth chapter), a deeper perceptron with batch normalisation, and an LSTM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from benchmarks.expressions import EXPRESSIONS, Expression
from benchmarks.sequences import SEQUENCES, SequenceWorkload

Value = TypeVar("Value")

CHECK_STEPS = 5
"""How many first steps the peers must agree on."""


@dataclass(frozen=True)
class ConvolutionPoolLayer:
    """True convolution (filters flipped, border valid), then 2x2 max pooling, then bias, then the activation.

    Parameters
    ----------
    filter_shape : tuple of int
        Output channels, input channels, filter height, filter width.
    image_shape : tuple of int
        Input channels, height, width.
    activation : str
        ``relu``, ``sigmoid`` or ``tanh``.
    """

    filter_shape: tuple[int, int, int, int]
    image_shape: tuple[int, int, int]
    activation: str

    @property
    def pooled_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the output."""
        channels, _, filter_height, filter_width = self.filter_shape
        _, height, width = self.image_shape
        return channels, (height - filter_height + 1) // 2, (width - filter_width + 1) // 2


@dataclass(frozen=True)
class FullyConnectedLayer:
    """``activation(x @ w + b)``, its input thinned by dropout when ``dropout`` isn't zero.

    Parameters
    ----------
    n_in, n_out : int
        Sizes of an input row and of an output row.
    activation : str
        ``relu``, ``sigmoid`` or ``tanh``.
    dropout : float
        The probability that an input is set to zero (the others aren't rescaled, as in network3).
    """

    n_in: int
    n_out: int
    activation: str
    dropout: float = 0.0


@dataclass(frozen=True)
class SoftmaxLayer:
    """``softmax(x @ w + b)``: the last layer of every workload, with the negative log-likelihood as its cost."""

    n_in: int
    n_out: int
    dropout: float = 0.0


@dataclass(frozen=True)
class NormalizedLayer:
    """``activation(gamma * (z - mean(z)) / sqrt(var(z) + epsilon) + beta)`` with ``z = x @ w``, over the batch.

    Parameters
    ----------
    n_in, n_out : int
        Sizes of an input row and of an output row.
    activation : str
        ``relu``, ``sigmoid`` or ``tanh``.
    epsilon : float
        What keeps the variance away from zero.
    """

    n_in: int
    n_out: int
    activation: str
    epsilon: float = 1e-4


Layer = ConvolutionPoolLayer | FullyConnectedLayer | NormalizedLayer | SoftmaxLayer


def parameter_shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter by its name: ``w, b``, or ``w, gamma, beta``."""
    if isinstance(layer, ConvolutionPoolLayer):
        return {"w": layer.filter_shape, "b": layer.filter_shape[:1]}
    matrix, row = (layer.n_in, layer.n_out), (layer.n_out,)
    if isinstance(layer, NormalizedLayer):
        return {"w": matrix, "gamma": row, "beta": row}
    return {"w": matrix, "b": row}


@dataclass(frozen=True)
class Workload:
    """One training step: plain stochastic gradient descent on a minibatch of MNIST.

    The cost is the mean negative log-likelihood, plus ``l2_factor`` times the sum of all squared weights, plus ``l1``
    times the sum of their magnitudes.

    Parameters
    ----------
    name : str
        What ``--only`` takes.
    title : str
        What the table shows.
    layers : tuple of layers
        From the image to the softmax.
    batch_size : int
        Images in a minibatch.
    eta : float
        Learning rate.
    initialization : str
        ``zeros`` (tutorial, logistic regression), ``glorot`` (tutorial, the others) or ``nielsen`` (book).
    l1, l2 : float
        The tutorial's factors of the magnitudes and of the squares of the weights.
    lmbda : float
        The book's: the factor is ``lmbda / 2 / number of minibatches``.
    """

    name: str
    title: str
    layers: tuple[Layer, ...]
    batch_size: int
    eta: float
    initialization: str
    l1: float = 0.0
    l2: float = 0.0
    lmbda: float = 0.0

    @property
    def has_dropout(self) -> bool:
        """Whether the step draws random masks, so that peers can't agree number by number."""
        return any(getattr(layer, "dropout", 0.0) > 0 for layer in self.layers)

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width if the first layer wants images, None if it wants flat rows."""
        first = self.layers[0]
        return first.image_shape if isinstance(first, ConvolutionPoolLayer) else None

    def batch_count(self, example_count: int) -> int:
        """Return the number of whole minibatches in `example_count` examples."""
        return example_count // self.batch_size

    def l2_factor(self, example_count: int) -> float:
        """Return the factor of the sum of squared weights in the cost."""
        return self.l2 + 0.5 * self.lmbda / self.batch_count(example_count)

    def initial_parameters(self, seed: int = 0) -> list[np.ndarray]:
        """Return the parameters of each layer in order, float32; filters are those of a true convolution."""
        random = np.random.RandomState(seed)
        draw = {"zeros": _draw_zeros, "glorot": _draw_glorot, "nielsen": _draw_nielsen}[self.initialization]
        return [
            draw(layer, name, shape, random).astype(np.float32)
            for layer in self.layers
            for name, shape in parameter_shapes(layer).items()
        ]

    def parameter_names(self) -> list[str]:
        """Return ``w of layer 0`` and so on, in the order of `initial_parameters`."""
        return [
            f"{name} of layer {position}"
            for position, layer in enumerate(self.layers)
            for name in parameter_shapes(layer)
        ]

    def by_layer(self, parameters: Sequence[Value]) -> list[tuple[Value, ...]]:
        """Return the parameters of each layer, from those of all layers in order."""
        remaining = iter(parameters)
        return [tuple(next(remaining) for _ in parameter_shapes(layer)) for layer in self.layers]

    def weights(self, parameters: Sequence[Value]) -> list[Value]:
        """Return those parameters that the penalty is about: matrices and filters, the first of each layer."""
        return [first for first, *_ in self.by_layer(parameters)]


AnyWorkload = Workload | SequenceWorkload | Expression


def _draw_zeros(layer: Layer, name: str, shape: tuple[int, ...], random: np.random.RandomState) -> np.ndarray:
    """Zeros everywhere, as the tutorial starts logistic regression."""
    return np.zeros(shape)


def _draw_glorot(layer: Layer, name: str, shape: tuple[int, ...], random: np.random.RandomState) -> np.ndarray:
    """Uniform in plus or minus sqrt(6 / (fan in + fan out)) for weights; zeros for softmax and biases; gamma is 1."""
    if name != "w" or isinstance(layer, SoftmaxLayer):
        return np.full(shape, 1.0 if name == "gamma" else 0.0)
    fans = float(sum(shape))
    if isinstance(layer, ConvolutionPoolLayer):
        fans = math.prod(shape[1:]) + _pooled_fan_out(layer)
    bound = math.sqrt(6.0 / fans)
    return random.uniform(-bound, bound, shape)


def _draw_nielsen(layer: Layer, name: str, shape: tuple[int, ...], random: np.random.RandomState) -> np.ndarray:
    """Normal with variance 1 / n_out for weights and 1 for biases; zeros for softmax."""
    if isinstance(layer, SoftmaxLayer):
        return np.zeros(shape)
    if name != "w":
        return random.normal(0.0, 1.0, shape)
    n_out = _pooled_fan_out(layer) if isinstance(layer, ConvolutionPoolLayer) else shape[1]
    return random.normal(0.0, math.sqrt(1.0 / n_out), shape)


def _pooled_fan_out(layer: ConvolutionPoolLayer) -> float:
    """Return how many outputs an input of the convolution feeds, by the book's and the tutorial's count."""
    pool_area = 4
    return layer.filter_shape[0] * math.prod(layer.filter_shape[2:]) / pool_area


def _network3(name: str, title: str, dropout: float) -> Workload:
    """The two-convolution ReLU network with two fully connected layers."""
    layers = (
        ConvolutionPoolLayer((20, 1, 5, 5), (1, 28, 28), "relu"),
        ConvolutionPoolLayer((40, 20, 5, 5), (20, 12, 12), "relu"),
        FullyConnectedLayer(40 * 4 * 4, 1000, "relu", dropout),
        FullyConnectedLayer(1000, 1000, "relu", dropout),
        SoftmaxLayer(1000, 10, dropout),
    )
    return Workload(name, title, layers, batch_size=10, eta=0.03, initialization="nielsen", lmbda=0.1)


def _logistic(batch_size: int) -> Workload:
    """The tutorial's logistic regression."""
    return Workload(
        f"logistic-{batch_size}",
        f"logistic regression 784-10, batch {batch_size}",
        (SoftmaxLayer(784, 10),),
        batch_size=batch_size,
        eta=0.13,
        initialization="zeros",
    )


def _lenet() -> Workload:
    """The tutorial's convolutional network."""
    layers = (
        ConvolutionPoolLayer((20, 1, 5, 5), (1, 28, 28), "tanh"),
        ConvolutionPoolLayer((50, 20, 5, 5), (20, 12, 12), "tanh"),
        FullyConnectedLayer(50 * 4 * 4, 500, "tanh"),
        SoftmaxLayer(500, 10),
    )
    return Workload("lenet", "LeNet, batch 500", layers, batch_size=500, eta=0.1, initialization="glorot")


def _normalized(hidden_layers: int = 5, width: int = 100) -> Workload:
    """A perceptron of several hidden layers, each with batch normalisation."""
    sizes = [784] + [width] * hidden_layers
    layers = [NormalizedLayer(n_in, n_out, "relu") for n_in, n_out in pairwise(sizes)]
    title = f"{hidden_layers} x {width} ReLU with batch normalisation, batch 100"
    return Workload(
        "batch-norm", title, (*layers, SoftmaxLayer(width, 10)), batch_size=100, eta=0.1, initialization="glorot"
    )


WORKLOADS: dict[str, AnyWorkload] = {
    workload.name: workload
    for workload in (
        _network3("network3-dropout", "network3 with dropout, batch 10", dropout=0.5),
        _network3("network3", "network3, batch 10", dropout=0.0),
        Workload(
            "shallow",
            "shallow net 784-100-10 sigmoid, batch 10",
            (FullyConnectedLayer(784, 100, "sigmoid"), SoftmaxLayer(100, 10)),
            batch_size=10,
            eta=0.1,
            initialization="nielsen",
        ),
        _logistic(10),
        _logistic(600),
        Workload(
            "mlp",
            "MLP 784-500-10 tanh, L1 + L2, batch 20",
            (FullyConnectedLayer(784, 500, "tanh"), SoftmaxLayer(500, 10)),
            batch_size=20,
            eta=0.01,
            initialization="glorot",
            l1=0.0001,
            l2=0.0001,
        ),
        _normalized(),
        _lenet(),
        *SEQUENCES,
        *EXPRESSIONS,
    )
}
"""Every workload by name, in the table's order."""
