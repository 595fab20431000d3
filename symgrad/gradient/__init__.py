"""Derivatives of expressions, as expressions."""

from symgrad.gradient.check import verify_grad
from symgrad.gradient.forward import Rop
from symgrad.gradient.reverse import grad

__all__ = ["Rop", "grad", "verify_grad"]
