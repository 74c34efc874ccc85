// The forward pass: a block computes one row, all of its steps.
#pragma once

#include "lanes.h"
#include "squash.h"

namespace recurrent {

struct Forward {
  Steps steps;
  const float *projected, *recurrent_bias;   // [row, time, gates], [gates]
  const float *hidden, *memory;              // [row, hidden]: the states before the first step
  const float *reset_hidden, *reset_memory;  // [row, time, hidden]
  float *outputs, *final_hidden, *final_memory;
  float *kept, *before_hidden, *before_memory;  // for the backward pass: [row, time, kept], [row, time, hidden]
};

template <class Cell, int kHidden, bool kKeeps, bool kHasEvents>
__global__ void __launch_bounds__(kLanes* kHidden) forward_kernel(Forward pass) {
  using B = Block<Cell, kHidden>;
  constexpr int kGates = Cell::kGates, kColumns = kGates * kHidden;
  const Steps& steps = pass.steps;
  const int unit = threadIdx.x / kLanes, lane = threadIdx.x % kLanes, num_steps = steps.num_steps;
  const long long row = blockIdx.x, start = row * num_steps;
  const unsigned states = memory_begin();  // two buffers of the hidden state
  Weights<B> weights;
  weights.memory = states + 2 * kHidden * 4 + threadIdx.x * 16;
  using Numbers = Ahead<B::kThreads, 2>;
  const Numbers ahead = {states + 2 * kHidden * 4 + B::kWeightBytes + threadIdx.x * 4};
  const Kind kind = kind_of(Cell::kHasMemory && lane == 2), tanh = kind_of(true);

  const float* kernel = steps.recurrent_kernel + row / steps.rows * kHidden * kColumns + unit;
#pragma unroll
  for (int i = 0; i < kHidden / 16; ++i) {
#pragma unroll
    for (int gate = 0; gate < kGates; ++gate) {
      const float* at = kernel + (16 * i + 4 * lane) * kColumns + gate * kHidden;
      weights.put(i * kGates + gate, {at[0], at[kColumns], at[2 * kColumns], at[3 * kColumns]});
    }
  }
  const int own = lane < kGates ? lane : kGates - 1;  // the gate that this lane squashes
  const float bias = Cell::kHasBias ? pass.recurrent_bias[row / steps.rows * kColumns + own * kHidden + unit] : 0.0f;
  float hidden = pass.hidden ? pass.hidden[row * kHidden + unit] : 0.0f;
  float memory = Cell::kHasMemory && pass.memory ? pass.memory[row * kHidden + unit] : 0.0f;
  float held = 0;
  // The places from which the state is read, and to which it is written: now, and after the next step.
  unsigned read = states + lane * 16, read_next = read + kHidden * 4;
  unsigned write = states + unit * 4, write_next = write + kHidden * 4;
  const auto write_state = [&](unsigned place) {
    if (lane == 0) store(place, hidden);
    __syncthreads();
  };
  write_state(write);

  const int direction = steps.reverse ? -1 : 1;
  long long step = start + (steps.reverse ? num_steps - 1 : 0), fetched = step;
  const auto fetch = [&](int number) {
    if (number < num_steps) {
      ahead.copy(number, 0, pass.projected + fetched * kColumns + own * kHidden + unit);
      if (kHasEvents) ahead.copy(number, 1, steps.events + fetched);
    }
    fetched += direction;
    end_copies();
  };
  for (int number = 0; number < Numbers::kSteps; ++number) fetch(number);

#pragma unroll 1
  for (int number = 0; number < num_steps; ++number, step += direction) {
    wait_for_copies<Numbers::kSteps - 1>();
    const float projected = ahead.take(number, 0);
    const unsigned events = kHasEvents ? bits_of(ahead.take(number, 1)) : kToken;
    if (kHasEvents && (events & kReset)) {
      hidden = pass.reset_hidden ? pass.reset_hidden[step * kHidden + unit] : 0.0f;
      memory = Cell::kHasMemory && pass.reset_memory ? pass.reset_memory[step * kHidden + unit] : 0.0f;
      held = 0;
      write_state(write);
    }
    if (kHasEvents && !(events & kToken)) {
      if (pass.outputs && lane == 0) pass.outputs[step * kHidden + unit] = held;
      // The gradient of the kernel multiplies it by zero.
      if (kKeeps && lane == 1) pass.before_hidden[step * kHidden + unit] = 0;
      fetch(number + Numbers::kSteps);
      continue;
    }
    if (kKeeps && lane == 1) pass.before_hidden[step * kHidden + unit] = hidden;
    if (kKeeps && Cell::kHasMemory && lane == 2) pass.before_memory[step * kHidden + unit] = memory;

    float4 state[kHidden / 16];
#pragma unroll
    for (int i = 0; i < kHidden / 16; ++i) state[i] = load(read + i * 64);
    float recurrent;
    if constexpr (kGates == 1) {
      float4 sums = {0, 0, 0, 0};
#pragma unroll
      for (int i = 0; i < kHidden / 16; ++i) sums = add_products(state[i], weights.get(i), sums);
      recurrent = sum_of_lanes(add_up(sums));
    } else {
      float sums[4] = {0, 0, 0, 0};
#pragma unroll
      for (int i = 0; i < kHidden / 16; ++i) {
#pragma unroll
        for (int gate = 0; gate < kGates; ++gate)
          sums[gate] = add_product(state[i], weights.get(i * kGates + gate), sums[gate]);
      }
      recurrent = sums_of_lanes(sums, lane);
    }

    fetch(number + Numbers::kSteps);
    float* kept = kKeeps ? pass.kept + step * Cell::kKept * kHidden + unit : nullptr;
    if constexpr (Cell::kHasMemory) {
      const float gate = projected + recurrent;
      const float opened = squash(gate, kind);
      const float i = from_lane(opened, 0), f = from_lane(opened, 1), g = from_lane(opened, 2),
                  o = from_lane(opened, 3);
      memory = fmaf(f, memory, i * g);
      hidden = o * squash(memory, tanh);
      if (kKeeps) kept[lane * kHidden] = gate;
    } else if constexpr (Cell::kHasBias) {
      recurrent += bias;
      const float gate = projected + recurrent, opened = squash(gate, kind);
      const float z = from_lane(opened, 0), r = from_lane(opened, 1), of_candidate = from_lane(recurrent, 2);
      const float candidate = fmaf(r, of_candidate, from_lane(projected, 2));
      hidden = fmaf(z, hidden, (1 - z) * squash(candidate, tanh));
      if (kKeeps) kept[lane * kHidden] = lane < 2 ? gate : lane == 2 ? candidate : of_candidate;
    } else {
      const float gate = projected + recurrent;
      hidden = squash(gate, tanh);
      if (kKeeps && lane == 3) kept[0] = gate;
    }
    held = hidden;
    if (pass.outputs && lane == 0) pass.outputs[step * kHidden + unit] = hidden;
    write_state(write_next);
    const unsigned read_now = read, write_now = write;
    read = read_next, read_next = read_now, write = write_next, write_next = write_now;
  }
  if (lane == 0) pass.final_hidden[row * kHidden + unit] = hidden;
  if (Cell::kHasMemory && lane == 1) pass.final_memory[row * kHidden + unit] = memory;
}

}  // namespace recurrent
