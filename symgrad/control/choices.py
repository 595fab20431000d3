"""Choices: one of two expressions, of which only the chosen one is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.control.bodies import Body, infer_body, interpret, make_body
from symgrad.control.derivatives import gradients_inside, missing
from symgrad.control.patterns import as_outputs, fit_pattern, input_like
from symgrad.errors import DTypeError, RankError, ShapeError
from symgrad.gradient.forward import Rop
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.test_values import without_test_values
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Branch, Kernel
from symgrad.ops.comparison import neq
from symgrad.ops.creation import zeros_like
from symgrad.ops.promotion import as_operand, as_operands, is_discrete
from symgrad.ops.sampling import number, spread


@register
@dataclass(frozen=True)
class IfElse(Op):
    """One of two graphs of the same inputs, as a bool scalar says. The other one isn't computed.

    Parameters
    ----------
    if_true, if_false : Body
        The graphs.
    label : str
        A name for people.
    """

    takes_any_type = True

    if_true: Body
    if_false: Body
    label: str = ""

    @property
    def name(self) -> str:
        return f"ifelse{{{self.label}}}" if self.label else "ifelse"

    @property
    def graphs(self) -> tuple[Body, ...]:
        """The graphs inside, for those who rewrite or print them."""
        return self.if_true, self.if_false

    def with_graphs(self, graphs: Sequence[Body]) -> IfElse:
        """Return this choice between other graphs of the same meaning."""
        if_true, if_false = graphs
        return IfElse(if_true, if_false, self.label)

    def infer(self, condition: Any, *inputs: Any) -> list[TensorType]:
        if condition.type.ndim or condition.type.dtype != "bool":
            raise InferenceError(DTypeError, f"a condition must be a bool scalar, got {condition.type}")
        sides = [[found.type for found in infer_body(graph, inputs, self.name)] for graph in self.graphs]
        return [_common(*pair) for pair in zip(*sides, strict=True)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        condition, *operands = inputs
        return interpret(self.if_true if bool(condition) else self.if_false, operands)

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Choose between the gradients of the two graphs; what only the other one uses gets zeros."""
        with without_test_values():
            return self._gradient(inputs, cotangents)

    def _gradient(self, inputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        _, *operands = inputs
        given = [(place, cotangent) for place, cotangent in enumerate(cotangents) if cotangent is not None]
        received = [input_like(cotangent) for _, cotangent in given]
        wrt = [place for place, operand in enumerate(operands) if not is_discrete(operand.type.dtype)]
        sides = [
            gradients_inside(
                [(graph.outputs[place], stand_in) for (place, _), stand_in in zip(given, received, strict=True)],
                [graph.inputs[place] for place in wrt],
            )
            for graph in self.graphs
        ]
        pairs = list(zip(self.graphs, sides, strict=True))
        reached = [place for place in wrt if any(graph.inputs[place] in side for graph, side in pairs)]
        graphs = []
        for graph, side in pairs:
            variables = [graph.inputs[place] for place in reached]
            graphs.append(_with_inputs(graph, received, [side[v] if v in side else zeros_like(v) for v in variables]))
        made = self._apply(graphs, inputs, [cotangent for _, cotangent in given]) if reached else []
        found = dict(zip(reached, made, strict=True))
        return [
            Disconnected("it is a condition"),
            *[found[p] if p in found else missing(v, "the chosen graphs") for p, v in enumerate(operands)],
        ]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Choose between the tangents of the two graphs."""
        with without_test_values():
            return self._pushforward(inputs, outputs, tangents)

    def _pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        given = {place: t for place, t in enumerate(tangents[1:]) if t is not None}
        received = [input_like(tangent) for tangent in given.values()]
        moved = [place for place, output in enumerate(outputs) if not is_discrete(output.type.dtype)]
        graphs = []
        for graph in self.graphs:
            wrt = [graph.inputs[place] for place in given]
            found = Rop([graph.outputs[place] for place in moved], wrt, received)
            graphs.append(_with_inputs(graph, received, found))
        results = iter(self._apply(graphs, inputs, list(given.values())) if moved else [])
        return [next(results) if place in moved else None for place in range(len(outputs))]

    def _apply(self, graphs: Sequence[Body], inputs: Sequence[Any], more: Sequence[Any]) -> list[Any]:
        """Return the outputs of a choice between other graphs, of the operands that they read."""
        condition, *operands = [*inputs, *more]
        return as_outputs(apply_choice(graphs, self.label, condition, operands))

    def lower(self, apply: Apply) -> Kernel:
        return Branch(self.if_true, self.if_false)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        x, y = TensorType("float64", (None, None))("x"), TensorType("float64", (None, None))("y")
        choice = cls(make_body([x, y], [x * y, x]), make_body([x, y], [y, x + y]))
        for chosen in (True, False):
            yield choice, Sample((np.array(chosen), spread(2, 3), spread(2, 3, start=9)))
        yield choice, Sample((np.array(True), spread(0, 1), spread(0, 1)))
        yield choice, Sample((np.array(True), spread(2, 3), spread(2, 4)), ShapeError)
        yield choice, Sample((np.array(1.5), spread(2, 3), spread(2, 3)), DTypeError)
        n = TensorType("int32", ())("n")
        yield cls(make_body([n], [n * n]), make_body([n], [-n])), Sample((np.array(False), number(3, "int32")))


def _common(one: Any, other: Any) -> Any:
    """Return what is known about a value that is of one type or of another."""
    if not (isinstance(one, TensorType) and isinstance(other, TensorType)):
        if one != other:
            raise InferenceError(DTypeError, f"the two sides of ifelse are {one} and {other}", "Convert one of them.")
        return one
    if one.dtype != other.dtype:
        raise InferenceError(DTypeError, f"the two sides of ifelse are {one} and {other}", "Cast one of them.")
    if one.ndim != other.ndim or one.broadcastable != other.broadcastable:
        raise InferenceError(ShapeError, f"the two sides of ifelse are {one} and {other}")
    sizes = [size if size == found else None for size, found in zip(one.shape, other.shape, strict=True)]
    return TensorType(one.dtype, sizes, one.broadcastable)


def apply_choice(graphs: Sequence[Body], label: str, condition: Any, operands: Sequence[Any]) -> Any:
    """Apply a choice between two graphs to the operands that at least one of them reads."""
    one, other = _alike(*graphs)
    read = sorted(read_inputs(one) | read_inputs(other))
    if_true, if_false = [make_body([side.inputs[place] for place in read], side.outputs) for side in (one, other)]
    return IfElse(if_true, if_false, label)(condition, *[operands[place] for place in read])


def read_inputs(graph: Body) -> set[int]:
    """Return which inputs a graph reads, by place."""
    used = set(graph.outputs)
    for node in graph.order:
        used.update(node.inputs)
    return {place for place, variable in enumerate(graph.inputs) if variable in used}


def _with_inputs(graph: Body, more: Sequence[Any], outputs: Sequence[Any]) -> Body:
    """Return the graph of other outputs from the same inputs, and from more."""
    return make_body([*graph.inputs, *more], outputs)


def _alike(one: Body, other: Body) -> tuple[Body, Body]:
    """Return two graphs whose outputs stretch on the same axes."""
    outputs: tuple[list[Any], list[Any]] = ([], [])
    for first, second in zip(one.outputs, other.outputs, strict=True):
        if not isinstance(first.type, TensorType):
            outputs[0].append(first)
            outputs[1].append(second)
            continue
        kind = TensorType(
            first.type.dtype, [None] * first.type.ndim,  # type: ignore[attr-defined]
            [a and b for a, b in zip(first.type.broadcastable, second.type.broadcastable, strict=True)],  # type: ignore[attr-defined]
        )  # fmt: skip
        outputs[0].append(fit_pattern(first, kind))
        outputs[1].append(fit_pattern(second, kind))
    return make_body(one.inputs, outputs[0]), make_body(other.inputs, outputs[1])


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """Return one of two values, as a condition says; only what the chosen one needs is computed.

    Parameters
    ----------
    condition : scalar
        Chooses `then_branch` unless it is zero.
    then_branch, else_branch : tensor, or list of tensors
        As many values on both sides; dtypes and numbers of axes must agree. `T.switch` chooses element by element
        instead, and computes both.
    name : str, optional
        A name for people.

    Returns
    -------
    tensor, or list of tensors if the sides are lists

    Raises
    ------
    TypeError
        If the condition isn't a scalar, or dtypes or numbers of axes differ.
    ValueError
        If the sides differ in their numbers of values.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.ifelse.ifelse``. The gradient that flows to the other side is zero; what
    that side is made of is then computed all the same, because the gradient goes through it.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> n, x = T.lscalar('n'), T.dvector('x')
    >>> choose = symgrad.function([n, x], symgrad.ifelse(n > 0, x.sum(), x.max()))
    >>> print(choose(1, [1., 2.]), choose(0, [1., 2.]))
    3.0 2.0
    """
    several = isinstance(then_branch, list | tuple)
    if several != isinstance(else_branch, list | tuple):
        raise user_error(TypeError, "the sides of ifelse must both be lists of values, or both be one value")
    pairs = [(then_branch, else_branch)]
    if several:
        if len(then_branch) != len(else_branch):
            raise user_error(
                ValueError, f"the sides of ifelse have {len(then_branch)} and {len(else_branch)} values", (),
                "Each value needs one on the other side.",
            )  # fmt: skip
        pairs = list(zip(then_branch, else_branch, strict=True))
    chosen = _condition(condition)
    sides = [as_operands(*pair) for pair in pairs]
    for one, other in sides:
        _check_alike(one, other)
    if not sides:
        return []
    stand_ins = [(input_like(one), input_like(other)) for one, other in sides]
    inputs = [variable for pair in stand_ins for variable in pair]
    graphs = make_body(inputs, inputs[::2]), make_body(inputs, inputs[1::2])
    made = as_outputs(apply_choice(graphs, name or "", chosen, [v for pair in sides for v in pair]))
    return made if several else made[0]


def _condition(condition: Any) -> Any:
    variable = as_operand(condition)
    if variable.type.ndim or variable.type.dtype.startswith("complex"):
        raise user_error(
            DTypeError, f"the condition of ifelse must be a scalar, got {variable.type}", [variable],
            "Reduce it with T.all or T.any, or choose element by element with T.switch.",
        )  # fmt: skip
    return variable if variable.type.dtype == "bool" else neq(variable, 0)


def _check_alike(one: Any, other: Any) -> None:
    if not (isinstance(one.type, TensorType) and isinstance(other.type, TensorType)):
        if one.type != other.type:
            raise user_error(
                DTypeError, f"the sides of ifelse are {one.type} and {other.type}", [one, other], "Convert one of them."
            )
        return
    if one.type.dtype != other.type.dtype:
        raise user_error(
            DTypeError, f"the sides of ifelse are {one.type} and {other.type}", [one, other],
            f"Cast one of them, as .astype('{one.type.dtype}').",
        )  # fmt: skip
    if one.type.ndim != other.type.ndim:
        raise user_error(RankError, f"the sides of ifelse are {one.type} and {other.type}", [one, other])


__all__ = ["IfElse", "apply_choice", "ifelse"]
