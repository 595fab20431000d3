"""The object that holds the settings: ``symgrad.config``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ContextDecorator, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from symgrad.config.kinds import text_of
from symgrad.config.settings import SETTINGS, find_setting, unknown_setting
from symgrad.config.sources import Assignment
from symgrad.errors import ConfigError, render

_PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Config:
    """The settings, as attributes: ``symgrad.config.floatX``.

    A value set in code wins over the environment and the files. An unknown name, and a value that the setting doesn't
    take, is a `ConfigError` that names your line and the nearest valid one. ``print(symgrad.config)`` shows all
    values and where each comes from, as does the command ``symgrad config``.

    Parameters
    ----------
    settings : mapping of str to Assignment
        The value and the source of every setting, as `load_settings` returns them.

    Examples
    --------
    >>> from symgrad.config import config
    >>> with config.change_flags(floatX="float64", threads=2):
    ...     print(config.floatX, config.threads)
    float64 2
    >>> config.floatX = "flaot32"
    Traceback (most recent call last):
        ...
    symgrad.errors.ConfigError: floatX can't be 'flaot32'
      <doctest symgrad.config.configuration.Config[2]>:1   config.floatX = "flaot32"
      Did you mean 'float32'? Valid: float32, float64.
    """

    # `import symgrad.config.devices as devices` finds the submodule by this name, because the attribute
    # `symgrad.config` is this object and not the package.
    __name__ = __package__

    floatX: str
    device: str
    backend: str
    cast_policy: str
    warn_float64: str
    mode: str
    on_unused_input: str
    allow_input_downcast: bool | None
    compute_test_value: str
    print_test_value: bool
    exception_verbosity: str
    threads: int
    fusion: bool
    allow_tf32: bool
    memory_limit: int
    sync: bool
    cpu_features: str
    cache_dir: str
    cache_size: int
    debug: str
    data: str

    _sources: dict[str, str]
    _listeners: dict[str, Callable[[], None]]

    def __init__(self, settings: Mapping[str, Assignment]) -> None:
        object.__setattr__(self, "_sources", {})
        object.__setattr__(self, "_listeners", {})
        self._assign(settings)

    def change_flags(self, **values: object) -> ChangedFlags:
        """Return a context manager, and decorator, inside which settings have other values.

        All values are checked here, before any is changed; the old ones come back at the end of the block, also when
        it ends with an error.

        Parameters
        ----------
        **values
            Settings by name.

        Returns
        -------
        ChangedFlags
            Use it as ``with config.change_flags(...):`` or ``@config.change_flags(...)``. It can be entered again.

        Raises
        ------
        ConfigError
            For an unknown name or a bad value.

        Examples
        --------
        >>> from symgrad.config import config
        >>> @config.change_flags(cast_policy="custom")
        ... def policy():
        ...     return config.cast_policy
        >>> policy()
        'custom'
        >>> config.cast_policy
        'floatX'
        """
        return ChangedFlags(self, _checked(values))

    def source_of(self, name: str) -> str:
        """Return what set `name`: ``default``, ``file:line``, an environment variable, or ``code at file:line``.

        Parameters
        ----------
        name : str
            The name of a setting.

        Raises
        ------
        ConfigError
            If there is no such setting.

        Examples
        --------
        >>> from symgrad.config import config
        >>> with config.change_flags(threads=2):
        ...     print(config.source_of("threads"))
        code at <doctest symgrad.config.configuration.Config.source_of[1]>:1
        """
        return self._sources[find_setting(name, _UserLine.running()).name]

    def __str__(self) -> str:
        rows = [(name, text_of(getattr(self, name)), self._sources[name]) for name in SETTINGS]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(f"{name:<{widths[0]}} = {text:<{widths[1]}}   {source}" for name, text, source in rows)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in SETTINGS)
        return f"<symgrad.config {values}>"

    def _assign(self, settings: Mapping[str, Assignment]) -> dict[str, Assignment]:
        """Set what has been checked already; return what it replaces."""
        replaced = {}
        for name, (value, source) in settings.items():
            if name in self._sources:
                replaced[name] = Assignment(getattr(self, name), self._sources[name])
            object.__setattr__(self, name, value)
            self._sources[name] = source
            if name in self._listeners:
                self._listeners[name]()
        return replaced

    def _on_change(self, name: str, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever the setting is set: one for each setting, for what was derived from it."""
        self._listeners[name] = listener

    # Hidden from type checkers, which would otherwise accept any name.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Return a public part of the package, which this object hides; reached only by names of no setting."""
            package = sys.modules[__package__]
            member = vars(package).get(name)
            if name in package.__all__ or isinstance(member, ModuleType):
                return member
            raise unknown_setting(name, _UserLine.running())

        def __setattr__(self, name: str, value: object) -> None:
            self._assign(_checked({name: value}))

        def __delattr__(self, name: str) -> None:
            line = _UserLine.running()
            default = find_setting(name, line).default
            raise ConfigError(render(f"{name} can't be deleted", str(line), remedy=f"Its default is {default!r}."))


class ChangedFlags(ContextDecorator):
    """Settings that hold inside a block or a decorated function; made by `Config.change_flags`."""

    def __init__(self, config: Config, settings: Mapping[str, Assignment]) -> None:
        self._config = config
        self._settings = settings
        self._replaced: list[dict[str, Assignment]] = []  # one for each time it is entered: recursion nests

    def __enter__(self) -> Config:
        self._replaced.append(self._config._assign(self._settings))
        return self._config

    def __exit__(self, *error: object) -> None:
        self._config._assign(self._replaced.pop())

    def __call__(self, function: _Function) -> _Function:
        """Return `function` so that each call of it runs with these settings.

        Raises
        ------
        ConfigError
            If it is a generator or a coroutine: its body runs after the call has ended, with the old settings.
        """
        import inspect

        runs_later = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if any(test(function) for test in runs_later):
            remedy = "Write `with config.change_flags(...):` inside the function."
            headline = f"change_flags can't decorate the generator or coroutine {function.__name__!r}"
            raise ConfigError(render(headline, str(_UserLine.running()), remedy=remedy))
        return super().__call__(function)


class _UserLine(NamedTuple):
    """A line of the user's program. Its text is read from the file only when an error shows it."""

    filename: str
    number: int

    @classmethod
    def running(cls) -> _UserLine:
        """Return the line of the innermost frame that runs code outside symgrad."""
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE_FOLDER):
            frame = frame.f_back
        return cls(frame.f_code.co_filename, frame.f_lineno)

    @property
    def place(self) -> str:
        """``file:line``, with the file relative to the working folder when it lies inside."""
        filename = self.filename
        if os.path.isabs(filename):
            with suppress(OSError, ValueError):  # the working folder was deleted, or is on another drive
                relative = os.path.relpath(filename)
                filename = filename if relative.startswith("..") else relative
        return f"{filename}:{self.number}"

    def __str__(self) -> str:
        import linecache

        return f"{self.place}   {linecache.getline(self.filename, self.number).strip()}".rstrip()


def _checked(values: Mapping[str, object]) -> dict[str, Assignment]:
    """Return the assignments that the user's running line makes, or raise for the first that isn't valid."""
    line = _UserLine.running()
    source = f"code at {line.place}"
    return {name: Assignment(find_setting(name, line).parse(value, line), source) for name, value in values.items()}
