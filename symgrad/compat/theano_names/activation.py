"""Turning Theano's names and semantics on, for the process or for a block."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from symgrad.compat.theano_names.configuration import settings_to_change, theano_config
from symgrad.compat.theano_names.errors import RealTheanoError
from symgrad.compat.theano_names.finder import TheanoFinder, TheanoModule
from symgrad.compat.theano_names.meanings import set_meanings
from symgrad.compat.theano_names.methods import add_methods
from symgrad.compat.theano_names.ufuncs import set_ufuncs
from symgrad.config import config

_FINDER = TheanoFinder()


def activate() -> None:
    """Make ``import theano`` mean symgrad from now on, with Theano's semantics and settings.

    Raises
    ------
    RealTheanoError
        If Theano itself has been imported already.
    ConfigError
        If ``THEANO_FLAGS`` or ``.theanorc`` hold a value that a setting doesn't take.
    """
    if _FINDER in sys.meta_path:
        return
    _refuse_real_theano()
    theano_config.load_from_process()
    theano_config.apply()
    add_methods()
    set_meanings(of_theano=True)
    set_ufuncs(of_theano=True)
    _FINDER.install()
    importlib.import_module("theano")  # whoever looks into sys.modules finds it


@contextmanager
def activated(**flags: object) -> Iterator[ModuleType]:
    """Theano's names and semantics hold in this block: for tests. `flags` are settings of Theano's.

    Yields
    ------
    module
        ``theano``.
    """
    was_active = _FINDER in sys.meta_path
    kept = theano_config.values()
    with config.change_flags(**settings_to_change()):
        try:
            theano_config.load({})
            theano_config.apply()
            for name, value in flags.items():
                theano_config.set_value(name, value)
            add_methods()
            set_meanings(of_theano=True)
            set_ufuncs(of_theano=True)
            if not was_active:
                _refuse_real_theano()
                _FINDER.install()
            yield importlib.import_module("theano")
        finally:
            if not was_active:
                _FINDER.remove()
                set_meanings(of_theano=False)
                set_ufuncs(of_theano=False)
            theano_config.restore(kept)


def _refuse_real_theano() -> None:
    found = sys.modules.get("theano")
    if found is not None and not isinstance(found, TheanoModule):
        raise RealTheanoError(
            f"Theano itself is imported already, from {getattr(found, '__file__', 'an unknown place')}. "
            "Put `import symgrad.compat.theano` before every `import theano`."
        )
