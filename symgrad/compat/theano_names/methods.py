"""Methods and attributes that only Theano's programs ask types, variables and nodes for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from symgrad.compat.theano_names.configuration import symgrad_device
from symgrad.compat.theano_names.errors import NotKeptAttributeError
from symgrad.graph.op import Op
from symgrad.graph.types import TensorType, Type
from symgrad.graph.variables import Apply, Constant, Container, SharedVariable, Variable
from symgrad.ops import identity
from symgrad.ops.elementwise_op import ElementwiseFunction
from symgrad.ops.promotion import as_operand
from symgrad.ops.sizes import addbroadcast, unbroadcast
from symgrad.tensor.methods import FunctionMethods

# ---- types ----


def _filter(kind: Any, data: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
    """Return a value as this type holds it, or raise."""
    return kind.convert(data, strict, allow_downcast)


def _filter_inplace(kind: Any, value: Any, storage: Any, strict: bool = False, allow_downcast: Any = None) -> Any:
    """Return a value as this type holds it."""
    return kind.convert(value, strict, allow_downcast)


def _filter_variable(kind: Any, other: Any, allow_convert: bool = True) -> Any:
    """Return a variable, or a constant, as one of this type; raise if it can't be."""
    variable = as_operand(kind.convert(other) if not isinstance(other, Variable) else other)
    converted = _convert_variable(kind, variable) if allow_convert else None
    if converted is None and not kind.accepts(variable.type):
        raise TypeError(
            f"Cannot convert Type {variable.type} (of Variable {variable}) into Type {kind}. "
            f"You can try to manually convert {variable} into a {kind}."
        )
    return variable if converted is None else converted


def _convert_variable(kind: Any, variable: Any) -> Any:
    """Return a variable that stretches on the axes that this type says, or None if that isn't possible."""
    found = variable.type
    if not isinstance(found, TensorType) or found.dtype != kind.dtype or found.ndim != kind.ndim:
        return None
    pairs = list(enumerate(zip(found.broadcastable, kind.broadcastable, strict=True)))
    gained = [axis for axis, (had, wanted) in pairs if wanted and not had]
    lost = [axis for axis, (had, wanted) in pairs if had and not wanted]
    variable = addbroadcast(variable, *gained) if gained else variable
    return unbroadcast(variable, *lost) if lost else variable


def _make_variable(kind: Any, name: str | None = None) -> Any:
    """Return a new variable of this type."""
    return kind(name)


def _make_constant(kind: Any, value: Any, name: str | None = None) -> Any:
    """Return a constant of this type."""
    from symgrad.graph.variables import make_constant

    return make_constant(kind.convert(value), name)


def _clone_type(kind: Any, dtype: Any = None, broadcastable: Any = None) -> TensorType:
    """Return a type like this with another dtype or other stretching axes."""
    shape = kind.shape if broadcastable is None else [1 if one else None for one in broadcastable]
    return TensorType(dtype or kind.dtype, shape)


def _is_valid_value(kind: Any, value: Any) -> bool:
    """Return whether a value is one of this type, as it stands."""
    try:
        kind.convert(value, True)
    except (TypeError, ValueError):
        return False
    return True


def _values_eq(kind: Any, a: Any, b: Any, force_same_dtype: bool = True) -> bool:
    """Return whether two values of this type are equal; NaNs are."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or (force_same_dtype and a.dtype != b.dtype):
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc" and b.dtype.kind in "fc"))


def _values_eq_approx(
    kind: Any,
    a: Any,
    b: Any,
    allow_remove_inf: bool = False,
    allow_remove_nan: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
) -> bool:
    """Return whether two values of this type are nearly equal."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind not in "fc":
        return bool(np.array_equal(a, b))
    narrow = a.dtype in (np.dtype("float32"), np.dtype("complex64"))
    tolerance = 1e-2 if a.dtype == np.float16 else 1e-4 if narrow else 1e-5
    close = np.isclose(a, b, rtol=tolerance if rtol is None else rtol, atol=tolerance if atol is None else atol,
                       equal_nan=True)  # fmt: skip
    if allow_remove_inf:
        close |= np.isinf(a) | np.isinf(b)
    if allow_remove_nan:
        close |= np.isnan(a) | np.isnan(b)
    return bool(close.all())


def _value_zeros(kind: Any, shape: Any) -> np.ndarray:
    """Return zeros of this type's dtype."""
    return np.zeros(shape, kind.dtype)


def _in_same_class(kind: Any, other: Any) -> bool:
    """Return whether another type has the dtype, the number of axes and the stretching axes of this one."""
    same_class = isinstance(other, TensorType) and other.dtype == kind.dtype
    return same_class and other.broadcastable == kind.broadcastable


def _is_super(kind: Any, other: Any) -> bool:
    """Return whether every value of another type is one of this type."""
    return isinstance(other, TensorType) and other.dtype == kind.dtype and other.ndim == kind.ndim and all(
        there or not here for here, there in zip(kind.broadcastable, other.broadcastable, strict=True)
    )


# ---- nodes ----


