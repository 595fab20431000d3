"""The cache of machine code: whole entries or none, whatever other processes, users and disks do."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import adder

import symgrad
from symgrad.backends import code_cache as module
from symgrad.backends.code_cache import Cache, configured_cache, default_folder, key_of
from symgrad.backends.native.llvm import jit
from symgrad.cli import main

KEY = key_of("some", "content")
posix = pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_said", set())
    return Cache(str(tmp_path / "cache"), 1 << 20)


@pytest.fixture
def used(tmp_path):
    """A cache of its own for `load`, which then finds nothing loaded already."""
    jit._loaded.clear()
    with symgrad.config.change_flags(cache_dir=str(tmp_path / "cache"), cache_size=64):
        yield configured_cache()
    jit._loaded.clear()


def run_adder(number: int) -> int:
    name, text = adder(number)
    address = jit.load(text, [name])[name]
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(1000) - 1000


def entry(store: Cache, key: str = KEY) -> Path:
    return Path(store.folder, f"{key}.code")


# ---- contents ----


@given(st.binary(max_size=3000), st.text(max_size=50))
def test_what_is_written_is_read_by_its_key_only(tmp_path_factory, content, label):
    store = Cache(str(tmp_path_factory.getbasetemp() / "contents"), 1 << 20)
    store.put(key_of(label), content, label)
    assert store.get(key_of(label)) == content
    assert store.get(key_of(label, "")) is None


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_keys_differ_if_any_part_differs(first, second):
    assert (key_of(*first) == key_of(*second)) == (first == second)


def test_a_key_depends_on_all_that_the_code_depends_on(used, monkeypatch):
    seen = set()
    monkeypatch.setattr(jit, "_load", lambda key, *rest: seen.add(key) or {"f": 1})
    jit.load("a", ["f"])
    jit.load("a", ["f"])
    assert len(seen) == 1
    jit.load("b", ["f"])
    with symgrad.config.change_flags(cpu_features="auto"):
        for words in ("codegen 2", "codegen 3"):
            monkeypatch.setattr(jit, "OPTIONS", words)
            jit.load("a", ["f"])
    for build in ("llvmlite 1", "llvmlite 2"):
        monkeypatch.setattr(jit, "fingerprint", lambda build=build: build)
        jit.load("a", ["f"])
    levels = [level for level in ("sse2", "avx2") if jit.host().architecture == "x86_64"]
    for level in levels:
        jit.load("a", ["f"], processor=jit.host(level))
    assert len(seen) >= 6


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_entry_is_as_good_as_absent(tmp_path_factory, data):
    store = Cache(str(tmp_path_factory.getbasetemp() / "damaged"), 1 << 20)
    store.put(KEY, bytes(range(256)), "some functions")
    whole = entry(store).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(("flip", "cut", "longer", "zeros")))
    if kind == "flip":
        flip = data.draw(st.integers(1, 255))
        damaged = whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]
    else:
        damaged = {"cut": whole[:place], "longer": whole + whole[place:], "zeros": bytes(len(whole))}[kind]
    entry(store).write_bytes(damaged)
    assert store.get(KEY) is None
    assert not [found for found in store.entries() if found.name.startswith(KEY)]
    store.put(KEY, b"again")
    assert store.get(KEY) == b"again"


def test_an_entry_under_another_name_is_ignored(store):
    store.put(KEY, b"code")
    entry(store).rename(entry(store, key_of("other")))
    assert store.get(key_of("other")) is None


def test_an_entry_of_another_format_is_ignored(store, monkeypatch):
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    store.put(KEY, b"code of another version")
    monkeypatch.undo()
    assert store.get(KEY) is None


def test_damage_never_changes_a_result(used, monkeypatch):
    assert run_adder(5) == 5
    paths = sorted(Path(used.folder).glob("*.code"))
    wholes = [path.read_bytes() for path in paths]
    numbers = random.Random(1)
    for _ in range(20):
        for path, whole in zip(paths, wholes, strict=True):
            place = numbers.randrange(len(whole))
            path.write_bytes(whole[:place] + bytes([whole[place] ^ numbers.randrange(1, 256)]) + whole[place + 1 :])
        jit._loaded.clear()
        assert run_adder(5) == 5
    jit._loaded.clear()
    monkeypatch.setattr(jit, "compile_object", None)  # it is in the cache again
    assert run_adder(5) == 5


# ---- nothing that others can write ----


@posix
def test_the_folder_and_the_entries_are_the_users_own(store):
    store.put(KEY, b"code")
    assert stat.S_IMODE(os.stat(store.folder).st_mode) == 0o700
    assert stat.S_IMODE(entry(store).stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o722])
def test_a_folder_that_others_can_write_to_is_refused_and_that_is_said_once(store, capsys, mode):
    store.put(KEY, b"code")
    os.chmod(store.folder, mode)
    assert store.get(KEY) is None
    store.put(key_of("new"), b"code")
    said = capsys.readouterr().err
    assert said.count("can be written by other users (remedy: chmod go-w)") == 1 and store.folder in said
    os.chmod(store.folder, 0o755)
    assert store.get(KEY) == b"code" and store.get(key_of("new")) is None


@posix
def test_a_folder_behind_a_link_is_refused(store, tmp_path, capsys):
    store.put(KEY, b"code")
    (tmp_path / "link").symlink_to(store.folder)
    linked = Cache(str(tmp_path / "link"), 1 << 20)
    assert linked.get(KEY) is None
    assert "is a symbolic link" in capsys.readouterr().err


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_can_write_to_is_not_loaded_but_replaced(store, mode):
    store.put(KEY, b"code")
    entry(store).chmod(mode)
    assert store.get(KEY) is None
    store.put(KEY, b"code")
    assert store.get(KEY) == b"code" and stat.S_IMODE(entry(store).stat().st_mode) == 0o600


@posix
def test_links_pipes_and_folders_are_not_entries(store):
    store.put(KEY, b"code")
    entry(store).rename(Path(store.folder, "elsewhere"))
    entry(store).symlink_to("elsewhere")
    assert store.get(KEY) is None
    store.put(KEY, b"code")
    assert store.get(KEY) == b"code" and not entry(store).is_symlink()
    os.mkfifo(entry(store, key_of("pipe")))
    assert store.get(key_of("pipe")) is None  # and doesn't wait for somebody to write
    entry(store, key_of("folder")).mkdir()
    assert store.get(key_of("folder")) is None
    assert len(store.entries()) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_what_belongs_to_another_user_is_refused(store, capsys):
    store.put(KEY, b"code")
    os.chown(entry(store), 12345, -1)
    assert store.get(KEY) is None
    os.chown(entry(store), 0, -1)
    os.chown(store.folder, 12345, -1)
    assert store.get(KEY) is None
    assert "belongs to another user" in capsys.readouterr().err


# ---- disks ----


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_without_room_or_permission_it_goes_on_without_and_says_so_once(store, capsys, monkeypatch, problem):
    def fail(*_arguments, **_keywords):
        raise OSError(problem, os.strerror(problem))

    store.put(KEY, b"code")
    monkeypatch.setattr(module.os, "replace", fail)
    store.put(key_of("new"), b"code")
    store.put(key_of("newer"), b"code")
    said = capsys.readouterr().err
    assert said.count(os.strerror(problem)) == 1 and "Set cache_dir" in said
    assert os.listdir(store.folder) == [f"{KEY}.code"]  # nothing is left behind
    assert store.get(KEY) == b"code"


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "_said", set())
    (tmp_path / "file").write_text("")
    store = Cache(str(tmp_path / "file" / "cache"), 1 << 20)
    for _ in range(3):
        store.put(KEY, b"code")
        assert store.get(KEY) is None
    assert capsys.readouterr().err.count("isn't kept") == 1


def test_loading_works_without_any_cache(used, capsys):
    with symgrad.config.change_flags(cache_size=0):
        assert run_adder(11) == 11
    assert not os.path.exists(used.folder)
    assert capsys.readouterr().err == ""


# ---- size ----


def test_the_entries_unused_for_longest_go_first(tmp_path):
    store = Cache(str(tmp_path / "cache"), 100_000)
    content = bytes(1000)
    keys = [key_of(str(number)) for number in range(300)]
    now = time.time()
    for age, key in enumerate(keys):
        store.put(key, content)
        if entry(store, key).exists():
            os.utime(entry(store, key), (now - 9000 + age, now - 9000 + age))
        kept = store.get(keys[0])  # used all the time
        assert kept == content or age < 3
        total = sum(path.stat().st_size for path in Path(store.folder).iterdir())
        assert total <= 110_000
    assert store.get(keys[-1]) == content and store.get(keys[1]) is None


def test_what_is_larger_than_the_cache_is_not_written(tmp_path):
    store = Cache(str(tmp_path / "cache"), 1000)
    store.put(KEY, bytes(1000))
    assert not os.path.exists(store.folder)


def test_what_killed_processes_left_is_removed_when_it_is_old(store):
    store.put(KEY, b"code")
    old, new = (Path(store.folder, f".{KEY}.{number}.abc") for number in (1, 2))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    store._shrink()
    assert new.exists() and not old.exists() and store.get(KEY) == b"code"
    assert store.clear() == 1 and os.listdir(store.folder) == []


def test_other_files_in_the_folder_are_left_alone(store):
    store.put(KEY, b"code")
    Path(store.folder, "notes.txt").write_text("mine")
    assert store.clear() == 1 and os.listdir(store.folder) == ["notes.txt"]


# ---- many processes ----


@posix
def test_a_hundred_processes_compile_the_same_at_once_and_some_are_killed(used, monkeypatch):
    environment = os.environ | {"SYMGRAD_FLAGS": f"cache_dir={used.folder}"}
    command = [sys.executable, str(Path(__file__).with_name("processes.py")), "100", "4", "30"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    words = ran.stdout.split("\n")[:-1]
    assert ran.returncode == 0, ran.stderr
    assert set(words) == {"ok"} and len(words) >= 70
    assert "symgrad:" not in ran.stderr
    monkeypatch.setattr(jit, "compile_object", None)  # nothing has to be compiled any more
    assert [run_adder(number) for number in range(4)] == [0, 1, 2, 3]
    files = list(Path(used.folder).glob("*.code"))
    assert len(used.entries()) == len(files) == 5  # all are valid: four modules, and what the processor is


@posix
def test_processes_that_remove_entries_at_once_do_not_disturb_each_other(tmp_path):
    code = f"""
