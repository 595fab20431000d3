"""What network3's command line offers: the networks of the book's chapter, and the options."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from checkpoints import Checkpoint, Settings, resumed_settings
from network3 import ConvPoolLayer, FullyConnectedLayer, ReLU, SoftmaxLayer, sigmoid
from pictures import require_matplotlib

import symgrad

DEFAULT_NET = "relu"
DEFAULT_BATCH = 10
DEFAULT_SEED = 15
EPOCHS_ON_SAMPLE = 10
EPOCHS_ON_DATA = 60  # the book's


# ---- the networks of the book's chapter ----


class Recipe(NamedTuple):
    """A network and the hyper-parameters that suit it.

    Parameters
    ----------
    description : str
        For ``--help``.
    layers : callable
        Takes a minibatch size and a generator, returns the layers.
    eta, lmbda : float
        Learning rate, and weight of the L2 term.
    """

    description: str
    layers: Callable[[int, np.random.RandomState], list[Any]]
    eta: float
    lmbda: float = 0.0


def _convolutions(batch: int, activation: Any, rng: Any) -> list[Any]:
    """Return two convolutional layers; 40 feature maps of 4 by 4 come out."""
    return [
        ConvPoolLayer((20, 1, 5, 5), (batch, 1, 28, 28), (2, 2), activation, rng=rng),
        ConvPoolLayer((40, 20, 5, 5), (batch, 20, 12, 12), (2, 2), activation, rng=rng),
    ]


def _shallow(batch: int, rng: Any) -> list[Any]:
    return [FullyConnectedLayer(28 * 28, 100, rng=rng), SoftmaxLayer(100, 10, rng=rng)]


def _conv(batch: int, rng: Any) -> list[Any]:
    return [
        ConvPoolLayer((20, 1, 5, 5), (batch, 1, 28, 28), rng=rng),
        FullyConnectedLayer(20 * 12 * 12, 100, rng=rng),
        SoftmaxLayer(100, 10, rng=rng),
    ]


def _conv2(batch: int, rng: Any, activation: Any = sigmoid) -> list[Any]:
    return [
        *_convolutions(batch, activation, rng),
        FullyConnectedLayer(40 * 4 * 4, 100, activation, rng=rng),
        SoftmaxLayer(100, 10, rng=rng),
    ]


def _relu(batch: int, rng: Any) -> list[Any]:
    return _conv2(batch, rng, ReLU)


def _dropout(batch: int, rng: Any) -> list[Any]:
    return [
        *_convolutions(batch, ReLU, rng),
        FullyConnectedLayer(40 * 4 * 4, 1000, ReLU, p_dropout=0.5, rng=rng),
        FullyConnectedLayer(1000, 1000, ReLU, p_dropout=0.5, rng=rng),
        SoftmaxLayer(1000, 10, p_dropout=0.5, rng=rng),
    ]


NETS = {
    "shallow": Recipe("one hidden layer of 100 sigmoid neurons", _shallow, eta=0.1),
    "conv": Recipe("one convolution, then 100 sigmoid neurons", _conv, eta=0.1),
    "conv2": Recipe("two convolutions, then 100 sigmoid neurons", _conv2, eta=0.1),
    "relu": Recipe("two convolutions, then 100 rectified linear units", _relu, eta=0.03, lmbda=0.1),
    "dropout": Recipe("two convolutions, then twice 1000 rectified linear units with dropout", _dropout, eta=0.03),
}


# ---- arguments ----


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see --help)")


def fail(message: str) -> NoReturn:
    """End the program with one line about what the user did wrong."""
    print(f"network3.py: {message}", file=sys.stderr)
    raise SystemExit(2)


def _number(kind: type, least: float, most: float, name: str) -> Callable[[str], Any]:
    """Return a converter for argparse that accepts numbers of `kind` from `least` to `most`."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {name}")
        return value

    return convert


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's options; an option that wasn't given is None."""
    count = _number(int, 1, 10**9, "a whole number of at least 1")
    nets = "; ".join(f"{name}: {recipe.description}" for name, recipe in NETS.items())
    parser = _Parser(
        prog="network3.py", description="Train a network that reads handwritten digits.", allow_abbrev=False
    )
    parser.add_argument("--net", choices=NETS, help=f"{nets} (default: {DEFAULT_NET})")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="mnist.pkl.gz, or a folder of IDX files (default: what SYMGRAD_DATA names, else the sample of 6,000 "
        "images that comes with symgrad)",
    )
    parser.add_argument(
        "--epochs",
        type=count,
        metavar="N",
        help=f"train until there are N epochs in all (default: {EPOCHS_ON_SAMPLE} on the sample, "
        f"else the book's {EPOCHS_ON_DATA})",
    )
    parser.add_argument("--batch", type=count, metavar="N", help=f"minibatch size (default: {DEFAULT_BATCH})")
    parser.add_argument(
        "--eta",
        type=_number(float, 5e-324, 1e300, "a learning rate: it must be greater than 0"),
        metavar="X",
        help="learning rate (default: the book's for the net)",
    )
    parser.add_argument(
        "--lmbda",
        type=_number(float, 0, 1e300, "a weight of the L2 term: it must be 0 or more"),
        metavar="X",
        help="weight of the L2 term (default: the book's for the net)",
    )
    parser.add_argument(
        "--seed",
        type=_number(int, 0, 2**32 - 1, "a seed: it must be a whole number from 0 to 2**32 - 1"),
        metavar="N",
        help=f"seed of the initial parameters and of dropout (default: {DEFAULT_SEED})",
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda0, ... or auto (default: symgrad.config.device)")
    parser.add_argument("--save", type=Path, metavar="F", help="write a checkpoint to F after each epoch")
    parser.add_argument(
        "--resume", type=Path, metavar="F", help="go on from the checkpoint F, with its settings, and save to it"
    )
    parser.add_argument(
        "--pictures", type=Path, default=Path("network3-pictures"), metavar="FOLDER", help="(default: %(default)s)"
    )
    parser.add_argument("--no-pictures", action="store_true", help="draw nothing at the end")
    return parser.parse_args(arguments)


def settle(options: argparse.Namespace, checkpoint: Checkpoint | None) -> Settings:
    """Return the settings of a run: as given, else as in the checkpoint, else the defaults."""
    names = ("net", "batch", "eta", "lmbda", "seed", "epochs", "data")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if "data" in given:
        given["data"] = _absolute(given["data"])  # a run may be resumed from another folder
    if checkpoint is not None:
        if checkpoint.settings.net not in NETS:
            fail(f"{checkpoint.path} is of a net {checkpoint.settings.net!r}, which this version doesn't have")
        return resumed_settings(checkpoint, given)
    recipe = NETS[given.get("net", DEFAULT_NET)]
    data = _absolute(symgrad.config.data) if symgrad.config.data else ""
    defaults = {
        "net": DEFAULT_NET, "batch": DEFAULT_BATCH, "eta": recipe.eta, "lmbda": recipe.lmbda, "seed": DEFAULT_SEED,
        "data": data, "epochs": EPOCHS_ON_DATA if given.get("data", data) else EPOCHS_ON_SAMPLE,
    }  # fmt: skip
    return Settings(**{**defaults, **given})


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def check_paths(options: argparse.Namespace) -> None:
    """Refuse what would only fail, or destroy something, after the training."""
    save, resume = options.save, options.resume
    if save is not None and save.exists() and not (resume is not None and resume.exists() and save.samefile(resume)):
        fail(f"{save} exists: go on from it with --resume {save}, or save to another file")
    if save is not None and not save.absolute().parent.is_dir():
        fail(f"the folder {save.absolute().parent}, to save in, doesn't exist")
    if not options.no_pictures:
        require_matplotlib()
        if options.pictures.exists() and not options.pictures.is_dir():
            fail(f"{options.pictures}, the folder for pictures, is a file")
