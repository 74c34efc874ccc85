// What a backward pass takes and returns.
#pragma once

#include "advance.h"

namespace recurrent {

// The cotangents of what the forward pass returned.
template <class Real>
struct Cotangents {
  const Real* outputs;   // [rows, time, hidden], or null
  const Real* memories;  // the same of an LSTM's memory
  const Real* final_hidden;
  const Real* final_memory;
};

// The cotangents of the arguments; null for those that are not wanted.
template <class Real>
struct Pulled {
  Real* inputs;
  Real* hidden;  // [rows, hidden], of the initial states
  Real* memory;
  Real* recurrent_mask;
  // [slots, padded input], scratch for the inputs' cotangents where inputs are rows of a table and segments are computed
  // again
  Real* of_slots;
};

// Whether the input kernel's gradient is that of words, whose slots are added up first. Then the cotangents of all slots'
// sums are kept.
template <class Real>
static bool pulls_words(const Problem<Real>& problem) {
  return problem.index && !problem.segment_size;
}

// Whether the rows that `gather` reads are copied first.
template <class Real>
static bool copies_rows(const Problem<Real>& problem) {
  constexpr int64_t kLeastCopied = 64;  // units
  return problem.units() >= kLeastCopied;
}

// The gradients of both kernels and the biases, in blocks of padded columns, summed over a part; without the input
// kernel's if `PullWords` computes it.
template <class Cell>
struct KernelSums {
  using Real = typename Cell::Real;
  int64_t input_columns, recurrent_columns, input_rows, hidden_size;
  Buffer<Real> data;

  explicit KernelSums(const Problem<Real>& problem)
      : input_columns(Cell::kInputBlocks * problem.units()), recurrent_columns(Cell::kRecurrentBlocks * problem.units()),
        input_rows(pulls_words(problem) ? 0 : problem.input_size), hidden_size(problem.hidden_size),
        data(input_rows * input_columns + hidden_size * recurrent_columns + Cell::kBlocks * problem.units()) {
    data.fill_zero();
  }
  Real* input() const { return data.data(); }
  Real* recurrent() const { return input() + input_rows * input_columns; }
  Real* bias() const { return recurrent() + hidden_size * recurrent_columns; }
};

// The cotangents of states to which resets led, in the order in which they were met.
template <class Real>
struct ResetCotangents {
  std::vector<int64_t> rows;  // of the table
  std::vector<Real> states;   // [resets][states][hidden]
};

// The gradients of what all rows share.
template <class Real>
struct SharedGradients {
  Real* input_kernel;
  Real* recurrent_kernel;
  Real* bias;
  Real* reset_hidden;  // [table, hidden], or null
  Real* reset_memory;
  Real* prefix_input;  // [input], or null
};

}  // namespace recurrent
