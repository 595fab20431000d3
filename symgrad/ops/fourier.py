"""Discrete Fourier transforms by their NumPy names, of complex and of real numbers, over one or several axes."""

from __future__ import annotations

from typing import Any

from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.graph.dtypes import widened
from symgrad.graph.op import user_error
from symgrad.graph.variables import Variable
from symgrad.ops.axes import checked_axis, swapaxes
from symgrad.ops.casting import cast
from symgrad.ops.complex_numbers import complex as complex_of_parts
from symgrad.ops.complex_numbers import imag, real
from symgrad.ops.creation import arange, zeros
from symgrad.ops.elementwise import maximum, minimum, switch
from symgrad.ops.fourier_op import Fourier, InverseRealFourier, RealFourier
from symgrad.ops.joining import concatenate, stack
from symgrad.ops.promotion import as_operand, complex_of, float_of, is_complex, listed, scalar_constant
from symgrad.ops.repeating import integer_scalar
from symgrad.ops.sizes import size_of


def _scale(norm: str | None, is_inverse: bool, where: str) -> str:
    if norm == "no_norm":
        return "none"
    names = {None: "full" if is_inverse else "none", "ortho": "ortho"}
    names |= {"backward": names[None], "forward": "none" if is_inverse else "full"}
    if not isinstance(norm, str | None) or norm not in names:
        raise user_error(RangeError, f"{where} takes None, 'backward', 'ortho', 'forward' or 'no_norm' as norm, got "
                         f"{norm!r:.40}")  # fmt: skip
    return names[norm]


def _numbers(x: Any) -> Any:
    """Return numbers of a dtype that transforms know."""
    x = as_operand(x)
    return cast(x, widened(float_of(x.type.dtype)))


def _of_size(x: Any, axis: int, size: Any) -> Any:
    """Return `x` cut off, or filled up with zeros, at the end of an axis."""
    if size is None or (isinstance(size, int) and x.type.shape[axis] == size):
        return x
    kept = x[(*[slice(None)] * axis, slice(0, size))]
    if isinstance(size, int) and x.type.shape[axis] is not None and x.type.shape[axis] >= size:
        return kept
    sizes: list[Any] = [size_of(x, number) for number in range(x.type.ndim)]
    sizes[axis] = maximum(size - minimum(sizes[axis], size), 0)
    filled = concatenate([kept, zeros(sizes, x.type.dtype)], axis=axis)
    return filled


def _axes(x: Any, s: Any, axes: Any, where: str, most: int | None = None) -> tuple[list[int], list[Any]]:
    """Return the axes of a transform, and for each the wanted size or None."""
    sizes = None if s is None else [
        None if size is None else integer_scalar(size, where) for size in listed(s, where, "sizes")]  # fmt: skip
    if axes is None:
        count = len(sizes) if sizes is not None else most if most is not None else x.type.ndim
        axes = range(-count, 0)
    found = [checked_axis(axis, x, where) for axis in listed(axes, where, "axes")]
    if sizes is not None and len(sizes) != len(found):
        raise user_error(ShapeError, f"{where} got {len(sizes)} sizes for {len(found)} axes", [x])
    if not found or len(set(found)) != len(found):
        raise user_error(ShapeError, f"{where} needs at least one axis, and each once, got {tuple(axes)}", [x])
    return found, sizes or [None] * len(found)


def _complex_transform(x: Any, s: Any, axes: Any, norm: str | None, is_inverse: bool, where: str) -> Any:
    x = _numbers(x)
    scale = _scale(norm, is_inverse, where)
    found, sizes = _axes(x, s, axes, where, 2 if where.endswith("2") else None)
    for axis, size in zip(found, sizes, strict=True):
        x = _of_size(x, axis, size)
    return Fourier(tuple(found), is_inverse, scale)(cast(x, complex_of(x.type.dtype)))


