"""Small MNIST-like data sets in every format, for the tests of symgrad.data."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from symgrad.data import Mnist, download, load_mnist
from symgrad.data.idx import idx_bytes
from symgrad.errors import DataError

IDX_NAMES = tuple(download.SHA256)
Pairs = list[tuple[np.ndarray, np.ndarray]]


def small_pairs(seed: int = 0, sizes: tuple[int, ...] = (10, 2, 3)) -> Pairs:
    generator = np.random.default_rng(seed)
    return [(generator.integers(0, 256, (n, 784), np.uint8), generator.integers(0, 10, n)) for n in sizes]


def classic(pairs: Pairs) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return tuple(((images / 256).astype(np.float32), labels) for images, labels in pairs)


def sample_bytes(pairs: Pairs) -> bytes:
    blocks = [idx_bytes(labels.astype(np.uint8)) + idx_bytes(images.reshape(-1, 28, 28)) for images, labels in pairs]
    return b"".join(blocks)


def idx_files(pairs: Pairs) -> dict[str, bytes]:
    joined = [tuple(map(np.concatenate, zip(*pairs[:2], strict=True))), pairs[2]]
    blocks = [
        idx_bytes(array) for images, labels in joined for array in (images.reshape(-1, 28, 28), labels.astype(np.uint8))
    ]
    return dict(zip(IDX_NAMES, blocks, strict=True))


def assert_holds(mnist: Mnist, pairs: Pairs) -> None:
    for split, (images, labels) in zip(mnist, pairs, strict=True):
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int64
        assert split.images.flags.c_contiguous
        np.testing.assert_array_equal(split.images * 256, images)
        np.testing.assert_array_equal(split.labels, labels)


def refusal(content: bytes, folder: Path) -> str:
    """Return the text of the error that a file of this content gets."""
    path = folder / "mnist.pkl.gz"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_mnist(path)
    text = str(caught.value)
    assert text.startswith("mnist.pkl.gz")
    assert str(path) in text
    assert len(text) < 1500
    return text


def python2_pickle(pairs: Pairs, protocol: int) -> bytes:
    """Write what Python 2 and an old NumPy would have written."""

    def string(text: bytes) -> bytes:
        if protocol == 0:  # repr of a Python 2 str
            return b"S'" + b"".join(b"\\x%02x" % byte for byte in text) + b"'\n"
        return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<I", len(text)) + text

    def integer(value: int) -> bytes:
        return b"I%d\n" % value if protocol == 0 else b"J" + struct.pack("<i", value)

    def array(value: np.ndarray) -> bytes:
        kind = value.dtype.str[1:].encode()
        start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR("
        dtype = b"cnumpy\ndtype\n(" + string(kind) + b"I0\nI1\ntR(I3\n" + string(b"<") + b"NNNI-1\nI-1\nI0\ntb"
        shape = b"(" + b"".join(map(integer, value.shape)) + b"t"
        return start + b"I1\n" + shape + dtype + b"I00\n" + string(value.tobytes()) + b"tb"

    items = [b"(" + array(images) + array(labels) + b"t" for images, labels in classic(pairs)]
    return (b"\x80\x02" if protocol == 2 else b"") + b"(" + b"".join(items) + b"t."


IMAGES, LABELS = classic(small_pairs())[0]
