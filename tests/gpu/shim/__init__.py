"""CUDA without a GPU: kernels run on the CPU as they are, and a package that stands for CuPy runs whole programs.

``check_kernel(kernel, arrays)`` runs one kernel in three orders of its threads, in poisoned and guarded memory, and
raises `KernelError` for whatever it must not do; ``run_found`` and ``check_found`` do so with several kernels and the
temporaries between them. `compile_for` (NVRTC) says whether a text is CUDA C++ for real devices.
"""

from gpu.shim.kernels import KernelError, check_found, check_kernel, run_found, run_kernel
from gpu.shim.launches import ORDERS, POISON

__all__ = ["ORDERS", "POISON", "KernelError", "check_found", "check_kernel", "run_found", "run_kernel"]
