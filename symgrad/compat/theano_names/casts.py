"""``theano.tensor.basic``'s casts, a function for each dtype."""

from __future__ import annotations

from typing import Any

from symgrad import tensor as T


class CastTo:
    """Casts tensors to one dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def __call__(self, x: Any) -> Any:
        """Return `x`, cast."""
        return T.cast(x, self.dtype)


_convert_to_bool = CastTo("bool")
_convert_to_int8 = CastTo("int8")
_convert_to_int16 = CastTo("int16")
_convert_to_int32 = CastTo("int32")
_convert_to_int64 = CastTo("int64")
_convert_to_uint8 = CastTo("uint8")
_convert_to_uint16 = CastTo("uint16")
_convert_to_uint32 = CastTo("uint32")
_convert_to_uint64 = CastTo("uint64")
_convert_to_float16 = CastTo("float16")
_convert_to_float32 = CastTo("float32")
_convert_to_float64 = CastTo("float64")
_convert_to_complex64 = CastTo("complex64")
_convert_to_complex128 = CastTo("complex128")
