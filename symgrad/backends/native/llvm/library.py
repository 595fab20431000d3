"""The library llvmlite: imported only when something has to be compiled, for that takes as long as a warm start."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from typing import Any

from symgrad.errors import MissingLibraryError, render


@cache
def binding() -> Any:
    """Return ``llvmlite.binding``, ready to generate code for this machine.

    Raises
    ------
    MissingLibraryError
        If it can't be imported; says why and what to do.
    """
    try:
        import llvmlite.binding as llvm
    except (ImportError, OSError) as error:
        remedy = "Install it: pip install llvmlite. Or set backend=numpy, which needs no compiler."
        raise MissingLibraryError(render(f"the native backend needs llvmlite: {error}", remedy=remedy)) from error
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@cache
def fingerprint() -> str:
    """Return a text that is another one for every other build of llvmlite, without importing LLVM; empty if unknown."""
    try:
        from llvmlite import __version__
        from llvmlite.utils import get_library_name

        specification = find_spec("llvmlite")
        folders = specification.submodule_search_locations if specification else None
        if not folders:
            return ""
        about = os.stat(os.path.join(folders[0], "binding", get_library_name()))
    except (ImportError, OSError):
        return ""
    return f"llvmlite {__version__}, {about.st_size} bytes of {about.st_mtime_ns}"
