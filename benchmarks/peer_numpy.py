"""The step written by hand with NumPy and SciPy's BLAS: what an expert writes without a framework.

Every array is allocated once. A convolution is a matrix product over patches; the patches are laid out with the four
positions of a pooling window outermost, so that pooling is a maximum over the first axis. Where the batch is small, a
weight is updated by one gemm that decays it and subtracts the gradient, which then never exists as an array of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy
from numpy.lib.stride_tricks import as_strided
from scipy.linalg.blas import get_blas_funcs

from benchmarks.steps import Peer, TrainingStep
from benchmarks.workloads import ConvolutionPoolLayer, FullyConnectedLayer, Layer, SoftmaxLayer, Workload


def _relu(values: np.ndarray) -> None:
    """Replace `values` by max(values, 0)."""
    np.maximum(values, 0, out=values)


def _relu_pullback(output: np.ndarray, cotangent: np.ndarray) -> None:
    """Multiply `cotangent` by the derivative of relu where it gave `output`."""
    cotangent *= output > 0


def _tanh(values: np.ndarray) -> None:
    """Replace `values` by their hyperbolic tangent."""
    np.tanh(values, out=values)


def _tanh_pullback(output: np.ndarray, cotangent: np.ndarray) -> None:
    """Multiply `cotangent` by 1 - output**2."""
    cotangent *= 1 - output * output


def _sigmoid(values: np.ndarray) -> None:
    """Replace `values` by 1 / (1 + exp(-values))."""
    np.negative(values, out=values)
    np.exp(values, out=values)
    values += 1
    np.reciprocal(values, out=values)


def _sigmoid_pullback(output: np.ndarray, cotangent: np.ndarray) -> None:
    """Multiply `cotangent` by output * (1 - output)."""
    cotangent *= output * (1 - output)


Activation = tuple[Callable[[np.ndarray], None], Callable[[np.ndarray, np.ndarray], None]]
ACTIVATIONS: dict[str, Activation] = {
    "relu": (_relu, _relu_pullback),
    "tanh": (_tanh, _tanh_pullback),
    "sigmoid": (_sigmoid, _sigmoid_pullback),
}


FLOAT32 = np.dtype("float32")

IN_PLACE_ROWS = 64
"""Up to this many rows the in-place gemm is faster; above it, a product of its own and then the update."""


class Weights:
    """A weight matrix (n_in, n_out) with its bias, and their updates in place.

    Parameters
    ----------
    n_in, n_out : int
        The shape of the matrix.
    dtype : numpy.dtype
        float32, or float64 to check against references.
    """

    def __init__(self, n_in: int, n_out: int, dtype: np.dtype) -> None:
        self.w = np.zeros((n_in, n_out), dtype)
        self.b = np.zeros(n_out, dtype)
        self._gradient = np.empty_like(self.w)
        (self._gemm,) = get_blas_funcs(("gemm",), (self.w,))

    def squares(self) -> np.floating:
        """Return the sum of the squared weights."""
        flat = self.w.reshape(-1)
        return np.dot(flat, flat)

    def update(self, inputs: np.ndarray, cotangent: np.ndarray, eta: float, decay: float) -> None:
        """Set w to decay * w - eta * inputs.T @ cotangent, and take eta times the bias's gradient from b."""
        if len(inputs) <= IN_PLACE_ROWS:
            self._gemm(-eta, cotangent.T, inputs.T, beta=decay, c=self.w.T, trans_b=True, overwrite_c=True)
        else:
            gradient = np.dot(inputs.T, cotangent, out=self._gradient)
            gradient *= eta
            if decay != 1.0:
                self.w *= decay
            self.w -= gradient
        self.b -= eta * np.add.reduce(cotangent, axis=0)


class Dropout:
    """A fresh mask for each step."""

    def __init__(self, shape: tuple[int, int], probability: float, dtype: np.dtype) -> None:
        self._random = np.random.Generator(np.random.SFC64(0))
        self._uniform = np.empty(shape, np.float32)
        self._keep = 1 - probability
        self._output = np.empty(shape, dtype)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        """Return the inputs that survive, the others zero."""
        self._random.random(out=self._uniform, dtype=np.float32)
        self._mask = self._uniform < self._keep
        return np.multiply(inputs, self._mask, out=self._output)

    def backward(self, cotangent: np.ndarray) -> np.ndarray:
        """Return the cotangent of the inputs, in place."""
        cotangent *= self._mask
        return cotangent


