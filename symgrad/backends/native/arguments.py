"""Arguments, shared variables and results: what is checked, taken and made on each call."""

from __future__ import annotations

from symgrad.backends.base import Number
from symgrad.backends.native.llvm.text import INDEX, POINTER, Function, Value, index
from symgrad.backends.native.records import Api, Array, Header, Output, Overlap
from symgrad.backends.native.words import (
    NULL,
    address_of_field,
    call_function,
    copy_bytes,
    is_null,
    leave_if,
    leaving,
    member_of,
    pointer_of,
    record_at,
    set_field,
    word_of,
)

# Where PyArrayObject keeps its fields; this is NumPy's stable binary interface.
OBJECT_TYPE, FLOAT_VALUE, SCALAR_VALUE = 8, 16, 16
DATA, RANK, DIMENSIONS, BASE, DESCRIPTOR, FLAGS, WEAK_REFERENCES = 16, 24, 32, 48, 56, 64, 72
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400


def argument_functions() -> list[Function]:
    """Return the functions that check and take arguments, and make results."""
    return [_take(), _argument(), _take_number(), _fits(), _overlap(), _make(), _new_output(), _drop()]


def _fits() -> Function:
    """Whether an object is a plain array of the recorded dtype and sizes, contiguous, aligned (and writeable)."""
    f = Function("symgrad_fits", [("ptr", "object"), ("ptr", "type"), ("ptr", "record"), ("i64", "flags")], "i1", True)
    object_, kind, record, flags = f.parameters
    no, yes = Value("false", "i1"), Value("true", "i1")
    leave_if(f, f.compare("ne", member_of(f, object_, OBJECT_TYPE, POINTER), kind), no)
    leave_if(f, f.compare("ne", member_of(f, object_, DESCRIPTOR, POINTER), pointer_of(f, record, 0)), no)
    rank = f.convert("sext", member_of(f, object_, RANK, "i32"), INDEX)
    leave_if(f, f.compare("ne", rank, word_of(f, record, 1)), no)
    found = f.convert("sext", member_of(f, object_, FLAGS, "i32"), INDEX)
    leave_if(f, f.compare("ne", f.binary("and", found, flags), flags), no)
    sizes, expected = member_of(f, object_, DIMENSIONS, POINTER), pointer_of(f, record, 2)
    with f.loop(index(0), rank) as axis:
        size = f.load(f.offset(sizes, axis.index, INDEX), INDEX)
        leave_if(f, f.compare("ne", size, f.load(f.offset(expected, axis.index, INDEX), INDEX)), no)
    f.give(yes)
    return f


def _take_number() -> Function:
    """Store a Python number, or an array without axes, as a scalar argument; returns whether that was possible."""
    f = Function("symgrad_number", [("ptr", "api"), ("ptr", "object"), ("ptr", "array")], "i1", True)
    api, object_, array = f.parameters
    yes, no = Value("true", "i1"), Value("false", "i1")
    scalar = pointer_of(f, array, Array.SCALAR)
    number = word_of(f, array, Array.NUMBER)
    kind = member_of(f, object_, OBJECT_TYPE, POINTER)
    is_int = f.compare("eq", number, index(Number.INT64))
    with leaving(f, f.binary("and", is_int, f.compare("eq", kind, pointer_of(f, api, Api.INT_TYPE)))):
        value = call_function(f, api, Api.AS_LONG, INDEX, object_)
        error = call_function(f, api, Api.ERROR_OCCURRED, POINTER)
        with leaving(f, f.compare("ne", error, NULL)):
            call_function(f, api, Api.ERROR_CLEAR, "void")
            f.give(no)
        f.store(value, scalar)
        f.give(yes)
    with f.when(f.compare("eq", kind, pointer_of(f, api, Api.FLOAT_TYPE))):
        value = member_of(f, object_, FLOAT_VALUE, "double")
        with leaving(f, f.compare("eq", number, index(Number.FLOAT64))):
            f.store(value, scalar)
            f.give(yes)
        with leaving(f, f.compare("eq", number, index(Number.FLOAT32))):
            f.store(f.convert("fptrunc", value, "float"), scalar)
            f.give(yes)
    with leaving(f, f.compare("eq", kind, pointer_of(f, array, Array.SCALAR_TYPE))):
        copy_bytes(f, scalar, f.offset(object_, index(SCALAR_VALUE), "i8"), word_of(f, array, Array.BYTES))
        f.give(yes)
    flags = index(C_CONTIGUOUS | ALIGNED)
    record = address_of_field(f, array, Array.DESCRIPTOR)
    fits = f.call("symgrad_fits", "i1", object_, pointer_of(f, api, Api.ARRAY_TYPE), record, flags)
    with leaving(f, fits):
        copy_bytes(f, scalar, member_of(f, object_, DATA, POINTER), word_of(f, array, Array.BYTES))
        f.give(yes)
    f.give(no)
    return f


