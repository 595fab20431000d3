"""``theano.scalar``: scalars are tensors without axes, and functions of scalars are those of `symgrad.tensor`.

What is new here are scalar functions that programs write themselves, as subclasses of `UnaryScalarOp` and its siblings:
applied to tensors, they are computed element by element.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad import tensor as T
from symgrad.graph.op import Disconnected, Op
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.ops.elementwise_op import broadcast_shapes
from symgrad.ops.promotion import as_operand, float_of, is_discrete, upcast
from symgrad.ops.shape import stretch_to, sum_to_type

Preference = Callable[..., tuple[TensorType, ...]]


# ---- types ----


def Scalar(dtype: str) -> TensorType:  # noqa: N802
    """Return the type of a scalar."""
    return TensorType(dtype)


get_scalar_type = Scalar
bool, int8, int16, int32, int64 = [TensorType(name) for name in ("bool", "int8", "int16", "int32", "int64")]
uint8, uint16, uint32, uint64 = [TensorType(name) for name in ("uint8", "uint16", "uint32", "uint64")]
float16, float32, float64 = [TensorType(name) for name in ("float16", "float32", "float64")]
complex64, complex128 = [TensorType(name) for name in ("complex64", "complex128")]
int_types = (int8, int16, int32, int64)
uint_types = (uint8, uint16, uint32, uint64)
float_types = (float16, float32, float64)
complex_types = (complex64, complex128)
integer_types = int_types + uint_types
discrete_types = (bool, *integer_types)
continuous_types = float_types + complex_types
all_types = discrete_types + continuous_types
discrete_dtypes = tuple([kind.dtype for kind in discrete_types])
continuous_dtypes = tuple([kind.dtype for kind in continuous_types])


def as_scalar(x: Any, name: str | None = None) -> Any:
    """Return `x` as a variable without axes."""
    return T.as_tensor_variable(x, name)


def upgrade_to_float(*types: Any) -> tuple[TensorType, ...]:
    """Return floats of the width of what they come from: what functions such as exp return."""
    return tuple([TensorType(float_of(kind.dtype)) for kind in types])


upgrade_to_float_no_complex = upgrade_to_float


def upgrade_to_float64(*types: Any) -> tuple[TensorType, ...]:
    """Return float64 for each."""
    return (float64,) * len(types)


def same_out(kind: Any) -> tuple[TensorType, ...]:
    """Return the type itself."""
    return (TensorType(kind.dtype),)


def upcast_out(*types: Any) -> tuple[TensorType, ...]:
    """Return the type that holds all of them."""
    return (TensorType(upcast(*[kind.dtype for kind in types])),)


class specific_out:  # noqa: N801
    """Return certain types whatever the inputs are."""

    def __init__(self, *types: Any) -> None:
        self.types = types

    def __call__(self, *types: Any) -> tuple[Any, ...]:
        """Return them."""
        return self.types


# ---- functions that programs write ----


class ScalarOp:
    """A function of scalars that a program declares: subclass it, with `impl` and `grad`.

    Parameters
    ----------
    output_types_preference : callable, optional
        From the types of the inputs to those of the outputs, such as `upgrade_to_float`; by default `upcast_out`.
    name : str, optional
        How it prints.

    Examples
    --------
    >>> class Cube(UnaryScalarOp):
    ...     def impl(self, x):
    ...         return x * x * x
    ...     def grad(self, inputs, gradients):
    ...         return [gradients[0] * 3 * inputs[0] ** 2]
    >>> x = T.dvector("x")
    >>> float(T.grad(T.sum(Cube(same_out)(x)), x).eval({x: [2.0]})[0])
    12.0
    """

    nin = -1
    nout = 1
    nfunc_spec: Any = None

    def __init__(self, output_types_preference: Preference | None = None, name: str | None = None) -> None:
        self.output_types_preference = output_types_preference or upcast_out
        self.name = name

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Apply the function to each element of tensors."""
        return ScalarFunction(self)(*[as_operand(one) for one in inputs])

    def with_name(self, name: str | None, nfunc_spec: Any = None) -> Callable[..., Any]:
        """Return the function of tensors: ``T.Elemwise(scalar_op, name=...)``."""
        self.name = name or self.name
        self.nfunc_spec = nfunc_spec or self.nfunc_spec
        return self

    def impl(self, *values: Any) -> Any:
        """Compute one element; to be declared."""
        raise NotImplementedError(f"{type(self).__name__} declares no impl")

    def grad(self, inputs: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradient of each input; to be declared, if there is one."""
        raise NotImplementedError(f"{type(self).__name__} declares no grad")

    def L_op(self, inputs: Sequence[Any], outputs: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:  # noqa: N802
        """Return the gradient of each input; by default what `grad` returns."""
        return self.grad(inputs, gradients)

    def output_types(self, types: Sequence[Any]) -> Sequence[Any]:
        """Return the types of the outputs."""
        return self.output_types_preference(*types)

    def __eq__(self, other: object) -> Any:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __str__(self) -> str:
        return self.name or type(self).__name__


class UnaryScalarOp(ScalarOp):
    """A function of one scalar."""

    nin = 1


class BinaryScalarOp(ScalarOp):
    """A function of two scalars."""

    nin = 2


class GammaLn(UnaryScalarOp):
    """The logarithm of the gamma function, as a class that programs derive from."""

    nfunc_spec = ("scipy.special.gammaln", 1, 1)

    def impl(self, x: Any) -> Any:
        """Compute one element."""
        from scipy.special import gammaln

        return gammaln(x)

    def L_op(self, inputs: Sequence[Any], outputs: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradient."""
        return [gradients[0] * T.psi(inputs[0])]


class Psi(UnaryScalarOp):
    """The derivative of `GammaLn`."""

    nfunc_spec = ("scipy.special.psi", 1, 1)

    def impl(self, x: Any) -> Any:
        """Compute one element."""
        from scipy.special import psi

        return psi(x)

    def L_op(self, inputs: Sequence[Any], outputs: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradient."""
        return [gradients[0] * T.tri_gamma(inputs[0])]


@dataclass(frozen=True)
class ScalarFunction(Op):
    """A function of a program's, applied to each element of broadcast operands.

    Parameters
    ----------
    scalar_op : ScalarOp
        The function.
    """

    scalar_op: ScalarOp

    @property
    def name(self) -> str:
        return str(self.scalar_op)

    def infer(self, *inputs: Any) -> list[TensorType]:
        types = [operand.type for operand in inputs]
        scalars = [TensorType(kind.dtype) for kind in types]
        found = broadcast_shapes(self.name, types)
        return [TensorType(kind.dtype, *found) for kind in self.scalar_op.output_types(scalars)]

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        scalars = [TensorType(array.dtype.name) for array in inputs]
        dtypes = [kind.dtype for kind in self.scalar_op.output_types(scalars)]
        with np.errstate(all="ignore"):
            found = self._numpy_function()(*inputs) if np.broadcast(*inputs).size else np.zeros(np.broadcast(*inputs).shape)
        results = found if isinstance(found, tuple) else (found,)
        return [np.asarray(result).astype(dtype) for result, dtype in zip(results, dtypes, strict=True)]

    def _numpy_function(self) -> Callable[..., Any]:
        if self.scalar_op.nfunc_spec is None:
            return np.vectorize(self.scalar_op.impl)
        module, _, name = str(self.scalar_op.nfunc_spec[0]).rpartition(".")
        return getattr(importlib.import_module(module or "numpy"), name)  # type: ignore[no-any-return]

    def _pulled_back(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        given = [T.zeros_like(v) if c is None else c for v, c in zip(outputs, cotangents, strict=True)]
        return list(self.scalar_op.L_op(list(inputs), list(outputs), given))

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        results: list[Any] = []
        for variable, found in zip(inputs, self._pulled_back(inputs, outputs, cotangents), strict=True):
            if is_discrete(variable.type.dtype) or not isinstance(found, Variable):
                results.append(Disconnected(f"{self.name} has no gradient for {variable}"))
            else:
                results.append(sum_to_type(T.cast(found, variable.type.dtype), variable))
        return results

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        pushed: list[Any] = []
        for position, output in enumerate(outputs):
            seeds = [T.ones_like(v) if place == position else None for place, v in enumerate(outputs)]
            partials = self._pulled_back(inputs, outputs, seeds)
            terms = [p * t for p, t in zip(partials, tangents, strict=True) if t is not None and isinstance(p, Variable)]
            pushed.append(stretch_to(T.cast(sum(terms[1:], terms[0]), output.type.dtype), output) if terms else None)
        return pushed



__all__ = [
    "BinaryScalarOp", "GammaLn", "Psi", "Scalar", "ScalarOp", "UnaryScalarOp", "all_types", "as_scalar", "bool",
    "complex64", "complex128", "complex_types", "continuous_dtypes", "continuous_types", "discrete_dtypes",
    "discrete_types", "float16", "float32", "float64", "float_types", "get_scalar_type", "int8", "int16", "int32",
    "int64", "int_types", "integer_types", "same_out", "specific_out", "uint8", "uint16", "uint32", "uint64",
    "uint_types", "upcast", "upcast_out", "upgrade_to_float", "upgrade_to_float64", "upgrade_to_float_no_complex",
]  # fmt: skip
