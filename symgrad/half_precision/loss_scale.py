"""Loss scaling: gradients of 16 bits neither vanish nor overflow, and the host never waits to find out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np

from symgrad.errors import RangeError, render
from symgrad.gradient import grad
from symgrad.graph.source import current_source
from symgrad.graph.variables import Variable
from symgrad.ops.casting import cast
from symgrad.ops.comparison import and_, eq, isfinite
from symgrad.ops.elementwise import maximum, minimum, switch
from symgrad.ops.reduction import all as all_of
from symgrad.tensor.variable import shared

LEAST, MOST = 2.0**-14, 2.0**24
"""Between these the scale stays: beyond, a gradient isn't finite for another reason than its size."""


class LossScale:
    """A factor that the cost is multiplied with before its gradient is taken, and that finds its size by itself.

    Gradients are often below 6e-8, what float16 holds at the least. Those of a cost 32768 times as large aren't, and
    divided by 32768 in float32 they are right. If one isn't finite, the factor was too large: that step changes nothing
    but the factor, which becomes smaller.

    All of it is part of the graph: the factor and its count are shared variables, the choice is a `switch`. So the host
    waits for nothing, and a training step is as asynchronous on a GPU as one without.

    Parameters
    ----------
    initial : float
        The factor at the start.
    growth_interval : int
        After so many good steps in a row the factor grows.
    factor : float
        By how much it grows, and shrinks: a power of two, which rounds nothing.

    Attributes
    ----------
    value : shared float32 scalar
        The factor.
    good_steps : shared int32 scalar
        How many good steps there were since the factor last changed.

    Raises
    ------
    RangeError
        If the factor isn't positive and finite, the interval is below 1, or `factor` isn't a power of two above 1.

    Notes
    -----
    The factor stays between 2**-14 and 2**24.

    Examples
    --------
    >>> import numpy, symgrad, symgrad.tensor as T
    >>> x, w = T.fvector('x'), symgrad.shared(numpy.ones(2, 'float32'), name='w')
    >>> cost = symgrad.mixed_precision(T.dot(x, w) ** 2, 'float16')
    >>> scale = symgrad.LossScale(initial=1024.)
    >>> gradient = scale.grad(cost, w)
    >>> step = symgrad.function([x], cost, updates=scale.updates([(w, w - 0.125 * gradient)]))
    >>> print(step([1., 2.]), w.get_value())
    9.0 [ 0.25 -0.5 ]
    >>> print(step([1e4, 1e4]), w.get_value(), scale.value.get_value())  # too large for float16: skipped
    6.25e+06 [ 0.25 -0.5 ] 512.0
    """

    def __init__(self, initial: float = 2.0**15, growth_interval: int = 2000, factor: float = 2.0) -> None:
        _check(0 < initial < np.inf, f"initial must be positive and finite, got {initial!r:.40}")
        _check(growth_interval >= 1, f"growth_interval must be at least 1, got {growth_interval!r:.40}")
        is_power = factor > 1 and np.isfinite(factor) and np.frexp(factor)[0] == 0.5
        _check(is_power, f"factor must be a power of two above 1, got {factor!r:.40}")
        self.value = shared(np.array(initial, "float32"), name="loss_scale")
        self.good_steps = shared(np.array(0, "int32"), name="good_steps")
        self.growth_interval = growth_interval
        self.factor = factor
        self._is_finite: dict[Variable, Any] = {}

    def grad(self, cost: Any, wrt: Any, **options: Any) -> Any:
        """Return the gradient of `cost`, computed by way of the scaled cost.

        Parameters
        ----------
        cost : float32 scalar
            What to differentiate.
        wrt : variable, or list or tuple of variables
            With respect to what.
        **options
            See `symgrad.grad`.

        Returns
        -------
        variable, or list or tuple like `wrt`
            Divided by the scale. Where the scaled gradient overflowed it isn't finite.
        """
        found = grad(cost * cast(self.value, cost.dtype), wrt, **options)
        if not isinstance(found, list | tuple):
            return self._unscaled(found)
        return type(found)([self._unscaled(gradient) for gradient in found])

    def updates(self, pairs: Iterable[tuple[Any, Any]] | dict[Any, Any]) -> list[tuple[Any, Any]]:
        """Return updates that are left out where a gradient isn't finite, and those of the scale.

        Parameters
        ----------
        pairs : dict, or pairs of (shared variable, expression)
            Updates as `symgrad.function` takes them, made of the gradients that `grad` has returned so far.

        Returns
        -------
        list of (shared variable, expression)
            With those of `value` and `good_steps`.

        Raises
        ------
        ValueError
            If `grad` hasn't been called yet.
        """
        if not self._is_finite:
            remedy = "Take the gradients with the method grad of this LossScale first."
            raise ValueError(render("a LossScale without gradients", str(current_source() or ""), remedy=remedy))
        is_good = reduce(and_, self._is_finite.values())
        given = list(pairs.items() if isinstance(pairs, dict) else pairs)
        kept = [(target, switch(is_good, new, target)) for target, new in given]
        count = switch(is_good, self.good_steps + 1, 0)
        grows = eq(count, self.growth_interval)
        grown = switch(grows, minimum(self.value * self.factor, MOST), self.value)
        shrunk = maximum(self.value / self.factor, LEAST)
        return [
            *kept,
            (self.value, cast(switch(is_good, grown, shrunk), "float32")),
            (self.good_steps, cast(switch(grows, 0, count), "int32")),
        ]

    def _unscaled(self, gradient: Any) -> Any:
        self._is_finite[gradient] = all_of(isfinite(gradient))
        return gradient / cast(self.value, gradient.dtype)


def _check(holds: bool, headline: str) -> None:
    if not holds:
        raise RangeError(render(f"LossScale: {headline}", str(current_source() or "")))
