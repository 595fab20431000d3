"""The command ``symgrad``: settings, versions, what this machine offers, and the cache of compiled code.

Exit codes: 0 if all is well, 1 if ``symgrad doctor`` finds a problem, 2 for a mistake in the command or the settings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from symgrad.config import SETTINGS, config, device_problem, find_setting, text_of
from symgrad.errors import ConfigError

LIBRARIES = ("numpy", "scipy", "networkx", "llvmlite")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after ``symgrad``; those of this process if None.

    Returns
    -------
    int
        0, 1 or 2, as above.

    Examples
    --------
    >>> main(["config", "cast_policy"])
    floatX
    0
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.version:
        print(f"symgrad {_version('symgrad')}")
        return 0
    if options.command == "config":
        return _show_config(options.name, options.verbose)
    if options.command == "doctor":
        return _examine()
    if options.command == "cache":
        return _show_cache(options.action)
    parser.print_help(sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="symgrad", description="Settings, and what this machine offers to symgrad.")
    parser.add_argument("--version", action="store_true", help="print the version of symgrad")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    show = commands.add_parser(
        "config",
        help="show every setting, its value, and where it comes from",
        description="Show every setting, its value, and where it comes from.",
        epilog="The later wins: default, ~/.symgradrc, ./symgrad.cfg, SYMGRAD_FLAGS, SYMGRAD_DEBUG and SYMGRAD_DATA.",
    )
    show.add_argument("name", nargs="?", metavar="NAME", help="print only the value of this setting")
    show.add_argument("-v", "--verbose", action="store_true", help="also show valid values and what uses the setting")
    commands.add_parser(
        "doctor",
        help="show versions, BLAS libraries and devices, and check the device that is set",
        description="Show versions, BLAS libraries and devices. Exits with 1 if the device that is set isn't there.",
    )
    cache = commands.add_parser(
        "cache",
        help="list or remove the compiled code that is kept for later runs",
        description="List or remove the compiled code that is kept for later runs.",
        epilog="The folder is set by cache_dir, its size by cache_size. Removing entries is always safe.",
    )
    cache.add_argument("action", choices=("list", "clear", "path"), help="what to do: list, clear, or print the folder")
    return parser


def _show_config(name: str | None, verbose: bool) -> int:
    """Print one value, or the table of all."""
    if name is not None:
        try:
            print(text_of(getattr(config, find_setting(name).name)))
        except ConfigError as error:
            print(f"symgrad config: {error}", file=sys.stderr)
            return 2
        return 0
    rows = []
    for setting in SETTINGS.values():
        rows.append(
            (setting.name, text_of(getattr(config, setting.name)), config.source_of(setting.name), setting.help)
        )
        if verbose:
            rows.append(("", "", "", f"Valid: {setting.kind.valid}."))
            rows.append(("", "", "", f"Used by: {setting.used_by}."))
            if setting.variable:
                rows.append(("", "", "", f"Set alone by the environment variable {setting.variable}."))
    _print_columns([("setting", "value", "source", ""), *rows])
    return 0


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        print("   ".join([*cells, row[-1]]).rstrip())


def _show_cache(action: str) -> int:
    """List or remove the cache's entries, or print where it is."""
    import time

    from symgrad.backends.code_cache import UnsafeFolderError, configured_cache

    cache = configured_cache()
    if action == "path":
        print(cache.folder)
        return 0
    try:
        if action == "clear":
            print(f"removed {_count(cache.clear())}")
            return 0
        entries = cache.entries()
    except (OSError, UnsafeFolderError) as error:
        print(f"symgrad cache: {cache.folder}: {error}", file=sys.stderr)
        return 1
    rows = []
    for entry in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        label = entry.label if len(entry.label) <= 60 else f"{entry.label[:57]}..."
        rows.append((entry.name[:12], used, f"{entry.size / 1024:8.1f} KiB", label))
    if rows:
        _print_columns([("entry", "last used", "size", "code"), *rows])
    total = sum(entry.size for entry in entries) / 2**20
    print(f"{_count(len(entries))}, {total:.1f} of {config.cache_size} MiB in {cache.folder}")
    return 0


def _count(entries: int) -> str:
    return "1 entry" if entries == 1 else f"{entries} entries"


def _examine() -> int:
    """Print what this machine offers, and return 1 if the device that is set isn't available."""
    import platform

    rows = [("symgrad", _version("symgrad")), ("Python", f"{platform.python_version()} on {platform.platform()}")]
    rows += [(name, _version(name)) for name in LIBRARIES]
    rows += [(f"BLAS of {name}", _blas(name)) for name in ("numpy", "scipy")]
    rows.append(("floatX", f"{config.floatX}   ({config.source_of('floatX')})"))
    rows.append(("device", f"{config.device}   ({config.source_of('device')})"))
    rows.append(("  cpu", "available"))
    rows += _gpu()
    _print_columns(rows)
    problem = "" if config.device == "auto" else device_problem(config.device)
    if problem:
        print(f"\ndevice={config.device} isn't available: {problem}. Or set device=cpu.", file=sys.stderr)
        return 1
    return 0


def _gpu() -> list[tuple[str, str]]:
    """Return what each step finds on the way to the GPU of the settings, or to the first one."""
    from symgrad.backends.cupy.devices.doctor import examine

    number = int(config.device.removeprefix("cuda") or 0) if config.device.startswith("cuda") else 0
    findings = list(examine(number))
    missing = any(finding.problem and not finding.optional for finding in findings)
    rows = [(f"  cuda{number}", "CUDA can't be used here" if missing else "available")]
    rows += [(f"    {found.step}", found.fact or f"{found.problem}. {found.remedy}") for found in findings]
    return rows


def _version(distribution: str) -> str:
    """Return the version of an installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "(not installed)"


def _blas(library: str) -> str:
    """Return name and version of the BLAS that NumPy or SciPy was built with."""
    import importlib

    build = importlib.import_module(library).show_config(mode="dicts")
    blas = build.get("Build Dependencies", {}).get("blas", {})
    return " ".join(text for text in (blas.get("name"), blas.get("version")) if text) or "not stated by its build"
