"""CuPy's arrays: elements in the memory of a device, and work on them that a stream does later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from gpu.shim.fake_cupy.devices import Device, memcpyAsync
from gpu.shim.fake_cupy.memory import MemoryPointer, UnownedMemory, alloc
from gpu.shim.fake_cupy.streams import Stream, get_current_stream
from gpu.shim.fake_cupy.world import device_array, enqueue, forbid_in_capture, plain_strides, queue_of, world


class ndarray:
    """An array of a device."""

    __array_priority__ = 100

    def __init__(
        self, shape: int | Sequence[int], dtype: Any = float, memptr: MemoryPointer | None = None,
        strides: Sequence[int] | None = None, order: str = "C",
    ) -> None:  # fmt: skip
        self.shape = (shape,) if isinstance(shape, int) else tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.strides = plain_strides(self.shape, self.dtype.itemsize) if strides is None else tuple(strides)
        self.data = alloc(self.nbytes) if memptr is None else memptr

    # ---- what it is ----

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def device(self) -> Device:
        return Device(self.data.device_id)

    @property
    def flags(self) -> Any:
        flags = self._ghost().flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=False)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        strides = None if self.flags.c_contiguous else self.strides
        return {
            "shape": self.shape, "typestr": self.dtype.str, "descr": self.dtype.descr, "stream": 1, "version": 3,
            "strides": strides, "data": (self.data.ptr, False),
        }  # fmt: skip

    def __array__(self, *ignored: Any, **also: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct one.")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<fake cupy.ndarray {self.dtype} {self.shape}>"

    # ---- views ----

    def _ghost(self) -> np.ndarray:
        """Return a NumPy array of the same shape and strides, without memory: to see what views of it are like."""
        base = np.empty((), self.dtype)
        return np.lib.stride_tricks.as_strided(base, self.shape, self.strides)

    def __getitem__(self, key: Any) -> ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(part, (int, np.integer, slice, type(None), type(...))) for part in keys):
            from gpu.shim.fake_cupy.functions import call

            return call(lambda array, *index: array[tuple(index)], self, *keys)  # type: ignore[no-any-return]
        whole = keys if any(part is ... for part in keys) else (*keys, ...)
        return seen(self, lambda ghost: ghost[whole])

    def __setitem__(self, key: Any, value: Any) -> None:
        target = self[key]
        if not isinstance(value, ndarray):
            value = np.asarray(value)
            if value.ndim:
                raise TypeError("a host array isn't assigned to a device array")
            _enqueue(lambda: _view(target).__setitem__(..., value))
            return
        source = value
        np.broadcast_shapes(target.shape, source.shape)
        _enqueue(lambda: _view(target).__setitem__(..., _view(source)))

    @property
    def T(self) -> ndarray:
        return seen(self, np.transpose)

    def view(self, dtype: Any = None) -> ndarray:
        return seen(self, lambda ghost: ghost.view(self.dtype if dtype is None else dtype))

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        wanted = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        known = -int(np.prod(wanted, dtype=np.int64)) if -1 in wanted else 1
        sizes = tuple(self.size // max(known, 1) if size == -1 else int(size) for size in wanted)
        if int(np.prod(sizes, dtype=np.int64)) != self.size:
            raise ValueError(f"cannot reshape array of size {self.size} into shape {sizes}")
        plain = self if self.flags.c_contiguous else self.copy()
        return ndarray(sizes, self.dtype, plain.data)

    def ravel(self, order: str = "C") -> ndarray:
        return self.reshape(self.size)

    # ---- copies ----

    def copy(self, order: str = "C") -> ndarray:
        return self.astype(self.dtype)

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if not copy and self.dtype == dtype:
            return self
        result = ndarray(self.shape, dtype)
        _enqueue(lambda: _view(result).__setitem__(..., _view(self).astype(dtype)))
        return result

    def fill(self, value: Any) -> None:
        self[...] = value

    def get(
        self, stream: Stream | None = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True
    ) -> np.ndarray:
        """Return the elements as the stream, the current one, leaves them."""
        forbid_in_capture()
        pointer = (get_current_stream() if stream is None else stream).ptr
        plain = self if self.flags.c_contiguous else self.copy()
        result = np.empty(self.shape, self.dtype) if out is None else out
        assert result.flags.c_contiguous and result.dtype == self.dtype and result.shape == self.shape
        if self.nbytes:
            memcpyAsync(result.ctypes.data, plain.data.ptr, self.nbytes, 2, pointer)
        return result

    def set(self, arr: np.ndarray, stream: Stream | None = None) -> None:
        pointer = (get_current_stream() if stream is None else stream).ptr
        given = np.array(arr, self.dtype, order="C")
        assert given.shape == self.shape and self.flags.c_contiguous
        if self.nbytes:
            memcpyAsync(self.data.ptr, given.ctypes.data, self.nbytes, 1, pointer)

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())


def seen(array: ndarray, view: Callable[[np.ndarray], np.ndarray]) -> ndarray:
    """Return what a function of NumPy, which changes shape and strides only, makes of an array: the same memory."""
    ghost = array._ghost()
    found = view(ghost)
    offset = found.__array_interface__["data"][0] - ghost.__array_interface__["data"][0]
    return ndarray(found.shape, found.dtype, array.data + offset, found.strides)


def _view(array: ndarray) -> np.ndarray:
    """Return the memory of an array, for work that a stream does."""
    return device_array(array.data.ptr, array.shape, array.dtype, array.strides, array.data.device_id)


def _enqueue(work: Any) -> None:
    enqueue(get_current_stream().ptr, work)


def host_values(array: ndarray) -> np.ndarray:
    """Return the elements now that the current stream is done."""
    forbid_in_capture()
    queue_of(get_current_stream().ptr).run()
    return _view(array).copy()


def on_device(values: Any) -> ndarray:
    """Return values that a function of the device computed."""
    values = np.array(values, order="C")
    result = ndarray(values.shape, values.dtype)
    _view(result)[...] = values
    return result


# ---- functions that make arrays ----


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return ndarray(shape, dtype)


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    result = ndarray(shape, dtype)
    result.fill(0)
    return result


def empty_like(a: ndarray, dtype: Any = None) -> ndarray:
    return ndarray(a.shape, a.dtype if dtype is None else dtype)


def as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return ndarray(x.shape if shape is None else shape, x.dtype, x.data, x.strides if strides is None else strides)


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """Return an array of this device; from the host its values are copied at once."""
    described = getattr(obj, "__cuda_array_interface__", None)
    if not isinstance(obj, ndarray) and described is not None:
        address = described["data"][0]
        device = world.checked(address, 0).device
        memory = MemoryPointer(UnownedMemory(address, 0, obj, device), 0)
        obj = ndarray(described["shape"], described["typestr"], memory, described.get("strides"))
    if isinstance(obj, ndarray):
        wanted = obj.dtype if dtype is None else np.dtype(dtype)
        is_plain = order in ("K", "A", None) or obj.flags.c_contiguous
        return obj if not copy and wanted == obj.dtype and is_plain else obj.astype(wanted)
    values = np.array(obj, dtype, order="C", ndmin=ndmin)
    result = ndarray(values.shape, values.dtype)
    result.set(values)
    return result


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    return array(a, dtype, bool(copy), order or "K")


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, False, "C")


def copyto(dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    dst[...] = src


def asnumpy(
    a: Any, stream: Stream | None = None, order: str = "C", out: Any = None, *, blocking: bool = True
) -> np.ndarray:
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a)
