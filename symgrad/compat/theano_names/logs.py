"""Theano's logger."""

from __future__ import annotations

import logging

theano_logger = logging.getLogger("theano")
logging_default_handler = logging.StreamHandler()


def has_handlers(logger: logging.Logger) -> bool:
    """Return whether a logger, or one above it, has a handler.

    Examples
    --------
    >>> has_handlers(logging.Logger("new"))
    False
    """
    return logger.hasHandlers()


def disable_log_handler(
    logger: logging.Logger = theano_logger, handler: logging.Handler = logging_default_handler
) -> None:
    """Take the default handler away from a logger that has others."""
    if len(logger.handlers) > 1 and handler in logger.handlers:
        logger.removeHandler(handler)
