// The doors to XLA: one function for the forward pass and one for the backward pass, for all cells and both precisions.
//
// The order of arrays is that of `operands.py`.
#include "arrays.h"
#include "passes.h"

namespace ffi = xla::ffi;

namespace recurrent {

enum class Kind : int64_t { kSimpleRnn, kLstm, kGru };

// How an index beyond the table of inputs is read, as JAX' modes of a gather say it.
enum class Mode : int64_t { kClip, kPromiseInBounds, kFill };

struct Options {
  int64_t reverse, truncate_every, segment_size, rounds, mode;
};

struct Sizes {
  int64_t rows, steps, input, hidden, table, num_inputs;
};

// The number of a call's arrays that are the same in both passes.
constexpr size_t kCallArrays = 16;

template <class Cell>
Sizes sizes_of(const Arrays& arrays) {
  const auto inputs = arrays.shape(0), kernel = arrays.shape(2), table = arrays.shape(9);
  if (inputs.size() != 3 || kernel.size() != 2 || table.size() != 2) throw Refused{"arrays have other ranks"};
  const auto index = arrays.shape(14);
  if (index.size() != 2) throw Refused{"arrays have other ranks"};
  // With an index, the inputs are [1, rows of their table, input].
  if (index[0]) return {index[0], index[1], inputs[2], kernel[0], table[0], inputs[1]};
  return {inputs[0], inputs[1], inputs[2], kernel[0], table[0], 0};
}

inline std::vector<int64_t> inputs_shape(const Sizes& size) {
  if (size.num_inputs) return {1, size.num_inputs, size.input};
  return {size.rows, size.steps, size.input};
}

template <class Cell>
Problem<typename Cell::Real> problem_of(const Arrays& arrays, const Options& options, int64_t call) {
  using Real = typename Cell::Real;
  const Sizes size = sizes_of<Cell>(arrays);
  const int64_t gates = Cell::kRecurrentBlocks * size.hidden, steps = size.rows * size.steps;
  // Arrays that a call does not have are empty.
  const auto optional = [&](size_t number, std::vector<int64_t> expected) {
    const auto given = arrays.shape(number);
    return given.size() == expected.size() && given[0] == 0 ? given : expected;
  };
  const std::vector<int64_t> of_steps = {size.rows, size.steps}, of_rows = {size.rows, size.hidden};
  const std::vector<int64_t> no_memory = {0, size.hidden}, table = {size.table, size.hidden};
  const auto mask_shape = arrays.shape(11);
  if (mask_shape.size() != 3 || (mask_shape[1] != 1 && mask_shape[1] != size.steps))
    throw Refused{"the recurrent mask has another shape"};

  Problem<Real> problem{};
  problem.num_rows = size.rows, problem.num_steps = size.steps;
  problem.input_size = size.input, problem.hidden_size = size.hidden;
  problem.reverse = options.reverse, problem.truncate_every = options.truncate_every;
  problem.segment_size = options.segment_size, problem.rounds = options.rounds;
  problem.inputs = arrays.data<Real>(0, inputs_shape(size), call);
  problem.index = arrays.data<int32_t>(14, optional(14, of_steps), call);
  problem.num_inputs = size.num_inputs;
  if (problem.index && !problem.num_inputs) throw Refused{"the table of inputs is empty"};
  problem.input_kernel = arrays.data<Real>(1, {size.input, gates}, call);
  problem.recurrent_kernel = arrays.data<Real>(2, {size.hidden, gates}, call);
  problem.bias = arrays.data<Real>(3, {Cell::kRecurrentFrom ? 2 : 1, gates}, call);
  problem.hidden = arrays.data<Real>(4, optional(4, of_rows), call);
  problem.memory = arrays.data<Real>(5, Cell::kHasMemory ? optional(5, of_rows) : no_memory, call);
  problem.is_token = arrays.data<bool>(6, optional(6, of_steps), call);
  problem.is_reset = arrays.data<bool>(7, optional(7, of_steps), call);
  problem.reset_index = arrays.data<int32_t>(8, size.table ? of_steps : optional(8, of_steps), call);
  problem.reset_hidden = arrays.data<Real>(9, table, call);
  problem.reset_memory = arrays.data<Real>(10, Cell::kHasMemory ? table : no_memory, call);
  problem.table_size = size.table;
  problem.recurrent_mask = arrays.data<Real>(11, optional(11, {size.rows, mask_shape[1], size.hidden}), call);
  problem.mask_steps = mask_shape[1];
  problem.prefix_input = arrays.data<Real>(12, optional(12, {size.input}), call);
  problem.prefix_row = arrays.data<int32_t>(15, optional(15, {1}), call);
  if (problem.prefix_row && (!problem.index || !problem.prefix_input)) throw Refused{"the prefix is a row of no table"};
  problem.prefix_length =
      arrays.data<int32_t>(13, problem.prefix_input ? std::vector{size.rows} : std::vector<int64_t>{0}, call);
  if (options.truncate_every < 0 || options.segment_size < 0) throw Refused{"an option is negative"};
  if (!problem.hidden != !problem.memory && Cell::kHasMemory) throw Refused{"one of two initial states is missing"};
  if (steps && problem.reset_hidden && !problem.is_reset) throw Refused{"a table of states without resets"};
  return problem;
}

template <class Real>
void set_mode(Problem<Real>* problem, Mode mode, const Real* nan) {
  if (!problem->index || mode == Mode::kClip) return;
  problem->below = mode == Mode::kFill ? nan : problem->table_row(0);
  problem->above = mode == Mode::kFill ? nan : problem->table_row(problem->num_inputs - 1);
}

// The size of the residuals that a forward pass keeps, as `operands.py` computes it.
template <class Cell>
int64_t residuals_size(const Problem<typename Cell::Real>& problem) {
  const int64_t prefix = problem.prefix_input ? 1 : 0, rows = problem.num_rows + prefix, units = problem.units();
  if (!problem.segment_size) return rows * problem.num_steps * kKept<Cell> * units;
  const int64_t num_segments = (problem.num_steps + problem.segment_size - 1) / problem.segment_size;
  return rows * num_segments * Advance<Cell>::kStates * units;
}

template <class Cell>
void forward_call(ffi::ThreadPool pool, const Arrays& given, const Arrays& results, const Options& options,
                  int64_t call) {
  using Real = typename Cell::Real;
  auto problem = problem_of<Cell>(given, options, call);
  const std::vector<Real> nan(problem.input_size, std::numeric_limits<Real>::quiet_NaN());
  set_mode(&problem, Mode(options.mode), nan.data());
  const int64_t rows = problem.num_rows, hidden = problem.hidden_size;
  const bool keeps_outputs = results.shape(0).at(0) == rows, keeps_residuals = results.shape(3).at(0) > 0;
  const bool keeps_memories = keeps_outputs && Cell::kHasMemory && results.shape(4).at(0) == rows;
  const Written<Real> written = {
      results.data<Real>(0, {keeps_outputs ? rows : 0, problem.num_steps, hidden}, call),
      results.data<Real>(4, {keeps_memories ? rows : 0, problem.num_steps, hidden}, call),
      results.data<Real>(1, {rows, hidden}, call),
      results.data<Real>(2, {Cell::kHasMemory ? rows : 0, hidden}, call),
  };
  Real* residuals = results.data<Real>(3, {keeps_residuals ? residuals_size<Cell>(problem) : 0}, call);
  if (residuals) prefer_large_pages(residuals, residuals_size<Cell>(problem));
  forward_pass<Cell>(problem, pool, written, residuals);
}

template <class Cell>
void backward_call(ffi::ThreadPool pool, const Arrays& given, const Arrays& results, const Options& options,
                   int64_t call) {
  using Real = typename Cell::Real;
  auto problem = problem_of<Cell>(given, options, call);
  const std::vector<Real> nan(problem.input_size, std::numeric_limits<Real>::quiet_NaN());
  set_mode(&problem, Mode(options.mode), nan.data());
  const int64_t rows = problem.num_rows, steps = problem.num_steps, input = problem.input_size;
  const int64_t hidden = problem.hidden_size, gates = Cell::kRecurrentBlocks * hidden;
  const int64_t table = problem.table_size, memory_rows = Cell::kHasMemory ? rows : 0;
  const bool has_outputs = given.shape(kCallArrays + 1).at(0) == rows, wants_inputs = results.shape(0).at(0) > 0;
  const bool has_memories = has_outputs && Cell::kHasMemory && given.shape(kCallArrays + 4).at(0) == rows;
  const int64_t num_residuals = residuals_size<Cell>(problem);
  const Real* residuals = given.data<Real>(kCallArrays, {num_residuals}, call);
  const Cotangents<Real> cotangents = {
      given.data<Real>(kCallArrays + 1, {has_outputs ? rows : 0, steps, hidden}, call),
      given.data<Real>(kCallArrays + 4, {has_memories ? rows : 0, steps, hidden}, call),
      given.data<Real>(kCallArrays + 2, {rows, hidden}, call),
      given.data<Real>(kCallArrays + 3, {memory_rows, hidden}, call),
  };
  std::vector<int64_t> d_inputs_shape = given.shape(0);
  if (!wants_inputs) d_inputs_shape[0] = 0;
  const bool is_scattered = problem.index && problem.segment_size && wants_inputs;
  const int64_t num_slots = is_scattered ? (rows + (problem.prefix_input ? 1 : 0)) * steps : 0;
  const Pulled<Real> pulled = {
      results.data<Real>(0, d_inputs_shape, call),
      results.data<Real>(4, {rows, hidden}, call),
      results.data<Real>(5, {memory_rows, hidden}, call),
      results.data<Real>(8, given.shape(11), call),
      results.data<Real>(10, {num_slots, padded<Real>(input)}, call),
  };
  const SharedGradients<Real> shared = {
      results.data<Real>(1, {input, gates}, call),
      results.data<Real>(2, {hidden, gates}, call),
      results.data<Real>(3, {Cell::kRecurrentFrom ? 2 : 1, gates}, call),
      results.data<Real>(6, {table, hidden}, call),
      results.data<Real>(7, {Cell::kHasMemory ? table : 0, hidden}, call),
      results.data<Real>(9, given.shape(12), call),
  };
  Real* slots = results.data<Real>(11, {problem.segment_size ? 0 : num_residuals}, call);
  if (slots && slots != residuals) throw Refused{"XLA gave the residuals and the slots different memory"};
  backward_pass<Cell>(problem, pool, cotangents, residuals, slots, pulled, shared);
}

template <class Take>
ffi::Error for_all_calls(ffi::ThreadPool pool, ffi::RemainingArgs arguments, ffi::RemainingRets returned, Take take) {
  std::vector<ffi::AnyBuffer> given, results;
  for (size_t number = 0; number < arguments.size(); ++number)
    given.push_back(*arguments.get<ffi::AnyBuffer>(number));
  for (size_t number = 0; number < returned.size(); ++number)
    results.push_back(**returned.get<ffi::AnyBuffer>(number));
  try {
    if (given.size() < kCallArrays) throw Refused{"there are too few arrays"};
    const size_t rank = given[0].dimensions().size();
    if (rank < 3) throw Refused{"the inputs have too few axes"};
    const Arrays from(std::move(given), rank - 3), to(std::move(results), rank - 3);
    const FlushDenormals flush;
    in_parallel(pool, from.num_calls(), [&](int64_t call) { take(from, to, call); });
  } catch (const Refused& refused) {
    return ffi::Error::InvalidArgument("recurrent's native backend: " + refused.message + ".");
  } catch (const std::exception& error) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, std::string("recurrent's native backend: ") + error.what());
  }
  return ffi::Error::Success();
}

