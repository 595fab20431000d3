"""The kinds of values that settings take: what is valid, and how text becomes a value."""

from __future__ import annotations

import operator
import os
import re
from dataclasses import dataclass
from typing import Protocol

Value = str | int | bool | None
"""What a setting holds."""


class Kind(Protocol):
    """One kind of value.

    ``candidates`` are the words to look at for the nearest valid one, ``valid`` says in words what is accepted.
    """

    @property
    def candidates(self) -> tuple[str, ...]: ...

    @property
    def valid(self) -> str: ...

    def parse(self, value: object, folder: str) -> Value:
        """Return `value`, text or a Python object, as the setting holds it.

        `folder` is where relative paths start, empty for the working folder. Raises ValueError, with the offending
        word, if the value isn't valid.
        """


@dataclass(frozen=True)
class Choice:
    """One word out of a few."""

    candidates: tuple[str, ...]

    @property
    def valid(self) -> str:
        return ", ".join(self.candidates)

    def parse(self, value: object, folder: str) -> Value:
        if isinstance(value, str) and value in self.candidates:
            return str(value)
        raise ValueError(value)


@dataclass(frozen=True)
class DeviceName:
    """``cpu``, ``auto``, ``cuda`` or ``cuda`` with the number of a device. The name only: see `resolve_device`."""

    candidates: tuple[str, ...] = ("cpu", "cuda", "cuda0", "auto")
    valid: str = "cpu, cuda, cuda0, cuda1, ..., auto"

    def parse(self, value: object, folder: str) -> Value:
        if isinstance(value, str) and re.fullmatch(r"cpu|auto|cuda(0|[1-9][0-9]*)?", value):
            return str(value)
        raise ValueError(value.replace("gpu", "cuda") if isinstance(value, str) else value)  # or cpu would be nearest


@dataclass(frozen=True)
class WholeNumber:
    """A whole number from 0 up."""

    candidates: tuple[str, ...] = ()
    lowest: int = 0

    @property
    def valid(self) -> str:
        return f"whole numbers from {self.lowest} up"

    def parse(self, value: object, folder: str) -> Value:
        number = -1
        if isinstance(value, str):
            number = int(value) if re.fullmatch("[0-9]{1,9}", value) else -1
        elif not isinstance(value, bool) and hasattr(value, "__index__"):
            number = operator.index(value)
        if number < self.lowest:
            raise ValueError(value)
        return number


@dataclass(frozen=True)
class PositiveInteger(WholeNumber):
    """A whole number from 1 up."""

    lowest: int = 1


@dataclass(frozen=True)
class OptionalBoolean:
    """Yes, no, or undecided: True, False, None, or these words as text in any case."""

    candidates: tuple[str, ...] = ("none", "true", "false")
    valid: str = "none, true, false"

    def parse(self, value: object, folder: str) -> Value:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            words: dict[str, bool | None] = {"none": None, "true": True, "false": False}
            if value.lower() in words:
                return words[value.lower()]
        raise ValueError(value)


@dataclass(frozen=True)
class Boolean:
    """Yes or no: True, False, or these words as text in any case."""

    candidates: tuple[str, ...] = ("true", "false")
    valid: str = "true, false"

    def parse(self, value: object, folder: str) -> Value:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in self.candidates:
            return value.lower() == "true"
        raise ValueError(value)


@dataclass(frozen=True)
class WordList:
    """Words separated by commas, or ``all``. Held in the order of `words`, each once, with ``all`` spelled out."""

    words: tuple[str, ...]

    @property
    def candidates(self) -> tuple[str, ...]:
        return (*self.words, "all")

    @property
    def valid(self) -> str:
        return f"{', '.join(self.words)} (several separated by commas), all, or nothing"

    def parse(self, value: object, folder: str) -> Value:
        if not isinstance(value, str):
            raise ValueError(value)
        chosen = {word.strip() for word in value.split(",")} - {""}
        for word in sorted(chosen):
            if word not in self.candidates:
                raise ValueError(word)
        return ",".join(word for word in self.words if word in chosen or "all" in chosen)


@dataclass(frozen=True)
class FilePath:
    """The path of a file, held as an absolute path; empty means none. ``~`` is the home folder."""

    candidates: tuple[str, ...] = ()
    valid: str = "a path, or nothing"

    def parse(self, value: object, folder: str) -> Value:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(value)
        return os.path.abspath(os.path.join(folder, os.path.expanduser(value))) if value else ""


def text_of(value: Value) -> str:
    """Return `value` as one would write it in a file: ``none``, ``true``, ``float32``.

    Examples
    --------
    >>> text_of(None), text_of(True), text_of(4)
    ('none', 'true', '4')
    """
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
