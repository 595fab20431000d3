"""The text that every module begins with: types, conversions and the words that kernels are written in."""

from __future__ import annotations

TYPES = {
    "bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
    "uint32": "u32", "uint64": "u64", "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64",
}  # fmt: skip
"""The C++ type of each dtype's elements in memory. ``f16`` and ``bf16`` are only stored: arithmetic is in ``f32``."""

_TYPES = """\
#ifdef __CUDACC_RTC__
#pragma nv_diag_suppress 177  // generated text names indices that it may not need
#endif
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
struct f16 { u16 bits; };
struct bf16 { u16 bits; };

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fc00000)
#endif

#define GUARD if (*status) return;
// For kernels that say FAIL and have barriers: all threads of the block end here, or none.
#define GUARD_TOGETHER if (__syncthreads_or(*status)) return;
#define FAIL(code) atomicMax(status, code)
#define WARP 32

// The same bits, read as another type.
template <typename To, typename From> __device__ inline To bits_as(From value) {
    static_assert(sizeof(To) == sizeof(From), "bits of another size");
    union { From from; To to; } both;
    both.from = value;
    return both.to;
}
"""

_HALVES = """\
// A float64 as a float32 whose last bit says whether anything was cut off: rounding that once more is rounding once.
__device__ inline f32 rounded_to_odd(f64 x) {
    f32 near = (f32)x;
    if (x != x || (f64)near == x) return near;
    u32 bits = bits_as<u32>(near);
    bool is_farther = (near < 0 ? -(f64)near : (f64)near) > (x < 0 ? -x : x);
    return bits_as<f32>((bits - is_farther) | 1u);
}

#ifdef __CUDA_ARCH__
__device__ inline f32 to_f32(f16 x) {
    f32 wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
    return wide;
}
__device__ inline f16 to_f16(f32 x) {
    f16 narrow;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(x));
    return narrow;
}
#else
inline f32 to_f32(f16 x) {
    u32 sign = (u32)(x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31u, fraction = x.bits & 1023u;
    if (exponent == 31u) return bits_as<f32>(sign | 0x7f800000u | fraction << 13);
    if (exponent) return bits_as<f32>(sign | (exponent + 112u) << 23 | fraction << 13);
    f32 small = (f32)fraction * 5.9604644775390625e-8f;
    return sign ? -small : small;
}
inline f16 to_f16(f32 x) {
    u32 bits = bits_as<u32>(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu, half;
    if (size > 0x7f800000u) half = 0x7fffu;
    else if (size >= 0x477ff000u) half = 0x7c00u;
    else if (size < 0x38800000u) half = bits_as<u32>(bits_as<f32>(size) + 0.5f) - 0x3f000000u;
    else half = (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13;
    f16 narrow;
    narrow.bits = (u16)(sign | half);
    return narrow;
}
#endif
__device__ inline f32 to_f32(bf16 x) { return bits_as<f32>((u32)x.bits << 16); }
__device__ inline bf16 to_bf16(f32 x) {
    u32 bits = bits_as<u32>(x);
    bf16 narrow;
    narrow.bits = x != x ? (u16)(bits >> 16 | 0x40u) : (u16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    return narrow;
}
__device__ inline f16 to_f16(f64 x) { return to_f16(rounded_to_odd(x)); }
__device__ inline bf16 to_bf16(f64 x) { return to_bf16(rounded_to_odd(x)); }
__device__ inline f32 to_f32(f32 x) { return x; }
__device__ inline f32 round_f16(f32 x) { return to_f32(to_f16(x)); }
__device__ inline f32 round_bf16(f32 x) { return to_f32(to_bf16(x)); }

// from_f32<T> stores what was computed in float32.
template <typename T> struct from_f32_of;
template <> struct from_f32_of<f32> { static __device__ inline f32 at(f32 x) { return x; } };
template <> struct from_f32_of<f16> { static __device__ inline f16 at(f32 x) { return to_f16(x); } };
template <> struct from_f32_of<bf16> { static __device__ inline bf16 at(f32 x) { return to_bf16(x); } };
template <typename T> __device__ inline T from_f32(f32 x) { return from_f32_of<T>::at(x); }
"""

