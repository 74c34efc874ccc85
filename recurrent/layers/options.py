"""What a call of a layer may say, for NNX and Linen alike; `SequenceOptions` for a cell, and more for a network."""

from jaxtyping import Array, Int

from recurrent.call.options import SequenceOptions
from recurrent.shapes import RandomKey

__all__ = ["LayerOptions"]


class LayerOptions(SequenceOptions, total=False):
    """What a call of a network's layer takes beside the inputs."""

    deterministic: bool | None
    key: RandomKey | None
    numbers: Int[Array, "*batch"] | None
