"""CuPy's streams, events and graphs."""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
from typing import Any

from gpu.shim.fake_cupy.errors import CUDARuntimeError
from gpu.shim.fake_cupy.world import (
    Capture,
    Marker,
    Queue,
    current_device,
    enqueue,
    forbid_in_capture,
    queue_of,
    world,
)

_numbers = itertools.count(0x5000, 16)
_here = threading.local()


def _stacks() -> dict[int, list[Any]]:
    if not hasattr(_here, "stacks"):
        _here.stacks = {}
    return _here.stacks  # type: ignore[no-any-return]


def get_current_stream(device_id: int = -1) -> Any:
    """Return the stream that the current device, or another, uses in this thread."""
    return _stacks().get(current_device() if device_id < 0 else device_id, [Stream.null])[-1]


class Stream:
    """A stream: what is put on it is done when something waits for it."""

    null: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        self.device_id = -1 if null else current_device()
        self.ptr = 0 if null else next(_numbers)
        self.is_non_blocking = non_blocking
        if not null:
            world.queues[self.ptr] = Queue(self.ptr, self.device_id, not non_blocking)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def _checked_device(self) -> int:
        here = current_device()
        if self.device_id not in (-1, here):
            created = f"The device that the stream is created on ({self.device_id})"
            raise RuntimeError(f"{created} does not match with the current device ({here})")
        return here

    def __enter__(self) -> Stream:
        _stacks().setdefault(self._checked_device(), [Stream.null]).append(self)
        _here.__dict__.setdefault("devices", []).append(current_device())
        return self

    def __exit__(self, *error: object) -> None:
        _stacks()[_here.devices.pop()].pop()

    def use(self) -> Stream:
        """Make it the current one."""
        _stacks().setdefault(self._checked_device(), [Stream.null])[-1] = self
        return self

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        forbid_in_capture()
        return not queue_of(self.ptr).waiting

    def synchronize(self) -> None:
        """Wait for all work so far."""
        forbid_in_capture()
        queue_of(self.ptr).run()

    def record(self, event: Event | None = None) -> Event:
        """Note this place."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let later work wait for an event."""
        if event.capture is not None:
            waiting = queue_of(self.ptr)
            if waiting.captured is None:  # a stream that waits for captured work takes part in the capture
                waiting.captured, waiting.before = event.capture, set()
            waiting.before = waiting.before | event.before
            return
        marker, queue = event.marker, event.queue
        if marker is not None and queue is not None:
            enqueue(self.ptr, lambda: queue.run(marker))

    def begin_capture(self, mode: int | None = None) -> None:
        """Record work from now on instead of doing it."""
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        forbid_in_capture()
        queue = queue_of(self.ptr)
        queue.captured, queue.before = Capture(queue), set()
        queue.is_invalid, queue.mode = False, 2 if mode is None else mode

    def end_capture(self) -> Graph:
        """Return what was recorded."""
        queue = queue_of(self.ptr)
        if queue.captured is None:
            raise CUDARuntimeError(1)
        captured = queue.captured
        sides = [other for other in world.queues.copy().values() if other.captured is captured and other is not queue]
        for taking_part in (queue, *sides):
            taking_part.captured = None
        if queue.is_invalid:
            raise CUDARuntimeError(901)
        reached = captured.reached(queue.before)
        if any(not side.before <= reached for side in sides):
            raise CUDARuntimeError(904)
        return Graph(captured)

    def is_capturing(self) -> bool:
        """Tell whether work is recorded."""
        return queue_of(self.ptr).captured is not None


Stream.null = Stream(null=True)


class Event:
    """A place in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.disable_timing = disable_timing
        self.marker: Marker | None = None
        self.queue: Queue | None = None
        self.capture: Capture | None = None
        self.before: set[int] = set()
        self.moment: float | None = None

    @property
    def done(self) -> bool:
        """Whether the stream is past it."""
        return self.marker is None or self.marker.is_passed

    def record(self, stream: Stream | None = None) -> None:
        """Note the place where a stream is."""
        queue = queue_of((get_current_stream() if stream is None else stream).ptr)
        if queue.captured is not None:
            self.marker = self.queue = None
            self.capture, self.before = queue.captured, set(queue.before)
            return
        self.capture = None
        self.moment = None
        queue.waiting.append(self._passed)
        self.queue, self.marker = queue, queue.mark()

    def _passed(self) -> None:
        self.moment = time.perf_counter()

    def synchronize(self) -> None:
        """Wait until the stream is past it."""
        forbid_in_capture()
        if self.queue is not None:
            self.queue.run(self.marker)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Return the milliseconds between two events."""
    if start_event.disable_timing or end_event.disable_timing:
        raise CUDARuntimeError(400)
    if start_event.moment is None or end_event.moment is None:
        raise CUDARuntimeError(600)
    return 1e3 * (end_event.moment - start_event.moment)


class Graph:
    """Work that was recorded, with the addresses that it had then; done in any order that its edges allow."""

    def __init__(self, captured: Capture) -> None:
        self._work, self._copies, self._poisoned = captured.work, captured.copies, captured.poisoned
        self._after: list[list[int]] = [[] for _ in self._work]
        for number, (_, before) in enumerate(self._work):
            for earlier in before:
                self._after[earlier].append(number)

    def launch(self, stream: Stream | None = None) -> None:
        """Put all of it on a stream."""
        pointer = (get_current_stream() if stream is None else stream).ptr
        forbid_in_capture()
        world.graph_launches += 1
        enqueue(pointer, self._run, self._copies)
        for address, size in self._poisoned:
            if not world.is_pinned(address, size):
                continue
            ctypes.memset(address, 0xAB, size)

    def upload(self, stream: Stream | None = None) -> None:
        """Prepare the device for it."""

    def _run(self) -> None:
        missing = [len(before) for _, before in self._work]
        ready = [number for number, count in enumerate(missing) if not count]
        while ready:
            number = ready.pop(world.random.randrange(len(ready)))
            self._work[number][0]()
            for after in self._after[number]:
                missing[after] -= 1
                if not missing[after]:
                    ready.append(after)
