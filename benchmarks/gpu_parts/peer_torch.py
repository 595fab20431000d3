"""The steps in PyTorch on a GPU: op by op, through its compiler with CUDA graphs, and captured in a graph by hand.

The networks are those of the CPU benchmarks. Where graphs are used, the minibatch's number is on the device, and the
graph counts it up itself: it is written only when minibatches don't follow one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.expressions import Expression
from benchmarks.gpu_parts.torch_block import TORCH_TYPES, BlockStep
from benchmarks.gpu_parts.workloads import Block, Product, Work, precision_of
from benchmarks.peers_torch import (
    CompiledStep,
    EagerStep,
    SequenceStep,
    TorchStep,
    eager_expression,
    functional_cost,
    functional_expression,
)
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, PeerUnavailable, TrainingStep
from benchmarks.workloads import Workload

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WARM_UP = 3

Function = Callable[[], Any]


def captured(work: Function) -> Function:
    """Return a replay of the CUDA graph of some work, which is done a few times before it is captured.

    Where there is no GPU, the work itself.
    """
    if DEVICE == "cpu":
        return work
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> Any:
        graph.replay()
        return result

    return replay


class _OnDevice:
    """A step whose tensors are on the GPU."""

    device = DEVICE

    def wait(self) -> None:
        """Return when every step that was called is done."""
        if DEVICE == "cuda":
            torch.cuda.synchronize()


class _Counted(_OnDevice):
    """A step whose minibatch is told by a number on the device, which counts itself up."""

    train_on: Callable[..., torch.Tensor]

    def count(self, batches: Sequence[torch.Tensor]) -> None:
        """Prepare the step on minibatches, the first axis of each tensor, and capture it."""
        self._batches = batches
        self._index = torch.zeros(1, dtype=torch.int64, device=DEVICE)
        self._replay = captured(self._work)
        self._expected = -1

    def _work(self) -> torch.Tensor:
        cost = self.train_on(*[batches.index_select(0, self._index).squeeze(0) for batches in self._batches])
        self._index.add_(1)
        return cost

    def step(self, index: int) -> torch.Tensor:
        """Run one step on minibatch `index` and return its cost."""
        if index != self._expected:
            self._index.fill_(index)
        self._expected = index + 1
        return self._replay()


def in_batches(values: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Return values with the minibatches along a first axis of their own; what doesn't fill one is left out."""
    count = len(values) // batch_size
    return values[: count * batch_size].reshape(count, batch_size, *values.shape[1:])


class EagerNetwork(_OnDevice, EagerStep):
    """A network, op by op."""

    def _place(self, parameter: torch.Tensor) -> torch.Tensor:
        """Filters of few channels stay as they are: channels-last memory pays with tensor cores."""
        return parameter.clone(memory_format=torch.contiguous_format).requires_grad_()


