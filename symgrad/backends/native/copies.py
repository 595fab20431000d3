"""Kernels that copy what isn't contiguous into row-major order."""

from __future__ import annotations

from symgrad.backends.base import UnsupportedError
from symgrad.backends.copying import copy_ir
from symgrad.backends.layouts import Location
from symgrad.backends.native.emit import emit_kernel
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.scalars import ELEMENTS


def copy_kernel(location: Location, dtype: str) -> NativeKernel:
    """Return the kernel that copies a view into a contiguous array; its buffers are the view and the array.

    Parameters
    ----------
    location : Location
        Sizes and strides of the view.
    dtype : str
        Of both.

    Raises
    ------
    UnsupportedError
        If kernels don't hold such elements.
    """
    if dtype not in ELEMENTS:
        raise UnsupportedError(f"no native kernel copies {dtype}")
    processor = host()
    return emit_kernel(copy_ir(location, dtype), processor.vector_bytes, processor.masked)
