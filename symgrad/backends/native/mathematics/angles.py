"""Angles reduced by multiples of a right angle.

Up to some millions of right angles, ``pi / 2`` is subtracted in three parts, short enough for exact products. Beyond,
as M. Payne and R. Hanek showed (1983), only the bits of ``2 / pi`` count that meet the lowest bits of the quotient:
they are cut out of 1200 bits of it and multiplied by the mantissa as a whole number. That is done for one lane at a
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

_FRACTION_BITS = 1200
_BITS_OF_TWO_OVER_PI = int(
    "10961624472040172306819695974506753824149736177290862121133802293415128153967426855786600179383830818005251620"
    "686212276383741462382840646446665240090662947422797946208107084433317427984328678325390393467973966095626422319"
    "580541169421538667751778104036224809616456980795286610787367809947266181514671532645040128653394793474164295916"
    "360012309370980042855028292731"
)
"""``2 / pi``, times 2 to the power of `_FRACTION_BITS`."""
_WINDOW = 192
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

    With ``x = mantissa * 2**exponent`` the quotient ``x * 2 / pi`` is kept modulo 4 in `_WINDOW` bits, 190 of them
    after the point; what is cut off on the right is less than ``2**-137``.
    """
    function = Function("symgrad_far_angle", [("double", "x")], _RESULT, internal=True)
    wide = f"i{_WINDOW}"
    point = _WINDOW - 2
    m = Arithmetic(function, "double")
    (x,) = function.parameters
    bits = m.bits(x)
    biased = m.integers("and", m.integers("lshr", bits, 52), 0x7FF)
    mantissa = m.integers("or", m.integers("and", bits, (1 << 52) - 1), 1 << 52)
    # The bit of 2 / pi that is worth 2**-190 after the multiplication comes first.
    shift = function.subtract(m.integer(_FRACTION_BITS - point + 1075), biased)
    table = f"i{_FRACTION_BITS + 16}"
    cut = function.emit(
        f"lshr {table} {_BITS_OF_TWO_OVER_PI}, {function.convert('zext', shift, table)}", table)  # fmt: skip
    window = function.convert("trunc", cut, wide)
    quotient = function.binary("mul", window, function.convert("zext", mantissa, wide))
    rounded = function.binary("add", quotient, Value(str(1 << (point - 1)), wide))
    whole = function.convert("trunc", function.binary("lshr", rounded, Value(str(point), wide)), "i64")
    fraction = function.binary("sub", function.binary("and", rounded, Value(str((1 << point) - 1), wide)),
                               Value(str(1 << (point - 1)), wide))  # fmt: skip
    is_negative = function.compare("slt", bits, index(0))
    parts = [function.select(is_negative, m.negate(part), part) for part in _as_angle(m, fraction)]
    parts.append(function.select(is_negative, function.subtract(index(0), whole), whole))
    result = Value("poison", _RESULT)
    for place, part in enumerate(parts):
        result = function.emit(f"insertvalue {result.typed}, {part.typed}, {place}", _RESULT)
    function.give(result)
    return function


def _as_angle(m: Arithmetic, fraction: Value) -> list[Value]:
    """Return a signed fraction of a right angle as radians in two parts, from its first 64 bits."""
    function, wide = m.function, fraction.type
    is_negative = function.compare("slt", fraction, Value("0", wide))
    size = function.select(is_negative, function.binary("sub", Value("0", wide), fraction), fraction)
    zeros = function.emit(f"call {wide} @llvm.ctlz.{wide}({size.typed}, i1 false)", wide)
    function.declare(f"llvm.ctlz.{wide}", wide, [wide, "i1 immarg"])
    normal = function.binary("lshr", function.binary("shl", size, zeros), Value(str(_WINDOW - 64), wide))
    top = function.convert("trunc", normal, "i64")
    high = function.convert("uitofp", m.integers("and", top, -(1 << 11)), m.kind)
    low = function.convert("uitofp", m.integers("and", top, (1 << 11) - 1), m.kind)
    # The highest bit of `top` is worth 2**(1 - zeros); it is bit 63.
    exponent = function.subtract(m.integer(1 - 63), function.convert("trunc", zeros, "i64"))
    scale = m.power_of_two(exponent)
    rest = m.fma(high, _HALF_PI[1], m.multiply(low, _HALF_PI[0]))
    radians = m.fma(high, _HALF_PI[0], rest)
    rest = m.add(m.fma(high, _HALF_PI[0], m.negate(radians)), rest)
    parts = [m.multiply(radians, scale), m.multiply(rest, scale)]
    return [function.select(is_negative, m.negate(part), part) for part in parts]
