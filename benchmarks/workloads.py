"""What is benchmarked: the networks, their hyper-parameters and their initial parameters.

A workload is data, not code: every peer reads the same layers and writes the step in its own idiom. The networks are
those of the Deep Learning Tutorials (logistic regression, multilayer perceptron) and of Nielsen's book (the shallow
net, and the two-convolution network of its sixth chapter).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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


Layer = ConvolutionPoolLayer | FullyConnectedLayer | SoftmaxLayer


@dataclass(frozen=True)
class Workload:
    """One training step: plain stochastic gradient descent on a minibatch of MNIST.

    The cost is the mean negative log-likelihood plus ``l2_factor`` times the sum of all squared weights.

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
        ``zeros`` (tutorial, logistic regression), ``glorot`` (tutorial, perceptron) or ``nielsen`` (book).
    l2 : float
        The tutorial's factor of the squared weights.
    lmbda : float
        The book's: the factor is ``lmbda / 2 / number of minibatches``.
    """

    name: str
    title: str
    layers: tuple[Layer, ...]
    batch_size: int
    eta: float
    initialization: str
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
        """Return ``w, b`` of each layer in order, float32; filters are those of a true convolution."""
        random = np.random.RandomState(seed)
        draw = {"zeros": _draw_zeros, "glorot": _draw_glorot, "nielsen": _draw_nielsen}[self.initialization]
        parameters = []
        for layer in self.layers:
            parameters += [parameter.astype(np.float32) for parameter in draw(layer, random)]
        return parameters


def _shapes(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of ``w`` and ``b``."""
    if isinstance(layer, ConvolutionPoolLayer):
        return layer.filter_shape, layer.filter_shape[:1]
    return (layer.n_in, layer.n_out), (layer.n_out,)


def _draw_zeros(layer: Layer, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Zeros everywhere, as the tutorial starts logistic regression."""
    weight_shape, bias_shape = _shapes(layer)
    return np.zeros(weight_shape), np.zeros(bias_shape)


def _draw_glorot(layer: Layer, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Uniform in plus or minus sqrt(6 / (n_in + n_out)) for tanh layers; zeros for biases and softmax."""
    weight_shape, bias_shape = _shapes(layer)
    if isinstance(layer, SoftmaxLayer):
        return np.zeros(weight_shape), np.zeros(bias_shape)
    bound = math.sqrt(6.0 / sum(weight_shape))
    return random.uniform(-bound, bound, weight_shape), np.zeros(bias_shape)


def _draw_nielsen(layer: Layer, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Normal with variance 1 / n_out for weights and 1 for biases; zeros for softmax."""
    weight_shape, bias_shape = _shapes(layer)
    if isinstance(layer, SoftmaxLayer):
        return np.zeros(weight_shape), np.zeros(bias_shape)
    n_out = weight_shape[1]
    if isinstance(layer, ConvolutionPoolLayer):
        pool_area = 4
        n_out = weight_shape[0] * math.prod(weight_shape[2:]) / pool_area
    return random.normal(0.0, math.sqrt(1.0 / n_out), weight_shape), random.normal(0.0, 1.0, bias_shape)


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


WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        _logistic(10),
        _logistic(600),
        Workload(
            "mlp",
            "MLP 784-500-10 tanh, batch 20",
            (FullyConnectedLayer(784, 500, "tanh"), SoftmaxLayer(500, 10)),
            batch_size=20,
            eta=0.01,
            initialization="glorot",
            l2=0.0001,
        ),
        Workload(
            "shallow",
            "shallow net 784-100-10 sigmoid, batch 10",
            (FullyConnectedLayer(784, 100, "sigmoid"), SoftmaxLayer(100, 10)),
            batch_size=10,
            eta=0.1,
            initialization="nielsen",
        ),
        _network3("network3", "network3, batch 10", dropout=0.0),
        _network3("network3-dropout", "network3 with dropout, batch 10", dropout=0.5),
    )
}
"""Every workload by name, in the table's order."""
