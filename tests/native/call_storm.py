"""Run by tests in a process of its own: random calls, right and wrong, of functions on two backends.

Arguments: how many calls, the first seed, ``threads`` to let kernels use two threads and other Python threads run
meanwhile, names of cases (all if none). Standard output: what differs, and the number of calls that were made.
"""

from __future__ import annotations

import faulthandler
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from call_cases import CASES, Case
from odd_arguments import odd_argument

import symgrad

BACKENDS = ("numpy", "native")
ROUND = 25
"""So many calls are made of one pair of functions."""
READ_ONLY = "read-only"
TOLERANCES = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-10, "complex64": 2e-5, "complex128": 1e-10}

Outcome = tuple[str, Any, str]


def outcome_of(call: Callable[[], Any]) -> Outcome:
    """Return what a call returns, or the error that it raises."""
    try:
        result = call()
    except Exception as error:
        return "error", type(error), re.sub("0x[0-9a-f]+", "0x", str(error))
    if isinstance(result, dict):
        return "dict", list(result.values()), ",".join(result)
    if isinstance(result, list):
        return "list", result, ""
    return "one", [result], ""


def difference(expected: Any, found: Any) -> str:
    """Return how two arrays differ; nothing if they are the same to rounding."""
    if type(expected) is not type(found) or expected.dtype != found.dtype or expected.shape != found.shape:
        return f"{type(expected)} {expected.dtype} {expected.shape} became {type(found)} {found.dtype} {found.shape}"
    tolerance = TOLERANCES.get(expected.dtype.name, 0.0)
    with np.errstate(all="ignore"):
        finite = np.abs(expected[np.isfinite(expected)])
        scale = finite.max(initial=1.0)
        same = np.allclose(found, expected, rtol=10 * tolerance, atol=tolerance * scale, equal_nan=True)
    return "" if same else f"{expected} became {found}"


def difference_of_outcomes(expected: Outcome, found: Outcome) -> str:
    """Return how two outcomes differ."""
    if expected[0] != found[0] or expected[2] != found[2] or expected[0] == "error":
        return "" if expected == found else f"{expected} became {found}"
    pairs = zip(expected[1], found[1], strict=True)
    return "; ".join(filter(None, [difference(left, right) for left, right in pairs]))


def aliases(outcome: Outcome, arguments: Sequence[Any], case: Case) -> str:
    """Return which memory a result shares with something that isn't the caller's."""
    if outcome[0] == "error":
        return ""
    given = [argument for argument in arguments if isinstance(argument, np.ndarray)]
    others = [*given, *[shared.get_value(borrow=True) for shared in case.shared]]
    for number, result in enumerate(outcome[1]):
        if any(np.may_share_memory(result, other) for other in [*others, *outcome[1][:number]]):
            return f"result {number} isn't the caller's own"
    return ""


def contents(argument: Any) -> Any:
    """Return the bytes of an argument."""
    return argument.tobytes() if isinstance(argument, np.ndarray) and argument.dtype != object else None


