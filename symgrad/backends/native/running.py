"""Running a program's records: kernels, views with run-time starts, copies, regions, choices; once or many times."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.llvm.text import INDEX, POINTER, Function, Value, index
from symgrad.backends.native.records import INTERRUPTED, Api, Header, Move, Patch, Step, StepKind, Term
from symgrad.backends.native.words import (
    NULL,
    address_of_field,
    call_function,
    copy_bytes,
    leave_if,
    leaving,
    pointer_of,
    record_at,
    set_field,
    word_of,
)
from symgrad.backends.timing import BEGAN, RUNS, TIMES

FIRST_POLL = 8
POLL_TICKS = 1 << (27 if host().architecture in ("x86_64", "amd64") else 20)
"""Loops look for signals about every so many ticks of the processor's counter: at most some 50 milliseconds."""


def running_functions() -> list[Function]:
    """Return the functions that run programs."""
    return [_run(), _repeat(), _begin_move(), _move_on(), _place_move(), _patch(), _view(), _read_counter()]


def _patch() -> Function:
    """Set a slot, and its address wherever kernels read it; returns whether it moved."""
    parameters = [("ptr", "slot"), ("ptr", "address"), ("ptr", "patches"), ("i64", "count")]
    f = Function("symgrad_patch", parameters, "i1", True)
    slot, address, patches, count = f.parameters
    leave_if(f, f.compare("eq", f.load(slot, POINTER), address), Value("false", "i1"))
    f.store(address, slot)
    with f.loop(index(0), count) as each:
        patch = record_at(f, patches, each.index, Patch.SIZE)
        f.store(f.offset(address, word_of(f, patch, Patch.OFFSET), "i8"), pointer_of(f, patch, Patch.LOCATION))
    f.give(Value("true", "i1"))
    return f


def _view() -> Function:
    """Compute the address of a view with run-time starts; returns 1 if a start is out of range."""
    f = Function("symgrad_view", [("ptr", "step")], "i64", True)
    (step,) = f.parameters
    source = f.load(pointer_of(f, step, Step.SOURCE), POINTER)
    terms = pointer_of(f, step, Step.TERMS)
    start = word_of(f, step, Step.SOURCE_OFFSET)
    with f.loop(index(0), word_of(f, step, Step.TERM_COUNT), carried=[start]) as each:
        term = record_at(f, terms, each.index, Term.SIZE)
        memory = f.load(pointer_of(f, term, Term.SLOT), POINTER)
        value = f.load(f.offset(memory, word_of(f, term, Term.OFFSET), "i8"), INDEX)
        wrap = f.select(f.compare("slt", value, index(0)), word_of(f, term, Term.WRAP), index(0))
        value = f.add(value, wrap)
        below = f.compare("slt", value, index(0))
        above = f.compare("sgt", value, word_of(f, term, Term.LIMIT))
        leave_if(f, f.binary("or", below, above), index(1))
        each.next = [f.add(each.carried[0], f.multiply(value, word_of(f, term, Term.STRIDE)))]
    address = f.offset(source, each.results[0], "i8")
    f.call("symgrad_patch", "i1", pointer_of(f, step, Step.TARGET), address, pointer_of(f, step, Step.PATCHES),
           word_of(f, step, Step.PATCH_COUNT))  # fmt: skip
    f.give(index(0))
    return f


def _run() -> Function:
    """Run all steps; returns 0, or what stopped it: (number of the step) * 256 + code."""
    f = Function("symgrad_run", [("ptr", "program")], INDEX)
    (program,) = f.parameters
    api = pointer_of(f, program, Header.CALLS)
    steps = pointer_of(f, program, Header.STEPS)
    scratch, stride = pointer_of(f, program, Header.SCRATCH), word_of(f, program, Header.SCRATCH_STRIDE)
    times = pointer_of(f, program, Header.TIMES)
    timed = f.compare("ne", times, NULL)
    with f.when(timed):
        f.store(counter(f), f.offset(times, index(BEGAN), INDEX))
        runs = f.offset(times, index(RUNS), INDEX)
        f.store(f.add(f.load(runs, INDEX), index(1)), runs)
    with f.loop(index(0), word_of(f, program, Header.STEP_COUNT)) as each:
        step = record_at(f, steps, each.index, Step.SIZE)
        before = _cycles(f, timed)
        code = _run_step(f, api, step, scratch, stride)
        with f.when(timed):
            place = f.offset(times, f.add(each.index, index(TIMES)), INDEX)
            spent = f.subtract(counter(f), before)
            f.store(f.add(f.load(place, INDEX), spent), place)
        stop = f.add(f.multiply(each.index, index(256)), code)
        leave_if(f, f.compare("ne", code, index(0)), stop)
    f.give(index(0))
    return f


def _read_counter() -> Function:
    f = Function("symgrad_counter", [], INDEX)
    f.give(counter(f))
    return f


def counter(f: Function) -> Value:
    """The processor's counter: on x86 and ARM one that goes at the same speed always, and that programs may read."""
    f.declare("llvm.readcyclecounter", INDEX, [])
    return f.emit("call i64 @llvm.readcyclecounter()", INDEX)


