"""Rewriting: rules with names, in phases, that keep what a graph means and change what it costs."""

from symgrad.rewriting.engine import PHASES, RULES, Rule, rewrite

from symgrad.rewriting import canonicalize, convolution, convolution_native, products  # isort: skip  # they enter their
from symgrad.rewriting import diagonals, half_precision, joining, randomness  # isort: skip  # rules, in this order
from symgrad.rewriting import specialize, stabilize  # isort: skip

__all__ = [
    "PHASES", "RULES", "Rule", "canonicalize", "convolution", "convolution_native", "diagonals", "half_precision",
    "joining", "products", "randomness", "rewrite", "specialize", "stabilize",
]  # fmt: skip
