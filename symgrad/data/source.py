"""A data file read forward, plain or gzip, with a bound on how large it may become.

Every reader of this package goes through :class:`Source`, so the guards against truncated files, broken compression
and decompression bombs are here and nowhere else, and every failure names the file in the same words.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path
from types import TracebackType

from symgrad.errors import DataError, OperandDescription, render

SIZE_LIMIT = 1 << 30
"""The most bytes that a data file may hold once decompressed: 1 GiB, five times the full MNIST."""

GET_AGAIN = (
    "Get the file again, for example with symgrad.data.download_mnist(); "
    "load_mnist() without a path reads the sample that ships with symgrad."
)

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20

_RECOGNISED = {
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\x1f\x8b": "gzip inside gzip",
    b"<": "a web page (the download was probably refused)",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"\x93NUMPY": "a NumPy .npy file",
}


def data_error(path: Path, headline: str, found: str = "", expected: str = "", remedy: str = GET_AGAIN) -> DataError:
    """Return the error for `path`: what is wrong, what was found there, what was expected, what to do."""
    rows = (("found", found), ("expected", expected))
    operands = [OperandDescription(label, text) for label, text in rows if text]
    return DataError(render(headline, str(path), operands, remedy))


class Source:
    """A regular file, plain or gzip, read forward and at most `limit` decompressed bytes far.

    Parameters
    ----------
    path : Path
        The file. Whether it is gzip is decided by its first two bytes, not by its name.
    limit : int
        The most decompressed bytes that may be read.

    Raises
    ------
    DataError
        When the file is missing, not a regular file, unreadable or empty; each reading method raises it too, when the
        file ends early, is damaged, or is larger than `limit`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "packed"
    >>> _ = path.write_bytes(gzip.compress(b"digits"))
    >>> with Source(path) as source:
    ...     source.read(3), source.position, source.at_end()
    (bytearray(b'dig'), 3, False)
    """

    def __init__(self, path: Path, limit: int = SIZE_LIMIT) -> None:
        self.path = path
        self._remaining = limit
        self._limit = limit
        if not os.path.exists(path):
            raise self.failure("is missing", "no such file", "an MNIST file", "Check the path. " + GET_AGAIN)
        if not os.path.isfile(path):  # a pipe or a device could block or never end
            raise self.failure("is not a regular file", "a folder, pipe or device", "an MNIST file")
        try:
            self._raw = path.open("rb")
            compressed = self._raw.peek(2)[:2] == _GZIP_MAGIC
        except OSError as failure:
            raise self.failure("can't be read", str(failure), remedy="Check the file's permissions.") from failure
        self._stream = io.BufferedReader(gzip.GzipFile(fileobj=self._raw), _CHUNK) if compressed else self._raw

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()
        self._raw.close()

    @property
    def position(self) -> int:
        """How many decompressed bytes have been read."""
        return self._limit - self._remaining

    def failure(self, headline: str, found: str = "", expected: str = "", remedy: str = GET_AGAIN) -> DataError:
        """Return (not raise) a DataError whose headline begins with the file's name."""
        return data_error(self.path, f"{self.path.name} {headline}", found, expected, remedy)

    def peek(self, size: int) -> bytes:
        """Return up to `size` of the next bytes without reading past them; fewer only at the end of the file."""
        try:
            return self._stream.peek(size)[:size]
        except (EOFError, OSError, zlib.error) as failure:
            raise self._damaged(failure) from failure

    def read(self, size: int) -> bytearray:
        """Return exactly `size` bytes."""
        if size > self._remaining:
            raise self._too_large(self.position + size)
        buffer = bytearray()  # grows with what is really there, whatever size the file claims
        while len(buffer) < size:
            piece = self._read_piece(min(size - len(buffer), _CHUNK))
            if not piece:
                found = f"the end of the file after {self.position:,} bytes"
                raise self.failure("is truncated", found, f"{size - len(buffer):,} more bytes")
            buffer += piece
        return buffer

    def read_line(self, limit: int | None = None) -> bytes:
        """Return the bytes up to the next newline, without it; at most `limit` of them."""
        allowed = self._remaining if limit is None else min(limit, self._remaining)
        try:
            line = self._stream.readline(allowed)
        except (EOFError, OSError, zlib.error) as failure:
            raise self._damaged(failure) from failure
        self._remaining -= len(line)
        if not line.endswith(b"\n"):
            found = f"{len(line):,} bytes without a newline at byte {self.position - len(line):,}"
            raise self.failure("is truncated or damaged", found, "a line")
        return line[:-1]

    def at_end(self) -> bool:
        """Whether every byte has been read; for gzip, its checksum has then been verified."""
        return not self.peek(1)

    def expect_end(self) -> None:
        """Raise DataError unless every byte has been read."""
        if not self.at_end():
            found = f"more bytes after byte {self.position:,}"
            raise self.failure("goes on after its end", found, "the end of the file")

    def describe_start(self) -> str:
        """Say what the file seems to hold, for an error about a format that isn't known."""
        start = self.peek(64)
        if not start:
            return "an empty file"
        for magic, description in _RECOGNISED.items():
            if start.lstrip().startswith(magic):
                return description
        return f"a file that begins with the bytes {start[:8].hex(' ')}"

    def _read_piece(self, size: int) -> bytes:
        try:
            piece = self._stream.read(size)
        except (EOFError, OSError, zlib.error) as failure:
            raise self._damaged(failure) from failure
        self._remaining -= len(piece)
        return piece

    def _damaged(self, failure: Exception) -> DataError:
        if isinstance(failure, EOFError):
            found = f"the end of the file after {self.position:,} decompressed bytes"
            return self.failure("is truncated", found, "the end of the gzip stream")
        return self.failure("is damaged", str(failure), "a complete gzip or plain file")

    def _too_large(self, size: int) -> DataError:
        return self.failure(
            "claims to be larger than any MNIST file", f"{size:,} bytes", f"at most {self._limit:,} bytes"
        )
