// The forward pass of a part: its rows' states, advanced step by step.
//
// A slot is one step of one row. The inputs' part of the sums is that of the slot's word, or one product for the slots of
// several steps; then each step multiplies the hidden states of its busy rows and updates them.
#pragma once

#include "words.h"

namespace recurrent {

// The slots whose inputs are projected together, and whose share of the kernels' gradients is summed at once: enough for
// the kernels of a wide cell to be read seldom.
constexpr int kMostSlots = 256;

template <class Real>
int64_t slots_of_chunk(const Problem<Real>& problem) {
  return problem.units() >= 256 ? kMostSlots : 96;
}

// Where a forward pass writes.
template <class Real>
struct Written {
  Real* outputs;       // [rows, time, hidden], or null
  Real* memories;      // the same of an LSTM's memory
  Real* final_hidden;  // [rows, hidden]
  Real* final_memory;
};

// The states of the prefix after each number of steps that a row begins with, and after none: [rows, units].
template <class Real>
struct Beginnings {
  Buffer<Real> hidden, memory;
};

// What the backward pass needs of a slot: [slot][factors, then the hidden state before the step][units].
template <class Cell>
constexpr int kKept = Cell::kFactors + 1;

template <class Cell>
class Advance {
 public:
  using Real = typename Cell::Real;

  Advance(const Problem<Real>& problem, const ForwardWeights<Cell>& weights, const Projections<Cell>& of_words,
          const Part& part)
      : problem_(problem), weights_(weights), of_words_(of_words), part_(part), units_(problem.units()), count_(int64_t(part.rows.size())),
        hidden_(2 * count_ * units_), memory_(Cell::kHasMemory ? count_ * units_ : 0),
        projected_(of_words ? 0 : std::max(slots_of_chunk(problem), count_) * Cell::kInputBlocks * units_),
        entered_(problem.changes_hidden() ? count_ * units_ : 0), has_output_(count_, 0) {
    for (int64_t place = 0; place < count_; ++place) {
      now_[place] = hidden_.data() + 2 * place * units_;
      next_[place] = now_[place] + units_;
    }
    hidden_.fill_zero();
    memory_.fill_zero();
    entered_.fill_zero();
  }

  // Begins with the initial states, or with those after the prefix.
  void begin(const Beginnings<Real>* prefix) {
    for (int64_t place = 0; place < count_; ++place) {
      const int64_t row = part_.rows[place];
      if (part_.is_prefix) continue;
      if (prefix && problem_.prefix(row)) {
        std::copy_n(prefix->hidden.data() + row * units_, units_, hidden(place));
        if (Cell::kHasMemory) std::copy_n(prefix->memory.data() + row * units_, units_, memory(place));
      } else {
        set(place, problem_.hidden, problem_.memory, row);
      }
    }
  }

  // Copies the states to or from [rows of the part][states][units].
  void save(Real* states) {
    for (int64_t place = 0; place < count_; ++place, states += kStates * units_) {
      std::copy_n(hidden(place), units_, states);
      if (Cell::kHasMemory) std::copy_n(memory(place), units_, states + units_);
    }
  }
  void restore(const Real* states) {
    for (int64_t place = 0; place < count_; ++place, states += kStates * units_) {
      std::copy_n(states, units_, hidden(place));
      if (Cell::kHasMemory) std::copy_n(states + units_, units_, memory(place));
    }
  }

  // Advances through the steps [begin, end). `kept` receives the slots of these steps, past the caches if `streams`.
  template <bool kKeeps>
  void run(int64_t begin, int64_t end, Real* kept, bool streams, const Written<Real>& written,
           Beginnings<Real>* beginnings) {
    for (int64_t from = begin; from < end;) {
      const int64_t to = end_of_chunk(part_, from, end, slots_of_chunk(problem_));
      if (!of_words_) project(from, to);
      for (int64_t step = from; step < to; ++step) {
        reset(step);
        if (of_words_ && step + 1 < end)
          of_words_.prefetch(part_.first_slot + part_.first[step + 1], part_.first_slot + part_.first[step + 2]);
        const int busy = int(part_.first[step + 1] - part_.first[step]);
        take<kKeeps>(step, busy, part_.first[from], kept, streams);
        if (kKeeps) kept += busy * kKept<Cell> * units_;
        if (written.outputs) write(step, written.outputs, [this](int64_t place) { return hidden(place); });
        if (written.memories) write(step, written.memories, [this](int64_t place) { return memory(place); });
        if (part_.is_prefix) spread(step, *beginnings);
      }
      from = to;
    }
    if (streams) finish_streams();
  }

  void finish(Real* final_hidden, Real* final_memory) {
    for (int64_t place = 0; place < count_; ++place) {
      const int64_t at = part_.rows[place] * problem_.hidden_size;
      std::copy_n(hidden(place), problem_.hidden_size, final_hidden + at);
      if (Cell::kHasMemory) std::copy_n(memory(place), problem_.hidden_size, final_memory + at);
    }
  }

  static constexpr int kStates = Cell::kHasMemory ? 2 : 1;

  // The step after the last one of a chunk: at least one step, and no more slots than `most` unless it is one.
  static int64_t end_of_chunk(const Part& part, int64_t from, int64_t end, int64_t most) {
    int64_t to = from + 1;
    while (to < end && part.first[to + 1] - part.first[from] <= most) ++to;
    return to;
  }

