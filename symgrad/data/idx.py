"""The IDX format of the original MNIST files: unsigned bytes with their sizes in front.

A block is: two zero bytes, the type code 8 (unsigned byte), the number of dimensions, each size as a big-endian
32-bit integer, then the bytes in C order. Source: the format's description on the MNIST page of Y. LeCun.
"""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt

from symgrad.data.source import Source

UNSIGNED_BYTE = 8
LABELS_RANK = 1
IMAGES_RANK = 3
_CONTENTS = {LABELS_RANK: "labels", IMAGES_RANK: "images"}


def starts_idx(start: bytes) -> bool:
    """Whether a file that begins with these four or more bytes is an IDX file of unsigned bytes."""
    return start[:3] == bytes((0, 0, UNSIGNED_BYTE)) and len(start) > 3


def read_idx(source: Source, rank: int) -> npt.NDArray[np.uint8]:
    """Read one IDX block of `rank` dimensions.

    Parameters
    ----------
    source : Source
        A file whose next bytes are the block.
    rank : int
        1 for labels, 3 for images.

    Returns
    -------
    ndarray of uint8
        With `rank` dimensions.

    Raises
    ------
    DataError
        When the block has another type or rank, or ends early.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    >>> with Source(path) as source:
    ...     read_idx(source, rank=1)
    array([7, 9], dtype=uint8)
    """
    magic = bytes(source.read(4))
    expected = bytes((0, 0, UNSIGNED_BYTE, rank))
    if magic != expected:
        found = f"the bytes {magic.hex(' ')}"
        if starts_idx(magic) and magic[3] in _CONTENTS:
            found += f", which announce {_CONTENTS[magic[3]]}"
        raise source.failure(f"does not hold IDX {_CONTENTS[rank]}", found, f"the bytes {expected.hex(' ')}")
    sizes = struct.unpack(f">{rank}I", source.read(4 * rank))
    return np.frombuffer(source.read(math.prod(sizes)), np.uint8).reshape(sizes)


def idx_bytes(array: npt.NDArray[np.uint8]) -> bytes:
    """Return `array`, of any rank below 256, as one IDX block.

    Examples
    --------
    >>> idx_bytes(np.array([7, 9], np.uint8)).hex(" ")
    '00 00 08 01 00 00 00 02 07 09'
    """
    start = bytes((0, 0, UNSIGNED_BYTE, array.ndim))
    return start + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
