"""Products of vectors, matrices and stacks of matrices."""

from symgrad.backends.cupy.products.kernels import PRODUCTS, product_calls

__all__ = ["PRODUCTS", "product_calls"]
