"""Convolution and pooling under the names and arguments that they had before `symgrad.tensor.nnet`'s."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad import tensor as T
from symgrad.compat.theano_names.errors import NotKeptError
from symgrad.graph.types import TensorType
from symgrad.tensor import nnet

bool_t = TensorType("bool")
imported_scipy_signal = True


def _listed_sizes(shape: Any) -> Any:
    """Return sizes as a list if they are a constant of the graph."""
    known = getattr(shape, "known", None)
    return shape if known is None else known.tolist()


def old_conv2d(
    input: Any,
    filters: Any,
    image_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    **options: Any,
) -> Any:
    """Return the convolution of images with flipped filters: ``theano.tensor.nnet.conv.conv2d``."""
    image, window = [_listed_sizes(shape) for shape in (image_shape, filter_shape)]
    return nnet.conv2d(input, filters, image, window, border_mode, subsample)


def conv3D(V: Any, W: Any, b: Any, d: Any) -> Any:
    """Return the correlation of ``(batch, rows, columns, time, channels)`` plus a bias, with steps `d`."""
    result = nnet.conv3d(
        V.dimshuffle(0, 4, 1, 2, 3), W.dimshuffle(0, 4, 1, 2, 3), subsample=tuple([int(step) for step in d]),
        filter_flip=False,
    )  # fmt: skip
    return result.dimshuffle(0, 2, 3, 4, 1) + b.dimshuffle("x", "x", "x", "x", 0)


def _pooled(size: Any, window: int, step: int, ignore_border: bool) -> Any:
    """Return how many windows there are on an axis."""
    greater: Any = max if isinstance(size, int | np.integer) else T.maximum
    if ignore_border:
        return greater((size - window) // step + 1, 0)
    return (size - 1) // step + 1 if step >= window else greater((size - 1 - window + step) // step, 0) + 1


def pool_along(ndim: int, x: Any, ws: Any, ignore_border: bool, stride: Any, pad: Any, mode: str) -> Any:
    """Return images pooled along their last axis, their last two, or their last three.

    Examples
    --------
    >>> import numpy as np
    >>> print(pool_along(1, np.array([[1.0, 5.0, 2.0, 3.0]]), (2,), True, None, None, "max").eval())
    [[5. 3.]]
    """
    pads = (0,) * ndim if pad is None else pad
    if ndim == 3:
        return nnet.pool_3d(x, ws, ignore_border, stride, pads, mode)
    if ndim == 2:
        return nnet.pool_2d(x, ws, ignore_border, stride, pads, mode)
    steps = None if stride is None else (*stride, 1)
    columns = T.shape_padright(T.as_tensor_variable(x))
    return nnet.pool_2d(columns, (*ws, 1), ignore_border, steps, (*pads, 0), mode)[..., 0]


class DownsampleFactorMax:
    """Pooling as an op: ``DownsampleFactorMax(ds, ...)(images)``."""

    def __init__(
        self,
        ds: Any = None,
        ignore_border: bool = False,
        st: Any = None,
        padding: Any = (0, 0),
        mode: str = "max",
        **options: Any,
    ) -> None:
        self._options = {"ignore_border": ignore_border, "stride": st, "pad": padding, "mode": mode}
        self._window = ds

    def __call__(self, input: Any, ws: Any = None, stride: Any = None, pad: Any = None) -> Any:
        """Return pooled images."""
        options = dict(self._options)
        options["stride"] = options["stride"] if stride is None else stride
        options["pad"] = options["pad"] if pad is None else pad
        return nnet.pool_2d(input, ws=self._window if ws is None else ws, **options)  # type: ignore[arg-type]

    @staticmethod
    def out_shape(
        imgshape: Any,
        ds: Any = None,
        ignore_border: bool = False,
        st: Any = None,
        padding: Any = None,
        ndim: int | None = None,
        **names: Any,
    ) -> list[Any]:
        """Return the sizes of pooled images; sizes may be expressions, and None stays None.

        Examples
        --------
        >>> Pool.out_shape((10, 3, 7, 8), (2, 3)), Pool.out_shape((7, 8), (3, 3), True, stride=(2, 2))
        ([10, 3, 4, 3], [3, 3])
        """
        window = names.get("ws", ds)
        steps = names.get("stride", st) or window
        pads = names.get("pad", padding) or (0,) * len(window)
        sizes = [
            None if size is None else _pooled(size + 2 * pad, length, step, ignore_border)
            for size, length, step, pad in zip(imgshape[-len(window) :], window, steps, pads, strict=True)
        ]
        return [*imgshape[: -len(window)], *sizes]


class Pool(DownsampleFactorMax):
    """Pooling as an op: ``Pool(ignore_border, mode)(images, window)``."""

    def __init__(self, ignore_border: bool = False, mode: str = "max", ndim: int = 2, **options: Any) -> None:
        super().__init__(None, ignore_border, None, (0,) * ndim, mode)
        self._ndim = ndim

    def __call__(self, input: Any, ws: Any = None, stride: Any = None, pad: Any = None) -> Any:
        """Return pooled images."""
        if self._ndim == 2:
            return super().__call__(input, ws, stride, pad)
        options = self._options
        return pool_along(self._ndim, input, ws, options["ignore_border"], stride, pad, options["mode"])


class ConvOp:
    """Theano's old op of convolution, which isn't kept; `getOutputShape` is."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        raise NotKeptError("symgrad doesn't keep ConvOp. Call theano.tensor.nnet.conv2d.")

    @staticmethod
    def getOutputShape(
        inshp: Any, kshp: Any, stride: Any = (1, 1), mode: str = "valid"
    ) -> tuple[int, ...]:
        """Return rows and columns of the result."""
        grown = {"valid": -1, "full": 1}[mode]
        return tuple([-(-(i + grown * (k - 1)) // s) for i, k, s in zip(inshp, kshp, stride, strict=True)])


def get_conv_shape_1axis(
    image_shape: int | None, kernel_shape: int | None, border_mode: Any, subsample: int, dilation: int = 1
) -> int | None:
    """Return the size of a convolution's result along one axis; None if a size isn't known.

    Examples
    --------
    >>> get_conv_shape_1axis(28, 5, "valid", 1), get_conv_shape_1axis(28, 5, "half", 2)
    (24, 14)
    """
    if image_shape is None or kernel_shape is None:
        return None
    window = (kernel_shape - 1) * dilation + 1
    sides = {"valid": (0, 0), "full": (window - 1,) * 2, "half": (window // 2,) * 2}
    pads = sides[border_mode] if isinstance(border_mode, str) else border_mode
    added = sum(pads) if isinstance(pads, tuple) else 2 * pads
    size = (image_shape + added - window) // subsample + 1
    if size <= 0:
        raise ValueError("The output would have nonpositive size: the image is smaller than the kernel")
    return size


def get_conv_output_shape(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: Any, filter_dilation: Any = None
) -> tuple[int | None, ...]:
    """Return the shape of a convolution's result from those of images and kernels."""
    count = len(subsample)
    dilation = (1,) * count if filter_dilation is None else filter_dilation
    modes = border_mode if isinstance(border_mode, tuple | list) else (border_mode,) * count
    sizes = [
        get_conv_shape_1axis(image, kernel, mode, step, spread)
        for image, kernel, mode, step, spread in zip(
            image_shape[2:], kernel_shape[-count:], modes, subsample, dilation, strict=True
        )
    ]
    return (image_shape[0], kernel_shape[0], *sizes)


def get_conv_gradweights_shape(
    image_shape: Any, top_shape: Any, border_mode: Any, subsample: Any, filter_dilation: Any = None
) -> tuple[int | None, ...]:
    """Return the shape of the filters of which a convolution of images has the shape `top_shape`; steps must be 1."""
    sizes = _inverted(image_shape[2:], top_shape[2:], border_mode, subsample, filter_dilation, window_of)
    return (top_shape[1], image_shape[1], *sizes)


def get_conv_gradinputs_shape(
    kernel_shape: Any, top_shape: Any, border_mode: Any, subsample: Any, filter_dilation: Any = None
) -> tuple[int | None, ...]:
    """Return the shape of the images whose convolution with filters has the shape `top_shape`; steps must be 1."""
    count = len(subsample)
    sizes = _inverted(kernel_shape[-count:], top_shape[2:], border_mode, subsample, filter_dilation, image_of)
    return (top_shape[0], kernel_shape[1], *sizes)


def _inverted(sizes: Any, tops: Any, border_mode: Any, subsample: Any, dilation: Any, solve: Any) -> list[int | None]:
    count = len(subsample)
    modes = border_mode if isinstance(border_mode, tuple | list) else (border_mode,) * count
    spreads = (1,) * count if dilation is None else dilation
    return [
        None if step != 1 or None in (size, top) else solve(size, top, mode, spread)
        for size, top, mode, step, spread in zip(sizes, tops, modes, subsample, spreads, strict=True)
    ]


def window_of(image: int, top: int, mode: Any, dilation: int) -> int:
    """Return the size of a filter from those of image and result."""
    if mode == "full":
        return (top - image) // dilation + 1
    if mode == "half":
        raise ValueError("the size of a filter doesn't follow from that of a result of border_mode='half'")
    pads = 0 if mode == "valid" else sum(mode) if isinstance(mode, tuple) else 2 * mode
    return (image + pads - top) // dilation + 1


def image_of(kernel: int, top: int, mode: Any, dilation: int) -> int:
    """Return the size of an image from those of filter and result."""
    window = (kernel - 1) * dilation + 1
    sides = {"valid": 0, "full": 2 * (window - 1), "half": 2 * (window // 2)}
    pads = sides[mode] if isinstance(mode, str) else sum(mode) if isinstance(mode, tuple) else 2 * mode
    return top + window - 1 - pads
