"""The processor that code is generated for: name and features as LLVM spells them, and what kernels want to know."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache

from symgrad.backends.code_cache import configured_cache, key_of
from symgrad.backends.native.llvm.library import binding, fingerprint
from symgrad.config import config
from symgrad.errors import ConfigError, render


@dataclass(frozen=True, slots=True)
class Processor:
    """What code is generated for.

    Attributes
    ----------
    triple : str
        Architecture, maker, system: ``x86_64-unknown-linux-gnu``.
    name : str
        The name that LLVM has for it: ``znver5``, ``x86-64-v3``.
    features : str
        LLVM's features, ``+avx2,-avx512f,...``; those of the name if empty.
    vector_bytes : int
        The width of a vector: 64, 32 or 16.
    masked : bool
        Whether loads and stores of some lanes only are cheap.
    registers : int
        How many vectors the registers hold.
    """

    triple: str
    name: str
    features: str
    vector_bytes: int
    masked: bool
    registers: int

    @property
    def architecture(self) -> str:
        """The first word of the triple."""
        return self.triple.split("-")[0]


@dataclass(frozen=True, slots=True)
class _Level:
    """A generic processor: code for it runs on all that have what it needs."""

    name: str
    features: str
    needs: frozenset[str]
    vector_bytes: int
    masked: bool
    registers: int


_V3 = frozenset(("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"))
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

_LEVELS: dict[str, dict[str, _Level]] = {  # by architecture, the lowest first
    "x86_64": {
        "sse2": _Level("x86-64", "", frozenset(), 16, False, 16),
        "avx2": _Level("x86-64-v3", "", _V3, 32, True, 16),
        "avx512": _Level("x86-64-v4", "", _V4, 64, True, 32),
    },
    "aarch64": {"neon": _Level("generic", "+neon", frozenset(), 16, False, 32)},
}
_LEVELS["amd64"] = _LEVELS["x86_64"]
_LEVELS["arm64"] = _LEVELS["aarch64"]
_UNKNOWN = {"generic": _Level("generic", "", frozenset(), 16, False, 16)}


def host(cap: str | None = None) -> Processor:
    """Return the processor of this machine, or as much of it as `cap` allows.

    Parameters
    ----------
    cap : str, optional
        ``auto`` for all that it has; ``avx512``, ``avx2``, ``sse2`` or ``neon`` for a generic processor with nothing
        higher. The setting ``cpu_features`` if None.

    Raises
    ------
    ConfigError
        If `cap` belongs to another architecture.

    Examples
    --------
    >>> host().vector_bytes in (16, 32, 64)
    True
    """
    return _host(config.cpu_features if cap is None else cap)


def target(triple: str, level: str = "") -> Processor:
    """Return a generic processor of any architecture, to compile for it without running.

    Parameters
    ----------
    triple : str
        The architecture and system: ``aarch64-unknown-linux-gnu``.
    level : str
        ``sse2``, ``avx2``, ``avx512``, ``neon``; the lowest of the architecture if empty.

    Examples
    --------
    >>> target("aarch64-unknown-linux-gnu").vector_bytes, target("x86_64-unknown-linux-gnu", "avx2").name
    (16, 'x86-64-v3')
    """
    levels = _levels_of(triple)
    return _generic(triple, levels[_checked(level or next(iter(levels)), triple)])


@cache
def _host(cap: str) -> Processor:
    known = detect()
    present = frozenset(word[1:] for word in known.features.split(",") if word.startswith("+"))
    levels = _levels_of(known.triple)
    if cap != "auto":
        names = list(levels)
        levels = {name: levels[name] for name in names[: names.index(_checked(cap, known.triple)) + 1]}
    best = [level for level in levels.values() if level.needs <= present][-1]
    if cap != "auto":
        return _generic(known.triple, best)
    return Processor(known.triple, known.name, known.features, best.vector_bytes, best.masked, best.registers)


def _levels_of(triple: str) -> dict[str, _Level]:
    return _LEVELS.get(triple.split("-")[0].lower(), _UNKNOWN)


def _checked(level: str, triple: str) -> str:
    """Return `level` if the architecture has it."""
    levels = _levels_of(triple)
    if level not in levels:
        architecture = triple.split("-")[0]
        remedy = f"For {architecture}: {', '.join(levels)}. Set cpu_features=auto."
        raise ConfigError(render(f"cpu_features={level} isn't for {architecture} processors", remedy=remedy))
    return level


def _generic(triple: str, level: _Level) -> Processor:
    return Processor(triple, level.name, level.features, level.vector_bytes, level.masked, level.registers)


@dataclass(frozen=True, slots=True)
class Detected:
    """What LLVM says of this machine."""

    triple: str
    name: str
    features: str
    llvm: str


@cache
def detect() -> Detected:
    """Ask LLVM what this machine is; the answer is kept with the compiled code, because LLVM takes long to import."""
    build, machine = fingerprint(), _machine()
    key = key_of("processor", build, machine)
    store = configured_cache()
    known = store.get(key) if build and machine else None
    if known is not None:
        return Detected(*json.loads(known))
    llvm = binding()
    version = ".".join(str(number) for number in llvm.llvm_version_info)
    triple = llvm.get_process_triple() + ("-elf" if os.name == "nt" else "")  # the loader there reads only ELF
    found = Detected(triple, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), version)
    if build and machine:
        store.put(key, json.dumps([found.triple, found.name, found.features, found.llvm]).encode(), "the processor")
    return found


def _machine() -> str:
    """Return a text that differs between machines whose processors differ; empty where that can't be known."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            first = file.read(1 << 14).split("\n\n")[0]
    except OSError:
        return ""
    names = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
    lines = [line for line in first.splitlines() if line.split("\t")[0].strip() in names]
    return "\n".join([*os.uname(), *lines]) if len(lines) == len(names) else ""
