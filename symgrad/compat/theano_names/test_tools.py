"""``theano.tests.unittest_tools``: what Theano's own tests, and those of programs, are written with."""

from __future__ import annotations

import re
import unittest
from collections.abc import Sequence
from typing import Any
from unittest import SkipTest

import numpy as np

from symgrad.compat.theano_names.configuration import theano_config
from symgrad.errors import GradientError
from symgrad.gradient import verify_grad as verify_grad_with


def fetch_seed(pseed: Any = None) -> int | None:
    """Return the seed of tests: what the setting ``unittests.rseed`` says; None where it says ``random``."""
    seed = theano_config.get_value("unittests.rseed") if pseed is None else pseed
    return None if seed in (None, "random") else int(seed)


def seed_rng(pseed: Any = None) -> int | None:
    """Seed NumPy's own generator, and return the seed."""
    seed = fetch_seed(pseed)
    np.random.seed(seed)
    return seed


def verify_grad(op: Any, pt: Any, n_tests: int = 2, rng: Any = None, *arguments: Any, **options: Any) -> None:
    """Compare a gradient with finite differences, from a generator that is seeded as tests are."""
    generator = np.random.RandomState(fetch_seed()) if rng is None else rng
    verify_grad_with(op, pt, n_tests, generator, *arguments, **options)


verify_grad.E_grad = GradientError  # type: ignore[attr-defined]


class WrongValue(Exception):
    """Two values differ more than they may."""

    def __init__(self, expected_val: Any, val: Any, rtol: float, atol: float) -> None:
        super().__init__(f"expected {expected_val!r:.200}, got {val!r:.200}; rtol {rtol}, atol {atol}")
        self.val1, self.val2, self.rtol, self.atol = expected_val, val, rtol, atol


def str_diagnostic(expected: Any, value: Any, rtol: float, atol: float) -> str:
    """Return what is to be said about two values that differ."""
    return str(WrongValue(expected, value, rtol, atol))


def custom_name_func(testcase_func: Any, param_num: Any, param: Any) -> str:
    """Return a parameterized test's name: that of its function, and its arguments."""
    arguments = "_".join(str(argument) for argument in param.args)
    return f"{testcase_func.__name__}_{re.sub('[^a-zA-Z0-9_]+', '_', arguments)}"


def assert_allclose(expected: Any, value: Any, rtol: float | None = None, atol: float | None = None) -> None:
    """Raise `WrongValue` unless two values are nearly equal."""
    a, b = np.asarray(expected), np.asarray(value)
    narrow = {np.dtype("float16"), np.dtype("float32"), np.dtype("complex64")} & {a.dtype, b.dtype}
    tolerance = 1e-2 if np.dtype("float16") in narrow else 1e-4 if narrow else 1e-5
    relative, absolute = (tolerance if given is None else given for given in (rtol, atol))
    if not np.allclose(a, b, relative, absolute, equal_nan=True):
        raise WrongValue(expected, value, relative, absolute)


def is_close(a: Any, b: Any, rtol: float | None = None, atol: float | None = None) -> bool:
    """Return whether two values are nearly equal."""
    try:
        assert_allclose(a, b, rtol, atol)
    except WrongValue:
        return False
    return True


class InferShapeTester(unittest.TestCase):
    """Checks that sizes are known to the graph as they turn out to be."""

    def setUp(self) -> None:
        """Seed NumPy's generator."""
        seed_rng()

    def _compile_and_check(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        numeric_inputs: Sequence[Any],
        cls: Any,
        excluding: Any = None,
        warn: bool = True,
        check_topo: bool = True,
    ) -> None:
        """Compare the sizes of outputs with those that the graph computes."""
        from symgrad.compat.theano_names.calling import function

        values = function(list(inputs), list(outputs), on_unused_input="ignore")(*numeric_inputs)
        sizes = function(list(inputs), [o.shape for o in outputs], on_unused_input="ignore")(*numeric_inputs)
        for value, size in zip(values, sizes, strict=True):
            self.assertEqual(tuple(np.shape(value)), tuple(int(one) for one in size))


