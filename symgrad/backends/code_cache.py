"""The cache of machine code: files by content, safe with many processes at once, and loading nothing that others wrote.

An entry's name is the hash of all that its content depends on, so an entry never changes its meaning. It is written
under a temporary name and renamed, which needs no locks: who reads sees a whole entry or none. Every entry carries its
key and a checksum; what doesn't fit is as good as absent, and is written again.

Code from a file runs with the user's rights. So neither the folder nor an entry may be a symbolic link, belong to
another user, or be writable by others. (On Windows the folder of local application data is private, and nothing more
is checked.)
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

MAGIC = b"symgrad\0"
FORMAT = 1
_HEAD = struct.Struct("<8sI32sHQ32s")  # magic, format, key, bytes of the label, bytes of the content, checksum
_ENTRY = re.compile(r"[0-9a-f]{64}\.code")
_TEMPORARY = re.compile(r"\.[0-9a-f]{64}\.[0-9]+\.[0-9a-f]+")
_ABANDONED = 600.0  # seconds after which a temporary file can't belong to a process that still writes it
_FRESH = 3600.0  # an entry's date is renewed at most this often
_POSIX = os.name == "posix"
_said: set[str] = set()


@dataclass(frozen=True, slots=True)
class Entry:
    """What ``symgrad cache list`` shows of an entry."""

    name: str
    label: str
    size: int
    used: float


class UnsafeFolderError(Exception):
    """A folder whose content others can change."""


def key_of(*parts: str) -> str:
    """Return the name of what these texts determine.

    Examples
    --------
    >>> key_of("a", "bc") == key_of("a", "bc"), key_of("a", "bc") == key_of("ab", "c"), len(key_of())
    (True, False, 64)
    """
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(struct.pack("<Q", len(encoded)))
        digest.update(encoded)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of entries.

    Parameters
    ----------
    folder : str
        Where it is; made when something is written.
    limit : int
        How many bytes it may hold; the entries that were not used for longest go first. 0 for no cache at all.
    """

    folder: str
    limit: int

    def get(self, key: str) -> bytes | None:
        """Return the content of an entry, or None if it isn't there or isn't as it was written."""
        if not self.limit:
            return None
        try:
            with self._opened() as folder:
                data = _read(folder, f"{key}.code")
        except FileNotFoundError:
            return None
        except (OSError, UnsafeFolderError) as error:
            self._say(error)
            return None
        return None if data is None else _content(data, key)

    def put(self, key: str, content: bytes, label: str = "") -> None:
        """Write an entry; if that can't be done, say so once."""
        words = label.encode()[:1000]
        checksum = hashlib.sha256(words + content).digest()
        head = _HEAD.pack(MAGIC, FORMAT, bytes.fromhex(key), len(words), len(content), checksum)
        data = head + words + content
        if len(data) > self.limit:
            return
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with self._opened() as folder:
                _write(folder, key, data)
            # On average each time that a 64th of the limit has been written, by whatever number of processes.
            if int(key[:8], 16) / 2**32 < 64 * len(data) / self.limit:
                self._shrink()
        except FileNotFoundError:  # another process cleared the cache meanwhile
            return
        except (OSError, UnsafeFolderError) as error:
            self._say(error)

    def entries(self) -> list[Entry]:
        """Return the valid entries, the last used first."""
        found = []
        try:
            with self._opened() as folder:
                for name in _names(folder, _ENTRY):
                    with suppress(OSError):
                        about = os.stat(_path(folder, name), dir_fd=_descriptor(folder), follow_symlinks=False)
                        data = _read(folder, name, renew=False)
                        if data is not None and _content(data, name[:64]) is not None:
                            found.append(Entry(name, _label(data), about.st_size, about.st_mtime))
        except FileNotFoundError:
            return []
        return sorted(found, key=_last_used, reverse=True)

    def clear(self) -> int:
        """Remove all entries, and what killed processes left; return how many entries that were."""
        removed = 0
        try:
            with self._opened() as folder:
                for name in [*_names(folder, _ENTRY), *_names(folder, _TEMPORARY)]:
                    removed += _remove(folder, name) and not name.startswith(".")
        except FileNotFoundError:
            return 0
        return removed

    def _shrink(self) -> None:
        """Remove the entries unused for longest until there is some room, and temporary files that nobody writes."""
        with self._opened() as folder:
            dated = []
            for name in _names(folder, _ENTRY):
                with suppress(FileNotFoundError):  # another process was quicker
                    about = os.stat(_path(folder, name), dir_fd=_descriptor(folder), follow_symlinks=False)
                    dated.append((about.st_mtime, about.st_size, name))
            total = sum(size for _, size, _ in dated)
            if total > self.limit:
                for _, size, name in sorted(dated):
                    if total <= self.limit * 3 // 4:
                        break
                    _remove(folder, name)
                    total -= size
            for name in _names(folder, _TEMPORARY):
                with suppress(FileNotFoundError):
                    about = os.stat(_path(folder, name), dir_fd=_descriptor(folder), follow_symlinks=False)
                    if time.time() - about.st_mtime > _ABANDONED:
                        _remove(folder, name)

    @contextmanager
    def _opened(self) -> Iterator[_Folder]:
        """Open the folder and make sure that nobody else can write to it."""
        if not _POSIX:
            os.stat(self.folder)
            yield self.folder
            return
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except NotADirectoryError:
            link = os.path.islink(self.folder)
            raise UnsafeFolderError("is a symbolic link" if link else "isn't a folder") from None
        try:
            about = os.fstat(descriptor)
            if about.st_uid != os.geteuid():
                raise UnsafeFolderError("belongs to another user")
            if about.st_mode & 0o022:
                raise UnsafeFolderError("can be written by other users (remedy: chmod go-w)")
            yield descriptor
        finally:
            os.close(descriptor)

    def _say(self, error: Exception) -> None:
        """Say once why there is no cache."""
        unsafe = isinstance(error, UnsafeFolderError)
        reason = f"{self.folder} {error}" if unsafe else f"{self.folder}: {getattr(error, 'strerror', error)}"
        message = (
            f"symgrad: compiled code isn't kept for the next run: {reason}. Set cache_dir to a folder of your own, "
            "or cache_size=0 to do without."
        )
        if self.folder not in _said:
            _said.add(self.folder)
            print(message, file=sys.stderr)


