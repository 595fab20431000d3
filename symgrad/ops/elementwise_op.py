"""The machinery of elementwise ops; the ops themselves are the rows of `symgrad.ops.elementwise`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, GradientError, ShapeError
from symgrad.graph.dtypes import NUMPY_DTYPES, kind_of
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, Undefined, register, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.checks import mismatch
from symgrad.kernels.grammar import Map, ScalarFunction
from symgrad.ops.promotion import as_operands, float_of, is_complex, is_discrete, real_of, upcast
from symgrad.ops.sampling import spread

DtypeRule = Callable[..., tuple[tuple[str, ...], str]]
"""Given the operands' dtypes, the dtypes that they are cast to, and the dtype of the result."""


def arithmetic(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """Operands meet in their common dtype, and so is the result."""
    common = upcast(*dtypes)
    return (common,) * len(dtypes), common


def numeric(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """As `arithmetic`, but bools count as numbers: they become int8."""
    common = upcast(*dtypes)
    common = "int8" if common == "bool" else common
    return (common,) * len(dtypes), common


def floating(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """Operands become floats, and so is the result."""
    common = float_of(upcast(*dtypes))
    return (common,) * len(dtypes), common


def quotient(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """Floats meet in their common dtype; integers become ``floatX``."""
    common = upcast(*dtypes)
    common = str(config.floatX) if is_discrete(common) else common
    return (common,) * len(dtypes), common


def modulus(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """As `arithmetic`, but the result is real where the operands are complex."""
    common = upcast(*dtypes)
    return (common,) * len(dtypes), real_of(common)


def comparison(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """Operands meet in their common dtype, the result is bool."""
    return (upcast(*dtypes),) * len(dtypes), "bool"


def predicate(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """Operands stay as they are, the result is bool."""
    return dtypes, "bool"


def unchanged(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """The result has the dtype of the operand."""
    return dtypes, dtypes[0]


def selection(*dtypes: str) -> tuple[tuple[str, ...], str]:
    """The first operand is a condition; the others meet in their common dtype."""
    common = upcast(*dtypes[1:])
    return ("bool", *(common for _ in dtypes[1:])), common


@dataclass(frozen=True, eq=False)
class Row:
    """One elementwise function: a row of the table.

    Parameters
    ----------
    function : ScalarFunction
        Name and NumPy function.
    arity : int
        Number of operands.
    dtype_rule : callable
        See `DtypeRule`.
    partials : callable
        ``partials(*inputs, output)`` returns the partial derivative for each input: a variable, a number, or None
        where it is zero or doesn't exist.
    kinds : str
        NumPy dtype kinds that the function accepts.
    symbol : str
        How an expression shows it: ``+`` between operands; empty for a call.
    summary : str
        What it does, in a line.
    domain : pair of float
        Where its samples lie: where the function is defined and smooth.
    differentiable : bool
        Whether there is a derivative with respect to every operand.
    """

    function: ScalarFunction
    arity: int
    dtype_rule: DtypeRule
    partials: Callable[..., Any]
    kinds: str
    symbol: str
    summary: str
    domain: tuple[float, float] = (-2.0, 2.0)
    differentiable: bool = True


rows: dict[str, Row] = {}


@lru_cache(maxsize=4096)
def _result_type(
    name: str, kinds: str, rule: DtypeRule, types: tuple[TensorType, ...], cast_policy: str, float_x: str
) -> TensorType:
    """Return the type of a function's result; deep graphs ask for the same over and over. The settings decide too."""
    dtypes = [kind.dtype for kind in types]
    for dtype in dtypes:
        if kind_of(dtype) not in kinds:
            raise InferenceError(DTypeError, f"{name} doesn't take {dtype}")
    return TensorType(rule(*dtypes)[1], *broadcast_shapes(name, types))


@register
@dataclass(frozen=True)
class Elementwise(Op):
    """A scalar function applied to each element of broadcast operands.

    Operands with fewer axes gain leading ones, as in NumPy. An axis stretches only if the graph knows that its size
    is 1.
    """

    function: str

    @property
    def name(self) -> str:
        return self.function

    @property
    def row(self) -> Row:
        """The row of the table that says what the function does."""
        return rows[self.function]

    def infer(self, *inputs: Any) -> list[TensorType]:
        row = self.row
        types = tuple([operand.type for operand in inputs])
        return [_result_type(self.function, row.kinds, row.dtype_rule, types, config.cast_policy, config.floatX)]

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        row = self.row
        dtypes, result = row.dtype_rule(*[array.dtype.name for array in inputs])
        inputs = tuple([array.astype(dtype, copy=False) for array, dtype in zip(inputs, dtypes, strict=True)])
        with np.errstate(all="ignore"):
            output = np.asarray(row.function.numpy(*inputs))
        return [output.astype(result, copy=False)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        from symgrad.ops.shape import sum_to_type

        (output,), (cotangent,) = outputs, cotangents
        if is_discrete(output.type.dtype):
            return [Disconnected(f"{self.function} has a derivative of zero everywhere")] * len(inputs)
        partials = self.row.partials(*inputs, output)
        partials = partials if isinstance(partials, tuple) else (partials,)
        results: list[Any] = []
        for variable, partial in zip(inputs, partials, strict=True):
            if is_discrete(variable.type.dtype):
                results.append(Disconnected(f"{variable} is {variable.type.dtype}"))
            elif partial is None:
                results.append(Disconnected(f"{self.function} has a derivative of zero for it"))
            elif isinstance(partial, Undefined):
                results.append(partial)
            else:
                results.append(sum_to_type(_pulled_back(cotangent, partial, output), variable))
        return results

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Return the tangent of the output: the sum of each partial derivative times its input's tangent."""
        from symgrad.ops.shape import stretch_to

        (output,) = outputs
        if is_discrete(output.type.dtype):
            return [None]
        partials = self.row.partials(*inputs, output)
        partials = partials if isinstance(partials, tuple) else (partials,)
        terms = [
            _pushed_forward(self.function, tangent, partial)
            for tangent, partial in zip(tangents, partials, strict=True)
            if tangent is not None and partial is not None
        ]
        return [stretch_to(sum(terms[1:], terms[0]), output) if terms else None]

    def lower(self, apply: Apply) -> Map:
        return Map(self.row.function)

    @classmethod
    def samples(cls) -> Iterable[tuple[Elementwise, Sample]]:
        for name, row in rows.items():
            for dtype in NUMPY_DTYPES:
                error = None if kind_of(dtype) in row.kinds else DTypeError
                operands = _operands(row, dtype, [(2, 3)] * row.arity)
                yield cls(name), Sample(operands, error, row.differentiable)
            dtype = next(
                dtype for kind, dtype in (("f", "float64"), ("i", "int64"), ("c", "complex128")) if kind in row.kinds
            )
            for shapes in ([(2, 3), (3,), ()], [(1, 3), (2, 1), (1, 1)], [(0, 2), (0, 2), (1, 1)]):
                yield cls(name), Sample(_operands(row, dtype, shapes), differentiable=row.differentiable)
            zeros = [np.zeros((2,), kind) for kind in _operand_dtypes(row, dtype)]
            yield cls(name), Sample(tuple(zeros), differentiable=False)
            if row.arity > 1:
                yield cls(name), Sample(_operands(row, dtype, [(2, 3), (2, 2), (2, 3)]), ShapeError)


def _operand_dtypes(row: Row, dtype: str) -> list[str]:
    kinds = [dtype] * row.arity
    cast_to = list(row.dtype_rule(*kinds)[0])
    return cast_to if _accepts(row, cast_to) else kinds


def _operands(row: Row, dtype: str, shapes: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, ...]:
    """Sample operands of a row, cast as `call_row` casts them."""
    low, high = row.domain
    dtypes = _operand_dtypes(row, dtype)
    return tuple([
        spread(*shape, low=low, high=high, dtype=kind, start=7 * position)
        for position, (shape, kind) in enumerate(zip(shapes, dtypes, strict=False))
    ])  # fmt: skip


def _pulled_back(cotangent: Any, partial: Any, output: Any) -> Any:
    """Return the part of a cotangent that goes to one input.

    A cotangent of ``z = x + iy`` stands for ``d/dx + i d/dy`` of a real cost, so it is multiplied with the conjugate of
    the derivative. Functions that have no complex derivative say themselves what to do: `pull`, and forward `push`.
    """
    if hasattr(partial, "pull"):
        return partial.pull(cotangent)
    return _scaled(cotangent, partial.conjugate() if is_complex(output.type.dtype) else partial)


def _pushed_forward(name: str, tangent: Any, partial: Any) -> Any:
    if isinstance(partial, Undefined):
        raise GradientError(f"{name} has no forward derivative here: {partial.reason}")
    return partial.push(tangent) if hasattr(partial, "push") else _scaled(tangent, partial)


def _scaled(cotangent: Any, partial: Any) -> Any:
    if isinstance(partial, int):
        return cotangent if partial == 1 else -cotangent
    if hasattr(partial, "apply"):
        return partial.apply(cotangent)
    return cotangent * partial


@dataclass(frozen=True)
class Over:
    """A partial derivative ``1 / denominator``: the cotangent is divided, in one operation."""

    denominator: Any

    def apply(self, cotangent: Any) -> Any:
        """Return the cotangent divided by the denominator."""
        return cotangent / self.denominator

    def conjugate(self) -> Over:
        """Return the partial derivative for complex cotangents."""
        return Over(self.denominator.conjugate())


@dataclass(frozen=True)
class Chosen:
    """A partial derivative that is 1 where `condition` holds and 0 elsewhere.

    It selects instead of multiplying, so that an infinite cotangent on the other side doesn't become nan.
    """

    condition: Any
    negated: bool = False

    def apply(self, cotangent: Any) -> Any:
        """Return the cotangent where the condition holds, else 0."""
        function = rows["switch"]
        operands = (self.condition, 0, cotangent) if self.negated else (self.condition, cotangent, 0)
        return call_row(function, *operands)

    def conjugate(self) -> Chosen:
        """Return the partial derivative for complex cotangents: it is real."""
        return self


def broadcast_shapes(
    name: str, types: Sequence[TensorType]
) -> tuple[tuple[int | None, ...], tuple[bool, ...]]:
    """Return the sizes and the broadcast pattern of operands of `types`, aligned at their last axes.

    Raises
    ------
    InferenceError
        If two known sizes differ and neither is known to be 1 by the graph.
    """
    first = types[0]
    if all(kind.shape == first.shape and kind.broadcastable == first.broadcastable for kind in types):
        return first.shape, first.broadcastable
    ndim = max(kind.ndim for kind in types)
    sizes: list[int | None] = []
    pattern: list[bool] = []
    for axis in range(-ndim, 0):
        size, stretches = _broadcast_axis(name, axis + ndim, [kind for kind in types if kind.ndim >= -axis], axis)
        sizes.append(size)
        pattern.append(stretches)
    return tuple(sizes), tuple(pattern)


def _broadcast_axis(
    name: str, position: int, types: Sequence[TensorType], axis: int
) -> tuple[int | None, bool]:
    fixed = [kind.shape[axis] for kind in types if not kind.broadcastable[axis]]
    if not fixed:
        return 1, True
    known = [size for size in fixed if size is not None]
    if known and any(size != known[0] for size in known):
        raise mismatch(name, known, position)
    return (known[0] if known else None), False


TAKING_MORE = ("add", "multiply")
"""Functions of two operands that also take more, from left to right: ``T.add(a, b, c)``."""


class ElementwiseFunction:
    """What the user calls: ``T.exp(x)``. Casts the operands as the row says and applies the op."""

    def __init__(self, row: Row, documentation: str | None) -> None:
        self.row = row
        self.__name__ = self.__qualname__ = row.function.name
        self.__doc__ = documentation
        self.op = Elementwise(row.function.name)

    def __call__(self, *operands: Any) -> Any:
        if len(operands) > 2 and self.__name__ in TAKING_MORE:
            return self(self(*operands[:-1]), operands[-1])
        if len(operands) != self.row.arity:
            raise user_error(TypeError, f"{self.__name__} takes {self.row.arity} operands, got {len(operands)}")
        return call_row(self.row, *operands)

    def __repr__(self) -> str:
        return f"<elementwise function {self.__name__}>"


def call_row(row: Row, *operands: Any) -> Any:
    """Apply a row to operands, casting them first to the dtype in which it computes."""
    from symgrad.ops.casting import cast_operands

    variables = as_operands(*operands)
    for variable in variables:
        if not isinstance(variable.type, TensorType) and hasattr(variable, "elementwise"):
            return variable.elementwise(row.function.name, operands)
    if row.dtype_rule is selection:  # the condition has no say in the dtype of Python numbers
        variables = [variables[0], *as_operands(*operands[1:])]
    dtypes = [variable.type.dtype for variable in variables]
    targets = row.dtype_rule(*dtypes)[0]
    if _accepts(row, targets):
        variables = cast_operands(variables, targets)
    return Elementwise(row.function.name)(*variables)


def _accepts(row: Row, dtypes: Sequence[str]) -> bool:
    return all(kind_of(dtype) in row.kinds for dtype in dtypes)


def elementwise(
    numpy: Callable[..., Any] | str,
    dtype: DtypeRule,
    kinds: str = "iubfc",
    symbol: str = "",
    domain: tuple[float, float] = (-2.0, 2.0),
    differentiable: bool = True,
) -> Callable[[Callable[..., Any]], ElementwiseFunction]:
    """Declare an elementwise function.

    The decorated function returns its partial derivatives: called with the inputs and the output, it returns for each
    input a variable, a number, an object with ``apply(cotangent)`` such as `Chosen` or `Over`, or None. Where complex
    numbers have no complex derivative, it returns an object with ``pull(cotangent)`` and ``push(tangent)``. Its name
    becomes the op's name, its docstring the reference page.

    Parameters
    ----------
    numpy : callable or str
        A ufunc, or a function that takes ``out=`` like one; or where to find it: ``"scipy.special:erf"``.
    dtype : DtypeRule
        `arithmetic`, `floating`, `comparison`, ...
    kinds : str
        Accepted NumPy dtype kinds, of ``iubfc``.
    symbol : str
        How printing shows it.
    domain : pair of float
        Where its samples lie: where the function is defined and smooth.
    differentiable : bool
        Whether there is a derivative with respect to every operand.
    """

    def declare(partials: Callable[..., Any]) -> ElementwiseFunction:
        name = partials.__name__.strip("_")
        arity = partials.__code__.co_argcount - 1
        summary = (partials.__doc__ or "").strip().splitlines()[0]
        row = Row(ScalarFunction(name, numpy), arity, dtype, partials, kinds, symbol, summary, domain, differentiable)
        rows[name] = row
        return ElementwiseFunction(row, partials.__doc__)

    return declare

