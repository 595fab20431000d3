"""network3: convolutional networks that read handwritten digits, in symgrad.

The layers, names, arguments and defaults are those of the program `network3.py` in chapter 6 of Michael Nielsen's
"Neural Networks and Deep Learning" (http://neuralnetworksanddeeplearning.com), so that what the book says about the
program is true of this one. The code is new. Read it from top to bottom: it is also a tutorial of symgrad.

    >>> import numpy as np
    >>> training_data, validation_data, test_data = load_data_shared()
    >>> rng = np.random.RandomState(0)
    >>> net = Network([FullyConnectedLayer(784, 30, rng=rng), SoftmaxLayer(30, 10)], mini_batch_size=10)
    >>> net.SGD(training_data, 1, 10, 0.1, validation_data, test_data)    # doctest: +ELLIPSIS
    Epoch 1: mean cost ..., validation accuracy ...%, test accuracy ...%
    Best validation accuracy ...%, after epoch 1; the test accuracy there is ...%

From the command line, `python models/network3.py --help`. Then `training.py` beside this file does what only a program
needs: arguments, a progress bar, checkpoints, pictures.

Programs of this name are around that go wrong in ways that cost accuracy and raise no error. This one:

- measures accuracy with dropout off: `output` and `y_out` come from the undamaged input, with the weights scaled by
  1 - p_dropout, and only the cost reads `output_dropout`;
- gives each layer its own dropout mask: a layer draws its own seed, where a seed fixed inside `dropout_layer` makes
  every layer of a size drop the same neurons;
- divides the L2 term by the number of minibatches in the training data, not by the size of a minibatch, so that
  `lmbda` means the same for every minibatch size;
- judges all images of a data set, also if the minibatch size doesn't divide their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import symgrad
import symgrad.tensor as T
from symgrad.data import Split, load_mnist
from symgrad.random import RandomStreams
from symgrad.tensor import sigmoid, tanh

__all__ = [
    "ConvPoolLayer", "FullyConnectedLayer", "Network", "ReLU", "SoftmaxLayer", "Step", "dropout_layer", "linear",
    "load_data_shared", "share", "sigmoid", "tanh",
]  # fmt: skip

Seed = int | np.random.RandomState | None


# ---- activation functions; sigmoid and tanh are symgrad's ----


def linear(z: Any) -> Any:
    """Return `z` as it is."""
    return z


def ReLU(z: Any) -> Any:
    """Return ``max(0, z)``: a rectified linear unit."""
    return T.maximum(0.0, z)


# ---- data ----


def load_data_shared(filename: str | None = None) -> list[tuple[Any, Any]]:
    """Return the training, validation and test data of MNIST, each as `share` makes it.

    Parameters
    ----------
    filename : str, optional
        ``mnist.pkl.gz`` or a folder of IDX files. By default the file that ``SYMGRAD_DATA`` names, else the sample of
        6,000 images that comes with symgrad.
    """
    return [share(split) for split in load_mnist(filename)]


def share(split: Split) -> tuple[Any, Any]:
    """Return the images and labels of a split as symbolic variables, which slices of `givens` can refer to.

    The values are stored once, where functions compute (with ``device = cuda`` that is the GPU), so that a training
    step only needs to be told which minibatch is next.

    Returns
    -------
    images : shared floatX (n, 784)
        One image a row.
    labels : int32 (n,)
        The digits, cast from a shared variable.
    """
    images = symgrad.shared(split.images.astype(symgrad.config.floatX, copy=False), name="images", borrow=True)
    labels = symgrad.shared(split.labels, name="labels", borrow=True)
    return images, T.cast(labels, "int32")


def size(data: tuple[Any, Any]) -> int:
    """Return the number of images in shared data."""
    return len(data[0].get_value(borrow=True))


# ---- the network: layers, the cost, and how it is brought down ----


class Step(NamedTuple):
    """What training one minibatch did.

    Parameters
    ----------
    iteration : int
        How many minibatches the network has been trained on.
    cost : float
        The cost of this minibatch, regularization included, before its update.
    accuracies : pair of float, or None
        After the last minibatch of an epoch, the fraction of validation and of test images read correctly.
    """

    iteration: int
    cost: float
    accuracies: tuple[float, float] | None = None


class Network:
    """Layers in a row, each fed by the one before.

    Parameters
    ----------
    layers : sequence of layers
        The last one is a `SoftmaxLayer`, or another layer with a `cost`.
    mini_batch_size : int
        How many images go through the network at once.

    Attributes
    ----------
    params : list of shared variables
        ``w, b`` of each layer, first layer first.
    x : floatX matrix (mini_batch_size, n_in)
        The images of a minibatch.
    y : int32 vector (mini_batch_size,)
        Their labels.
    output : floatX matrix
        What the last layer makes of `x`. The network is judged by it.
    output_dropout : floatX matrix
        The same with neurons dropped at random. The network is trained on it.
    """

    def __init__(self, layers: Sequence[Any], mini_batch_size: int) -> None:
        self.layers = layers
        self.mini_batch_size = mini_batch_size
        self.params = [param for layer in layers for param in layer.params]
        self.x = T.matrix("x")
        self.y = T.ivector("y")
        self.output = self.output_dropout = self.x
        for layer in layers:
            layer.set_inpt(self.output, self.output_dropout, mini_batch_size)
            self.output, self.output_dropout = layer.output, layer.output_dropout

    def SGD(
        self,
        training_data: tuple[Any, Any],
        epochs: int,
        mini_batch_size: int,
        eta: float,
        validation_data: tuple[Any, Any],
        test_data: tuple[Any, Any],
        lmbda: float = 0.0,
    ) -> None:
        """Train by stochastic gradient descent, and print the accuracies after each epoch.

        Parameters
        ----------
        training_data, validation_data, test_data : pairs (images, labels)
            As `load_data_shared` returns them. Training images beyond the last whole minibatch are left out.
        epochs : int
            How many times to go through the training data, always in the same order.
        mini_batch_size : int
            The network's own.
        eta : float
            Learning rate: each parameter moves by ``-eta`` times its gradient.
        lmbda : float
            Weight of the L2 term, ``0.5 * lmbda * sum of all w ** 2 / number of minibatches``.
        """
        costs: list[float] = []
        accuracies: list[tuple[float, float]] = []
        for step in self.train(training_data, epochs, mini_batch_size, eta, validation_data, test_data, lmbda):
            costs.append(step.cost)
            if step.accuracies is not None:
                accuracies.append(step.accuracies)
                print(
                    f"Epoch {len(accuracies)}: mean cost {np.mean(costs):.4f}, "
                    "validation accuracy {:.2%}, test accuracy {:.2%}".format(*step.accuracies)
                )
                costs.clear()
        if accuracies:
            best = max(accuracies, key=lambda pair: pair[0])
            print(
                f"Best validation accuracy {best[0]:.2%}, after epoch {1 + accuracies.index(best)}; "
                f"the test accuracy there is {best[1]:.2%}"
            )

    def train(
        self,
        training_data: tuple[Any, Any],
        epochs: int,
        mini_batch_size: int,
        eta: float,
        validation_data: tuple[Any, Any],
        test_data: tuple[Any, Any],
        lmbda: float = 0.0,
        iteration: int = 0,
    ) -> Iterator[Step]:
        """Train as `SGD` does, and yield a `Step` after each minibatch.

        Parameters
        ----------
        iteration : int
            How many minibatches the parameters have been trained on already; training goes on behind them.
        """
        train_minibatch = self.training_function(training_data, mini_batch_size, eta, lmbda)
        is_right = self.layers[-1].correct(self.y)
        validate = self.each_image(is_right, validation_data)
        test = self.each_image(is_right, test_data)
        num_training_batches = size(training_data) // mini_batch_size
        while iteration < epochs * num_training_batches:
            cost = float(train_minibatch(iteration % num_training_batches))
            iteration += 1
            if iteration % num_training_batches:
                yield Step(iteration, cost)
            else:
                yield Step(iteration, cost, (float(validate().mean()), float(test().mean())))

    def training_function(
        self, training_data: tuple[Any, Any], mini_batch_size: int, eta: float, lmbda: float = 0.0
    ) -> symgrad.Function:
        """Return the function that trains on minibatch ``i`` of the training data, and returns its cost."""
        if mini_batch_size != self.mini_batch_size:
            raise ValueError(f"the network takes minibatches of {self.mini_batch_size} images, not {mini_batch_size}")
        training_x, training_y = training_data
        num_training_batches = size(training_data) // mini_batch_size
        if not num_training_batches:
            raise ValueError(f"{size(training_data)} training images don't fill a minibatch of {mini_batch_size}")
        cost = self.regularized_cost(lmbda / num_training_batches)
        grads = symgrad.grad(cost, self.params)
        i = T.lscalar("i")
        minibatch = slice(i * mini_batch_size, (i + 1) * mini_batch_size)
        return symgrad.function(
            [i],
            cost,
            updates=[(param, param - eta * grad) for param, grad in zip(self.params, grads, strict=True)],
            givens={self.x: training_x[minibatch], self.y: training_y[minibatch]},
            name="train_minibatch",
        )

    def regularized_cost(self, l2_factor: float) -> Any:
        """Return the last layer's cost, and `l2_factor` times half the sum of all squared weights, as one scalar."""
        l2_norm_squared = sum((layer.w**2).sum() for layer in self.layers)
        return self.layers[-1].cost(self) + 0.5 * l2_factor * l2_norm_squared

    def each_image(self, result: Any, data: tuple[Any, Any]) -> Callable[[], np.ndarray]:
        """Return a function that computes `result` for each image of `data`.

        Parameters
        ----------
        result : variable (mini_batch_size, ...)
            An expression of `x` and `y` with one row an image, such as `output`, or ``layers[-1].y_out``.
        data : pair (images, labels)
            As `load_data_shared` returns it: at least one minibatch.

        Returns
        -------
        callable
            It takes nothing, and returns an array with one row for each image.
        """
        images, labels = data
        first = T.lscalar("first")
        minibatch = slice(first, first + self.mini_batch_size)
        compute = symgrad.function([first], result, givens={self.x: images[minibatch], self.y: labels[minibatch]})
        last = size(data) - self.mini_batch_size
        if last < 0:
            raise ValueError(f"{size(data)} images don't fill a minibatch of {self.mini_batch_size}")

        def compute_all() -> np.ndarray:
            # The last minibatch ends with the data, so it may repeat a few images of the one before.
            starts = [*range(0, last, self.mini_batch_size), last]
            parts = [compute(start) for start in starts]
            parts[-1] = parts[-1][len(parts) * self.mini_batch_size - size(data) :]
            return np.concatenate(parts)

        return compute_all


