// One batch of sequences: its sizes, options and arrays, as they come from JAX.
#pragma once

#include "simd.h"

namespace recurrent {

// Rounds to the nearest bfloat16, ties to even; NaN for NaN.
static inline float to_bfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
  float rounded;
  std::memcpy(&rounded, &bits, sizeof(rounded));
  return x == x ? rounded : x;
}

constexpr int64_t kBeyond = 2;  // `above` and `below` of a table of inputs

// Arrays are null where the call has none.
template <class Real>
struct Problem {
  int64_t num_rows, num_steps, input_size, hidden_size;
  bool reverse;
  int64_t truncate_every;  // 0: gradients are not cut
  int64_t segment_size;    // 0: the residuals of all steps are kept
  bool rounds;             // the hidden state is rounded to bfloat16 before it is multiplied

  const Real* inputs;            // [rows, time, input]; or a table [table of inputs, input] where there is `index`
  const int32_t* index;          // [rows, time], the row of the table of each step
  int64_t num_inputs;            // rows of the table
  const Real* below;             // [input], what a negative index reads, without a gradient; null: the first row
  const Real* above;             // the same of an index beyond the end; null: the last row
  const Real* input_kernel;      // [input, gates * hidden]
  const Real* recurrent_kernel;  // [hidden, gates * hidden]
  const Real* bias;              // [gates * hidden], or [2, gates * hidden]
  const Real* hidden;            // [rows, hidden], the initial states
  const Real* memory;            // [rows, hidden]
  const bool* is_token;          // [rows, time]
  const bool* is_reset;          // [rows, time], before a step of the pass
  const int32_t* reset_index;    // [rows, time]
  const Real* reset_hidden;      // [table, hidden]; null: resets lead to zero
  const Real* reset_memory;      // [table, hidden]
  int64_t table_size;
  const Real* recurrent_mask;  // [rows, mask_steps, hidden]
  int64_t mask_steps;
  const Real* prefix_input;      // [input]
  const int32_t* prefix_row;     // [1], the row of the table that it is; null if it is none
  const int32_t* prefix_length;  // [rows]

  int64_t units() const { return padded<Real>(hidden_size); }
  // The step in time of a step of the pass.
  int64_t time(int64_t step) const { return reverse ? num_steps - 1 - step : step; }
  // The number of steps of a row that belong to the shared prefix.
  int64_t prefix(int64_t row) const {
    if (!prefix_length) return 0;
    const int64_t length = prefix_length[row];
    return length < 0 ? 0 : length > num_steps ? num_steps : length;
  }
  int64_t longest_prefix() const {
    int64_t longest = 0;
    for (int64_t row = 0; prefix_length && row < num_rows; ++row) longest = longest > prefix(row) ? longest : prefix(row);
    return longest;
  }
  // Whether a row computes a step of the pass itself.
  bool is_busy(int64_t row, int64_t step) const {
    return step >= prefix(row) && (!is_token || is_token[row * num_steps + time(step)]);
  }
  bool resets(int64_t row, int64_t step) const { return is_reset && is_reset[row * num_steps + time(step)]; }
  bool cuts(int64_t step) const { return truncate_every && step && step % truncate_every == 0; }
  // The row of the table of states to which a reset leads. JAX adds the size to a negative index.
  int64_t reset_row(int64_t row, int64_t step) const {
    const int64_t index = reset_index[row * num_steps + time(step)];
    return index < 0 ? index + table_size : index;
  }
  // An index beyond the table reads the nearest row, and its gradient is dropped, as of `table[index]` in JAX.
  bool is_within_resets(int64_t at) const { return at >= 0 && at < table_size; }
  int64_t nearest_reset(int64_t at) const { return at < 0 ? 0 : at >= table_size ? table_size - 1 : at; }
  const Real* mask(int64_t row, int64_t step) const {
    return recurrent_mask + (row * mask_steps + (mask_steps == 1 ? 0 : time(step))) * hidden_size;
  }
  // The row of the table of inputs at a step. After the rows follow the numbers of `above` and `below`.
  int64_t input_row(int64_t row, int64_t step) const { return within_table(index[row * num_steps + time(step)]); }
  int64_t within_table(int64_t at) const {
    if (at >= 0 && at < num_inputs) return at;
    if (at < 0) return below ? num_inputs + 1 : 0;
    return above ? num_inputs : num_inputs - 1;
  }
  const Real* table_row(int64_t at) const {
    if (at < num_inputs) return inputs + at * input_size;
    return at == num_inputs ? above : below;
  }
  const Real* input(int64_t row, int64_t step) const {
    if (index) return table_row(input_row(row, step));
    return inputs + (row * num_steps + time(step)) * input_size;
  }
  // Whether the hidden state that is multiplied differs from the state.
  bool changes_hidden() const { return recurrent_mask || rounds; }
  // Writes the hidden state that a row multiplies at a step.
  void change_hidden(int64_t row, int64_t step, const Real* from, Real* to) const {
    const Real* factors = recurrent_mask ? mask(row, step) : nullptr;
    for (int64_t unit = 0; unit < hidden_size; ++unit) to[unit] = factors ? from[unit] * factors[unit] : from[unit];
    for (int64_t unit = 0; rounds && unit < hidden_size; ++unit) to[unit] = Real(to_bfloat16(float(to[unit])));
  }
};

}  // namespace recurrent
