"""The one table of settings, and what is said when a name or a value isn't in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from symgrad.config.kinds import (
    Boolean,
    Choice,
    DeviceName,
    FilePath,
    Kind,
    OptionalBoolean,
    PositiveInteger,
    Value,
    WholeNumber,
    WordList,
)
from symgrad.errors import ConfigError, render


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Parameters
    ----------
    name : str
        The name, as in ``symgrad.config.name``.
    kind : Kind
        Which values it takes.
    default : str, int, bool or None
        The value when nothing sets it.
    help : str
        What it does, in one sentence.
    used_by : str
        Which parts of symgrad read it.
    variable : str
        An environment variable that sets this alone, and wins over ``SYMGRAD_FLAGS``; may be empty.
    """

    name: str
    kind: Kind
    default: Value
    help: str
    used_by: str
    variable: str = ""

    def parse(self, value: object, location: object = "", folder: str = "") -> Value:
        """Return `value` as the setting holds it.

        Parameters
        ----------
        value : object
            Text from a file or the environment, or a Python value from code.
        location : object
            Where it was written; its text goes into the error.
        folder : str
            Where relative paths start; empty for the working folder.

        Raises
        ------
        ConfigError
            If the setting doesn't take this value; names the location, the nearest valid value, and all valid ones.

        Examples
        --------
        >>> SETTINGS["threads"].parse("4")
        4
        >>> SETTINGS["floatX"].parse("float23", "~/.symgradrc:2")
        Traceback (most recent call last):
            ...
        symgrad.errors.ConfigError: floatX can't be 'float23'
          ~/.symgradrc:2
          Did you mean 'float32'? Valid: float32, float64.
        """
        try:
            return self.kind.parse(value, folder)
        except ValueError as error:
            word = error.args[0]
        remedy = f"{_suggestion(word, self.kind.candidates)}Valid: {self.kind.valid}."
        raise ConfigError(render(f"{self.name} can't be {value!r}", str(location), remedy=remedy))


DEBUG_STAGES = ("graph", "rewrites", "kernels", "plan", "source", "llvm")
"""The stages of the pipeline that ``debug`` can show, in their order."""

