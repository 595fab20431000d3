"""The text that every module begins with: types, conversions and the words that kernels are written in."""

from __future__ import annotations

TYPES = {
    "bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
    "uint32": "u32", "uint64": "u64", "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64",
}  # fmt: skip
"""The C++ type of each dtype's elements in memory. ``f16`` and ``bf16`` are only stored: arithmetic is in ``f32``."""

PRELUDE = """\
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;

#define GUARD if (*status) return;
#define FAIL(code) atomicMax(status, code)
"""
"""Of kernels that can fail, and of all that run in one program with them."""
