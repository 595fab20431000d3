"""Which calls of a tape may run side by side: a captured graph has only those edges that memory asks for.

Small kernels leave most of a device idle, and each takes some microseconds however little it does. In the order of the
tape, one after the other, a training step takes the sum of these times; in a graph with true dependencies, those of its
longest path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

STREAMS = 4
"""So many calls may run side by side."""


class Access(NamedTuple):
    """Memory that a call reads, or may write: addresses from `begin` to before `end`."""

    begin: int
    end: int
    writes: bool


@dataclass
class Turn:
    """When a call's turn comes.

    Attributes
    ----------
    stream : int
        The stream that it goes to; calls on one stream run in order.
    waits : list of int
        Calls on other streams, by number, that must have ended before.
    is_awaited : bool
        Whether calls on other streams wait for it.
    """

    stream: int
    waits: list[int] = field(default_factory=list)
    is_awaited: bool = False


def arranged(accesses: Sequence[Sequence[Access]], main: Sequence[bool], streams: int = STREAMS) -> list[Turn]:
    """Return the turns of calls, which are given in an order that is right.

    Parameters
    ----------
    accesses : sequence of sequence of Access
        What each call reads and may write.
    main : sequence of bool
        Whether a call has to go to the first stream.
    streams : int
        How many there are.

    Examples
    --------
    Two calls fill different memory, and a third one reads both:

    >>> calls = [[Access(0, 8, True)], [Access(8, 16, True)], [Access(0, 16, False)]]
    >>> [(turn.stream, turn.waits) for turn in arranged(calls, [False] * 3)]
    [(0, []), (1, []), (1, [0])]
    """
    memory = _Memory()
    turns: list[Turn] = []
    done: list[list[int]] = []  # for each call and stream, the last call there that has ended before
    tails = [-1] * streams
    for number, (used, is_main) in enumerate(zip(accesses, main, strict=True)):
        causes = memory.causes(number, used)
        turn = Turn(0 if is_main else _stream(causes, tails))
        before = list(done[tails[turn.stream]]) if tails[turn.stream] >= 0 else [-1] * streams
        before[turn.stream] = tails[turn.stream]
        for cause in sorted(causes, reverse=True):
            place = turns[cause].stream
            if cause > before[place]:
                turn.waits.append(cause)
                turns[cause].is_awaited = True
                before = [max(pair) for pair in zip(before, done[cause], strict=True)]
                before[place] = max(before[place], cause)
        turns.append(turn)
        done.append(before)
        tails[turn.stream] = number
    return turns


def _stream(causes: set[int], tails: Sequence[int]) -> int:
    """Return a stream that ends with the latest cause; else the one that has been idle for longest."""
    ends = [stream for stream, tail in enumerate(tails) if tail in causes]
    return max(ends, key=tails.__getitem__) if ends else min(range(len(tails)), key=tails.__getitem__)


class _Memory:
    """Who read and wrote which memory last: begin, end, whether it was written, and the call, of each access."""

    def __init__(self) -> None:
        self.entries = np.empty((4, 0), np.int64)

    def causes(self, number: int, used: Sequence[Access]) -> set[int]:
        """Return the calls that a call must come after, and enter what it does."""
        begins, ends, writes, numbers = self.entries
        found: set[int] = set()
        for access in used:
            meets = (begins < access.end) & (ends > access.begin)
            if not access.writes:
                meets &= writes != 0
            found.update(numbers[meets].tolist())
        written = [access for access in used if access.writes]
        if written:  # whoever comes after this call comes after those whose memory it overwrites
            covered = np.zeros(len(begins), np.bool_)
            for access in written:
                covered |= (begins >= access.begin) & (ends <= access.end)
            self.entries = self.entries[:, ~covered]
        added = [(*access, number) for access in used if access.begin < access.end]
        if added:
            self.entries = np.concatenate([self.entries, np.array(added, np.int64).T], axis=1)
        return found
