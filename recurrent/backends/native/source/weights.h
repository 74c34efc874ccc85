// A cell's params in the layouts that its loops read. Columns are blocks of whole vectors of units, zero beyond the
// cell's own.
#pragma once

#include "problem.h"
#include "step.h"

namespace recurrent {

// An element of a kernel [rows, gates * hidden] of the params.
template <class Real>
struct Columns {
  const Real* kernel;
  int64_t hidden_size, gates;

  Real operator()(int64_t row, int gate, int64_t unit) const {
    return unit < hidden_size ? kernel[(row * gates + gate) * hidden_size + unit] : Real(0);
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
              [&, from = columns(problem, problem.input_kernel), units = problem.units()](int64_t k, int64_t column) {
                return from(k, Cell::kInputGates[column / units], column % units);
              }),
        bias(Cell::kInputBlocks * problem.units()),
        recurrent(problem.hidden_size, [&, from = columns(problem, problem.recurrent_kernel)](
                                           int64_t k, int block, int64_t unit) {
          return from(k, Cell::kRecurrentGates[block], unit);
        }) {
    const auto from = columns(problem, problem.bias);
    constexpr bool has_two = Cell::kRecurrentFrom > 0;  // a GRU's biases: all but the candidate's can be added up
    for (int64_t unit = 0; unit < problem.units(); ++unit) {
      for (int block = 0; block < Cell::kInputBlocks; ++block) {
        const int gate = Cell::kInputGates[block];
        const bool adds = has_two && block >= Cell::kRecurrentFrom;
        bias.data()[block * problem.units() + unit] = from(0, gate, unit) + (adds ? from(1, gate, unit) : Real(0));
      }
      recurrent.bias.data()[unit] = has_two ? from(1, 2, unit) : Real(0);
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

  static auto transposed(const Problem<Real>& problem, const Real* kernel, const int* gates, int64_t size) {
    return [from = ForwardWeights<Cell>::columns(problem, kernel), units = problem.units(), gates, size](
               int64_t k, int64_t row) { return row < size ? from(row, gates[k / units], k % units) : Real(0); };
  }
};

}  // namespace recurrent
