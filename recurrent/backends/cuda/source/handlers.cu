// The doors to XLA: one function for the forward pass and one for the backward pass. Arrays have the order of
// `call.py`.
#include <string>
#include <vector>

#include "arrays.h"
#include "backward.h"
#include "forward.h"

namespace ffi = xla::ffi;

namespace recurrent {

enum class CellKind : int64_t { kSimpleRnn, kLstm, kGru };

// The number of a pass's arrays that both passes take: kernel and events.
constexpr size_t kBoth = 2;

struct Sizes {
  int64_t calls, rows, steps, hidden;
  std::vector<int64_t> of_rows() const { return {rows, hidden}; }
  std::vector<int64_t> of_steps() const { return {rows, steps, hidden}; }
};

void check(cudaError_t error) {
  if (error != cudaSuccess) throw Refused{std::string("CUDA: ") + cudaGetErrorString(error)};
}

template <class Pass>
void launch(void (*kernel)(Pass), const Pass& pass, int threads, int bytes, cudaStream_t stream) {
  if (pass.steps.num_rows == 0) return;
  if (bytes > 48 * 1024) check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(pass.steps.num_rows));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(bytes);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, pass));
}

// Reads the arrays of a pass; those that a call does not have are empty, and null.
class Reader {
 public:
  Reader(const Arrays& arrays, size_t number) : arrays_(arrays), number_(number) {}

  template <class Element>
  Element* take(const std::vector<int64_t>& shape) {
    return arrays_.data<Element>(number_++, shape, 0);
  }
  template <class Element>
  Element* take_optional(std::vector<int64_t> shape) {
    if (arrays_.shape(number_).at(0) == 0) shape[0] = 0;
    return take<Element>(shape);
  }

 private:
  const Arrays& arrays_;
  size_t number_;
};

template <class Cell>
Steps steps_of(const Arrays& given, const Sizes& size, bool reverse) {
  Reader reader(given, 0);
  Steps steps = {};
  steps.recurrent_kernel = reader.take<float>({size.hidden, Cell::kGates * size.hidden});
  steps.events = reader.take_optional<int32_t>({size.rows, size.steps});
  steps.rows = size.rows, steps.num_rows = size.calls * size.rows;
  steps.num_steps = static_cast<int>(size.steps), steps.reverse = reverse;
  return steps;
}

template <class Cell, int kHidden>
void forward_call(const Arrays& given, const Arrays& results, const Sizes& size, bool reverse, cudaStream_t stream) {
  using B = Block<Cell, kHidden>;
  Forward pass = {};
  pass.steps = steps_of<Cell>(given, size, reverse);
  const auto of_rows = size.of_rows(), of_steps = size.of_steps();
  const int64_t gates = Cell::kGates * kHidden, memories = Cell::kHasMemory ? size.rows : 0;
  Reader from(given, kBoth), to(results, 0);
  pass.projected = from.take<float>({size.rows, size.steps, gates});
  pass.recurrent_bias = from.take<float>({Cell::kHasBias ? gates : 0});
  pass.hidden = from.take_optional<float>(of_rows);
  pass.memory = from.take_optional<float>(of_rows);
  pass.reset_hidden = from.take_optional<float>(of_steps);
  pass.reset_memory = from.take_optional<float>(of_steps);
  pass.outputs = to.take_optional<float>(of_steps);
  pass.final_hidden = to.take<float>(of_rows);
  pass.final_memory = to.take<float>({memories, size.hidden});
  const bool keeps = results.shape(4).at(0) > 0;
  pass.kept = to.take_optional<float>({size.rows, size.steps, Cell::kKept * size.hidden});
  pass.before_hidden = to.take_optional<float>(of_steps);
  pass.before_memory = to.take_optional<float>({memories, size.steps, size.hidden});
  const auto kernel =
      pass.steps.events ? keeps ? forward_kernel<Cell, kHidden, true, true> : forward_kernel<Cell, kHidden, false, true>
      : keeps           ? forward_kernel<Cell, kHidden, true, false>
                        : forward_kernel<Cell, kHidden, false, false>;
  launch(kernel, pass, B::kThreads, B::kForwardBytes, stream);
}

