"""Many calls of one function, one for each row of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import CallError
from symgrad.graph.residence import on_host


def repeat(function: Any, sequences: Sequence[Any]) -> Any:
    """Return the results of a function's calls for all rows, stacked; see `Function.repeat`."""
    rows = _rows(function, sequences)
    count = len(rows[0])
    first = _call(function, rows, 0) if count else _without_steps(function)
    results = [np.empty((count, *result.shape), result.dtype) for result in first]
    for stacked, result in zip(results, first, strict=True):
        stacked[:1] = result
    done = 1
    while done < count:
        done += function.continue_natively([row[done:] for row in rows], [result[done:] for result in results])
        if done < count:
            # Python carries out what the program couldn't: other sizes, or the step that fails and says why.
            for stacked, result in zip(results, _call(function, rows, done), strict=True):
                if result.shape != stacked.shape[1:]:
                    raise CallError(
                        f"the results of repeated steps have different sizes: {stacked.shape[1:]} in the first, "
                        f"{result.shape} in step {done}; call the function in a loop instead"
                    )
                stacked[done] = result
            done += 1
    if function.single:
        return results[0]
    return results if function.keys is None else dict(zip(function.keys, results, strict=True))


def _rows(function: Any, sequences: Sequence[Any]) -> list[np.ndarray]:
    """Return the sequences as arrays of the inputs' dtypes, one row for each step; they don't change meanwhile."""
    if len(sequences) != len(function.inputs) or not sequences:
        raise CallError(
            f"repeat needs one sequence for each input: the function takes {len(function.inputs)}, got {len(sequences)}"
            + ("" if function.inputs else "; call a function without inputs in a loop")
        )
    rows = []
    for position, (sequence, spec) in enumerate(zip(sequences, function.inputs, strict=True)):
        kind = spec.variable.type
        array = np.asarray(on_host(sequence))
        if array.ndim != kind.ndim + 1:
            raise CallError(
                f"sequence {position} of repeat needs {kind.ndim + 1} axes, one more than its input {spec.variable}, "
                f"got {array.ndim}"
            )
        if len(array):
            checked = function.convert(position, array[0, ...]).dtype
            array = np.ascontiguousarray(array, checked if array.dtype.kind == checked.kind else None)
            if array.dtype != checked:
                array = np.stack([function.convert(position, row) for row in array])
        rows.append(array)
    if len({len(array) for array in rows}) > 1:
        raise CallError(f"sequences of repeat differ in length: {', '.join(str(len(array)) for array in rows)}")
    stored = [container.value for container in function.containers if isinstance(container.value, np.ndarray)]
    return [row.copy() if any(np.may_share_memory(row, value) for value in stored) else row for row in rows]


def _call(function: Any, rows: Sequence[np.ndarray], number: int) -> list[np.ndarray]:
    """Return the results of one step, called from Python."""
    results = function(*[row[number, ...] for row in rows])
    if function.single:
        return [on_host(results)]
    return [on_host(result) for result in (results.values() if function.keys is not None else results)]


def _without_steps(function: Any) -> list[np.ndarray]:
    """Return empty stand-ins for the results of no step: their sizes are known from the types alone."""
    kinds = [variable.type for variable in function.graph.outputs]
    return [np.empty([size or 0 for size in kind.shape], kind.dtype) for kind in kinds]
