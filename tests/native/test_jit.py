"""Machine code of modules: linked into images or loaded by LLVM, and the same either way."""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import symgrad
from symgrad.backends.native.llvm import image, jit, library, linker
from symgrad.backends.native.llvm.host import host
from symgrad.errors import MissingLibraryError

WORDS = """
@table = internal constant [3 x ptr] [ptr @one, ptr @two, ptr @three]
@count = internal global i64 40
@zero = internal global [1000 x i64] zeroinitializer, align 64
@text = internal constant [4 x i64] [i64 10, i64 20, i64 30, i64 40]
declare i64 @given(i64)
declare double @cbrt(double)

define internal i64 @one() noinline { ret i64 1 }
define internal i64 @two() noinline { ret i64 2 }
define i64 @three() noinline { ret i64 3 }

define i64 @by_table(i64 %n) {
  %p = getelementptr ptr, ptr @table, i64 %n
  %f = load ptr, ptr %p
  %r = call i64 %f()
  ret i64 %r
}
define i64 @counter() {
  %v = load i64, ptr @count
  %w = add i64 %v, 1
  store i64 %w, ptr @count
  %z = getelementptr i64, ptr @zero, i64 999
  %o = load i64, ptr %z
  %s = add i64 %w, %o
  ret i64 %s
}
define i64 @constant(i64 %n) {
  %p = getelementptr i64, ptr @text, i64 %n
  %v = load i64, ptr %p
  ret i64 %v
}
define i64 @choice(i64 %n) {
  switch i64 %n, label %other [ i64 0, label %a i64 1, label %b i64 2, label %c i64 3, label %d i64 4, label %e ]
a: ret i64 7
b: ret i64 77
c: ret i64 5
d: ret i64 -3
e: ret i64 11
other: ret i64 0
}
define i64 @outside(i64 %n) {
  %v = call i64 @given(i64 %n)
  %w = add i64 %v, 1
  ret i64 %w
}
define double @root(double %x) {
  %y = call double @cbrt(double %x)
  %z = fmul double %y, 0x3FB999999999999A
  ret double %z
}
define ptr @address() { ret ptr @given }
define ptr @own() { ret ptr @three }
"""
NAMES = ("by_table", "counter", "constant", "choice", "outside", "root", "address", "own", "three")


@ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
def _double(value):
    return 2 * value


GIVEN = {"given": ctypes.cast(_double, ctypes.c_void_p).value}


@pytest.fixture(params=["image", "llvm"])
def way(request, tmp_path, monkeypatch):
    """Both ways to load code, with a cache of their own."""
    jit._loaded.clear()
    if request.param == "llvm":
        monkeypatch.setattr(linker, "link", _refuse)
    with symgrad.config.change_flags(cache_dir=str(tmp_path / "cache")):
        yield request.param
    jit._loaded.clear()


def _refuse(data):
    raise linker.UnsupportedObjectError("asked for by the test")


def integer(address, *values):
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(values))(address)(*values)


def check(found):
    assert [integer(found["by_table"], n) for n in range(3)] == [1, 2, 3]
    assert [integer(found["constant"], n) for n in range(4)] == [10, 20, 30, 40]
    assert [integer(found["choice"], n) for n in range(-1, 6)] == [0, 7, 77, 5, -3, 11, 0]
    assert integer(found["outside"], 20) == 41
    assert integer(found["address"]) == GIVEN["given"]
    assert integer(found["own"]) == found["three"]
    root = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(found["root"])
    assert math.isclose(root(27.0), 0.3)


def test_all_kinds_of_references_work(way):
    found = jit.load(WORDS, NAMES, GIVEN)
    check(found)
    first = integer(found["counter"])
    assert integer(found["counter"]) == first + 1


def test_code_from_the_cache_is_the_same(way, monkeypatch):
    jit.load(WORDS, NAMES, GIVEN)
    jit._loaded.clear()
    monkeypatch.setattr(jit, "compile_object", None)
    found = jit.load(WORDS, NAMES, GIVEN)
    check(found)
    assert integer(found["counter"]) == 41  # variables start anew: none is shared with the first


def test_the_same_module_is_loaded_once(way):
    found = jit.load(WORDS, ["three"], GIVEN)
    again = jit.load(WORDS, NAMES, dict(GIVEN))
    assert again["three"] == found["three"]
    other = jit.load(WORDS, ["three"], {"given": GIVEN["given"] + 0, "more": 1})
    assert other["three"] != found["three"]


def test_a_function_that_is_nowhere_is_an_error_and_not_the_end(way):
    text = "declare i64 @symgrad_nowhere()\ndefine i64 @f() {\n  %v = call i64 @symgrad_nowhere()\n  ret i64 %v\n}"
    with pytest.raises(LookupError, match="symgrad_nowhere"):
        jit.load(text, ["f"])


def test_bad_text_is_an_error(way):
    with pytest.raises(RuntimeError, match="expected"):
        jit.load("define i64 @f() { ret }", ["f"])


@pytest.mark.skipif(sys.platform != "linux" or host("auto").architecture != "x86_64", reason="images are for Linux")
def test_an_image_holds_no_address(tmp_path):
    """Two processes that have everything at other addresses make the same image."""
    compiled = jit.compile_object(WORDS, host())
    code = "import sys; from symgrad.backends.native.llvm import jit, linker; text = open(sys.argv[1]).read()\n"
    code += "sys.stdout.buffer.write(linker.link(jit.compile_object(text, jit.host())).pack())"
    (tmp_path / "module.ll").write_text(WORDS)
    command = [sys.executable, "-c", code, str(tmp_path / "module.ll")]
    ran = subprocess.run(command, capture_output=True, check=True)
    assert ran.stdout == linker.link(compiled).pack()
    assert image.Image.unpack(ran.stdout) == _unpacked(linker.link(compiled))


def _unpacked(linked):
    linked.own = [list(pair) for pair in linked.own]
    return linked


@pytest.mark.skipif(sys.platform != "linux" or host("auto").architecture != "x86_64", reason="images are for Linux")
def test_code_is_not_writable_and_data_is_not_executable():
    found = jit.load(WORDS, NAMES, GIVEN)
    with open("/proc/self/maps") as file:
        regions = [line.split() for line in file]
    for region in regions:
        begin, end = (int(word, 16) for word in region[0].split("-"))
        if begin <= found["three"] < end:
            assert region[1].startswith("r-x")
            break
    else:
        pytest.fail("no such region")


@given(st.binary(max_size=300))
def test_bytes_that_are_no_object_are_refused(data):
    with pytest.raises(linker.UnsupportedObjectError):
        linker.link(data)
    with pytest.raises(linker.UnsupportedObjectError):
        linker.link(b"\x7fELF\x02\x01" + bytes(10) + b"\x03\x00\x3e\x00" + data)


def test_a_missing_library_is_said_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    monkeypatch.setattr(library, "_modules", {})
    monkeypatch.setattr(library, "_imports", {})
    library.binding.cache_clear()
    try:
        with pytest.raises(MissingLibraryError, match=r"pip install llvmlite(.|\n)*backend=numpy"):
            library.binding()
    finally:
        monkeypatch.undo()
        library.binding.cache_clear()
        library.binding()
