"""``theano.function``, with all that Theano lets inputs and outputs say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgrad.compat.theano_names.compiled import StatefulFunction, TheanoFunction
from symgrad.compat.theano_names.configuration import theano_config
from symgrad.compat.theano_names.errors import NotKeptError
from symgrad.compat.theano_names.generic import Generic
from symgrad.compat.theano_names.modes import core_mode, function_class
from symgrad.compile.function import In as CoreInput
from symgrad.compile.function import Out as CoreOutput
from symgrad.compile.function import compile_as
from symgrad.config import config, resolve_device
from symgrad.errors import DeviceError
from symgrad.graph.types import TensorType
from symgrad.graph.variables import SharedVariable, Variable
from symgrad.tensor.variable import shared


class In:
    """An input with more said about it, as ``theano.In``.

    Parameters
    ----------
    variable : Variable
        The input.
    name : str, optional
        Its name for keyword calls, by default the variable's.
    value : optional
        The value if the caller gives none; with `update`, the first value of a state that the function keeps.
    update : Variable, optional
        What becomes of the value after each call.
    mutable, borrow : bool, optional
        Accepted: arguments are never changed, nor kept.
    strict : bool
        Take nothing but an array of exactly the input's dtype.
    allow_downcast : bool, optional
        Whether values may lose information.
    implicit : bool, optional
        Whether it can't be passed by position.
    """

    def __init__(
        self,
        variable: Any,
        name: str | None = None,
        value: Any = None,
        update: Any = None,
        mutable: bool | None = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
        autoname: bool = True,
        implicit: bool | None = None,
        borrow: bool | None = None,
        shared: bool = False,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a string! (got: {name!r:.60})")
        if mutable and borrow is False:
            raise AssertionError("mutable=True and borrow=False contradict each other: leave one of them out")
        _check_update(variable, update)
        self.variable = variable
        self.name = name if name is not None or not autoname else getattr(variable, "name", None)
        self.value = value
        self.update = update
        self.mutable = bool(mutable)
        self.strict = strict
        self.allow_downcast = allow_downcast
        self.autoname = autoname
        self.implicit = bool(implicit)
        self.borrow = self.mutable if borrow is None else borrow
        self.shared = shared

    def __repr__(self) -> str:
        return f"In({self.variable} -> {self.update})" if self.update is not None else f"In({self.variable})"


def _check_update(variable: Any, update: Any) -> None:
    """Raise unless `update` can become the next value of `variable`."""
    wanted, found = getattr(variable, "type", None), getattr(update, "type", None)
    if not isinstance(wanted, TensorType) or not isinstance(found, TensorType):
        return
    if (wanted.dtype, wanted.ndim) != (found.dtype, found.ndim):
        raise TypeError(f"the update of {variable} must be of its type, {wanted}, and is {found}")


def Param(variable: Any, default: Any = None, name: str | None = None, **options: Any) -> In:
    """Return an input with a default value: an older spelling of `In`."""
    return In(variable, name=name, value=default, **options)


class Out(CoreOutput):
    """An output; `borrow` is accepted, the caller's results are always its own."""

    def __init__(self, variable: Any, borrow: bool = False) -> None:
        super().__init__(variable, borrow)
        self.borrow = borrow


def function(
    inputs: Any = (),
    outputs: Any = None,
    mode: Any = None,
    updates: Any = None,
    givens: Any = None,
    no_default_updates: bool | Sequence[Any] = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: Any = None,
    on_unused_input: str | None = None,
) -> TheanoFunction:
    """Compile a function: ``theano.function``, with its order of arguments. See `symgrad.function`.

    Parameters
    ----------
    inputs : sequence of Variable, `In`, or (variable, default) pairs
        What the caller passes.
    outputs, updates, givens, no_default_updates, name, allow_input_downcast, on_unused_input
        As `symgrad.function` says.
    mode : str or Mode, optional
        One of Theano's modes.
    profile : bool, optional
        Whether the function counts its calls and their times, in ``f.profile``.
    accept_inplace, rebuild_strict
        Accepted: no op works in place unless symgrad's own planner says so.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, total = T.lscalars("x", "total")
    >>> add = function([x, In(total, value=10, update=total + x)], total + x)
    >>> int(add(1)), int(add(2)), int(add[total])
    (11, 13, 13)
    """
    _check_device()
    if not isinstance(inputs, list | tuple):
        raise TypeError(
            f"Inputs variable of a Theano function should be contained in a list, even when there is a single input; "
            f"got {type(inputs).__name__}"
        )
    if not isinstance(no_default_updates, bool | list):
        found = type(no_default_updates).__name__
        raise TypeError(f"no_default_update should be either a boolean or a list, got {found}")
    if isinstance(outputs, Mapping) and not all(isinstance(key, str) for key in outputs):
        raise AssertionError(f"the keys of a dict of outputs must be strings, got {list(outputs)!r:.80}")
    if isinstance(outputs, Mapping):
        outputs = {key: outputs[key] for key in sorted(outputs)}
    declared = [_declared(entry) for entry in inputs]
    updates = _pairs(updates, "updates")
    for pair in updates:
        _check_pattern(pair)
    states = _states(declared)
    replaced = {entry.variable: state for entry, state in states.items()}
    changes = [(states[entry], entry.update) for entry in declared if entry.update is not None]
    kind = StatefulFunction if states else function_class(mode)
    compiled = compile_as(
        kind,
        [_core_input(entry) for entry in declared if entry not in states],
        outputs,
        [*updates, *changes],
        [*_pairs(givens, "givens"), *replaced.items()],
        core_mode(mode),
        name,
        allow_input_downcast,
        on_unused_input,
        no_default_updates,
    )
    compiled.describe(declared, outputs, states, mode, profile)
    return compiled


