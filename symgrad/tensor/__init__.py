"""The user's language, by convention ``import symgrad.tensor as T``."""

import difflib as _difflib
import importlib as _importlib
from typing import Any as _Any

from symgrad.graph.types import TensorType
from symgrad.graph.variables import Constant, SharedVariable, Variable
from symgrad.ops.axes import *
from symgrad.ops.casting import *
from symgrad.ops.comparison import *
from symgrad.ops.complex_numbers import *
from symgrad.ops.conv import *
from symgrad.ops.counting import *
from symgrad.ops.creation import *
from symgrad.ops.cumulative import *
from symgrad.ops.diagonals import *
from symgrad.ops.einsum import *
from symgrad.ops.elementwise import *
from symgrad.ops.explicit_indexing import *
from symgrad.ops.identity import *
from symgrad.ops.indexing import *
from symgrad.ops.joining import *
from symgrad.ops.linalg import *
from symgrad.ops.nonzero import *
from symgrad.ops.numeric import *
from symgrad.ops.padding import *
from symgrad.ops.picking import *
from symgrad.ops.pool import *
from symgrad.ops.ranges import *
from symgrad.ops.raveling import *
from symgrad.ops.reduction import *
from symgrad.ops.repeating import *
from symgrad.ops.shape import *
from symgrad.ops.sizes import *
from symgrad.ops.softmax import *
from symgrad.ops.sorting import *
from symgrad.ops.special import *
from symgrad.ops.statistics import *
from symgrad.ops.values import *
from symgrad.ops.vector_products import *
from symgrad.tensor.constructors import CONSTRUCTORS as _CONSTRUCTORS
from symgrad.tensor.constructors import as_tensor, as_tensor_variable, constant, tensor
from symgrad.tensor.variable import TensorConstant, TensorSharedVariable, TensorVariable

globals().update(_CONSTRUCTORS)


_PARTS = ("fft", "linalg", "nnet")
"""Modules that are loaded when they are first used."""


def __getattr__(name: str) -> _Any:
    """Load a part, or say which name was meant. (And tell type checkers of names that no statement defines.)"""
    if name in _PARTS:
        return _importlib.import_module(f"symgrad.tensor.{name}")
    near = _difflib.get_close_matches(name, [known for known in globals() if not known.startswith("_")], n=1)
    raise AttributeError(f"symgrad.tensor has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
