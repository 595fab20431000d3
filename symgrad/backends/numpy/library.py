"""Library routines by name: for each, a function that makes the callable for given attributes and bound types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.backends.fortran_blas import fortran_blas
from symgrad.backends.numpy import convolution, pooling
from symgrad.backends.numpy.convolution import Workspace
from symgrad.errors import ShapeError
from symgrad.kernels.checks import check_stretch, same_positions, same_sizes
from symgrad.kernels.grammar import fill_index

Array = np.ndarray[Any, Any]
Attributes = dict[str, Any]
Maker = Callable[[Attributes, Workspace], Callable[..., Any]]
"""Takes a kernel's attributes, and scratch memory that the routines of one program share."""

ROUTINES: dict[str, Maker] = {}


def routine(maker: Maker) -> Maker:
    """Enter a maker under its function's name."""
    ROUTINES[maker.__name__] = maker
    return maker


@routine
def dot(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """`numpy.dot`, with a clear error for sizes that only the call knows."""

    def run(x: Array, y: Array, out: Array | None = None) -> Array:
        if out is None:
            return np.asarray(np.dot(x, y))
        np.dot(x, y, out)  # which doesn't return `out` itself, if that has no axes
        return out

    return run


@routine
def matmul(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """`numpy.matmul`; stacks of sizes that only the call knows are compared."""
    comparisons = attributes["stacks"]
    if not comparisons:
        return np.matmul

    def run(x: Array, y: Array, out: Array | None = None) -> Array:
        same_sizes(comparisons, "matmul", x, y)
        return np.matmul(x, y, out)

    return run


@routine
def size(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The size of one axis."""
    axis = attributes["axis"]

    def run(x: Array) -> Array:
        return np.array(x.shape[axis])

    return run


@routine
def arange(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """`numpy.arange`."""
    dtype = attributes["dtype"]

    def run(start: Array, stop: Array, step: Array) -> Array:
        if step == 0:
            raise ShapeError("arange needs a step other than 0")
        return np.arange(start.item(), stop.item(), step.item(), dtype=dtype)

    return run


@routine
def argmax(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """`numpy.argmax`."""

    def run(x: Array) -> Array:
        return np.asarray(np.argmax(x, **attributes))

    return run


@routine
def argmin(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """`numpy.argmin`."""

    def run(x: Array) -> Array:
        return np.asarray(np.argmin(x, **attributes))

    return run


@routine
def concatenate(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """`numpy.concatenate`."""
    axis = attributes["axis"]

    def run(*parts: Array, out: Array | None = None) -> Array:
        return np.concatenate(parts, axis=axis, out=out)

    return run


@routine
def take(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Advanced indexing."""
    index, comparisons = attributes["index"], attributes["arrays"]

    def run(x: Array, *operands: Array) -> Array:
        place = fill_index(index, operands)
        if comparisons:
            same_positions(comparisons, place)
        return np.asarray(x[place])

    return run


def _into(x: Array, out: Array | None) -> Array:
    """Return a copy of `x` to write into: in `out`, which may be `x` itself."""
    if out is None:
        return x.copy()
    if out is not x:
        np.copyto(out, x)
    return out


@routine
def write(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Replace or add to a part given by integers and slices."""
    index, sets, fixed = attributes["index"], attributes["sets"], attributes["fixed"]
    name = "set_subtensor" if sets else "inc_subtensor"

    def run(x: Array, y: Array, *operands: Array, out: Array | None = None) -> Array:
        result = _into(x, out)
        place = fill_index(index, operands)
        if fixed:
            check_stretch(name, y.shape, x[place].shape, fixed)
        if sets:
            result[place] = y
        else:
            result[place] += y
        return result

    return run


@routine
def write_at(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Replace or add to elements given by index arrays; repeated positions accumulate."""
    index, sets = attributes["index"], attributes["sets"]
    fixed, comparisons = attributes["fixed"], attributes["arrays"]
    name = "set_subtensor" if sets else "inc_subtensor"

    def run(x: Array, y: Array, *operands: Array, out: Array | None = None) -> Array:
        result = _into(x, out)
        place = fill_index(index, operands)
        if comparisons:
            same_positions(comparisons, place)
        if fixed:
            check_stretch(name, y.shape, x[place].shape, fixed)
        if sets:
            result[place] = y
        else:
            np.add.at(result, place, y)
        return result

    return run


# ---- softmax --------------------------------------------------------------------------------------------------------


@routine
def softmax(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """``exp(x - max) / sum``."""
    axis = attributes["axis"]

    def run(x: Array, out: Array | None = None) -> Array:
        largest = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
        result = np.subtract(x, largest, out=out)
        np.exp(result, out=result)
        result /= np.add.reduce(result, axis=axis, keepdims=True)
        return result

    return run


@routine
def softmax_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """``p * (c - sum(c * p))``."""
    axis = attributes["axis"]

    def run(cotangent: Array, p: Array, out: Array | None = None) -> Array:
        weighted = cotangent * p
        total = np.add.reduce(weighted, axis=axis, keepdims=True)
        result = np.subtract(cotangent, total, out=out)
        result *= p
        return result

    return run


@routine
def log_softmax(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """``x - max - log(sum(exp(x - max)))``."""
    axis = attributes["axis"]

    def run(x: Array, out: Array | None = None) -> Array:
        largest = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
        result = np.subtract(x, largest, out=out)
        result -= np.log(np.add.reduce(np.exp(result), axis=axis, keepdims=True))
        return result

    return run


@routine
def log_softmax_at(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The label's element of each row of `log_softmax`."""

    def run(x: Array, labels: Array) -> Array:
        if attributes["fewer"] and len(labels) < len(x):
            x = x[: len(labels)]
        if len(labels) != len(x):
            raise ShapeError(f"there are {len(labels)} labels for {len(x)} rows")
        largest = np.maximum.reduce(x, axis=1, keepdims=True, initial=-np.inf)
        shifted = x - largest
        picked = shifted[np.arange(len(labels)), labels]
        np.exp(shifted, out=shifted)
        picked -= np.log(np.add.reduce(shifted, axis=1))
        return picked

    return run


@routine
def label_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """``scale * (p - one_hot(labels))``."""

    def run(p: Array, labels: Array, scale: Array, out: Array | None = None) -> Array:
        if attributes["fewer"] and len(labels) < len(p):
            result = np.zeros_like(p) if out is None else out
            run(p[: len(labels)], labels, scale, result[: len(labels)])
            result[len(labels) :] = 0
            return result
        if len(labels) != len(p):
            raise ShapeError(f"there are {len(labels)} labels for {len(p)} rows")
        # Subtract first: where p is near 1 the difference is exact, while two scaled numbers would cancel.
        result = np.positive(p, out=out)
        result[np.arange(len(labels)), labels] -= 1
        result *= scale if scale.ndim == 0 else scale[:, None]
        return result

    return run


@routine
def sum_of_squares(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The inner product of a tensor with itself, all axes joined: one pass, no squares in memory."""

    def run(x: Array, out: Array) -> Array:
        flat = x.reshape(-1)
        out[()] = np.dot(flat, flat)
        return out

    return run


# ---- gemm -----------------------------------------------------------------------------------------------------------

GEMM = {np.dtype("float32"): fortran_blas().sgemm, np.dtype("float64"): fortran_blas().dgemm}


GEMM_SLOT = 16
"""The workspace's slot for the steps of matrices, one after the other."""


@routine
def gemm(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """``c + (beta * c + alpha * a @ b)``, in `out`, which may be `c` itself."""

    def run(c: Array, alpha: Array, a: Array, b: Array, beta: Array, out: Array | None = None) -> Array:
        result = _into(c, out)
        for call, *arguments in gemm_calls(workspace, result, alpha, a, b, beta):
            call(*arguments)
        return result

    return run


def gemm_calls(
    workspace: Workspace, c: Array, alpha: Array, a: Array, b: Array, beta: Array
) -> list[tuple[Any, ...]]:
    """Return functions with the arguments with which they make ``c`` to ``c + (beta * c + alpha * a @ b)``, in place.

    BLAS counts columns first, so a matrix in C order is passed as its transpose: ``c.T = b.T @ a.T``. Without `beta` it
    adds into `c` itself. Otherwise the step is put together in scratch memory, which all steps share.
    """
    if a.shape[1] != b.shape[0] or c.shape != (a.shape[0], b.shape[1]):
        raise ShapeError(f"sizes don't fit: {c.shape} + {a.shape} times {b.shape}")
    if not c.flags.c_contiguous and c.flags.f_contiguous:
        c, a, b = c.T, b.T, a.T
    if not c.flags.c_contiguous:
        raise ValueError("gemm updates contiguous matrices only")
    left, left_transposed = _columns_first(b.T)
    right, right_transposed = _columns_first(a.T)
    is_product = c.size > 0 and a.shape[1] > 0
    target = c if beta == 0 else workspace.array(GEMM_SLOT, c.shape, c.dtype)
    calls: list[tuple[Any, ...]] = []
    if beta != 0:
        calls.append((np.multiply, c, beta, target))
    if is_product:
        blas_gemm = GEMM[c.dtype]
        calls.append((blas_gemm, float(alpha), left, right, 1.0, target.T, left_transposed, right_transposed, 1))
    if beta != 0:
        calls.append((np.add, c, target, c))
    return calls


def _columns_first(matrix: Array) -> tuple[Array, int]:
    """Return a matrix in BLAS's order without copying it, and whether it must be transposed."""
    if matrix.flags.f_contiguous:
        return matrix, 0
    if matrix.flags.c_contiguous:
        return matrix.T, 1
    return np.asfortranarray(matrix), 0


# ---- convolution and pooling ----------------------------------------------------------------------------------------


def cached(make: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """Keep one kernel for each combination of shapes; `make` takes the operands, `call` kernel, operands and out."""
    kernels: dict[Any, Any] = {}

    def run(*operands: Array, out: Array | None = None) -> Array:
        key = tuple([x.shape if x.ndim else int(x) for x in operands])
        kernel = kernels.get(key)
        if kernel is None:
            if len(kernels) >= 16:
                kernels.clear()
            kernel = kernels[key] = make(*operands)
        return call(kernel, *operands, out=out)

    return run


@routine
def conv2d(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Convolution; see `symgrad.backends.numpy.convolution`."""

    def make(images: Array, filters: Array) -> Any:
        geometry = convolution.Conv2dGeometry(images.shape, filters.shape, **attributes)
        return convolution.Conv2dForward(geometry, images.dtype, workspace)

    def call(kernel: Any, images: Array, filters: Array, out: Array | None) -> Array:
        return kernel(images, filters, out)

    return cached(make, call)


def _check_cotangent(geometry: convolution.Conv2dGeometry, cotangent: Array) -> None:
    """Raise unless a convolution of these sizes has an output of the cotangent's shape."""
    if geometry.output_shape != cotangent.shape:
        raise ShapeError(f"a gradient of shape {cotangent.shape}, where the output has {geometry.output_shape}")


@routine
def conv2d_input_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The cotangent of a convolution's images."""

    def make(filters: Array, cotangent: Array, height: Array, width: Array) -> Any:
        channels = filters.shape[1] * attributes["groups"]
        shape = (cotangent.shape[0], channels, int(height), int(width))
        geometry = convolution.Conv2dGeometry(shape, filters.shape, **attributes)
        _check_cotangent(geometry, cotangent)
        return convolution.Conv2dInputGradient(geometry, cotangent.dtype, workspace)

    def call(kernel: Any, filters: Array, cotangent: Array, *sizes: Array, out: Array | None) -> Array:
        return kernel(cotangent, filters, out)

    return cached(make, call)


@routine
def conv2d_filter_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The cotangent of a convolution's filters."""

    def make(images: Array, cotangent: Array, height: Array, width: Array) -> Any:
        shape = (cotangent.shape[1], images.shape[1] // attributes["groups"], int(height), int(width))
        geometry = convolution.Conv2dGeometry(images.shape, shape, **attributes)
        _check_cotangent(geometry, cotangent)
        return convolution.Conv2dFilterGradient(geometry, images.dtype, workspace)

    def call(kernel: Any, images: Array, cotangent: Array, *sizes: Array, out: Array | None) -> Array:
        return kernel(images, cotangent, out)

    return cached(make, call)


def _pool_geometry(shape: Sequence[int], attributes: Attributes) -> pooling.Pool2dGeometry:
    names = ("window", "stride", "pad", "ignore_border")
    return pooling.Pool2dGeometry(tuple(shape), **{name: attributes[name] for name in names})


def plain_call(kernel: Any, *operands: Array, out: Array | None) -> Array:
    return kernel(*operands, out)  # type: ignore[no-any-return]


@routine
def pool2d(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Pooling; see `symgrad.backends.numpy.pooling`."""

    def make(images: Array) -> Any:
        return pooling.Pool2dForward(_pool_geometry(images.shape, attributes), images.dtype, attributes["mode"])

    return cached(make, plain_call)


@routine
def max_pool_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The cotangent of max pooling's images."""

    def make(images: Array, output: Array, cotangent: Array) -> Any:
        return pooling.MaxPool2dGradient(_pool_geometry(images.shape, attributes), images.dtype)

    return cached(make, plain_call)


@routine
def max_pool_pushforward(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """A tangent at each maximum."""

    def make(images: Array, output: Array, tangent: Array) -> Any:
        return pooling.MaxPool2dPushforward(_pool_geometry(images.shape, attributes), images.dtype)

    return cached(make, plain_call)


@routine
def sum_pool_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The cotangent of sum and average pooling's images."""

    def make(cotangent: Array, height: Array, width: Array) -> Any:
        shape = (*cotangent.shape[:-2], int(height), int(width))
        return pooling.SumPool2dGradient(_pool_geometry(shape, attributes), cotangent.dtype, attributes["mode"])

    def call(kernel: Any, cotangent: Array, *sizes: Array, out: Array | None) -> Array:
        return kernel(cotangent, out)

    return cached(make, call)
