// The cells: one step's equations for a vector of units, and their derivative.
//
// `update` computes a unit's next state from its pre-activations. It also computes the *factors* by which `pull` multiplies
// the cotangents on the way back, so that nothing is computed twice. Blocks of columns stand in an order in which the
// input's and the recurrent blocks are contiguous; `kInputGates` and `kRecurrentGates` say which gates of the params,
// in the library's order, they are.
#pragma once

#include "squash.h"

namespace recurrent {

// h' = tanh(x W + h U + b)
template <class R>
struct SimpleRnn {
  using Real = R;
  using V = Vector<R>;
  static constexpr int kInputBlocks = 1, kRecurrentBlocks = 1, kBlocks = 1, kRecurrentFrom = 0, kFactors = 1;
  static constexpr int kInputGates[] = {0}, kRecurrentGates[] = {0};
  static constexpr bool kHasMemory = false;

  static V first(const Real* projected, const Real* bias, int64_t units, int block) { return load(projected); }

  template <bool kKeeps>
  static V update(const V* sums, const Real* projected, int64_t units, V hidden, Real* memory, V* factors) {
    const auto next = tanh<Real>(sums[0]);
    if (kKeeps) factors[0] = next.derivative;
    return next.value;
  }

  static V pull(const Real* factors, int64_t units, V d_hidden, Real* d_memory, Real* d_sums) {
    store(d_sums, d_hidden * load(factors));
    return V{};
  }
};

// Gates i, f, g, o:  c' = f c + i g,  h' = o tanh(c')
template <class R>
struct Lstm {
  using Real = R;
  using V = Vector<R>;
  static constexpr int kInputBlocks = 4, kRecurrentBlocks = 4, kBlocks = 4, kRecurrentFrom = 0, kFactors = 6;
  static constexpr int kInputGates[] = {0, 1, 2, 3}, kRecurrentGates[] = {0, 1, 2, 3};
  static constexpr bool kHasMemory = true;

  static V first(const Real* projected, const Real* bias, int64_t units, int block) {
    return load(projected + block * units);
  }

  template <bool kKeeps>
  static V update(const V* sums, const Real* projected, int64_t units, V hidden, Real* memory, V* factors) {
    const auto f = sigmoid<Real>(sums[1]);
    const Gated<Real> written(sums[0], sums[2]);
    const V before = load(memory), after = fma(f.value, before, written.value);
    const Gated<Real> read(sums[3], after);
    store(memory, after);
    if (kKeeps) {
      factors[0] = written.by_gate;
      factors[1] = before * f.derivative;
      factors[2] = written.by_tanh;
      factors[3] = read.by_gate;
      factors[4] = read.by_tanh;
      factors[5] = f.value;
    }
    return read.value;
  }

  static V pull(const Real* factors, int64_t units, V d_hidden, Real* d_memory, Real* d_sums) {
    const V d = fma(d_hidden, load(factors + 4 * units), load(d_memory));
    for (int gate = 0; gate < 3; ++gate) store(d_sums + gate * units, d * load(factors + gate * units));
    store(d_sums + 3 * units, d_hidden * load(factors + 3 * units));
    store(d_memory, d * load(factors + 5 * units));
    return V{};
  }
};

// Gates z, r:  q = h U_n + b1_n,  n = tanh(x W_n + b0_n + r q),  h' = z h + (1 - z) n.  Blocks: n, z, r of the input and
// z, r, q of the recurrence.
template <class R>
struct Gru {
  using Real = R;
  using V = Vector<R>;
  static constexpr int kInputBlocks = 3, kRecurrentBlocks = 3, kBlocks = 4, kRecurrentFrom = 1, kFactors = 5;
  static constexpr int kInputGates[] = {2, 0, 1}, kRecurrentGates[] = {0, 1, 2};
  static constexpr bool kHasMemory = false;

  static V first(const Real* projected, const Real* bias, int64_t units, int block) {
    return load(block == 2 ? bias : projected + (1 + block) * units);
  }

  template <bool kKeeps>
  static V update(const V* sums, const Real* projected, int64_t units, V hidden, Real* memory, V* factors) {
    const auto z = sigmoid<Real>(sums[0]), r = sigmoid<Real>(sums[1]);
    const auto n = tanh<Real>(fma(r.value, sums[2], load(projected)));
    const V written = 1 - z.value;
    if (kKeeps) {
      factors[0] = written * n.derivative;
      factors[1] = (hidden - n.value) * z.derivative;
      factors[2] = sums[2] * r.derivative;
      factors[3] = r.value;
      factors[4] = z.value;
    }
    return fma(z.value, hidden, written * n.value);
  }

  static V pull(const Real* factors, int64_t units, V d_hidden, Real* d_memory, Real* d_sums) {
    const V d_n = d_hidden * load(factors);
    store(d_sums, d_n);
    store(d_sums + units, d_hidden * load(factors + units));
    store(d_sums + 2 * units, d_n * load(factors + 2 * units));
    store(d_sums + 3 * units, d_n * load(factors + 3 * units));
    return d_hidden * load(factors + 4 * units);
  }
};

}  // namespace recurrent
