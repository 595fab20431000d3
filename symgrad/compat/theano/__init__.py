"""Theano's programs, unmodified.

``import symgrad.compat.theano`` before a program's own imports makes ``import theano``, ``import theano.tensor as T``
and Theano's other modules mean symgrad; ``python -m symgrad.compat.theano program.py arguments`` does it for a program
that isn't to be touched. Theano's semantics hold from then on in the whole process, and its own settings are read:
``THEANO_FLAGS`` and ``.theanorc``.

What each name leads to is written in `symgrad.compat.theano_names`.
"""

from __future__ import annotations

import sys
from typing import Any

from symgrad.compat.theano_names.activation import activate

activate()


def __getattr__(name: str) -> Any:
    """Let ``import symgrad.compat.theano as theano`` work too."""
    return getattr(sys.modules["theano"], name)
