"""`draw`: a graph for the eye."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from symgrad.debug.diagram import make_diagram
from symgrad.debug.network import to_networkx
from symgrad.debug.page import html_page
from symgrad.debug.subject import STAGES, has_stages, subject_of
from symgrad.debug.svg import Drawing, draw_diagram, svg_document
from symgrad.errors import PictureError, render

MAXIMAL_NODES = 5000
FORMATS = ("svg", "html")
STAGE_TITLES = {"graph": "before rewriting", "rewritten": "after rewriting"}


def draw(
    x: Any, path: str | os.PathLike[str] | None = None, which: str = "rewritten", format: str | None = None
) -> str:
    """Draw a graph: boxes from top to bottom, with dtypes, sizes and the user's lines.

    Colours tell inputs, shared variables, outputs and updates, and what work each op is. Small constants stand inside
    the boxes that use them; a named input that is used far apart appears near each use. Tooltips show each node's
    whole expression, type and source line. The file needs nothing else: no library, font or network.

    Parameters
    ----------
    x : Variable, list of variables, ClosedGraph or compiled function
        What to draw.
    path : path, optional
        Where to write the picture. It is written under another name and renamed when it is complete.
    which : {'rewritten', 'graph', 'both'}
        Of a compiled function: the graph after rewriting, before, or both side by side (as HTML).
    format : {'svg', 'html'}, optional
        ``svg`` is a picture for documents, ``html`` a page to move, zoom and follow wires in. By default as the
        suffix of `path` says, else ``svg``; of ``both`` always ``html``.

    Returns
    -------
    str
        `path`, or the text of the picture if there is none.

    Raises
    ------
    TypeError, ValueError
        If `x`, `which` or `format` isn't one of the above.
    PictureError
        If the graph has more than 5,000 nodes, or both stages are asked of something that isn't a compiled function.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.matrix('x')
    >>> text = draw(T.exp(x).sum(axis=0))
    >>> text.startswith('<svg'), 'float32 (?,)' in text
    (True, True)
    """
    format = _format(path, which, format)
    if which == "both" and not has_stages(x):
        raise PictureError(
            f"which='both' draws a graph before and after rewriting, which a {type(x).__name__} doesn't have; "
            "compile it with symgrad.function first, or leave `which` out"
        )
    stages = STAGES if which == "both" else (which,)
    drawings = [_drawing(x, stage) for stage in stages]
    text = svg_document(drawings[0]) if format == "svg" else html_page(drawings)
    if path is None:
        return text
    write_file(Path(path), text)
    return os.fspath(path)


def _format(path: str | os.PathLike[str] | None, which: str, format: str | None) -> str:
    if which not in (*STAGES, "both"):
        raise ValueError(f"draw: which is 'rewritten', 'graph' or 'both', got {which!r}")
    if format is None:
        suffix = "" if path is None else Path(path).suffix.lower().lstrip(".")
        format = suffix if suffix in FORMATS else "html" if which == "both" else "svg"
        if suffix and suffix not in FORMATS:
            raise ValueError(f"draw writes .svg and .html files, got {os.fspath(path)!r}; or pass format='svg'")  # type: ignore[arg-type]
    if format not in FORMATS:
        raise ValueError(f"draw: format is 'svg' or 'html', got {format!r}")
    if which == "both" and format == "svg":
        raise ValueError("draw: which='both' is a page with two pictures; pass format='html', or draw them one by one")
    return format


def _drawing(x: Any, stage: str) -> Drawing:
    subject = subject_of(x, "draw", stage)
    count = len(subject.order)
    if count > MAXIMAL_NODES:
        raise PictureError(
            render(
                f"a graph of {count:,} nodes is too large to draw; draw takes up to {MAXIMAL_NODES:,}",
                remedy="Draw a part of it (draw takes any variable, and debugprint and pp show where to look), "
                "or take it to another program with to_networkx.",
            )
        )
    diagram = make_diagram(to_networkx(x, stage))
    title = subject.title or ("function" if subject.is_closed else "expression")
    nodes = f"{count} op{'' if count == 1 else 's'}"
    subtitle = f"{STAGE_TITLES[stage]} · {nodes}" if has_stages(x) else nodes
    return draw_diagram(title, subtitle, diagram)


def write_file(path: Path, text: str) -> None:
    """Write a file so that at any moment it is either as it was or complete."""
    import tempfile

    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
