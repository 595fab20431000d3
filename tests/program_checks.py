"""Whether all ways of computing a random program agree; and if they don't, the smallest program that shows it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import oracle
from random_programs import Input, Line, Program, State, rebuilt, words

import symgrad
import symgrad.tensor as T
from symgrad.graph.variables import SharedVariable

# ---- checking -------------------------------------------------------------------------------------------------------


EXTRAS = ("second", "rows", "calls", "checks", "copies", "jacobian")
"""What may be compared besides: second derivatives, many rows at once, calls with other arguments, modes that check,
functions that were pickled, and Jacobians."""


def check(
    program: Program, rules: list[str] | None = None, modes: Sequence[str] = ("none", "default"),
    extras: Collection[str] = (),
) -> None:  # fmt: skip
    """Fail unless all ways of computing a program and its derivatives agree.

    Parameters
    ----------
    program : Program
        What to compute.
    rules : list of str, optional
        Rewrites that are tried each alone, besides all and none.
    modes : sequence of str, optional
        Modes to compile in.
    extras : collection of str, optional
        Which of `EXTRAS` to compare besides.
    """
    with symgrad.config.change_flags(floatX=program.floatx, warn_float64="ignore"):
        state = rebuilt(program)
        one = Check(program, state, [*modes, *[symgrad.Mode([rule]) for rule in rules or ()]])
        one.run()
        for extra in extras:
            Extra(one).run(extra)


class Check:
    """One program's variables and values, and the comparisons."""

    def __init__(self, program: Program, state: State, modes: list[Any]) -> None:
        self.program = program
        self.state = state
        self.modes = modes
        self.inputs = [state.symbols[entry.name] for entry in program.inputs]
        self.values = [entry.value for entry in program.inputs]
        self.outputs = [state.symbols[name] for name in program.outputs]
        half = any(value.dtype == np.float16 for value in state.values.values())
        self.tolerance = 1e-8 if program.floatx == "float64" else 5e-2 if half else 5e-3

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
            oracle.assert_same(value, wanted, self.tolerance, f"{what}, result {index}", least_scale=1.0)

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
            np.testing.assert_array_equal(
                before, after, f"mode {name}: the second call changed the first one's results"
            )
        for variable, value in zip(self.inputs, self.values, strict=True):
            now = variable.get_value() if variable not in explicit else arguments[explicit.index(variable)]
            np.testing.assert_array_equal(now, value, f"mode {name}: {variable} changed")

    def derivatives(self) -> list[Any]:
        """Return the gradient of a weighted sum of all float outputs; in float64, compare it with differences."""
        floats = [part for output in self.outputs for part in parts(output)]
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
            oracle.directional_difference(
                lambda *at: self.walk(floats, list(at)), self.values, direction, weights, step
            )
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


def parts(output: Any) -> list[Any]:
    """Return a float output itself, the parts of a complex one, and nothing of others."""
    if output.dtype.startswith("complex"):
        return [T.real(output), T.imag(output)]
    return [output] if output.dtype.startswith("float") else []


# ---- more ways of computing -----------------------------------------------------------------------------------------


