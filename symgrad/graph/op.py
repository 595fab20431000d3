"""What an op declares, and how applying one makes a node."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ClassVar, NamedTuple
from weakref import WeakSet

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, Float64Warning, GradientError, OperandDescription, SymgradError, render
from symgrad.graph.dtypes import HALVES, is_half
from symgrad.graph.source import Source, attributed_to, current_source, operand_texts
from symgrad.graph.test_values import note_test_values
from symgrad.graph.traversal import applies_before
from symgrad.graph.types import TensorType, Type
from symgrad.graph.variables import Apply, Constant, SharedVariable, Variable


class Operand(NamedTuple):
    """What `Op.infer` looks at: a variable shows the same two attributes."""

    type: TensorType
    known: np.ndarray | None = None


class Disconnected(NamedTuple):
    """What `Op.gradient` returns for an input that the gradient doesn't reach, and why."""

    reason: str


class Undefined(NamedTuple):
    """What `Op.gradient` returns for an input on which the outputs depend without a gradient that could be told.

    It is an error only if a gradient is asked for that would have to go through it.
    """

    reason: str


class InferenceError(Exception):
    """Raised inside `Op.infer`; the caller adds the user's line and the operands.

    Parameters
    ----------
    error : type
        The class of the error that the user sees.
    headline, remedy : str
        What failed, and what to do.
    """

    def __init__(self, error: type[SymgradError], headline: str, remedy: str = "") -> None:
        super().__init__(headline)
        self.error = error
        self.headline = headline
        self.remedy = remedy


@dataclass(frozen=True)
class Sample:
    """One example of an op, for the conformance suite.

    Parameters
    ----------
    arguments : tuple
        The values of the op's inputs.
    error : type, optional
        The error that applying the op to variables of these values' types raises.
    differentiable : bool
        Whether the gradient exists at these values (no kink within a finite difference).
    """

    arguments: tuple[np.ndarray, ...]
    error: type[SymgradError] | None = None
    differentiable: bool = True


class Op:
    """An operation: its types, its meaning, its gradient and its work, in one place.

    Subclasses are frozen dataclasses: their fields are the op's parameters, and ops with equal parameters are equal.
    """

    takes_any_type: ClassVar[bool] = False
    """Whether it takes other values than arrays, such as sparse matrices."""

    @property
    def name(self) -> str:
        """The name that prints and errors show."""
        return type(self).__name__

    def infer(self, *inputs: Any) -> Sequence[Type]:
        """Return the types of the outputs from those of the inputs (each has ``.type`` and ``.known``).

        Raises
        ------
        InferenceError
            If the inputs don't fit together.
        """
        raise NotImplementedError(f"{type(self).__name__} declares no infer")

    @property
    def may_fold(self) -> bool:
        """Whether what it makes of constants may be computed once, at compile time."""
        return True

    def declare(self, node: Apply) -> None:
        """Look at a node that was made of variables rather than by `infer`."""

    def evaluate(self, *inputs: np.ndarray) -> Sequence[np.ndarray]:
        """Compute the outputs in NumPy: the meaning of the op, and every backend's oracle."""
        raise NotImplementedError(f"{type(self).__name__} declares no evaluate")

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        """Return the value of the output if the graph alone tells it: integers made of constants and sizes."""
        values = [operand.known for operand in inputs]
        if not values or any(value is None for value in values):
            return None
        try:
            (value,) = self.evaluate(*values)
        except (ValueError, IndexError, ArithmeticError):
            return None  # the error belongs to the call, where it names the user's line
        return value if value.dtype.kind in "iub" and value.ndim <= 1 and value.size <= 64 else None

    def gradient(
        self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]
    ) -> Sequence[Variable | Disconnected | Undefined | None]:
        """Return the cotangent of each input from those of the outputs (None where the cost doesn't depend on one).

        For an input that the gradient doesn't reach, return `Disconnected` with the reason; where it reaches one and
        can't be told, `Undefined`.
        """
        return [Disconnected(f"{self.name} has no gradient")] * len(inputs)

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        """Return the tangent of each output from those of the inputs (None where nothing changes)."""
        raise GradientError(f"{self.name} has no forward derivative")

    def lower(self, apply: Apply) -> Any:
        """Return the kernel of one application (see `symgrad.kernels.grammar`); None runs `evaluate` itself."""
        return None

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        """Return examples for the conformance suite: usual, tied, empty and size-1 axes, and bad inputs."""
        return ()

    def __str__(self) -> str:
        return self.name

    def __call__(self, *inputs: Variable) -> Any:
        """Apply the op; return its output, or the tuple of its outputs if there are several."""
        outputs = apply_op(self, inputs).outputs
        return outputs[0] if len(outputs) == 1 else outputs


