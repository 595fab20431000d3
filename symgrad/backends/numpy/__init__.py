"""The NumPy backend: the reference, written as a straight line of NumPy, SciPy and BLAS calls."""

from symgrad.backends.numpy import randomness  # it enters its routine
from symgrad.backends.numpy.program import NumpyBackend

__all__ = ["NumpyBackend", "randomness"]
