"""What `symgrad doctor`, errors and ``device=auto`` say about a machine: each step of the examination fails in turn."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import symgrad
from symgrad.backends.cupy.devices import doctor
from symgrad.backends.cupy.libraries import files
from symgrad.cli import main
from symgrad.config import devices as settings_of_devices
from symgrad.config import resolve_device
from symgrad.errors import DeviceError

STEPS = ["package", "import", "driver", "devices", "number", "NVRTC", "cuBLAS", "cuDNN"]


class NVRTCError(RuntimeError):
    """What CuPy raises when a kernel doesn't compile."""


class Machine:
    """A machine with two GPUs on which all is well, until something is changed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.packages = ["cupy-cuda13x", "numpy"]
        self.driver = 13020
        self.runtime = SimpleNamespace(
            driverGetVersion=lambda: self.driver, runtimeGetVersion=lambda: 13000, getDeviceCount=lambda: 2,
            getDeviceProperties=self._properties,
        )  # fmt: skip
        self.capability = 90
        self.nvrtc = SimpleNamespace(
            getVersion=lambda: (13, 0), getSupportedArchs=lambda: (75, 80, 90), createProgram=lambda *parts: parts,
            compileProgram=lambda *parts: None, destroyProgram=lambda program: None, NVRTCError=NVRTCError,
        )  # fmt: skip
        self.cupy = SimpleNamespace(
            __version__="14.2.0", cuda=SimpleNamespace(runtime=self.runtime, nvrtc=self.nvrtc)
        )
        self.missing: dict[str, str] = {}
        patch.setattr(doctor, "distributions", lambda: [SimpleNamespace(name=name) for name in self.packages])
        patch.setattr(doctor, "find_spec", lambda name: any("cupy" in each for each in self.packages) or None)
        patch.setattr(doctor, "driver_version", lambda: self.driver)
        patch.setattr(doctor, "load_cupy", lambda: self.cupy)
        patch.setattr(doctor, "library_problem", lambda name: self.missing.get(name, ""))
        patch.setattr(doctor, "_in_container", lambda: False)
        patch.setattr(doctor.platform, "release", lambda: "6.8.0")
        patch.setattr(doctor, "_forked", [])
        patch.setattr(sys, "platform", "linux")
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def _properties(self, number: int) -> dict[str, Any]:
        return {"name": b"NVIDIA H100", "major": self.capability // 10, "minor": self.capability % 10,
                "totalGlobalMem": 80 << 30}  # fmt: skip


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    doctor.find_problem.cache_clear()
    yield Machine(monkeypatch)
    doctor.find_problem.cache_clear()


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: Any) -> Any:
        raise error

    return fail


def test_a_machine_on_which_all_is_well(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    found = list(doctor.examine(1))
    assert [finding.step for finding in found] == STEPS
    assert all(finding.fact and not finding.problem for finding in found)
    assert doctor.find_problem(1) == ("", "")
    assert (resolve_device("cuda"), resolve_device("cuda1")) == ("cuda0", "cuda1")
    assert main(["doctor"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in ("cuda0 available", "cupy-cuda13x", "CuPy 14.2.0", "for CUDA 13.2", "cuda1: NVIDIA H100",
                  "80.0 GiB and compute capability 9.0"):
        assert words in out


Spoil = Callable[[Machine, pytest.MonkeyPatch], object]


def no_package(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.packages = ["numpy"]


def nothing_at_all(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.packages, machine.driver = ["numpy"], 0


def package_for_an_older_driver(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.packages, machine.driver = ["numpy"], 12040


def two_packages(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.packages.append("cupy-cuda12x")


def broken_import(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    text = f"{'=' * 30}\nFailed to import CuPy.\n\nOriginal error:\n  ImportError: libx.so.1 is missing\n{'=' * 30}"
    patch.setattr(doctor, "load_cupy", raising(ImportError(text)))


def old_cupy(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.cupy.__version__ = "13.6.0"


def no_driver(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.driver = 0


def no_driver_in_wsl(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.driver = 0
    patch.setattr(doctor.platform, "release", lambda: "5.15.0-microsoft-standard-WSL2")


def no_driver_in_a_container(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.driver = 0
    patch.setattr(doctor, "_in_container", lambda: True)


def no_driver_on_a_mac(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.driver = 0
    patch.setattr(sys, "platform", "darwin")


def old_driver(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.driver = 12040


def forked(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    doctor.forked_after_use()


def no_device(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.runtime.getDeviceCount = raising(RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected"))


def hidden_devices(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("CUDA_VISIBLE_DEVICES", "")
    no_device(machine, patch)


def no_device_in_a_container(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(doctor, "_in_container", lambda: True)
    no_device(machine, patch)


def one_device(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.runtime.getDeviceCount = lambda: 1


def hidden_number(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("CUDA_VISIBLE_DEVICES", "3")
    one_device(machine, patch)


def no_compiler(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.nvrtc.getVersion = raising(RuntimeError('Failure finding "libnvrtc.so.13": no such file'))


def broken_compiler(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.nvrtc.compileProgram = raising(NVRTCError("NVRTC_ERROR_BUILTIN_OPERATION_FAILURE (7)"))


def old_gpu(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.capability = 61


def no_products(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    machine.missing["cublas"] = "libcublas.so.13 isn't found"


@pytest.mark.parametrize(
    ("spoil", "step", "problem", "remedy"),
    [
        (no_package, "package", "CuPy isn't installed", 'Run pip install "symgrad[cuda13]".'),
        (nothing_at_all, "package", "no NVIDIA driver here either", "install its driver"),
        (package_for_an_older_driver, "package", "CuPy isn't installed", 'Run pip install "symgrad[cuda12]".'),
        (two_packages, "package", "cupy-cuda12x, cupy-cuda13x", "pip uninstall -y cupy-cuda12x cupy-cuda13x"),
        (broken_import, "import", "imported: ImportError: libx.so.1 is missing", "--force-reinstall"),
        (old_cupy, "import", "CuPy 13.6.0 is too old: 14 or newer", "--upgrade"),
        (no_driver, "driver", "there is no NVIDIA driver", "nvidia-smi"),
        (no_driver_in_wsl, "driver", "there is no NVIDIA driver", "the driver comes from Windows"),
        (no_driver_in_a_container, "driver", "there is no NVIDIA driver", "--gpus all"),
        (no_driver_on_a_mac, "driver", "there is no NVIDIA driver", "use device=cpu"),
        (old_driver, "driver", "for CUDA 12.4, older than CUDA 13.0", "driver 580 or newer, or the CuPy"),
        (forked, "devices", "forked from one that uses CUDA", "spawn"),
        (no_device, "devices", "CUDA finds no device (RuntimeError: cudaErrorNoDevice", "nvidia-smi"),
        (hidden_devices, "devices", "CUDA finds no device", "CUDA_VISIBLE_DEVICES='' hides"),
        (no_device_in_a_container, "devices", "CUDA finds no device", "--gpus all"),
        (one_device, "number", "there is no cuda1: only cuda0 is here", "Choose one of these."),
        (hidden_number, "number", "there is no cuda1: only cuda0 is here", "CUDA_VISIBLE_DEVICES='3' may hide others"),
        (no_compiler, "NVRTC", 'Failure finding "libnvrtc.so.13"', 'pip install "symgrad[cuda13]"'),
        (broken_compiler, "NVRTC", "BUILTIN_OPERATION_FAILURE", 'pip install "symgrad[cuda13]"'),
        (old_gpu, "NVRTC", "compute capability 7.5 and newer, and cuda1 has 6.1", 'pip install "symgrad[cuda12]"'),
        (no_products, "cuBLAS", "libcublas.so.13 isn't found", 'pip install "symgrad[cuda13]"'),
    ],
)  # fmt: skip
def test_each_step_can_fail_and_says_what_to_do(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    spoil: Spoil, step: str, problem: str, remedy: str,
) -> None:  # fmt: skip
    spoil(machine, monkeypatch)
    found = list(doctor.examine(1))
    assert [finding.step for finding in found] == STEPS[: STEPS.index(step) + 1]
    assert problem in found[-1].problem and remedy in found[-1].remedy

    monkeypatch.setattr(settings_of_devices, "_said", set())
    with symgrad.config.change_flags(device="cuda1"):
        with pytest.raises(DeviceError) as caught:
            symgrad.shared(1.0)
        assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    for text in (str(caught.value), captured.out, captured.err):
        assert problem in text and remedy.rstrip(".") in text
    if step != "number":  # auto asks for the first device
        assert resolve_device("auto") == "cpu"
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and said.startswith("symgrad: device=auto chose cpu: ")
        assert found[-1].problem.replace("and cuda1 has", "and cuda0 has") in said


def test_cudnn_may_be_missing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.missing["cudnn"] = "nvidia-cudnn-frontend isn't installed"
    assert doctor.find_problem(0) == ("", "")
    assert main(["doctor"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "cuda0 available" in out and "symgrad[cudnn13]" in out


def test_the_driver_is_asked_without_cupy() -> None:
    assert doctor.driver_version() >= 0


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    monkeypatch.setitem(files.MAJORS, "cublas", (9999,))
    files.library_problem.cache_clear()
    wanted = "cublas64_9999.dll" if os.name == "nt" else "libcublas.so.9999"
    assert files.library_problem("cublas") == f"{wanted} isn't found"
    files.library_problem.cache_clear()
