"""The base of ops that do the same for each element of a stack."""

from __future__ import annotations

from symgrad.graph.op import Op


class OnStacks(Op):
    """An op on matrices (or vectors) in the last axes, for each index of the axes before them, which broadcast.

    Operands without axes are parameters.
    """

    def after_a_new_axis(self) -> Op:
        """Return the op for operands that have gained an axis in front."""
        return self
