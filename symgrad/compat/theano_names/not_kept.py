"""Theano's names that symgrad doesn't keep, and what to write instead."""

from __future__ import annotations

MESSAGES = "Use mpi4py outside of the compiled function, and pass what arrives as an argument."
INDICES = "Read node.op and node.inputs: an index is part of its op."
FILES = "Read the file with numpy.load(path, mmap_mode=...), and pass the array, or share it."
REWRITES = "symgrad's rewrite rules do this for every function; symgrad.rewriting.engine.RULES lists them."

NOT_KEPT: dict[str, str] = {
    "theano.test": "Run symgrad's own tests: pytest, in its repository.",
    **{
        f"theano.tensor.{name}": MESSAGES
        for name in (
            "irecv", "isend", "recv", "send", "mpi_send_wait_cmp", "mpi_send_wait_key", "mpi_tag_cmp", "mpi_tag_key",
            "MPIRecv", "MPIRecvWait", "MPISend", "MPISendWait",
        )
    },
    "theano.tensor.load": FILES,
    "theano.tensor.inc_code": "No C code is written; read f.source() for what a function runs.",
    "theano.tensor.subtensor.get_idx_list": INDICES,
    "theano.tensor.get_idx_list": INDICES,
    "theano.tensor.io.load": FILES,
    **{f"theano.tensor.nnet.{name}": REWRITES for name in (
        "crossentropy_to_crossentropy_with_softmax", "crossentropy_to_crossentropy_with_softmax_with_bias",
        "softmax_simplifier",
    )},
}
"""Advice by full name."""


def advice_for(module: str, name: str) -> str | None:
    """Return what to write in place of a name, or None if it isn't one of those that aren't kept."""
    return NOT_KEPT.get(f"{module}.{name}")
