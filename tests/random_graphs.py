"""Random programs in the user's language, each line written twice: for symgrad, and for NumPy.

A program is a list of lines of text, so that a failing one prints as a script that reproduces it. Values stay moderate
and away from kinks, so that finite differences say the truth.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import direct
import numpy as np
import oracle
import scipy.special

import symgrad
import symgrad.tensor as T
from symgrad.graph.variables import SharedVariable

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
    """One step: what it is called, and how symgrad and NumPy say it."""

    name: str
    symbolic: str
    numeric: str


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
            "import numpy as np, scipy.special, symgrad, symgrad.tensor as T",
            f"symgrad.config.floatX = {self.floatx!r}",
        ]
        for entry in self.inputs:
            value = f"np.array({entry.value.tolist()}, {entry.value.dtype.name!r}).reshape({entry.value.shape})"
            rows += [f"{entry.name}_value = {value}", f"{entry.name} = {entry.declaration}"]
        rows += [f"{line.name} = {line.symbolic}   # NumPy: {line.numeric}" for line in self.lines]
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
        with np.errstate(all="ignore"):
            return np.asarray(eval(numeric, scope))

    def run(self, line: Line) -> None:
        """Run a line on both sides."""
        self.values[line.name] = self.value_of(line.numeric)
        self.symbols[line.name] = eval(line.symbolic, {"symgrad": symgrad, "T": T, "np": np, **self.symbols})


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

    def pick(self, fits: Callable[[np.ndarray], bool]) -> str:
        """Return a name whose value fits; later ones are likelier."""
        found = [name for name, value in self.values.items() if fits(value)]
        if not found:
            raise UnfitError
        return self.random.choices(found, range(1, len(found) + 1))[0]

    def pick_float(self, least_ndim: int = 0, most_ndim: int = 4) -> str:
        """Return the name of a float that isn't empty."""
        return self.pick(lambda v: v.dtype.kind == "f" and v.size > 0 and least_ndim <= v.ndim <= most_ndim)

    def dtype(self, kinds: str = "fib") -> str:
        """Return a dtype of the given kinds."""
        floats = ["float32", "float32", "float64"] if self.narrow else ["float64"]
        choices = {"f": floats, "i": ["int8", "int32", "int64"], "b": ["bool"]}
        return self.random.choice(choices[self.random.choice(kinds)])

    def axes(self, ndim: int, least: int = 0) -> tuple[int, ...]:
        """Return some axes, ascending."""
        return tuple(sorted(self.random.sample(range(ndim), self.random.randint(min(least, ndim), ndim))))

    # ---- inputs ----

    def fresh(self, shape: tuple[int, ...], dtype: str, low: float = -2.0, high: float = 2.0, ones: bool = True) -> str:
        """Make a new input; sizes of 1 usually are declared, other sizes sometimes."""
        kind = np.dtype(dtype).kind
        if kind == "f":
            value = self.numbers.uniform(low, high, shape)
        else:
            value = self.numbers.integers(0 if kind == "b" else int(low), 2 if kind == "b" else int(high) + 1, shape)
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
            if self.chance(0.7) and (dtype is None or found.dtype == dtype) and self.meet(name, other):
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
            self.require((value.dtype.kind != "f") | (np.abs(value) > margin))

    def add(self, symbolic: str, numeric: str) -> str:
        """Add a line if its value is moderate; return its name."""
        value = self.value(numeric)
        self.require(value.size <= 300 and value.ndim <= 5)
        self.require(np.isfinite(value) & (np.abs(value.astype("float64")) <= (self.bound if value.dtype.kind == "f" else 1e5)))
        line = Line(f"v{len(self.lines)}", symbolic, numeric)
        self.state.run(line)
        self.lines.append(line)
        return line.name

    def program(self) -> Program:
        """Return the program; what no other line uses is an output, and some of the rest."""
        text = " ".join(line.symbolic for line in self.lines)
        outputs = [line.name for line in self.lines if f"{line.name} " not in _spaced(text) or self.chance(0.1)]
        return Program(self.floatx, tuple(self.inputs), tuple(self.lines), tuple(outputs or [self.lines[-1].name]))


def _spaced(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text) + " "


# ---- checking -------------------------------------------------------------------------------------------------------


