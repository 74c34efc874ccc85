// One step of some rows: h U in registers, then the cell's update of the same units, without a store in between.
#pragma once

#include "cells.h"
#include "matmul.h"

namespace recurrent {

// The recurrent kernel as [blocks of a vector of units][depth][gates][vector].
template <class Cell>
struct RecurrentKernel {
  using Real = typename Cell::Real;
  int64_t depth, units;
  Buffer<Real> weights, bias;

  // fill(k, block, unit, to) writes the vector of row k and a block of columns that begins at a unit.
  template <class Fill>
  RecurrentKernel(int64_t hidden_size, Fill fill)
      : depth(hidden_size), units(padded<Real>(hidden_size)), weights(depth * units * Cell::kRecurrentBlocks),
        bias(units) {
    Real* to = weights.data();
    for (int64_t first = 0; first < units; first += kLanes<Real>)
      for (int64_t k = 0; k < depth; ++k)
        for (int block = 0; block < Cell::kRecurrentBlocks; ++block, to += kLanes<Real>) fill(k, block, first, to);
  }
};

// The arrays of a step's rows, a pointer for each row.
template <class Real>
struct StepRows {
  const Real** entered;    // the hidden state that is multiplied
  const Real** hidden;     // the hidden state before the step
  const Real** projected;  // the input's part of the sums
  Real** memory;           // an LSTM's memory, before and after the step
  Real** next;             // the hidden state after the step
  Real** kept;             // where the factors of the derivative and the hidden state before the step go
  bool streams;            // past the caches
};

template <class Cell, bool kKeeps, int kRows, int kUnitBlocks>
static void step_tile(const RecurrentKernel<Cell>& kernel, const StepRows<typename Cell::Real>& at, int row,
                      int64_t unit) {
  using Real = typename Cell::Real;
  constexpr int lanes = kLanes<Real>, gates = Cell::kRecurrentBlocks;
  const int64_t units = kernel.units, depth = kernel.depth, block_size = depth * gates * lanes;
  Vector<Real> sum[kRows][kUnitBlocks][gates];
  for (int r = 0; r < kRows; ++r)
    for (int b = 0; b < kUnitBlocks; ++b)
      for (int gate = 0; gate < gates; ++gate)
        sum[r][b][gate] = Cell::first(at.projected[row + r] + unit + b * lanes, kernel.bias.data() + unit + b * lanes,
                                      units, gate);
  const Real* weights = kernel.weights.data() + unit / lanes * block_size;
  for (int64_t k = 0; k < depth; ++k, weights += gates * lanes)
    for (int b = 0; b < kUnitBlocks; ++b) {
      Vector<Real> w[gates];
      for (int gate = 0; gate < gates; ++gate) w[gate] = load(weights + b * block_size + gate * lanes);
      for (int r = 0; r < kRows; ++r) {
        const Vector<Real> h = all(at.entered[row + r][k]);
        for (int gate = 0; gate < gates; ++gate) sum[r][b][gate] = fma(h, w[gate], sum[r][b][gate]);
      }
    }
  for (int r = 0; r < kRows; ++r)
    for (int b = 0; b < kUnitBlocks; ++b) {
      const int64_t from = unit + b * lanes;
      Real* const memory = Cell::kHasMemory ? at.memory[row + r] + from : nullptr;
      const Vector<Real> hidden = load(at.hidden[row + r] + from);
      Vector<Real> kept[Cell::kFactors + 1];
      const Vector<Real> next = Cell::template update<kKeeps>(sum[r][b], at.projected[row + r] + from, units, hidden,
                                                              memory, kept);
      store(at.next[row + r] + from, next);
      if (!kKeeps) continue;
      kept[Cell::kFactors] = hidden;
      Real* const to = at.kept[row + r] + from;
      if (at.streams) {
        for (int number = 0; number <= Cell::kFactors; ++number) stream(to + number * units, kept[number]);
      } else {
        for (int number = 0; number <= Cell::kFactors; ++number) store(to + number * units, kept[number]);
      }
    }
}

template <class Cell, bool kKeeps, int kUnitBlocks, size_t... kRows>
static constexpr auto steps_of(std::index_sequence<kRows...>) {
  return std::array{step_tile<Cell, kKeeps, kRows + 1, kUnitBlocks>...};
}

template <class Cell, bool kKeeps, int kUnitBlocks>
static void step_units(const RecurrentKernel<Cell>& kernel, const StepRows<typename Cell::Real>& at, int count,
                       int64_t unit) {
  constexpr int most = std::min(kMostRows, kAccumulators / (kUnitBlocks * Cell::kRecurrentBlocks));
  if constexpr (most > 0) {
    static constexpr auto tiles = steps_of<Cell, kKeeps, kUnitBlocks>(std::make_index_sequence<most>());
    in_groups(count, most, [&](int row, int number) { tiles[number - 1](kernel, at, row, unit); });
  }
}

// Advances `count` rows by a step. Few rows take several blocks of units at once, which hides the latency of the sums.
template <class Cell, bool kKeeps>
static void step(const RecurrentKernel<Cell>& kernel, const StepRows<typename Cell::Real>& at, int count) {
  constexpr int lanes = kLanes<typename Cell::Real>, alone = kAccumulators / Cell::kRecurrentBlocks;
  for (int64_t unit = 0; unit < kernel.units;) {
    const int64_t left = (kernel.units - unit) / lanes;
    if (left >= 4 && 4 * count <= alone) {
      step_units<Cell, kKeeps, 4>(kernel, at, count, unit);
      unit += 4 * lanes;
    } else if (left >= 2 && 2 * count <= alone) {
      step_units<Cell, kKeeps, 2>(kernel, at, count, unit);
      unit += 2 * lanes;
    } else {
      step_units<Cell, kKeeps, 1>(kernel, at, count, unit);
      unit += lanes;
    }
  }
}

}  // namespace recurrent
