"""Where settings come from: defaults, two INI files, and the environment; the later wins."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from symgrad.config.kinds import Value, WordList
from symgrad.config.settings import SETTINGS, find_setting, nearest
from symgrad.errors import ConfigError, render

HOME_FILE = ".symgradrc"
WORKING_FILE = "symgrad.cfg"
SECTION = "global"
FLAGS_VARIABLE = "SYMGRAD_FLAGS"


class Assignment(NamedTuple):
    """The value of a setting, and what set it: ``default``, ``file:line``, a variable's name, or ``code``."""

    value: Value
    source: str


def load_settings(home: str | None, cwd: str | None, environ: Mapping[str, str]) -> dict[str, Assignment]:
    """Return every setting with the value that the defaults, the files and the environment give it.

    The later wins: defaults, ``.symgradrc`` in `home`, ``symgrad.cfg`` in `cwd`, ``SYMGRAD_FLAGS``, and the variables
    that set one setting alone (``SYMGRAD_DEBUG``, ``SYMGRAD_DATA``). A relative path starts in the folder of the file
    that holds it, and in `cwd` if it comes from the environment.

    Parameters
    ----------
    home, cwd : str or None
        The home folder and the working folder; None if there is none.
    environ : mapping of str to str
        The environment variables.

    Returns
    -------
    dict of str to Assignment

    Raises
    ------
    ConfigError
        If a file can't be read or isn't INI, or for an unknown name or a bad value; names the file and the line, or
        the variable.

    Examples
    --------
    >>> settings = load_settings(None, None, {"SYMGRAD_FLAGS": "threads=4"})
    >>> settings["threads"]
    Assignment(value=4, source='SYMGRAD_FLAGS')
    >>> settings["floatX"]
    Assignment(value='float32', source='default')
    """
    settings = {name: Assignment(setting.default, "default") for name, setting in SETTINGS.items()}
    for folder, filename in ((home, HOME_FILE), (cwd, WORKING_FILE)):
        if folder is not None:
            settings.update(_from_file(os.path.join(folder, filename)))
    settings.update(_from_flags(environ.get(FLAGS_VARIABLE, ""), cwd or ""))
    for setting in SETTINGS.values():
        if setting.variable in environ:
            text = environ[setting.variable]
            value = setting.parse(text.strip(), _variable_location(setting.variable, text), cwd or "")
            settings[setting.name] = Assignment(value, setting.variable)
    return settings


def load_from_process() -> dict[str, Assignment]:
    """Return `load_settings` for the home folder, working folder and environment of this process."""
    home = os.path.expanduser("~")
    try:
        cwd = os.getcwd()
    except FileNotFoundError:  # the working folder was deleted
        cwd = None
    return load_settings(home if os.path.isabs(home) else None, cwd, os.environ)


def _from_file(path: str) -> dict[str, Assignment]:
    """Return what the INI file at `path` sets; nothing if there is no such file."""
    found: dict[str, Assignment] = {}
    for number, line, name, text in _entries(path):
        location = f"{path}:{number}   {line}"
        setting = find_setting(name, location)
        if name in found:
            raise ConfigError(
                render(f"{name} is set twice in one file", location, remedy=f"It is also set at {found[name].source}.")
            )
        value = setting.parse(text, location, os.path.dirname(path))
        found[name] = Assignment(value, f"{path}:{number}")
    return found


def _entries(path: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield line number, line, name and value text of each entry.

    Read here rather than by configparser, which loses the line numbers of entries, and takes longer to import than
    all of this package.
    """
    section = None
    for number, line in enumerate(_read_lines(path), 1):
        location = f"{path}:{number}   {line.strip()}"
        content = _without_comment(line).strip()
        if not content:
            continue
        if content.startswith("[") and content.endswith("]"):
            section = content[1:-1].strip()
            _check_section(section, location)
            continue
        name, equals, text = content.partition("=")
        if not equals or not name.strip():
            raise ConfigError(
                render("this line isn't a setting", location, remedy=f"Write `name = value` below a line [{SECTION}].")
            )
        if section is None:
            raise ConfigError(
                render(f"{name.strip()} is set outside a section", location, remedy=f"Put a line [{SECTION}] above it.")
            )
        yield number, line.strip(), name.strip(), text.strip()


def _check_section(section: str, location: str) -> None:
    if section != SECTION:
        suggestion = f"Did you mean [{SECTION}]? " if nearest(section, [SECTION]) else ""
        remedy = f"{suggestion}The only section is [{SECTION}]."
        raise ConfigError(render(f"there is no section [{section}]", location, remedy=remedy))


def _without_comment(line: str) -> str:
    """Return `line` up to a ``#`` or ``;`` that begins it or follows a space."""
    for position, character in enumerate(line):
        if character in "#;" and (position == 0 or line[position - 1].isspace()):
            return line[:position]
    return line


def _read_lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if not os.access(os.path.dirname(path), os.X_OK):
            return []  # HOME of another user, as in containers: nobody can have meant a file there for this process
        remedy = "Make it a file that you may read, or remove it."
        raise ConfigError(render(f"the settings file can't be read: {error.strerror}", path, remedy=remedy)) from None
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            render("the settings file isn't UTF-8 text", f"{path}:{number}", remedy="Save it as UTF-8.")
        ) from None


def _from_flags(flags: str, cwd: str) -> dict[str, Assignment]:
    """Return what ``SYMGRAD_FLAGS`` sets; the last of equal names wins, so that a script can append to it."""
    location = _variable_location(FLAGS_VARIABLE, flags)
    texts: dict[str, str] = {}
    name = ""
    for piece in flags.split(","):
        before, equals, after = piece.partition("=")
        if equals:
            name = before.strip()
            find_setting(name, location)
            texts[name] = after
        elif name and isinstance(SETTINGS[name].kind, WordList):
            texts[name] += f",{piece}"  # debug=graph,plan is one setting
        elif piece.strip():
            remedy = "Write name=value, separated by commas, such as device=cpu,floatX=float32."
            raise ConfigError(render(f"{piece.strip()!r} isn't a setting and its value", location, remedy=remedy))
    return {
        name: Assignment(SETTINGS[name].parse(text.strip(), location, cwd), FLAGS_VARIABLE)
        for name, text in texts.items()
    }


def _variable_location(variable: str, text: str) -> str:
    return f"environment variable {variable}={text!r}"
