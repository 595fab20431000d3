"""The ways to carry out a routine, and about how long each takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from symgrad.backends.correlation import Pair
from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.convolutions.correlations import Source, Task
from symgrad.backends.cupy.convolutions.filter_products import best_filter_product, filter_product_kernels
from symgrad.backends.cupy.convolutions.plain import plain_correlation
from symgrad.backends.cupy.convolutions.plain_filters import Pieces, plain_filter_gradient
from symgrad.backends.cupy.convolutions.products import best_product, product_kernels
from symgrad.backends.cupy.convolutions.tiled import tile_of, tiled_correlation
from symgrad.backends.cupy.convolutions.tiled_filters import best_filter_tile, tiled_filter_gradient
from symgrad.backends.cupy.kernel import Target


@dataclass(frozen=True)
class Way:
    """A way to carry out a routine.

    Attributes
    ----------
    name : {"plain", "tiled", "product"}
    cycles : float
        About how long it takes.
    pieces : callable
        Returns its pieces of work.
    """

    name: str
    cycles: float
    pieces: Callable[[], Pieces]


def ways_to_correlate(
    label: str, task: Task, operands: Sequence[int], outputs: Sequence[int], target: Target
) -> list[Way]:
    """Return the ways to carry out a correlation.

    Parameters
    ----------
    label : str
        What the kernels' names begin with.
    task : Task
    operands, outputs : sequence of int
        The numbers of the buffers: images (or values and places), filters, perhaps a bias.
    target : Target
    """
    tile, product = tile_of(task, target), best_product(task, target)
    ways = [Way("plain", float("inf"), lambda: [(plain_correlation(label, task), [*operands, *outputs])])]
    if tile is not None:
        cycles = tile.cycles(target)
        ways.append(Way("tiled", cycles, lambda: [(tiled_correlation(label, task, tile), [*operands, *outputs])]))
    if product is not None:

        def pieces() -> Pieces:
            (first, arranged), second = product_kernels(label, task, product)
            place = len(task.source.buffers)
            buffers: list[int | Temporary] = [*operands[:place], arranged, *operands[place + 1 :], *outputs]
            return [(first, [operands[place], arranged]), (second, buffers)]

        ways.append(Way("product", product.cycles(target), pieces))
    return ways


def ways_to_filter_gradients(
    label: str, source: Source, sparse: Pair | None, dtype: str, output: int, target: Target
) -> list[Way]:
    """Return the ways to compute the gradient of a correlation's filters.

    Parameters
    ----------
    label : str
        What the kernels' names begin with.
    source : Source
        The correlation, with plain images.
    sparse : (int, int), optional
        The pooling windows whose values at places make the cotangent.
    dtype : str
    output : int
        The number of the result among the buffers; images, values and places come first.
    target : Target
    """
    tile = best_filter_tile(source, sparse, dtype, target)
    product = None if sparse is not None else best_filter_product(source.correlation, dtype, target)
    ways = [Way("plain", float("inf"), lambda: plain_filter_gradient(label, source, sparse, dtype, output))]
    if tile is not None:
        cycles = tile.cycles(target)
        ways.append(Way("tiled", cycles, lambda: tiled_filter_gradient(label, source, dtype, output, tile)))
    if product is not None:
        cycles = product.cycles(target)
        ways.append(Way("product", cycles, lambda: filter_product_kernels(label, source, dtype, output, product)))
    return ways


def fastest(ways: Sequence[Way]) -> Pieces:
    """Return the pieces of the way that promises to be fastest.

    Examples
    --------
    >>> fastest([Way("plain", float("inf"), lambda: []), Way("tiled", 3.0, lambda: [(None, [0])])])
    [(None, [0])]
    """
    return min(ways, key=lambda way: way.cycles).pieces()


