// The backward pass of a part: cotangents go back step by step; the kernels' gradients are summed over chunks of steps.
#pragma once

#include "gradients.h"

namespace recurrent {

constexpr int64_t kSlotsAhead = 8;  // slots that are loaded before the backward pass comes to them

// What computes the steps of a segment again.
template <class Cell>
struct Again {
  ForwardWeights<Cell> weights;
  Projections<Cell> of_words;

  Again(const Problem<typename Cell::Real>& problem, const Schedule& schedule, xla::ffi::ThreadPool pool)
      : weights(problem), of_words(problem, schedule, weights, pool) {}
};

template <class Cell>
class Pull {
 public:
  using Real = typename Cell::Real;

  Pull(const Problem<Real>& problem, const Again<Cell>* again, const BackwardWeights<Cell>& weights,
       const Part& part, const Cotangents<Real>& given, const Pulled<Real>& pulled)
      : sums(problem), d_prefix_input(padded<Real>(problem.input_size)), problem_(problem), again_(again),
        weights_(weights), part_(part), given_(given), pulled_(pulled), units_(problem.units()),
        count_(int64_t(part.rows.size())), d_hidden_(count_ * units_), d_memory_(count_ * units_),
        d_held_(count_ * units_), d_held_memory_(given.memories ? count_ * units_ : 0), d_entered_(count_ * units_),
        zeros_(std::max(units_, padded<Real>(problem.input_size))),
        rows_(std::max(slots_of_chunk(problem), count_) * std::max(units_, padded<Real>(problem.input_size))),
        scratch_(copies_rows(problem) ? std::max(slots_of_chunk(problem), count_) : 0,
                 std::max(problem.input_size, problem.hidden_size)) {
    for (Buffer<Real>* buffer : {&d_prefix_input, &d_hidden_, &d_memory_, &d_held_, &d_held_memory_, &zeros_})
      buffer->fill_zero();
  }

  // Goes back through all steps. `kept` are the slots of all steps, or null; then the steps of a segment are computed
  // again from `saved`, the states at the segments' beginnings. The cotangents of a slot's sums replace its factors.
  void run(Real* kept, const Real* saved, const Beginnings<Real>* d_beginnings) {
    begin();
    const int64_t num_steps = part_.num_steps();
    const int64_t size = problem_.segment_size ? problem_.segment_size : std::max<int64_t>(num_steps, 1);
    Buffer<Real> computed(kept ? 0 : most_slots(size) * stride());
    for (int64_t from = (num_steps - 1) / size * size; from >= 0 && num_steps; from -= size) {
      const int64_t to = std::min(from + size, num_steps);
      Real* slots = kept ? kept + part_.first[from] * stride() : computed.data();
      if (!kept) {
        Advance<Cell> advance(problem_, again_->weights, again_->of_words, part_);
        advance.restore(saved + from / size * count_ * Advance<Cell>::kStates * units_);
        Beginnings<Real> unused = {Buffer<Real>(problem_.num_rows * units_), Buffer<Real>(problem_.num_rows * units_)};
        advance.template run<true>(from, to, computed.data(), false, {}, &unused);
      }
      pull_segment(from, to, slots, d_beginnings);
    }
    finish();
  }

  KernelSums<Cell> sums;
  Buffer<Real> d_prefix_input;
  ResetCotangents<Real> d_resets;

 private:
  void begin() {
    for (int64_t place = 0; place < count_ && !part_.is_prefix; ++place) {
      const int64_t row = part_.rows[place], size = problem_.hidden_size;
      std::copy_n(given_.final_hidden + row * size, size, d_hidden(place));
      if (Cell::kHasMemory) std::copy_n(given_.final_memory + row * size, size, d_memory(place));
      if (pulled_.recurrent_mask) {
        std::fill_n(pulled_.recurrent_mask + row * problem_.mask_steps * size, problem_.mask_steps * size, Real(0));
      }
      for (int64_t step = 0; step < problem_.num_steps && pulled_.inputs && !problem_.index; ++step)
        if (!problem_.is_busy(row, step)) std::fill_n(d_inputs(row, step), problem_.input_size, Real(0));
    }
  }