# ---- layers ----


class ConvPoolLayer:
    """A convolution and a max pooling, then bias and activation.

    Parameters
    ----------
    filter_shape : (filters, channels, height, width)
        The filters; ``channels`` is the number of feature maps, or colours, of the input.
    image_shape : (mini_batch_size, channels, height, width)
        The input.
    poolsize : (height, width)
        Of each window of so many outputs of the convolution the greatest is kept.
    activation_fn : callable
        One of `sigmoid`, `tanh`, `ReLU`, `linear`, or any function of a symbolic tensor.
    rng : int or numpy.random.RandomState, optional
        Where the initial parameters come from; by default NumPy's global generator, as in ``np.random.seed(0)``.

    Attributes
    ----------
    w : shared floatX `filter_shape`
        Weights, at first normal with variance ``1 / n_out``, where ``n_out`` is the number of outputs that a pixel
        takes part in.
    b : shared floatX (filters,)
        Biases, at first standard normal.
    output : floatX (mini_batch_size, filters, pooled height, pooled width)
        The layer's feature maps; of `inpt_dropout` in `output_dropout`. Nothing is dropped in this layer: its few,
        shared weights hardly overfit.
    """

    def __init__(
        self,
        filter_shape: tuple[int, int, int, int],
        image_shape: tuple[int, int, int, int],
        poolsize: tuple[int, int] = (2, 2),
        activation_fn: Callable[[Any], Any] = sigmoid,
        *,
        rng: Seed = None,
    ) -> None:
        self.filter_shape = filter_shape
        self.image_shape = image_shape
        self.poolsize = poolsize
        self.activation_fn = activation_fn
        rng = random_state(rng)
        n_out = filter_shape[0] * np.prod(filter_shape[2:]) / np.prod(poolsize)
        self.w = parameter("w", rng.normal(loc=0, scale=np.sqrt(1.0 / n_out), size=filter_shape))
        self.b = parameter("b", rng.normal(loc=0, scale=1.0, size=filter_shape[:1]))
        self.params = [self.w, self.b]

    def __repr__(self) -> str:
        return (
            f"ConvPoolLayer(filter_shape={self.filter_shape}, image_shape={self.image_shape}, "
            f"poolsize={self.poolsize}, activation_fn={self.activation_fn.__name__})"
        )

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        """Feed the layer: `output` becomes a function of `inpt`, `output_dropout` one of `inpt_dropout`."""
        self.inpt = inpt.reshape(self.image_shape)
        self.inpt_dropout = inpt_dropout.reshape(self.image_shape)
        self.output = self.feature_maps(self.inpt)
        self.output_dropout = self.feature_maps(self.inpt_dropout)

    def feature_maps(self, inpt: Any) -> Any:
        """Return what the layer makes of images."""
        convolved = T.conv2d(
            input=inpt, filters=self.w, filter_shape=self.filter_shape, input_shape=self.image_shape
        )
        pooled = T.pool_2d(input=convolved, ws=self.poolsize, ignore_border=True)
        return self.activation_fn(pooled + self.b.dimshuffle("x", 0, "x", "x"))


