// Sigmoid and tanh with their derivatives, from one exponential and one quotient:
//
//   a = exp(-x),      d = 1 / (1 + a):    sigmoid(x) = d,                          sigmoid'(x) = (a d) d
//   a = exp(-2|x|),   d = 1 / (1 + a):    tanh(x) = sign(x) (1 - a) / (1 + a),     tanh'(x) = 4 (a d) d
//
// where 1 - a is computed without cancellation. So derivatives keep their digits where a gate is nearly open or closed.
// A gate times a tanh takes one quotient, and a second one for its derivatives.
#pragma once

#include "simd.h"

namespace recurrent {

template <class Real>
struct Squashed {
  Vector<Real> value, derivative;
};

// The constants of exp(-y) = 2^n exp(r), |r| <= ln(2) / 2, with exp(r) = 1 + r + r^2 p(r). In float32 p is fitted to the
// least relative error, 4e-9; in float64 it is Taylor's.
template <class Real>
struct Exponential;

template <>
struct Exponential<float> {
  static constexpr float kRound = 12583039.0f;  // 1.5 * 2^23 + 127: adding it rounds to an integer, as a biased exponent
  static constexpr float kMost = 88.0f;         // 2^n is zero at 88, and finite at -88
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  static constexpr int kMantissa = 23;
  static constexpr float kTerms[] = {1.3863489730283618e-3f, 8.367810398340225e-3f, 4.166724905371666e-2f,
                                     1.6666531562805176e-1f, 5.0e-1f};
};

template <>
struct Exponential<double> {
  static constexpr double kRound = 6755399441056767.0;  // 1.5 * 2^52 + 1023
  static constexpr double kMost = 709.0;
  static constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  static constexpr int kMantissa = 52;
  static constexpr double kTerms[] = {
      1.6059043836821613e-10, 2.08767569878681e-09,   2.505210838544172e-08,  2.755731922398589e-07,
      2.7557319223985893e-06, 2.48015873015873e-05,   1.984126984126984e-04,  1.3888888888888889e-03,
      8.3333333333333333e-03, 4.1666666666666664e-02, 1.6666666666666666e-01, 5.0e-01};
};

// exp(-y) for |y| <= kMost, as scale (1 + p); NaN for NaN.
template <class Real>
struct Decay {
  Vector<Real> scale, p;

  explicit Decay(Vector<Real> y) {
    using E = Exponential<Real>;
    using Integers = typename Simd<Real>::Integers;
    const Vector<Real> rounded = fma(y, all<Real>(Real(-1.4426950408889634)), all<Real>(E::kRound));
    const Vector<Real> n = rounded - E::kRound;
    const Vector<Real> r = fma(n, all<Real>(-E::kLn2Low), fma(n, all<Real>(-E::kLn2High), -y));
    Vector<Real> terms = all<Real>(E::kTerms[0]);
    for (size_t term = 1; term < sizeof(E::kTerms) / sizeof(Real); ++term)
      terms = fma(terms, r, all<Real>(E::kTerms[term]));
    p = fma(r * r, terms, r);
    scale = (Vector<Real>)((Integers)rounded << E::kMantissa);
  }

  Vector<Real> value() const { return fma(scale, p, scale); }
  // 1 + scale is exact for scales from 2^-23 to 2^23 (2^52 in float64); below, p does not count.
  Vector<Real> one_plus() const { return fma(scale, p, 1 + scale); }
  Vector<Real> one_minus() const { return fma(-scale, p, 1 - scale); }
};

// 1 / (1 + a), rounded about once: an estimate of 14 bits or more, corrected by its remainder, in which the difference is
// exact. To divide would take less time, but 1 + a would be rounded before.
template <class Real>
static inline Vector<Real> share(Vector<Real> a) {
  const Vector<Real> d = reciprocal(a + 1);
  return fma(fma(-d, a, 1 - d), d, d);
}

// exp(-x), for a sigmoid
template <class Real>
static inline Decay<Real> decay_of_gate(Vector<Real> x) {
  const Vector<Real> most = all<Real>(Exponential<Real>::kMost);
  return Decay<Real>(at_most(most, at_least(-most, x)));
}

// exp(-2 |x|), for a tanh
template <class Real>
static inline Decay<Real> decay_of_tanh(Vector<Real> x) {
  const Vector<Real> y = magnitude<Real>(x);
  return Decay<Real>(at_most(all<Real>(Exponential<Real>::kMost), y + y));
}

template <class Real>
static inline Squashed<Real> sigmoid(Vector<Real> x) {
  const Vector<Real> a = decay_of_gate<Real>(x).value(), s = share<Real>(a);
  return {s, a * s * s};
}

template <class Real>
static inline Squashed<Real> tanh(Vector<Real> x) {
  const Vector<Real> half = all<Real>(Real(0.5));
  const Decay<Real> a = decay_of_tanh<Real>(x);
  const Vector<Real> t = a.one_minus() / a.one_plus(), d = fma(t, half, half);
  return {with_sign_of<Real>(x, t), a.value() * d * d * 4};
}

// sigmoid(x) tanh(y) with its derivatives by x and y. `both`, the product of two denominators, is finite: kMost is less
// than the logarithm of half the greatest number. The value is a quotient of its own: a product with `each` would be
// rounded once more.
template <class Real>
struct Gated {
  Vector<Real> value, by_gate, by_tanh;

  Gated(Vector<Real> x, Vector<Real> y) {
    const Decay<Real> a = decay_of_gate<Real>(x), b = decay_of_tanh<Real>(y);
    const Vector<Real> a_plus = a.one_plus(), b_plus = b.one_plus(), both = a_plus * b_plus, each = 1 / both;
    const Vector<Real> gate = each * b_plus, d = each * a_plus;
    value = with_sign_of<Real>(y, b.one_minus() / both);
    by_gate = value * (a.value() * gate);
    by_tanh = each * d * b.value() * 4;
  }
};

}  // namespace recurrent
