"""Profiles: the default initial weights and optimizer settings of other libraries::

    params = recurrent.lstm.init(key, input_size=3, hidden_size=4, profile=recurrent.profiles.torch)

`keras` is the default. A profile also has initializers of an embedding and a dense layer, and the settings from which
`recurrent.training.rmsprop` and `recurrent.training.adam` make Optax optimizers.
"""

from recurrent.cells.profiles.libraries import PROFILES, flax, haiku, keras, torch
from recurrent.cells.profiles.profile import Adam, Layout, Profile, RMSprop

__all__ = ["PROFILES", "Adam", "Layout", "Profile", "RMSprop", "flax", "haiku", "keras", "torch"]
