"""All functions of `symgrad.sparse`, for the methods of variables."""

from symgrad.sparse.arithmetic import *
from symgrad.sparse.comparisons import *
from symgrad.sparse.conversion import *
from symgrad.sparse.indexing import *
from symgrad.sparse.joining import *
from symgrad.sparse.parts import *
from symgrad.sparse.products import *
from symgrad.sparse.structured import *
from symgrad.sparse.sums import *
