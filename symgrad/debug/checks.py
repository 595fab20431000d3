"""What the debugging modes look at after each kernel: whether it computed what its op means, and whether it is finite.

Each check is a function ``check(step, operands, run)`` that runs the kernel, and returns its outputs or raises an error
that names the user's line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.errors import KernelDifferenceError, NonFiniteError, OperandDescription, render
from symgrad.graph.dtypes import BFLOAT16
from symgrad.graph.dtypes import kind_of as letter_of
from symgrad.graph.op import Operand, describe_operands
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Evaluate, Map
from symgrad.lowering import Step
from symgrad.lowering.meaning import evaluate, evaluate_part
from symgrad.lowering.steps import Fused

Array = np.ndarray[Any, Any]
Run = Callable[..., Sequence[Array]]
Check = Callable[[Step, Sequence[Array], Run], Sequence[Array]]

TOLERANCES = {
    "bfloat16": 6e-2, "float16": 2e-2, "float32": 2e-5, "float64": 1e-10, "complex64": 2e-5, "complex128": 1e-10,
}  # fmt: skip
"""How far a kernel may be off, in parts of each element and of the largest: kernels add in another order than NumPy."""

TRIALS = 8
SLACK = 8.0
"""A larger difference is still one of rounding, if it isn't `SLACK` times that which last digits make in `TRIALS`."""

SHOWN = 5


# ---- DebugMode ------------------------------------------------------------------------------------------------------


def compared_with_its_meaning(step: Step, operands: Sequence[Array], run: Run) -> Sequence[Array]:
    """Run a kernel, and compare its outputs with what its op's `evaluate` returns.

    Raises
    ------
    KernelDifferenceError
        If they differ by more than rounding, or if the kernel changed an operand.
    """
    if step.evaluate is None or isinstance(step.kernel, Evaluate) or not all(map(_is_array, operands)):
        return run(*operands)
    refusal: Exception | None = None
    try:
        expected = [np.array(value) for value in step.evaluate(*operands)]
    except Exception as error:
        refusal = error
    before = [operand.copy() for operand in operands]
    found = run(*operands)
    if refusal is not None:
        raise _differs(step, before, f"gave a result, where {step.name} says: {refusal}", found)
    for position, (operand, kept) in enumerate(zip(operands, before, strict=True)):
        if not np.array_equal(operand, kept, equal_nan=letter_of(operand.dtype) in "fc"):
            raise _differs(step, before, f"changed its operand {position}", [operand], [kept])
    for value, wanted in zip(found, expected, strict=True):
        what = _difference(step, before, value, wanted, expected)
        if what:
            raise _differs(step, before, what, [value], [wanted])
    return found


@np.errstate(all="ignore")
def _difference(
    step: Step, operands: Sequence[Array], found: Array, wanted: Array, expected: Sequence[Array]
) -> str:
    """Return in words how an output differs from what it should be; nothing if it doesn't."""
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        return f"gave {found.dtype.name} {found.shape} instead of {wanted.dtype.name} {wanted.shape}"
    distance, allowed = _distance(found, wanted), _allowed(wanted)
    wrong = distance > allowed
    if wrong.any():
        index = next(number for number, value in enumerate(expected) if value is wanted)
        wrong = distance > allowed + SLACK * _rounding(step, operands, index, wanted)
    if not wrong.any():
        return ""
    worst = np.unravel_index(int(np.argmax(np.where(wrong, distance - allowed, -1.0))), wrong.shape)
    place = f" at {tuple(int(number) for number in worst)}" if worst else ""
    return (
        f"gave {_number(found[worst])} instead of {_number(wanted[worst])}{place}, "
        f"where it differs most; {int(wrong.sum())} of {wrong.size} elements are wrong"
    )


