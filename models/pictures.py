"""Pictures of what a network learned: its learning curves, its filters, and the digits that it misreads.

They are drawn by matplotlib into PNG files; no display is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from checkpoints import Epoch

from symgrad.errors import MissingLibraryError, render

BLUE, ORANGE, GREY = "#2060a8", "#d06010", "#606060"
MOST_FILTERS = 40
MOST_DIGITS = 40
COLUMNS = 10


def require_matplotlib() -> None:
    """Raise MissingLibraryError if matplotlib isn't installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as failure:
        remedy = "Install it: pip install symgrad[train]. Or pass --no-pictures."
        raise MissingLibraryError(render("pictures need matplotlib, which isn't installed", remedy=remedy)) from failure


def draw_learning(path: Path, title: str, epochs: Sequence[Epoch]) -> None:
    """Draw cost and accuracies over epochs.

    Parameters
    ----------
    path : path
        The PNG file.
    title : str
        What stands above.
    epochs : sequence of Epoch
        At least one.
    """
    figure = _figure(9, 3.6)
    numbers = range(1, len(epochs) + 1)
    left, right = figure.subplots(1, 2)
    left.plot(numbers, [epoch.cost for epoch in epochs], color=GREY, marker=".")
    left.set(title=title, xlabel="epoch", ylabel="mean training cost")
    left.set_ylim(bottom=0)
    right.plot(numbers, [100 * epoch.validation for epoch in epochs], color=BLUE, marker=".", label="validation")
    right.plot(numbers, [100 * epoch.test for epoch in epochs], color=ORANGE, marker=".", label="test")
    best = max(epoch.validation for epoch in epochs)
    right.set(title=f"best validation accuracy {best:.2%}", xlabel="epoch", ylabel="accuracy in %")
    right.legend(loc="lower right", frameon=False)
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def draw_filters(path: Path, title: str, w: np.ndarray) -> int:
    """Draw the weights of a first layer as pictures: dark for positive, light for negative.

    Parameters
    ----------
    w : ndarray, (filters, 1, height, width), or (28 * 28, neurons)
        The weights of a convolutional or a fully connected layer.

    Returns
    -------
    int
        How many were drawn.
    """
    if w.ndim == 4:
        filters = w[:MOST_FILTERS, 0, ::-1, ::-1]  # a convolution flips its filters: this is the pattern that they find
    else:
        side = round(len(w) ** 0.5)
        filters = w.T[:MOST_FILTERS].reshape(-1, side, side)
    figure, cells = _grid(len(filters), title)
    limit = float(np.abs(filters).max())
    for axes, weights in zip(cells, filters, strict=True):
        axes.imshow(weights, cmap="gray_r", vmin=-limit, vmax=limit)
    figure.savefig(path)
    return len(filters)


def draw_misread(path: Path, title: str, images: np.ndarray, labels: np.ndarray, digits: np.ndarray) -> int:
    """Draw images that were read wrongly, the label and the answer above each.

    Parameters
    ----------
    images : ndarray (n, 784)
        All images.
    labels, digits : ndarray (n,)
        What they are, and as what they were read.

    Returns
    -------
    int
        How many were drawn; no file is written for none.
    """
    wrong = np.flatnonzero(labels != digits)[:MOST_DIGITS]
    if not len(wrong):
        return 0
    figure, cells = _grid(len(wrong), title)
    for axes, position in zip(cells, wrong, strict=True):
        side = round(images.shape[1] ** 0.5)
        axes.imshow(images[position].reshape(side, side), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(f"{labels[position]} read as {digits[position]}", fontsize=7)
    figure.savefig(path)
    return len(wrong)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # not pyplot: no window system, and no state

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _grid(count: int, title: str) -> tuple[Any, list[Any]]:
    """Return a figure, and `count` axes in rows, without frames."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = _figure(0.9 * max(columns, 5), 1.0 * rows + 0.5)
    figure.suptitle(title, fontsize=10)
    cells = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for axes in cells:
        axes.axis("off")
    return figure, cells[:count]
