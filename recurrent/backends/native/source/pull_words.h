// The backward pass of projections: the cotangents of a word's slots are added up before they are multiplied, so that a
// word that a batch holds several times costs two products once.
#pragma once

#include "gradients.h"

namespace recurrent {

constexpr int64_t kMostTasks = 8;  // each sums its own gradient of the input kernel
constexpr int64_t kLeastWork = kMostSlots;  // slots and words of a task
constexpr int64_t kAhead = 4;  // slots whose cotangents are loaded before they are added

// The slots of each word, in their order: those of a word begin at `first[word]` of `slots`.
struct SlotsOfWords {
  std::vector<int32_t> first, slots;

  SlotsOfWords(const std::vector<int32_t>& of_slot, int64_t num_words) : first(num_words + 1), slots(of_slot.size()) {
    for (const int32_t word : of_slot) ++first[word + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<int32_t> next(first.begin(), first.end() - 1);
    for (size_t slot = 0; slot < of_slot.size(); ++slot) slots[next[of_slot[slot]]++] = int32_t(slot);
  }
};

template <class Cell>
class PullWords {
 public:
  using Real = typename Cell::Real;

  // `d_sums` are the cotangents of the sums of all slots, each in the first blocks of its slot.
  PullWords(const Problem<Real>& problem, const Schedule& schedule, const BackwardWeights<Cell>& weights,
            const Real* d_sums, const Pulled<Real>& pulled, xla::ffi::ThreadPool pool)
      : problem_(problem), weights_(weights), d_sums_(d_sums), pulled_(pulled), words_(find_words(problem, schedule, pool)),
        slots_(words_.of_slot, words_.size()), d_prefix_input_(padded<Real>(problem.input_size)) {
    d_prefix_input_.fill_zero();
  }

  void run(xla::ffi::ThreadPool pool) {
    const int64_t num_tasks = std::clamp<int64_t>(work_before(words_.size()) / kLeastWork, 1, kMostTasks);
    for (int64_t task = 0; task < num_tasks; ++task) sums_.emplace_back(problem_.input_size * columns());
    in_parallel(pool, num_tasks, [&](int64_t task) {
      sums_[task].fill_zero();
      pull(first_of_task(task, num_tasks), first_of_task(task + 1, num_tasks), sums_[task].data());
      if (!pulled_.inputs) return;
      for (int64_t row = task; row < problem_.num_inputs; row += num_tasks)
        if (words_.of_row[row] < 0) std::fill_n(d_input(row), problem_.input_size, Real(0));
    });
  }

  // The gradients of the input kernel, in blocks of padded columns, summed over the words of each task.
  std::vector<const Real*> sums() const {
    std::vector<const Real*> sums;
    for (const Buffer<Real>& each : sums_) sums.push_back(each.data());
    return sums;
  }
  const Real* d_prefix_input() const { return d_prefix_input_.data(); }

 private:
  int64_t columns() const { return Cell::kInputBlocks * problem_.units(); }
  Real* d_input(int64_t row) const { return pulled_.inputs + row * problem_.input_size; }

  // The work of the words before one: their slots and they themselves.
  int64_t work_before(int64_t word) const { return slots_.first[word] + word; }

  // The word with which a task begins: all have nearly the same work. Equal numbers of words would leave most slots to
  // the task that has the frequent ones.
  int64_t first_of_task(int64_t task, int64_t num_tasks) const {
    int64_t low = 0, high = words_.size();
    const int64_t before = work_before(high) * task / num_tasks;
    while (low < high) {
      const int64_t word = (low + high) / 2;
      if (work_before(word) < before) {
        low = word + 1;
      } else {
        high = word;
      }
    }
    return low;
  }

  void pull(int64_t begin, int64_t end, Real* sums) const {
    const int64_t most = slots_of_chunk(problem_), input_units = padded<Real>(problem_.input_size);
    const bool is_copied = copies_rows(problem_);
    Buffer<Real> d_words(most * columns()), d_inputs(most * input_units), zeros(input_units);
    zeros.fill_zero();
    const GatherScratch<Real> scratch(is_copied ? most : 0, problem_.input_size);
    for (int64_t from = begin; from < end; from += most) {
      const int64_t count = std::min(most, end - from);
      const Real* rows[kMostSlots];
      Real* d_x[kMostSlots];
      for (int64_t number = 0; number < count; ++number) {
        add_slots(from + number, d_words.data() + number * columns());
        rows[number] = d_words.data() + number * columns();
        d_x[number] = is_written(words_.rows[from + number]) ? d_input(words_.rows[from + number])
                                                             : d_inputs.data() + number * input_units;
      }
      gather(words_.inputs.data() + from, problem_.input_size, d_words.data(), columns(), int(count), sums, columns(),
             is_copied ? &scratch : nullptr);
      if (!weights_.input.depth) continue;
      multiply(rows, int(count), weights_.input, zeros.data(), d_x);
      for (int64_t number = 0; number < count; ++number) hand_on(words_.rows[from + number], d_x[number]);
    }
  }

  // Adds up the cotangents of a word's slots.
  void add_slots(int64_t word, Real* sum) const {
    const int64_t first = slots_.first[word], last = slots_.first[word + 1], end = int64_t(slots_.slots.size());
    std::fill_n(sum, columns(), Real(0));
    for (int64_t at = first; at < last; ++at) {
      if (at + kAhead < end) prefetch(d_sums(at + kAhead), columns());
      for (int64_t column = 0; column < columns(); column += kLanes<Real>)
        store(sum + column, load(sum + column) + load(d_sums(at) + column));
    }
  }
  const Real* d_sums(int64_t at) const { return d_sums_ + slots_.slots[at] * (kKept<Cell> * problem_.units()); }

  // Whether a product can be written to the word's row of the table, without a copy: whole vectors have no other numbers.
  bool is_written(int32_t row) const {
    const bool is_whole = problem_.input_size == padded<Real>(problem_.input_size);
    return row >= 0 && row < problem_.num_inputs && pulled_.inputs && is_whole;
  }

  void hand_on(int32_t row, const Real* d_x) const {
    if (is_written(row)) return;
    if (row < 0) {
      std::copy_n(d_x, problem_.input_size, d_prefix_input_.data());
    } else if (row < problem_.num_inputs && pulled_.inputs) {
      std::copy_n(d_x, problem_.input_size, d_input(row));
    }
  }

  const Problem<Real>& problem_;
  const BackwardWeights<Cell>& weights_;
  const Real* d_sums_;
  const Pulled<Real>& pulled_;
  Words<Real> words_;
  SlotsOfWords slots_;
  std::vector<Buffer<Real>> sums_;
  Buffer<Real> d_prefix_input_;
};

}  // namespace recurrent
