// One batch, forward and backward, in a program of its own, so that an emulator can run it.  Usage: batch CELL <IN >OUT
//
// Standard input: the sizes rows, steps, input, hidden, rows of a table of inputs (or 0) and steps of a segment (or 0) as
// int32, then arrays in the order in which `compute` reads them. Standard output: float32 arrays in the order in which it
// writes them. An array that a call does not have is empty.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "passes.h"

namespace {

template <class Element = float>
std::vector<Element> read(int64_t size) {
  std::vector<Element> array(size);
  if (std::fread(array.data(), sizeof(Element), size, stdin) != size_t(size)) std::exit(3);
  return array;
}

// An array that is null if it is empty, as a call has it.
template <class Element>
Element* or_null(std::vector<Element>& array) {
  return array.empty() ? nullptr : array.data();
}

template <class Cell>
void compute() {
  const auto sizes = read<int32_t>(6);
  const int64_t rows = sizes[0], steps = sizes[1], input = sizes[2], hidden = sizes[3], table = sizes[4];
  const int64_t gates = Cell::kRecurrentBlocks * hidden, states = rows * hidden;
  const int64_t memories = Cell::kHasMemory ? states : 0, biases = (Cell::kRecurrentFrom ? 2 : 1) * gates;

  const auto inputs = read((table ? table : rows * steps) * input), input_kernel = read(input * gates);
  const auto recurrent_kernel = read(hidden * gates), bias = read(biases);
  const auto is_token = read<uint8_t>(rows * steps);
  auto index = read<int32_t>(table ? rows * steps : 0);
  const auto d_outputs = read(steps * states);
  auto d_memories = read(steps * memories);
  const auto d_hidden = read(states), d_memory = read(memories);

  recurrent::Problem<float> problem{};
  problem.num_rows = rows, problem.num_steps = steps, problem.input_size = input, problem.hidden_size = hidden;
  problem.inputs = inputs.data(), problem.index = or_null(index), problem.num_inputs = table;
  problem.input_kernel = input_kernel.data(), problem.recurrent_kernel = recurrent_kernel.data();
  problem.bias = bias.data(), problem.mask_steps = 1, problem.segment_size = sizes[5];
  problem.is_token = reinterpret_cast<const bool*>(is_token.data());

  const recurrent::FlushDenormals flush;
  const int64_t units = problem.units(), segments = sizes[5] ? (steps + sizes[5] - 1) / sizes[5] : 0;
  const int64_t of_step = segments ? 0 : recurrent::kKept<Cell>, of_segment = recurrent::Advance<Cell>::kStates;
  recurrent::Buffer<float> kept(rows * units * (steps * of_step + segments * of_segment));
  std::vector<float> outputs(steps * states), all_memories(steps * memories), final_hidden(states);
  std::vector<float> final_memory(memories);
  recurrent::forward_pass<Cell>(
      problem, {}, {outputs.data(), or_null(all_memories), final_hidden.data(), final_memory.data()}, kept.data());

  std::vector<float> of_inputs(inputs.size()), of_input_kernel(input_kernel.size()), of_bias(biases);
  std::vector<float> of_recurrent_kernel(recurrent_kernel.size()), of_hidden(states), of_memory(memories);
  recurrent::Buffer<float> of_slots(segments ? rows * steps * recurrent::padded<float>(input) : 0);
  recurrent::backward_pass<Cell>(
      problem, {}, {d_outputs.data(), or_null(d_memories), d_hidden.data(), d_memory.data()}, kept.data(),
      segments ? nullptr : kept.data(), {of_inputs.data(), of_hidden.data(), of_memory.data(), nullptr, of_slots.data()},
      {of_input_kernel.data(), of_recurrent_kernel.data(), of_bias.data(), nullptr, nullptr, nullptr});

  for (const auto* array : {&outputs, &all_memories, &final_hidden, &final_memory, &of_input_kernel,
                            &of_recurrent_kernel, &of_bias, &of_inputs})
    std::fwrite(array->data(), sizeof(float), array->size(), stdout);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string cell = count == 2 ? arguments[1] : "";
  if (cell == "simple_rnn") compute<recurrent::SimpleRnn<float>>();
  else if (cell == "lstm") compute<recurrent::Lstm<float>>();
  else if (cell == "gru") compute<recurrent::Gru<float>>();
  else return 2;
}
