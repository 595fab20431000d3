"""Angles reduced by multiples of a right angle.

Up to some millions of right angles, ``pi / 2`` is subtracted in three parts, short enough for exact products. Beyond,
as M. Payne and R. Hanek showed (1983), only the bits of ``2 / pi`` count that meet the lowest bits of the quotient:
they are cut out of 1216 bits of it and multiplied by the mantissa as a whole number. That is done for one lane at a
time, in a function of its own, and only if a vector has such a lane.
"""

from __future__ import annotations

from functools import cache

from symgrad.backends.native.llvm.text import Function, Value, index, lanes_of
from symgrad.backends.native.mathematics.arithmetic import Arithmetic

_TWO_OVER_PI = 0.6366197723675814
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)
_THREE_PARTS = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
"""The first two have 33 bits."""
_LARGEST_QUICK = 1048576.0

_TWO_OVER_PI_WORDS = (
    0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041, 0xFE5163ABDEBBC561, 0xB7246E3A424DD2E0,
    0x06492EEA09D1921C, 0xFE1DEB1CB129A73E, 0xE88235F52EBB4484, 0xE99C7026B45F7E41, 0x3991D639835339F4,
    0x9C845F8BBDF9283B, 0x1FF897FFDE05980F, 0xEF2F118B5A0A6D1F, 0x6D367ECF27CB09B7, 0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B, 0x3D0739F78A5292EA, 0x6BFB5FB11F8D5D08, 0x56033046FC7B6BAB,
)  # fmt: skip
"""The bits of ``2 / pi`` after the point."""

_RESULT = "{ double, double, i64 }"
_KINDS = ("double", "double", "i64")


def reduced(m: Arithmetic, x: Value) -> tuple[Value, Value, Value]:
    """Return the angle less the nearest multiple of a right angle, in two parts, and that multiple modulo 4.

    Parameters
    ----------
    m : Arithmetic
        In double precision.
    x : Value
        Any angle; of infinities and nan it makes nan.

    Returns
    -------
    high, low : Value
        At most a little more than ``pi / 4`` together.
    quadrant : Value
        An integer of which the lowest two bits count.
    """
    function = m.function
    count, quadrant = m.nearest_multiple(x, _TWO_OVER_PI)
    first, second, third = _THREE_PARTS
    rest = m.fma(count, -first, x)
    product = m.multiply(count, second)
    main = m.subtract(rest, product)
    error = m.fma(count, -third, m.subtract(m.subtract(rest, main), product))
    high = m.add(main, error)
    low = m.add(m.subtract(main, high), error)
    size = m.absolute(x)
    is_large = function.binary("and", m.less(_LARGEST_QUICK, size), m.less(size, float("inf")))
    quick, slow, done = function.block, function.new_block("far"), function.new_block("near")
    function.branch(function.any_lane(is_large), slow, done)
    function.start(slow)
    near = (high, low, quadrant)
    far = _far(m, m.select(is_large, x, 2 * _LARGEST_QUICK))
    chosen = [function.select(is_large, a, b) for a, b in zip(far, near, strict=True)]
    end = function.block
    function.jump(done)
    function.start(done)
    merged = [function.phi(a.type, (a, quick), (b, end)) for a, b in zip(near, chosen, strict=True)]
    return merged[0], merged[1], merged[2]


def _far(m: Arithmetic, x: Value) -> list[Value]:
    """Reduce each lane by itself."""
    function = m.function
    helper = _far_helper()
    lanes = lanes_of(m.kind)
    if lanes == 1:
        return _parts(function, function.call_helper(helper, x))
    start = [m.constant(0.0), m.constant(0.0), m.integer(0)]
    with function.loop(index(0), index(lanes), 1, start, "lane") as loop:
        angle = function.emit(f"extractelement {x.typed}, i64 {loop.index}", "double")
        parts = _parts(function, function.call_helper(helper, angle))
        loop.next = [
            function.emit(f"insertelement {carried.typed}, {part.typed}, i64 {loop.index}", carried.type)
            for carried, part in zip(loop.carried, parts, strict=True)
        ]
    return loop.results


def _parts(function: Function, result: Value) -> list[Value]:
    return [function.emit(f"extractvalue {result.typed}, {place}", kind) for place, kind in enumerate(_KINDS)]


