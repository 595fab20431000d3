"""Times of the calls of CUDA programs, measured on the device between events.

While a program is timed it runs call by call, not as one CUDA graph. A device that is faster than the host that feeds
it would wait for each launch, and the wait would count as the kernel's time. So the device is held back until the host
has enqueued what follows: a kernel that computes for a while goes in front, and has a row of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from symgrad.backends.cupy.calls import ArrayCall, HostCall, LibraryCall
from symgrad.backends.cupy.kernel import CudaKernel
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.backends.cupy.tapes.rounds import Rounds
from symgrad.backends.cupy.tapes.tape import Piece, Tape
from symgrad.backends.timing import BEGAN, RUNS, TIMES, Clock, TimedKernel, lines_of, timed_step
from symgrad.graph.op import Operand
from symgrad.graph.variables import Variable
from symgrad.lowering.work import bytes_of_step, flops_of_step

if TYPE_CHECKING:
    from symgrad.backends.cupy.programs.program import CudaProgram

HELD_BACK = "held back by the profile"
ROUNDS_A_LAUNCH = 2000
"""About as long as the host takes for a launch and an event: some 12 microseconds."""
MOST_LAUNCHES = 500
"""Streams take about a thousand launches and events before the host has to wait for the device anyway."""
DISTINCTION = re.compile(r"(_[0-9a-f]{8,16}|_unguarded)+$")
"""What kernels' names end with: a digest, and what tells apart those that needn't look at the status word."""

TEXT = """\
extern "C" __global__ void __launch_bounds__(32) hold_back(i64 rounds, u32* kept) {
    u32 number = (u32) rounds;
    for (i64 k = 0; k < rounds; k++) number = number * 1664525u + (number >> 7);
    if (threadIdx.x == 0) *kept = number;
}
"""


class CudaStopwatch:
    """The times of a CUDA program's calls, until it is stopped.

    Parameters
    ----------
    program : CudaProgram
        It runs call by call, and its repeated steps one by one.

    Attributes
    ----------
    kernels : list of TimedKernel
        What holds the device back, then the calls in order; those inside loops once, for all rounds.
    remark : str
        Whether the program is a CUDA graph when nobody looks, and if not, why.
    """

    def __init__(self, program: CudaProgram) -> None:
        self.clock = Clock()
        self._program, self._device = program, program.device
        held = TimedKernel(HELD_BACK, device=program.device.name)
        found = list(_timed_pieces(program.tape, 1, program.device.name))
        self.kernels: list[TimedKernel] = [held, *[kernel for _, kernel in found]]
        self._numbers = {id(piece): number for number, (piece, _) in enumerate(found, 1)}
        self.words = [0] * (TIMES + len(self.kernels))
        self._events: list[Any] = []
        self._marks: list[int] = []
        self._left = 0
        self._function = self._device.kernels(PRELUDE + TEXT, ["hold_back"], "profile")["hold_back"]
        self._kept = self._device.allocate(4)
        obstacle = program.obstacle
        self.remark = (
            f"call by call, not one CUDA graph: {obstacle}" if obstacle else "timed call by call; else one CUDA graph"
        )

    def read(self) -> Sequence[int]:
        """Return a reading."""
        return list(self.words)

    def stop(self) -> None:
        """Let the program run as before."""
        self._program.stopwatch = None
        for kernel in self.kernels:
            if kernel.inside is not None:
                kernel.inside.stop()

    # ---- one run ----

    def enqueue(self) -> None:
        """Enqueue one call with an event after each piece, wait, and add up the times between them."""
        began = perf_counter_ns()
        player = self._program.load().player
        self._marks, self._left = [], self._program.tape.launches()
        player.watch = self._note
        try:
            self._mark(0)
            self._hold_back()
            self._program.play()
        finally:
            player.watch = None
        self._device.synchronize()
        elapsed = self._device.cupy.cuda.get_elapsed_time
        for position, number in enumerate(self._marks[1:], 1):
            milliseconds = elapsed(self._events[position - 1], self._events[position])
            self.words[TIMES + number] += round(milliseconds * 1e6)
        self.words[BEGAN] = began
        self.words[RUNS] += 1

    def _note(self, piece: Piece) -> None:
        """Note that a piece has been enqueued; after one that waits for the device, hold it back again."""
        self._mark(self._numbers[id(piece)])
        self._left -= 1
        if isinstance(piece.call.work, (HostCall, ArrayCall)) and self._left > 0:
            self._hold_back()

    def _mark(self, number: int) -> None:
        """Record an event: what lies between the last one and it is the time of that kernel."""
        position = len(self._marks)
        if position == len(self._events):
            self._events.append(self._device.cupy.cuda.Event())
        self._device.stream.record(self._events[position])
        self._marks.append(number)

    def _hold_back(self) -> None:
        """Give the device something to do until the host has enqueued what is left."""
        rounds = ROUNDS_A_LAUNCH * min(self._left, MOST_LAUNCHES)
        self._device.launch(self._function, (1, 1, 1), 32, [rounds, int(self._kept.ptr)])
        self._mark(0)


def _timed_pieces(tape: Tape, times: int, device: str) -> Iterator[tuple[Piece, TimedKernel]]:
    """Return the pieces of a tape that is played so many times, each with what a profile says of it."""
    for item in tape.items:
        if isinstance(item, Piece):
            yield item, _timed_piece(item, tape.plan.types, times, device)
        else:
            rounds = item.rounds if isinstance(item, Rounds) else 1
            for inner in item.tapes:
                yield from _timed_pieces(inner, times * rounds, device)


def _timed_piece(piece: Piece, types: Mapping[Variable, Operand], times: int, device: str) -> TimedKernel:
    """Return what a profile says of one call."""
    work, step = piece.call.work, piece.step
    name, suffix = DISTINCTION.sub("", work.name), f", {times} times" if times > 1 else ""
    if isinstance(work, (HostCall, ArrayCall)):
        where, place = ("on the host", "cpu") if isinstance(work, HostCall) else ("CuPy", device)
        if step is None:
            return TimedKernel(f"{name} ({where}{suffix})", device=place)
        known = timed_step(step, types)
        flops, moved = times * known.flops, times * known.bytes
        return TimedKernel(f"{name} ({where}{suffix})", known.lines, flops, moved, 1, known.inside, place)
    flops, moved = work.flops, work.bytes
    if step is not None:
        flops, moved = flops or flops_of_step(step, types), moved or bytes_of_step(step, types)
    threads = prod(work.grid) * work.threads if isinstance(work, CudaKernel) else 1
    remarks = [*(["library"] if isinstance(work, LibraryCall) else []), *([f"{times} times"] if times > 1 else [])]
    label = f"{name} ({', '.join(remarks)})" if remarks else name
    return TimedKernel(label, lines_of(step), times * flops, times * moved, threads, None, device)
