// Vectors of the processor's full width, by the vector extensions of GCC and Clang: AVX-512, AVX2 with FMA, or NEON.
//
// Every fused multiply-add is written as `fma`, and the compiler must not form others (-ffp-contract=off): so a number
// has the same bits in whichever group of rows it is computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#define RECURRENT_VECTOR_BYTES 64
#define RECURRENT_ACCUMULATORS 24  // of 32 registers; the others hold weights
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define RECURRENT_VECTOR_BYTES 32
#define RECURRENT_ACCUMULATORS 12  // of 16 registers
#elif defined(__aarch64__)
#include <arm_neon.h>
#define RECURRENT_VECTOR_BYTES 16
#define RECURRENT_ACCUMULATORS 24
#else
#define RECURRENT_VECTOR_BYTES 16
#define RECURRENT_ACCUMULATORS 8
#endif

namespace recurrent {

constexpr int kVectorBytes = RECURRENT_VECTOR_BYTES;
constexpr int kAccumulators = RECURRENT_ACCUMULATORS;

template <class Real>
struct Simd;

template <>
struct Simd<float> {
  typedef float Vector __attribute__((vector_size(kVectorBytes), may_alias));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), may_alias, aligned(4)));
  typedef int32_t Integers __attribute__((vector_size(kVectorBytes), may_alias));
  typedef int32_t Integer;
};

template <>
struct Simd<double> {
  typedef double Vector __attribute__((vector_size(kVectorBytes), may_alias));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), may_alias, aligned(8)));
  typedef int64_t Integers __attribute__((vector_size(kVectorBytes), may_alias));
  typedef int64_t Integer;
};

template <class Real>
using Vector = typename Simd<Real>::Vector;

template <class Real>
constexpr int kLanes = kVectorBytes / int(sizeof(Real));

// The number of units, rounded up to whole vectors.
template <class Real>
constexpr int64_t padded(int64_t units) {
  return (units + kLanes<Real> - 1) / kLanes<Real> * kLanes<Real>;
}

template <class Real>
static inline Vector<Real> load(const Real* from) {
  return *reinterpret_cast<const typename Simd<Real>::Unaligned*>(from);
}

template <class Real>
static inline void store(Real* to, Vector<Real> value) {
  *reinterpret_cast<typename Simd<Real>::Unaligned*>(to) = value;
}

// Stores to whole vectors that are not read again soon: past the caches, without reading them first. Other threads may read
// them after `finish_streams`.
template <class Real>
static inline void stream(Real* to, Vector<Real> value) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)value);
#elif defined(__AVX2__) && defined(__FMA__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)value);
#else
  store(to, value);
#endif
}

static inline void finish_streams() {
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
  _mm_sfence();
#endif
}

// Copies whole vectors.
template <class Real>
static inline void copy_units(const Real* from, int64_t units, Real* to) {
  for (int64_t unit = 0; unit < units; unit += kLanes<Real>) store(to + unit, load(from + unit));
}

// Begins to load numbers that are needed soon.
template <class Real>
static inline void prefetch(const Real* from, int64_t count) {
  for (int64_t at = 0; at < count; at += 64 / int64_t(sizeof(Real))) __builtin_prefetch(from + at);
}

template <class Real>
static inline Vector<Real> all(Real value) {
  return value - Vector<Real>{};  // a sum would lose the sign of -0
}

static inline Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (Vector<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (Vector<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

static inline Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) {
#if defined(__AVX512F__)
  return (Vector<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (Vector<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
  return (Vector<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}

// 1 / x, of which 14 bits are right at least.
static inline Vector<float> reciprocal(Vector<float> x) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_rcp14_ps((__m512)x);
#else
  return 1 / x;
#endif
}

static inline Vector<double> reciprocal(Vector<double> x) { return 1 / x; }

// The lesser and the greater of a bound and x; NaN where x is NaN.
static inline Vector<float> at_most(Vector<float> bound, Vector<float> x) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_min_ps((__m512)bound, (__m512)x);
#else
  return x > bound ? bound : x;
#endif
}

static inline Vector<float> at_least(Vector<float> bound, Vector<float> x) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_max_ps((__m512)bound, (__m512)x);
#else
  return x < bound ? bound : x;
#endif
}

static inline Vector<double> at_most(Vector<double> bound, Vector<double> x) { return x > bound ? bound : x; }
static inline Vector<double> at_least(Vector<double> bound, Vector<double> x) { return x < bound ? bound : x; }

template <class Real>
static inline Vector<Real> magnitude(Vector<Real> x) {
  using Integers = typename Simd<Real>::Integers;
  return (Vector<Real>)((Integers)x & ~(Integers)all<Real>(Real(-0.0)));
}

template <class Real>
static inline Vector<Real> with_sign_of(Vector<Real> x, Vector<Real> not_negative) {
  using Integers = typename Simd<Real>::Integers;
  return (Vector<Real>)((Integers)not_negative | ((Integers)x & (Integers)all<Real>(Real(-0.0))));
}

// Flushes denormal numbers to zero while it lives, as JAX does on a CPU.
class FlushDenormals {
 public:
  FlushDenormals() : before_(read()) {
#if defined(__SSE2__)
    write(before_ | 0x8040);  // flush to zero, denormals are zero
#elif defined(__aarch64__)
    write(before_ | (uint64_t{1} << 24));
#endif
  }
  ~FlushDenormals() { write(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  static uint64_t read() {
#if defined(__SSE2__)
    return __builtin_ia32_stmxcsr();
#elif defined(__aarch64__)
    uint64_t value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
#else
    return 0;
#endif
  }
  static void write(uint64_t value) {
#if defined(__SSE2__)
    __builtin_ia32_ldmxcsr(static_cast<unsigned>(value));
#elif defined(__aarch64__)
    asm volatile("msr fpcr, %0" : : "r"(value));
#else
    (void)value;
#endif
  }

  uint64_t before_;
};

}  // namespace recurrent
