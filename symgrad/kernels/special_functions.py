"""Special functions that SciPy has under another form, with ``out=`` like ufuncs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def polygamma(order: Any, x: Any, out: Any = None) -> Any:
    """Derivative of the given order of `psi`; order 0 is `psi` itself, and where it isn't 0, 1, 2, ... nan."""
    from scipy import special

    order, x = np.broadcast_arrays(order, x)
    kind = x.dtype
    order, x = order.astype("float64"), x.astype("float64")
    sign = np.where(order % 2 == 0, -1.0, 1.0)
    result = np.where(order == 0, special.psi(x), sign * special.gamma(order + 1) * special.zeta(order + 1, x))
    result = np.where((order < 0) | (order % 1 != 0), np.nan, result)
    return given(result.astype(kind), out)


def tri_gamma(x: Any, out: Any = None) -> Any:
    """Second derivative of the logarithm of the gamma function."""
    return polygamma(np.asarray(1, x.dtype), x, out)


def chi2sf(x: Any, k: Any, out: Any = None) -> Any:
    """Probability that a chi-squared variable with `k` degrees of freedom is above `x`."""
    from scipy import special

    return special.chdtrc(k, x, out=out)


def xlogx(x: Any, out: Any = None) -> Any:
    """``x * log(x)``, and 0 at 0."""
    from scipy import special

    return special.xlogy(x, x, out=out)


def log1mexp(x: Any, out: Any = None) -> Any:
    """``log(1 - exp(x))``, exact for all `x` below 0."""
    near = np.log(-np.expm1(x))
    far = np.log1p(-np.exp(x))
    return given(np.where(x > -math.log(2), near, far), out)


def upper_gamma(k: Any, x: Any, out: Any = None) -> Any:
    """Upper incomplete gamma function, not regularised."""
    from scipy import special

    return np.multiply(special.gammaincc(k, x), special.gamma(k), out=out)


def lower_gamma(k: Any, x: Any, out: Any = None) -> Any:
    """Lower incomplete gamma function, not regularised."""
    from scipy import special

    return np.multiply(special.gammainc(k, x), special.gamma(k), out=out)


def given(result: Any, out: Any) -> Any:
    """Return `result`, put into `out` if that is an array."""
    if out is None:
        return result
    np.copyto(out, result, casting="same_kind")
    return out
