"""``theano.config``: Theano's settings, those that mean something bound to symgrad's."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from configparser import ConfigParser
from configparser import Error as ParserError
from contextlib import ContextDecorator
from typing import Any

from symgrad.compat.theano_names.settings import TheanoSetting, read_table
from symgrad.config import SETTINGS, config, resolve_device
from symgrad.config.settings import nearest
from symgrad.errors import ConfigError, render

FLAGS_VARIABLE = "THEANO_FLAGS"
FILE_VARIABLE = "THEANORC"
MODE_NAMES = {
    "Mode": "default", "FAST_RUN": "default", "FAST_COMPILE": "none", "DebugMode": "DebugMode",
    "DEBUG_MODE": "DebugMode", "NanGuardMode": "NanGuard", "ProfileMode": "default", "PROFILE_MODE": "default",
}  # fmt: skip
UNOPTIMIZED = ("fast_compile", "merge", "None")


class Section:
    """Settings whose names begin alike: ``theano.config.warn``."""

    def __init__(self, settings: TheanoConfig, prefix: str) -> None:
        object.__setattr__(self, "_settings", settings)
        object.__setattr__(self, "_prefix", prefix)

    def __getattr__(self, name: str) -> Any:
        return self._settings.get_value(f"{self._prefix}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._settings.set_value(f"{self._prefix}.{name}", value)


class TheanoConfig:
    """Theano's settings as attributes: ``theano.config.floatX``, ``theano.config.warn.sum_sum_bug``.

    Examples
    --------
    >>> theano_config.floatX, theano_config.profiling.n_ops
    ('float64', 20)
    """

    def __init__(self) -> None:
        self.__dict__["_table"] = read_table()
        self.__dict__["_values"] = {name: setting.default for name, setting in self._table.items()}

    def __getattr__(self, name: str) -> Any:
        return self.get_value(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.set_value(name, value)

    def get_value(self, name: str) -> Any:
        """Return the value of a setting, or the section of this name."""
        if name in self._values:
            value = self._values[name]
            return _cache_folder() if name in ("base_compiledir", "compiledir") and not value else value
        if any(setting.startswith(f"{name}.") for setting in self._values):
            return Section(self, name)
        raise AttributeError(f"theano.config has no setting {name!r}")

    def set_value(self, name: str, value: Any) -> None:
        """Set a setting; one that Theano doesn't have is kept as it is.

        Raises
        ------
        ConfigError
            If the setting doesn't take this value.
        DeviceError
            If the device isn't available; the old one stays.
        """
        setting = self._table.get(name)
        if setting is not None:
            value = setting.parse(value)
            if name == "device":  # programs try one and go on without it: they learn here whether it is there
                resolve_device(_device_meant(value))
            if name in _BINDINGS:
                _BINDINGS[name]({**self._values, name: value})
        self._values[name] = value

    def add(self, setting: TheanoSetting) -> None:
        """Add a setting of the program's own."""
        if setting.name in self._values:
            raise AttributeError(f"theano.config has a setting {setting.name!r} already")
        self._table[setting.name] = setting
        self._values[setting.name] = setting.default

    def values(self) -> dict[str, Any]:
        """Return all values by name."""
        return dict(self._values)

    def restore(self, values: Mapping[str, Any]) -> None:
        """Put values back that `values` returned; symgrad's own settings aren't touched."""
        self._values.clear()
        self._values.update(values)

    def load(self, given: Mapping[str, tuple[Any, str]]) -> None:
        """Set defaults, and values with the places that they come from; unknown names are passed over."""
        self._values.clear()
        for name, setting in self._table.items():
            self._values[name] = setting.parse(*given[name]) if name in given else setting.default

    def load_from_process(self) -> None:
        """Load what files and the environment say: first symgrad's own, then Theano's; ``THEANO_FLAGS`` wins."""
        flags = settings_of_flags(os.environ.get(FLAGS_VARIABLE, ""))
        for name in flags.keys() - self._table.keys():
            near = nearest(name, self._table)
            if near is not None:
                print(f"symgrad: {FLAGS_VARIABLE} sets {name}, which is no setting; {near} is", file=sys.stderr)
        self.load({**_settings_of_symgrad(), **settings_of_files(os.environ), **flags})

    def apply(self) -> None:
        """Set symgrad's settings as Theano's are now."""
        for bind in _BINDINGS.values():
            bind(self._values)

    def change_flags(self, *pairs: Any, **values: Any) -> ChangedTheanoFlags:
        """Return a context manager and decorator inside which settings have other values."""
        given = dict(pairs[0]) if len(pairs) == 1 and not isinstance(pairs[0], tuple) else dict(pairs)
        return ChangedTheanoFlags(self, {**given, **values})

    def __str__(self) -> str:
        return "\n".join(f"{name} = {value}" for name, value in self._values.items())