def _check_device() -> None:
    """Raise if the device isn't there, and say where Theano's programs set it."""
    try:
        resolve_device(config.device)
    except DeviceError as error:
        where = f"theano.config.device is {theano_config.device}; THEANO_FLAGS=device=cpu, or .theanorc, changes it"
        raise DeviceError(f"{error}\n  Here {where}.") from None


def _check_pattern(pair: Any) -> None:
    """Raise unless an update stretches on the axes on which its variable does."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        return  # symgrad says what is wrong
    target, value = pair
    found, wanted = getattr(value, "type", None), getattr(target, "type", None)
    if not isinstance(found, TensorType) or not isinstance(wanted, TensorType) or found.ndim != wanted.ndim:
        return
    if found.broadcastable != wanted.broadcastable:
        raise TypeError(
            f"An update must have the same type as the original shared variable: {target} has the broadcastable "
            f"pattern {wanted.broadcastable}, its update {found.broadcastable}. If the difference is related to the "
            "broadcast pattern, you can call T.unbroadcast(update, axis), or T.patternbroadcast(update, pattern)."
        )


def _declared(entry: Any) -> In:
    if isinstance(entry, In):
        return entry
    if isinstance(entry, CoreInput):
        return In(entry.variable, entry.name, entry.value, strict=entry.strict, allow_downcast=entry.allow_downcast)
    if isinstance(entry, list | tuple):
        return _declared_by_parts(entry)
    if isinstance(getattr(entry, "type", None), Generic):
        raise NotKeptError(f"functions take no {entry.type} argument ({entry}). Let the op hold the object.")
    if not isinstance(entry, Variable):
        raise TypeError(f"Unknown parameter type: {type(entry)}; inputs are variables, or theano.In(variable, ...)")
    return In(entry)


def _declared_by_parts(parts: Sequence[Any]) -> In:
    """``(variable, value)``, ``(name, variable, value)`` or with ``(variable, update)`` in place of the variable."""
    name, rest = (parts[0], parts[1:]) if parts and isinstance(parts[0], str) else (None, parts)
    if not 1 <= len(rest) <= 2:
        raise TypeError(f"an input is a variable, or a pair of a variable and its value; got {parts!r:.60}")
    variable, update = rest[0] if isinstance(rest[0], tuple) else (rest[0], None)
    return In(variable, name=name, value=rest[1] if len(rest) == 2 else None, update=update)


def _states(declared: Sequence[In]) -> dict[In, SharedVariable]:
    """Return a shared variable for each input that the function updates, or shares with one that does."""
    states: dict[In, SharedVariable] = {}
    for entry in declared:
        if entry.update is None and not isinstance(getattr(entry.value, "storage", None), SharedVariable):
            continue
        if isinstance(entry.variable, SharedVariable):
            raise TypeError(
                f"{entry.variable} is a shared variable, and can't be an input: pass its update to `updates`"
            )
        if entry.value is None:
            raise ValueError(f"{entry.name or entry.variable} has an update, and needs a first value: In(x, value=...)")
        first = getattr(entry.value, "storage", entry.value)
        value = first if isinstance(first, SharedVariable) else entry.variable.type.convert(first)
        kind = entry.variable.type
        states[entry] = first if isinstance(first, SharedVariable) else shared(value, entry.name, shape=kind.shape)
    return states


def _core_input(entry: In) -> CoreInput:
    value = getattr(entry.value, "data", entry.value) if hasattr(entry.value, "storage") else entry.value
    return CoreInput(entry.variable, entry.name, value, entry.strict, entry.allow_downcast)


def _pairs(given: Any, where: str) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        return list(given.items())
    if isinstance(given, Iterable) and not isinstance(given, Variable | str):
        return list(given)  # pairs of any kind: dict.items(), zip(...)
    raise TypeError(f"{where} must be a dict or a list of pairs (variable, expression), got {type(given).__name__}")


def function_dump(filename: str, inputs: Any, outputs: Any = None, **options: Any) -> None:
    """Write what `function` was called with to a file, by pickle, to be compiled elsewhere."""
    import pickle

    extra_tag_to_remove = options.pop("extra_tag_to_remove", None)
    content = {"inputs": inputs, "outputs": outputs, **options}
    if extra_tag_to_remove is not None:
        content["extra_tag_to_remove"] = extra_tag_to_remove
    with open(filename, "wb") as file:
        pickle.dump(content, file)
