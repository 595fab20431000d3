"""Ops that pass their operand on, and change only what the gradient sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.config import SETTINGS
from symgrad.errors import RangeError
from symgrad.graph.op import Disconnected, Op, Sample, Undefined, register, user_error
from symgrad.graph.source import current_source
from symgrad.graph.types import Type
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Same, View
from symgrad.ops.promotion import as_operand, is_discrete
from symgrad.ops.sampling import spread


@dataclass(frozen=True)
class Identity(Op):
    """The base of these ops: the output is the operand."""

    takes_any_type = True

    def infer(self, x: Any) -> list[Type]:
        return [x.type]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [x]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent passes."""
        return [tangents[0]]

    def lower(self, apply: Apply) -> View:
        return View(Same())


@register
@dataclass(frozen=True)
class StopGradient(Identity):
    """The operand itself, through which no gradient flows."""

    @property
    def name(self) -> str:
        return "disconnected_grad"

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("disconnected_grad stops the gradient")]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Say as Theano's ops do that the gradient of the output doesn't reach the operand."""
        return [[False]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The output counts as constant."""
        return [None]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 1, 0),))
        yield cls(), Sample((spread(3),), differentiable=False)


@register
@dataclass(frozen=True)
class ZeroGradient(Identity):
    """The operand itself, whose gradient is zero."""

    @property
    def name(self) -> str:
        return "zero_grad"

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        from symgrad.ops.creation import zeros_like

        return [_unless_discrete(inputs[0], zeros_like(cotangents[0]))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent is zero as well."""
        from symgrad.ops.creation import zeros_like

        return [None if tangents[0] is None else zeros_like(tangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 1, 0),))
        yield cls(), Sample((spread(3, dtype="int8"),))
        yield cls(), Sample((spread(3),), differentiable=False)


@register
@dataclass(frozen=True)
class UndefinedGradient(Identity):
    """The operand itself, whose gradient is an error."""

    @property
    def name(self) -> str:
        return "undefined_grad"

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Undefined("undefined_grad says so")]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Likewise an error."""
        from symgrad.errors import NullTypeGradError

        raise user_error(NullTypeGradError, "undefined_grad says that there is no derivative", inputs)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 3),), differentiable=False)


@register
@dataclass(frozen=True)
class ScaleGradient(Identity):
    """The operand itself, whose gradient is multiplied by a number."""

    multiplier: float

    @property
    def name(self) -> str:
        return "grad_scale"

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [_unless_discrete(inputs[0], _scaled(cotangents[0], self.multiplier))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent is multiplied as well."""
        return [None if tangents[0] is None else _scaled(tangents[0], self.multiplier)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(-2.0), Sample((spread(2, 3),), differentiable=False)
        yield cls(1.0), Sample((spread(2, 0),))
        yield cls(0.5), Sample((spread(3, dtype="int32"),))


@register
@dataclass(frozen=True)
class ClipGradient(Identity):
    """The operand itself, whose gradient is clipped, element by element."""

    low: float
    high: float

    @property
    def name(self) -> str:
        return "grad_clip"

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        from symgrad.ops.casting import cast
        from symgrad.ops.elementwise import clip

        dtype = cotangents[0].type.dtype
        return [_unless_discrete(inputs[0], cast(clip(cotangents[0], self.low, self.high), dtype))]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(-0.5, 0.5), Sample((spread(2, 3),), differentiable=False)
        yield cls(-1e9, 1e9), Sample((spread(2, 1),))
        yield cls(-1.0, 1.0), Sample((spread(3, dtype="int64"),))


@register
@dataclass(frozen=True)
class WithInputs(Identity):
    """The first operand; the others only count as used, though nothing is computed from them."""

    @property
    def name(self) -> str:
        return "with_inputs"

    def infer(self, x: Any, *others: Any) -> list[Type]:
        return [x.type]

    def evaluate(self, x: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
        return [x]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        first = _unless_discrete(inputs[0], cotangents[0])
        return [first, *[Disconnected("nothing is computed from it") for _ in inputs[1:]]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The first operand's tangent; zero where only others change."""
        from symgrad.ops.creation import zeros_like

        x, tangent = inputs[0], tangents[0]
        if tangent is None and not is_discrete(x.type.dtype) and any(other is not None for other in tangents[1:]):
            return [zeros_like(x)]
        return [tangent]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 3), spread(2)))
        yield cls(), Sample((spread(2, 0, dtype="int8"),))


