"""Pictures by Graphviz: the text for it, and what happens with and without the program."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

import symgrad
import symgrad.tensor as T
from symgrad.debug import pydotprint
from symgrad.debug.graphviz import dot_text
from symgrad.errors import MissingLibraryError, PictureError


def example() -> Any:
    x, w = T.dmatrix("x"), symgrad.shared([[1.0]], name="w")
    return symgrad.function([x], T.dot(x, w) + 1, updates=[(w, w * 2)])


def test_the_text_has_every_node_and_edge() -> None:
    x, y = T.dvector('x"1'), T.dscalar("y")
    text = dot_text([T.exp(x) * y, x], with_ids=True, colours={"exp": "red"})
    assert text.startswith("digraph") and 'v0 x\\"1 float64 (?,)' in text
    assert text.count("->") == sum(len(node.inputs) for node in symgrad.tools.ops([], [T.exp(x) * y])) + 2
    assert '"a0 exp", shape=ellipse, fillcolor="red"' in text
    short = dot_text(T.exp(x), names_only=True, max_label_size=3)
    assert '[label="x\\"1",' in short and 'label="exp"' in short and '"o..."' in short


@pytest.fixture
def no_graphviz(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_graphviz(no_graphviz: None, tmp_path: Path, capsys: Any) -> None:
    f = example()
    pydotprint(f, tmp_path / "f.dot")
    pydotprint(f, str(tmp_path / "f.svg"), var_with_name_simple=True)
    assert (tmp_path / "f.dot").read_text().startswith("digraph")
    assert (tmp_path / "f.svg").read_text().startswith("<svg")
    assert capsys.readouterr().out.count("The output file is available at") == 2
    with pytest.raises(MissingLibraryError, match=r"Graphviz is needed to write \.png"):
        pydotprint(f, tmp_path / "f.png")
    assert pydotprint(f, format="dot", return_image=True).startswith("digraph")


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for the program is a shell script")
def test_with_graphviz(monkeypatch: Any, tmp_path: Path) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\nif [ \"$1\" = -Tbad ]; then echo no such format >&2; exit 1; fi\nprintf %s \"$1\"\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    pydotprint(example(), tmp_path / "f", print_output_file=False)
    assert (tmp_path / "f.png").read_bytes() == b"-Tpng"
    with pytest.raises(PictureError, match=r"couldn't write \.bad: no such format"):
        pydotprint(example(), tmp_path / "f.bad")


def test_graphs_inside_ops_are_drawn_too(tmp_path: Path) -> None:
    x = T.dvector("x")
    zero = T.constant(0.0, dtype="float64")
    totals, _ = symgrad.scan(lambda row, total: total + row, sequences=[x], outputs_info=[zero])
    pydotprint(symgrad.function([x], totals, mode="none"), tmp_path / "f.dot", scan_graphs=True)
    assert (tmp_path / "f_1.dot").read_text().startswith("digraph")
