"""CUDA programs: a plan's tape, played eagerly at first, then captured in a CUDA graph and launched as one.

A program owns device memory for the inputs, for the status word and the outputs, and for everything that lives within a
call. Inputs and outputs go through page-locked memory that the program keeps, unless they are large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from symgrad.backends.base import MISS, Program, Turn
from symgrad.backends.cupy.calls import StoppedError
from symgrad.backends.cupy.devices.device import Device
from symgrad.backends.cupy.programs.entry import Entry
from symgrad.backends.cupy.programs.failing import crashed, no_memory
from symgrad.backends.cupy.programs.loading import Loaded
from symgrad.backends.cupy.programs.stepping import Stepping
from symgrad.backends.cupy.programs.timing import CudaStopwatch
from symgrad.backends.cupy.programs.turns import CudaTurn
from symgrad.backends.cupy.tapes.listing import listing
from symgrad.backends.cupy.tapes.tape import Tape
from symgrad.config import config
from symgrad.errors import DeviceError
from symgrad.graph.variables import Container
from symgrad.lowering.plan import Plan

MOST_CAPTURED = 20_000
"""Graphs of more launches than this take longer to capture than most calls can win back."""
MOST_ARRANGED = 2000
"""Of tapes with more calls than this nobody finds out which ones may run side by side."""


class CudaProgram:
    """The program of one plan.

    Parameters
    ----------
    plan : Plan
        What it does.
    tape : Tape
        The same as calls.
    device : Device
        Where.
    containers : sequence of Container
        Of the shared variables, in the plan's order.
    explain : callable
        Returns the substitute's program of the same graph and sizes: it explains what kernels only detect.
    """

    llvm = ""

    def __init__(
        self, plan: Plan, tape: Tape, device: Device, containers: Sequence[Container], explain: Callable[[], Program]
    ) -> None:
        self.plan, self.tape, self.device = plan, tape, device
        self._containers, self._explain = containers, explain
        self._reference: Program | None = None
        self._loaded: Loaded | None = None
        self._graph: Any = None
        self._stepping: Stepping | None = None
        self._shared: tuple[int, ...] = ()
        self._arrays: list[Any] = []
        self._may_fail = tape.may_fail
        self._obstacle = _obstacle(tape)
        self._refusal = ""
        self._calls = 0
        self.staying: frozenset[int] = frozenset()
        """The outputs that are returned as arrays of the device."""
        self.stopwatch: CudaStopwatch | None = None
        """What times the calls: as long as there is one, they aren't captured, and repeated steps run one by one."""

    # ---- looking inside ----

    @property
    def source(self) -> str:
        """The calls in order, with the user's lines, and the text of the kernels."""
        return listing(self.tape)

    @property
    def memory(self) -> int:
        """The bytes of device memory that it keeps."""
        kinds = [self.plan.type_of(v) for v in (*self.plan.graph.inputs, *self.plan.graph.outputs)]
        return self.tape.block.bytes + sum(prod(kind.shape) * kind.numpy_dtype.itemsize for kind in kinds)

    @property
    def obstacle(self) -> str:
        """Why calls aren't captured in a CUDA graph; empty if they are."""
        if config.sync:
            return "sync = true"
        return self._refusal or self._obstacle

    # ---- calling ----

    def entry(self, numbers: Sequence[int], as_list: bool, turn: Turn) -> Callable[..., Any] | None:
        """Return what answers calls that are like the last one, or `MISS`.

        Parameters
        ----------
        numbers : sequence of int
            For each input, which Python numbers it takes.
        as_list : bool
            Whether it returns a list of results, or the only one itself.
        turn : Turn
            What all programs of the function share.
        """
        if self.obstacle or self.staying or not isinstance(turn, CudaTurn):
            return None
        return Entry(self, numbers, as_list, turn).answer

    @property
    def is_captured(self) -> bool:
        """Whether a call is one launch of a graph."""
        return self._graph is not None and self.stopwatch is None and not config.sync

    @property
    def is_bound(self) -> bool:
        """Whether the shared variables are where they were, and the device is the current one."""
        current = self.device.cupy.cuda.runtime.getDevice() == self.device.number
        same = zip(self._containers, self._arrays, strict=True)
        return current and all(container.value is array for container, array in same)

    def argument_places(self) -> list[np.ndarray] | None:
        """Return where the arguments of the next call go; None if there is no page-locked memory for all."""
        return None if self._loaded is None else self._loaded.staging.argument_places()

    def replay(self) -> Any:
        """Run a call whose arguments are in their places; return its results, or `MISS` if it failed."""
        loaded = self._loaded
        assert loaded is not None
        self.device.meet()
        try:
            loaded.staging.send_places()
            self._graph.launch()
            if self._may_fail and loaded.staging.status():
                return MISS
            return loaded.staging.results()
        except self.device.failures as error:
            raise crashed(error, self.device) from error

    def run(self, *arrays: Any) -> Sequence[Any]:
        """Compute the outputs from inputs and shared values, and carry out the updates."""
        count = len(self.plan.graph.inputs)
        self.device.meet()
        try:
            return self._run(count, arrays)
        finally:
            if not all(isinstance(array, np.ndarray) for array in arrays[:count]):
                self.device.release()  # from here on the caller may change its arrays, or let them go

    def _run(self, count: int, arrays: Sequence[Any]) -> Sequence[Any]:
        """Run a call of which `count` arrays are arguments, and the others shared values."""
        with self.device.active():
            loaded = self.load()
            self._bind(arrays[count:])
            try:
                made = self._resized()
                loaded.staging.send(arrays[:count])
                self._enqueue()
                failed = self._may_fail and loaded.staging.status() != 0
                results = [] if failed else loaded.staging.results()
                if not failed:
                    self._resize(made)
                    return results
            except StoppedError:
                pass
            except self.device.out_of_memory as error:
                raise no_memory(error, self.device, self.tape) from error
            except self.device.failures as error:
                raise crashed(error, self.device) from error
        return self._explained(arrays[:count], arrays[count:])

    def load(self) -> Loaded:
        """Take memory, compile and load the kernels, send the constants; once."""
        if self._loaded is None:
            try:
                self._loaded = Loaded(self.plan, self.tape, self.device, self.staying)
            except self.device.out_of_memory as error:
                raise no_memory(error, self.device, self.tape) from error
        return self._loaded

    def _bind(self, shared: Sequence[Any]) -> None:
        """Note where the shared variables are; a graph that was captured for other addresses is no use any more."""
        self._arrays = list(shared)
        found = tuple([int(array.data.ptr) for array in shared])
        if found != self._shared:
            self._shared, self._graph, self._stepping, self._calls = found, None, None, 0

    def _enqueue(self) -> None:
        """Enqueue one call."""
        if self.stopwatch is not None:
            self.stopwatch.enqueue()
            return
        self._calls += 1
        if self._graph is None and self._calls > 1 and not self.obstacle:
            self._capture()
        if self.is_captured:
            self._graph.launch()
        else:
            self.play()

    def _capture(self) -> None:
        """Record a call; if CUDA, or one of its libraries, refuses it in every order, note why."""
        refusals: tuple[type[Exception], ...] = (*self.device.failures, DeviceError)
        for arranged in (True, False) if self.tape.launches() <= MOST_ARRANGED else (False,):
            try:
                with self.device.capture() as graph:
                    self.play(arranged)
                self._graph, self._refusal = graph, ""
                return
            except refusals as error:
                self._refusal = f"CUDA refuses to capture it: {error}"

    def play(self, arranged: bool = False) -> None:
        """Enqueue the tape call by call; `arranged`, during a capture, side by side where that is right."""
        loaded = self._loaded
        assert loaded is not None
        loaded.staging.clear_status()
        play = loaded.player.play_arranged if arranged else loaded.player.play
        play(self.tape, loaded.addresses(self._shared))
        loaded.staging.enqueue_outputs()

    def _resized(self) -> list[Any]:
        """Return new memory for the shared variables that will change their size."""
        kinds = [self.plan.type_of(value) for _, value, _ in self.tape.resized]
        return [self.device.empty(kind.shape, kind.numpy_dtype) for kind in kinds]

    def _resize(self, made: Sequence[Any]) -> None:
        """Put the new values of the variables that change their size into their new memory."""
        loaded = self._loaded
        assert loaded is not None
        for array, (_, _, place) in zip(made, self.tape.resized, strict=True):
            self.device.move(int(array.data.ptr), loaded.addresses(self._shared).of(place), array.nbytes)
        for array, (number, _, _) in zip(made, self.tape.resized, strict=True):
            self._containers[number].value = array

    # ---- what kernels only detect ----

    @property
    def reference(self) -> Program:
        """The substitute's program of the same graph and sizes."""
        if self._reference is None:
            self._reference = self._explain()
        return self._reference

    def _explained(self, arguments: Sequence[Any], shared: Sequence[Any]) -> Sequence[Any]:
        """Run the same call on the host: it raises the error, or does what the device can't."""
        given = [array if isinstance(array, np.ndarray) else self.device.download(array) for array in arguments]
        values = [self.device.download(array) for array in shared]
        results = self.reference.run(*given, *values)
        for target in self.plan.graph.targets:
            number = self.plan.shared.index(target)
            container = self._containers[number]
            new = container.value if isinstance(container.value, np.ndarray) else values[number]
            fits = new.shape == shared[number].shape
            container.value = self.device.upload(new, into=shared[number] if fits else None)
        return results

    # ---- many steps ----

    def repeat(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        """Run `count` steps after a call that just succeeded, and return how many were done.

        Step k gets row k of each sequence and writes row k of each result. All of them are enqueued at once.
        """
        values = [container.value for container in self._containers]
        kinds = [self.plan.type_of(variable) for variable in self.plan.shared]
        is_there = all(isinstance(value, self.device.cupy.ndarray) and value.shape == kind.shape
                       for value, kind in zip(values, kinds, strict=True))  # fmt: skip
        if self.obstacle or self.stopwatch is not None or self._loaded is None or not is_there:
            return 0
        with self.device.active():
            self._bind(values)
            try:
                if self._stepping is None:
                    self._stepping = Stepping(self.device, self.tape, self._loaded, self._shared)
                return self._stepping.run(sequences, results, count)
            except self.device.out_of_memory as error:
                raise no_memory(error, self.device, self.tape) from error
            except self.device.failures as error:
                raise crashed(error, self.device) from error

    def timed(self) -> Any:
        """Time its calls from now on, until the stopwatch is stopped."""
        self.stopwatch = CudaStopwatch(self)
        return self.stopwatch


def _obstacle(tape: Tape) -> str:
    """Return why a tape is never captured; empty if it may be."""
    if tape.launches() > MOST_CAPTURED:
        return f"it makes more than {MOST_CAPTURED} launches"
    return tape.obstacle()
