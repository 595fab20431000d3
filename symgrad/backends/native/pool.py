"""The threads that share a kernel's units, as a module of native code that knows nothing of Python.

Thread t of T always does the units from units * t / T to units * (t + 1) / T, so the parts of a weight that it reads in
one kernel are those that it wrote in another. The calling thread is thread 0. The others wait for work in a loop for a
short time, then sleep; so does the caller when they take much longer than it, because on a machine with more threads
than cores those who wait keep those who work from running.

A thread claims its part before it begins. If the caller has done its own and another's isn't claimed yet, because that
thread has to be woken or has no core at the moment, the caller takes the part back and does it as well: so a short
kernel never takes much longer on many threads than on one.

One call at a time has the pool; another Python thread's call meanwhile does all its units itself. In a forked child,
where the other threads don't exist, the pool starts anew. Nothing has to be stopped when the interpreter ends: the
threads hold nothing of it, and end with the process.

On Windows there are no threads of this kind: one thread does all units.
"""

from __future__ import annotations

import sys

from symgrad.backends.native import entries
from symgrad.backends.native.llvm.host import Processor, host
from symgrad.backends.native.llvm.text import INDEX, POINTER, Function, Value, index

MOST_THREADS = 256

_PARAMETERS = [("ptr", "kernel"), ("ptr", "buffers"), ("ptr", "sizes"), ("i64", "units"), ("i64", "threads"),
               ("ptr", "scratch"), ("i64", "stride")]  # fmt: skip

# The state: bytes from the start of the pool, and from the start of a worker's own part. A call is a number: a worker's
# GO is that of the last call that it is to take part in, DONE that of the last it has finished. The job lies in GO's
# cache line, the code in DONE's. The last two bits of GO say whether the worker has claimed its part, or the caller has
# taken it back.
_BUSY, _WORKERS, _HANDLER, _NUMBER, _WAITING, _MUTEX, _CONDITION, _PARTS = 0, 64, 72, 80, 128, 192, 320, 448
_GO, _JOB, _DONE, _CODE, _SLEEPS, _OWN_MUTEX, _OWN_CONDITION, _PART = 0, 8, 64, 72, 128, 192, 320, 448
_STATE = f"@symgrad_pool = internal global [{_PARTS + MOST_THREADS * _PART} x i8] zeroinitializer, align 64"
_POOL = Value("@symgrad_pool", POINTER)

_CLAIMED, _TAKEN_BACK, _NEXT_CALL = 1, 2, 4

_SPIN = 10_000  # nanoseconds that one waits in a loop; after that, still in a loop, one offers the core to others ...
_WORKER_YIELDS, _CALLER_YIELDS = 80_000, 500_000  # ... until so many are over; after that one sleeps
_ROUNDS = 32  # between two looks at the clock
_NULL, _ZERO, _FAILED = Value("null", POINTER), Value("0", "i32"), Value("1", "i32")
_CLOCK, _SET_MASK = ("6", "3") if sys.platform == "darwin" else ("1", "2")  # CLOCK_MONOTONIC, SIG_SETMASK
_FAULTS = sum(1 << (number - 1) for number in (4, 6, 7, 8, 10, 11))  # SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV


def pool_functions(processor: Processor | None = None) -> list[Function]:
    """Return the functions of the pool; the first is ``symgrad_parallel``."""
    if not entries.has_threads():
        return [_single()]
    wait = _wait((processor or host()).architecture)
    return [_parallel(), _ensure(), _create(), _forked(), _worker(), wait, _sleep(), _wake()]


_PAUSES = {  # tells the processor that this is a waiting loop
    "x86_64": ("llvm.x86.sse2.pause", ""),
    "amd64": ("llvm.x86.sse2.pause", ""),
    "aarch64": ("llvm.aarch64.hint", "i32 1"),
    "arm64": ("llvm.aarch64.hint", "i32 1"),
}


# ---- shorthand ----


def _at(f: Function, base: Value, offset: int) -> Value:
    return f.offset(base, index(offset), "i8")


def _read(f: Function, base: Value, offset: int, order: str = "seq_cst") -> Value:
    return f.emit(f"load atomic i64, ptr {_at(f, base, offset)} {order}, align 8", INDEX)


def _write(f: Function, value: Value, base: Value, offset: int, order: str = "seq_cst") -> None:
    f.do(f"store atomic {value.typed}, ptr {_at(f, base, offset)} {order}, align 8")


def _library(f: Function, name: str, *operands: Value) -> Value:
    """Call a function of the C library."""
    f.declare(name, "i32", entries.LIBRARY[name])
    return f.call(name, "i32", *operands)


