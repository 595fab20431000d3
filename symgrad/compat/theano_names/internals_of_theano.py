"""Names of Theano's rewriting that tests import: checks that hold here, and names that refuse when used."""

from __future__ import annotations

from typing import Any, NoReturn

from symgrad.compat.theano_names.errors import NotKeptError
from symgrad.compat.theano_names.not_kept import RULES


def check_stack_trace(f_or_fgraph: Any, ops_to_check: Any = "last", bug_print: str = "raise") -> bool:
    """Return True: rewriting keeps, for every node, the line that made it.

    Examples
    --------
    >>> check_stack_trace(None, ops_to_check="all")
    True
    """
    return True


class RefusedName:
    """A name that may be imported, and raises NotKeptError when it is called or read.

    Parameters
    ----------
    name : str
        Theano's full name.
    advice : str
        What to write instead.
    """

    def __init__(self, name: str, advice: str = RULES) -> None:
        self.__name__, self._advice = name, advice

    def __repr__(self) -> str:
        return f"<{self.__name__}, which symgrad doesn't keep>"

    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise NotKeptError(f"symgrad doesn't keep Theano's {self.__name__}. {self._advice}")

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise NotKeptError(f"symgrad doesn't keep Theano's {self.__name__}. {self._advice}")


compute_mul = RefusedName("theano.tensor.nnet.sigm.compute_mul")
is_1pexp = RefusedName("theano.tensor.nnet.sigm.is_1pexp")
parse_mul_tree = RefusedName("theano.tensor.nnet.sigm.parse_mul_tree")
perform_sigm_times_exp = RefusedName("theano.tensor.nnet.sigm.perform_sigm_times_exp")
register_local_1msigmoid = RefusedName("theano.tensor.nnet.sigm.register_local_1msigmoid")
simplify_mul = RefusedName("theano.tensor.nnet.sigm.simplify_mul")

CONV = "Call theano.tensor.nnet.conv3d, or conv3d of this module."
DiagonalSubtensor = RefusedName("theano.tensor.nnet.conv3d2d.DiagonalSubtensor", CONV)
IncDiagonalSubtensor = RefusedName("theano.tensor.nnet.conv3d2d.IncDiagonalSubtensor", CONV)
get_diagonal_subtensor_view = RefusedName("theano.tensor.nnet.conv3d2d.get_diagonal_subtensor_view", CONV)

__all__ = [
    "DiagonalSubtensor", "IncDiagonalSubtensor", "check_stack_trace", "compute_mul", "get_diagonal_subtensor_view",
    "is_1pexp", "parse_mul_tree", "perform_sigm_times_exp", "register_local_1msigmoid", "simplify_mul",
]  # fmt: skip
