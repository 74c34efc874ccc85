// One batch, forward and backward, in a program of its own, so that an emulator can run it.  Usage: batch CELL <IN >OUT
//
// Standard input: the sizes rows, steps, input and hidden as int32, then float32 arrays in the order of `Given`. Standard
// output: float32 arrays in the order of `main`. An array that a cell does not have is empty.
#include <cstdio>
#include <string>
#include <vector>

#include "passes.h"

namespace {

using Array = std::vector<float>;

Array read(int64_t size) {
  Array array(size);
  if (std::fread(array.data(), sizeof(float), size, stdin) != size_t(size)) std::exit(3);
  return array;
}

template <class Cell>
void compute() {
  int32_t sizes[4];
  if (std::fread(sizes, sizeof(int32_t), 4, stdin) != 4) std::exit(3);
  const int64_t rows = sizes[0], steps = sizes[1], input = sizes[2], hidden = sizes[3];
  const int64_t gates = Cell::kRecurrentBlocks * hidden, states = rows * hidden;
  const int64_t memories = Cell::kHasMemory ? states : 0, biases = (Cell::kRecurrentFrom ? 2 : 1) * gates;

  const Array inputs = read(rows * steps * input), input_kernel = read(input * gates);
  const Array recurrent_kernel = read(hidden * gates), bias = read(biases), mask = read(rows * steps);
  const Array d_outputs = read(rows * steps * hidden), d_hidden = read(states), d_memory = read(memories);
  std::vector<uint8_t> is_token(mask.begin(), mask.end());

  recurrent::Problem<float> problem{};
  problem.num_rows = rows, problem.num_steps = steps, problem.input_size = input, problem.hidden_size = hidden;
  problem.inputs = inputs.data(), problem.input_kernel = input_kernel.data();
  problem.recurrent_kernel = recurrent_kernel.data(), problem.bias = bias.data(), problem.mask_steps = 1;
  problem.is_token = reinterpret_cast<const bool*>(is_token.data());

  const recurrent::FlushDenormals flush;
  Array outputs(rows * steps * hidden), final_hidden(states), final_memory(memories);
  recurrent::Buffer<float> kept(rows * steps * recurrent::kKept<Cell> * problem.units());
  recurrent::forward_pass<Cell>(problem, {}, {outputs.data(), nullptr, final_hidden.data(), final_memory.data()}, kept.data());

  Array of_inputs(inputs.size()), of_input_kernel(input_kernel.size()), of_recurrent_kernel(recurrent_kernel.size());
  Array of_bias(biases), of_hidden(states), of_memory(memories);
  recurrent::backward_pass<Cell>(
      problem, {}, {d_outputs.data(), nullptr, d_hidden.data(), d_memory.data()}, kept.data(), kept.data(),
      {of_inputs.data(), of_hidden.data(), of_memory.data(), nullptr, nullptr},
      {of_input_kernel.data(), of_recurrent_kernel.data(), of_bias.data(), nullptr, nullptr, nullptr});

  for (const Array* array : {&outputs, &final_hidden, &final_memory, &of_input_kernel, &of_recurrent_kernel, &of_bias,
                             &of_inputs})
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
