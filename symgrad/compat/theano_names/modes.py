"""Theano's modes, as symgrad's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgrad.compat.theano_names.configuration import MODE_NAMES, UNOPTIMIZED, theano_config
from symgrad.compile.modes import Mode as CoreMode
from symgrad.config import config
from symgrad.rewriting.engine import RULES, all_rule_names


class Mode:
    """How a function is compiled: ``theano.Mode(linker, optimizer)``.

    Parameters
    ----------
    linker : str, optional
        Kept, and without a meaning: the setting ``backend`` says what runs.
    optimizer : str, optional
        ``fast_compile``, ``merge`` and ``None`` rewrite nothing; all others use every rule.

    Examples
    --------
    >>> sorted(Mode(optimizer="None").core().rewrites)
    []
    """

    checks = ""

    def __init__(self, linker: Any = None, optimizer: Any = "default", db: Any = None) -> None:
        self.linker = theano_config.linker if linker is None else linker
        self.provided_linker = self.linker
        self.optimizer = theano_config.optimizer if optimizer == "default" else optimizer
        self.provided_optimizer = self.optimizer
        self.included: tuple[str, ...] = ()
        self.excluded: tuple[str, ...] = ()

    def core(self) -> CoreMode:
        """Return the mode of symgrad's that this one means."""
        known = all_rule_names()
        none = self.optimizer is None or str(self.optimizer) in UNOPTIMIZED
        rules = set() if none else set(known)
        rules |= _rules_of(self.included)
        return CoreMode(rules - _rules_of(self.excluded), self.checks)

    def _changed(self, included: tuple[str, ...], excluded: tuple[str, ...]) -> Any:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.included = self.included + included
        made.excluded = tuple(name for name in self.excluded if name not in included) + excluded
        return made

    def including(self, *tags: str) -> Any:
        """Return this mode with the rules of some names or phases; names without a rule change nothing."""
        return self._changed(tags, ())

    def excluding(self, *tags: str) -> Any:
        """Return this mode without the rules of some names or phases."""
        return self._changed((), tags)

    def requiring(self, *tags: str) -> Any:
        """Return this mode: rules are never skipped for want of a name."""
        return self.including(*tags)

    def register(self, *optimizations: Any) -> Any:
        """Refuse: rules are declared with `symgrad.rewriting.engine.rule`."""
        from symgrad.compat.theano_names.errors import NotKeptError

        raise NotKeptError("symgrad doesn't keep Mode.register. Declare a rule with symgrad.rewrite.")

    def clone(self, link_kwargs: Any = None, optimizer: str = "", **options: Any) -> Any:
        """Return the same mode with another optimizer."""
        made = self._changed((), ())
        made.optimizer = optimizer or self.optimizer
        return made

    def __repr__(self) -> str:
        return f"Mode(linker={self.linker!r}, optimizer={self.optimizer!r})"


def _rules_of(tags: tuple[str, ...]) -> set[str]:
    """Return the rules that Theano's tags mean: rules and phases of symgrad's have names of their own."""
    named = set(tags) & set(all_rule_names())
    return named | {rule.name for rule in RULES.values() if rule.phase in tags}


class DebugMode(Mode):
    """Compare each kernel's results with what its op means."""

    checks = "DebugMode"

    def __init__(self, optimizer: Any = "default", **options: Any) -> None:
        super().__init__(None, optimizer)


class ProfileMode(Mode):
    """Theano's older way to profile, now a mode as any other: pass ``profile=True`` to `function`."""

    def print_summary(self, **options: Any) -> None:
        """Say where the times are."""
        print("Pass profile=True to theano.function; f.profile.summary() prints where the time went.")


class MonitorMode(Mode):
    """Call functions of the user's before and after each node.

    Parameters
    ----------
    pre_func, post_func : callable, optional
        Called as ``f(number, node, thunk)``; ``thunk.inputs`` and ``thunk.outputs`` are lists of cells, ``[value]``.
    """

    def __init__(
        self,
        pre_func: Callable[..., Any] | None = None,
        post_func: Callable[..., Any] | None = None,
        optimizer: Any = "default",
        linker: Any = None,
    ) -> None:
        super().__init__(linker, optimizer)
        self.pre_func = pre_func
        self.post_func = post_func


class NanGuardMode(MonitorMode):
    """Raise AssertionError where nan, inf or a number above 1e10 first appears.

    Parameters
    ----------
    nan_is_error, inf_is_error, big_is_error : bool, optional
        What is looked for; by default what ``theano.config.NanGuardMode`` says.
    """

    def __init__(
        self,
        nan_is_error: bool | None = None,
        inf_is_error: bool | None = None,
        big_is_error: bool | None = None,
        optimizer: Any = "default",
        linker: Any = None,
    ) -> None:
        from symgrad.compat.theano_names.monitoring import FiniteGuard

        section = theano_config.NanGuardMode
        choices = [
            section.__getattr__(name) if given is None else given
            for name, given in (
                ("nan_is_error", nan_is_error), ("inf_is_error", inf_is_error), ("big_is_error", big_is_error)
            )
        ]  # fmt: skip
        guard = FiniteGuard(*choices)
        super().__init__(guard.before, guard.after, optimizer, linker)


predefined_modes = {"FAST_RUN": Mode("cvm", "fast_run"), "FAST_COMPILE": Mode("py", "fast_compile")}
FAST_RUN, FAST_COMPILE = predefined_modes["FAST_RUN"], predefined_modes["FAST_COMPILE"]
predefined_linkers: dict[str, Any] = dict.fromkeys(("py", "c", "c|py", "vm", "cvm", "vm_nogc", "cvm_nogc"))
predefined_optimizers: dict[str | None, Any] = dict.fromkeys(
    (None, "None", "merge", "fast_compile", "fast_run", "o1", "o2", "o3", "o4", "unsafe")
)
"""The names that `Mode` takes."""

_registered: dict[str, Any] = {}


def register_mode(name: str, mode: Any) -> None:
    """Let `mode` be found by a name."""
    if name in predefined_modes or name in _registered:
        raise ValueError(f"Mode name already taken: {name}")
    _registered[name] = mode


def get_mode(mode: Any = None) -> Any:
    """Return the mode of a name; None for the configured one."""
    name = theano_config.mode if mode is None else mode
    if not isinstance(name, str):
        return name
    if name in _registered:
        return _registered[name]
    if name in ("Mode", "ProfileMode", "PROFILE_MODE"):
        return Mode()
    if name in predefined_modes:
        return predefined_modes[name]
    if name in ("DebugMode", "DEBUG_MODE"):
        return DebugMode()
    if name == "NanGuardMode":
        return NanGuardMode()
    raise Exception(f"No predefined mode exist for string: {name}; there are {', '.join(MODE_NAMES)}")


def get_default_mode() -> Any:
    """Return the configured mode."""
    return get_mode(None)


def core_mode(mode: Any) -> Any:
    """Return what symgrad's `function` takes for one of Theano's modes."""
    if mode is None and config.mode != "NanGuard":
        return None
    if isinstance(mode, CoreMode):
        return mode
    return get_mode(mode).core()


def function_class(mode: Any) -> Any:
    """Return the class of functions that a mode makes."""
    from symgrad.compat.theano_names.compiled import TheanoFunction

    found = get_mode(mode)
    if not isinstance(found, MonitorMode):
        return TheanoFunction
    from symgrad.compat.theano_names.monitoring import MonitoredFunction

    return MonitoredFunction
