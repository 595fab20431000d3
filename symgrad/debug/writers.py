"""How each op is written in Python, in the names of the user's language.

There is one function for each class of ops; any other op is a call with its parameters as keywords, so a new op needs
nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import IntEnum
from functools import singledispatch
from typing import Any

from symgrad.debug.subject import one_line
from symgrad.graph.op import Op
from symgrad.graph.variables import Apply, Constant
from symgrad.kernels.grammar import Fixed, FromArray, FromOperand, Range
from symgrad.ops.advanced_subtensor import AdvancedIncSubtensor, AdvancedSubtensor
from symgrad.ops.axes import DimShuffle
from symgrad.ops.casting import Cast
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.creation import ARange, Eye
from symgrad.ops.cumulative import Cumulative
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.identity import StopGradient, WithInputs
from symgrad.ops.joining import Concatenate
from symgrad.ops.linalg import Dot
from symgrad.ops.pool import MaxPoolGradient, Pool2d
from symgrad.ops.reduction_op import ArgExtreme, Reduction
from symgrad.ops.shape import BroadcastTo, ReshapeTo
from symgrad.ops.sizes import MakeVector, Size, SpecifyShape
from symgrad.ops.sorting import ArgSort, ArgTopK, Sort
from symgrad.ops.subtensor import IncSubtensor, Subtensor


class Precedence(IntEnum):
    """How tightly Python's operators bind, loosest first."""

    COMPARISON = 1
    BIT_OR = 2
    BIT_XOR = 3
    BIT_AND = 4
    SHIFT = 5
    SUM = 6
    PRODUCT = 7
    SIGN = 8
    POWER = 9
    ATOM = 10


BINARY = {
    "<": Precedence.COMPARISON, "<=": Precedence.COMPARISON, ">": Precedence.COMPARISON, ">=": Precedence.COMPARISON,
    "|": Precedence.BIT_OR, "^": Precedence.BIT_XOR, "&": Precedence.BIT_AND,
    "<<": Precedence.SHIFT, ">>": Precedence.SHIFT, "+": Precedence.SUM, "-": Precedence.SUM,
    "*": Precedence.PRODUCT, "/": Precedence.PRODUCT, "//": Precedence.PRODUCT, "%": Precedence.PRODUCT,
    "**": Precedence.POWER,
}  # fmt: skip
PREFIXES = {"negative": "-", "invert": "~"}


@dataclass(frozen=True)
class Text:
    """A written expression, and how tightly its outermost operator binds."""

    text: str
    precedence: Precedence = Precedence.ATOM

    def within(self, precedence: Precedence) -> str:
        """Return the text, in parentheses if it binds less tightly than `precedence`."""
        return self.text if self.precedence >= precedence else f"({self.text})"


@dataclass(frozen=True)
class Written:
    """A node whose inputs are written already: what the writers of ops see."""

    node: Apply
    inputs: Sequence[Text]
    tight: bool

    def call(self, name: str, *arguments: str, **keywords: Any) -> Text:
        """Return ``name(arguments, keyword=value)``."""
        named = [f"{key}={value!r}" for key, value in keywords.items()]
        return Text(f"{name}({', '.join([*arguments, *named])})")

    @property
    def texts(self) -> list[str]:
        """The inputs as arguments of a call."""
        return [text.text for text in self.inputs]


def _fields_of(op: Op) -> Sequence[Field[Any]]:
    return fields(op) if is_dataclass(op) else ()


@singledispatch
def write(op: Op, written: Written) -> Text:
    """Return the expression of one node: by default a call, with the op's parameters as keywords."""
    parameters = {
        entry.name: getattr(op, entry.name)
        for entry in _fields_of(op)
        if entry.default is MISSING or getattr(op, entry.name) != entry.default
    }
    return written.call(one_line(op.name), *written.texts, **parameters)


@write.register
def _(op: Elementwise, written: Written) -> Text:
    symbol = op.row.symbol
    if symbol in BINARY:
        left, right = written.inputs
        return _binary(symbol, left, right, written.tight)
    if op.function in PREFIXES:
        is_number = isinstance(written.node.inputs[0], Constant)  # -(1.0) is an application, -1.0 a constant
        operand = f"({written.texts[0]})" if is_number else written.inputs[0].within(Precedence.SIGN)
        return Text(PREFIXES[op.function] + operand, Precedence.SIGN)
    return written.call(op.function, *written.texts)


