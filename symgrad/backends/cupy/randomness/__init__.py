"""Random numbers as CUDA kernels: the same bits as on the CPU."""

from symgrad.backends.cupy.randomness.mrg import mrg_calls
from symgrad.backends.cupy.randomness.samples import random_calls

__all__ = ["mrg_calls", "random_calls"]