class FullyConnectedLayer:
    """A layer in which each neuron sees every input.

    Parameters
    ----------
    n_in, n_out : int
        Number of inputs and of neurons.
    activation_fn : callable
        As for `ConvPoolLayer`.
    p_dropout : float
        The probability with which each input is left out, at random, in each training step.
    rng : int or numpy.random.RandomState, optional
        As for `ConvPoolLayer`; with dropout, the masks' seed comes from it too.

    Attributes
    ----------
    w : shared floatX (n_in, n_out)
        Weights, at first normal with variance ``1 / n_out``.
    b : shared floatX (n_out,)
        Biases, at first standard normal.
    inpt, output : floatX (mini_batch_size, n_in), (mini_batch_size, n_out)
        Input and output of the whole layer. A neuron was trained to work with a fraction ``1 - p_dropout`` of its
        inputs; here it gets all, so its weights count that much less.
    inpt_dropout, output_dropout : floatX, of the same shapes
        Input and output with inputs left out.
    y_out : int64 (mini_batch_size,)
        The neuron with the greatest output: the digit.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation_fn: Callable[[Any], Any] = sigmoid,
        p_dropout: float = 0.0,
        *,
        rng: Seed = None,
    ) -> None:
        self.n_in = n_in
        self.n_out = n_out
        self.activation_fn = activation_fn
        self.p_dropout = p_dropout
        rng = random_state(rng)
        w, b = self.initial_values(rng)
        self.w, self.b = parameter("w", w), parameter("b", b)
        self.params = [self.w, self.b]
        self.streams = RandomStreams(rng.randint(2**31 - 1)) if p_dropout else None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(n_in={self.n_in}, n_out={self.n_out}, "
            f"activation_fn={self.activation_fn.__name__}, p_dropout={self.p_dropout})"
        )

    def initial_values(self, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the first weights and biases."""
        w = rng.normal(loc=0.0, scale=np.sqrt(1.0 / self.n_out), size=(self.n_in, self.n_out))
        b = rng.normal(loc=0.0, scale=1.0, size=self.n_out)
        return w, b

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        """Feed the layer: `output` becomes a function of `inpt`, `output_dropout` one of `inpt_dropout`."""
        self.inpt = inpt.reshape((mini_batch_size, self.n_in))
        self.output = self.activation_fn((1 - self.p_dropout) * T.dot(self.inpt, self.w) + self.b)
        self.y_out = T.argmax(self.output, axis=1)
        flat = inpt_dropout.reshape((mini_batch_size, self.n_in))
        self.inpt_dropout = dropout_layer(flat, self.p_dropout, self.streams)
        self.output_dropout = self.activation_fn(T.dot(self.inpt_dropout, self.w) + self.b)

    def correct(self, y: Any) -> Any:
        """Return for each image whether `y_out` is its label `y`: bool (mini_batch_size,)."""
        return T.eq(y, self.y_out)

    def accuracy(self, y: Any) -> Any:
        """Return the fraction of the minibatch for which `y_out` is the label `y`, a scalar."""
        return T.mean(self.correct(y))


