"""The step in JAX: one jitted function with donated parameters.

Images are (batch, height, width, channels) inside, matrices (n_out, n_in), and pooling is a maximum over a reshaped
axis: the forms that XLA runs fastest on a CPU. XLA correlates, so filters are flipped and transposed on their way in
and out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax

from benchmarks.steps import Peer, TrainingStep
from benchmarks.workloads import ConvolutionPoolLayer, Layer, SoftmaxLayer, Workload

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def _layer_output(layer: Layer, inputs: jax.Array, w: jax.Array, b: jax.Array, key: Any) -> jax.Array:
    """Return the output of one layer; of a softmax layer, the logits."""
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
        self._train = _jit_step(workload, workload.l2_factor(len(images)))
        self._state: tuple[list[jax.Array], Any] = [], jax.random.key(0, impl="rbg")
        self.load(workload.initial_parameters())

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


def _jit_step(workload: Workload, l2_factor: float) -> Any:
    """Return the jitted step: (parameters and key, images, labels, index) to (parameters and key, cost)."""
    layers, batch_size = workload.layers, workload.batch_size

    def cost_of(parameters: list[jax.Array], inputs: jax.Array, labels: jax.Array, keys: Any) -> jax.Array:
        for position, layer in enumerate(layers):
            key = keys[position] if workload.has_dropout else None
            inputs = _layer_output(layer, inputs, parameters[2 * position], parameters[2 * position + 1], key)
        log_probabilities = jax.nn.log_softmax(inputs)
        cost = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()
        if l2_factor:
            cost = cost + l2_factor * sum(jnp.vdot(w, w) for w in parameters[0::2])
        return cost

    @partial(jax.jit, donate_argnums=0)
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


class JaxPeer(Peer):
    """JAX on the CPU."""

    title = "JAX jit"

    def __init__(self) -> None:
        jax.config.update("jax_platforms", "cpu")
        # With one thread, dispatch in the background is only a hand-over: without it, small steps are a tenth faster.
        jax.config.update("jax_cpu_enable_async_dispatch", False)

    def versions(self) -> dict[str, str]:
        """Return the versions of JAX and of its compiled half."""
        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return JaxStep(workload, images, labels)
