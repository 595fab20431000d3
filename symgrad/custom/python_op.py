"""`PythonOp`: the base of ops written with Theano's protocol."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from symgrad.config import config
from symgrad.custom.performing import Performer
from symgrad.errors import DTypeError, GradientError, NullTypeGradError, ShapeError
from symgrad.graph.absent import DisconnectedType, NullType
from symgrad.graph.op import Disconnected, Op, Operand, Undefined, attributed_to, user_error
from symgrad.graph.source import current_source
from symgrad.graph.test_values import note_test_values, without_test_values
from symgrad.graph.types import TensorType, Type
from symgrad.graph.variables import Apply, Variable, make_constant
from symgrad.kernels.grammar import Evaluate
from symgrad.ops.casting import cast
from symgrad.ops.promotion import as_operand, is_discrete
from symgrad.ops.sizes import specify_shape

Signature = tuple[tuple[Type, ...], tuple[Type, ...]]


class PythonOp(Op):
    """The base of ops that run Python: Theano's ``Op``.

    A subclass says its parameters in ``__props__`` (ops of equal parameters are equal), and defines

    - ``make_node(*inputs)``, which returns ``Apply(self, inputs, outputs)`` with fresh output variables; or it sets
      `itypes` and `otypes`, lists of types;
    - ``perform(node, inputs, output_storage)``, which puts each result into ``output_storage[k][0]``;
    - ``grad(inputs, output_gradients)`` or ``L_op(inputs, outputs, output_gradients)``, which return the gradient of
      each input, as an expression; an input that no gradient reaches gets ``disconnected_type()``, one whose gradient
      can't be told `grad_undefined` or `grad_not_implemented`;
    - if it likes ``R_op(inputs, eval_points)``, the forward derivative (else it is worked out from `grad`),
      ``infer_shape(node, input_shapes)``, and ``connection_pattern(node)``.

    A ``destroy_map`` is honoured by handing ``perform`` a copy, a ``view_map`` by copying the result. Code in C isn't
    looked at: ``perform`` runs.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> class Doubled(PythonOp):
    ...     __props__ = ()
    ...     def make_node(self, x):
    ...         x = T.as_tensor_variable(x)
    ...         return symgrad.Apply(self, [x], [x.type()])
    ...     def perform(self, node, inputs, output_storage):
    ...         output_storage[0][0] = inputs[0] * 2
    ...     def grad(self, inputs, output_gradients):
    ...         return [output_gradients[0] * 2]
    >>> x = T.dvector('x')
    >>> y = Doubled()(x)
    >>> print(y.eval({x: [1., 2.]}), symgrad.grad(y.sum(), x).eval({x: [1., 2.]}))
    [2. 4.] [2. 2.]
    """

    takes_any_type = True

    __props__: ClassVar[tuple[str, ...] | None] = None
    itypes: ClassVar[Sequence[Any] | None] = None
    otypes: ClassVar[Sequence[Any] | None] = None
    default_output: int | None = None
    view_map: dict[int, list[int]] = {}
    destroy_map: dict[int, list[int]] = {}
    params_type: Any = None

    # ---- what it is ----

    def _props(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.__props__ or ()])

    def _props_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__props__ or ()}

    def __eq__(self, other: object) -> bool:
        if self.__props__ is None:
            return self is other
        return type(self) is type(other) and self._props() == other._props()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return object.__hash__(self) if self.__props__ is None else hash((type(self), self._props()))

    @property
    def name(self) -> str:
        """The name that prints and errors show: the class's, and the parameters."""
        given = self.__dict__.get("_name")
        if given is not None:
            return str(given)
        shown = ", ".join(f"{key}={value}" for key, value in self._props_dict().items())
        return f"{type(self).__name__}{{{shown}}}" if shown else type(self).__name__

    @name.setter
    def name(self, value: str | None) -> None:
        self.__dict__["_name"] = value

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return str(self)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_signatures"}

    # ---- what the user defines ----

    def make_node(self, *inputs: Any) -> Apply:
        """Return the node that applies the op; by default as `itypes` and `otypes` say."""
        if self.itypes is None or self.otypes is None:
            raise NotImplementedError(f"{type(self).__name__} defines neither make_node nor itypes and otypes")
        wanted, made = [_type_of(kind) for kind in self.itypes], [_type_of(kind) for kind in self.otypes]
        if len(inputs) != len(wanted):
            raise user_error(ValueError, f"{self} takes {len(wanted)} inputs, got {len(inputs)}")
        variables = [as_operand(x) if isinstance(kind, TensorType) else x
                     for x, kind in zip(inputs, wanted, strict=True)]  # fmt: skip
        if not all(_fits(kind, variable.type) for kind, variable in zip(wanted, variables, strict=True)):
            expected = ", ".join(map(str, wanted))
            raise user_error(DTypeError, f"{self} takes ({expected})", variables, "Cast or reshape the operand.")
        return Apply(self, variables, [kind() for kind in made])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        """Compute the outputs."""
        written = " It has c_code only, which isn't looked at." if hasattr(self, "c_code") else ""
        raise NotImplementedError(f"{type(self).__name__} defines no perform.{written}")

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradient of each input."""
        return [grad_not_implemented(self, position, x) for position, x in enumerate(inputs)]

    def L_op(self, inputs: Sequence[Any], outputs: Sequence[Any], output_gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradient of each input; the outputs are at hand. By default `grad`."""
        return self.grad(inputs, output_gradients)

    def infer_shape(self, node: Apply, input_shapes: Sequence[Any]) -> Sequence[Any]:
        """Return the sizes of each output from those of the inputs."""
        raise NotImplementedError

    def get_params(self, node: Apply) -> Any:
        """Return what `perform` gets as its last argument, if `params_type` is set."""
        return self.params_type.filter({key: getattr(self, key) for key in self._props_dict()})

    # ---- applying it ----

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Apply the op; return its output, or the list of its outputs if there are several."""
        return_list = options.pop("return_list", False)
        with attributed_to(current_source()):
            node = self.make_node(*inputs, **options)
            if config.compute_test_value != "off":
                note_test_values(node)
        if node.op is not self and node.source is None:
            node.source = current_source()
        if return_list:
            return list(node.outputs)
        if self.default_output is not None:
            return node.outputs[self.default_output]
        return node.outputs[0] if len(node.outputs) == 1 else list(node.outputs)

    @property
    def _known_signatures(self) -> dict[Any, Signature]:
        found: dict[Any, Signature] = self.__dict__.setdefault("_signatures", {})
        return found

    def declare(self, node: Apply) -> None:
        """Keep of a fresh node's types only what the op promises for all sizes, and remember them."""
        inputs = tuple([_without_sizes(variable.type) for variable in node.inputs])
        outputs = tuple([_without_sizes(variable.type) for variable in node.outputs])
        self._known_signatures[_key(node.inputs)] = inputs, outputs
        for variable, kind in zip(node.outputs, self._with_sizes(outputs, node.inputs), strict=True):
            variable.type = kind

    def infer(self, *inputs: Any) -> Sequence[Type]:
        found = self._known_signatures.get(_key(inputs))
        if found is None:
            with without_test_values():
                node = self.make_node(*[_stand_in(operand) for operand in inputs])
            given = tuple([_without_sizes(x.type) for x in inputs])
            found = given, tuple([_without_sizes(v.type) for v in node.outputs])
            self._known_signatures[_key(inputs)] = found
        return self._with_sizes(found[1], inputs)

    def _with_sizes(self, outputs: Sequence[Type], inputs: Sequence[Any]) -> list[Type]:
        """Put the sizes into the outputs' types that `infer_shape` tells."""
        sizes = [getattr(x.type, "shape", ()) for x in inputs]
        is_told = type(self).infer_shape is not PythonOp.infer_shape
        knows_nothing = any(map(len, sizes)) and all(size in (None, 1) for shape in sizes for size in shape)
        if not is_told or knows_nothing:
            return list(outputs)
        node = Apply(self, [x.type() for x in inputs], list(outputs))
        shapes = [
            tuple([TensorType("int64", ())() if size is None else as_operand(np.int64(size)) for size in shape])
            for shape in sizes
        ]
        try:
            takes_graph = len(inspect.signature(self.infer_shape).parameters) == 3
            with without_test_values():
                found: Any = self.infer_shape(None, node, shapes) if takes_graph else self.infer_shape(node, shapes)  # type: ignore[call-arg, arg-type]
        except NotImplementedError:
            return list(outputs)
        return [_sized(kind, shape) for kind, shape in zip(outputs, found, strict=True)]

    # ---- running it ----

    @property
    def may_fold(self) -> bool:
        """As the op's ``do_constant_folding`` says, if it has one."""
        decides = getattr(self, "do_constant_folding", None)
        if decides is None:
            return True
        return bool(decides(*[None] * len(inspect.signature(decides).parameters)))

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, *inputs: Any) -> Sequence[Any]:
        """Run `perform` on arrays."""
        for kinds, outputs in self._known_signatures.values():
            if len(kinds) == len(inputs) and all(map(_holds, kinds, inputs)):
                return Performer(Apply(self, [kind() for kind in kinds], outputs))(*inputs)
        with without_test_values():
            node = self.make_node(*[TensorType(v.dtype, [None] * v.ndim)() for v in map(np.asarray, inputs)])
        return Performer(node)(*inputs)

    def lower(self, apply: Apply) -> Any:
        return Evaluate(self.name, Performer(apply))

    # ---- derivatives ----

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        node = outputs[0].owner
        given = [DisconnectedType()() if c is None else c for c in cotangents]
        found = self.L_op(list(inputs), list(outputs), given)
        if not isinstance(found, list | tuple) or len(found) != len(inputs):
            count = len(found) if isinstance(found, list | tuple) else type(found).__name__
            raise (NullTypeGradError if found is None else GradientError)(
                f"grad of {self} must return a list of gradients, one for each of {len(inputs)} inputs, got {count}"
            )
        pattern: Any = getattr(self, "connection_pattern", None)
        connected = None if pattern is None else pattern(node)
        results = []
        for position, (x, result) in enumerate(zip(inputs, found, strict=True)):
            if connected is not None and not any(
                is_connected and c is not None for is_connected, c in zip(connected[position], cotangents, strict=True)
            ):
                results.append(Disconnected(f"its connection_pattern says that input {position} doesn't matter"))
            else:
                results.append(self._cotangent(position, x, result))
        return results

    def _cotangent(self, position: int, x: Any, result: Any) -> Any:
        if result is None:
            raise NullTypeGradError(
                f"grad of {self} returned None for input {position}; "
                "return zeros, disconnected_type(), or grad_undefined(...)"
            )
        if not isinstance(result, Variable):
            result = as_operand(result)
        if isinstance(result.type, NullType):
            return Undefined(result.type.why_null)
        if isinstance(result.type, DisconnectedType):
            return Disconnected("its grad says so")
        if not isinstance(x.type, TensorType) or is_discrete(x.type.dtype):
            return Disconnected(f"{x} is {x.type}")
        if not isinstance(result.type, TensorType) or result.type.ndim != x.type.ndim:
            raise GradientError(f"grad of {self} returned {result.type} for input {position}, which is {x.type}")
        return specify_shape(cast(result, x.type.dtype), [1 if ones else None for ones in x.type.broadcastable])

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """What `R_op` says; else the gradient of the gradient."""
        if not hasattr(self, "R_op"):
            from symgrad.gradient.forward import pulled_twice

            return pulled_twice(self, inputs, outputs, tangents)
        found = self.R_op(list(inputs), list(tangents))
        results: list[Any] = []
        for output, tangent in zip(outputs, found, strict=True):
            if tangent is None or isinstance(tangent.type, DisconnectedType | NullType):
                results.append(None)
            else:
                results.append(cast(tangent, output.type.dtype))
        return results


