"""Compiles modules to machine code, keeps it for later runs, and loads it into this process."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgrad.backends.code_cache import configured_cache, key_of
from symgrad.backends.native.llvm.host import Processor, detect, host
from symgrad.backends.native.llvm.image import Image, address_of
from symgrad.backends.native.llvm.library import binding, fingerprint, source_files

OPTIONS = "codegen 1, pic, small, no passes; image 1"
"""All that changes the code and isn't in the text or the processor: part of every key."""

_IMAGE, _OBJECT = b"I", b"O"
_DECLARED = re.compile(r"^declare [^@]*@(?!llvm\.)([\w.$]+)\(", re.MULTILINE)
_DEFINED = re.compile(r"^define (?!internal)[^@]*@([\w.$]+)\(", re.MULTILINE)
_loaded: dict[tuple[str, tuple[tuple[str, int], ...]], Mapping[str, int]] = {}
_engines: list[Any] = []
"""Machine code lives as long as the process: nothing can know when its last caller is gone."""


def load(
    text: str, names: Sequence[str], symbols: Mapping[str, int] | None = None, processor: Processor | None = None
) -> Mapping[str, int]:
    """Return the addresses of a module's functions; compiles it unless it, or its code in the cache, is there already.

    Parameters
    ----------
    text : str
        The module.
    names : sequence of str
        Functions of it.
    symbols : mapping of str to int
        Addresses of functions that it declares; those of the C library need not be given.
    processor : Processor, optional
        What to compile for; this machine, as the settings cap it, if None.

    Raises
    ------
    MissingLibraryError
        If something must be compiled and llvmlite isn't there.
    LookupError
        If a declared function's address is neither given nor in the C library.
    """
    processor = processor or host()
    symbols = symbols or {}
    key = code_key(text, processor)
    found = _loaded.get(_identity(key, symbols))
    if found is None:
        found = _loaded.setdefault(_identity(key, symbols), _load(key, text, symbols, processor))
    return {name: found[name] for name in names}


def code_key(text: str, processor: Processor | None = None) -> str:
    """Return what the cache keeps a module's machine code under."""
    known = processor or host()
    return key_of(OPTIONS, fingerprint(), detect().llvm, known.triple, known.name, known.features, text)


def load_kept(key: str, symbols: Mapping[str, int] | None = None) -> Mapping[str, int] | None:
    """Return the addresses of all functions whose machine code the cache has under `key`; None if it hasn't."""
    symbols = symbols or {}
    found = _loaded.get(_identity(key, symbols))
    if found is None:
        packed = configured_cache().get(key)
        if packed is None or packed[:1] != _IMAGE:
            return None
        found = _loaded.setdefault(_identity(key, symbols), Image.unpack(packed[1:]).load(symbols))
    return found


def load_written(
    name: str, names: Sequence[str], write: Callable[[], str], symbols: Mapping[str, int] | None = None
) -> Mapping[str, int]:
    """Load a module that depends on nothing but symgrad's sources and the processor; its text is made only if it must.

    Parameters
    ----------
    name : str
        The module's name.
    names : sequence of str
        Functions of it.
    write : callable
        Returns its text.
    symbols : mapping of str to int
        See `load`.
    """
    store, processor = configured_cache(), host()
    key = key_of("module", name, source_files(), fingerprint(), processor.triple, processor.name, processor.features)
    known = store.get(key) if source_files() and fingerprint() else None
    found = None if known is None else load_kept(known.decode(errors="replace"), symbols)
    if found is None:
        text = write()
        found = load(text, names, symbols)
        if source_files() and fingerprint():
            store.put(key, code_key(text).encode(), f"which code is the {name}'s")
    return found


def _identity(key: str, symbols: Mapping[str, int]) -> tuple[str, tuple[tuple[str, int], ...]]:
    return key, tuple(sorted(symbols.items()))


def _load(key: str, text: str, symbols: Mapping[str, int], processor: Processor) -> Mapping[str, int]:
    """Load a module's code from the cache, or compile it and put it there."""
    store, names = configured_cache(), _DEFINED.findall(text)
    packed = store.get(key) if fingerprint() else None
    if packed is None:
        packed = _pack(compile_object(text, processor))
        if fingerprint():
            store.put(key, packed, " ".join(names))
    if packed[:1] == _IMAGE:
        return Image.unpack(packed[1:]).load(symbols)
    known = {name: symbols.get(name) or address_of(name) for name in _DECLARED.findall(text)}
    return _load_object(packed[1:], names, known)


def _pack(compiled: bytes) -> bytes:
    """Return what the cache keeps: an image, or else the object file itself."""
    from symgrad.backends.native.llvm.linker import UnsupportedObjectError, link

    if sys.platform != "linux":
        return _OBJECT + compiled
    try:
        return _IMAGE + link(compiled).pack()
    except UnsupportedObjectError:
        return _OBJECT + compiled


def _load_object(compiled: bytes, names: Sequence[str], symbols: Mapping[str, int]) -> Mapping[str, int]:
    """Let LLVM load an object file. It ends the process if a symbol is missing: `symbols` must be complete."""
    llvm = binding()
    for name, address in symbols.items():
        llvm.add_symbol(name, address)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly("", llvm.create_context()), _machine(host()))
    engine.add_object_file(llvm.ObjectFileRef.from_data(compiled))
    engine.finalize_object()
    _engines.append(engine)
    return {name: engine.get_function_address(name) for name in names}


def compile_object(text: str, processor: Processor) -> bytes:
    """Return a module's object file, for this or any other processor."""
    module = _parsed(text)
    return bytes(_machine(processor).emit_object(module))


def assembly(text: str, processor: Processor | None = None) -> str:
    """Return the assembly of a module, to be read by people."""
    module = _parsed(text)
    return str(_machine(processor or host()).emit_assembly(module))


def _parsed(text: str) -> Any:
    llvm = binding()
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    return module


def _machine(processor: Processor) -> Any:
    """Return LLVM's code generator for a processor."""
    llvm = binding()
    if processor.triple != detect().triple:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(processor.triple)
    if processor.architecture == "x86_64" and "linux" in processor.triple:
        models = {"reloc": "pic", "codemodel": "small"}  # what an image is linked from
    else:
        models = {"reloc": "default", "codemodel": "jitdefault"}  # what LLVM's loader is tried with
    return target.create_target_machine(cpu=processor.name, features=processor.features, opt=1, jit=True, **models)
