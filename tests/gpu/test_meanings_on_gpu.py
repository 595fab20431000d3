"""What CuPy computes for ops without kernels is what their NumPy meaning computes; NumPy and SciPy stand in for CuPy."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from symgrad.backends.cupy.calls import ArrayCall
from symgrad.backends.cupy.meanings import MEANINGS, array_call
from symgrad.graph.op import InferenceError, Op, Sample
from symgrad.kernels.grammar import Evaluate
from symgrad.lowering.steps import lower

raised: list[str] = []


@contextlib.contextmanager
def errstate(linalg: str) -> Iterator[None]:
    raised.append(linalg)
    yield


def slogdet(x: np.ndarray) -> tuple[Any, Any]:
    return tuple(np.linalg.slogdet(x))


def solve_triangular(a: np.ndarray, b: np.ndarray, lower: bool, unit_diagonal: bool) -> np.ndarray:
    """Solve equations whose stacks agree, as CuPy's does and SciPy's doesn't everywhere."""
    assert a.shape[:-2] == b.shape[:-2] and a.flags.c_contiguous and b.flags.c_contiguous
    result = np.empty_like(b)
    for index in np.ndindex(*a.shape[:-2]):
        result[index] = scipy.linalg.solve_triangular(a[index], b[index], lower=lower, unit_diagonal=unit_diagonal)
    return result


def expm(x: np.ndarray) -> np.ndarray:
    assert x.ndim == 2
    return scipy.linalg.expm(x)


class OnHost(ModuleType):
    """NumPy under CuPy's name."""

    def __getattr__(self, name: str) -> Any:
        return {"asnumpy": np.asarray}.get(name) or getattr(np, name)


@pytest.fixture(autouse=True)
def cupy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    modules = {
        "cupyx": SimpleNamespace(errstate=errstate),
        "cupyx.scipy.linalg": SimpleNamespace(solve_triangular=solve_triangular, expm=expm),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    return OnHost("cupy")


def examples() -> list[Any]:
    """Return the samples of the ops that CuPy computes."""
    found = []
    for name in MEANINGS:
        module, _, kind = name.rpartition(".")
        for number, (op, sample) in enumerate(getattr(importlib.import_module(module), kind).samples()):
            found.append(pytest.param(op, sample, id=f"{kind}-{number}"))
    return found


def kernel_of(op: Op, sample: Sample) -> Evaluate | None:
    """Return the kernel that lowering makes of an op, or None if it can't be applied to this sample."""
    from symgrad.graph.closed import ClosedGraph
    from symgrad.graph.types import TensorType
    from symgrad.graph.variables import Variable, make_constant

    operands = [make_constant(array) if array.ndim == 0 else Variable(TensorType(array.dtype.name, array.shape))
                for array in sample.arguments]  # fmt: skip
    try:
        outputs = op(*operands)
    except Exception as error:
        assert sample.error is not None and isinstance(error, (sample.error, InferenceError))
        return None
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    graph = ClosedGraph([operand for operand in operands if type(operand) is Variable], outputs)
    (step,) = lower(graph)
    assert isinstance(step.kernel, Evaluate)
    return step.kernel
