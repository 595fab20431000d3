"""Sparse matrices: SciPy's, in graphs. By convention ``import symgrad.sparse as S``.

>>> import scipy.sparse, symgrad, symgrad.sparse as S, symgrad.tensor as T
>>> x, w = S.csr_matrix('x', 'float64'), T.dvector('w')
>>> cost = T.sum(S.structured_dot(x, w) ** 2)
>>> f = symgrad.function([x, w], symgrad.grad(cost, w))
>>> print(f(scipy.sparse.csr_matrix([[0., 2.], [1., 0.]]), [1., 1.]))
[2. 8.]
"""

from symgrad.sparse.functions import *
from symgrad.sparse.types import SparseType
from symgrad.sparse.variables import *
from symgrad.sparse.variables import CONSTRUCTORS as _CONSTRUCTORS
from symgrad.sparse.variables import as_sparse_variable

as_sparse = as_sparse_variable

globals().update(_CONSTRUCTORS)