// Calls take.template operator()<Cell>() for the cell of a kind and a precision.
template <class Take>
void for_cell(Kind kind, ffi::DataType type, Take take) {
  const auto of_precision = [&](auto zero) {
    using Real = decltype(zero);
    switch (kind) {
      case Kind::kSimpleRnn: return take(static_cast<SimpleRnn<Real>*>(nullptr));
      case Kind::kLstm: return take(static_cast<Lstm<Real>*>(nullptr));
      case Kind::kGru: return take(static_cast<Gru<Real>*>(nullptr));
    }
    throw Refused{"there is no such cell"};
  };
  if (type == ffi::F32) return of_precision(float(0));
  if (type == ffi::F64) return of_precision(double(0));
  throw Refused{"numbers must be float32 or float64"};
}

ffi::Error forward(ffi::ThreadPool pool, ffi::RemainingArgs arguments, ffi::RemainingRets results, int64_t cell,
                   int64_t reverse, int64_t truncate_every, int64_t segment_size, int64_t rounds,
                   int64_t mode) {
  const Options options = {reverse, truncate_every, segment_size, rounds, mode};
  return for_all_calls(pool, arguments, results, [&](const Arrays& from, const Arrays& to, int64_t call) {
    for_cell(Kind(cell), from.type(), [&](auto* of) {
      forward_call<std::remove_pointer_t<decltype(of)>>(pool, from, to, options, call);
    });
  });
}

