"""A GPU: its memory, its stream, and what is launched there. The only file that imports CuPy, and only when asked for.

All work of symgrad on one device goes to one stream that doesn't block others, in the order in which it is asked for.
"""

from __future__ import annotations

import gc
import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from symgrad.backends.cupy.devices.compilation import compiled
from symgrad.backends.cupy.devices.handles import Active, Function, Graph, Memory
from symgrad.backends.cupy.devices.out_of_memory import out_of_memory
from symgrad.backends.cupy.devices.staging import Downward, Upward
from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.libraries.files import library_problem
from symgrad.config import config
from symgrad.errors import DeviceError, render
from symgrad.graph.source import current_source

_MAXIMAL_DYNAMIC_SHARED_BYTES = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


def load_cupy() -> Any:
    """Import CuPy and return it; raises what the import raises."""
    return importlib.import_module("cupy")


class Device:
    """One GPU. `find_device` makes them.

    Attributes
    ----------
    number : int
        As CUDA counts them.
    name : str
        As settings call it: ``cuda0``.
    cupy : module
        CuPy.
    stream : cupy.cuda.Stream
        Where all work of symgrad goes.
    title : str
        What its maker calls it.
    capability : int
        Its compute capability, as 80 for 8.0.
    out_of_memory : type
        The exception of an allocation that doesn't fit.
    failures : tuple of type
        The exceptions of CUDA itself.
    """

    def __init__(self, number: int, cupy: Any) -> None:
        self.number, self.name, self.cupy = number, f"cuda{number}", cupy
        cuda = cupy.cuda
        self.out_of_memory: type[Exception] = cuda.memory.OutOfMemoryError
        self.failures: tuple[type[Exception], ...] = (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError)
        properties = cuda.runtime.getDeviceProperties(number)
        title = properties["name"]
        self.title = title.decode() if isinstance(title, bytes) else str(title)
        self.capability = 10 * int(properties["major"]) + int(properties["minor"])
        self.multiprocessors = int(properties["multiProcessorCount"])
        with cuda.Device(number):
            self.stream = cuda.Stream(non_blocking=True)
        self._side_streams: list[Any] = []
        self._array_type = cupy.ndarray
        self._has_lent = False
        self._pool = cupy.get_default_memory_pool()
        self._upward, self._downward = Upward(cupy, self.stream), Downward(cupy, self.stream)
        self._transfers = threading.Lock()
        self._use_limit()

    def __repr__(self) -> str:
        return f"<{self.name}: {self.title}>"

    def _use_limit(self) -> None:
        """Keep to the setting ``memory_limit``, if there is one; CuPy has its own, which else holds."""
        if config.memory_limit:
            with self.cupy.cuda.Device(self.number):
                self._pool.set_limit(size=config.memory_limit << 20)

    @property
    def target(self) -> Target:
        """What kernels are written for, with the setting ``allow_tf32`` as it is now."""
        return Target(
            capability=self.capability,
            multiprocessors=self.multiprocessors,
            allow_tf32=config.allow_tf32,
            cublas=library_problem("cublas") == "",
            cudnn=library_problem("cudnn") == "",
        )

    def active(self) -> Active:
        """Return a context in which the device and its stream are CuPy's current ones."""
        return Active(self)

    # ---- memory ----

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return a new device array with whatever was in the memory."""
        with self.active():
            return self.cupy.empty(tuple(shape), dtype)

    def allocate(self, size: int) -> Any:
        """Return device memory of at least `size` bytes: an object with its address ``ptr``, aligned to 512 bytes.

        It goes back to CuPy's pool when nothing holds it any more, and is given again only to this stream.
        """
        with self.active():
            return self.cupy.cuda.alloc(max(size, 1))

    def memory(self) -> Memory:
        """Return what is used and what there is."""
        with self.active():
            free, total = self.cupy.cuda.runtime.memGetInfo()
            pool = self._pool
            return Memory(pool.used_bytes(), pool.total_bytes(), pool.get_limit(), free, total)

    def give_back(self) -> None:
        """Return the memory that CuPy keeps for later to the device."""
        with self.active():
            self._pool.free_all_blocks()

    # ---- transfers ----

    def write(self, address: int, array: np.ndarray) -> None:
        """Enqueue a copy from the host, in C order, to an address; `array` may be changed right after."""
        with self._transfers, self.active():
            self._upward.copy(address, array)

    def read(self, addresses: Sequence[int], arrays: Sequence[np.ndarray]) -> None:
        """Fill host arrays, all in C order, with what is at these addresses after all work so far; waits for it."""
        with self._transfers, self.active():
            self._downward.copy(addresses, arrays)

    def upload(self, array: np.ndarray, into: Any = None) -> Any:
        """Return a device array of the same values; `array` may be changed right after.

        Parameters
        ----------
        array : ndarray
            Of any strides.
        into : cupy.ndarray, optional
            A contiguous device array of the same shape and dtype to write into.
        """
        found = self.empty(array.shape, array.dtype) if into is None else into
        self.write(int(found.data.ptr), array)
        return found

    def hold(self, array: np.ndarray) -> Any:
        """Return a device array for the user's own values; an error of the user's where there is no room for it."""
        try:
            return self.upload(array)
        except self.out_of_memory:
            raise self._no_room(array.nbytes) from None

    def _no_room(self, size: int) -> Exception:
        memory, line = self.memory(), str(current_source() or "")
        return out_of_memory(size, memory.used, memory.limit or memory.total, (), self.name, line)

    def download(self, array: Any) -> np.ndarray:
        """Return the values of a device array, after all work so far."""
        return self.downloads([array])[0]

    def downloads(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Return the values of several device arrays; waits once."""
        with self.active():
            plain = [array if array.flags.c_contiguous else self.cupy.ascontiguousarray(array) for array in arrays]
        found = [np.empty(array.shape, array.dtype) for array in plain]
        self.read([int(array.data.ptr) for array in plain], found)
        return found

    def copy(self, array: Any, into: Any = None) -> Any:
        """Return a copy of a device array, in C order; one of another device comes to this one.

        Parameters
        ----------
        array : cupy.ndarray
            Of any device.
        into : cupy.ndarray, optional
            A contiguous array of this device, of the same shape and dtype, to write into.
        """
        if array.data.device_id != self.number:
            other = find_device(f"cuda{array.data.device_id}")
            values = other.download(other.borrow(array))
            return self.hold(values) if into is None else self.upload(values, into)
        try:
            with self.active():
                found = self.cupy.empty(array.shape, array.dtype) if into is None else into
                plain = self.cupy.ascontiguousarray(array)
        except self.out_of_memory:
            raise self._no_room(array.nbytes) from None
        self.move(int(found.data.ptr), int(plain.data.ptr), plain.nbytes)
        self.release()
        return found

    def move(self, target: int, source: int, size: int) -> None:
        """Enqueue a copy of bytes from one address of the device to another."""
        runtime = self.cupy.cuda.runtime
        if size:
            runtime.memcpyAsync(target, source, size, runtime.memcpyDeviceToDevice, self.stream.ptr)

    def clear(self, address: int, size: int) -> None:
        """Enqueue the setting of bytes to 0."""
        if size:
            self.cupy.cuda.runtime.memsetAsync(address, 0, size, self.stream.ptr)

    def synchronize(self) -> None:
        """Wait until all work so far is done; raises the error of a kernel that crashed."""
        self.stream.synchronize()

    # ---- arrays of others ----

    def holds(self, value: Any) -> bool:
        """Whether a value is an array of this device."""
        return type(value) is self._array_type and value.data.device_id == self.number

    def lend(self) -> None:
        """Have what the caller's own CuPy code asks for wait for all work so far: before an array is handed out.

        From then on calls wait for the caller's work too, see `meet`: it may use or change the array, or let it go.
        """
        self._has_lent = True
        self.release()

    def release(self) -> None:
        """Have what the caller's own CuPy code asks for wait for all work so far: it may change or free its arrays."""
        with self.cupy.cuda.Device(self.number):
            done = self.stream.record()
            for stream in self._callers_streams():
                stream.wait_event(done)

    def meet(self) -> None:
        """Have work from now on wait for what the caller's CuPy code asked for, if it has arrays of symgrad."""
        if self._has_lent:
            self.await_callers()

    def await_callers(self) -> None:
        """Have work from now on wait for what the caller's own CuPy code asked for: before its array is used."""
        with self.cupy.cuda.Device(self.number):
            for stream in self._callers_streams():
                self.stream.wait_event(stream.record())

    def _callers_streams(self) -> list[Any]:
        """Return CuPy's own stream of the current device, and the one that the caller has chosen there."""
        current, null = self.cupy.cuda.get_current_stream(), self.cupy.cuda.Stream.null
        return [null] if current.ptr in (null.ptr, self.stream.ptr) else [null, current]

    def borrow(self, value: Any) -> Any:
        """Return a device array of anything with ``__cuda_array_interface__``; a copy if it is on another device.

        Work from now on waits for what the caller asked for on it.
        """
        array = value if isinstance(value, self._array_type) else self.cupy.asarray(value)
        if array.data.device_id != self.number:
            return self.copy(array)
        self.await_callers()
        return array

    # ---- kernels ----

    def kernels(self, text: str, names: Sequence[str], label: str = "") -> dict[str, Function]:
        """Compile and load a module.

        Parameters
        ----------
        text : str
            The whole text, prelude included.
        names : sequence of str
            Its kernels.
        label : str
            What ``symgrad cache list`` shows.

        Returns
        -------
        dict of str to Function
            What `launch` takes.

        Raises
        ------
        KernelTextError
            If the text doesn't compile.
        """
        with self.active():
            module = self.cupy.cuda.Module()
            module.load(compiled(self.cupy, text, self.capability, label))
            return {name: Function(module.get_function(name)) for name in names}

    def launch(
        self, function: Function, grid: Sequence[int], threads: int, arguments: Sequence[int], shared_bytes: int = 0,
        stream: Any = None,
    ) -> None:  # fmt: skip
        """Enqueue a kernel.

        Parameters
        ----------
        function : Function
            Of `kernels`.
        grid : sequence of int
            Blocks along x, y, z.
        threads : int
            Of a block.
        arguments : sequence of int
            Addresses and sizes, all of 64 bits.
        shared_bytes : int
            Dynamic shared memory; above 48 KiB the kernel is given leave once.
        stream : cupy.cuda.Stream, optional
            One of `side_streams`, during a capture.
        """
        if shared_bytes > function.shared_bytes:
            self.cupy.cuda.driver.funcSetAttribute(function.loaded.ptr, _MAXIMAL_DYNAMIC_SHARED_BYTES, shared_bytes)
            function.shared_bytes = shared_bytes
        function.loaded(tuple(grid), (threads, 1, 1), tuple(arguments), shared_mem=shared_bytes,
                        stream=self.stream if stream is None else stream)  # fmt: skip
        if config.sync:
            self.synchronize()

    def side_streams(self, count: int) -> list[Any]:
        """Return streams beside the device's own, for what runs side by side in a captured graph."""
        with self.cupy.cuda.Device(self.number):
            while len(self._side_streams) < count:
                self._side_streams.append(self.cupy.cuda.Stream(non_blocking=True))
        return self._side_streams[:count]

    def mark(self, stream: Any) -> Any:
        """Return an event behind all work of a stream so far."""
        event = self.cupy.cuda.Event(disable_timing=True)
        event.record(stream)
        return event

    @contextmanager
    def capture(self) -> Iterator[Graph]:
        """Record what is enqueued in the block instead of doing it; the graph can be launched after the block.

        Nothing may be allocated or waited for in the block; if something is, or the block raises, that error comes
        out, and the stream is as before.
        """
        runtime = self.cupy.cuda.runtime
        graph = Graph(self.stream)
        collects = gc.isenabled()
        gc.disable()  # what it frees may be something that mustn't be freed during a capture
        try:
            with self.active():
                self.stream.begin_capture(runtime.streamCaptureModeThreadLocal)
                try:
                    yield graph
                except BaseException:
                    with suppress(*self.failures):  # the capture was given up already
                        self.stream.end_capture()
                    raise
                graph.take(self.stream.end_capture())
        finally:
            if collects:
                gc.enable()


