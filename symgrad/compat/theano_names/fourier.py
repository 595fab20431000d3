"""``theano.tensor.fft``'s ops, which are called with the sizes of the transform."""

from __future__ import annotations

from typing import Any

from symgrad import tensor as T
from symgrad.tensor import fft


class RFFTOp:
    """``RFFTOp()(a, s)``: the transform of real tensors, with real and imaginary parts in a last axis."""

    def __call__(self, a: Any, s: Any = None) -> Any:
        """Return the transform over all axes but the first, whose sizes are `s`."""
        a = T.as_tensor_variable(a)
        axes = range(1, a.ndim)
        whole = fft.rfftn(a, _listed(s, len(axes)), tuple(axes))
        return T.stack([T.real(whole), T.imag(whole)], axis=-1)


class IRFFTOp:
    """``IRFFTOp()(a, s)``: its inverse, which isn't divided by the number of elements."""

    def __call__(self, a: Any, s: Any = None) -> Any:
        """Return the real tensors, whose sizes behind the first are `s`."""
        a = T.as_tensor_variable(a)
        axes = range(1, a.ndim - 1)
        whole = T.complex(a[..., 0], a[..., 1])
        return fft.irfftn(whole, _listed(s, len(axes)), tuple(axes), "no_norm")


def _listed(sizes: Any, count: int) -> list[Any] | None:
    if sizes is None:
        return None
    sizes = T.as_tensor_variable(sizes)
    return [sizes[number] for number in range(count)]


rfft_op = RFFTOp()
irfft_op = IRFFTOp()

__all__ = ["IRFFTOp", "RFFTOp", "irfft_op", "rfft_op"]
