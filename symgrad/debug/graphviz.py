"""`pydotprint`: a graph as text for Graphviz, or as what Graphviz makes of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from symgrad.debug.network import to_networkx
from symgrad.debug.pictures import draw, write_file
from symgrad.errors import MissingLibraryError, PictureError
from symgrad.graph.types import shape_text

COLOURS = {
    "input": "limegreen", "shared": "cyan", "constant": "gray85", "output": "dodgerblue", "update": "gold",
    "apply": "white",
}  # fmt: skip
TEXTS = ("dot", "gv")
LIMIT_OF_SECONDS = 300


def dot_text(
    x: Any,
    which: str = "rewritten",
    max_label_size: int = 70,
    with_ids: bool = False,
    names_only: bool = False,
    colours: Mapping[str, str] | None = None,
) -> str:
    """Return a graph in Graphviz' language.

    Parameters
    ----------
    x : Variable, list of variables, ClosedGraph or compiled function
        What to draw.
    which : {'rewritten', 'graph'}
        Of a compiled function: the graph after rewriting, or before.
    max_label_size : int
        Longer labels are cut.
    with_ids : bool
        Whether labels show each node's number.
    names_only : bool
        Whether inputs that have a name show nothing but it.
    colours : mapping, optional
        For the name of an op, the colour of its nodes.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(dot_text(T.exp(T.dscalar('x'))))
    digraph symgrad {
      node [style=filled, fontname="Helvetica"];
      v0 [label="x float64 ()", shape=box, fillcolor="limegreen"];
      a0 [label="exp", shape=ellipse, fillcolor="white"];
      r0 [label="output float64 ()", shape=box, fillcolor="dodgerblue"];
      v0 -> a0;
      a0 -> r0;
    }
    """
    graph = to_networkx(x, which)
    lines = ["digraph symgrad {", '  node [style=filled, fontname="Helvetica"];']
    for key, node in graph.nodes(data=True):
        is_apply = node["kind"] == "apply"
        label = node["op"] if is_apply else node["label"]
        if not is_apply and not (names_only and node["name"]):
            label += f" {_type_text(node)}"
        colour = (colours or {}).get(node["op"], COLOURS[node["kind"]])
        text = _quoted(f"{key} {label}" if with_ids else label, max_label_size)
        lines.append(f"  {key} [label={text}, shape={'ellipse' if is_apply else 'box'}, fillcolor={_quoted(colour)}];")
    for source, target, edge in graph.edges(data=True):
        several = graph.in_degree(target) > 1
        label = f"{edge['position']} {_type_text(edge)}" if several else ""
        lines.append(f"  {source} -> {target}{f' [label={_quoted(label, max_label_size)}]' if label else ''};")
    return "\n".join([*lines, "}"])


def _type_text(entry: Mapping[str, Any]) -> str:
    return entry["dtype"] if entry["shape"] is None else f"{entry['dtype']} {shape_text(entry['shape'])}"


def _quoted(text: str, limit: int | None = None) -> str:
    if limit is not None and len(text) > limit:
        text = text[: max(limit - 3, 1)] + "..."
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def pydotprint(
    fct: Any,
    outfile: str | os.PathLike[str] | None = None,
    compact: bool = True,
    format: str = "png",
    with_ids: bool = False,
    high_contrast: bool = True,
    cond_highlight: Any = None,
    colorCodes: Mapping[str, str] | None = None,
    max_label_size: int = 70,
    scan_graphs: bool = False,
    var_with_name_simple: bool = False,
    print_output_file: bool = True,
    return_image: bool = False,
) -> Any:
    """Write a picture of a graph with Graphviz.

    Files that end in ``.dot`` or ``.gv`` hold the text for Graphviz. Without Graphviz, ``.svg`` is drawn by `draw`;
    other formats are an error that says so.

    Parameters
    ----------
    fct : compiled function, Variable, or list of variables
        What to draw; of a function the graph after rewriting.
    outfile : path, optional
        Where to write; the ending decides about the format. By default ``symgrad.png``, or as `format` says.
    format : str
        The format if the path has no ending that names one: ``png``, ``svg``, ``pdf``, ``dot``, ...
    with_ids : bool
        Whether labels show each node's number.
    colorCodes : mapping, optional
        For the name of an op, the colour of its nodes.
    max_label_size : int
        Longer labels are cut.
    scan_graphs : bool
        Whether the graphs that ops hold (loops, choices) are written too, to files with ``_1``, ``_2`` in their names.
    var_with_name_simple : bool
        Whether inputs that have a name show nothing but it.
    print_output_file : bool
        Whether to print where the picture is.
    return_image : bool
        Whether to return the picture, as bytes or text, instead of writing it.
    compact, high_contrast, cond_highlight
        Accepted for Theano's sake.

    Returns
    -------
    None, bytes or str

    Raises
    ------
    MissingLibraryError
        If Graphviz is needed and isn't there.
    PictureError
        If Graphviz fails.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.printing.pydotprint``.
    """
    path = Path(outfile if outfile is not None else f"symgrad.{format}")
    suffix = path.suffix.lower().lstrip(".") or format
    if path.suffix == "":
        path = path.with_suffix(f".{suffix}")
    subjects = [fct, *(_graphs_inside(fct) if scan_graphs else [])]
    for number, subject in enumerate(subjects):
        picture = _picture(subject, suffix, max_label_size, with_ids, var_with_name_simple, colorCodes)
        if return_image:
            return picture
        place = path if number == 0 else path.with_name(f"{path.stem}_{number}{path.suffix}")
        if isinstance(picture, str):
            write_file(place, picture)
        else:
            place.write_bytes(picture)
        if print_output_file:
            print(f"The output file is available at {place}")
    return None


def _picture(x: Any, suffix: str, limit: int, with_ids: bool, names_only: bool, colours: Any) -> str | bytes:
    import shutil
    import subprocess

    if suffix == "svg" and shutil.which("dot") is None:
        return draw(x)
    text = dot_text(x, "rewritten", limit, with_ids, names_only, colours)
    if suffix in TEXTS:
        return text
    program = shutil.which("dot")
    if program is None:
        raise MissingLibraryError(
            f"Graphviz is needed to write .{suffix}, and its program `dot` isn't there. "
            "Install Graphviz (on Debian and Ubuntu: apt install graphviz), or write .svg or .dot."
        )
    done = subprocess.run(
        [program, f"-T{suffix}"], input=text.encode(), capture_output=True, timeout=LIMIT_OF_SECONDS, check=False
    )
    if done.returncode:
        raise PictureError(f"Graphviz couldn't write .{suffix}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _graphs_inside(fct: Any) -> Iterable[Any]:
    """Return the graphs that ops of a function hold, as lists of their outputs."""
    from symgrad.debug.subject import subject_of

    held: dict[Any, Any] = {}
    for node in subject_of(fct, "pydotprint").order:
        for graph in getattr(node.op, "graphs", ()):
            held.setdefault(id(graph), graph)
    return held.values()