_INTEGERS = """\
// Integers wrap around; their quotients are rounded down and 0 where the divisor is.
template <int bytes> struct word { typedef u32 type; };
template <> struct word<8> { typedef u64 type; };
#define WRAPPING(name, operator) \\
    template <typename T> __device__ inline T name(T x, T y) { \\
        typedef typename word<sizeof(T)>::type U; \\
        return (T)((U)x operator (U)y); \\
    }
WRAPPING(wrapped_sum, +)
WRAPPING(wrapped_difference, -)
WRAPPING(wrapped_product, *)
template <typename T> __device__ inline T floor_quotient(T x, T y) {
    if (y == 0) return 0;
    if ((T)-1 < 0 && y == (T)-1) return wrapped_difference((T)0, x);
    T quotient = (T)(x / y), rest = (T)(x % y);
    return (T)(quotient - (rest != 0 && (rest < 0) != (y < 0)));
}
template <typename T> __device__ inline T floor_remainder(T x, T y) {
    if (y == 0 || ((T)-1 < 0 && y == (T)-1)) return 0;
    T rest = (T)(x % y);
    return rest != 0 && (rest < 0) != (y < 0) ? (T)(rest + y) : rest;
}
template <typename T> __device__ inline T shifted_left(T x, T places) {
    typedef typename word<sizeof(T)>::type U;
    return (u64)places < 8 * sizeof(T) ? (T)((U)x << (int)places) : (T)0;
}
template <typename T> __device__ inline T shifted_right(T x, T places) {
    if ((u64)places < 8 * sizeof(T)) return (T)(x >> (int)places);
    return x < 0 ? (T)-1 : (T)0;
}
template <typename T> __device__ inline T product_high(T x, T y) { return (T)((u64)x * (u64)y >> 8 * sizeof(T)); }
template <> __device__ inline u64 product_high<u64>(u64 x, u64 y) { return __umul64hi(x, y); }
template <typename T> __device__ inline T integer_power(T x, T exponent) {
    T result = 1;
    for (; exponent; exponent >>= 1, x = wrapped_product(x, x))
        if (exponent & 1) result = wrapped_product(result, x);
    return result;
}

// A float as an integer: what doesn't fit, and nan, is the most negative number.
template <typename F> __device__ inline i64 truncated_i64(F x) {
    return x >= (F)-9223372036854775808.0 && x < (F)9223372036854775808.0 ? (i64)x : (i64)(1ULL << 63);
}
__device__ inline i32 truncated_i32(f64 x) {
    return x > -2147483649.0 && x < 2147483648.0 ? (i32)x : (i32)(1U << 31);
}
template <typename F> __device__ inline u64 truncated_u64(F x) {
    const F edge = (F)9223372036854775808.0;
    return x >= edge ? (u64)truncated_i64(x - edge) ^ 1ULL << 63 : (u64)truncated_i64(x);
}
"""

_SCALARS = """\
// Scalar functions as NumPy means them. T is f32 or f64, or an integer where that makes sense.
template <typename T> __device__ inline T maximum(T x, T y) { return x > y || x != x ? x : y; }
template <typename T> __device__ inline T minimum(T x, T y) { return x < y || x != x ? x : y; }
template <typename T> __device__ inline T sign_of(T x) {
    return x > (T)0 ? (T)1 : x < (T)0 ? (T)-1 : x == (T)0 ? (T)0 : x;
}
template <typename T> __device__ inline T squared(T x) { return x * x; }
template <typename T> __device__ inline T rectified(T x) { return x < (T)0 ? (T)0 : x; }
template <typename T> __device__ inline T rectified_gradient(T x, T cotangent) {
    return x > (T)0 ? cotangent : x == (T)0 ? (T)((T)0.5 * cotangent) : (T)0;
}
template <typename T> __device__ inline T unit_step(T x) {
    return x > (T)0 ? (T)1 : x < (T)0 ? (T)0 : x == (T)0 ? (T)0.5 : x;
}
#define SCALARS(T, EXP, LOG, LOG1P, FABS, FMOD, FLOOR, COPYSIGN) \\
    __device__ inline T sigmoid(T x) { \\
        T small = EXP(-FABS(x)); \\
        return (x < (T)0 ? small : (T)1) / ((T)1 + small); \\
    } \\
    __device__ inline T softplus(T x) { return (x > (T)0 ? x : (T)0) + LOG1P(EXP(-FABS(x))); } \\
    __device__ inline T log_of_sum(T x, T y) { \\
        T larger = x > y ? x : y; \\
        return larger + LOG1P(EXP(x == y ? (T)0 : -FABS(x - y))); \\
    } \\
    __device__ inline T times_own_log(T x) { return x == (T)0 ? (T)0 : x * LOG(x); } \\
    __device__ inline T times_log(T x, T y) { return x == (T)0 && y == y ? (T)0 : x * LOG(y); } \\
    __device__ inline T floor_quotient(T x, T y) { \\
        if (y == (T)0) return x / y; \\
        T rest = FMOD(x, y), quotient = (x - rest) / y; \\
        if (rest != (T)0 && (y < (T)0) != (rest < (T)0)) quotient -= (T)1; \\
        if (quotient == (T)0) return COPYSIGN((T)0, x / y); \\
        T whole = FLOOR(quotient); \\
        return quotient - whole > (T)0.5 ? whole + (T)1 : whole; \\
    } \\
    __device__ inline T floor_remainder(T x, T y) { \\
        T rest = FMOD(x, y); \\
        if (rest == (T)0) return COPYSIGN((T)0, y); \\
        return (y < (T)0) != (rest < (T)0) ? rest + y : rest; \\
    }
SCALARS(f32, expf, logf, log1pf, fabsf, fmodf, floorf, copysignf)
SCALARS(f64, exp, log, log1p, fabs, fmod, floor, copysign)
"""

