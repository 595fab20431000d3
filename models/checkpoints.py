"""Checkpoints of network3's training: what is in them, and whether one belongs to the network at hand.

The arrays are the parameters, ``layers.0.w``, and the states of the random streams, ``layers.3.random_state.0``. The
header holds the settings, the layers, the data's checksum, how far training is, and the accuracies so far. The
minibatches come in the order of the data, so their place in it is the number of minibatches trained, and a run that was
killed and resumed computes what it would have computed anyway, to the last bit.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from network3 import Network, Step

import symgrad
from symgrad.checkpoint import load_checkpoint, save_checkpoint
from symgrad.data import Mnist
from symgrad.errors import CheckpointError, OperandDescription, render


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do.

    Parameters
    ----------
    net : str
        Name of the network.
    batch : int
        Images in a minibatch.
    eta, lmbda : float
        Learning rate, and weight of the L2 term.
    seed : int
        Seed of the initial parameters and of dropout.
    epochs : int
        After how many epochs to stop.
    data : str
        The data's path; empty for the sample that comes with symgrad.
    """

    net: str
    batch: int
    eta: float
    lmbda: float
    seed: int
    epochs: int
    data: str = ""


class Epoch(NamedTuple):
    """What one epoch came to: the mean cost of its minibatches, and the accuracies after it."""

    cost: float
    validation: float
    test: float


@dataclass
class History:
    """How far training is.

    Parameters
    ----------
    iteration : int
        How many minibatches the network was trained on.
    cost_sum, cost_count : float, int
        Sum and number of the costs since the last complete epoch.
    epochs : list of Epoch
        The complete epochs.
    """

    iteration: int = 0
    cost_sum: float = 0.0
    cost_count: int = 0
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def mean_cost(self) -> float:
        """The mean cost of the epoch that runs, so far."""
        return self.cost_sum / max(self.cost_count, 1)

    def add(self, step: Step) -> None:
        """Take note of a minibatch."""
        self.iteration = step.iteration
        self.cost_sum += step.cost
        self.cost_count += 1
        if step.accuracies is not None:
            self.epochs.append(Epoch(self.mean_cost, *step.accuracies))
            self.cost_sum, self.cost_count = 0.0, 0


class Checkpoint(NamedTuple):
    """What was read from a file."""

    path: Path
    arrays: Mapping[str, np.ndarray]
    header: Mapping[str, Any]
    settings: Settings
    history: History


def fingerprint(data: Mnist) -> dict[str, Any]:
    """Return what tells one data set from another: the numbers of images, and a checksum of images and labels."""
    checksum = 0
    for split in data:
        for array in split:
            checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return {"images": [len(split.labels) for split in data], "crc32": checksum}


def save(path: Path, net: Network, settings: Settings, history: History, data: Mapping[str, Any]) -> None:
    """Write a checkpoint, all or nothing.

    Parameters
    ----------
    data : mapping
        `fingerprint` of the data.
    """
    header = {
        "program": "network3",
        "settings": asdict(settings),
        "floatX": symgrad.config.floatX,
        "layers": [repr(layer) for layer in net.layers],
        "data": data,
        "history": {**vars(history), "epochs": [list(epoch) for epoch in history.epochs]},
    }
    save_checkpoint(path, {name: variable.get_value() for name, variable in _state(net).items()}, header)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or a checkpoint of another program.
    """
    arrays, header = load_checkpoint(path)
    try:
        if header["program"] != "network3":
            raise ValueError("it is another program's")
        settings = Settings(**header["settings"])
        past = dict(header["history"])
        history = History(**{**past, "epochs": [Epoch(*epoch) for epoch in past["epochs"]]})
    except (KeyError, TypeError, ValueError) as failure:
        headline = f"{path.name} is a checkpoint, but not of network3"
        remedy = "Give --resume a file that network3.py --save wrote."
        raise CheckpointError(render(headline, str(path), remedy=remedy)) from failure
    return Checkpoint(path, arrays, header, settings, history)


def resumed_settings(checkpoint: Checkpoint, given: Mapping[str, Any]) -> Settings:
    """Return the settings with which a run goes on: the checkpoint's, with the number of epochs and the path as given.

    Parameters
    ----------
    given : mapping
        The settings that were given on the command line.

    Raises
    ------
    CheckpointError
        If another setting was given than the one that the checkpoint was trained with.
    """
    settings = checkpoint.settings
    fixed = [entry.name for entry in fields(Settings) if entry.name not in ("epochs", "data")]
    unlike = [name for name in fixed if name in given and given[name] != getattr(settings, name)]
    if unlike:
        rows = [(f"--{name}", getattr(settings, name), given[name]) for name in unlike]
        _refuse(checkpoint, "was trained with other settings", rows, "Leave them out, or train without --resume.")
    return Settings(**{**asdict(settings), **given})


def restore(checkpoint: Checkpoint, net: Network, data: Mapping[str, Any]) -> None:
    """Give a network the parameters and random states of a checkpoint.

    Raises
    ------
    CheckpointError
        If the checkpoint is of other layers, another dtype, or was trained on other data. The network is unchanged.
    """
    header = checkpoint.header
    if header.get("floatX") != symgrad.config.floatX:
        rows: list[tuple[str, Any, Any]] = [("floatX", header.get("floatX"), symgrad.config.floatX)]
        _refuse(checkpoint, "holds another dtype", rows, f"Set SYMGRAD_FLAGS=floatX={header.get('floatX')}.")
    if header.get("data") != data:
        names = [name for name in data if header.get("data", {}).get(name) != data[name]]
        rows = [(name, header.get("data", {}).get(name), data[name]) for name in names]
        _refuse(checkpoint, "was trained on other data", rows, "Pass the same file to --data.")
    layers = [repr(layer) for layer in net.layers]
    if header.get("layers") != layers:
        rows = [("layers", ", ".join(header.get("layers", ())), ", ".join(layers))]
        _refuse(checkpoint, "is of another network", rows, "Resume it with the version of network3.py that wrote it.")
    state = _state(net)
    found = {name: f"{array.dtype} {array.shape}" for name, array in checkpoint.arrays.items()}
    wanted = {name: f"{array.dtype} {array.shape}" for name, array in _values(state).items()}
    if found != wanted:
        names = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        rows = [(name, found.get(name, "missing"), wanted.get(name, "not in this network")) for name in names]
        _refuse(checkpoint, "is of another network", rows, "Use another checkpoint.")
    for name, variable in state.items():
        variable.set_value(checkpoint.arrays[name])


def _state(net: Network) -> dict[str, Any]:
    """Return all that training changes: parameters and the states of random streams, by name."""
    state: dict[str, Any] = {}
    for position, layer in enumerate(net.layers):
        state |= {f"layers.{position}.{param.name}": param for param in layer.params}
        streams = getattr(layer, "streams", None)
        pairs = streams.state_updates if streams is not None else ()
        state |= {f"layers.{position}.random_state.{number}": variable for number, (variable, _) in enumerate(pairs)}
    return state


def _values(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: variable.get_value(borrow=True) for name, variable in state.items()}


def _refuse(checkpoint: Checkpoint, what: str, rows: Sequence[tuple[str, Any, Any]], remedy: str) -> NoReturn:
    """Raise an error that compares the checkpoint's values with those of this run."""
    described = [
        OperandDescription(label, f"{theirs} in the checkpoint", f"{ours} now") for label, theirs, ours in rows
    ]
    raise CheckpointError(render(f"{checkpoint.path.name} {what}", str(checkpoint.path), described, remedy))