def _distance(found: Array, wanted: Array) -> Array:
    """Return how far each element is off: infinitely, where only one of two is nan, or both are unlike infinities."""
    if letter_of(wanted.dtype) not in "fc":
        distance = np.abs(found.astype("float64") - wanted.astype("float64"))
        return np.where(found == wanted, 0.0, np.maximum(distance, 1.0))
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    distance = np.abs(found.astype("complex128") - wanted.astype("complex128"))
    return np.where(same, 0.0, np.where(np.isfinite(distance), distance, np.inf))


def _allowed(wanted: Array) -> Array:
    tolerance = TOLERANCES.get(wanted.dtype.name, 0.0)
    sizes = np.abs(wanted.astype("complex128"))
    sizes = np.where(np.isfinite(sizes), sizes, 0.0)
    return np.asarray(tolerance * (sizes + sizes.max(initial=0.0)))


def _rounding(step: Step, operands: Sequence[Array], index: int, wanted: Array) -> Any:
    """Return how far an output moves when operands, and values inside, move by last digits: of floats the largest move.

    A sum that nearly cancels moves far, so a kernel that adds in another order may be off that far.
    """
    generator = np.random.default_rng(0)
    evaluate: Any = step.evaluate.moved(generator) if isinstance(step.evaluate, FusedMeaning) else step.evaluate
    moves = np.zeros(wanted.shape)
    for _ in range(TRIALS):
        try:
            value = np.asarray(evaluate(*[_moved(operand, generator) for operand in operands])[index])
        except Exception:  # an operand that mustn't move
            return 0.0
        distance = _distance(value, wanted)
        moves = np.maximum(moves, np.where(np.isfinite(distance), distance, 0.0))
    return moves.max(initial=0.0) if letter_of(wanted.dtype) in "fc" else moves


def _moved(operand: Array, generator: np.random.Generator) -> Array:
    """Return an array whose elements are moved by up to two units in the last place."""
    operand = np.asarray(operand)
    if letter_of(operand.dtype) not in "fc":
        return operand
    units = generator.integers(-2, 3, operand.shape)
    step = 2.0**-7 if operand.dtype.name == BFLOAT16 else np.finfo(operand.dtype).eps
    return np.asarray((operand * (1 + step * units)).astype(operand.dtype))


class FusedMeaning:
    """What a fused step means: what all its parts mean, one after the other."""

    def __init__(self, step: Step, types: Mapping[Variable, Operand]) -> None:
        self.step = step
        self.types = types

    def __call__(self, *operands: Array) -> Sequence[Array]:
        return evaluate(self.step, operands, self.types)

    def moved(self, generator: np.random.Generator) -> FusedMeaning:
        """Return the meaning with the results of all parts moved by their last digits."""
        kernel: Any = self.step.kernel
        parts = tuple([replace(part, evaluate=_MovedMeaning(part, generator)) for part in kernel.steps])
        return FusedMeaning(replace(self.step, kernel=replace(kernel, steps=parts)), self.types)


class _MovedMeaning:
    """A part's meaning, moved by its last digits."""

    def __init__(self, part: Step, generator: np.random.Generator) -> None:
        self.part = part
        self.generator = generator

    def __call__(self, *operands: Array) -> Sequence[Array]:
        return [_moved(value, self.generator) for value in evaluate_part(self.part, operands)]


def _differs(
    step: Step, operands: Sequence[Array], what: str, found: Sequence[Array], wanted: Sequence[Array] = ()
) -> KernelDifferenceError:
    rows = _described(step, operands)
    rows += [OperandDescription("found", kind_of(value), excerpt(value)) for value in found]
    rows += [OperandDescription("expected", kind_of(value), excerpt(value)) for value in wanted]
    error = KernelDifferenceError(render(
        f"the kernel of {step.name} {what}", _lines(step), rows,
        "The mistake is symgrad's, not yours: please report it. Until then, try backend = numpy or mode = none.",
    ))  # fmt: skip
    error.operands, error.found, error.expected = tuple(operands), tuple(found), tuple(wanted)
    return error


# ---- NanGuard -------------------------------------------------------------------------------------------------------


