"""network3's full network, as a program that a GPU trains, and the means to start it again from the same state."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

import symgrad
from benchmarks.gpu_parts.children import ROOT
from symgrad.data import load_mnist

sys.path.append(str(ROOT / "models"))

import network3

BATCH_SIZE = 10
ETA, LMBDA = 0.03, 0.1
SEED = 15


class Trainer:
    """A network with its training function.

    Parameters
    ----------
    data : list of splits
        What `load_mnist` returns.
    tiny : bool
        Whether the network is as small as it can be.

    Attributes
    ----------
    step : Function
        Trains on the minibatch whose number it gets, and returns the cost.
    batches : int
        How many minibatches there are.
    """

    def __init__(self, data: Any, tiny: bool) -> None:
        np.random.seed(SEED)  # network3's dropout draws its seeds from NumPy's generator
        self._data = [network3.share(split) for split in data]
        self.net = network3.Network(_layers(tiny), BATCH_SIZE)
        self.step: symgrad.Function = self.net.training_function(self._data[0], BATCH_SIZE, ETA, LMBDA)
        self.batches = len(data[0].labels) // BATCH_SIZE
        fixed = {id(variable) for split in self._data for variable in _shared_of(split)}
        self._state = [variable for variable in self.step.graph.shared() if id(variable) not in fixed]
        self._initial = [np.array(variable.get_value(), copy=True) for variable in self._state]

    def restart(self) -> None:
        """Go back to the first parameters and to the beginning of the random streams."""
        for variable, value in zip(self._state, self._initial, strict=True):
            variable.set_value(value.copy())

    def train(self, indices: Sequence[int]) -> None:
        """Train on minibatches, a call each."""
        step = self.step
        for index in indices:
            step(index)

    def digest(self) -> str:
        """Return what is the same only if all bits of all parameters are; waits until they are there."""
        found = hashlib.sha256()
        for parameter in self.net.params:
            found.update(np.ascontiguousarray(parameter.get_value()).tobytes())
        return found.hexdigest()

    def accuracies(self) -> tuple[float, float]:
        """Return the fraction of validation and of test images that are read correctly."""
        is_right = self.net.layers[-1].correct(self.net.y)
        validation, test = [float(self.net.each_image(is_right, data)().mean()) for data in self._data[1:]]
        return validation, test


def mnist(tiny: bool) -> Any:
    """Return training, validation and test data; few images of each if `tiny`."""
    splits = load_mnist()
    if not tiny:
        return splits
    return [type(split)(split.images[:40], split.labels[:40]) for split in splits]


def _layers(tiny: bool) -> list[Any]:
    """Return the layers of the book's last network, with dropout."""
    rng, relu = np.random.RandomState(SEED), network3.ReLU
    first, second, width = (2, 3, 8) if tiny else (20, 40, 1000)
    return [
        network3.ConvPoolLayer((first, 1, 5, 5), (BATCH_SIZE, 1, 28, 28), (2, 2), relu, rng=rng),
        network3.ConvPoolLayer((second, first, 5, 5), (BATCH_SIZE, first, 12, 12), (2, 2), relu, rng=rng),
        network3.FullyConnectedLayer(second * 4 * 4, width, relu, p_dropout=0.5, rng=rng),
        network3.FullyConnectedLayer(width, width, relu, p_dropout=0.5, rng=rng),
        network3.SoftmaxLayer(width, 10, p_dropout=0.5),
    ]


def _shared_of(split: tuple[Any, Any]) -> list[Any]:
    """Return the shared variables that images and labels are stored in."""
    images, labels = split
    return [images, *([labels] if labels.owner is None else labels.owner.inputs)]
