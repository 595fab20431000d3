"""Convolutions whose parameters are given once and whose operands later, under Theano's names.

``AbstractConv2d_gradInputs(kshp=(8, 3, 5, 5), border_mode="valid")(filters, output_grad, image_sizes)`` is
``conv2d_grad_wrt_inputs(...)``, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.variables import Variable
from symgrad.ops import conv_3d, conv_gradients
from symgrad.ops.conv import conv2d


@dataclass(frozen=True)
class AbstractConv:
    """The parameters of a convolution along `convdim` axes.

    Parameters
    ----------
    convdim : int
        2 for images, 3 for volumes.
    imshp, kshp : sizes, optional
        Shapes of images and filters; None leaves one open.
    border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared
        As `conv2d` has them.
    """

    convdim: int
    imshp: Sequence[Any] | None = None
    kshp: Sequence[Any] | None = None
    border_mode: Any = "valid"
    subsample: Any = 1
    filter_flip: bool = True
    filter_dilation: Any = 1
    num_groups: int = 1
    unshared: bool = False

    def parameters(self) -> dict[str, Any]:
        """Return what all functions take by name."""
        taken = {
            "border_mode": self.border_mode, "subsample": self.subsample, "filter_flip": self.filter_flip,
            "filter_dilation": self.filter_dilation, "num_groups": self.num_groups,
        }  # fmt: skip
        return {**taken, "unshared": self.unshared} if self.convdim == 2 else taken

    def choice(self, *functions: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function for images, or that for volumes."""
        return functions[self.convdim - 2]

    def whole_shape(self, shape: Any, known: Sequence[Any] | None, ndim: int) -> list[Any]:
        """Return all sizes of a result: the last ones as given, or all as the parameters say."""
        if shape is None:
            if known is None:
                raise user_error(ShapeError, f"{type(self).__name__} needs the last {self.convdim} sizes of its result")
            return list(known)
        sizes = [shape[axis] for axis in range(self.convdim)] if isinstance(shape, Variable) else list(shape)  # type: ignore[index]
        return [*(list(known)[: ndim - self.convdim] if known else [None] * (ndim - self.convdim)), *sizes]


class ConvolutionOf(AbstractConv):
    """Called with images and filters, it convolves them."""

    def __call__(self, image: Any, filters: Any) -> Any:
        function = self.choice(conv2d, conv_3d.conv3d)
        return function(image, filters, self.imshp, self.kshp, **self.parameters())


class ImageGradientOf(AbstractConv):
    """Called with filters, the output's gradient, and the images' last sizes, it returns the images' gradient."""

    def __call__(self, filters: Any, output_grad: Any, shape: Any = None) -> Any:
        function = self.choice(conv_gradients.conv2d_grad_wrt_inputs, conv_3d.conv3d_grad_wrt_inputs)
        whole = self.whole_shape(shape, self.imshp, 2 + self.convdim)
        return function(output_grad, filters, whole, self.kshp, **self.parameters())


class FilterGradientOf(AbstractConv):
    """Called with images, the output's gradient, and the filters' last sizes, it returns the filters' gradient."""

    def __call__(self, image: Any, output_grad: Any, shape: Any = None) -> Any:
        function = self.choice(conv_gradients.conv2d_grad_wrt_weights, conv_3d.conv3d_grad_wrt_weights)
        whole = self.whole_shape(shape, self.kshp, 6 if self.unshared else 2 + self.convdim)
        return function(image, output_grad, whole, self.imshp, **self.parameters())


def AbstractConv2d(*parameters: Any, **named: Any) -> ConvolutionOf:
    """Return a function of images and filters; parameters as `AbstractConv` has them.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> images, filters = T.tensor('float64', (1, 2, 5, 5)), T.tensor('float64', (3, 2, 3, 3))
    >>> T.nnet.AbstractConv2d(border_mode='half')(images, filters).type.shape
    (1, 3, 5, 5)
    """
    return ConvolutionOf(2, *parameters, **named)


def AbstractConv2d_gradInputs(*parameters: Any, **named: Any) -> ImageGradientOf:
    """Return a function of filters, the output's gradient, and the images' height and width.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> filters, cotangent = T.tensor('float64', (3, 2, 3, 3)), T.tensor('float64', (1, 3, 3, 3))
    >>> T.nnet.AbstractConv2d_gradInputs(imshp=(1, 2, 5, 5))(filters, cotangent, (5, 5)).ndim
    4
    """
    return ImageGradientOf(2, *parameters, **named)


def AbstractConv2d_gradWeights(*parameters: Any, **named: Any) -> FilterGradientOf:
    """Return a function of images, the output's gradient, and the filters' height and width.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> images, cotangent = T.tensor('float64', (1, 2, 5, 5)), T.tensor('float64', (1, 3, 3, 3))
    >>> T.nnet.AbstractConv2d_gradWeights(kshp=(3, 2, 3, 3))(images, cotangent, (3, 3)).ndim
    4
    """
    return FilterGradientOf(2, *parameters, **named)


def AbstractConv3d(*parameters: Any, **named: Any) -> ConvolutionOf:
    """Return a function of volumes and filters; parameters as `AbstractConv` has them.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> volumes, filters = T.tensor('float64', (1, 2, 5, 5, 5)), T.tensor('float64', (3, 2, 3, 3, 3))
    >>> T.nnet.AbstractConv3d()(volumes, filters).ndim
    5
    """
    return ConvolutionOf(3, *parameters, **named)


def AbstractConv3d_gradInputs(*parameters: Any, **named: Any) -> ImageGradientOf:
    """Return a function of filters, the output's gradient, and the volumes' last three sizes.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> filters, cotangent = T.tensor('float64', (3, 2, 3, 3, 3)), T.tensor('float64', (1, 3, 3, 3, 3))
    >>> T.nnet.AbstractConv3d_gradInputs(imshp=(1, 2, 5, 5, 5))(filters, cotangent, (5, 5, 5)).ndim
    5
    """
    return ImageGradientOf(3, *parameters, **named)


def AbstractConv3d_gradWeights(*parameters: Any, **named: Any) -> FilterGradientOf:
    """Return a function of volumes, the output's gradient, and the filters' last three sizes.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> volumes, cotangent = T.tensor('float64', (1, 2, 5, 5, 5)), T.tensor('float64', (1, 3, 3, 3, 3))
    >>> T.nnet.AbstractConv3d_gradWeights(kshp=(3, 2, 3, 3, 3))(volumes, cotangent, (3, 3, 3)).ndim
    5
    """
    return FilterGradientOf(3, *parameters, **named)


__all__ = [
    "AbstractConv2d", "AbstractConv2d_gradInputs", "AbstractConv2d_gradWeights", "AbstractConv3d",
    "AbstractConv3d_gradInputs", "AbstractConv3d_gradWeights",
]  # fmt: skip