def fft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Any:
    """Return the discrete Fourier transform over one axis, as `numpy.fft.fft`.

    Parameters
    ----------
    a : tensor
        Real or complex; float32 gives complex64, float64 complex128.
    n : int or integer scalar, optional
        The axis is cut off, or filled up with zeros, to this size.
    axis : int
        Over which axis.
    norm : {None, 'backward', 'ortho', 'forward', 'no_norm'}
        What the sum is divided by: 1, 1, the root of the size, the size, 1.

    Returns
    -------
    complex tensor

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> print(T.fft.fft(x).eval({x: [1., 0., -1., 0.]}))
    [0.+0.j 2.+0.j 0.+0.j 2.+0.j]
    """
    return _complex_transform(a, None if n is None else [n], [axis], norm, False, "fft")


def ifft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Any:
    """Return the inverse of `fft`, as `numpy.fft.ifft`; by default divided by the size.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.ifft([0., 2.]).eval())
    [ 1.+0.j -1.+0.j]
    """
    return _complex_transform(a, None if n is None else [n], [axis], norm, True, "ifft")


def fft2(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """Return the Fourier transform over the last two axes, or those given, as `numpy.fft.fft2`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.fft2([[1., 2.], [3., 4.]]).eval())
    [[10.+0.j -2.+0.j]
     [-4.+0.j  0.+0.j]]
    """
    return _complex_transform(a, s, axes, norm, False, "fft2")


def ifft2(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """Return the inverse of `fft2`, as `numpy.fft.ifft2`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.ifft2([[4., 0.], [0., 0.]]).eval())
    [[1.+0.j 1.+0.j]
     [1.+0.j 1.+0.j]]
    """
    return _complex_transform(a, s, axes, norm, True, "ifft2")


def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """Return the Fourier transform over all axes, or those given, as `numpy.fft.fftn`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.fftn([[1., 2.], [3., 4.]]).eval())
    [[10.+0.j -2.+0.j]
     [-4.+0.j  0.+0.j]]
    """
    return _complex_transform(a, s, axes, norm, False, "fftn")


def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """Return the inverse of `fftn`, as `numpy.fft.ifftn`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.ifftn([[4., 0.], [0., 0.]]).eval())
    [[1.+0.j 1.+0.j]
     [1.+0.j 1.+0.j]]
    """
    return _complex_transform(a, s, axes, norm, True, "ifftn")


def _real_transform(x: Any, s: Any, axes: Any, norm: str | None, where: str) -> Any:
    x = _numbers(x)
    if is_complex(x.type.dtype):
        raise user_error(DTypeError, f"{where} takes real numbers, got {x.type.dtype}", [x], "Use fft.")
    scale = _scale(norm, False, where)
    found, sizes = _axes(x, s, axes, where, 2 if where.endswith("2") else None)
    for axis, size in zip(found, sizes, strict=True):
        x = _of_size(x, axis, size)
    last = x.type.ndim - 1
    half = RealFourier(scale)(swapaxes(x, found[-1], last)).swapaxes(found[-1], last)
    return half if len(found) == 1 else Fourier(tuple(found[:-1]), False, scale)(half)


def _real_inverse(x: Any, s: Any, axes: Any, norm: str | None, where: str) -> Any:
    x = _numbers(x)
    x = cast(x, complex_of(x.type.dtype))
    scale = _scale(norm, True, where)
    found, sizes = _axes(x, s, axes, where, 2 if where.endswith("2") else None)
    size = sizes[-1]
    if size is None:
        known = x.type.shape[found[-1]]
        size = 2 * (size_of(x, found[-1]) - 1) if known is None else 2 * (known - 1)
    else:
        sizes[-1] = size // 2 + 1
    for axis, wanted in zip(found, sizes, strict=True):
        x = _of_size(x, axis, wanted)
    if len(found) > 1:
        x = Fourier(tuple(found[:-1]), True, scale)(x)
    last = x.type.ndim - 1
    count = cast(size, "int64") if isinstance(size, Variable) else scalar_constant(size, "int64")
    return InverseRealFourier(scale)(swapaxes(x, found[-1], last), count).swapaxes(found[-1], last)


def rfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Any:
    """Return the Fourier transform of real numbers over one axis, as `numpy.fft.rfft`: its first half.

    Parameters
    ----------
    a : real tensor
        Integers become floats.
    n : int or integer scalar, optional
        The axis is cut off, or filled up with zeros, to this size.
    axis : int
        Over which axis.
    norm : {None, 'backward', 'ortho', 'forward', 'no_norm'}
        What the sum is divided by: 1, 1, the root of the size, the size, 1.

    Returns
    -------
    complex tensor
        With ``n // 2 + 1`` elements along the axis.

    Notes
    -----
    Theano's ``tensor.fft.rfft`` is `rfft_parts`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> print(T.fft.rfft(x).eval({x: [1., 0., -1., 0.]}))
    [0.+0.j 2.+0.j 0.+0.j]
    """
    return _real_transform(a, None if n is None else [n], [axis], norm, "rfft")


def irfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Any:
    """Return the inverse of `rfft`, as `numpy.fft.irfft`: real numbers from the first half of their transform.

    Parameters
    ----------
    a : tensor
        The first half; the imaginary part of its first element, and of the last of an even transform, doesn't count.
    n : int or integer scalar, optional
        How many numbers; by default ``2 * (size - 1)``. They are odd only if that is said.
    axis : int
        Over which axis.
    norm : {None, 'backward', 'ortho', 'forward', 'no_norm'}
        What the sum is divided by: the size, the size, its root, 1, 1.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.irfft([2., 0.]).eval())
    [1. 1.]
    """
    return _real_inverse(a, None if n is None else [n], [axis], norm, "irfft")


def rfft2(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """Return the Fourier transform of real numbers over the last two axes, or those given, as `numpy.fft.rfft2`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.rfft2([[1., 2.], [3., 4.]]).eval())
    [[10.+0.j -2.+0.j]
     [-4.+0.j  0.+0.j]]
    """
    return _real_transform(a, s, axes, norm, "rfft2")


def irfft2(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """Return the inverse of `rfft2`, as `numpy.fft.irfft2`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.irfft2([[4., 0.], [0., 0.]]).eval())
    [[1. 1.]
     [1. 1.]]
    """
    return _real_inverse(a, s, axes, norm, "irfft2")


def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """Return the Fourier transform of real numbers over all axes, or those given, as `numpy.fft.rfftn`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.rfftn([[1., 2.], [3., 4.]]).eval())
    [[10.+0.j -2.+0.j]
     [-4.+0.j  0.+0.j]]
    """
    return _real_transform(a, s, axes, norm, "rfftn")


def irfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """Return the inverse of `rfftn`, as `numpy.fft.irfftn`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.irfftn([[4., 0.], [0., 0.]]).eval())
    [[1. 1.]
     [1. 1.]]
    """
    return _real_inverse(a, s, axes, norm, "irfftn")


def fftshift(x: Any, axes: Any = None) -> Any:
    """Return `x` with frequency 0 moved to the middle of each axis (or of `axes`), as `numpy.fft.fftshift`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.fftshift([0, 1, 2, 3]).eval())
    [2 3 0 1]
    """
    return _shifted(x, axes, True)


def ifftshift(x: Any, axes: Any = None) -> Any:
    """Return the inverse of `fftshift`, as `numpy.fft.ifftshift`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.ifftshift([0, 1, 2]).eval())
    [1 2 0]
    """
    return _shifted(x, axes, False)


def _shifted(x: Any, axes: Any, is_forward: bool) -> Any:
    x = as_operand(x)
    given = range(x.type.ndim) if axes is None else axes if isinstance(axes, list | tuple) else [axes]
    for axis in [checked_axis(number, x, "fftshift") for number in given]:
        size = size_of(x, axis)
        middle = (size + 1) // 2 if is_forward else size // 2
        before = (slice(None),) * axis
        x = concatenate([x[(*before, slice(middle, None))], x[(*before, slice(None, middle))]], axis=axis)
    return x


def fftfreq(n: Any, d: float = 1.0) -> Any:
    """Return the frequencies of the elements of a transform of size `n`, as `numpy.fft.fftfreq`; ``floatX``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.fftfreq(4).eval())
    [ 0.    0.25 -0.5  -0.25]
    """
    n = as_operand(integer_scalar(n, "fftfreq"))
    numbers = arange(n)
    return cast(switch(numbers > (n - 1) // 2, numbers - n, numbers), "floatX") / cast(n * d, "floatX")


def rfftfreq(n: Any, d: float = 1.0) -> Any:
    """Return the frequencies of the elements of the first half, as `numpy.fft.rfftfreq`; ``floatX``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.rfftfreq(4).eval())
    [0.   0.25 0.5 ]
    """
    n = as_operand(integer_scalar(n, "rfftfreq"))
    return cast(arange(n // 2 + 1), "floatX") / cast(n * d, "floatX")


def rfft_parts(inp: Any, norm: str | None = None) -> Any:
    """Return the Fourier transforms of a batch of real tensors, with real and imaginary parts in a last axis of size 2.

    Parameters
    ----------
    inp : tensor of shape (batch, ...)
        The transform is over all axes but the first.
    norm : {None, 'ortho', 'no_norm'}
        What the sum is divided by: 1, the root of the number of elements, 1.

    Returns
    -------
    real tensor of shape (batch, ..., n // 2 + 1, 2)

    Notes
    -----
    Keeps the behaviour of Theano's ``tensor.fft.rfft``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> print(T.fft.rfft_parts(x).eval({x: [[1., 0., -1., 0.]]})[0])
    [[0. 0.]
     [2. 0.]
     [0. 0.]]
    """
    inp = _batch(inp, "rfft_parts", 2)
    whole = _real_transform(inp, None, range(1, inp.type.ndim), norm, "rfft")
    return stack([real(whole), imag(whole)], axis=-1)


def irfft_parts(inp: Any, norm: str | None = None, is_odd: bool = False) -> Any:
    """Return the inverse of `rfft_parts`.

    Parameters
    ----------
    inp : tensor of shape (batch, ..., m, 2)
        Real and imaginary parts.
    norm : {None, 'ortho', 'no_norm'}
        What the sum is divided by: the number of elements, its root, 1.
    is_odd : bool
        Whether the last axis of the result has ``2 * m - 1`` elements, rather than ``2 * m - 2``.

    Returns
    -------
    real tensor of shape (batch, ..., n)

    Notes
    -----
    Keeps the behaviour of Theano's ``tensor.fft.irfft``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fft.irfft_parts(T.fft.rfft_parts([[1., 2., 3., 4.]])).eval())
    [[1. 2. 3. 4.]]
    """
    inp = _batch(inp, "irfft_parts", 3)
    if is_odd not in (True, False):
        raise user_error(RangeError, f"irfft_parts takes True or False as is_odd, got {is_odd!r}", [inp])
    whole = complex_of_parts(inp[..., 0], inp[..., 1])
    scale, last = _scale(norm, True, "irfft_parts"), whole.type.ndim - 1
    if last > 1:
        whole = Fourier(tuple(range(1, last)), True, scale)(whole)
    return InverseRealFourier(scale)(whole, (size_of(whole, last) - 1) * 2 + int(is_odd))


def _batch(x: Any, where: str, least: int) -> Any:
    x = _numbers(x)
    if x.type.ndim < least:
        raise user_error(ShapeError, f"{where} needs a batch axis, and at least {least} axes, got {x.type}", [x])
    if is_complex(x.type.dtype):
        raise user_error(DTypeError, f"{where} takes real numbers, got {x.type.dtype}", [x])
    return x


__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "ifft", "ifft2", "ifftn", "ifftshift", "irfft", "irfft2",
    "irfft_parts", "irfftn", "rfft", "rfft2", "rfft_parts", "rfftfreq", "rfftn",
]  # fmt: skip