class Dense:
    """A fully connected layer; `first` says that nobody needs the cotangent of its inputs."""

    def __init__(
        self, layer: FullyConnectedLayer | SoftmaxLayer, batch_size: int, first: bool, dtype: np.dtype
    ) -> None:
        self.weights = Weights(layer.n_in, layer.n_out, dtype)
        self._output = np.empty((batch_size, layer.n_out), dtype)
        self._input_cotangent = None if first else np.empty((batch_size, layer.n_in), dtype)
        self._dropout = Dropout((batch_size, layer.n_in), layer.dropout, dtype) if layer.dropout else None
        self._activation = ACTIVATIONS[layer.activation] if isinstance(layer, FullyConnectedLayer) else None

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        """Return the layer's output (batch, n_out); of a softmax layer, the logits."""
        self._inputs = self._dropout.forward(inputs) if self._dropout else inputs
        output = np.dot(self._inputs, self.weights.w, out=self._output)
        output += self.weights.b
        if self._activation:
            self._activation[0](output)
        return output

    def backward(self, cotangent: np.ndarray, eta: float, decay: float) -> np.ndarray | None:
        """Update the weights and return the cotangent of the inputs, computed with the old ones."""
        if self._activation:
            self._activation[1](self._output, cotangent)
        result = self._input_cotangent
        if result is not None:
            np.dot(cotangent, self.weights.w.T, out=result)
            if self._dropout:
                self._dropout.backward(result)
        self.weights.update(self._inputs, cotangent, eta, decay)
        return result

    def load(self, w: np.ndarray, b: np.ndarray) -> None:
        """Set the parameters."""
        self.weights.w[...] = w
        self.weights.b[...] = b

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [self.weights.w.copy(), self.weights.b.copy()]