# ---- finding devices ----

_devices: dict[int, Device] = {}
_finding = threading.Lock()


def number_of(name: str) -> int:
    """Return the number of a device's name.

    Examples
    --------
    >>> number_of("cuda"), number_of("cuda2")
    (0, 2)
    """
    return int(name.removeprefix("cuda") or 0)


def find_device(name: str) -> Device:
    """Return the device of a name: ``cuda``, which is ``cuda0``, or ``cudaN``.

    Raises
    ------
    DeviceError
        If it can't be used; says why and what to do.
    """
    number = number_of(name)
    found = _devices.get(number)
    if found is None:
        with _finding:
            found = _devices.get(number)
            if found is None:
                from symgrad.backends.cupy.devices.doctor import find_problem

                problem, remedy = find_problem(number)
                if problem:
                    raise DeviceError(render(f"cuda{number} isn't available: {problem}", remedy=remedy))
                found = _devices[number] = Device(number, load_cupy())
    return found


def download(value: Any) -> np.ndarray:
    """Return the values of anything with ``__cuda_array_interface__`` on the host; waits for what makes them."""
    cupy = find_device("cuda0").cupy
    array = value if isinstance(value, cupy.ndarray) else cupy.asarray(value)
    device = find_device(f"cuda{array.data.device_id}")
    return device.download(device.borrow(array))


def _forget_devices() -> None:
    """In a forked child CUDA doesn't work, and what it says there would mislead."""
    if _devices:
        from symgrad.backends.cupy.devices import doctor

        _devices.clear()
        doctor.forked_after_use()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_devices)
