"""Rewriting: rules with names, in phases, that keep what a graph means and change what it costs."""

from symgrad.rewriting.engine import PHASES, RULES, Rule, rewrite

from symgrad.rewriting import canonicalize, convolution, convolution_native, products  # isort: skip  # they enter their
from symgrad.rewriting import diagonals, joining, randomness, specialize, stabilize  # isort: skip  # rules, in this order

__all__ = [
    "PHASES", "RULES", "Rule", "canonicalize", "convolution", "convolution_native", "diagonals", "joining", "products",
    "randomness", "rewrite", "specialize", "stabilize",
]  # fmt: skip
