"""The gradient against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.errors import GradientError
from symgrad.gradient.reverse import grad
from symgrad.graph.op import user_error
from symgrad.graph.types import TensorType
from symgrad.ops.casting import cast
from symgrad.ops.promotion import listed
from symgrad.ops.reduction import sum as sum_over

STEPS = {"float32": 1e-3, "float64": 1e-6}
TOLERANCES = {"float32": 1e-2, "float64": 1e-5}


def verify_grad(
    fun: Callable[..., Any],
    pt: Sequence[Any],
    n_tests: int = 2,
    rng: np.random.RandomState | np.random.Generator | None = None,
    eps: float | None = None,
    out_type: str | None = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    mode: Any = None,
    cast_to_output_type: bool = False,
    no_debug_ref: bool = True,
) -> None:
    """Compare the gradient with finite differences along a random direction; raise if they differ.

    The output is made a scalar by a random projection u. Then ``(u.f(x + e v) - u.f(x - e v)) / 2e`` must equal
    ``v . grad(u.f)(x)`` for a random direction v of unit norm.

    Parameters
    ----------
    fun : callable
        Builds an expression from as many variables as there are points.
    pt : sequence of float arrays
        Where to compare; best in float64, and away from kinks.
    n_tests : int
        Number of random projections and directions.
    rng : numpy random state, optional
        Source of projections and directions.
    eps : float, optional
        Step of the finite difference.
    out_type : str, optional
        The dtype that decides about step and tolerance, if the output is narrower than the points.
    abs_tol, rel_tol : float, optional
        The difference allowed: ``abs_tol + rel_tol * |value|``.
    mode : optional
        Mode of the compiled functions.
    cast_to_output_type : bool
        Whether the output is cast to `out_type`.
    no_debug_ref : bool
        Accepted for Theano's sake.

    Raises
    ------
    GradientError
        If both differ by more; it says by how much, where, and in which direction.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> symgrad.verify_grad(lambda x: T.exp(x) * x, [np.array([0.5, 1.0])])
    """
    from symgrad.compile.function import function

    if not callable(fun):
        raise user_error(TypeError, f"verify_grad checks a function, got {type(fun).__name__} {fun!r:.60}")
    points = [np.asarray(value) for value in listed(pt, "verify_grad", "arrays")]
    if not points:
        raise user_error(ValueError, "verify_grad needs a value for each operand of the function, got none")
    for point in points:
        if point.dtype.kind != "f":
            raise GradientError(f"verify_grad needs float arrays, got {point.dtype}")
    random: Any = rng if rng is not None else np.random.RandomState(20261121)
    variables = [TensorType(point.dtype, [1 if size == 1 else None for size in point.shape])(f"x{index}")
                 for index, point in enumerate(points)]  # fmt: skip
    output = fun(*variables)
    if cast_to_output_type and out_type is not None:
        output = cast(output, out_type)
    value = function(variables, output, mode=mode, on_unused_input="ignore")
    shape = value(*points).shape
    dtypes = [*[point.dtype.name for point in points], *([out_type] if out_type in STEPS else [])]
    dtype = min(dtypes, key=lambda name: np.dtype(name).itemsize)
    projection = output.type("projection")
    gradients = grad(sum_over(output * projection), variables, disconnected_inputs="ignore")
    gradient = function([*variables, projection], gradients, mode=mode, on_unused_input="ignore")
    step = eps or STEPS[dtype]
    allowed = TOLERANCES[dtype] if abs_tol is None else abs_tol, TOLERANCES[dtype] if rel_tol is None else rel_tol
    for _ in range(n_tests):
        weights = np.asarray(random.normal(size=shape), dtype=output.type.dtype)
        direction = _unit_direction(random, points)
        found = sum(float(np.sum(v * g)) for v, g in zip(direction, gradient(*points, weights), strict=True))
        expected = _finite_difference(value, points, direction, weights, step)
        if not abs(found - expected) <= allowed[0] + allowed[1] * abs(expected):
            raise GradientError(
                f"the gradient along a random direction is {found}, finite differences say {expected} "
                f"(difference {abs(found - expected):.3g}, allowed {allowed[0]:.3g} + {allowed[1]:.3g} * value)\n"
                f"  at {points}\n  along {direction}"
            )


verify_grad.E_grad = GradientError  # type: ignore[attr-defined]


def _unit_direction(random: Any, points: Sequence[np.ndarray]) -> list[np.ndarray]:
    direction = [np.asarray(random.normal(size=point.shape)) for point in points]
    norm = np.sqrt(sum(float(np.sum(part**2)) for part in direction)) or 1.0
    return [(part / norm).astype(point.dtype) for part, point in zip(direction, points, strict=True)]


def _finite_difference(
    value: Callable[..., Any],
    points: Sequence[np.ndarray],
    direction: Sequence[np.ndarray],
    weights: np.ndarray,
    step: float,
) -> float:
    def along(sign: float) -> float:
        moved = [(p + sign * step * d).astype(p.dtype) for p, d in zip(points, direction, strict=True)]
        return float(np.sum(value(*moved).astype("float64") * weights))

    return (along(1.0) - along(-1.0)) / (2 * step)


class numeric_grad:
    """The gradient of a function of arrays by finite differences, element by element.

    Parameters
    ----------
    f : callable
        Takes as many arrays as there are points, and returns a number.
    pt : float array, or list of float arrays
        Where.
    eps : float, optional
        Step; by default as fits the narrowest dtype.
    out_type : str, optional
        The dtype of the result, if it is narrower than the points.

    Attributes
    ----------
    gf : array, or list of arrays
        The gradient, like `pt`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.numeric_grad``.

    Examples
    --------
    >>> print(numeric_grad(lambda x: (x ** 2).sum(), np.array([1., 2.])).gf.round(6))
    [2. 4.]
    """

    def __init__(
        self, f: Callable[..., Any], pt: Any, eps: float | None = None, out_type: str | None = None
    ) -> None:
        points = [np.array(value) for value in (pt if isinstance(pt, list | tuple) else [pt])]
        dtypes = [*[point.dtype.name for point in points], *([out_type] if out_type in STEPS else [])]
        step = eps or max(STEPS.get(name, 1e-2) for name in dtypes)
        gradients = []
        for number, point in enumerate(points):
            slopes = np.zeros_like(point)
            for position in np.ndindex(point.shape):
                found = []
                for sign in (1, -1):
                    moved = [p.copy() for p in points]
                    moved[number][position] += sign * step
                    found.append((float(moved[number][position]), float(f(*moved))))
                slopes[position] = (found[0][1] - found[1][1]) / (found[0][0] - found[1][0])
            gradients.append(slopes)
        self.gf: Any = gradients if isinstance(pt, list | tuple) else gradients[0]

    @staticmethod
    def abs_rel_err(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return absolute and relative differences; the latter to the sum of magnitudes, at least 1e-8."""
        difference = np.abs(a - b)
        return difference, difference / np.maximum(np.abs(a) + np.abs(b), 1e-8)

    def abs_rel_errors(self, g_pt: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return absolute and relative differences from gradients `g_pt`, for each point."""
        given, own = [list(g) if isinstance(g, list | tuple) else [g] for g in (g_pt, self.gf)]
        if len(given) != len(own):
            raise ValueError(f"expected {len(own)} gradients, got {len(given)}")
        return [self.abs_rel_err(a, b) for a, b in zip(given, own, strict=True)]

    def max_err(self, g_pt: Any, abs_tol: float, rel_tol: float) -> tuple[int, int, float, float]:
        """Return where gradients `g_pt` are worst: which point, which element, and both differences there.

        The worst is where the smaller of both differences, each in parts of its tolerance, is largest.
        """
        worst: tuple[float, tuple[int, int, float, float]] = (-1.0, (0, 0, 0.0, 0.0))
        for number, (absolute, relative) in enumerate(self.abs_rel_errors(g_pt)):
            if absolute.size == 0:
                continue
            parts = np.minimum(absolute / abs_tol, relative / rel_tol).ravel()
            position = int(np.argmax(parts))
            found = number, position, float(absolute.ravel()[position]), float(relative.ravel()[position])
            worst = max(worst, (float(parts[position]), found))
        return worst[1]
