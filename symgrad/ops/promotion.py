"""Which dtype a result has: the configured cast policy.

``cast_policy = floatX`` (the default): Python numbers never widen a tensor, and integers that meet floats become the
tensor's float, so float32 with int32 stays float32; integers that must become floats become ``floatX``.
``cast_policy = custom``: Theano's rules, where float32 with int32 gives float64.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError
from symgrad.graph.dtypes import BFLOAT16, HALVES, NUMPY_DTYPES, kind_of
from symgrad.graph.op import user_error
from symgrad.graph.variables import Variable, make_constant

_INTEGERS = ("int8", "int16", "int32", "int64")


def is_float(dtype: str) -> bool:
    """Whether `dtype` is a real floating-point dtype."""
    return dtype.startswith("float") or dtype == BFLOAT16


def is_discrete(dtype: str) -> bool:
    """Whether `dtype` is an integer or bool: no gradient flows through such a variable."""
    return kind_of(dtype) in "iub"


def is_continuous(dtype: str) -> bool:
    """Whether `dtype` is floating-point or complex."""
    return not is_discrete(dtype)


def is_complex(dtype: str) -> bool:
    """Whether `dtype` is complex."""
    return dtype.startswith("complex")


def real_of(dtype: str) -> str:
    """Return the dtype of real and imaginary parts; real dtypes stay."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def complex_of(dtype: str) -> str:
    """Return the complex dtype whose parts hold floats of `dtype`; complex dtypes stay.

    Examples
    --------
    >>> complex_of("float32"), complex_of("float64"), complex_of("complex64")
    ('complex64', 'complex128', 'complex64')
    """
    return dtype if is_complex(dtype) else "complex64" if dtype in (*HALVES, "float32") else "complex128"


def upcast(*dtypes: str) -> str:
    """Return the dtype that holds the result of arithmetic on `dtypes`.

    float16 and bfloat16 meet in float32: neither holds the other's numbers.

    Examples
    --------
    >>> upcast("float32", "int32"), upcast("int8", "int16"), upcast("bool", "int8")
    ('float32', 'int16', 'int8')
    >>> upcast("bfloat16", "int32"), upcast("bfloat16", "float16")
    ('bfloat16', 'float32')
    """
    if dtypes.count(dtypes[0]) == len(dtypes):
        return dtypes[0]
    if config.cast_policy == "floatX":
        continuous = [dtype for dtype in dtypes if is_continuous(dtype)]
        if continuous:
            return _numpy_promotion(continuous)
        promoted = _numpy_promotion(dtypes)
        return promoted if is_discrete(promoted) else str(config.floatX)
    return _numpy_promotion(dtypes)


def _numpy_promotion(dtypes: Iterable[str]) -> str:
    dtypes = list(dtypes)
    if all(dtype == dtypes[0] for dtype in dtypes):
        return dtypes[0]
    if BFLOAT16 in dtypes:  # as float16, where it doesn't meet that
        others = [dtype for dtype in dtypes if dtype != BFLOAT16]
        promoted = _numpy_promotion([*others, "float32" if "float16" in others else "float16"])
        return BFLOAT16 if promoted == "float16" else promoted
    return np.result_type(*[NUMPY_DTYPES[dtype] for dtype in dtypes]).name


def float_of(dtype: str) -> str:
    """Return the float dtype in which a function such as exp computes on `dtype`.

    Floats and complex numbers stay; integers become ``floatX`` (policy ``custom``: float32 for 8 and 16 bits,
    float64 above, as in Theano).
    """
    if is_continuous(dtype):
        return dtype
    if config.cast_policy == "floatX":
        return str(config.floatX)
    return "float32" if NUMPY_DTYPES[dtype].itemsize <= 2 else "float64"


def number_dtype(value: Any, others: Sequence[str] = ()) -> str:
    """Return the dtype of a Python number as a constant next to operands of dtypes `others`.

    Alone, a number takes the smallest dtype that holds it: 1 is int8, 300 int16, 0.1 floatX. Under the policy
    ``floatX`` it takes the dtype of the tensors it meets, if that can hold it.
    """
    if isinstance(value, bool | np.bool_):
        return "int8" if config.cast_policy == "custom" and isinstance(value, bool) else "bool"
    weak = upcast(*others) if others and config.cast_policy == "floatX" else None
    if isinstance(value, complex):
        return complex_of(weak if weak is not None and is_continuous(weak) else str(config.floatX))
    if isinstance(value, int | np.integer):
        if weak is not None and (is_continuous(weak) or _holds(weak, int(value))):
            return weak
        for dtype in (*_INTEGERS, "uint64"):
            if _holds(dtype, int(value)):
                return dtype
        raise user_error(DTypeError, f"no integer dtype holds {value}", (), "Write it as a float.")
    if weak is not None and is_continuous(weak):
        return weak
    if weak is not None or config.floatX == "float32":
        return str(config.floatX)
    return "float32" if float(np.float32(value)) == value else "float64"


