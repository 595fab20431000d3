"""The native entry: a call from Python, its checks and its kernels, without going back to Python.

These few functions are the same for every program; they read its records (`symgrad.backends.native.records`). The
entry answers with a special object, *miss*, whenever something isn't exactly as the program was bound to: Python then
converts, copies or explains.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from symgrad.backends.base import Number
from symgrad.backends.native.llvm.text import INDEX, POINTER, Function, Value, index
from symgrad.backends.native.records import (
    WORD,
    Api,
    Array,
    Header,
    Move,
    Output,
    Overlap,
    Patch,
    Step,
    StepKind,
    Term,
    Turn,
)
from symgrad.backends.timing import BEGAN, RUNS, TIMES

# Where PyArrayObject keeps its fields; this is NumPy's stable binary interface.
OBJECT_TYPE, FLOAT_VALUE, SCALAR_VALUE = 8, 16, 16
DATA, RANK, DIMENSIONS, BASE, DESCRIPTOR, FLAGS, WEAK_REFERENCES = 16, 24, 32, 48, 56, 64, 72
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
NULL = Value("null", POINTER)


def runtime_functions() -> list[Function]:
    """Return the functions of the runtime's module."""
    return [
        _entry(), _taken_entry(), _take_turn(), _answer(), _run(), _repeat(), _take(), _argument(), _take_number(),
        _fits(), _patch(), _overlap(), _make(), _new_output(), _drop(), _new_results(), _results(), _go(), _view(),
        _read_counter(),
    ]  # fmt: skip


# ---- reading and writing records ----


def _address(f: Function, record: Value, field: int) -> Value:
    return f.offset(record, index(field * WORD), "i8")


def _word(f: Function, record: Value, field: int) -> Value:
    return f.load(_address(f, record, field), INDEX)


def _pointer(f: Function, record: Value, field: int) -> Value:
    return f.load(_address(f, record, field), POINTER)


def _set(f: Function, record: Value, field: int, value: Value) -> None:
    f.store(value, _address(f, record, field))


def _member(f: Function, object_: Value, offset: int, kind: str) -> Value:
    return f.load(f.offset(object_, index(offset), "i8"), kind)


def _call(f: Function, api: Value, which: int, result: str, *operands: Value) -> Value:
    function = _pointer(f, api, which)
    text = f"call {result} {function}({', '.join(o.typed for o in operands)})"
    if result == "void":
        f.do(text)
        return NULL
    return f.emit(text, result)


def _is_null(f: Function, pointer: Value) -> Value:
    return f.compare("eq", pointer, NULL)


def _record(f: Function, base: Value, number: Value, size: int) -> Value:
    return f.offset(base, f.multiply(number, index(size * WORD)), "i8")


@contextmanager
def _leaving(f: Function, condition: Value) -> Iterator[None]:
    """Write a block that runs if the condition holds, and that ends by leaving the function."""
    leave, stay = f.new_block("leave"), f.new_block("stay")
    f.branch(condition, leave, stay)
    f.start(leave)
    yield
    f.start(stay)


def _leave_if(f: Function, condition: Value, result: Value) -> None:
    """Return `result` if the condition holds, and go on otherwise."""
    with _leaving(f, condition):
        f.give(result)


# ---- checks ----


def _fits() -> Function:
    """Whether an object is a plain array of the recorded dtype and sizes, contiguous, aligned (and writeable)."""
    f = Function("symgrad_fits", [("ptr", "object"), ("ptr", "type"), ("ptr", "record"), ("i64", "flags")], "i1", True)
    object_, kind, record, flags = f.parameters
    no, yes = Value("false", "i1"), Value("true", "i1")
    _leave_if(f, f.compare("ne", _member(f, object_, OBJECT_TYPE, POINTER), kind), no)
    _leave_if(f, f.compare("ne", _member(f, object_, DESCRIPTOR, POINTER), _pointer(f, record, 0)), no)
    rank = f.convert("sext", _member(f, object_, RANK, "i32"), INDEX)
    _leave_if(f, f.compare("ne", rank, _word(f, record, 1)), no)
    found = f.convert("sext", _member(f, object_, FLAGS, "i32"), INDEX)
    _leave_if(f, f.compare("ne", f.binary("and", found, flags), flags), no)
    sizes, expected = _member(f, object_, DIMENSIONS, POINTER), _pointer(f, record, 2)
    with f.loop(index(0), rank) as axis:
        size = f.load(f.offset(sizes, axis.index, INDEX), INDEX)
        _leave_if(f, f.compare("ne", size, f.load(f.offset(expected, axis.index, INDEX), INDEX)), no)
    f.give(yes)
    return f


