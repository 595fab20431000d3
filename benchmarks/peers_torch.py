"""The step in PyTorch: eager, and as one graph through torch.compile.

Both are written as the framework runs them fastest: labels and images resident, the minibatch a view, matrices laid out
as those of its Linear module, filters of the eager step in channels-last memory, the squared weights' gradient folded
into the update where autograd would only copy. PyTorch correlates and its matrices are (n_out, n_in), so filters are
flipped and matrices transposed on their way in and out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch.nn import functional

from benchmarks.expressions import SCALE, SHIFT, Expression
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, Peer, PeerUnavailable, TrainingStep
from benchmarks.workloads import ConvolutionPoolLayer, Layer, NormalizedLayer, SoftmaxLayer, Workload

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def _layer_output(layer: Layer, inputs: torch.Tensor, parameters: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the output of one layer; of a softmax layer, the logits."""
    if isinstance(layer, NormalizedLayer):
        w, gamma, beta = parameters
        z = functional.linear(inputs, w)
        normal = functional.batch_norm(z, None, None, gamma, beta, training=True, eps=layer.epsilon)
        return ACTIVATIONS[layer.activation](normal)
    w, b = parameters
    if isinstance(layer, ConvolutionPoolLayer):
        pooled = functional.max_pool2d(functional.conv2d(inputs, w), 2)
        return ACTIVATIONS[layer.activation](pooled + b[:, None, None])
    inputs = inputs.flatten(1)
    if layer.dropout:
        inputs = inputs * torch.empty_like(inputs).bernoulli_(1 - layer.dropout)
    output = functional.linear(inputs, w, b)
    return output if isinstance(layer, SoftmaxLayer) else ACTIVATIONS[layer.activation](output)


