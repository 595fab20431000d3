"""Functions that run node by node, with functions of the user's before and after each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.compat.theano_names.compiled import TheanoFunction
from symgrad.errors import NonFiniteError, render
from symgrad.graph.op import describe_operands
from symgrad.graph.variables import Apply, Constant, Variable

BIG = 1e10


class NotFiniteAssertion(NonFiniteError, AssertionError):
    """What ``NanGuardMode`` raises."""


class Thunk:
    """The work of one node: lists of cells, ``[value]``, of what it reads and makes."""

    def __init__(self, inputs: list[list[Any]], outputs: list[list[Any]], run: Callable[[], None]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._run = run

    def __call__(self) -> None:
        """Carry it out."""
        self._run()


class MonitoredFunction(TheanoFunction):
    """A function of ``MonitorMode``: it evaluates its graph node by node, as the ops mean it."""

    def _run(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        graph = self.rewritten
        given = [np.array(array) for array in arrays]
        cells: dict[Variable, list[Any]] = {v: [array] for v, array in zip(graph.inputs, given, strict=True)}
        for variable, container in zip(self._shared, self.containers or (), strict=True):
            cells[variable] = [container.at(None).copy()]
        cells.update({leaf: [leaf.data] for leaf in graph.leaves() if isinstance(leaf, Constant)})
        with np.errstate(all="ignore"):
            for number, node in enumerate(graph.order):
                self._run_node(number, node, cells)
        outputs = tuple([np.array(cells[output][0]) for output in graph.outputs])
        containers = dict(zip(self._shared, self.containers or (), strict=True))
        values = [np.array(cells[value][0], order="C") for value in graph.values]
        for target, value in zip(graph.targets, values, strict=True):
            containers[target].value = value
        return outputs

    def _run_node(self, number: int, node: Apply, cells: dict[Variable, list[Any]]) -> None:
        inputs = [cells[variable] for variable in node.inputs]
        outputs: list[list[Any]] = [[None] for _ in node.outputs]
        cells.update(zip(node.outputs, outputs, strict=True))

        def run() -> None:
            results = node.op.evaluate(*[cell[0] for cell in inputs])
            for cell, result in zip(outputs, results, strict=True):
                cell[0] = result

        thunk = Thunk(inputs, outputs, run)
        if self.maker_mode.pre_func is not None:
            self.maker_mode.pre_func(number, node, thunk)
        thunk()
        if self.maker_mode.post_func is not None:
            self.maker_mode.post_func(number, node, thunk)

    @property
    def maker_mode(self) -> Any:
        """The mode, with the user's functions."""
        from symgrad.compat.theano_names.modes import get_mode

        return get_mode(self.maker.mode)


def detect_nan(number: int, node: Apply, thunk: Thunk) -> None:
    """Print a node that makes NaN, and stop: a `post_func` for ``MonitorMode``."""
    for cell in thunk.outputs:
        if isinstance(cell[0], np.ndarray) and cell[0].dtype.kind in "fc" and np.isnan(cell[0]).any():
            print("*** NaN detected ***")
            print(node)
            print("Inputs : %s" % [given[0] for given in thunk.inputs])
            print("Outputs: %s" % [made[0] for made in thunk.outputs])
            break


class FiniteGuard:
    """Looks at each value that a node reads and makes."""

    def __init__(self, nan: bool, inf: bool, big: bool) -> None:
        self._nan, self._inf, self._big = nan, inf, big

    def before(self, number: int, node: Apply, thunk: Thunk) -> None:
        """Look at what a node reads."""
        for variable, cell in zip(node.inputs, thunk.inputs, strict=True):
            self._check(variable, cell[0], node)

    def after(self, number: int, node: Apply, thunk: Thunk) -> None:
        """Look at what it has made."""
        for variable, cell in zip(node.outputs, thunk.outputs, strict=True):
            self._check(variable, cell[0], node)

    def _check(self, variable: Variable, value: Any, node: Apply) -> None:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fc" or value.size == 0:
            return
        found = ""
        if self._nan and np.isnan(value).any():
            found = "nan"
        elif self._inf and np.isinf(value).any():
            found = "inf"
        elif self._big and np.nanmax(np.abs(value)) > BIG:
            found = f"a number above {BIG:g}"
        if found:
            raise NotFiniteAssertion(
                render(f"{found} in {variable}, at {node.op}", str(node.source or ""), describe_operands(node.inputs))
            )
