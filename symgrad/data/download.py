"""The full MNIST from public mirrors, into a cache, checked against published checksums."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from symgrad.errors import DataError, MissingLibraryError, OperandDescription, render

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
"""Where the four original files are served, tried in this order."""

SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
"""The published checksums of the four files; every mirror serves the same bytes."""

TIMEOUT = 30
"""Seconds without an answer after which a mirror is given up."""


def download_mnist(cache_dir: str | os.PathLike[str] | None = None, mirrors: Sequence[str] = MIRRORS) -> Path:
    """Download the four original MNIST files (11 MB), unless they are in the cache already.

    Each file is written under a temporary name, compared with its SHA-256 checksum and then renamed, so that the cache
    never holds a part of a file; a file in the cache whose checksum is wrong is fetched again.

    Parameters
    ----------
    cache_dir : str or path, optional
        The folder for the files; by default the user's cache folder for symgrad.
    mirrors : sequence of str, optional
        Addresses of folders that serve the files, tried in turn.

    Returns
    -------
    Path
        The folder, for ``load_mnist`` or ``SYMGRAD_DATA``.

    Raises
    ------
    DataError
        When a file can't be had from any mirror, or the folder can't be written.
    MissingLibraryError
        When pooch isn't installed (``pip install symgrad[train]``).

    Examples
    --------
    >>> from symgrad.data import download_mnist, load_mnist
    >>> training, validation, test = load_mnist(download_mnist())  # doctest: +SKIP
    """
    pooch = _import_pooch()
    folder = Path(cache_dir).expanduser() if cache_dir is not None else Path(pooch.os_cache("symgrad")) / "mnist"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        headline = f"the folder for MNIST can't be made: {failure}"
        raise DataError(render(headline, str(folder), remedy="Give a folder that you may write to.")) from failure
    for name in SHA256:
        _fetch(pooch, name, folder, mirrors)
    return folder


def _fetch(pooch: ModuleType, name: str, folder: Path, mirrors: Sequence[str]) -> None:
    """Bring one file into the folder from the first mirror that serves it rightly."""
    reasons = []
    for mirror in mirrors:
        collection = pooch.create(folder, base_url=mirror.rstrip("/") + "/", registry={name: f"sha256:{SHA256[name]}"})
        try:
            collection.fetch(name, downloader=pooch.HTTPDownloader(timeout=TIMEOUT))
        except (OSError, ValueError) as failure:  # no connection, an HTTP error, a full disk; a wrong checksum or URL
            reasons.append(OperandDescription(mirror, f"{failure}"))
        else:
            return
    remedy = (
        f"Check the network, or get the four .gz files of MNIST elsewhere, put them into {folder} and call this again; "
        "load_mnist() without a path reads the sample that ships with symgrad."
    )
    raise DataError(render(f"{name} could not be downloaded from any of {len(mirrors)} mirrors", "", reasons, remedy))


def _import_pooch() -> ModuleType:
    try:
        return importlib.import_module("pooch")
    except ImportError as failure:
        headline = "downloading MNIST needs pooch, which isn't installed"
        raise MissingLibraryError(render(headline, remedy="Install it: pip install symgrad[train]")) from failure
