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

// Words are numbered in the order in which slots meet them.
template <class Real>
static Words<Real> find_words(const Problem<Real>& problem, const Schedule& schedule) {
  Words<Real> words;
  words.of_row.assign(problem.num_inputs + 1, -1);
  words.of_slot.resize(schedule.num_slots);
  const auto add = [&](const Real* input, int32_t row) {
    words.inputs.push_back(input);
    words.rows.push_back(row);
    return int32_t(words.rows.size()) - 1;
  };
  for (const Part& part : schedule.parts) {
    int32_t* slot = words.of_slot.data() + part.first_slot;
    if (part.is_prefix) {
      std::fill_n(slot, part.num_slots(), add(problem.prefix_input, -1));
      continue;
    }
    for (int64_t step = 0; step < part.num_steps(); ++step)
      for (int64_t at = part.first[step]; at < part.first[step + 1]; ++at) {
        const int64_t row = problem.input_row(part.rows[part.busy[at]], step);
        int32_t& word = words.of_row[row];
        if (word < 0) word = add(problem.table_row(row), int32_t(row));
        *slot++ = word;
      }
  }
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
    Words<Real> words = find_words(problem, schedule);
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
