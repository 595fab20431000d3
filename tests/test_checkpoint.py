"""Checkpoints keep every bit, and survive whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from symgrad.checkpoint import load_checkpoint, save_checkpoint
from symgrad.errors import CheckpointError, MissingLibraryError, SymgradError

pytest.importorskip("safetensors")

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "float32", "float64"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1).filter(lambda name: name != "__metadata__")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda item: st.lists(item, max_size=3) | st.dictionaries(st.text(), item, max_size=3),
    max_leaves=8,
)
EXAMPLE = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.array(0.1),
    "empty": np.zeros((0, 4), np.float64),
    "key": np.array([2**64 - 1, 0], np.uint64),
}
EXAMPLE_HEADER = {"epoch": 3, "layers": [{"size": 30}], "state": 2**100, "cost": 0.1, "none": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


@pytest.fixture
def saved(path: Path) -> Path:
    save_checkpoint(path, EXAMPLE, EXAMPLE_HEADER)
    return path


def assert_same(loaded: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert sorted(loaded) == sorted(expected)
    for name, array in expected.items():
        assert loaded[name].dtype == array.dtype, name
        assert loaded[name].shape == array.shape, name
        assert loaded[name].tobytes() == array.tobytes(), name  # NaN payloads and signed zeros too


@settings(max_examples=60, deadline=None)
@given(arrays=st.dictionaries(NAMES, ARRAYS, max_size=4), header=st.dictionaries(st.text(), JSON, max_size=3))
def test_everything_comes_back_bit_for_bit(tmp_path_factory, arrays, header):
    path = tmp_path_factory.mktemp("checkpoint") / "file"
    save_checkpoint(path, arrays, header)
    loaded, loaded_header = load_checkpoint(path)
    assert_same(loaded, arrays)
    assert loaded_header == header
    assert list(loaded) == sorted(arrays)


@settings(max_examples=30, deadline=None)
@given(array=hnp.arrays("float32", hnp.array_shapes(min_dims=2, max_dims=3, max_side=5)), step=st.sampled_from([-1, 2]))
def test_arrays_that_are_not_contiguous(tmp_path_factory, array, step):
    path = tmp_path_factory.mktemp("checkpoint") / "file"
    views = {
        "transposed": array.T,
        "stepped": array[::step],
        "fortran": np.asfortranarray(array),
        "big endian": array.astype(">f4"),
        "broadcast": np.broadcast_to(array[0], array.shape),
    }
    save_checkpoint(path, views, {})
    loaded, _ = load_checkpoint(path)
    assert_same(loaded, {name: np.array(view, "<f4", order="C") for name, view in views.items()})


def test_what_is_loaded_is_writable_and_independent(saved):
    first, _ = load_checkpoint(saved)
    first["weights"] += 1
    assert_same(load_checkpoint(saved)[0], EXAMPLE)


def test_other_programs_can_read_it(saved):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    assert_same(load_file(saved), EXAMPLE)
    with safe_open(saved, framework="numpy") as file:
        assert json.loads(file.metadata()["header"]) == EXAMPLE_HEADER


def test_header_values_that_json_changes(path):
    save_checkpoint(path, {}, {"pair": (1, 2), "inf": float("inf"), "numpy": np.float64(0.5)})
    assert load_checkpoint(path)[1] == {"pair": [1, 2], "inf": float("inf"), "numpy": 0.5}


@pytest.mark.parametrize(
    ("header", "place"),
    [
        ({"a": {"b": [np.float32(1)]}}, "header['a']['b'][0] is of type float32"),
        ({"a": {1: 2}}, "header['a'] has the key 1"),
        ({"rng": np.zeros(2)}, "header['rng'] is of type ndarray"),
        ({"flag": np.bool_(True)}, "header['flag'] is of type bool"),
    ],
)
def test_a_header_that_json_cannot_keep(saved, header, place):
    before = saved.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(saved, EXAMPLE, header)
    assert place in str(caught.value)
    assert saved.read_bytes() == before


def test_a_header_that_contains_itself(path):
    header: dict[str, object] = {}
    header["self"] = header
    with pytest.raises(CheckpointError, match="can't be written as JSON"):
        save_checkpoint(path, {}, header)


@pytest.mark.parametrize("dtype", ["O", "U3", "datetime64[s]", "complex128", "g", [("a", "f4")]])
def test_a_dtype_that_is_not_kept(path, dtype):
    with pytest.raises(CheckpointError, match=r"'odd' has dtype .*\n.*\n  Convert it to one of bool, int8"):
        save_checkpoint(path, {"odd": np.zeros(2, dtype)}, {})
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "__metadata__", "a\nb", "\ud800", 3])
def test_a_name_that_cannot_stand(path, name):
    with pytest.raises(CheckpointError, match="can't stand for an array"):
        save_checkpoint(path, {name: np.zeros(2)}, {})


def test_error_text(tmp_path):
    path = tmp_path / "gone.safetensors"
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(caught.value) == (
        f"gone.safetensors doesn't exist\n  {path}\n  Give the path of a file that save_checkpoint wrote."
    )


def test_paths_that_are_not_files(tmp_path):
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="not a regular file"):
        save_checkpoint(tmp_path, {}, {})
    with pytest.raises(CheckpointError, match=r"folder for net doesn't exist\n.*\n  Make the folder"):
        save_checkpoint(tmp_path / "nowhere" / "net", {}, {})
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_checkpoint(pipe)
    with pytest.raises(CheckpointError, match="not a regular file"):
        save_checkpoint(pipe, {}, {})
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\xff" * 64, b"some text, long enough to be a header", b"\0" * 99]
)
def test_a_file_of_another_kind(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "symgrad checkpoint 1"}, {"header": "{}"}])
def test_a_safetensors_file_of_another_program(path, metadata):
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3)}, path, metadata)
    with pytest.raises(CheckpointError, match="not a symgrad checkpoint"):
        load_checkpoint(path)


@settings(max_examples=80, deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("checkpoint") / "file"
    save_checkpoint(path, EXAMPLE, EXAMPLE_HEADER)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(CheckpointError, match=r"not a complete safetensors file(.|\n)*another checkpoint"):
        load_checkpoint(path)


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("checkpoint") / "file"
    save_checkpoint(path, EXAMPLE, EXAMPLE_HEADER)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


@pytest.mark.parametrize("step", ["fsync", "replace", "write"])
def test_a_failed_write_leaves_the_old_file(saved, monkeypatch, step):
    def no_space(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "write":
        resource = pytest.importorskip("resource")
        previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    else:
        monkeypatch.setattr(os, step, no_space)
    try:
        with pytest.raises(CheckpointError, match=r"can't be written: .*\n.*\n  A checkpoint that is at this path"):
            save_checkpoint(saved, {"large": np.zeros(100_000)}, {})
    finally:
        monkeypatch.undo()
        if step == "write":
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, previous)
    assert_same(load_checkpoint(saved)[0], EXAMPLE)
    assert os.listdir(saved.parent) == [saved.name]


def test_an_interrupted_write_leaves_the_old_file(saved, monkeypatch):
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(saved, {}, {})
    assert_same(load_checkpoint(saved)[0], EXAMPLE)
    assert os.listdir(saved.parent) == [saved.name]


def test_the_file_reaches_the_disk_before_it_is_renamed_and_the_folder_after(path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        steps.append("sync folder" if stat.S_ISDIR(status.st_mode) else f"sync file of {status.st_size} bytes")
        fsync(descriptor)

    def watched_replace(source: str, target: str) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    save_checkpoint(path, EXAMPLE, EXAMPLE_HEADER)
    assert steps == [f"sync file of {path.stat().st_size} bytes", "rename", "sync folder"]


def test_mode_and_links_are_kept(saved):
    saved.chmod(0o640)
    link = saved.with_name("latest")
    link.symlink_to(saved.name)
    save_checkpoint(link, {}, {"epoch": 4})
    assert link.is_symlink()
    assert load_checkpoint(saved)[1] == {"epoch": 4}
    assert stat.S_IMODE(saved.stat().st_mode) == 0o640


def test_only_old_temporary_files_of_this_target_are_removed(saved):
    old = saved.with_name(f".{saved.name}.0123456789abcdef.tmp")
    young = saved.with_name(f".{saved.name}.fedcba9876543210.tmp")
    foreign = saved.with_name(".other.0123456789abcdef.tmp")
    for file in (old, young, foreign):
        file.write_bytes(b"part of a checkpoint")
    for file in (old, foreign):
        os.utime(file, (time.time() - 7200,) * 2)
    save_checkpoint(saved, EXAMPLE, {"epoch": 5})
    assert not old.exists()
    assert young.exists()
    assert foreign.exists()
    assert load_checkpoint(saved)[1] == {"epoch": 5}


def test_missing_library(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: save_checkpoint(path, {}, {}), lambda: load_checkpoint(path)):
        with pytest.raises(MissingLibraryError, match=r"pip install symgrad\[train\]"):
            call()
    assert issubclass(MissingLibraryError, SymgradError)


SAVING_LOOP = """
import sys
import numpy as np
from symgrad.checkpoint import save_checkpoint
for number in range(1, 10**9):
    arrays = {name: np.full(200_000, number, np.float32) for name in ("w", "b")}
    save_checkpoint(sys.argv[1], arrays, {"number": number})
    if number == 1:
        print("first", flush=True)