def _patch() -> Function:
    """Set a slot, and its address wherever kernels read it; returns whether it moved."""
    parameters = [("ptr", "slot"), ("ptr", "address"), ("ptr", "patches"), ("i64", "count")]
    f = Function("symgrad_patch", parameters, "i1", True)
    slot, address, patches, count = f.parameters
    _leave_if(f, f.compare("eq", f.load(slot, POINTER), address), Value("false", "i1"))
    f.store(address, slot)
    with f.loop(index(0), count) as each:
        patch = _record(f, patches, each.index, Patch.SIZE)
        f.store(f.offset(address, _word(f, patch, Patch.OFFSET), "i8"), _pointer(f, patch, Patch.LOCATION))
    f.give(Value("true", "i1"))
    return f


def _take_number() -> Function:
    """Store a Python number, or an array without axes, as a scalar argument; returns whether that was possible."""
    f = Function("symgrad_number", [("ptr", "api"), ("ptr", "object"), ("ptr", "array")], "i1", True)
    api, object_, array = f.parameters
    yes, no = Value("true", "i1"), Value("false", "i1")
    scalar = _pointer(f, array, Array.SCALAR)
    number = _word(f, array, Array.NUMBER)
    kind = _member(f, object_, OBJECT_TYPE, POINTER)
    is_int = f.compare("eq", number, index(Number.INT64))
    with _leaving(f, f.binary("and", is_int, f.compare("eq", kind, _pointer(f, api, Api.INT_TYPE)))):
        value = _call(f, api, Api.AS_LONG, INDEX, object_)
        error = _call(f, api, Api.ERROR_OCCURRED, POINTER)
        with _leaving(f, f.compare("ne", error, NULL)):
            _call(f, api, Api.ERROR_CLEAR, "void")
            f.give(no)
        f.store(value, scalar)
        f.give(yes)
    with f.when(f.compare("eq", kind, _pointer(f, api, Api.FLOAT_TYPE))):
        value = _member(f, object_, FLOAT_VALUE, "double")
        with _leaving(f, f.compare("eq", number, index(Number.FLOAT64))):
            f.store(value, scalar)
            f.give(yes)
        with _leaving(f, f.compare("eq", number, index(Number.FLOAT32))):
            f.store(f.convert("fptrunc", value, "float"), scalar)
            f.give(yes)
    with _leaving(f, f.compare("eq", kind, _pointer(f, array, Array.SCALAR_TYPE))):
        _copy_bytes(f, scalar, f.offset(object_, index(SCALAR_VALUE), "i8"), _word(f, array, Array.BYTES))
        f.give(yes)
    flags = index(C_CONTIGUOUS | ALIGNED)
    record = _address(f, array, Array.DESCRIPTOR)
    fits = f.call("symgrad_fits", "i1", object_, _pointer(f, api, Api.ARRAY_TYPE), record, flags)
    with _leaving(f, fits):
        _copy_bytes(f, scalar, _member(f, object_, DATA, POINTER), _word(f, array, Array.BYTES))
        f.give(yes)
    f.give(no)
    return f


def _copy_bytes(f: Function, target: Value, source: Value, count: Value) -> None:
    f.declare("llvm.memmove.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1 immarg"])
    f.do(f"call void @llvm.memmove.p0.p0.i64(ptr {target}, ptr {source}, i64 {count}, i1 false)")


