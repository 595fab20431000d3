"""The step in JAX: one jitted function with donated parameters, called for each step or looping over the steps inside.

Images are (batch, height, width, channels) inside, matrices (n_out, n_in), and pooling is a maximum over a reshaped
axis: the forms that XLA runs fastest on a CPU. XLA correlates, so filters are flipped and transposed on their way in
and out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax

from benchmarks.expressions import SCALE, SHIFT, Expression
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, Peer, PeerUnavailable, TrainingStep
from benchmarks.workloads import ConvolutionPoolLayer, Layer, NormalizedLayer, SoftmaxLayer, Workload

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def _layer_output(layer: Layer, inputs: jax.Array, parameters: tuple[jax.Array, ...], key: Any) -> jax.Array:
    """Return the output of one layer; of a softmax layer, the logits."""
    if isinstance(layer, NormalizedLayer):
        return _normalized_output(layer, inputs, *parameters)
    w, b = parameters
    if isinstance(layer, ConvolutionPoolLayer):
        convolved = lax.conv_general_dilated(inputs, w, (1, 1), "VALID", dimension_numbers=DIMENSIONS)
        batch_size, height, width, channels = convolved.shape
        pooled = convolved.reshape(batch_size, height // 2, 2, width // 2, 2, channels).max((2, 4))
        return ACTIVATIONS[layer.activation](pooled + b)
    if inputs.ndim == 4:
        inputs = inputs.transpose(0, 3, 1, 2).reshape(inputs.shape[0], -1)
    if layer.dropout:
        inputs = inputs * jax.random.bernoulli(key, 1 - layer.dropout, inputs.shape)
    output = inputs @ w.T + b
    return output if isinstance(layer, SoftmaxLayer) else ACTIVATIONS[layer.activation](output)


def _normalized_output(
    layer: NormalizedLayer, inputs: jax.Array, w: jax.Array, gamma: jax.Array, beta: jax.Array
) -> jax.Array:
    """Return the output of a batch-normalised layer."""
    z = inputs @ w.T
    normal = (z - z.mean(0)) * lax.rsqrt(z.var(0) + layer.epsilon)
    return ACTIVATIONS[layer.activation](gamma * normal + beta)


def _to_jax(parameter: np.ndarray) -> jax.Array:
    """Return a parameter in the layout that is used here: filters HWIO and flipped, matrices (n_out, n_in)."""
    if parameter.ndim == 4:
        return jnp.array(parameter[:, :, ::-1, ::-1].transpose(2, 3, 1, 0))
    return jnp.array(parameter.T)


def _from_jax(parameter: jax.Array) -> np.ndarray:
    """Return a copy of a parameter in the workload's layout."""
    array = np.array(parameter)
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1].copy()
    return array.T.copy()


class JaxStep(TrainingStep):
    """A workload as one jitted function."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        if workload.image_shape:
            images = images.reshape(-1, *workload.image_shape).transpose(0, 2, 3, 1)
        self._images = jnp.asarray(images)
        self._labels = jnp.asarray(labels.astype(np.int32))
        self._train = self._compile(_training_step(workload, workload.l2_factor(len(images))))
        self._state: tuple[list[jax.Array], Any] = [], jax.random.key(0, impl="rbg")
        self.load(workload.initial_parameters())

    def _compile(self, train: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is called for each step."""
        return jax.jit(train, donate_argnums=0)

    def step(self, index: int) -> jax.Array:
        """Run one step on minibatch `index` and return its cost."""
        self._state, cost = self._train(self._state, self._images, self._labels, index)
        return cost

    def wait(self) -> None:
        """Return when the parameters are there."""
        jax.block_until_ready(self._state)

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters; the random stream goes on."""
        self._state = [_to_jax(parameter) for parameter in parameters], self._state[1]

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [_from_jax(parameter) for parameter in self._state[0]]


class JaxSequenceStep(JaxStep):
    """A recurrent network as one jitted function: `lax.scan` over what the inputs' product gives."""

    def __init__(self, workload: SequenceWorkload) -> None:
        self._images, self._labels = map(jnp.asarray, workload.sequences())
        self._train = self._compile(_sequence_step(workload))
        self._state = [], None
        self.load(workload.initial_parameters())