template <class Cell, int kHidden>
void backward_call(const Arrays& given, const Arrays& results, const Sizes& size, bool reverse, cudaStream_t stream) {
  using B = Block<Cell, kHidden>;
  Backward pass = {};
  pass.steps = steps_of<Cell>(given, size, reverse);
  const auto of_rows = size.of_rows(), of_steps = size.of_steps();
  const int64_t gates = Cell::kGates * kHidden, memories = Cell::kHasMemory ? size.rows : 0;
  Reader from(given, kBoth), to(results, 0);
  pass.kept = from.take<float>({size.rows, size.steps, Cell::kKept * size.hidden});
  pass.before_hidden = from.take<float>(of_steps);
  pass.before_memory = from.take<float>({memories, size.steps, size.hidden});
  pass.d_outputs = from.take_optional<float>(of_steps);
  pass.d_final_hidden = from.take<float>(of_rows);
  pass.d_final_memory = from.take<float>({memories, size.hidden});
  pass.d_projected = to.take<float>({size.rows, size.steps, gates});
  pass.d_recurrent = to.take<float>({Cell::kHasBias ? size.rows : 0, size.steps, gates});
  pass.d_hidden = to.take<float>(of_rows);
  pass.d_memory = to.take<float>({memories, size.hidden});
  pass.d_reset_hidden = to.take_optional<float>(of_steps);
  pass.d_reset_memory = to.take_optional<float>(of_steps);
  const auto kernel = pass.steps.events ? backward_kernel<Cell, kHidden, true> : backward_kernel<Cell, kHidden, false>;
  launch(kernel, pass, B::kThreads, B::kBackwardBytes, stream);
}

// Calls take.template operator()<Cell, kHidden>() for a cell and a size.
template <class Take>
void for_size(int64_t hidden, auto* cell, Take take) {
  if (hidden == 32) return take(cell, std::integral_constant<int, 32>());
  if (hidden == 64) return take(cell, std::integral_constant<int, 64>());
  if (hidden == 128) return take(cell, std::integral_constant<int, 128>());
  throw Refused{"the hidden size must be 32, 64 or 128"};
}

template <class Take>
void for_cell(CellKind kind, int64_t hidden, Take take) {
  switch (kind) {
    case CellKind::kSimpleRnn:
      return for_size(hidden, static_cast<SimpleRnn*>(nullptr), take);
    case CellKind::kLstm:
      return for_size(hidden, static_cast<Lstm*>(nullptr), take);
    case CellKind::kGru:
      return for_size(hidden, static_cast<Gru*>(nullptr), take);
  }
  throw Refused{"there is no such cell"};
}

// Finds out the sizes of a call from its kernel and from an array [rows, time, ...], and computes it.
template <class Take>
ffi::Error compute(ffi::RemainingArgs arguments, ffi::RemainingRets returned, Take take) {
  std::vector<ffi::AnyBuffer> given, results;
  for (size_t number = 0; number < arguments.size(); ++number) given.push_back(*arguments.get<ffi::AnyBuffer>(number));
  for (size_t number = 0; number < returned.size(); ++number) results.push_back(**returned.get<ffi::AnyBuffer>(number));
  try {
    const size_t num_axes = given.at(0).dimensions().size();
    if (num_axes < 2) throw Refused{"the recurrent kernel has too few axes"};
    const Arrays from(std::move(given), num_axes - 2), to(std::move(results), num_axes - 2);
    const auto of_steps = from.shape(kBoth);
    if (of_steps.size() != 3) throw Refused{"the steps have other axes"};
    take(from, to, Sizes{from.num_calls(), of_steps[0], of_steps[1], from.shape(0)[0]});
  } catch (const Refused& refused) {
    return ffi::Error::InvalidArgument("recurrent's cuda backend: " + refused.message + ".");
  } catch (const std::exception& error) {
    return ffi::Error::Internal(std::string("recurrent's cuda backend: ") + error.what());
  }
  return ffi::Error::Success();
}

ffi::Error forward(cudaStream_t stream, ffi::RemainingArgs arguments, ffi::RemainingRets returned, int64_t kind,
                   int64_t reverse) {
  return compute(arguments, returned, [&](const Arrays& from, const Arrays& to, const Sizes& size) {
    for_cell(CellKind(kind), size.hidden, [&](auto* cell, auto hidden) {
      forward_call<std::remove_pointer_t<decltype(cell)>, hidden.value>(from, to, size, reverse, stream);
    });
  });
}

ffi::Error backward(cudaStream_t stream, ffi::RemainingArgs arguments, ffi::RemainingRets returned, int64_t kind,
                    int64_t reverse) {
  return compute(arguments, returned, [&](const Arrays& from, const Arrays& to, const Sizes& size) {
    for_cell(CellKind(kind), size.hidden, [&](auto* cell, auto hidden) {
      backward_call<std::remove_pointer_t<decltype(cell)>, hidden.value>(from, to, size, reverse, stream);
    });
  });
}

}  // namespace recurrent

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(recurrent_cuda_forward, recurrent::forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::PlatformStream<cudaStream_t>>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("cell")
                                  .Attr<int64_t>("reverse"),
                              {ffi::Traits::kCmdBufferCompatible});
XLA_FFI_DEFINE_HANDLER_SYMBOL(recurrent_cuda_backward, recurrent::backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::PlatformStream<cudaStream_t>>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("cell")
                                  .Attr<int64_t>("reverse"),
                              {ffi::Traits::kCmdBufferCompatible});
#pragma GCC visibility pop
