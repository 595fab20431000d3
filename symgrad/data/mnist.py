"""MNIST: 28 by 28 grey digits, in the classic split into training, validation and test data."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from symgrad.data.idx import IMAGES_RANK, LABELS_RANK, read_idx, starts_idx
from symgrad.data.pickled import ArrayUnpickler
from symgrad.data.source import SIZE_LIMIT, Source, data_error

SAMPLE = Path(__file__).with_name("mnist_sample.idx.gz")
"""The sample that ships with symgrad; ``README.md`` beside it names the authors and the licence."""

SIDE = 28
PIXELS = SIDE * SIDE
DIGITS = 10

_SPLITS = ("training", "validation", "test")
_IDX_FILE = re.compile(r"(?P<part>train|t10k|test)[-_.](?P<content>images|labels)", re.IGNORECASE)
_PICKLE_STARTS = (b"\x80", b"(", b"]")  # a protocol from 2 on; a tuple or list; an empty list to be filled
_FORMATS = "mnist.pkl.gz, a folder of the four IDX files or one of them, or a sample made by symgrad.data.make_sample"
_FOUR_FILES = "train-images, train-labels, t10k-images and t10k-labels (such as train-images-idx3-ubyte.gz)"


class Split(NamedTuple):
    """One part of a data set.

    Parameters
    ----------
    images : ndarray of float32, shape (n, 784)
        One image a row, its pixels row by row, 0 for the background up to 255/256 for the darkest ink.
    labels : ndarray of int64, shape (n,)
        The digits, 0 to 9.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


class Mnist(NamedTuple):
    """The three parts of MNIST, in the order of the classic file.

    Parameters
    ----------
    training : Split
        50,000 images in the full set, 5,000 in the sample.
    validation : Split
        10,000 images in the full set, 500 in the sample.
    test : Split
        10,000 images in the full set, 500 in the sample.
    """

    training: Split
    validation: Split
    test: Split


def load_mnist(path: str | os.PathLike[str] | None = None) -> Mnist:
    """Load MNIST from a file or folder, or the sample that ships with symgrad.

    The format is recognised by content, not by name; each file may be gzip or plain:

    - the classic ``mnist.pkl.gz``: three pairs (images, labels), read by an unpickler that admits NumPy arrays and
      nothing else;
    - the four original IDX files in one folder, or the path of any one of them; the last sixth of the training
      images (10,000 of 60,000) is the validation data, as in the classic split;
    - a sample made by ``symgrad.data.make_sample``.

    Parameters
    ----------
    path : str or path, optional
        The file or folder. By default ``symgrad.config.data`` (environment variable ``SYMGRAD_DATA``), and where
        that is empty the shipped sample of 5,000, 500 and 500 images.

    Returns
    -------
    Mnist
        Three splits of images, float32 (n, 784) in [0, 1), and labels, int64 (n,). Images from bytes are scaled by
        1/256, exactly, as in the classic file.

    Raises
    ------
    DataError
        When the file is missing, truncated, damaged, of another format, wrongly shaped, larger than 1 GiB or
        hostile; the error names the file, what was found, what was expected and what to do. No code of the file runs.

    Notes
    -----
    MNIST is by Y. LeCun, C. Cortes and C. J. C. Burges.

    Examples
    --------
    >>> training, validation, test = load_mnist(SAMPLE)
    >>> training.images.shape, training.images.dtype, test.labels.shape, test.labels.dtype
    ((5000, 784), dtype('float32'), (500,), dtype('int64'))
    """
    location = _configured() if path is None else Path(path).expanduser()
    return _load_folder(location) if os.path.isdir(location) else _load_file(location)


def _configured() -> Path:
    from symgrad.config import config

    if not config.data:
        return SAMPLE
    location = Path(config.data).expanduser()
    if not os.path.exists(location):
        remedy = "Correct or unset SYMGRAD_DATA (or symgrad.config.data); unset, load_mnist() reads the shipped sample."
        raise data_error(location, "the setting data names a path that doesn't exist", remedy=remedy)
    return location


def _load_file(path: Path) -> Mnist:
    with Source(path) as source:
        start = source.peek(4)
        if starts_idx(start):
            return _load_idx(source, rank=start[3])
        if start.startswith(_PICKLE_STARTS):
            return _load_pickle(source)
        raise source.failure("is not an MNIST file", source.describe_start(), _FORMATS)


def _load_pickle(source: Source) -> Mnist:
    pairs = ArrayUnpickler(source).load()
    if not _is_sequence(pairs, len(_SPLITS)) or not all(_is_sequence(pair, 2) for pair in pairs):
        headline = "is a pickle of something else than MNIST"
        raise source.failure(headline, _describe(pairs), "three pairs (images, labels)")
    return _checked(source.path, pairs)


def _load_idx(source: Source, rank: int) -> Mnist:
    """Load a sample, which holds all in one file and begins with labels, or the folder of a single IDX file."""
    if rank == LABELS_RANK:
        labels = read_idx(source, LABELS_RANK)
        if not source.at_end():
            pairs = [(read_idx(source, IMAGES_RANK), labels)]
            for _ in _SPLITS[1:]:
                labels = read_idx(source, LABELS_RANK)
                pairs.append((read_idx(source, IMAGES_RANK), labels))
            source.expect_end()
            return _checked(source.path, pairs)
    return _load_folder(source.path.parent)


