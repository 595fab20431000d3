"""The LSTM's step in NumPy, forwards and backwards by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import TrainingStep


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * np.tanh(0.5 * x) + 0.5


class NumpySequenceStep(TrainingStep):
    """A sequence workload written out in NumPy, in the dtype of the parameters that it is given."""

    def __init__(self, workload: SequenceWorkload) -> None:
        self._workload = workload
        self._inputs, self._targets = workload.sequences()
        self.load(workload.initial_parameters())

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        self._parameters = [np.array(parameter) for parameter in parameters]

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [parameter.copy() for parameter in self._parameters]

    def step(self, index: int) -> float:
        """Run one step on minibatch `index` and return its cost."""
        w, u, b = self._parameters
        x, targets = self._inputs[index].astype(w.dtype), self._targets[index].astype(w.dtype)
        gates, states, outputs = self._forwards(x, w, u, b)
        errors = outputs[1:] - targets
        dz = self._backwards(2 / errors.size * errors, gates, states, u)
        rows = dz.reshape(-1, dz.shape[-1])
        gradients = x.reshape(-1, x.shape[-1]).T @ rows, outputs[:-1].reshape(-1, u.shape[0]).T @ rows, rows.sum(0)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter -= np.asarray(self._workload.eta, w.dtype) * gradient
        return float(np.mean(errors**2))

    def _forwards(
        self, x: np.ndarray, w: np.ndarray, u: np.ndarray, b: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the gates after their functions, and c and h, both with the zeros that they start from."""
        size = self._workload.hidden
        gates = x @ w + b
        states, outputs = np.zeros((2, len(x) + 1, x.shape[1], size), w.dtype)
        for t, z in enumerate(gates):
            z += outputs[t] @ u
            z[:, : 2 * size], z[:, 3 * size :] = _sigmoid(z[:, : 2 * size]), _sigmoid(z[:, 3 * size :])
            z[:, 2 * size : 3 * size] = np.tanh(z[:, 2 * size : 3 * size])
            i, f, g, o = np.split(z, 4, axis=1)
            states[t + 1] = f * states[t] + i * g
            outputs[t + 1] = o * np.tanh(states[t + 1])
        return gates, states, outputs

    def _backwards(self, errors: np.ndarray, gates: np.ndarray, states: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return the cotangents of what the gates' functions are applied to."""
        dh, dc = np.zeros((2, *states.shape[1:]), u.dtype)
        dz = np.empty_like(gates)
        for t in range(len(errors) - 1, -1, -1):
            i, f, g, o = np.split(gates[t], 4, axis=1)
            output = np.tanh(states[t + 1])
            dh = dh + errors[t]
            dc = dc + dh * o * (1 - output**2)
            parts = dc * g * i * (1 - i), dc * states[t] * f * (1 - f), dc * i * (1 - g**2), dh * output * o * (1 - o)
            dz[t] = np.concatenate(parts, axis=1)
            dc, dh = dc * f, dz[t] @ u.T
        return dz
