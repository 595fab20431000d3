"""``theano.tensor.inplace``: functions that overwrite an operand. Here the compiler decides what is in place."""

from __future__ import annotations

from symgrad import tensor as T
from symgrad.ops.elementwise_op import ElementwiseFunction

__all__ = [
    "conj_inplace", "fill_inplace", "round_half_away_from_zero_inplace", "round_half_to_even_inplace", "second_inplace",
    "transpose_inplace",
]  # fmt: skip

transpose_inplace, conj_inplace = T.transpose, T.conj
fill_inplace = second_inplace = T.fill
round_half_to_even_inplace, round_half_away_from_zero_inplace = T.round_half_to_even, T.round_half_away_from_zero

for _name, _function in list(vars(T).items()):
    if isinstance(_function, ElementwiseFunction):
        globals()[f"{_name}_inplace"] = _function  # `abs_` is `abs__inplace`
        __all__ += [f"{_name}_inplace"]
