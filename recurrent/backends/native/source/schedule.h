// The order of work: rows sorted by the number of their steps, in parts that do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "problem.h"

namespace recurrent {

// Rows that are computed together, and the steps that they compute. At each step the busy rows are one group.
struct Part {
  bool is_prefix;                // the one row of the shared prefix
  std::vector<int64_t> rows;     // their numbers in the batch
  std::vector<uint16_t> busy;    // for each step in turn, the places in `rows` of those that compute it
  std::vector<int64_t> first;    // [steps + 1], the position in `busy` where each step begins
  int64_t first_slot;            // of the whole batch's row-steps, where this part's begin
  int64_t first_row;             // of the sorted rows

  int64_t num_steps() const { return int64_t(first.size()) - 1; }
  int64_t num_slots() const { return first.back(); }
};

struct Schedule {
  std::vector<Part> parts;  // the prefix, if there is one, then the rows' parts, those with the most work first
  int64_t num_rows;         // with the prefix' row
  int64_t num_slots;

  bool has_prefix() const { return parts.size() && parts[0].is_prefix; }
};

constexpr int64_t kMostRowsOfPart = 32;
constexpr int64_t kNarrow = 1 << 17;  // numbers of both kernels that stay in a core's cache

// Narrow cells are cut into 8 parts, so that many threads have work. A wide cell's kernels are read once a step and
// part, so its parts are larger.
static inline int64_t rows_of_part(int64_t num_rows, int64_t kernel_size) {
  const int64_t parts = kernel_size <= kNarrow ? 8 : 2;
  return std::clamp<int64_t>((num_rows + parts - 1) / parts, 1, kernel_size <= kNarrow ? 16 : kMostRowsOfPart);
}

template <class Real>
static Schedule make_schedule(const Problem<Real>& problem, int64_t kernel_size) {
  const int64_t num_rows = problem.num_rows, num_steps = problem.num_steps;
  std::vector<int64_t> work(num_rows), order(num_rows);
  for (int64_t row = 0; row < num_rows; ++row) {
    if (problem.is_token) {
      for (int64_t step = 0; step < num_steps; ++step) work[row] += problem.is_busy(row, step);
    } else {
      work[row] = num_steps - problem.prefix(row);
    }
  }
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return work[a] > work[b]; });

  Schedule schedule;
  int64_t slots = 0, rows = 0;
  if (const int64_t longest = problem.longest_prefix()) {
    Part part{true, {-1}, std::vector<uint16_t>(longest, 0), std::vector<int64_t>(longest + 1), 0, 0};
    std::iota(part.first.begin(), part.first.end(), 0);
    schedule.parts.push_back(std::move(part));
    slots = longest, rows = 1;
  }
  const int64_t size = rows_of_part(num_rows, kernel_size);
  for (int64_t begin = 0; begin < num_rows; begin += size) {
    const int64_t end = std::min(begin + size, num_rows);
    Part part{false, {order.begin() + begin, order.begin() + end}, {}, {0}, slots, rows};
    part.first.reserve(num_steps + 1);
    part.busy.reserve(std::accumulate(part.rows.begin(), part.rows.end(), int64_t{0},
                                      [&](int64_t sum, int64_t row) { return sum + work[row]; }));
    for (int64_t step = 0, num_begun = 0; step < num_steps; ++step) {
      if (problem.is_token) {
        for (int64_t place = 0; place < end - begin; ++place)
          if (problem.is_busy(part.rows[place], step)) part.busy.push_back(uint16_t(place));
      } else {  // rows with short prefixes come first
        while (num_begun < end - begin && problem.prefix(part.rows[num_begun]) <= step) ++num_begun;
        part.busy.resize(part.busy.size() + num_begun);
        std::iota(part.busy.end() - num_begun, part.busy.end(), uint16_t(0));
      }
      part.first.push_back(int64_t(part.busy.size()));
    }
    slots += part.num_slots();
    rows += end - begin;
    schedule.parts.push_back(std::move(part));
  }
  schedule.num_rows = rows;
  schedule.num_slots = slots;
  return schedule;
}

}  // namespace recurrent
