// CUDA C++ for g++: what a kernel's text may say that C++ doesn't know, done on the CPU.
//
// Included before a module's own text, which is compiled as it is. The threads of a block are fibers of the runtime
// (runtime.cpp): they give way at barriers and shuffles only. No header of the system is included, so that compiling
// a module costs little more than its own text.
#pragma once

#define __global__ __attribute__((visibility("default")))
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __inline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
// Blocks run one after another, so a block's shared memory can be static; in a section of its own it can be poisoned.
#define __shared__ static __attribute__((section("cpu_shared,\"aw\",@nobits#")))
#define __managed__

typedef __SIZE_TYPE__ size_t;

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };

extern "C" {
extern uint3 cpu_threadIdx, cpu_blockIdx;
extern dim3 cpu_blockDim, cpu_gridDim;
extern char* cpu_dynamic_shared;
extern int* cpu_status;
extern int cpu_new_status;
extern char __start_cpu_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_cpu_shared[] __attribute__((weak, visibility("hidden")));
int cpu_barrier(int kind, int value, int line);
unsigned long long cpu_warp(int kind, unsigned mask, unsigned long long bits, int parameter, int width, int line);
unsigned cpu_activemask();
void cpu_trap();
void* memcpy(void*, const void*, size_t) noexcept;
void* memset(void*, int, size_t) noexcept;
}
#define threadIdx cpu_threadIdx
#define blockIdx cpu_blockIdx
#define blockDim cpu_blockDim
#define gridDim cpu_gridDim
#define warpSize 32

template <class To, class From> inline To cpu_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "bits of another size");
    To result;
    __builtin_memcpy(&result, &value, sizeof(To));
    return result;
}

// Barriers and what a warp does together ------------------------------------------------------------------------

#define CPU_LINE int line = __builtin_LINE()
inline void __syncthreads(CPU_LINE) { cpu_barrier(0, 0, line); }
inline int __syncthreads_count(int value, CPU_LINE) { return cpu_barrier(1, value, line); }
inline int __syncthreads_and(int value, CPU_LINE) { return cpu_barrier(2, value, line); }
inline int __syncthreads_or(int value, CPU_LINE) { return cpu_barrier(3, value, line); }
inline void __syncwarp(unsigned mask = 0xffffffffu, CPU_LINE) { cpu_warp(7, mask, 0, 0, 32, line); }
inline unsigned __ballot_sync(unsigned mask, int value, CPU_LINE) { return cpu_warp(4, mask, value != 0, 0, 32, line); }
inline int __any_sync(unsigned mask, int value, CPU_LINE) { return cpu_warp(5, mask, value != 0, 0, 32, line) != 0; }
inline int __all_sync(unsigned mask, int value, CPU_LINE) { return cpu_warp(6, mask, value != 0, 0, 32, line) != 0; }
inline unsigned __activemask() { return cpu_activemask(); }

#define CPU_SHUFFLE(name, kind, place, T, U) \
    inline T name(unsigned mask, T value, place, int width = 32, CPU_LINE) { \
        return cpu_bits<T>((U)cpu_warp(kind, mask, cpu_bits<U>(value), (int)where, width, line)); \
    }
#define CPU_SHUFFLES(T, U) \
    CPU_SHUFFLE(__shfl_sync, 0, int where, T, U) \
    CPU_SHUFFLE(__shfl_up_sync, 1, unsigned where, T, U) \
    CPU_SHUFFLE(__shfl_down_sync, 2, unsigned where, T, U) \
    CPU_SHUFFLE(__shfl_xor_sync, 3, int where, T, U)
CPU_SHUFFLES(int, unsigned)
CPU_SHUFFLES(unsigned, unsigned)
CPU_SHUFFLES(float, unsigned)
CPU_SHUFFLES(long, unsigned long)
CPU_SHUFFLES(unsigned long, unsigned long)
CPU_SHUFFLES(long long, unsigned long long)
CPU_SHUFFLES(unsigned long long, unsigned long long)
CPU_SHUFFLES(double, unsigned long long)

inline unsigned __reduce_add_sync(unsigned mask, unsigned value, CPU_LINE) { return cpu_warp(8, mask, value, 0, 32, line); }
inline unsigned __reduce_min_sync(unsigned mask, unsigned value, CPU_LINE) { return cpu_warp(9, mask, value, 0, 32, line); }
inline unsigned __reduce_max_sync(unsigned mask, unsigned value, CPU_LINE) { return cpu_warp(10, mask, value, 0, 32, line); }
inline int __reduce_add_sync(unsigned mask, int value, CPU_LINE) { return (int)cpu_warp(8, mask, (unsigned)value, 0, 32, line); }
inline int __reduce_min_sync(unsigned mask, int value, CPU_LINE) { return (int)cpu_warp(11, mask, (unsigned)value, 0, 32, line); }
inline int __reduce_max_sync(unsigned mask, int value, CPU_LINE) { return (int)cpu_warp(12, mask, (unsigned)value, 0, 32, line); }
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, CPU_LINE) { return cpu_warp(13, mask, value, 0, 32, line); }
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, CPU_LINE) { return cpu_warp(14, mask, value, 0, 32, line); }
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, CPU_LINE) { return cpu_warp(15, mask, value, 0, 32, line); }
template <class T> inline unsigned __match_any_sync(unsigned mask, T value, CPU_LINE) {
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    return cpu_warp(16, mask, bits, 0, 32, line);
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}
inline void __trap() { cpu_trap(); }
#define __builtin_assume(condition) ((void)0)
#define __builtin_assume_aligned(address, ...) (address)

// Atomics: only one thread runs at a time -----------------------------------------------------------------------