_Folder = int | str
"""An open folder: its descriptor; its path where folders can't be opened."""


def _descriptor(folder: _Folder) -> int | None:
    return folder if isinstance(folder, int) else None


def _path(folder: _Folder, name: str) -> str:
    return name if isinstance(folder, int) else os.path.join(folder, name)


def _names(folder: _Folder, pattern: re.Pattern[str]) -> list[str]:
    return [name for name in os.listdir(folder) if pattern.fullmatch(name)]


def _remove(folder: _Folder, name: str) -> bool:
    """Remove a file; whether it was there. One that is open elsewhere stays (Windows)."""
    try:
        os.unlink(_path(folder, name), dir_fd=_descriptor(folder))
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        return False
    return True


def _read(folder: _Folder, name: str, renew: bool = True) -> bytes | None:
    """Return the bytes of a file, or None if others could have written it."""
    flags = os.O_RDONLY
    if _POSIX:
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # neither follows a link nor waits for a pipe's writer
    try:
        descriptor = os.open(_path(folder, name), flags | getattr(os, "O_BINARY", 0), dir_fd=_descriptor(folder))
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        return None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            return None
        if _POSIX and (about.st_uid != os.geteuid() or about.st_mode & 0o022):
            return None
        if renew and _POSIX and time.time() - about.st_mtime > _FRESH:
            with suppress(OSError):  # a folder that can only be read
                os.utime(descriptor)
        return _read_all(descriptor, about.st_size)
    finally:
        os.close(descriptor)


# Descriptors rather than file objects: an interrupt between two lines may leave one open, and that warns of nothing.


def _read_all(descriptor: int, size: int) -> bytes:
    parts = []
    while part := os.read(descriptor, size + 1):
        parts.append(part)
    return b"".join(parts)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _write(folder: _Folder, key: str, data: bytes) -> None:
    """Write an entry under a name of its own, then give it its name in one step."""
    temporary = f".{key}.{os.getpid()}.{os.urandom(6).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    where = _descriptor(folder)
    descriptor = os.open(_path(folder, temporary), flags, 0o600, dir_fd=where)
    try:
        try:
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)
        os.replace(_path(folder, temporary), _path(folder, f"{key}.code"), src_dir_fd=where, dst_dir_fd=where)
    except BaseException:
        _remove(folder, temporary)
        raise


def _content(data: bytes, key: str) -> bytes | None:
    """Return what an entry holds, or None if it isn't whole, or isn't the entry of this key."""
    if len(data) < _HEAD.size:
        return None
    magic, version, name, label, length, checksum = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if (magic, version, name) != (MAGIC, FORMAT, bytes.fromhex(key)) or len(body) != label + length:
        return None
    return bytes(body[label:]) if hashlib.sha256(body).digest() == checksum else None


def _label(data: bytes) -> str:
    size = _HEAD.unpack_from(data)[3]
    return data[_HEAD.size : _HEAD.size + size].decode(errors="replace")


def _last_used(entry: Entry) -> float:
    return entry.used


def default_folder() -> str:
    """Return where this system keeps what programs can make again.

    Examples
    --------
    >>> os.path.basename(os.path.dirname(default_folder())) != ""
    True
    """
    home = os.path.expanduser("~")
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
        return os.path.join(local, "symgrad", "Cache")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches", "symgrad")
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(chosen if os.path.isabs(chosen) else os.path.join(home, ".cache"), "symgrad")


def configured_cache() -> Cache:
    """Return the cache that the settings ask for."""
    from symgrad.config import config

    return _cache(config.cache_dir or default_folder(), config.cache_size << 20)


_caches: dict[tuple[str, int], Cache] = {}


def _cache(folder: str, limit: int) -> Cache:
    return _caches.setdefault((folder, limit), Cache(folder, limit))
