"""Pooling over windows of the last two axes: maximum, sum, average."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.dtypes import kind_of
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels import reference_pooling as reference
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.casting import cast
from symgrad.ops.conv_arguments import steps
from symgrad.ops.promotion import as_operand, float_of, is_discrete
from symgrad.ops.sampling import number, spread
from symgrad.ops.sizes import size_of, specify_shape

MODES = ("max", "sum", "average_inc_pad", "average_exc_pad")


@dataclass(frozen=True)
class _Pooling(Op):
    """What the pooling ops share.

    Parameters
    ----------
    window, stride, pad : pair of int
        Vertical, horizontal.
    ignore_border : bool
        Whether windows that reach beyond the image are left out.
    """

    window: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int] = (0, 0)
    ignore_border: bool = True

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields that all pooling ops have."""
        return {
            "window": self.window, "stride": self.stride, "pad": self.pad, "ignore_border": self.ignore_border,
        }  # fmt: skip

    def pooled_type(self, kind: TensorType) -> TensorType:
        """Return the type of the pooled images."""
        if kind.ndim < 2:
            raise InferenceError(ShapeError, f"pool_2d takes images with at least two axes, got {kind}")
        sizes = [
            None if size is None
            else reference.pool_output_size(size, self.window[a], self.stride[a], self.pad[a], self.ignore_border)
            for a, size in enumerate(kind.shape[-2:])
        ]  # fmt: skip
        return TensorType(kind.dtype, [*kind.shape[:-2], *sizes])


def _pooling_samples(pooling: Any, **options: Any) -> Iterable[tuple[Any, np.ndarray]]:
    """Yield ops and images: overlapping windows, gaps, padding, partial windows, one that covers everything."""
    yield pooling((2, 2), (2, 2), **options), spread(2, 1, 4, 4)
    yield pooling((3, 2), (1, 2), **options), spread(1, 2, 5, 5)
    yield pooling((2, 1), (3, 2), **options), spread(7, 4)
    yield pooling((3, 3), (2, 2), (1, 2), **options), spread(1, 4, 3)
    yield pooling((2, 2), (2, 2), (0, 0), False, **options), spread(1, 1, 5, 3)
    yield pooling((3, 3), (2, 1), (0, 0), False, **options), spread(2, 4, 2)
    yield pooling((2, 2), (2, 2), **options), spread(0, 4, 4)
    yield pooling((2, 2), (2, 2), **options), spread(3, 2, 4, dtype="float32")


