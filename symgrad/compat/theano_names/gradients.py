"""Functions of ``theano.gradient`` that symgrad has no equal for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.compat.theano_names.modes import get_mode
from symgrad.compat.theano_names.stand_ins import StandIn
from symgrad.ops.identity import ClipGradient, ScaleGradient, StopGradient, UndefinedGradient, ZeroGradient


def format_as(use_list: bool, use_tuple: bool, outputs: Any) -> Any:
    """Return `outputs` as a list, a tuple, or the only one of them.

    Examples
    --------
    >>> format_as(False, True, [1, 2]), format_as(False, False, [1])
    ((1, 2), 1)
    """
    if use_list and use_tuple:
        raise AssertionError("Both flags cannot be simultaneously True")
    found = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    if use_list:
        return found
    if use_tuple:
        return tuple(found)
    if len(found) != 1:
        raise AssertionError("Wrong arguments. Expected a one element list")
    return found[0]


def mode_not_slow(mode: Any) -> Any:
    """Return a mode, without the checks that make it slow."""
    found = get_mode(mode)
    return get_mode("FAST_RUN") if getattr(found, "checks", "") else found


class numeric_grad:
    """The gradient of a function of arrays by finite differences.

    Parameters
    ----------
    f : callable
        Takes arrays, returns a number.
    pt : array or list of arrays
        Where.
    eps : float, optional
        The step, by default one for the dtype.

    Attributes
    ----------
    gf : array or list of arrays
        The gradient.
    """

    type_eps = {"float64": 1e-7, "float32": 3e-4, "float16": 1e-1}

    def __init__(self, f: Callable[..., Any], pt: Any, eps: float | None = None, out_type: str | None = None) -> None:
        is_list = isinstance(pt, list | tuple)
        points = [np.array(point, copy=True) for point in (pt if is_list else [pt])]
        coarsest = max(self.type_eps[point.dtype.name] for point in points)
        step = coarsest if eps is None else eps
        value = f(*points)
        found = []
        for point in points:
            slopes = np.zeros_like(point)
            for index in np.ndindex(point.shape):
                before = point[index].copy() if point.ndim else point[()].copy()
                point[index] = before + step
                slopes[index] = (f(*points) - value) / step
                point[index] = before
            found.append(slopes)
        self.gf = found if is_list else found[0]

    @staticmethod
    def abs_rel_err(a: Any, b: Any) -> tuple[Any, Any]:
        """Return absolute and relative differences of two gradients."""
        difference = np.abs(a - b)
        return difference, difference / np.maximum(np.abs(a) + np.abs(b), 1e-8)

    def abs_rel_errors(self, g_pt: Sequence[Any]) -> list[tuple[Any, Any]]:
        """Return the differences from other gradients, one for each point."""
        own = self.gf if isinstance(self.gf, list) else [self.gf]
        return [self.abs_rel_err(a, b) for a, b in zip(g_pt, own, strict=True)]

    def max_err(self, g_pt: Sequence[Any], abs_tol: float, rel_tol: float) -> tuple[int, int, float, float]:
        """Return where the greatest difference beyond both tolerances is, and how great it is."""
        worst = []
        for number, (absolute, relative) in enumerate(self.abs_rel_errors(g_pt)):
            scaled = np.minimum(absolute / abs_tol, relative / rel_tol)
            place = int(np.argmax(scaled))
            worst.append((float(scaled.flat[place]), number, place, absolute.flat[place], relative.flat[place]))
        _, number, place, absolute, relative = max(worst)
        return number, place, float(absolute), float(relative)


ConsiderConstant = StandIn("ConsiderConstant", ZeroGradient, ("ZeroGradient",))
ZeroGrad = StandIn("ZeroGrad", ZeroGradient, ("ZeroGradient",))
DisconnectedGrad = StandIn("DisconnectedGrad", StopGradient, ("StopGradient",))
UndefinedGrad = StandIn("UndefinedGrad", UndefinedGradient, ("UndefinedGradient",))
GradClip = StandIn("GradClip", ClipGradient, ("ClipGradient",))
GradScale = StandIn("GradScale", ScaleGradient, ("ScaleGradient",))
consider_constant_ = zero_grad_ = ZeroGradient()
disconnected_grad_ = StopGradient()

__all__ = [
    "ConsiderConstant", "DisconnectedGrad", "GradClip", "GradScale", "UndefinedGrad", "ZeroGrad",
    "consider_constant_", "disconnected_grad_", "format_as", "get_mode", "mode_not_slow", "numeric_grad", "zero_grad_",
]  # fmt: skip
