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

RULES = "Declare a rewrite rule with symgrad.rewrite, or symgrad.rewriting.engine.rule; modes know rules by name."
CODE = "No C code is compiled: an op needs `perform`, and symgrad's own ops become machine code through LLVM."
LINKERS = "The setting `backend` says what runs a function; f.source() shows it."
DEVICES = "Set the device (theano.config.device), and write expressions of theano.tensor: they run there."

NOT_KEPT_OF: dict[str, str] = {
    **dict.fromkeys(("theano.gof.opt", "theano.gof.optdb", "theano.gof.unify", "theano.gof.destroyhandler"), RULES),
    **dict.fromkeys(("theano.tensor.opt", "theano.tensor.opt_uncanonicalize", "theano.scan_module.scan_opt"), RULES),
    **dict.fromkeys(("theano.gof.cc", "theano.gof.cmodule", "theano.gof.cutils", "theano.gof.compilelock"), CODE),
    **dict.fromkeys(("theano.gof.compiledir", "theano.gof.lazylinker_c", "theano.gof.params_type"), CODE),
    **dict.fromkeys(("theano.tensor.blas_c", "theano.tensor.blas_headers", "theano.tensor.c_code"), CODE),
    **dict.fromkeys(("theano.gof.link", "theano.gof.vm", "theano.gof.sched"), LINKERS),
    **dict.fromkeys(
        (
            "theano.sandbox.cuda", "theano.sandbox.cuda.basic_ops", "theano.sandbox.cuda.blas",
            "theano.sandbox.cuda.nnet", "theano.sandbox.cuda.opt", "theano.sandbox.cuda.type",
            "theano.sandbox.cuda.var", "theano.sandbox.cuda.dnn", "theano.sandbox.gpuarray",
            "theano.gpuarray", "theano.gpuarray.basic_ops", "theano.gpuarray.blas", "theano.gpuarray.dnn",
            "theano.gpuarray.elemwise", "theano.gpuarray.nnet", "theano.gpuarray.opt", "theano.gpuarray.subtensor",
            "theano.gpuarray.type",
        ),
        DEVICES,
    ),
}
"""Advice for all names of a module that the rooms don't have."""

_BY_WORD = (("optimizer", RULES), ("Optimizer", RULES), ("optdb", RULES), ("register_", RULES), ("Linker", LINKERS))
"""Advice for names that have a word in them, wherever they are."""


def advice_for(module: str, name: str) -> str | None:
    """Return what to write in place of a name, or None if it isn't one of those that aren't kept.

    Examples
    --------
    >>> advice_for("theano.gof", "local_optimizer") == RULES
    True
    """
    found = NOT_KEPT.get(f"{module}.{name}") or NOT_KEPT_OF.get(f"{module}.{name}") or NOT_KEPT_OF.get(module)
    return found or next((advice for word, advice in _BY_WORD if word in name), None)
