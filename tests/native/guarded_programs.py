"""Run by tests in a process of its own: whole programs in guarded, poisoned memory.

The first argument: ``behind`` puts all memory of programs at the end of pages of its own, so that whoever goes beyond
it is stopped by the processor; ``before`` at the beginning of such pages; ``poisoned`` leaves it where it is planned.
All fill it with bytes of 255 (NaN, and -1) before each call.

Then the words ``ops`` (the samples of all ops), ``gradients`` (of these), ``graphs=100`` (random programs and their
gradients) or ``networks``. Standard output: how many calls were made, and how many natively.
"""

from __future__ import annotations

import ctypes
import faulthandler
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from guarded import guarded_array, guarded_copy

sys.path += [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent.parent / "models")]

import oracle
from network3 import ConvPoolLayer, FullyConnectedLayer, Network, ReLU, SoftmaxLayer, sigmoid
from program_checks import Check
from random_programs import WITH_KERNELS, random_program, rebuilt
from test_conformance import SUBJECTS, Derivatives, describe, differentiable, good, outputs_of, variables_for

import symgrad
from symgrad.backends.layouts import bytes_of
from symgrad.backends.native import program as programs
from symgrad.backends.native import table as tables
from symgrad.backends.native.objects import api_table
from symgrad.backends.native.program import NativeProgram
from symgrad.backends.native.records import Api
from symgrad.backends.native.table import Table
from symgrad.graph.variables import Constant, SharedVariable, Variable

POISON = 0xFF
TABLES: WeakSet[Any] = WeakSet()


class PoisonedTable(Table):
    """A table whose memory is poisoned before each call."""

    def __init__(self, *given: Any) -> None:
        self.own: list[tuple[int, int]] = []
        super().__init__(*given)
        TABLES.add(self)

    def allocate(self, size: int) -> int:
        address = super().allocate(size)
        self.own.append((address, size))
        return address

    def poison(self) -> None:
        """Fill arena, temporaries and scratch."""
        for address, size in self.own:
            ctypes.memset(address, POISON, size)


class GuardedTable(PoisonedTable):
    """A table that puts each result, temporary and constant at the end of a page of its own."""

    at_end = True

    def _guarded(self, size: int) -> int:
        array = guarded_array(size, "uint8", self.at_end)
        self.kept.append(array)
        return int(array.ctypes.data)

    def allocate(self, size: int) -> int:
        address = self._guarded(size)
        self.own.append((address, size))
        return address

    def _own_address(self, output: Variable, place: Any) -> int:
        for step in self.plan.overwriting_steps():
            if output is step.outputs[0]:
                return self._address_in(self._memories[self.layouts.of(step.inputs[0]).memory])
        return self.allocate(bytes_of(self.plan.types, output))

    def temporary_place(self, temporary: Any) -> int:
        place = self._temporary_places.get(temporary)
        if place is None:
            place = self._temporary_places[temporary] = self.allocate(temporary.bytes)
        return place

    def _new_memory(self, variable: Variable, address: int | None = None) -> Any:
        if isinstance(variable, Constant):
            copy = guarded_copy(np.require(variable.data, requirements=["C", "A"]), self.at_end)
            self.kept.append(copy)
            address = copy.ctypes.data
        return super()._new_memory(variable, address)


def new_array(kind: int, dtype: int, rank: int, sizes: Any, *rest: Any) -> Any:
    """Return the array of an output: guarded, and poisoned. As in NumPy, the reference to the dtype is taken over."""
    descriptor = ctypes.cast(dtype, ctypes.py_object).value
    array = guarded_array([sizes[axis] for axis in range(rank)], descriptor, GuardedTable.at_end)
    array.reshape(-1).view("uint8")[...] = POISON
    ctypes.pythonapi.Py_DecRef(ctypes.c_void_p(dtype))
    return array


_NEW_ARRAY = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int64), ctypes.c_void_p,
    ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p,
)(new_array)  # fmt: skip


def guarded_api() -> np.ndarray:
    """Return the table of functions with another one for new arrays."""
    table = api_table().copy()
    table[Api.NEW_ARRAY] = ctypes.cast(_NEW_ARRAY, ctypes.c_void_p).value or 0
    return table


@contextmanager
def in_memory(kind: str) -> Iterator[None]:
    """Make programs with memory of a kind."""
    from symgrad.backends.native import backend

    if kind == "plain":
        yield
        return
    if kind == "poisoned":
        backend.Table = PoisonedTable  # type: ignore[misc]
    else:
        GuardedTable.at_end = kind == "behind"
        backend.Table, programs.api_table = GuardedTable, guarded_api  # type: ignore[misc]
    try:
        yield
    finally:
        backend.Table, programs.api_table = Table, api_table  # type: ignore[misc]


def poison_all() -> None:
    for table in list(TABLES):
        table.poison()


def calls_of(function: Any, arguments: Sequence[np.ndarray], kind: str) -> list[list[np.ndarray]]:
    """Return the results of two calls, the second without Python between."""
    found = []
    with in_memory(kind):
        for _ in range(2):
            poison_all()
            results = function(*[guarded_copy(value, kind != "before") for value in arguments])
            found.append([np.array(value) for value in (results if isinstance(results, list) else [results])])
    return found


def is_native(function: Any) -> bool:
    return all(isinstance(program, NativeProgram) for _, program in function._programs.values())


