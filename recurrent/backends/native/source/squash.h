// Sigmoid and tanh with their derivatives, from one exponential that cannot overflow and one reciprocal:
//
//   a = exp(-|x|),    d = 1 / (1 + a):    sigmoid(x) = (x < 0 ? a : 1) d,    sigmoid'(x) = a d^2
//   a = exp(-2|x|),   d = 1 / (1 + a):    tanh(x) = sign(x) (1 - a) d,       tanh'(x) = 4 a d^2
//
// where 1 - a is computed without cancellation. So derivatives keep their digits where a gate is nearly open or closed.
#pragma once

#include "simd.h"

namespace recurrent {

template <class Real>
struct Squashed {
  Vector<Real> value, derivative;
};

// The constants of exp(-y) = 2^n exp(r), |r| <= ln(2) / 2: the polynomial p of exp(r) = 1 + r + r^2 p(r).
template <class Real>
struct Exponential;

template <>
struct Exponential<float> {
  static constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float kMost = 87.0f;         // exp(-87) is a normal number
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  static constexpr int kMantissa = 23, kBias = 127;
  static constexpr float kTerms[] = {0.00019911023264285177f, 0.001393672195263207f, 0.008333278819918633f, 0.04166644811630249f, 0.1666666716337204f, 0.5f};
};

template <>
struct Exponential<double> {
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kMost = 708.0;
  static constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kTerms[] = {
      1.6059043836821613e-10, 2.08767569878681e-09,   2.505210838544172e-08,  2.755731922398589e-07,
      2.7557319223985893e-06, 2.48015873015873e-05,   1.984126984126984e-04,  1.3888888888888889e-03,
      8.3333333333333333e-03, 4.1666666666666664e-02, 1.6666666666666666e-01, 5.0e-01};
};

// exp(-y) and exp(-y) - 1 for y >= 0, both with a small relative error; NaN for NaN.
template <class Real>
struct Decay {
  Vector<Real> a, a_minus_1;

  explicit Decay(Vector<Real> y) {
    using E = Exponential<Real>;
    using V = Vector<Real>;
    using Integers = typename Simd<Real>::Integers;
    const V most = all<Real>(E::kMost);
    const auto is_tiny = y > most;
    y = is_tiny ? most : y;
    const V rounded = fma(y, all<Real>(Real(-1.4426950408889634)), all<Real>(E::kRound));
    const V n = rounded - E::kRound;
    const V high = fma(n, all<Real>(-E::kLn2High), -y);
    const V r = fma(n, all<Real>(-E::kLn2Low), high);
    const V rest = fma(n, all<Real>(-E::kLn2Low), high - r);  // what rounding took from r
    V p = all<Real>(E::kTerms[0]);
    for (size_t term = 1; term < sizeof(E::kTerms) / sizeof(Real); ++term) p = fma(p, r, all<Real>(E::kTerms[term]));
    p = fma(r * r, p, rest) + r;
    const V scale = (V)(((Integers)rounded << E::kMantissa) + ((typename Simd<Real>::Integer)E::kBias << E::kMantissa));
    const V zero = {};
    a = is_tiny ? zero : fma(scale, p, scale);
    a_minus_1 = is_tiny ? all<Real>(-1) : fma(scale, p, scale - 1);
  }
};

template <class Real>
static inline Vector<Real> magnitude(Vector<Real> x) {
  using Integers = typename Simd<Real>::Integers;
  return (Vector<Real>)((Integers)x & ~((Integers)all<Real>(Real(-0.0))));
}

template <class Real>
static inline Vector<Real> with_sign_of(Vector<Real> x, Vector<Real> not_negative) {
  using Integers = typename Simd<Real>::Integers;
  return (Vector<Real>)((Integers)not_negative | ((Integers)x & (Integers)all<Real>(Real(-0.0))));
}

// numerator / (1 + a), rounded about once: an estimate of 14 bits or more, corrected by its remainder.
template <class Real>
static inline Vector<Real> share(Vector<Real> numerator, Vector<Real> a) {
  const Vector<Real> sum = a + 1, rest = a - (sum - 1), d = reciprocal(sum), quotient = numerator * d;
  const Vector<Real> remainder = fma(-quotient, rest, fma(-quotient, sum, numerator));
  return fma(remainder, d, quotient);
}

template <class Real>
static inline Squashed<Real> sigmoid(Vector<Real> x) {
  const Decay<Real> decay(magnitude<Real>(x));
  const auto is_closed = x < 0;
  const Vector<Real> one = all<Real>(1);
  const Vector<Real> s = share<Real>(is_closed ? decay.a : one, decay.a), d = is_closed ? one - s : s;
  return {s, decay.a * d * d};
}

template <class Real>
static inline Squashed<Real> tanh(Vector<Real> x) {
  const Decay<Real> decay(magnitude<Real>(x) * 2);
  const Vector<Real> t = share<Real>(0 - decay.a_minus_1, decay.a), half = all<Real>(Real(0.5));
  const Vector<Real> d = fma(t, half, half);
  return {with_sign_of<Real>(x, t), decay.a * d * d * 4};
}

}  // namespace recurrent