def _overlap() -> Function:
    """Whether memory that the program writes is also read under another name."""
    f = Function("symgrad_overlap", [("ptr", "program")], "i1", True)
    (program,) = f.parameters
    pairs = _pointer(f, program, Header.OVERLAPS)
    with f.loop(index(0), _word(f, program, Header.OVERLAP_COUNT)) as each:
        pair = _record(f, pairs, each.index, Overlap.SIZE)
        first = f.load(_pointer(f, pair, Overlap.FIRST), INDEX)
        second = f.load(_pointer(f, pair, Overlap.SECOND), INDEX)
        before = f.compare("sle", f.add(first, _word(f, pair, Overlap.FIRST_BYTES)), second)
        behind = f.compare("sle", f.add(second, _word(f, pair, Overlap.SECOND_BYTES)), first)
        apart = f.binary("or", before, behind)
        _leave_if(f, f.compare("eq", apart, Value("false", "i1")), Value("true", "i1"))
    f.give(Value("false", "i1"))
    return f


# ---- outputs ----


def _new_output() -> Function:
    """Make the array of an output, or take the last one again if nobody else has it; null if there is no memory."""
    f = Function("symgrad_output", [("ptr", "api"), ("ptr", "output")], "ptr", True)
    api, output = f.parameters
    kind = _pointer(f, api, Api.ARRAY_TYPE)
    kept = _pointer(f, output, Output.KEPT)
    with f.when(f.compare("ne", kept, NULL)):
        alone = f.compare("eq", f.load(kept, "i32"), Value("1", "i32"))
        flags = index(C_CONTIGUOUS | ALIGNED | WRITEABLE)
        same = f.call("symgrad_fits", "i1", kept, kind, output, flags)
        own = _is_null(f, _member(f, kept, BASE, POINTER))
        unwatched = _is_null(f, _member(f, kept, WEAK_REFERENCES, POINTER))
        with _leaving(f, f.binary("and", f.binary("and", alone, same), f.binary("and", own, unwatched))):
            _call(f, api, Api.INCREF, "void", kept)
            f.give(kept)
        _set(f, output, Output.KEPT, NULL)
        _call(f, api, Api.DECREF, "void", kept)
    descriptor = _pointer(f, output, Output.DESCRIPTOR)
    _call(f, api, Api.INCREF, "void", descriptor)
    rank = f.convert("trunc", _word(f, output, Output.RANK), "i32")
    dimensions = _pointer(f, output, Output.DIMENSIONS)
    zero = Value("0", "i32")
    array = _call(f, api, Api.NEW_ARRAY, POINTER, kind, descriptor, rank, dimensions, NULL, NULL, zero, NULL)
    keeps = f.compare("ne", _word(f, output, Output.KEEPS), index(0))
    with f.when(f.binary("and", keeps, f.compare("ne", array, NULL))):
        _call(f, api, Api.INCREF, "void", array)
        _set(f, output, Output.KEPT, array)
    f.give(array)
    return f


# ---- running ----


def _view() -> Function:
    """Compute the address of a view with run-time starts; returns 1 if a start is out of range."""
    f = Function("symgrad_view", [("ptr", "step")], "i64", True)
    (step,) = f.parameters
    source = f.load(_pointer(f, step, Step.SOURCE), POINTER)
    terms = _pointer(f, step, Step.TERMS)
    start = _word(f, step, Step.SOURCE_OFFSET)
    with f.loop(index(0), _word(f, step, Step.TERM_COUNT), carried=[start]) as each:
        term = _record(f, terms, each.index, Term.SIZE)
        memory = f.load(_pointer(f, term, Term.SLOT), POINTER)
        value = f.load(f.offset(memory, _word(f, term, Term.OFFSET), "i8"), INDEX)
        wrap = f.select(f.compare("slt", value, index(0)), _word(f, term, Term.WRAP), index(0))
        value = f.add(value, wrap)
        below = f.compare("slt", value, index(0))
        above = f.compare("sgt", value, _word(f, term, Term.LIMIT))
        _leave_if(f, f.binary("or", below, above), index(1))
        each.next = [f.add(each.carried[0], f.multiply(value, _word(f, term, Term.STRIDE)))]
    address = f.offset(source, each.results[0], "i8")
    f.call("symgrad_patch", "i1", _pointer(f, step, Step.TARGET), address, _pointer(f, step, Step.PATCHES),
           _word(f, step, Step.PATCH_COUNT))  # fmt: skip
    f.give(index(0))
    return f


