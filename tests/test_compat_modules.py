"""Theano's modules: every name resolves or raises the documented error, however it is imported."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from symgrad.compat.theano_names.activation import activate, activated
from symgrad.compat.theano_names.errors import NotKeptError, RealTheanoError
from symgrad.compat.theano_names.finder import TheanoModule, read_room
from symgrad.compat.theano_names.not_kept import NOT_KEPT
from symgrad.compat.theano_names.rooms import ROOMS
from symgrad.compat.theano_names.running import main

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(autouse=True)
def theano() -> Iterator[Any]:
    with activated() as module:
        yield module


@pytest.mark.parametrize("module", sorted(ROOMS))
def test_every_name_of_a_room_resolves(module: str) -> None:
    found = importlib.import_module(module)
    for name in read_room(module).names:
        assert getattr(found, name) is getattr(found, name), name
    assert all(getattr(found, name) is not None for name in found.__all__ if not name.startswith("_"))


@pytest.mark.parametrize("path", sorted(NOT_KEPT))
def test_names_that_are_not_kept_say_what_to_write(theano: Any, path: str) -> None:
    module, _, name = path.rpartition(".")
    advice = re.escape(NOT_KEPT[path])
    with pytest.raises(NotKeptError, match=advice):
        getattr(importlib.import_module(module), name)
    assert not hasattr(importlib.import_module(module), name)
    with pytest.raises(ImportError, match=advice):
        exec(f"from {module} import {name}")


def test_the_page_of_names_is_up_to_date_and_none_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    page = importlib.import_module("make_theano_table").page()
    assert "and 0 are missing" in page
    assert (DOCS / "theano_names.md").read_text() == page, "python docs/make_theano_table.py"


def test_the_numbers_that_other_pages_quote_are_those_of_the_page() -> None:
    page = (DOCS / "theano_names.md").read_text()
    found = re.search(r"Of (\d+) names and arguments, \*\*(\d+) are supported\*\*", page)
    assert found is not None
    total, supported = map(int, found.groups())
    readme = " ".join((DOCS.parent / "README.md").read_text().split())
    assert f"Of {total} names that programs use, [{100 * supported / total:.0f} % are supported]" in readme
    changelog = " ".join((DOCS.parent / "CHANGELOG.md").read_text().split())
    assert f"Of {total} names, {supported} are supported" in changelog


def test_names_that_nobody_has_are_ordinary_errors(theano: Any) -> None:
    with pytest.raises(AttributeError, match="no attribute 'telepathy'"):
        theano.tensor.telepathy
    with pytest.raises(ImportError, match="telepathy"):
        exec("from theano.tensor import telepathy")
    with pytest.raises(ModuleNotFoundError, match=r"theano\.telepathy"):
        importlib.import_module("theano.telepathy")


def test_all_spellings_are_one_module(theano: Any) -> None:
    import theano as again
    import theano.tensor as T
    from theano import tensor
    from theano import theano as itself
    from theano.tensor import nnet
    from theano.tensor.nnet import nnet as inner

    assert again is itself is theano
    assert T is tensor is theano.tensor
    assert T.nnet is nnet
    assert inner.softmax is nnet.softmax
    assert isinstance(T, ModuleType)


def test_a_function_stays_where_a_module_has_its_name(theano: Any) -> None:
    import theano.tensor.sort
    import theano.tensor.var
    from theano.tensor.sort import argsort

    assert callable(theano.tensor.sort) and callable(theano.tensor.var)
    assert argsort is theano.tensor.argsort
    assert isinstance(sys.modules["theano.tensor.sort"], TheanoModule)


def test_star_imports_bring_the_names() -> None:
    names: dict[str, Any] = {}
    exec("from theano.tensor import *", names)
    assert {"dot", "dmatrix", "tanh", "grad", "TensorType"} <= names.keys()
    assert "Callable" not in names and "np" not in names


def test_a_real_theano_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from symgrad.compat.theano_names import activation

    monkeypatch.setattr(sys, "meta_path", [one for one in sys.meta_path if one is not activation._FINDER])
    monkeypatch.setitem(sys.modules, "theano", ModuleType("theano"))
    with pytest.raises(RealTheanoError, match=r"import symgrad\.compat\.theano"):
        activate()


def test_importing_the_package_activates_it() -> None:
    code = "import symgrad.compat.theano as t, theano, symgrad; print(t.tensor is theano.tensor, theano.__version__)"
    command = [sys.executable, "-c", f"{code}; print(symgrad.config.cast_policy)"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["True", "1.0.5", "custom"], result.stderr


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["-c", "import theano, sys; print(theano.config.floatX, sys.argv)", "a"], "float64 ['-c', 'a']"),
        (["-m", "this"], "Beautiful is better than ugly."),
    ],
)
def test_command_line(
    arguments: list[str], output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(arguments) == 0
    assert output in capsys.readouterr().out


def test_command_line_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code in ([], 2), (["nowhere.py"], 2), (["-m"], 2), (["-h"], 0):
        assert main(arguments) == code
        captured = capsys.readouterr()
        assert "symgrad.compat.theano" in captured.out + captured.err