@register
@dataclass(frozen=True)
class Transfer(Identity):
    """The operand itself; as an output of a function, it is returned where `target` is."""

    target: str

    @property
    def name(self) -> str:
        return "transfer"

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [_unless_discrete(inputs[0], cotangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls("cpu"), Sample((spread(2, 3),))
        yield cls("cpu"), Sample((spread(2, 0, dtype="int8"),))


def _unless_discrete(x: Any, cotangent: Any) -> Any:
    return Disconnected(f"{x} is {x.type.dtype}") if is_discrete(x.type.dtype) else cotangent


def _scaled(cotangent: Any, multiplier: float) -> Any:
    from symgrad.ops.promotion import scalar_constant

    return cotangent * scalar_constant(multiplier, cotangent.type.dtype)


def disconnected_grad(x: Any) -> Any:
    """Return `x`, taken as constant by `grad` (Theano's ``disconnected_grad``).

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> print(symgrad.grad(x * T.disconnected_grad(x), x).eval({x: 3.}))
    3.0
    """
    return StopGradient()(as_operand(x))


def zero_grad(x: Any) -> Any:
    """Return `x`, whose gradient is zero.

    Other than with `disconnected_grad`, the cost still counts as a function of what `x` is made of.

    Parameters
    ----------
    x : tensor
        Any dtype and shape.

    Notes
    -----
    Keeps the behaviour of Theano's ``zero_grad`` and ``consider_constant``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> print(symgrad.grad(T.zero_grad(x) * x, x).eval({x: 3.0}))
    3.0
    """
    return ZeroGradient()(as_operand(x))


def consider_constant(x: Any) -> Any:
    """Return `x`, whose gradient is zero: the older name of `zero_grad`.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> print(symgrad.grad(x * T.consider_constant(x), x).eval({x: 3.}))
    3.0
    """
    return zero_grad(x)


def undefined_grad(x: Any) -> Any:
    """Return `x`, through which no gradient may be taken: `grad` raises `NullTypeGradError`.

    Notes
    -----
    Keeps the behaviour of Theano's ``undefined_grad``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.undefined_grad([1, 2]).eval())
    [1 2]
    """
    return UndefinedGradient()(as_operand(x))


def grad_scale(x: Any, multiplier: float) -> Any:
    """Return `x`, whose gradient is multiplied by a number.

    Parameters
    ----------
    x : tensor
        Any shape.
    multiplier : float
        Negative ones reverse the gradient, as in adversarial training.

    Notes
    -----
    Keeps the behaviour of Theano's ``grad_scale``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> print(symgrad.grad(T.grad_scale(x, -2.0) ** 2, x).eval({x: 3.0}))
    -12.0
    """
    return ScaleGradient(_number(multiplier, "grad_scale"))(as_operand(x))


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Any:
    """Return `x`, whose gradient is clipped to an interval, element by element.

    Parameters
    ----------
    x : tensor
        Any shape.
    lower_bound, upper_bound : float
        The interval.

    Raises
    ------
    RangeError
        If the interval is empty.

    Notes
    -----
    Keeps the behaviour of Theano's ``grad_clip``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> print(symgrad.grad(T.grad_clip(x, -1, 1) ** 2, x).eval({x: 3.0}))
    1.0
    """
    low, high = _number(lower_bound, "grad_clip"), _number(upper_bound, "grad_clip")
    if not low <= high:
        raise user_error(RangeError, f"grad_clip needs a lower bound below the upper one, got {low} and {high}")
    return ClipGradient(low, high)(as_operand(x))


def transfer(x: Any, target: str | None) -> Any:
    """Return `x`, which as an output of a function is returned on a device: as an array of that GPU, not of NumPy.

    Inside an expression it changes nothing: where values are computed is decided when a function is compiled.

    Parameters
    ----------
    x : tensor
        Any dtype and shape.
    target : str or None
        ``cpu``, ``cuda0``, ``cuda1``, or ``auto``, the first GPU if it can be used; None leaves `x` as it is.

    Raises
    ------
    ConfigError
        If there is no device of that name.

    Notes
    -----
    Keeps the behaviour of Theano's ``transfer``. A function that runs on the CPU, with an output that is transferred to
    a GPU, is a `DeviceError` when it is compiled.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dscalar('x')
    >>> print(symgrad.function([x], T.transfer(x * 2, 'cpu'))(3.0))
    6.0
    """
    variable = as_operand(x)
    if target is None:
        return variable
    if SETTINGS["device"].parse(target, current_source() or "") == "cpu":  # as all outputs are
        return variable.owner.inputs[0] if variable.owner and isinstance(variable.owner.op, Transfer) else variable
    return Transfer(target)(variable)


def _number(value: Any, where: str) -> float:
    """Return a bound or factor, which the graph must know."""
    data = getattr(value, "data", value)
    try:
        return float(data)
    except (TypeError, ValueError):
        raise user_error(TypeError, f"{where} takes numbers, got {type(value).__name__} {value!r:.60}") from None


__all__ = [
    "consider_constant", "disconnected_grad", "grad_clip", "grad_scale", "transfer", "undefined_grad", "zero_grad",
]  # fmt: skip
