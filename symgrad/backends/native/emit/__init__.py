"""Kernel IR becomes LLVM text: invariants hoisted, vector loops in lanes with tails, address arithmetic shared."""

from symgrad.backends.native.emit.kernels import emit_kernel

__all__ = ["emit_kernel"]
