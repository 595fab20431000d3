"""Python's and NumPy's binary interfaces, as far as the native entry uses them."""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from symgrad.backends.native.records import WORD, Api

NEW_ARRAY_FROM_DESCRIPTOR = 94
"""The place of ``PyArray_NewFromDescr`` in NumPy's table of functions, which never changes."""

METH_FASTCALL = 0x80


class _MethodDefinition(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("text", ctypes.c_char_p),
    )  # fmt: skip


def is_supported() -> bool:
    """Whether this Python's objects are laid out as the entry expects: CPython with a global lock, 64 bits."""
    is_usual = sys.implementation.name == "cpython" and sys.maxsize > 2**32
    return is_usual and not (sys.version_info >= (3, 13) and _is_free_threaded())


def _is_free_threaded() -> bool:
    import sysconfig  # its table of settings takes a millisecond

    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@cache
def api_table() -> np.ndarray:
    """Return the table of functions and types that `Api` names."""
    table = np.zeros(Api.SIZE, np.int64)
    functions = {
        Api.SAVE_THREAD: "PyEval_SaveThread", Api.RESTORE_THREAD: "PyEval_RestoreThread", Api.INCREF: "Py_IncRef",
        Api.DECREF: "Py_DecRef", Api.AS_LONG: "PyLong_AsLongLong", Api.ERROR_OCCURRED: "PyErr_Occurred",
        Api.ERROR_CLEAR: "PyErr_Clear", Api.NEW_LIST: "PyList_New", Api.SET_ITEM: "PyList_SetItem",
        Api.TAKE_LOCK: "PyGILState_Ensure", Api.GIVE_LOCK_BACK: "PyGILState_Release",
        Api.CHECK_SIGNALS: "PyErr_CheckSignals",
    }  # fmt: skip
    for place, name in functions.items():
        table[place] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    table[Api.NEW_ARRAY] = _numpy_functions()[NEW_ARRAY_FROM_DESCRIPTOR]
    table[Api.ARRAY_TYPE], table[Api.INT_TYPE], table[Api.FLOAT_TYPE] = id(np.ndarray), id(int), id(float)
    return table


def _numpy_functions() -> Any:
    _multiarray_umath: Any = importlib.import_module("numpy._core._multiarray_umath")

    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = get_pointer(_multiarray_umath._ARRAY_API, None)
    return (ctypes.c_int64 * (NEW_ARRAY_FROM_DESCRIPTOR + 1)).from_address(address)


@cache
def slot_offset(owner: type, name: str) -> int:
    """Return how many bytes behind the start of an object a slot of its class is.

    Raises
    ------
    RuntimeError
        If this Python keeps slots otherwise than expected.
    """
    # A member descriptor has five words in front of the address of its definition: name, type, offset.
    descriptor = id(owner.__dict__[name])
    definition = ctypes.c_int64.from_address(descriptor + 5 * WORD).value
    offset = ctypes.c_int64.from_address(definition + 2 * WORD).value
    marker = object()
    probe: Any = object.__new__(owner)
    setattr(probe, name, marker)
    if not 0 < offset < 256 or ctypes.c_int64.from_address(id(probe) + offset).value != id(marker):
        raise RuntimeError("this Python keeps the slots of objects in an unknown place")
    return offset


_definitions: list[_MethodDefinition] = []


def builtin(address: int, program: np.ndarray) -> Callable[..., Any]:
    """Return a Python callable that calls a native entry, with the program's words as ``self``."""
    definition = _definition(address)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return new(ctypes.addressof(definition), program, None)  # type: ignore[no-any-return]


@cache
def _definition(address: int) -> _MethodDefinition:
    """Return the description of an entry, which lives as long as the process."""
    definition = _MethodDefinition(b"symgrad_program", address, METH_FASTCALL, None)
    _definitions.append(definition)
    return definition


def drop_reference(address: int) -> None:
    """Give back a reference that native code holds."""
    release = ctypes.pythonapi.Py_DecRef
    release.argtypes, release.restype = [ctypes.c_void_p], None
    release(address)
