"""Kernels that copy what isn't contiguous into row-major order, as kernel IR."""

from __future__ import annotations

from symgrad.backends.layouts import Location
from symgrad.kernels.ir.builder import KernelBuilder, Memory, Term
from symgrad.kernels.ir.grammar import Kernel


def copy_ir(location: Location, dtype: str) -> Kernel:
    """Return the kernel that copies a view into a contiguous array; its buffers are the view and the array.

    Parameters
    ----------
    location : Location
        Sizes and strides of the view.
    dtype : str
        Of both.
    """
    axes = [(size, step) for size, step in zip(location.shape, location.strides, strict=True) if size != 1] or [(1, 1)]
    shape, strides = tuple(size for size, _ in axes), tuple(step for _, step in axes)
    words = "x".join(str(size) for size in shape), "x".join(str(step) for step in strides).replace("-", "m")
    builder = KernelBuilder(f"copy_{dtype}_{words[0]}_by_{words[1]}")
    source = builder.input("source", dtype, shape, strides)
    target = builder.output("target", dtype, shape)
    if 0 not in shape:
        _copy_axes(builder, source, target, shape, ())
    return builder.kernel()


def _copy_axes(
    builder: KernelBuilder, source: Memory, target: Memory, shape: tuple[int, ...], indices: tuple[Term, ...]
) -> None:
    axis = len(indices)
    if axis == len(shape):
        target[indices] = source[indices]
        return
    last = axis == len(shape) - 1
    with (builder.vector if last else builder.parallel if axis == 0 else builder.serial)(shape[axis]) as loop:
        _copy_axes(builder, source, target, shape, (*indices, loop.index))