def _load_folder(folder: Path) -> Mnist:
    files = _idx_files(folder)
    training_images, training_labels = _read_idx_pair(files["train images"], files["train labels"])
    held_out = len(training_images) // 6
    if not held_out:
        found = f"{len(training_images)} images"
        raise data_error(folder, f"{files['train images'].name} holds too few images to split", found, "at least 6")
    pairs = [
        (training_images[:-held_out], training_labels[:-held_out]),
        (training_images[-held_out:], training_labels[-held_out:]),
        _read_idx_pair(files["test images"], files["test labels"]),
    ]
    return _checked(folder, pairs)


def _idx_files(folder: Path) -> dict[str, Path]:
    """Find the four files; where a plain and a gzip one are present, the plain one, which loads faster."""
    try:
        present = sorted(folder.iterdir(), key=_plain_last)
    except OSError as failure:
        headline = f"the folder {folder.name or folder} can't be read"
        raise data_error(folder, headline, str(failure), remedy="Check its permissions.") from failure
    files: dict[str, Path] = {}
    for file in present:
        match = _IDX_FILE.match(file.name)
        if match and file.is_file():
            part = "train" if match["part"].lower() == "train" else "test"
            files[f"{part} {match['content'].lower()}"] = file
    missing = [f"{part} {content}" for part in ("train", "test") for content in ("images", "labels")]
    missing = [name for name in missing if name not in files]
    if missing:
        headline = f"{folder.name or folder} lacks IDX files: {', '.join(missing)}"
        found = ", ".join(sorted(file.name for file in files.values())) or "none of the four files"
        remedy = (
            "Put the four files in one folder, with or without .gz: symgrad.data.download_mnist() does. "
            "For mnist.pkl.gz give the path of the file itself."
        )
        raise data_error(folder, headline, found, _FOUR_FILES, remedy)
    return files


def _plain_last(file: Path) -> tuple[bool, str]:
    return file.suffix != ".gz", file.name


def _read_idx_pair(images: Path, labels: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    arrays = []
    for path, rank in ((images, IMAGES_RANK), (labels, LABELS_RANK)):
        with Source(path) as source:
            if not starts_idx(source.peek(4)):
                raise source.failure("is not an IDX file", source.describe_start(), "IDX unsigned bytes")
            arrays.append(read_idx(source, rank))
            source.expect_end()
    if len(arrays[0]) != len(arrays[1]):
        found = f"{len(arrays[0]):,} images and {len(arrays[1]):,} labels in {labels.name}"
        raise data_error(images, f"{images.name} doesn't fit {labels.name}", found, "as many images as labels")
    return arrays[0], arrays[1]


def _checked(path: Path, pairs: Sequence[tuple[Any, Any]]) -> Mnist:
    """Return the splits in their final dtypes, once every array has been found to be what MNIST consists of."""
    for name, (images, labels) in zip(_SPLITS, pairs, strict=True):
        _check_images(path, name, images)
        _check_labels(path, name, labels, len(images))
    size = sum(images.size for images, _ in pairs) * np.dtype(np.float32).itemsize
    if size > SIZE_LIMIT:  # arrays of a pickle may share their bytes, so the file's size doesn't bound this
        raise data_error(path, f"{path.name} holds too many images", f"{size:,} bytes", f"at most {SIZE_LIMIT:,}")
    return Mnist(*(Split(_scaled(images), labels.astype(np.int64, copy=False)) for images, labels in pairs))


def _check_images(path: Path, split: str, images: Any) -> None:
    headline = f"{path.name}: the {split} images are not MNIST images"
    expected = f"uint8, or float32 or float64 from 0 to 1, (n, {PIXELS}) or (n, {SIDE}, {SIDE})"
    found = _describe(images)
    if not isinstance(images, np.ndarray) or not images.size or images.shape[1:] not in ((PIXELS,), (SIDE, SIDE)):
        raise data_error(path, headline, found, expected)
    if images.dtype.kind == "f":
        lowest, highest = images.min(), images.max()
        if not (lowest >= 0 and highest <= 1):  # false for NaN too
            raise data_error(path, headline, f"{found} from {lowest} to {highest}", expected)
    elif images.dtype != np.uint8:
        raise data_error(path, headline, found, expected)


def _check_labels(path: Path, split: str, labels: Any, count: int) -> None:
    headline = f"{path.name}: the {split} labels are not digits"
    expected = f"integers from 0 to {DIGITS - 1}, ({count},)"
    found = _describe(labels)
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise data_error(path, headline, found, expected)
    lowest, highest = labels.min(), labels.max()
    if lowest < 0 or highest >= DIGITS:
        raise data_error(path, headline, f"{found} from {lowest} to {highest}", expected)


def _scaled(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    rows = np.ascontiguousarray(images.reshape(len(images), PIXELS), dtype=np.float32)
    if images.dtype == np.uint8:
        rows *= np.float32(1 / 256)  # exact: a power of two
    return rows


def _is_sequence(value: object, length: int) -> bool:
    return isinstance(value, tuple | list) and len(value) == length


def _describe(value: object) -> str:
    """Name a value's kind; never its contents, which a hostile file may have made endless."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a value of type {type(value).__name__}"
