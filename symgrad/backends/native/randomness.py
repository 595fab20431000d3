"""Random samples as native kernels: the bits of `symgrad.kernels.philox`, the arithmetic of its neighbours.

A vector of counters, 64 bits each, gives four vectors of words whose upper halves are left as they come: the products
of the next round don't look at them. The counters lie in the vector so that interleaving two results, within each
16 bytes, puts the words into the order of memory. Every number is made by exactly the operations that
`symgrad.kernels.distributions` and `symgrad.kernels.normal_quantile` write down, none of them fused, so the samples
are equal bit by bit to those of the NumPy backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from symgrad.backends.native.kernel import NativeKernel, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import (
    Function,
    Value,
    byte_size,
    index,
    lanes_of,
    literal,
    vector_type,
    with_element,
)
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.backends.native.mathematics.normal_quantile import normal_from_bits
from symgrad.backends.native.scalars import ELEMENTS, emit_cast
from symgrad.graph.dtypes import HALVES
from symgrad.kernels.philox import KEY_INCREMENTS, MULTIPLIERS, ROUNDS, STEP_BITS, STREAM_BITS
from symgrad.kernels.random_sample import COUNT_DTYPES, FLOAT_DTYPES

ELEMENTS_PER_UNIT = 1 << 13
"""A multiple of what a vector of counters gives."""

_MEMORY = {**ELEMENTS, "bool": "i8", "float16": "i16"}
_ONES = {"float16": 0x3C00}
_LOW_HALF = 0xFFFFFFFF


def random_kernel(
    distribution: str,
    dtype: str,
    count: int | str,
    parameter_dtypes: Sequence[str],
    vector_bytes: int,
    operands: int | None = None,
) -> NativeKernel | None:
    """Return the kernel of a ``random_sample`` whose parameters are numbers, or None for one without native code.

    Its buffers are the state (``uint64[3]``), the parameters (without dimensions), further operands that it doesn't
    read, and the sample, C-contiguous. The kernel fails where a parameter or the state is out of range.

    Parameters
    ----------
    distribution : str
        A name of `symgrad.kernels.random_sample.DISTRIBUTIONS`.
    dtype : str
        The dtype of the sample.
    count : int or str
        How many elements the sample has; or the name of an open size, the kernel's only one.
    parameter_dtypes : sequence of str
        The dtypes of the parameters.
    vector_bytes : int
        The width of the processor's vectors.
    operands : int, optional
        The number of operands, where there are more than state and parameters.
    """
    family = _FAMILIES.get(distribution)
    if family is None or dtype not in family.dtypes or not set(parameter_dtypes) <= ELEMENTS.keys() - set(HALVES):
        return None
    operands = 1 + len(parameter_dtypes) if operands is None else operands
    kind = "_".join(["random", distribution, dtype, *parameter_dtypes, f"x{vector_bytes}"])
    function = kernel_function(f"{kind}_{'open' if isinstance(count, str) else count}_of_{operands}")
    begin, end, scratch = function.parameters[2:]
    total = function.load(function.parameters[1], "i64") if isinstance(count, str) else index(count)
    pointers = [buffer_pointer(function, number) for number in (*range(1 + len(parameter_dtypes)), operands)]
    # Samples of all sizes share their code.
    sampling = _sampling_function(kind, family, distribution, dtype, tuple(parameter_dtypes), vector_bytes // 8)
    function.give(function.call_helper(sampling, begin, end, total, scratch, *pointers))
    size = byte_size(_MEMORY[dtype])
    room = _group(distribution, dtype, vector_bytes // 8) * size
    if isinstance(count, str):
        return NativeKernel(function.name, [function], count, ELEMENTS_PER_UNIT, room, may_fail=True)
    units = max(-(-count // ELEMENTS_PER_UNIT), 1)
    return NativeKernel(
        function.name, [function], units, ELEMENTS_PER_UNIT, room, bytes=count * size, may_fail=True)  # fmt: skip


def _sampling_function(
    name: str, family: type[_Family], distribution: str, dtype: str, parameter_dtypes: Sequence[str], lanes: int
) -> Function:
    """Return the function that writes elements of a sample of any size."""
    names = ["state", *[f"parameter{number}" for number in range(len(parameter_dtypes))], "sample"]
    numbers = [("i64", "begin"), ("i64", "end"), ("i64", "total"), ("ptr noalias", "scratch")]
    function = Function(
        f"symgrad_{name}", [*numbers, *[("ptr noalias", name) for name in names]], internal=True)  # fmt: skip
    state, *pointers, target = function.parameters[4:]
    generator = _Generator(function, state, lanes, _word_bits(distribution, dtype))
    parameters = []
    for pointer, kind in zip(pointers, parameter_dtypes, strict=True):
        value = _load_number(function, pointer, kind)
        parameters.append(emit_cast(function, value, kind, family.dtype_of_parameters(dtype)))
    sampler = family(function, parameters, dtype)
    _leave_if(function, function.binary("or", generator.failed, sampler.failed))
    _write_sample(function, generator, sampler, target, _MEMORY[dtype])
    function.give(literal(0, "i32"))
    return function


def _word_bits(distribution: str, dtype: str) -> int:
    return 64 if dtype == "float64" and distribution != "bernoulli" else 32


def _group(distribution: str, dtype: str, lanes: int) -> int:
    """Return how many elements a vector of counters gives."""
    return lanes * (128 // _word_bits(distribution, dtype))


def _load_number(function: Function, pointer: Value, dtype: str) -> Value:
    value = function.load(pointer, _MEMORY[dtype])
    return function.compare("ne", value, literal(0, "i8")) if dtype == "bool" else value


def _leave_if(function: Function, failed: Value) -> None:
    bad, good = function.new_block("bad"), function.new_block("good")
    function.branch(failed, bad, good)
    function.start(bad)
    function.give(literal(1, "i32"))
    function.start(good)


def _write_sample(
    function: Function, generator: _Generator, sampler: _Sampler, target: Value, element: str
) -> None:
    """Write the elements of units begin to end.

    The last group of a sample goes to scratch memory if it isn't whole, and what belongs to the sample is copied.
    """
    begin, end, total, scratch = function.parameters[:4]
    group = generator.group
    first = function.binary("mul", begin, index(ELEMENTS_PER_UNIT))
    wanted = function.binary("mul", end, index(ELEMENTS_PER_UNIT))
    last = function.select(function.compare("slt", wanted, total), wanted, total)
    with function.loop(first, last, group) as loop:
        following = function.binary("add", loop.index, index(group))
        is_whole = function.compare("sle", following, last)
        place = function.select(is_whole, function.offset(target, loop.index, element), scratch)
        for number, bits in enumerate(generator.elements_from(loop.index)):
            values = sampler.values(bits)
            function.store(values, function.offset(place, index(number * lanes_of(bits.type)), element))
    rest = function.binary("and", last, index(group - 1))
    start = function.binary("sub", last, rest)
    with function.loop(index(0), rest) as loop:
        value = function.load(function.offset(scratch, loop.index, element), element)
        place = function.binary("add", start, loop.index)
        function.store(value, function.offset(target, place, element))


class _Generator:
    """Philox4x32-10 on vectors of counters.

    Parameters
    ----------
    function : Function
        Where to write.
    state : Value
        The address of key, stream and step.
    lanes : int
        How many counters a vector holds.
    bits : int
        32 for words, 64 for lanes.

    Attributes
    ----------
    failed : Value
        Whether the state isn't one.
    group : int
        How many elements a vector of counters gives.
    """

    def __init__(self, function: Function, state: Value, lanes: int, bits: int) -> None:
        self.function = function
        self.lanes = lanes
        self.bits = bits
        self.group = lanes * (128 // bits)
        key, stream, step = [
            function.load(function.offset(state, index(place), "i64"), "i64") for place in range(3)
        ]
        self.failed = function.binary(
            "or",
            function.compare("ugt", stream, index((1 << STREAM_BITS) - 1)),
            function.compare("ugt", step, index((1 << STEP_BITS) - 1)),
        )
        self._keys = [self._splat(key), self._splat(function.binary("lshr", key, index(32)))]
        self._tag = self._splat(
            function.binary("shl", function.binary("lshr", step, index(32)), index(16)))  # fmt: skip
        self._step = self._splat(step)
        self._stream = self._splat(stream)
        # Lanes 0, 2, 4 ... hold the first half of the blocks, lanes 1, 3, 5 ... the second.
        order = [lane // 2 + (lane % 2) * (lanes // 2) for lane in range(lanes)]
        self._order = Value(f"<{', '.join(f'i64 {block}' for block in order)}>", vector_type("i64", lanes))

    def _splat(self, value: Value) -> Value:
        return self.function.splat(value, self.lanes)

    def _constant(self, value: int) -> Value:
        return literal(value, vector_type("i64", self.lanes))

    def elements_from(self, first: Value) -> list[Value]:
        """Return vectors of the next elements, in order; `first` is a multiple of `group`."""
        function = self.function
        block = function.binary("lshr", first, index((128 // self.bits).bit_length() - 1))
        blocks = function.binary("add", self._splat(block), self._order)
        tag = function.binary("or", function.binary("lshr", blocks, self._constant(32)), self._tag)
        words = self._rounds([blocks, tag, self._step, self._stream])
        halves = [self._lane(words[0], words[1]), self._lane(words[2], words[3])]
        evens = range(0, self.lanes, 2)
        pairs = [
            function.shuffle(halves[0], halves[1], [even + lane for even in evens for lane in (odd, odd + self.lanes)])
            for odd in range(2)
        ]
        if self.bits == 64:
            return pairs
        kind = vector_type("i32", 2 * self.lanes)
        return [function.convert("bitcast", pair, kind) for pair in pairs]

    def _rounds(self, words: list[Value]) -> list[Value]:
        """Return the words after all rounds, two in each turn of a loop; only the low half of each 64 bits counts."""
        function = self.function
        with function.loop(index(0), index(ROUNDS), 2, [*words, *self._keys], "rounds") as loop:
            words, keys = loop.carried[:4], loop.carried[4:]
            for _ in range(2):
                words = self._round(words, keys)
                keys = [
                    function.add(key, self._constant(increment))
                    for key, increment in zip(keys, KEY_INCREMENTS, strict=True)
                ]
            loop.next = [*words, *keys]
        return loop.results[:4]

    def _round(self, words: list[Value], keys: list[Value]) -> list[Value]:
        function, half, low = self.function, self._constant(32), self._constant(_LOW_HALF)
        products = [
            function.binary("mul", function.binary("and", word, low), self._constant(factor))
            for word, factor in zip(words[0::2], MULTIPLIERS, strict=True)
        ]
        highs = [function.binary("lshr", product, half) for product in products]
        return [
            function.binary("xor", function.binary("xor", highs[1], words[1]), keys[0]), products[1],
            function.binary("xor", function.binary("xor", highs[0], words[3]), keys[1]), products[0],
        ]  # fmt: skip

    def _lane(self, low: Value, high: Value) -> Value:
        function = self.function
        upper = function.binary("shl", high, self._constant(32))
        return function.binary("or", function.binary("and", low, self._constant(_LOW_HALF)), upper)


class _Sampler(Protocol):
    """What makes numbers of random bits; `failed` says whether its parameters are out of range."""

    failed: Value

    def values(self, bits: Value) -> Value:
        """Return the elements, as they are in memory."""


class _Bernoulli:
    """1 where ``word < ceil(p * 2**24) * 2**8``."""

    dtypes = COUNT_DTYPES

    def __init__(self, function: Function, parameters: Sequence[Value], dtype: str) -> None:
        self.function = function
        (chance,) = parameters
        zero, one = literal(0.0, "double"), literal(1.0, "double")
        inside = function.binary(
            "and", function.compare("oge", chance, zero), function.compare("ole", chance, one))  # fmt: skip
        self.failed = function.binary("xor", inside, literal(1, "i1"))
        scaled = function.binary("fmul", function.select(inside, chance, zero), literal(2.0**24, "double"))
        whole = function.convert("fptosi", scaled, "i64")
        is_below = function.compare("olt", function.convert("sitofp", whole, "double"), scaled)
        bound = function.add(whole, function.convert("zext", is_below, "i64"))
        # 2**32 is no word, so the comparison is with the largest word that still means 1.
        largest = function.add(function.binary("shl", bound, index(8)), index(-1))
        self._largest = function.convert("trunc", largest, "i32")
        element = _MEMORY[dtype]
        unit = literal(_ONES.get(dtype, 1), element)
        self._one = function.select(function.compare("eq", bound, index(0)), literal(0, element), unit)

    @staticmethod
    def dtype_of_parameters(dtype: str) -> str:
        """The dtype that the parameters are cast to."""
        return "float64"

    def values(self, bits: Value) -> Value:
        function, lanes = self.function, lanes_of(bits.type)
        ones = function.splat(self._one, lanes)
        is_one = function.compare("ule", bits, function.splat(self._largest, lanes))
        return function.select(is_one, ones, literal(0, ones.type))


class _Uniform:
    """``min(u * (high - low) + low, the largest number below high)``."""

    dtypes = FLOAT_DTYPES

    def __init__(self, function: Function, parameters: Sequence[Value], dtype: str) -> None:
        self.function = function
        self.low, high = parameters
        m = Arithmetic(function, self.low.type)
        self.span = m.subtract(high, self.low)
        fits = function.binary(
            "and", function.compare("oge", self.span, m.constant(0.0)), m.less(self.span, float("inf")))  # fmt: skip
        self.failed = function.binary("xor", fits, literal(1, "i1"))
        # One step towards zero from above it, away from zero below it.
        step = function.select(m.less(0.0, high), m.integer(-1), m.integer(1))
        below = m.from_bits(function.add(m.bits(high), step))
        smallest = m.from_bits(m.integer((1 << (8 * byte_size(self.low.type) - 1)) + 1))
        below = m.select(m.equal(high, 0.0), smallest, below)
        self.limit = m.select(m.equal(high, self.low), self.low, below)

    @staticmethod
    def dtype_of_parameters(dtype: str) -> str:
        """The dtype that the parameters are cast to."""
        return dtype

    def values(self, bits: Value) -> Value:
        element = self.low.type
        m = Arithmetic(self.function, with_element(bits.type, element))
        lanes = lanes_of(bits.type)
        low, span, limit = [self.function.splat(value, lanes) for value in (self.low, self.span, self.limit)]
        number = m.add(m.multiply(_fraction(m, bits), span), low)
        return m.select(m.less(number, limit), number, limit)


def _fraction(m: Arithmetic, bits: Value) -> Value:
    """Return the top bits of each element as a number in [0, 1)."""
    if m.is_single:
        return m.multiply(m.function.convert("sitofp", m.integers("lshr", bits, 8), m.kind), 2.0**-24)
    # Processors without AVX-512 have no conversion from 64 bits; both halves fit into a mantissa.
    top = m.integers("lshr", bits, 11)
    low = m.integers("or", m.integers("and", top, _LOW_HALF), m.bits_of(2.0**52))
    high = m.integers("or", m.integers("lshr", top, 32), m.bits_of(2.0**84))
    number = m.add(m.subtract(m.from_bits(high), 2.0**84), m.subtract(m.from_bits(low), 2.0**52))
    return m.multiply(number, 2.0**-53)


class _Normal:
    """``z * std + avg`` with the standard normal z of each element's bits."""

    dtypes = FLOAT_DTYPES

    def __init__(self, function: Function, parameters: Sequence[Value], dtype: str) -> None:
        self.function = function
        self.average, self.deviation = parameters
        self.failed = function.compare("ult", self.deviation, literal(0.0, self.deviation.type))

    @staticmethod
    def dtype_of_parameters(dtype: str) -> str:
        """The dtype that the parameters are cast to."""
        return dtype

    def values(self, bits: Value) -> Value:
        m = Arithmetic(self.function, with_element(bits.type, self.average.type))
        lanes = lanes_of(bits.type)
        average, deviation = [self.function.splat(value, lanes) for value in (self.average, self.deviation)]
        return m.add(m.multiply(normal_from_bits(m, bits), deviation), average)


_Family = _Bernoulli | _Uniform | _Normal
_FAMILIES: dict[str, type[_Family]] = {
    "bernoulli": _Bernoulli, "uniform": _Uniform, "normal": _Normal,
}  # fmt: skip
