// The forward and the backward pass of a batch: parts in parallel, the shared prefix before or after them.
#pragma once

#include "parallel.h"
#include "pull.h"
#include "pull_words.h"

namespace recurrent {

constexpr int64_t kLeastStreamedBytes = int64_t{1} << 24;  // below it, the backward pass finds them in a cache

template <class Cell>
int64_t kernel_size(const Problem<typename Cell::Real>& problem) {
  return (problem.input_size + problem.hidden_size) * Cell::kRecurrentBlocks * problem.units();
}

// Where a part's residuals lie: its slots, or the states at the beginnings of its segments.
template <class Cell>
int64_t residuals_of(const Problem<typename Cell::Real>& problem, const Part& part) {
  const int64_t units = problem.units();
  if (!problem.segment_size) return part.first_slot * kKept<Cell> * units;
  const int64_t num_segments = (problem.num_steps + problem.segment_size - 1) / problem.segment_size;
  return part.first_row * num_segments * Advance<Cell>::kStates * units;
}

// Whether residuals are written past the caches: they are more than a core's caches hold, so that the backward pass would
// read them from memory anyway.
template <class Cell>
bool streams_residuals(const Schedule& schedule, const Problem<typename Cell::Real>& problem, const void* residuals) {
  const int64_t bytes = schedule.num_slots * kKept<Cell> * problem.units() * int64_t(sizeof(typename Cell::Real));
  return bytes >= kLeastStreamedBytes && reinterpret_cast<uintptr_t>(residuals) % kVectorBytes == 0;
}

// Computes outputs and final states; `residuals` may be null.
template <class Cell>
void forward_pass(const Problem<typename Cell::Real>& problem, xla::ffi::ThreadPool pool,
                  const Written<typename Cell::Real>& written, typename Cell::Real* residuals) {
  using Real = typename Cell::Real;
  const Schedule schedule = make_schedule(problem, kernel_size<Cell>(problem));
  const ForwardWeights<Cell> weights(problem);
  const Projections<Cell> of_words(problem, schedule, weights, pool);
  const bool has_prefix = schedule.has_prefix();
  const int64_t size = has_prefix ? problem.num_rows * problem.units() : 0;
  Beginnings<Real> beginnings = {Buffer<Real>(size), Buffer<Real>(Cell::kHasMemory ? size : 0)};

  const auto take = [&](int64_t number) {
    const Part& part = schedule.parts[number];
    Advance<Cell> advance(problem, weights, of_words, part);
    advance.begin(has_prefix ? &beginnings : nullptr);
    Real* kept = residuals ? residuals + residuals_of<Cell>(problem, part) : nullptr;
    if (!residuals) {
      advance.template run<false>(0, part.num_steps(), nullptr, false, written, &beginnings);
    } else if (!problem.segment_size) {
      const bool streams = streams_residuals<Cell>(schedule, problem, residuals);
      advance.template run<true>(0, part.num_steps(), kept, streams, written, &beginnings);
    } else {
      const int64_t states = int64_t(part.rows.size()) * Advance<Cell>::kStates * problem.units();
      for (int64_t from = 0; from < part.num_steps(); from += problem.segment_size, kept += states) {
        advance.save(kept);
        advance.template run<false>(from, std::min(from + problem.segment_size, part.num_steps()), nullptr, false,
                                    written, &beginnings);
      }
    }
    if (!part.is_prefix) advance.finish(written.final_hidden, written.final_memory);
  };

  if (has_prefix) take(0);
  in_parallel(pool, int64_t(schedule.parts.size()) - has_prefix, [&](int64_t number) { take(number + has_prefix); });
}

// Adds the sums of all parts, always in the same order, into gradients in the layout of the params. `input_sums` are those
// of the input kernel, of the parts or of the tasks of `PullWords`.
template <class Cell>
void add_kernels(const Problem<typename Cell::Real>& problem, xla::ffi::ThreadPool pool,
                 const std::vector<std::unique_ptr<Pull<Cell>>>& parts,
                 const std::vector<const typename Cell::Real*>& input_sums,
                 const SharedGradients<typename Cell::Real>& out) {
  using Real = typename Cell::Real;
  std::vector<const Real*> recurrent_sums, bias_sums;
  for (const auto& part : parts) {
    recurrent_sums.push_back(part->sums.recurrent());
    bias_sums.push_back(part->sums.bias());
  }
  const int64_t units = problem.units(), size = problem.hidden_size, gates = Cell::kRecurrentBlocks;
  const auto add_row = [&](Real* to, int blocks, const int* gates_of, const std::vector<const Real*>& sums, int64_t at) {
    for (int block = 0; block < blocks; ++block, at += units) {
      Real* columns = to + gates_of[block] * size;
      std::fill_n(columns, size, Real(0));
      for (const Real* each : sums)
        for (int64_t unit = 0; unit < size; ++unit) columns[unit] += each[at + unit];
    }
  };
  constexpr int64_t kRowsOfTask = 16;
  const int64_t num_rows = problem.input_size + size;
  in_parallel(pool, (num_rows + kRowsOfTask - 1) / kRowsOfTask, [&](int64_t task) {
    for (int64_t row = task * kRowsOfTask; row < std::min(num_rows, (task + 1) * kRowsOfTask); ++row) {
      if (row < problem.input_size) {
        add_row(out.input_kernel + row * gates * size, Cell::kInputBlocks, Cell::kInputGates, input_sums,
                row * Cell::kInputBlocks * units);
      } else {
        const int64_t unit = row - problem.input_size;
        add_row(out.recurrent_kernel + unit * gates * size, Cell::kRecurrentBlocks, Cell::kRecurrentGates,
                recurrent_sums, unit * Cell::kRecurrentBlocks * units);
      }
    }
  });
  add_row(out.bias, Cell::kInputBlocks, Cell::kInputGates, bias_sums, 0);
  if (Cell::kRecurrentFrom)
    add_row(out.bias + gates * size, Cell::kRecurrentBlocks, Cell::kRecurrentGates, bias_sums,
            Cell::kRecurrentFrom * units);
}

template <class Cell>
void add_resets(const Problem<typename Cell::Real>& problem, const std::vector<std::unique_ptr<Pull<Cell>>>& parts,
                const SharedGradients<typename Cell::Real>& out) {
  using Real = typename Cell::Real;
  const int64_t size = problem.hidden_size;
  if (!problem.reset_hidden) return;
  std::fill_n(out.reset_hidden, problem.table_size * size, Real(0));
  if (Cell::kHasMemory) std::fill_n(out.reset_memory, problem.table_size * size, Real(0));
  for (const auto& part : parts) {
    const Real* state = part->d_resets.states.data();
    for (const int64_t row : part->d_resets.rows)
      for (Real* table : {out.reset_hidden, out.reset_memory}) {
        if (!Cell::kHasMemory && table == out.reset_memory) continue;
        for (int64_t unit = 0; unit < size; ++unit) table[row * size + unit] += *state++;
      }
  }
}

// Adds the cotangents of all slots' inputs to the rows of the table that they were, always in the same order: each task
// has rows of its own.
template <class Real>
void add_inputs(const Problem<Real>& problem, const Schedule& schedule, xla::ffi::ThreadPool pool,
                const Pulled<Real>& pulled) {
  const int64_t num_tasks = std::max<int64_t>(1, pool.num_threads());  // any number gives the same bits
  std::vector<int32_t> input_rows;
  for (const Part& part : schedule.parts)
    for (int64_t step = 0; step < part.num_steps(); ++step)
      for (int64_t at = part.first[step]; at < part.first[step + 1]; ++at)
        input_rows.push_back(part.is_prefix ? -1 : int32_t(problem.input_row(part.rows[part.busy[at]], step)));
  const int64_t size = problem.input_size, units = padded<Real>(size);
  in_parallel(pool, num_tasks, [&](int64_t task) {
    for (int64_t row = task; row < problem.num_inputs; row += num_tasks) std::fill_n(pulled.inputs + row * size, size, Real(0));
    for (size_t slot = 0; slot < input_rows.size(); ++slot) {
      const int64_t row = input_rows[slot];
      if (row < 0 || row % num_tasks != task || row >= problem.num_inputs) continue;
      Real* to = pulled.inputs + row * size;
      const Real* from = pulled.of_slots + int64_t(slot) * units;
      for (int64_t unit = 0; unit < size; ++unit) to[unit] += from[unit];
    }
  });
}

// Adds the cotangent of the prefix' input to the row of the table that it is, after all others.
template <class Real>
void add_prefix(const Problem<Real>& problem, const Real* d_prefix_input, const Pulled<Real>& pulled) {
  if (!problem.prefix_row || !pulled.inputs) return;
  const int64_t row = problem.within_table(*problem.prefix_row), size = problem.input_size;
  if (row >= problem.num_inputs) return;
  for (int64_t unit = 0; unit < size; ++unit) pulled.inputs[row * size + unit] += d_prefix_input[unit];
}

// Goes back through a forward pass. `slots` are those of all steps, and are overwritten; null where segments are
// computed again from the states that are saved in `residuals`.
template <class Cell>
void backward_pass(const Problem<typename Cell::Real>& problem, xla::ffi::ThreadPool pool,
                   const Cotangents<typename Cell::Real>& given, const typename Cell::Real* residuals,
                   typename Cell::Real* slots,
                   const Pulled<typename Cell::Real>& pulled, const SharedGradients<typename Cell::Real>& shared) {
  using Real = typename Cell::Real;
  const Schedule schedule = make_schedule(problem, kernel_size<Cell>(problem));
  const bool has_prefix = schedule.has_prefix();
  std::unique_ptr<Again<Cell>> again;
  if (problem.segment_size) again = std::make_unique<Again<Cell>>(problem, schedule, pool);
  const BackwardWeights<Cell> weights(problem, pulled.inputs || has_prefix);
  std::vector<std::unique_ptr<Pull<Cell>>> parts(schedule.parts.size());

  // The cotangents of the prefix' states are those of the rows' beginnings.
  Beginnings<Real> d_beginnings;
  const auto take = [&](int64_t number) {
    const Part& part = schedule.parts[number];
    parts[number] = std::make_unique<Pull<Cell>>(problem, again.get(), weights, part, given, pulled);
    const int64_t from = residuals_of<Cell>(problem, part);
    parts[number]->run(slots ? slots + from : nullptr, residuals + from, &d_beginnings);
  };
  in_parallel(pool, int64_t(schedule.parts.size()) - has_prefix, [&](int64_t number) { take(number + has_prefix); });
  if (has_prefix) {
    const int64_t size = problem.num_rows * problem.hidden_size;
    d_beginnings = {Buffer<Real>(size), Buffer<Real>(Cell::kHasMemory ? size : 0)};
    std::copy_n(pulled.hidden, size, d_beginnings.hidden.data());
    if (Cell::kHasMemory) std::copy_n(pulled.memory, size, d_beginnings.memory.data());
    take(0);
    for (int64_t row = 0; row < problem.num_rows; ++row) {
      if (!problem.prefix(row)) continue;
      std::fill_n(pulled.hidden + row * problem.hidden_size, problem.hidden_size, Real(0));
      if (Cell::kHasMemory) std::fill_n(pulled.memory + row * problem.hidden_size, problem.hidden_size, Real(0));
    }
  }
  std::vector<const Real*> input_sums;
  const Real* d_prefix_input = has_prefix ? parts[0]->d_prefix_input.data() : nullptr;
  std::unique_ptr<PullWords<Cell>> words;
  if (pulls_words(problem)) {
    words = std::make_unique<PullWords<Cell>>(problem, schedule, weights, slots, pulled, pool);
    words->run(pool);
    input_sums = words->sums();
    if (has_prefix) d_prefix_input = words->d_prefix_input();
  } else {
    for (const auto& part : parts) input_sums.push_back(part->sums.input());
    if (problem.index && pulled.inputs) add_inputs(problem, schedule, pool, pulled);
  }
  add_kernels<Cell>(problem, pool, parts, input_sums, shared);
  if (has_prefix) add_prefix(problem, d_prefix_input, pulled);
  add_resets<Cell>(problem, parts, shared);
  if (!shared.prefix_input) return;
  std::fill_n(shared.prefix_input, problem.input_size, Real(0));
  if (has_prefix) std::copy_n(d_prefix_input, problem.input_size, shared.prefix_input);
}

}  // namespace recurrent
