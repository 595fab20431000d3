"""The library routine that draws random samples; the bits are those of `symgrad.kernels.philox`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgrad.backends.numpy.library import Array, Attributes, Workspace, routine
from symgrad.errors import ShapeError
from symgrad.kernels.random_sample import DISTRIBUTIONS, sample_sizes


@routine
def random_sample(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """A sample of a distribution, from state, parameters, and the sizes that only the call knows."""
    distribution = DISTRIBUTIONS[attributes["distribution"]]
    dtype, sizes, equal_axes = attributes["dtype"], attributes["sizes"], attributes["equal_axes"]
    count, axis_count = len(distribution.parameters), len(attributes["sizes"])

    def run(state: Array, *operands: Array, out: Array | None = None) -> Array:
        parameters = operands[:count]
        if out is not None:  # all sizes are known, and so were compared when the function was bound
            return distribution.sample(state, out.shape[:axis_count], parameters, dtype, out)
        wanted = sample_sizes(sizes, operands[count:])
        for parameter, array, axes in zip(distribution.parameters, parameters, equal_axes, strict=True):
            _require_equal_sizes(parameter.name, array.shape[: array.ndim - parameter.own_axes], wanted, axes)
        return distribution.sample(state, wanted, parameters, dtype)

    return run


def _require_equal_sizes(name: str, found: Sequence[int], wanted: Sequence[int], axes: Sequence[int]) -> None:
    """Raise where NumPy would stretch a size that happens to be 1: the graph didn't know that it stretches."""
    for axis in axes:
        if found[axis] != wanted[axis]:
            raise ShapeError(f"{name} has size {found[axis]} on axis {axis}, where the sample has {wanted[axis]}")
