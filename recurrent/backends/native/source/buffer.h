// Scratch memory of whole vectors, aligned and not initialized.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>

#include "simd.h"

namespace recurrent {

template <class Real>
class Buffer {
 public:
  explicit Buffer(int64_t size = 0) : data_(size ? allocate(size) : nullptr), size_(size) {}
  Real* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  void fill_zero() { std::memset(static_cast<void*>(data()), 0, size_ * sizeof(Real)); }

 private:
  struct Free {
    void operator()(Real* data) const { std::free(data); }
  };
  static Real* allocate(int64_t size) {
    const size_t bytes = (size * sizeof(Real) + 63) / 64 * 64;
    void* data = std::aligned_alloc(64, bytes);
    if (!data) throw std::bad_alloc();
    return static_cast<Real*>(data);
  }

  std::unique_ptr<Real, Free> data_;
  int64_t size_;
};

}  // namespace recurrent
