"""MRG31k3p as a native kernel: a vector of streams side by side, the numbers of `symgrad.kernels.mrg31k3p`."""

from __future__ import annotations

from symgrad.backends.native.kernel import NativeKernel, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, byte_size, index, literal, mangled
from symgrad.kernels.mrg31k3p import M1, M2, SCALE32, SCALE64, SECOND_FACTOR

STREAMS_PER_UNIT = 64
"""A multiple of what a vector holds."""

WORDS = 6
"""Numbers of a stream's state."""

_ELEMENTS = {"float32": "float", "float64": "double"}


def mrg_kernel(streams: int, count: int, dtype: str, vector_bytes: int, operands: int) -> NativeKernel | None:
    """Return the kernel of ``mrg_sample``, or None for a dtype that it has no numbers of.

    Its buffers are the states (``int32[streams, 6]``), further operands that it doesn't read, the new states, and the
    sample, C-contiguous.

    Parameters
    ----------
    streams, count : int
        How many streams, and how many numbers of them.
    dtype : {'float32', 'float64'}
        The dtype of the numbers.
    vector_bytes : int
        The width of the processor's vectors.
    operands : int
        The number of operands.
    """
    if dtype not in _ELEMENTS or not streams:
        return None
    lanes = vector_bytes // 4
    function = kernel_function(f"mrg_{dtype}_{streams}_{count}_of_{operands}_x{vector_bytes}")
    begin, end = function.parameters[2:4]
    states, new_states, sample = [buffer_pointer(function, number) for number in (0, operands, operands + 1)]
    per_unit = index(STREAMS_PER_UNIT)
    wanted = function.binary("mul", end, per_unit)
    last = function.select(function.compare("slt", wanted, index(streams)), wanted, index(streams))
    with function.loop(function.binary("mul", begin, per_unit), last, lanes) as blocks:
        writer = _Streams(function, lanes, streams, blocks.index)
        vectors = writer.gathered(states)
        with function.loop(index(0), index(-(-count // streams)), carried=vectors, hint="rounds") as rounds:
            first = function.add(function.binary("mul", rounds.index, index(streams)), blocks.index)
            drawn = function.binary("and", writer.inside, writer.below(first, count))
            following, difference = writer.next(rounds.carried)
            number = _scaled(function, difference, dtype)
            function.masked_store(number, function.offset(sample, first, _ELEMENTS[dtype]), drawn)
            rounds.next = [
                function.select(drawn, new, old) for new, old in zip(following, rounds.carried, strict=True)
            ]
        writer.scatter(rounds.results, new_states)
    function.give(literal(0, "i32"))
    moved = 2 * WORDS * 4 * streams + count * byte_size(_ELEMENTS[dtype])
    return NativeKernel(function.name, [function], -(-streams // STREAMS_PER_UNIT), flops=30 * count, bytes=moved)


def _scaled(function: Function, whole: Value, dtype: str) -> Value:
    kind = whole.type.replace("i32", _ELEMENTS[dtype])
    scale = literal(float(SCALE32) if dtype == "float32" else SCALE64, kind)
    return function.binary("fmul", function.convert("sitofp", whole, kind), scale)


class _Streams:
    """One vector of streams, from stream `first` on; those beyond the last are left alone."""

    def __init__(self, function: Function, lanes: int, streams: int, first: Value) -> None:
        self.function = function
        self.lanes = lanes
        self.kind = f"<{lanes} x i32>"
        numbers = Value(f"<{', '.join(f'i64 {lane}' for lane in range(lanes))}>", f"<{lanes} x i64>")
        self._numbers = numbers
        self.inside = self.below(first, streams)
        place = function.add(function.splat(first, lanes), numbers)
        self._places = function.binary("mul", place, literal(WORDS, place.type))

    def below(self, first: Value, limit: int) -> Value:
        """Return in which lanes `first` and the following numbers are below a limit."""
        numbers = self.function.add(self.function.splat(first, self.lanes), self._numbers)
        return self.function.compare("slt", numbers, literal(limit, numbers.type))

    def _pointers(self, states: Value, word: int) -> Value:
        places = self.function.add(self._places, literal(word, self._places.type))
        kind = f"<{self.lanes} x ptr>"
        return self.function.emit(f"getelementptr i32, ptr {states}, {places.typed}", kind)

    def gathered(self, states: Value) -> list[Value]:
        """Return the six words of the streams' states."""
        function = self.function
        found = []
        for word in range(WORDS):
            pointers = self._pointers(states, word)
            name = f"llvm.masked.gather.{mangled(self.kind)}.{mangled(pointers.type)}"
            function.declare(name, self.kind, [pointers.type, "i32 immarg", self.inside.type, self.kind])
            operands = f"{pointers.typed}, i32 4, {self.inside.typed}, {literal(0, self.kind).typed}"
            found.append(function.emit(f"call {self.kind} @{name}({operands})", self.kind))
        return found

    def scatter(self, words: list[Value], states: Value) -> None:
        """Store the six words of the streams' states."""
        function = self.function
        for number, word in enumerate(words):
            pointers = self._pointers(states, number)
            name = f"llvm.masked.scatter.{mangled(self.kind)}.{mangled(pointers.type)}"
            function.declare(name, "void", [self.kind, pointers.type, "i32 immarg", self.inside.type])
            function.do(f"call void @{name}({word.typed}, {pointers.typed}, i32 4, {self.inside.typed})")

    def next(self, words: list[Value]) -> tuple[list[Value], Value]:
        """Return the words of the next state, and the whole numbers that it stands for, between 1 and M1."""
        x11, x12, x13, x21, x22, x23 = words
        add = self.function.add
        low = add(self._shifted("shl", self._and(x12, 511), 22), self._shifted("lshr", x12, 9))
        high = add(self._shifted("shl", self._and(x13, 0xFFFFFF), 7), self._shifted("lshr", x13, 24))
        new1 = self._reduced(add(self._reduced(add(low, high), M1), x13), M1)
        new2 = self._reduced(add(self._second(x23), x23), M2)
        new2 = self._reduced(add(new2, self._second(x21)), M2)
        difference = self.function.subtract(new1, new2)
        is_positive = self.function.compare("ugt", new1, new2)
        number = self.function.select(is_positive, difference, add(difference, self._constant(M1)))
        return [new1, x11, x12, new2, x21, x22], number

    def _second(self, word: Value) -> Value:
        """Return ``2**15 * word`` modulo M2."""
        low = self._shifted("shl", self._and(word, 0xFFFF), 15)
        high = self.function.multiply(self._shifted("lshr", word, 16), self._constant(SECOND_FACTOR))
        return self._reduced(self.function.add(low, high), M2)

    def _reduced(self, number: Value, modulus: int) -> Value:
        """Return a number of less than two moduli, less one of them if it reaches it; all is without sign."""
        reaches = self.function.compare("uge", number, self._constant(modulus))
        less = self.function.subtract(number, self._constant(modulus))
        return self.function.select(reaches, less, number)

    def _constant(self, value: int) -> Value:
        return literal(value, self.kind)

    def _and(self, a: Value, value: int) -> Value:
        return self.function.binary("and", a, self._constant(value))

    def _shifted(self, how: str, a: Value, by: int) -> Value:
        return self.function.binary(how, a, self._constant(by))


__all__ = ["mrg_kernel"]
