"""The steps in symgrad on a GPU: the networks are those of the CPU benchmarks, word for word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import symgrad
import symgrad.tensor as T
from benchmarks.expressions import SCALE, SHIFT, Expression
from benchmarks.gpu_parts.workloads import Block, Product, Work, precision_of
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, PeerUnavailable, TrainingStep
from benchmarks.symgrad_steps import SymgradSequenceStep, SymgradStep
from symgrad.backends.cupy.device import find_device


class _Waits:
    """A step that may go on in the background."""

    def wait(self) -> None:
        """Return when every step that was called is done."""
        if symgrad.config.device != "cpu":
            find_device("cuda").synchronize()


class NetworkStep(_Waits, SymgradStep):
    """A network as one compiled function."""


class SequenceStep(_Waits, SymgradSequenceStep):
    """A recurrent network as one compiled function."""


class BlockStep(_Waits, SymgradStep):
    """Convolutions as in a large network."""

    def __init__(self, block: Block) -> None:
        dtype = "bfloat16" if block.precision == "bfloat16" else "float32"
        values = zip(block.parameter_names(), block.initial_parameters(), strict=True)
        self._parameters = [symgrad.shared(value, name=name, borrow=True) for name, value in values]
        if dtype != "float32":
            x = symgrad.function([], T.cast(self._parameters[0], dtype))()
            self._parameters[0] = symgrad.shared(x, name="x")
        output, *rest = self._parameters
        shape = (block.batch_size, block.channels, block.side, block.side)
        for w, b in zip(rest[::2], rest[1::2], strict=True):
            filters, bias = (T.cast(value, dtype) for value in (w, b.dimshuffle("x", 0, "x", "x")))
            convolved = T.conv2d(
                output, filters, input_shape=shape, filter_shape=(block.channels, block.channels, 3, 3),
                border_mode="half", filter_flip=False,
            )  # fmt: skip
            output = T.maximum(convolved + bias, 0)
        pooled = T.cast(T.pool_2d(output, ws=(2, 2), ignore_border=True), "float32")
        cost = T.mean(T.sqr(pooled))
        gradients = symgrad.grad(cost, self._parameters)
        self.step = self._compiled(cost, gradients, block.eta)

    def _compiled(self, cost: Any, gradients: Sequence[Any], eta: float) -> Any:
        updates = [
            (parameter, T.cast(parameter - eta * gradient, parameter.dtype))
            for parameter, gradient in zip(self._parameters, gradients, strict=True)
        ]
        index = T.lscalar("index")
        return symgrad.function([index], cost, updates=updates, on_unused_input="ignore")

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters; x is rounded to what the block stores."""
        for mine, value in zip(self._parameters, parameters, strict=True):
            mine.set_value(value.astype(mine.get_value(borrow=True).dtype))

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters, as float32."""
        return [np.asarray(parameter.get_value()).astype(np.float32) for parameter in self._parameters]


class UpdateStep(_Waits, ExpressionStep):
    """The update of a shared variable from others: everything is on the device, and stays there.

    Parameters
    ----------
    result : shared variable
        What is updated.
    value : variable
        Its new value.
    """

    def __init__(self, result: Any, value: Any) -> None:
        self._result = result
        super().__init__(symgrad.function([], [], updates=[(result, value)]))

    def result(self) -> np.ndarray:
        """Return a copy of the result, as float32."""
        self._compute()
        return np.asarray(self._result.get_value()).astype(np.float32)


def expression_step(expression: Expression) -> UpdateStep:
    """Return an expression of shared variables."""
    x, *others = [symgrad.shared(array, borrow=True) for array in expression.arrays()]
    value = T.softmax(x)
    if expression.function == "chain":
        value = T.sigmoid(SCALE * x + SHIFT) * T.tanh(x) + x**2
    if expression.gradient:
        value = symgrad.grad((value * others[0]).sum() if others else value.sum(), x)
    return UpdateStep(symgrad.shared(np.zeros(expression.result_shape, np.float32), name="result"), value)


def product_step(product: Product) -> UpdateStep:
    """Return the product of two shared matrices."""
    left, right = [symgrad.shared(array, borrow=True) for array in product.arrays()]
    result = symgrad.shared(np.zeros((product.size, product.size), np.float32), name="result")
    return UpdateStep(result, T.dot(left, right))


@contextmanager
def precision(work: Work) -> Iterator[None]:
    """Let products of float32 round their operands where the work says so, and nowhere else."""
    with symgrad.config.change_flags(allow_tf32=precision_of(work) == "tf32"):
        yield


class SymgradPeer:
    """symgrad, called for each step."""

    title = "symgrad"

    def versions(self) -> dict[str, str]:
        """Return symgrad's version, and NumPy's."""
        return {"symgrad": symgrad.__version__, "numpy": np.__version__}

    def build(self, work: Work, images: np.ndarray, labels: np.ndarray) -> TrainingStep | ExpressionStep:
        """Return the step of some work."""
        with precision(work):
            if isinstance(work, Expression):
                return expression_step(work)
            if isinstance(work, Product):
                return product_step(work)
            return self.training_step(work, images, labels)

    def training_step(self, work: Any, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of work that trains."""
        if isinstance(work, Block):
            return BlockStep(work)
        return SequenceStep(work) if isinstance(work, SequenceWorkload) else NetworkStep(work, images, labels)


class RepeatStep(TrainingStep):
    """A training step that is asked for many times in one call.

    Parameters
    ----------
    inner : SymgradStep
        The step.
    """

    def __init__(self, inner: Any) -> None:
        self._inner, self.wait = inner, inner.wait

    def run(self, indices: Sequence[int]) -> None:
        """Run the steps in one call, which collects their costs."""
        self._inner.step.repeat(indices)

    def costs(self, indices: Iterable[int]) -> list[float]:
        """Run the steps in one call and return their costs."""
        return [float(cost) for cost in self._inner.step.repeat(list(indices))]

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        self._inner.load(parameters)

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        found: list[np.ndarray] = self._inner.parameters()
        return found


class SymgradRepeatPeer(SymgradPeer):
    """symgrad, its training loop inside one call."""

    title = "symgrad, repeat"

    def build(self, work: Work, images: np.ndarray, labels: np.ndarray) -> TrainingStep | ExpressionStep:
        """Return the step of work that trains."""
        if isinstance(work, (Expression, Product)):
            raise PeerUnavailable("there are no steps to loop over")
        with precision(work):
            return RepeatStep(self.training_step(work, images, labels))
