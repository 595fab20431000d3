"""``theano.ifelse.IfElse``: the op of a choice, made with a number of outputs as Theano's is."""

from __future__ import annotations

from typing import Any

from symgrad.compat.theano_names.stand_ins import StandIn
from symgrad.control import IfElse as Choice
from symgrad.control import ifelse


class ChoiceOf:
    """A choice between a number of values, before the values are given.

    Parameters
    ----------
    n_outs : int
        How many values each side has.
    as_view, gpu : bool
        As in Theano; nothing depends on them.
    name : str, optional
        A name for people.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> n, x = T.lscalar("n"), T.dvector("x")
    >>> made = ChoiceOf(1)(n, x.sum(), x.max())
    >>> made.owner.op == ChoiceOf(1, as_view=True), made.owner.op == ChoiceOf(2)
    (True, False)
    """

    def __init__(self, n_outs: int, as_view: bool = False, gpu: bool = False, name: str | None = None) -> None:
        self.n_outs, self.as_view, self.gpu, self.name = n_outs, as_view, gpu, name

    def __call__(self, c: Any, *args: Any) -> Any:
        """Choose between the first half of the values and the second."""
        if len(args) != 2 * self.n_outs:
            raise ValueError(f"Wrong number of arguments to make_node: expected {2 * self.n_outs}, got {len(args)}")
        made = ifelse(c, list(args[: self.n_outs]), list(args[self.n_outs :]), self.name)
        return made[0] if self.n_outs == 1 else made

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Choice):
            return len(other.if_true.outputs) == self.n_outs
        return isinstance(other, ChoiceOf) and other.n_outs == self.n_outs

    def __hash__(self) -> int:
        return hash((ChoiceOf, self.n_outs))


IfElse = StandIn("IfElse", ChoiceOf, ("IfElse",))

__all__ = ["IfElse", "ifelse"]
