"""Theano's settings: their names, THEANO_FLAGS, .theanorc, and what they mean to symgrad."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import symgrad
from symgrad.compat.theano_names.activation import activated
from symgrad.compat.theano_names.configuration import settings_of_files, settings_of_flags
from symgrad.errors import ConfigError, DeviceError


@pytest.fixture(autouse=True)
def theano() -> Iterator[Any]:
    with activated() as module:
        yield module


def test_defaults_are_theanos(theano: Any) -> None:
    config = theano.config
    assert (config.floatX, config.cast_policy, config.device, config.mode) == ("float64", "custom", "cpu", "Mode")
    assert symgrad.config.floatX == "float64" and symgrad.config.cast_policy == "custom"
    assert config.on_unused_input == "raise" and config.allow_gc is True
    assert config.profiling.n_ops == 20 and config.warn.subtensor_merge_bug is False
    assert "floatX = float64" in str(config)


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [("floatX", "float32", ("floatX", "float32")), ("cast_policy", "numpy+floatX", ("cast_policy", "floatX")),
     ("mode", "FAST_COMPILE", ("mode", "none")), ("mode", "DebugMode", ("mode", "DebugMode")),
     ("mode", "NanGuardMode", ("mode", "NanGuard")), ("optimizer", "None", ("mode", "none")),
     ("optimizer", "fast_run", ("mode", "default")), ("warn_float64", "pdb", ("warn_float64", "raise")),
     ("on_unused_input", "ignore", ("on_unused_input", "ignore")),
     ("exception_verbosity", "high", ("exception_verbosity", "high"))],
)  # fmt: skip
def test_settings_mean_symgrads(theano: Any, name: str, value: str, meaning: tuple[str, str]) -> None:
    with theano.config.change_flags(**{name: value}):
        assert getattr(theano.config, name) == value
        assert getattr(symgrad.config, meaning[0]) == meaning[1]
    assert getattr(symgrad.config, meaning[0]) != meaning[1] or name == "optimizer"


def test_openmp_sets_threads(theano: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    theano.config.openmp = True
    assert symgrad.config.threads == 3


def test_change_flags_is_a_context_manager_and_a_decorator(theano: Any) -> None:
    @theano.change_flags(floatX="float32")
    def inside() -> str:
        return theano.config.floatX  # type: ignore[no-any-return]

    assert inside() == "float32" and theano.config.floatX == "float64"
    with theano.configparser.change_flags([("warn.sum_sum_bug", True)], floatX="float32"):
        assert theano.config.warn.sum_sum_bug is True and theano.tensor.matrix().dtype == "float32"
    assert theano.config.warn.sum_sum_bug is False


@pytest.mark.parametrize(("name", "value"), [("floatX", "float46"), ("profile", "perhaps"), ("device", "opencl0:0"),
                                             ("profiling.n_ops", "many"), ("floatX", "float16")])  # fmt: skip
def test_values_that_settings_do_not_take(theano: Any, name: str, value: str) -> None:
    before = theano.config.get_value(name)
    with pytest.raises(ConfigError, match=name):
        theano.config.set_value(name, value)
    assert theano.config.get_value(name) == before


def test_unknown_names(theano: Any) -> None:
    with pytest.raises(AttributeError, match="no setting 'telepathy'"):
        theano.config.telepathy
    theano.config.my_own = 3
    assert theano.config.my_own == 3


def test_settings_of_a_programs_own(theano: Any) -> None:
    from theano.configparser import AddConfigVar, BoolParam, EnumStr

    AddConfigVar("zoo.open", "whether it is open", BoolParam(True))
    AddConfigVar("zoo.animal", "which", EnumStr("cat", "dog"))
    assert theano.config.zoo.open is True and theano.config.zoo.animal == "cat"
    theano.config.zoo.animal = "dog"
    with pytest.raises(ConfigError):
        theano.config.zoo.animal = "fish"


def test_flags_are_parsed() -> None:
    found = settings_of_flags("floatX=float32, device=gpu0,gcc.cxxflags='-O3, -g',lib.cnmem=0.8,")
    values = {name: value for name, (value, _) in found.items()}
    assert values == {"floatX": "float32", "device": "gpu0", "gcc.cxxflags": "-O3, -g", "lib.cnmem": "0.8"}
    with pytest.raises(ConfigError, match="THEANO_FLAGS"):
        settings_of_flags("floatX")


def test_files_are_read(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    sections = "[global]\nfloatX = float32\ndevice=cpu\n[nvcc]\nfastmath = True\n[NanGuardMode]\nnan_is_error=False\n"
    first.write_text(sections)
    second.write_text("[global]\nfloatx = float64\n")
    found = settings_of_files({"THEANORC": f"{first}:{second}:{tmp_path / 'nowhere'}"})
    values = {name: value for name, (value, _) in found.items()}
    assert values == {
        "floatX": "float64", "device": "cpu", "nvcc.fastmath": "True", "NanGuardMode.nan_is_error": "False"
    }  # fmt: skip
    first.write_text("floatX = float32\n")
    with pytest.raises(ConfigError, match="first"):
        settings_of_files({"THEANORC": str(first)})


def run(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    command = [sys.executable, "-m", "symgrad.compat.theano", "-c", code]
    given = {**os.environ, "HOME": str(tmp_path), **environment}
    return subprocess.run(command, capture_output=True, text=True, env=given, check=False)


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".theanorc").write_text("[global]\nfloatX = float32\nopenmp_elemwise_minsize = 7\n")
    code = "import theano; print(theano.config.floatX, theano.config.openmp_elemwise_minsize)"
    assert run(code, tmp_path).stdout.split() == ["float32", "7"]
    assert run(code, tmp_path, THEANO_FLAGS="floatX=float64,unheard_of=1").stdout.split() == ["float64", "7"]
    failed = run(code, tmp_path, THEANO_FLAGS="floatX=float46")
    assert failed.returncode == 1 and "Did you mean 'float64'?" in failed.stderr


def test_symgrads_own_settings_hold_unless_theanos_say_otherwise(tmp_path: Path) -> None:
    code = "import theano, symgrad; print(theano.config.floatX, symgrad.config.threads, theano.config.on_unused_input)"
    own = {"SYMGRAD_FLAGS": "floatX=float32,threads=2,on_unused_input=ignore"}
    assert run(code, tmp_path, **own).stdout.split() == ["float32", "2", "ignore"]
    assert run(code, tmp_path, **own, THEANO_FLAGS="floatX=float64").stdout.split() == ["float64", "2", "ignore"]


def test_a_gpu_is_said_and_never_silently_replaced(tmp_path: Path) -> None:
    code = "import theano; theano.function([], theano.tensor.zeros(3))"
    result = run(code, tmp_path, THEANO_FLAGS="device=gpu0")
    assert "device=gpu0 means device=cuda0" in result.stderr
    assert "DeviceError" in result.stderr and "isn't available" in result.stderr
    assert "THEANO_FLAGS=device=cpu" in result.stderr


def test_a_misspelt_flag_is_said(tmp_path: Path) -> None:
    result = run("import theano; print(theano.config.floatX)", tmp_path, THEANO_FLAGS="flotX=float32,lib.cnmen=1")
    assert result.stdout.split() == ["float64"]
    assert "THEANO_FLAGS sets flotX, which is no setting; floatX is" in result.stderr


@pytest.mark.parametrize("name", ["gpu", "gpu0", "cuda", "cuda1"])
def test_a_device_that_is_not_there_cannot_be_set(theano: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symgrad.config.devices._examine", [lambda number: ("there is none", "Get one.")])
    with pytest.raises(DeviceError, match="device=cpu"):
        theano.config.device = name
    assert theano.config.device == "cpu" == symgrad.config.device
    theano.config.device = "cpu"


@pytest.mark.parametrize(("name", "meaning"), [("gpu", "cuda"), ("gpu1", "cuda1"), ("cuda0", "cuda0")])
def test_a_device_that_is_there_is_set(
    theano: Any, name: str, meaning: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("symgrad.compat.theano_names.configuration.resolve_device", str)
    theano.config.device = name
    assert (theano.config.device, symgrad.config.device) == (name, meaning)
    said = f"symgrad: device={name} means device={meaning}\n"
    assert capsys.readouterr().err == (said if name != meaning else "")
