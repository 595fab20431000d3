"""Whether all ways of computing a random program agree; and if they don't, the smallest program that shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import oracle
from random_programs import Input, Line, Program, State, rebuilt, words

import symgrad
import symgrad.tensor as T
from symgrad.graph.variables import SharedVariable

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