_ROWS = (
    Setting(
        "floatX",
        Choice(("float32", "float64")),
        "float32",
        "The dtype of float constructors (T.matrix, T.vector) and of int / int.",
        used_by="tensor constructors, casts, random streams",
    ),
    Setting(
        "device",
        DeviceName(),
        "cpu",
        "Where functions run and shared variables live; one that isn't available is an error.",
        used_by="function, shared",
    ),
    Setting(
        "backend",
        Choice(("auto", "native", "numpy")),
        "auto",
        "The code generator; auto takes the fastest one for the device.",
        used_by="function",
    ),
    Setting(
        "cast_policy",
        Choice(("floatX", "custom")),
        "floatX",
        "floatX: Python numbers and integer tensors never widen a float tensor; custom: Theano's rules.",
        used_by="dtype of every elementwise result",
    ),
    Setting(
        "warn_float64",
        Choice(("ignore", "warn", "raise")),
        "ignore",
        "What to do when a result becomes float64 while floatX is float32.",
        used_by="every op, when the user's line runs",
    ),
    Setting(
        "mode",
        Choice(("default", "none", "DebugMode", "NanGuard")),
        "default",
        "How function compiles unless told otherwise: none as written; DebugMode, NanGuard check each kernel's result.",
        used_by="function",
    ),
    Setting(
        "on_unused_input",
        Choice(("raise", "warn", "ignore")),
        "raise",
        "What to do when an input of a function isn't used by any output or update.",
        used_by="function",
    ),
    Setting(
        "allow_input_downcast",
        OptionalBoolean(),
        None,
        "Whether arguments may lose precision; none lets only a Python float into a float32 scalar.",
        used_by="calls of compiled functions",
    ),
    Setting(
        "compute_test_value",
        Choice(("off", "ignore", "warn", "raise", "pdb")),
        "off",
        "Whether each line is computed on test values as it runs; off, or what to do where one is missing.",
        used_by="every op, when the user's line runs",
    ),
    Setting(
        "print_test_value",
        Boolean(),
        False,
        "Whether the text of a variable shows its test value.",
        used_by="repr of variables",
    ),
    Setting(
        "exception_verbosity",
        Choice(("low", "high")),
        "low",
        "low hides symgrad's own frames in a traceback; high shows them.",
        used_by="errors of compiled functions",
    ),
    Setting(
        "threads",
        PositiveInteger(),
        1,
        "How many threads the kernels of a function may use.",
        used_by="backends",
    ),
    Setting(
        "fusion",
        Boolean(),
        True,
        "Whether steps that go over the same elements become one kernel.",
        used_by="the native backend",
    ),
    Setting(
        "allow_tf32",
        Boolean(),
        False,
        "Whether products of float32 on a GPU may round their factors to TF32, which is faster.",
        used_by="the CUDA backend",
    ),
    Setting(
        "memory_limit",
        WholeNumber(),
        0,
        "How many MiB of a GPU's memory this process may take; 0 for all that there is.",
        used_by="the CUDA backend",
    ),
    Setting(
        "sync",
        Boolean(),
        False,
        "Whether the host waits for each kernel on a GPU, so that an error names the one that failed.",
        used_by="the CUDA backend",
    ),
    Setting(
        "cpu_features",
        Choice(("auto", "avx512", "avx2", "sse2", "neon")),
        "auto",
        "The most that compiled code may use of the processor; auto: all that it has.",
        used_by="the native backend",
    ),
    Setting(
        "cache_dir",
        FilePath(),
        "",
        "The folder of compiled code; nothing for the system's folder of caches.",
        used_by="the native backend, symgrad cache",
    ),
    Setting(
        "cache_size",
        WholeNumber(),
        512,
        "How many MiB of compiled code are kept for later runs; 0 for none.",
        used_by="the native backend, symgrad cache",
    ),
    Setting(
        "debug",
        WordList(DEBUG_STAGES),
        "",
        "The stages of the pipeline that function prints as it compiles.",
        used_by="function",
        variable="SYMGRAD_DEBUG",
    ),
    Setting(
        "data",
        FilePath(),
        "",
        "The MNIST file to load in place of the sample that comes with symgrad.",
        used_by="symgrad.data",
        variable="SYMGRAD_DATA",
    ),
)

SETTINGS: dict[str, Setting] = {row.name: row for row in _ROWS}
"""The table: each setting by its name."""


def find_setting(name: str, location: object = "") -> Setting:
    """Return the row called `name`.

    Parameters
    ----------
    name : str
        The name of a setting; upper and lower case matter.
    location : object
        Where the name was written; its text goes into the error.

    Raises
    ------
    ConfigError
        If there is none; names the location, the nearest name, and all names.

    Examples
    --------
    >>> find_setting("threads").default
    1
    """
    if name not in SETTINGS:
        raise unknown_setting(name, location)
    return SETTINGS[name]


def unknown_setting(name: str, location: object) -> ConfigError:
    """Return the error for a name that isn't in the table."""
    remedy = f"{_suggestion(name, SETTINGS)}The settings are: {', '.join(SETTINGS)}."
    error = ConfigError(render(f"there is no setting {name!r}", str(location), remedy=remedy))
    error.name = name  # or Python, seeing an AttributeError, would add a second suggestion to ours
    return error


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like `word`, regardless of case, or None if none is close.

    Examples
    --------
    >>> nearest("floatx", ["floatX", "device"])
    'floatX'
    """
    from difflib import SequenceMatcher  # only errors need it

    def likeness(candidate: str) -> float:
        return SequenceMatcher(None, word.casefold(), candidate.casefold()).ratio()

    best = max(candidates, key=likeness, default="")  # of equally close ones the first: defaults come first
    return best if likeness(best) >= 0.6 else None


def _suggestion(word: object, candidates: Iterable[str]) -> str:
    """Return ``Did you mean 'x'? ``, or nothing if no candidate is close."""
    match = nearest(word, candidates) if isinstance(word, str) else None
    return f"Did you mean {match!r}? " if match else ""
