"""Write docs/theano_names.md, what became of each of Theano's names: ``python docs/make_theano_table.py``.

The names are in docs/theano_names.txt, by module. What each leads to, and what it can do, is asked of the program: a
function is called with symbolic tensors of the usual kinds until it builds a graph, and this graph is looked at.

With ``--check`` nothing is written; the exit status is 1 if the page isn't up to date. With ``--missing`` the names
that lead nowhere are printed.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.selection import has_kernel
from symgrad.compat.theano_names.activation import activated
from symgrad.compat.theano_names.errors import NotKeptError
from symgrad.graph.traversal import ancestors, applies_before
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import View
from symgrad.lowering import lower
from symgrad.sparse import SparseType

NAMES = Path(__file__).with_name("theano_names.txt")
PAGE = Path(__file__).with_name("theano_names.md")
HEADER = """\
# Theano's names

This page is made by `docs/make_theano_table.py`, which asks the program. Don't edit it. How to run a program of
Theano's is said in [theano.md](theano.md).

{counts}

Everything runs on both backends of the CPU, `native` and `numpy`. *kernel* says what the native backend does: *native*,
machine code; *NumPy*, the op's own meaning in NumPy, run between native parts; *both*, some of each. *gradient* and
*forward* say whether reverse and forward mode go through it; *none*: its derivative is zero everywhere, or it stops
gradients. They were found by using each name in a small graph; a dash stands where there is no graph to look at, or
nothing to differentiate.
"""


class Fate(NamedTuple):
    """What became of a name."""

    name: str
    status: str
    leads_to: str = ""
    kernel: str = ""
    gradient: str = ""
    forward: str = ""


def read_names() -> dict[str, list[str]]:
    """Return Theano's names by module, or by what they are attributes of."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in NAMES.read_text().splitlines():
        if line.startswith("["):
            names = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            names += [line] if ":" in line else line.split()
    return found


# ---- what became of them ----


def fates(theano: Any) -> dict[str, list[Fate]]:
    """Return the fate of every name."""
    found = {}
    for group, names in read_names().items():
        if group.startswith("theano"):
            module = importlib.import_module(group)
            found[group] = [_fate(name, group, module) for name in names]
        elif group == "config":
            found[group] = [_fate(name, "theano.config", theano.config) for name in names]
        elif group == "keyword arguments":
            found[group] = [fate for line in names for fate in _arguments(*line.split(": "))]
        else:
            found[group] = [_fate(name, "", _owner(group)) for name in names]
    return found


def _owner(group: str) -> Any:
    """Return what the attributes of a group belong to."""
    x = T.matrix("x")
    if group.endswith("tensor variable"):
        return x
    if group.endswith("shared variable"):
        return symgrad.shared(np.zeros((2, 2)))
    if group.endswith("compiled function"):
        return importlib.import_module("theano").function([x], x + 1)
    path, _, name = group.removeprefix("methods of ").rpartition(".")
    return getattr(importlib.import_module(path), name)(1)


def _fate(name: str, prefix: str, owner: Any) -> Fate:
    try:
        value: Any = owner
        for part in name.split("."):
            value = getattr(value, part)
    except NotKeptError as error:
        return Fate(name, "raises", _advice(error))
    except Exception as error:
        return Fate(name, "missing", str(error))
    return Fate(name, "supported", _path(value), *abilities(value, f"{prefix}.{name}"))


def _advice(error: Exception) -> str:
    return str(error).partition(". ")[2]


def _path(value: Any) -> str:
    """Return where something is declared."""
    if isinstance(value, Variable | bool | int | float | str) or value is None:
        return ""
    function = getattr(value, "__func__", value)
    module = getattr(function, "__module__", None) or type(value).__module__
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or type(value).__name__
    is_own = str(module).startswith("symgrad") and "<locals>" not in name
    return f"{str(module).removeprefix('symgrad.')}.{name}" if is_own else ""


def _arguments(path: str, names: str) -> Iterator[Fate]:
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
        parameters = inspect.signature(function).parameters
    except (NotKeptError, AttributeError, ImportError, ValueError, TypeError) as error:
        yield from (Fate(f"{path}({one}=)", "missing", str(error)) for one in names.split())
        return
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for one in names.split():
        yield Fate(f"{path}({one}=)", "supported" if takes_all or one in parameters else "missing")


# ---- what they can do ----