def _clone_node(node: Apply) -> Apply:
    """Return another application of the same op to the same variables."""
    return Apply(node.op, node.inputs, [output.type for output in node.outputs], node.source)


def _clone_with_new_inputs(node: Apply, inputs: Sequence[Any], strict: bool = True) -> Apply:
    """Return an application of the same op to other variables."""
    from symgrad.graph.traversal import apply_again

    return apply_again(node, list(inputs))[0].owner  # type: ignore[return-value]


def _default_output(node: Apply) -> Variable:
    """Return the output, of an op that has one."""
    if len(node.outputs) != 1:
        raise AttributeError(f"{node.op}.default_output should be an output index: it has {len(node.outputs)} outputs")
    return node.outputs[0]


def _count_of(name: str) -> property:
    def count(node: Any) -> int:
        return len(getattr(node, name))

    return property(count)


def _inputs_of(node: Apply) -> list[Variable]:
    """Return the variables that an op is applied to."""
    return list(node.inputs)


def _nothing_in_place(op: Any) -> dict[int, list[int]]:
    return {}


def _scalar_op(op: Any) -> Any:
    """The function of scalars; here, functions of tensors are functions of scalars too."""
    if type(op).__name__ != "Elementwise":
        raise AttributeError("scalar_op")
    return op


def _make_node(function: Any, *inputs: Any) -> Apply:
    """Return the node that applies an op, or a function that is one."""
    outputs = function(*[as_operand(one) for one in inputs])
    return (outputs[0] if isinstance(outputs, list | tuple) else outputs).owner  # type: ignore[no-any-return]


def _function_itself(function: Any) -> Any:
    """The function of scalars; functions of tensors are functions of scalars too."""
    return function


def _is_same_function(function: Any, other: Any) -> bool:
    """Return whether another thing is this function, or the op that it applies: ``node.op == T.exp``."""
    return other is function or other == function.op


def _stored(container: Any) -> Any:
    """The value that is stored, on the host."""
    return container.on_host()


def _cell(container: Any) -> list[Any]:
    """The value that is stored, on the host, in a list."""
    return [container.on_host()]


def _transfer(x: Any, target: str | None) -> Any:
    """Return `x`, for a device by Theano's name."""
    return identity.transfer(x, symgrad_device(target))


def _refusal(name: str, advice: str) -> property:
    def refuse(owner: Any) -> Any:
        raise NotKeptAttributeError(f"symgrad doesn't keep Theano's {name}. {advice}")

    return property(refuse)


# ---- constants ----


def _signature(constant: Any) -> tuple[Any, ...]:
    """Return what is the same for equal constants."""
    return constant.type, constant.data.shape, constant.data.tobytes()


def _equals(constant: Any, other: Any) -> bool:
    """Return whether another constant, or what becomes one, has the type and the value of this one."""
    other = other if isinstance(other, Variable) else as_operand(other)
    return isinstance(other, Constant) and _signature(constant) == _signature(other)


OBSERVERS = "Walk the finished graph with theano.gof.graph.ancestors."

METHODS: dict[type, dict[str, Callable[..., Any] | property]] = {
    Type: {"filter": _filter, "filter_inplace": _filter_inplace, "make_variable": _make_variable,
           "is_valid_value": _is_valid_value},
    TensorType: {
        "filter_variable": _filter_variable, "convert_variable": _convert_variable, "make_constant": _make_constant,
        "clone": _clone_type, "values_eq": _values_eq, "values_eq_approx": _values_eq_approx,
        "value_zeros": _value_zeros, "in_same_class": _in_same_class, "is_super": _is_super,
    },
    Apply: {
        "clone": _clone_node, "clone_with_new_inputs": _clone_with_new_inputs, "default_output": _default_output,
        "nin": _count_of("inputs"), "nout": _count_of("outputs"), "get_parents": _inputs_of,
    },
    ElementwiseFunction: {"make_node": _make_node, "scalar_op": property(_function_itself)},
    Op: {"make_node": _make_node, "scalar_op": property(_scalar_op), "destroy_map": property(_nothing_in_place),
         "view_map": property(_nothing_in_place)},
    Variable: {
        name: _refusal(name, OBSERVERS)
        for name in (
            "append_construction_observer", "construction_observers", "notify_construction_observers",
            "remove_construction_observer",
        )
    },
    Constant: {"equals": _equals, "signature": _signature, "value": property(attrgetter("data"))},
    Container: {"storage": property(_cell), "data": property(_stored)},
    SharedVariable: {"value": _refusal("sharedvar.value", "Use get_value() and set_value().")},
}  # fmt: skip
"""What is added to symgrad's classes, for those who ask by Theano's names."""


def add_methods() -> None:
    """Give symgrad's classes the methods of the table that they don't have."""
    for owner, members in METHODS.items():
        for name, member in members.items():
            if not hasattr(owner, name):
                setattr(owner, name, member)
    ElementwiseFunction.__eq__ = _is_same_function  # type: ignore[assignment, method-assign]
    FunctionMethods.transfer = _transfer  # type: ignore[assignment, method-assign]
    ElementwiseFunction.__hash__ = object.__hash__  # type: ignore[assignment, method-assign]
