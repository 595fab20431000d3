"""What a random sample is drawn with: its dtype and sizes, and how a kernel reads the distribution's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from symgrad.backends.cupy.kernel import element
from symgrad.backends.cupy.texts import LARGEST_SHORT, loaded, place, stretched_strides
from symgrad.kernels.ir.functions import DTYPES

THREADS = 128
LARGEST_COUNTS = {
    "bool": "1", "int8": "127", "uint8": "255", "int16": "32767", "uint16": "65535", "int32": "2147483647",
    "uint32": "4294967295", "float16": "65504",
}  # fmt: skip
"""The largest count that a dtype holds; the others hold every count."""


@dataclass(frozen=True)
class Sample:
    """What is drawn.

    Attributes
    ----------
    dtype : str
        The dtype of the elements.
    sizes : tuple of int
        How many draws along each axis.
    own : tuple of int
        The sizes of a draw that isn't a single number.
    shapes, dtypes : sequence
        Of the distribution's parameters.
    result : int
        Where it is among the buffers: behind the state, the parameters, and sizes that aren't read.
    """

    dtype: str
    sizes: tuple[int, ...]
    own: tuple[int, ...]
    shapes: Sequence[tuple[int, ...]]
    dtypes: Sequence[str]
    result: int

    @property
    def buffers(self) -> list[int]:
        """State, parameters, and sample."""
        return [*range(len(self.shapes) + 1), self.result]

    @property
    def count(self) -> int:
        """How many draws."""
        return prod(self.sizes)

    @property
    def bytes(self) -> int:
        """Bytes of the sample."""
        return self.count * prod(self.own) * DTYPES[self.dtype]

    @property
    def index_type(self) -> str:
        """The type that counts elements."""
        return "u32" if self.count <= LARGEST_SHORT else "u64"

    @property
    def varies(self) -> bool:
        """Whether a parameter isn't one number for all elements."""
        return any(prod(shape) != 1 for shape in self.shapes)

    def place(self, number: int, own_axes: int = 0) -> str:
        """Return where the parameter of draw `k` lies; where its own axes begin, if it has any."""
        shape = self.shapes[number]
        outer = shape[: len(shape) - own_axes]
        own = prod(shape[len(shape) - own_axes :])
        return place("k", self.sizes, [stride * own for stride in stretched_strides(outer, self.sizes)])

    def parameter(self, number: int) -> str:
        """Return a parameter of draw `k`."""
        return self.element(number, self.place(number))

    def element(self, number: int, place: str) -> str:
        """Return an element of a parameter."""
        return loaded(self.dtypes[number], f"parameter{number}[{place}]")

    def pointers(self) -> list[tuple[str, str]]:
        """Return the kernel's parameters but the last, which is where it writes."""
        given = [(f"const {element(dtype)}*", f"parameter{number}") for number, dtype in enumerate(self.dtypes)]
        return [("const u64*", "state"), *given]

    def whole(self, number: int, name: str) -> str:
        """Return statements that read a parameter that counts something, and check that it fits 64 bits with a sign."""
        text = f"const i64 {name} = (i64){self.parameter(number)};"
        return f"{text}\nif ({name} < 0) {{ FAIL(1); return; }}" if self.dtypes[number] == "uint64" else text


def no_room(sample: Sample) -> str:
    """Return the condition, behind others, that positions below ``size`` don't fit the sample's dtype."""
    most = LARGEST_COUNTS.get(sample.dtype)
    return f" || size - 1 > {most}ll" if most else ""


def indented(text: str, depth: int) -> str:
    """Return lines moved to a depth."""
    return "\n".join([" " * depth + line.strip() for line in text.strip().splitlines() if line.strip()])
