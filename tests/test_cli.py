"""The command ``symgrad``, and what a process makes of its files and environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import symgrad
from symgrad.cli import main
from symgrad.config import SETTINGS, config

ROOT = Path(symgrad.__file__).parent.parent


def test_config_prints_every_setting_with_its_source_and_help(capsys):
    with config.change_flags(threads=3):
        assert main(["config"]) == 0
        source = config.source_of("threads")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(SETTINGS)
    for line, setting in zip(lines[1:], SETTINGS.values(), strict=True):
        assert line.startswith(setting.name) and line.endswith(setting.help)
    assert next(line for line in lines if line.startswith("threads")).split("   ", 1)[1].split()[0] == "3"
    assert source in "\n".join(lines)


def test_config_prints_one_value(capsys):
    assert main(["config", "allow_input_downcast"]) == 0
    assert capsys.readouterr().out == "none\n"
    assert main(["config", "floatx"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Did you mean 'floatX'?" in captured.err


def test_verbose_config_prints_valid_values_and_variables(capsys):
    assert main(["config", "--verbose"]) == 0
    out = capsys.readouterr().out
    for setting in SETTINGS.values():
        assert f"Valid: {setting.kind.valid}." in out and f"Used by: {setting.used_by}." in out
    assert "environment variable SYMGRAD_DEBUG" in out


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("Python", "numpy", "scipy", "BLAS of numpy", "floatX", "CUDA"):
        assert word in out


def test_doctor_fails_for_a_device_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setattr("symgrad.config.devices._examine", [lambda number: (f"no device {number}", "Get one.")])
    with config.change_flags(device="cuda3"):
        assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "device=cuda3 isn't available: no device 3. Get one. Or set device=cpu." in captured.err
    assert "  cuda3 " in captured.out


def test_the_command_without_words_helps_and_fails(capsys):
    assert main([]) == 2
    assert "usage: symgrad" in capsys.readouterr().err
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("symgrad ")


def folders_in(folder):
    """Make a home folder and a working folder, both empty."""
    home, cwd = folder / "home", folder / "work"
    home.mkdir()
    cwd.mkdir()
    return home, cwd


def run(home, cwd, *words, **environ):
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), **environ}
    for name in ("SYMGRAD_FLAGS", "SYMGRAD_DEBUG", "SYMGRAD_DATA"):
        if name not in environ:
            environment.pop(name, None)
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_a_process_reads_its_home_folder_working_folder_and_environment(tmp_path):
    home, cwd = folders_in(tmp_path)
    (home / ".symgradrc").write_text("[global]\nthreads = 2\nfloatX = float64\n")
    (cwd / "symgrad.cfg").write_text("[global]\n\nthreads = 3\n")
    ran = run(home, cwd, "-m", "symgrad", "config", SYMGRAD_FLAGS="mode=none")
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1:3] for line in ran.stdout.splitlines()}
    assert rows["floatX"] == ["float64", f"{home / '.symgradrc'}:3"]
    assert rows["threads"] == ["3", f"{cwd / 'symgrad.cfg'}:3"]
    assert rows["mode"] == ["none", "SYMGRAD_FLAGS"]
    assert rows["device"] == ["cpu", "default"]


def test_a_mistake_in_the_settings_ends_the_import_with_a_clear_message(tmp_path):
    home, cwd = folders_in(tmp_path)
    ran = run(home, cwd, "-c", "import symgrad", SYMGRAD_FLAGS="floatx=float64")
    assert ran.returncode == 1
    assert ran.stderr.rstrip().endswith(
        "ConfigError: there is no setting 'floatx'\n"
        "  environment variable SYMGRAD_FLAGS='floatx=float64'\n"
        f"  Did you mean 'floatX'? The settings are: {', '.join(SETTINGS)}."
    )
    assert "During handling" not in ran.stderr


def test_a_traceback_suggests_once(tmp_path):
    home, cwd = folders_in(tmp_path)
    ran = run(home, cwd, "-c", "import symgrad; symgrad.config.floatx")
    assert ran.stderr.rstrip().endswith(f"The settings are: {', '.join(SETTINGS)}.")