#define CPU_ATOMIC(name, T, result) \
    inline T name(T* address, T value) { \
        T old = *address; \
        *address = result; \
        return old; \
    }
#define CPU_ATOMICS_OF_INTEGERS(T) \
    CPU_ATOMIC(atomicMin, T, value < old ? value : old) \
    CPU_ATOMIC(atomicAnd, T, old & value) \
    CPU_ATOMIC(atomicOr, T, old | value) \
    CPU_ATOMIC(atomicXor, T, old ^ value) \
    CPU_ATOMIC(atomicExch, T, value) \
    inline T atomicCAS(T* address, T compare, T value) { \
        T old = *address; \
        if (old == compare) *address = value; \
        return old; \
    }
CPU_ATOMICS_OF_INTEGERS(int)
CPU_ATOMICS_OF_INTEGERS(unsigned)
CPU_ATOMICS_OF_INTEGERS(unsigned long long)
CPU_ATOMIC(atomicMin, long long, value < old ? value : old)
CPU_ATOMIC(atomicMax, unsigned, value > old ? value : old)
CPU_ATOMIC(atomicMax, unsigned long long, value > old ? value : old)
CPU_ATOMIC(atomicMax, long long, value > old ? value : old)
CPU_ATOMIC(atomicAdd, int, old + value)
CPU_ATOMIC(atomicAdd, unsigned, old + value)
CPU_ATOMIC(atomicAdd, unsigned long long, old + value)
CPU_ATOMIC(atomicAdd, float, old + value)
CPU_ATOMIC(atomicAdd, double, old + value)
CPU_ATOMIC(atomicSub, int, old - value)
CPU_ATOMIC(atomicSub, unsigned, old - value)
CPU_ATOMIC(atomicExch, float, value)
// A block's threads see the status word change at barriers only, so that all of a warp see the same, as they do on a
// device, where one instruction reads it for all of them.
inline int atomicMax(int* address, int value) {
    int old = *address;
    if (address == cpu_status) cpu_new_status = value > cpu_new_status ? value : cpu_new_status;
    else *address = value > old ? value : old;
    return old;
}

// Loads and stores with a hint ----------------------------------------------------------------------------------

template <class T> inline T __ldg(const T* address) { return *address; }
template <class T> inline T __ldca(const T* address) { return *address; }
template <class T> inline T __ldcg(const T* address) { return *address; }
template <class T> inline T __ldcs(const T* address) { return *address; }
template <class T> inline T __ldlu(const T* address) { return *address; }
template <class T> inline T __ldcv(const T* address) { return *address; }
template <class T> inline void __stwb(T* address, T value) { *address = value; }
template <class T> inline void __stcg(T* address, T value) { *address = value; }
template <class T> inline void __stcs(T* address, T value) { *address = value; }
template <class T> inline void __stwt(T* address, T value) { *address = value; }

// Vectors, aligned as CUDA aligns them --------------------------------------------------------------------------

#define CPU_VECTORS(name, T, bytes2, bytes4) \
    struct name##1 { T x; }; \
    struct __attribute__((aligned(bytes2))) name##2 { T x, y; }; \
    struct name##3 { T x, y, z; }; \
    struct __attribute__((aligned(bytes4))) name##4 { T x, y, z, w; }; \
    CPU_MAKERS(name, T)
#define CPU_MAKERS(name, T) \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CPU_VECTORS(char, signed char, 2, 4)
CPU_VECTORS(uchar, unsigned char, 2, 4)
CPU_VECTORS(short, short, 4, 8)
CPU_VECTORS(ushort, unsigned short, 4, 8)
CPU_VECTORS(int, int, 8, 16)
CPU_VECTORS(float, float, 8, 16)
CPU_VECTORS(longlong, long long, 16, 16)
CPU_VECTORS(ulonglong, unsigned long long, 16, 16)
CPU_VECTORS(double, double, 16, 16)
struct uint1 { unsigned x; };
struct __attribute__((aligned(8))) uint2 { unsigned x, y; };
struct __attribute__((aligned(16))) uint4 { unsigned x, y, z, w; };
CPU_MAKERS(uint, unsigned)

// How the launcher calls a kernel, and what parameters it has ---------------------------------------------------

template <class T> struct cpu_parameter { enum { element = 0, constant = 0 }; };
template <class T> struct cpu_parameter<T*> { enum { element = sizeof(T), constant = 0 }; };
template <class T> struct cpu_parameter<const T*> { enum { element = sizeof(T), constant = 1 }; };
template <int... I> struct cpu_places {};
template <class... A, int... I>
inline void cpu_call_with(void (*kernel)(A...), void** arguments, cpu_places<I...>) {
    kernel(*(A*)arguments[I]...);
}
template <class... A> inline void cpu_call(void (*kernel)(A...), void** arguments) {
    cpu_call_with(kernel, arguments, cpu_places<__integer_pack(sizeof...(A))...>());
}
template <class... A> inline int cpu_describe(void (*)(A...), const int** table) {
    static const int found[] = {
        (int)sizeof(A)..., (int)cpu_parameter<A>::element..., (int)cpu_parameter<A>::constant..., 0};
    *table = found;
    return sizeof...(A);
}
#define CPU_KERNEL(name) \
    extern "C" __global__ void cpu_call_##name(void** arguments) { cpu_call(name, arguments); } \
    extern "C" __global__ int cpu_describe_##name(const int** table) { return cpu_describe(name, table); }
#define CPU_MODULE \
    extern "C" __global__ void cpu_shared_of_module(char** begin, char** end) { \
        *begin = __start_cpu_shared; \
        *end = __stop_cpu_shared; \
    }

#include "cuda_math.h"
