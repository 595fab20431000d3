"""Ways to run functions: backends, fused or not, numbers of threads, processors. All must give the same results.

A test that has the fixture ``combination`` runs on the native backend as it is; on each of the others, a share of the
tests runs. ``pytest --all-combinations`` runs each test on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from unittest import mock
from zlib import crc32

import pytest


@dataclass(frozen=True)
class Combination:
    """Settings to run with.

    Attributes
    ----------
    name : str
        What tests are called by.
    settings : mapping
        Of `symgrad.config`.
    share : int
        Of so many tests one is run.
    parallel : bool
        Whether kernels use threads however little work they have, and programs let other threads run.
    """

    name: str
    settings: Mapping[str, Any]
    share: int = 1
    parallel: bool = False

    @contextmanager
    def used(self) -> Iterator[Combination]:
        """Run with these settings."""
        import symgrad  # not earlier: the tests' settings of BLAS come first

        with ExitStack() as stack:
            stack.enter_context(symgrad.config.change_flags(**self.settings))
            if self.parallel:
                from symgrad.backends.native import table

                stack.enter_context(mock.patch.object(table, "SINGLE_THREAD_WORK", 0))
                stack.enter_context(mock.patch.object(table, "RELEASE_WORK", 0))
            yield self


COMBINATIONS = {
    each.name: each
    for each in (
        Combination("native", {"backend": "native"}),
        Combination("numpy", {"backend": "numpy"}, 2),
        Combination("unfused", {"backend": "native", "fusion": False}, 4),
        Combination("2 threads", {"backend": "native", "threads": 2}, 2, parallel=True),
        Combination("avx2", {"backend": "native", "cpu_features": "avx2"}, 4),
        Combination("sse2", {"backend": "native", "cpu_features": "sse2"}, 2),
    )
}


def is_possible(combination: Combination) -> bool:
    """Whether this machine can run a combination."""
    from symgrad.backends.native.llvm.host import host
    from symgrad.errors import ConfigError

    if combination.settings["backend"] == "native" and find_spec("llvmlite") is None:
        return False
    try:
        host(combination.settings.get("cpu_features"))
    except ConfigError:
        return False
    return True


def names_for(number: int, everything: bool) -> list[str]:
    """Return the combinations for one of many tests: every second is run on the native backend as it is."""
    if everything:
        return list(COMBINATIONS)
    others = list(COMBINATIONS)[1:]
    return ["native" if number % 2 == 0 else others[number // 2 % len(others)]]


def share_of(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return those of the collected tests that are run without ``--all-combinations``, and the others."""
    chosen, others = [], []
    for item in items:
        callspec = getattr(item, "callspec", None)
        given = callspec.params if callspec is not None else {}
        combination = COMBINATIONS.get(given.get("combination", ""))
        share = 1 if combination is None or "batch" in given else combination.share
        (others if crc32(item.nodeid.encode()) % share else chosen).append(item)
    return chosen, others
