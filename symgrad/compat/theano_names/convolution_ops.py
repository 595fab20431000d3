"""Theano's classes of ops of convolution and pooling, by `StandIn`: correlations, and gradients of pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import symgrad
from symgrad import tensor as T
from symgrad.compat.theano_names.convolution import image_of, pool_along, window_of
from symgrad.compat.theano_names.stand_ins import StandIn
from symgrad.ops.conv_callables import AbstractConv, ConvolutionOf, FilterGradientOf, ImageGradientOf

_CONVOLUTIONS = ("Conv2d", "Conv2dInputGradient", "Conv2dFilterGradient")


def _correlation(kind: Any, axes: int) -> Callable[..., Any]:
    """Return what takes Theano's parameters of a correlation: filters aren't flipped."""

    def make(
        border_mode: Any = "valid",
        subsample: Any = 1,
        filter_dilation: Any = 1,
        num_groups: int = 1,
        unshared: bool = False,
        **_: Any,
    ) -> Any:
        steps, spreads = [(v,) * axes if isinstance(v, int) else tuple(v) for v in (subsample, filter_dilation)]
        return kind(axes, None, None, border_mode, steps, False, spreads, num_groups, unshared)

    return make


def _sizes(conv: AbstractConv, first: Any, tops: Any, solve: Callable[..., Any]) -> list[Any]:
    """Return the last sizes of a gradient that the program left out; steps must be 1."""
    if any(step != 1 for step in conv.subsample):
        raise ValueError("shape must be given if subsample isn't 1: the result doesn't say it")
    mode, count = conv.border_mode, conv.convdim
    modes = mode if isinstance(mode, tuple | list) else (mode,) * count
    sizes = [[T.as_tensor_variable(x).shape[axis - count] for axis in range(count)] for x in (first, tops)]
    return [solve(*known, *rest) for *known, rest in zip(*sizes, zip(modes, conv.filter_dilation, strict=True),
                                                         strict=True)]  # fmt: skip


class _FilterGradient(FilterGradientOf):
    def __call__(self, image: Any, output_grad: Any, shape: Any = None) -> Any:
        """Return the filters' gradient."""
        return super().__call__(image, output_grad, shape or _sizes(self, image, output_grad, window_of))


class _ImageGradient(ImageGradientOf):
    def __call__(self, filters: Any, output_grad: Any, shape: Any = None) -> Any:
        """Return the images' gradient."""
        return super().__call__(filters, output_grad, shape or _sizes(self, filters, output_grad, image_of))


BaseAbstractConv = StandIn("BaseAbstractConv", AbstractConv, _CONVOLUTIONS, base=AbstractConv)
CorrMM = StandIn("CorrMM", _correlation(ConvolutionOf, 2), ("Conv2d",))
CorrMM_gradWeights = StandIn("CorrMM_gradWeights", _correlation(_FilterGradient, 2), ("Conv2dFilterGradient",))
CorrMM_gradInputs = StandIn("CorrMM_gradInputs", _correlation(_ImageGradient, 2), ("Conv2dInputGradient",))
Corr3dMM = StandIn("Corr3dMM", _correlation(ConvolutionOf, 3))
Corr3dMM_gradWeights = StandIn("Corr3dMM_gradWeights", _correlation(_FilterGradient, 3))
Corr3dMM_gradInputs = StandIn("Corr3dMM_gradInputs", _correlation(_ImageGradient, 3))


# ---- pooling ----


class PoolGrad:
    """The parameters of a gradient of pooling: those of `Pool`."""

    def __init__(self, ignore_border: bool, mode: str = "max", ndim: int = 2, **options: Any) -> None:
        self.ignore_border, self.mode, self.ndim = ignore_border, mode, ndim

    def _pooled(self, x: Any, ws: Any, stride: Any, pad: Any) -> tuple[Any, Any]:
        """Return the images as a variable, and pooled."""
        x = T.as_tensor_variable(x)
        return x, pool_along(self.ndim, x, ws, self.ignore_border, stride, pad, self.mode)


class MaxPoolGrad(PoolGrad):
    """``MaxPoolGrad(ignore_border)(images, maxima, gradient, window)``: the images' gradient."""

    def __call__(self, x: Any, maxout: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None) -> Any:
        """Return the gradient."""
        x, pooled = self._pooled(x, ws, stride, pad)
        return symgrad.Lop(pooled, x, T.as_tensor_variable(gz))


class AveragePoolGrad(PoolGrad):
    """``AveragePoolGrad(ignore_border)(images, gradient, window)``: the images' gradient."""

    def __init__(self, ignore_border: bool, mode: str = "average_inc_pad", ndim: int = 2, **options: Any) -> None:
        super().__init__(ignore_border, mode, ndim)

    def __call__(self, x: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None, dummy: Any = None) -> Any:
        """Return the gradient."""
        x, pooled = self._pooled(x, ws, stride, pad)
        return symgrad.Lop(pooled, x, T.as_tensor_variable(gz))


class MaxPoolRop(PoolGrad):
    """``MaxPoolRop(ignore_border)(images, direction, window)``: forward mode, `direction` where maxima are."""

    def __call__(self, x: Any, eval_point: Any, ws: Any, stride: Any = None, pad: Any = None) -> Any:
        """Return the derivative."""
        x, pooled = self._pooled(x, ws, stride, pad)
        return symgrad.Rop(pooled, x, T.as_tensor_variable(eval_point))


class DownsampleFactorMaxGradGrad(PoolGrad):
    """``DownsampleFactorMaxGradGrad(ignore_border)(images, maxima, direction, window)``: as `MaxPoolRop`."""

    def __call__(self, x: Any, maxout: Any, ggx: Any, ws: Any, stride: Any = None, pad: Any = None) -> Any:
        """Return the derivative."""
        x, pooled = self._pooled(x, ws, stride, pad)
        return symgrad.Rop(pooled, x, T.as_tensor_variable(ggx))


__all__ = [
    "AveragePoolGrad", "BaseAbstractConv", "Corr3dMM", "Corr3dMM_gradInputs", "Corr3dMM_gradWeights", "CorrMM",
    "CorrMM_gradInputs", "CorrMM_gradWeights", "DownsampleFactorMaxGradGrad", "MaxPoolGrad", "MaxPoolRop", "PoolGrad",
]  # fmt: skip
