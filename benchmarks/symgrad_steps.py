"""The step in symgrad, written as the tutorials and the book write it: shared data, givens, an index, updates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import symgrad
import symgrad.tensor as T
from benchmarks.expressions import SCALE, SHIFT, Expression
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, Peer, PeerUnavailable, TrainingStep
from benchmarks.workloads import ConvolutionPoolLayer, Layer, NormalizedLayer, SoftmaxLayer, Workload
from symgrad.random import RandomStreams


def _activate(name: str, values: Any) -> Any:
    """Return the activation `name` of a symbolic tensor."""
    if name == "relu":
        return T.maximum(0.0, values)
    return T.tanh(values) if name == "tanh" else T.sigmoid(values)


def _layer_output(
    layer: Layer, batch_size: int, inputs: Any, parameters: tuple[Any, ...], streams: RandomStreams
) -> Any:
    """Return the symbolic output of one layer; of a softmax layer, the probabilities."""
    if isinstance(layer, NormalizedLayer):
        w, gamma, beta = parameters
        z = T.dot(inputs, w)
        normal = (z - z.mean(axis=0)) / T.sqrt(z.var(axis=0) + layer.epsilon)
        return _activate(layer.activation, gamma * normal + beta)
    w, b = parameters
    if isinstance(layer, ConvolutionPoolLayer):
        convolved = T.conv2d(
            input=inputs,
            filters=w,
            filter_shape=layer.filter_shape,
            input_shape=(batch_size, *layer.image_shape),
            border_mode="valid",
        )
        pooled = T.pool_2d(input=convolved, ws=(2, 2), ignore_border=True)
        return _activate(layer.activation, pooled + b.dimshuffle("x", 0, "x", "x"))
    inputs = inputs.reshape((batch_size, layer.n_in))
    if layer.dropout:
        mask = streams.binomial(n=1, p=1 - layer.dropout, size=(batch_size, layer.n_in))
        inputs = inputs * T.cast(mask, "float32")
    output = T.dot(inputs, w) + b
    return T.softmax(output) if isinstance(layer, SoftmaxLayer) else _activate(layer.activation, output)


@dataclass
class TrainingGraph:
    """The symbolic half of a step, not yet compiled.

    Attributes
    ----------
    index : variable
        The minibatch's number, an ``lscalar``.
    cost : variable
        The scalar cost.
    parameters : list of shared variables
        ``w, b`` of each layer in order.
    eta : float
        Learning rate.
    givens : dict
        What the inputs stand for: slices of the shared data.
    """

    index: Any
    cost: Any
    parameters: list[Any]
    eta: float
    givens: dict[Any, Any]

    def updates(self) -> list[tuple[Any, Any]]:
        """Return each parameter with its new value: the gradient is taken here."""
        gradients = symgrad.grad(self.cost, self.parameters)
        return [
            (parameter, parameter - self.eta * gradient)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
        ]

    def compile(self, updates: list[tuple[Any, Any]] | None = None) -> Any:
        """Return the train function; with the updates that `updates` returned, or those that it would."""
        updates = self.updates() if updates is None else updates
        return symgrad.function([self.index], self.cost, updates=updates, givens=self.givens)


def training_graph(workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingGraph:
    """Write `workload` as a symbolic expression.

    Parameters
    ----------
    workload : Workload
        Layers and hyper-parameters.
    images : float32 (n, 784)
        The training images.
    labels : int64 (n,)
        Their digits; kept as float32 and cast, as the tutorials do so that they can live on a GPU.
    """
    train_x = symgrad.shared(images, name="train_x", borrow=True)
    train_y = T.cast(symgrad.shared(labels.astype(np.float32), name="train_y", borrow=True), "int32")
    x, y, index = T.matrix("x"), T.ivector("y"), T.lscalar("index")
    parameters = [
        symgrad.shared(value, name=name, borrow=True)
        for name, value in zip(workload.parameter_names(), workload.initial_parameters(), strict=True)
    ]
    batch_size = workload.batch_size
    streams = RandomStreams(seed=1)
    output = x.reshape((batch_size, *workload.image_shape)) if workload.image_shape else x
    for layer, own in zip(workload.layers, workload.by_layer(parameters), strict=True):
        output = _layer_output(layer, batch_size, output, own, streams)
    cost = -T.mean(T.log(output)[T.arange(y.shape[0]), y])
    l2_factor = workload.l2_factor(len(images))
    if l2_factor:
        cost = cost + l2_factor * sum((w**2).sum() for w in workload.weights(parameters))
    if workload.l1:
        cost = cost + workload.l1 * sum(abs(w).sum() for w in workload.weights(parameters))
    minibatch = slice(index * batch_size, (index + 1) * batch_size)
    return TrainingGraph(index, cost, parameters, workload.eta, {x: train_x[minibatch], y: train_y[minibatch]})


class SymgradStep(TrainingStep):
    """A workload as one compiled function."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        graph = training_graph(workload, images, labels)
        self._parameters = graph.parameters
        self.step = graph.compile()

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        for mine, value in zip(self._parameters, parameters, strict=True):
            mine.set_value(value)

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [parameter.get_value() for parameter in self._parameters]


