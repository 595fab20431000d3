"""What the user's functions mean, computed directly in NumPy and SciPy: no op of symgrad takes part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.signal

from symgrad.config import config

FLOATS = ("float16", "float32", "float64")


def common_dtype(dtypes: Sequence[Any]) -> np.dtype:
    """The dtype of arithmetic under ``cast_policy = floatX``: the widest float, or the common integer."""
    kinds = [np.dtype(dtype) for dtype in dtypes]
    found = np.result_type(*([kind for kind in kinds if kind.kind in "fc"] or kinds))
    return np.dtype(config.floatX) if found.kind == "f" and all(kind.kind in "iub" for kind in kinds) else found


def common(*values: Any) -> list[np.ndarray]:
    """Return operands in their common dtype; Python numbers adapt to the arrays."""
    arrays = [value for value in values if isinstance(value, np.ndarray | np.generic)]
    dtype = common_dtype([array.dtype for array in arrays])
    return [np.asarray(value).astype(dtype) for value in values]


def real(floatx: str, *values: np.ndarray) -> list[np.ndarray]:
    """Return operands as floats of their common dtype: integers become ``floatX``."""
    dtype = common_dtype([value.dtype for value in values])
    dtype = dtype if dtype.kind in "fc" else np.dtype(floatx)
    return [np.asarray(value, dtype) for value in values]


def total_dtype(dtype: Any) -> Any:
    """The dtype of sums and products."""
    return {"b": "int64", "i": "int64", "u": "uint64"}.get(np.dtype(dtype).kind, dtype)


def written(x: np.ndarray, key: Any, y: Any, sets: bool) -> np.ndarray:
    """`x` with `y` put into (or added to) the part ``x[key]``; repeated positions accumulate."""
    result = x.copy()
    if sets:
        result[key] = y
    else:
        np.add.at(result, key, y)
    return result


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Softmax along an axis."""
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def conv2d(images: np.ndarray, filters: np.ndarray, padding: Any, stride: Any, flip: bool) -> np.ndarray:
    """Convolution of (N, C, H, W) with (K, C, h, w), each pair by SciPy."""
    wide = images.astype("float64")  # SciPy doesn't convolve float16
    padded = np.pad(wide, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    function = scipy.signal.convolve2d if flip else scipy.signal.correlate2d

    def response(image: np.ndarray, bank: np.ndarray) -> np.ndarray:
        pairs = zip(image, bank, strict=True)
        return np.sum([function(channel, weights, mode="valid") for channel, weights in pairs], axis=0)

    maps = [[response(image, bank) for bank in filters] for image in padded]
    return np.array(maps, images.dtype)[:, :, :: stride[0], :: stride[1]]


def pool_2d(x: np.ndarray, window: Any, stride: Any, pad: Any, mode: str) -> np.ndarray:
    """Pooling of whole windows; padding is never the maximum, and counts as zeros only in ``average_inc_pad``."""
    sides = [(0, 0)] * (x.ndim - 2) + [(pad[0],) * 2, (pad[1],) * 2]
    padded = np.pad(x, sides, constant_values=-np.inf if mode == "max" else 0)
    inside = np.pad(np.ones_like(x), sides)
    windows, counts = [
        np.lib.stride_tricks.sliding_window_view(a, window, (-2, -1))[..., :: stride[0], :: stride[1], :, :]
        for a in (padded, inside)
    ]
    if mode == "max":
        return windows.max((-2, -1))
    total = windows.sum((-2, -1))
    if mode == "sum":
        return total
    return total / (window[0] * window[1] if mode == "average_inc_pad" else counts.sum((-2, -1)))


def tensordot(x: np.ndarray, y: np.ndarray, axes: Any) -> np.ndarray:
    """`numpy.tensordot` of equal dtypes."""
    return np.asarray(np.tensordot(x, y, axes))


def gap(x: np.ndarray, axes: tuple[int, ...]) -> float:
    """The smallest distance between two elements that meet in a reduction over `axes`."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    moved = x.astype("float64").transpose(*kept, *axes)
    rows = np.sort(moved.reshape([int(np.prod(part)) for part in (moved.shape[: len(kept)], moved.shape[len(kept) :])]))
    return float(np.diff(rows, axis=-1).min(initial=np.inf))


def difference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far two operands are apart; whole numbers stay whole."""
    x, y = common(x, y)
    return x - y if x.dtype.kind == "f" else x.astype("int64") - y.astype("int64")


def diagonal_filled(x: np.ndarray, value: Any) -> np.ndarray:
    """`x` with a value on its diagonal."""
    result = x.copy()
    np.fill_diagonal(result, value)
    return result
