"""Statements and expressions of kernel IR as the text of one thread."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from symgrad.backends.cupy.emit.nests import Accesses, only_totals
from symgrad.backends.cupy.emit.scalars import (
    HALVES,
    REGISTERS,
    cast_text,
    literal_text,
    loaded_text,
    scalar_text,
    stored_text,
)
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.kernels.ir.affine import Polynomial, polynomial, value_range
from symgrad.kernels.ir.grammar import (
    Call,
    Carry,
    Cast,
    Check,
    Expression,
    Kernel,
    Kind,
    Let,
    Literal,
    Load,
    Loop,
    Ref,
    Size,
    Statement,
    Store,
)
from symgrad.kernels.ir.traversal import expressions, in_order, names_in, parts, walk  # fmt: skip

LONGEST = 160
"""Expressions of more characters are named."""
LARGEST_INT = (1 << 31) - 1

_KEYWORDS = """\
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr continue default
delete do double else enum explicit export extern false float for friend goto if inline int long mutable namespace new
not not_eq nullptr operator or or_eq private protected public register return short signed sizeof static struct switch
template this throw true try typedef typename union unsigned using virtual void volatile while xor xor_eq status lane
item own_item thread group rest aligned k"""
_RESERVED = frozenset(re.findall(r"[A-Za-z_]\w*", _KEYWORDS + PRELUDE))
_BUILT_IN = re.compile(
    r"[a-z0-9]*(sin|cos|tan|exp|log|pow|sqrt|erf|floor|ceil|trunc|rint|fabs|fmod|abs|min|max|round|gamma|j[01n]|y[01n])\w*$"
)


def c_name(name: str) -> str:
    """Return a name that C++, CUDA and the prelude haven't taken."""
    return f"{name}_" if name in _RESERVED or _BUILT_IN.match(name) else name


@dataclass(frozen=True)
class Name:
    """What a name of the kernel is in the text: an ``int``, if it is an index that is known to be small."""

    text: str
    dtype: str
    is_small: bool = False