_GROUPS = """\
// What associative functions combine, and the value that changes nothing.
struct Add { template <typename T> static __device__ inline T of(T x, T y) { return x + y; } };
struct AddWrapped { template <typename T> static __device__ inline T of(T x, T y) { return wrapped_sum(x, y); } };
struct Multiply { template <typename T> static __device__ inline T of(T x, T y) { return x * y; } };
struct MultiplyWrapped {
    template <typename T> static __device__ inline T of(T x, T y) { return wrapped_product(x, y); }
};
struct Maximum { template <typename T> static __device__ inline T of(T x, T y) { return maximum(x, y); } };
struct Minimum { template <typename T> static __device__ inline T of(T x, T y) { return minimum(x, y); } };
struct And { template <typename T> static __device__ inline T of(T x, T y) { return (T)(x & y); } };
struct Or { template <typename T> static __device__ inline T of(T x, T y) { return (T)(x | y); } };

// Shuffles of every type; small ones travel as 32 bits.
template <typename T> __device__ inline T shuffled(u32 mask, T x, int step) {
    return (T)__shfl_xor_sync(mask, (i32)x, step);
}
template <> __device__ inline u32 shuffled(u32 mask, u32 x, int step) { return __shfl_xor_sync(mask, x, step); }
template <> __device__ inline i64 shuffled(u32 mask, i64 x, int step) { return __shfl_xor_sync(mask, x, step); }
template <> __device__ inline u64 shuffled(u32 mask, u64 x, int step) { return __shfl_xor_sync(mask, x, step); }
template <> __device__ inline f32 shuffled(u32 mask, f32 x, int step) { return __shfl_xor_sync(mask, x, step); }
template <> __device__ inline f64 shuffled(u32 mask, f64 x, int step) { return __shfl_xor_sync(mask, x, step); }

// The lanes of a group of 1, 2, 4, 8, 16 or 32 neighbouring threads that are in the same group as this one.
template <int lanes> __device__ inline u32 mask_of_group() {
    return lanes == 32 ? 0xffffffffu : ((1u << lanes % 32) - 1u) << (threadIdx.x % 32 / lanes * lanes);
}

// All lanes of the group get the combination, each in the same order.
template <typename F, int lanes, typename T> __device__ inline T over_lanes(T x) {
    const u32 mask = mask_of_group<lanes>();
    #pragma unroll
    for (int step = lanes / 2; step > 0; step /= 2) x = F::of(x, shuffled(mask, x, step));
    return x;
}

// All threads of a block of 32 * warps threads get the combination; warps is a power of two. With barriers.
template <typename F, int warps, typename T> __device__ inline T over_block(T x) {
    x = over_lanes<F, 32>(x);
    if (warps == 1) return x;
    __shared__ T of_warps[warps];
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = x;
    __syncthreads();
    x = over_lanes<F, warps>(of_warps[threadIdx.x % warps]);
    __syncthreads();
    return x;
}

// All threads of a block of width * rows threads get the combination of those that are width apart. With barriers.
template <typename F, int rows, int width, typename T> __device__ inline T over_rows(T x) {
    if (rows == 1) return x;
    __shared__ T of_rows[rows * width];
    of_rows[threadIdx.x] = x;
    #pragma unroll
    for (int half = rows / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < width * half) of_rows[threadIdx.x] = x = F::of(x, of_rows[threadIdx.x + width * half]);
    }
    __syncthreads();
    x = of_rows[threadIdx.x % width];
    __syncthreads();
    return x;
}

// Neighbours in memory, read and written together where all addresses are aligned to that.
template <typename T, int count> struct __align__(sizeof(T) * count < 16 ? sizeof(T) * count : 16) Pack {
    T at[count];
};
template <int count, typename T> __device__ inline bool is_aligned(const T* address) {
    return (u64)address % alignof(Pack<T, count>) == 0;
}
template <int count, typename T> __device__ inline Pack<T, count> load_pack(const T* from, i64 rest, bool aligned) {
    if (aligned && rest >= count) return *(const Pack<T, count>*)from;
    Pack<T, count> pack;
    #pragma unroll
    for (int k = 0; k < count; k++) pack.at[k] = k < rest ? from[k] : T();
    return pack;
}
template <int count, typename T>
__device__ inline void store_pack(T* to, const Pack<T, count>& pack, i64 rest, bool aligned) {
    if (aligned && rest >= count) {
        *(Pack<T, count>*)to = pack;
        return;
    }
    #pragma unroll
    for (int k = 0; k < count; k++)
        if (k < rest) to[k] = pack.at[k];
}
"""

PRELUDE = "\n".join((_TYPES, _HALVES, _INTEGERS, _SCALARS, _GROUPS))
"""Of kernels that can fail, and of all that run in one program with them."""
