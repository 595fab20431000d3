"""Graphs used as ops: `OpFromGraph`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.control.bodies import Body, infer_body, interpret, make_body
from symgrad.control.derivatives import gradients_inside, missing
from symgrad.control.patterns import fit_pattern, input_like
from symgrad.errors import DTypeError, GradientError, MissingInputError, ShapeError
from symgrad.gradient.forward import Rop
from symgrad.graph.absent import DisconnectedType, NullType
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, Undefined, register, user_error
from symgrad.graph.test_values import without_test_values
from symgrad.graph.traversal import graph_inputs, substitute
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Constant, SharedVariable, Variable
from symgrad.ops.creation import zeros_like
from symgrad.ops.promotion import as_operand, is_discrete
from symgrad.ops.sampling import spread

DEFAULT = "default"


@register
@dataclass(frozen=True, init=False, eq=False)
class OpFromGraph(Op):
    """A graph used as an op: applied again and again, with a derivative of its own if you like.

    Parameters
    ----------
    inputs : list of Variable
        What the op takes.
    outputs : list of Variable
        What it gives. Shared variables that the outputs use needn't be among the inputs.
    inline : bool
        Accepted for Theano's sake: the graph is always put in place of the op before a function is compiled, so the op
        costs nothing.
    lop_overrides, grad_overrides : 'default', callable, OpFromGraph, or list of them
        The gradient. ``grad_overrides(inputs, output_gradients)``, or ``lop_overrides(inputs, outputs,
        output_gradients)``, returns the gradients of all inputs. In a list, each entry is for one input, and returns
        that input's gradient; an entry may also be ``'default'``, None (no gradient), or a variable of
        `DisconnectedType` or `NullType`.
    rop_overrides : 'default', callable, OpFromGraph, or list of them
        The forward derivative: ``rop_overrides(inputs, directions)`` returns those of all outputs, or in a list of one.
    connection_pattern
        Accepted for Theano's sake.
    name : str, optional
        A name for people.
    **kwargs
        Options of `function`, accepted for Theano's sake; `updates` and `givens` are refused.

    Raises
    ------
    TypeError
        If inputs or outputs aren't variables.
    MissingInputError
        If the outputs need more than the inputs.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.OpFromGraph``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x, y = T.dscalars('x', 'y')
    >>> distance = symgrad.OpFromGraph([x, y], [T.sqrt(x ** 2 + y ** 2)], name='distance')
    >>> a = T.dscalar('a')
    >>> print(symgrad.function([a], distance(a, 4.0))(3.0))
    5.0
    """

    takes_any_type = True

    body: Body
    shared: tuple[SharedVariable, ...]
    inline: bool
    overrides: tuple[Any, ...]
    label: str

    def __init__(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        inline: bool = False,
        lop_overrides: Any = DEFAULT,
        grad_overrides: Any = DEFAULT,
        rop_overrides: Any = DEFAULT,
        connection_pattern: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        for refused in ("updates", "givens"):
            if refused in kwargs:
                raise user_error(TypeError, f"OpFromGraph takes no {refused}")
        if lop_overrides != DEFAULT and grad_overrides != DEFAULT:
            raise user_error(ValueError, "OpFromGraph takes lop_overrides or grad_overrides, not both")
        given = list(inputs)
        _check_inputs(given)
        results = [as_operand(output) for output in outputs]
        stand_ins = {variable: input_like(variable) for variable in given}
        with without_test_values():
            roots = substitute(results, dict(stand_ins))
            roots, shared, lifted = _with_shared_as_inputs(roots, list(stand_ins.values()))
        fields = {
            "body": make_body([*stand_ins.values(), *lifted], roots),
            "shared": tuple(shared),
            "inline": bool(inline),
            "overrides": (_listed(lop_overrides), _listed(grad_overrides), _listed(rop_overrides)),
            "label": name or "",
        }
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    def _identity(self) -> tuple[Any, ...]:
        return self.body, self.shared, self.overrides, self.label

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, OpFromGraph) and self._identity() == other._identity())

    def __hash__(self) -> int:
        return hash((self.body, self.label))

    @property
    def name(self) -> str:
        return self.label or "op_from_graph"

    @property
    def graphs(self) -> tuple[Body, ...]:
        """The graph inside, for those who rewrite or print it."""
        return (self.body,)

    def with_graphs(self, graphs: Sequence[Body]) -> OpFromGraph:
        """Return this op with another graph of the same meaning."""
        again = object.__new__(OpFromGraph)
        for field in ("shared", "inline", "overrides", "label"):
            object.__setattr__(again, field, getattr(self, field))
        object.__setattr__(again, "body", graphs[0])
        return again

    # ---- application ----

    def __call__(self, *inputs: Any) -> Any:
        """Apply the op; return its output, or the tuple of its outputs if there are several."""
        wanted = self.body.inputs[: len(self.body.inputs) - len(self.shared)]
        if len(inputs) != len(wanted) and len(inputs) != len(self.body.inputs):
            raise user_error(TypeError, f"{self.name} takes {len(wanted)} inputs, got {len(inputs)}")
        operands = [
            value if isinstance(value, Variable) else as_operand(variable.type.convert(value))
            for variable, value in zip(self.body.inputs, inputs, strict=False)
        ]
        if len(operands) == len(wanted):
            operands += self.shared
        return super().__call__(*operands)

    def infer(self, *inputs: Any) -> list[TensorType]:
        for place, (variable, operand) in enumerate(zip(self.body.inputs, inputs, strict=True)):
            kind: Any = variable.type
            if operand.type.dtype != kind.dtype:
                raise InferenceError(
                    DTypeError, f"input {place} of {self.name} is {kind}, got {operand.type}",
                    f"Cast it: .astype('{kind.dtype}').",
                )  # fmt: skip
            sizes = zip(kind.shape, operand.type.shape, strict=False)
            if operand.type.ndim != kind.ndim or any(None not in pair and pair[0] != pair[1] for pair in sizes):
                raise InferenceError(ShapeError, f"input {place} of {self.name} is {kind}, got {operand.type}")
        return [found.type for found in infer_body(self.body, inputs, self.name)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        return interpret(self.body, inputs)

    def stand_ins(self, inner: Sequence[Any], inputs: Sequence[Any]) -> dict[Any, Any]:
        """Return what stands for the inputs of the graph where it is put in place of the op."""
        return {variable: fit_pattern(operand, variable.type) for variable, operand in zip(inner, inputs, strict=True)}

    # ---- derivatives ----

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        of_outputs, of_gradients, _ = self.overrides
        count = len(inputs) - len(self.shared)
        given = list(inputs[:count])
        overrides = of_gradients if of_gradients != DEFAULT else of_outputs
        found = self._default_gradient(inputs, cotangents)
        if overrides == DEFAULT:
            return found
        filled = [zeros_like(o) if c is None else c for o, c in zip(outputs, cotangents, strict=True)]
        operands: list[Any] = [given, filled] if of_gradients != DEFAULT else [given, list(outputs), filled]
        own = _overridden(overrides, operands, found[:count], f"the gradient of {self.name}")
        return [*[_as_cotangent(*pair) for pair in zip(own, given, strict=True)], *found[count:]]

    def _default_gradient(self, inputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Return the gradient through the graph itself, which takes the op's place in it."""
        body = self.body
        given = [cotangent for cotangent in cotangents if cotangent is not None]
        reached = [root for root, c in zip(body.outputs, cotangents, strict=True) if c is not None]
        received = [input_like(cotangent) for cotangent in given]
        wrt = [variable for variable in body.inputs if not is_discrete(variable.type.dtype)]  # type: ignore[attr-defined]
        with without_test_values():
            found = gradients_inside(zip(reached, received, strict=True), wrt)
        outside = self.stand_ins(body.inputs, inputs) | dict(zip(received, given, strict=True))
        values = dict(zip(found, substitute(list(found.values()), outside), strict=True))
        return [
            fit_pattern(values[variable], operand.type) if variable in values
            else missing(operand, "the graph of the op") for variable, operand in zip(body.inputs, inputs, strict=True)
        ]  # fmt: skip

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Push tangents through the graph itself, or as the overrides say."""
        overrides = self.overrides[2]
        found = self._default_tangents(inputs, outputs, tangents)
        if overrides == DEFAULT:
            return found
        count = len(inputs) - len(self.shared)
        given = list(inputs[:count])
        directions = [zeros_like(v) if t is None else t for v, t in zip(given, tangents, strict=False)]
        return _overridden(overrides, [given, directions], found, f"the forward derivative of {self.name}")

    def _default_tangents(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        body = self.body
        moved = {v: input_like(t) for v, t in zip(body.inputs, tangents, strict=True) if t is not None}
        smooth = [root for root in body.outputs if not is_discrete(root.type.dtype)]  # type: ignore[attr-defined]
        with without_test_values():
            made = Rop(smooth, list(moved), list(moved.values())) if smooth else []
        outside = self.stand_ins(body.inputs, inputs)
        outside |= dict(zip(moved.values(), [t for t in tangents if t is not None], strict=True))
        values = dict(zip(smooth, substitute(list(made), outside), strict=True))
        return [values.get(root) for root in body.outputs]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        x, y = TensorType("float64", (None, None))("x"), TensorType("float64", (None, None))("y")
        op = cls([x, y], [x * y + y, x - y], name="graph")
        yield op, Sample((spread(2, 3), spread(2, 3, start=7)))
        yield op, Sample((spread(1, 0), spread(1, 0)))
        yield op, Sample((spread(2, 3), spread(2, 4)), ShapeError)
        yield op, Sample((spread(2, 3), spread(2, 3, dtype="float32")), DTypeError)
        yield op, Sample((spread(2, 3), spread(3)), ShapeError)


def _check_inputs(inputs: Sequence[Any]) -> None:
    for variable in inputs:
        if not isinstance(variable, Variable) or isinstance(variable, Constant):
            raise user_error(
                TypeError, f"the inputs of OpFromGraph must be symbolic variables, got {variable!r:.60}", (),
            )  # fmt: skip
        if isinstance(variable, SharedVariable):
            raise user_error(
                TypeError, f"a shared variable ({variable}) can't be an input of OpFromGraph", [variable],
                "Leave it out: the outputs may use it all the same.",
            )  # fmt: skip
    if len(set(inputs)) < len(inputs):
        raise user_error(ValueError, "an input of OpFromGraph is listed twice")


def _with_shared_as_inputs(roots: list[Any], given: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the roots with an input for each shared variable, and both."""
    leaves = [v for v in graph_inputs(roots) if v not in given and not isinstance(v, Constant)]
    unknown = [v for v in leaves if not isinstance(v, SharedVariable)]
    if unknown:
        raise user_error(
            MissingInputError, "the outputs of OpFromGraph need more than its inputs", unknown,
            "Add it to the inputs.",
        )  # fmt: skip
    lifted = {variable: input_like(variable) for variable in leaves}
    return substitute(roots, dict(lifted)), leaves, list(lifted.values())


