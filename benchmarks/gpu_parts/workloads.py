"""What is compared on a GPU: networks of the CPU benchmarks, convolutions as in large networks, products, a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from benchmarks import workloads as cpu
from benchmarks.expressions import EXPRESSIONS, Expression
from benchmarks.sequences import SEQUENCES
from benchmarks.workloads import ConvolutionPoolLayer, FullyConnectedLayer, SoftmaxLayer, Workload

PRECISIONS = ("float32", "tf32", "bfloat16")
"""How matrix products and convolutions are computed: ``tf32`` is float32 whose operands are rounded to 10 bits,
``bfloat16`` is storage, with sums in float32."""


@dataclass(frozen=True)
class Block:
    """A training step of convolutions as in a large network: 3x3 filters, as many channels out as in, then pooling.

    ``y = max_pool_2x2(relu(conv(relu(conv(x)))))`` with borders of one pixel of zeros and a bias each, the cost is the
    mean of the squares of y. The gradients of the filters, the biases and of x itself are taken, as inside a network;
    each moves by -eta times its gradient. x is of the block's precision; filters and biases are float32 and are rounded
    for the convolutions.

    Parameters
    ----------
    batch_size, channels, side : int
        The shape of x is ``(batch_size, channels, side, side)``.
    precision : str
        A key of `PRECISIONS`.
    layers : int
        How many convolutions.
    eta : float
        Learning rate: small, so that steps stay alike.
    """

    name: str
    title: str
    batch_size: int
    channels: int
    side: int
    precision: str = "float32"
    layers: int = 2
    eta: float = 1e-3

    has_dropout = False

    @property
    def flops(self) -> float:
        """Operations of a step: each convolution three times, a product with its addition as two."""
        pixels = self.batch_size * self.channels * self.side**2
        return 3 * self.layers * 2.0 * pixels * self.channels * 9

    def initial_parameters(self, seed: int = 0) -> list[np.ndarray]:
        """Return x, then filters and bias of each convolution, float32; the filters are those of a correlation."""
        random = np.random.Generator(np.random.SFC64(seed))
        deviation = np.float32(np.sqrt(2.0 / (9 * self.channels)))
        values = [random.standard_normal((self.batch_size, self.channels, self.side, self.side), np.float32)]
        for _ in range(self.layers):
            values.append(deviation * random.standard_normal((self.channels, self.channels, 3, 3), np.float32))
            values.append(np.zeros(self.channels, np.float32))
        return values

    def parameter_names(self) -> list[str]:
        """Return their names."""
        return ["x", *[f"{name} of layer {layer}" for layer in range(self.layers) for name in "wb"]]


@dataclass(frozen=True)
class Product:
    """The product of two square matrices, written where the last one was.

    Parameters
    ----------
    size : int
        Rows and columns.
    precision : str
        A key of `PRECISIONS`; the matrices are stored in it.
    """

    name: str
    title: str
    size: int
    precision: str = "float32"

    has_dropout = False

    @property
    def flops(self) -> float:
        """Operations, a product with its addition as two."""
        return 2.0 * self.size**3

    def arrays(self, seed: int = 0) -> list[np.ndarray]:
        """Return both matrices, float32."""
        random = np.random.Generator(np.random.SFC64(seed))
        return [random.standard_normal((self.size, self.size), np.float32) for _ in range(2)]


Work = cpu.AnyWorkload | Block | Product


@dataclass(frozen=True)
class Goal:
    """What symgrad is to reach.

    Attributes
    ----------
    against : mapping
        By peer, how many times as fast as it.
    microseconds : float or None
        A step takes at most so long.
    copy_share : float or None
        The share of the bandwidth of a copy.
    """

    against: Sequence[tuple[str, float]] = ()
    microseconds: float | None = None
    copy_share: float | None = None


NEAR_TORCH = Goal((("torch", 0.9), ("torch-graphed", 0.9)))

GOALS = {
    "network3": Goal((("torch-graphed", 2.0), ("jax", 3.0)), microseconds=30.0),
    "network3-dropout": Goal((("torch-graphed", 2.0), ("jax", 3.0)), microseconds=30.0),
    "chain": Goal(copy_share=0.9),
    "chain-gradient": Goal(copy_share=0.9),
    **{f"block-{precision}": NEAR_TORCH for precision in PRECISIONS},
    **{f"product-{size}": NEAR_TORCH for size in (1024, 2048, 4096, 8192)},
    **{f"product-{size}-tf32": NEAR_TORCH for size in (1024, 2048, 4096, 8192)},
}
"""By workload; the others are there to be looked at."""


def precision_of(work: Work) -> str:
    """Return how its products are computed."""
    return getattr(work, "precision", "float32")


def _blocks(batch_size: int, channels: int, side: int) -> list[Block]:
    title = f"2 x conv 3x3 {channels}-{channels}, pool, {side}x{side}, batch {batch_size}"
    return [
        Block(f"block-{precision}", f"{title}, {precision}", batch_size, channels, side, precision)
        for precision in PRECISIONS
    ]


def _products(sizes: Sequence[int], names: Sequence[int]) -> list[Product]:
    found = []
    for size, name in zip(sizes, names, strict=True):
        found.append(Product(f"product-{name}", f"matrix product {size}, float32", size))
        found.append(Product(f"product-{name}-tf32", f"matrix product {size}, tf32", size, "tf32"))
    return found


SIZES = (1024, 2048, 4096, 8192)
NETWORKS = ("network3", "network3-dropout", "shallow", "lenet")
EXPRESSIONS_HERE = ("chain", "chain-gradient", "softmax", "softmax-gradient")


def _full() -> list[Work]:
    # Their arrays are on the device, and so is the result: it goes where the last one was.
    expressions = [replace(found, in_place=True) for found in EXPRESSIONS if found.name in EXPRESSIONS_HERE]
    networks = [cpu.WORKLOADS[name] for name in NETWORKS]
    return [*networks, *_blocks(256, 128, 32), *expressions, *SEQUENCES, *_products(SIZES, SIZES)]


def _tiny() -> list[Work]:
    """Return the same kinds of work, as small as they can be."""
    convolution = ConvolutionPoolLayer((2, 1, 5, 5), (1, 28, 28), "relu")
    layers = (convolution, FullyConnectedLayer(2 * 12 * 12, 8, "relu"), SoftmaxLayer(8, 10))
    dropped = (*layers[:1], replace(layers[1], dropout=0.5), replace(layers[2], dropout=0.5))
    small = Workload("network3", "network3", layers, batch_size=3, eta=0.03, initialization="nielsen", lmbda=0.1)
    shallow = (FullyConnectedLayer(784, 6, "sigmoid"), SoftmaxLayer(6, 10))
    lenet = (replace(convolution, activation="tanh"), SoftmaxLayer(2 * 12 * 12, 10))
    return [
        small,
        replace(small, name="network3-dropout", title="network3 with dropout", layers=dropped),
        replace(small, name="shallow", title="shallow", layers=shallow),
        replace(small, name="lenet", title="LeNet", layers=lenet, initialization="glorot", lmbda=0.0),
        *_blocks(2, 4, 6),
        Expression("chain", "chain", "chain", (301,), in_place=True),
        Expression("chain-gradient", "gradient of the chain", "chain", (301,), gradient=True, in_place=True),
        Expression("softmax", "softmax", "softmax", (5, 37), in_place=True),
        Expression("softmax-gradient", "gradient of the softmax", "softmax", (5, 37), gradient=True, in_place=True),
        replace(SEQUENCES[0], title="LSTM", steps=3, batch_size=2, n_in=5, hidden=4),
        *_products((17, 18, 19, 20), SIZES),
    ]


@cache
def workloads(tiny: bool) -> dict[str, Any]:
    """Return what is compared, by name and in order.

    Parameters
    ----------
    tiny : bool
        Whether it is as small as it can be, to try the command itself.
    """
    return {work.name: work for work in (_tiny() if tiny else _full())}


NAMES = tuple(workloads(tiny=False))
"""What ``--only`` takes."""
