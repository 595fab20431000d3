"""Products with chosen blocks of a matrix of blocks: layers of which each example uses a few units only."""

from __future__ import annotations

from typing import Any

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import dimshuffle
from symgrad.ops.linalg import matmul
from symgrad.ops.promotion import as_operand
from symgrad.ops.reduction import sum as sum_over


def sparse_block_dot(W: Any, h: Any, inputIdx: Any, b: Any, outputIdx: Any) -> Any:
    """Return the chosen blocks of a product of blocks, of which only some are not zero.

    ``out[n, j] = sum over i of h[n, i] @ W[inputIdx[n, i], outputIdx[n, j]] + b[outputIdx[n, j]]``

    Parameters
    ----------
    W : float tensor of shape (input blocks, output blocks, inputs, outputs)
        Weights: a matrix for each pair of blocks.
    h : float tensor of shape (n, i, inputs)
        The input blocks that aren't zero; without its first axis, of one example.
    inputIdx : integer matrix of shape (n, i)
        Which blocks these are.
    b : float matrix of shape (output blocks, outputs)
        Bias of each block.
    outputIdx : integer matrix of shape (n, j)
        Which blocks are asked for.

    Returns
    -------
    tensor of shape (n, j, outputs)

    Raises
    ------
    ShapeError
        If an operand has another number of axes.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.blocksparse.sparse_block_dot``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> weights, hidden, bias = [[[[2.]], [[3.]]]], [[[10.]]], [[0.], [1.]]
    >>> print(T.nnet.sparse_block_dot(weights, hidden, [[0]], bias, [[1, 0]]).eval())
    [[[31.]
      [20.]]]
    """
    operands = [as_operand(operand) for operand in (W, h, inputIdx, b, outputIdx)]
    single = operands[1].type.ndim == 2
    if single:
        operands[1:3] = [dimshuffle(x, "x", *range(x.type.ndim)) for x in operands[1:3]]
        operands[4] = dimshuffle(operands[4], "x", *range(operands[4].type.ndim))
    if [operand.type.ndim for operand in operands] != [4, 3, 2, 2, 2]:
        found = ", ".join([str(operand.type) for operand in operands])
        raise user_error(
            ShapeError, f"sparse_block_dot takes W, h, inputIdx, b, outputIdx of 4, 3, 2, 2, 2 axes, got {found}"
        )
    weights, blocks, sources, bias, targets = operands
    chosen = weights[dimshuffle(sources, 0, 1, "x"), dimshuffle(targets, 0, "x", 1)]
    products = matmul(dimshuffle(blocks, 0, 1, "x", "x", 2), chosen)
    result = sum_over(dimshuffle(products, 0, 1, 2, 4), axis=1) + bias[targets]
    return dimshuffle(result, 1, 2) if single else result


__all__ = ["sparse_block_dot"]