def _binary(symbol: str, left: Text, right: Text, tight: bool) -> Text:
    precedence = BINARY[symbol]
    tighter = Precedence(precedence + 1)
    if symbol == "**":
        sides = left.within(Precedence.ATOM), right.within(Precedence.SIGN)
    elif precedence is Precedence.COMPARISON:  # a < b < c means something else
        sides = left.within(tighter), right.within(tighter)
    else:
        sides = left.within(precedence), right.within(tighter)
    return Text((symbol if tight else f" {symbol} ").join(sides), precedence)


@write.register
def _(op: Cast, written: Written) -> Text:
    return written.call("cast", *written.texts, repr(op.dtype))


@write.register
def _(op: Reduction, written: Written) -> Text:
    return _along(op.function, op, written)


@write.register
def _(op: ArgExtreme, written: Written) -> Text:
    return _along(op.function, op, written)


def _along(name: str, op: Reduction | ArgExtreme, written: Written) -> Text:
    keywords: dict[str, Any] = {}
    if len(op.axes) != written.node.inputs[0].type.ndim:  # type: ignore[attr-defined]
        keywords["axis"] = op.axes[0] if len(op.axes) == 1 else op.axes
    if op.keepdims:
        keywords["keepdims"] = True
    return written.call(name, *written.texts, **keywords)


@write.register
def _(op: DimShuffle, written: Written) -> Text:
    ndim = written.node.inputs[0].type.ndim  # type: ignore[attr-defined]
    operand = written.inputs[0].within(Precedence.ATOM)
    axes = [axis for axis in op.order if axis is not None]
    if ndim > 1 and op.order == tuple(reversed(range(ndim))):
        return Text(f"{operand}.T")
    if axes == list(range(ndim)) and ndim:
        entries = ["None" if axis is None else ":" for axis in op.order]
        return Text(f"{operand}[{', '.join(entries)}]")
    order = ", ".join("'x'" if axis is None else str(axis) for axis in op.order)
    return Text(f"{operand}.{'transpose' if len(axes) == ndim == len(op.order) else 'dimshuffle'}({order})")


@write.register
def _(op: Size, written: Written) -> Text:
    return Text(f"{written.inputs[0].within(Precedence.ATOM)}.shape[{op.axis}]")


@write.register
def _(op: MakeVector, written: Written) -> Text:
    sizes = [variable.owner for variable in written.node.inputs]
    of = sizes[0].inputs[0] if sizes and sizes[0] is not None and isinstance(sizes[0].op, Size) else None
    is_shape = of is not None and len(sizes) == of.type.ndim and all(  # type: ignore[attr-defined]
        node is not None and node.op == Size(axis) and node.inputs[0] is of for axis, node in enumerate(sizes)
    )  # fmt: skip
    if is_shape and written.texts[0].endswith(".shape[0]"):
        return Text(written.texts[0].removesuffix("[0]"))
    return written.call("stack", f"[{', '.join(written.texts)}]")


@write.register
def _(op: ReshapeTo, written: Written) -> Text:
    return written.call("reshape", written.texts[0], _sizes(op.sizes, written.texts[1:]))


@write.register
def _(op: BroadcastTo, written: Written) -> Text:
    return written.call("alloc", written.texts[0], _sizes(op.sizes, written.texts[1:]))


@write.register
def _(op: SpecifyShape, written: Written) -> Text:
    return written.call("specify_shape", *written.texts, repr(op.sizes))


def _sizes(sizes: Sequence[int | None], operands: Sequence[str]) -> str:
    given = iter(operands)
    entries = [next(given) if size is None else str(size) for size in sizes]
    return f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"


@write.register
def _(op: Subtensor, written: Written) -> Text:
    return _indexed(op, written.inputs[0], written.inputs[1:])


@write.register
def _(op: AdvancedSubtensor, written: Written) -> Text:
    return _indexed(op, written.inputs[0], written.inputs[1:])


@write.register
def _(op: IncSubtensor, written: Written) -> Text:
    return _overwritten(op, written)


