"""Kernel IR as CUDA C++."""

from symgrad.backends.cupy.emit.kernels import emit_kernel
from symgrad.backends.cupy.emit.scalars import is_supported

__all__ = ["emit_kernel", "is_supported"]
