"""The native entry: a call from Python, its checks and its kernels, without going back to Python.

These few functions are the same for every program; they read its records (`symgrad.backends.native.records`). The
entry answers with a special object, *miss*, whenever something isn't exactly as the program was bound to: Python then
converts, copies or explains.
"""

from __future__ import annotations

from symgrad.backends.native.arguments import DATA, argument_functions
from symgrad.backends.native.llvm.text import INDEX, POINTER, Function, Value, index
from symgrad.backends.native.records import INTERRUPTED, Api, Array, Header, Output, Turn
from symgrad.backends.native.running import running_functions
from symgrad.backends.native.words import (
    NULL,
    call_function,
    go_if,
    is_null,
    leave_if,
    leaving,
    member_of,
    pointer_of,
    record_at,
    set_field,
    word_of,
)


def runtime_functions() -> list[Function]:
    """Return the functions of the runtime's module."""
    own = [_entry(), _taken_entry(), _take_turn(), _answer(), _new_results(), _results(), _go()]
    return [*own, *argument_functions(), *running_functions()]


def _new_results() -> Function:
    """Return a list for the outputs; null if the only one is returned itself, or if there is no memory."""
    f = Function("symgrad_new_results", [("ptr", "program")], POINTER, True)
    (program,) = f.parameters
    api = pointer_of(f, program, Header.CALLS)
    leave_if(f, f.compare("eq", word_of(f, program, Header.AS_LIST), index(0)), NULL)
    results = call_function(f, api, Api.NEW_LIST, POINTER, word_of(f, program, Header.OUTPUT_COUNT))
    with f.when(is_null(f, results)):
        call_function(f, api, Api.ERROR_CLEAR, "void")
    f.give(results)
    return f


def _results() -> Function:
    """Return the outputs as Python gets them: the only one itself, or the list, filled."""
    f = Function("symgrad_results", [("ptr", "program"), ("ptr", "list")], POINTER, True)
    program, results = f.parameters
    api, outputs = pointer_of(f, program, Header.CALLS), pointer_of(f, program, Header.OUTPUTS)
    with leaving(f, is_null(f, results)):
        f.give(pointer_of(f, outputs, Output.CURRENT))
    count = word_of(f, program, Header.OUTPUT_COUNT)
    with f.loop(index(0), count) as each:
        output = record_at(f, outputs, each.index, Output.SIZE)
        call_function(f, api, Api.SET_ITEM, "i32", results, each.index, pointer_of(f, output, Output.CURRENT))
    f.give(results)
    return f


def _go() -> Function:
    """Run, and let other Python threads go on meanwhile if that is worth it."""
    f = Function("symgrad_go", [("ptr", "program")], INDEX, True)
    (program,) = f.parameters
    api = pointer_of(f, program, Header.CALLS)
    with leaving(f, f.compare("eq", word_of(f, program, Header.RELEASES), index(0))):
        f.give(f.call("symgrad_run", INDEX, program))
    turn = pointer_of(f, program, Header.BUSY)
    before = f.load(turn, INDEX)
    free = f.compare("eq", before, index(Turn.FREE))
    f.store(f.select(free, index(Turn.ENTERED), before), turn)
    _hold(f, program, api)
    state = call_function(f, api, Api.SAVE_THREAD, POINTER)
    code = f.call("symgrad_run", INDEX, program)
    call_function(f, api, Api.RESTORE_THREAD, "void", state)
    _let_go(f, program, api)
    f.store(before, turn)
    f.give(code)
    return f


def _hold(f: Function, program: Value, api: Value) -> None:
    """Hold the shared arrays, which another thread may replace while this one works on them."""
    arrays = pointer_of(f, program, Header.ARRAYS)
    count = word_of(f, program, Header.ARRAY_COUNT)
    with f.loop(word_of(f, program, Header.ARGUMENT_COUNT), count) as each:
        array = record_at(f, arrays, each.index, Array.SIZE)
        object_ = f.load(pointer_of(f, array, Array.SOURCE), POINTER)
        call_function(f, api, Api.INCREF, "void", object_)
        set_field(f, array, Array.HELD, object_)


def _let_go(f: Function, program: Value, api: Value) -> None:
    arrays = pointer_of(f, program, Header.ARRAYS)
    count = word_of(f, program, Header.ARRAY_COUNT)
    with f.loop(word_of(f, program, Header.ARGUMENT_COUNT), count) as each:
        array = record_at(f, arrays, each.index, Array.SIZE)
        call_function(f, api, Api.DECREF, "void", pointer_of(f, array, Array.HELD))


_CALL = (("ptr", "self"), ("ptr", "arguments"), ("i64", "count"))


