"""The library llvmlite, imported only when something has to be compiled; and which symgrad and which llvmlite it is."""

from __future__ import annotations

import _imp
import hashlib
import os
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from symgrad.backends.native.llvm.background import Background
from symgrad.errors import MissingLibraryError, render

LIBRARY_NAMES = ("libllvmlite.so", "libllvmlite.dylib", "llvmlite.dll")


@cache
def binding() -> Any:
    """Return ``llvmlite.binding``, ready to generate code for this machine.

    Raises
    ------
    MissingLibraryError
        If it can't be imported; says why and what to do.
    """
    try:
        llvm = imported("llvmlite.binding")
    except (ImportError, OSError) as error:
        remedy = "Install it: pip install llvmlite. Or set backend=numpy, which needs no compiler."
        raise MissingLibraryError(render(f"the native backend needs llvmlite: {error}", remedy=remedy)) from error
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


_imports: dict[str, Background] = {}
_modules: dict[str, Any] = {}


def imported(name: str) -> Any:
    """Return a module; import it on a thread of its own, so that no interrupt comes in the middle of that.

    Where an interrupt came while a module was awaited, the next call goes on waiting for the same thread: it must not
    meet it inside Python's own import locks.
    """
    if name not in _modules:
        _give_back_import_lock()
        background = _imports.get(name)
        if background is None:
            with Background() as background:
                background.add(partial(import_module, name))
                _imports[name] = background
        try:
            (_modules[name],) = background.results()
        except Exception:
            del _imports[name]
            raise
    return _modules[name]


def _give_back_import_lock() -> None:
    """Give back Python's lock around imports, if an interrupt made this thread keep it: another thread needs it.

    No thread that runs Python code holds it, but an interrupt may come between Python's own taking of the lock and the
    block that gives it back.
    """
    try:
        while _imp.lock_held():
            _imp.release_lock()
    except RuntimeError:  # another thread's
        return


@cache
def fingerprint() -> str:
    """Return a text that is another one for every other build of llvmlite, without importing LLVM; empty if unknown."""
    try:
        specification = find_spec("llvmlite")
        folders = specification.submodule_search_locations if specification else None
        if not folders:
            return ""
        with os.scandir(os.path.join(folders[0], "binding")) as found:
            libraries = [entry.stat() for entry in found if entry.name in LIBRARY_NAMES]
        versions = os.stat(os.path.join(folders[0], "_version.py"))
    except (ImportError, OSError, ValueError):
        return ""
    known = [(about.st_size, about.st_mtime_ns) for about in (versions, *libraries)]
    return f"llvmlite {folders[0]} {known}" if libraries else ""


@cache
def source_files() -> str:
    """Return a text that is another one for every other state of symgrad's source files; empty if there are none.

    Names, sizes and dates are enough: this is read on every start, and a cached program from before a change of the
    sources would be wrong code.
    """
    root = os.path.abspath(__file__)
    for _ in ("llvm", "native", "backends", "symgrad"):
        root = os.path.dirname(root)
    digest, count = hashlib.sha256(root.encode()), 0
    pending = [root]
    try:
        while pending:
            with os.scandir(pending.pop()) as found:
                for entry in sorted(found, key=os.fspath):
                    if entry.name.endswith(".py"):
                        about = entry.stat()
                        digest.update(f"{entry.path} {about.st_size} {about.st_mtime_ns}\n".encode())
                        count += 1
                    elif entry.name != "__pycache__" and entry.is_dir():
                        pending.append(entry.path)
    except OSError:
        return ""
    return digest.hexdigest() if count else ""