def run_ops(kind: str) -> tuple[int, int]:
    """Run the samples of all ops; return how many calls were made, and how many natively."""
    calls = native = 0
    for name in SUBJECTS:
        for op, sample in good(name):
            expected = op.evaluate(*sample.arguments)
            for static in (True, False):
                variables = variables_for(sample, static)
                f = symgrad.function(variables, outputs_of(op, variables), on_unused_input="ignore")
                for found in calls_of(f, sample.arguments, kind):
                    calls, native = calls + 1, native + is_native(f)
                    for value, wanted in zip(found, expected, strict=True):
                        oracle.assert_same(value, wanted, what=describe(op, sample))
    return calls, native


def run_gradients(kind: str) -> tuple[int, int]:
    """Run the gradients of the samples of all ops."""
    calls = native = 0
    for name in SUBJECTS:
        for op, sample in differentiable(name):
            d = Derivatives(op, sample, static=True)
            f = symgrad.function(d.variables, d.cotangents, on_unused_input="ignore")
            for found in calls_of(f, d.points, kind):
                calls, native = calls + 1, native + is_native(f)
                for value, wanted in zip(found, d.walk(d.cotangents, d.points), strict=True):
                    oracle.assert_same(value, wanted, what=describe(op, sample))
    return calls, native


def run_graphs(kind: str, count: int) -> tuple[int, int]:
    """Run random programs and their gradients."""
    calls = native = 0
    for seed in range(count):
        program = random_program(seed, WITH_KERNELS)
        with symgrad.config.change_flags(floatX=program.floatx, warn_float64="ignore"):
            check = Check(program, rebuilt(program), [])
            results = check.derivatives()
            expected = [*[check.state.values[name] for name in program.outputs], *check.walk(results, check.values)]
            pairs = [pair for pair in zip(check.inputs, check.values, strict=True)
                     if not isinstance(pair[0], SharedVariable)]  # fmt: skip
            f = symgrad.function([v for v, _ in pairs], [*check.outputs, *results], on_unused_input="ignore")
            for found in calls_of(f, [value for _, value in pairs], kind):
                calls, native = calls + 1, native + is_native(f)
                check.compare(found, expected, f"seed {seed}")
    return calls, native


# ---- networks ----


def mlp() -> Any:
    rng = np.random.RandomState(1)
    return Network([FullyConnectedLayer(784, 30, sigmoid, rng=rng), SoftmaxLayer(30, 10, rng=rng)], 10)


def network3() -> Any:
    rng = np.random.RandomState(2)
    layers = [
        ConvPoolLayer((5, 1, 5, 5), (4, 1, 28, 28), (2, 2), ReLU, rng=rng),
        ConvPoolLayer((7, 5, 5, 5), (4, 5, 12, 12), (2, 2), ReLU, rng=rng),
        FullyConnectedLayer(7 * 4 * 4, 25, ReLU, 0.5, rng=rng),
        SoftmaxLayer(25, 10, 0.5, rng=rng),
    ]
    return Network(layers, 4)


def convolutions() -> Any:
    rng = np.random.RandomState(3)
    layers = [ConvPoolLayer((3, 1, 9, 9), (3, 1, 28, 28), (4, 4), sigmoid, rng=rng), SoftmaxLayer(75, 10, rng=rng)]
    return Network(layers, 3)


def trained(make: Any, kind: str, threads: int) -> tuple[list[np.ndarray], int]:
    """Return what some training steps give: the costs and the parameters; and how many calls were made natively."""
    rng = np.random.RandomState(0)
    images, labels = rng.rand(40, 784).astype("float32"), (np.arange(40) % 10).astype("int32")
    with symgrad.config.change_flags(threads=threads), in_memory(kind):
        net = make()
        data = [symgrad.shared(guarded_copy(array, kind != "before"), borrow=True) for array in (images, labels)]
        for param in net.params:
            param.set_value(guarded_copy(param.get_value(), kind != "before"), borrow=True)
        train = net.training_function(tuple(data), net.mini_batch_size, 0.1, 0.5)
        accuracy = net.each_image(net.output, tuple(data))
        found = []
        for step in range(4):
            poison_all()
            found.append(np.array(train(step)))
            if step % 2:
                poison_all()
                found.append(np.array(accuracy()))
        native = len(found) * is_native(train)
    return [*found, *[param.get_value() for param in net.params]], native


def run_networks(kind: str) -> tuple[int, int]:
    """Train networks in plain and in guarded memory: the results must be the same, bit for bit."""
    calls = native = 0
    for make in (mlp, network3, convolutions):
        expected, _ = trained(make, "plain", 1)
        for threads in (1, 2):
            found, both = trained(make, kind, threads)
            calls, native = calls + 6, native + both
            for value, wanted in zip(found, expected, strict=True):
                np.testing.assert_array_equal(value, wanted, f"{make.__name__}, {threads} threads")
    return calls, native


def main(kind: str, what: Sequence[str]) -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    symgrad.config.backend = "native"
    tables.SINGLE_THREAD_WORK = 0
    for word in what:
        name, _, count = word.partition("=")
        runs = {"ops": run_ops, "networks": run_networks, "gradients": run_gradients}
        calls, native = run_graphs(kind, int(count)) if count else runs[name](kind)
        print(f"{word}: {calls} calls, native {native}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
