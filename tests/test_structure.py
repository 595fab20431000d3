"""Rules about the repository itself that no linter knows."""

import ast
from pathlib import Path

import symgrad
import symgrad.tensor

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


