"""The processor that code is generated for: what it has, how that is capped, and others than this machine's."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

import symgrad
from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm import host as module
from symgrad.backends.native.llvm.host import detect, host, target
from symgrad.backends.native.llvm.jit import assembly, compile_object, load
from symgrad.backends.native.llvm.text import Value, literal, module_text
from symgrad.errors import ConfigError

X86 = "x86_64-unknown-linux-gnu"
ARM = "aarch64-unknown-linux-gnu"
on_x86 = pytest.mark.skipif(host("auto").architecture != "x86_64", reason="levels of x86-64")


def chain(lanes: int) -> str:
    """Return a kernel that stores x * x + 1 of `lanes` floats in each round."""
    f = kernel_function(f"chain_{lanes}")
    x, y = buffer_pointer(f, 0), buffer_pointer(f, 1)
    kind = f"<{lanes} x float>"
    with f.loop(f.parameters[2], f.parameters[3], lanes) as loop:
        value = f.load(f.offset(x, loop.index, "float"), kind)
        f.store(f.fma(value, value, literal(1, kind)), f.offset(y, loop.index, "float"))
    f.give(Value("0", "i32"))
    return module_text([f])


def run(address: int, x: np.ndarray) -> np.ndarray:
    y = np.zeros_like(x)
    buffers = (ctypes.c_void_p * 2)(x.ctypes.data, y.ctypes.data)
    function = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)  # fmt: skip
    assert function(address)(buffers, None, 0, x.size, None) == 0
    return y


def test_the_host_is_what_llvm_says():
    found = host("auto")
    assert (found.triple, found.name, found.features) == (detect().triple, detect().name, detect().features)
    assert found.vector_bytes in (16, 32, 64) and found.registers in (16, 32)


@on_x86
def test_a_cap_allows_nothing_higher_and_never_more_than_there_is():
    widths = [host(cap).vector_bytes for cap in ("sse2", "avx2", "avx512")]
    assert widths == sorted(widths) and widths[0] == 16 and widths[-1] <= host("auto").vector_bytes
    assert host("sse2").name == "x86-64" and not host("sse2").masked
    with symgrad.config.change_flags(cpu_features="sse2"):
        assert host() == host("sse2") != host("auto")


@on_x86
@pytest.mark.parametrize(
    ("present", "cap", "name", "width"),
    [
        ("", "auto", "cpu", 16),
        ("+avx", "auto", "cpu", 16),
        ("+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe", "auto", "cpu", 32),
        ("+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe", "avx512", "x86-64-v3", 32),
        ("+avx,+avx2,+bmi,+bmi2,+f16c,-fma,+lzcnt,+movbe", "avx512", "x86-64", 16),
        ("+avx,+avx2,+avx512f,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe", "auto", "cpu", 32),
    ],
)
def test_the_level_is_the_highest_that_is_there(monkeypatch, present, cap, name, width):
    monkeypatch.setattr(module, "detect", lambda: module.Detected(X86, "cpu", present, "1"))
    found = module._host.__wrapped__(cap)
    assert (found.name, found.vector_bytes) == (name, width)


def test_a_level_of_another_architecture_is_an_error():
    with pytest.raises(ConfigError, match=r"cpu_features=avx2 isn't for aarch64(.|\n)*For aarch64: neon"):
        target(ARM, "avx2")
    other = "neon" if host("auto").architecture == "x86_64" else "avx2"
    with pytest.raises(ConfigError, match="Set cpu_features=auto"):
        host(other)


@pytest.mark.parametrize(
    ("triple", "level", "wanted", "unwanted"),
    [
        (X86, "sse2", ["mulps", "xmm"], ["ymm", "zmm", "vmulps", "vfmadd"]),
        (X86, "avx2", ["vfmadd", "ymm"], ["zmm"]),
        (X86, "avx512", ["vfmadd", "zmm"], []),
        (ARM, "neon", ["fmla", ".4s"], []),
        ("arm64-apple-darwin20", "neon", ["fmla"], []),
    ],
)
def test_code_for_each_level_is_made_of_its_instructions(triple, level, wanted, unwanted):
    processor = target(triple, level)
    text = assembly(chain(processor.vector_bytes // 4), processor)
    assert all(word in text for word in wanted) and not any(word in text for word in unwanted), text
    assert len(compile_object(chain(processor.vector_bytes // 4), processor)) > 200


def test_unknown_architectures_get_the_narrowest_vectors():
    assert target("riscv64-unknown-linux-gnu").vector_bytes == 16


@on_x86
@pytest.mark.parametrize("cap", ["sse2", "avx2", "avx512", "auto"])
def test_capped_code_runs_and_computes_the_same(cap):
    processor = host(cap)
    lanes = processor.vector_bytes // 4
    x = np.random.default_rng(1).normal(size=320).astype("float32")
    text = chain(lanes)
    y = run(load(text, [f"chain_{lanes}"], processor=processor)[f"chain_{lanes}"], x)
    np.testing.assert_allclose(y, x.astype(float) ** 2 + 1, rtol=3e-7)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere LLVM is asked each time")
@on_x86
def test_a_second_process_knows_the_processor_without_importing_llvm(tmp_path):
    code = "import sys; from symgrad.backends.native.llvm.host import host; print(host()); "
    code += "print('llvmlite.binding' in sys.modules)"
    environment = os.environ | {"SYMGRAD_FLAGS": f"cache_dir={tmp_path / 'cache'}"}
    first, second = (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout.split("\n")
        for _ in range(2)
    )
    assert first[0] == second[0] and first[0].startswith("Processor(")
    assert (first[1], second[1]) == ("True", "False")


def test_another_processor_or_another_build_of_llvm_is_asked_anew(tmp_path, monkeypatch):
    asked = []
    real = module.binding

    def binding():
        asked.append(1)
        return real()

    monkeypatch.setattr(module, "binding", binding)
    with symgrad.config.change_flags(cache_dir=str(tmp_path / "cache")):
        for machine, build in (("a", "1"), ("a", "1"), ("b", "1"), ("b", "1"), ("a", "2"), ("a", "1")):
            monkeypatch.setattr(module, "_machine", lambda machine=machine: machine)
            monkeypatch.setattr(module, "fingerprint", lambda build=build: build)
            assert module.detect.__wrapped__() == detect()
    assert len(asked) == 3
