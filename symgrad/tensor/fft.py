"""Fourier transforms, by convention ``T.fft``: NumPy's names, and Theano's layout under `rfft_parts`."""

from symgrad.ops.fourier import *
