"""``config.threads``: BLAS uses that many threads while a function runs, and as many as before afterwards."""

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.backends.numpy import library, threads


def counts():
    return [get() for get, _ in threads.blas_controls()]


@pytest.mark.skipif(not threads.blas_controls(), reason="NumPy's BLAS isn't OpenBLAS")
@pytest.mark.parametrize("wanted", [1, 2])
def test_blas_threads_follow_the_configuration(wanted, monkeypatch):
    seen = []
    original = library.ROUTINES["dot"]

    def watched(attributes, workspace):
        run = original(attributes, workspace)

        def spy(*operands, **options):
            seen.append(counts())
            return run(*operands, **options)

        return spy

    monkeypatch.setitem(library.ROUTINES, "dot", watched)
    x = T.dmatrix("x")
    with symgrad.config.change_flags(threads=wanted, backend="numpy"):
        f = symgrad.function([x], T.dot(x, x))
        before = counts()
        f(np.eye(3))
        with pytest.raises(ValueError):
            f(np.ones((2, 3)))
    assert seen and all(count == wanted for found in seen for count in found)
    assert counts() == before
