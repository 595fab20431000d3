"""Random programs in the user's language, each line written twice: for symgrad, and for NumPy.

A program is a list of lines of text, so that a failing one prints as a script that reproduces it. Values stay moderate
and away from kinks, so that finite differences say the truth.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import direct
import numpy as np
import oracle
import scipy.linalg
import scipy.special
import steps

import symgrad
import symgrad.tensor as T

MARGIN = 1e-2


class UnfitError(Exception):
    """A line that doesn't fit what there is so far; another one is tried."""


@dataclass(frozen=True)
class Input:
    """An input: its declaration as text, and its value."""

    name: str
    declaration: str
    value: np.ndarray


@dataclass(frozen=True)
class Line:
    """One step: what it is called, and how symgrad and NumPy say it.

    Where other tests compare an op with NumPy, `numeric` may be empty: the value is that of the ops themselves, one by
    one, and the comparison is between ways of compiling them.
    """

    name: str
    symbolic: str
    numeric: str = ""


@dataclass(frozen=True)
class Program:
    """Inputs, lines, and the names of the lines that are outputs."""

    floatx: str
    inputs: tuple[Input, ...]
    lines: tuple[Line, ...]
    outputs: tuple[str, ...]

    def script(self, failure: str) -> str:
        """Return a script that shows the failure."""
        rows = [
            "import numpy as np, scipy.linalg, scipy.special, symgrad, symgrad.tensor as T",
            f"symgrad.config.floatX = {self.floatx!r}",
        ]
        for entry in self.inputs:
            value = f"np.array({entry.value.tolist()}, {entry.value.dtype.name!r}).reshape({entry.value.shape})"
            rows += [f"{entry.name}_value = {value}", f"{entry.name} = {entry.declaration}"]
        rows += [f"{line.name} = {line.symbolic}   # NumPy: {line.numeric or 'op by op'}" for line in self.lines]
        names = [entry.name for entry in self.inputs if "shared" not in entry.declaration]
        rows += [
            f"f = symgrad.function([{', '.join(names)}], [{', '.join(self.outputs)}], on_unused_input='ignore')",
            f"print(f({', '.join(f'{name}_value' for name in names)}))",
        ]
        return "\n".join([*rows, "# " + failure.replace("\n", "\n# ")])


@dataclass
class State:
    """A program as it runs: the variables and the values of its names."""

    floatx: str
    symbols: dict[str, Any] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)

    def declare(self, entry: Input) -> None:
        """Make an input."""
        scope = {"symgrad": symgrad, "T": T, "np": np, f"{entry.name}_value": entry.value}
        self.symbols[entry.name] = eval(entry.declaration, scope)
        self.values[entry.name] = entry.value

    def value_of(self, numeric: str) -> np.ndarray:
        """Compute a line in NumPy."""
        scope = {"np": np, "scipy": scipy, "floatX": self.floatx, **vars(direct), **self.values}
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the mean of nothing, and the like: such lines are given up
            return np.asarray(eval(numeric, scope))

    def symbol_of(self, symbolic: str) -> Any:
        """Say a line in symgrad."""
        return eval(symbolic, {"symgrad": symgrad, "T": T, "np": np, **vars(steps), **self.symbols})

    def walked(self, symbolic: str) -> np.ndarray:
        """Compute a line op by op, from the values of the names in it."""
        names = [name for name in words(symbolic) if name in self.values]
        known = {self.symbols[name]: self.values[name] for name in names}
        return oracle.evaluate_graph([self.symbol_of(symbolic)], known)[0]

    def run(self, line: Line) -> None:
        """Run a line on both sides."""
        value = self.value_of(line.numeric) if line.numeric else self.walked(line.symbolic)
        self.symbols[line.name] = self.symbol_of(line.symbolic)
        self.values[line.name] = value


def rebuilt(program: Program) -> State:
    """Run a program's text anew."""
    state = State(program.floatx)
    for entry in program.inputs:
        state.declare(entry)
    for line in program.lines:
        state.run(line)
    return state


