"""Lowering: kernels with their operands, and the plan that says where each result lives."""

from symgrad.lowering.steps import Step, lower

__all__ = ["Step", "lower"]
