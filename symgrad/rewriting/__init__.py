"""Rewriting: rules with names, in phases, that keep what a graph means and change what it costs."""

from symgrad.rewriting.engine import PHASES, RULES, Rule, rewrite

from symgrad.rewriting import canonicalize, convolution, randomness, specialize, stabilize  # isort: skip  # they enter their rules

__all__ = ["PHASES", "RULES", "Rule", "canonicalize", "convolution", "randomness", "rewrite", "specialize", "stabilize"]
