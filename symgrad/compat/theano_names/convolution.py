"""Convolution and pooling under the names and arguments that they had before `symgrad.tensor.nnet`'s."""

from __future__ import annotations

from typing import Any

from symgrad.compat.theano_names.errors import NotKeptError
from symgrad.graph.types import TensorType
from symgrad.tensor import nnet

bool_t = TensorType("bool")


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
    return nnet.conv2d(input, filters, image_shape, filter_shape, border_mode, subsample)


def conv3d2d(
    signals: Any,
    filters: Any,
    signals_shape: Any = None,
    filters_shape: Any = None,
    border_mode: Any = "valid",
) -> Any:
    """Return the convolution of ``(batch, time, channels, rows, columns)``: ``theano.tensor.nnet.conv3d2d.conv3d``."""
    modes = border_mode if isinstance(border_mode, tuple) else (border_mode,) * 3
    pads = [{"valid": 0}.get(mode, mode) for mode in modes]
    if all(mode == modes[0] for mode in modes):
        border: Any = modes[0]
    elif "full" in pads or "half" in pads:
        sizes = [filters.type.shape[axis] if filters_shape is None else filters_shape[axis] for axis in (1, 3, 4)]
        border = tuple(_pad(mode, size) for mode, size in zip(modes, sizes, strict=True))
    else:
        border = tuple(pads)
    result = nnet.conv3d(
        signals.dimshuffle(0, 2, 1, 3, 4), filters.dimshuffle(0, 2, 1, 3, 4), border_mode=border,
        input_shape=_moved(signals_shape), filter_shape=_moved(filters_shape),
    )  # fmt: skip
    return result.dimshuffle(0, 2, 1, 3, 4)


def _pad(mode: Any, size: int) -> int:
    return {"valid": 0, "full": size - 1, "half": size // 2}.get(mode, mode)


def _moved(shape: Any) -> Any:
    return None if shape is None else tuple([shape[axis] for axis in (0, 2, 1, 3, 4)])


def conv3D(V: Any, W: Any, b: Any, d: Any) -> Any:  # noqa: N802, N803
    """Return the correlation of ``(batch, rows, columns, time, channels)`` plus a bias, with steps `d`."""
    result = nnet.conv3d(
        V.dimshuffle(0, 4, 1, 2, 3), W.dimshuffle(0, 4, 1, 2, 3), subsample=tuple([int(step) for step in d]),
        filter_flip=False,
    )  # fmt: skip
    return result.dimshuffle(0, 2, 3, 4, 1) + b.dimshuffle("x", "x", "x", "x", 0)


def signal_conv2d(
    input: Any,
    filters: Any,
    image_shape: Any = None,
    filter_shape: Any = None,
    border_mode: str = "valid",
    subsample: Any = (1, 1),
    **options: Any,
) -> Any:
    """Return the convolution of images without channels: ``theano.tensor.signal.conv.conv2d``.

    Parameters
    ----------
    input : tensor, shape (rows, columns) or (images, rows, columns)
        The images.
    filters : tensor, shape (rows, columns) or (filters, rows, columns)
        The filters; each image meets each filter.
    """
    images = input if input.ndim == 3 else input.dimshuffle("x", 0, 1)
    kernels = filters if filters.ndim == 3 else filters.dimshuffle("x", 0, 1)
    result = nnet.conv2d(
        images.dimshuffle(0, "x", 1, 2), kernels.dimshuffle(0, "x", 1, 2), _with_channel(image_shape),
        _with_channel(filter_shape), border_mode, subsample,
    )  # fmt: skip
    if input.ndim == 2 and filters.ndim == 2:
        return result[0, 0]
    if input.ndim == 2:
        return result[0]
    return result[:, 0] if filters.ndim == 2 else result


def _with_channel(shape: Any) -> Any:
    if shape is None:
        return None
    *count, rows, columns = shape
    return ((*count, 1) if count else (1, 1)) + (rows, columns)


class DownsampleFactorMax:
    """Pooling as an op: ``DownsampleFactorMax(ds, ...)(images)``."""

    def __init__(
        self, ds: Any = None, ignore_border: bool = False, st: Any = None, padding: Any = (0, 0), mode: str = "max", **options: Any
    ) -> None:
        self._options = {"ignore_border": ignore_border, "stride": st, "pad": padding, "mode": mode}
        self._window = ds

    def __call__(self, input: Any, ws: Any = None, stride: Any = None, pad: Any = None) -> Any:
        """Return pooled images."""
        options = dict(self._options)
        options["stride"] = options["stride"] if stride is None else stride
        options["pad"] = options["pad"] if pad is None else pad
        return nnet.pool_2d(input, ws=self._window if ws is None else ws, **options)  # type: ignore[arg-type]


class Pool(DownsampleFactorMax):
    """Pooling as an op: ``Pool(ignore_border, mode)(images, window)``."""

    def __init__(self, ignore_border: bool = False, mode: str = "max", ndim: int = 2, **options: Any) -> None:
        super().__init__(None, ignore_border, None, (0, 0), mode)


class ConvOp:
    """Theano's old op of convolution, which isn't kept; `getOutputShape` is."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        raise NotKeptError("symgrad doesn't keep ConvOp. Call theano.tensor.nnet.conv2d.")

    @staticmethod
    def getOutputShape(  # noqa: N802
        inshp: Any, kshp: Any, stride: Any = (1, 1), mode: str = "valid"
    ) -> tuple[int, ...]:
        """Return rows and columns of the result."""
        grown = {"valid": -1, "full": 1}[mode]
        return tuple([-(-(i + grown * (k - 1)) // s) for i, k, s in zip(inshp, kshp, stride, strict=True)])