class TestOptimizationMixin:
    """Checks of what rewriting made of a function's graph; a test case derives from it too."""

    def assertFunctionContains(self, f: Any, op: Any, min: int = 1, max: int | None = None) -> None:
        """Check how many nodes of a function's graph apply an op, given as an instance, a class or classes."""
        is_class = isinstance(op, type | tuple)
        nodes = f.maker.fgraph.toposort()
        count = sum(isinstance(node.op, op) if is_class else node.op == op for node in nodes)
        most = len(nodes) if max is None else max
        if not min <= count <= most:
            raise AssertionError(f"the graph has {count} nodes of {op}, and should have {min} to {most}")

    def assertFunctionContains0(self, f: Any, op: Any) -> None:
        """Check that no node applies an op."""
        self.assertFunctionContains(f, op, 0, 0)

    def assertFunctionContains1(self, f: Any, op: Any) -> None:
        """Check that one node applies an op."""
        self.assertFunctionContains(f, op, 1, 1)

    def assertFunctionContainsN(self, f: Any, op: Any, N: int) -> None:
        """Check that a number of nodes apply an op."""
        self.assertFunctionContains(f, op, N, N)

    def assertFunctionContainsClass(self, f: Any, op: Any, min: int = 1, max: int | None = None) -> None:
        """Check how many nodes apply an op of a class."""
        self.assertFunctionContains(f, op, min, max)

    def assertFunctionContainsClassN(self, f: Any, op: Any, N: int) -> None:
        """Check that a number of nodes apply an op of a class."""
        self.assertFunctionContains(f, op, N, N)

    def SkipTest(self, msg: str = "Skip this test") -> None:
        """Leave a test out."""
        raise unittest.SkipTest(msg)


def assertFailure_fast(f: Any) -> Any:
    """Return a test that is to fail, as one that passes if it does."""
    from functools import wraps

    @wraps(f)
    def failing(*args: Any, **kwargs: Any) -> None:
        try:
            f(*args, **kwargs)
        except Exception:
            return
        raise AssertionError(f"{f.__name__} should have failed")

    return failing


class AttemptManyTimes:
    """Decorates a test that may fail by chance: it passes if it passes often enough."""

    def __init__(self, n_attempts: int, n_req_successes: int = 1) -> None:
        if n_attempts < n_req_successes:
            raise AssertionError("n_attempts must be at least n_req_successes")
        self.n_attempts = n_attempts
        self.n_req_successes = n_req_successes

    def __call__(self, test: Any) -> Any:
        """Return the test, repeated."""
        from functools import wraps

        @wraps(test)
        def repeated(*args: Any, **kwargs: Any) -> None:
            left = self.n_req_successes
            for attempt in range(self.n_attempts):
                try:
                    test(*args, **kwargs)
                    left -= 1
                except AssertionError:
                    if self.n_attempts - attempt - 1 < left:
                        raise
                if left == 0:
                    return

        return repeated


def attr(name: str) -> Any:
    """Return a decorator that marks a test, which changes nothing."""

    def mark(test: Any) -> Any:
        return test

    return mark


class MockRandomState:
    """Stands for a generator, and returns one value for ever."""

    def __init__(self, val: Any) -> None:
        self.val = val

    def randint(self, minval: Any, maxval: Any = None, size: Any = 1) -> np.ndarray:
        """Return the value, as integers."""
        return self.val + minval + np.zeros(size, "int64")

    def uniform(self, low: Any = 0, high: Any = 1, size: Any = 1) -> np.ndarray:
        """Return the value, as floats."""
        return self.val + np.zeros(size)


__all__ = [
    "AttemptManyTimes", "InferShapeTester", "MockRandomState", "SkipTest", "TestOptimizationMixin", "WrongValue",
    "assertFailure_fast", "assert_allclose", "attr", "custom_name_func", "fetch_seed",
    "seed_rng", "str_diagnostic", "verify_grad", "verify_grad_with",
]  # fmt: skip