@cache
def _far_helper() -> Function:
    """Return the function that reduces one large, finite angle.

    With ``x = mantissa * 2**exponent`` the quotient ``x * 2 / pi`` is kept modulo 4 in 128 bits, 126 of them after the
    point. The fraction of a float64 is never below ``2**-62``, so 64 bits of it are right.
    """
    function = Function("symgrad_far_angle", [("double", "x")], _RESULT, internal=True)
    m = Arithmetic(function, "double")
    (x,) = function.parameters
    bits = m.bits(x)
    biased = m.integers("and", m.integers("lshr", bits, 52), 0x7FF)
    mantissa = m.integers("or", m.integers("and", bits, (1 << 52) - 1), 1 << 52)
    high, middle, low = (_wide(function, word) for word in _window(function, m.integers("sub", biased, 1013)))
    factor = _wide(function, mantissa)
    carried = function.binary("lshr", function.binary("mul", low, factor), _WORD)
    carried = function.add(function.binary("mul", middle, factor), carried)
    quotient = function.add(function.binary("shl", function.binary("mul", high, factor), _WORD), carried)
    rounded = function.add(quotient, _wide_constant(1 << 125))
    whole = function.convert("trunc", function.binary("lshr", rounded, _wide_constant(126)), "i64")
    fraction = function.binary("and", rounded, _wide_constant((1 << 126) - 1))
    parts = _as_angle(m, function.subtract(fraction, _wide_constant(1 << 125)))
    is_negative = function.compare("slt", bits, index(0))
    results = [function.select(is_negative, m.negate(part), part) for part in parts]
    results.append(function.select(is_negative, function.subtract(index(0), whole), whole))
    result = Value("poison", _RESULT)
    for place, part in enumerate(results):
        result = function.emit(f"insertvalue {result.typed}, {part.typed}, {place}", _RESULT)
    function.give(result)
    return function


def _wide(function: Function, word: Value) -> Value:
    return function.convert("zext", word, "i128")


def _wide_constant(value: int) -> Value:
    return Value(str(value), "i128")


_WORD = _wide_constant(64)


def _window(function: Function, start: Value) -> list[Value]:
    """Return three words of the bits of ``2 / pi``, after 64 zeros, that start with bit number `start`."""
    words = (0, *_TWO_OVER_PI_WORDS)
    kind = f"<{len(words)} x i64>"
    table = function.emit(f"alloca {kind}, align 64", "ptr")
    function.store(Value(f"<{', '.join(f'i64 {word}' for word in words)}>", kind), table)
    first = function.binary("lshr", start, index(6))
    found = [
        function.load(function.offset(table, function.add(first, index(place)), "i64"), "i64") for place in range(4)
    ]
    shift = function.binary("and", start, index(63))
    return [function.intrinsic("fshl", "i64", found[place], found[place + 1], shift) for place in range(3)]


def _as_angle(m: Arithmetic, fraction: Value) -> list[Value]:
    """Return a signed fraction of a right angle as radians in two parts, from its first 64 bits."""
    function, zero = m.function, _wide_constant(0)
    is_negative = function.compare("slt", fraction, zero)
    size = function.select(is_negative, function.subtract(zero, fraction), fraction)
    function.declare("llvm.ctlz.i128", "i128", ["i128", "i1 immarg"])
    zeros = function.emit(f"call i128 @llvm.ctlz.i128({size.typed}, i1 false)", "i128")
    top = function.convert("trunc", function.binary("lshr", function.binary("shl", size, zeros), _WORD), "i64")
    high = function.convert("sitofp", m.integers("lshr", top, 11), m.kind)
    low = function.convert("sitofp", m.integers("and", top, (1 << 11) - 1), m.kind)
    # The highest bit of `top`, bit 63, is worth 2**(1 - zeros).
    exponent = function.subtract(m.integer(1 - 63), function.convert("trunc", zeros, "i64"))
    scale = m.power_of_two(exponent)
    high = m.multiply(high, 2.0**11)
    rest = m.fma(high, _HALF_PI[1], m.multiply(low, _HALF_PI[0]))
    radians = m.fma(high, _HALF_PI[0], rest)
    rest = m.add(m.fma(high, _HALF_PI[0], m.negate(radians)), rest)
    parts = [m.multiply(radians, scale), m.multiply(rest, scale)]
    return [function.select(is_negative, m.negate(part), part) for part in parts]
