"""Rules about the repository itself that no linter knows."""

import ast
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import symgrad
import symgrad.sparse
import symgrad.tensor.fft
import symgrad.tensor.linalg
import symgrad.tensor.nnet
from symgrad.graph.op import Op, registry
from symgrad.ops.elementwise_op import ElementwiseFunction

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = {
    "symgrad", "symgrad.checkpoint", "symgrad.config", "symgrad.data", "symgrad.errors", "symgrad.random",
    "symgrad.tensor",
}  # fmt: skip


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name.startswith("_"))


def test_models_use_public_names_only():
    models = list((ROOT / "models").glob("*.py"))
    assert models
    for path in models:
        found = {name for name in imported_modules(path) if name.split(".")[0] == "symgrad"}
        assert found <= PUBLIC, (path.name, found - PUBLIC)


def test_every_public_name_is_documented():
    for module in (symgrad, symgrad.tensor):
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        for name in names:
            thing = getattr(module, name)
            if callable(thing):
                assert thing.__doc__, f"{module.__name__}.{name}"


def exported_functions():
    """Pairs of a module's name and a function of it, but for rows of tables: they are documented by their formula."""
    for module in (symgrad.tensor, symgrad.tensor.nnet, symgrad.tensor.linalg, symgrad.tensor.fft, symgrad.sparse):
        for name, thing in vars(module).items():
            is_row = isinstance(thing, ElementwiseFunction) or (
                isinstance(thing, FunctionType) and thing.__code__.co_name != thing.__name__
            )
            if not name.startswith("_") and isinstance(thing, FunctionType) and not is_row:
                yield f"{module.__name__}.{name}", thing


def test_every_function_has_a_docstring_with_an_example():
    functions = list(exported_functions())
    assert len(functions) > 300
    without = [name for name, function in functions if ">>> " not in (function.__doc__ or "")]
    assert not without


def test_namespaces_hold_no_internals():
    for module in (symgrad.tensor, symgrad.tensor.nnet, symgrad.tensor.linalg, symgrad.tensor.fft, symgrad.sparse):
        for name, thing in vars(module).items():
            if name.startswith("_"):
                continue
            home = thing.__name__ if isinstance(thing, ModuleType) else getattr(type(thing), "__module__", "")
            home = thing.__module__ if isinstance(thing, FunctionType | type) else home
            assert home.startswith("symgrad."), f"{module.__name__}.{name}"
            assert not isinstance(thing, type) or not issubclass(thing, Op), f"{module.__name__}.{name}"


def test_every_op_has_samples_and_says_what_becomes_of_gradients():
    ops = [op for op in registry.ops.values() if op.__module__.startswith("symgrad.")]
    assert len(ops) > 100
    for op in ops:
        assert op.samples.__func__ is not Op.samples.__func__, op
        assert op.gradient is not Op.gradient or "Made by rewriting only." in (op.__doc__ or ""), op


def test_importing_symgrad_loads_no_part_that_few_programs_need():
    late = ("scipy", "networkx", "llvmlite", "symgrad.sparse", "symgrad.tensor.nnet", "symgrad.tensor.linalg",
            "symgrad.tensor.fft", "symgrad.custom", "symgrad.tools", "symgrad.typed_list")  # fmt: skip
    code = f"import sys, symgrad, symgrad.tensor; print([name for name in {late!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