@dataclass
class _Registry:
    ops: dict[str, type[Op]] = field(default_factory=dict)


registry = _Registry()


def register(op_class: type[Op]) -> type[Op]:
    """Class decorator: enter an op into the registry that the conformance suite and the reference pages read.

    On floats of 16 bits its `evaluate` computes in float32, and rounds each result once; ops that take any type (they
    compute nothing themselves) get them as they are.
    """
    registry.ops[op_class.__name__] = op_class
    if not op_class.takes_any_type:
        op_class.evaluate = computed_in_float32(op_class.evaluate)  # type: ignore[method-assign]
    return op_class


def computed_in_float32(evaluate: Callable[..., Sequence[np.ndarray]]) -> Callable[..., Sequence[np.ndarray]]:
    """Return a method like `Op.evaluate` that computes on floats of 16 bits in float32."""
    if hasattr(evaluate, "on_halves_themselves"):
        return evaluate

    @wraps(evaluate)
    def run(op: Op, *inputs: np.ndarray) -> Sequence[np.ndarray]:
        if not any(map(is_half, inputs)):
            return evaluate(op, *inputs)
        results = evaluate(op, *[array.astype("float32") if is_half(array) else array for array in inputs])
        kinds = op.infer(*[Operand(TensorType(array.dtype, array.shape)) for array in inputs])
        rounded = [isinstance(kind, TensorType) and kind.dtype in HALVES for kind in kinds]
        with np.errstate(all="ignore"):
            return [
                np.asarray(result).astype(kind.dtype) if is_rounded else result  # type: ignore[attr-defined]
                for result, kind, is_rounded in zip(results, kinds, rounded, strict=True)
            ]

    run.on_halves_themselves = evaluate  # type: ignore[attr-defined]
    return run


def apply_op(op: Op, inputs: Sequence[Variable]) -> Apply:
    """Make the node that applies `op` to `inputs`, or raise an error that names the user's line."""
    source = current_source()
    try:
        for variable in inputs:
            if not isinstance(variable.type, TensorType):
                variable.type.check_use(op)
        types = op.infer(*inputs)
        node = Apply(op, inputs, types, source)
        if len(types) == 1:
            node.outputs[0].known = op.known_value(*inputs)
        if not _only_types.get():
            _infer_expected(node)
            if config.warn_float64 != "ignore":
                _note_float64(node)
            if config.compute_test_value != "off":
                note_test_values(node)
    except InferenceError as error:
        located = _locate(error, op, inputs, str(source) if source else "")
    else:
        return node
    raise located


def _infer_expected(node: Apply) -> None:
    """Infer once more with the sizes that shared variables have now, so that a mismatch shows on this line."""
    expected = [variable.expected for variable in node.inputs]
    if all(found is variable.type for found, variable in zip(expected, node.inputs, strict=True)):
        return
    operands = [Operand(kind, v.known) for kind, v in zip(expected, node.inputs, strict=True)]  # type: ignore[arg-type]
    try:
        kinds = node.op.infer(*operands)
    except InferenceError:
        if not _sizes_now["are errors"]:
            return
        kinds = node.op.infer(*_operands_now(node.inputs))
    for output, kind in zip(node.outputs, kinds, strict=True):
        declared = output.type
        if isinstance(kind, TensorType) and isinstance(declared, TensorType) and kind.shape != declared.shape:
            sizes = [size if size == known or size != 1 else known
                     for size, known in zip(kind.shape, declared.shape, strict=True)]  # fmt: skip
            output._expected = TensorType(kind.dtype, sizes, declared.broadcastable)


_sizes_now = {"are errors": True}


def set_early_errors(early: bool) -> None:
    """Say whether what doesn't fit the sizes that shared variables have now is an error: in Theano, calls find out."""
    _sizes_now["are errors"] = early


