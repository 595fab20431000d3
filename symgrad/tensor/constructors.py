"""Constructors of symbolic inputs: ``T.matrix('x')``, ``T.ivector()``, ``T.dscalars('a', 'b')``.

Their names are a dtype letter (b w i l f d c z, or none for floatX) and a word for the number of axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgrad.config import config
from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.types import TensorType, dtype_name
from symgrad.graph.variables import Constant, make_constant
from symgrad.ops.axes import dimshuffle, shape_padleft
from symgrad.ops.promotion import as_operand, whole_number

PREFIXES = {
    "": None, "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64",
    "c": "complex64", "z": "complex128",
}  # fmt: skip

PATTERNS: dict[str, tuple[bool, ...]] = {
    "scalar": (),
    "vector": (False,),
    "row": (True, False),
    "col": (False, True),
    "matrix": (False, False),
    "tensor3": (False,) * 3,
    "tensor4": (False,) * 4,
    "tensor5": (False,) * 5,
    "tensor6": (False,) * 6,
    "tensor7": (False,) * 7,
}

PLURALS = {"matrix": "matrices", **{word: f"{word}s" for word in PATTERNS if word != "matrix"}}


def tensor(
    dtype: str | None = None,
    shape: Sequence[int | None] | None = None,
    name: str | None = None,
    broadcastable: Sequence[bool] | None = None,
) -> Any:
    """Return a symbolic tensor.

    Parameters
    ----------
    dtype : str, optional
        Element type, by default ``floatX``.
    shape : sequence of (int or None), optional
        Known sizes; None leaves one open until run time. Booleans are taken as Theano's broadcastable pattern.
    name : str, optional
        A name for people.
    broadcastable : sequence of bool, optional
        In place of `shape`: which axes have size 1.

    Examples
    --------
    >>> tensor("float32", (None, 784), name="x").type
    TensorType('float32', (None, 784))
    """
    sizes = shape if shape is not None else broadcastable
    return TensorType(dtype_name(dtype or config.floatX), () if sizes is None else sizes)(name)


def constant(x: Any, name: str | None = None, ndim: int | None = None, dtype: str | None = None) -> Any:
    """Return a constant. A Python number takes the smallest dtype that holds it; `dtype` overrides.

    Raises
    ------
    DTypeError
        If `x` isn't made of numbers.
    ShapeError
        If it has more axes than `ndim`, where that is given; missing ones are added in front.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.constant(3).dtype, T.constant(3, dtype='float32').dtype
    ('int8', 'float32')
    """
    variable = as_operand(x, name=name)
    wanted = dtype_name(dtype or variable.type.dtype)
    ndim = None if ndim is None else whole_number(ndim, "constant", "ndim")
    if variable.type.dtype != wanted or ndim not in (None, variable.type.ndim):
        if not isinstance(variable, Constant):
            raise user_error(DTypeError, f"constant takes numbers and arrays, got {variable.type}", [variable])
        data = variable.data.astype(wanted)
        if ndim is not None and data.ndim > ndim:
            raise user_error(ShapeError, f"a constant of {data.ndim} axes can't have {ndim}", [variable])
        variable = make_constant(data.reshape((1,) * ((ndim or data.ndim) - data.ndim) + data.shape), name)
    return variable


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> Any:
    """Return `x` as a variable: variables as they are, numbers and arrays as constants, lists of variables stacked.

    Parameters
    ----------
    x : Variable, array_like, or list of variables
        What to convert.
    name : str, optional
        A name, if a constant is made.
    ndim : int, optional
        Number of axes wanted: missing ones are added in front, and leading ones that stretch are taken away.

    Raises
    ------
    DTypeError
        If it isn't made of numbers, or is a variable of another kind, such as a sparse matrix.
    ShapeError
        If leading axes that would have to go aren't known to have size 1.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> print(T.as_tensor_variable([x, 2 * x]).eval({x: 1.5}))
    [1.5 3. ]
    """
    variable = as_operand(x, name=name)
    if not isinstance(variable.type, TensorType):
        raise user_error(DTypeError, f"expected a tensor, got {variable.type}", [variable])
    extra = 0 if ndim is None else variable.type.ndim - whole_number(ndim, "as_tensor_variable", "ndim")
    if extra > 0 and not all(variable.type.broadcastable[:extra]):
        raise user_error(ShapeError, f"{variable.type} can't have {ndim} axes: the first don't stretch", [variable])
    return shape_padleft(variable, -extra) if extra < 0 else dimshuffle(variable, *range(extra, variable.type.ndim))


as_tensor = as_tensor_variable


def _constructor(word: str, pattern: tuple[bool, ...], dtype: str | None) -> Callable[..., Any]:
    fixed = dtype

    def construct(name: str | None = None, dtype: str | None = None) -> Any:
        return TensorType(dtype_name(fixed or dtype or config.floatX), pattern)(name)

    construct.__doc__ = f"Return a symbolic {fixed or 'floatX'} {word}."
    return construct


def _plural(word: str, pattern: tuple[bool, ...], dtype: str | None) -> Callable[..., Any]:
    one = _constructor(word, pattern, dtype)

    def construct(*names: str | int, dtype: str | None = None) -> list[Any]:
        if len(names) == 1 and isinstance(names[0], int):
            return [one(dtype=dtype) for _ in range(names[0])]
        return [one(name, dtype=dtype) for name in names]

    construct.__doc__ = f"Return several symbolic {dtype or 'floatX'} {PLURALS[word]}, one for each name (or a number)."
    return construct


def _all_constructors() -> dict[str, Callable[..., Any]]:
    found = {}
    for prefix, dtype in PREFIXES.items():
        for word, pattern in PATTERNS.items():
            for name, make in ((prefix + word, _constructor), (prefix + PLURALS[word], _plural)):
                found[name] = make(word, pattern, dtype)
                found[name].__name__ = found[name].__qualname__ = name
    return found


CONSTRUCTORS = _all_constructors()