class ChangedTheanoFlags(ContextDecorator):
    """Settings of Theano's that hold inside a block or a decorated function."""

    def __init__(self, settings: TheanoConfig, values: Mapping[str, Any]) -> None:
        self._settings = settings
        self._new = values
        self._old: list[dict[str, Any]] = []

    def __enter__(self) -> TheanoConfig:
        self._old.append({name: self._settings.get_value(name) for name in self._new})
        for name, value in self._new.items():
            self._settings.set_value(name, value)
        return self._settings

    def __exit__(self, *error: object) -> None:
        for name, value in self._old.pop().items():
            self._settings.set_value(name, value)


def _cache_folder() -> str:
    """Return where compiled code is kept: what programs take Theano's folder for."""
    from symgrad.backends.code_cache import default_folder

    return config.cache_dir or default_folder()


# ---- what symgrad's own settings become ----


def _set_float(values: Mapping[str, Any]) -> None:
    if values["floatX"] == "float16":
        raise ConfigError(
            render("floatX=float16 isn't kept", remedy="Set floatX=float32, and cast to float16 where it is wanted.")
        )
    config.floatX = values["floatX"]


def _set_cast_policy(values: Mapping[str, Any]) -> None:
    config.cast_policy = "custom" if values["cast_policy"] == "custom" else "floatX"


def _set_device(values: Mapping[str, Any]) -> None:
    name = _device_meant(values["device"])
    if name != values["device"] and name != config.device:
        print(f"symgrad: device={values['device']} means device={name}", file=sys.stderr)
    config.device = name


def _device_meant(name: str) -> str:
    return "cuda" + name.removeprefix("gpu") if name.startswith("gpu") else name


def symgrad_device(target: str | None) -> str | None:
    """Return what Theano's name of a device or a context means: ``gpu1`` and ``dev1`` are cuda1.

    Examples
    --------
    >>> symgrad_device("gpu"), symgrad_device("dev1"), symgrad_device("cpu"), symgrad_device(None)
    ('cuda', 'cuda1', 'cpu', None)
    """
    if target is None:
        return None
    given = dict([pair.split("->") for pair in str(theano_config.contexts).split(";") if "->" in pair])
    name = given.get(target, target)
    return "cuda" + name.removeprefix("dev") if re.fullmatch("dev[0-9]+", name) else _device_meant(name)


def _set_mode(values: Mapping[str, Any]) -> None:
    mode = MODE_NAMES[values["mode"]]
    config.mode = "none" if mode == "default" and values["optimizer"] in UNOPTIMIZED else mode


def _set_warning(values: Mapping[str, Any]) -> None:
    config.warn_float64 = "raise" if values["warn_float64"] == "pdb" else values["warn_float64"]


def _set_threads(values: Mapping[str, Any]) -> None:
    if values["openmp"]:
        config.threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def _set_same(name: str) -> Callable[[Mapping[str, Any]], None]:
    def bind(values: Mapping[str, Any]) -> None:
        setattr(config, name, values[name])

    return bind


_BINDINGS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "floatX": _set_float,
    "cast_policy": _set_cast_policy,
    "device": _set_device,
    "mode": _set_mode,
    "optimizer": _set_mode,
    "warn_float64": _set_warning,
    "openmp": _set_threads,
    **{
        name: _set_same(name)
        for name in ("on_unused_input", "exception_verbosity", "compute_test_value", "print_test_value")
        if name in SETTINGS
    },
}