def check(program: Program, rules: list[str] | None = None) -> None:
    """Fail unless all ways of computing a program and its derivatives agree.

    Parameters
    ----------
    program : Program
        What to compute.
    rules : list of str, optional
        Rewrites that are tried each alone, besides all and none.
    """
    with symgrad.config.change_flags(floatX=program.floatx, warn_float64="ignore"):
        state = rebuilt(program)
        Check(program, state, [*["none", "default"], *[symgrad.Mode([rule]) for rule in rules or ()]]).run()


class Check:
    """One program's variables and values, and the comparisons."""

    def __init__(self, program: Program, state: State, modes: list[Any]) -> None:
        self.program = program
        self.state = state
        self.modes = modes
        self.inputs = [state.symbols[entry.name] for entry in program.inputs]
        self.values = [entry.value for entry in program.inputs]
        self.outputs = [state.symbols[name] for name in program.outputs]
        self.tolerance = 1e-8 if program.floatx == "float64" else 5e-3

    def run(self) -> None:
        """Compare everything."""
        for line in self.program.lines:
            expected = self.state.values[line.name]
            oracle.check_type(self.state.symbols[line.name].type, expected, line.symbolic)
        expected = [self.state.values[name] for name in self.program.outputs]
        self.compare(self.walk(self.outputs, self.values), expected, "op by op")
        results = self.derivatives()
        walked = self.walk(results, self.values)
        for mode in self.modes:
            self.compiled([*self.outputs, *results], [*expected, *walked], mode)
        self.updates(results, walked)

    def walk(self, outputs: list[Any], values: list[np.ndarray]) -> list[np.ndarray]:
        """Evaluate op by op."""
        return oracle.evaluate_graph(outputs, dict(zip(self.inputs, values, strict=True)))

    def compare(self, found: list[np.ndarray], expected: list[np.ndarray], what: str) -> None:
        """Fail unless values agree to rounding."""
        for index, (value, wanted) in enumerate(zip(found, expected, strict=True)):
            oracle.assert_same(value, wanted, None if wanted.dtype.kind in "iub" else 0.0 if not wanted.size else
                               self.tolerance * max(1.0, 1 / max(float(np.abs(wanted).max()), 1e-30)),
                               f"{what}, result {index}")  # fmt: skip

    def compiled(self, outputs: list[Any], expected: list[np.ndarray], mode: Any) -> None:
        """Compile, call twice, and compare; arguments and shared variables must stay as they are."""
        explicit = [v for v in self.inputs if not isinstance(v, SharedVariable)]
        arguments = [value.copy() for v, value in zip(self.inputs, self.values, strict=True) if v in explicit]
        function = symgrad.function(explicit, outputs, mode=mode, on_unused_input="ignore")
        first = function(*arguments)
        kept = [value.copy() for value in first]
        second = function(*arguments)
        name = mode if isinstance(mode, str) else f"rules {sorted(mode.rewrites)}"
        self.compare(first, expected, f"mode {name}")
        self.compare(second, kept, f"mode {name}, called again")
        for before, after in zip(kept, first, strict=True):
            np.testing.assert_array_equal(before, after, f"mode {name}: the second call changed the first one's results")
        for variable, value in zip(self.inputs, self.values, strict=True):
            now = variable.get_value() if variable not in explicit else arguments[explicit.index(variable)]
            np.testing.assert_array_equal(now, value, f"mode {name}: {variable} changed")

    def derivatives(self) -> list[Any]:
        """Return the gradient of a weighted sum of all float outputs; in float64, compare it with differences."""
        floats = [output for output in self.outputs if output.dtype.startswith("float")]
        wrt = [variable for variable in self.inputs if variable.dtype.startswith("float")]
        if not floats or not wrt:
            return []
        numbers = np.random.default_rng(0)
        shapes = [value.shape for value in self.walk(floats, self.values)]
        weights = [numbers.normal(size=shape).astype(v.dtype) for v, shape in zip(floats, shapes, strict=True)]
        cost = sum((v * T.constant(w, dtype=v.dtype)).sum() for v, w in zip(floats, weights, strict=True))
        gradients = symgrad.grad(cost, wrt, disconnected_inputs="ignore")
        if self.program.floatx == "float64":
            self.differences(floats, wrt, weights, gradients)
        return gradients

    def differences(self, floats: list[Any], wrt: list[Any], weights: list[np.ndarray], gradients: list[Any]) -> None:
        """Compare reverse mode with finite differences and with forward mode, along a random direction."""
        numbers = np.random.default_rng(1)
        direction = [numbers.normal(size=v.shape) if x in wrt else None
                     for x, v in zip(self.inputs, self.values, strict=True)]  # fmt: skip
        moved = [d for d in direction if d is not None]
        reverse = sum(float(np.sum(g * d)) for g, d in zip(self.walk(gradients, self.values), moved, strict=True))
        tangents = symgrad.Rop(floats, wrt, [T.constant(d, dtype="float64") for d in moved])
        forward = sum(float(np.sum(w * t)) for w, t in zip(weights, self.walk(tangents, self.values), strict=True))
        assert abs(forward - reverse) <= 1e-8 * max(1.0, abs(reverse)), f"forward {forward}, reverse {reverse}"
        found = [
            oracle.directional_difference(lambda *at: self.walk(floats, list(at)), self.values, direction, weights, step)
            for step in (1e-6, 1e-7, 1e-5)
        ]
        close = [abs(value - reverse) <= 1e-4 * max(1.0, abs(reverse)) for value in found]
        assert any(close), f"gradient along a direction {reverse}, finite differences {found}"

    def updates(self, gradients: list[Any], walked: list[np.ndarray]) -> None:
        """Let each shared float take a step along its gradient; the others must not see it."""
        wrt = [variable for variable in self.inputs if variable.dtype.startswith("float")]
        steps = [(v, v - 0.5 * g) for v, g in zip(wrt, gradients, strict=False) if isinstance(v, SharedVariable)]
        if not steps:
            return
        explicit = [v for v in self.inputs if not isinstance(v, SharedVariable)]
        arguments = [value for v, value in zip(self.inputs, self.values, strict=True) if v in explicit]
        for mode in ("none", "default"):
            symgrad.function(explicit, self.outputs, updates=steps, mode=mode, on_unused_input="ignore")(*arguments)
            for variable, value in zip(self.inputs, self.values, strict=True):
                if isinstance(variable, SharedVariable):
                    now = variable.get_value()
                    if variable in dict(steps):
                        wanted = value - value.dtype.type(0.5) * walked[wrt.index(variable)]
                        self.compare([now], [wanted], f"update of {variable}, mode {mode}")
                    else:
                        np.testing.assert_array_equal(now, value)
                    variable.set_value(value)


