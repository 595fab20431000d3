"""Fusion: groups of elementwise steps, reductions, views and row-wise routines become single kernels in kernel IR.

It knows no device: what it returns is kernel IR, for any backend that has the scalar functions.
"""

from symgrad.lowering.fusion import running  # it enters its writers
from symgrad.lowering.fusion.grouping import fuse, grouped
from symgrad.lowering.fusion.kernels import in_place, kernel_ir, kernel_name, share_nest, sources_of, work_of

__all__ = ["fuse", "grouped", "in_place", "kernel_ir", "kernel_name", "running", "share_nest", "sources_of", "work_of"]