@write.register
def _(op: AdvancedIncSubtensor, written: Written) -> Text:
    return _overwritten(op, written)


def _overwritten(op: IncSubtensor | AdvancedIncSubtensor, written: Written) -> Text:
    target = _indexed(op, written.inputs[0], written.inputs[2:])
    return written.call("set_subtensor" if op.sets else "inc_subtensor", target.text, written.texts[1])


def _indexed(op: Any, operand: Text, operands: Sequence[Text]) -> Text:
    given = iter(operands)

    def bound(value: Any) -> str:
        return next(given).text if isinstance(value, FromOperand) else "" if value is None else str(value)

    entries = []
    for entry in op.index:
        if isinstance(entry, Range):
            text = f"{bound(entry.start)}:{bound(entry.stop)}"
            entries.append(text if entry.step is None else f"{text}:{bound(entry.step)}")
        elif isinstance(entry, Fixed):
            entries.append(str(entry.value))
        elif isinstance(entry, FromOperand | FromArray):
            entries.append(next(given).text)
    return Text(f"{operand.within(Precedence.ATOM)}[{', '.join(entries)}]")


@write.register
def _(op: Concatenate, written: Written) -> Text:
    return written.call("concatenate", f"[{', '.join(written.texts)}]", axis=op.axis)


@write.register
def _(op: Sort | ArgSort | ArgTopK, written: Written) -> Text:
    return written.call(op.name.split("{")[0], *written.texts, axis=op.axis)


@write.register
def _(op: Cumulative, written: Written) -> Text:
    return written.call(op.function, *written.texts, axis=op.axis)


@write.register
def _(op: ARange, written: Written) -> Text:
    start, stop, step = written.texts
    bounds = [stop] if (start, step) == ("0", "1") else [start, stop] if step == "1" else [start, stop, step]
    return written.call("arange", *bounds)


@write.register
def _(op: Eye, written: Written) -> Text:
    return written.call("eye", *written.texts)


@write.register
def _(op: WithInputs, written: Written) -> Text:
    return written.inputs[0]  # that the others count as used is nothing to compute


@write.register
def _(op: StopGradient, written: Written) -> Text:
    return written.call("disconnected_grad", *written.texts)


@write.register
def _(op: Dot, written: Written) -> Text:
    return written.call("dot", *written.texts)


@write.register
def _(op: Conv2d, written: Written) -> Text:
    return written.call("conv2d", *written.texts, **_convolution(op))


@write.register
def _(op: Conv2dInputGradient, written: Written) -> Text:
    return written.call(op.name, *written.texts, **_convolution(op))


@write.register
def _(op: Conv2dFilterGradient, written: Written) -> Text:
    return written.call(op.name, *written.texts, **_convolution(op))


def _convolution(op: Conv2d | Conv2dInputGradient | Conv2dFilterGradient) -> dict[str, Any]:
    """Return the parameters of a convolution that aren't the usual ones."""
    (top, bottom), (left, right) = op.padding
    given = {
        "border_mode": (top, left) if (top, left) == (bottom, right) else op.padding, "subsample": op.stride,
        "filter_flip": op.flip, "filter_dilation": op.dilation, "num_groups": op.groups,
    }  # fmt: skip
    usual = {
        "border_mode": (0, 0), "subsample": (1, 1), "filter_flip": True, "filter_dilation": (1, 1), "num_groups": 1,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value != usual[name]}


@write.register
def _(op: Pool2d, written: Written) -> Text:
    mode = {"mode": op.mode} if op.mode != "max" else {}
    return written.call("pool_2d", *written.texts, **_pooling(op), **mode)


@write.register
def _(op: MaxPoolGradient, written: Written) -> Text:
    return written.call(op.name, *written.texts, **_pooling(op))


def _pooling(op: Pool2d | MaxPoolGradient) -> dict[str, Any]:
    """Return the parameters of a pooling that aren't the usual ones."""
    given = {"ws": op.window, "stride": op.stride, "pad": op.pad, "ignore_border": op.ignore_border}
    usual = {"stride": op.window, "pad": (0, 0), "ignore_border": True}
    return {name: value for name, value in given.items() if name == "ws" or value != usual[name]}