def _overlap() -> Function:
    """Whether memory that the program writes is also read under another name."""
    f = Function("symgrad_overlap", [("ptr", "program")], "i1", True)
    (program,) = f.parameters
    pairs = pointer_of(f, program, Header.OVERLAPS)
    with f.loop(index(0), word_of(f, program, Header.OVERLAP_COUNT)) as each:
        pair = record_at(f, pairs, each.index, Overlap.SIZE)
        first = f.load(pointer_of(f, pair, Overlap.FIRST), INDEX)
        second = f.load(pointer_of(f, pair, Overlap.SECOND), INDEX)
        before = f.compare("sle", f.add(first, word_of(f, pair, Overlap.FIRST_BYTES)), second)
        behind = f.compare("sle", f.add(second, word_of(f, pair, Overlap.SECOND_BYTES)), first)
        apart = f.binary("or", before, behind)
        leave_if(f, f.compare("eq", apart, Value("false", "i1")), Value("true", "i1"))
    f.give(Value("false", "i1"))
    return f


def _take() -> Function:
    """Check all arguments and shared variables, and set their slots.

    Returns 0 if something isn't as it was bound, 1 if all memory is where it was in the last call, 2 if some moved.
    """
    f = Function("symgrad_take", [("ptr", "program"), ("ptr", "arguments")], INDEX, True)
    program, arguments = f.parameters
    api, arrays = pointer_of(f, program, Header.CALLS), pointer_of(f, program, Header.ARRAYS)
    kind = pointer_of(f, api, Api.ARRAY_TYPE)
    argument_count = word_of(f, program, Header.ARGUMENT_COUNT)
    with f.loop(index(0), argument_count, carried=[Value("false", "i1")]) as each:
        array = record_at(f, arrays, each.index, Array.SIZE)
        object_ = f.load(f.offset(arguments, each.index, POINTER), POINTER)
        moved = f.call("symgrad_argument", "i32", api, object_, array)
        leave_if(f, f.compare("eq", moved, Value("0", "i32")), index(0))
        each.next = [f.binary("or", each.carried[0], f.compare("eq", moved, Value("2", "i32")))]
    count = word_of(f, program, Header.ARRAY_COUNT)
    with f.loop(argument_count, count, carried=each.results) as each:
        array = record_at(f, arrays, each.index, Array.SIZE)
        object_ = f.load(pointer_of(f, array, Array.SOURCE), POINTER)
        moved = _take_array(f, kind, object_, array, index(0))
        each.next = [f.binary("or", each.carried[0], moved)]
    f.give(f.select(each.results[0], index(2), index(1)))
    return f


def _take_array(f: Function, kind: Value, object_: Value, array: Value, no: Value) -> Value:
    """Check an array and set its slot; the value is whether it moved."""
    written = f.compare("ne", word_of(f, array, Array.WRITTEN), index(0))
    plain = C_CONTIGUOUS | ALIGNED
    flags = f.select(written, index(plain | WRITEABLE), index(plain))
    fits = f.call("symgrad_fits", "i1", object_, kind, address_of_field(f, array, Array.DESCRIPTOR), flags)
    leave_if(f, f.compare("eq", fits, Value("false", "i1")), no)
    return f.call("symgrad_patch", "i1", pointer_of(f, array, Array.SLOT), member_of(f, object_, DATA, POINTER),
                  pointer_of(f, array, Array.PATCHES), word_of(f, array, Array.PATCH_COUNT))  # fmt: skip