class Writer:
    """Writes statements as one thread carries them out.

    Parameters
    ----------
    kernel : Kernel
        Where they are from.
    exact : bool
        Whether products and sums are rounded each.

    Attributes
    ----------
    lines : list of str
        The text so far.
    names : dict
        What the names that are known by now are in the text.
    """

    def __init__(self, kernel: Kernel, accesses: Accesses, exact: bool) -> None:
        self.kernel = kernel
        self.accesses = accesses
        self.exact = exact
        self.lines: list[str] = []
        self.depth = 1
        self.names = {size: Name(c_name(size), "int64") for size in kernel.sizes}
        self.temporaries = 0
        self.flags: list[str] = []
        self.wide: set[str] = set()

    # ---- lines ----

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.depth + text if text else "")

    @contextmanager
    def braces(self, head: str) -> Iterator[None]:
        """Write a block."""
        self.line(f"{head} {{" if head else "{")
        self.depth += 1
        yield
        self.depth -= 1
        self.line("}")

    def new_name(self, label: str) -> str:
        """Return a name that the text hasn't yet."""
        self.temporaries += 1
        return f"{label}_{self.temporaries}"

    # ---- expressions ----

    def dtype(self, expression: Expression) -> str:
        """Return an expression's dtype."""
        if isinstance(expression, Ref):
            return self.names[expression.name].dtype
        if isinstance(expression, Load):
            return self.accesses.buffers[expression.buffer].dtype
        return expression.dtype

    def value(self, expression: Expression) -> str:
        """Return an expression as text; parts that are used twice, and long ones, are named on lines before."""
        order = list(in_order(expression))
        uses = Counter(id(part) for whole in order if isinstance(whole, Call | Cast) for part in parts(whole))
        texts: dict[int, str] = {}
        for part in order:
            if id(part) in texts:
                continue
            text = self._text(part, texts)
            again = uses[id(part)] > 1 and not isinstance(part, Ref | Literal)
            if part is not expression and (again or len(text) > LONGEST):
                text = self.named(text, self.dtype(part))
            texts[id(part)] = text
        return texts[id(expression)]

    def named(self, text: str, dtype: str) -> str:
        """Name a value."""
        name = self.new_name("t")
        self.line(f"const {REGISTERS[dtype]} {name} = {text};")
        return name

    def _text(self, expression: Expression, texts: dict[int, str]) -> str:
        if isinstance(expression, Literal):
            return literal_text(expression.value, expression.dtype)
        if isinstance(expression, Ref):
            name = self.names[expression.name]
            return f"(i64){name.text}" if name.is_small else name.text
        if isinstance(expression, Load):
            return self.load(expression)
        operands = [texts[id(part)] for part in parts(expression)]
        dtypes = [self.dtype(part) for part in parts(expression)]
        if isinstance(expression, Cast):
            return cast_text(operands[0], dtypes[0], expression.dtype)
        if expression.function in ("sqr", "isnan", "abs"):  # their texts may have the operand twice
            operands = [self._atom(operands[0], dtypes[0])]
        return scalar_text(expression.function, operands, dtypes, expression.dtype, self.exact)

    def _atom(self, text: str, dtype: str) -> str:
        return text if re.fullmatch(r"[\w.]+", text) else self.named(text, dtype)

    # ---- memory ----

    def load(self, load: Load) -> str:
        """Return the text of an element, 0 where it is masked."""
        dtype = self.accesses.buffers[load.buffer].dtype
        text = loaded_text(self.element(load), dtype)
        return text if load.mask is None else f"({self.value(load.mask)} ? {text} : {literal_text(0, dtype)})"

    def element(self, access: Load | Store) -> str:
        """Return an element's place."""
        return f"{c_name(access.buffer)}[{self.position(access)}]"

    def position(self, access: Load | Store) -> str:
        """Return where an element is in its buffer."""
        return self.sum_text(self._polynomial(access))

    def _polynomial(self, access: Load | Store) -> Polynomial:
        total = Polynomial({})
        for place, stride in zip(access.indices, self.accesses.buffers[access.buffer].strides, strict=True):
            step = Literal(stride, "int64") if isinstance(stride, int) else Ref(stride)
            total = total + polynomial(place, self.accesses.known) * polynomial(step, {})
        return total

    def sum_text(self, total: Polynomial) -> str:
        """Return a polynomial as text: in 32 bits if all that is in it is known to be small."""
        reached = value_range(total, self.accesses.extents)
        names = [factor for monomial, _ in total.terms.values() for factor in monomial]
        small = reached is not None and reached[0] >= -LARGEST_INT and reached[1] <= LARGEST_INT
        small = small and all(isinstance(name, Ref) and self.names[name.name].is_small for name in names)
        texts = []
        for monomial, coefficient in sorted(total.terms.values(), key=lambda term: (not term[0], -abs(term[1]))):
            factors = [self._factor(factor, bool(small)) for factor in monomial]
            if coefficient != 1 or not factors:
                factors.append(str(coefficient) if small or -LARGEST_INT <= coefficient <= LARGEST_INT
                               else f"{coefficient}LL")  # fmt: skip
            texts.append(" * ".join(factors))
        return " + ".join(texts) or "0"

    def _factor(self, factor: Expression, small: bool) -> str:
        if isinstance(factor, Ref):
            name = self.names[factor.name]
            return f"(i64){name.text}" if name.is_small and not small else name.text
        return self._atom(self.value(factor), "int64")

    # ---- statements ----

    def body(self, statements: Sequence[Statement]) -> None:
        """Write statements in order; those behind a check only run if it holds."""
        opened = 0
        for number, statement in enumerate(statements):
            rest = statements[number + 1 :]
            if isinstance(statement, Check):
                self.check(statement)
                opened += 1
            elif isinstance(statement, Loop) and rest and has_check(statement):
                with self.flagged() as flag:
                    self.statement(statement)
                self.line(f"if ({self.agreed(flag)}) {{")
                self.depth += 1
                opened += 1
            else:
                self.statement(statement)
        for _ in range(opened):
            self.depth -= 1
            self.line("}")

    def check(self, check: Check) -> None:
        """Write a check, and open the block that runs if it holds."""
        with self.braces(f"if (!({self.value(check.condition)}))"):
            self.line(f"FAIL({check.code});")
            if self.flags:
                self.line(f"{' = '.join(self.flags)} = false;")
        self.lines[-1] += " else {"
        self.depth += 1

    @contextmanager
    def flagged(self) -> Iterator[str]:
        """Note in a variable if a check fails."""
        flag = self.new_name("holds")
        self.line(f"bool {flag} = true;")
        self.flags.append(flag)
        yield flag
        self.flags.pop()

    def agreed(self, flag: str) -> str:
        """Return whether all checks have held, for all threads that work together."""
        return flag

    def statement(self, statement: Statement) -> None:
        """Write a statement other than a check."""
        if isinstance(statement, Let):
            self.let(statement)
        elif isinstance(statement, Store):
            self.store(statement)
        elif isinstance(statement, Carry):
            self.carry(statement)
        elif isinstance(statement, Loop):
            self.loop(statement)

    def let(self, let: Let) -> None:
        """Name a value."""
        text, dtype = self.value(let.value), self.dtype(let.value)
        self.names[let.name] = Name(c_name(let.name), dtype)
        self.line(f"const {REGISTERS[dtype]} {c_name(let.name)} = {text};")

    def store(self, store: Store) -> None:
        """Write an element."""
        value = stored_text(self.value(store.value), self.accesses.buffers[store.buffer].dtype)
        element = self.element(store)
        condition = self.store_condition(store)
        self.line(f"{f'if ({condition}) ' if condition else ''}{element} = {value};")

    def store_condition(self, store: Store) -> str:
        """Return when a store happens; empty for always."""
        return "" if store.mask is None else self.value(store.mask)

    def carry(self, carry: Carry) -> None:
        """Write what a carried value becomes."""
        name = self.names[carry.name]
        if carry.name in self.wide:
            assert isinstance(carry.value, Call)
            text = scalar_text(carry.value.function, [name.text, self.value(carry.value.operands[1])],
                               ["float32", "float32"], "float32", self.exact)  # fmt: skip
        else:
            text = self.value(carry.value)
        self.line(f"{name.text} = {text};")

    def loop(self, loop: Loop) -> None:
        """Write a loop, round after round."""
        self.starts(loop)
        if loop.extent == 0:
            return
        if loop.kind is Kind.UNROLLED:
            self.line("#pragma unroll")
        self.widen(loop)
        with self.braces(self.loop_head(loop)):
            self.body(in_turn(loop.body))
        for carried in loop.carried:
            self.round(carried.name)

    def widen(self, loop: Loop) -> None:
        """Let totals of float16 and bfloat16 be rounded at the end only."""
        if only_totals(loop):
            self.wide.update(one.name for one in loop.carried if self.names[one.name].dtype in HALVES)

    def round(self, name: str) -> None:
        """Round a total that is wide."""
        if name in self.wide:
            self.wide.remove(name)
            found = self.names[name]
            self.line(f"{found.text} = round_{HALVES[found.dtype]}({found.text});")

    def starts(self, loop: Loop) -> None:
        """Write the carried values as they are before the loop."""
        for carried in loop.carried:
            dtype = self.dtype(carried.start)
            text = self.value(carried.start)
            self.names[carried.name] = Name(c_name(carried.name), dtype)
            self.line(f"{REGISTERS[dtype]} {c_name(carried.name)} = {text};")

    def loop_head(self, loop: Loop) -> str:
        """Return the head of a loop, and let its index be known."""
        kind, name = self.index(loop), c_name(loop.index)
        return f"for ({kind} {name} = 0; {name} < {self.size(loop.extent)}; {name}++)"

    def index(self, loop: Loop) -> str:
        """Let the index of a loop be known, and return its C++ type."""
        small = isinstance(loop.extent, int) and loop.extent <= LARGEST_INT
        self.names[loop.index] = Name(c_name(loop.index), "int64", small)
        return "int" if small else "i64"

    def size(self, size: Size) -> str:
        """Return a size as text."""
        return self.names[size].text if isinstance(size, str) else str(size)


