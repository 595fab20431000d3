"""Training with floats of 16 bits: products of rounded operands, and gradients that are scaled so that they stay."""

from symgrad.half_precision.loss_scale import LossScale
from symgrad.half_precision.mixed import mixed_precision

__all__ = ["LossScale", "mixed_precision"]
