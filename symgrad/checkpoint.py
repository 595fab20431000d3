"""Checkpoints: named arrays and a JSON header in one safetensors file, written so that a crash never spoils it.

A save writes a temporary file beside the target, forces it to the disk, and renames it over the target. Whenever the
process or the machine dies, the target is either the old checkpoint or the new one, complete. A temporary file that a
killed save leaves behind has another name, so no load ever sees it, and a later save removes it once it is old.

Any program that reads safetensors reads the arrays; the header and a checksum are strings in the file's metadata.
"""

from __future__ import annotations

import importlib
import json
import os
import secrets
import stat
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from symgrad.errors import CheckpointError, MissingLibraryError, render

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES = ("bool", *_INTEGERS, "float16", "bfloat16", "float32", "float64")
_FORMAT = "symgrad checkpoint 1"
_ABANDONED_AFTER = 3600.0  # seconds after which a temporary file can't belong to a save that still runs
_OTHER_FILE = "Give the path of a file that save_checkpoint wrote."
_DAMAGED_FILE = "The file was damaged or cut off after it was written; use another checkpoint or a copy of this one."


def save_checkpoint(
    path: str | os.PathLike[str], arrays: Mapping[str, npt.ArrayLike], header: Mapping[str, Any]
) -> None:
    """Write arrays and a header to `path`, all or nothing.

    Parameters
    ----------
    path : str or path
        The file; an old checkpoint there stays as it is until the new one is complete on the disk.
    arrays : mapping of str to array
        Any shape, contiguous or not; dtype bool, integers of 8 to 64 bits, float16, bfloat16, float32 or float64.
        The bits are kept; the byte order becomes little-endian.
    header : mapping of str to JSON
        None, bool, int, float, str, and lists and dicts (with str keys) of these; tuples come back as lists.

    Raises
    ------
    CheckpointError
        When an array's dtype or a value of the header can't be kept (nothing is written then), or when writing fails;
        the old file is intact either way.
    MissingLibraryError
        When safetensors isn't installed (``pip install symgrad[train]``).

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "net.safetensors"
    >>> save_checkpoint(path, {"w": np.ones((2, 3), np.float32)}, {"epoch": 7, "eta": 0.1})
    >>> arrays, header = load_checkpoint(path)
    >>> arrays["w"].sum(), header
    (np.float32(6.0), {'epoch': 7, 'eta': 0.1})
    """
    safetensors = _import_safetensors()
    target = Path(os.path.realpath(Path(path).expanduser()))  # a link stays a link; its file is replaced
    tensors = {name: _plain(target, name, array) for name, array in arrays.items()}
    text = _encode_header(target, header)
    metadata = {"format": _FORMAT, "header": text, "crc32": str(_checksum(tensors, text))}
    _check_target(target)
    _replace(target, safetensors.numpy.save(tensors, metadata))


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read what ``save_checkpoint`` wrote.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    arrays : dict of str to ndarray
        In alphabetical order of their names, with the dtypes, shapes and bits that were saved; writable.
    header : dict
        The header.

    Raises
    ------
    CheckpointError
        When the file is missing, not a safetensors file, truncated, damaged, or a safetensors file of another program.
    MissingLibraryError
        When safetensors isn't installed (``pip install symgrad[train]``), or ml_dtypes, where an array is of bfloat16
        (``pip install symgrad[half]``).

    Examples
    --------
    >>> load_checkpoint("nowhere.safetensors")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    symgrad.errors.CheckpointError: nowhere.safetensors doesn't exist
    ...
    """
    safetensors = _import_safetensors()
    source = Path(path).expanduser()
    if not source.exists():
        _fail(source, f"{source.name} doesn't exist", _OTHER_FILE)
    if not source.is_file():
        _fail(source, f"{source.name} is not a regular file", _OTHER_FILE)
    try:
        with safetensors.safe_open(source, framework="numpy") as file:
            metadata = file.metadata() or {}
            header = _decode_header(source, metadata)
            if any(file.get_slice(name).get_dtype() == "BF16" for name in file.keys()):  # noqa: SIM118
                _import("ml_dtypes", "bfloat16 needs the package ml_dtypes", "half")
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (safetensors.SafetensorError, TypeError) as failure:  # TypeError: a dtype that NumPy lacks
        headline = f"{source.name} is not a complete safetensors file: {failure}"
        _fail(source, headline, f"{_DAMAGED_FILE} {_OTHER_FILE}", failure)
    except OSError as failure:
        _fail(source, f"{source.name} can't be read: {failure}", "Check the file's permissions.", failure)
    if metadata.get("crc32") != str(_checksum(arrays, metadata["header"])):
        _fail(source, f"{source.name} is damaged: its contents don't match its checksum", _DAMAGED_FILE)
    return arrays, header


def _plain(target: Path, name: object, array: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the array contiguous and little-endian, as safetensors needs it; 0-d stays 0-d."""
    if not isinstance(name, str) or not name or name == "__metadata__" or not name.isprintable():
        _fail(target, f"the name {name!r} can't stand for an array", "Use a printable str other than '__metadata__'.")
    plain = np.asarray(array)
    if plain.dtype.name not in _DTYPES:
        remedy = f"Convert it to one of {', '.join(_DTYPES)}."
        _fail(target, f"the array {name!r} has dtype {plain.dtype}, which a checkpoint doesn't keep", remedy)
    return np.asarray(plain, dtype=plain.dtype.newbyteorder("<"), order="C")