def _run() -> Function:
    """Run all steps; returns 0, or what stopped it: (number of the step) * 256 + code."""
    f = Function("symgrad_run", [("ptr", "program")], INDEX)
    (program,) = f.parameters
    api = _pointer(f, program, Header.CALLS)
    steps = _pointer(f, program, Header.STEPS)
    scratch, stride = _pointer(f, program, Header.SCRATCH), _word(f, program, Header.SCRATCH_STRIDE)
    times = _pointer(f, program, Header.TIMES)
    timed = f.compare("ne", times, NULL)
    with f.when(timed):
        f.store(_counter(f), f.offset(times, index(BEGAN), INDEX))
        runs = f.offset(times, index(RUNS), INDEX)
        f.store(f.add(f.load(runs, INDEX), index(1)), runs)
    with f.loop(index(0), _word(f, program, Header.STEP_COUNT)) as each:
        step = _record(f, steps, each.index, Step.SIZE)
        before = _cycles(f, timed)
        code = _run_step(f, api, step, scratch, stride)
        with f.when(timed):
            place = f.offset(times, f.add(each.index, index(TIMES)), INDEX)
            spent = f.subtract(_counter(f), before)
            f.store(f.add(f.load(place, INDEX), spent), place)
        stop = f.add(f.multiply(each.index, index(256)), code)
        _leave_if(f, f.compare("ne", code, index(0)), stop)
    f.give(index(0))
    return f


def _read_counter() -> Function:
    f = Function("symgrad_counter", [], INDEX)
    f.give(_counter(f))
    return f


def _counter(f: Function) -> Value:
    """The processor's counter: on x86 and ARM one that goes at the same speed always, and that programs may read."""
    f.declare("llvm.readcyclecounter", INDEX, [])
    return f.emit("call i64 @llvm.readcyclecounter()", INDEX)


def _cycles(f: Function, timed: Value) -> Value:
    """The processor's counter, or 0 where nobody asked: reading it takes longer than a small kernel."""
    read, done, before = f.new_block("read"), f.new_block("done"), f.block
    f.branch(timed, read, done)
    f.start(read)
    now = _counter(f)
    f.jump(done)
    f.start(done)
    return f.phi(INDEX, (index(0), before), (now, read))


def _run_step(f: Function, api: Value, step: Value, scratch: Value, stride: Value) -> Value:
    """Write the choice between the kinds of steps; the value is the code."""
    names = [f.new_block(name) for name in ("kernel", "other", "view", "rest", "region", "copy", "done")]
    kernel, other, view, rest, region, copy, done = names
    kind = _word(f, step, Step.KIND)
    f.branch(f.compare("eq", kind, index(StepKind.KERNEL)), kernel, other)
    f.start(kernel)
    of_kernel = _run_kernel(f, api, step, scratch, stride)
    end_of_kernel = f.block
    f.jump(done)
    f.start(other)
    f.branch(f.compare("eq", kind, index(StepKind.VIEW)), view, rest)
    f.start(view)
    of_view = f.call("symgrad_view", INDEX, step)
    f.jump(done)
    f.start(rest)
    f.branch(f.compare("eq", kind, index(StepKind.REGION)), region, copy)
    f.start(region)
    of_region = _run_region(f, step)
    f.jump(done)
    f.start(copy)
    source = f.offset(f.load(_pointer(f, step, Step.SOURCE), POINTER), _word(f, step, Step.SOURCE_OFFSET), "i8")
    target = f.offset(f.load(_pointer(f, step, Step.TARGET), POINTER), _word(f, step, Step.TARGET_OFFSET), "i8")
    _copy_bytes(f, target, source, _word(f, step, Step.BYTES))
    f.jump(done)
    f.start(done)
    return f.phi(INDEX, (of_kernel, end_of_kernel), (of_view, view), (of_region, region), (index(0), copy))


