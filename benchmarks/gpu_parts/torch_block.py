"""Convolutions as in a large network, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.gpu_parts.workloads import Block
from benchmarks.steps import TrainingStep

TORCH_TYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}


def block_cost(dtype: torch.dtype) -> Callable[[list[torch.Tensor]], torch.Tensor]:
    """Return the block's cost as a function of x and the convolutions' parameters."""

    def cost_of(parameters: list[torch.Tensor]) -> torch.Tensor:
        output, *rest = parameters
        for w, b in zip(rest[::2], rest[1::2], strict=True):
            output = functional.relu(functional.conv2d(output, w.to(dtype), b.to(dtype), padding=1))
        return functional.max_pool2d(output, 2).float().square().mean()

    return cost_of


class BlockStep(TrainingStep):
    """The step of a block; with tensor cores, in channels-last memory, which they want.

    Parameters
    ----------
    block : Block
        What is computed.
    device : str
        Where.
    wrapped : callable
        What the whole step goes through, such as a capture.
    compiled : bool
        Whether it goes through PyTorch's compiler, which captures it too.
    """

    def __init__(
        self,
        block: Block,
        device: str,
        wrapped: Callable[[Callable[[], Any]], Callable[[], Any]] | None = None,
        compiled: bool = False,
    ) -> None:
        self._device, self._eta, dtype = device, block.eta, TORCH_TYPES[block.precision]
        layout = torch.contiguous_format if block.precision == "float32" else torch.channels_last
        x, *rest = [torch.from_numpy(value).to(device) for value in block.initial_parameters()]
        values = [x.to(dtype), *rest]
        self._parameters = [
            value.clone(memory_format=layout if value.ndim == 4 else torch.contiguous_format) for value in values
        ]
        self._cost_of = block_cost(dtype)
        if compiled:
            self._work = self._compiled()
        else:
            for parameter in self._parameters:
                parameter.requires_grad_()
            self._work = wrapped(self._train) if wrapped else self._train

    def _train(self) -> torch.Tensor:
        cost = self._cost_of(self._parameters)
        gradients = torch.autograd.grad(cost, self._parameters)
        with torch.no_grad():
            torch._foreach_add_(self._parameters[:1], gradients[:1], alpha=-self._eta)
            torch._foreach_add_(self._parameters[1:], gradients[1:], alpha=-self._eta)
        return cost.detach()

    def _compiled(self) -> Callable[[], torch.Tensor]:
        gradient_and_cost, eta = torch.func.grad_and_value(self._cost_of), self._eta

        def train(parameters: list[torch.Tensor]) -> torch.Tensor:
            gradients, cost = gradient_and_cost(parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=eta)
            return cost

        for parameter in self._parameters:
            torch._dynamo.mark_static_address(parameter)
        step = torch.compile(train, fullgraph=True, mode="reduce-overhead")
        return lambda: step(self._parameters)

    def step(self, index: int) -> torch.Tensor:
        """Run one step and return its cost."""
        return self._work()

    def wait(self) -> None:
        """Return when every step that was called is done."""
        if self._device == "cuda":
            torch.cuda.synchronize()

    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters."""
        with torch.no_grad():
            for mine, value in zip(self._parameters, parameters, strict=True):
                mine.copy_(torch.from_numpy(value))

    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters, as float32."""
        return [parameter.detach().float().cpu().numpy().copy() for parameter in self._parameters]
