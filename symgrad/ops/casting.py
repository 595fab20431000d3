"""The op that changes the dtype."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError
from symgrad.graph.dtypes import HALVES, NUMPY_DTYPES, is_half, kind_of
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, preparing_operands, register
from symgrad.graph.types import TensorType, dtype_name
from symgrad.graph.variables import Apply, Constant, make_constant
from symgrad.kernels.grammar import Map, ScalarFunction
from symgrad.ops.promotion import as_operand, float_of, is_complex, is_discrete
from symgrad.ops.sampling import spread


@register
@dataclass(frozen=True)
class Cast(Op):
    """Convert each element to another dtype."""

    dtype: str

    @property
    def name(self) -> str:
        return f"cast_{self.dtype}"

    def infer(self, x: Any) -> list[TensorType]:
        if kind_of(x.type.dtype) == "c" and kind_of(self.dtype) != "c":
            raise InferenceError(DTypeError, f"a complex tensor can't be cast to {self.dtype}")
        return [x.type.with_dtype(self.dtype)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return [_CastFunction(self.dtype)(x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        if is_discrete(self.dtype):
            return [Disconnected(f"a cast to {self.dtype} has a derivative of zero")]
        (cotangent,) = cotangents
        if is_complex(self.dtype) and not is_complex(x.type.dtype):
            from symgrad.ops.complex_numbers import real

            cotangent = real(cotangent)
        return [cast(cotangent, x.type.dtype)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Cast the tangent likewise."""
        return [None if tangents[0] is None or is_discrete(self.dtype) else cast(tangents[0], self.dtype)]

    def lower(self, apply: Apply) -> Map:
        return Map(ScalarFunction(self.name, _CastFunction(self.dtype)))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for source in NUMPY_DTYPES:
            for target in ("bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64"):
                loses = source.startswith("complex") and not target.startswith("complex")
                yield cls(target), Sample((spread(2, 3, low=0, high=90, dtype=source),), DTypeError if loses else None)
        yield cls("int32"), Sample((np.array([-1.5, 300.7, 0.0]),))
        yield cls("int8"), Sample((np.array([-129, 128, 255]),))
        yield cls("float64"), Sample((spread(0, 2),))


@dataclass(frozen=True)
class _CastFunction:
    """NumPy's ``astype``; to and from floats of 16 bits by way of float32, as on all backends."""

    dtype: str

    def __call__(self, x: Any, out: Any = None) -> Any:
        x = np.asarray(x)
        if self.dtype in HALVES or is_half(x):
            x = x.astype("float32", copy=False)
        if out is None:
            return x.astype(self.dtype)
        np.copyto(out, x, casting="unsafe")
        return out


def cast(x: Any, dtype: str) -> Any:
    """Return `x` converted to `dtype`; ``'floatX'`` means the configured float.

    Parameters
    ----------
    x : tensor
        Any dtype and shape.
    dtype : str
        Target dtype.

    Returns
    -------
    tensor
        `x` itself if it has that dtype already.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.cast([1.7, -1.7], 'int8').eval())
    [ 1 -1]
    """
    x = as_operand(x)
    dtype = dtype_name(dtype)
    if x.type.dtype == dtype:
        return x
    if isinstance(x, Constant) and x.data.size == 1:
        return make_constant(x.data.astype(dtype), x.name)
    return Cast(dtype)(x)


def as_floats(x: Any) -> Any:
    """Return an operand as a variable; integers become floats, floats and complex numbers stay."""
    x = as_operand(x)
    return cast(x, float_of(x.type.dtype))


def cast_operands(operands: Sequence[Any], dtypes: Sequence[str]) -> list[Any]:
    """Cast the operands of one operation to the dtypes in which it computes."""
    if config.warn_float64 == "ignore":
        return [cast(operand, dtype) for operand, dtype in zip(operands, dtypes, strict=True)]
    with preparing_operands():
        return [cast(operand, dtype) for operand, dtype in zip(operands, dtypes, strict=True)]


__all__ = ["cast"]