class GraphedNetwork(_Counted, EagerNetwork):
    """A network, captured."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(workload, images, labels)
        self.count([in_batches(values, workload.batch_size) for values in (self._images, self._labels)])


class EagerSequence(_OnDevice, SequenceStep):
    """A recurrent network through cuDNN, op by op."""


class GraphedSequence(_Counted, EagerSequence):
    """A recurrent network through cuDNN, captured."""

    def __init__(self, workload: SequenceWorkload) -> None:
        super().__init__(workload)
        self.count([self._inputs, self._targets])


class CompiledNetwork(_Counted, CompiledStep):
    """Selection, forward, backward and update in one compiled graph, whose tensors stay where they are."""

    def __init__(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> None:
        TorchStep.__init__(self, workload, images, labels)
        gradient_and_cost = torch.func.grad_and_value(functional_cost(workload, self._l2_factor))
        eta = workload.eta

        def train(
            parameters: list[torch.Tensor], images: torch.Tensor, labels: torch.Tensor, index: torch.Tensor
        ) -> torch.Tensor:
            minibatch = [values.index_select(0, index).squeeze(0) for values in (images, labels)]
            gradients, cost = gradient_and_cost(parameters, *minibatch)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=eta)
            index.add_(1)
            return cost

        torch._dynamo.reset()
        batches = [in_batches(values, workload.batch_size) for values in (self._images, self._labels)]
        index = self._index = torch.zeros(1, dtype=torch.int64, device=DEVICE)
        _stay(*self._parameters, *batches, index)
        compiled = torch.compile(train, fullgraph=True, mode="reduce-overhead")
        self._replay = lambda: compiled(self._parameters, *batches, index)
        self._expected = -1


def _stay(*tensors: torch.Tensor) -> None:
    """Tell the compiler that tensors are always these: otherwise their values are copied for each replay."""
    for tensor in tensors:
        torch._dynamo.mark_static_address(tensor)


class _Computed(_OnDevice, ExpressionStep):
    """The result of an expression, in a tensor that stays."""

    def __init__(self, run: Function, result: torch.Tensor) -> None:
        super().__init__(run)
        self._resident = result

    def result(self) -> np.ndarray:
        """Return a copy of the result, as float32."""
        self._compute()
        return self._resident.float().cpu().numpy().copy()


def _expression_work(expression: Expression, compute: Callable[..., torch.Tensor]) -> tuple[Any, ...]:
    """Return what computes an expression into a tensor, that tensor, and the operands."""
    arrays = [torch.from_numpy(array).to(DEVICE) for array in expression.arrays()]
    resident = torch.empty(expression.result_shape, device=DEVICE)

    def into(out: torch.Tensor, *operands: torch.Tensor) -> torch.Tensor:
        return out.copy_(compute(*operands))

    return into, resident, arrays


def _product_work(product: Product) -> tuple[Function, torch.Tensor]:
    """Return what computes a product, and where it goes."""
    dtype = TORCH_TYPES[product.precision]
    left, right = [torch.from_numpy(array).to(DEVICE, dtype) for array in product.arrays()]
    result = torch.empty(product.size, product.size, dtype=dtype, device=DEVICE)
    return lambda: torch.mm(left, right, out=result), result


class TorchPeer:
    """PyTorch, op by op."""

    title = "PyTorch eager"

    def __init__(self) -> None:
        torch.backends.cudnn.benchmark = True

    def versions(self) -> dict[str, str]:
        """Return PyTorch's version and those of the libraries that it calls."""
        found = {"torch": torch.__version__}
        if DEVICE == "cuda":
            found |= {"CUDA of torch": str(torch.version.cuda), "cuDNN of torch": str(torch.backends.cudnn.version())}
        return found

    def build(self, work: Work, images: np.ndarray, labels: np.ndarray) -> TrainingStep | ExpressionStep:
        """Return the step of some work, with TF32 where it says so and nowhere else."""
        rounded = precision_of(work) == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = rounded
        if isinstance(work, Block):
            return self.block(work)
        if isinstance(work, Product):
            return self.product(work)
        if isinstance(work, Expression):
            return self.expression(work)
        return self.sequence(work) if isinstance(work, SequenceWorkload) else self.network(work, images, labels)

    def network(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of a network."""
        return EagerNetwork(workload, images, labels)

    def sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Return the step of a recurrent network."""
        return EagerSequence(workload)

    def block(self, block: Block) -> TrainingStep:
        """Return the step of convolutions as in a large network."""
        return BlockStep(block, DEVICE)

    def product(self, product: Product) -> ExpressionStep:
        """Return the product of two matrices."""
        return _Computed(*_product_work(product))

    def expression(self, expression: Expression) -> ExpressionStep:
        """Return an expression."""
        into, resident, arrays = _expression_work(expression, eager_expression(expression))
        return _Computed(lambda: into(resident, *arrays), resident)


class TorchGraphedPeer(TorchPeer):
    """PyTorch, its steps captured in CUDA graphs by hand."""

    title = "PyTorch, CUDA graph"

    def network(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of a network."""
        return GraphedNetwork(workload, images, labels)

    def sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Return the step of a recurrent network."""
        return GraphedSequence(workload)

    def block(self, block: Block) -> TrainingStep:
        """Return the step of convolutions as in a large network."""
        return BlockStep(block, DEVICE, captured)

    def product(self, product: Product) -> ExpressionStep:
        """Return the product of two matrices."""
        work, result = _product_work(product)
        return _Computed(captured(work), result)

    def expression(self, expression: Expression) -> ExpressionStep:
        """Return an expression."""
        into, resident, arrays = _expression_work(expression, eager_expression(expression))
        return _Computed(captured(lambda: into(resident, *arrays)), resident)


class TorchCompilePeer(TorchPeer):
    """PyTorch through its compiler, which captures CUDA graphs itself."""

    title = "torch.compile"

    def network(self, workload: Workload, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of a network."""
        return CompiledNetwork(workload, images, labels)

    def sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Say that there is nothing to compile."""
        raise PeerUnavailable("torch.compile leaves PyTorch's LSTM as it is")

    def block(self, block: Block) -> TrainingStep:
        """Return the step of convolutions as in a large network."""
        torch._dynamo.reset()
        return BlockStep(block, DEVICE, compiled=True)

    def product(self, product: Product) -> ExpressionStep:
        """Say that there is nothing to compile."""
        raise PeerUnavailable("it is one call of a library")

    def expression(self, expression: Expression) -> ExpressionStep:
        """Return an expression."""
        torch._dynamo.reset()
        into, resident, arrays = _expression_work(expression, functional_expression(expression))
        _stay(resident, *arrays)
        compiled = torch.compile(into, fullgraph=True, mode="reduce-overhead")
        return _Computed(lambda: compiled(resident, *arrays), resident)