class Extra:
    """Comparisons that not every program goes through."""

    def __init__(self, of: Check) -> None:
        self.of = of
        self.explicit = [v for v in of.inputs if not isinstance(v, SharedVariable)]
        self.arguments = [value for v, value in zip(of.inputs, of.values, strict=True) if v in self.explicit]
        self.known = dict(zip(of.inputs, of.values, strict=True))
        self.floats = [part for output in of.outputs for part in parts(output)]
        self.wrt = [v for v in of.inputs if v.dtype.startswith("float")]

    def run(self, name: str) -> None:
        """Compare what a name of `EXTRAS` says."""
        getattr(self, name)()

    def walk(self, outputs: Sequence[Any]) -> list[np.ndarray]:
        """Evaluate op by op."""
        return oracle.evaluate_graph(list(outputs), self.known)

    def call(self, outputs: Sequence[Any], **options: Any) -> list[np.ndarray]:
        """Compile and call."""
        function = symgrad.function(self.explicit, list(outputs), on_unused_input="ignore", **options)
        return list(function(*self.arguments))

    def second(self) -> None:
        """Second derivatives along a direction: reverse of reverse, forward of reverse, and differences."""
        if not self.floats or not self.wrt:
            return
        numbers = np.random.default_rng(2)
        cost = sum(output.sum() for output in self.floats)
        gradients = symgrad.grad(cost, self.wrt, disconnected_inputs="ignore")
        points = [numbers.normal(size=self.known[v].shape) for v in self.wrt]
        directions = [T.constant(point.astype(v.dtype)) for v, point in zip(self.wrt, points, strict=True)]
        product = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
        reverse = symgrad.grad(product, self.wrt, disconnected_inputs="ignore")
        forward = symgrad.Rop(gradients, self.wrt, directions)
        one, other = self.walk(reverse), self.walk(forward)
        scale = max(1.0, *[float(np.abs(value).max(initial=0.0)) for value in one])
        tolerance = 1e-8 if self.of.program.floatx == "float64" else 5e-2
        for v, a, b in zip(self.wrt, one, other, strict=True):
            np.testing.assert_allclose(a, b, tolerance, tolerance * scale, err_msg=f"second derivative by {v}")
        if self.of.program.floatx == "float64":
            direction = [dict(zip(self.wrt, points, strict=True)).get(v) for v in self.of.inputs]
            found = [oracle.directional_difference(lambda *at: self.of.walk(gradients, list(at)), self.of.values,
                                                   direction, points, step) for step in (1e-6, 1e-7, 1e-5)]  # fmt: skip
            wanted = sum(float(np.sum(a * p)) for a, p in zip(one, points, strict=True))
            close = [abs(value - wanted) <= 1e-3 * max(1.0, abs(wanted)) for value in found]
            assert any(close), f"second derivative along a direction {wanted}, finite differences {found}"
        for found, wanted in zip(self.call(reverse), one, strict=True):
            oracle.assert_same(found, wanted, max(self.of.tolerance, 1e-7), "second derivative compiled", scale)

    def rows(self) -> None:
        """All outputs for two rows at once, where sizes don't depend on values."""
        chosen = [v for k, v in enumerate(self.explicit) if (k + len(self.of.outputs)) % 3 or not k]
        if not chosen:
            return
        points = {}
        for v in chosen:
            value = self.known[v]
            points[v] = np.stack([value, (value * 1.001).astype(value.dtype)]) if value.dtype.kind == "f" else (
                np.stack([value, value]))  # fmt: skip
        each = [oracle.evaluate_graph(self.of.outputs, {**self.known, **{v: np.asarray(points[v][k]) for v in chosen}})
                for k in range(2)]  # fmt: skip
        if any(a.shape != b.shape for a, b in zip(*each, strict=True)):
            return
        rows = {v: T.tensor(v.dtype, (None, *v.type.shape)) for v in chosen}
        outputs = symgrad.vectorize(self.of.outputs, rows)
        function = symgrad.function([rows.get(v, v) for v in self.explicit], outputs, on_unused_input="ignore")
        found = function(*[points.get(v, self.known[v]) for v in self.explicit])
        for index, (value, a, b) in enumerate(zip(found, *each, strict=True)):
            oracle.assert_same(value, np.stack([a, b]), self.of.tolerance, f"rows, result {index}", 1.0)

    def jacobian(self) -> None:
        """The Jacobian of the smallest output, against gradients of its elements."""
        small = sorted(self.floats, key=lambda v: self.walk([v])[0].size)
        if not small or not self.wrt:
            return
        (value,) = self.walk([small[0]])
        if not 0 < value.size <= 12:
            return
        y = small[0].flatten()
        found = self.call(symgrad.jacobian(y, self.wrt, disconnected_inputs="ignore"))
        rows = [symgrad.grad(y[k], self.wrt, disconnected_inputs="ignore") for k in range(value.size)]
        for position, jacobian in enumerate(found):
            wanted = np.stack(self.walk([row[position] for row in rows]))
            oracle.assert_same(jacobian, wanted, self.of.tolerance, f"Jacobian by {self.wrt[position]}", 1.0)

    def checks(self) -> None:
        """Modes that check as they go, with inputs as outputs."""
        outputs = [*self.explicit[:1], *self.of.outputs, *self.of.outputs[:1]]
        wanted = self.walk(outputs)
        for mode in ("DebugMode", "NanGuardMode"):
            self.of.compare(self.call(outputs, mode=mode), wanted, mode)

    def copies(self) -> None:
        """A function that was pickled, and one that was copied."""
        function = symgrad.function(self.explicit, self.of.outputs, on_unused_input="ignore")
        wanted = [value.copy() for value in function(*self.arguments)]
        for what, other in (("pickled", pickle.loads(pickle.dumps(function))), ("copied", function.copy())):
            self.of.compare(list(other(*self.arguments)), wanted, what)

    def calls(self) -> None:
        """Arguments in other layouts; arguments of other sizes, where the program allows them; the first ones again."""
        function = symgrad.function(self.explicit, self.of.outputs, on_unused_input="ignore")
        wanted = self.walk(self.of.outputs)
        for layout in (fortran, strided, reversed_in_memory, np.ndarray.tolist):
            arguments = [layout(value) for value in self.arguments]
            if layout is np.ndarray.tolist and any(v.dtype == np.uint64 or v.size == 0 for v in self.arguments):
                continue
            self.of.compare(list(function(*arguments)), wanted, f"arguments {layout.__name__}")
        for sizes in ({2: 3, 3: 2, 4: 5}, {2: 5, 3: 4, 4: 2}, {2: 0}, {3: 0}, {}):
            self.other_sizes(function, sizes)

    def other_sizes(self, function: Any, sizes: Mapping[int, int]) -> None:
        """Call with other sizes: the same as op by op, or an error of ours where a size doesn't fit."""
        numbers = np.random.default_rng(3)
        values = []
        for value in self.arguments:
            shape = tuple(sizes.get(n, n) for n in value.shape)
            filled = numbers.choice(value.ravel(), shape) if value.size else np.ones(shape, value.dtype)
            values.append(filled.astype(value.dtype))
        for v, value in zip(self.explicit, values, strict=True):
            if not v.type.is_valid(value) if hasattr(v.type, "is_valid") else False:
                return
        known = {**self.known, **dict(zip(self.explicit, values, strict=True))}
        try:
            with np.errstate(all="ignore"):
                wanted: Any = oracle.evaluate_graph(self.of.outputs, known)
        except Exception as error:
            wanted = error
        try:
            found = list(function(*values))
        except Exception as error:
            assert type(error).__module__.startswith("symgrad"), f"sizes {sizes}: {type(error)} {error}"
            raising = [name for name in ("ShapeError", "IndexingError", "RangeError", "LinearAlgebraError")
                       if name in [kind.__name__ for kind in type(error).__mro__]]  # fmt: skip
            assert raising or isinstance(wanted, Exception), f"sizes {sizes}: {error}, op by op {wanted}"
            return
        if isinstance(wanted, Exception):
            if all(value.size == 0 for value in found):
                return  # nothing is picked, so no position is looked at
            with suppress(Exception), np.errstate(all="ignore"):
                oracle.evaluate_graph(function.rewritten.outputs, known)
                return  # what errs isn't needed
            raise AssertionError(f"sizes {sizes}: found {found}, op by op {type(wanted)} {wanted}")
        for index, (value, expected) in enumerate(zip(found, wanted, strict=True)):
            assert value.shape == expected.shape, f"sizes {sizes}, result {index}: {value.shape}, not {expected.shape}"
            if np.isfinite(expected).all() and float(np.abs(expected).max(initial=0)) < 1e6:
                oracle.assert_same(value, expected, self.of.tolerance, f"sizes {sizes}, result {index}", 1.0)


def fortran(value: np.ndarray) -> np.ndarray:
    """Return the same numbers in columns."""
    return value.copy(order="F")


def strided(value: np.ndarray) -> np.ndarray:
    """Return the same numbers with gaps between them."""
    spread = np.zeros(tuple(2 * n for n in value.shape), value.dtype)
    view = spread[(..., *(slice(None, None, 2) for _ in value.shape))]
    view[...] = value
    return view


def reversed_in_memory(value: np.ndarray) -> np.ndarray:
    """Return the same numbers, the last first in memory."""
    back = tuple(slice(None, None, -1) for _ in value.shape)
    return np.asarray(np.asarray(value[back]).copy()[back])


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
            wanted.update(words(line.symbolic))
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