  void finish() {
    for (int64_t place = 0; place < count_ && !part_.is_prefix; ++place) {
      const int64_t at = part_.rows[place] * problem_.hidden_size;
      std::copy_n(d_hidden(place), problem_.hidden_size, pulled_.hidden + at);
      if (Cell::kHasMemory) std::copy_n(d_memory(place), problem_.hidden_size, pulled_.memory + at);
    }
  }

  void pull_segment(int64_t begin, int64_t end, Real* kept, const Beginnings<Real>* d_beginnings) {
    for (int64_t to = end; to > begin;) {
      int64_t from = to - 1;
      while (from > begin && part_.first[to] - part_.first[from - 1] <= slots_of_chunk(problem_)) --from;
      Real* slots = kept + (part_.first[from] - part_.first[begin]) * stride();
      for (int64_t step = to - 1; step >= from; --step) {
        if (part_.is_prefix) receive(step, *d_beginnings);
        if (given_.outputs) add_outputs(step, given_.outputs, d_hidden_, d_held_);
        if (given_.memories) add_outputs(step, given_.memories, d_memory_, d_held_memory_);
        const int64_t first = part_.first[step] - part_.first[from];
        pull_step(step, slots + first * stride(), first + part_.first[from] - part_.first[begin]);
        leave(step);
      }
      gather_chunk(from, to, slots);
      to = from;
    }
  }

  // Adds the cotangents of the states that the prefix handed on after this step.
  void receive(int64_t step, const Beginnings<Real>& d_beginnings) {
    for (int64_t row = 0; row < problem_.num_rows; ++row) {
      if (problem_.prefix(row) != step + 1) continue;
      add(d_hidden(0), d_beginnings.hidden.data() + row * problem_.hidden_size);
      if (Cell::kHasMemory) add(d_memory(0), d_beginnings.memory.data() + row * problem_.hidden_size);
    }
  }

  // A masked step repeats the last output, so its cotangent belongs to that output's step.
  void add_outputs(int64_t step, const Real* d_outputs, const Buffer<Real>& d_states, const Buffer<Real>& d_held) {
    const uint16_t* busy = part_.busy.data() + part_.first[step];
    const uint16_t* const end = part_.busy.data() + part_.first[step + 1];
    for (int64_t place = 0; place < count_; ++place) {
      const Real* d_output =
          d_outputs + (part_.rows[place] * problem_.num_steps + problem_.time(step)) * problem_.hidden_size;
      Real *const d_state = d_states.data() + place * units_, *const held = d_held.data() + place * units_;
      if (busy < end && *busy == place) {
        ++busy;
        add(d_state, d_output);
        if (problem_.is_token) {
          add(d_state, held);
          std::fill_n(held, units_, Real(0));
        }
      } else {
        add(held, d_output);
      }
    }
  }

  // Goes from the last slot to the first, so that all memory is read in one direction. `num_before` is the number of slots
  // of earlier steps.
  void pull_step(int64_t step, Real* slots, int64_t num_before) {
    const Real* rows[kMostRowsOfPart];
    Real* out[kMostRowsOfPart];
    const uint16_t* places = part_.busy.data() + part_.first[step];
    const int busy = int(part_.first[step + 1] - part_.first[step]);
    for (int number = busy - 1; number >= 0; --number) {
      const int64_t place = places[number];
      Real *const d_hidden = this->d_hidden(place), *const d_memory = this->d_memory(place);
      Real* const slot = slots + number * stride();
      if (num_before + number >= kSlotsAhead) prefetch(slot - kSlotsAhead * stride(), stride());
      for (int64_t unit = 0; unit < units_; unit += kLanes<Real>)
        store(d_hidden + unit, Cell::pull(slot + unit, units_, load(d_hidden + unit), d_memory + unit, slot + unit));
      clear_padding(slot);
      rows[number] = slot + Cell::kRecurrentFrom * units_;
      out[number] = problem_.recurrent_mask ? d_entered_.data() + number * units_ : d_hidden;
    }
    multiply(rows, busy, weights_.recurrent, problem_.recurrent_mask ? zeros_.data() : nullptr, out);
    if (!problem_.recurrent_mask) return;
    for (int number = 0; number < busy; ++number, slots += stride())
      unmask(places[number], step, out[number], slots + Cell::kFactors * units_);
  }

