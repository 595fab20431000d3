"""Ops that programs write themselves, and Theano's own that do nothing."""

from __future__ import annotations

from typing import Any

from symgrad import custom
from symgrad.custom import FromFunctionOp, as_op, disconnected_type
from symgrad.graph.types import Type
from symgrad.tensor import tensor_copy


class COp(custom.PythonOp):
    """An op whose C code isn't looked at: it needs a `perform` too."""

    def __init__(self, func_files: Any = None, func_name: str | None = None) -> None:
        self.func_files, self.func_name = func_files, func_name


view_op = deep_copy_op = tensor_copy
ViewOp = DeepCopyOp = custom.PythonOp

__all__ = [
    "COp", "DeepCopyOp", "FromFunctionOp", "Type", "ViewOp", "as_op", "deep_copy_op", "disconnected_type", "view_op",
]  # fmt: skip
