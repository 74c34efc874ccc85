// Products of few rows with a matrix: a tile of rows and columns is summed in registers, in the order of the depth.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "buffer.h"

namespace recurrent {

constexpr int kWidest = kAccumulators >= 24 ? 4 : 2;  // vectors of columns in a tile
constexpr int kMostRows = 8;

constexpr int rows_of_tile(int vectors) { return std::min(kMostRows, kAccumulators / vectors); }

// The vectors of columns in the next tile.
static inline int next_width(int64_t vectors_left) {
  return vectors_left >= 4 && kWidest >= 4 ? 4 : vectors_left >= 2 ? 2 : 1;
}

// Calls take(first, count) for groups of at most `most` of `total`, all of nearly equal size.
template <class Take>
static inline void in_groups(int total, int most, Take take) {
  const int groups = (total + most - 1) / most;
  for (int group = 0, first = 0; group < groups; ++group) {
    const int count = (total - first + groups - group - 1) / (groups - group);
    take(first, count);
    first += count;
  }
}

// A matrix [depth, columns] in tiles of columns: [tiles][depth][columns of the tile]; columns fill whole vectors.
template <class Real>
struct Packed {
  int64_t depth, columns;
  Buffer<Real> data;

  // fill(k, column, to) writes the vector of row k that begins at a column.
  template <class Fill>
  Packed(int64_t depth, int64_t columns, Fill fill) : depth(depth), columns(columns), data(depth * columns) {
    Real* to = data.data();
    for (int64_t first = 0; first < columns;) {
      const int64_t width = next_width((columns - first) / kLanes<Real>) * kLanes<Real>;
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t column = first; column < first + width; column += kLanes<Real>, to += kLanes<Real>)
          fill(k, column, to);
      first += width;
    }
  }
};

