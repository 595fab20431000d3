"""Data sets: MNIST from files, from the sample that ships with symgrad, or downloaded.

Examples
--------
>>> from symgrad.data import load_mnist
>>> from symgrad.data.mnist import SAMPLE
>>> training, validation, test = load_mnist(SAMPLE)
>>> training.images.shape
(5000, 784)
"""

from __future__ import annotations

from symgrad.data.download import download_mnist
from symgrad.data.mnist import Mnist, Split, load_mnist

__all__ = ["Mnist", "Split", "download_mnist", "load_mnist"]