"""


def test_a_process_killed_at_any_moment_leaves_a_complete_checkpoint(path):
    generator = random.Random(0)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    numbers = []
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVING_LOOP, str(path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        with process:
            assert process.stdout.readline() == "first\n"
            time.sleep(generator.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        arrays, header = load_checkpoint(path)
        numbers.append(header["number"])
        for array in arrays.values():
            assert array.shape == (200_000,)
            assert (array == header["number"]).all()
    assert max(numbers) > 1  # the loop really was saving when it was killed


KILLED_SAVE = """
import os, signal, sys
import numpy as np
from symgrad.checkpoint import save_checkpoint

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[2], die)
save_checkpoint(sys.argv[1], {"w": np.zeros(10)}, {"epoch": 99})
"""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_save_killed_before_the_rename_does_not_confuse_later_ones(saved, step):
    result = subprocess.run([sys.executable, "-c", KILLED_SAVE, str(saved), step], check=False)
    assert result.returncode == -signal.SIGKILL
    assert len(os.listdir(saved.parent)) == 2  # the temporary file was left behind
    assert load_checkpoint(saved)[1] == EXAMPLE_HEADER
    save_checkpoint(saved, EXAMPLE, {"epoch": 6})
    assert load_checkpoint(saved)[1] == {"epoch": 6}