def _encode_header(target: Path, header: Mapping[str, Any]) -> str:
    plain = dict(header)
    try:
        _check_json(target, "header", plain)
        return json.dumps(plain)
    except (RecursionError, ValueError) as failure:  # it contains itself, or an int of thousands of digits
        if isinstance(failure, CheckpointError):
            raise
        remedy = "Keep the header a shallow tree of small values."
        _fail(target, f"the header can't be written as JSON: {failure}", remedy, failure)


def _check_json(target: Path, place: str, value: Any) -> None:
    """Refuse what JSON would change silently (keys that aren't str) or not take at all."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                _fail(target, f"{place} has the key {key!r}, which JSON can't keep", "Use keys of type str.")
            _check_json(target, f"{place}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _check_json(target, f"{place}[{position}]", item)
    elif value is not None and not isinstance(value, bool | int | float | str):
        headline = f"{place} is of type {type(value).__name__}, which JSON can't keep"
        _fail(target, headline, "Convert it to int, float, str, list or dict, or save it among the arrays.")


def _decode_header(source: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get("format") != _FORMAT or "header" not in metadata:
        found = metadata.get("format", "no header")
        _fail(source, f"{source.name} is a safetensors file but not a symgrad checkpoint ({found})", _OTHER_FILE)
    try:
        header = json.loads(metadata["header"])
    except (ValueError, RecursionError) as failure:
        _fail(source, f"{source.name} is damaged: its header is not JSON ({failure})", _DAMAGED_FILE, failure)
    if not isinstance(header, dict):
        _fail(source, f"{source.name} is damaged: its header is not an object", _DAMAGED_FILE)
    return header


def _checksum(arrays: Mapping[str, npt.NDArray[Any]], header: str) -> int:
    value = zlib.crc32(header.encode())
    for name in sorted(arrays):
        array = arrays[name]
        value = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), value)
        value = zlib.crc32(array.view("uint16").data if array.dtype.name == "bfloat16" else array.data, value)
    return value


def _check_target(target: Path) -> None:
    if not target.parent.is_dir():
        _fail(target, f"the folder for {target.name} doesn't exist", f"Make the folder {target.parent} first.")
    if target.exists() and not target.is_file():  # renaming over a device would replace the device
        _fail(target, f"{target.name} exists and is not a regular file", "Give the path of a file.")


def _replace(target: Path, content: bytes) -> None:
    """Make `content` the content of `target`, all or nothing, even through a power cut."""
    try:
        with _temporary(target) as temporary:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as failure:
        remedy = "A checkpoint that is at this path is complete. Free some space, or save to another folder."
        _fail(target, f"{target.name} can't be written: {failure}", remedy, failure)
    _remove_abandoned(target)


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A new name beside the target, on the same file system; no file of that name is left behind."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Force the renaming itself to the disk, where the system has a way to."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_abandoned(target: Path) -> None:
    """Remove what killed saves of this target left; a young one may belong to a save that still runs."""
    prefix = f".{target.name}."
    for file in target.parent.iterdir():
        if file.name.startswith(prefix) and file.name.endswith(".tmp"):
            try:
                if time.time() - file.stat().st_mtime > _ABANDONED_AFTER:
                    file.unlink()
            except OSError:  # another process was faster, or it isn't ours to remove; the save itself is done
                continue


def _import_safetensors() -> ModuleType:
    _import("safetensors.numpy", "checkpoints need safetensors", "train")
    return importlib.import_module("safetensors")


def _import(module: str, need: str, extra: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as failure:
        remedy = f"Install it: pip install symgrad[{extra}]"
        raise MissingLibraryError(render(f"{need}, which isn't installed", remedy=remedy)) from failure


def _fail(path: Path, headline: str, remedy: str, cause: Exception | None = None) -> NoReturn:
    raise CheckpointError(render(headline, str(path), remedy=remedy)) from cause
