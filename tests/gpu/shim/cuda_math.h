// CUDA's mathematical functions and intrinsics under their own names, done by the C library.
#pragma once

// Functions of one and two arguments: `sin` of double, `sinf`, and C++'s `sin` of float.
#define CPU_UNARY(name) \
    extern "C" double name(double) noexcept; \
    extern "C" float name##f(float) noexcept; \
    inline float name(float x) { return name##f(x); }
#define CPU_BINARY(name) \
    extern "C" double name(double, double) noexcept; \
    extern "C" float name##f(float, float) noexcept; \
    inline float name(float x, float y) { return name##f(x, y); }
CPU_UNARY(sin) CPU_UNARY(cos) CPU_UNARY(tan) CPU_UNARY(asin) CPU_UNARY(acos) CPU_UNARY(atan)
CPU_UNARY(sinh) CPU_UNARY(cosh) CPU_UNARY(tanh) CPU_UNARY(asinh) CPU_UNARY(acosh) CPU_UNARY(atanh)
CPU_UNARY(exp) CPU_UNARY(exp2) CPU_UNARY(expm1) CPU_UNARY(log) CPU_UNARY(log2) CPU_UNARY(log10) CPU_UNARY(log1p)
CPU_UNARY(sqrt) CPU_UNARY(cbrt) CPU_UNARY(erf) CPU_UNARY(erfc) CPU_UNARY(lgamma) CPU_UNARY(tgamma)
CPU_UNARY(floor) CPU_UNARY(ceil) CPU_UNARY(trunc) CPU_UNARY(rint) CPU_UNARY(round) CPU_UNARY(nearbyint)
CPU_UNARY(fabs) CPU_UNARY(logb)
CPU_BINARY(pow) CPU_BINARY(fmod) CPU_BINARY(atan2) CPU_BINARY(hypot) CPU_BINARY(copysign) CPU_BINARY(fmin)
CPU_BINARY(fmax) CPU_BINARY(fdim) CPU_BINARY(nextafter) CPU_BINARY(remainder)
extern "C" {
double exp10(double) noexcept;
float exp10f(float) noexcept;
double j0(double) noexcept;
double j1(double) noexcept;
double jn(int, double) noexcept;
double y0(double) noexcept;
double y1(double) noexcept;
double yn(int, double) noexcept;
float j0f(float) noexcept;
float j1f(float) noexcept;
float jnf(int, float) noexcept;
float y0f(float) noexcept;
float y1f(float) noexcept;
float ynf(int, float) noexcept;
double fma(double, double, double) noexcept;
float fmaf(float, float, float) noexcept;
double ldexp(double, int) noexcept;
float ldexpf(float, int) noexcept;
double frexp(double, int*) noexcept;
float frexpf(float, int*) noexcept;
double modf(double, double*) noexcept;
float modff(float, float*) noexcept;
double scalbn(double, int) noexcept;
float scalbnf(float, int) noexcept;
int ilogb(double) noexcept;
int ilogbf(float) noexcept;
long lrint(double) noexcept;
long lrintf(float) noexcept;
long lround(double) noexcept;
long lroundf(float) noexcept;
long long llrint(double) noexcept;
long long llrintf(float) noexcept;
long long llround(double) noexcept;
long long llroundf(float) noexcept;
void sincos(double, double*, double*) noexcept;
void sincosf(float, float*, float*) noexcept;
int abs(int) noexcept;
long labs(long) noexcept;
long long llabs(long long) noexcept;
}
inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
inline float ldexp(float x, int exponent) { return ldexpf(x, exponent); }
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return fabs(x); }
inline long abs(long x) { return labs(x); }
inline long long abs(long long x) { return llabs(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float rsqrtf(float x) { return (float)(1.0 / sqrt((double)x)); }
inline double rcbrt(double x) { return 1.0 / cbrt(x); }
inline float rcbrtf(float x) { return (float)(1.0 / cbrt((double)x)); }
inline double rhypot(double x, double y) { return 1.0 / hypot(x, y); }
inline float rhypotf(float x, float y) { return (float)(1.0 / hypot((double)x, (double)y)); }
inline float fdividef(float x, float y) { return x / y; }

const double cpu_pi = 3.14159265358979323846;
inline double sinpi(double x) { double r = remainder(x, 2.0); return r == trunc(r) ? copysign(0.0, x) : sin(cpu_pi * r); }
inline double cospi(double x) { double r = fabs(remainder(x, 2.0)); return r == 0.5 ? 0.0 : cos(cpu_pi * r); }
inline float sinpif(float x) { return (float)sinpi((double)x); }
inline float cospif(float x) { return (float)cospi((double)x); }
inline void sincospi(double x, double* sine, double* cosine) { *sine = sinpi(x); *cosine = cospi(x); }
inline void sincospif(float x, float* sine, float* cosine) { *sine = sinpif(x); *cosine = cospif(x); }
inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
inline float normcdff(float x) { return (float)normcdf((double)x); }
inline double erfcx(double x) {
    if (x < 25.0) return exp(x * x) * erfc(x);
    double q = 0.5 / (x * x);  // the asymptotic series
    return (1.0 - q * (1.0 - q * (3.0 - q * (15.0 - q * (105.0 - q * 945.0))))) / (x * 1.77245385090551602730);
}
inline float erfcxf(float x) { return (float)erfcx((double)x); }
// The quantile of the normal distribution: a rough start, then Halley's steps on the smaller of the two tails.
inline double normcdfinv(double p) {
    if (!(p > 0.0 && p < 1.0)) return p == 0.0 ? -__builtin_inf() : p == 1.0 ? __builtin_inf() : __builtin_nan("");
    double tail = p < 0.5 ? p : 1.0 - p;
    double t = sqrt(-2.0 * log(tail));
    double x = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
    for (int step = 0; step < 4; ++step) {
        double error = (normcdf(x) - tail) * 2.50662827463100050242 * exp(0.5 * x * x);
        x -= error / (1.0 + 0.5 * x * error);
    }
    return p < 0.5 ? x : -x;
}
inline float normcdfinvf(float p) { return (float)normcdfinv((double)p); }
inline double erfcinv(double x) { return -0.70710678118654752440 * normcdfinv(0.5 * x); }
inline float erfcinvf(float x) { return (float)erfcinv((double)x); }
inline double erfinv(double x) {
    if (fabs(x) > 0.5) return copysign(erfcinv(1.0 - fabs(x)), x);
    double y = 0.88622692545275801365 * x;
    for (int step = 0; step < 6; ++step) y -= (erf(y) - x) * 0.88622692545275801365 * exp(y * y);
    return y;
}
inline float erfinvf(float x) { return (float)erfinv((double)x); }
inline double cpu_bessel_i(int order, double x) {
    // (x/2)^k sum (x^2/4)^m / (m! (m+k)!): all terms are positive.
    double quarter = 0.25 * x * x, term = order ? 0.5 * x : 1.0, sum = term;
    for (int m = 1; m < 1000 && fabs(term) > 1e-17 * fabs(sum); ++m) sum += term *= quarter / ((double)m * (m + order));
    return sum;
}
inline double cyl_bessel_i0(double x) { return cpu_bessel_i(0, x); }
inline double cyl_bessel_i1(double x) { return cpu_bessel_i(1, x); }
inline float cyl_bessel_i0f(float x) { return (float)cpu_bessel_i(0, x); }
inline float cyl_bessel_i1f(float x) { return (float)cpu_bessel_i(1, x); }

// What C calls by macros.
inline bool isnan(float x) { return __builtin_isnan(x); }
inline bool isnan(double x) { return __builtin_isnan(x); }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x); }
inline bool signbit(float x) { return __builtin_signbit(x); }
inline bool signbit(double x) { return __builtin_signbit(x); }

// min and max of CUDA: of floats they take the number where the other isn't one.
#define CPU_EXTREMES(T) \
    inline T min(T x, T y) { return y < x ? y : x; } \
    inline T max(T x, T y) { return x < y ? y : x; }
CPU_EXTREMES(int) CPU_EXTREMES(unsigned) CPU_EXTREMES(long) CPU_EXTREMES(unsigned long) CPU_EXTREMES(long long)
CPU_EXTREMES(unsigned long long)
inline float min(float x, float y) { return fminf(x, y); }
inline float max(float x, float y) { return fmaxf(x, y); }
inline double min(double x, double y) { return fmin(x, y); }
inline double max(double x, double y) { return fmax(x, y); }
inline unsigned umin(unsigned x, unsigned y) { return min(x, y); }
inline unsigned umax(unsigned x, unsigned y) { return max(x, y); }
inline long long llmin(long long x, long long y) { return min(x, y); }
inline long long llmax(long long x, long long y) { return max(x, y); }

// Arithmetic that is never contracted, and its quick forms.
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dsub_rn(double x, double y) { return x - y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __ddiv_rn(double x, double y) { return x / y; }
inline double __drcp_rn(double x) { return 1.0 / x; }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline void __sincosf(float x, float* sine, float* cosine) { sincosf(x, sine, cosine); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

// Conversions; from floats to integers they stop at the ends, and NaN is 0 (of 32 bits) as on a device.
template <class To, class From> inline To cpu_saturated(From x, To lowest, To highest) {
    if (x != x) return 0;
    return x <= (From)lowest ? lowest : x >= (From)highest ? highest : (To)x;
}
#define CPU_CONVERSIONS(from, T, into, To, lowest, highest) \
    inline To __##from##2##into##_rn(T x) { return cpu_saturated<To>(rint(x), lowest, highest); } \
    inline To __##from##2##into##_rz(T x) { return cpu_saturated<To>(trunc(x), lowest, highest); } \
    inline To __##from##2##into##_rd(T x) { return cpu_saturated<To>(floor(x), lowest, highest); } \
    inline To __##from##2##into##_ru(T x) { return cpu_saturated<To>(ceil(x), lowest, highest); }
#define CPU_CONVERSIONS_TO(into, To, lowest, highest) \
    CPU_CONVERSIONS(float, float, into, To, lowest, highest) CPU_CONVERSIONS(double, double, into, To, lowest, highest)
CPU_CONVERSIONS_TO(int, int, -__INT_MAX__ - 1, __INT_MAX__)
CPU_CONVERSIONS_TO(uint, unsigned, 0u, ~0u)
CPU_CONVERSIONS_TO(ll, long long, -__LONG_LONG_MAX__ - 1, __LONG_LONG_MAX__)
CPU_CONVERSIONS_TO(ull, unsigned long long, 0ull, ~0ull)
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline float __ull2float_rn(unsigned long long x) { return (float)x; }
inline double __int2double_rn(int x) { return (double)x; }
inline double __uint2double_rn(unsigned x) { return (double)x; }
inline double __ll2double_rn(long long x) { return (double)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }
inline float __double2float_rn(double x) { return (float)x; }
inline int __float_as_int(float x) { return cpu_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return cpu_bits<unsigned>(x); }
inline float __int_as_float(int x) { return cpu_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return cpu_bits<float>(x); }
inline long long __double_as_longlong(double x) { return cpu_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return cpu_bits<double>(x); }
inline int __double2hiint(double x) { return (int)(cpu_bits<unsigned long long>(x) >> 32); }
inline int __double2loint(double x) { return (int)cpu_bits<unsigned long long>(x); }
inline double __hiloint2double(int high, int low) {
    return cpu_bits<double>((unsigned long long)(unsigned)high << 32 | (unsigned)low);
}

// Integers.
inline int __mulhi(int x, int y) { return (int)((long long)x * y >> 32); }
inline unsigned __umulhi(unsigned x, unsigned y) { return (unsigned)((unsigned long long)x * y >> 32); }
inline long long __mul64hi(long long x, long long y) { return (long long)((__int128)x * y >> 64); }
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
    return (unsigned long long)((unsigned __int128)x * y >> 64);
}
inline int __mul24(int x, int y) { return (x << 8 >> 8) * (y << 8 >> 8); }
inline unsigned __umul24(unsigned x, unsigned y) { return (x & 0xffffffu) * (y & 0xffffffu); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline unsigned __brev(unsigned x) {
    unsigned result = 0;
    for (int bit = 0; bit < 32; ++bit) result |= (x >> bit & 1u) << (31 - bit);
    return result;
}
inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32));
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    unsigned long long bytes = (unsigned long long)y << 32 | x;
    unsigned result = 0;
    for (int place = 0; place < 4; ++place) {
        unsigned chosen = selector >> 4 * place & 15u;
        unsigned byte = (unsigned)(bytes >> 8 * (chosen & 7u)) & 255u;
        result |= (chosen & 8u ? (byte & 128u ? 255u : 0u) : byte) << 8 * place;
    }
    return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return (unsigned)((((unsigned long long)high << 32 | low) << (shift & 31u)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return (unsigned)(((unsigned long long)high << 32 | low) >> (shift & 31u));
}
inline int __sad(int x, int y, unsigned z) { return (int)(z + (unsigned)(x < y ? y - x : x - y)); }
inline unsigned __usad(unsigned x, unsigned y, unsigned z) { return z + (x < y ? y - x : x - y); }
