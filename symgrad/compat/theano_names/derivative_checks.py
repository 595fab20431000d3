"""``theano.tests.test_rop``: the checks of forward and reverse mode that tests of ops derive from."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np

import symgrad
from symgrad import tensor as T
from symgrad.compat.theano_names.calling import function
from symgrad.compat.theano_names.configuration import theano_config
from symgrad.compat.theano_names.test_tools import assert_allclose, fetch_seed, seed_rng


class RopLop_checker(unittest.TestCase):
    """A test case with a vector `x` and a matrix `mx`, whose functions it compares with their Jacobian matrices."""

    def setUp(self) -> None:
        """Make the variables, and the directions `v` and `mv`."""
        seed_rng()
        self.rng = np.random.RandomState(fetch_seed())
        self.x, self.v, self.mx, self.mv = T.vector("x"), T.vector("v"), T.matrix("mx"), T.matrix("mv")
        self.in_shape = (5 + self.rng.randint(3),)
        self.mat_in_shape = (5 + self.rng.randint(3), 5 + self.rng.randint(3))

    def check_nondiff_rop(self, y: Any) -> None:
        """Check that `y` has no forward derivative along `x`."""
        with self.assertRaises(ValueError):
            symgrad.Rop(y, self.x, self.v)

    def check_rop_lop(self, y: Any, out_shape: Any) -> None:
        """Compare both derivatives of a function of the vector with its Jacobian matrix."""
        self._check(y, self.x, self.v, self._drawn(self.in_shape), out_shape)

    def check_mat_rop_lop(self, y: Any, out_shape: Any) -> None:
        """Compare both derivatives of a function of the matrix with its Jacobian matrix."""
        self._check(y, self.mx, self.mv, self._drawn(self.mat_in_shape), out_shape)

    def _drawn(self, shape: Any) -> np.ndarray:
        return np.asarray(self.rng.uniform(size=shape), str(theano_config.get_value("floatX")))

    def _check(self, y: Any, x: Any, direction: Any, value: np.ndarray, out_shape: Any) -> None:
        along, weights = self._drawn(value.shape), self._drawn(out_shape)
        weight = T.TensorType(y.dtype, [False] * y.ndim)("weights")
        results = [y.flatten(), symgrad.Rop(y, x, direction), symgrad.Lop(y, x, weight)]
        jacobian = symgrad.jacobian(results[0], x, disconnected_inputs="ignore")
        run = function([x, direction, weight], [*results, jacobian], on_unused_input="ignore")
        flat, forward, reverse, matrix = run(value, along, weights)
        matrix = matrix.reshape(flat.size, value.size)
        assert_allclose(np.reshape(matrix @ along.ravel(), forward.shape), forward)
        assert_allclose(np.reshape(weights.ravel() @ matrix, reverse.shape), reverse)


__all__ = ["RopLop_checker"]
