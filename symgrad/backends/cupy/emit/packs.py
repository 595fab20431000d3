"""Elementwise kernels whose threads each take some neighbours in memory, in accesses of 16 bytes."""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.backends.cupy.emit.groups import GroupWriter
from symgrad.backends.cupy.emit.nests import Accesses, Nest
from symgrad.backends.cupy.emit.shapes import Shape
from symgrad.kernels.ir.grammar import Kernel


@dataclass(frozen=True)
class Packing:
    count: int


def pack_of(kernel: Kernel, shape: Shape, accesses: Accesses) -> Packing | None:
    return None


class PackWriter(GroupWriter):
    pack: Packing | None = None

    def packed(self, nest: Nest, threads: int) -> None:
        raise NotImplementedError