def _pool(f: Function) -> Value:
    f.declarations.add(_STATE)
    return _POOL


def _part(f: Function, number: Value) -> Value:
    """The memory of worker `number`, from 1 up."""
    offset = f.add(f.multiply(number, index(_PART)), index(_PARTS - _PART))
    return f.offset(_pool(f), offset, "i8")


def _internal(name: str, *parameters: str, result: str = "i32") -> tuple[Function, list[Value]]:
    """Start a function of this module: pointers, and integers whose names begin with ``n_``."""
    kinds = [("i64" if label.startswith("n_") else "ptr", label) for label in parameters]
    f = Function(name, kinds, result, internal=True)
    return f, f.parameters


def _is_zero(f: Function, value: Value) -> Value:
    return f.compare("eq", value, Value("0", value.type))


# ---- the caller ----


def _single() -> Function:
    """All units on the calling thread."""
    f = Function("symgrad_parallel", _PARAMETERS)
    kernel, buffers, sizes, units, _, scratch, _ = f.parameters
    f.give(_call_kernel(f, kernel, buffers, sizes, index(0), units, scratch))
    return f


def _call_kernel(f: Function, kernel: Value, *operands: Value) -> Value:
    return f.emit(f"call i32 {kernel}({', '.join(o.typed for o in operands)})", "i32")


def _parallel() -> Function:
    """Share the units out, do the first part, wait for the others."""
    f = Function("symgrad_parallel", _PARAMETERS)
    kernel, buffers, sizes, units, threads, scratch, _ = f.parameters
    busy = _at(f, _pool(f), _BUSY)
    single, wanted, have, release, share = (f.new_block(n) for n in ("single", "wanted", "have", "release", "share"))
    for limit in (units, index(MOST_THREADS)):
        threads = f.select(f.compare("slt", threads, limit), threads, limit)
    f.branch(f.compare("sgt", threads, index(1)), wanted, single)
    f.start(wanted)
    taken = f.emit(f"cmpxchg ptr {busy}, i64 0, i64 1 acquire monotonic, align 8", "{ i64, i1 }")
    f.branch(f.emit(f"extractvalue {taken.typed}, 1", "i1"), have, single)
    f.start(have)
    threads = f.call("symgrad_ensure", INDEX, threads)
    f.branch(f.compare("sgt", threads, index(1)), share, release)
    f.start(share)
    number = f.add(f.load(_at(f, _pool(f), _NUMBER), INDEX), index(_NEXT_CALL))
    f.store(number, _at(f, _pool(f), _NUMBER))
    _start_workers(f, threads, number)
    own = _call_kernel(f, kernel, buffers, sizes, index(0), f.binary("sdiv", units, threads), scratch)
    code = _wait_for_workers(f, threads, number, own)
    _write(f, index(0), busy, 0, "release")
    f.give(code)
    f.start(release)
    _write(f, index(0), busy, 0, "release")
    f.jump(single)
    f.start(single)
    f.give(_call_kernel(f, kernel, buffers, sizes, index(0), units, scratch))
    return f


def _start_workers(f: Function, threads: Value, number: Value) -> None:
    """Give each worker its part of the job, and wake it if it sleeps."""
    kernel, buffers, sizes, units, _, scratch, stride = f.parameters
    with f.loop(index(1), threads) as each:
        part = _part(f, each.index)
        begin = f.binary("sdiv", f.multiply(units, each.index), threads)
        end = f.binary("sdiv", f.multiply(units, f.add(each.index, index(1))), threads)
        own = f.offset(scratch, f.multiply(each.index, stride), "i8")
        for place, value in enumerate((kernel, buffers, sizes, begin, end, own)):
            f.store(value, _at(f, part, _JOB + 8 * place))
        _write(f, number, part, _GO)
        f.call("symgrad_wake", "i32", *[_at(f, part, o) for o in (_OWN_MUTEX, _OWN_CONDITION, _SLEEPS)])


def _exchange(f: Function, part: Value, number: Value, bits: int) -> Value:
    """Mark a worker's part if nobody has; the value is whether that was so."""
    place, marked = _at(f, part, _GO), f.add(number, index(bits))
    text = f"cmpxchg ptr {place}, {number.typed}, {marked.typed} seq_cst seq_cst, align 8"
    return f.emit(f"extractvalue {f.emit(text, '{ i64, i1 }').typed}, 1", "i1")


