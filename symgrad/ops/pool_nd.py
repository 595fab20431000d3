"""Pooling of volumes, and pooling that keeps the images' size. Both are made of `pool_2d` and its gradient."""

from __future__ import annotations

from typing import Any

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.casting import cast
from symgrad.ops.conv_arguments import steps
from symgrad.ops.pool import MODES, MaxPoolGradient, Pool2d, as_pooled, pool_2d
from symgrad.ops.promotion import as_operand
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import known_size


def pool_3d(
    input: Any,
    ws: Any = None,
    ignore_border: bool | None = None,
    stride: Any = None,
    pad: Any = (0, 0, 0),
    mode: str = "max",
    ds: Any = None,
    st: Any = None,
    padding: Any = None,
) -> Any:
    """Pool windows of the last three axes.

    Parameters
    ----------
    input : tensor with at least three axes
        Volumes; all but the last three axes are kept.
    ws : int or three int
        Size of the window: depth, height, width. (`ds` is its older name.)
    ignore_border : bool
        As for `pool_2d`.
    stride : int or three int, optional
        Steps between windows; by default the window's size. (`st` is its older name.)
    pad : int or three int
        What is added on each side, as for `pool_2d`. (`padding` is its older name.)
    mode : {'max', 'sum', 'average_inc_pad', 'average_exc_pad'}
        What is computed of each window. At ties, the gradient of the maximum goes to the first element of the window.

    Returns
    -------
    tensor
        Of the same number of axes.

    Raises
    ------
    ShapeError
        If the input has fewer than three axes, or a size makes no sense.

    Notes
    -----
    Keeps the behaviour of Theano's ``signal.pool.pool_3d``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.pool_3d(np.arange(8.0).reshape(2, 2, 2), (1, 2, 2)).eval().ravel())
    [3. 7.]
    """
    volume = as_operand(input)
    if volume.type.ndim < 3:
        raise user_error(ShapeError, f"pool_3d takes volumes with at least three axes, got {volume.type}", [volume])
    if (ws is None) == (ds is None):
        raise user_error(ShapeError, "pool_3d needs the size of its window: ws=(2, 2, 2)")
    window = steps(ws if ws is not None else ds, 3, "ws", "pool_3d")
    stride = stride if stride is not None else st
    strides = window if stride is None else steps(stride, 3, "stride", "pool_3d")
    pads = steps(padding if padding is not None else pad, 3, "pad", "pool_3d", 0)
    whole = True if ignore_border is None else bool(ignore_border)
    if mode not in MODES:
        raise user_error(ShapeError, f"pool_3d has no mode {mode!r}; it has {', '.join(MODES)}")
    if any(pads) and not whole:
        raise user_error(ShapeError, "pool_3d pads only with ignore_border=True")
    if any(side >= size for side, size in zip(pads, window, strict=True)):
        raise user_error(ShapeError, f"pool_3d needs a pad smaller than its window, got {pads} and {window}")
    volume = as_pooled(volume, mode)
    planes = Pool2d(window[1:], strides[1:], pads[1:], whole, mode)(volume)  # type: ignore[arg-type]
    return _pool_depth(planes, window[0], strides[0], pads[0], whole, mode)


def _pool_depth(planes: Any, window: int, stride: int, pad: int, whole: bool, mode: str) -> Any:
    """Pool the third axis from the end: as images of D rows, each of which is a plane."""
    if (window, stride, pad) == (1, 1, 0):
        return planes
    kind = planes.type
    sizes = [known_size(planes, axis) for axis in range(kind.ndim)]
    rows = reshape(planes, [*sizes[:-2], sizes[-2] * sizes[-1]])
    pooled = Pool2d((window, 1), (stride, 1), (pad, 0), whole, mode)(rows)
    return reshape(pooled, [*sizes[:-3], known_size(pooled, kind.ndim - 3), *sizes[-2:]])


def max_pool_2d_same_size(input: Any, patch_size: Any) -> Any:
    """Return images of the same size, with zeros where a pixel isn't the maximum of its window.

    Parameters
    ----------
    input : tensor with at least two axes
        Images.
    patch_size : int or pair of int
        Size of the windows, which lie side by side. Pixels that no whole window covers become 0.

    Returns
    -------
    tensor
        Of the same shape. Of several equal maxima, the first stays.

    Notes
    -----
    Keeps the behaviour of Theano's ``signal.pool.max_pool_2d_same_size``, save at ties.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.max_pool_2d_same_size(np.array([[1.0, 3.0], [2.0, 4.0]]), (1, 2)).eval())
    [[0. 3.]
     [0. 4.]]
    """
    images = as_operand(input)
    window = steps(patch_size, 2, "patch_size", "max_pool_2d_same_size")
    if images.type.dtype == "bool":
        return cast(max_pool_2d_same_size(cast(images, "int8"), patch_size), "bool")
    maxima = pool_2d(images, window, ignore_border=True)
    return MaxPoolGradient(window, window)(images, maxima, maxima)  # type: ignore[arg-type]


__all__ = ["max_pool_2d_same_size", "pool_3d"]
