"""The step in PyTensor, which kept Theano's language: shared data, givens, an index, updates.

Its own default linker compiles through numba. PyTensor 3 has no convolution over channels and no pooling, so the
convolutional workloads are left out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.expressions import SCALE, SHIFT, Expression
from benchmarks.steps import ExpressionStep, Peer, PeerUnavailable, TrainingStep
from benchmarks.workloads import FullyConnectedLayer, Layer, NormalizedLayer, SoftmaxLayer, Workload

ACTIVATIONS = {"tanh": pt.tanh, "sigmoid": pt.sigmoid}


def _activate(name: str, values: Any) -> Any:
    """Return the activation `name` of a symbolic tensor."""
    return pt.maximum(np.float32(0), values) if name == "relu" else ACTIVATIONS[name](values)


def _layer_output(layer: Layer, inputs: Any, parameters: tuple[Any, ...]) -> Any:
    """Return the symbolic output of one layer; of a softmax layer, the logarithms of the probabilities."""
    if isinstance(layer, NormalizedLayer):
        w, gamma, beta = parameters
        z = pt.dot(inputs, w)
        normal = (z - z.mean(axis=0)) / pt.sqrt(z.var(axis=0) + np.float32(layer.epsilon))
        return _activate(layer.activation, gamma * normal + beta)
    assert isinstance(layer, FullyConnectedLayer | SoftmaxLayer)
    w, b = parameters
    output = pt.dot(inputs, w) + b
    if isinstance(layer, SoftmaxLayer):
        return pt.special.log_softmax(output, axis=1)
    return _activate(layer.activation, output)


class PytensorStep(TrainingStep):
    """A workload as one compiled function."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        train_x = pytensor.shared(images, name="train_x", borrow=True)
        train_y = pytensor.shared(labels.astype(np.int32), name="train_y", borrow=True)
        x, y, index = pt.fmatrix("x"), pt.ivector("y"), pt.lscalar("index")
        names, values = workload.parameter_names(), workload.initial_parameters()
        self._parameters = [pytensor.shared(value, name=name) for name, value in zip(names, values, strict=True)]
        output = x
        for layer, own in zip(workload.layers, workload.by_layer(self._parameters), strict=True):
            output = _layer_output(layer, output, own)
        cost = -pt.mean(output[pt.arange(y.shape[0]), y])
        weights = workload.weights(self._parameters)
        l2_factor = workload.l2_factor(len(images))
        if l2_factor:
            cost = cost + np.float32(l2_factor) * sum((w**2).sum() for w in weights)
        if workload.l1:
            cost = cost + np.float32(workload.l1) * sum(abs(w).sum() for w in weights)
        eta = np.float32(workload.eta)
        gradients = pytensor.grad(cost, self._parameters)
        updates = [(p, (p - eta * g).astype("float32")) for p, g in zip(self._parameters, gradients, strict=True)]
        rows = slice(index * workload.batch_size, (index + 1) * workload.batch_size)
        self.step: Any = pytensor.function([index], cost, updates=updates, givens={x: train_x[rows], y: train_y[rows]})
        self.step.trust_input = True

    def costs(self, indices: Any) -> list[float]:
        """Run the steps one by one and return their costs."""
        return [float(self.step(index)) for index in _as_arrays(indices)]

    def run(self, indices: Sequence[int]) -> None:
        """Run the steps; a trusted argument is an array."""
        step = self.step
        for index in _as_arrays(indices):
            step(index)

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        for mine, value in zip(self._parameters, parameters, strict=True):
            mine.set_value(value)

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [parameter.get_value() for parameter in self._parameters]


def _as_arrays(indices: Any) -> list[np.ndarray]:
    """Return the indices as scalar arrays, the form that needs no conversion in a call."""
    return [np.asarray(index, dtype=np.int64) for index in indices]


def _expression_step(expression: Expression) -> ExpressionStep:
    """Return an expression as a function of its arrays; in place, as the update of a shared variable."""
    variables = [pt.tensor(name, dtype="float32", shape=(None,) * len(expression.shape)) for name in "xc"]
    x, c = variables
    if expression.function == "chain":
        value = pt.sigmoid(np.float32(SCALE) * x + np.float32(SHIFT)) * pt.tanh(x) + x**2
    else:
        value = pt.special.softmax(x, axis=1) if expression.function == "softmax" else pt.logsumexp(x, axis=1)
    arrays = expression.arrays()
    if expression.gradient:
        value = pytensor.grad((value * c).sum() if len(arrays) == 2 else value.sum(), x)
    inputs = variables[: len(arrays)]
    if not expression.in_place:
        function = pytensor.function(inputs, value)
        function.trust_input = True
        return ExpressionStep(lambda: function(*arrays))
    result = pytensor.shared(np.zeros(expression.result_shape, np.float32), name="result")
    update = pytensor.function(inputs, [], updates=[(result, value)])
    update.trust_input = True

    def run() -> np.ndarray:
        update(*arrays)
        return result.get_value(borrow=True)

    return ExpressionStep(run)


class PytensorPeer(Peer):
    """PyTensor, in its default mode."""

    title = "PyTensor"

    def __init__(self) -> None:
        pytensor.config.floatX = "float32"
        numba.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def versions(self) -> dict[str, str]:
        """Return the versions of PyTensor and of numba, which compiles for it."""
        return {"pytensor": pytensor.__version__, "numba": numba.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        if workload.image_shape or workload.has_dropout:
            raise PeerUnavailable("PyTensor 3 has neither convolutions over channels nor pooling")
        return PytensorStep(workload, images, labels)

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Return the step of `expression`."""
        return _expression_step(expression)
