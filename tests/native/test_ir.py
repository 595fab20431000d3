"""Kernel IR: the verifier finds each planted mistake, kernels print as they should, the interpreter means NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symgrad.kernels.ir.affine import number, polynomial, value_range
from symgrad.kernels.ir.builder import KernelBuilder, call, cast
from symgrad.kernels.ir.functions import FUNCTIONS, Rule
from symgrad.kernels.ir.grammar import (
    Buffer,
    Call,
    Carried,
    Carry,
    Cast,
    Check,
    Kernel,
    Kind,
    Let,
    Literal,
    Load,
    Loop,
    Ref,
    Role,
    Statement,
    Store,
)
from symgrad.kernels.ir.interpreter import OutOfBounds, interpret, numpy_function
from symgrad.kernels.ir.printer import print_kernel
from symgrad.kernels.ir.verifier import KernelMistake, verify


def softmax_rows() -> Kernel:
    """A kernel with something of everything."""
    b = KernelBuilder("softmax_rows")
    m = b.size("m")
    x = b.input("x", "float32", (m, 10))
    labels = b.input("labels", "int32", (m,))
    y = b.output("y", "float64", (m, 10), (1, m))
    row = b.scratch("row", "float32", (10,))
    with b.parallel(m) as i:
        label = b.let("label", cast(labels[i.index], "int64"))
        b.check((label >= 0) & (label < 10), 2)
        with b.vector(10, top=("maximum", b.literal(float("-inf"), "float32"))) as j:
            j.carry("top", x[i.index, j.index])
        with b.vector(10, total=("add", b.literal(0, "float32"))) as j:
            power = b.let("power", call("exp", x[i.index, j.index] - b_top(b, "top")))
            row[j.index] = power
            j.carry("total", power)
        with b.vector(10) as j:
            share = cast(row[9 - j.index] / j_total(), "float64")
            y.store((i.index, j.index), -share * 2.0, mask=~(j.index > label))
        with b.unrolled(2, product=(None, b.literal(1, "int8"))) as k:
            k.carry("product", k["product"] * (k["product"] + cast(k.index, "int8")))
    return b.kernel()


def b_top(b: KernelBuilder, name: str) -> object:
    from symgrad.kernels.ir.builder import Term

    return Term(Ref(name), "float32")


def j_total() -> object:
    from symgrad.kernels.ir.builder import Term

    return Term(Ref("total"), "float32")
