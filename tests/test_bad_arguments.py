"""Arguments that make no sense: each function of the language raises on purpose, never from inside NumPy or Python."""

from __future__ import annotations

import inspect
import itertools
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.sparse as S
import symgrad.tensor as T
import symgrad.tensor.fft
import symgrad.tensor.linalg
import symgrad.tensor.nnet
from symgrad.errors import SymgradError
from symgrad.ops.elementwise_op import ElementwiseFunction

HOME = str(Path(symgrad.__file__).parent)
SENSIBLE = [
    T.dmatrix("m"), T.dvector("v"), T.lscalar("n"), T.zmatrix("z"), T.bvector("b"), T.dtensor4("t"),
    S.csr_matrix("s", "float64"),
]  # fmt: skip
SENSELESS = [
    None, "abc", object(), [], [1, "a"], (), {}, -1, 1.5, float("nan"), [[1, 2], [3]], np.array(["x"]), slice(None),
    T.dmatrix, int,
]  # fmt: skip
CALLS = 25


def functions_of(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, thing in sorted(vars(module).items()):
        is_constructor = getattr(thing, "__module__", "").endswith(("constructors", "sparse.variables"))
        if isinstance(thing, FunctionType | ElementwiseFunction) and not name.startswith("_") and not is_constructor:
            yield name, thing


def calls_of(function: Callable[..., Any], random: np.random.RandomState) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Arguments for a function: any for those that it needs, and sensible ones with any for one that has a default."""
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    optional = [p.name for p in parameters if p.default is not p.empty]
    every = [*SENSIBLE, *SENSELESS]
    for number in range(CALLS):
        keywords = {}
        if optional and number % 2:
            keywords[optional[number // 2 % len(optional)]] = every[random.randint(len(every))]
        pool = SENSIBLE if keywords else every
        yield [pool[random.randint(len(pool))] for _ in needed], keywords


def is_on_purpose(error: Exception) -> bool:
    """Whether a statement of symgrad raised an error, or Python did, because the call doesn't fit the signature."""
    if isinstance(error, SymgradError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename.startswith(HOME)]
    return not inside or (frames[-1] is inside[-1] and (frames[-1].line or "").startswith("raise"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module", [T, T.nnet, T.linalg, T.fft, S], ids=["T", "nnet", "linalg", "fft", "sparse"])
def test_senseless_arguments_are_refused(module: ModuleType) -> None:
    raw = []
    refused = itertools.count()
    for name, function in functions_of(module):
        random = np.random.RandomState(sum(map(ord, name)))
        for arguments, keywords in calls_of(function, random):
            try:
                function(*arguments, **keywords)
            except Exception as error:
                next(refused)
                if not is_on_purpose(error):
                    place = traceback.extract_tb(error.__traceback__)[-1]
                    raw.append(f"{name}({arguments}, {keywords}): {type(error).__name__}: {error} ({place.filename}:"
                               f"{place.lineno})")  # fmt: skip
    assert not raw, "\n".join(raw)
    assert next(refused) > 100
