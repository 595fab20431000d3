"""Convolution, bias and activation as one op. Made by rewriting only, for backends with kernels for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels import reference
from symgrad.kernels.grammar import Kernel, Library
from symgrad.kernels.reference_conv_pool import ACTIVATIONS
from symgrad.ops.conv import Conv2d
from symgrad.ops.promotion import upcast
from symgrad.ops.sampling import spread


@register
@dataclass(frozen=True)
class ConvBias(Op):
    """Convolution of images (N, C, H, W) with filters (K, C, h, w), with bias (K,) and activation.

    Made by rewriting only.

    Its outputs are the activated images, and with `has_linear` those before the activation.

    Parameters
    ----------
    convolution : Conv2d
        The convolution alone.
    activation : str
        A function of `symgrad.kernels.reference_conv_pool.ACTIVATIONS`, or "none".
    has_linear : bool
        Whether there is a second output.
    """

    convolution: Conv2d
    activation: str = "none"
    has_linear: bool = False

    @property
    def name(self) -> str:
        return "conv_bias"

    def infer(self, image: Any, filters: Any, bias: Any) -> list[TensorType]:
        self.convolution.check(image.type, filters.type)
        shape = self.convolution.output_shape(image.type.shape, filters.type.shape)
        if bias.type.ndim != 1 or (bias.type.shape[0] not in (shape[1], None) and shape[1] is not None):
            raise InferenceError(ShapeError, f"{self.name} needs a bias of {shape[1]} numbers, got {bias.type}")
        return [TensorType(upcast(image.type.dtype, filters.type.dtype), shape)] * (2 if self.has_linear else 1)

    def evaluate(self, image: np.ndarray, filters: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        linear = reference.conv2d(image, filters, **self.convolution.parameters) + bias[:, None, None]
        output = linear if self.activation == "none" else ACTIVATIONS[self.activation].numpy(linear)
        return [output, linear] if self.has_linear else [output]

    def lower(self, apply: Apply) -> Kernel:
        options = ("activation", self.activation), ("has_linear", self.has_linear)
        return Library("conv_bias", (*self.convolution.attributes, *options))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for convolution, sample in Conv2d.samples():
            if sample.error is None and isinstance(convolution, Conv2d):
                image, filters = sample.arguments
                arguments = image, filters, spread(len(filters), dtype=image.dtype.name, start=7)
                for op in (cls(convolution), cls(convolution, "tanh"), cls(convolution, "rectify", True)):
                    yield op, Sample(arguments, differentiable=False)
        yield cls(Conv2d(((0, 0), (0, 0)))), Sample((*arguments[:2], spread(len(filters) + 1)), ShapeError)