def _tries() -> Iterator[list[Any]]:
    """Yield arguments of the kinds that functions take, the usual ones first."""
    f, g, v, w = T.fmatrix("f"), T.fmatrix("g"), T.fvector("v"), T.fvector("w")
    i, n, s = T.lvector("i"), T.lscalar("n"), T.fscalar("s")
    images, filters = T.ftensor4("images"), T.ftensor4("filters")
    volumes, cubes = TensorType("float32", (None,) * 5)("volumes"), TensorType("float32", (None,) * 5)("cubes")
    square = T.specify_shape(f, (3, 3))
    yield from ([f], [f, g], [v], [v, w], [f, v], [v, f], [f, i], [v, i], [i, i + 1], [s], [s, s], [n], [n, n])
    yield from ([square], [square, v], [images, filters], [images, (2, 2)], [volumes, cubes], [volumes, (2, 2, 2)])
    yield from ([f, 1], [f, 0, 1], [f, [s, s]], [v, 1], [f, (0, 1)], [f, s, s], [f, f > 0, g], [f > 0, f, g])
    yield from ([[f, g]], [1, f, g], [f, v, i], [f, g, i], [f, v, w, i], [v, s, s], [f > 0], [f > 0, f > 0], [i])
    yield from ([f[0:1], g], [v, v[:1]], [(3, 4)], [3], [n, (n,)], [i, [3]], [T.zmatrix()], [T.zvector()])
    yield from ([f, (2, 3)], [v, (2,)], [images, (1, 1, 2, 2)], [images, 2], [f, [True, False]], [], [f, "int8"])


def abilities(value: Any, path: str) -> tuple[str, str, str]:
    """Return kernel, gradient and forward mode of a function of tensors; dashes for anything else."""
    nothing = ("—", "—", "—")
    if not callable(value) or isinstance(value, TensorType) or path.split(".")[-1] in NOT_TRIED or _is_class(value):
        return nothing
    if not path.startswith(LANGUAGE):
        return nothing
    best: tuple[str, str, str] | None = None
    tries = _sparse_tries() if ".sparse" in path else _tries()
    for arguments in [*_examples(path.split(".")[-1]), *tries]:
        found = _tried(value, arguments)
        if found is not None and (best is None or found.count("yes") > best.count("yes")):
            best = found
        if best is not None and best[1:] == ("yes", "yes"):
            break
    return nothing if best is None else best


def _examples(name: str) -> Iterator[list[Any]]:
    """Yield the arguments that a function needs which isn't called as others are."""
    f, v, x, i = T.fmatrix("f"), T.fvector("v"), T.fscalar("x"), T.lvector("i")
    images, filters = T.ftensor4("images"), T.ftensor4("filters")
    volumes, cubes = T.ftensor5("volumes"), T.ftensor5("cubes")
    film = T.ftensor3("film")
    found: dict[str, list[Any]] = {
        "tensor_from_scalar": [2 * x], "scalar_from_tensor": [2 * x], "default": [None, 2 * x],
        "ravel_multi_index": [(i, i), (3, 4)], "to_one_hot": [i, 3], "view_op": [2 * f], "sparse_grad": [f[i]],
        "batch_normalization": [f, v, v, v, v], "batch_normalization_test": [f, v, v, v, v],
        "dnn_batch_normalization_test": [f, v, v, v, v],
        "conv2d_grad_wrt_inputs": [images, filters, (2, 3, 8, 8), (4, 3, 2, 2)],
        "conv2d_grad_wrt_weights": [images, filters, (4, 3, 2, 2), (2, 3, 8, 8)],
        "conv3d_grad_wrt_inputs": [volumes, cubes, (2, 3, 8, 8, 8), (4, 3, 2, 2, 2)],
        "conv3d_grad_wrt_weights": [volumes, cubes, (4, 3, 2, 2, 2), (2, 3, 8, 8, 8)],
        "conv2d_transpose": [images, filters, (2, 3, 8, 8), (4, 3, 2, 2)],
        "separable_conv2d": [images, filters, filters, 3], "separable_conv3d": [volumes, cubes, cubes, 3],
        "causal_conv1d": [film, T.ftensor3("window"), (4, 3, 2), (2, 3, 8)],
        "neibs2images": [f, (2, 2), (1, 1, 4, 4)], "crossentropy_categorical_1hot_grad": [v, f, i],
        "h_softmax": [f, 2, 6, 2, 3, T.fmatrix("w"), v, film, T.fmatrix("b"), i],
        "disconnected_grad": [f], "grad_clip": [f, -1, 1], "grad_scale": [f, 2], "zero_grad": [f],
    }  # fmt: skip
    if name in found:
        yield found[name]


LANGUAGE = (
    ".", "theano.tensor", "theano.sparse", "theano.scalar", "theano.sandbox", "theano.dot", "theano.gradient",
    "theano.compile.view_op",
)  # fmt: skip
"""Where functions of tensors are."""

NOT_TRIED = {
    "verify_grad", "numeric_grad", "grad", "jacobian", "hessian", "Rop", "Lop", "printing", "eval", "type", "free",
    "set_value", "get_value", "zero", "fn", "maker", "copy_function", "pprint", "profile", "value", "container",
}  # fmt: skip


def _is_class(value: Any) -> bool:
    return inspect.isclass(value)


def _sparse_tries() -> Iterator[list[Any]]:
    from symgrad import sparse

    a, b = sparse.csr_matrix("a", dtype="float32"), sparse.csr_matrix("b", dtype="float32")
    c = sparse.csc_matrix("c", dtype="float32")
    f, v, i = T.fmatrix("f"), T.fvector("v"), T.lvector("i")
    yield from ([a], [a, b], [a, f], [f, a], [a, v], [c], [c, v], [f, f, a], [a, a, a, a], [[a, b]], [f], [a, i])
    yield from ([2.0, a, f, f], [a, 1, 1], [a, i, i], [a, f, f], [a, f, v], [v, i, i, i])
    yield from _tries()


