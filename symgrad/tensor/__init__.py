"""The user's language, by convention ``import symgrad.tensor as T``."""

import difflib as _difflib
from typing import Any as _Any

from symgrad.graph.types import TensorType
from symgrad.graph.variables import Constant, SharedVariable, Variable
from symgrad.ops.axes import *
from symgrad.ops.casting import *
from symgrad.ops.comparison import *
from symgrad.ops.conv import *
from symgrad.ops.creation import *
from symgrad.ops.elementwise import *
from symgrad.ops.identity import *
from symgrad.ops.indexing import *
from symgrad.ops.linalg import *
from symgrad.ops.pool import *
from symgrad.ops.reduction import *
from symgrad.ops.shape import *
from symgrad.ops.sizes import *
from symgrad.ops.softmax import *
from symgrad.tensor.constructors import CONSTRUCTORS, as_tensor_variable, constant, tensor
from symgrad.tensor.variable import TensorConstant, TensorSharedVariable, TensorVariable

globals().update(CONSTRUCTORS)


def __getattr__(name: str) -> _Any:
    """Say which name was meant. (It also tells type checkers that there are names that no statement defines.)"""
    near = _difflib.get_close_matches(name, [known for known in globals() if not known.startswith("_")], n=1)
    raise AttributeError(f"symgrad.tensor has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