 private:
  Real* hidden(int64_t place) const { return now_[place]; }
  Real* memory(int64_t place) const { return memory_.data() + place * units_; }

  // Sets a row's state to a row of arrays [rows, hidden], or to zero where there are none.
  void set(int64_t place, const Real* hiddens, const Real* memories, int64_t row) {
    const int64_t size = problem_.hidden_size;
    std::fill_n(hidden(place), units_, Real(0));
    if (Cell::kHasMemory) std::fill_n(memory(place), units_, Real(0));
    if (!hiddens) return;
    std::copy_n(hiddens + row * size, size, hidden(place));
    if (Cell::kHasMemory) std::copy_n(memories + row * size, size, memory(place));
  }

  void reset(int64_t step) {
    if (!problem_.is_reset || part_.is_prefix) return;
    for (int64_t place = 0; place < count_; ++place) {
      const int64_t row = part_.rows[place];
      if (!problem_.resets(row, step)) continue;
      set(place, problem_.reset_hidden, problem_.reset_memory,
          problem_.reset_hidden ? problem_.nearest_reset(problem_.reset_row(row, step)) : 0);
      has_output_[place] = 0;
    }
  }

  // Computes the inputs' part of the sums of a chunk's slots.
  void project(int64_t from, int64_t to) {
    const Real* rows[kMostSlots + kMostRowsOfPart];
    Real* out[kMostSlots + kMostRowsOfPart];
    int count = 0;
    for (int64_t step = from; step < to; ++step)
      for (int64_t at = part_.first[step]; at < part_.first[step + 1]; ++at, ++count) {
        rows[count] = input_of(problem_, part_, at, step);
        out[count] = projected_.data() + count * Cell::kInputBlocks * units_;
      }
    multiply(rows, count, weights_.input, weights_.bias.data(), out);
  }

  // The inputs' part of the sums of the slot at a position of `part.busy`, in a chunk that begins at another one.
  const Real* projected(int64_t at, int64_t first) const {
    if (of_words_) return of_words_.of_slot(part_.first_slot + at);
    return projected_.data() + (at - first) * Cell::kInputBlocks * units_;
  }

  // Computes a step of a chunk that begins at the position `first` of `part.busy`.
  template <bool kKeeps>
  void take(int64_t step, int busy, int64_t first, Real* kept, bool streams) {
    const Real *before[kMostRowsOfPart], *entered[kMostRowsOfPart], *sums[kMostRowsOfPart];
    Real *memories[kMostRowsOfPart], *after[kMostRowsOfPart], *slots[kMostRowsOfPart];
    const uint16_t* places = part_.busy.data() + part_.first[step];
    for (int number = 0; number < busy; ++number) {
      const int64_t place = places[number];
      before[number] = now_[place];
      after[number] = next_[place];
      memories[number] = Cell::kHasMemory ? memory(place) : nullptr;
      has_output_[place] = 1;
      std::swap(now_[place], next_[place]);
    }
    if (problem_.changes_hidden())
      for (int number = 0; number < busy; ++number) entered[number] = changed(places[number], before[number], step);
    for (int number = 0; number < busy; ++number) sums[number] = projected(part_.first[step] + number, first);
    if (kKeeps)
      for (int number = 0; number < busy; ++number) slots[number] = kept + number * kKept<Cell> * units_;
    const Real** multiplied = problem_.changes_hidden() ? entered : before;
    recurrent::step<Cell, kKeeps>(weights_.recurrent, {multiplied, before, sums, memories, after, slots, streams}, busy);
  }

  const Real* changed(int64_t place, const Real* hidden, int64_t step) {
    Real* to = entered_.data() + place * units_;
    problem_.change_hidden(part_.rows[place], step, hidden, to);
    return to;
  }

  // A masked step repeats the last output since the last reset.
  template <class Of>
  void write(int64_t step, Real* outputs, Of of) {
    for (int64_t place = 0; place < count_; ++place) {
      Real* to = outputs + (part_.rows[place] * problem_.num_steps + problem_.time(step)) * problem_.hidden_size;
      if (has_output_[place]) {
        std::copy_n(of(place), problem_.hidden_size, to);
      } else {
        std::fill_n(to, problem_.hidden_size, Real(0));
      }
    }
  }

  // Hands the prefix' state to the rows that begin after this step.
  void spread(int64_t step, Beginnings<Real>& beginnings) {
    for (int64_t row = 0; row < problem_.num_rows; ++row) {
      if (problem_.prefix(row) != step + 1) continue;
      std::copy_n(hidden(0), units_, beginnings.hidden.data() + row * units_);
      if (Cell::kHasMemory) std::copy_n(memory(0), units_, beginnings.memory.data() + row * units_);
    }
  }

  const Problem<Real>& problem_;
  const ForwardWeights<Cell>& weights_;
  const Projections<Cell>& of_words_;
  const Part& part_;
  int64_t units_, count_;
  Buffer<Real> hidden_, memory_, projected_, entered_;
  Real *now_[kMostRowsOfPart], *next_[kMostRowsOfPart];  // the hidden states of each place, and where the next ones go
  std::vector<uint8_t> has_output_;
};

// The input of the slot at a position of `part.busy`.
template <class Real>
static inline const Real* input_of(const Problem<Real>& problem, const Part& part, int64_t at, int64_t step) {
  if (part.is_prefix) return problem.prefix_input;
  return problem.input(part.rows[part.busy[at]], step);
}

}  // namespace recurrent
