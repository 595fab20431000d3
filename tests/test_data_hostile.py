"""No data file, cut off, damaged or made to do harm, does more than be refused with one clear error."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mnist_files import IMAGES, LABELS, assert_holds, classic, python2_pickle, refusal, sample_bytes, small_pairs

from symgrad.data import load_mnist
from symgrad.data.pickled import INSTRUCTION_LIMIT
from symgrad.data.source import Source
from symgrad.errors import DataError

CONTENTS = {
    "pickle": pickle.dumps(classic(small_pairs()), 2),
    "pickle of Python 2": python2_pickle(small_pairs(), 0),
    "pickle, gzip": gzip.compress(pickle.dumps(classic(small_pairs()), 4)),
    "sample": sample_bytes(small_pairs()),
    "sample, gzip": gzip.compress(sample_bytes(small_pairs())),
}


@settings(max_examples=120, deadline=None)
@given(kind=st.sampled_from(list(CONTENTS)), cut=st.floats(0, 1, exclude_max=True))
def test_truncated_files(tmp_path_factory, kind, cut):
    content = CONTENTS[kind]
    text = refusal(content[: int(cut * len(content))], tmp_path_factory.mktemp("data"))
    assert "Get the file again" in text or "lacks IDX files" in text or "get another copy" in text


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(list(CONTENTS)), changes=st.lists(st.tuples(st.integers(0, 1500), st.binary(max_size=4))))
def test_damaged_files_give_a_data_error_or_load(tmp_path_factory, kind, changes):
    content = bytearray(CONTENTS[kind])
    for place, replacement in changes:
        content[place : place + len(replacement)] = replacement
    path = tmp_path_factory.mktemp("data") / "damaged"
    path.write_bytes(content)
    try:
        mnist = load_mnist(path)
    except DataError:
        return
    if kind.endswith("gzip"):
        assert_holds(mnist, small_pairs())  # its checksum lets nothing else through
    assert all(split.images.shape == (len(split.labels), 784) for split in mnist)


class Hostile:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", ["system", "open", "exec", "getattr", "load", "tofile"])
def test_hostile_calls_run_nothing(tmp_path, protocol, call):
    trace = tmp_path / "trace"
    calls = {
        "system": Hostile(os.system, f"touch {trace}"),
        "open": Hostile(io.open, str(trace), "w"),
        "exec": Hostile(exec, f"open({str(trace)!r}, 'w')"),
        "getattr": Hostile(getattr, np.ndarray, "tofile"),
        "load": Hostile(np.load, str(trace), None, True),
        "tofile": Hostile(np.ndarray.tofile, np.zeros(3), str(trace)),
    }
    content = pickle.dumps(((IMAGES, LABELS), (IMAGES, LABELS), calls[call]), protocol)
    if call in ("system", "open", "exec"):
        pickle.loads(content)  # the attack is real
        assert trace.exists()
        trace.unlink()
    text = refusal(gzip.compress(content), tmp_path)
    assert "which no array needs" in text
    assert not trace.exists()


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NDARRAY = b"cnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n"
FLOAT = DTYPE + b"(S'f4'\nI0\nI1\ntR"
EMPTY = RECONSTRUCT + b"(" + NDARRAY + b"(I0\ntS'b'\ntR"
HOSTILE = {
    "allocation through ndarray": NDARRAY + b"((L99999999999L\ntS'f8'\ntR.",
    "allocation through _reconstruct": RECONSTRUCT + b"(" + NDARRAY + b"(L99999999999L\ntS'b'\ntR.",
    "another subtype": RECONSTRUCT + b"(cnumpy\nmatrix\n(I0\ntS'b'\ntR.",
    "object dtype": DTYPE + b"(S'O8'\nI0\nI1\ntR.",
    "dtype of fields": DTYPE + b"((lp0\ntI0\nI1\ntR.",
    "dtype flags": FLOAT + b"(I3\nS'<'\nNNNI-1\nI-1\nI63\ntb.",
    "dtype size": FLOAT + b"(I3\nS'<'\nNNNI8\nI8\nI0\ntb.",
    "dtype subarray": FLOAT + b"(I3\nS'<'\n(" + FLOAT + b"(I9\nttNNI-1\nI-1\nI0\ntb.",
    "shape larger than bytes": EMPTY + b"(I1\n(L99999999999L\nt" + FLOAT + b"I00\nS'abcd'\ntb.",
    "shape that overflows": EMPTY + b"(I1\n(L4294967296L\nL4294967297L\nt" + FLOAT + b"I00\nS''\ntb.",
    "negative sizes": EMPTY + b"(I1\n(I-1\nI-1\nt" + FLOAT + b"I00\nS'abcd'\ntb.",
    "list of objects": EMPTY + b"(I1\n(I1\nt" + FLOAT + b"I00\n(lp0\ntb.",
    "bytes as arguments": NDARRAY + b"B\x04\x00\x00\x00abcdR.",
    "number as byte order": FLOAT + b"(I3\nL99999999999L\nNNNI-1\nI-1\nI0\ntb.",
    "state for a name": NDARRAY + b"(dS'__doc__'\nS'x'\nsb.",
    "extension registry": b"\x82\x01.",
    "persistent id": b"Pnumber\n.",
    "new object": NDARRAY + b")\x81.",
    "deep name": b"\x80\x04" + b")" + b"\x85" * 9000 + b"\x8c\x01a\x93.",
    "memo index": b"\x80\x02Nr\xff\xff\xff\xff.",
    "length of bytes": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f",
    "length just below the bound": b"\x80\x04\x8e" + (2**30 - 100).to_bytes(8, "little") + b"abc",
    "length of text": b"\x80\x04\x8d" + b"\xff" * 8,
    "length of a line": b"S'" + b"a" * 10_000,
    "number of digits": b"L" + b"9" * 100_000 + b"L\n.",
    "unpopped mark": b"(.",
    "empty stack": b"\x80\x02R.",
    "unknown memo": b"\x80\x02h\x07.",
    "list of itself": b"\x80\x02]q\x00h\x00a.",
    "doubled tuples": b"\x80\x02)" + b"q\x00h\x00\x86" * 3000 + b".",
    "many lists": b"\x80\x02" + b"]" * (INSTRUCTION_LIMIT + 1),
    "future protocol": b"\x80\x09N.",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_crafted_pickles_are_refused_at_once(tmp_path, case):
    tracemalloc.start()
    try:
        started = time.perf_counter()
        content = HOSTILE[case]
        refusal(content if content[:1] in b"(\x80" else b"\x80\x02" + content, tmp_path)
        assert time.perf_counter() - started < 5
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_arrays_that_share_their_bytes_do_not_multiply_memory(tmp_path):
    images = np.zeros((12_000, 784), np.uint8)  # 38 MB as float32
    split = (images, np.zeros(12_000, np.uint8))
    path = tmp_path / "mnist.pkl"
    path.write_bytes(pickle.dumps((split, split, split), 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("symgrad.data.mnist.SIZE_LIMIT", 100_000_000)
        with pytest.raises(DataError, match="holds too many images"):
            load_mnist(path)


def test_decompression_is_bounded(tmp_path):
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(bytes(50_000_000)))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with Source(path, limit=1000) as source:
            assert source.read(1000) == bytes(1000)
            with pytest.raises(DataError, match="larger than any MNIST file"):
                source.read(1)
        with Source(path, limit=1000) as source, pytest.raises(DataError, match="without a newline"):
            source.read_line()
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
