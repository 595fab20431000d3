"""Write docs/theano_names.md, what became of each of Theano's names: ``python docs/make_theano_table.py``.

The names are in docs/theano_names.txt, by module. What each one leads to, and what it can do, is asked of the program.
With ``--check`` nothing is written; the exit status is 1 if the page isn't up to date. With ``--missing`` the names that
lead nowhere are printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

NAMES = Path(__file__).with_name("theano_names.txt")
PAGE = Path(__file__).with_name("theano_names.md")


def read_names() -> dict[str, list[str]]:
    """Return Theano's names by module."""
    found: dict[str, list[str]] = {}
    for line in NAMES.read_text().splitlines():
        if line.startswith("["):
            names = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            names += [line] if ":" in line else line.split()
    return found


def missing() -> list[str]:
    import importlib
    from symgrad.compat.theano_names.activation import activated
    from symgrad.compat.theano_names.errors import NotKeptError
    out = []
    with activated():
        for module, names in read_names().items():
            if not module.startswith("theano"):
                continue
            for name in names:
                try:
                    getattr(importlib.import_module(module), name)
                except NotKeptError:
                    pass
                except Exception as error:
                    out.append(f"{module}.{name}: {type(error).__name__} {str(error)[:80]}")
    return out


if __name__ == "__main__":
    if "--missing" in sys.argv:
        print("\n".join(missing()))