class SoftmaxLayer(FullyConnectedLayer):
    """The last layer: its outputs are the probabilities of the digits, and its parameters are zeros at first.

    Parameters
    ----------
    n_in, n_out, p_dropout, rng
        As for `FullyConnectedLayer`.
    """

    def __init__(self, n_in: int, n_out: int, p_dropout: float = 0.0, *, rng: Seed = None) -> None:
        super().__init__(n_in, n_out, activation_fn=T.softmax, p_dropout=p_dropout, rng=rng)

    def initial_values(self, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return zeros: all digits are equally likely."""
        return np.zeros((self.n_in, self.n_out)), np.zeros(self.n_out)

    def cost(self, net: Network) -> Any:
        """Return the log-likelihood cost: minus the mean of the logarithm of each label's probability."""
        return -T.mean(T.log(self.output_dropout)[T.arange(net.y.shape[0]), net.y])


def dropout_layer(layer: Any, p_dropout: float, streams: RandomStreams | None = None) -> Any:
    """Return `layer` with each of its elements set to zero with probability `p_dropout`.

    Parameters
    ----------
    layer : floatX tensor
        Outputs of a layer.
    p_dropout : float
        From 0 to 1. At 0 nothing is dropped and no random numbers are drawn.
    streams : RandomStreams, optional
        Where the mask comes from; by default a new stream, seeded by NumPy's global generator.
    """
    if not p_dropout:
        return layer
    streams = streams or RandomStreams(np.random.randint(2**31 - 1))
    mask = streams.binomial(n=1, p=1 - p_dropout, size=layer.shape)
    return layer * T.cast(mask, symgrad.config.floatX)


# ---- small matters ----


def parameter(name: str, value: np.ndarray) -> Any:
    """Return a shared variable of dtype floatX."""
    return symgrad.shared(np.asarray(value, dtype=symgrad.config.floatX), name=name, borrow=True)


def random_state(rng: Seed) -> Any:
    """Return the generator that `rng` means: itself, one with this seed, or NumPy's global one for None."""
    if rng is None:
        return np.random
    return rng if isinstance(rng, np.random.RandomState) else np.random.RandomState(rng)


if __name__ == "__main__":
    import training

    raise SystemExit(training.main())
