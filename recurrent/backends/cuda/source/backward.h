// The backward pass: a block pulls the cotangents of one row back through all of its steps.
//
// Everything that depends on kept arrays alone is computed one step ahead, beside the sums that a step waits for.
#pragma once

#include "lanes.h"
#include "squash.h"

namespace recurrent {

struct Backward {
  Steps steps;
  const float *kept, *before_hidden, *before_memory;
  const float *d_outputs, *d_final_hidden, *d_final_memory;
  float *d_projected, *d_recurrent;  // [row, time, gates]; a GRU's differ in the candidate
  float *d_hidden, *d_memory, *d_reset_hidden, *d_reset_memory;
};

// What the backward pass reads of a step.
struct Read {
  float kept, before, d_output;  // of the lane's gate, of the unit
  unsigned events;
};

// The factors of a step. In lane q the cotangent of gate q is `gate` times that of the state or the memory.
struct Factors {
  float gate;
  float through;  // from the new memory (GRU: state) to the old one
  float memory;   // from the new hidden state to the new memory
};

template <class Cell>
__device__ inline Factors factors_of(const Read& read, int lane, Kind kind) {
  if constexpr (Cell::kHasMemory) {
    const Squashed own = squash_with_slope(read.kept, kind);
    const float i = from_lane(own.value, 0), f = from_lane(own.value, 1), g = from_lane(own.value, 2),
                o = from_lane(own.value, 3);
    const Squashed memory = squash_with_slope(fmaf(f, read.before, i * g), kind_of(true));
    const float partner = lane == 0 ? g : lane == 1 ? read.before : lane == 2 ? i : memory.value;
    return {partner * own.slope, f, o * memory.slope};
  } else if constexpr (Cell::kHasBias) {
    const Squashed own = squash_with_slope(read.kept, kind);
    const float z = from_lane(own.value, 0), r = from_lane(own.value, 1), n = from_lane(own.value, 2);
    const float candidate = (1 - z) * from_lane(own.slope, 2), recurrent = from_lane(read.kept, 3);
    const float z_or_r = (lane == 0 ? read.before - n : candidate * recurrent) * own.slope;
    return {lane < 2 ? z_or_r : lane == 2 ? candidate : candidate * r, z, 0};
  } else {
    return {squash_with_slope(read.kept, kind).slope, 0, 0};
  }
}

template <class Cell, int kHidden, bool kHasEvents>
__global__ void __launch_bounds__(kLanes* kHidden) backward_kernel(Backward pass) {
  using B = Block<Cell, kHidden>;
  constexpr int kGates = Cell::kGates, kColumns = kGates * kHidden;
  const Steps& steps = pass.steps;
  const int unit = threadIdx.x / kLanes, lane = threadIdx.x % kLanes, num_steps = steps.num_steps;
  const long long row = blockIdx.x, start = row * num_steps;
  const unsigned cotangents = memory_begin();  // two buffers of those of the gates
  Weights<B> weights;
  weights.memory = cotangents + 2 * kColumns * 4 + threadIdx.x * 16;
  using Numbers = Ahead<B::kThreads, 4>;
  const Numbers ahead = {cotangents + 2 * kColumns * 4 + B::kWeightBytes + threadIdx.x * 4};
  const Kind kind = kind_of(lane == 2 || kGates == 1);

  const float* kernel = steps.recurrent_kernel + (row / steps.rows * kHidden + unit) * kColumns;
#pragma unroll
  for (int i = 0; i < B::kWeights; ++i) {
    const float* at = kernel + 16 * i + 4 * lane;
    weights.put(i, {at[0], at[1], at[2], at[3]});
  }
  float d_hidden = pass.d_final_hidden[row * kHidden + unit];
  float d_memory = Cell::kHasMemory ? pass.d_final_memory[row * kHidden + unit] : 0.0f;
  float d_held = 0;
  unsigned now = cotangents, after = cotangents + kColumns * 4;
  // Where this lane writes the cotangent of its gate: a GRU's kernel multiplies that of its candidate's other part.
  const unsigned place = ((Cell::kHasBias && lane == 3 ? 2 : lane) * kHidden + unit) * 4;
  const bool writes = Cell::kHasBias ? lane != 2 : lane < kGates;

  const int direction = steps.reverse ? 1 : -1;  // from the last step of the pass to the first
  long long step = start + (steps.reverse ? 0 : num_steps - 1), fetched = step;
  const bool has_outputs = pass.d_outputs;
  const auto fetch = [&](int number) {
    if (number < num_steps) {
      const int own = lane < Cell::kKept ? lane : 0;
      const long long of_unit = fetched * kHidden + unit;
      ahead.copy(number, 0, pass.kept + fetched * Cell::kKept * kHidden + own * kHidden + unit);
      if (Cell::kHasMemory) ahead.copy(number, 1, pass.before_memory + of_unit);
      if (Cell::kHasBias) ahead.copy(number, 1, pass.before_hidden + of_unit);
      if (has_outputs) ahead.copy(number, 2, pass.d_outputs + of_unit);
      if (kHasEvents) ahead.copy(number, 3, steps.events + fetched);
    }
    fetched += direction;
    end_copies();
  };
  const auto take = [&](int number) {
    Read read = {ahead.take(number, 0), 0, 0, kToken};
    if (Cell::kHasMemory || Cell::kHasBias) read.before = ahead.take(number, 1);
    if (has_outputs) read.d_output = ahead.take(number, 2);
    if (kHasEvents) read.events = bits_of(ahead.take(number, 3));
    return read;
  };
  for (int number = 0; number < Numbers::kSteps; ++number) fetch(number);
  wait_for_copies<Numbers::kSteps - 1>();
  Read following = take(0);
  Factors next = factors_of<Cell>(following, lane, kind);

#pragma unroll 1
  for (int number = 0; number < num_steps; ++number, step += direction) {
    const Read read = following;
    const Factors factors = next;
    wait_for_copies<Numbers::kSteps - 2>();
    following = take(number + 1);
    fetch(number + Numbers::kSteps);

    float* d_projected = pass.d_projected + step * kColumns + unit;
    float* d_recurrent = Cell::kHasBias ? pass.d_recurrent + step * kColumns + unit : nullptr;
    if (!kHasEvents || (read.events & kToken)) {
      d_hidden += read.d_output + d_held;
      d_held = 0;
      float d_gate = d_hidden * factors.gate;
      if constexpr (Cell::kHasMemory) {
        d_memory = fmaf(d_hidden, factors.memory, d_memory);
        if (lane != 3) d_gate = d_memory * factors.gate;
        d_memory *= factors.through;
      }
      if (writes) store(now + place, d_gate);
      if constexpr (Cell::kHasBias) {
        if (lane < 3) d_projected[lane * kHidden] = d_gate;
        if (lane != 2) d_recurrent[(lane < 2 ? lane : 2) * kHidden] = d_gate;
      } else if (lane < kGates) {
        d_projected[lane * kHidden] = d_gate;
      }
      __syncthreads();
      float4 sums = {0, 0, 0, 0};
#pragma unroll
      for (int i = 0; i < B::kWeights; ++i) sums = add_products(load(now + lane * 16 + i * 64), weights.get(i), sums);
      next = factors_of<Cell>(following, lane, kind);
      const float through = Cell::kHasBias ? d_hidden * factors.through : 0.0f;
      d_hidden = through + sum_of_lanes(add_up(sums));
      const unsigned before = now;
      now = after, after = before;
    } else {
      d_held += read.d_output;
      if (lane < kGates) d_projected[lane * kHidden] = 0;
      if (Cell::kHasBias && lane < kGates) d_recurrent[lane * kHidden] = 0;
      next = factors_of<Cell>(following, lane, kind);
    }
    if (kHasEvents && pass.d_reset_hidden) {
      const bool is_reset = read.events & kReset;
      if (lane == 0) pass.d_reset_hidden[step * kHidden + unit] = is_reset ? d_hidden : 0.0f;
      if (Cell::kHasMemory && lane == 1) pass.d_reset_memory[step * kHidden + unit] = is_reset ? d_memory : 0.0f;
    }
    if (kHasEvents && (read.events & kReset)) d_hidden = 0, d_memory = 0, d_held = 0;
  }
  if (lane == 0) pass.d_hidden[row * kHidden + unit] = d_hidden;
  if (Cell::kHasMemory && lane == 1) pass.d_memory[row * kHidden + unit] = d_memory;
}

}  // namespace recurrent