def settings_to_change() -> dict[str, Any]:
    """Return symgrad's settings that Theano's are bound to, with their values now, for `config.change_flags`."""
    bound = {*_BINDINGS, "threads"} & SETTINGS.keys()
    return {name: getattr(config, name) for name in bound}


# ---- settings of a program's own ----


class Parameter:
    """A setting of text, or of what its default is, for `AddConfigVar`."""

    kind = "text"

    def __init__(self, default: Any, is_valid: Any = None, allow_override: bool = True) -> None:
        self.default = default


class BoolParam(Parameter):
    """A setting that is true or false."""

    kind = "bool"


class IntParam(Parameter):
    """A setting that is an integer."""

    kind = "whole"


class FloatParam(Parameter):
    """A setting that is a number."""

    kind = "number"


class EnumStr(Parameter):
    """A setting that is one of several words, of which the first is the default."""

    def __init__(self, default: str, *options: str, **flags: Any) -> None:
        super().__init__(default)
        self.kind = f"one-of:{','.join([default, *options])}"


StrParam = Parameter


def AddConfigVar(name: str, doc: str, configparam: Parameter, root: Any = None, in_c_key: bool = True) -> None:
    """Add a setting of the program's own to ``theano.config``."""
    theano_config.add(TheanoSetting(name, configparam.kind, configparam.default))


# ---- files and flags ----


def _settings_of_symgrad() -> dict[str, tuple[Any, str]]:
    """Return Theano's settings as far as symgrad's own of the same meaning have been set to something."""
    found = {}
    for name in SETTINGS.keys() & _BINDINGS.keys() - {"mode"}:
        source = config.source_of(name)
        value = getattr(config, name)
        if source != "default" and not (name == "device" and value == "auto"):
            found[name] = ("numpy+floatX" if (name, value) == ("cast_policy", "floatX") else value, source)
    return found


def settings_of_flags(flags: str) -> dict[str, tuple[str, str]]:
    """Return what ``THEANO_FLAGS`` sets, each with where that was said.

    Examples
    --------
    >>> settings_of_flags("floatX=float32, device=cpu,gcc.cxxflags='-O3, -g'")["gcc.cxxflags"][0]
    '-O3, -g'
    """
    place = f"environment variable {FLAGS_VARIABLE}={flags!r}"
    splitter = shlex.shlex(flags, posix=True)
    splitter.whitespace = ","
    splitter.whitespace_split = True
    found = {}
    for piece in splitter:
        name, equals, value = piece.partition("=")
        if not equals and piece.strip():
            raise ConfigError(
                render(f"{piece.strip()!r} isn't a setting and its value", place, remedy="Write name=value,name=value.")
            )
        if equals:
            found[name.strip()] = (value.strip(), place)
    return found


def settings_of_files(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return what the files that ``THEANORC`` names, or ``.theanorc`` in the home folder, set."""
    found: dict[str, tuple[str, str]] = {}
    for path in _files(environ):
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(path, encoding="utf-8")
        except (ParserError, OSError, UnicodeDecodeError) as error:
            raise ConfigError(render("Theano's settings file can't be read", path, remedy=str(error))) from None
        for section in parser.sections():
            prefix = "" if section == "global" else f"{section}."
            for name, value in parser[section].items():
                found[_spelled(prefix + name)] = (value, f"{path}, section [{section}], {name}")
    return found


def _files(environ: Mapping[str, str]) -> Iterable[str]:
    given = environ.get(FILE_VARIABLE)
    if given is not None:
        return [os.path.expanduser(path) for path in given.split(os.pathsep) if path]
    return [os.path.expanduser(path) for path in ("~/.theanorc", "~/.theanorc.txt")]


def _spelled(name: str) -> str:
    """Return a setting's name in its own case: files of this form don't tell upper from lower case."""
    return _BY_LOWER_CASE.get(name.lower(), name)


_BY_LOWER_CASE = {name.lower(): name for name in read_table()}

theano_config = TheanoConfig()
"""The settings of this process: ``theano.config``."""

__all__ = [
    "AddConfigVar", "BoolParam", "EnumStr", "FloatParam", "IntParam", "Parameter", "StrParam", "TheanoConfig",
    "theano_config",
]  # fmt: skip