import os, sys
from symgrad.backends.code_cache import Cache, key_of
children = []
for child in range(8):
    process = os.fork()
    if not process:
        store = Cache({str(tmp_path / "cache")!r}, 30_000)
        for round in range(60):
            content = bytes([child, round]) * 500
            key = key_of(str(child % 2), str(round))
            store.put(key, bytes([round]) * 500)
            assert store.get(key) in (None, bytes([round]) * 500)
            if round % 20 == 19: store.clear()
        os._exit(0)
    children.append(process)
sys.exit(any(os.waitpid(process, 0)[1] for process in children))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


# ---- the command ----


def test_the_command_lists_clears_and_shows_the_folder(used, capsys):
    assert main(["cache", "path"]) == 0
    assert capsys.readouterr().out == f"{used.folder}\n"
    assert main(["cache", "list"]) == 0
    assert capsys.readouterr().out.startswith("0 entries, 0.0 of 64 MiB in ")
    run_adder(7)
    assert main(["cache", "list"]) == 0
    listed = capsys.readouterr().out
    assert "add_7" in listed and time.strftime("%Y-%m-%d") in listed
    count = int(listed.splitlines()[-1].split()[0])
    assert main(["cache", "clear"]) == 0
    removed = capsys.readouterr().out
    assert removed == f"removed {count} {'entry' if count == 1 else 'entries'}\n"
    assert used.entries() == []


@posix
def test_the_command_says_why_a_folder_is_refused(used, capsys):
    run_adder(7)
    os.chmod(used.folder, 0o777)
    assert main(["cache", "list"]) == 1
    assert "can be written by other users" in capsys.readouterr().err


def test_the_folder_is_where_the_system_keeps_such_things(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert default_folder() == str(tmp_path / "symgrad")
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which its standard says to ignore
        assert default_folder() == os.path.expanduser("~/.cache/symgrad")