def in_turn(body: Sequence[Statement]) -> list[Statement]:
    """Return a body with what it carries at its end, computed before any of it changes."""
    carries = [statement for statement in body if isinstance(statement, Carry)]
    if not carries:
        return list(body)
    others: list[Statement] = []
    ends: list[Statement] = []
    carried = {carry.name for carry in carries}
    for number, statement in enumerate(body):
        if not isinstance(statement, Carry):
            others.append(statement)
            continue
        later = [other for other in body[number + 1 :] if other is not statement]
        read_later = any(statement.name in names_in(whole) for s in walk(later) for whole in expressions(s))
        if not read_later and not (names_in(statement.value) & (carried - {statement.name})):
            others.append(statement)
            continue
        name = f"next_{statement.name}"
        others.append(Let(name, statement.value))
        ends.append(Carry(statement.name, Ref(name)))
    return others + ends


def has_check(loop: Loop) -> bool:
    """Whether anything in a loop may fail."""
    return any(isinstance(statement, Check) for statement in walk(loop.body))


def is_exact(kernel: Kernel) -> bool:
    """Whether a kernel compares floats for equality: then the same expression must give the same bits everywhere."""
    dtypes: dict[str, str] = dict.fromkeys(kernel.sizes, "int64")
    buffers = {buffer.name: buffer.dtype for buffer in kernel.buffers}

    def dtype(expression: Expression) -> str:
        if isinstance(expression, Ref):
            return dtypes[expression.name]
        return buffers[expression.buffer] if isinstance(expression, Load) else expression.dtype

    for statement in walk(kernel.body):
        for whole in expressions(statement):
            for part in in_order(whole):
                if isinstance(part, Call) and part.function in ("eq", "neq") and "float" in dtype(part.operands[0]):
                    return True
        if isinstance(statement, Let):
            dtypes[statement.name] = dtype(statement.value)
        elif isinstance(statement, Loop):
            dtypes[statement.index] = "int64"
            dtypes.update({carried.name: dtype(carried.start) for carried in statement.carried})
    return False


__all__ = ["Name", "Writer", "c_name", "has_check", "in_turn", "is_exact"]
