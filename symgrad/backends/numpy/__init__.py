"""The NumPy backend: the reference, written as a straight line of NumPy, SciPy and BLAS calls."""

from symgrad.backends.numpy import randomness, running, windowed  # they enter their routines
from symgrad.backends.numpy.program import NumpyBackend

__all__ = ["NumpyBackend", "randomness", "running", "windowed"]