def _run_region(f: Function, step: Value) -> Value:
    """Run another program, with its arguments and outputs stepping on, as often as a number in memory says."""
    program, moves = _pointer(f, step, Step.PROGRAM), _pointer(f, step, Step.MOVES)
    memory = f.load(_pointer(f, step, Step.COUNT), POINTER)
    count = f.load(f.offset(memory, _word(f, step, Step.COUNT_OFFSET), "i8"), INDEX)
    finished = _address(f, program, Header.ROUNDS)
    return f.call("symgrad_repeat", INDEX, program, count, moves, _word(f, step, Step.MOVE_COUNT), finished)


def _run_kernel(f: Function, api: Value, step: Value, scratch: Value, stride: Value) -> Value:
    function, buffers = _pointer(f, step, Step.FUNCTION), _pointer(f, step, Step.BUFFERS)
    sizes, units = _pointer(f, step, Step.SIZES), _word(f, step, Step.UNITS)
    threads = _word(f, step, Step.THREADS)
    single, many, done = f.new_block("single"), f.new_block("many"), f.new_block("ran")
    f.branch(f.compare("sgt", threads, index(1)), many, single)
    f.start(many)
    of_many = _call(f, api, Api.PARALLEL, "i32", function, buffers, sizes, units, threads, scratch, stride)
    f.jump(done)
    f.start(single)
    of_single = f.emit(
        f"call i32 {function}(ptr {buffers}, ptr {sizes}, i64 0, i64 {units}, ptr {scratch})", "i32")  # fmt: skip
    f.jump(done)
    f.start(done)
    return f.convert("sext", f.phi("i32", (of_many, many), (of_single, single)), INDEX)


def _repeat() -> Function:
    """Run a program `count` times; arguments and outputs step on from call to call.

    `moves` has for each that moves the words of `Move`.
    """
    f = Function("symgrad_repeat", [("ptr", "program"), ("i64", "count"), ("ptr", "moves"), ("i64", "moved"),
                                    ("ptr", "finished")], INDEX)  # fmt: skip
    program, count, moves, moved, finished = f.parameters
    with f.loop(index(0), count) as step:
        with f.loop(index(0), moved) as each:
            move = _record(f, moves, each.index, Move.SIZE)
            distance = f.multiply(step.index, _word(f, move, Move.STRIDE))
            base = f.load(_pointer(f, move, Move.BASE), INDEX)
            place = f.add(f.add(base, _word(f, move, Move.ADDRESS)), distance)
            address = f.convert("inttoptr", place, POINTER)
            size = _word(f, move, Move.SCALAR_BYTES)
            with f.when(f.compare("ne", size, index(0))):
                _copy_bytes(f, _pointer(f, move, Move.TARGET), address, size)
            with f.when(f.compare("eq", size, index(0))):
                f.call("symgrad_patch", "i1", _pointer(f, move, Move.TARGET), address,
                       _pointer(f, move, Move.PATCHES), _word(f, move, Move.PATCH_COUNT))  # fmt: skip
        code = f.call("symgrad_run", INDEX, program)
        _leave_if(f, f.compare("ne", code, index(0)), code)
        f.store(f.add(step.index, index(1)), finished)
    f.give(index(0))
    return f


# ---- the entry ----