def sequence_graph(workload: SequenceWorkload) -> TrainingGraph:
    """Write a recurrent network as a symbolic expression: a scan."""
    inputs, targets = [symgrad.shared(array, borrow=True) for array in workload.sequences()]
    names = zip(workload.parameter_names(), workload.initial_parameters(), strict=True)
    parameters = [symgrad.shared(value, name=name, borrow=True) for name, value in names]
    index, start = T.lscalar("index"), T.zeros((workload.batch_size, workload.hidden), "float32")
    size = workload.hidden

    def step(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> tuple[Any, Any]:
        z = T.dot(x, w) + T.dot(h, u) + b
        i, f, g, o = [z[:, part * size : (part + 1) * size] for part in range(4)]
        c = T.sigmoid(f) * c + T.sigmoid(i) * T.tanh(g)
        return T.sigmoid(o) * T.tanh(c), c

    (h, _), _ = symgrad.scan(step, [inputs[index]], [start, start], parameters)
    return TrainingGraph(index, T.mean(T.sqr(h - targets[index])), parameters, workload.eta, {})


class SymgradSequenceStep(SymgradStep):
    """A recurrent network as one compiled function: a scan, its gradient and the updates."""

    def __init__(self, workload: SequenceWorkload) -> None:
        graph = sequence_graph(workload)
        self._parameters = graph.parameters
        self.step = graph.compile()


class SymgradRepeatStep(SymgradStep):
    """A workload as one compiled function that is asked for many steps at once."""

    def run(self, indices: Sequence[int]) -> None:
        """Run the steps in one call, which collects their costs."""
        self.step.repeat(indices)

    def costs(self, indices: Iterable[int]) -> list[float]:
        """Run the steps in one call and return their costs."""
        return [float(cost) for cost in self.step.repeat(list(indices))]


def _expression_step(expression: Expression) -> ExpressionStep:
    """Return an expression as a function of its arrays; in place, as the update of a shared variable."""
    variables = [T.tensor("float32", expression.shape, name) for name in "xc"]
    x, c = variables
    if expression.function == "chain":
        value = T.sigmoid(SCALE * x + SHIFT) * T.tanh(x) + x**2
    else:
        value = T.softmax(x) if expression.function == "softmax" else T.logsumexp(x, axis=1)
    arrays = expression.arrays()
    if expression.gradient:
        value = symgrad.grad((value * c).sum() if len(arrays) == 2 else value.sum(), x)
    inputs = variables[: len(arrays)]
    if not expression.in_place:
        function = symgrad.function(inputs, value)
        return ExpressionStep(lambda: function(*arrays))
    result = symgrad.shared(np.zeros(expression.result_shape, np.float32), name="result")
    update = symgrad.function(inputs, [], updates=[(result, value)])

    def run() -> np.ndarray:
        update(*arrays)
        return result.get_value(borrow=True)

    return ExpressionStep(run)


class SymgradPeer(Peer):
    """symgrad, on the device and with the flags of its configuration."""

    title = "symgrad"

    def versions(self) -> dict[str, str]:
        """Return symgrad's version, and NumPy's."""
        return {"symgrad": symgrad.__version__, "numpy": np.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return SymgradStep(workload, images, labels)

    def build_sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Return the step of a recurrent network."""
        return SymgradSequenceStep(workload)

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Return the step of `expression`."""
        return _expression_step(expression)


class SymgradRepeatPeer(SymgradPeer):
    """symgrad, its training loop inside one call."""

    title = "symgrad, repeat"

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        step = SymgradRepeatStep(workload, images, labels)
        if not hasattr(step.step, "repeat"):
            raise PeerUnavailable("functions of this backend don't repeat")
        return step

    def build_sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Say that one step is long enough."""
        return Peer.build_sequence(self, workload)

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Say that there are no steps to loop over."""
        return Peer.build_expression(self, expression)