def _argument() -> Function:
    """Take one argument: returns 0 if it doesn't fit, 1 if it does, 2 if its memory is elsewhere than last time."""
    f = Function("symgrad_argument", [("ptr", "api"), ("ptr", "object"), ("ptr", "array")], "i32", True)
    api, object_, array = f.parameters
    is_scalar = f.compare("ne", pointer_of(f, array, Array.SCALAR), NULL)
    number, memory = f.new_block("number"), f.new_block("memory")
    f.branch(is_scalar, number, memory)
    f.start(number)
    f.give(f.convert("zext", f.call("symgrad_number", "i1", api, object_, array), "i32"))
    f.start(memory)
    moved = _take_array(f, pointer_of(f, api, Api.ARRAY_TYPE), object_, array, Value("0", "i32"))
    f.give(f.select(moved, Value("2", "i32"), Value("1", "i32")))
    return f


def _make() -> Function:
    """Make all outputs and set their slots; returns how many there are, fewer if memory ran out."""
    f = Function("symgrad_make", [("ptr", "program")], INDEX, True)
    (program,) = f.parameters
    api, outputs = pointer_of(f, program, Header.CALLS), pointer_of(f, program, Header.OUTPUTS)
    count = word_of(f, program, Header.OUTPUT_COUNT)
    with f.loop(index(0), count) as each:
        output = record_at(f, outputs, each.index, Output.SIZE)
        array = f.call("symgrad_output", POINTER, api, output)
        leave_if(f, is_null(f, array), each.index)
        set_field(f, output, Output.CURRENT, array)
        f.call("symgrad_patch", "i1", pointer_of(f, output, Output.SLOT), member_of(f, array, DATA, POINTER),
               pointer_of(f, output, Output.PATCHES), word_of(f, output, Output.PATCH_COUNT))  # fmt: skip
    f.give(count)
    return f


def _drop() -> Function:
    """Forget the first outputs of a call that failed, and the exception, unless it is to be kept."""
    f = Function("symgrad_drop", [("ptr", "program"), ("i64", "count"), ("i64", "keeps")], INDEX, True)
    program, count, keeps = f.parameters
    api, outputs = pointer_of(f, program, Header.CALLS), pointer_of(f, program, Header.OUTPUTS)
    with f.loop(index(0), count) as each:
        output = record_at(f, outputs, each.index, Output.SIZE)
        call_function(f, api, Api.DECREF, "void", pointer_of(f, output, Output.CURRENT))
    with f.when(f.compare("eq", keeps, index(0))):
        call_function(f, api, Api.ERROR_CLEAR, "void")
    f.give(index(0))
    return f


def _new_output() -> Function:
    """Make the array of an output, or take the last one again if nobody else has it; null if there is no memory."""
    f = Function("symgrad_output", [("ptr", "api"), ("ptr", "output")], "ptr", True)
    api, output = f.parameters
    kind = pointer_of(f, api, Api.ARRAY_TYPE)
    kept = pointer_of(f, output, Output.KEPT)
    with f.when(f.compare("ne", kept, NULL)):
        alone = f.compare("eq", f.load(kept, "i32"), Value("1", "i32"))
        flags = index(C_CONTIGUOUS | ALIGNED | WRITEABLE)
        same = f.call("symgrad_fits", "i1", kept, kind, output, flags)
        own = is_null(f, member_of(f, kept, BASE, POINTER))
        unwatched = is_null(f, member_of(f, kept, WEAK_REFERENCES, POINTER))
        with leaving(f, f.binary("and", f.binary("and", alone, same), f.binary("and", own, unwatched))):
            call_function(f, api, Api.INCREF, "void", kept)
            f.give(kept)
        set_field(f, output, Output.KEPT, NULL)
        call_function(f, api, Api.DECREF, "void", kept)
    descriptor = pointer_of(f, output, Output.DESCRIPTOR)
    call_function(f, api, Api.INCREF, "void", descriptor)
    rank = f.convert("trunc", word_of(f, output, Output.RANK), "i32")
    dimensions = pointer_of(f, output, Output.DIMENSIONS)
    zero = Value("0", "i32")
    array = call_function(f, api, Api.NEW_ARRAY, POINTER, kind, descriptor, rank, dimensions, NULL, NULL, zero, NULL)
    keeps = f.compare("ne", word_of(f, output, Output.KEEPS), index(0))
    with f.when(f.binary("and", keeps, f.compare("ne", array, NULL))):
        call_function(f, api, Api.INCREF, "void", array)
        set_field(f, output, Output.KEPT, array)
    f.give(array)
    return f
