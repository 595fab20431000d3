"""The nodes of a graph: variables, and the applications of ops that make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.config import config
from symgrad.graph.residence import Device, on_host, placed
from symgrad.graph.source import Source, current_source
from symgrad.graph.types import TensorType, Type

if TYPE_CHECKING:
    from symgrad.graph.op import Op


construction_observers: list[Callable[[Any], object]] = []
"""Called with each new variable."""


class Variable:
    """A symbolic value: an input, or an output of an `Apply`. Two variables are equal only if they are the same.

    Parameters
    ----------
    type : Type
        What is known about its value.
    owner : Apply, optional
        The application that computes it; None for an input.
    index : int
        Which of the owner's outputs it is.
    name : str, optional
        A name for people.

    Attributes
    ----------
    known : ndarray or None
        Its value, where the graph alone tells it (sizes, and integers made of sizes).
    expected : Type
        Its type with the sizes that shared variables have now. Only early error checks use it: `set_value` may
        change those sizes later.
    """

    __slots__ = (
        "__weakref__", "_evaluators", "_expected", "_source", "_tag", "index", "known", "name", "owner", "type",
    )  # fmt: skip

    type: Type
    owner: Apply | None
    known: np.ndarray | None
    _evaluators: dict[Any, Any]
    """The functions that have computed it before; only there if one has."""

    def __init__(self, type: Type, owner: Apply | None = None, index: int = 0, name: str | None = None) -> None:
        self.type = type
        self.owner = owner
        self.index = index
        self.name = name
        self.known = None
        self._expected: Type | None = None
        self._source = None if owner is not None else current_source()
        self._tag: SimpleNamespace | None = None
        if construction_observers:
            for observe in construction_observers:
                observe(self)

    @property
    def source(self) -> Source | None:
        """The user's line that made this variable."""
        return self._source if self.owner is None else self.owner.source

    @property
    def expected(self) -> Type:
        """The type with the sizes that shared variables have now."""
        return self.type if self._expected is None else self._expected

    @property
    def tag(self) -> SimpleNamespace:
        """A place for the user's own notes on this variable."""
        if self._tag is None:
            self._tag = SimpleNamespace()
        return self._tag

    def __repr__(self) -> str:
        if config.print_test_value and self._tag is not None and hasattr(self._tag, "test_value"):
            return f"{self}\n{self._tag.test_value!r}"
        return str(self)

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.owner is None:
            return f"<{self.type}>"
        suffix = f".{self.index}" if len(self.owner.outputs) > 1 else ""
        return f"{self.owner.op}{suffix}"

    def __reduce__(self) -> tuple[Any, ...]:
        from symgrad.graph.pickling import reduce_variable

        return reduce_variable(self)

    def __copy__(self) -> Any:
        return self.type(self.name)


class Constant(Variable):
    """A variable whose value is part of the graph."""

    __slots__ = ("data",)

    data: np.ndarray

    def __init__(self, type: Type, data: np.ndarray, name: str | None = None) -> None:
        super().__init__(type, name=name)
        self.data = data
        if data.ndim <= 1 and data.size <= 64 and data.dtype.kind in "iub":
            self.known = data

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.data.size <= 4:
            return np.array2string(self.data, separator=", ").replace("\n", "")
        return f"<constant {self.type}>"


class Container:
    """The storage of a shared variable: functions that share memory hold the same container.

    Attributes
    ----------
    value : ndarray, array of a device, or what else the variable's type holds
        The value, where it was put or used last.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def on_host(self) -> Any:
        """Return the value as it is on the host: a new array if it lies on a device, else the storage itself."""
        value = self.value
        return value if type(value) is np.ndarray else on_host(value)

    def at(self, device: Device | None) -> Any:
        """Return the value where `device` is, None being the host; one that lies elsewhere moves there."""
        value = self.value
        if device is not None or type(value) is not np.ndarray:
            self.value = value = placed(value, device)
        return value

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Return the value as it is on the host: files are read where there may be no device."""
        return None, {"value": self.on_host()}


