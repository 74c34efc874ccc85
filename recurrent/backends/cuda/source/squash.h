// Sigmoid and tanh of one number, accurate in value and in derivative, without a branch:
//
//   e = exp(-x) or exp(2 |x|),  d = 1 / (1 + e)
//   sigmoid(x) = d                  sigmoid'(x) = (e d) d
//   tanh(x) = sign(x) (1 - 2 d)     tanh'(x) = 4 (e d) d
//
// Near zero a tanh is a polynomial. The lanes of a warp squash gates of both kinds, so the kind is a set of numbers.
#pragma once

#include <cuda_runtime.h>

namespace recurrent {

// 1 / x for x from 1 on, to one unit in the last place.
__device__ inline float reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return 1 / x;
#endif
}

union Bits {
  float number;
  unsigned bits;
};
__device__ inline unsigned bits_of(float number) { return Bits{.number = number}.bits; }
__device__ inline float number_of(unsigned bits) { return Bits{.bits = bits}.number; }

struct Kind {
  unsigned sign;         // the bit of the sign where the function is odd
  float scale;           // of the exponent
  float factor, offset;  // from d to the value
  float near;            // the size below which the polynomial is taken
};

__device__ inline Kind kind_of(bool is_tanh) {
  return is_tanh ? Kind{0x80000000, 2, -2, 1, 0.55f} : Kind{0, -1, 1, 0, -1};
}

struct Squashed {
  float value, slope;
};

__device__ inline float exponent_of(float x, Kind kind) { return kind.scale * number_of(bits_of(x) & ~kind.sign); }

__device__ inline float value_of(float x, float share, Kind kind) {
  const float s = x * x;
  float near = fmaf(s, -0.0061971647664904594f, 0.02101912721991539f);
  near = fmaf(s, near, -0.05384005233645439f);
  near = fmaf(s, near, 0.1333247423171997f);
  near = fmaf(s, near, -0.3333331346511841f);
  near = fmaf(s * near, x, x);
  const float far = number_of(bits_of(fmaf(kind.factor, share, kind.offset)) | (bits_of(x) & kind.sign));
  return fabsf(x) < kind.near ? near : far;
}

__device__ inline float squash(float x, Kind kind) {
  return value_of(x, reciprocal(1 + expf(exponent_of(x, kind))), kind);
}

__device__ inline Squashed squash_with_slope(float x, Kind kind) {
  const float exponent = exponent_of(x, kind);
  const float e = expf(exponent > 88 ? 88 : exponent);  // beyond it e is infinite, and 0 * e is NaN
  const float share = reciprocal(1 + e);
  return {value_of(x, share, kind), kind.scale * kind.scale * ((e * share) * share)};
}

}  // namespace recurrent
