"""Whole kernels: buffers, units, counts for the profile."""

from __future__ import annotations

from collections import Counter

from symgrad.backends.native.emit.expressions import size_value
from symgrad.backends.native.emit.lanes import values_in, work_of
from symgrad.backends.native.emit.state import State, scratch_places
from symgrad.backends.native.emit.statements import write_body, write_serial
from symgrad.backends.native.emit.vectors import write_vector_loop
from symgrad.backends.native.kernel import NativeKernel, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Value, index, literal
from symgrad.kernels.ir.functions import DTYPES
from symgrad.kernels.ir.grammar import Buffer, Call, Kernel, Kind, Load, Loop, Role, Size, Statement, Store
from symgrad.kernels.ir.traversal import expressions, subexpressions, walk

UNIT_ROUNDS = 4096
"""Rounds of a flat loop, with those inside, that one unit does at the least."""


STREAMING_BYTES = 1 << 25
"""Outputs larger than this, which is more than caches hold, are written past them."""


def emit_kernel(kernel: Kernel, vector_bytes: int, masked: bool, streaming: bool | None = None) -> NativeKernel:
    """Write a kernel as LLVM text.

    A kernel that ends with a parallel loop has one unit for each of its rounds. One that ends with a vector loop that
    carries nothing is cut into blocks of rounds. Every other kernel is one unit.

    Parameters
    ----------
    kernel : Kernel
        A verified kernel.
    vector_bytes : int
        The size of the processor's vector registers: 16, 32, 64.
    masked : bool
        Whether the processor loads and stores some lanes of a vector as fast as all.
    streaming : bool, optional
        Whether outputs are written past the caches where their memory is aligned to vectors. If None, those are that
        are written once and larger than `STREAMING_BYTES`.

    Returns
    -------
    NativeKernel
        Its buffers are the inputs and outputs in the kernel's order, without the scratch buffers.
    """
    function = kernel_function(kernel.name)
    state = State(kernel, function, vector_bytes, masked)
    state.streamed = _streamed(kernel, streaming)
    scratch = _write_addresses(state)
    loop = _divided_loop(kernel.body)
    units: Size = 1
    block = 1
    if loop is None:
        write_body(state, kernel.body)
    else:
        write_body(state, kernel.body[:-1])
        units, block = loop.extent, 1
        if loop.kind is Kind.VECTOR:
            block = _unit_block(state, loop)
            units = -(-units // block) if isinstance(units, int) else units
        _write_units(state, loop, block)
    if state.streamed:
        function.do("fence seq_cst")  # streaming stores are in no order with others
    function.give(literal(0, "i32"))
    return NativeKernel(
        kernel.name, [function], units=units, unit_block=block, scratch=scratch, flops=_flops(kernel.body, 1),
        bytes=sum(map(_bytes, kernel.buffers)), may_fail=state.may_fail,
    )  # fmt: skip


def _streamed(kernel: Kernel, streaming: bool | None) -> set[str]:
    """Return the outputs that are written past the caches: none that the kernel reads again."""
    if streaming is False:
        return set()
    outputs = [b for b in kernel.buffers if b.role is Role.OUTPUT and (streaming or _bytes(b) > STREAMING_BYTES)]
    if not outputs:
        return set()
    stored = Counter(s.buffer for s in walk(kernel.body) if isinstance(s, Store))
    parts = [part for s in walk(kernel.body) for whole in expressions(s) for part in subexpressions(whole)]
    read = {part.buffer for part in parts if isinstance(part, Load)}
    return {b.name for b in outputs if stored[b.name] == 1 and b.name not in read}


def _write_addresses(state: State) -> int:
    """Load the addresses of all buffers; return the bytes of scratch memory."""
    places, scratch = scratch_places(state.kernel.buffers, DTYPES)
    passed = [buffer.name for buffer in state.kernel.buffers if buffer.role is not Role.SCRATCH]
    for position, name in enumerate(passed):
        state.addresses[name] = buffer_pointer(state.f, position)
    for name, place in places.items():
        state.addresses[name] = state.f.offset(state.f.parameters[4], index(place), "i8")
    return scratch


def _divided_loop(body: tuple[Statement, ...]) -> Loop | None:
    """Return the last statement if it is a loop that can be cut into units, and the only loop."""
    loops = [statement for statement in body if isinstance(statement, Loop)]
    if len(loops) != 1 or loops[0] is not body[-1]:
        return None
    (loop,) = loops
    return loop if loop.kind in (Kind.PARALLEL, Kind.VECTOR) and not loop.carried and loop.extent != 0 else None


def _unit_block(state: State, loop: Loop) -> int:
    """Return how many rounds of a flat loop one unit does: a power of two, and not less than the main loop's lanes."""
    work = work_of(loop, state.buffers)
    least = max(1, state.vector_bytes // work.size) * work.unrolling
    inside = 1
    for statement in walk(loop.body):
        if isinstance(statement, Loop) and isinstance(statement.extent, int):
            inside *= max(statement.extent, 1)
    block = UNIT_ROUNDS
    while block > least and block * inside > UNIT_ROUNDS:
        block //= 2
    return block


def _write_units(state: State, loop: Loop, block: int) -> None:
    f = state.f
    begin, end = f.parameters[2], f.parameters[3]
    if loop.kind is Kind.PARALLEL:
        write_serial(state, loop, begin, end)
        return
    extent = size_value(state, loop.extent)
    if isinstance(loop.extent, int) and loop.extent <= block:
        # One unit: all rounds, known in number.
        write_vector_loop(state, loop, index(0), extent)
        return
    first = f.multiply(begin, index(block))
    last: Value = f.intrinsic("smin", "i64", f.multiply(end, index(block)), extent)
    write_vector_loop(state, loop, first, last)


def _flops(body: tuple[Statement, ...], rounds: int) -> int:
    """Return the floating-point operations of all rounds; loops of open extent count as one round."""
    total = 0
    for statement in body:
        if isinstance(statement, Loop):
            inner = sum(_flops((s,), 1) for s in statement.body if isinstance(s, Loop))
            own = sum(isinstance(v, Call) and v.dtype.startswith("float") for v in values_in(_without_loops(statement)))
            total += rounds * (statement.extent if isinstance(statement.extent, int) else 1) * (own + inner)
    return total


def _without_loops(loop: Loop) -> Loop:
    body = tuple(statement for statement in loop.body if not isinstance(statement, Loop))
    return Loop(loop.index, loop.extent, loop.kind, body, loop.carried)


def _bytes(buffer: Buffer) -> int:
    """Return the bytes of a buffer of static sizes; elements that are read again count once."""
    total = DTYPES[buffer.dtype]
    for size, stride in zip(buffer.shape, buffer.strides, strict=True):
        total *= size if isinstance(size, int) and stride != 0 else 1
    return 0 if buffer.role is Role.SCRATCH else total


