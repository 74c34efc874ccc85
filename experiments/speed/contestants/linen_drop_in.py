"""Flax linen with `recurrent.layers.linen.RNN` in place of `nn.RNN`."""

from functools import partial

from experiments.speed.contestants.linen import Linen
from recurrent.layers.linen import RNN

PACKAGE = "recurrent-jax"
make = partial(Linen, rnn=RNN)
