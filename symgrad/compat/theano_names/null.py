"""What stands for a gradient that isn't there."""

from __future__ import annotations

from typing import Any

from symgrad.graph.absent import NullType
from symgrad.graph.variables import Variable


def undefined_gradient(op: Any, position: int, x: Any, comment: str, word: str) -> Variable:
    """Return a variable that stands for the gradient of an op's input, and says why there is none."""
    why = f"This variable is Null because the grad method for input {position} ({x}) of the {op} op is {word}. {comment}"
    return Variable(NullType(why.strip()))