def _wait_for_workers(f: Function, threads: Value, number: Value, own: Value) -> Value:
    """Wait until all have finished; the value is the code of the first thread that has one."""
    with f.loop(index(1), threads, carried=[own]) as each:
        part = _part(f, each.index)
        taken, theirs, ended = f.new_block("taken"), f.new_block("theirs"), f.new_block("ended")
        f.branch(_exchange(f, part, number, _TAKEN_BACK), taken, theirs)
        f.start(taken)
        kinds = (POINTER, POINTER, POINTER, INDEX, INDEX)
        job = [f.load(_at(f, part, _JOB + 8 * place), kind) for place, kind in enumerate(kinds)]
        of_taken = _call_kernel(f, *job, f.parameters[5])
        f.jump(ended)
        f.start(theirs)
        done = _at(f, part, _DONE)
        finished = f.call("symgrad_wait", INDEX, done, number, index(1), index(_SPIN), index(_CALLER_YIELDS))
        with f.when(_is_zero(f, finished)):
            memory = [_at(f, _pool(f), o) for o in (_MUTEX, _CONDITION, _WAITING)]
            f.call("symgrad_sleep", "i32", done, *memory, number, index(1))
        of_theirs, end_of_theirs = f.load(_at(f, part, _CODE), "i32"), f.block
        f.jump(ended)
        f.start(ended)
        code = f.phi("i32", (of_taken, taken), (of_theirs, end_of_theirs))
        each.next = [f.select(_is_zero(f, each.carried[0]), code, each.carried[0])]
    return each.results[0]


def _ensure() -> Function:
    """Create the workers that are missing; returns how many threads there are, up to `threads`."""
    f, (threads,) = _internal("symgrad_ensure", "n_threads", result=INDEX)
    pool = _pool(f)
    workers = f.load(_at(f, pool, _WORKERS), INDEX)
    enough, more = f.new_block("enough"), f.new_block("more")
    f.branch(f.compare("sge", f.add(workers, index(1)), threads), enough, more)
    f.start(enough)
    f.give(threads)
    f.start(more)
    with f.when(_is_zero(f, workers)):
        _library(f, "pthread_mutex_init", _at(f, pool, _MUTEX), _NULL)
        _library(f, "pthread_cond_init", _at(f, pool, _CONDITION), _NULL)
    with f.when(_is_zero(f, f.load(_at(f, pool, _HANDLER), INDEX))):
        _library(f, "symgrad_at_fork", _NULL, _NULL, Value("@symgrad_forked", POINTER), _NULL)
        f.store(index(1), _at(f, pool, _HANDLER))
    with f.loop(f.add(workers, index(1)), threads) as each:
        created, failed = f.new_block("created"), f.new_block("failed")
        f.branch(_is_zero(f, f.call("symgrad_create", "i32", _part(f, each.index))), created, failed)
        f.start(failed)
        f.give(each.index)
        f.start(created)
        f.store(each.index, _at(f, pool, _WORKERS))
    f.give(threads)
    return f


def _create() -> Function:
    """Create a worker, with all signals but those of its own faults left to other threads; returns 0 if it is there."""
    f, (part,) = _internal("symgrad_create", "part")
    thread = f.emit("alloca ptr, align 8", POINTER)
    masks = [f.emit("alloca [128 x i8], align 8", POINTER) for _ in range(2)]
    for offset in (_GO, _DONE, _SLEEPS):
        f.store(index(0), _at(f, part, offset))
    _library(f, "pthread_mutex_init", _at(f, part, _OWN_MUTEX), _NULL)
    _library(f, "pthread_cond_init", _at(f, part, _OWN_CONDITION), _NULL)
    for word in range(16):
        f.store(index(-1 - (0 if word else _FAULTS)), _at(f, masks[0], 8 * word))
    _library(f, "pthread_sigmask", Value(_SET_MASK, "i32"), masks[0], masks[1])
    result = _library(f, "pthread_create", thread, _NULL, Value("@symgrad_worker", POINTER), part)
    _library(f, "pthread_sigmask", Value(_SET_MASK, "i32"), masks[1], _NULL)
    with f.when(_is_zero(f, result)):
        _library(f, "pthread_detach", f.load(thread, POINTER))
    f.give(result)
    return f


def _forked() -> Function:
    """Forget the parent's threads; runs in a forked child before anything else there."""
    f, _ = _internal("symgrad_forked")
    for offset in (_BUSY, _WORKERS, _WAITING):
        f.store(index(0), _at(f, _pool(f), offset))
    f.give(_ZERO)
    return f


# ---- the workers ----


