"""Compiled functions with the attributes that Theano's have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from symgrad.backends.base import MISS
from symgrad.compat.theano_names.maker import FunctionMaker
from symgrad.compile.executable import Function
from symgrad.errors import CallError
from symgrad.graph.variables import SharedVariable, Variable
from symgrad.tensor.variable import shared


class Storage:
    """Where a function finds one input: ``f.container[x]``, with its ``value``."""

    def __init__(self, entry: Any, value: Any, on_change: Callable[[Any, Any], None]) -> None:
        self._on_change = on_change
        self.variable = entry.variable
        self.name = entry.name
        self.type = entry.variable.type
        self.readonly = False
        self.strict = entry.strict
        self.allow_downcast = entry.allow_downcast
        self.required = value is None and entry.update is None
        self.provided = 0
        self.storage = value if isinstance(value, SharedVariable) else [value]

    @property
    def value(self) -> Any:
        """The value that the next call takes if none is passed."""
        if isinstance(self.storage, SharedVariable):
            return self.storage.get_value()  # type: ignore[attr-defined]
        return self.storage[0]

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(self.storage, SharedVariable):
            self.storage.set_value(value)  # type: ignore[attr-defined]
        else:
            self.storage[0] = None if value is None else self.type.convert(value, self.strict, self.allow_downcast)
            self._on_change(self.variable, self.storage[0])

    data = value


class Values:
    """Values of inputs by variable, name or position: ``f.value``."""

    def __init__(self, function: TheanoFunction) -> None:
        self._function = function

    def __getitem__(self, key: Any) -> Any:
        return self._function.storage_of(key).value

    def __setitem__(self, key: Any, value: Any) -> None:
        self._function.storage_of(key).value = value

    def __contains__(self, key: Any) -> bool:
        return key in self._function

    def __len__(self) -> int:
        return len(self._function.input_storage)


class Containers(Values):
    """Storage of inputs by variable, name or position: ``f.container``."""

    def __getitem__(self, key: Any) -> Any:
        return self._function.storage_of(key)

    def __iter__(self) -> Iterator[Storage]:
        return iter(self._function.input_storage)


class CallCounts:
    """How often a function was called and how long that took: ``f.profile`` of ``function(..., profile=True)``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.fct_callcount = 0
        self.fct_call_time = 0.0
        self.vm_call_time = 0.0
        self.compile_time = 0.0

    def print_summary(self, file: Any = None, **options: Any) -> None:
        """Print both."""
        print(f"{self.fct_callcount} calls, {self.fct_call_time:.6f} s", file=file)

    summary = print_summary


