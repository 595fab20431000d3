"""Views whose start only the call knows: a kernel of one thread computes it, and looks whether the view fits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from symgrad.backends.cupy.kernel import CudaKernel
from symgrad.backends.layouts import Start


def start_kernel(starts: Sequence[Start], continues: bool) -> CudaKernel:
    """Return the kernel that computes how many elements later a view starts.

    Its buffers are the positions, in the order of `starts`, each an int64 scalar; if it continues a view that starts
    late itself, that one's start; and the result. Where a position doesn't fit it says so, and the result is a start
    that does: kernels that read the view meanwhile stay inside.

    Parameters
    ----------
    starts : sequence of Start
        What is added up.
    continues : bool
        Whether the view is one of a view that starts late.
    """
    lines = ["    i64 elements = " + ("*continued;" if continues else "0;")]
    for number, start in enumerate(starts):
        position = f"position{number}"
        lines.append(f"    i64 {position} = *index{number};")
        if start.size:
            lines.append(f"    if ({position} < 0) {position} += {start.size};")
        lines.append(f"    if ({position} < 0 || {position} > {start.limit}) {{")
        lines.append(f"        FAIL(1);\n        {position} = 0;\n    }}")
        lines.append(f"    elements += {position} * {start.stride};")
    body = "\n".join([*lines, "    *result = elements;"])
    name = "start_" + hashlib.sha256(body.encode()).hexdigest()[:12]
    parameters = [f"const i64* index{number}" for number in range(len(starts))]
    parameters += ["const i64* continued"] * continues + ["i64* result", "i32* status"]
    # There is no GUARD: the result must be a start that fits, whatever happened before.
    text = f'extern "C" __global__ void __launch_bounds__(32) {name}({", ".join(parameters)}) {{\n'
    text += f"    if (threadIdx.x) return;\n{body}\n}}\n"
    return CudaKernel(name, text, threads=32, may_fail=True, bytes=8 * (len(starts) + 1))