class Builder:
    """Makes a random program, line by line."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.narrow = self.random.random() < 0.3
        self.half = self.narrow and self.random.random() < 0.15
        self.floatx = "float32" if self.narrow else "float64"
        self.bound = 30.0 if self.narrow else 300.0
        self.state = State(self.floatx)
        self.inputs: list[Input] = []
        self.lines: list[Line] = []

    @property
    def values(self) -> Mapping[str, np.ndarray]:
        """The values of all names."""
        return self.state.values

    def pattern(self, name: str) -> tuple[bool, ...]:
        """Which axes of a name stretch."""
        return tuple(self.state.symbols[name].broadcastable)

    # ---- choosing ----

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.random.random() < probability

    def pick(self, fits: Callable[[np.ndarray], bool], kinds: str = "biuf") -> str:
        """Return a name whose value fits; later ones are likelier. Complex numbers only if `kinds` say so."""
        found = [name for name, value in self.values.items() if value.dtype.kind in kinds and fits(value)]
        if not found:
            raise UnfitError
        return self.random.choices(found, range(1, len(found) + 1))[0]

    def pick_float(self, least_ndim: int = 0, most_ndim: int = 4) -> str:
        """Return the name of a float that isn't empty."""
        return self.pick(lambda v: v.dtype.kind == "f" and v.size > 0 and least_ndim <= v.ndim <= most_ndim)

    def dtype(self, kinds: str = "ffiibbu") -> str:
        """Return a dtype of the given kinds."""
        floats = ["float32", "float32", "float64"] if self.narrow else ["float64"]
        choices = {
            "f": ["float16", "float32"] if self.half else floats, "b": ["bool"],
            "i": ["int8", "int16", "int32", "int64", "int64"], "u": ["uint8", "uint16", "uint32", "uint64"],
            "c": ["complex64"] if self.narrow else ["complex128"],
        }  # fmt: skip
        return self.random.choice(choices[self.random.choice(kinds)])

    def axes(self, ndim: int, least: int = 0) -> tuple[int, ...]:
        """Return some axes, ascending."""
        return tuple(sorted(self.random.sample(range(ndim), self.random.randint(min(least, ndim), ndim))))

    # ---- inputs ----

    def fresh(self, shape: tuple[int, ...], dtype: str, low: float = -2.0, high: float = 2.0, ones: bool = True) -> str:
        """Make a new input; sizes of 1 usually are declared, other sizes sometimes."""
        kind = np.dtype(dtype).kind
        value: Any
        if kind in "fc":
            value = self.numbers.uniform(low, high, shape)
            value = value + 1j * self.numbers.uniform(low, high, shape) if kind == "c" else value
        else:
            least = 0 if kind == "b" else max(0, int(low)) if kind == "u" else int(low)
            value = self.numbers.integers(least, 2 if kind == "b" else int(high) + 1, shape)
        array = np.asarray(value).astype(dtype)
        sizes = tuple(n if (n == 1 and ones) or self.chance(0.4) else None for n in shape)
        name = f"x{len(self.inputs)}"
        declaration = f"T.tensor({dtype!r}, {sizes}, {name!r})"
        if self.chance(0.2):
            declaration = f"symgrad.shared({name}_value, {name!r}, shape={sizes})"
        self.inputs.append(Input(name, declaration, array))
        self.state.declare(self.inputs[-1])
        return name

    def shape(self, least_ndim: int = 0, most_ndim: int = 3) -> tuple[int, ...]:
        """Return a random shape; seldom with an empty axis."""
        sizes = [0, 1, 1, 2, 2, 3, 3, 4] if self.chance(0.1) else [1, 2, 2, 3, 3, 4]
        return tuple(self.random.choice(sizes) for _ in range(self.random.randint(least_ndim, most_ndim)))

    def partner(self, name: str, dtype: str | None = None) -> str:
        """Return an operand that an elementwise function can take together with `name`: one that is there, or new."""
        shape, pattern = self.values[name].shape, self.pattern(name)
        for other in self.random.sample(list(self.values), len(self.values)):
            found = self.values[other]
            fits = found.dtype == dtype if dtype is not None else found.dtype.kind != "c"
            if self.chance(0.7) and fits and self.meet(name, other):
                return other
        sizes = [self.random.choice([n, 1]) if n != 1 or not ones else self.random.choice([1, 2])
                 for n, ones in zip(shape, pattern, strict=True)]  # fmt: skip
        return self.fresh(tuple(sizes[self.random.randint(0, len(sizes)) :]), dtype or self.dtype())

    def meet(self, *names: str) -> bool:
        """Whether the graph's rules of broadcasting allow these operands."""
        for axis in range(-max(self.values[name].ndim for name in names), 0):
            sizes = {self.values[n].shape[axis] for n in names
                     if self.values[n].ndim >= -axis and not self.pattern(n)[axis]}  # fmt: skip
            if len(sizes) > 1:
                return False
        return True

    # ---- lines ----

    def value(self, numeric: str) -> np.ndarray:
        """Compute a NumPy expression of the names so far."""
        return self.state.value_of(numeric)

    def require(self, condition: Any) -> None:
        """Give the line up unless a condition holds everywhere."""
        if not np.all(condition):
            raise UnfitError

    def away(self, *numerics: str, margin: float = MARGIN) -> None:
        """Give the line up unless floats (expressions whose zeros are kinks) stay away from 0."""
        for numeric in numerics:
            value = self.value(numeric)
            near = margin * (10 if value.dtype == np.float16 else 1)
            self.require((value.dtype.kind not in "fc") | (np.abs(value) > near))

    def add(self, symbolic: str, numeric: str = "") -> str:
        """Add a line if its value is moderate; return its name. Without `numeric`, its value is computed op by op."""
        value = self.value(numeric) if numeric else self.state.walked(symbolic)
        self.require(value.size <= 300 and value.ndim <= 5)
        sizes = np.abs(value.astype("complex128"))
        self.require(np.isfinite(value) & (sizes <= (self.bound if value.dtype.kind in "fc" else 1e5)))
        line = Line(f"v{len(self.lines)}", symbolic, numeric)
        self.state.run(line)
        self.lines.append(line)
        return line.name

    def program(self) -> Program:
        """Return the program; what no other line uses is an output, and some of the rest."""
        text = " ".join(line.symbolic for line in self.lines)
        used = words(text)
        outputs = [line.name for line in self.lines if line.name not in used or self.chance(0.1)]
        return Program(self.floatx, tuple(self.inputs), tuple(self.lines), tuple(outputs or [self.lines[-1].name]))