def _take() -> Function:
    """Check all arguments and shared variables, and set their slots.

    Returns 0 if something isn't as it was bound, 1 if all memory is where it was in the last call, 2 if some moved.
    """
    f = Function("symgrad_take", [("ptr", "program"), ("ptr", "arguments")], INDEX, True)
    program, arguments = f.parameters
    api, arrays = _pointer(f, program, Header.CALLS), _pointer(f, program, Header.ARRAYS)
    kind = _pointer(f, api, Api.ARRAY_TYPE)
    argument_count = _word(f, program, Header.ARGUMENT_COUNT)
    with f.loop(index(0), argument_count, carried=[Value("false", "i1")]) as each:
        array = _record(f, arrays, each.index, Array.SIZE)
        object_ = f.load(f.offset(arguments, each.index, POINTER), POINTER)
        moved = f.call("symgrad_argument", "i32", api, object_, array)
        _leave_if(f, f.compare("eq", moved, Value("0", "i32")), index(0))
        each.next = [f.binary("or", each.carried[0], f.compare("eq", moved, Value("2", "i32")))]
    count = _word(f, program, Header.ARRAY_COUNT)
    with f.loop(argument_count, count, carried=each.results) as each:
        array = _record(f, arrays, each.index, Array.SIZE)
        object_ = f.load(_pointer(f, array, Array.SOURCE), POINTER)
        moved = _take_array(f, kind, object_, array, index(0))
        each.next = [f.binary("or", each.carried[0], moved)]
    f.give(f.select(each.results[0], index(2), index(1)))
    return f


def _take_array(f: Function, kind: Value, object_: Value, array: Value, no: Value) -> Value:
    """Check an array and set its slot; the value is whether it moved."""
    written = f.compare("ne", _word(f, array, Array.WRITTEN), index(0))
    plain = C_CONTIGUOUS | ALIGNED
    flags = f.select(written, index(plain | WRITEABLE), index(plain))
    fits = f.call("symgrad_fits", "i1", object_, kind, _address(f, array, Array.DESCRIPTOR), flags)
    _leave_if(f, f.compare("eq", fits, Value("false", "i1")), no)
    return f.call("symgrad_patch", "i1", _pointer(f, array, Array.SLOT), _member(f, object_, DATA, POINTER),
                  _pointer(f, array, Array.PATCHES), _word(f, array, Array.PATCH_COUNT))  # fmt: skip


def _argument() -> Function:
    """Take one argument: returns 0 if it doesn't fit, 1 if it does, 2 if its memory is elsewhere than last time."""
    f = Function("symgrad_argument", [("ptr", "api"), ("ptr", "object"), ("ptr", "array")], "i32", True)
    api, object_, array = f.parameters
    is_scalar = f.compare("ne", _pointer(f, array, Array.SCALAR), NULL)
    number, memory = f.new_block("number"), f.new_block("memory")
    f.branch(is_scalar, number, memory)
    f.start(number)
    f.give(f.convert("zext", f.call("symgrad_number", "i1", api, object_, array), "i32"))
    f.start(memory)
    moved = _take_array(f, _pointer(f, api, Api.ARRAY_TYPE), object_, array, Value("0", "i32"))
    f.give(f.select(moved, Value("2", "i32"), Value("1", "i32")))
    return f


def _make() -> Function:
    """Make all outputs and set their slots; returns how many there are, fewer if memory ran out."""
    f = Function("symgrad_make", [("ptr", "program")], INDEX, True)
    (program,) = f.parameters
    api, outputs = _pointer(f, program, Header.CALLS), _pointer(f, program, Header.OUTPUTS)
    count = _word(f, program, Header.OUTPUT_COUNT)
    with f.loop(index(0), count) as each:
        output = _record(f, outputs, each.index, Output.SIZE)
        array = f.call("symgrad_output", POINTER, api, output)
        _leave_if(f, _is_null(f, array), each.index)
        _set(f, output, Output.CURRENT, array)
        f.call("symgrad_patch", "i1", _pointer(f, output, Output.SLOT), _member(f, array, DATA, POINTER),
               _pointer(f, output, Output.PATCHES), _word(f, output, Output.PATCH_COUNT))  # fmt: skip
    f.give(count)
    return f


def _drop() -> Function:
    """Forget the first outputs of a call that failed."""
    f = Function("symgrad_drop", [("ptr", "program"), ("i64", "count")], INDEX, True)
    program, count = f.parameters
    api, outputs = _pointer(f, program, Header.CALLS), _pointer(f, program, Header.OUTPUTS)
    with f.loop(index(0), count) as each:
        output = _record(f, outputs, each.index, Output.SIZE)
        _call(f, api, Api.DECREF, "void", _pointer(f, output, Output.CURRENT))
    _call(f, api, Api.ERROR_CLEAR, "void")
    f.give(index(0))
    return f