def _entry() -> Function:
    """A call from Python: ``METH_FASTCALL``, with the program's array of words as ``self``."""
    f = Function("symgrad_entry", _CALL, POINTER)
    self, arguments, count = f.parameters
    program = member_of(f, self, DATA, POINTER)
    turn = f.load(pointer_of(f, program, Header.BUSY), INDEX)
    with leaving(f, f.compare("ne", turn, index(Turn.FREE))):
        answer = pointer_of(f, program, Header.MISS)
        call_function(f, pointer_of(f, program, Header.CALLS), Api.INCREF, "void", answer)
        f.give(answer)
    f.give(f.call("symgrad_answer", POINTER, program, arguments, count))
    return f


def _taken_entry() -> Function:
    """A call from Python by one who has taken the turn."""
    f = Function("symgrad_taken_entry", _CALL, POINTER)
    self, arguments, count = f.parameters
    f.give(f.call("symgrad_answer", POINTER, member_of(f, self, DATA, POINTER), arguments, count))
    return f


def _take_turn() -> Function:
    """Take the turn unless a call has entered; returns whether that was possible.

    Who holds the function's lock calls this: so a turn that is taken already was left behind by an interrupt.
    """
    f = Function("symgrad_take_turn", [("ptr", "turn")], INDEX)
    (turn,) = f.parameters
    leave_if(f, f.compare("eq", f.load(turn, INDEX), index(Turn.ENTERED)), index(0))
    f.store(index(Turn.TAKEN), turn)
    f.give(index(1))
    return f


def _answer() -> Function:
    """Check the arguments, run, and return the results, or *miss*; null if an exception was raised meanwhile.

    The list of results is made first: that may set Python's garbage collection off, which may call this function.
    """
    f = Function("symgrad_answer", [("ptr", "program"), ("ptr", "arguments"), ("i64", "count")], POINTER, True)
    program, arguments, count = f.parameters
    nothing, miss = f.new_block("nothing"), f.new_block("miss")
    results = f.call("symgrad_new_results", POINTER, program)
    wanted = f.compare("ne", word_of(f, program, Header.AS_LIST), index(0))
    go_if(f, f.binary("and", wanted, is_null(f, results)), nothing)
    go_if(f, f.compare("ne", count, word_of(f, program, Header.ARGUMENT_COUNT)), miss)
    taken = f.call("symgrad_take", INDEX, program, arguments)
    # Memory is searched for overlaps only when some of it moved; so the slots of a call that missed are forgotten.
    moved, apart, mixed = f.new_block("moved"), f.new_block("apart"), f.new_block("mixed")
    go_if(f, f.compare("eq", taken, index(0)), mixed)
    f.branch(f.compare("eq", taken, index(2)), moved, apart)
    f.start(moved)
    f.branch(f.call("symgrad_overlap", "i1", program), mixed, apart)
    f.start(apart)
    made = f.call("symgrad_make", INDEX, program)
    short = f.new_block("short")
    set_field(f, program, Header.ERROR, index(0))
    go_if(f, f.compare("slt", made, word_of(f, program, Header.OUTPUT_COUNT)), short)
    code = f.call("symgrad_go", INDEX, program)
    set_field(f, program, Header.ERROR, code)
    go_if(f, f.compare("ne", code, index(0)), short)
    f.give(f.call("symgrad_results", POINTER, program, results))
    f.start(short)
    _leave_if_interrupted(f, program, made, results)
    f.jump(miss)
    f.start(mixed)
    _forget_slots(f, program)
    f.jump(miss)
    f.start(miss)
    with f.when(f.compare("ne", results, NULL)):
        call_function(f, pointer_of(f, program, Header.CALLS), Api.DECREF, "void", results)
    f.jump(nothing)
    f.start(nothing)
    answer = pointer_of(f, program, Header.MISS)
    call_function(f, pointer_of(f, program, Header.CALLS), Api.INCREF, "void", answer)
    f.give(answer)
    return f


def _leave_if_interrupted(f: Function, program: Value, made: Value, results: Value) -> None:
    """Drop the results of a call that failed; if an exception was raised meanwhile, return null."""
    code = f.binary("and", word_of(f, program, Header.ERROR), index(255))
    interrupted = f.compare("eq", code, index(INTERRUPTED))
    f.call("symgrad_drop", INDEX, program, made, f.convert("zext", interrupted, INDEX))
    with leaving(f, interrupted):
        with f.when(f.compare("ne", results, NULL)):
            call_function(f, pointer_of(f, program, Header.CALLS), Api.DECREF, "void", results)
        f.give(NULL)


def _forget_slots(f: Function, program: Value) -> None:
    arrays = pointer_of(f, program, Header.ARRAYS)
    with f.loop(index(0), word_of(f, program, Header.ARRAY_COUNT)) as each:
        array = record_at(f, arrays, each.index, Array.SIZE)
        with f.when(is_null(f, pointer_of(f, array, Array.SCALAR))):
            f.store(NULL, pointer_of(f, array, Array.SLOT))
