"""symgrad: a symbolic graph compiler.

Declare symbolic tensors and shared variables, write an expression, ask for its gradient, compile a function with
`givens` and `updates`:

>>> import numpy, symgrad, symgrad.tensor as T
>>> x = T.vector('x')
>>> w = symgrad.shared(numpy.ones(3, 'float32'), name='w')
>>> cost = T.sum((x * w) ** 2)
>>> step = symgrad.function([x], cost, updates=[(w, w - 0.1 * symgrad.grad(cost, w))])
>>> print(step([1., 2., 3.]))
14.0
"""

from importlib import import_module
from typing import Any

from symgrad.compile.executable import Function
from symgrad.compile.function import In, Out, function
from symgrad.compile.modes import Mode
from symgrad.config import config
from symgrad.control import (
    OpFromGraph,
    OrderedUpdates,
    foldl,
    foldr,
    ifelse,
    map,
    reduce,
    scan,
    scan_checkpoints,
    until,
)
from symgrad.debug import debugprint, draw, pp, to_networkx
from symgrad.debug.profiles import Profile
from symgrad.debug.tracebacks import hide_internal_frames
from symgrad.gradient import (
    Lop,
    Rop,
    grad,
    hessian,
    hessian_vector_product,
    jacobian,
    subgraph_grad,
    vectorize,
    verify_grad,
    vmap,
)
from symgrad.graph.variables import Apply, Constant, SharedVariable, Variable
from symgrad.tensor.variable import shared

from symgrad import random, tensor  # isort: skip

__version__ = "0.1.0"

__all__ = [
    "Apply", "Assert", "Constant", "Function", "In", "Lop", "LossScale", "Mode", "OpFromGraph", "OrderedUpdates", "Out",
    "Print", "Profile", "PythonOp", "Rop", "SharedVariable", "Variable", "as_op", "clone_replace", "config",
    "debugprint", "draw", "foldl", "foldr", "forget_rewrite", "function", "grad", "hessian", "hessian_vector_product",
    "ifelse", "jacobian", "map", "mixed_precision", "pp", "random", "reduce", "rewrite", "rewrite_pattern", "scan",
    "scan_checkpoints", "shared", "subgraph_grad", "tensor", "to_networkx", "until", "vectorize", "verify_grad", "vmap",
]  # fmt: skip

for _derivative in (Lop, Rop, grad, hessian, hessian_vector_product, jacobian, verify_grad):
    setattr(tensor, _derivative.__name__, _derivative)  # T.grad as in Theano: the language's room is below gradients
hide_internal_frames()


_LATER = {
    "Assert": "custom", "LossScale": "half_precision", "Print": "custom", "PythonOp": "custom", "as_op": "custom",
    "clone_replace": "tools", "forget_rewrite": "rewriting.users", "mixed_precision": "half_precision",
    "rewrite": "rewriting.users", "rewrite_pattern": "rewriting.users",
}  # fmt: skip
"""Where the names are that are loaded when they are first used: few programs need them."""


def __getattr__(name: str) -> Any:
    """Load a module, or what is in one, when it is first used."""
    if name in ("custom", "sparse", "tools", "typed_list"):
        return import_module(f"symgrad.{name}")
    if name in _LATER:
        found = globals()[name] = getattr(import_module(f"symgrad.{_LATER[name]}"), name)
        return found
    raise AttributeError(f"symgrad has no {name!r}")
