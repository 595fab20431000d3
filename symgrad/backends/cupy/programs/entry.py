"""The short way through a call: where all is as in the last one, arguments go straight to where the device reads them.

What differs (other sizes or dtypes, a shared variable that got new memory, a call that fails) is answered with `MISS`;
then Python goes the long way, which converts, binds anew, and explains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.backends.base import MISS, Number
from symgrad.backends.cupy.programs.turns import CudaTurn

if TYPE_CHECKING:
    from symgrad.backends.cupy.programs.program import CudaProgram

Taker = Callable[[Any], bool]


class Entry:
    """Answers the calls of one program.

    Parameters
    ----------
    program : CudaProgram
        One that has page-locked memory for all its inputs and outputs.
    numbers : sequence of int
        For each input, which Python numbers it takes.
    as_list : bool
        Whether it returns a list of results, or the only one itself.
    turn : CudaTurn
        What all programs of the function share.
    """

    def __init__(self, program: CudaProgram, numbers: Sequence[int], as_list: bool, turn: CudaTurn) -> None:
        self._program, self._as_list, self._turn = program, as_list, turn
        self._numbers, self._takers = numbers, list[Taker]()

    def answer(self, *arguments: Any) -> Any:
        """Run a call, or return `MISS`."""
        program = self._program
        if not program.is_captured or len(arguments) != len(self._numbers) or not self._turn.take_now():
            return MISS
        try:
            if not program.is_bound or not self._take(arguments):
                return MISS
            results = program.replay()
        finally:
            self._turn.give_back()
        return results if self._as_list or results is MISS else results[0]

    def _take(self, arguments: Sequence[Any]) -> bool:
        """Put the arguments where the device reads them; whether they are of the right kinds."""
        places = self._program.argument_places()
        if places is None:
            return False
        if not self._takers:
            self._takers = [_taker(place, number) for place, number in zip(places, self._numbers, strict=True)]
        return all(take(argument) for take, argument in zip(self._takers, arguments, strict=True))


def _taker(place: np.ndarray, number: int) -> Taker:
    """Return what writes an argument to its place, if it is an array, or a Python number, that fits."""
    shape, dtype = place.shape, place.dtype
    takes_int, takes_float = number == Number.INT64, number in (Number.FLOAT64, Number.FLOAT32)

    def fits(value: Any) -> bool:
        if type(value) is np.ndarray:
            return value.shape == shape and value.dtype == dtype
        if type(value) is int:
            return takes_int and -(2**63) <= value < 2**63
        return takes_float and type(value) is float

    def take(value: Any) -> bool:
        if not fits(value):
            return False
        place[...] = value
        return True

    return take