def _sequence_step(workload: SequenceWorkload) -> Callable[..., Any]:
    """Return the step: (parameters and nothing, inputs, targets, index) to (parameters and nothing, cost)."""

    def cost_of(parameters: list[jax.Array], inputs: jax.Array, targets: jax.Array) -> jax.Array:
        w, u, b = parameters

        def body(carried: Any, row: jax.Array) -> Any:
            h, c = carried
            i, f, g, o = jnp.split(row + h @ u.T, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((workload.batch_size, workload.hidden), jnp.float32)
        _, outputs = lax.scan(body, (zeros, zeros), inputs @ w.T + b)
        return jnp.square(outputs - targets).mean()

    def train(state: Any, inputs: jax.Array, targets: jax.Array, index: int) -> Any:
        cost, gradients = jax.value_and_grad(cost_of)(state[0], inputs[index], targets[index])
        updated = [
            parameter - workload.eta * gradient for parameter, gradient in zip(state[0], gradients, strict=True)
        ]
        return (updated, None), cost

    return train


CAPACITY = 2048
"""How many steps one call of the loop can run."""


class JaxLoopStep(JaxStep):
    """A workload as one jitted function that loops over a list of minibatches and collects their costs."""

    def _compile(self, train: Callable[..., Any]) -> Callable[..., Any]:
        """Return the loop; how many of the indices count is an argument, so that it compiles once."""

        @partial(jax.jit, donate_argnums=0)
        def train_all(state: Any, images: jax.Array, labels: jax.Array, indices: jax.Array, count: int) -> Any:
            def body(position: int, carried: Any) -> Any:
                state, costs = carried
                state, cost = train(state, images, labels, indices[position])
                return state, costs.at[position].set(cost)

            return lax.fori_loop(0, count, body, (state, jnp.zeros(CAPACITY, jnp.float32)))

        return train_all

    def step(self, index: int) -> jax.Array:
        """Run one step on minibatch `index` and return its cost."""
        return self._run([index])[0]

    def run(self, indices: Sequence[int]) -> None:
        """Run the steps, as many as fit in each call."""
        for start in range(0, len(indices), CAPACITY):
            self._run(indices[start : start + CAPACITY])

    def _run(self, indices: Sequence[int]) -> jax.Array:
        """Run up to `CAPACITY` steps and return their costs."""
        padded = np.zeros(CAPACITY, np.int32)
        padded[: len(indices)] = indices
        self._state, costs = self._train(self._state, self._images, self._labels, padded, len(indices))
        return costs


def _training_step(workload: Workload, l2_factor: float) -> Callable[..., Any]:
    """Return the step: (parameters and key, images, labels, index) to (parameters and key, cost)."""
    layers, batch_size = workload.layers, workload.batch_size

    def cost_of(parameters: list[jax.Array], inputs: jax.Array, labels: jax.Array, keys: Any) -> jax.Array:
        for position, (layer, own) in enumerate(zip(layers, workload.by_layer(parameters), strict=True)):
            inputs = _layer_output(layer, inputs, own, keys[position] if workload.has_dropout else None)
        log_probabilities = jax.nn.log_softmax(inputs)
        cost = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()
        weights = workload.weights(parameters)
        if l2_factor:
            cost = cost + l2_factor * sum(jnp.vdot(w, w) for w in weights)
        if workload.l1:
            cost = cost + workload.l1 * sum(jnp.abs(w).sum() for w in weights)
        return cost

    def train(state: Any, images: jax.Array, labels: jax.Array, index: int) -> Any:
        parameters, key = state
        minibatch = [lax.dynamic_slice_in_dim(values, index * batch_size, batch_size) for values in (images, labels)]
        keys = None
        if workload.has_dropout:
            key, *keys = jax.random.split(key, len(layers) + 1)
        cost, gradients = jax.value_and_grad(cost_of)(parameters, *minibatch, keys)
        updated = [
            parameter - workload.eta * gradient for parameter, gradient in zip(parameters, gradients, strict=True)
        ]
        return (updated, key), cost

    return train


def _chain(x: jax.Array) -> jax.Array:
    """Return the chain of elementwise functions."""
    return jax.nn.sigmoid(SCALE * x + SHIFT) * jnp.tanh(x) + x * x


FUNCTIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "chain": _chain,
    "softmax": jax.nn.softmax,
    "logsumexp": partial(jax.nn.logsumexp, axis=-1),
}


def gradient_of(function: Callable[[jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    """Return the gradient of sum(function(x) * c), where c may be left out."""

    def total(x: jax.Array, c: float | jax.Array = 1.0) -> jax.Array:
        return (function(x) * c).sum()

    return jax.grad(total)


def _expression_step(expression: Expression) -> ExpressionStep:
    """Return an expression as one jitted function; where it works in place, the last result is donated."""
    function = FUNCTIONS[expression.function]
    compute = gradient_of(function) if expression.gradient else function
    arrays = [jnp.asarray(array) for array in expression.arrays()]
    if not expression.in_place:
        compiled = jax.jit(compute)
        return ExpressionStep(lambda: compiled(*arrays).block_until_ready())
    into = jax.jit(lambda last, *operands: compute(*operands), donate_argnums=0, keep_unused=True)
    last = [jnp.zeros(expression.result_shape, jnp.float32)]

    def run() -> jax.Array:
        last[0] = into(last[0], *arrays)
        return last[0].block_until_ready()

    return ExpressionStep(run)


class JaxPeer(Peer):
    """JAX on the CPU."""

    title = "JAX jit"

    def __init__(self) -> None:
        jax.config.update("jax_platforms", "cpu")
        # Dispatch in the background is only a hand-over here: without it, small steps are a tenth faster.
        jax.config.update("jax_cpu_enable_async_dispatch", False)

    def versions(self) -> dict[str, str]:
        """Return the versions of JAX and of its compiled half."""
        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return JaxStep(workload, images, labels)

    def build_sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Return the step of a recurrent network."""
        return JaxSequenceStep(workload)

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Return the step of `expression`."""
        return _expression_step(expression)


class JaxLoopPeer(JaxPeer):
    """JAX on the CPU, its training loop compiled."""

    title = "JAX, loop in jit"

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`; XLA's convolutions take 7 to 15 times as long inside a loop as outside."""
        if workload.image_shape:
            raise PeerUnavailable("XLA's convolutions are many times slower inside a loop")
        return JaxLoopStep(workload, images, labels)

    def build_sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Say that one step is long enough."""
        return Peer.build_sequence(self, workload)

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Say that there are no steps to loop over."""
        return Peer.build_expression(self, expression)
