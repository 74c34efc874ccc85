// How a block of threads shares one row: four neighbouring lanes belong to one unit.
//
// Each of the four holds a quarter of the unit's part of the recurrent kernel, of all gates, and adds up a quarter of
// each sum. Then the four exchange their parts, in an order that depends on nothing, and one step needs one barrier.
#pragma once

#include "squash.h"

namespace recurrent {

constexpr int kLanes = 4;

struct SimpleRnn {
  static constexpr int kGates = 1, kKept = 1;
  static constexpr bool kHasMemory = false, kHasBias = false;
};
struct Lstm {
  static constexpr int kGates = 4, kKept = 4;
  static constexpr bool kHasMemory = true, kHasBias = false;
};
struct Gru {
  static constexpr int kGates = 3, kKept = 4;  // it also keeps the candidate's part of the matmul
  static constexpr bool kHasMemory = false, kHasBias = true;
};

// The dynamic shared memory of a block, by addresses in bytes: with pointers, the compiler finds out where it begins
// once a step, which takes longer than to read it.
extern __shared__ float4 block_memory[];

#ifdef __CUDA_ARCH__
__device__ inline unsigned memory_begin() {
  unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(block_memory));
  asm volatile("" : "+r"(address));
  return address;
}
__device__ inline float4 load(unsigned address) {
  float4 all;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(all.x), "=f"(all.y), "=f"(all.z), "=f"(all.w)
               : "r"(address));
  return all;
}
__device__ inline float load_one(unsigned address) {
  float one;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(one) : "r"(address));
  return one;
}
__device__ inline void store(unsigned address, float value) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}
// Begins to copy four bytes from global memory; copies up to `end_copies` are one group.
__device__ inline void copy_ahead(unsigned address, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(address), "l"(from) : "memory");
}
__device__ inline void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `kPending` groups of this thread are under way.
template <int kPending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}
#else
__device__ inline unsigned memory_begin() { return 0; }
__device__ inline float4 load(unsigned address) { return block_memory[address / 16]; }
__device__ inline float load_one(unsigned address) { return reinterpret_cast<float*>(block_memory)[address / 4]; }
__device__ inline void store(unsigned address, float value) {
  reinterpret_cast<float*>(block_memory)[address / 4] = value;
}
__device__ inline void copy_ahead(unsigned address, const void* from) {
  store(address, *static_cast<const float*>(from));
}
__device__ inline void end_copies() {}
template <int kPending>
__device__ inline void wait_for_copies() {}
#endif

// The numbers of the next steps, which each thread copies from global to shared memory for itself, while it computes.
template <int kThreads, int kNumbers>
struct Ahead {
  static constexpr int kSteps = 4;
  static constexpr int kBytes = kSteps * kNumbers * kThreads * 4;
  unsigned begin;

  __device__ unsigned place(int step, int number) const {
    return begin + ((step % kSteps) * kNumbers + number) * kThreads * 4;
  }
  __device__ void copy(int step, int number, const void* from) const { copy_ahead(place(step, number), from); }
  __device__ float take(int step, int number) const { return load_one(place(step, number)); }
};

template <class Cell, int kHidden>
struct Block {
  static constexpr int kThreads = kLanes * kHidden;
  static constexpr int kWeights = Cell::kGates * kHidden / 16;  // the vectors that a lane multiplies by
  static constexpr int kInRegisters = kHidden <= 64 || kWeights < 20 ? kWeights : 20;
  static constexpr int kInMemory = kWeights - kInRegisters;
  static constexpr int kWeightBytes = kInMemory * kThreads * 16;
  static constexpr int kForwardBytes = kWeightBytes + 2 * kHidden * 4 + Ahead<kThreads, 2>::kBytes;
  static constexpr int kBackwardBytes = kWeightBytes + 2 * Cell::kGates * kHidden * 4 + Ahead<kThreads, 4>::kBytes;
};

// A lane's weights: in registers, and what does not fit there in shared memory.
template <class B>
struct Weights {
  float4 registers[B::kInRegisters];
  unsigned memory;  // the address of the first one there

  __device__ void put(int number, float4 weight) {
    if (number < B::kInRegisters) {
      registers[number] = weight;
    } else {
      const unsigned at = address_of(number);
      store(at, weight.x), store(at + 4, weight.y), store(at + 8, weight.z), store(at + 12, weight.w);
    }
  }
  __device__ float4 get(int number) const {
    return number < B::kInRegisters ? registers[number] : load(address_of(number));
  }
  __device__ unsigned address_of(int number) const { return memory + (number - B::kInRegisters) * B::kThreads * 16; }
};

__device__ inline float add_product(float4 a, float4 b, float sum) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

__device__ inline float4 add_products(float4 a, float4 b, float4 sum) {
  return {fmaf(a.x, b.x, sum.x), fmaf(a.y, b.y, sum.y), fmaf(a.z, b.z, sum.z), fmaf(a.w, b.w, sum.w)};
}

__device__ inline float add_up(float4 sums) { return (sums.x + sums.y) + (sums.z + sums.w); }

constexpr unsigned kAllLanes = 0xffffffff;

__device__ inline float from_lane(float value, int lane) { return __shfl_sync(kAllLanes, value, lane, kLanes); }

__device__ inline float across(float value, int distance) {
  return __shfl_xor_sync(kAllLanes, value, distance, kLanes);
}

// The sum over the four lanes, in each of them.
__device__ inline float sum_of_lanes(float part) {
  part += across(part, 1);
  return part + across(part, 2);
}

// In lane q the sum over the four lanes of their number q.
__device__ inline float sums_of_lanes(const float (&parts)[4], int lane) {
  const bool is_upper = lane & 2, is_odd = lane & 1;
  const float first = (is_upper ? parts[2] : parts[0]) + across(is_upper ? parts[0] : parts[2], 2);
  const float second = (is_upper ? parts[3] : parts[1]) + across(is_upper ? parts[1] : parts[3], 2);
  return (is_odd ? second : first) + across(is_odd ? first : second, 1);
}

// The arrays that both passes take. Those that a call does not have are null.
struct Steps {
  const float* recurrent_kernel;
  const int* events;         // [row, time]
  long long rows, num_rows;  // of a call, and of all calls
  int num_steps;
  bool reverse;
};

// The events of a step; without an array of them, every step has a token and no reset.
constexpr unsigned kToken = 1, kReset = 2;

}  // namespace recurrent
