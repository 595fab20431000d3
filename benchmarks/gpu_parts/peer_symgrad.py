"""The steps in symgrad on a GPU: the networks are those of the CPU benchmarks, word for word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

import symgrad
import symgrad.tensor as T
from benchmarks.expressions import SCALE, SHIFT, Expression
from benchmarks.gpu_parts.workloads import Block, Product, Work, precision_of
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, PeerUnavailable, TrainingStep
from benchmarks.symgrad_steps import TrainingGraph, sequence_graph, training_graph
from symgrad.backends.cupy.devices.device import find_device

DEVICE = "cuda0"


class _Waits:
    """A step that may go on in the background."""

    def wait(self) -> None:
        """Return when every step that was called is done."""
        find_device(DEVICE).synchronize()


class GraphStep(_Waits, TrainingStep):
    """A training step as one compiled function.

    Parameters
    ----------
    graph : TrainingGraph
        What it does.
    stays : bool
        Whether the cost is returned as an array of the device, so that a call needn't wait for it.
    """

    def __init__(self, graph: TrainingGraph, stays: bool = False) -> None:
        self._parameters, self._stays = graph.parameters, stays
        cost = T.transfer(graph.cost, DEVICE) if stays else graph.cost
        self.step = replace(graph, cost=cost).compile()

    def costs(self, indices: Iterable[int]) -> list[float]:
        """Run the steps one by one and return their costs."""
        if not self._stays:
            return super().costs(indices)
        return [float(self.step(index).get()) for index in indices]

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters, rounded to what they are stored as."""
        for mine, value in zip(self._parameters, parameters, strict=True):
            mine.set_value(value.astype(mine.get_value(borrow=True).dtype))

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters, as float32."""
        return [np.asarray(parameter.get_value()).astype(np.float32) for parameter in self._parameters]


class RepeatStep(GraphStep):
    """A training step that is asked for many times in one call."""

    def run(self, indices: Sequence[int]) -> None:
        """Run the steps in one call, which collects their costs."""
        self.step.repeat(indices)

    def costs(self, indices: Iterable[int]) -> list[float]:
        """Run the steps in one call and return their costs."""
        return [float(cost) for cost in self.step.repeat(list(indices))]


def block_graph(block: Block) -> TrainingGraph:
    """Write convolutions as in a large network as a symbolic expression."""
    dtype = "bfloat16" if block.precision == "bfloat16" else "float32"
    x, *rest = [
        symgrad.shared(value, name=name, borrow=True)
        for name, value in zip(block.parameter_names(), block.initial_parameters(), strict=True)
    ]
    if dtype != "float32":
        x = symgrad.shared(symgrad.function([], T.cast(x, dtype))(), name="x")
    output, shape = x, (block.batch_size, block.channels, block.side, block.side)
    for w, b in zip(rest[::2], rest[1::2], strict=True):
        filters, bias = (T.cast(value, dtype) for value in (w, b.dimshuffle("x", 0, "x", "x")))
        convolved = T.conv2d(
            output, filters, input_shape=shape, filter_shape=(block.channels, block.channels, 3, 3),
            border_mode="half", filter_flip=False,
        )  # fmt: skip
        output = T.maximum(convolved + bias, 0)
    pooled = T.cast(T.pool_2d(output, ws=(2, 2), ignore_border=True), "float32")
    return BlockGraph(T.lscalar("index"), T.mean(T.sqr(pooled)), [x, *rest], block.eta, {})


class BlockGraph(TrainingGraph):
    """A training step without minibatches, whose parameters may be stored in 16 bits."""

    def compile(self, updates: list[tuple[Any, Any]] | None = None) -> Any:
        """Return the train function, which leaves its argument alone."""
        rounded = [(parameter, T.cast(value, parameter.dtype)) for parameter, value in updates or self.updates()]
        return symgrad.function([self.index], self.cost, updates=rounded, on_unused_input="ignore")


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
    """symgrad, called for each step: each call returns the cost as a number of the host."""

    title = "symgrad"

    def versions(self) -> dict[str, str]:
        """Return symgrad's version, and NumPy's."""
        return {"symgrad": symgrad.__version__, "numpy": np.__version__}

    def build(self, work: Work, images: np.ndarray, labels: np.ndarray) -> TrainingStep | ExpressionStep:
        """Return the step of some work."""
        with precision(work):
            if isinstance(work, Expression):
                return self.computed(expression_step, work)
            if isinstance(work, Product):
                return self.computed(product_step, work)
            step = self.training_step(graph_of(work, images, labels))
            step.step(0)  # compiled with these settings
            return step

    def computed(self, make: Any, work: Any) -> ExpressionStep:
        """Return the step of work that computes an array."""
        step: UpdateStep = make(work)
        step.step(0)
        return step

    def training_step(self, graph: TrainingGraph) -> GraphStep:
        """Return the step of work that trains."""
        return GraphStep(graph)


class SymgradStaysPeer(SymgradPeer):
    """symgrad, called for each step, its costs left on the device, as those of other peers are."""

    title = "symgrad, cost on the GPU"

    def computed(self, make: Any, work: Any) -> ExpressionStep:
        """Say that there are no costs."""
        raise PeerUnavailable("there is no cost")

    def training_step(self, graph: TrainingGraph) -> GraphStep:
        """Return the step of work that trains."""
        return GraphStep(graph, stays=True)


class SymgradRepeatPeer(SymgradPeer):
    """symgrad, its training loop inside one call."""

    title = "symgrad, repeat"

    def computed(self, make: Any, work: Any) -> ExpressionStep:
        """Say that there are no steps."""
        raise PeerUnavailable("there are no steps to loop over")

    def training_step(self, graph: TrainingGraph) -> GraphStep:
        """Return the step of work that trains."""
        return RepeatStep(graph)


def graph_of(work: Any, images: np.ndarray, labels: np.ndarray) -> TrainingGraph:
    """Return work that trains as a symbolic expression."""
    if isinstance(work, Block):
        return block_graph(work)
    return sequence_graph(work) if isinstance(work, SequenceWorkload) else training_graph(work, images, labels)