def _type_of(kind: Any) -> Type:
    """Return the type that `itypes` names: a type, or a constructor such as ``T.dvector``."""
    return kind if isinstance(kind, Type) else kind().type  # type: ignore[no-any-return]


def _fits(wanted: Type, found: Type) -> bool:
    if not isinstance(wanted, TensorType) or not isinstance(found, TensorType):
        return bool(wanted == found)
    stretches = all(not a or b for a, b in zip(wanted.broadcastable, found.broadcastable, strict=False))
    return wanted.dtype == found.dtype and wanted.ndim == found.ndim and stretches


def _without_sizes(kind: Any) -> Any:
    """Return what Theano's types tell: dtype, number of axes, and which stretch."""
    if not isinstance(kind, TensorType):
        return kind
    return TensorType(kind.dtype, [1 if ones else None for ones in kind.broadcastable], kind.broadcastable)


def _sized(kind: Any, shape: Any) -> Any:
    """Return a type with the sizes that are known numbers."""
    if not isinstance(kind, TensorType) or shape is None:
        return kind
    if len(shape) != kind.ndim:
        raise ShapeError(f"infer_shape returned {len(shape)} sizes for an output of {kind.ndim} axes")
    sizes = [None if (value := as_operand(size).known) is None else int(value) for size in shape]
    return TensorType(kind.dtype, [1 if ones else size for size, ones in zip(sizes, kind.broadcastable, strict=True)],
                      kind.broadcastable)  # fmt: skip


