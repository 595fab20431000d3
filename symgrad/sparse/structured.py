"""Functions of the stored elements of sparse matrices.

Those that keep zeros have the names of NumPy's functions. The others begin with ``structured_``: they leave out what
isn't stored, so that ``structured_exp`` doesn't make ones of the zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from symgrad.ops import complex_numbers, elementwise
from symgrad.ops.promotion import as_operand
from symgrad.sparse.parts import by_lines, csm_data, mapped, with_data


def structured_monoid(tensor_op: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: a function of sparse matrices that applies a function of tensors to the stored elements.

    Parameters
    ----------
    tensor_op : callable
        Takes the elements as a vector, and whatever the decorated function takes besides the matrix.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.structured_monoid``. What the decorated function itself would do doesn't
    matter: its name and docstring are used.

    Examples
    --------
    >>> import symgrad.sparse as S, symgrad.tensor as T
    >>> @S.structured_monoid(T.tanh)
    ... def bounded(x):
    ...     "Elements between -1 and 1."
    >>> x = S.csr_matrix('x', 'float64')
    >>> bounded(x).type
    SparseType('csr', 'float64')
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def apply(x: Any, *others: Any) -> Any:
            x = by_lines(x)
            return with_data(x, tensor_op(csm_data(x), *[as_operand(other, [x.type.dtype]) for other in others]))

        return apply

    return decorate


def _declared(name: str, tensor_op: Callable[..., Any], text: str) -> Callable[..., Any]:
    def apply(x: Any) -> Any:
        return mapped(x, tensor_op)

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"Return {text} of each stored element of a sparse matrix."
    return apply


sin = _declared("sin", elementwise.sin, "the sine")
tan = _declared("tan", elementwise.tan, "the tangent")
arcsin = _declared("arcsin", elementwise.arcsin, "the arcsine")
arctan = _declared("arctan", elementwise.arctan, "the arctangent")
sinh = _declared("sinh", elementwise.sinh, "the hyperbolic sine")
arcsinh = _declared("arcsinh", elementwise.arcsinh, "the inverse hyperbolic sine")
tanh = _declared("tanh", elementwise.tanh, "the hyperbolic tangent")
arctanh = _declared("arctanh", elementwise.arctanh, "the inverse hyperbolic tangent")
rint = _declared("rint", elementwise.rint, "the nearest integer")
ceil = _declared("ceil", elementwise.ceil, "the least integer that isn't below")
floor = _declared("floor", elementwise.floor, "the greatest integer that isn't above")
trunc = _declared("trunc", elementwise.trunc, "the integer part")
sgn = _declared("sgn", elementwise.sign, "the sign")
sqr = _declared("sqr", elementwise.sqr, "the square")
sqrt = _declared("sqrt", elementwise.sqrt, "the square root")
log1p = _declared("log1p", elementwise.log1p, "``log(1 + x)``")
expm1 = _declared("expm1", elementwise.expm1, "``exp(x) - 1``")
deg2rad = _declared("deg2rad", elementwise.deg2rad, "the radians")
rad2deg = _declared("rad2deg", elementwise.rad2deg, "the degrees")
conj = _declared("conj", complex_numbers.conj, "the complex conjugate")
structured_abs = _declared("structured_abs", elementwise.abs_, "the absolute value")
structured_exp = _declared("structured_exp", elementwise.exp, "the exponential")
structured_log = _declared("structured_log", elementwise.log, "the logarithm")
structured_sigmoid = _declared("structured_sigmoid", elementwise.sigmoid, "``1 / (1 + exp(-x))``")


@structured_monoid(elementwise.power)
def structured_pow(x: Any, y: Any) -> Any:
    """Return each stored element of a sparse matrix to the power of the scalar `y`.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.structured_pow(x, 2).eval().toarray())
    [[0. 4.]
     [9. 0.]]
    """


@structured_monoid(elementwise.minimum)
def structured_minimum(x: Any, y: Any) -> Any:
    """Return the lesser of each stored element of a sparse matrix and the scalar `y`.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.structured_minimum(x, 2.5).eval().toarray())
    [[0.  2. ]
     [2.5 0. ]]
    """


@structured_monoid(elementwise.maximum)
def structured_maximum(x: Any, y: Any) -> Any:
    """Return the greater of each stored element of a sparse matrix and the scalar `y`.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.structured_maximum(x, 2.5).eval().toarray())
    [[0.  2.5]
     [3.  0. ]]
    """


@structured_monoid(elementwise.add)
def structured_add(x: Any, y: Any) -> Any:
    """Return each stored element of a sparse matrix plus the scalar `y`.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.structured_add(x, 1.).eval().toarray())
    [[0. 3.]
     [4. 0.]]
    """


KEEP_ZEROS: dict[str, Callable[..., Any]] = {
    "sin": sin, "tan": tan, "arcsin": arcsin, "arctan": arctan, "sinh": sinh, "arcsinh": arcsinh, "tanh": tanh,
    "arctanh": arctanh, "rint": rint, "ceil": ceil, "floor": floor, "trunc": trunc, "sign": sgn, "sqr": sqr,
    "sqrt": sqrt, "log1p": log1p, "expm1": expm1, "deg2rad": deg2rad, "rad2deg": rad2deg, "abs": structured_abs,
}  # fmt: skip
"""What functions of `symgrad.tensor`, by their names, do with sparse matrices."""


__all__ = [
    "arcsin", "arcsinh", "arctan", "arctanh", "ceil", "conj", "deg2rad", "expm1", "floor", "log1p", "rad2deg",
    "rint", "sgn", "sin", "sinh", "sqr", "sqrt", "structured_abs", "structured_add", "structured_exp",
    "structured_log", "structured_maximum", "structured_minimum", "structured_monoid", "structured_pow",
    "structured_sigmoid", "tan", "tanh", "trunc",
]  # fmt: skip
