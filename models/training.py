"""network3 as a program: progress, checkpoints, Ctrl-C, pictures. The network itself is in network3.py."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pictures
from checkpoints import History, Settings
from network3 import Network, Step, share
from options import NETS, check_paths, fail, parse_arguments, settle

import symgrad
from symgrad.config import resolve_device
from symgrad.data import SAMPLE, Mnist, load_mnist
from symgrad.errors import CheckpointError, ConfigError, DataError, DeviceError, MissingLibraryError, render

LINE_EVERY = 1000  # minibatches, where there is no terminal for a progress bar
USER_ERRORS = (CheckpointError, ConfigError, DataError, DeviceError, MissingLibraryError)


# ---- progress ----


class Lines:
    """Progress as lines of text, for logs and pipes."""

    def __init__(self, settings: Settings, batches: int, history: History) -> None:
        self.batches = batches
        self.epochs = settings.epochs
        self.start_epoch(history)

    def start_epoch(self, history: History) -> None:
        """Start to measure time."""
        self.started, self.first = time.perf_counter(), history.iteration

    def minibatch(self, history: History) -> None:
        """Say how it goes, every now and then."""
        done = history.iteration % self.batches
        if done and done % LINE_EVERY == 0:
            rate = (history.iteration - self.first) / (time.perf_counter() - self.started)
            self.say(
                f"epoch {len(history.epochs) + 1}, minibatch {done:,} of {self.batches:,}: "
                f"cost {history.mean_cost:.4f}, {rate:,.0f} minibatches/s"
            )

    def epoch(self, history: History) -> None:
        """Say what an epoch came to."""
        epoch = history.epochs[-1]
        self.say(
            f"epoch {len(history.epochs)} of {self.epochs}: cost {epoch.cost:.4f}, "
            f"validation {epoch.validation:.2%}, test {epoch.test:.2%}, {time.perf_counter() - self.started:.1f} s"
        )
        self.start_epoch(history)

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)

    def close(self) -> None:
        """Nothing is left on the screen."""


class Bar(Lines):
    """Progress as a bar on the terminal, with the mean cost of the epoch and the rate; epochs are lines above it."""

    def __init__(self, settings: Settings, batches: int, history: History) -> None:
        super().__init__(settings, batches, history)
        try:
            from tqdm import tqdm
        except ImportError as failure:
            headline = "the progress bar needs tqdm, which isn't installed"
            remedy = "Install it: pip install symgrad[train]. Or send the output through a pipe: ... | cat"
            raise MissingLibraryError(render(headline, remedy=remedy)) from failure
        self.bar = tqdm(
            total=settings.epochs * batches, initial=history.iteration, unit=" minibatches", leave=False,
            dynamic_ncols=True, smoothing=0.05,
        )  # fmt: skip

    def minibatch(self, history: History) -> None:
        """Move the bar."""
        self.bar.set_postfix_str(f"cost {history.mean_cost:.4f}", refresh=False)
        self.bar.update()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.write(text)

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()


# ---- training ----


class Interruption:
    """Set by Ctrl-C (and by a request to terminate), so that the minibatch that runs can be completed first."""

    signal: int = 0


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Catch the first signal; a second one acts at once, as if nothing had been caught."""
    interruption = Interruption()
    caught = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in caught}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: Any) -> None:
        interruption.signal = number
        restore()

    for number in caught:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        restore()


