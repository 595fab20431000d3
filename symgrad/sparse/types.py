"""The type of sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import InferenceError, Op
from symgrad.graph.types import NUMPY_DTYPES, Type, dtype_name

FORMATS = ("csr", "csc", "bsr")


class SparseType(Type):
    """The type of sparse matrices: SciPy's ``csr_matrix``, ``csc_matrix`` and ``bsr_matrix``. Sizes stay open.

    Parameters
    ----------
    format : {'csr', 'csc', 'bsr'}
        How elements are kept: by rows, by columns, or in blocks.
    dtype : str or dtype
        Of the elements.

    Examples
    --------
    >>> SparseType("csr", "float32")
    SparseType('csr', 'float32')
    """

    __slots__ = ("dtype", "format")

    dtype: str
    format: str
    ndim = 2
    shape = (None, None)
    broadcastable = (False, False)
    is_static = False

    def __init__(self, format: str, dtype: Any, broadcastable: Any = None) -> None:
        if format not in FORMATS:
            raise DTypeError(f"sparse matrices have the formats {', '.join(FORMATS)}, not {format!r}")
        object.__setattr__(self, "format", format)
        object.__setattr__(self, "dtype", dtype_name(dtype))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a SparseType can't be changed; make a new one with another {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return SparseType, (self.format, self.dtype)

    @property
    def numpy_dtype(self) -> np.dtype:
        """The dtype as NumPy's object."""
        return NUMPY_DTYPES[self.dtype]

    @property
    def variable_class(self) -> Any:
        """The class of its variables."""
        from symgrad.sparse.variables import SparseVariable

        return SparseVariable

    @property
    def scipy_class(self) -> Any:
        """SciPy's class of the values."""
        import scipy.sparse

        return getattr(scipy.sparse, f"{self.format}_matrix")

    def check_use(self, op: Op) -> None:
        """Raise unless an op takes sparse matrices."""
        if not op.takes_any_type:
            raise InferenceError(
                DTypeError, f"{op.name} takes tensors, and no sparse matrices",
                "Look for it in symgrad.sparse, or make the matrix dense: symgrad.sparse.dense_from_sparse(x).",
            )  # fmt: skip

    def convert(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """Return `value` as a matrix of this type: another format is converted, and so is a dense matrix.

        Raises
        ------
        DTypeError
            If information would be lost, or `value` isn't made of numbers.
        ShapeError
            If it isn't a matrix.
        """
        kind = self.scipy_class
        if type(value) is kind and value.dtype == self.numpy_dtype:
            return value
        if strict:
            raise DTypeError(f"expected exactly {self}, got {type(value).__name__} (strict)")
        given = value if hasattr(value, "tocsr") else np.asarray(value)
        if given.dtype.name not in NUMPY_DTYPES:
            raise DTypeError(f"expected {self}, got {type(value).__name__}, which isn't made of numbers")
        if given.ndim != 2:
            raise ShapeError(f"expected {self}, got {given.ndim} axes")
        if not allow_downcast and not np.can_cast(given.dtype, self.numpy_dtype, "safe"):
            raise DTypeError(
                f"expected {self}, got {given.dtype.name}, which would lose information; "
                f"convert it with .astype({self.dtype!r}), or pass allow_input_downcast=True"
            )
        return kind(given, dtype=self.numpy_dtype)

    def accepts(self, other: Type) -> bool:
        """Return whether a value of type `other` may stand where this type is declared."""
        return self == other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SparseType) and (self.format, self.dtype) == (other.format, other.dtype)

    def __hash__(self) -> int:
        return hash((self.format, self.dtype))

    def __str__(self) -> str:
        return f"sparse {self.format} {self.dtype}"

    def __repr__(self) -> str:
        return f"SparseType({self.format!r}, {self.dtype!r})"
