// The arrays of a call as XLA hands them over: their shapes are checked here again, so that no wrong one is read.
#pragma once

#include <string>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace recurrent {

// What is wrong with a call.
struct Refused {
  std::string message;
};

// Reads arrays one after another. All have the same leading axes, those of `vmap`, over which a call is repeated.
class Arrays {
 public:
  Arrays(std::vector<xla::ffi::AnyBuffer> buffers, size_t num_leading) : buffers_(std::move(buffers)) {
    const auto shape = buffers_.at(0).dimensions();
    if (shape.size() < num_leading) throw Refused{"the first array has too few axes"};
    leading_.assign(shape.begin(), shape.begin() + num_leading);
    for (const int64_t size : leading_) num_calls_ *= size;
  }

  int64_t num_calls() const { return num_calls_; }

  // The element type of the first array.
  xla::ffi::DataType type() const { return buffers_[0].element_type(); }

  // The shape of array `number` without the leading axes.
  std::vector<int64_t> shape(size_t number) const {
    if (number >= buffers_.size()) throw Refused{"there are only " + std::to_string(buffers_.size()) + " arrays"};
    const auto all = buffers_[number].dimensions();
    const bool fits = all.size() >= leading_.size() && std::equal(leading_.begin(), leading_.end(), all.begin());
    if (!fits) throw Refused{"array " + std::to_string(number) + " has other leading axes than the first"};
    return {all.begin() + leading_.size(), all.end()};
  }

  // The part of array `number` that belongs to one call; null if it is empty.
  template <class Element>
  Element* data(size_t number, const std::vector<int64_t>& expected, int64_t call) const {
    const std::vector<int64_t> given = shape(number);
    if (given != expected)
      throw Refused{"array " + std::to_string(number) + " has shape " + text(given) + ", not " + text(expected)};
    if (buffers_[number].element_type() != type_of<Element>())
      throw Refused{"array " + std::to_string(number) + " has another element type than expected"};
    int64_t size = 1;
    for (const int64_t axis : given) size *= axis;
    return size ? static_cast<Element*>(buffers_[number].untyped_data()) + call * size : nullptr;
  }

 private:
  template <class Element>
  static constexpr xla::ffi::DataType type_of() {
    if (std::is_same_v<Element, bool>) return xla::ffi::PRED;
    if (std::is_same_v<Element, int32_t>) return xla::ffi::S32;
    return std::is_same_v<Element, float> ? xla::ffi::F32 : xla::ffi::F64;
  }
  static std::string text(const std::vector<int64_t>& shape) {
    std::string text = "[";
    for (const int64_t axis : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(axis);
    return text + "]";
  }

  std::vector<xla::ffi::AnyBuffer> buffers_;
  std::vector<int64_t> leading_;
  int64_t num_calls_ = 1;
};

}  // namespace recurrent