def _key(inputs: Sequence[Any]) -> Any:
    """What the types of the outputs may depend on."""
    return tuple([(_without_sizes(x.type), None if x.known is None else x.known.tobytes()) for x in inputs])


def _stand_in(operand: Any) -> Any:
    """Return a variable for an operand of which only the type is there."""
    if isinstance(operand, Operand) or operand.known is not None:
        return make_constant(operand.known) if operand.known is not None else _without_sizes(operand.type)()
    return operand


def _holds(kind: Any, value: Any) -> bool:
    if not isinstance(kind, TensorType):
        return True
    return isinstance(value, np.ndarray) and value.dtype == kind.numpy_dtype and value.ndim == kind.ndim


def grad_not_implemented(op: Any, x_pos: int, x: Any, comment: str = "") -> Any:
    """Return what a `grad` returns for an input whose gradient nobody has written.

    Parameters
    ----------
    op : Op
        The op.
    x_pos : int
        Which input.
    x : Variable
        The input.
    comment : str
        Why.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.grad_not_implemented``.
    """
    return NullType(f"its gradient for input {x_pos} isn't written. {comment}".rstrip())()


def grad_undefined(op: Any, x_pos: int, x: Any, comment: str = "") -> Any:
    """Return what a `grad` returns for an input with respect to which there is no gradient; see `grad_not_implemented`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.grad_undefined``.
    """
    return NullType(f"its gradient for input {x_pos} isn't defined. {comment}".rstrip())()


def disconnected_type() -> Any:
    """Return what a `grad` returns for an input on which the outputs don't depend.

    Examples
    --------
    >>> disconnected_type().type
    disconnected
    """
    return DisconnectedType()()

