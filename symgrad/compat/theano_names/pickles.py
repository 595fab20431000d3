"""``theano.misc.pkl_utils``: objects in a zip file, each array a member that NumPy can read."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np

from symgrad.graph.residence import on_device
from symgrad.graph.variables import Container, SharedVariable

OBJECT = "pkl"


class _ArrayPickler(pickle.Pickler):
    """Puts arrays beside the pickle."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, protocol: int) -> None:
        super().__init__(file, protocol)
        self._archive = archive
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []
        self._arrived: list[Any] = []

    def persistent_id(self, value: Any) -> str | None:
        """Return the member that holds an array; None leaves other objects in the pickle."""
        if isinstance(value, SharedVariable) and value.name:
            self._names.setdefault(id(value.container.value), value.name)
            return None
        if type(value) is not np.ndarray or value.dtype.hasobject:
            return None
        member = self._member(value)
        if member not in self._archive.namelist():
            with self._archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, value, allow_pickle=False)
            self._kept.append(value)
        return member

    def reducer_override(self, value: Any) -> Any:
        """Bring what lies on a device to the host under the name of its variable; leave the rest as it is."""
        if not isinstance(value, Container) or not on_device(value.value):
            return NotImplemented
        host = value.on_host()
        self._arrived.append(host)  # an id is good for as long as its array lives
        if id(value.value) in self._names:
            self._names[id(host)] = self._names[id(value.value)]
        return Container, (host,)

    def _member(self, value: np.ndarray) -> str:
        written = {id(array): number for number, array in enumerate(self._kept)}
        if id(value) not in self._names or (id(value) not in written and self._taken(self._names[id(value)])):
            self._names[id(value)] = f"array_{len(self._kept)}"
        return self._names[id(value)]

    def _taken(self, name: str) -> bool:
        return name in self._archive.namelist() or name == OBJECT


class _ArrayUnpickler(pickle.Unpickler):
    """Finds arrays beside the pickle."""

    def __init__(self, file: Any, archive: zipfile.ZipFile) -> None:
        super().__init__(file)
        self._archive = archive
        self._read: dict[str, np.ndarray] = {}

    def persistent_load(self, member: str) -> np.ndarray:
        """Return the array of a member."""
        if member not in self._read:
            with self._archive.open(member) as file:
                self._read[member] = np.lib.format.read_array(file, allow_pickle=False)
        return self._read[member]


def dump(obj: Any, file_handler: Any, protocol: int = pickle.DEFAULT_PROTOCOL, persistent_id: Any = None) -> None:
    """Write an object to a file that is open for bytes.

    Parameters
    ----------
    obj : object
        What to write; shared variables that have names give them to their arrays.
    file_handler : file
        Where to.
    protocol : int
        Of pickle.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> dump({"weights": np.arange(3)}, file)
    >>> load(file)
    {'weights': array([0, 1, 2])}
    """
    with zipfile.ZipFile(file_handler, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        content = io.BytesIO()
        _ArrayPickler(content, archive, protocol).dump(obj)
        archive.writestr(OBJECT, content.getvalue())


def load(f: Any, persistent_load: Any = None) -> Any:
    """Read an object that `dump` wrote. As with all pickles: only from those you trust."""
    with zipfile.ZipFile(f, "r") as archive, archive.open(OBJECT) as file:
        return _ArrayUnpickler(io.BytesIO(file.read()), archive).load()