def _operands_now(variables: Sequence[Variable]) -> list[Operand]:
    """Infer anew from the sizes that shared variables have now: they may have changed since a node was made."""
    found: dict[Variable, Any] = {}
    for node in applies_before(variables):
        operands = [Operand(found.get(v, v.expected if v.owner is None else v.type), v.known) for v in node.inputs]
        try:
            found.update(zip(node.outputs, node.op.infer(*operands), strict=True))
        except InferenceError:  # another line's mistake, which the call will report
            continue
    return [Operand(found.get(v, v.expected if v.owner is None else v.type), v.known) for v in variables]


_only_types: ContextVar[bool] = ContextVar("symgrad_only_types", default=False)


@contextmanager
def only_types_inferred() -> Iterator[None]:
    """Nodes made in this block aren't the user's: nothing more is checked early than that their types fit."""
    token = _only_types.set(True)
    try:
        yield
    finally:
        _only_types.reset(token)


_preparations: WeakSet[Apply] = WeakSet()
_preparing: ContextVar[bool] = ContextVar("symgrad_preparing", default=False)


@contextmanager
def preparing_operands() -> Iterator[None]:
    """Nodes made in this block only prepare the operands of the user's operation: it is that which is blamed."""
    token = _preparing.set(True)
    try:
        yield
    finally:
        _preparing.reset(token)


def _note_float64(node: Apply) -> None:
    """Warn or raise, as configured, where float64 first appears while ``floatX`` is float32.

    It appears where no operand has it yet, and where a narrower float meets it: a float64 shared variable, say.
    """
    if _preparing.get():
        _preparations.add(node)
        return
    inputs = [v.owner.inputs[0] if v.owner is not None and v.owner in _preparations else v for v in node.inputs]
    if config.floatX != "float32" or not any(_is_float64(output) for output in node.outputs):
        return
    variables = [variable for variable in inputs if not isinstance(variable, Constant)]
    if any(map(_is_float64, variables)) and not any(map(_is_narrower_float, variables)):
        return
    text = render(
        f"the result of {node.op} is float64, while floatX is float32",
        str(node.source or ""),
        describe_operands(inputs, operand_texts(inputs)),
        "Cast an operand with .astype('float32'), or set warn_float64=ignore.",
    )
    if config.warn_float64 == "raise":
        raise DTypeError(text)
    place = node.source or Source("<unknown>", 0)
    warnings.warn_explicit(text, Float64Warning, place.filename, place.line)


def _is_float64(variable: Variable) -> bool:
    return isinstance(variable.type, TensorType) and variable.type.dtype == "float64"


def _is_narrower_float(variable: Variable) -> bool:
    return isinstance(variable.type, TensorType) and variable.type.dtype in ("float16", "float32")


def _locate(error: InferenceError, op: Op, inputs: Sequence[Variable], location: str) -> SymgradError:
    operands = describe_operands(inputs, operand_texts(inputs))
    return error.error(render(error.headline, location, operands, error.remedy))


def user_error(
    error: type[Exception], headline: str, operands: Sequence[Any] = (), remedy: str = ""
) -> Exception:
    """Return an error about the user's line that is running, for functions that don't get as far as an op."""
    variables = [operand for operand in operands if isinstance(operand, Variable)]
    described = describe_operands(variables, operand_texts(variables))
    return error(render(headline, str(current_source() or ""), described, remedy))


def describe_operands(
    inputs: Sequence[Variable], labels: Sequence[str] = (), types: Sequence[Type] = ()
) -> list[OperandDescription]:
    """Describe each operand: how the line writes it (or its name), its type, and where it was made."""
    labels = labels or [""] * len(inputs)
    types = types or [variable.expected for variable in inputs]
    return [
        OperandDescription(label or str(variable), str(kind), _origin(variable))
        for variable, label, kind in zip(inputs, labels, types, strict=True)
    ]


def _origin(variable: Variable) -> str:
    place = f" at {variable.source.place}" if variable.source else ""
    if isinstance(variable, Constant):
        return "constant"
    if isinstance(variable, SharedVariable):
        return f"shared, created{place}"
    if variable.owner is None:
        return f"input, declared{place}"
    return f"made by {variable.owner.op}{place}"


__all__ = [
    "Apply", "Disconnected", "InferenceError", "Op", "Operand", "Sample", "Undefined", "apply_op", "attributed_to",
    "describe_operands", "preparing_operands", "register", "registry", "user_error",
]  # fmt: skip