def _holds(dtype: str, value: int) -> bool:
    if is_continuous(dtype) or dtype == "bool":
        return is_continuous(dtype)
    limits = np.iinfo(dtype)
    return bool(limits.min <= value <= limits.max)


def as_operand(value: Any, others: Sequence[str] = (), name: str | None = None) -> Any:
    """Return `value` as a variable: a variable as it is, anything else as a constant.

    Parameters
    ----------
    value : Variable, number or array_like
        The operand. A list that holds variables is stacked.
    others : sequence of str
        The dtypes of the tensors that it meets, which decide the dtype of a Python number.
    name : str, optional
        A name for the constant.

    Raises
    ------
    DTypeError
        If `value` isn't made of numbers.
    """
    if isinstance(value, Variable):
        return value
    if isinstance(value, list | tuple) and _holds_variables(value):
        from symgrad.ops.joining import stack

        return stack([as_operand(row, others) if isinstance(row, list | tuple) else row for row in value])
    is_python_float = isinstance(value, float)  # a np.float64 scalar is one too
    if isinstance(value, np.ndarray | np.generic) and not is_python_float and not _weak_integer(value):
        array = np.array(value)
    elif isinstance(value, bool | int | float | complex | np.generic):
        array = np.array(value, dtype=number_dtype(value, others))
    else:
        array = _array_like(value)
    if array.dtype.name not in NUMPY_DTYPES:
        raise user_error(
            DTypeError,
            f"expected a symbolic variable, a number or an array, got {type(value).__name__} {value!r:.60}", (),
            "A compiled function must be called, not used in an expression." if callable(value) else "",
        )  # fmt: skip
    array.flags.writeable = False
    return make_constant(array, name)


def _holds_variables(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_variables(element) for element in value)
    return isinstance(value, Variable)


def _weak_integer(value: Any) -> bool:
    return isinstance(value, np.integer) and config.cast_policy == "floatX"


def _array_like(value: Any) -> np.ndarray:
    """Convert nested lists. Python's numbers in them take the smallest dtype, as single ones do; in Theano, NumPy's."""
    try:
        array = np.array(value)
    except (ValueError, TypeError):
        raise user_error(
            DTypeError, f"expected numbers, or rows of equal lengths, got {type(value).__name__} {value!r:.60}"
        ) from None
    if config.cast_policy == "custom":
        return array if array.size else array.astype(config.floatX)
    if array.dtype == np.float64:
        return array.astype(config.floatX)
    if array.dtype == np.int64 and array.size:
        return array.astype(upcast(number_dtype(int(array.min())), number_dtype(int(array.max()))))
    return array


def as_operands(*values: Any) -> list[Any]:
    """Return several operands of one operation as variables; Python numbers adapt to the tensors among them."""
    if all(isinstance(value, Variable) for value in values):
        return list(values)
    dtypes = [v.dtype.name for v in values if isinstance(v, np.ndarray) and v.dtype.name in NUMPY_DTYPES]
    dtypes += [v.type.dtype for v in values if isinstance(v, Variable)]  # type: ignore[attr-defined]
    return [as_operand(value, dtypes) for value in values]


def scalar_constant(value: Any, dtype: str) -> Any:
    """Return a 0-d constant of exactly `dtype`."""
    try:
        array = np.array(value, dtype=dtype)
    except (ValueError, TypeError, OverflowError):
        raise user_error(
            DTypeError, f"expected a number of {dtype}, got {type(value).__name__} {value!r:.60}"
        ) from None
    array.flags.writeable = False
    return make_constant(array)


def listed(values: Any, where: str, what: str) -> list[Any]:
    """Return several things that a function was given as a list; the error if they are something else."""
    try:
        return list(values)
    except TypeError:
        if isinstance(values, Variable):
            raise
        raise user_error(
            TypeError, f"{where} needs a list of {what}, got {type(values).__name__} {values!r:.60}"
        ) from None


def whole_number(value: Any, where: str, name: str) -> int:
    """Return an argument that must be an integer, known while the graph is built; raise for anything else."""
    given: Any = value.known if isinstance(value, Variable) else value
    try:
        return int(given) if isinstance(given, float) and given.is_integer() else operator.index(given)
    except TypeError:
        raise user_error(TypeError, f"{where} needs an integer as {name}, got {type(value).__name__} {value!r:.60}",
                         [value] if isinstance(value, Variable) else []) from None  # fmt: skip


def known_integer(operand: Any) -> int | None:
    """Return the value of an integer scalar if the graph knows it."""
    return None if operand.known is None else int(operand.known)


def variables_in(values: Any, where: str, name: str) -> list[Any]:
    """Return one variable or several as a list; the error if anything else is among them."""
    found = list(values) if isinstance(values, list | tuple) else [values]
    for value in found:
        if not isinstance(value, Variable):
            raise user_error(TypeError, f"{where} needs variables as {name}, got {type(value).__name__} {value!r:.60}")
    return found


def zero_of(dtype: str) -> Any:
    """Return 0 as a 0-d constant of `dtype`."""
    return scalar_constant(0, dtype)