template <class Real, int kRows, int kVectors>
static void multiply_tile(const Real* const* rows, int64_t depth, const Real* weights, const Real* first,
                          Real* const* out, int64_t column) {
  constexpr int lanes = kLanes<Real>;
  Vector<Real> sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) sum[r][v] = load((first ? first : out[r]) + column + v * lanes);
  for (int64_t k = 0; k < depth; ++k, weights += kVectors * lanes) {
    Vector<Real> w[kVectors];
    for (int v = 0; v < kVectors; ++v) w[v] = load(weights + v * lanes);
    for (int r = 0; r < kRows; ++r) {
      const Vector<Real> x = all(rows[r][k]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = fma(x, w[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store(out[r] + column + v * lanes, sum[r][v]);
}

template <class Real, int kVectors, size_t... kRows>
static constexpr auto tiles_of(std::index_sequence<kRows...>) {
  return std::array{multiply_tile<Real, kRows + 1, kVectors>...};
}

template <class Real, int kVectors>
static void multiply_columns(const Real* const* rows, int count, int64_t depth, const Real* weights, const Real* first,
                             Real* const* out, int64_t column) {
  constexpr int most = rows_of_tile(kVectors);
  static constexpr auto tiles = tiles_of<Real, kVectors>(std::make_index_sequence<most>());
  in_groups(count, most, [&](int row, int number) {
    tiles[number - 1](rows + row, depth, weights, first, out + row, column);
  });
}

// out[r] = first + rows[r] matrix; without `first` the product is added to out.
template <class Real>
static void multiply(const Real* const* rows, int count, const Packed<Real>& matrix, const Real* first,
                     Real* const* out) {
  const Real* weights = matrix.data.data();
  for (int64_t column = 0; column < matrix.columns;) {
    const int width = next_width((matrix.columns - column) / kLanes<Real>);
    const auto take = width == 4   ? multiply_columns<Real, kWidest>
                      : width == 2 ? multiply_columns<Real, 2>
                                   : multiply_columns<Real, 1>;
    take(rows, count, matrix.depth, weights, first, out, column);
    column += width * kLanes<Real>;
    weights += matrix.depth * width * kLanes<Real>;
  }
}

// The numbers of each row that a tile multiplies: where they lie, or copied one row after the other.
template <class Real>
struct Scattered {
  const Real* const* rows;
  int64_t unit;
  Real operator()(int row, int u) const { return rows[row][unit + u]; }
};

template <class Real, int kUnits>
struct Copied {
  const Real* data;  // [rows, kUnits]
  Real operator()(int row, int u) const { return data[row * kUnits + u]; }
};

template <class Real, int kUnits, int kVectors, class Left>
static void sum_tile(Left a, const Real* b, int64_t stride, int count, Real* out, int64_t columns) {
  constexpr int lanes = kLanes<Real>;
  Vector<Real> sum[kUnits][kVectors];
  for (int u = 0; u < kUnits; ++u)
    for (int v = 0; v < kVectors; ++v) sum[u][v] = load(out + u * columns + v * lanes);
  for (int row = 0; row < count; ++row, b += stride) {
    Vector<Real> w[kVectors];
    for (int v = 0; v < kVectors; ++v) w[v] = load(b + v * lanes);
    for (int u = 0; u < kUnits; ++u) {
      const Vector<Real> x = all(a(row, u));
      for (int v = 0; v < kVectors; ++v) sum[u][v] = fma(x, w[v], sum[u][v]);
    }
  }
  for (int u = 0; u < kUnits; ++u)
    for (int v = 0; v < kVectors; ++v) store(out + u * columns + v * lanes, sum[u][v]);
}

template <class Real, int kUnits, int kVectors>
static void gather_tile(const Real* const* a, const Real* copied, const Real* b, int64_t stride, int count,
                        int64_t unit, Real* out, int64_t columns) {
  if (copied) {
    sum_tile<Real, kUnits, kVectors>(Copied<Real, kUnits>{copied + unit * count}, b, stride, count, out, columns);
  } else {
    sum_tile<Real, kUnits, kVectors>(Scattered<Real>{a, unit}, b, stride, count, out, columns);
  }
}

template <class Real, int kVectors, size_t... kUnits>
static constexpr auto gathers_of(std::index_sequence<kUnits...>) {
  return std::array{gather_tile<Real, kUnits + 1, kVectors>...};
}

template <class Real, int kVectors>
static void gather_columns(const Real* const* a, const Real* copied, int64_t units, const Real* b, int64_t stride,
                           int count, Real* out, int64_t columns) {
  constexpr int most = rows_of_tile(kVectors);
  static constexpr auto tiles = gathers_of<Real, kVectors>(std::make_index_sequence<most>());
  in_groups(int(units), most, [&](int unit, int number) {
    tiles[number - 1](a, copied, b, stride, count, unit, out + unit * columns, columns);
  });
}

// Copies of what `gather` reads, for matrices so wide that neighbouring rows lie far apart: their columns would meet in
// a few sets of the cache.
template <class Real>
struct GatherScratch {
  Buffer<Real> left, right;  // [groups of units][rows][units of the group]; [rows, columns of a tile]

  GatherScratch(int64_t most_rows, int64_t most_units)
      : left(most_rows * most_units), right(most_rows * kWidest * kLanes<Real>) {}

  void copy_left(const Real* const* a, int64_t units, int count) const {
    Real* to = left.data();
    in_groups(int(units), rows_of_tile(kWidest), [&](int unit, int number) {
      for (int row = 0; row < count; ++row)
        for (int u = 0; u < number; ++u) *to++ = a[row][unit + u];
    });
  }
  void copy_right(const Real* b, int64_t stride, int count) const {
    constexpr int64_t width = kWidest * kLanes<Real>;
    for (int row = 0; row < count; ++row) std::copy_n(b + row * stride, width, right.data() + row * width);
  }
};

// out[units, columns] += sum over rows of a[row][units]^T b[row][columns]: the gradient of a matrix. The bits do not
// depend on whether there is scratch.
template <class Real>
static void gather(const Real* const* a, int64_t units, const Real* b, int64_t stride, int count, Real* out,
                   int64_t columns, const GatherScratch<Real>* scratch) {
  if (scratch) scratch->copy_left(a, units, count);
  for (int64_t column = 0; column < columns;) {
    const int width = next_width((columns - column) / kLanes<Real>);
    if (scratch && width == kWidest) {
      scratch->copy_right(b + column, stride, count);
      gather_columns<Real, kWidest>(a, scratch->left.data(), units, scratch->right.data(), width * kLanes<Real>, count,
                                    out + column, columns);
    } else {
      const auto take = width == 4   ? gather_columns<Real, kWidest>
                        : width == 2 ? gather_columns<Real, 2>
                                     : gather_columns<Real, 1>;
      take(a, nullptr, units, b + column, stride, count, out + column, columns);
    }
    column += width * kLanes<Real>;
  }
}

}  // namespace recurrent
