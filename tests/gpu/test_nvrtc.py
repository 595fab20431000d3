"""CUDA's own compiler takes what the backend writes, for all architectures, and refuses what is wrong."""

from __future__ import annotations

import pytest

from gpu.shim.nvrtc import ARCHITECTURES, CompilationError, check_compiles, compile_for, nvrtc
from symgrad.backends.cupy.kernel import kernel_text
from symgrad.backends.cupy.prelude import PRELUDE, TYPES

pytestmark = pytest.mark.skipif(nvrtc() is None, reason="the wheel nvidia-cuda-nvrtc isn't installed")

OPERANDS = [("const f32* __restrict__", "x"), ("f32*", "y")]


def module(body: str) -> str:
    return PRELUDE + kernel_text("tried", OPERANDS, body, 64)


def test_a_kernel_compiles_for_all_architectures() -> None:
    for architecture in ARCHITECTURES:
        compile_for(module("    y[threadIdx.x] = __fmaf_rn(x[threadIdx.x], 2.0f, 1.0f);"), architecture)


def test_every_element_type_is_defined() -> None:
    for dtype, name in TYPES.items():
        text = kernel_text(f"copy_{dtype}", [(f"const {name}*", "x"), (f"{name}*", "y")], "    y[0] = x[0];", 32)
        check_compiles(PRELUDE + text, (80,))


def test_the_kernels_of_repeated_steps_compile() -> None:
    from symgrad.backends.cupy.programs.stepping import TEXT

    check_compiles(PRELUDE + TEXT)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("    y[threadIdx.x] = sine(x[threadIdx.x]);", "sine"),
        ("    x[threadIdx.x] = 1.0f;", "modifiable"),
        (
            "    __shared__ f32 tile[16384];\n    tile[threadIdx.x] = x[0];\n    __syncthreads();\n    y[0] = tile[3];",
            "",
        ),
    ],
    ids=["unknown name", "store into a constant", "too much shared memory"],
)
def test_a_mistake_is_told_with_the_text(body: str, word: str) -> None:
    with pytest.raises(CompilationError) as caught:
        compile_for(module(body), 75)
    assert word in str(caught.value)
    assert "tried" in str(caught.value)
