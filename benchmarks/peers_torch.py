"""The step in PyTorch: eager, and as one graph through torch.compile.

Both are written as the framework runs them fastest: labels and images resident, the minibatch a view, matrices laid out
as those of its Linear module, filters of the eager step in channels-last memory, the squared weights' gradient folded
into the update where autograd would only copy. PyTorch correlates and its matrices are (n_out, n_in), so filters are
flipped and matrices transposed on their way in and out.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from benchmarks.steps import Peer, PeerUnavailable, TrainingStep
from benchmarks.workloads import ConvolutionPoolLayer, Layer, SoftmaxLayer, Workload

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def _layer_output(layer: Layer, inputs: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the output of one layer; of a softmax layer, the logits."""
    if isinstance(layer, ConvolutionPoolLayer):
        pooled = functional.max_pool2d(functional.conv2d(inputs, w), 2)
        return ACTIVATIONS[layer.activation](pooled + b[:, None, None])
    inputs = inputs.flatten(1)
    if layer.dropout:
        inputs = inputs * torch.empty_like(inputs).bernoulli_(1 - layer.dropout)
    output = functional.linear(inputs, w, b)
    return output if isinstance(layer, SoftmaxLayer) else ACTIVATIONS[layer.activation](output)


def _negative_log_likelihood(
    layers: tuple[Layer, ...], parameters: Sequence[torch.Tensor], inputs: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the mean negative log-likelihood of a minibatch."""
    for position, layer in enumerate(layers):
        inputs = _layer_output(layer, inputs, parameters[2 * position], parameters[2 * position + 1])
    return functional.cross_entropy(inputs, labels)


def _converted(parameter: torch.Tensor) -> torch.Tensor:
    """Return a parameter in PyTorch's layout, or back: filters flipped, matrices transposed."""
    if parameter.ndim == 4:
        return parameter.flip(2, 3)
    return parameter.t() if parameter.ndim == 2 else parameter


class TorchStep(TrainingStep):
    """What both steps share: the resident data set and the parameters."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        self._workload = workload
        self._images = torch.from_numpy(images)
        if workload.image_shape:
            self._images = self._images.view(-1, *workload.image_shape)
        self._labels = torch.from_numpy(labels)
        self._l2_factor = workload.l2_factor(len(images))
        self._parameters = [self._place(_converted(torch.from_numpy(p))) for p in workload.initial_parameters()]

    def _place(self, parameter: torch.Tensor) -> torch.Tensor:
        """Return a parameter of the step that starts with these values."""
        return parameter.clone(memory_format=torch.contiguous_format)

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        with torch.no_grad():
            for mine, value in zip(self._parameters, parameters, strict=True):
                mine.copy_(_converted(torch.from_numpy(value)))

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [_converted(parameter.detach()).numpy().copy() for parameter in self._parameters]


class EagerStep(TorchStep):
    """Autograd for the likelihood, in-place foreach updates."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(workload, images, labels)
        self._weights = [p.detach() for p in self._parameters[0::2]]
        self._decay = 1.0 - 2.0 * workload.eta * self._l2_factor

    def _place(self, parameter: torch.Tensor) -> torch.Tensor:
        """Filters go in channels-last memory, which makes the convolutions and their pooling faster."""
        layout = torch.channels_last if parameter.ndim == 4 else torch.contiguous_format
        return parameter.clone(memory_format=layout).requires_grad_()

    def step(self, index: int) -> torch.Tensor:
        """Run one step on minibatch `index` and return its cost."""
        workload, parameters = self._workload, self._parameters
        start, stop = index * workload.batch_size, (index + 1) * workload.batch_size
        images, labels = self._images[start:stop], self._labels[start:stop]
        likelihood = _negative_log_likelihood(workload.layers, parameters, images, labels)
        gradients = torch.autograd.grad(likelihood, parameters)
        with torch.no_grad():
            cost = likelihood.detach()
            if self._l2_factor:
                norms = torch.stack(torch._foreach_norm(self._weights))
                cost = cost + self._l2_factor * torch.dot(norms, norms)
                torch._foreach_mul_(self._weights, self._decay)
            torch._foreach_add_(parameters, gradients, alpha=-workload.eta)
        return cost


class CompiledStep(TorchStep):
    """Selection, forward, backward and update in one compiled graph."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(workload, images, labels)
        layers, batch_size, eta, l2_factor = workload.layers, workload.batch_size, workload.eta, self._l2_factor

        def cost_of(parameters: list[torch.Tensor], images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            cost = _negative_log_likelihood(layers, parameters, images, labels)
            if l2_factor:
                cost = cost + l2_factor * sum((w * w).sum() for w in parameters[0::2])
            return cost

        gradient_and_cost = torch.func.grad_and_value(cost_of)

        def train(
            parameters: list[torch.Tensor], images: torch.Tensor, labels: torch.Tensor, index: int
        ) -> torch.Tensor:
            start = index * batch_size
            minibatch = images[start : start + batch_size], labels[start : start + batch_size]
            gradients, cost = gradient_and_cost(parameters, *minibatch)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=eta)
            return cost

        torch._dynamo.reset()
        self._train = torch.compile(train, fullgraph=True)

    def step(self, index: int) -> torch.Tensor:
        """Run one step on minibatch `index` and return its cost."""
        return self._train(self._parameters, self._images, self._labels, index)


class TorchEagerPeer(Peer):
    """PyTorch, op by op."""

    title = "PyTorch eager"

    def __init__(self) -> None:
        torch.set_num_threads(1)

    def versions(self) -> dict[str, str]:
        """Return PyTorch's version."""
        return {"torch": torch.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return EagerStep(workload, images, labels)


class TorchCompilePeer(TorchEagerPeer):
    """PyTorch through its compiler, which needs a C++ compiler on the machine."""

    title = "torch.compile"

    def __init__(self) -> None:
        super().__init__()
        if not any(shutil.which(compiler) for compiler in ("g++", "clang++", "c++")):
            raise PeerUnavailable("torch.compile needs a C++ compiler (g++ or clang++), and there is none on PATH")

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return CompiledStep(workload, images, labels)
