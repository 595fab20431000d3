"""Writes LLVM IR as text: one function at a time, values named in order, loops as blocks with phis.

Loop-carried values are phis and register tiles are lists of values, so no pass of the optimiser has to find them again:
the text is good enough to go to the code generator as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

POINTER = "ptr"
INDEX = "i64"
FLOATS = ("half", "bfloat", "float", "double")


@cache
def vector_type(element: str, lanes: int) -> str:
    """Return the type of `lanes` elements; of one lane, the element's own type.

    Examples
    --------
    >>> vector_type("float", 16), vector_type("float", 1)
    ('<16 x float>', 'float')
    """
    return element if lanes == 1 else f"<{lanes} x {element}>"


@cache
def element_of(kind: str) -> str:
    """Return the element type of a vector type; of a scalar type, itself."""
    return kind[1:-1].split(" x ")[1] if kind.startswith("<") else kind


@cache
def lanes_of(kind: str) -> int:
    """Return the number of lanes of a type: 1 for a scalar."""
    return int(kind[1:].split(" x ")[0]) if kind.startswith("<") else 1


@cache
def with_element(kind: str, element: str) -> str:
    """Return a type with the lanes of `kind` and another element."""
    return vector_type(element, lanes_of(kind))


@cache
def mangled(kind: str) -> str:
    """Return a type as intrinsics' names spell it: ``v16f32``."""
    element, lanes = element_of(kind), lanes_of(kind)
    short = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16", "ptr": "p0"}.get(element, element)
    return short if lanes == 1 else f"v{lanes}{short}"


@cache
def is_float(kind: str) -> bool:
    """Whether a type's elements are floating-point numbers."""
    return element_of(kind) in FLOATS


@dataclass(frozen=True, slots=True)
class Value:
    """A name or a literal, and its type."""

    text: str
    type: str

    def __str__(self) -> str:
        return self.text

    @property
    def typed(self) -> str:
        """The value as an operand that names its type."""
        return f"{self.type} {self.text}"


def literal(value: float, kind: str) -> Value:
    """Return a number as a constant of a scalar or vector type; floats are rounded to the type exactly once.

    Examples
    --------
    >>> literal(0.1, "float").text, literal(3, "i64").text, literal(1, "<2 x i32>").text
    ('0x3FB99999A0000000', '3', 'splat (i32 1)')
    """
    element, lanes = element_of(kind), lanes_of(kind)
    if element == "float":
        value = struct.unpack("f", struct.pack("f", value))[0] if abs(value) < 3.5e38 else value
    if element in FLOATS:
        text = f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"
    elif element == "i1":
        text = "true" if value else "false"
    else:
        text = str(int(value))
    if lanes > 1:
        text = f"splat ({element} {text})"
    return Value(text, kind)


def index(value: int) -> Value:
    """Return an integer constant of the type of indices."""
    return Value(str(value), INDEX)


@dataclass
class Loop:
    """A loop while it is written: its index, the values it carries, and after it their last values.

    Attributes
    ----------
    index : Value
        Counts from begin by step.
    carried : list of Value
        The values at the start of a round.
    next : list of Value
        What they become; to be assigned before the ``with`` block ends.
    results : list of Value
        Their values after the last round; valid after the ``with`` block.
    """

    index: Value
    carried: list[Value]
    next: list[Value] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)