def _new_results() -> Function:
    """Return a list for the outputs; null if the only one is returned itself, or if there is no memory."""
    f = Function("symgrad_new_results", [("ptr", "program")], POINTER, True)
    (program,) = f.parameters
    api = _pointer(f, program, Header.CALLS)
    _leave_if(f, f.compare("eq", _word(f, program, Header.AS_LIST), index(0)), NULL)
    results = _call(f, api, Api.NEW_LIST, POINTER, _word(f, program, Header.OUTPUT_COUNT))
    with f.when(_is_null(f, results)):
        _call(f, api, Api.ERROR_CLEAR, "void")
    f.give(results)
    return f


def _results() -> Function:
    """Return the outputs as Python gets them: the only one itself, or the list, filled."""
    f = Function("symgrad_results", [("ptr", "program"), ("ptr", "list")], POINTER, True)
    program, results = f.parameters
    api, outputs = _pointer(f, program, Header.CALLS), _pointer(f, program, Header.OUTPUTS)
    with _leaving(f, _is_null(f, results)):
        f.give(_pointer(f, outputs, Output.CURRENT))
    count = _word(f, program, Header.OUTPUT_COUNT)
    with f.loop(index(0), count) as each:
        output = _record(f, outputs, each.index, Output.SIZE)
        _call(f, api, Api.SET_ITEM, "i32", results, each.index, _pointer(f, output, Output.CURRENT))
    f.give(results)
    return f


def _go() -> Function:
    """Run, and let other Python threads go on meanwhile if that is worth it."""
    f = Function("symgrad_go", [("ptr", "program")], INDEX, True)
    (program,) = f.parameters
    api = _pointer(f, program, Header.CALLS)
    with _leaving(f, f.compare("eq", _word(f, program, Header.RELEASES), index(0))):
        f.give(f.call("symgrad_run", INDEX, program))
    turn = _pointer(f, program, Header.BUSY)
    before = f.load(turn, INDEX)
    free = f.compare("eq", before, index(Turn.FREE))
    f.store(f.select(free, index(Turn.ENTERED), before), turn)
    _hold(f, program, api)
    state = _call(f, api, Api.SAVE_THREAD, POINTER)
    code = f.call("symgrad_run", INDEX, program)
    _call(f, api, Api.RESTORE_THREAD, "void", state)
    _let_go(f, program, api)
    f.store(before, turn)
    f.give(code)
    return f


def _hold(f: Function, program: Value, api: Value) -> None:
    """Hold the shared arrays, which another thread may replace while this one works on them."""
    arrays = _pointer(f, program, Header.ARRAYS)
    count = _word(f, program, Header.ARRAY_COUNT)
    with f.loop(_word(f, program, Header.ARGUMENT_COUNT), count) as each:
        array = _record(f, arrays, each.index, Array.SIZE)
        object_ = f.load(_pointer(f, array, Array.SOURCE), POINTER)
        _call(f, api, Api.INCREF, "void", object_)
        _set(f, array, Array.HELD, object_)


def _let_go(f: Function, program: Value, api: Value) -> None:
    arrays = _pointer(f, program, Header.ARRAYS)
    count = _word(f, program, Header.ARRAY_COUNT)
    with f.loop(_word(f, program, Header.ARGUMENT_COUNT), count) as each:
        array = _record(f, arrays, each.index, Array.SIZE)
        _call(f, api, Api.DECREF, "void", _pointer(f, array, Array.HELD))


_CALL = (("ptr", "self"), ("ptr", "arguments"), ("i64", "count"))


def _entry() -> Function:
    """A call from Python: ``METH_FASTCALL``, with the program's array of words as ``self``."""
    f = Function("symgrad_entry", _CALL, POINTER)
    self, arguments, count = f.parameters
    program = _member(f, self, DATA, POINTER)
    turn = f.load(_pointer(f, program, Header.BUSY), INDEX)
    with _leaving(f, f.compare("ne", turn, index(Turn.FREE))):
        answer = _pointer(f, program, Header.MISS)
        _call(f, _pointer(f, program, Header.CALLS), Api.INCREF, "void", answer)
        f.give(answer)
    f.give(f.call("symgrad_answer", POINTER, program, arguments, count))
    return f