class TheanoFunction(Function):
    """A compiled function as Theano's programs know it."""

    noun: ClassVar[str] = "theano function"
    declared: Sequence[Any] = ()
    states: Mapping[Any, SharedVariable] = {}
    trust_input = False
    pickle_aliased_memory_strategy = "warn"
    return_none = False
    profile: Any = None  # type: ignore[assignment]
    nodes_with_inner_function: Sequence[Any] = ()

    def describe(
        self, declared: Sequence[Any], outputs: Any, states: Mapping[Any, SharedVariable], mode: Any, profile: Any
    ) -> None:
        """Remember how the function was asked for."""
        self.declared = declared
        self.states = states
        self.return_none = outputs is None
        self.maker = FunctionMaker(self, declared, mode)
        self.profile = profile if isinstance(profile, CallCounts) else CallCounts() if profile else None
        defaults = {spec.variable: spec.default for spec in self.inputs}
        values = [states.get(entry, defaults.get(entry.variable)) for entry in declared]
        self.input_storage = [
            Storage(entry, value, self._set_default) for entry, value in zip(declared, values, strict=True)
        ]
        self.output_storage: list[list[Any]] = [[None] for _ in self.graph.outputs]

    def _set_default(self, variable: Any, value: Any) -> None:
        self.inputs = [replace(spec, default=value) if spec.variable is variable else spec for spec in self.inputs]

    # ---- calling ----

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        subset = kwargs.pop("output_subset", None)
        began = time.perf_counter()
        results = super()._call(args, kwargs)
        if self.profile is not None:
            self.profile.fct_callcount += 1
            self.profile.fct_call_time += time.perf_counter() - began
        if subset is None:
            return results
        if self.keys is not None:
            return {key: results[key] for key in subset}
        return [results[position] for position in subset]

    def _entry(self, program: Any) -> Any:
        """Return what answers the next call; where calls are counted, none passes by."""
        return _never if self.profile is not None else super()._entry(program)

    def _complete(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        self._check_implicit(args)
        names = [spec.name for spec in self.inputs]
        for name in kwargs:
            if names.count(name) > 1:
                raise CallError(f"{self._described()} has several inputs named {name!r}; pass them by position")
        return super()._complete(args, kwargs)

    def _check_implicit(self, args: Sequence[Any]) -> None:
        taken = [entry for entry in self.declared if not entry.implicit]
        if len(args) > len(taken):
            raise CallError(
                f"Too many parameter passed to {self._described()}: it takes {len(taken)}, got {len(args)}"
            )

    def fn(self, n_calls: int = 1) -> list[np.ndarray]:
        """Call the function with the values in `input_storage`; leave the results in `output_storage` too."""
        for _ in range(n_calls - 1):
            self.fn()
        results = self._run([np.asarray(storage.value) for storage in self.input_storage if not self._keeps(storage)])
        for cell, result in zip(self.output_storage, results, strict=True):
            cell[0] = result
        return list(results)

    def _keeps(self, storage: Storage) -> bool:
        return isinstance(storage.storage, SharedVariable)

    # ---- inputs and what they hold ----

    def storage_of(self, key: Any) -> Storage:
        """Return the storage of an input, by variable, name or position."""
        if isinstance(key, int):
            return self.input_storage[key]
        for storage in self.input_storage:
            if storage.variable is key or (isinstance(key, str) and storage.name == key):
                return storage
        raise TypeError(f"Unknown input or state: {key}")

    def __getitem__(self, key: Any) -> Any:
        return self.storage_of(key).value

    def __setitem__(self, key: Any, value: Any) -> None:
        self.storage_of(key).value = value

    def __contains__(self, key: Any) -> bool:
        return any(key is storage.variable or key == storage.name for storage in self.input_storage)

    @property
    def value(self) -> Values:
        """The values of inputs."""
        return Values(self)

    @property
    def container(self) -> Containers:
        """The storage of inputs."""
        return Containers(self)

    finder = container

    @property
    def inv_finder(self) -> dict[Storage, Any]:
        """The input that each storage belongs to."""
        return dict(zip(self.input_storage, self.declared, strict=True))

    @property
    def defaults(self) -> list[tuple[bool, bool, Any]]:
        """For each input: whether it must be passed, whether its value comes back after a call, and the value."""
        return [(cell.required, not self._keeps(cell), cell.value) for cell in self.input_storage]

    @property
    def indices(self) -> list[tuple[Any, list[int], list[Any]]]:
        """For each input: itself, its positions, and what belongs to it."""
        return [(entry, [position], [entry]) for position, entry in enumerate(self.declared)]

    # ---- outputs ----

    @property
    def n_returned_outputs(self) -> int:
        """How many outputs a call returns."""
        return len(self.graph.outputs)

    @property
    def outputs(self) -> list[Variable]:
        """The output variables."""
        return list(self.graph.outputs)

    @property
    def output_keys(self) -> list[Any] | None:
        """The keys, of a function that returns a dict."""
        return None if self.keys is None else list(self.keys)

    @property
    def unpack_single(self) -> bool:
        """Whether there is one output, without a list."""
        return self.single

    # ---- the rest ----

    def get_shared(self) -> list[SharedVariable]:
        """Return the shared variables that the function reads or updates."""
        return list(self._shared)

    def free(self) -> None:
        """Forget the programs that were made for sizes of arguments, and their memory."""
        with self._lock:
            self._programs.clear()
            self._forget_numbers()

    def sync_shared(self) -> None:
        """Wait until all is computed; a call never returns before that."""

    def copy(  # type: ignore[override]
        self,
        share_memory: bool = False,
        swap: Mapping[Any, Any] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
        profile: Any = None,
    ) -> TheanoFunction:
        """Return another function of the same graph, with other shared variables, or without updates."""
        if delete_updates:
            from symgrad.compat.theano_names.copying import without_updates

            return without_updates(self, swap, name)
        return self._described_as(super().copy(share_memory, swap, name), self.states, profile)

    def _described_as(self, made: Any, states: Mapping[Any, SharedVariable], profile: Any) -> TheanoFunction:
        """Return a copy that remembers what this function was asked for, with the same default values."""
        made.describe(self.declared, None if self.return_none else self.outputs, states, self.maker.mode, profile)
        for old, new in zip(self.input_storage, made.input_storage, strict=True):
            if not self._keeps(old):
                new.value = old.value
        made.trust_input = self.trust_input
        return made  # type: ignore[no-any-return]

    def __copy__(self) -> TheanoFunction:
        """Return a function of the same shared variables, with states of its own."""
        fresh: dict[Any, Any] = {}
        for state in self.states.values():
            kind: Any = state.type
            fresh[state] = shared(state.container.on_host(), state.name, shape=kind.shape)
        made: Any = super().copy(False, fresh, self.name)
        states = {entry: fresh[state] for entry, state in self.states.items()}
        return self._described_as(made, states, self.profile is not None)

    def __reduce__(self) -> tuple[Any, ...]:
        values = [None if self._keeps(storage) else storage.value for storage in self.input_storage]
        said = (self.declared, self.return_none, self.states, self.maker.mode, self.profile is not None, values,
                self.trust_input)  # fmt: skip
        return _rebuild_described, (super().__reduce__(), said)


def _rebuild_described(parts: Any, said: Any) -> TheanoFunction:
    rebuild, arguments = parts
    declared, return_none, states, mode, profile, values, trust_input = said
    made: TheanoFunction = rebuild(*arguments)
    made.trust_input = trust_input
    made.describe(declared, None if return_none else made.outputs, states, mode, profile)
    for storage, value in zip(made.input_storage, values, strict=True):
        if value is not None:
            storage.value = value
    return made


def _never(*args: Any) -> Any:
    return MISS


class StatefulFunction(TheanoFunction):
    """A function that keeps and updates some of its inputs: ``In(x, value=0, update=x + 1)``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Put values that are passed for states into them, and call with the others."""
        self._check_implicit(args)
        positional = [entry for entry in self.declared if not entry.implicit]
        plain: dict[str, Any] = {}
        rest: list[Any] = []
        for entry, value in zip(positional, args, strict=False):
            if entry in self.states:
                self.states[entry].set_value(value)  # type: ignore[attr-defined]
            else:
                rest.append(value)
        by_name = {entry.name: entry for entry in self.states if entry.name}
        for name, value in kwargs.items():
            if name in by_name:
                self.states[by_name[name]].set_value(value)  # type: ignore[attr-defined]
            else:
                plain[name] = value
        return super().__call__(*rest, **plain)