def _negative_log_likelihood(
    workload: Workload, parameters: Sequence[torch.Tensor], inputs: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the mean negative log-likelihood of a minibatch."""
    for layer, own in zip(workload.layers, workload.by_layer(parameters), strict=True):
        inputs = _layer_output(layer, inputs, own)
    return functional.cross_entropy(inputs, labels)


def _converted(parameter: torch.Tensor) -> torch.Tensor:
    """Return a parameter in PyTorch's layout, or back: filters flipped, matrices transposed."""
    if parameter.ndim == 4:
        return parameter.flip(2, 3)
    return parameter.t() if parameter.ndim == 2 else parameter


class TorchStep(TrainingStep):
    """What both steps share: the resident data set and the parameters."""

    device = "cpu"
    """Where everything is."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        self._workload = workload
        self._images = torch.from_numpy(images).to(self.device)
        if workload.image_shape:
            self._images = self._images.view(-1, *workload.image_shape)
        self._labels = torch.from_numpy(labels).to(self.device)
        self._l2_factor = workload.l2_factor(len(images))
        initial = [torch.from_numpy(value).to(self.device) for value in workload.initial_parameters()]
        self._parameters = [self._place(_converted(value)) for value in initial]

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
        return [_converted(parameter.detach()).cpu().numpy().copy() for parameter in self._parameters]


class EagerStep(TorchStep):
    """Autograd for the likelihood, in-place foreach updates."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(workload, images, labels)
        self._weights = [w.detach() for w in workload.weights(self._parameters)]
        self._decay = 1.0 - 2.0 * workload.eta * self._l2_factor

    def _place(self, parameter: torch.Tensor) -> torch.Tensor:
        """Filters go in channels-last memory, which makes the convolutions and their pooling faster."""
        layout = torch.channels_last if parameter.ndim == 4 else torch.contiguous_format
        return parameter.clone(memory_format=layout).requires_grad_()

    def step(self, index: int) -> torch.Tensor:
        """Run one step on minibatch `index` and return its cost."""
        start, stop = index * self._workload.batch_size, (index + 1) * self._workload.batch_size
        return self.train_on(self._images[start:stop], self._labels[start:stop])

    def train_on(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Run one step on a minibatch and return its cost."""
        workload, parameters = self._workload, self._parameters
        likelihood = _negative_log_likelihood(workload, parameters, images, labels)
        gradients = torch.autograd.grad(likelihood, parameters)
        with torch.no_grad():
            cost = likelihood.detach()
            if workload.l1:
                cost = cost + workload.l1 * torch.stack(torch._foreach_norm(self._weights, 1)).sum()
                signs = torch._foreach_sign(self._weights)
            if self._l2_factor:
                norms = torch.stack(torch._foreach_norm(self._weights))
                cost = cost + self._l2_factor * torch.dot(norms, norms)
                torch._foreach_mul_(self._weights, self._decay)
            if workload.l1:
                torch._foreach_add_(self._weights, signs, alpha=-workload.eta * workload.l1)
            torch._foreach_add_(parameters, gradients, alpha=-workload.eta)
        return cost


def functional_cost(workload: Workload, l2_factor: float) -> Callable[..., torch.Tensor]:
    """Return the cost as a function of parameters, images and labels, penalties included."""

    def cost_of(parameters: list[torch.Tensor], images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        cost = _negative_log_likelihood(workload, parameters, images, labels)
        weights = workload.weights(parameters)
        if l2_factor:
            cost = cost + l2_factor * sum((w * w).sum() for w in weights)
        if workload.l1:
            cost = cost + workload.l1 * sum(w.abs().sum() for w in weights)
        return cost

    return cost_of


class CompiledStep(TorchStep):
    """Selection, forward, backward and update in one compiled graph."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(workload, images, labels)
        batch_size, eta = workload.batch_size, workload.eta
        gradient_and_cost = torch.func.grad_and_value(functional_cost(workload, self._l2_factor))

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


class SequenceStep(TrainingStep):
    """PyTorch's own LSTM, autograd, in-place foreach updates; of its two biases, one stays zero."""

    device = "cpu"
    """Where everything is."""

    def __init__(self, workload: SequenceWorkload) -> None:
        self._inputs, self._targets = [torch.from_numpy(array).to(self.device) for array in workload.sequences()]
        self._eta = workload.eta
        self._network = torch.nn.LSTM(workload.n_in, workload.hidden, device=self.device)
        torch.nn.init.zeros_(self._network.bias_hh_l0).requires_grad_(False)
        network = self._network
        self._parameters = [network.weight_ih_l0, network.weight_hh_l0, network.bias_ih_l0]
        self.load(workload.initial_parameters())

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        with torch.no_grad():
            for mine, value in zip(self._parameters, parameters, strict=True):
                mine.copy_(_converted(torch.from_numpy(value)))

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters."""
        return [_converted(parameter.detach()).cpu().numpy().copy() for parameter in self._parameters]

    def step(self, index: int) -> torch.Tensor:
        """Run one step on minibatch `index` and return its cost."""
        return self.train_on(self._inputs[index], self._targets[index])

    def train_on(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Run one step on a minibatch and return its cost."""
        outputs, _ = self._network(inputs)
        cost = functional.mse_loss(outputs, targets)
        gradients = torch.autograd.grad(cost, self._parameters)
        with torch.no_grad():
            torch._foreach_add_(self._parameters, gradients, alpha=-self._eta)
        return cost.detach()


def _chain(x: torch.Tensor) -> torch.Tensor:
    """Return the chain of elementwise functions."""
    return torch.sigmoid(SCALE * x + SHIFT) * torch.tanh(x) + x * x


FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "chain": _chain,
    "softmax": partial(torch.softmax, dim=-1),
    "logsumexp": partial(torch.logsumexp, dim=-1),
}


def eager_expression(expression: Expression) -> Callable[..., torch.Tensor]:
    """Return an expression as a function of its arrays, through autograd if it is a gradient."""
    function = FUNCTIONS[expression.function]
    if not expression.gradient:
        return function

    def gradient(x: torch.Tensor, cotangent: torch.Tensor | None = None) -> torch.Tensor:
        x = x.detach().requires_grad_()
        value = function(x)
        return torch.autograd.grad(value if cotangent is not None else value.sum(), x, cotangent)[0]

    return gradient


def functional_expression(expression: Expression) -> Callable[..., torch.Tensor]:
    """Return an expression as a function that the compiler can trace."""
    function = FUNCTIONS[expression.function]
    if not expression.gradient:
        return function

    def total(x: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        value = function(x)
        return (value if c is None else value * c).sum()

    return torch.func.grad(total)


def _expression_step(
    expression: Expression,
    compute: Callable[..., torch.Tensor],
    compiler: Callable[[Callable[..., torch.Tensor]], Callable[..., torch.Tensor]],
) -> ExpressionStep:
    """Return the step that computes an expression, through `compiler`."""
    arrays = [torch.from_numpy(array) for array in expression.arrays()]
    if not expression.in_place:
        compiled = compiler(compute)
        return ExpressionStep(lambda: compiled(*arrays))
    resident = torch.empty(expression.result_shape)

    def into(out: torch.Tensor, *operands: torch.Tensor) -> torch.Tensor:
        return out.copy_(compute(*operands))

    compiled = compiler(into)
    return ExpressionStep(lambda: compiled(resident, *arrays))


def as_it_is(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return the function: nothing compiles it."""
    return function


class TorchEagerPeer(Peer):
    """PyTorch, op by op."""

    title = "PyTorch eager"

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def versions(self) -> dict[str, str]:
        """Return PyTorch's version."""
        return {"torch": torch.__version__}

    def build(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`."""
        return EagerStep(workload, images, labels)

    def build_sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Return the step of a recurrent network."""
        return SequenceStep(workload)

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Return the step of `expression`."""
        return _expression_step(expression, eager_expression(expression), as_it_is)


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

    def build_sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Say that there is nothing to compile."""
        raise PeerUnavailable("torch.compile leaves PyTorch's LSTM as it is")

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Return the step of `expression`."""
        torch._dynamo.reset()
        return _expression_step(expression, functional_expression(expression), partial(torch.compile, fullgraph=True))
