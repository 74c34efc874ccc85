"""What a profile is: how a library draws initial weights, and its settings of optimizers."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import jax
from jaxtyping import Array, DTypeLike

from recurrent.cells.initializers import Initializer
from recurrent.shapes import RandomKey

__all__ = ["Adam", "Draw", "Layout", "Profile", "RMSprop", "check_profile"]

_PACKAGE = "recurrent.cells.profiles"


@dataclass(frozen=True)
class Layout:
    """The sizes of a cell's params.

    >>> import recurrent
    >>> recurrent.profiles.Layout(3, 4, recurrent.gru.GATES, num_biases=2).num_columns
    12
    """

    input_size: int
    hidden_size: int
    gates: tuple[str, ...]  # in the order of the kernels' blocks
    num_biases: int = 1

    @property
    def num_columns(self) -> int:
        """Returns the columns of the kernels: a block of units for each gate."""
        return len(self.gates) * self.hidden_size


@dataclass(frozen=True)
class RMSprop:
    """Settings of RMSprop; `recurrent.training.rmsprop` makes an Optax optimizer of them.

    >>> import recurrent
    >>> recurrent.profiles.torch.rmsprop.decay
    0.99
    """

    decay: float
    epsilon: float
    is_epsilon_in_root: bool  # sqrt(average + epsilon), or else sqrt(average) + epsilon
    learning_rate: float | None = None  # None: the library has no default


@dataclass(frozen=True)
class Adam:
    """Settings of Adam; `recurrent.training.adam` makes an Optax optimizer of them.

    >>> import recurrent
    >>> recurrent.profiles.keras.adam.is_epsilon_hat
    True
    """

    epsilon: float
    is_epsilon_hat: bool  # epsilon is added before the second moment's bias is corrected (Kingma & Ba, section 2)
    learning_rate: float | None = None  # None: the library has no default
    b1: float = 0.9
    b2: float = 0.999


def check_profile(profile: Any) -> "Profile":
    """Returns a profile.

    Raises:
        ValueError: it is something else, such as a library's name.
    """
    if not isinstance(profile, Profile):
        raise ValueError(f"profile must be a Profile, such as recurrent.profiles.torch, not {profile!r}.")
    return profile


Draw = Callable[[RandomKey, Layout, DTypeLike], Array]


@dataclass(frozen=True)
class Profile:
    """Initial weights and optimizer settings; pass it as `profile` to a cell's `init`, `network.init` or a layer.

    >>> import jax, recurrent
    >>> network = recurrent.Network((recurrent.lstm, recurrent.gru), (4, 5))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3, profile=recurrent.profiles.flax)
    >>> float(abs(params[0].forward.bias).max())
    0.0
    """

    name: str
    input_kernel: Draw
    recurrent_kernel: Draw
    bias: Draw  # [num_biases, columns]
    is_bias_random: bool
    embedding: Initializer  # [words, features]
    dense_kernel: Initializer  # [input, output]
    dense_bias: Callable[[int], Initializer]  # the size of the dense layer's input -> draws [output]
    rmsprop: RMSprop
    adam: Adam

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns what restores the profile: a library's own is found by its name, as a function is."""
        if importlib.import_module(_PACKAGE).PROFILES.get(self.name) is self:
            return _look_up, (self.name,)
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    def draw(
        self,
        input_key: RandomKey,
        recurrent_key: RandomKey,
        layout: Layout,
        dtype: DTypeLike,
        input_initializer: Initializer | None = None,
        recurrent_initializer: Initializer | None = None,
    ) -> tuple[Array, Array, Array]:
        """Returns input kernel, recurrent kernel and biases ``[num_biases, columns]``; an initializer replaces its own.

        >>> import jax, recurrent
        >>> layout = recurrent.profiles.Layout(3, 4, recurrent.lstm.GATES)
        >>> keys = jax.random.split(jax.random.key(0))
        >>> [array.shape for array in recurrent.profiles.haiku.draw(*keys, layout, float)]
        [(3, 16), (4, 16), (1, 16)]
        """
        bias_key = recurrent_key
        if self.is_bias_random:
            recurrent_key, bias_key = jax.random.split(recurrent_key)

        def kernel(key: RandomKey, rows: int, given: Initializer | None, own: Draw) -> Array:
            return own(key, layout, dtype) if given is None else given(key, (rows, layout.num_columns), dtype)

        return (
            kernel(input_key, layout.input_size, input_initializer, self.input_kernel),
            kernel(recurrent_key, layout.hidden_size, recurrent_initializer, self.recurrent_kernel),
            self.bias(bias_key, layout, dtype),
        )


def _look_up(name: str) -> Profile:
    return importlib.import_module(_PACKAGE).PROFILES[name]