def _worker() -> Function:
    """Wait for the next call, do a part of it, for ever."""
    f, (part,) = _internal("symgrad_worker", "part", result=POINTER)
    go = _at(f, part, _GO)
    with f.loop(index(0), index(1), step=0, carried=[index(0)]) as forever:
        (seen,) = forever.carried
        called = f.call("symgrad_wait", INDEX, go, seen, index(0), index(_SPIN), index(_WORKER_YIELDS))
        with f.when(_is_zero(f, called)):
            memory = [_at(f, part, offset) for offset in (_OWN_MUTEX, _OWN_CONDITION, _SLEEPS)]
            f.call("symgrad_sleep", "i32", go, *memory, seen, index(0))
        number = _read(f, part, _GO, "acquire")
        free = f.compare("eq", f.binary("and", number, index(_NEXT_CALL - 1)), index(0))
        with f.when(free), f.when(_exchange(f, part, number, _CLAIMED)):
            kinds = (POINTER, POINTER, POINTER, INDEX, INDEX, POINTER)
            job = [f.load(_at(f, part, _JOB + 8 * place), kind) for place, kind in enumerate(kinds)]
            f.store(_call_kernel(f, *job), _at(f, part, _CODE))
            _write(f, number, part, _DONE)
            f.call("symgrad_wake", "i32", *[_at(f, _pool(f), offset) for offset in (_MUTEX, _CONDITION, _WAITING)])
        forever.next = [number]
    f.give(_NULL)
    return f


# ---- waiting ----


def _wait(architecture: str) -> Function:
    """Wait in a loop until a word equals a value, or doesn't if `n_equal` is 0; returns 0 when the time is over."""
    names = ("word", "n_value", "n_equal", "n_spin", "n_yield")
    f, (word, value, equal, spin, give_way) = _internal("symgrad_wait", *names, result=INDEX)
    time = f.emit("alloca [2 x i64], align 8", POINTER)
    begin = _now(f, time)
    again, found, late, crowded, over = (f.new_block(n) for n in ("again", "found", "late", "crowded", "over"))
    f.jump(again)
    f.start(again)
    with f.loop(index(0), index(_ROUNDS)):
        stay = f.new_block("stay")
        f.branch(_is_so(f, _read(f, word, 0, "acquire"), value, equal), found, stay)
        f.start(found)
        f.give(index(1))
        f.start(stay)
        if architecture in _PAUSES:
            name, operand = _PAUSES[architecture]
            f.declare(name, "void", ["i32"] if operand else [])
            f.do(f"call void @{name}({operand})")
    spent = f.subtract(_now(f, time), begin)
    f.branch(f.compare("slt", spent, spin), again, late)
    f.start(late)
    f.branch(f.compare("slt", spent, give_way), crowded, over)
    f.start(crowded)
    _library(f, "sched_yield")
    f.jump(again)
    f.start(over)
    f.give(index(0))
    return f


def _is_so(f: Function, word: Value, value: Value, equal: Value) -> Value:
    """Whether a word is equal to a value, or, if `equal` is 0, isn't."""
    return f.compare("eq", f.convert("zext", f.compare("eq", word, value), INDEX), equal)


def _now(f: Function, time: Value) -> Value:
    """Nanoseconds since some moment."""
    _library(f, "clock_gettime", Value(_CLOCK, "i32"), time)
    seconds = f.multiply(f.load(time, INDEX), index(1_000_000_000))
    return f.add(seconds, f.load(_at(f, time, 8), INDEX))


def _sleep() -> Function:
    """Wait as `_wait` does, but asleep. The flag says so to those who will have to wake this thread."""
    names = ("word", "mutex", "condition", "flag", "n_value", "n_equal")
    f, (word, mutex, condition, flag, value, equal) = _internal("symgrad_sleep", *names)
    look, asleep, awake = (f.new_block(name) for name in ("look", "asleep", "awake"))
    _library(f, "pthread_mutex_lock", mutex)
    _write(f, index(1), flag, 0)
    f.jump(look)
    f.start(look)
    f.branch(_is_so(f, _read(f, word, 0), value, equal), awake, asleep)
    f.start(asleep)
    _library(f, "pthread_cond_wait", condition, mutex)
    f.jump(look)
    f.start(awake)
    _write(f, index(0), flag, 0)
    _library(f, "pthread_mutex_unlock", mutex)
    f.give(_ZERO)
    return f


def _wake() -> Function:
    """Wake a thread if it sleeps, after its word was written: one of the two sees what the other wrote."""
    f, (mutex, condition, flag) = _internal("symgrad_wake", "mutex", "condition", "flag")
    with f.when(f.compare("ne", _read(f, flag, 0), index(0))):
        _library(f, "pthread_mutex_lock", mutex)
        _library(f, "pthread_cond_signal", condition)
        _library(f, "pthread_mutex_unlock", mutex)
    f.give(_ZERO)
    return f
