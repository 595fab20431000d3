"""What CuPy computes for ops without kernels is what their NumPy meaning computes; NumPy and SciPy stand in for it."""

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

from symgrad.backends.cupy.calls import StoppedError
from symgrad.backends.cupy.libraries.meanings import MEANINGS, array_call
from symgrad.errors import SymgradError
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Op, Sample
from symgrad.graph.types import TensorType
from symgrad.kernels.grammar import Evaluate
from symgrad.lowering.steps import lower
from symgrad.ops.matrix_functions import MatrixFunction
from symgrad.ops.solving import Inverse
from symgrad.ops.triangular import Cholesky, SolveTriangular

raised: list[str] = []


@contextlib.contextmanager
def errstate(linalg: str) -> Iterator[None]:
    raised.append(linalg)
    yield


def slogdet(x: np.ndarray) -> tuple[Any, Any]:
    return tuple(np.linalg.slogdet(x))


def solve_triangular(a: np.ndarray, b: np.ndarray, lower: bool, unit_diagonal: bool) -> np.ndarray:
    """Solve equations as CuPy does: stacks must agree, and nothing is said of zeros on a diagonal."""
    assert a.shape[:-2] == b.shape[:-2] and a.flags.c_contiguous and b.flags.c_contiguous
    result = np.empty_like(b)
    for index in np.ndindex(*a.shape[:-2]):
        if not unit_diagonal and 0 in np.diag(a[index]):
            result[index] = np.inf
            continue
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


def kernel_of(op: Op, arguments: Any) -> Evaluate:
    """Return the kernel that lowering makes of an op of operands of unknown sizes."""
    operands = [TensorType(array.dtype.name, (None,) * array.ndim)() for array in arguments]
    outputs = op(*operands)
    graph = ClosedGraph(tuple(operands), tuple(outputs) if isinstance(outputs, list | tuple) else (outputs,), (), ())
    (step,) = lower(graph)
    assert isinstance(step.kernel, Evaluate)
    return step.kernel


@pytest.mark.parametrize(("op", "sample"), examples())
def test_what_cupy_computes_is_what_the_op_means(cupy: ModuleType, op: Op, sample: Sample) -> None:
    try:
        kernel = kernel_of(op, sample.arguments)
    except SymgradError as error:
        assert sample.error is not None and isinstance(error, sample.error)
        return
    dtypes = [array.dtype.name for array in sample.arguments]
    call = array_call(kernel, [*dtypes, "float64"], len(dtypes))
    if call is None:
        assert dtypes[0].startswith("complex") != kernel.attributes[0][1].endswith("Fourier") or op in NOT_IN_CUPY
        return
    try:
        wanted = op.evaluate(*sample.arguments)
    except (SymgradError, ValueError):
        with pytest.raises(StoppedError):
            call.run(cupy, *sample.arguments)
        return
    found = call.run(cupy, *sample.arguments)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        tolerance = 2e-5 if other.dtype in ("float32", "complex64") else 1e-12
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


NOT_IN_CUPY = [Cholesky("nan"), *[MatrixFunction(function) for function in ("logm", "sqrtm", "cosm", "sinm")]]


def test_a_matrix_that_has_no_factor_stops_the_call(cupy: ModuleType) -> None:
    x = np.array([[1.0, 2.0], [2.0, 1.0]])
    call = array_call(kernel_of(Cholesky(), [x]), ["float64"] * 2, 1)
    assert call is not None
    raised.clear()
    with pytest.raises(StoppedError):
        call.run(cupy, x)
    assert raised == ["raise"]
    assert array_call(kernel_of(Cholesky("nan"), [x]), ["float64"] * 2, 1) is None


def test_a_triangle_with_a_zero_on_its_diagonal_stops_the_call(cupy: ModuleType) -> None:
    a, b = np.array([[1.0, 0.0], [2.0, 0.0]]), np.ones((2, 1))
    call = array_call(kernel_of(SolveTriangular(True), [a, b]), ["float64"] * 3, 2)
    assert call is not None
    with pytest.raises(StoppedError):
        call.run(cupy, a, b)


def test_ops_of_the_user_are_not_taken_for_ours() -> None:
    def evaluate(x: np.ndarray) -> list[np.ndarray]:
        return [x]

    assert array_call(Evaluate("inv", evaluate), ["float64"] * 2, 1) is None
    assert array_call(Evaluate("inv", evaluate, (("op", "mine.Inverse"),)), ["float64"] * 2, 1) is None
    ours = kernel_of(Inverse(), [np.eye(2)])
    assert array_call(ours, ["float64"] * 2, 1) is not None
    assert array_call(ours, ["float16"] * 2, 1) is None
    assert ours == Evaluate(ours.name, ours.evaluate)