ffi::Error backward(ffi::ThreadPool pool, ffi::RemainingArgs arguments, ffi::RemainingRets results, int64_t cell,
                    int64_t reverse, int64_t truncate_every, int64_t segment_size, int64_t rounds,
                   int64_t mode) {
  const Options options = {reverse, truncate_every, segment_size, rounds, mode};
  return for_all_calls(pool, arguments, results, [&](const Arrays& from, const Arrays& to, int64_t call) {
    for_cell(Kind(cell), from.type(), [&](auto* of) {
      backward_call<std::remove_pointer_t<decltype(of)>>(pool, from, to, options, call);
    });
  });
}

}  // namespace recurrent

#define RECURRENT_BINDING                \
  ffi::Ffi::Bind()                       \
      .Ctx<ffi::ThreadPool>()            \
      .RemainingArgs()                   \
      .RemainingRets()                   \
      .Attr<int64_t>("cell")             \
      .Attr<int64_t>("reverse")          \
      .Attr<int64_t>("truncate_every")   \
      .Attr<int64_t>("segment_size")     \
      .Attr<int64_t>("rounds")           \
      .Attr<int64_t>("mode")

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(recurrent_forward, recurrent::forward, RECURRENT_BINDING);
XLA_FFI_DEFINE_HANDLER_SYMBOL(recurrent_backward, recurrent::backward, RECURRENT_BINDING);

// The bytes of a vector, to which the backend pads the units of a state.
extern "C" int recurrent_vector_bytes() { return recurrent::kVectorBytes; }
#pragma GCC visibility pop
