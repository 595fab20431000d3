"""What the kernels that correlate share: where pixels come from, and what becomes of sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symgrad.backends.correlation import Correlation, Pair
from symgrad.backends.cupy.convolutions.writing import Buffer, Dtypes, element_bytes

PLAIN_PIXELS = """
    // Where in its plane the pixel at a row and a column of a padded image lies; -1 for zeros around and between.
    auto locate = [&](int row, int column) {
        row -= BEFORE_DOWN;
        column -= BEFORE_ACROSS;
        if (SPREAD_DOWN > 1 || SPREAD_ACROSS > 1) {
            if (row < 0 || column < 0 || row % SPREAD_DOWN || column % SPREAD_ACROSS) return -1;
            row /= SPREAD_DOWN;
            column /= SPREAD_ACROSS;
        }
        return (u32)row < HEIGHT && (u32)column < WIDTH ? row * WIDTH + column : -1;
    };
    // The pixel there; planes are the channels of images.
    auto pixel = [&](i64 plane, int located) {
        return located < 0 ? A(0) : A(read(images[plane * (HEIGHT * WIDTH) + located]));
    };
"""

SPARSE_PIXELS = """
    // Which window and which of its places the pixel at a row and a column of a padded image is; -1 for zeros around.
    auto locate = [&](int row, int column) {
        row -= BEFORE_DOWN;
        column -= BEFORE_ACROSS;
        int down = row / SPARSE_DOWN, across = column / SPARSE_ACROSS;
        if (row < 0 || column < 0 || down >= POOLED_HEIGHT || across >= POOLED_WIDTH) return -1;
        int place = (row - down * SPARSE_DOWN) * SPARSE_ACROSS + column - across * SPARSE_ACROSS;
        return (down * POOLED_WIDTH + across) * 256 + place;
    };
    // The pixel there: zero but for each window's value at its place. Planes are the channels of images.
    auto pixel = [&](i64 plane, int located) {
        if (located < 0) return A(0);
        i64 window = plane * (POOLED_HEIGHT * POOLED_WIDTH) + located / 256;
        return places[window] == located % 256 ? A(read(values[window])) : A(0);
    };
