"""Write docs/reference.md from the docstrings of the program: ``python docs/make_reference.py``.

With ``--check`` nothing is written; the exit status is 1 if the page isn't up to date.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import symgrad
import symgrad.tensor as T
from symgrad import errors
from symgrad.config import SETTINGS, text_of
from symgrad.graph.op import Op, registry
from symgrad.ops.elementwise_op import ElementwiseFunction
from symgrad.rewriting.engine import ENGINE_RULES, GRAPH_RULES, RULES
from symgrad.tensor.constructors import CONSTRUCTORS

PAGE = Path(__file__).with_name("reference.md")
HEADER = """\
# Reference

This page is made from the docstrings of the program by `docs/make_reference.py`. Don't edit it: edit them.

In signatures, `T` is `symgrad.tensor`.
"""
PARTS_OF_THE_LANGUAGE = ("symgrad.tensor.nnet", "symgrad.tensor.linalg", "symgrad.tensor.fft", "symgrad.sparse")
"""Modules that gather functions from others."""

OTHER_MODULES = (
    *PARTS_OF_THE_LANGUAGE, "symgrad.typed_list", "symgrad.random", "symgrad.custom", "symgrad.tools", "symgrad.data",
    "symgrad.checkpoint",
)  # fmt: skip
KIND_NAMES = {"i": "integers", "u": "unsigned integers", "b": "bools", "f": "floats", "c": "complex numbers"}

_SECTION = re.compile(r"^([A-Z][a-z]+)\n-{3,}\n", re.MULTILINE)


def reference() -> str:
    """Return the text of the page."""
    parts = [
        HEADER,
        *_module_part(symgrad, "symgrad", symgrad.__all__),
        *_language_parts(),
        *_elementwise_part(),
        *_constructor_part(),
        *[part for name in OTHER_MODULES for part in _other_module_part(name)],
        *_op_part(),
        *_rule_part(),
        *_setting_part(),
        *_error_part(),
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts)


# ---- parts of the page ----------------------------------------------------------------------------------------------


def _module_part(module: ModuleType, prefix: str, names: Iterable[str]) -> Iterator[str]:
    yield f"## `{module.__name__}`"
    yield from _sorted_entries(module, prefix, names)


def _sorted_entries(module: ModuleType, prefix: str, names: Iterable[str]) -> Iterator[str]:
    members = {name: getattr(module, name) for name in sorted(names, key=str.lower)}
    yield from _entries({name: member for name, member in members.items() if _is_documented(member)}, prefix)


def _is_documented(member: Any) -> bool:
    return inspect.isfunction(member) or inspect.isclass(member) or isinstance(member, Op)


def _other_module_part(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None)
    if names is None:
        names = [key for key, value in vars(module).items() if _is_own_function(value, module) and key[0] != "_"]
    yield f"## `{name}`"
    for above in (T, symgrad):
        known = sorted({key for key in names if getattr(above, key, None) is getattr(module, key)}, key=str.lower)
        names = [key for key in names if key not in known]
        if known:
            yield f"Besides, these of `{above.__name__}`: {', '.join(f'`{key}`' for key in known)}."
    if any(isinstance(getattr(module, key), Op) for key in names):  # then their classes are of no interest
        names = [key for key in names if not _is_op_class(getattr(module, key))]
    yield from _sorted_entries(module, name.replace("symgrad.tensor", "T"), names)


def _is_op_class(member: Any) -> bool:
    return inspect.isclass(member) and issubclass(member, Op)


def _is_own_function(value: Any, module: ModuleType) -> bool:
    home = "symgrad" if module.__name__ in PARTS_OF_THE_LANGUAGE else module.__name__
    return inspect.isfunction(value) and (value.__module__ == home or value.__module__.startswith(f"{home}."))


def _language_parts() -> Iterator[str]:
    """The functions of the T namespace, by the file that declares them."""
    yield "## `symgrad.tensor`: the user's language"
    groups: dict[str, dict[str, Any]] = {}
    for name, member in sorted(vars(T).items()):
        if inspect.isfunction(member) and name not in CONSTRUCTORS and not name.startswith("_"):
            groups.setdefault(member.__module__, {})[name] = member
    for module_name in sorted(groups):
        yield f"### {_summary(importlib.import_module(module_name))}"
        yield from _entries(groups[module_name], "T", level=4)


def _entries(members: Mapping[str, Any], prefix: str, level: int = 3) -> Iterator[str]:
    """One entry for each thing; names that mean the same thing share one."""
    names: dict[int, list[str]] = {}
    for name, member in members.items():
        names.setdefault(id(member), []).append(name)
    for name, member in members.items():
        aliases = names[id(member)]
        own = getattr(member, "__name__", "")
        if name != (own if own in aliases else aliases[0]):
            continue
        others = [f"`{prefix}.{other}`" for other in aliases if other != name]
        yield f"{'#' * level} `{prefix}.{name}{'' if isinstance(member, Op) else _signature(member)}`"
        if others:
            yield f"Also {', '.join(others)}."
        yield markdown_of(inspect.getdoc(member) or "")
        if inspect.isclass(member):
            yield from _methods(member, f"{prefix}.{name}", level + 1)


def _methods(owner: type, prefix: str, level: int) -> Iterator[str]:
    for name, member in vars(owner).items():
        if name.startswith("_") or any(hasattr(base, name) for base in owner.__bases__):
            continue
        plain = member.__func__ if isinstance(member, classmethod) else member
        if inspect.isfunction(plain):
            yield f"{'#' * level} `{prefix}.{name}{_signature(plain)}`"
            yield markdown_of(inspect.getdoc(plain) or "")


def _elementwise_part() -> Iterator[str]:
    yield "## Elementwise functions"
    yield "All of them broadcast their operands. The last column is the dtype rule, explained below the table."
    names: dict[ElementwiseFunction, list[str]] = {}
    for name, member in sorted(vars(T).items()):
        if isinstance(member, ElementwiseFunction):
            names.setdefault(member, []).append(name)
    rows = []
    for function, aliases in names.items():
        own = function.__name__
        name = next(choice for choice in (own, f"{own}_", aliases[0]) if choice in aliases)
        arguments = ", ".join(inspect.getfullargspec(function.row.partials).args[:-1])
        symbol = f", `{function.row.symbol}`" if function.row.symbol else ""
        others = "".join(f", `T.{other}`" for other in aliases if other != name)
        meaning = _one_line(function.__doc__ or "")
        rows.append((f"`T.{name}({arguments})`{others}{symbol}", meaning, function.row.dtype_rule.__name__))
    yield _table(("function", "value", "dtypes"), sorted(rows))
    rules = dict.fromkeys([function.row.dtype_rule for function in names])
    yield _table(("dtype rule", "meaning"), [(rule.__name__, _one_line(rule.__doc__ or "")) for rule in rules])


def _constructor_part() -> Iterator[str]:
    yield "## Constructors"
    yield (
        "The names of constructors are a letter for the dtype and a word for the axes. Each takes `name` (and those "
        "without a letter `dtype`); the plural forms take several names, or a number."
    )
    plain = [name for name, function in CONSTRUCTORS.items() if "floatX" in (function.__doc__ or "")]
    rows = [
        (f"`T.{name}`", ", ".join(f"`T.{other}`" for other in CONSTRUCTORS if other[1:] == name)) for name in plain
    ]
    yield _table(("floatX", "other dtypes"), rows)


def _op_part() -> Iterator[str]:
    yield "## Ops"
    yield "What the functions above are made of. These classes appear in printed graphs, and in rewrite rules."
    rows = [
        (f"`{name}`", f"`{op.__module__.removeprefix('symgrad.')}`", _summary(op), _abilities(op))
        for name, op in sorted(registry.ops.items())
    ]
    yield _table(("op", "declared in", "value", "has"), rows)


def _abilities(op: type[Op]) -> str:
    parts = {"gradient": "gradient", "pushforward": "forward derivative", "lower": "kernel"}
    return ", ".join(text for name, text in parts.items() if getattr(op, name) is not getattr(Op, name))


def _rule_part() -> Iterator[str]:
    yield "## Rewrite rules"
    yield "In the order in which they are offered a node. A mode may leave out each of them."
    rows = [(f"`{name}`", "engine", reason) for name, reason in ENGINE_RULES.items()]
    rows += [(f"`{rule.name}`", rule.phase, rule.reason) for rule in RULES.values()]
    yield _table(("rule", "phase", "reason"), rows)
    yield "These see the whole graph. They follow the other rules of their phase, which then are offered the new nodes."
    rows = [(f"`{rule.name}`", rule.phase, rule.reason) for rule in GRAPH_RULES.values()]
    yield _table(("rule", "phase", "reason"), rows)


def _setting_part() -> Iterator[str]:
    yield "## Settings"
    rows = [
        (f"`{setting.name}`", setting.kind.valid, text_of(setting.default) or "(empty)", setting.help)
        for setting in SETTINGS.values()
    ]
    yield _table(("setting", "values", "default", "meaning"), rows)


def _error_part() -> Iterator[str]:
    yield "## Errors"
    yield "In `symgrad.errors`. Each also is the built-in error that fits, so `except ValueError` works as expected."
    rows = []
    for name, member in vars(errors).items():
        if inspect.isclass(member) and issubclass(member, Exception):
            bases = ", ".join(f"`{base.__name__}`" for base in member.__bases__)
            rows.append((f"`{name}`", bases, _summary(member)))
    yield _table(("class", "is a", "when"), rows)


# ---- text -----------------------------------------------------------------------------------------------------------


def markdown_of(docstring: str) -> str:
    """Return a numpydoc docstring as Markdown."""
    pieces = _SECTION.split(docstring)
    text = [pieces[0].strip()]
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        text.append(f"**{title}**")
        text.append(_SECTION_WRITERS.get(title, _definitions)(body.strip("\n")))
    return "\n\n".join(_outside_code(part) for part in text if part) + "\n"


def _definitions(body: str) -> str:
    """Return a list of names with descriptions, each ``name : type`` or a type alone."""
    entries: list[str] = []
    for line in body.splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            name, separator, kind = line.replace("`", "").partition(" : ")
            entries.append(f"- `{name}` ({kind}):" if separator else f"- `{name}`:")
    return "\n".join(entry.removesuffix(":") for entry in entries)


def _paragraphs(body: str) -> str:
    return body


def _session(body: str) -> str:
    """Return examples: prose as it is, sessions fenced. They run as doctests of the program."""
    blocks = re.split(r"\n\s*\n", body)
    return "\n\n".join(f"```pycon\n{block}\n```" if block.lstrip().startswith(">>>") else block for block in blocks)


_SECTION_WRITERS: dict[str, Callable[[str], str]] = {"Notes": _paragraphs, "Examples": _session}


def _outside_code(text: str) -> str:
    """Turn double backticks into Markdown's single ones, but not inside fences."""
    return text if "```" in text else text.replace("``", "`")


def _signature(member: Any) -> str:
    try:
        signature = inspect.signature(member)
    except ValueError:  # a class that takes what a class in C takes
        return "(...)"
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty, default=_default(parameter.default))
        for name, parameter in signature.parameters.items()
        if name not in ("self", "cls") and not name.startswith("_")
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def _default(value: Any) -> Any:
    """Return what stands for a default value: a function's name, as its text would tell where it is in memory."""
    return _Named(value.__name__) if inspect.isfunction(value) else value


class _Named(str):
    """A text that is shown without quotation marks."""

    __slots__ = ()
    __repr__ = str.__str__


def _summary(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ").replace("``", "`").rstrip(".")


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in cells)


def main() -> int:
    """Write the page; with ``--check``, return 1 if it isn't up to date."""
    if sys.argv[1:] == ["--check"]:
        return int(PAGE.read_text() != reference())
    PAGE.write_text(reference())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