def _tried(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, str, str] | None:
    """Return what can be done with the graph that a call builds, or None if it builds none."""
    try:
        results = function(*arguments)
    except Exception:
        return None
    outputs = [one for one in _flat(results) if isinstance(one, Variable)]
    leaves = {one for argument in _flat(arguments) if isinstance(argument, Variable) for one in _leaves(argument)}
    given = {one for one in leaves | {v for out in outputs for v in _leaves(out)} if _is_input(one)}
    if not outputs or not any(output.owner is not None for output in outputs):
        return None
    old = set(applies_before([argument for argument in _flat(arguments) if isinstance(argument, Variable)]))
    if old.issuperset(applies_before(outputs)):
        return None
    floats = [one for one in given if _is_float(one)]
    costs = [output for output in outputs if _is_float(output)]
    return _kernel(outputs, given), _can(_reverse, costs, floats), _can(_forward, costs, floats)


def _is_float(variable: Variable) -> bool:
    return isinstance(variable.type, TensorType | SparseType) and variable.type.dtype.startswith("float")


def _flat(value: Any) -> list[Any]:
    return [leaf for part in value for leaf in _flat(part)] if isinstance(value, list | tuple) else [value]


def _leaves(variable: Variable) -> list[Variable]:
    return [one for one in ancestors([variable]) if one.owner is None]


def _is_input(variable: Variable) -> bool:
    return type(variable).__name__ not in ("TensorConstant", "TensorSharedVariable", "RandomState") and (
        not hasattr(variable, "data") and not hasattr(variable, "container")
    )


def _kernel(outputs: Sequence[Any], given: set[Variable]) -> str:
    try:
        compiled = symgrad.function(list(given), list(outputs), on_unused_input="ignore")
        steps = [step for step in lower(compiled.rewritten) if not isinstance(step.kernel, View)]
        found = {has_kernel(step) for step in steps}
    except Exception:
        return "—"
    return {frozenset((True, False)): "both", frozenset((False,)): "NumPy"}.get(frozenset(found), "native")


def _can(derive: Callable[[Any, Any], bool], costs: Sequence[Any], floats: Sequence[Any]) -> str:
    if not costs or not floats:
        return "—"
    try:
        return "yes" if derive(costs, floats) else "none"
    except Exception:
        return "no"


def _reverse(costs: Sequence[Any], floats: Sequence[Any]) -> bool:
    total = sum([cost.sum() for cost in costs[1:]], costs[0].sum())
    found = symgrad.grad(total, list(floats), disconnected_inputs="ignore", return_disconnected="none")
    return any(one is not None for one in found)


def _forward(costs: Sequence[Any], floats: Sequence[Any]) -> bool:
    tangents = [T.ones_like(one) for one in floats]
    symgrad.Rop(list(costs), list(floats), tangents, disconnected_outputs="ignore")
    return _reverse(costs, floats)


# ---- the page ----


def page() -> str:
    """Return the text of the page."""
    with activated() as theano, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fates(theano)
    everything = [fate for group in found.values() for fate in group]
    statuses = [fate.status for fate in everything]
    counts = {status: statuses.count(status) for status in ("supported", "raises", "missing")}
    total = len(everything)
    text = (
        f"Of {total} names and arguments, **{counts['supported']} are supported** "
        f"({100 * counts['supported'] / total:.1f} %), {counts['raises']} raise the documented error that says what to "
        f"write instead, and {counts['missing']} are missing."
    )
    parts = [HEADER.format(counts=text)]
    for group, rows in found.items():
        parts.append(f"## {group if ' ' in group or group == 'config' else f'`{group}`'}\n")
        parts.append(_table(group, rows))
    return "\n".join(parts)


def _table(group: str, rows: Sequence[Fate]) -> str:
    if group in ("config", "keyword arguments"):
        others = [row for row in rows if row.status != "supported"]
        supported = ", ".join(f"`{row.name}`" for row in rows if row.status == "supported")
        lines = [f"Supported: {supported}.\n"]
        return "\n".join(lines + [f"- `{row.name}`: {row.status}. {row.leads_to}\n" for row in others])
    lines = ["| name | | leads to | kernel | gradient | forward |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        target = f"`{row.leads_to}`" if row.leads_to and row.status == "supported" else row.leads_to
        cells = (f"`{row.name}`", row.status, target, row.kernel or "—", row.gradient or "—", row.forward or "—")
        lines.append("| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def missing() -> list[str]:
    """Return the names that lead nowhere."""
    with activated() as theano, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fates(theano)
    return [f"{group}: {fate.name}: {fate.leads_to}" for group, rows in found.items() for fate in rows
            if fate.status == "missing"]  # fmt: skip


def main() -> int:
    """Write the page; with ``--check``, return 1 if it isn't up to date."""
    if sys.argv[1:] == ["--missing"]:
        print("\n".join(missing()))
        return 0
    if sys.argv[1:] == ["--check"]:
        return int(PAGE.read_text() != page())
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