@register
@dataclass(frozen=True)
class Pool2d(_Pooling):
    """Maximum, sum or average of each window."""

    mode: str = "max"

    @property
    def name(self) -> str:
        return f"pool_2d_{self.mode}"

    def infer(self, x: Any) -> list[TensorType]:
        kind = kind_of(x.type.dtype)
        refused = {"max": "c", "sum": "b"}.get(self.mode, "iub")
        if kind in refused:
            raise InferenceError(DTypeError, f"{self.name} doesn't take {x.type.dtype}", "Cast it first.")
        return [self.pooled_type(x.type)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [reference.pool2d(x, **self.parameters, mode=self.mode)]  # type: ignore[arg-type]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        if self.mode == "max":
            return [MaxPoolGradient(**self.parameters)(x, outputs[0], cotangents[0])]
        sizes = [size_of(x, axis) for axis in range(x.type.ndim - 2, x.type.ndim)]
        spread = SumPoolGradient(**self.parameters, mode=self.mode)(cotangents[0], *sizes)
        return [specify_shape(spread, x.type.shape)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent at each maximum; sums and averages are linear."""
        if tangents[0] is None:
            return [None]
        if self.mode == "max":
            return [MaxPoolPushforward(**self.parameters)(inputs[0], outputs[0], tangents[0])]
        return [self(tangents[0])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("pool2d", (*self.parameters.items(), ("mode", self.mode)))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for mode in MODES:
            for op, images in _pooling_samples(cls, mode=mode):
                yield op, Sample((images,))
            yield cls((2, 2), (2, 2), mode=mode), Sample((np.zeros((4, 4)),), differentiable=mode != "max")
        yield cls((2, 2), (1, 1)), Sample((spread(1, 3, 3, dtype="int32", high=9),))
        yield cls((2, 2), (2, 2), mode="sum"), Sample((spread(2, 2, dtype="int16", high=9),))
        yield cls((2, 2), (2, 2)), Sample((spread(4),), ShapeError)
        yield cls((2, 2), (2, 2), mode="average_inc_pad"), Sample((spread(2, 2, dtype="int8"),), DTypeError)
        yield cls((2, 2), (2, 2), mode="sum"), Sample((spread(2, 2, dtype="bool"),), DTypeError)


@register
@dataclass(frozen=True)
class MaxPoolGradient(_Pooling):
    """The cotangent of max pooling's input: each window's cotangent at its first maximum."""

    @property
    def name(self) -> str:
        return "max_pool_gradient"

    def infer(self, x: Any, output: Any, cotangent: Any) -> list[TensorType]:
        return [x.type]

    def evaluate(self, x: np.ndarray, output: np.ndarray, cotangent: np.ndarray) -> list[np.ndarray]:
        return [reference.max_pool_gradient(x, output, cotangent, **self.parameters)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        reason = Disconnected("where the maximum lies doesn't change with small changes of values")
        return [reason, reason, MaxPoolPushforward(**self.parameters)(*inputs[:2], cotangents[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Linear in the cotangent."""
        return [None if tangents[2] is None else self(*inputs[:2], tangents[2])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("max_pool_gradient", tuple(self.parameters.items()))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for op, images in _pooling_samples(cls):
            (output,) = Pool2d(**op.parameters).evaluate(images)
            cotangent = spread(*output.shape, dtype=images.dtype.name, start=50)
            yield op, Sample((images, output, cotangent), differentiable=False)


@register
@dataclass(frozen=True)
class MaxPoolPushforward(_Pooling):
    """A tangent taken at each window's first maximum: the transpose of `MaxPoolGradient`."""

    @property
    def name(self) -> str:
        return "max_pool_pushforward"

    def infer(self, x: Any, output: Any, tangent: Any) -> list[TensorType]:
        return [output.type]

    def evaluate(self, x: np.ndarray, output: np.ndarray, tangent: np.ndarray) -> list[np.ndarray]:
        return [reference.max_pool_pushforward(x, output, tangent, **self.parameters)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        reason = Disconnected("where the maximum lies doesn't change with small changes of values")
        return [reason, reason, MaxPoolGradient(**self.parameters)(*inputs[:2], cotangents[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Linear in the tangent."""
        return [None if tangents[2] is None else self(*inputs[:2], tangents[2])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("max_pool_pushforward", tuple(self.parameters.items()))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for op, images in _pooling_samples(cls):
            (output,) = Pool2d(**op.parameters).evaluate(images)
            tangent = spread(*images.shape, dtype=images.dtype.name, start=50)
            yield op, Sample((images, output, tangent), differentiable=False)


@register
@dataclass(frozen=True)
class SumPoolGradient(_Pooling):
    """The cotangent of sum or average pooling's input, from that of the output and the images' sizes."""

    mode: str = "sum"

    @property
    def name(self) -> str:
        return f"pool_2d_{self.mode}_gradient"

    def infer(self, cotangent: Any, height: Any, width: Any) -> list[TensorType]:
        sizes = [None if size.known is None else int(size.known) for size in (height, width)]
        return [TensorType(cotangent.type.dtype, [*cotangent.type.shape[:-2], *sizes])]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, cotangent: np.ndarray, height: np.ndarray, width: np.ndarray) -> list[np.ndarray]:
        shape = (*cotangent.shape[:-2], int(height), int(width))
        return [reference.sum_pool_gradient(cotangent, shape, **self.parameters, mode=self.mode)]  # type: ignore[arg-type]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        pooled = Pool2d(**self.parameters, mode=self.mode)(cotangents[0])
        return [specify_shape(pooled, inputs[0].type.shape), *[Disconnected("it is a size")] * 2]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Linear."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("sum_pool_gradient", (*self.parameters.items(), ("mode", self.mode)))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for mode in MODES[1:]:
            for op, images in _pooling_samples(cls, mode=mode):
                (output,) = Pool2d(**op.parameters, mode=mode).evaluate(images)
                cotangent = spread(*output.shape, dtype=images.dtype.name, start=50)
                yield op, Sample((cotangent, number(images.shape[-2]), number(images.shape[-1])))


def as_pooled(images: Any, mode: str) -> Any:
    """Return images in the dtype in which they are pooled: averages are floats, and sums of bools are counts."""
    images = as_operand(images)
    dtype = images.type.dtype
    if mode.startswith("average"):
        return cast(images, float_of(dtype))
    return cast(images, "int64") if mode == "sum" and dtype == "bool" else images


def pool_2d(
    input: Any,
    ws: Any = None,
    ignore_border: bool | None = None,
    stride: Any = None,
    pad: Any = (0, 0),
    mode: str = "max",
    ds: Any = None,
    st: Any = None,
    padding: Any = None,
) -> Any:
    """Pool windows of the last two axes (Theano's ``signal.pool.pool_2d``).

    Parameters
    ----------
    input : tensor with at least two axes
        Images; all but the last two axes are kept.
    ws : int or pair of int
        Size of the window, vertical and horizontal. (`ds` is its older name.)
    ignore_border : bool
        True leaves out windows that reach beyond the image. False keeps partial windows, and averages divide by the
        number of elements that are really there. By default True.
    stride : int or pair of int, optional
        Steps between windows; by default the window's size. (`st` is its older name.)
    pad : int or pair of int
        Rows and columns added on each side. They never are the maximum; they count as zeros in ``average_inc_pad``
        and don't count in ``average_exc_pad``. Needs ``ignore_border=True``. (`padding` is its older name.)
    mode : {'max', 'sum', 'average_inc_pad', 'average_exc_pad'}
        What is computed of each window. At ties, the gradient of the maximum goes to the first element of the window.

    Returns
    -------
    tensor
        Of the same number of axes. Averages of integers are floats.

    Raises
    ------
    ShapeError
        If the input has fewer than two axes, or a size makes no sense.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.pool_2d([[1., 2.], [3., 4.]], (2, 2), ignore_border=True).eval())
    [[4.]]
    """
    if (ws is None) == (ds is None):
        raise user_error(ShapeError, "pool_2d needs the size of its window: ws=(2, 2)")
    window = steps(ws if ws is not None else ds, 2, "ws", "pool_2d")
    stride = stride if stride is not None else st
    strides = window if stride is None else steps(stride, 2, "stride", "pool_2d")
    pads = steps(padding if padding is not None else pad, 2, "pad", "pool_2d", 0)
    ignore_border = True if ignore_border is None else bool(ignore_border)
    if mode not in MODES:
        raise user_error(ShapeError, f"pool_2d has no mode {mode!r}; it has {', '.join(MODES)}")
    if pads != (0, 0) and not ignore_border:
        raise user_error(ShapeError, "pool_2d pads only with ignore_border=True")
    if pads[0] >= window[0] or pads[1] >= window[1]:
        raise user_error(ShapeError, f"pool_2d needs a pad smaller than its window, got {pads} and {window}")
    return Pool2d(window, strides, pads, ignore_border, mode)(as_pooled(input, mode))


__all__ = ["pool_2d"]
