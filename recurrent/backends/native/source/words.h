// The distinct inputs of a batch whose inputs are rows of a table, such as words: each is projected once.
#pragma once

#include "parallel.h"
#include "schedule.h"
#include "weights.h"

namespace recurrent {

constexpr int64_t kWordsOfTask = 256;
constexpr int64_t kMostPrefetched = 512;  // numbers of a word; longer ones are loaded ahead by the processor itself
constexpr int64_t kMostProjectedBytes = int64_t{1} << 27;  // of all words; more would be a burden on memory
constexpr int64_t kMostRowsOfSlot = 64;  // rows of the table for each slot; to look through more takes longer than it saves

template <class Real>
struct Words {
  std::vector<int32_t> of_slot;     // the word of each slot of the batch
  std::vector<const Real*> inputs;  // of each word
  std::vector<int32_t> rows;        // the word's row of the table, or -1 for the prefix
  std::vector<int32_t> of_row;      // the word of each row of the table, or -1

  int64_t size() const { return int64_t(rows.size()); }
};

// Words are numbered in the order of the table, after the prefix. To find which rows are read and to number them takes
// little; the slots' words are looked up in parallel.
template <class Real>
static Words<Real> find_words(const Problem<Real>& problem, const Schedule& schedule, xla::ffi::ThreadPool pool) {
  Words<Real> words;
  const bool has_prefix = schedule.has_prefix();
  std::vector<uint8_t> is_read(problem.num_inputs + kBeyond, 0);
  for (int64_t row = 0; row < problem.num_rows; ++row) {
    const int64_t num_busy = problem.num_steps - problem.prefix(row);
    const int64_t from = row * problem.num_steps + (problem.reverse ? 0 : problem.prefix(row));
    for (int64_t at = from; at < from + num_busy; ++at)
      if (!problem.is_token || problem.is_token[at]) is_read[problem.within_table(problem.index[at])] = 1;
  }
  words.rows.reserve(has_prefix + std::accumulate(is_read.begin(), is_read.end(), int64_t{0}));
  words.of_row.assign(is_read.size(), -1);
  if (has_prefix) words.rows.push_back(-1);
  for (size_t row = 0; row < is_read.size(); ++row) {
    if (!is_read[row]) continue;
    words.of_row[row] = int32_t(words.size());
    words.rows.push_back(int32_t(row));
  }
  words.inputs.reserve(words.size());
  for (const int32_t row : words.rows)
    words.inputs.push_back(row < 0 ? problem.prefix_input : problem.table_row(row));

  words.of_slot.resize(schedule.num_slots);
  in_parallel(pool, int64_t(schedule.parts.size()), [&](int64_t number) {
    const Part& part = schedule.parts[number];
    int32_t* slot = words.of_slot.data() + part.first_slot;
    if (part.is_prefix) {
      std::fill_n(slot, part.num_slots(), 0);
      return;
    }
    for (int64_t step = 0; step < part.num_steps(); ++step)
      for (int64_t at = part.first[step]; at < part.first[step + 1]; ++at)
        *slot++ = words.of_row[problem.input_row(part.rows[part.busy[at]], step)];
  });
  return words;
}

// The inputs' part of the sums of each word. Empty where slots are projected one by one, with the same bits: if few of them
// share a word, if words are many, or if the table is much larger than the batch.
template <class Cell>
class Projections {
 public:
  using Real = typename Cell::Real;

  Projections(const Problem<Real>& problem, const Schedule& schedule, const ForwardWeights<Cell>& weights,
              xla::ffi::ThreadPool pool)
      : stride_(Cell::kInputBlocks * problem.units()) {
    const int64_t num_slots = schedule.num_slots;
    if (!problem.index || problem.num_inputs > kMostRowsOfSlot * num_slots) return;
    Words<Real> words = find_words(problem, schedule, pool);
    const int64_t size = words.size();
    if (4 * size > 3 * num_slots || size * stride_ * int64_t(sizeof(Real)) > kMostProjectedBytes) return;
    sums_ = Buffer<Real>(size * stride_);
    prefer_large_pages(sums_.data(), size * stride_);
    in_parallel(pool, (size + kWordsOfTask - 1) / kWordsOfTask, [&](int64_t task) {
      const int64_t first = task * kWordsOfTask, count = std::min(kWordsOfTask, size - first);
      Real* out[kWordsOfTask];
      for (int64_t number = 0; number < count; ++number) out[number] = sums_.data() + (first + number) * stride_;
      multiply(words.inputs.data() + first, int(count), weights.input, weights.bias.data(), out);
    });
    word_of_slot_ = std::move(words.of_slot);
  }

  explicit operator bool() const { return sums_.size(); }
  const Real* of_slot(int64_t slot) const { return sums_.data() + word_of_slot_[slot] * stride_; }

  // Begins to load what some slots need, which lies far apart.
  void prefetch(int64_t first, int64_t last) const {
    if (stride_ > kMostPrefetched) return;
    for (int64_t slot = first; slot < last; ++slot) recurrent::prefetch(of_slot(slot), stride_);
  }

 private:
  int64_t stride_;
  std::vector<int32_t> word_of_slot_;
  Buffer<Real> sums_;
};

}  // namespace recurrent
