"""The one error for Theano's names that aren't kept."""

from __future__ import annotations

from symgrad.errors import SymgradError


class NotKeptError(SymgradError):
    """A name of Theano's that symgrad doesn't keep; the text says what to write instead."""


class NotKeptAttributeError(NotKeptError, AttributeError):
    """The name was looked up in its module: ``hasattr`` and ``getattr`` with a default see that it isn't there."""


class NotKeptImportError(NotKeptError, ImportError):
    """The name was imported: ``except ImportError`` takes the other way that a program has."""


class RealTheanoError(SymgradError, ImportError):
    """Theano itself has been imported before symgrad could stand in for it."""
