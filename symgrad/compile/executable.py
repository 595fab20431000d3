"""Compiled functions: they check arguments, find the program for their sizes, and run it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np

from symgrad.backends import find_backend
from symgrad.backends.base import MISS, Number
from symgrad.compile.explaining import explain
from symgrad.compile.modes import Mode
from symgrad.compile.pipeline import Compiled, compile_graph, program_for
from symgrad.compile.repeating import repeat
from symgrad.config import config, resolve_device
from symgrad.debug.profiles import Profile
from symgrad.debug.recording import Recorder
from symgrad.errors import (
    CallError,
    CallShapeError,
    DTypeError,
    ShapeError,
    SymgradError,
    render,
)
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import describe_operands
from symgrad.graph.residence import adopted, find_device, on_device, placed
from symgrad.graph.source import current_source
from symgrad.graph.types import NUMPY_DTYPES, TensorType
from symgrad.graph.variables import Container, SharedVariable

MAXIMAL_PROGRAMS = 64
MAXIMAL_BYTES = 1 << 29
"""Programs for other sizes are kept up to these limits; the oldest goes first."""


@dataclass(frozen=True, eq=False)
class InputSpec:
    """An input: its variable, its name for keyword calls, its default value, and how strict it is."""

    variable: Any
    name: str | None
    default: np.ndarray | None
    strict: bool
    allow_downcast: bool | None


@dataclass(eq=False, repr=False)
class Function:
    """A compiled function.

    Call it with one value for each input, in order or by name. `symgrad.function` makes it.

    Several threads may call one function: the calls are carried out one after the other, in some order, each with the
    shared variables that the one before left. Nothing is promised about threads that call different functions of the
    same shared variables; and one that sets or reads such a variable meanwhile may come before, after or amid a call.

    Attributes
    ----------
    graph : ClosedGraph
        What was asked for.
    rewritten : ClosedGraph
        What is computed.
    name : str or None
        A name for people.
    places : sequence of (str or None)
        For each output, the GPU that it is returned on, or None for the host; empty if all go to the host.
    """

    noun: ClassVar[str] = "symgrad function"
    """What errors call it."""

    graph: ClosedGraph
    inputs: Sequence[InputSpec]
    mode: Mode
    keys: Sequence[Any] | None
    single: bool
    name: str | None = None
    containers: Sequence[Container] | None = None
    _compiled: Compiled | None = None
    places: Sequence[str | None] = ()

    def __post_init__(self) -> None:
        if self._compiled is None:
            backend = find_backend(config.backend, resolve_device())
            self._compiled = compile_graph(self.graph, self.mode, str(self), backend)
        shared = self.rewritten.shared()
        if self.containers is None:
            self.containers = [variable.container for variable in shared]
        self._shared: Sequence[SharedVariable] = shared
        self._types = [spec.variable.type for spec in self.inputs]
        self._dtypes = [NUMPY_DTYPES[kind.dtype] for kind in self._types]
        self._ranks = [kind.ndim for kind in self._types]
        self._open = [isinstance(kind, TensorType) and kind.shape == (None,) * kind.ndim for kind in self._types]
        self._numbers: list[Number] | None = None
        self._fast: Any = _always_miss
        self._checks = list(zip(self._dtypes, self._ranks, self._open, strict=True))
        self._programs: dict[Any, tuple[Any, Any]] = {}
        self._lock = threading.Lock()
        assert self._compiled is not None
        self._turn = self._compiled.backend.turn()
        self._recorder: Recorder | None = None
        _ALIVE.add(self)

    @property
    def rewritten(self) -> ClosedGraph:
        """The graph after rewriting: what is computed."""
        assert self._compiled is not None
        return self._compiled.rewritten

    def __str__(self) -> str:
        return self.name or "function"

    def __repr__(self) -> str:
        inputs = ", ".join(str(spec.name or spec.variable) for spec in self.inputs)
        return f"<{self} of ({inputs}): {len(self.graph.outputs)} outputs, {len(self.graph.targets)} updates>"

    # ---- calling ----

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            results = self._fast(*args)
            if results is not MISS:
                return results
        if self._recorder is not None:
            return self._recorder.call(args, kwargs)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Check and convert the arguments, and find or make the program for their sizes."""
        if kwargs or len(args) != len(self.inputs):
            args = self._complete(args, kwargs)
        arrays = []
        for position, (value, (dtype, rank, is_open)) in enumerate(zip(args, self._checks, strict=True)):
            if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != rank or not is_open:
                value = self._convert(position, value)
            arrays.append(value)
        results = self._run(arrays)
        if self.single:
            return results[0]
        if self.keys is not None:
            return dict(zip(self.keys, results, strict=True))
        return list(results)

    def _run(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        with self._lock:
            count = len(arrays)
            program = self._with_shared_values(arrays)
            self._fast = self._entry(program)
            try:
                self._turn.take()
                results = program.run(*arrays)
                return self._at_places(results) if self.places else results  # type: ignore[no-any-return]
            except Exception as error:
                explain(error, self.inputs, arrays[:count])
            finally:
                self._turn.give_back()

    def _with_shared_values(self, arrays: list[Any]) -> Any:
        """Add the shared values to the arguments, where the program for all these sizes wants them, and return it."""
        count = len(arrays)
        while True:
            arrays[count:] = [container.value for container in self.containers or ()]
            key = tuple([array.shape for array in arrays])
            found = self._programs.get(key)
            if found is None:
                found = self._bind(key) if self._recorder is None else self._recorder.bind(key)
            program = found[1]
            if program.device is None and all(type(array) is np.ndarray for array in arrays[count:]):
                return program
            arrays[count:] = [container.at(program.device) for container in self.containers or ()]
            if key == tuple([array.shape for array in arrays]):
                return program  # else another thread has just put a value of other sizes there

    def _at_places(self, results: Sequence[Any]) -> tuple[Any, ...]:
        """Return results where they are wanted; those on a device are the caller's to use there at once."""
        devices = [None if place is None else find_device(place) for place in self.places]
        found = tuple([placed(result, device) for result, device in zip(results, devices, strict=True)])
        for device in devices:
            if device is not None:
                device.lend()
        return found

    def _entry(self, program: Any) -> Any:
        """Return what answers the next call, if its arguments are like those of this one."""
        if self._recorder is not None:
            self._recorder.watch(program)
        if self.keys is not None:
            return _always_miss
        if self._numbers is None:
            self._numbers = [_numbers_for(spec) for spec in self.inputs]
            if Number.FLOAT32 in self._numbers:
                _TAKING_FLOATS.add(self)
        entry = program.entry(self._numbers, not self.single, self._turn) or _always_miss
        return entry if self._recorder is None else self._recorder.entry(entry)

    def _forget_numbers(self) -> None:
        self._numbers, self._fast = None, _always_miss

    def _forget_threads(self) -> None:
        """In a forked child, those that were in the middle of a call aren't there."""
        assert self._compiled is not None
        self._lock, self._turn = threading.Lock(), self._compiled.backend.turn()

    def _bind(self, key: tuple[Any, ...]) -> tuple[Any, Any]:
        """Make the program for the sizes of the arguments."""
        variables = [*[spec.variable for spec in self.inputs], *self._shared]
        found = self._program(dict(zip(variables, key, strict=True)))
        if any(self.places) and found[1].device is not None:
            found[1].staying = frozenset([number for number, place in enumerate(self.places) if place is not None])
        self._programs[key] = found
        while len(self._programs) > MAXIMAL_PROGRAMS or (len(self._programs) > 1 and self._bytes() > MAXIMAL_BYTES):
            del self._programs[next(iter(self._programs))]
        return found

    def _bytes(self) -> int:
        return sum(plan.arena_size for plan in self.plans)

    def _program(self, shapes: Mapping[Any, Any]) -> tuple[Any, Any]:
        assert self._compiled is not None and self.containers is not None
        return program_for(self._compiled, shapes, self.containers, str(self), bool(self._programs))

    def _complete(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return one value for each input, from positions, names and defaults."""
        if len(args) > len(self.inputs):
            raise self._call_error(
                f"Too many parameter passed to {self._described()}: it takes {len(self.inputs)}, got {len(args)}",
                range(len(self.inputs)), "Pass one value for each input.",
            )  # fmt: skip
        names = {spec.name: position for position, spec in enumerate(self.inputs) if spec.name}
        values: list[Any] = [*args, *[spec.default for spec in self.inputs[len(args) :]]]
        for name, value in kwargs.items():
            if name not in names:
                raise self._call_error(
                    f"{self._described()} has no input named {name!r}", range(len(self.inputs)),
                    f"Its inputs with names: {', '.join(names) or 'none'}.",
                )  # fmt: skip
            if names[name] < len(args):
                raise self._call_error(
                    f"{self._described()} got two values for {name!r}", [names[name]], "Pass it by place or by name."
                )
            values[names[name]] = value
        for position in range(len(args), len(self.inputs)):
            spec = self.inputs[position]
            if values[position] is None and spec.default is None:
                raise self._call_error(
                    f"Missing required input: {spec.name or spec.variable} (index {position})", [position],
                    "Pass a value, or give the input one: symgrad.In(variable, value=...).",
                )  # fmt: skip
        return tuple(values)

    def _convert(self, position: int, value: Any) -> np.ndarray:
        spec = self.inputs[position]
        if type(value) in (float, int) and not spec.strict:
            array = spec.variable.type.convert_number(value, spec.allow_downcast)
            if array is not None:
                return array  # type: ignore[no-any-return]
        try:
            if on_device(value):
                device = getattr(self._compiled.backend, "device", None) if self._compiled else None
                return adopted(spec.variable.type, value, device, spec.strict, spec.allow_downcast)  # type: ignore[no-any-return]
            return spec.variable.type.convert(value, spec.strict, spec.allow_downcast)  # type: ignore[no-any-return]
        except (DTypeError, ShapeError) as error:
            kind = CallError if isinstance(error, DTypeError) else CallShapeError
            label = f" ({spec.name})" if spec.name else ""
            headline = f"Bad input argument to {self._described()} at index {position} (0-based){label}: {error}"
            raise self._call_error(headline, [position], kind=kind) from None

    def _call_error(
        self, headline: str, positions: Iterable[int], remedy: str = "", kind: type[Exception] = CallError
    ) -> Exception:
        """Return an error about the line that calls, which shows some of the inputs."""
        described = describe_operands([self.inputs[position].variable for position in positions])
        return kind(render(headline, str(current_source() or ""), described, remedy))

    def _described(self) -> str:
        return f'{self.noun} with name "{self.name}"' if self.name else self.noun

    # ---- many calls at once ----

    def repeat(self, *sequences: Any) -> Any:
        """Call the function once for each row of the sequences, and collect the results.

        The steps run in order, one after the other, each with the shared variables that the one before left, as in
        ``[f(row) for row in sequence]``; on the native backend without going back to Python between them.

        Parameters
        ----------
        sequences : array-like, one for each input
            Row k is the argument of step k: for an input without axes, a vector of numbers. All have the same length.

        Returns
        -------
        ndarray, or list or dict of ndarray
            The outputs of all steps, stacked along a new first axis.

        Raises
        ------
        CallError
            If the number of sequences isn't that of the inputs, or their lengths differ.
        SymgradError
            What the call of a step raises; the steps before it have been carried out.

        Examples
        --------
        >>> import symgrad
        >>> import symgrad.tensor as T
        >>> total, i = symgrad.shared(0), T.lscalar("i")
        >>> add = symgrad.function([i], total + i, updates=[(total, total + i)])
        >>> add.repeat([1, 2, 3]), total.get_value()
        (array([1, 3, 6]), array(6))
        """
        return repeat(self, sequences)

    def continue_natively(self, rows: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> int:
        """Run the steps after one that just succeeded without Python; return how many were done."""
        with self._lock:
            found = self._programs.get(self._key([row[0] for row in rows]))
            if found is None:
                return 0
            repeat = found[1].repeat if self._recorder is None else partial(self._recorder.repeat, found[1])
            try:
                self._turn.take()
                return int(repeat(rows, results, len(rows[0])))
            finally:
                self._turn.give_back()

    def convert(self, position: int, value: Any) -> np.ndarray:
        """Return an argument as the input at `position` takes it, or raise what a call would."""
        return self._convert(position, value)

    def _key(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        """Return what programs are kept by: the sizes of arguments and shared variables."""
        return tuple([array.shape for array in [*arrays, *[container.value for container in self.containers or ()]]])

    # ---- looking inside ----

    def source(self) -> str:
        """Return the text of the program that ran last, or of one for sizes not known yet if none has."""
        if self._programs:
            return str(next(reversed(self._programs.values()))[1].source)
        shapes = {variable: variable.container.value.shape for variable in self._shared}
        return str(self._program(shapes)[1].source)

    def profile(self) -> Profile:
        """Return a profile of the calls that are made in its ``with`` block.

        It tells for each kernel how often it ran, how long that took, what part of the machine's peak it reached, and
        the user's lines that it came from. Calls are as fast as ever outside of the block; in it, each takes half a
        microsecond more, and each kernel some 30 nanoseconds. A function has one profile at a time.

        Returns
        -------
        Profile
            Print it, look at its ``rows``, or write it with ``to_chrome_trace``.

        Raises
        ------
        SymgradError
            On entering the block, if the function is being profiled already.

        Examples
        --------
        >>> import symgrad
        >>> import symgrad.tensor as T
        >>> x = T.fmatrix("x")
        >>> f = symgrad.function([x], T.tanh(x), name="f")
        >>> with f.profile() as profile:
        ...     y = f([[1, 2]])
        >>> profile
        <profile of f: 1 calls, ... ms>
        """
        return Profile(self)

    def _start_recording(self, recorder: Recorder) -> None:
        with self._lock:
            if self._recorder is not None:
                raise SymgradError(f"{self} is being profiled already; leave that block first")
            for _, program in self._programs.values():
                recorder.watch(program)
            self._recorder, self._fast = recorder, _always_miss

    def _stop_recording(self) -> None:
        with self._lock:
            recorder, self._recorder, self._fast = self._recorder, None, _always_miss
        if recorder is not None:
            recorder.stop()

    @property
    def plans(self) -> list[Any]:
        """The plans made so far, one for each combination of sizes, the latest last."""
        return [plan for plan, _ in self._programs.values()]

    # ---- copies ----

    def copy(
        self, share_memory: bool = False, swap: Mapping[Any, Any] | None = None, name: str | None = None
    ) -> Function:
        """Return another function of the same graph.

        Parameters
        ----------
        share_memory : bool
            Accepted for Theano's sake: buffers are never shared, so both may run at the same time.
        swap : mapping of shared variable to shared variable, optional
            Shared variables that the copy uses in place of others of the same type.
        name : str, optional
            Its name.
        """
        swap = dict(swap or {})
        for old, new in swap.items():
            if old not in self._shared and old not in self.graph.shared():
                raise ValueError(f"{old} can't be swapped: the function doesn't use it")
            if not isinstance(new, SharedVariable) or new.type != old.type:
                raise TypeError(f"{old} can't be swapped for {new}: both must be shared variables of {old.type}")
        assert self.containers is not None and self._compiled is not None
        containers = [
            swap[variable].container if variable in swap else container
            for variable, container in zip(self._shared, self.containers, strict=True)
        ]
        return type(self)(
            self.graph, self.inputs, self.mode, self.keys, self.single, name or self.name, containers,
            self._compiled.apart(), self.places,
        )  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        roots = (self.graph.inputs, self.graph.outputs, self.graph.targets, self.graph.values)
        specs = [(spec.name, spec.default, spec.strict, spec.allow_downcast) for spec in self.inputs]
        shared = list(zip(self._shared, self.containers or (), strict=True))
        mode = self.mode.rewrites, self.mode.checks
        return _rebuild, (type(self), roots, specs, mode, self.keys, self.single, self.name, shared, self.places)


_TAKING_FLOATS: WeakSet[Function] = WeakSet()
"""Functions that take Python floats for float32: whether they may depends on the setting floatX."""


def _floats_changed() -> None:
    for function in list(_TAKING_FLOATS):
        function._forget_numbers()


config._on_change("floatX", _floats_changed)

_ALIVE: WeakSet[Function] = WeakSet()


def _forked() -> None:
    for function in list(_ALIVE):
        function._forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _always_miss(*args: Any) -> Any:
    return MISS


def _numbers_for(spec: InputSpec) -> Number:
    """Return which Python numbers an input takes at once: those that its conversion would take, to the same value."""
    kind = spec.variable.type
    if spec.strict:
        return Number.ARRAY
    if kind.ndim or not isinstance(kind, TensorType):
        return Number.NONE
    if kind.dtype == "int64":
        return Number.INT64
    found = {"float32": Number.FLOAT32, "float64": Number.FLOAT64}.get(kind.dtype, Number.NONE)
    taken = found and kind.convert_number(0.1, spec.allow_downcast) is not None
    return found if taken else Number.NONE


def _rebuild(
    kind: type[Function], roots: Any, specs: Any, mode: Any, keys: Any, single: bool, name: str | None, shared: Any,
    places: Sequence[str | None] = (),
) -> Function:
    graph = ClosedGraph(*roots)
    inputs = [InputSpec(variable, *spec) for variable, spec in zip(graph.inputs, specs, strict=True)]
    function = kind(graph, inputs, Mode(*mode), keys, single, name)
    function.places = places
    known = dict(shared)
    function.containers = [known.get(variable, variable.container) for variable in function._shared]
    return function