  // The units that fill up a vector are NaN where an input is infinite, and products would spread that to all others.
  void clear_padding(Real* d_sums) {
    const int64_t size = problem_.hidden_size;
    for (int block = 0; block < Cell::kBlocks && size < units_; ++block)
      std::fill_n(d_sums + block * units_ + size, units_ - size, Real(0));
  }

  void unmask(int64_t place, int64_t step, const Real* d_entered, const Real* hidden) {
    const Real* mask = problem_.mask(part_.rows[place], step);
    Real* d_mask = pulled_.recurrent_mask ? pulled_.recurrent_mask + (mask - problem_.recurrent_mask) : nullptr;
    Real* d_hidden = this->d_hidden(place);
    for (int64_t unit = 0; unit < problem_.hidden_size; ++unit) {
      d_hidden[unit] += d_entered[unit] * mask[unit];
      if (d_mask) d_mask[unit] += d_entered[unit] * hidden[unit];
    }
  }

  // Ends the way back where the step's states were reset, or where gradients are cut.
  void leave(int64_t step) {
    for (int64_t place = 0; place < count_ && !part_.is_prefix; ++place) {
      const bool is_reset = problem_.resets(part_.rows[place], step);
      const int64_t row = is_reset && problem_.reset_hidden ? problem_.reset_row(part_.rows[place], step) : -1;
      if (problem_.is_within_resets(row)) {
        d_resets.rows.push_back(row);
        append(d_hidden(place));
        if (Cell::kHasMemory) append(d_memory(place));
      }
      if (!is_reset && !problem_.cuts(step)) continue;
      for (const Buffer<Real>* each : {&d_hidden_, &d_memory_, &d_held_, &d_held_memory_})
        if (each->size()) std::fill_n(each->data() + place * units_, units_, Real(0));
    }
  }

  // Adds a chunk's share of the gradients, from the cotangents of its slots' sums.
  void gather_chunk(int64_t from, int64_t to, const Real* slots) {
    const int count = int(part_.first[to] - part_.first[from]);
    if (!pulls_words(problem_)) pull_inputs(from, to, slots);
    const Real* hidden[kMostSlots + kMostRowsOfPart];
    for (int slot = 0; slot < count; ++slot) hidden[slot] = slots + slot * stride() + Cell::kFactors * units_;
    if (problem_.changes_hidden()) change_hidden(from, to, hidden);
    gather(hidden, problem_.hidden_size, slots + Cell::kRecurrentFrom * units_, stride(), count, sums.recurrent(),
           sums.recurrent_columns, scratch());
    for (int64_t column = 0; column < Cell::kBlocks * units_; column += kLanes<Real>) {
      Vector<Real> sum = load(sums.bias() + column);
      for (int slot = 0; slot < count; ++slot) sum += load(slots + slot * stride() + column);
      store(sums.bias() + column, sum);
    }
  }

