"""An unpickler that admits NumPy arrays and nothing else.

A pickle is a program for a small stack machine, and Python's own unpickler runs it with any function that the program
names. This one interprets only the instructions that pickled arrays, tuples and lists consist of. It never imports,
looks up or calls anything: the five names that an array's pickle mentions are symbols, and the array is put together
here, from a table of plain dtypes, after its size has been compared with its bytes. So a hostile file can do no more
than be refused. Strings of every kind (Python 2 ``str``, ``bytes``, text) are kept as their latin-1 bytes.

Protocols 0 to 5, as written by Python 2 and 3 with any NumPy from 1.0 on, are understood.
Source: the comments of CPython's ``pickletools`` and NumPy's ``ndarray.__reduce__`` and ``dtype.__reduce__``.
"""

from __future__ import annotations

import codecs
import enum
import math
import pickle
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from symgrad.data.source import Source
from symgrad.errors import DataError

INSTRUCTION_LIMIT = 10_000
"""MNIST takes some 250 instructions; the bound keeps a long program from filling the memory with small objects."""

_NAME_LIMIT = 256
_NOT_AN_MNIST_PICKLE = "Only load files that you trust. This one was refused and none of it was run; get another copy."
_PLAIN_DTYPE_NAMES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_PLAIN_DTYPES = {name.encode(): np.dtype(name) for name in _PLAIN_DTYPE_NAMES}


class Symbol(enum.Enum):
    """The names that the pickle of an array mentions."""

    RECONSTRUCT = "_reconstruct"
    FROM_BUFFER = "_frombuffer"
    NDARRAY = "ndarray"
    DTYPE = "dtype"
    ENCODE = "encode"


_SYMBOLS = {
    (b"numpy.core.multiarray", b"_reconstruct"): Symbol.RECONSTRUCT,
    (b"numpy._core.multiarray", b"_reconstruct"): Symbol.RECONSTRUCT,
    (b"numpy.core.numeric", b"_frombuffer"): Symbol.FROM_BUFFER,
    (b"numpy._core.numeric", b"_frombuffer"): Symbol.FROM_BUFFER,
    (b"numpy", b"ndarray"): Symbol.NDARRAY,
    (b"numpy", b"dtype"): Symbol.DTYPE,
    (b"_codecs", b"encode"): Symbol.ENCODE,
}


@dataclass
class _PickledDtype:
    """A dtype; its byte order arrives after it."""

    value: np.dtype[Any]

    def build(self, state: object) -> None:
        match state:
            case (3, b"<" | b">" | b"|" as order, None, None, None, -1, -1, 0):
                self.value = self.value.newbyteorder(">" if order == b">" else "<")
            case _:  # subarrays, fields and flags are what an array of numbers never has
                raise ValueError("a dtype that is not a plain number")


@dataclass
class _PickledArray:
    """An array; its contents arrive after it."""

    value: npt.NDArray[Any] | None = None

    def build(self, state: object) -> None:
        match state:
            case (1, tuple() as shape, _PickledDtype(dtype), 0 | 1 as fortran, bytes() | bytearray() as content):
                self.value = _array(content, dtype, shape, bool(fortran))
            case _:
                raise ValueError("an array's state that is not (1, shape, dtype, order, bytes)")


def _array(content: bytes | bytearray, dtype: np.dtype[Any], shape: tuple[Any, ...], fortran: bool) -> npt.NDArray[Any]:
    """Return the bytes `content` as an array, without a copy, once its size is known to be right."""
    if len(shape) > 8 or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError("an array whose shape is not a tuple of sizes")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{len(content):,} bytes for a {dtype} array of shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


