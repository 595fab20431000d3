"""Complex numbers: their parts, and how they are made of real ones.

The gradient of a real cost with respect to ``z = x + iy`` is ``d/dx + i d/dy``, as in Theano. For a function with a
complex derivative, a cotangent is multiplied with the conjugate of that; the functions in this file have none, and say
by ``pull`` and ``push`` what they do to cotangents and tangents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.graph.dtypes import widened
from symgrad.kernels.special_functions import given
from symgrad.ops.casting import cast
from symgrad.ops.creation import zeros_like
from symgrad.ops.elementwise_op import elementwise, modulus, unchanged
from symgrad.ops.promotion import (
    as_operand,
    complex_of,
    float_of,
    is_complex,
    real_of,
    scalar_constant,
    upcast,
)


def made_of_reals(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """Operands meet in a common float, and the result is complex."""
    common = widened(float_of(upcast(*dtypes)))
    return (common,) * len(dtypes), complex_of(common)


def phase(dtype: str) -> tuple[tuple[str, ...], str]:
    """The operand becomes a float or stays complex, the result is a float."""
    common = float_of(dtype)
    return (common,), real_of(common)


@dataclass(frozen=True)
class Along:
    """The derivative of a real function of a complex number: it grows along `direction` (None: along the real axis)."""

    direction: Any = None

    def pull(self, cotangent: Any) -> Any:
        """Return the cotangent of the complex operand."""
        if self.direction is None:
            return cast(cotangent, complex_of(cotangent.type.dtype))
        return cotangent * self.direction

    def push(self, tangent: Any) -> Any:
        """Return the tangent of the real result."""
        return real(tangent if self.direction is None else conj(self.direction) * tangent)


@dataclass(frozen=True)
class Turned:
    """The derivative of a complex function of a real number: what the number is multiplied with (None: with 1)."""

    factor: Any = None

    def pull(self, cotangent: Any) -> Any:
        """Return the cotangent of the real operand."""
        return real(cotangent if self.factor is None else cotangent * conj(self.factor))

    def push(self, tangent: Any) -> Any:
        """Return the tangent of the complex result."""
        return cast(tangent, complex_of(tangent.type.dtype)) if self.factor is None else tangent * self.factor


@dataclass(frozen=True)
class _Mirrored:
    """The derivative of the conjugate."""

    def pull(self, cotangent: Any) -> Any:
        return conj(cotangent)

    def push(self, tangent: Any) -> Any:
        return conj(tangent)


def imaginary_unit(like: Any) -> Any:
    """Return ``1j`` as a constant that doesn't widen `like`."""
    return scalar_constant(1j, complex_of(like.type.dtype))


def _phase(x: Any, out: Any = None) -> Any:
    result = np.arctan2(x.imag, x.real) if x.dtype.kind == "c" else np.arctan2(np.zeros_like(x), x)
    return given(result, out)


def _from_parts(re: Any, im: Any, out: Any = None) -> Any:
    shape = np.broadcast_shapes(np.shape(re), np.shape(im))
    result = np.empty(shape, np.result_type(re, np.complex64)) if out is None else out
    result.real, result.imag = re, im
    return result


def _from_polar(radius: Any, angle: Any, out: Any = None) -> Any:
    return _from_parts(radius * np.cos(angle), radius * np.sin(angle), out)


def _real_part(x: Any, out: Any = None) -> Any:
    return given(np.real(x).copy(), out)


def _imaginary_part(x: Any, out: Any = None) -> Any:
    return given(np.imag(x).copy(), out)


@elementwise(_real_part, modulus, kinds="c")
def _real(x, output):
    """Real part of a complex number."""
    return Along()


@elementwise(_imaginary_part, modulus, kinds="c")
def _imag(x, output):
    """Imaginary part of a complex number."""
    return Along(imaginary_unit(x))


@elementwise(np.conjugate, unchanged, kinds="c")
def _conj(x, output):
    """Complex conjugate: the imaginary part with the other sign."""
    return _Mirrored()


@elementwise(_phase, phase, domain=(0.3, 2))
def angle(x, output):
    """Angle of a complex number, between -pi and pi: ``arctan2(imag(x), real(x))``. Of negative real numbers pi."""
    if not is_complex(x.type.dtype):
        return None
    return Along(imaginary_unit(x) * x / _square_of_modulus(x))


@elementwise(_from_parts, made_of_reals, kinds="iubf")
def complex_(x, y, output):
    """The complex number ``x + iy`` of real `x` and `y`."""
    return Turned(), Turned(imaginary_unit(output))


@elementwise(_from_polar, made_of_reals, kinds="iubf")
def complex_from_polar(x, y, output):
    """The complex number of modulus `x` and angle `y`: ``x * exp(iy)``."""
    return Turned(complex_from_polar(1, y)), Turned(imaginary_unit(output) * output)


def real(x: Any) -> Any:
    """Return the real part of `x`; a real tensor is its own.

    Parameters
    ----------
    x : tensor
        Any dtype and shape; complex64 gives float32, complex128 float64.

    Returns
    -------
    tensor

    Notes
    -----
    Keeps the behaviour of Theano's ``real``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> z = T.zvector('z')
    >>> T.real(z).eval({z: [1 + 2j, 3]})
    array([1., 3.])
    """
    x = as_operand(x)
    return _real(x) if is_complex(x.type.dtype) else x


def imag(x: Any) -> Any:
    """Return the imaginary part of `x`; of a real tensor it is zero.

    Parameters
    ----------
    x : tensor
        Any dtype and shape; complex64 gives float32, complex128 float64.

    Returns
    -------
    tensor

    Notes
    -----
    Keeps the behaviour of Theano's ``imag``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.imag([1 + 2j]).eval())
    [2.]
    """
    x = as_operand(x)
    return _imag(x) if is_complex(x.type.dtype) else zeros_like(x)


def conj(x: Any) -> Any:
    """Return the complex conjugate of `x`; a real tensor is its own.

    Parameters
    ----------
    x : tensor
        Any dtype and shape.

    Returns
    -------
    tensor
        Of the dtype of `x`.

    Notes
    -----
    Keeps the behaviour of Theano's ``conj``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.conj([1 + 2j]).eval())
    [1.-2.j]
    """
    x = as_operand(x)
    return _conj(x) if is_complex(x.type.dtype) else x


def _square_of_modulus(x: Any) -> Any:
    """``x * conj(x)`` as a real number."""
    return real(x) * real(x) + imag(x) * imag(x)


complex = complex_
conjugate = conj

__all__ = ["angle", "complex", "complex_from_polar", "conj", "conjugate", "imag", "real"]
