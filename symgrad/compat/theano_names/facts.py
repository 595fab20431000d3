"""What Theano says about itself, and small things that mean nothing here."""

from __future__ import annotations

from typing import Any

version = __version__ = "1.0.5"
"""The version of Theano whose behaviour is kept: programs ask for it."""


def sparse_grad(var: Any) -> Any:
    """Return `var`: the gradient of an index is as sparse as it can be anyway."""
    return var