def kept_finite(step: Step, operands: Sequence[Array], run: Run) -> Sequence[Array]:
    """Run a kernel, and see whether it made nan of operands without nan, or inf of operands without inf.

    Raises
    ------
    NonFiniteError
        If it did.
    """
    found = run(*operands)
    given, results = [list(map(_elements, values)) for values in (operands, found)]
    for word, test in (("nan", np.isnan), ("inf", np.isinf)):
        made = [value for value in results if letter_of(value.dtype) in "fc" and test(value).any()]
        if made and not any(letter_of(value.dtype) in "fc" and test(value).any() for value in given):
            raise _not_finite(step, given, word, made[0], test(made[0]))
    return found


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _elements(value: Any) -> Array:
    """Return an array: of a sparse matrix, the elements that are stored."""
    return value if _is_array(value) or not hasattr(value, "tocsr") else value.data


def _not_finite(step: Step, operands: Sequence[Array], word: str, result: Array, where: Array) -> NonFiniteError:
    first = tuple(int(number) for number in np.argwhere(where)[0])
    amount = f": {int(where.sum())} of {where.size} elements, the first at {first}" if first else ""
    rows = [*_described(step, operands), OperandDescription("result", kind_of(result), excerpt(result))]
    remedy = ""
    if first and isinstance(step.kernel, Map):
        there = [_number(operand[first]) for operand in np.broadcast_arrays(*operands)]
        remedy = f"The operands there: {', '.join(there)}."
    headline = f"{step.name} made {word} of operands without {word}{amount}"
    return NonFiniteError(render(headline, _lines(step), rows, remedy))


# ---- in words -------------------------------------------------------------------------------------------------------


def _lines(step: Step) -> str:
    """Return the user's lines that a step came from: several, if it is fused."""
    parts = step.kernel.steps if isinstance(step.kernel, Fused) else (step,)
    return "\n  ".join(dict.fromkeys(str(part.source) for part in parts if part.source is not None))


def _described(step: Step, operands: Sequence[Array]) -> list[OperandDescription]:
    """Describe a step's operands: type, origin, and an excerpt of the values."""
    rows = describe_operands(step.inputs, (), [kind_of(operand) for operand in operands])  # type: ignore[misc]
    return [
        replace(row, origin=f"{row.origin}: {excerpt(operand)}")
        for row, operand in zip(rows, operands, strict=True)
    ]  # fmt: skip


def kind_of(array: Array) -> str:
    """Return dtype and shape of an array, as errors show them."""
    return f"{array.dtype.name} {array.shape}"


def excerpt(array: Array) -> str:
    """Return the first elements of an array, and what there is to say about the rest.

    Examples
    --------
    >>> excerpt(np.array([[1.0, np.nan], [0.5, 2.0]]))
    '1, nan, 0.5, 2 (1 nan)'
    >>> excerpt(np.arange(1000.0))
    '0, 1, 2, 3, 4, ... (from 0 to 999)'
    """
    flat = array.reshape(-1)
    text = ", ".join(_number(value) for value in flat[:SHOWN]) + (", ..." if flat.size > SHOWN else "")
    notes = []
    if flat.size > SHOWN and letter_of(array.dtype) in "iuf":
        finite = flat[np.isfinite(flat)]
        notes += [f"from {_number(finite.min())} to {_number(finite.max())}"] if finite.size else []
    if letter_of(array.dtype) in "fc":
        counts = ((int(np.isnan(flat).sum()), "nan"), (int(np.isinf(flat).sum()), "inf"))
        notes += [f"{count} {word}" for count, word in counts if count]
    return (text or "empty") + (f" ({', '.join(notes)})" if notes else "")


def _number(value: Any) -> str:
    return f"{value:.6g}" if letter_of(value.dtype) in "fc" else str(value)


CHECKS: dict[str, Check] = {"DebugMode": compared_with_its_meaning, "NanGuard": kept_finite}
"""The debugging modes by name."""