"""

FINISH = """
    // Takes the first maximum of a window's sums, nan before numbers, and writes what becomes of it.
    auto finish = [&](const A (&sums)[PLACES], int channel, i64 window) {
        A shift = $SHIFT;
        A largest = 0, linear = 0;
        int place = 0;
        #pragma unroll
        for (int number = 0; number < PLACES; ++number) {
            A value = BIAS_FIRST ? sums[number] + shift : sums[number];
            A compared = ACTIVATION_FIRST ? activated(value) : value;
            if (number == 0 || (largest == largest && !(compared <= largest))) {
                largest = compared;
                linear = value;
                place = number;
            }
        }
        if (!ACTIVATION_FIRST) {
            linear = largest = BIAS_FIRST ? largest : largest + shift;
            largest = activated(largest);
        }
        result[window] = written(largest);
$STORES    };
"""


@dataclass(frozen=True)
class Source:
    """Where the pixels of a correlation come from.

    Attributes
    ----------
    correlation : Correlation
    sparse : (int, int), optional
        The windows whose values at places make the image; by default images are plain.
    """

    correlation: Correlation
    sparse: Pair | None = None

    @property
    def buffers(self) -> list[Buffer]:
        """Of the images, or of the values and their places."""
        return [Buffer("images")] if self.sparse is None else [Buffer("values"), Buffer("places", "u8")]

    @property
    def constants(self) -> dict[str, int]:
        """What the text speaks of."""
        named = dict(zip(("HEIGHT", "WIDTH"), self.correlation.image, strict=True))
        named |= pair("BEFORE", self.correlation.before) | pair("SPREAD", self.correlation.spread)
        if self.sparse is not None:
            pooled = [size // step for size, step in zip(self.correlation.image, self.sparse, strict=True)]
            named |= pair("SPARSE", self.sparse) | {"POOLED_HEIGHT": pooled[0], "POOLED_WIDTH": pooled[1]}
        return named

    @property
    def text(self) -> str:
        """Of ``locate`` and ``pixel``."""
        return PLAIN_PIXELS if self.sparse is None else SPARSE_PIXELS

    @property
    def elements(self) -> int:
        """How many numbers are read at the least."""
        of = self.correlation
        count = of.count * of.groups * of.inputs * of.image[0] * of.image[1]
        return count if self.sparse is None else count // (self.sparse[0] * self.sparse[1])


@dataclass(frozen=True)
class Finish:
    """What becomes of the sums of one window.

    Attributes
    ----------
    bias : {"none", "before", "after"}
        Whether one is added, before or after the maximum.
    activation : str
        The function of the maximum.
    activation_first : bool
        Whether it is applied before the maximum is taken.
    has_places, has_linear : bool
        Whether where the maximum was, and what stood there before the activation, is written too.
    """

    bias: str = "none"
    activation: str = "none"
    activation_first: bool = False
    has_places: bool = False
    has_linear: bool = False

    @classmethod
    def of(cls, attributes: Mapping[str, Any], has_places: bool) -> Finish:
        """Take the attributes of a kernel of the grammar."""
        return cls(
            attributes.get("bias", "after"), attributes["activation"], attributes.get("activation_first", False),
            has_places, attributes["has_linear"],
        )  # fmt: skip

    @property
    def inputs(self) -> list[Buffer]:
        """The buffers that it reads."""
        return [] if self.bias == "none" else [Buffer("bias", "R")]

    @property
    def outputs(self) -> list[Buffer]:
        """The buffers that it writes."""
        places = [Buffer("where", "u8", is_read=False)] if self.has_places else []
        linear = [Buffer("before", "R", is_read=False)] if self.has_linear else []
        return [Buffer("result", "R", is_read=False), *places, *linear]

    @property
    def constants(self) -> dict[str, int]:
        """What the text speaks of."""
        is_first = self.bias == "before" or self.activation_first
        return {"BIAS_FIRST": int(is_first), "ACTIVATION_FIRST": int(self.activation_first)}

    @property
    def text(self) -> str:
        """Of ``finish``."""
        stores = ["        where[window] = (u8)place;\n"] if self.has_places else []
        stores += ["        before[window] = written(linear);\n"] if self.has_linear else []
        shift = "A(0)" if self.bias == "none" else "A(read_result(bias[channel]))"
        return FINISH.replace("$SHIFT", shift).replace("$STORES", "".join(stores))


@dataclass(frozen=True)
class Task:
    """A correlation with all that belongs to it: what the templates write kernels for.

    Attributes
    ----------
    source : Source
    dtypes : Dtypes
    finish : Finish
    places : sequence of int
        Numbers of the kernel's buffers among operands and outputs.
    """

    source: Source
    dtypes: Dtypes
    finish: Finish = field(default_factory=Finish)
    places: Sequence[int] = ()

    @property
    def correlation(self) -> Correlation:
        """Its sizes."""
        return self.source.correlation

    @property
    def buffers(self) -> list[Buffer]:
        """All parameters: images, filters, bias, outputs."""
        return [*self.source.buffers, Buffer("filters"), *self.finish.inputs, *self.finish.outputs]

    @property
    def constants(self) -> dict[str, int]:
        """What the texts of source and finish speak of, and all sizes of the correlation."""
        return self.source.constants | self.finish.constants | correlation_constants(self.correlation)

    @property
    def windows(self) -> int:
        """How many numbers the result has."""
        of = self.correlation
        return of.count * of.groups * of.outputs * of.result[0] * of.result[1]

    @property
    def bytes(self) -> int:
        """What has to be read and written at the least."""
        of = self.correlation
        filters = of.groups * of.outputs * of.inputs * of.taps[0] * of.taps[1]
        read = (self.source.elements + filters) * element_bytes(self.dtypes.operands)
        return read + self.windows * element_bytes(self.dtypes.results)


def pair(name: str, values: Sequence[int]) -> dict[str, int]:
    """Return the constants of two axes."""
    return {f"{name}_DOWN": values[0], f"{name}_ACROSS": values[1]}


def correlation_constants(of: Correlation) -> dict[str, int]:
    """Return all sizes of a correlation by name."""
    named = {"IMAGES": of.count, "GROUPS": of.groups, "INPUTS": of.inputs, "OUTPUTS": of.outputs}
    for name in ("result", "taps", "stride", "dilation", "window"):
        named |= pair(name.upper(), getattr(of, name))
    group, output, channel = of.weights
    return named | {
        "PLACES": of.window[0] * of.window[1], "FLIP": int(of.flip), "GROUP_STEP": group, "OUTPUT_STEP": output,
        "INPUT_STEP": channel,
    }  # fmt: skip
