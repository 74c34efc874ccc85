// A cell's params in the layouts that its loops read. Columns are blocks of whole vectors of units, zero beyond the
// cell's own.
#pragma once

#include "problem.h"
#include "step.h"

namespace recurrent {

// A kernel [rows, gates * hidden] of the params.
template <class Real>
struct Columns {
  const Real* kernel;
  int64_t hidden_size, gates;

  const Real* at(int64_t row, int gate, int64_t unit) const {
    return kernel + (row * gates + gate) * hidden_size + unit;
  }
  // Writes a vector of units of a gate; units beyond the cell's own are zero.
  void copy(int64_t row, int gate, int64_t unit, Real* to) const {
    const int64_t count = std::min<int64_t>(kLanes<Real>, hidden_size - unit);
    std::copy_n(at(row, gate, unit), count, to);
    std::fill(to + count, to + kLanes<Real>, Real(0));
  }
  // Writes a vector of rows of one column; rows beyond the kernel's own are zero.
  void copy_transposed(int64_t row, int64_t num_rows, int gate, int64_t unit, Real* to) const {
    for (int lane = 0; lane < kLanes<Real>; ++lane)
      to[lane] = unit < hidden_size && row + lane < num_rows ? *at(row + lane, gate, unit) : Real(0);
  }
};

template <class Cell>
struct ForwardWeights {
  using Real = typename Cell::Real;
  Packed<Real> input;
  Buffer<Real> bias;
  RecurrentKernel<Cell> recurrent;

  explicit ForwardWeights(const Problem<Real>& problem)
      : input(problem.input_size, Cell::kInputBlocks * problem.units(),
              [from = columns(problem, problem.input_kernel), units = problem.units()](
                  int64_t k, int64_t column, Real* to) {
                from.copy(k, Cell::kInputGates[column / units], column % units, to);
              }),
        bias(Cell::kInputBlocks * problem.units()),
        recurrent(problem.hidden_size, [from = columns(problem, problem.recurrent_kernel)](
                                           int64_t k, int block, int64_t unit, Real* to) {
          from.copy(k, Cell::kRecurrentGates[block], unit, to);
        }) {
    const auto from = columns(problem, problem.bias);
    constexpr bool has_two = Cell::kRecurrentFrom > 0;  // a GRU's biases: all but the candidate's can be added up
    bias.fill_zero();
    recurrent.bias.fill_zero();
    for (int64_t unit = 0; unit < problem.hidden_size; ++unit) {
      for (int block = 0; block < Cell::kInputBlocks; ++block) {
        const int gate = Cell::kInputGates[block];
        const bool adds = has_two && block >= Cell::kRecurrentFrom;
        bias.data()[block * problem.units() + unit] = *from.at(0, gate, unit) + (adds ? *from.at(1, gate, unit) : 0);
      }
      if (has_two) recurrent.bias.data()[unit] = *from.at(1, 2, unit);
    }
  }

  static Columns<Real> columns(const Problem<Real>& problem, const Real* kernel) {
    return {kernel, problem.hidden_size, Cell::kRecurrentBlocks};
  }
};

// The transposed kernels, from the cotangents of the sums to those of the hidden state and of the input.
template <class Cell>
struct BackwardWeights {
  using Real = typename Cell::Real;
  Packed<Real> recurrent, input;

  explicit BackwardWeights(const Problem<Real>& problem, bool wants_inputs)
      : recurrent(Cell::kRecurrentBlocks * problem.units(), problem.units(),
                  transposed(problem, problem.recurrent_kernel, Cell::kRecurrentGates, problem.hidden_size)),
        input(wants_inputs ? Cell::kInputBlocks * problem.units() : 0, padded<Real>(problem.input_size),
              transposed(problem, problem.input_kernel, Cell::kInputGates, problem.input_size)) {}

  static auto transposed(const Problem<Real>& problem, const Real* kernel, const int* gates, int64_t num_rows) {
    return [from = ForwardWeights<Cell>::columns(problem, kernel), units = problem.units(), gates, num_rows](
               int64_t k, int64_t row, Real* to) {
      from.copy_transposed(row, num_rows, gates[k / units], k % units, to);
    };
  }
};

}  // namespace recurrent
