// Scratch memory of whole vectors, aligned and not initialized.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "simd.h"

namespace recurrent {

template <class Real>
class Buffer {
 public:
  explicit Buffer(int64_t size = 0) : data_(size ? allocate(size) : nullptr), size_(size) {}
  Real* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  void fill_zero() {
    if (size_) std::memset(static_cast<void*>(data()), 0, size_ * sizeof(Real));
  }

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

// Asks for large pages, since a first write to each small page takes longer than the numbers in it.
template <class Real>
inline void prefer_large_pages(Real* data, int64_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = uintptr_t{1} << 21;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const uintptr_t end = reinterpret_cast<uintptr_t>(data + size) / kPage * kPage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace recurrent
