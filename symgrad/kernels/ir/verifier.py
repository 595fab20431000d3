"""Finds mistakes in kernels before any device sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from symgrad.graph.dtypes import HALVES
from symgrad.kernels.ir.affine import Polynomial, polynomial, value_range
from symgrad.kernels.ir.functions import ASSOCIATIVE, DTYPES, result_dtype
from symgrad.kernels.ir.grammar import (
    Buffer,
    Call,
    Carried,
    Carry,
    Cast,
    Check,
    Expression,
    Kernel,
    Kind,
    Let,
    Literal,
    Load,
    Loop,
    Ref,
    Role,
    Size,
    Statement,
    Store,
)
from symgrad.kernels.ir.traversal import expressions, in_order, index_names, names_in, parts, walk  # fmt: skip

INDEX = "int64"
MOST_UNROLLED = 64
"""Loops with more rounds than this aren't written out."""


class KernelMistake(Exception):
    """A kernel that breaks a rule of the grammar: a mistake of symgrad, never of its user."""


def verify(kernel: Kernel) -> None:
    """Check types, names, loops and bounds.

    Raises
    ------
    KernelMistake
        If the kernel breaks a rule; says which, and where.
    """
    _Verifier(kernel).run()


class _Verifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.buffers = {buffer.name: buffer for buffer in kernel.buffers}
        self.names: set[str] = set()
        self.dtypes: dict[str, str] = {}
        self.known: dict[str, Polynomial] = {}
        self.stored: set[str] = set()
        self.varying: set[str] = set()
        self.loops: list[Loop] = []
        self.index_names = index_names(kernel.body)
        self.seen: dict[int, tuple[Expression, str]] = {}

    def fail(self, text: str) -> None:
        raise KernelMistake(f"kernel {self.kernel.name}: {text}")

    def run(self) -> None:
        for name in self.kernel.sizes:
            self.new_name(name)
            self.dtypes[name] = INDEX
        for buffer in self.kernel.buffers:
            self.new_name(buffer.name)
            self.buffer(buffer)
        self.body(self.kernel.body)
        for buffer in self.kernel.buffers:
            if buffer.role is Role.OUTPUT and buffer.name not in self.stored and 0 not in buffer.shape:
                self.fail(f"output {buffer.name} is never written")

    def new_name(self, name: str) -> None:
        if name in self.names:
            self.fail(f"two things are called {name}")
        self.names.add(name)

    def size(self, size: Size, what: str) -> None:
        if isinstance(size, str) and size not in self.kernel.sizes:
            self.fail(f"{what} is {size}, which is no size of the kernel")

    def buffer(self, buffer: Buffer) -> None:
        if buffer.dtype not in DTYPES:
            self.fail(f"buffer {buffer.name} has an unknown dtype, {buffer.dtype}")
        if len(buffer.shape) != len(buffer.strides):
            self.fail(f"buffer {buffer.name} has {len(buffer.shape)} sizes but {len(buffer.strides)} strides")
        for size in (*buffer.shape, *buffer.strides):
            self.size(size, f"a size or stride of {buffer.name}")
            if buffer.role is Role.SCRATCH and isinstance(size, str):
                self.fail(f"scratch buffer {buffer.name} has an open size, {size}")
        if any(isinstance(size, int) and size < 0 for size in buffer.shape):
            self.fail(f"buffer {buffer.name} has a negative size")

    # ---- statements ----

    def body(self, body: Sequence[Statement]) -> None:
        for statement in body:
            if isinstance(statement, Let):
                dtype = self.dtype(statement.value)
                self.new_name(statement.name)
                self.dtypes[statement.name] = dtype
                if names_in(statement.value) & self.varying:
                    self.varying.add(statement.name)
                if dtype == INDEX and statement.name in self.index_names:
                    self.known[statement.name] = polynomial(statement.value, self.known)
            elif isinstance(statement, Store):
                self.store(statement)
            elif isinstance(statement, Check):
                self.expect(statement.condition, "bool", "the condition of a check")
                if statement.code <= 0:
                    self.fail("the code of a check must be positive")
            elif isinstance(statement, Loop):
                self.loop(statement)
            elif not self.loops:
                self.fail(f"{statement.name} is carried outside of a loop")

    def store(self, store: Store) -> None:
        buffer = self.access(store.buffer, store.indices, store.mask)
        if buffer.role is Role.INPUT:
            self.fail(f"input {buffer.name} is written")
        self.expect(store.value, buffer.dtype, f"a value stored in {buffer.name}")
        self.stored.add(buffer.name)
        vectors = [loop.index for loop in self.loops if loop.kind is Kind.VECTOR]
        if vectors and not any(names_in(place) & self.varying for place in store.indices):
            self.fail(f"all rounds of {vectors[0]} write the same element of {buffer.name}")

    def loop(self, loop: Loop) -> None:
        self.size(loop.extent, f"the extent of loop {loop.index}")
        self.kind(loop)
        starts = [(carried, self.dtype(carried.start)) for carried in loop.carried]
        before = dict(self.dtypes)
        with self.inside(loop):
            for carried, dtype in starts:
                self.new_name(carried.name)
                self.dtypes[carried.name] = dtype
            self.body(loop.body)
            self.carries(loop)
        self.dtypes = before | {carried.name: dtype for carried, dtype in starts}

    @contextmanager
    def inside(self, loop: Loop) -> Iterator[None]:
        self.new_name(loop.index)
        self.dtypes[loop.index] = INDEX
        if loop.kind is Kind.VECTOR:
            self.varying.add(loop.index)
        elif any(outer.kind is Kind.VECTOR for outer in self.loops):
            self.varying.update(carried.name for carried in loop.carried)
        self.loops.append(loop)
        outside, self.seen = self.seen, {}
        yield
        self.seen = outside
        self.loops.pop()

    def kind(self, loop: Loop) -> None:
        kinds = [outer.kind for outer in self.loops]
        if loop.kind is Kind.PARALLEL and self.loops:
            self.fail(f"parallel loop {loop.index} isn't outermost")
        if loop.kind is Kind.VECTOR and Kind.VECTOR in kinds:
            self.fail(f"vector loop {loop.index} is inside another one")
        if isinstance(loop.extent, int) and loop.extent < 0:
            self.fail(f"loop {loop.index} has a negative extent")
        if loop.kind is Kind.UNROLLED and not (isinstance(loop.extent, int) and loop.extent <= MOST_UNROLLED):
            self.fail(f"loop {loop.index} has {loop.extent} rounds, too many to be unrolled")

    def carries(self, loop: Loop) -> None:
        """Each carried value has one Carry, in the loop's own body, that fits its dtype and its `combine`."""
        given = [statement for statement in loop.body if isinstance(statement, Carry)]
        names = [carried.name for carried in loop.carried]
        if sorted(carry.name for carry in given) != sorted(names):
            self.fail(f"loop {loop.index} carries {names}, but says what becomes of {[c.name for c in given]}")
        values = {carry.name: carry.value for carry in given}
        for carried in loop.carried:
            self.expect(values[carried.name], self.dtypes[carried.name], f"what {carried.name} becomes")
            self.combination(loop, carried, values[carried.name])

    def combination(self, loop: Loop, carried: Carried, value: Expression) -> None:
        if carried.combine is not None and carried.combine not in ASSOCIATIVE:
            self.fail(f"{carried.name} is combined by {carried.combine}, which isn't associative")
        if loop.kind not in (Kind.PARALLEL, Kind.VECTOR):
            return
        if not isinstance(value, Call) or value.function != carried.combine or value.operands[0] != Ref(carried.name):
            self.fail(f"the rounds of {loop.index} run in any order: {carried.name} must become "
                      f"{carried.combine}({carried.name}, ...)")  # fmt: skip
        elif any(carried.name in names_in(used) for used in _uses(loop.body, carried.name)):
            self.fail(f"the rounds of {loop.index} run in any order: nothing in them may read {carried.name}")

    # ---- expressions ----

    def expect(self, expression: Expression, dtype: str, what: str) -> None:
        found = self.dtype(expression)
        if found != dtype:
            self.fail(f"{what} is {found}, not {dtype}")

    def dtype(self, expression: Expression) -> str:
        """Return an expression's dtype; each expression object is checked once in each loop, as it may occur often."""
        if id(expression) not in self.seen:
            for part in in_order(expression):
                if id(part) not in self.seen:
                    self.seen[id(part)] = part, self.checked(part)
        return self.seen[id(expression)][1]

    def checked(self, expression: Expression) -> str:
        if isinstance(expression, Ref):
            if expression.name not in self.dtypes:
                self.fail(f"{expression.name} is used where it isn't defined")
            return self.dtypes[expression.name]
        if isinstance(expression, Literal):
            if expression.dtype not in DTYPES:
                self.fail(f"a literal has an unknown dtype, {expression.dtype}")
            return expression.dtype
        if isinstance(expression, Load):
            return self.access(expression.buffer, expression.indices, expression.mask).dtype
        if isinstance(expression, Cast):
            self.dtype(expression.value)
            if expression.dtype not in DTYPES:
                self.fail(f"a cast to an unknown dtype, {expression.dtype}")
            return expression.dtype
        return self.call(expression)

    def call(self, call: Call) -> str:
        operands = [self.dtype(operand) for operand in call.operands]
        if call.function == "bitcast":
            if len(operands) != 1 or DTYPES.get(call.dtype) != DTYPES[operands[0]]:
                self.fail(f"the bits of {', '.join(operands)} aren't those of {call.dtype}")
            return call.dtype
        if not set(operands).isdisjoint(HALVES):
            self.fail(f"{call.function} of {', '.join(operands)}: kernels compute nothing in floats of 16 bits")
        try:
            found = result_dtype(call.function, operands)
        except ValueError as error:
            self.fail(str(error))
        if found != call.dtype:
            self.fail(f"{call.function} of {', '.join(operands)} gives {found}, not {call.dtype}")
        return found

    def access(self, name: str, indices: Sequence[Expression], mask: Expression | None) -> Buffer:
        if name not in self.buffers:
            self.fail(f"there is no buffer {name}")
        buffer = self.buffers[name]
        if len(indices) != len(buffer.shape):
            self.fail(f"{name} has {len(buffer.shape)} axes, got {len(indices)} indices")
        for place in indices:
            self.expect(place, INDEX, f"an index of {name}")
        if mask is not None:
            self.expect(mask, "bool", f"a mask of {name}")
        elif all(loop.extent != 0 for loop in self.loops):
            self.bounds(buffer, indices)
        return buffer

    def bounds(self, buffer: Buffer, indices: Sequence[Expression]) -> None:
        """Compare ranges of indices with static sizes; what only the call knows isn't checked here."""
        extents = {loop.index: loop.extent for loop in self.loops if isinstance(loop.extent, int)}
        for axis, (place, size) in enumerate(zip(indices, buffer.shape, strict=True)):
            reached = value_range(polynomial(place, self.known), extents)
            if isinstance(size, int) and reached is not None and not 0 <= reached[0] <= reached[1] < size:
                self.fail(f"index {axis} of {buffer.name} runs from {reached[0]} to {reached[1]}, its size is {size}")


def _uses(body: Sequence[Statement], name: str) -> Iterator[Expression]:
    """Give what a loop computes; of the Carry of `name`, only what is combined with it."""
    for statement in walk(body):
        if isinstance(statement, Carry) and statement.name == name:
            yield from parts(statement.value)[1:]
        else:
            yield from expressions(statement)
