"""``theano.tensor.inplace``: functions that overwrite an operand. Here the compiler decides what is computed in place."""

from __future__ import annotations

from symgrad import tensor as T
from symgrad.ops.elementwise_op import ElementwiseFunction

__all__ = ["transpose_inplace"]

transpose_inplace = T.transpose

for _name, _function in list(vars(T).items()):
    if isinstance(_function, ElementwiseFunction):
        globals()[f"{_name.rstrip('_')}_inplace"] = _function
        __all__ += [f"{_name.rstrip('_')}_inplace"]