class Function:
    """One function of a module, written line by line.

    Parameters
    ----------
    name : str
        Its symbol.
    parameters : sequence of (type, name)
        Its parameters, names without ``%``; attributes may stand in the type: ``"ptr noalias"``.
    result : str
        The type it returns.
    internal : bool
        Whether only its own module may call it.
    flags : str
        Fast-math flags of every floating-point operation that doesn't say otherwise.
    """

    def __init__(
        self, name: str, parameters: Sequence[tuple[str, str]], result: str = "i32", internal: bool = False,
        flags: str = "contract",
    ) -> None:  # fmt: skip
        self.name = name
        self.result = result
        self.flags = flags
        self.internal = internal
        self.parameters = [Value(f"%{label}", kind.split()[0]) for kind, label in parameters]
        self._signature = ", ".join(f"{kind} %{label}" for kind, label in parameters)
        self.lines: list[str] = ["entry:"]
        self.block = "entry"
        self.declarations: set[str] = set()
        self.helpers: dict[str, Function] = {}
        self._values = 0
        self._blocks = 0

    # ---- lines ----

    def emit(self, text: str, kind: str) -> Value:
        """Write an instruction that gives a value."""
        self._values += 1
        value = Value(f"%v{self._values}", kind)
        self.lines.append(f"  {value} = {text}")
        return value

    def do(self, text: str) -> None:
        """Write an instruction that gives none."""
        self.lines.append(f"  {text}")

    def new_block(self, hint: str) -> str:
        """Return a fresh label."""
        self._blocks += 1
        return f"{hint}{self._blocks}"

    def start(self, label: str) -> None:
        """Start a block; the one before must have ended with a branch."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """End the block."""
        self.do(f"br label %{label}")

    def branch(self, condition: Value, yes: str, no: str) -> None:
        """End the block in one of two ways."""
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    def phi(self, kind: str, *incoming: tuple[Value, str]) -> Value:
        """Choose by the block that one came from."""
        pairs = ", ".join(f"[ {value}, %{label} ]" for value, label in incoming)
        return self.emit(f"phi {kind} {pairs}", kind)

    def give(self, value: Value) -> None:
        """Return from the function."""
        self.do(f"ret {value.typed}")

    # ---- arithmetic: integers or floats, by the operands' type ----

    def binary(self, name: str, a: Value, b: Value, flags: str | None = None) -> Value:
        """Write ``name`` of two operands of one type; float instructions get the function's flags."""
        words = f"{name} {self.flags if flags is None else flags}" if name in _FLOAT_BINARY else name
        return self.emit(f"{words.strip()} {a.type} {a}, {b}", a.type)

    def add(self, a: Value, b: Value) -> Value:
        """``a + b``."""
        return self.binary("fadd" if is_float(a.type) else "add", a, b)

    def subtract(self, a: Value, b: Value) -> Value:
        """``a - b``."""
        return self.binary("fsub" if is_float(a.type) else "sub", a, b)

    def multiply(self, a: Value, b: Value) -> Value:
        """``a * b``."""
        return self.binary("fmul" if is_float(a.type) else "mul", a, b)

    def divide(self, a: Value, b: Value) -> Value:
        """``a / b`` of floats."""
        return self.binary("fdiv", a, b)

    def negate(self, a: Value) -> Value:
        """``-a`` of floats."""
        return self.emit(f"fneg {a.type} {a}", a.type)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """``a * b + c``, rounded once where the processor can, else twice."""
        return self.intrinsic("fmuladd", a.type, a, b, c)

    def compare(self, condition: str, a: Value, b: Value) -> Value:
        """Compare: ``olt``, ``oeq``, ``uno`` ... for floats, ``slt``, ``eq``, ``ult`` ... for integers."""
        name = "fcmp" if is_float(a.type) else "icmp"
        return self.emit(f"{name} {condition} {a.type} {a}, {b}", with_element(a.type, "i1"))

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """``a if condition else b``, lane by lane."""
        return self.emit(f"select {condition.typed}, {a.typed}, {b.typed}", a.type)

    def convert(self, name: str, a: Value, kind: str) -> Value:
        """``bitcast``, ``sext``, ``zext``, ``trunc``, ``fptosi``, ``sitofp``, ``fpext``, ``fptrunc`` ... to a type."""
        return self.emit(f"{name} {a.typed} to {kind}", kind)

    def call(self, name: str, result: str, *operands: Value) -> Value:
        """Call a function of this module, or one that is declared."""
        return self.emit(f"call {result} @{name}({', '.join(o.typed for o in operands)})", result)

    def intrinsic(self, name: str, result: str, *operands: Value, flags: str = "") -> Value:
        """Call ``llvm.name`` for the type `result`, and declare it."""
        full = f"llvm.{name}.{mangled(result)}"
        self.declare(full, result, [o.type for o in operands])
        words = f"call {flags}".strip()
        return self.emit(f"{words} {result} @{full}({', '.join(o.typed for o in operands)})", result)

    def declare(self, name: str, result: str, parameters: Sequence[str]) -> None:
        """Declare a function that another module, or LLVM itself, has."""
        self.declarations.add(f"declare {result} @{name}({', '.join(parameters)})")

    def call_helper(self, helper: Function, *operands: Value) -> Value:
        """Call an internal function that the module then contains once, whoever calls it."""
        self.helpers[helper.name] = helper
        return self.call(helper.name, helper.result, *operands)

    def any_lane(self, condition: Value) -> Value:
        """Whether a condition holds in any lane."""
        lanes = lanes_of(condition.type)
        if lanes == 1:
            return condition
        return self.compare("ne", self.convert("bitcast", condition, f"i{lanes}"), Value("0", f"i{lanes}"))

    # ---- memory ----

    def offset(self, pointer: Value, count: Value, element: str) -> Value:
        """Return the address of element number `count`."""
        return self.emit(f"getelementptr {element}, ptr {pointer}, i64 {count}", POINTER)

    def load(self, pointer: Value, kind: str, align: int = 0, words: str = "") -> Value:
        """Load a value; without `align`, at any address that suits the element."""
        return self.emit(f"load {words} {kind}, ptr {pointer}, align {align or byte_size(element_of(kind))}", kind)

    def store(self, value: Value, pointer: Value, align: int = 0, words: str = "") -> None:
        """Store a value."""
        self.do(f"store {words} {value.typed}, ptr {pointer}, align {align or byte_size(element_of(value.type))}")

    def masked_load(self, pointer: Value, kind: str, mask: Value, otherwise: Value) -> Value:
        """Load the lanes that `mask` names; the memory of the others isn't touched."""
        align = index(byte_size(element_of(kind))).text
        name = f"llvm.masked.load.{mangled(kind)}.p0"
        self.declare(name, kind, ["ptr", "i32 immarg", mask.type, kind])
        return self.emit(f"call {kind} @{name}(ptr {pointer}, i32 {align}, {mask.typed}, {otherwise.typed})", kind)

    def masked_store(self, value: Value, pointer: Value, mask: Value) -> None:
        """Store the lanes that `mask` names."""
        align = byte_size(element_of(value.type))
        name = f"llvm.masked.store.{mangled(value.type)}.p0"
        self.declare(name, "void", [value.type, "ptr", "i32 immarg", mask.type])
        self.do(f"call void @{name}({value.typed}, ptr {pointer}, i32 {align}, {mask.typed})")

    def prefetch(self, pointer: Value) -> None:
        """Ask for a cache line that will be read soon; any address will do."""
        name = "llvm.prefetch.p0"
        self.declare(name, "void", ["ptr", "i32 immarg", "i32 immarg", "i32 immarg"])
        self.do(f"call void @{name}(ptr {pointer}, i32 0, i32 3, i32 1)")

    # ---- vectors ----

    def splat(self, value: Value, lanes: int) -> Value:
        """Return a scalar in all lanes."""
        if lanes == 1:
            return value
        if not value.text.startswith("%"):
            return Value(f"splat ({value.typed})", vector_type(value.type, lanes))
        kind = vector_type(value.type, lanes)
        first = self.emit(f"insertelement {kind} poison, {value.typed}, i64 0", kind)
        return self.emit(
            f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer", kind)  # fmt: skip

    def extract(self, vector: Value, lane: int) -> Value:
        """Return one lane."""
        return self.emit(f"extractelement {vector.typed}, i64 {lane}", element_of(vector.type))

    def insert(self, vector: Value, value: Value, lane: int) -> Value:
        """Return a vector with another value in one lane."""
        return self.emit(f"insertelement {vector.typed}, {value.typed}, i64 {lane}", vector.type)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Return the lanes that `lanes` picks from the two vectors put side by side."""
        mask = ", ".join(f"i32 {lane}" for lane in lanes)
        kind = vector_type(element_of(a.type), len(lanes))
        return self.emit(f"shufflevector {a.typed}, {b.typed}, <{len(lanes)} x i32> <{mask}>", kind)

    # ---- control ----

    @contextmanager
    def loop(
        self, begin: Value, end: Value, step: int | Value = 1, carried: Sequence[Value] = (), hint: str = "loop"
    ) -> Iterator[Loop]:
        """Write ``for index in range(begin, end, step)``; no round if begin >= end.

        Assign ``loop.next`` inside; read ``loop.results`` after.
        """
        head, body, done = (self.new_block(f"{hint}.{part}") for part in ("head", "body", "done"))
        before = self.block
        self.jump(head)
        self.start(head)
        position = len(self.lines)
        loop = Loop(self.emit("", INDEX), [self.emit("", value.type) for value in carried])
        self.branch(self.compare("slt", loop.index, end), body, done)
        self.start(body)
        yield loop
        assert len(loop.next) == len(carried), "a loop's next values were not assigned"
        by = step if isinstance(step, Value) else index(step)
        following = self.emit(f"add nsw i64 {loop.index}, {by}", INDEX)
        last = self.block
        self.jump(head)
        pairs = zip([loop.index, *loop.carried], [begin, *carried], [following, *loop.next], strict=True)
        for number, (value, first, then) in enumerate(pairs):
            text = f"phi {value.type} [ {first}, %{before} ], [ {then}, %{last} ]"
            self.lines[position + number] = f"  {value} = {text}"
        self.start(done)
        loop.results = list(loop.carried)

    @contextmanager
    def when(self, condition: Value, hint: str = "if") -> Iterator[None]:
        """Write a block that runs if `condition` holds; it gives no values."""
        body, done = self.new_block(f"{hint}.then"), self.new_block(f"{hint}.done")
        self.branch(condition, body, done)
        self.start(body)
        yield
        self.jump(done)
        self.start(done)

    # ---- the whole ----

    def __str__(self) -> str:
        words = "define internal" if self.internal else "define"
        body = "\n".join(self.lines)
        return f"{words} {self.result} @{self.name}({self._signature}) nounwind {{\n{body}\n}}\n"


_FLOAT_BINARY = frozenset(("fadd", "fsub", "fmul", "fdiv", "frem"))


@cache
def byte_size(element: str) -> int:
    """Return the size of an element in memory."""
    sizes = {"half": 2, "bfloat": 2, "float": 4, "double": 8, "ptr": 8, "i1": 1, "i8": 1}
    return sizes[element] if element in sizes else int(element[1:]) // 8


def module_text(functions: Sequence[Function]) -> str:
    """Return a module of functions, with all declarations and helpers that they need."""
    helpers = {name: helper for function in functions for name, helper in sorted(function.helpers.items())}
    functions = [*functions, *helpers.values()]
    declarations = sorted({line for function in functions for line in function.declarations})
    return "\n".join([*declarations, "", *[str(function) for function in functions]])