def _cycles(f: Function, timed: Value) -> Value:
    """The processor's counter, or 0 where nobody asked: reading it takes longer than a small kernel."""
    read, done, before = f.new_block("read"), f.new_block("done"), f.block
    f.branch(timed, read, done)
    f.start(read)
    now = counter(f)
    f.jump(done)
    f.start(done)
    return f.phi(INDEX, (index(0), before), (now, read))


def _run_step(f: Function, api: Value, step: Value, scratch: Value, stride: Value) -> Value:
    """Write the choice between the kinds of steps; the value is the code."""
    names = ("kernel", "other", "view", "rest", "region", "last", "choice", "copy", "done")
    kernel, other, view, rest, region, last, choice, copy, done = [f.new_block(name) for name in names]
    kind = word_of(f, step, Step.KIND)
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
    f.branch(f.compare("eq", kind, index(StepKind.REGION)), region, last)
    f.start(region)
    of_region = _run_region(f, step)
    f.jump(done)
    f.start(last)
    f.branch(f.compare("eq", kind, index(StepKind.CHOICE)), choice, copy)
    f.start(choice)
    of_choice = _run_choice(f, step)
    f.jump(done)
    f.start(copy)
    source = f.offset(f.load(pointer_of(f, step, Step.SOURCE), POINTER), word_of(f, step, Step.SOURCE_OFFSET), "i8")
    target = f.offset(f.load(pointer_of(f, step, Step.TARGET), POINTER), word_of(f, step, Step.TARGET_OFFSET), "i8")
    copy_bytes(f, target, source, word_of(f, step, Step.BYTES))
    f.jump(done)
    f.start(done)
    ends = ((of_kernel, end_of_kernel), (of_view, view), (of_region, region), (of_choice, choice), (index(0), copy))
    return f.phi(INDEX, *ends)


def _run_region(f: Function, step: Value) -> Value:
    """Run another program, with its arguments and outputs stepping on, as often as a number in memory says."""
    memory = f.load(pointer_of(f, step, Step.COUNT), POINTER)
    count = f.load(f.offset(memory, word_of(f, step, Step.COUNT_OFFSET), "i8"), INDEX)
    return _rounds_of(f, step, count, pointer_of(f, step, Step.FLAG))


def _run_choice(f: Function, step: Value) -> Value:
    """Run another program once, if a bool in memory is what it must be."""
    memory = f.load(pointer_of(f, step, Step.COUNT), POINTER)
    found = f.load(f.offset(memory, word_of(f, step, Step.COUNT_OFFSET), "i8"), "i8")
    is_so = f.convert("zext", f.compare("ne", found, Value("0", "i8")), INDEX)
    count = f.convert("zext", f.compare("eq", is_so, word_of(f, step, Step.FLAG)), INDEX)
    return _rounds_of(f, step, count, NULL)


def _rounds_of(f: Function, step: Value, count: Value, flag: Value) -> Value:
    program, moves = pointer_of(f, step, Step.PROGRAM), pointer_of(f, step, Step.MOVES)
    moved, fixed = word_of(f, step, Step.MOVE_COUNT), word_of(f, step, Step.FIXED)
    finished = address_of_field(f, program, Header.ROUNDS)
    return f.call("symgrad_repeat", INDEX, program, count, moves, moved, fixed, flag, finished, index(1))


def _run_kernel(f: Function, api: Value, step: Value, scratch: Value, stride: Value) -> Value:
    function, buffers = pointer_of(f, step, Step.FUNCTION), pointer_of(f, step, Step.BUFFERS)
    sizes, units = pointer_of(f, step, Step.SIZES), word_of(f, step, Step.UNITS)
    threads = word_of(f, step, Step.THREADS)
    single, many, done = f.new_block("single"), f.new_block("many"), f.new_block("ran")
    f.branch(f.compare("sgt", threads, index(1)), many, single)
    f.start(many)
    of_many = call_function(f, api, Api.PARALLEL, "i32", function, buffers, sizes, units, threads, scratch, stride)
    f.jump(done)
    f.start(single)
    of_single = f.emit(
        f"call i32 {function}(ptr {buffers}, ptr {sizes}, i64 0, i64 {units}, ptr {scratch})", "i32")  # fmt: skip
    f.jump(done)
    f.start(done)
    return f.convert("sext", f.phi("i32", (of_many, many), (of_single, single)), INDEX)