  // The same for the input kernel, and the cotangents of the inputs.
  void pull_inputs(int64_t from, int64_t to, const Real* slots) {
    const Real *inputs[kMostSlots + kMostRowsOfPart], *d_rows[kMostSlots + kMostRowsOfPart];
    Real* d_x[kMostSlots + kMostRowsOfPart];
    const int64_t input_units = padded<Real>(problem_.input_size), first_slot = part_.first_slot + part_.first[from];
    const bool is_table = problem_.index && !part_.is_prefix;
    const bool is_direct = is_table || (input_units == problem_.input_size && !part_.is_prefix);
    const bool writes = is_direct && pulled_.inputs;
    int count = 0;
    for (int64_t step = from; step < to; ++step)
      for (int64_t at = part_.first[step]; at < part_.first[step + 1]; ++at, ++count) {
        inputs[count] = input_of(problem_, part_, at, step);
        d_rows[count] = slots + count * stride();
        if (writes && is_table) {
          d_x[count] = pulled_.of_slots + (first_slot + count) * input_units;
        } else {
          d_x[count] = writes ? d_inputs(part_.rows[part_.busy[at]], step) : rows_.data() + count * input_units;
        }
      }
    gather(inputs, problem_.input_size, slots, stride(), count, sums.input(), sums.input_columns, scratch());
    if (!pulled_.inputs && !part_.is_prefix) return;
    multiply(d_rows, count, weights_.input, zeros_.data(), d_x);
    if (!is_direct) hand_on(from, to, d_x);
  }

  // The numbers of a slot.
  int64_t stride() const { return kKept<Cell> * units_; }
  const GatherScratch<Real>* scratch() const { return copies_rows(problem_) ? &scratch_ : nullptr; }

  // Copies the inputs' cotangents to their places, or adds them up for the prefix.
  void hand_on(int64_t from, int64_t to, Real* const* d_x) {
    for (int64_t step = from; step < to; ++step)
      for (int64_t at = part_.first[step]; at < part_.first[step + 1]; ++at, ++d_x) {
        if (part_.is_prefix) {
          for (int64_t unit = 0; unit < problem_.input_size; ++unit) d_prefix_input.data()[unit] += (*d_x)[unit];
        } else {
          std::copy_n(*d_x, problem_.input_size, d_inputs(part_.rows[part_.busy[at]], step));
        }
      }
  }

  // Replaces the hidden states by those that were multiplied.
  void change_hidden(int64_t from, int64_t to, const Real** hidden) {
    Real* changed = rows_.data();
    for (int64_t step = from; step < to; ++step)
      for (int64_t at = part_.first[step]; at < part_.first[step + 1]; ++at, ++hidden, changed += units_) {
        problem_.change_hidden(part_.rows[part_.busy[at]], step, *hidden, changed);
        *hidden = changed;
      }
  }

  // The largest number of slots of a segment.
  int64_t most_slots(int64_t size) const {
    int64_t most = 0;
    for (int64_t from = 0; from < part_.num_steps(); from += size)
      most = std::max(most, part_.first[std::min(from + size, part_.num_steps())] - part_.first[from]);
    return most;
  }

  void add(Real* to, const Real* more) const {
    for (int64_t unit = 0; unit < problem_.hidden_size; ++unit) to[unit] += more[unit];
  }
  void append(const Real* state) {
    d_resets.states.insert(d_resets.states.end(), state, state + problem_.hidden_size);
  }

  Real* d_hidden(int64_t place) const { return d_hidden_.data() + place * units_; }
  Real* d_memory(int64_t place) const { return d_memory_.data() + place * units_; }
  Real* d_inputs(int64_t row, int64_t step) const {
    return pulled_.inputs + (row * problem_.num_steps + problem_.time(step)) * problem_.input_size;
  }

  const Problem<Real>& problem_;
  const Again<Cell>* again_;  // null if all slots are kept
  const BackwardWeights<Cell>& weights_;
  const Part& part_;
  const Cotangents<Real>& given_;
  const Pulled<Real>& pulled_;
  int64_t units_, count_;
  Buffer<Real> d_hidden_, d_memory_, d_held_, d_held_memory_, d_entered_, zeros_, rows_;
  GatherScratch<Real> scratch_;
};

}  // namespace recurrent