def words(text: str) -> set[str]:
    """Return the names that occur in a text."""
    return set("".join(letter if letter.isalnum() or letter == "_" else " " for letter in text).split())


# ---- what a line may be ---------------------------------------------------------------------------------------------

Production = Callable[[Builder], str]
PRODUCTIONS: list[Production] = []


def production(weight: int = 1) -> Callable[[Production], Production]:
    """Enter a production: it picks operands and adds a line. The weight says how often it is tried."""

    def declare(function: Production) -> Production:
        PRODUCTIONS.extend([function] * weight)
        return function

    return declare


MODULES = ("productions", "productions_of_algebra", "productions_of_numbers", "productions_of_parts",
           "productions_of_shapes")  # fmt: skip


WITH_KERNELS = ("productions", "productions_of_shapes")
"""Modules whose lines nearly always have native kernels."""


@cache
def productions_of(modules: tuple[str, ...]) -> list[Production]:
    """Return the productions of some modules, in an order that doesn't depend on who imported what."""
    for name in modules:
        import_module(name)
    found = [one for one in PRODUCTIONS if one.__module__ in modules]
    return sorted(found, key=lambda one: (one.__module__, one.__name__))


def random_program(seed: int, modules: tuple[str, ...] = MODULES) -> Program:
    """Return the random program of a seed, made of lines of some modules."""
    builder = Builder(seed)
    with symgrad.config.change_flags(floatX=builder.floatx, warn_float64="ignore"):
        builder.fresh(builder.shape(1), builder.dtype("f"), ones=builder.chance(0.7))
        if builder.chance(0.5):
            builder.fresh(builder.shape(), builder.dtype(), ones=builder.chance(0.7))
        if builder.chance(0.1) and modules != WITH_KERNELS:
            builder.fresh(builder.shape(), builder.dtype("c"), ones=builder.chance(0.7))
        wanted = builder.random.choice([1, 2, 3, 5, 7, 10, 14])
        for _ in range(200):
            try:
                builder.random.choice(productions_of(modules))(builder)
            except UnfitError:
                continue
            if len(builder.lines) >= wanted:
                break
    return builder.program()
