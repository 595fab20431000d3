"""The layers of the step written by hand with NumPy and SciPy's BLAS: what an expert writes without a framework.

Every array is allocated once. A convolution is a matrix product over patches; the patches are laid out with the four
positions of a pooling window outermost, so that pooling is a maximum over the first axis. Where the batch is small, a
weight is updated by one gemm that decays it and subtracts the gradient, which then never exists as an array of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy.linalg.blas import get_blas_funcs

from benchmarks.workloads import ConvolutionPoolLayer, FullyConnectedLayer, Layer, NormalizedLayer, SoftmaxLayer


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


@dataclass(frozen=True)
class Rates:
    """What an update takes besides the gradient.

    Attributes
    ----------
    eta : float
        Learning rate.
    l1, l2 : float
        Factors of the magnitudes and of the squares of the weights in the cost.
    """

    eta: float
    l1: float
    l2: float

    @property
    def decay(self) -> float:
        """What the squared weights' penalty leaves of a weight in one step."""
        return 1.0 - 2.0 * self.eta * self.l2


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
        self._signs = np.empty_like(self.w)
        (self._gemm,) = get_blas_funcs(("gemm",), (self.w,))

    def penalty(self, rates: Rates) -> float:
        """Return what the weights add to the cost."""
        total = 0.0
        if rates.l2:
            flat = self.w.reshape(-1)
            total += rates.l2 * np.dot(flat, flat)
        if rates.l1:
            total += rates.l1 * np.add.reduce(np.abs(self.w, out=self._signs), axis=None)
        return total

    def update(self, inputs: np.ndarray, cotangent: np.ndarray, rates: Rates) -> None:
        """Take eta times the gradient from w; the product inputs.T @ cotangent is the likelihood's part of it."""
        if rates.l1:
            np.sign(self.w, out=self._signs)
            self._signs *= rates.eta * rates.l1
        if len(inputs) <= IN_PLACE_ROWS:
            self._gemm(-rates.eta, cotangent.T, inputs.T, beta=rates.decay, c=self.w.T, trans_b=True, overwrite_c=True)
        else:
            gradient = np.dot(inputs.T, cotangent, out=self._gradient)
            gradient *= rates.eta
            if rates.decay != 1.0:
                self.w *= rates.decay
            self.w -= gradient
        if rates.l1:
            self.w -= self._signs

    def update_bias(self, cotangent: np.ndarray, rates: Rates) -> None:
        """Take eta times the gradient from b."""
        self.b -= rates.eta * np.add.reduce(cotangent, axis=0)


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

    def backward(self, cotangent: np.ndarray, rates: Rates) -> np.ndarray | None:
        """Update the weights and return the cotangent of the inputs, computed with the old ones."""
        if self._activation:
            self._activation[1](self._output, cotangent)
        result = self._input_cotangent
        if result is not None:
            np.dot(cotangent, self.weights.w.T, out=result)
            if self._dropout:
                self._dropout.backward(result)
        self.weights.update(self._inputs, cotangent, rates)
        self.weights.update_bias(cotangent, rates)
        return result

    def load(self, w: np.ndarray, b: np.ndarray) -> None:
        """Set the parameters."""
        self.weights.w[...] = w
        self.weights.b[...] = b

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [self.weights.w.copy(), self.weights.b.copy()]


class Normalized:
    """A fully connected layer without bias, normalised over the batch."""

    def __init__(self, layer: NormalizedLayer, batch_size: int, first: bool, dtype: np.dtype) -> None:
        self.weights = Weights(layer.n_in, layer.n_out, dtype)
        self._gamma, self._beta = np.ones(layer.n_out, dtype), np.zeros(layer.n_out, dtype)
        self._epsilon = layer.epsilon
        self._normal = np.empty((batch_size, layer.n_out), dtype)
        self._output = np.empty_like(self._normal)
        self._product = np.empty_like(self._normal)
        self._input_cotangent = None if first else np.empty((batch_size, layer.n_in), dtype)
        self._activation = ACTIVATIONS[layer.activation]

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        """Return the layer's output (batch, n_out)."""
        self._inputs, count = inputs, len(inputs)
        normal, output = np.dot(inputs, self.weights.w, out=self._normal), self._output
        normal -= np.add.reduce(normal, axis=0) / count
        variance = np.add.reduce(np.multiply(normal, normal, out=self._product), axis=0) / count
        self._scale = 1 / np.sqrt(variance + self._epsilon)
        normal *= self._scale
        np.multiply(normal, self._gamma, out=output)
        output += self._beta
        self._activation[0](output)
        return output

    def backward(self, cotangent: np.ndarray, rates: Rates) -> np.ndarray | None:
        """Update the parameters and return the cotangent of the inputs, computed with the old ones."""
        self._activation[1](self._output, cotangent)
        count = len(cotangent)
        beta_gradient = np.add.reduce(cotangent, axis=0)
        gamma_gradient = np.add.reduce(np.multiply(cotangent, self._normal, out=self._product), axis=0)
        cotangent -= beta_gradient / count
        cotangent -= np.multiply(self._normal, gamma_gradient / count, out=self._product)
        cotangent *= self._gamma * self._scale
        result = self._input_cotangent
        if result is not None:
            np.dot(cotangent, self.weights.w.T, out=result)
        self.weights.update(self._inputs, cotangent, rates)
        self._gamma -= rates.eta * gamma_gradient
        self._beta -= rates.eta * beta_gradient
        return result

    def load(self, w: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> None:
        """Set the parameters."""
        for mine, value in zip((self.weights.w, self._gamma, self._beta), (w, gamma, beta), strict=True):
            mine[...] = value

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [self.weights.w.copy(), self._gamma.copy(), self._beta.copy()]


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

    def backward(self, cotangent: np.ndarray, rates: Rates) -> np.ndarray | None:
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
        chosen = self._cotangent.reshape(-1, n_filters)
        self.weights.update(self._patch_rows, chosen, rates)
        self.weights.update_bias(chosen, rates)
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


Program = Dense | Normalized | ConvolutionPool


def compile_layer(layer: Layer, batch_size: int, first: bool, dtype: np.dtype) -> Program:
    """Return the program of one layer."""
    if isinstance(layer, ConvolutionPoolLayer):
        return ConvolutionPool(layer, batch_size, first, dtype)
    if isinstance(layer, NormalizedLayer):
        return Normalized(layer, batch_size, first, dtype)
    return Dense(layer, batch_size, first, dtype)
