"""Tables in a Markdown page: each stands between two comments that name it, and a command writes it anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


class MissingTableError(ValueError):
    """The page has no place for the table."""


def fill(page: str, name: str, table: str) -> str:
    """Return the page with `table` between ``<!-- table NAME -->`` and ``<!-- end -->``.

    Parameters
    ----------
    page : str
        Markdown.
    name : str
        The name of the place.
    table : str
        What goes there.

    Raises
    ------
    MissingTableError
        If the page has no such place.

    Examples
    --------
    >>> fill("<!-- table waits -->old<!-- end -->", "waits", "| new |").splitlines()
    ['<!-- table waits -->', '', '| new |', '', '<!-- end -->']
    """
    place = re.compile(rf"(<!-- table {re.escape(name)} -->).*?(<!-- end -->)", re.DOTALL)
    filled, count = place.subn(lambda match: f"{match[1]}\n\n{table.strip()}\n\n{match[2]}", page)
    if not count:
        raise MissingTableError(f"the page has no place for the table {name!r}: <!-- table {name} --><!-- end -->")
    return filled


def fill_file(path: Path, tables: Mapping[str, str]) -> None:
    """Write tables to a page, all or none of them."""
    page = path.read_text(encoding="utf-8")
    for name, table in tables.items():
        page = fill(page, name, table)
    path.write_text(page, encoding="utf-8")
