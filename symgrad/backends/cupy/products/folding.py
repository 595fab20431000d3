"""Adding up what the threads of a block have, always in the same order.

Neighbours exchange halves of their sums until each has the total of a few of them: for n sums that takes about n
exchanges, where adding up one sum after the other would take five times as many. The totals of the warps then meet in
shared memory.
"""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32


@dataclass(frozen=True)
class Folding:
    """The text that does it.

    Parameters
    ----------
    count : int
        Sums of each thread, in ``sums``, an array of `padded`.
    across : int
        Neighbouring threads whose sums are different ones; a power of two.
    threads : int
        Threads of the block.
    dtype : str
        C++ type of the sums.
    """

    count: int
    across: int
    threads: int
    dtype: str

    @property
    def halvings(self) -> int:
        """How often half of the sums can be given away."""
        halvings = 0
        while 1 << halvings < min(WARP // self.across, self.count):
            halvings += 1
        return halvings

    @property
    def padded(self) -> int:
        """The sums with some for nothing, so that there are always halves."""
        return -(-self.count // (1 << self.halvings)) << self.halvings

    @property
    def warps(self) -> int:
        """Warps of the block."""
        return self.threads // WARP

    def text(self) -> str:
        """Return the exchanges: in the end a thread has totals of its warp, of the sums from ``first`` on."""
        lines, count, distance = ["    int first = 0;\n"], self.padded, self.across
        for _ in range(self.halvings):
            count //= 2
            lines.append(f"""\
    {{
        const bool upper = threadIdx.x & {distance};
        first += upper ? {count} : 0;
        #pragma unroll
        for (int number = 0; number < {count}; ++number) {{
            const {self.dtype} given = upper ? sums[number] : sums[number + {count}];
            const {self.dtype} kept = upper ? sums[number + {count}] : sums[number];
            sums[number] = kept + __shfl_xor_sync(0xffffffffu, given, {distance});
        }}
    }}
""")
            distance *= 2
        while distance < WARP:
            lines.append(f"""\
    #pragma unroll
    for (int number = 0; number < {count}; ++number)
        sums[number] += __shfl_xor_sync(0xffffffffu, sums[number], {distance});
""")
            distance *= 2
        return "".join(lines)

    def sharing(self) -> str:
        """Return the text that puts the totals of the warps into shared memory."""
        return f"""\
    __shared__ {self.dtype} totals[{self.warps}][{self.across}][{self.padded}];
    if (threadIdx.x % {WARP} < {self.across << self.halvings}) {{
        #pragma unroll
        for (int number = 0; number < {self.padded >> self.halvings}; ++number)
            totals[threadIdx.x / {WARP}][threadIdx.x % {self.across}][first + number] = sums[number];
    }}
    __syncthreads();
"""

    def total(self, number: str, across: str) -> str:
        """Return the statements that add up a sum of all warps as ``total``."""
        return f"""{self.dtype} total = 0;
        #pragma unroll
        for (int warp = 0; warp < {self.warps}; ++warp) total += totals[warp][{across}][{number}];"""