def _taken_entry() -> Function:
    """A call from Python by one who has taken the turn."""
    f = Function("symgrad_taken_entry", _CALL, POINTER)
    self, arguments, count = f.parameters
    f.give(f.call("symgrad_answer", POINTER, _member(f, self, DATA, POINTER), arguments, count))
    return f


def _take_turn() -> Function:
    """Take the turn unless a call has entered; returns whether that was possible.

    Who holds the function's lock calls this: so a turn that is taken already was left behind by an interrupt.
    """
    f = Function("symgrad_take_turn", [("ptr", "turn")], INDEX)
    (turn,) = f.parameters
    _leave_if(f, f.compare("eq", f.load(turn, INDEX), index(Turn.ENTERED)), index(0))
    f.store(index(Turn.TAKEN), turn)
    f.give(index(1))
    return f


def _answer() -> Function:
    """Check the arguments, run, and return the results, or *miss*.

    The list of results is made first: that may set Python's garbage collection off, which may call this function.
    """
    f = Function("symgrad_answer", [("ptr", "program"), ("ptr", "arguments"), ("i64", "count")], POINTER, True)
    program, arguments, count = f.parameters
    nothing, miss = f.new_block("nothing"), f.new_block("miss")
    results = f.call("symgrad_new_results", POINTER, program)
    wanted = f.compare("ne", _word(f, program, Header.AS_LIST), index(0))
    _go_if(f, f.binary("and", wanted, _is_null(f, results)), nothing)
    _go_if(f, f.compare("ne", count, _word(f, program, Header.ARGUMENT_COUNT)), miss)
    taken = f.call("symgrad_take", INDEX, program, arguments)
    # Memory is searched for overlaps only when some of it moved; so the slots of a call that missed are forgotten.
    moved, apart, mixed = f.new_block("moved"), f.new_block("apart"), f.new_block("mixed")
    _go_if(f, f.compare("eq", taken, index(0)), mixed)
    f.branch(f.compare("eq", taken, index(2)), moved, apart)
    f.start(moved)
    f.branch(f.call("symgrad_overlap", "i1", program), mixed, apart)
    f.start(apart)
    made = f.call("symgrad_make", INDEX, program)
    short = f.new_block("short")
    _go_if(f, f.compare("slt", made, _word(f, program, Header.OUTPUT_COUNT)), short)
    code = f.call("symgrad_go", INDEX, program)
    _set(f, program, Header.ERROR, code)
    _go_if(f, f.compare("ne", code, index(0)), short)
    f.give(f.call("symgrad_results", POINTER, program, results))
    f.start(short)
    f.call("symgrad_drop", INDEX, program, made)
    f.jump(miss)
    f.start(mixed)
    _forget_slots(f, program)
    f.jump(miss)
    f.start(miss)
    with f.when(f.compare("ne", results, NULL)):
        _call(f, _pointer(f, program, Header.CALLS), Api.DECREF, "void", results)
    f.jump(nothing)
    f.start(nothing)
    answer = _pointer(f, program, Header.MISS)
    _call(f, _pointer(f, program, Header.CALLS), Api.INCREF, "void", answer)
    f.give(answer)
    return f


def _go_if(f: Function, condition: Value, label: str) -> None:
    """Go to a block if the condition holds, and go on otherwise."""
    stay = f.new_block("stay")
    f.branch(condition, label, stay)
    f.start(stay)


def _forget_slots(f: Function, program: Value) -> None:
    arrays = _pointer(f, program, Header.ARRAYS)
    with f.loop(index(0), _word(f, program, Header.ARRAY_COUNT)) as each:
        array = _record(f, arrays, each.index, Array.SIZE)
        with f.when(_is_null(f, _pointer(f, array, Array.SCALAR))):
            f.store(NULL, _pointer(f, array, Array.SLOT))