class SharedVariable(Variable):
    """A variable that keeps its value between calls, and that compiled functions can update.

    Attributes
    ----------
    container : Container
        Its storage.
    default_update : Variable or None
        The expression that becomes its value after every call of a function that uses it, unless the function says
        otherwise.
    """

    __slots__ = ("container", "default_update")

    def __init__(self, type: Type, value: Any, name: str | None = None) -> None:
        super().__init__(type, name=name)
        self.container = Container(value)
        self.default_update: Variable | None = None

    def __delattr__(self, name: str) -> None:
        """Take a default update away, or forget another attribute."""
        if name == "default_update":
            self.default_update = None
        else:
            super().__delattr__(name)

    @property
    def expected(self) -> Type:
        """The type with the sizes of the current value; sizes 0 and 1 may be placeholders and stay unknown."""
        if not isinstance(self.type, TensorType) or self.type.is_static:
            return self.type
        value = self.container.value
        sizes = [
            known if known is not None else (size if size > 1 else None)
            for known, size in zip(self.type.shape, value.shape, strict=True)
        ]
        return TensorType(self.type.dtype, sizes, self.type.broadcastable)

    def __str__(self) -> str:
        return self.name if self.name is not None else f"<shared {self.type}>"


class Apply:
    """The application of an op to variables.

    Attributes
    ----------
    op : Op
        What is computed.
    inputs, outputs : tuple of Variable
        Of what, and into what. (The constructor takes the outputs' types, or fresh variables of them.)
    source : Source or None
        The user's line that asked for it.
    """

    __slots__ = ("__weakref__", "_tag", "inputs", "op", "outputs", "record", "source")

    def __init__(
        self, op: Op, inputs: Sequence[Variable], outputs: Sequence[Any], source: Source | None = None
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.source = source
        self.record: Any = None
        self._tag: SimpleNamespace | None = None
        if outputs and isinstance(outputs[0], Variable):
            self._adopt(outputs)
        elif len(outputs) == 1:
            self.outputs: tuple[Variable, ...] = (variable_class(outputs[0])(outputs[0], self),)
        else:
            self.outputs = tuple([variable_class(kind)(kind, self, index) for index, kind in enumerate(outputs)])

    def _adopt(self, outputs: Sequence[Any]) -> None:
        """Take fresh variables as outputs, as Theano's ``Apply(op, [x], [x.type()])`` does."""
        strange = [v for v in (*self.inputs, *outputs) if not isinstance(v, Variable)]
        if strange:
            raise TypeError(f"Apply takes variables, got {type(strange[0]).__name__} {strange[0]!r:.60}")
        for index, variable in enumerate(outputs):
            if variable.owner is not None or isinstance(variable, Constant | SharedVariable):
                raise ValueError(f"an output of Apply must be a fresh variable such as x.type(), got {variable}")
            variable.owner, variable.index = self, index
        self.outputs = tuple(outputs)
        self.source = self.source or current_source()
        self.op.declare(self)

    @property
    def tag(self) -> SimpleNamespace:
        """A place for the user's own notes on this node."""
        if self._tag is None:
            self._tag = SimpleNamespace()
        return self._tag

    @property
    def nin(self) -> int:
        """Number of inputs."""
        return len(self.inputs)

    @property
    def nout(self) -> int:
        """Number of outputs."""
        return len(self.outputs)

    def default_output(self) -> Variable:
        """Return the output that stands for the node: the only one, or that which the op names."""
        position = getattr(self.op, "default_output", None)
        return self.out if position is None else self.outputs[position]

    @property
    def out(self) -> Variable:
        """The output, of an op that has one."""
        (output,) = self.outputs
        return output

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(str(variable) for variable in self.inputs)})"


class _VariableClasses:
    """Which class makes the variables of a type: the user's language adds operators to tensors."""

    variable: type[Variable] = Variable
    constant: type[Constant] = Constant


def variable_class(type: Type) -> type[Variable]:
    """Return the class of variables of `type`."""
    return _VariableClasses.variable if isinstance(type, TensorType) else type.variable_class or Variable


def set_tensor_classes(variable: type[Variable], constant: type[Constant]) -> None:
    """Register the classes of the user's language, whose instances understand Python's operators."""
    _VariableClasses.variable = variable
    _VariableClasses.constant = constant


def make_constant(data: np.ndarray, name: str | None = None) -> Any:
    """Return a constant that holds `data` itself (not a copy)."""
    return _VariableClasses.constant(TensorType(data.dtype, data.shape), data, name)
