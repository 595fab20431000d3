"""Settings: one typed table, files and environment variables that fill it, and the object that holds the values.

``symgrad/__init__.py`` says ``from symgrad.config import config``, so that the attribute ``symgrad.config`` is the
`Config` object, not this package. Imports still find the package, in ``sys.modules``, and the object hands out the
package's public names and submodules as its attributes. No submodule may therefore have the name of a setting.
"""

from __future__ import annotations

from symgrad.config.configuration import ChangedFlags, Config
from symgrad.config.devices import device_problem, resolve_device
from symgrad.config.kinds import text_of
from symgrad.config.settings import DEBUG_STAGES, SETTINGS, Setting, find_setting
from symgrad.config.sources import Assignment, load_from_process, load_settings

__all__ = [
    "DEBUG_STAGES",
    "SETTINGS",
    "Assignment",
    "ChangedFlags",
    "Config",
    "Setting",
    "config",
    "device_problem",
    "find_setting",
    "load_settings",
    "resolve_device",
    "text_of",
]

config = Config(load_from_process())
"""The settings of this process."""