def _repeat() -> Function:
    """Run a program `count` times, or until a flag is set; arguments and outputs step on from round to round.

    `moves` has for each of them the words of `Move`; the first `fixed` of them stay where they are. Returns 0, or what
    stopped a round; `finished` gets the number of rounds that were carried out. If `polls` isn't 0, signals are handled
    every now and then.
    """
    f = Function("symgrad_repeat", [("ptr", "program"), ("i64", "count"), ("ptr", "moves"), ("i64", "moved"),
                                    ("i64", "fixed"), ("ptr", "flag"), ("ptr", "finished"),
                                    ("i64", "polls")], INDEX)  # fmt: skip
    program, count, moves, moved, fixed, flag, finished, polls = f.parameters
    f.store(index(0), finished)
    first_poll = f.select(f.compare("ne", polls, index(0)), index(FIRST_POLL), index(-1))
    with f.loop(index(0), count, carried=[first_poll, index(FIRST_POLL), counter(f)]) as step:
        is_first = f.compare("eq", step.index, index(0))
        with f.when(is_first), f.loop(index(0), moved) as each:
            f.call("symgrad_begin_move", INDEX, record_at(f, moves, each.index, Move.SIZE))
        with f.when(f.compare("ne", step.index, index(0))), f.loop(fixed, moved) as each:
            f.call("symgrad_move_on", INDEX, record_at(f, moves, each.index, Move.SIZE))
        code = f.call("symgrad_run", INDEX, program)
        leave_if(f, f.compare("ne", code, index(0)), code)
        f.store(f.add(step.index, index(1)), finished)
        with f.when(f.compare("ne", flag, NULL)):
            leave_if(f, f.compare("ne", f.load(flag, "i8"), Value("0", "i8")), index(0))
        step.next = _poll(f, program, step.index, step.carried)
    f.give(index(0))
    return f


def _poll(f: Function, program: Value, round_: Value, carried: Sequence[Value]) -> list[Value]:
    """Let Python handle signals every now and then: return the round of the next look, their distance, and the time.

    The distance is doubled until a look comes late enough; a program that is interrupted returns.
    """
    due, distance, before = carried
    look, late, ended, start = f.new_block("look"), f.new_block("late"), f.new_block("ended"), f.block
    f.branch(f.compare("eq", round_, due), look, ended)
    f.start(look)
    now, doubled = counter(f), f.multiply(distance, index(2))
    after_doubled = f.add(due, doubled)
    f.branch(f.compare("sgt", f.subtract(now, before), index(POLL_TICKS)), late, ended)
    f.start(late)
    api = pointer_of(f, program, Header.CALLS)
    state = call_function(f, api, Api.TAKE_LOCK, "i32")
    raised = call_function(f, api, Api.CHECK_SIGNALS, "i32")
    call_function(f, api, Api.GIVE_LOCK_BACK, "void", state)
    leave_if(f, f.compare("ne", raised, Value("0", "i32")), index(INTERRUPTED))
    after_same, end_of_late = f.add(due, distance), f.block
    f.jump(ended)
    f.start(ended)
    return [
        f.phi(INDEX, (due, start), (after_doubled, look), (after_same, end_of_late)),
        f.phi(INDEX, (distance, start), (doubled, look), (distance, end_of_late)),
        f.phi(INDEX, (before, start), (before, look), (now, end_of_late)),
    ]


def _begin_move() -> Function:
    """Put an argument or output where it is in the first round."""
    f = Function("symgrad_begin_move", [("ptr", "move")], INDEX, True)
    (move,) = f.parameters
    place = f.add(f.load(pointer_of(f, move, Move.BASE), INDEX), word_of(f, move, Move.ADDRESS))
    _set_move(f, move, place, word_of(f, move, Move.STRIDE), word_of(f, move, Move.LENGTH))
    f.give(f.call("symgrad_place_move", INDEX, move, place))
    return f


def _move_on() -> Function:
    """Put an argument or output where it is in the next round."""
    f = Function("symgrad_move_on", [("ptr", "move")], INDEX, True)
    (move,) = f.parameters
    left = f.subtract(word_of(f, move, Move.LEFT), index(1))
    with leaving(f, f.compare("eq", left, index(0))):
        place = f.add(f.load(pointer_of(f, move, Move.NEXT_BASE), INDEX), word_of(f, move, Move.NEXT_ADDRESS))
        _set_move(f, move, place, word_of(f, move, Move.NEXT_STRIDE), word_of(f, move, Move.NEXT_LENGTH))
        f.give(f.call("symgrad_place_move", INDEX, move, place))
    place = f.add(word_of(f, move, Move.CURRENT), word_of(f, move, Move.STEP))
    set_field(f, move, Move.CURRENT, place)
    set_field(f, move, Move.LEFT, left)
    f.give(f.call("symgrad_place_move", INDEX, move, place))
    return f


def _set_move(f: Function, move: Value, place: Value, step: Value, left: Value) -> None:
    for field, value in ((Move.CURRENT, place), (Move.STEP, step), (Move.LEFT, left)):
        set_field(f, move, field, value)


def _place_move() -> Function:
    """Let the kernels of a program have an argument or output at an address: of a number, copy its bytes."""
    f = Function("symgrad_place_move", [("ptr", "move"), ("i64", "place")], INDEX, True)
    move, place = f.parameters
    address = f.convert("inttoptr", place, POINTER)
    size, target = word_of(f, move, Move.SCALAR_BYTES), pointer_of(f, move, Move.TARGET)
    with leaving(f, f.compare("ne", size, index(0))):
        copy_bytes(f, target, address, size)
        f.give(index(0))
    f.call("symgrad_patch", "i1", target, address, pointer_of(f, move, Move.PATCHES),
           word_of(f, move, Move.PATCH_COUNT))  # fmt: skip
    f.give(index(0))
    return f
