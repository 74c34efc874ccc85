"""PyTorch on packed sequences (`pack_padded_sequence`), which have no padding."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence

from experiments.speed.contestants.pytorch import Classifier, PyTorch, start

__all__ = ["PACKAGE", "PackedClassifier", "PackedPyTorch", "make", "start"]

PACKAGE = "torch"


class PackedClassifier(Classifier):
    """Uses the final state of a packed batch."""

    def read(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        _, final = self.cell(packed)
        hidden = final[0] if self.task.cell == "lstm" else final
        return hidden[0]


class PackedPyTorch(PyTorch):
    """Trains batch by batch; it can't treat padding as input (see `unfit`)."""

    classifier = PackedClassifier


make = PackedPyTorch
