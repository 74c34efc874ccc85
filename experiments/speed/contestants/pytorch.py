"""PyTorch: `nn.RNN`, `nn.LSTM` and `nn.GRU` on padded sequences.

With padding masked, padding is behind the words, and the output after the last word is used: its fastest way.

`start` sets what PyTorch's documentation advises. `settings.py` sets threads and the memory allocator, which must be
known before the process starts.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.speed.task import DECAY, EPSILON, LEARNING_RATE, Block, Task, Weights, cell_params
from recurrent import interop

PACKAGE = "torch"


def start() -> str:
    """Flushes denormal numbers to zero, as JAX does by itself; a recurrent gradient fades into them.

    Threads inherit the setting from the thread that starts them, so nothing may be computed before.
    """
    is_flushed = torch.set_flush_denormal(True)
    return f"{torch.get_num_threads()} threads, denormals {'flushed' if is_flushed else 'kept'}"


_CELLS = {"simple_rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Classifier(nn.Module):
    """The model with the given weights."""

    def __init__(self, task: Task, weights: Weights) -> None:
        super().__init__()
        self.task = task
        self.embedding = nn.Embedding(task.vocabulary, task.width)
        self.cell = _CELLS[task.cell](task.width, task.width, batch_first=True)
        self.head = nn.Linear(task.width, 1)
        self.cell.load_state_dict(interop.torch.params_to(cell_params(task, weights)))
        with torch.no_grad():
            self.embedding.weight.copy_(torch.from_numpy(weights.embedding))
            self.head.weight.copy_(torch.from_numpy(weights.head_kernel.T))
            self.head.bias.copy_(torch.from_numpy(weights.head_bias))
        # Two biases that both get the gradient would learn twice as fast as one.
        if task.cell != "gru":
            self.cell.bias_hh_l0.requires_grad_(False)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns logits; the lengths stay on the CPU."""
        return self.head(self.read(self.embedding(tokens), lengths))[:, 0]

    def read(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns the output after the last word."""
        outputs, _ = self.cell(inputs)
        if self.task.padding == "keras":
            return outputs[:, -1]
        return outputs[torch.arange(len(outputs)), lengths - 1]


class PyTorch:
    """Trains batch by batch, on the GPU if there is one."""

    classifier = Classifier

    def __init__(self, task: Task, weights: Weights) -> None:
        self.task = task
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = self.classifier(task, weights).to(self.device)
        self.params = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.squares = [torch.zeros_like(parameter) for parameter in self.params]

    def train(self, block: Block) -> float:
        losses = []
        for step, labels in enumerate(block.labels):
            logits = self.logits(block, step)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels).to(self.device))
            self.model.zero_grad(set_to_none=True)
            loss.backward()
            self._rmsprop()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    @torch.no_grad()
    def _rmsprop(self) -> None:
        """Updates as Keras' RMSprop does. That of torch.optim has its epsilon outside the square root: other losses."""
        for parameter, square in zip(self.params, self.squares, strict=True):
            gradient: Any = parameter.grad
            square.mul_(DECAY).addcmul_(gradient, gradient, value=1 - DECAY)
            parameter.addcdiv_(gradient, (square + EPSILON).sqrt_(), value=-LEARNING_RATE)

    @torch.inference_mode()
    def predict(self, block: Block) -> np.ndarray:
        return self.logits(block, 0).cpu().numpy()

    def logits(self, block: Block, step: int) -> torch.Tensor:
        """Returns the logits of one batch, in the layout that fits the meaning of padding."""
        tokens = block.tokens if self.task.padding == "keras" else block.words_first
        return self.model(torch.from_numpy(tokens[step]).to(self.device), torch.from_numpy(block.lengths[step]))


make = PyTorch
