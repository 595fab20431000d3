"""Data sets: MNIST from files, from the sample that ships with symgrad, or downloaded.

Examples
--------
>>> from symgrad.data import SAMPLE, load_mnist
>>> training, validation, test = load_mnist(SAMPLE)
>>> training.images.shape
(5000, 784)
"""

from __future__ import annotations

from symgrad.data.download import download_mnist
from symgrad.data.mnist import SAMPLE, Mnist, Split, load_mnist

__all__ = ["SAMPLE", "Mnist", "Split", "download_mnist", "load_mnist"]
