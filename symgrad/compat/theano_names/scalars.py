"""``theano.scalar``: scalars are tensors without axes, and functions of scalars are those of `symgrad.tensor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgrad import tensor as T
from symgrad.compat.theano_names.constructors import several
from symgrad.compat.theano_names.scalar_ops import (
    BinaryScalarOp,
    ScalarOp,
    UnaryScalarOp,
    same_out,
    upcast_out,
    upgrade_to_float,
    upgrade_to_float_no_complex,
)
from symgrad.compat.theano_names.stand_ins import StandIn, applying
from symgrad.errors import DTypeError as ComplexError
from symgrad.graph.types import TensorType
from symgrad.ops.promotion import upcast

# ---- types ----


def Scalar(dtype: str) -> TensorType:
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


def upgrade_to_float64(*dtypes: Any) -> str:
    """The result is float64."""
    return "float64"


class specific_out:
    """The results have certain types whatever the operands are."""

    def __init__(self, *types: Any) -> None:
        self.types = types

    def __call__(self, *dtypes: Any) -> tuple[Any, ...]:
        """Return them."""
        return self.types


# ---- classes that programs derive from ----


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


# ---- Theano's own functions of scalars ----

_FUNCTIONS = """
    Add=add Sub=subtract Mul=multiply TrueDiv=true_divide IntDiv=floor_divide Mod=mod Pow=power Neg=negative
    Inv=reciprocal Abs=abs Sgn=sign Sqr=sqr Sqrt=sqrt Floor=floor Ceil=ceil Trunc=trunc
    Exp=exp Exp2=exp2 Expm1=expm1 Log=log Log2=log2 Log10=log10 Log1p=log1p
    Sin=sin Cos=cos Tan=tan ArcSin=arcsin ArcCos=arccos ArcTan=arctan ArcTan2=arctan2
    Sinh=sinh Cosh=cosh Tanh=tanh ArcSinh=arcsinh ArcCosh=arccosh ArcTanh=arctanh
    Deg2Rad=deg2rad Rad2Deg=rad2deg Maximum=maximum Minimum=minimum Clip=clip Switch=switch
    EQ=eq NEQ=neq LT=lt LE=le GT=gt GE=ge IsNan=isnan IsInf=isinf AND=and_ OR=or_ XOR=xor Invert=invert
    Erf=erf Erfc=erfc Erfinv=erfinv Erfcinv=erfcinv Erfcx=erfcx Gamma=gamma TriGamma=tri_gamma Chi2SF=chi2sf
    J0=j0 J1=j1 I0=i0 I1=i1 ScalarSigmoid=sigmoid ScalarSoftplus=softplus Conj=conj Real=real Imag=imag Angle=angle
    XlogX=xlogx XlogY0=xlogy0
"""


def _is_function(name: str) -> Callable[[Any], Any]:
    """Return what tells whether an elementwise op is the one of a name."""

    def holds(op: Any) -> Any:
        return op.function == name

    return holds


def _class_of(name: str, function: Any) -> StandIn:
    def make(*preference: Any, **options: Any) -> Any:
        return function

    return StandIn(name, make, ("Elementwise",), _is_function(function.op.function))


_CLASSES = {}
for _entry in _FUNCTIONS.split():
    _name, _, _function = _entry.partition("=")
    if hasattr(getattr(T, _function, None), "op"):
        _CLASSES[_name] = _class_of(_name, getattr(T, _function))
globals().update(_CLASSES)

Cast = StandIn("Cast", _class_of, ("Cast",))
Identity = StandIn("Identity", applying(T.tensor_copy))
identity = T.tensor_copy
ints, floats, complexs = [several(word, kind) for word, kind in (("ints", int64), ("floats", float64),
                                                                 ("complexs", complex128))]  # fmt: skip

__all__ = [
    *_CLASSES, "BinaryScalarOp", "Cast", "ComplexError", "GammaLn", "Identity", "Psi", "Scalar", "ScalarOp",
    "UnaryScalarOp", "all_types", "as_scalar", "bool", "complexs", "complex64", "complex128", "complex_types",
    "continuous_dtypes", "continuous_types", "discrete_dtypes", "discrete_types", "float16", "float32", "float64",
    "float_types", "floats", "get_scalar_type", "identity", "int8", "int16", "int32", "int64", "int_types",
    "integer_types", "ints", "same_out", "specific_out", "uint8", "uint16", "uint32", "uint64", "uint_types",
    "upcast", "upcast_out", "upgrade_to_float", "upgrade_to_float64", "upgrade_to_float_no_complex",
]  # fmt: skip
