"""Download MNIST: ``python -m symgrad.data [--cache FOLDER]``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from symgrad.data.download import download_mnist
from symgrad.errors import SymgradError


def main(arguments: Sequence[str] | None = None) -> int:
    """Download MNIST, print its folder, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m symgrad.data", description="Download the full MNIST (11 MB).")
    parser.add_argument("--cache", metavar="FOLDER", help="where to keep the files (default: the user's cache folder)")
    options = parser.parse_args(arguments)
    try:
        folder = download_mnist(options.cache)
    except SymgradError as failure:
        parser.exit(1, f"{type(failure).__name__}: {failure}\n")
    print(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