class ConvolutionPool:
    """Convolution, 2x2 max pooling, bias, activation; images are (height, width, batch, channels).

    A filter is a column of the weight matrix, flipped, its rows ordered by height, width and channel. With the batch
    inside, adding up the cotangents of patches moves long contiguous runs.
    """

    def __init__(self, layer: ConvolutionPoolLayer, batch_size: int, first: bool, dtype: np.dtype) -> None:
        self._filter_shape = layer.filter_shape
        n_filters, channels, filter_height, filter_width = layer.filter_shape
        _, height, width = layer.image_shape
        _, self._pooled_height, self._pooled_width = layer.pooled_shape
        self._batch_size = batch_size
        n_in = filter_height * filter_width * channels
        pixels = self._pooled_height * self._pooled_width * batch_size
        image_shape = (height, width, batch_size, channels)
        pooled_shape = (self._pooled_height, self._pooled_width, batch_size)
        self.weights = Weights(n_in, n_filters, dtype)
        self._activation = ACTIVATIONS[layer.activation]
        self._patches = np.empty((2, 2, *pooled_shape, filter_height, filter_width, channels), dtype)
        self._patch_rows = self._patches.reshape(-1, n_in)
        self._convolved = np.empty((4, pixels, n_filters), dtype)
        self._pooled = np.empty((pixels, n_filters), dtype)
        self._output = np.empty((pixels, n_filters), dtype)
        self._output_image = self._output.reshape(*pooled_shape, n_filters)
        self._remaining = np.empty((pixels, n_filters), dtype)
        self._cotangent = np.empty((4, pixels, n_filters), dtype)
        self._image_cotangent = None if first else ImageCotangent(image_shape, layer, dtype)

    def forward(self, image: np.ndarray) -> np.ndarray:
        """Return the output (height, width, batch, channels) for an image of the same layout."""
        row, column, example, channel = image.strides
        strides = (row, column, 2 * row, 2 * column, example, row, column, channel)
        np.copyto(self._patches, as_strided(image, self._patches.shape, strides))
        np.dot(self._patch_rows, self.weights.w, out=self._convolved.reshape(self._patch_rows.shape[0], -1))
        np.maximum.reduce(self._convolved, axis=0, out=self._pooled)
        np.add(self._pooled, self.weights.b, out=self._output)
        self._activation[0](self._output)
        return self._output_image

    def backward(self, cotangent: np.ndarray, eta: float, decay: float) -> np.ndarray | None:
        """Update the weights and return the image's cotangent, computed with the old ones."""
        remaining = self._remaining
        np.copyto(remaining.reshape(cotangent.shape), cotangent)
        self._activation[1](self._output, remaining)
        for position in range(4):
            chosen = self._cotangent[position]
            np.multiply(remaining, self._convolved[position] == self._pooled, out=chosen)
            remaining -= chosen
        result = None
        if self._image_cotangent:
            n_filters = self._filter_shape[0]
            blocks = (2, 2, self._pooled_height, self._pooled_width, self._batch_size, n_filters)
            result = self._image_cotangent.compute(self._cotangent.reshape(blocks), self.weights.w)
        n_filters = self._filter_shape[0]
        self.weights.update(self._patch_rows, self._cotangent.reshape(-1, n_filters), eta, decay)
        return result

    def load(self, w: np.ndarray, b: np.ndarray) -> None:
        """Set the parameters from filters (out, in, height, width) of a true convolution."""
        flipped = w[:, :, ::-1, ::-1]
        self.weights.w[...] = flipped.transpose(2, 3, 1, 0).reshape(self.weights.w.shape)
        self.weights.b[...] = b

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters in the layout of `load`."""
        n_filters, channels, height, width = self._filter_shape
        flipped = self.weights.w.reshape(height, width, channels, n_filters).transpose(3, 2, 0, 1)
        return [flipped[:, :, ::-1, ::-1].copy(), self.weights.b.copy()]


class ImageCotangent:
    """The pullback of a convolution to its image: one product per filter position, added up where it came from."""

    def __init__(self, image_shape: tuple[int, int, int, int], layer: ConvolutionPoolLayer, dtype: np.dtype) -> None:
        n_filters, channels, self._filter_height, self._filter_width = layer.filter_shape
        height, width, batch_size, _ = image_shape
        self._height = height - self._filter_height + 1
        self._width = width - self._filter_width + 1
        self._image = np.empty(image_shape, dtype)
        self._ordered = np.empty((self._height, self._width, batch_size, n_filters), dtype)
        positions = (self._filter_height, self._filter_width)
        self._terms = np.empty((*positions, self._height, self._width, batch_size, channels), dtype)

    def compute(self, blocks: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return the image's cotangent.

        Parameters
        ----------
        blocks : (2, 2, pooled height, pooled width, batch, filters)
            The cotangent of the convolution, by position in the pooling window.
        w : (filter height * filter width * channels, filters)
            The weight matrix.
        """
        ordered = self._ordered
        for row in range(2):
            for column in range(2):
                ordered[row::2, column::2] = blocks[row, column]
        positions = self._filter_height * self._filter_width
        n_filters = w.shape[1]
        by_position = w.reshape(positions, -1, n_filters).transpose(0, 2, 1)
        terms = self._terms
        np.matmul(ordered.reshape(-1, n_filters), by_position, out=terms.reshape(positions, -1, by_position.shape[2]))
        image = self._image
        image.fill(0)
        for row in range(self._filter_height):
            for column in range(self._filter_width):
                image[row : row + self._height, column : column + self._width] += terms[row, column]
        return image


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
            _compile_layer(layer, batch_size, position == 0, dtype) for position, layer in enumerate(workload.layers)
        ]
        self._image_shape = workload.image_shape
        self._images, self._labels = images, labels
        self._rows = np.arange(batch_size)
        self._eta = workload.eta
        self._l2_factor = workload.l2_factor(len(images))
        self._decay = 1.0 - 2.0 * workload.eta * self._l2_factor
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
        if self._l2_factor:
            cost += self._l2_factor * sum(layer.weights.squares() for layer in self._layers)
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
            if inputs.ndim == 4 and isinstance(layer, Dense):
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
            cotangent = layer.backward(cotangent, self._eta, self._decay)

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        for position, layer in enumerate(self._layers):
            layer.load(*parameters[2 * position : 2 * position + 2])

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [parameter for layer in self._layers for parameter in layer.parameters()]


def _compile_layer(layer: Layer, batch_size: int, first: bool, dtype: np.dtype) -> Dense | ConvolutionPool:
    """Return the program of one layer."""
    if isinstance(layer, ConvolutionPoolLayer):
        return ConvolutionPool(layer, batch_size, first, dtype)
    return Dense(layer, batch_size, first, dtype)


class NumpyPeer(Peer):
    """NumPy and SciPy's BLAS."""

    title = "NumPy by hand"

    def versions(self) -> dict[str, str]:
        """Return the versions of NumPy and SciPy."""
        return {"numpy": np.__version__, "scipy": scipy.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return NumpyStep(workload, images, labels)
