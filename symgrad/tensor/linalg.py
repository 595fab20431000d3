"""Linear algebra, by convention ``T.linalg``: NumPy's and SciPy's names, and Theano's."""

from symgrad.ops.determinants import *
from symgrad.ops.eigenvalues import *
from symgrad.ops.least_squares import *
from symgrad.ops.linalg import matmul, tensordot
from symgrad.ops.matrix_functions import *
from symgrad.ops.matrix_products import *
from symgrad.ops.norms import *
from symgrad.ops.orthogonal import *
from symgrad.ops.singular_values import *
from symgrad.ops.solving import *
from symgrad.ops.triangular import *
from symgrad.ops.vector_products import outer
