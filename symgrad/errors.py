"""Every error that symgrad raises, and the one renderer that words them.

An error says three things, in this order: what failed, in the user's terms; where the user wrote it, with the
operands' dtypes and shapes; and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.linalg import LinAlgError


@dataclass(frozen=True)
class OperandDescription:
    """One operand of a failed operation, as the error shows it.

    Parameters
    ----------
    label : str
        How the user's line writes it (``self.w``), or its name.
    type : str
        Its dtype and shape, such as ``float32 (10, 784)``.
    origin : str
        Where it came from, such as ``shared, created at net.py:12``; may be empty.
    """

    label: str
    type: str
    origin: str = ""


def render(
    headline: str,
    location: str = "",
    operands: Sequence[OperandDescription] = (),
    remedy: str = "",
) -> str:
    """Return the text of an error: headline, the user's line, operands in columns, remedy.

    Parameters
    ----------
    headline : str
        What failed, in one sentence.
    location : str
        ``file:line   text of that line``; may be empty.
    operands : sequence of OperandDescription
        The operands of the operation that failed.
    remedy : str
        What to do; may be empty.

    Examples
    --------
    >>> print(render("dot needs matching inner sizes, got 3 and 2", "a.py:7   T.dot(x, w)",
    ...              [OperandDescription("x", "float32 (2, 3)"), OperandDescription("w", "float32 (2, 5)", "shared")],
    ...              "w's first size must be 3."))
    dot needs matching inner sizes, got 3 and 2
      a.py:7   T.dot(x, w)
        x   float32 (2, 3)
        w   float32 (2, 5)   shared
      w's first size must be 3.
    """
    lines = [headline]
    if location:
        lines.append(f"  {location}")
    label_width = max((len(operand.label) for operand in operands), default=0)
    type_width = max((len(operand.type) for operand in operands), default=0)
    for operand in operands:
        row = f"    {operand.label:<{label_width}}   {operand.type:<{type_width}}   {operand.origin}"
        lines.append(row.rstrip())
    if remedy:
        lines.append(f"  {remedy}")
    return "\n".join(lines)


class SymgradError(Exception):
    """The base of every error that symgrad raises on purpose."""


class ShapeError(SymgradError, ValueError):
    """Sizes that don't fit together."""


class RankError(ShapeError, TypeError):
    """Axes that an operation, or a type, doesn't take: by their number, or by a size that was promised."""


class AxisError(ShapeError, IndexError):
    """An axis that a tensor doesn't have."""


class DTypeError(SymgradError, TypeError):
    """A dtype that an operation doesn't accept, or a conversion that would lose information."""


class LoopTypeError(DTypeError, ValueError):
    """A dtype that a loop doesn't take: of a state that changes it, of an update, or of a number of steps."""


class IndexingError(SymgradError, IndexError):
    """An index that is out of bounds or of a kind that can't index."""


class IndexDTypeError(IndexingError, DTypeError):
    """An index of floats: NumPy calls that an IndexError, Theano a TypeError."""


class RangeError(SymgradError, ValueError):
    """A value outside of what an operation accepts, such as a probability above 1."""


class NotScalarConstantError(SymgradError):
    """A variable that should be one number known from the graph alone, and isn't."""


class LinearAlgebraError(SymgradError, LinAlgError):
    """A matrix that an operation can't take: a singular one to invert, or one that isn't positive definite."""


class Float64Warning(UserWarning):
    """A result became float64 while ``floatX`` is float32 (``warn_float64 = warn``)."""


class GradientError(SymgradError, ValueError):
    """A gradient that can't be taken."""


class DisconnectedInputError(GradientError):
    """The cost doesn't depend on a variable in a differentiable way."""


class NullTypeGradError(GradientError, TypeError):
    """A gradient that an op on the way declares as undefined or not written."""


class MissingInputError(SymgradError, ValueError):
    """A variable is needed to compute the outputs but isn't among the inputs."""


class FailedAssertionError(SymgradError, AssertionError):
    """A condition of an `Assert` didn't hold in a call."""


class MissingTestValueError(SymgradError, ValueError, AttributeError):
    """A test value is needed (``compute_test_value = raise``) and isn't there."""


class UnusedInputError(SymgradError, ValueError):
    """A declared input isn't used by any output or update."""


class GraphError(SymgradError, ValueError):
    """A graph that isn't well formed: a cycle, a type that a rewrite changed."""


class KernelDifferenceError(SymgradError, AssertionError):
    """A kernel computed something else than its op means (``mode = DebugMode``): a mistake in symgrad.

    `operands`, `found` and `expected` hold the arrays.
    """

    operands: tuple[Any, ...] = ()
    found: tuple[Any, ...] = ()
    expected: tuple[Any, ...] = ()


class NonFiniteError(SymgradError, FloatingPointError):
    """An operation made nan or inf of finite operands (``mode = NanGuard``)."""


class CallError(SymgradError, TypeError):
    """A compiled function was called with arguments that don't fit."""


class CallShapeError(CallError, ShapeError):
    """An argument of a wrong shape: a `CallError` as all bad arguments, and a `ShapeError`."""


class ConfigError(SymgradError, ValueError, AttributeError):
    """An unknown setting, or a value that a setting doesn't take."""


class DeviceError(SymgradError, RuntimeError):
    """A device that was asked for isn't available."""


class DeviceMemoryError(SymgradError, MemoryError):
    """A GPU has no room for what a call or a value needs."""


class MissingLibraryError(SymgradError, ImportError, RuntimeError):
    """An optional library is needed and isn't installed."""


class DataError(SymgradError, ValueError):
    """A data file that is missing, truncated, corrupt, wrongly shaped or hostile."""


class CheckpointError(SymgradError, ValueError):
    """A checkpoint that is missing, corrupt, or belongs to another network."""


class PictureError(SymgradError, ValueError):
    """A graph that can't be drawn as asked."""
