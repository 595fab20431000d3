"""Make the sample of MNIST that ships with symgrad, from the full set.

``python -m symgrad.data.make_sample --source mnist.pkl.gz [--output FILE]``

From each split the sample takes the same number of images of each digit, at even distances through the split (whose
images stand in groups by writer), and shuffles them. Nothing is left to chance: the same source gives the same file,
byte for byte where zlib is the same.

The file is gzip around six IDX blocks: labels and images of the training, validation and test data.
"""

from __future__ import annotations

import argparse
import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from symgrad.data.idx import idx_bytes
from symgrad.data.mnist import DIGITS, SAMPLE, SIDE, Split, load_mnist
from symgrad.data.source import data_error
from symgrad.errors import SymgradError

IMAGES_PER_DIGIT = {"training": 500, "validation": 50, "test": 50}
SHUFFLE_SEED = 1


def make_sample(source: str | os.PathLike[str], output: str | os.PathLike[str] = SAMPLE) -> Path:
    """Write the sample of the full set `source` to `output`.

    Parameters
    ----------
    source : str or path
        The full MNIST, in any form that ``load_mnist`` takes.
    output : str or path, optional
        The file to write; by default the one inside the package.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    DataError
        When the source can't be read, has too few images of a digit, or pixels that are not whole 256ths.

    Examples
    --------
    >>> make_sample("mnist.pkl.gz", "sample.idx.gz")  # doctest: +SKIP
    PosixPath('sample.idx.gz')
    """
    full = load_mnist(source)
    output = Path(output)
    with output.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as stream:
        for name, count in IMAGES_PER_DIGIT.items():
            split: Split = getattr(full, name)
            rows = _choose(Path(source), name, split.labels, count)
            stream.write(idx_bytes(split.labels[rows].astype(np.uint8)))
            stream.write(idx_bytes(_bytes(Path(source), split.images[rows]).reshape(-1, SIDE, SIDE)))
    return output


def _choose(source: Path, name: str, labels: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return the rows of `count` images of each digit, evenly spread and then shuffled."""
    chosen = []
    for digit in range(DIGITS):
        rows = np.flatnonzero(labels == digit)
        if len(rows) < count:
            found = f"{len(rows)} images of the digit {digit}"
            remedy = "Use the full MNIST as the source."
            raise data_error(source, f"{source.name} has too few {name} images", found, f"at least {count}", remedy)
        chosen.append(rows[np.arange(count) * len(rows) // count])
    # RandomState's streams are frozen by NumPy's compatibility policy, so this order never changes.
    return np.random.RandomState(SHUFFLE_SEED).permutation(np.concatenate(chosen))


def _bytes(source: Path, images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    pixels = images * np.float32(256)
    result = pixels.astype(np.uint8)
    if not np.array_equal(result, pixels):
        remedy = "Use the classic mnist.pkl.gz or the IDX files as the source."
        raise data_error(source, f"{source.name} can't be kept in bytes", "other pixels", "whole 256ths", remedy)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the sample, print where it is and how large, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m symgrad.data.make_sample", description="Make the MNIST sample.")
    parser.add_argument("--source", required=True, metavar="PATH", help="the full MNIST: mnist.pkl.gz or IDX files")
    parser.add_argument("--output", default=SAMPLE, metavar="FILE", help="the file to write (default: the package's)")
    options = parser.parse_args(arguments)
    try:
        output = make_sample(options.source, options.output)
    except SymgradError as failure:
        parser.exit(1, f"{type(failure).__name__}: {failure}\n")
    print(f"{output}: {output.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
