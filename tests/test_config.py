"""Settings: their sources and precedence, their errors, change_flags, and devices."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import symgrad
from symgrad.config import (
    DEBUG_STAGES,
    SETTINGS,
    Assignment,
    Config,
    config,
    device_problem,
    devices,
    load_settings,
    resolve_device,
    text_of,
)
from symgrad.errors import ConfigError, DeviceError

ROOT = Path(symgrad.__file__).parent.parent

VALUES = {  # a few valid values of each setting, as a program writes them
    "floatX": ["float32", "float64"],
    "device": ["cpu", "cuda", "cuda0", "cuda12", "auto"],
    "backend": ["auto", "native", "numpy"],
    "cast_policy": ["floatX", "custom"],
    "warn_float64": ["ignore", "warn", "raise"],
    "mode": ["default", "none", "DebugMode", "NanGuard"],
    "on_unused_input": ["raise", "warn", "ignore"],
    "allow_input_downcast": [None, True, False],
    "compute_test_value": ["off", "ignore", "warn", "raise", "pdb"],
    "print_test_value": [True, False],
    "exception_verbosity": ["low", "high"],
    "threads": [1, 2, 64],
    "fusion": [True, False],
    "allow_tf32": [True, False],
    "memory_limit": [0, 1, 4096],
    "sync": [True, False],
    "cpu_features": ["auto", "avx512", "avx2", "sse2", "neon"],
    "cache_dir": ["", os.path.abspath("cache")],
    "cache_size": [0, 1, 512],
    "debug": ["", "graph", "rewrites,source", ",".join(DEBUG_STAGES)],
    "data": ["", os.path.abspath("mnist.pkl.gz")],
}
names_and_values = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(VALUES[name]))
)


@pytest.fixture
def folders(tmp_path):
    """A home folder and a working folder, both empty."""
    home, cwd = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    cwd.mkdir()
    return home, cwd


@pytest.fixture
def fresh():
    """A configuration of its own, at the defaults."""
    return Config(load_settings(None, None, {}))


def load(folders, home=None, cwd=None, **environ):
    if home is not None:
        (folders[0] / ".symgradrc").write_text(home)
    if cwd is not None:
        (folders[1] / "symgrad.cfg").write_text(cwd)
    return load_settings(str(folders[0]), str(folders[1]), environ)


def error_of(action, *arguments, **keywords) -> str:
    with pytest.raises(ConfigError) as caught:
        action(*arguments, **keywords)
    return str(caught.value)


# ---- the table ----


def test_every_row_is_complete_and_its_default_valid():
    assert set(VALUES) == set(SETTINGS) == set(Config.__annotations__) - {"_sources", "_listeners"}
    for name, setting in SETTINGS.items():
        assert setting.name == name
        assert setting.parse(setting.default) == setting.default
        assert setting.parse(text_of(setting.default)) == setting.default
        assert setting.help.endswith(".") and setting.used_by


def test_no_setting_hides_a_method_or_a_submodule():
    submodules = {path.stem for path in (ROOT / "symgrad" / "config").glob("*.py")}
    assert not set(SETTINGS) & (set(vars(Config)) | submodules)


@given(names_and_values)
def test_a_value_survives_being_written_as_text(name_and_value):
    name, value = name_and_value
    assert SETTINGS[name].parse(value) == value
    assert SETTINGS[name].parse(text_of(value)) == value


# ---- sources ----


def test_defaults(folders):
    settings = load(folders)
    assert {name: value for name, (value, _) in settings.items()} == {
        name: setting.default for name, setting in SETTINGS.items()
    }
    assert {source for _, source in settings.values()} == {"default"}


def test_each_later_source_wins(folders):
    home, cwd = folders
    layers = {
        "home": "[global]\nthreads = 2\n",
        "cwd": "[global]\nthreads = 3\n",
        "SYMGRAD_FLAGS": "threads=4",
    }
    assert load(folders)["threads"] == Assignment(1, "default")
    assert load(folders, home=layers["home"])["threads"] == Assignment(2, f"{home / '.symgradrc'}:2")
    assert load(folders, cwd=layers["cwd"])["threads"] == Assignment(3, f"{cwd / 'symgrad.cfg'}:2")
    settings = load(folders, SYMGRAD_FLAGS=layers["SYMGRAD_FLAGS"])
    assert settings["threads"] == Assignment(4, "SYMGRAD_FLAGS")
    made = Config(settings)
    made.threads = 5
    assert made.threads == 5 and made.source_of("threads").startswith("code at ")


def test_the_dedicated_variables_win_over_the_flags(folders):
    settings = load(folders, SYMGRAD_FLAGS="debug=plan,data=/a", SYMGRAD_DEBUG="graph", SYMGRAD_DATA="/b")
    assert settings["debug"] == Assignment("graph", "SYMGRAD_DEBUG")
    assert settings["data"] == Assignment("/b", "SYMGRAD_DATA")
    assert load(folders, SYMGRAD_FLAGS="debug=plan", SYMGRAD_DEBUG="")["debug"].value == ""


@given(st.lists(names_and_values.filter(lambda pair: pair[0] != "data"), max_size=8))
def test_flags_set_what_they_say_and_the_last_wins(pairs):
    flags = ", ".join(f"{name} = {text_of(value)}" for name, value in pairs)
    settings = load_settings(None, None, {"SYMGRAD_FLAGS": flags})
    for name, setting in SETTINGS.items():
        expected = dict(pairs).get(name, setting.default)
        assert settings[name].value == expected
        assert settings[name].source == ("SYMGRAD_FLAGS" if name in dict(pairs) else "default")


def test_stages_in_flags_may_be_several(folders):
    settings = load(folders, SYMGRAD_FLAGS="debug=source,graph,device=auto,")
    assert settings["debug"].value == "graph,source"
    assert settings["device"].value == "auto"
    assert load(folders, SYMGRAD_DEBUG="all")["debug"].value == ",".join(DEBUG_STAGES)


def test_ini_syntax(folders):
    text = (
        "\ufeff# mine\r\n\r\n[ global ]  ; all\r\n  floatX=float64   # wide\r\nallow_input_downcast = True\ndebug =\n"
    )
    settings = load(folders, home=text)
    assert settings["floatX"] == Assignment("float64", f"{folders[0] / '.symgradrc'}:4")
    assert settings["allow_input_downcast"].value is True
    assert settings["debug"].value == ""


def test_paths_start_where_they_are_written(folders):
    home, cwd = folders
    assert load(folders, home="[global]\ndata = sets/a.gz")["data"].value == str(home / "sets" / "a.gz")
    assert load(folders, SYMGRAD_DATA="../a.gz")["data"].value == str(cwd.parent / "a.gz")
    assert load(folders, SYMGRAD_DATA="~/a.gz")["data"].value == os.path.expanduser("~/a.gz")


def test_folders_may_be_missing(folders):
    assert load_settings(None, None, {})["floatX"].source == "default"
    assert load_settings(str(folders[0] / "no"), str(folders[1] / "no"), {})["floatX"].source == "default"


# ---- errors ----


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (
            "[global]\nfloatx = float64",
            2,
            "there is no setting 'floatx'|floatx = float64|Did you mean 'floatX'? The set",
        ),
        (
            "[global]\n\nfloatX = float23",
            3,
            "floatX can't be 'float23'|Did you mean 'float32'? Valid: float32, float64.",
        ),
        ("[global]\nfloatX = 'float32'", 2, "floatX can't be \"'float32'\"|Did you mean 'float32'?"),
        ("[global]\nthreads = 0", 2, "threads can't be '0'|Valid: whole numbers from 1 up."),
        ("[global]\nthreads = 2.5", 2, "threads can't be '2.5'"),
        ("[global]\ndevice = gpu0", 2, "device can't be 'gpu0'|Valid: cpu, cuda, cuda0, cuda1, ..., auto."),
        ("[global]\ndevice = cuda01", 2, "device can't be 'cuda01'"),
        ("[global]\ndebug = graph,rewrite", 2, "debug can't be 'graph,rewrite'|Did you mean 'rewrites'?"),
        ("[global]\nallow_input_downcast = yes", 2, "allow_input_downcast can't be 'yes'|Valid: none, true, false."),
        ("[global]\nfloatX", 2, "this line isn't a setting|Write `name = value` below a line [global]."),
        ("[global]\n= float32", 2, "this line isn't a setting"),
        ("[global\nfloatX = float32", 1, "this line isn't a setting"),
        ("floatX = float32", 1, "floatX is set outside a section|Put a line [global] above it."),
        ("[globl]\nfloatX = float32", 1, "there is no section [globl]|Did you mean [global]?"),
        ("[blas]\nldflags =", 1, "there is no section [blas]|The only section is [global]."),
        ("[global]\nthreads = 1\nthreads = 2", 3, "threads is set twice in one file|.symgradrc:2."),
    ],
)
def test_an_error_in_a_file_names_file_and_line(folders, text, line, expected):
    message = error_of(load, folders, home=text)
    assert f"{folders[0] / '.symgradrc'}:{line}   " in message
    for part in expected.split("|"):
        assert part in message


def test_the_whole_text_of_an_error(folders):
    message = error_of(load, folders, cwd="[global]\nfloatX = float23")
    assert message == (
        "floatX can't be 'float23'\n"
        f"  {folders[1] / 'symgrad.cfg'}:2   floatX = float23\n"
        "  Did you mean 'float32'? Valid: float32, float64."
    )


def test_a_file_that_is_no_text(folders):
    (folders[0] / ".symgradrc").write_bytes(b"[global]\n# caf\xe9\n")
    message = error_of(load, folders)
    assert "isn't UTF-8 text" in message and f"{folders[0] / '.symgradrc'}:2" in message


def test_a_folder_in_place_of_the_file(folders):
    (folders[1] / "symgrad.cfg").mkdir()
    message = error_of(load, folders)
    assert "can't be read" in message and str(folders[1] / "symgrad.cfg") in message


def test_a_home_folder_that_may_not_be_entered_holds_no_settings(folders, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("symgrad.config.sources.open", refuse, raising=False)
    assert "can't be read: Permission denied" in error_of(load, folders)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert load(folders)["floatX"].source == "default"


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("SYMGRAD_FLAGS", "device=cpu,floatx=float32", "there is no setting 'floatx'|Did you mean 'floatX'?"),
        ("SYMGRAD_FLAGS", "device=cpu,floatX=float16", "floatX can't be 'float16'|Valid: float32, float64."),
        ("SYMGRAD_FLAGS", "device=gpu0", "device can't be 'gpu0'|Did you mean 'cuda0'?"),
        ("SYMGRAD_FLAGS", "device", "'device' isn't a setting and its value|such as device=cpu"),
        ("SYMGRAD_FLAGS", "threads=1,2", "'2' isn't a setting and its value"),
        ("SYMGRAD_FLAGS", "debug=graph,device", "debug can't be 'graph,device'"),
        ("SYMGRAD_DEBUG", "1", "debug can't be '1'|graph, rewrites, kernels, plan, source"),
    ],
)
def test_an_error_in_the_environment_names_the_variable(variable, text, expected):
    message = error_of(load_settings, None, None, {variable: text})
    assert f"environment variable {variable}={text!r}" in message
    for part in expected.split("|"):
        assert part in message


def test_an_error_in_code_names_the_line(fresh):
    def set_it():
        fresh.floatX = "flaot32"

    message = error_of(set_it)
    assert f'test_config.py:{set_it.__code__.co_firstlineno + 1}   fresh.floatX = "flaot32"' in message
    assert "Did you mean 'float32'?" in message
    assert fresh.floatX == "float32"
    message = error_of(fresh.change_flags, flotX="float64")
    assert "there is no setting 'flotX'" in message and "Did you mean 'floatX'?" in message


@pytest.mark.parametrize("value", [True, 0, -1, 1.0, None, "two", "1_0", "٣"])
def test_threads_takes_whole_numbers_only(fresh, value):
    assert "threads can't be" in error_of(setattr, fresh, "threads", value)


@given(st.text(max_size=12) | st.integers() | st.none() | st.booleans() | st.floats() | st.binary(max_size=4))
def test_no_value_is_accepted_by_accident(value):
    made = Config(load_settings(None, None, {}))
    for name in set(SETTINGS) - {"data", "threads", "debug", "device", "cache_dir", "cache_size", "memory_limit"}:
        if value not in VALUES[name] and not (isinstance(value, str) and value.lower() in ("none", "true", "false")):
            assert f"{name} can't be" in error_of(setattr, made, name, value)


def test_an_unknown_name_is_an_error_on_reading_writing_and_deleting(fresh):
    assert "Did you mean 'floatX'?" in error_of(getattr, fresh, "floatx")
    assert "there is no setting 'floatx'" in error_of(setattr, fresh, "floatx", "float64")
    assert "there is no setting 'change_flags'" in error_of(setattr, fresh, "change_flags", 1)
    assert "can't be deleted" in error_of(delattr, fresh, "floatX")
    assert "there is no setting 'x'" in error_of(fresh.source_of, "x")
    assert not hasattr(fresh, "floatx") and hasattr(fresh, "floatX")


# ---- change_flags ----


@given(st.lists(st.lists(names_and_values, max_size=4).map(dict), max_size=4), st.booleans())
def test_nested_changes_come_back_in_order(changes, fails):
    made = Config(load_settings(None, None, {}))

    def descend(depth):
        before = {name: (getattr(made, name), made.source_of(name)) for name in SETTINGS}
        if depth == len(changes):
            if fails:
                raise KeyError("the innermost")
            return
        try:
            with made.change_flags(**changes[depth]):
                for name, value in changes[depth].items():
                    assert getattr(made, name) == value and type(getattr(made, name)) is type(value)
                descend(depth + 1)
        finally:
            assert {name: (getattr(made, name), made.source_of(name)) for name in SETTINGS} == before

    if fails:
        with pytest.raises(KeyError):
            descend(0)
    else:
        descend(0)


def test_change_flags_checks_everything_before_it_changes_anything(fresh):
    error_of(fresh.change_flags, floatX="float64", threads=0)
    with pytest.raises(ConfigError), fresh.change_flags(floatX="float64"):
        fresh.threads = 0
    assert fresh.floatX == "float32" and fresh.source_of("floatX") == "default"


def test_change_flags_undoes_assignments_inside_it(fresh):
    with fresh.change_flags(threads=2) as same:
        assert same is fresh
        fresh.threads = 3
        fresh.floatX = "float64"
    assert fresh.threads == 1
    assert fresh.floatX == "float64"  # not one of its settings


def test_change_flags_decorates_also_a_recursive_function(fresh):
    @fresh.change_flags(threads=7)
    def count(n):
        """Count."""
        assert fresh.threads == 7
        return 0 if n == 0 else 1 + count(n - 1)

    assert fresh.threads == 1
    assert count(5) == 5 and count.__name__ == "count"
    assert fresh.threads == 1


def test_change_flags_refuses_to_decorate_what_runs_later(fresh):
    def generator():
        yield fresh.threads

    assert "generator or coroutine 'generator'" in error_of(fresh.change_flags(threads=2), generator)


# ---- the object and the package that share a name ----


def test_the_attribute_is_the_object_and_imports_find_the_package():
    import importlib

    import symgrad.config
    import symgrad.config.devices as by_path

    assert symgrad.config is config and isinstance(config, Config)
    assert by_path is devices is symgrad.config.devices is sys.modules["symgrad.config.devices"]
    assert symgrad.config.config is config
    assert importlib.import_module("symgrad.config").config is config
    assert symgrad.config.resolve_device is resolve_device


def test_text_of_the_object(fresh):
    lines = str(fresh).splitlines()
    assert [line.split(" ")[0] for line in lines] == list(SETTINGS)
    assert lines[0].split() == ["floatX", "=", "float32", "default"]
    assert "allow_input_downcast=None" in repr(fresh)


# ---- devices ----


@pytest.fixture
def examined(monkeypatch):
    """Say what the examination of a GPU finds."""

    def say(problem, remedy):
        monkeypatch.setattr(devices, "_examine", [lambda number: (problem and f"{problem} {number}", remedy)])

    return say


def test_cpu_is_cpu_and_auto_says_once_what_it_chose(capsys, monkeypatch, examined):
    monkeypatch.setattr(devices, "_said", set())
    examined("there is no GPU", "Buy one.")
    assert resolve_device("cpu") == "cpu"
    assert capsys.readouterr().err == ""
    assert resolve_device("auto") == resolve_device("auto") == "cpu"
    assert capsys.readouterr().err == "symgrad: device=auto chose cpu: there is no GPU 0. Buy one\n"
    examined("", "")
    assert resolve_device("auto") == resolve_device("auto") == "cuda0"
    assert capsys.readouterr().err == "symgrad: device=auto chose cuda0: this GPU can be used\n"


@pytest.mark.parametrize(("name", "meaning"), [("cuda", "cuda0"), ("cuda0", "cuda0"), ("cuda3", "cuda3")])
def test_a_device_that_is_there_is_what_its_name_says(examined, name, meaning):
    examined("", "")
    assert resolve_device(name) == meaning and device_problem(name) == ""


@pytest.mark.parametrize(("name", "number"), [("cuda", 0), ("cuda0", 0), ("cuda3", 3)])
def test_a_device_that_is_not_there_says_why_and_what_to_do(examined, name, number):
    examined("there is no GPU", "Buy one.")
    with config.change_flags(device=name):  # the name is fine; whether it is there is asked when it is used
        with pytest.raises(DeviceError) as caught:
            resolve_device()
        source = config.source_of("device")
    assert str(caught.value) == (
        f"device={name} isn't available: there is no GPU {number}\n"
        f"  set by {source}\n"
        "  Buy one.\n"
        "  Or set device=cpu: symgrad.config.device = 'cpu', or SYMGRAD_FLAGS=device=cpu in the environment."
    )


def test_a_name_that_is_no_device():
    assert "device can't be 'gpu'" in error_of(resolve_device, "gpu")