class Run:
    """One training run.

    Parameters
    ----------
    settings : Settings
        What to train, and how long.
    data : Mnist
        On what.
    save : path or None
        Where checkpoints go after each epoch.
    """

    def __init__(self, settings: Settings, data: Mnist, save: Path | None) -> None:
        self.settings = settings
        self.data = data
        self.save_path = save
        rng = np.random.RandomState(settings.seed)
        self.net = Network(NETS[settings.net].layers(settings.batch, rng), settings.batch)
        self.history = History()
        self.batches = len(data.training.labels) // settings.batch

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        return self.history.iteration >= self.settings.epochs * self.batches

    def resume(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Go on where a checkpoint is."""
        checkpoints.restore(checkpoint, self.net, checkpoints.fingerprint(self.data))
        self.history = checkpoint.history

    def describe(self) -> str:
        """Return the run's settings as text."""
        count = sum(param.get_value(borrow=True).size for param in self.net.params)
        images = " + ".join(f"{len(split.labels):,}" for split in self.data)
        s = self.settings
        return (
            f"{s.net}: {NETS[s.net].description}; {count:,} parameters\n"
            f"{s.data or 'the sample that comes with symgrad'}: {images} images\n"
            f"minibatches of {s.batch}, eta {s.eta:g}, lmbda {s.lmbda:g}, seed {s.seed}, {symgrad.config.floatX}"
        )

    def train(self) -> int:
        """Train; return the number of the signal that ended it early, or 0."""
        data = [share(split) for split in self.data]
        make_display = Bar if sys.stderr.isatty() else Lines
        with interruptible() as interruption:
            display = make_display(self.settings, self.batches, self.history)
            try:
                for step in self._steps(*data):
                    self._follow(step, display)
                    if interruption.signal:
                        break
            finally:
                display.close()
            if interruption.signal:
                self.save_interrupted()
        return interruption.signal

    def _steps(self, training_data: Any, validation_data: Any, test_data: Any) -> Iterator[Step]:
        s = self.settings
        return self.net.train(
            training_data, s.epochs, s.batch, s.eta, validation_data, test_data, s.lmbda, self.history.iteration
        )

    def _follow(self, step: Step, display: Lines) -> None:
        """Do what is to be done after a minibatch."""
        self.history.add(step)
        display.minibatch(self.history)
        if step.accuracies is not None:
            if self.save_path is not None:
                self.save(self.save_path)
            display.epoch(self.history)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        if not hasattr(self, "_fingerprint"):
            self._fingerprint = checkpoints.fingerprint(self.data)
        checkpoints.save(path, self.net, self.settings, self.history, self._fingerprint)

    def save_interrupted(self) -> None:
        """Write a checkpoint where the run was told to, else beside the user's other files, and say where it is."""
        path = self.save_path or _unused(f"network3-{self.settings.net}", ".safetensors")
        self.save(path)
        done, batch = divmod(self.history.iteration, self.batches)
        print(f"stopped after {done} epochs and {batch} minibatches; the checkpoint is {path}")
        print(f"go on with: python {_program()} --resume {path}", flush=True)

    def draw(self, folder: Path) -> None:
        """Draw the pictures, and say where they are."""
        folder.mkdir(parents=True, exist_ok=True)
        name = self.settings.net
        read = self.net.each_image(self.net.layers[-1].y_out, share(self.data.test))
        digits = read()
        images, labels = self.data.test
        wrong = int((digits != labels).sum())
        print("pictures:")
        path = folder / f"{name}-learning.png"
        pictures.draw_learning(path, f"network3, --net {name}", self.history.epochs)
        print(f"  {path}: cost and accuracies over {len(self.history.epochs)} epochs")
        path = folder / f"{name}-filters.png"
        w = self.net.layers[0].w.get_value(borrow=True)
        drawn = pictures.draw_filters(path, "weights of the first layer: dark is positive", w)
        print(f"  {path}: the weights of {drawn} units of the first layer")
        path = folder / f"{name}-misread.png"
        title = f"{wrong} of {len(labels):,} test images are misread"
        drawn = pictures.draw_misread(path, title, images, labels, digits)
        print(f"  {path}: {drawn} of the {wrong} misread test images" if drawn else "  no test image is misread")


def _unused(stem: str, suffix: str) -> Path:
    """Return the first of stem, stem-2, stem-3 ... that isn't a file yet."""
    path, number = Path(stem + suffix), 1
    while path.exists():
        number += 1
        path = Path(f"{stem}-{number}{suffix}")
    return path


def _program() -> str:
    """Return the path of network3.py as the user can type it."""
    path = os.path.relpath(Path(__file__).with_name("network3.py"))
    return path if not path.startswith("..") else str(Path(__file__).with_name("network3.py"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status: 0, 2 for a mistake of the user, 128 + signal after Ctrl-C."""
    options = parse_arguments(arguments)
    try:
        return _main(options)
    except USER_ERRORS as error:
        print(f"network3.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("network3.py: stopped at once; a checkpoint that was saved before is complete", file=sys.stderr)
        return 128 + signal.SIGINT


def _main(options: argparse.Namespace) -> int:
    check_paths(options)
    resolve_device(options.device)
    if options.device is not None:
        symgrad.config.device = options.device
    checkpoint = checkpoints.load(options.resume) if options.resume is not None else None
    settings = settle(options, checkpoint)
    data = load_mnist(settings.data or SAMPLE)
    smallest = min(len(split.labels) for split in data)
    if settings.batch > smallest:
        fail(f"--batch {settings.batch} is more than the {smallest} images of the smallest part of the data")
    run = Run(settings, data, options.save or options.resume)
    if checkpoint is not None:
        run.resume(checkpoint)
    print(run.describe(), flush=True)
    if run.save_path is not None:
        run.save(run.save_path)  # now, so that a path that can't be written fails before the training
    if run.is_complete:
        print(f"all {settings.epochs} epochs are trained already; ask for more with --epochs")
    elif caught := run.train():
        return 128 + caught
    best = max(run.history.epochs, key=lambda epoch: epoch.validation)
    print(
        f"best validation accuracy {best.validation:.2%}, after epoch {1 + run.history.epochs.index(best)}; "
        f"the test accuracy there is {best.test:.2%}"
    )
    if run.save_path is not None:
        print(f"checkpoint: {run.save_path}")
    if not options.no_pictures:
        run.draw(options.pictures)
    return 0