class ArrayUnpickler:
    """Reads one pickle of tuples, lists and NumPy arrays of plain numbers.

    Parameters
    ----------
    source : Source
        A file whose next bytes are the pickle.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "pair.pkl"
    >>> _ = path.write_bytes(pickle.dumps((np.arange(3), [None])))
    >>> with Source(path) as source:
    ...     ArrayUnpickler(source).load()
    (array([0, 1, 2]), [None])
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Return what the pickle holds: tuples and lists (of tuples and lists) of arrays, integers, bytes and None.

        Raises
        ------
        DataError
            When the pickle needs anything else, is damaged, or goes on after its end. Nothing of it has run then.
        """
        try:
            for _ in range(INSTRUCTION_LIMIT):
                instruction = bytes(self._source.read(1))
                if instruction == pickle.STOP:
                    result = self._stack.pop()
                    self._source.expect_end()
                    return result
                self._execute(instruction)
        except DataError:
            raise
        except (LookupError, ValueError, TypeError) as failure:
            raise self._refusal(f"{failure} at byte {self._source.position:,}") from failure
        raise self._refusal(f"more than {INSTRUCTION_LIMIT:,} instructions")

    def _execute(self, instruction: bytes) -> None:
        action = _ACTIONS.get(instruction)
        if action is not None:
            action(self)
        elif instruction in _INTEGERS:
            self._stack.append(self._integer(_INTEGERS[instruction]))
        elif instruction in _STRINGS:
            self._stack.append(_compact(self._source.read(self._integer(_STRINGS[instruction]))))
        elif instruction in _TEXTS:
            self._stack.append(_compact(_latin1(self._source.read(self._integer(_TEXTS[instruction])))))
        elif instruction in _CONSTANTS:
            self._stack.append(_CONSTANTS[instruction])
        elif instruction in _TUPLES:
            self._tuple_of(_TUPLES[instruction])
        else:
            raise ValueError(f"the instruction {instruction!r}, which no array needs,")

    def _refusal(self, found: str) -> DataError:
        return self._source.failure(
            "is not a pickle of NumPy arrays", found, "tuples of arrays of plain numbers", _NOT_AN_MNIST_PICKLE
        )

    def _integer(self, layout: struct.Struct) -> int:
        number: int = layout.unpack(self._source.read(layout.size))[0]
        return number

    def _since_mark(self) -> list[Any]:
        """Remove and return what was pushed since the last mark."""
        position = self._marks.pop()
        items = self._stack[position:]
        del self._stack[position:]
        return items

    # Each method below is one instruction.

    def _protocol(self) -> None:
        version = self._source.read(1)[0]
        if version > 5:
            raise ValueError(f"pickle protocol {version}")

    def _frame(self) -> None:
        self._source.read(8)  # only a hint for buffering

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _integer_line(self) -> None:
        line = self._source.read_line(_NAME_LIMIT)
        booleans = {b"00": False, b"01": True}
        self._stack.append(booleans[line] if line in booleans else int(line.removesuffix(b"L")))

    def _long(self) -> None:
        self._stack.append(int.from_bytes(self._source.read(self._source.read(1)[0]), "little", signed=True))

    def _string_line(self) -> None:
        line = self._source.read_line()
        if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
            raise ValueError("a string without quotes")
        with warnings.catch_warnings(action="ignore"):  # a damaged line may hold escapes that don't exist
            self._stack.append(codecs.escape_decode(line[1:-1])[0])  # Python 2 wrote repr(str)

    def _text_line(self) -> None:
        self._stack.append(self._source.read_line().decode("raw-unicode-escape").encode("latin-1"))

    def _tuple_since_mark(self) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _tuple_of(self, size: int) -> None:
        if len(self._stack) < size:
            raise ValueError("a tuple of more than there is")
        self._stack[len(self._stack) - size :] = [tuple(self._stack[len(self._stack) - size :])]

    def _empty_list(self) -> None:
        self._stack.append([])

    def _list_since_mark(self) -> None:
        self._stack.append(self._since_mark())

    def _append(self) -> None:
        self._extend_top([self._stack.pop()])

    def _append_since_mark(self) -> None:
        self._extend_top(self._since_mark())

    def _extend_top(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise TypeError("an append to something that is not a list")
        self._stack[-1].extend(items)

    def _put_line(self) -> None:
        self._memo[int(self._source.read_line(_NAME_LIMIT))] = self._stack[-1]

    def _put_byte(self) -> None:
        self._memo[self._source.read(1)[0]] = self._stack[-1]

    def _put_long(self) -> None:
        self._memo[int.from_bytes(self._source.read(4), "little")] = self._stack[-1]

    def _put_next(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get_line(self) -> None:
        self._get(int(self._source.read_line(_NAME_LIMIT)))

    def _get_byte(self) -> None:
        self._get(self._source.read(1)[0])

    def _get_long(self) -> None:
        self._get(int.from_bytes(self._source.read(4), "little"))

    def _get(self, key: int) -> None:
        value = self._memo[key]
        filled = isinstance(value, _PickledArray) and value.value is not None  # it was memorised while empty
        self._stack.append(value.value if filled else value)

    def _symbol_lines(self) -> None:
        module = self._source.read_line(_NAME_LIMIT)
        self._push_symbol(module, self._source.read_line(_NAME_LIMIT))

    def _symbol_of_stack(self) -> None:
        name = self._stack.pop()
        self._push_symbol(self._stack.pop(), name)

    def _push_symbol(self, module: object, name: object) -> None:
        if not isinstance(module, bytes) or not isinstance(name, bytes):
            raise TypeError("a name that is not a short string")
        if (module, name) not in _SYMBOLS:
            raise ValueError(f"the name {(module + b'.' + name).decode('latin-1')!r}, which no array needs,")
        self._stack.append(_SYMBOLS[module, name])

    def _reduce(self) -> None:
        """Put together what a symbol applied to arguments stands for; nothing is called."""
        arguments = self._stack.pop()
        match (self._stack.pop(), arguments):
            case (Symbol.RECONSTRUCT, (Symbol.NDARRAY, (0,), _)):
                self._stack.append(_PickledArray())
            case (Symbol.DTYPE, (bytes() as name, 0, 0 | 1)) if name in _PLAIN_DTYPES:
                self._stack.append(_PickledDtype(_PLAIN_DTYPES[name]))
            case (Symbol.ENCODE, (bytes() | bytearray() as text, b"latin1" | b"latin-1")):
                self._stack.append(text)
            case (
                Symbol.FROM_BUFFER,
                (bytes() | bytearray() as content, _PickledDtype(dtype), tuple() as shape, b"C" | b"F" as order),
            ):
                self._stack.append(_array(content, dtype, shape, order == b"F"))
            case _:
                raise ValueError("a call that no array of plain numbers needs")

    def _build(self) -> None:
        state, built = self._stack.pop(), self._stack.pop()
        if not isinstance(built, _PickledDtype | _PickledArray):
            raise TypeError("a state for something that is not an array")
        built.build(state)
        self._stack.append(built.value if isinstance(built, _PickledArray) else built)


def _compact(string: bytearray) -> bytes | bytearray:
    """Make a string that may be a name immutable, and so fit for matching; pixels stay where they are."""
    return bytes(string) if len(string) <= _NAME_LIMIT else string


def _latin1(text: bytearray) -> bytearray:
    """Turn UTF-8 into latin-1 piece by piece: the pixels of a whole data set may be one text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 1 << 20
    result = bytearray()
    for start in range(0, len(text), step):
        result += decoder.decode(text[start : start + step], final=start + step >= len(text)).encode("latin-1")
    return result


_CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False, pickle.EMPTY_TUPLE: ()}
_INTEGERS = {
    pickle.BININT: struct.Struct("<i"),
    pickle.BININT1: struct.Struct("<B"),
    pickle.BININT2: struct.Struct("<H"),
}
_STRINGS = {
    pickle.BINSTRING: struct.Struct("<I"),
    pickle.SHORT_BINSTRING: struct.Struct("<B"),
    pickle.BINBYTES: struct.Struct("<I"),
    pickle.SHORT_BINBYTES: struct.Struct("<B"),
    pickle.BINBYTES8: struct.Struct("<Q"),
    pickle.BYTEARRAY8: struct.Struct("<Q"),
}
_TEXTS = {
    pickle.BINUNICODE: struct.Struct("<I"),
    pickle.SHORT_BINUNICODE: struct.Struct("<B"),
    pickle.BINUNICODE8: struct.Struct("<Q"),
}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_ACTIONS: dict[bytes, Callable[[ArrayUnpickler], None]] = {
    pickle.PROTO: ArrayUnpickler._protocol,
    pickle.FRAME: ArrayUnpickler._frame,
    pickle.MARK: ArrayUnpickler._mark,
    pickle.INT: ArrayUnpickler._integer_line,
    pickle.LONG: ArrayUnpickler._integer_line,
    pickle.LONG1: ArrayUnpickler._long,
    pickle.STRING: ArrayUnpickler._string_line,
    pickle.UNICODE: ArrayUnpickler._text_line,
    pickle.TUPLE: ArrayUnpickler._tuple_since_mark,
    pickle.EMPTY_LIST: ArrayUnpickler._empty_list,
    pickle.LIST: ArrayUnpickler._list_since_mark,
    pickle.APPEND: ArrayUnpickler._append,
    pickle.APPENDS: ArrayUnpickler._append_since_mark,
    pickle.PUT: ArrayUnpickler._put_line,
    pickle.BINPUT: ArrayUnpickler._put_byte,
    pickle.LONG_BINPUT: ArrayUnpickler._put_long,
    pickle.MEMOIZE: ArrayUnpickler._put_next,
    pickle.GET: ArrayUnpickler._get_line,
    pickle.BINGET: ArrayUnpickler._get_byte,
    pickle.LONG_BINGET: ArrayUnpickler._get_long,
    pickle.GLOBAL: ArrayUnpickler._symbol_lines,
    pickle.STACK_GLOBAL: ArrayUnpickler._symbol_of_stack,
    pickle.REDUCE: ArrayUnpickler._reduce,
    pickle.BUILD: ArrayUnpickler._build,
}
