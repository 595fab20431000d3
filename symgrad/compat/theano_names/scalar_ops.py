"""Elementwise ops that users write in Python: Theano's ``ScalarOp`` and ``Elemwise``.

There are no scalars apart from tensors without axes here, so a scalar op applies to whole tensors, and its `grad` gets
whole tensors; both mean the same for expressions that work element by element.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from symgrad.custom.python_op import PythonOp
from symgrad.errors import DTypeError
from symgrad.graph.op import Disconnected, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.ops.elementwise_op import broadcast_shapes
from symgrad.ops.promotion import as_operands, float_of, upcast
from symgrad.ops.shape import sum_to_type

DtypeRule = Callable[..., Any]


def upgrade_to_float(*dtypes: str) -> str:
    """The result is a float, or complex."""
    return float_of(upcast(*dtypes))


def upgrade_to_float_no_complex(*dtypes: str) -> str:
    """The result is a float; complex numbers aren't taken."""
    if any(dtype.startswith("complex") for dtype in dtypes):
        raise user_error(DTypeError, "this function doesn't take complex numbers")
    return upgrade_to_float(*dtypes)


def same_out(*dtypes: str) -> str:
    """The result has the dtype of the first operand."""
    return dtypes[0]


def upcast_out(*dtypes: str) -> str:
    """The result has the dtype in which the operands meet."""
    return upcast(*dtypes)


class ScalarOp(PythonOp):
    """The base of functions of numbers that are applied element by element.

    A subclass sets `nin`, and defines ``impl(*numbers)``, which returns a number (or as many as `nout` says), and
    ``grad(inputs, output_gradients)``. `nfunc_spec` may name a NumPy or SciPy function that does it for whole arrays:
    ``('scipy.special.i0e', 1, 1)``.

    Parameters
    ----------
    output_types_preference : callable, optional
        Returns the dtype of the result from those of the operands; by default that in which they meet.
    name : str, optional
        A name for people.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> class Cube(UnaryScalarOp):
    ...     def impl(self, x):
    ...         return x ** 3
    ...     def grad(self, inputs, output_gradients):
    ...         return [output_gradients[0] * 3 * inputs[0] ** 2]
    >>> cube = Elemwise(Cube(upgrade_to_float, name='cube'))
    >>> x = T.dvector('x')
    >>> print(symgrad.grad(cube(x).sum(), x).eval({x: [1., 2.]}))
    [ 3. 12.]
    """

    nin: int = -1
    nout: int = 1
    nfunc_spec: ClassVar[tuple[str, int, int] | None] = None

    def __init__(self, output_types_preference: DtypeRule | None = None, name: str | None = None) -> None:
        if output_types_preference is not None:
            self.output_types_preference = output_types_preference
        if name is not None:
            self.name = name

    def __eq__(self, other: object) -> bool:
        if self.__props__ is not None:
            return super().__eq__(other)
        return type(self) is type(other) and self._rule() == other._rule() and self.name == other.name  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return super().__hash__() if self.__props__ is not None else hash((type(self), self._rule(), self.name))

    def _rule(self) -> Any:
        return getattr(self, "output_types_preference", None) or upcast_out

    def impl(self, *numbers: Any) -> Any:
        """Return the result for numbers."""
        raise NotImplementedError(f"{type(self).__name__} defines no impl")

    def output_dtypes(self, dtypes: Sequence[str]) -> list[str]:
        """Return the dtypes of the outputs."""
        found = self._rule()(*dtypes)
        entries = list(found) if isinstance(found, list | tuple) else [found]
        return [entry if isinstance(entry, str) else str(entry.dtype) for entry in entries] * (
            self.nout if len(entries) == 1 else 1
        )

    def make_node(self, *inputs: Any) -> Apply:
        """Apply it to the elements of tensors, which stretch as usual."""
        if self.nin >= 0 and len(inputs) != self.nin:
            raise user_error(ValueError, f"{self} takes {self.nin} operands, got {len(inputs)}")
        variables = as_operands(*inputs)
        _, pattern = broadcast_shapes(str(self), [variable.type for variable in variables])
        kinds = [TensorType(dtype, pattern) for dtype in self.output_dtypes([v.type.dtype for v in variables])]
        return Apply(self, variables, [kind() for kind in kinds])

    def infer_shape(self, node: Apply, input_shapes: Sequence[Any]) -> Sequence[Any]:
        kinds = [TensorType("int8", [None if size.known is None else int(size.known) for size in shape],
                            variable.type.broadcastable)  # type: ignore[attr-defined]
                 for shape, variable in zip(input_shapes, node.inputs, strict=True)]  # fmt: skip
        sizes, _ = broadcast_shapes(str(self), kinds)
        return [[TensorType("int64", ())() if size is None else size for size in sizes]] * len(node.outputs)

    def _vectorised(self) -> Callable[..., Any]:
        if self.nfunc_spec is not None:
            module, _, name = self.nfunc_spec[0].rpartition(".")
            function: Callable[..., Any] = getattr(importlib.import_module(module or "numpy"), name)
            return function
        return np.frompyfunc(self.impl, self.nin if self.nin >= 0 else 1, self.nout)

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        with np.errstate(all="ignore"):
            function = self._vectorised() if self.nin >= 0 else np.frompyfunc(self.impl, len(inputs), self.nout)
            results = function(*inputs)
        for cell, variable, result in zip(
            output_storage, node.outputs, results if self.nout > 1 else [results], strict=True
        ):
            cell[0] = np.asarray(result).astype(variable.type.numpy_dtype)  # type: ignore[attr-defined]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The gradient of each operand, summed over the axes along which it was stretched."""
        given = [c if c is not None else output.zeros_like() for output, c in zip(outputs, cotangents, strict=True)]
        found = self.L_op(list(inputs), list(outputs), given)
        results = []
        for position, (x, result) in enumerate(zip(inputs, found, strict=True)):
            is_plain = result is None or not isinstance(getattr(result, "type", None), TensorType)
            if result is None:
                results.append(Disconnected("its grad says so"))
            elif is_plain and hasattr(result, "type"):
                results.append(self._cotangent(position, x, result))
            else:
                (result,) = as_operands(result)
                results.append(self._cotangent(position, x, sum_to_type(result, x)))
        return results


class UnaryScalarOp(ScalarOp):
    """A function of one number."""

    nin = 1


class BinaryScalarOp(ScalarOp):
    """A function of two numbers."""

    nin = 2


def Elemwise(scalar_op: Any, inplace_pattern: Any = None, name: str | None = None, nfunc_spec: Any = None) -> Any:
    """Return what applies a scalar op to the elements of tensors: the op itself, which does that here.

    Parameters
    ----------
    scalar_op : ScalarOp
        What is applied.
    inplace_pattern : dict, optional
        Accepted: the compiler decides about memory.
    name : str, optional
        A name for people.
    nfunc_spec : tuple, optional
        A NumPy function that does it for whole arrays, its number of operands and of results.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.tensor.Elemwise`` for ops that users write.
    """
    if isinstance(scalar_op, ScalarOp):
        if name is not None and "_name" not in scalar_op.__dict__:
            scalar_op.name = name
        if nfunc_spec is not None and scalar_op.nfunc_spec is None:
            scalar_op.nfunc_spec = tuple(nfunc_spec)  # type: ignore[misc]
    elif not callable(scalar_op):
        raise user_error(TypeError, f"Elemwise takes a scalar op, got {type(scalar_op).__name__}")
    return scalar_op
