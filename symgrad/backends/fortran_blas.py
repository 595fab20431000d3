"""SciPy's BLAS, without the rest of SciPy's linear algebra.

``import scipy.linalg`` takes longer than the largest functions take to compile, and all that is needed of it is the one
extension module in which the Fortran routines are.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType

NAME = "scipy.linalg._fblas"


@cache
def fortran_blas() -> ModuleType:
    """Return the module that holds SciPy's wrappers of BLAS: ``fortran_blas().sgemm``."""
    known = sys.modules.get(NAME)
    if known is not None:
        return known
    scipy = find_spec("scipy")
    if scipy is None or scipy.origin is None or os.name == "nt":  # on Windows SciPy itself says where libraries are
        return importlib.import_module(NAME)
    found = PathFinder.find_spec(NAME, [os.path.join(os.path.dirname(scipy.origin), "linalg")])
    if found is None or found.loader is None:
        return importlib.import_module(NAME)
    module = module_from_spec(found)
    sys.modules[NAME] = module  # where a later import of SciPy's package finds it
    try:
        found.loader.exec_module(module)
    except ImportError:
        del sys.modules[NAME]
        return importlib.import_module(NAME)
    return module