# ---- shrinking ------------------------------------------------------------------------------------------------------


def shrunk(program: Program, fails: Callable[[Program], str | None]) -> Program:
    """Return a smaller program that fails as well: fewer outputs, fewer lines, values in place of what led to them."""
    for name in [line.name for line in program.lines]:
        smaller = _needed(replace(program, outputs=(name,)))
        if fails(smaller):
            program = smaller
            break
    progress = True
    while progress:
        progress = False
        for line in program.lines[:-1]:
            smaller = _needed(_with_value(program, line))
            if fails(smaller):
                program, progress = smaller, True
                break
    return program


def _needed(program: Program) -> Program:
    """Leave out lines and inputs that no output needs."""
    wanted = set(program.outputs)
    lines = []
    for line in reversed(program.lines):
        if line.name in wanted:
            lines.append(line)
            wanted.update(_spaced(line.symbolic).split())
    inputs = tuple(entry for entry in program.inputs if entry.name in wanted)
    return replace(program, inputs=inputs, lines=tuple(reversed(lines)))


def _with_value(program: Program, line: Line) -> Program:
    """Put an input in place of a line."""
    with symgrad.config.change_flags(floatX=program.floatx, warn_float64="ignore"):
        state = rebuilt(program)
    kind = state.symbols[line.name].type
    entry = Input(line.name, f"T.tensor({kind.dtype!r}, {kind.shape}, {line.name!r})", state.values[line.name])
    return replace(
        program,
        inputs=(*program.inputs, entry),
        lines=tuple(other for other in program.lines if other is not line),
        outputs=tuple(name for name in program.outputs if name != line.name) or program.outputs,
    )