class Pair:
    """The same function on two backends, and random calls of it."""

    def __init__(self, name: str, random: np.random.Generator) -> None:
        self.name, self.random = name, random
        self.cases: list[Case] = []
        for backend in BACKENDS:
            with symgrad.config.change_flags(backend=backend):
                self.cases.append(CASES[name]())
        self.log: list[str] = []

    def step(self) -> str:
        """Make one call on both; return what differs."""
        if self.random.random() < 0.1:
            self.change_shared()
        wanted = self.cases[0].wanted
        oddity = float(self.random.choice([0.0, 0.3, 0.8]))
        recipes = [odd_argument(each, self.random, oddity) for each in wanted]
        odd_call = self.random.random()
        if odd_call < 0.02 and recipes:
            recipes.pop()
        elif odd_call < 0.04:
            recipes.append(odd_argument(wanted[0], self.random, oddity) if wanted else lambda shared: 1)
        by_name = int(self.random.integers(len(recipes) + 1)) if self.random.random() < 0.1 else len(recipes)
        self.log.append(", ".join(getattr(recipe, "__name__", "?") for recipe in recipes))
        outcomes = [self.call(case, recipes, by_name) for case in self.cases]
        if READ_ONLY in outcomes[0][0][2]:
            self.renew()
            return ""
        texts = [difference_of_outcomes(*[outcome for outcome, _ in outcomes]), *[text for _, text in outcomes]]
        return "; ".join(filter(None, [*texts, self.difference_of_shared()]))

    def call(self, case: Case, recipes: Sequence[Callable[[Any], Any]], by_name: int) -> tuple[Outcome, str]:
        """Make the arguments and the call; return the outcome, and what is wrong besides."""
        arguments = [recipe(case.shared) for recipe in recipes]
        names = [str(spec.name) for spec in case.function.inputs] + ["more"]
        keywords = dict(zip(names[by_name:], arguments[by_name:], strict=False))
        before = [contents(argument) for argument in arguments]
        storage = [shared.get_value(borrow=True) for shared in case.shared]
        outcome = outcome_of(lambda: case.function(*arguments[:by_name], **keywords))
        text = aliases(outcome, arguments, case)
        for argument, content in zip(arguments, before, strict=True):
            own = not any(isinstance(argument, np.ndarray) and np.may_share_memory(argument, s) for s in storage)
            if own and contents(argument) != content:
                text += "; an argument has changed"
        return outcome, text

    def renew(self) -> None:
        """Give all shared variables new storage: NumPy refuses what is read-only, the native backend copies it."""
        for left, right in zip(*[case.shared for case in self.cases], strict=True):
            left.set_value(left.get_value())
            right.set_value(left.get_value())

    def change_shared(self) -> None:
        """Replace or disturb a shared variable on both sides, in the same way."""
        count = len(self.cases[0].shared)
        if not count:
            return
        number, seed, way = int(self.random.integers(count)), int(self.random.integers(2**60)), self.random.integers(7)
        self.log.append(f"shared {number}: way {way}")
        for case in self.cases:
            try:
                disturb(case.shared[number], int(way), np.random.default_rng(seed))
            except Exception as error:
                self.log.append(f"  {type(error).__name__}: {error}")

    def difference_of_shared(self) -> str:
        texts = []
        for left, right in zip(*[case.shared for case in self.cases], strict=True):
            text = difference(left.get_value(), right.get_value())
            if text:
                texts.append(f"{left}: {text}")
        return "; ".join(texts)


def disturb(shared: Any, way: int, random: np.random.Generator) -> None:
    """Do something to a shared variable between two calls."""
    value = shared.get_value()
    if way == 0:
        shared.set_value(value)
    elif way == 1:
        shared.set_value(np.asfortranarray(value), borrow=True)
    elif way == 2:
        value.flags.writeable = False
        shared.set_value(value, borrow=True)
    elif way == 3:
        sizes = [max(size + int(random.integers(-1, 2)), 0) for size in value.shape]
        shared.set_value(np.resize(value, sizes), borrow=True)
    elif way == 4:
        shared.set_value(np.stack([value, value])[1], borrow=True)
    elif way == 5:
        shared.get_value(borrow=True).flags.writeable = False
    else:
        shared.set_value(value.astype("float64"), borrow=True)


def use_threads() -> None:
    """Use threads however little work there is."""
    from symgrad.backends.native import table

    table.SINGLE_THREAD_WORK = table.RELEASE_WORK = 0
    symgrad.config.threads = 2


def main(count: int, seed: int, names: Sequence[str]) -> None:
    faulthandler.enable()
    if "threads" in names:
        use_threads()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    chosen = [name for name in names if name in CASES] or list(CASES)
    made, failures = 0, 0
    pairs: dict[str, Pair] = {}
    while made < count and failures < 10:
        for name in chosen:
            random = np.random.default_rng([seed, made])
            pair = pairs.get(name)
            if pair is None or random.random() < 0.02:
                pair = pairs[name] = Pair(name, random)
            pair.random = random
            for _ in range(ROUND):
                made += 1
                text = pair.step()
                if text:
                    failures += 1
                    story = "\n  ".join(pair.log[-4:])
                    print(f"{name} (seed {seed}, call {made}): {text}\n  after {story}", flush=True)
                    del pairs[name]
                    break
    print(f"{made} calls", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
