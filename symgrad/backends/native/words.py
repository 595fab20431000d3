"""Shorthand for the functions that read a program's records: fields, calls through the table, leaving early."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from symgrad.backends.native.llvm.text import INDEX, POINTER, Function, Value, index
from symgrad.backends.native.records import WORD

NULL = Value("null", POINTER)


def address_of_field(f: Function, record: Value, field: int) -> Value:
    return f.offset(record, index(field * WORD), "i8")


def word_of(f: Function, record: Value, field: int) -> Value:
    return f.load(address_of_field(f, record, field), INDEX)


def pointer_of(f: Function, record: Value, field: int) -> Value:
    return f.load(address_of_field(f, record, field), POINTER)


def set_field(f: Function, record: Value, field: int, value: Value) -> None:
    f.store(value, address_of_field(f, record, field))


def member_of(f: Function, object_: Value, offset: int, kind: str) -> Value:
    return f.load(f.offset(object_, index(offset), "i8"), kind)


def call_function(f: Function, api: Value, which: int, result: str, *operands: Value) -> Value:
    function = pointer_of(f, api, which)
    text = f"call {result} {function}({', '.join(o.typed for o in operands)})"
    if result == "void":
        f.do(text)
        return NULL
    return f.emit(text, result)


def is_null(f: Function, pointer: Value) -> Value:
    return f.compare("eq", pointer, NULL)


def record_at(f: Function, base: Value, number: Value, size: int) -> Value:
    return f.offset(base, f.multiply(number, index(size * WORD)), "i8")


@contextmanager
def leaving(f: Function, condition: Value) -> Iterator[None]:
    """Write a block that runs if the condition holds, and that ends by leaving the function."""
    leave, stay = f.new_block("leave"), f.new_block("stay")
    f.branch(condition, leave, stay)
    f.start(leave)
    yield
    f.start(stay)


def leave_if(f: Function, condition: Value, result: Value) -> None:
    """Return `result` if the condition holds, and go on otherwise."""
    with leaving(f, condition):
        f.give(result)


def copy_bytes(f: Function, target: Value, source: Value, count: Value) -> None:
    f.declare("llvm.memmove.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1 immarg"])
    f.do(f"call void @llvm.memmove.p0.p0.i64(ptr {target}, ptr {source}, i64 {count}, i1 false)")


def go_if(f: Function, condition: Value, label: str) -> None:
    """Go to a block if the condition holds, and go on otherwise."""
    stay = f.new_block("stay")
    f.branch(condition, label, stay)
    f.start(stay)
