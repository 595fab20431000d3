"""MNIST comes right from every format, and a wrong file is one clear error."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mnist_files import (
    IDX_NAMES,
    IMAGES,
    LABELS,
    assert_holds,
    classic,
    idx_files,
    python2_pickle,
    refusal,
    sample_bytes,
    small_pairs,
)

from symgrad.config import config
from symgrad.data import load_mnist, make_sample
from symgrad.data.idx import idx_bytes
from symgrad.data.mnist import SAMPLE
from symgrad.data.pickled import ArrayUnpickler
from symgrad.data.source import Source
from symgrad.errors import DataError

FULL_SET = os.environ.get("SYMGRAD_DATA", "")
# The shipped sample


def test_sample_is_even_whole_and_about_a_megabyte():
    mnist = load_mnist(SAMPLE)
    assert mnist._fields == ("training", "validation", "test")
    for split, per_digit in zip(mnist, (500, 50, 50), strict=True):
        assert split.images.shape == (10 * per_digit, 784)
        assert np.bincount(split.labels).tolist() == [per_digit] * 10
        assert split.images.min() == 0
        assert split.images.max() == 255 / 256
        np.testing.assert_array_equal(split.images * 256, np.rint(split.images * 256))
        assert len(np.unique(split.images, axis=0)) == len(split.images)
        assert len(np.unique(split.labels[:100])) == 10  # shuffled: a minibatch is mixed
    assert SAMPLE.stat().st_size < 1_100_000


def test_sample_names_authors_and_licence():
    text = SAMPLE.with_name("README.md").read_text()
    for needed in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "Special Databases 3\nand 19", SAMPLE.name):
        assert needed in text


@pytest.mark.skipif(not FULL_SET, reason="needs the full MNIST in SYMGRAD_DATA")
def test_sample_is_made_from_the_full_set(tmp_path):
    made = make_sample.make_sample(FULL_SET, tmp_path / "sample")
    assert gzip.decompress(made.read_bytes()) == gzip.decompress(SAMPLE.read_bytes())
    full = load_mnist(FULL_SET)
    assert [split.images.shape for split in full] == [(50_000, 784), (10_000, 784), (10_000, 784)]
    assert [np.bincount(split.labels)[0] for split in full] == [4932, 991, 980]
    for split in full:
        np.testing.assert_array_equal(split.images * 256, np.rint(split.images * 256))


def test_make_sample_chooses_evenly_and_repeats_itself(tmp_path, capsys):
    sizes = {"training": 700, "validation": 60, "test": 55}
    source = tmp_path / "full"
    with source.open("wb") as file:
        splits = []
        for number, size in enumerate(sizes.values()):
            images = np.zeros((10 * size, 784), np.uint8)
            images[:, :4] = np.arange(10 * size, dtype="<u4").view(np.uint8).reshape(-1, 4)  # tells its own row
            images[:, 4] = number
            splits.append((images, np.arange(10 * size) % 10))
        pickle.dump(classic(splits), file)
    outputs = [tmp_path / "first", tmp_path / "second"]
    for output in outputs:
        assert make_sample.main(["--source", str(source), "--output", str(output)]) == 0
        time.sleep(0.01)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert str(outputs[1]) in capsys.readouterr().out
    sample = load_mnist(outputs[0])
    for number, (split, size, count) in enumerate(zip(sample, sizes.values(), (500, 50, 50), strict=True)):
        pixels = (split.images * 256).astype(np.uint8)
        rows = np.ascontiguousarray(pixels[:, :4]).view("<u4")[:, 0]
        assert (pixels[:, 4] == number).all()
        np.testing.assert_array_equal(split.labels, rows % 10)
        for digit in range(10):
            chosen = np.sort(rows[split.labels == digit]) // 10
            assert len(chosen) == count
            assert set(np.diff(chosen)) <= {size // count, size // count + 1}


def test_make_sample_refuses_a_source_that_is_too_small(tmp_path, capsys):
    source = tmp_path / "small"
    source.write_bytes(pickle.dumps(classic(small_pairs())))
    with pytest.raises(SystemExit):
        make_sample.main(["--source", str(source), "--output", str(tmp_path / "sample")])
    assert "small has too few training images" in capsys.readouterr().err


# Formats


@pytest.mark.parametrize("protocol", [0, 2])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_pickles_of_python_2(tmp_path, protocol, compress):
    pairs = small_pairs()
    content = python2_pickle(pairs, protocol)
    theirs = pickle.loads(content, encoding="latin1")
    np.testing.assert_array_equal(theirs[2][0], classic(pairs)[2][0])
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(compress(content))
    assert_holds(load_mnist(path), pairs)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("variant", ["plain", "lists", "fortran", "big endian", "float64", "uint8", "int32", "numpy 1"])
def test_pickles_of_python_3(tmp_path, protocol, variant):
    pairs = small_pairs(protocol)
    arrays: object = classic(pairs)
    convert = {
        "lists": lambda images, labels: [images, labels],
        "fortran": lambda images, labels: (np.asfortranarray(images), labels),
        "big endian": lambda images, labels: (images.astype(">f4"), labels.astype(">i8")),
        "float64": lambda images, labels: (images.astype(np.float64), labels),
        "uint8": lambda images, labels: ((images * 256).astype(np.uint8), labels.astype(np.uint8)),
        "int32": lambda images, labels: (images.reshape(-1, 28, 28), labels.astype(np.int32)),
    }.get(variant, lambda images, labels: (images, labels))
    arrays = [convert(images, labels) for images, labels in classic(pairs)]
    content = pickle.dumps(arrays if variant == "lists" else tuple(arrays), protocol)
    if variant == "numpy 1":
        if protocol > 3:
            content = pickle.dumps(pickle.loads(content), 3)
        content = content.replace(b"numpy._core.", b"numpy.core.")
    path = tmp_path / "data"
    path.write_bytes(content)
    assert_holds(load_mnist(path), pairs)


TREES = st.recursive(
    hnp.arrays(
        st.sampled_from(["?", "i1", "<u2", ">i4", "i8", "f2", ">f4", "f8"]), hnp.array_shapes(max_dims=3, min_side=1)
    )
    | st.integers(-(2**100), 2**100)
    | st.booleans()
    | st.none(),
    lambda items: st.lists(items, max_size=4) | st.lists(items, max_size=4).map(tuple),
    max_leaves=10,
)


def assert_equal_trees(mine: object, theirs: object) -> None:
    assert type(mine) is type(theirs)
    if isinstance(mine, tuple | list):
        assert len(mine) == len(theirs)
        for left, right in zip(mine, theirs, strict=True):
            assert_equal_trees(left, right)
    elif isinstance(mine, np.ndarray):
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        assert mine.tobytes() == theirs.tobytes()
    else:
        assert mine == theirs


@settings(max_examples=100, deadline=None)
@given(tree=TREES, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_the_unpickler_agrees_with_pythons(tmp_path_factory, tree, protocol):
    path = tmp_path_factory.mktemp("pickle") / "tree"
    path.write_bytes(pickle.dumps([tree, tree], protocol))  # twice, through the memo
    with Source(path) as source:
        assert_equal_trees(ArrayUnpickler(source).load(), [tree, tree])


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("style", ["{0}", "dots", "MiXeD"])
def test_idx_folder_or_any_file_of_it(tmp_path, ending, style):
    pairs = small_pairs()
    for name, block in idx_files(pairs).items():
        name = name.removesuffix(".gz") + ending
        name = {"dots": name.replace("-idx", ".idx"), "MiXeD": name.title()}.get(style, name)
        (tmp_path / name).write_bytes(gzip.compress(block) if ending else block)
    assert_holds(load_mnist(tmp_path), pairs)
    for file in tmp_path.iterdir():
        assert_holds(load_mnist(str(file)), pairs)


def test_idx_training_files_split_as_in_the_classic_file(tmp_path):
    sizes = (50_000, 10_000, 10)
    pairs = [(np.zeros((n, 784), np.uint8), np.arange(n) % 10) for n in sizes]
    for name, block in idx_files(pairs).items():
        (tmp_path / name).write_bytes(block)
    assert [split.images.shape[0] for split in load_mnist(tmp_path)] == list(sizes)


def test_content_counts_and_not_the_name(tmp_path):
    pairs = small_pairs()
    contents = {"a.idx": pickle.dumps(classic(pairs)), "b.pkl": sample_bytes(pairs), "c.gz": sample_bytes(pairs)}
    for name, content in contents.items():
        path = tmp_path / name
        for written in (content, gzip.compress(content)):
            path.write_bytes(written)
            assert_holds(load_mnist(path), pairs)


def test_configured_data(tmp_path):
    pairs = small_pairs()
    path = tmp_path / "mine"
    path.write_bytes(sample_bytes(pairs))
    with config.change_flags(data=str(path)):
        assert_holds(load_mnist(), pairs)
        path.unlink()
        with pytest.raises(DataError, match="the setting data names a path that doesn't exist"):
            load_mnist()
    with config.change_flags(data=""):
        assert len(load_mnist().training.labels) == 5000


def test_environment_variable(tmp_path):
    path = tmp_path / "mine"
    path.write_bytes(sample_bytes(small_pairs()))
    program = "from symgrad.data import load_mnist; print(len(load_mnist().training.labels))"
    environment = {**os.environ, "SYMGRAD_DATA": str(path)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "10\n"


# Files that are refused


def test_error_text(tmp_path):
    images, labels = classic(small_pairs())[0]
    text = refusal(pickle.dumps(((images, labels), (images, labels), (images[:, :700], labels))), tmp_path)
    assert text == (
        "mnist.pkl.gz: the test images are not MNIST images\n"
        f"  {tmp_path / 'mnist.pkl.gz'}\n"
        "    found      float32 (10, 700)\n"
        "    expected   uint8, or float32 or float64 from 0 to 1, (n, 784) or (n, 28, 28)\n"
        "  Get the file again, for example with symgrad.data.download_mnist(); load_mnist() without a path reads the "
        "sample that ships with symgrad."
    )


WRONG_SPLITS = {
    "labels from -1": (IMAGES, np.concatenate([[-1], LABELS[1:]]), "from -1 to"),
    "labels to 10": (IMAGES, np.full(10, 10), "from 10 to 10"),
    "float labels": (IMAGES, LABELS.astype(np.float32), "found      float32 (10,)"),
    "too few labels": (IMAGES, LABELS[:9], "expected   integers from 0 to 9, (10,)"),
    "one-hot labels": (IMAGES, np.eye(10, dtype=int), "found      int64 (10, 10)"),
    "NaN": (np.where(IMAGES > 0.9, np.float32(np.nan), IMAGES), LABELS, "from nan to nan"),
    "negative pixels": (IMAGES - 0.5, LABELS, "from -0.5 to"),
    "pixels to 255": (IMAGES * 256, LABELS, "to 255.0"),
    "integer pixels": (IMAGES.astype(np.int64), LABELS, "found      int64 (10, 784)"),
    "no images": (IMAGES[:0], LABELS[:0], "found      float32 (0, 784)"),
    "a scalar array": (np.array(0.5), LABELS, "found      float64 ()"),
    "a number": (3, LABELS, "found      a value of type int"),
    "None": (None, LABELS, "found      None"),
}


@pytest.mark.parametrize("case", WRONG_SPLITS)
@pytest.mark.parametrize("position", range(3))
def test_wrong_arrays(tmp_path, case, position):
    images, labels, found = WRONG_SPLITS[case]
    splits = [(IMAGES, LABELS)] * 3
    splits[position] = (images, labels)
    text = refusal(pickle.dumps(tuple(splits)), tmp_path)
    assert found in text
    assert ("the training", "the validation", "the test")[position] in text


@pytest.mark.parametrize(
    "value", [((IMAGES, LABELS),) * 2, IMAGES, None, 3, (), ((IMAGES,),) * 3, ((IMAGES, LABELS), 1, 2)]
)
def test_pickles_of_something_else(tmp_path, value):
    assert "three pairs (images, labels)" in refusal(pickle.dumps(value), tmp_path)


def test_wrong_idx_folders(tmp_path):
    files = idx_files(small_pairs())
    with pytest.raises(DataError, match=r"lacks IDX files: train images, .*\n(.|\n)*none of the four files"):
        load_mnist(tmp_path)
    for name, block in list(files.items())[:3]:
        (tmp_path / name).write_bytes(block)
    with pytest.raises(DataError, match="lacks IDX files: test labels\n"):
        load_mnist(tmp_path / IDX_NAMES[0])
    last = tmp_path / IDX_NAMES[3]
    cases = {
        files[IDX_NAMES[1]]: "3 images and 12 labels",
        files[IDX_NAMES[2]]: "which announce images",
        files[IDX_NAMES[3]] + b"x": "goes on after its end",
        files[IDX_NAMES[3]][:-1]: "is truncated",
        idx_bytes(np.full(3, 10, np.uint8)): "from 10 to 10",
        b"\0\0\x0d\x01" + bytes(16): "begins with the bytes 00 00 0d 01",
        b"\0\0\x08\x01\xff\xff\xff\xff": "claims to be larger than any MNIST file",
    }
    for content, expected in cases.items():
        last.write_bytes(content)
        with pytest.raises(DataError, match=expected):
            load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><title>404</title>", "a web page"),
        (b"PK\x03\x04 and so on", "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (gzip.compress(gzip.compress(b"digits", mtime=0), mtime=0), "gzip inside gzip"),
        (b"5,0,0,0,12\n", "a file that begins with the bytes 35 2c 30"),
    ],
)
def test_files_of_another_kind(tmp_path, content, found):
    assert found in refusal(content, tmp_path)


def test_paths_that_are_not_files(tmp_path):
    with pytest.raises(DataError, match=r"gone is missing\n.*\n.*\n.*\n  Check the path"):
        load_mnist(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe is not a regular file"):
        load_mnist(tmp_path / "pipe")
