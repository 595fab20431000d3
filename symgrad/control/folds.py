"""Loops of usual kinds: `map`, `reduce`, `foldl`, `foldr`, and `scan_checkpoints`, which saves memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgrad.control.scanning import looped, scan
from symgrad.control.step_results import OrderedUpdates, as_list
from symgrad.errors import RangeError
from symgrad.graph.op import user_error
from symgrad.ops.casting import cast
from symgrad.ops.creation import zeros
from symgrad.ops.elementwise import switch
from symgrad.ops.indexing import set_subtensor
from symgrad.ops.joining import concatenate
from symgrad.ops.promotion import as_operand
from symgrad.ops.shape import alloc, reshape
from symgrad.ops.sizes import size_of


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, OrderedUpdates]:
    """Return `fn` of each row.

    Parameters
    ----------
    fn, sequences, non_sequences, truncate_gradient, go_backwards, mode, name
        As of `scan`.

    Returns
    -------
    outputs, updates
        As of `scan`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.map``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> norms, _ = symgrad.map(lambda row: T.sqrt((row ** 2).sum()), x)
    >>> print(symgrad.function([x], norms)([[3., 4.], [5., 12.]]))
    [ 5. 13.]
    """
    return scan(fn, sequences, None, non_sequences, None, truncate_gradient, go_backwards, mode, name)


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, OrderedUpdates]:
    """Return the last values of a loop.

    Parameters
    ----------
    fn, sequences, outputs_info, non_sequences, go_backwards, mode, name
        As of `scan`.

    Returns
    -------
    outputs : tensor or list of tensors
        Each output after the last step.
    updates : OrderedUpdates
        As of `scan`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.reduce``. Earlier values aren't kept in memory. Of no rows, the last value
    is the one before the first step.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> product, _ = symgrad.reduce(lambda element, total: total * element, x, outputs_info=1.0)
    >>> print(symgrad.function([x], product)([2., 3., 4.]))
    24.0
    """
    last, updates = looped(
        fn, sequences, outputs_info, non_sequences, None, go_backwards, False, {"label": name or ""}, only_last=True
    )
    return (last[0] if len(last) == 1 else last), updates


def foldl(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, OrderedUpdates]:
    """Return the last values of a loop that goes from the first row to the last: `reduce`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.foldl``.

    Examples
    --------
    >>> import numpy as np, symgrad
    >>> print(symgrad.foldl(lambda a, p: a - p, np.array([1, 2]), 0)[0].eval())
    1
    """
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name)


def foldr(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, OrderedUpdates]:
    """Return the last values of a loop that goes from the last row to the first.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.foldr``.

    Examples
    --------
    >>> import numpy as np, symgrad
    >>> print(symgrad.foldr(lambda a, p: a - p, np.array([1, 2]), 0)[0].eval())
    -1
    """
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name)


def scan_checkpoints(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    name: str = "checkpointscan_fn",
    n_steps: Any = None,
    save_every_N: int = 10,
    padding: bool = True,
) -> tuple[Any, OrderedUpdates]:
    """Return every N-th value of a loop, of which only these are saved for the gradient.

    The gradient goes through the loop in pieces of N steps, from the last to the first, and goes through each forward
    again before it goes back. So memory holds ``n_steps / N`` states and what N steps save, for the price of going
    forward twice.

    Parameters
    ----------
    fn, sequences, outputs_info, non_sequences, name, n_steps
        As of `scan`; there are no taps.
    save_every_N : int
        How many steps a piece has.
    padding : bool
        Whether the number of steps may be no multiple of N; the last piece is shorter then.

    Returns
    -------
    outputs : tensor or list of tensors
        Each output after N, 2 N, ... steps, and after the last one.
    updates : OrderedUpdates
        As of `scan`.

    Raises
    ------
    ValueError
        If there are taps, no steps are known, or N isn't positive.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.scan_checkpoints``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> sums, _ = symgrad.scan_checkpoints(lambda e, s: s + e, x, T.constant(0.0, dtype='float64'), save_every_N=2)
    >>> print(symgrad.function([x], sums)([1., 2., 3., 4., 5.]))
    [ 3. 10. 15.]
    """
    rows = [as_operand(entry) for entry in _without_taps(as_list(sequences))]
    states = _without_taps(as_list(outputs_info))
    if int(save_every_N) < 1:
        raise user_error(RangeError, f"save_every_N must be positive, got {save_every_N}")
    if n_steps is None and not rows:
        raise user_error(
            ValueError, "scan_checkpoints doesn't know how many steps to take", (),
            "Pass n_steps, or a sequence to go through.",
        )  # fmt: skip
    every = int(save_every_N)
    steps = cast(size_of(rows[0], 0) if n_steps is None else as_operand(n_steps), "int64")
    pieces = (steps + (every - 1)) // every if padding else steps // every
    is_even = not padding or (steps.known is not None and int(steps.known) % every == 0)
    cut = [_in_pieces(row, pieces, every, is_even, steps) for row in rows]
    lengths = [] if is_even else [_lengths(steps, pieces, every)]

    def piece(*arguments: Any) -> tuple[Any, OrderedUpdates]:
        inner, rest = arguments[: len(rows)], list(arguments[len(rows) :])
        count = every if is_even else rest.pop(0)
        given = iter(rest)
        starts = [None if state is None else next(given) for state in states]
        options = {"label": name, "recomputed": True}
        outputs, updates = looped(fn, list(inner), starts or None, list(given), count, False, False, options)
        return [output[-1] for output in outputs], updates

    outputs, updates = looped(
        piece, [*cut, *lengths], states or None, non_sequences, pieces, False, False, {"label": f"{name} pieces"}
    )
    return (outputs[0] if len(outputs) == 1 else outputs), updates


def _without_taps(entries: Sequence[Any]) -> list[Any]:
    """Return what dicts hold, or raise if they have taps."""
    found = []
    for entry in entries:
        if isinstance(entry, Mapping):
            if entry.get("taps") not in (None, [0], [-1]):
                raise user_error(ValueError, f"scan_checkpoints takes no taps, got {entry['taps']}")
            entry = entry.get("input", entry.get("initial"))
        found.append(entry)
    return found


def _in_pieces(row: Any, pieces: Any, every: int, is_even: bool, steps: Any) -> Any:
    """Return a sequence in pieces of so many rows; zeros fill the last one up."""
    sizes = [size_of(row, axis) for axis in range(1, row.type.ndim)]
    taken = row[: pieces * every] if is_even else row[:steps]
    if not is_even:
        taken = concatenate([taken, zeros([pieces * every - steps, *sizes], row.type.dtype)])
    return reshape(taken, [pieces, every, *sizes])


def _lengths(steps: Any, pieces: Any, every: int) -> Any:
    """Return how many steps each piece has: the last one may have fewer."""
    whole = alloc(as_operand(every).astype("int64"), pieces)
    rest = steps % every
    return set_subtensor(whole[-1:], switch(rest > 0, rest, every).astype("int64"))


__all__ = ["foldl", "foldr", "map", "reduce", "scan_checkpoints"]
