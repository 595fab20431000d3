"""The steps in JAX on a GPU: one jitted function, called for each step or looping over the steps inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.expressions import Expression
from benchmarks.gpu_parts.workloads import Block, Product, Work, precision_of
from benchmarks.peers_jax import FUNCTIONS, JaxLoopStep, JaxPeer, JaxSequenceStep, JaxStep, gradient_of
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, PeerUnavailable, TrainingStep

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}
JAX_TYPES = {"float32": jnp.float32, "tf32": jnp.float32, "bfloat16": jnp.bfloat16}


class _Computed(ExpressionStep):
    """A result whose memory the next one takes over.

    Parameters
    ----------
    function : callable
        ``function(*operands)`` returns the result.
    operands : sequence of arrays
        What it is computed from.
    result : jax.Array
        An array of the result's shape and dtype.
    """

    def __init__(self, function: Callable[..., jax.Array], operands: Sequence[jax.Array], result: jax.Array) -> None:
        into = jax.jit(lambda last, *given: function(*given), donate_argnums=0, keep_unused=True)
        self._last = result

        def run() -> jax.Array:
            self._last = into(self._last, *operands)
            return self._last

        super().__init__(run)

    def wait(self) -> None:
        """Return when every step that was called is done."""
        self._last.block_until_ready()

    def result(self) -> np.ndarray:
        """Return a copy of the result, as float32."""
        return np.array(self._compute().astype(jnp.float32))


def _expression(expression: Expression) -> _Computed:
    """Return an expression of arrays on the device."""
    function = FUNCTIONS[expression.function]
    compute = gradient_of(function) if expression.gradient else function
    operands = [jnp.asarray(array) for array in expression.arrays()]
    return _Computed(compute, operands, jnp.zeros(expression.result_shape, jnp.float32))


def _product(product: Product) -> _Computed:
    """Return the product of two matrices on the device."""
    dtype = JAX_TYPES[product.precision]
    operands = [jnp.asarray(array, dtype) for array in product.arrays()]
    return _Computed(jnp.matmul, operands, jnp.zeros((product.size, product.size), dtype))


class BlockStep(TrainingStep):
    """Convolutions as in a large network, channels last, pooling as a maximum over a reshaped axis."""

    def __init__(self, block: Block) -> None:
        dtype = self._dtype = JAX_TYPES[block.precision]

        def cost_of(parameters: list[jax.Array]) -> jax.Array:
            output, *rest = parameters
            for w, b in zip(rest[::2], rest[1::2], strict=True):
                convolved = lax.conv_general_dilated(
                    output, w.astype(dtype), (1, 1), "SAME", dimension_numbers=DIMENSIONS
                )  # fmt: skip
                output = jax.nn.relu(convolved + b.astype(dtype))
            count, height, width, channels = output.shape
            pooled = output.reshape(count, height // 2, 2, width // 2, 2, channels).max((2, 4))
            return jnp.square(pooled.astype(jnp.float32)).mean()

        @partial(jax.jit, donate_argnums=0)
        def train(parameters: list[jax.Array]) -> Any:
            cost, gradients = jax.value_and_grad(cost_of)(parameters)
            pairs = zip(parameters, gradients, strict=True)
            return [parameter - (block.eta * gradient).astype(parameter.dtype) for parameter, gradient in pairs], cost

        self._train = train
        self.load(block.initial_parameters())

    def step(self, index: int) -> jax.Array:
        """Run one step and return its cost."""
        self._parameters, cost = self._train(self._parameters)
        return cost

    def wait(self) -> None:
        """Return when every step that was called is done."""
        jax.block_until_ready(self._parameters)

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        x, *rest = parameters
        filters = [jnp.array(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value) for value in rest]
        self._parameters = [jnp.array(x.transpose(0, 2, 3, 1), self._dtype), *filters]

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters, as float32."""
        x, *rest = [np.array(parameter.astype(jnp.float32)) for parameter in self._parameters]
        return [
            x.transpose(0, 3, 1, 2).copy(),
            *[value.transpose(3, 2, 0, 1).copy() if value.ndim == 4 else value for value in rest],
        ]


class GpuPeer(JaxPeer):
    """JAX on the device that it finds."""

    def __init__(self) -> None:
        """Leave the platform to JAX: it takes the GPU."""

    def build(self, work: Any, images: np.ndarray, labels: np.ndarray) -> TrainingStep | ExpressionStep:  # type: ignore[override]
        """Return the step of some work, with TF32 where it says so and nowhere else."""
        jax.config.update("jax_default_matmul_precision", PRECISIONS[precision_of(work)])
        if isinstance(work, Block):
            return BlockStep(work)
        if isinstance(work, Product):
            return _product(work)
        if isinstance(work, Expression):
            return _expression(work)
        return JaxSequenceStep(work) if isinstance(work, SequenceWorkload) else JaxStep(work, images, labels)


class GpuLoopPeer(GpuPeer):
    """JAX, its training loop compiled."""

    title = "JAX, loop in jit"

    def build(self, work: Work, images: np.ndarray, labels: np.ndarray) -> TrainingStep | ExpressionStep:
        """Return the step of a network."""
        if isinstance(work, (Block, Product, Expression, SequenceWorkload)):
            raise PeerUnavailable("one step is long enough")
        jax.config.update("jax_default_matmul_precision", PRECISIONS[precision_of(work)])
        return JaxLoopStep(work, images, labels)
