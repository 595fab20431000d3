"""Modules made of the table of rooms, and the finder that hands them out to ``import``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

from symgrad.compat.theano_names.errors import NotKeptAttributeError, NotKeptImportError
from symgrad.compat.theano_names.not_kept import advice_for
from symgrad.compat.theano_names.rooms import ROOMS

PREFIX = "theano."
OWN = "symgrad.compat.theano_names"


class Target(NamedTuple):
    """Where a name leads: an attribute of a module."""

    module: str
    attribute: str


class Room(NamedTuple):
    """One module of Theano's: where its names lead, and which modules are asked for all others."""

    names: Mapping[str, Target]
    others: Sequence[str]


@cache
def read_room(module: str) -> Room:
    """Return a room of the table, read.

    Each line of it is ``module: name name new_name=name``; ``*`` stands for all public names of the module. A module
    that begins with a dot is one of this package; ``name=`` means the module itself.

    Examples
    --------
    >>> read_room("theano.tensor.signal.downsample").names["max_pool_2d"]
    Target(module='theano.tensor.signal.pool', attribute='max_pool_2d')
    """
    names: dict[str, Target] = {}
    others = []
    source = ""
    for line in ROOMS[module].strip().splitlines():
        head, colon, rest = line.partition(":")
        if colon:
            source = OWN + head.strip() if head.strip().startswith(".") else head.strip()
        for word in (rest if colon else line).split():
            if word == "*":
                others.append(source)
                continue
            name, equals, attribute = word.partition("=")
            names[name] = Target(source, attribute if equals else name)
    return Room(names, others)


def has_room(module: str) -> bool:
    """Whether there is a module of this full name."""
    return module in ROOMS


def look_up(module: str, name: str) -> Any:
    """Return what a name of a module of Theano's means.

    Raises
    ------
    NotKeptAttributeError
        If symgrad doesn't keep it.
    AttributeError
        If there is no such name.
    """
    room = read_room(module)
    if name in room.names:
        return _member(*room.names[name])
    if has_room(f"{module}.{name}"):
        return importlib.import_module(f"{module}.{name}")
    for other in room.others:
        try:
            found = _public(other, name)
        except AttributeError:
            continue
        return found
    advice = advice_for(module, name)
    if advice is not None:
        raise NotKeptAttributeError(_refusal(f"{module}.{name}", advice))
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def _member(module: str, attribute: str) -> Any:
    if attribute and (module.startswith(PREFIX) or module == "theano"):
        return look_up(module, attribute)
    value: Any = importlib.import_module(module)
    if not attribute:
        return value
    for part in attribute.split("."):
        value = getattr(value, part)
    return value


def _public(module: str, name: str) -> Any:
    """Return a public name of a module that isn't a module itself."""
    if module.startswith(PREFIX) or module == "theano":
        return look_up(module, name)
    if name.startswith("_"):
        raise AttributeError(name)
    found = importlib.import_module(module)
    value = vars(found).get(name, _ABSENT)
    if value is _ABSENT or isinstance(value, ModuleType) or name not in getattr(found, "__all__", (name,)):
        raise AttributeError(name)
    return value


_ABSENT = object()


def _refusal(name: str, advice: str) -> str:
    return f"symgrad doesn't keep Theano's {name}. {advice}"


def names_of(module: str) -> Iterator[str]:
    """Yield the names of a module, as ``from module import *`` takes them."""
    room = read_room(module)
    yield from room.names
    for other in room.others:
        if other in ROOMS:
            yield from names_of(other)
        else:
            found = importlib.import_module(other)
            names = getattr(found, "__all__", vars(found))
            yield from (name for name in names if name[0] != "_" and not isinstance(vars(found).get(name), ModuleType))


class TheanoModule(ModuleType):
    """A module of Theano's. Each name is looked up when it is first used."""

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return [public for public in dict.fromkeys(names_of(self.__name__)) if hasattr(self, public)]
        if name.startswith("__") and name not in read_room(self.__name__).names:
            raise AttributeError(name)
        value = look_up(self.__name__, name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Importing a submodule doesn't hide a function of its name: ``theano.tensor.sort`` is both."""
        if isinstance(value, TheanoModule) and name in read_room(self.__name__).names:
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *names_of(self.__name__)})


class TheanoFinder(MetaPathFinder, Loader):
    """Finds ``theano`` and its submodules in the table."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where `import` gets a module from; None if it isn't Theano's."""
        if fullname != "theano" and not fullname.startswith(PREFIX):
            return None
        if has_room(fullname):
            return ModuleSpec(fullname, self, origin="symgrad", is_package=True)
        module, _, name = fullname.rpartition(".")
        advice = advice_for(module, name)
        if advice is not None:  # `from module import name` comes here too, where the module hasn't got the name
            raise NotKeptImportError(_refusal(fullname, advice), name=fullname)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a new module, whose names are looked up when they are used."""
        module = TheanoModule(spec.name, f"Theano's {spec.name}, in symgrad.")
        module.__dict__["__file__"] = __file__  # some programs print it
        return module

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""

    def install(self) -> None:
        """Put this finder before all others."""
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Take this finder out, and forget the modules that it made."""
        sys.meta_path.remove(self)
        for name in [name for name, module in sys.modules.items() if isinstance(module, TheanoModule)]:
            del sys.modules[name]
