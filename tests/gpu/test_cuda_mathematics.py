"""The header's versions of CUDA's functions and intrinsics: those that aren't the C library's own."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as special

from gpu.shim.kernels import check_kernel
from symgrad.backends.cupy.kernel import CudaKernel, kernel_text

FUNCTIONS = {
    "rsqrt(x)": (lambda x: 1 / np.sqrt(x), (1e-9, 1e9)),
    "rcbrt(x)": (lambda x: 1 / np.cbrt(x), (-50, 50)),
    "exp10(x)": (lambda x: 10.0**x, (-30, 30)),
    "sinpi(x)": (lambda x: np.sin(np.pi * np.remainder(x, 2)), (-9, 9)),
    "cospi(x)": (lambda x: np.cos(np.pi * np.remainder(x, 2)), (-9, 9)),
    "normcdf(x)": (special.ndtr, (-9, 9)),
    "normcdfinv(x)": (special.ndtri, (1e-12, 1 - 1e-12)),
    "erfinv(x)": (special.erfinv, (-0.999, 0.999)),
    "erfcinv(x)": (special.erfcinv, (1e-9, 1.99)),
    "erfcx(x)": (special.erfcx, (-3, 40)),
    "cyl_bessel_i0(x)": (special.i0, (-30, 30)),
    "cyl_bessel_i1(x)": (special.i1, (-30, 30)),
    "j1(x)": (special.j1, (-30, 30)),
    "lgamma(x)": (special.gammaln, (0.1, 90)),
}


@pytest.mark.parametrize("expression", FUNCTIONS)
def test_functions_are_those_of_scipy(expression: str) -> None:
    function, (low, high) = FUNCTIONS[expression]
    x = np.random.default_rng(1).uniform(low, high, 256)
    y = np.empty_like(x)
    parameters = [("const f64*", "operand"), ("f64*", "result")]
    body = f"    f64 x = operand[threadIdx.x];\n    result[threadIdx.x] = {expression};"
    check_kernel(CudaKernel("tried", kernel_text("tried", parameters, body, 256), threads=256), [x, y])
    np.testing.assert_allclose(y, function(x), rtol=1e-11, atol=1e-13)


INTEGERS = """\
    u32 v = x[threadIdx.x], w = x[255 - threadIdx.x];
    u32* to = y + 12 * threadIdx.x;
    to[0] = __umulhi(v, w);
    to[1] = __brev(v);
    to[2] = __clz(v);
    to[3] = __popc(v);
    to[4] = __byte_perm(v, w, 0x3715);
    to[5] = __funnelshift_l(v, w, 7);
    to[6] = __funnelshift_r(v, w, 7);
    to[7] = __float2int_rn(__uint_as_float(v));
    to[8] = __double2uint_rz(1e10 * v);
    to[9] = (u32)__mulhi((i32)v, (i32)w);
    to[10] = (u32)(__umul64hi((u64)v << 32 | w, (u64)w << 32 | v) >> 32);
    to[11] = __ffs(v) + min(v, w) + max((i32)v, (i32)w);"""


def integers(v: int, w: int) -> list[int]:
    """Return what the kernel computes, by Python's integers."""
    signed = [number - (1 << 32) if number >> 31 else number for number in (v, w)]
    pair, chosen = (w << 32 | v).to_bytes(8, "little"), (5, 1, 7, 3)
    real = float(np.uint32(v).view(np.float32))
    whole = 0 if real != real else int(np.clip(np.rint(real), -(2.0**31), 2.0**31 - 1))
    return [
        v * w >> 32,
        int(f"{v:032b}"[::-1], 2),
        32 - v.bit_length(),
        v.bit_count(),
        int.from_bytes(bytes([pair[place] for place in chosen]), "little"),
        (w << 32 | v) << 7 >> 32 & 0xFFFFFFFF,
        (w << 32 | v) >> 7 & 0xFFFFFFFF,
        whole & 0xFFFFFFFF,
        min(v * 10**10, 0xFFFFFFFF),
        (signed[0] * signed[1] >> 32) & 0xFFFFFFFF,
        (v << 32 | w) * (w << 32 | v) >> 96,
        ((v & -v).bit_length() + min(v, w) + max(signed)) & 0xFFFFFFFF,
    ]


def test_intrinsics_of_integers() -> None:
    random = np.random.default_rng(1)
    x = random.integers(0, 1 << 32, 256, dtype=np.uint32) >> random.integers(0, 32, 256, dtype=np.uint32)
    x[:4] = 0, 1, 0xFFFFFFFF, 0x7FC00000
    y = np.empty(12 * 256, np.uint32)
    text = kernel_text("tried", [("const u32*", "x"), ("u32*", "y")], INTEGERS, 256)
    check_kernel(CudaKernel("tried", text, threads=256), [x, y])
    expected = [integers(int(v), int(w)) for v, w in zip(x, x[::-1], strict=True)]
    np.testing.assert_array_equal(y.reshape(256, 12), np.array(expected, np.uint32))