def _listed(overrides: Any) -> Any:
    return tuple(overrides) if isinstance(overrides, list | tuple) else overrides


def _overridden(overrides: Any, operands: Sequence[list[Any]], default: Sequence[Any], what: str) -> list[Any]:
    """Return what the user's overrides give in place of the default derivatives."""
    if not isinstance(overrides, tuple):
        found = _called(overrides, operands)
        if len(found) != len(default):
            raise user_error(
                GradientError, f"{what} was overridden to {len(found)} variables, and must be {len(default)}"
            )
        return found
    if len(overrides) != len(default):
        raise user_error(
            GradientError, f"{what} is overridden by a list of {len(overrides)}, and must be by one of {len(default)}"
        )
    found = []
    for override, usual in zip(overrides, default, strict=True):
        if isinstance(override, str) and override == DEFAULT:
            found.append(usual)
        elif override is None or isinstance(override, Variable):
            found.append(override)
        else:
            (one,) = _called(override, operands)
            found.append(one)
    return found


def _called(override: Callable[..., Any], operands: Sequence[list[Any]]) -> list[Any]:
    if isinstance(override, OpFromGraph):
        made = override(*[operand for group in operands for operand in group])
    else:
        made = override(*operands)
    return list(made) if isinstance(made, list | tuple) else [made]


def _as_cotangent(value: Any, operand: Any) -> Any:
    """Return what the engine of gradients understands by an override's result."""
    if value is None or isinstance(value, Disconnected | Undefined):
        return Disconnected("the op's gradient is overridden by None") if value is None else value
    if isinstance(value, Variable):
        if isinstance(value.type, DisconnectedType):
            return Disconnected("the op's gradient is overridden as disconnected")
        if isinstance(value.type, NullType):
            return Undefined(value.type.why_null)
    value = as_operand(value)
    return fit_pattern(value, operand.type) if value.type.ndim == operand.type.ndim else value


__all__ = ["OpFromGraph"]

