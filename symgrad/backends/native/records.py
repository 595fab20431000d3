"""The memory of a native program: records of 64-bit words that the native entry reads, and where their fields are.

A program is one array of words, `Header` first. Everything else is arrays that the header points to:

    slots      the address of each memory that may move: arguments, shared variables, outputs, some views
    arrays     what is checked on each call, and where it goes: arguments, then shared variables
    outputs    what is allocated on each call
    steps      what is run, in order: kernels, views whose start only the call knows, copies, other programs
    patches    where the address of a slot stands in the operands of kernels
    overlaps   pairs of arrays of which one is written: they must not share memory

All are written by `symgrad.backends.native.table` and read by `symgrad.backends.native.runtime`.
"""

from __future__ import annotations

WORD = 8


class Header:
    """The words at the start of a program."""

    CALLS = 0
    """Address of the table of C functions, see `Api`."""
    ARGUMENT_COUNT = 1
    ARRAYS = 2
    ARRAY_COUNT = 3
    OUTPUTS = 4
    OUTPUT_COUNT = 5
    STEPS = 6
    STEP_COUNT = 7
    SLOTS = 8
    OVERLAPS = 9
    OVERLAP_COUNT = 10
    MISS = 11
    """The object that the entry returns where only Python can go on."""
    BUSY = 12
    """Address of a word that isn't 0 while a thread runs a program of the same function, see `Turn`."""
    RELEASES = 13
    """1 if the work is worth letting other Python threads run meanwhile."""
    AS_LIST = 14
    """1 if the results are returned as a list, 0 if the only one is."""
    ERROR = 15
    """What a kernel found that it couldn't do: number of the step times 256, plus its code."""
    SCRATCH = 16
    SCRATCH_STRIDE = 17
    TIMES = 18
    """Address of a reading (`symgrad.backends.timing`) to add to, while the program is profiled; else 0."""
    ROUNDS = 19
    """How many rounds of a region were finished."""
    SIZE = 20


class Turn:
    """Who runs a program of a function: one thread at a time."""

    FREE = 0
    ENTERED = 1
    """A call that came in by the entry, and that lets other Python threads run meanwhile."""
    TAKEN = 2
    """A call that went through Python: the function's lock is held."""


class Api:
    """The C functions and objects of Python and NumPy that the entry uses."""

    SAVE_THREAD = 0
    RESTORE_THREAD = 1
    INCREF = 2
    DECREF = 3
    AS_LONG = 4
    ERROR_OCCURRED = 5
    ERROR_CLEAR = 6
    NEW_LIST = 7
    SET_ITEM = 8
    NEW_ARRAY = 9
    ARRAY_TYPE = 10
    INT_TYPE = 11
    FLOAT_TYPE = 12
    PARALLEL = 13
    TAKE_LOCK = 14
    GIVE_LOCK_BACK = 15
    CHECK_SIGNALS = 16
    SIZE = 17


INTERRUPTED = 255
"""The code of a program that stopped because a signal's handler has raised an exception, which is set."""


class Array:
    """One argument or shared variable."""

    SOURCE = 0
    """Address of the word that holds the shared variable's array; 0 for an argument."""
    DESCRIPTOR = 1
    RANK = 2
    DIMENSIONS = 3
    SLOT = 4
    """Address of the slot."""
    SCALAR = 5
    """Address of the memory for a number, for arguments without axes; else 0."""
    NUMBER = 6
    """Which Python numbers a scalar argument takes, see `symgrad.backends.base.Number`."""
    BYTES = 7
    PATCHES = 8
    PATCH_COUNT = 9
    WRITTEN = 10
    """1 if the program writes into it: then it must be writeable."""
    HELD = 11
    """A shared variable's array, while other Python threads run."""
    SCALAR_TYPE = 12
    """NumPy's class of numbers of this dtype; they are taken for scalar arguments."""
    SIZE = 13


class Output:
    """One result."""

    DESCRIPTOR = 0
    RANK = 1
    DIMENSIONS = 2
    SLOT = 3
    PATCHES = 4
    PATCH_COUNT = 5
    KEEPS = 6
    """1 if a large array is used again as soon as the caller has dropped it: fresh memory costs more than a pass."""
    KEPT = 7
    """The array of the last call, of which this record holds a reference; or 0."""
    CURRENT = 8
    """The array of this call."""
    SIZE = 9


class Step:
    """One step; which fields it has depends on its kind."""

    KIND = 0
    FUNCTION = 1
    BUFFERS = 2
    SIZES = 3
    UNITS = 4
    THREADS = 5
    SOURCE = 1
    """Address of the slot that a view, or a copy, reads from."""
    TARGET = 2
    """Address of the slot of a view, or of the slot that a copy writes to."""
    SOURCE_OFFSET = 3
    TARGET_OFFSET = 4
    BYTES = 5
    TERMS = 4
    TERM_COUNT = 5
    PATCHES = 6
    PATCH_COUNT = 7
    PROGRAM = 1
    """Address of a region's words."""
    MOVES = 2
    MOVE_COUNT = 3
    COUNT = 4
    """Address of the slot of the number of rounds, an int64; of a choice, of the bool that says whether."""
    COUNT_OFFSET = 5
    FIXED = 6
    """How many of the moves, the first ones, stay where they are."""
    FLAG = 7
    """Address of a byte that ends a region after the round that sets it, or 0; of a choice, what the bool must be."""
    SIZE = 8


class StepKind:
    """What a step does."""

    KERNEL = 0
    VIEW = 1
    COPY = 2
    REGION = 3
    """Another program, run as often as a number in memory says: a loop's body."""
    CHOICE = 4
    """Another program, run once if a bool in memory is what it must be: one side of a branch."""


class Term:
    """One run-time start of a view: ``start * stride`` is added if ``0 <= start <= limit``."""

    SLOT = 0
    """Address of the slot of the scalar (int64)."""
    OFFSET = 1
    """Bytes from there."""
    STRIDE = 2
    LIMIT = 3
    WRAP = 4
    """The size to add to a negative start (an index); 0 if negative starts don't fit (a range)."""
    SIZE = 5


class Patch:
    """Where the address of a slot, plus an offset, is written."""

    LOCATION = 0
    OFFSET = 1
    SIZE = 2


class Overlap:
    """Two memories that must not overlap."""

    FIRST = 0
    """Address of the slot."""
    FIRST_BYTES = 1
    SECOND = 2
    SECOND_BYTES = 3
    SIZE = 4


class Move:
    """One argument or output of a program that is run again and again, and where it is in each round.

    It steps on from row to row. After `LENGTH` rounds it goes elsewhere, and from then on comes back there after every
    `NEXT_LENGTH` rounds; a length of 0 is for ever.
    """

    TARGET = 0
    """Address of the slot; of a scalar argument, of its memory."""
    PATCHES = 1
    PATCH_COUNT = 2
    SCALAR_BYTES = 3
    """Bytes to copy, for a scalar argument; else 0."""
    BASE = 4
    """Address of a word that is added to `ADDRESS`: the slot of a memory that may move, or a zero."""
    ADDRESS = 5
    STRIDE = 6
    LENGTH = 7
    NEXT_BASE = 8
    NEXT_ADDRESS = 9
    NEXT_STRIDE = 10
    NEXT_LENGTH = 11
    CURRENT = 12
    """Where it is; this and what follows is written while the rounds run."""
    STEP = 13
    LEFT = 14
    SIZE = 15
