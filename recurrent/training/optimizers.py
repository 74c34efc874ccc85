"""Optax optimizers with the settings of another library: see `recurrent.profiles`."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from recurrent.cells.profiles import Profile
from recurrent.cells.profiles.profile import check_profile

__all__ = ["adam", "rmsprop"]


def rmsprop(profile: Profile, learning_rate: optax.ScalarOrSchedule | None = None) -> optax.GradientTransformation:
    """Returns RMSprop with the defaults of a profile's library.

    Args:
        profile: such as `recurrent.profiles.torch`.
        learning_rate: a number or a schedule; by default the library's.

    Raises:
        ValueError: there is no learning rate, and the library has no default.

    >>> import jax.numpy as jnp, recurrent
    >>> from recurrent.training import rmsprop
    >>> optimizer = rmsprop(recurrent.profiles.torch)
    >>> params = jnp.zeros(2)
    >>> updates, state = optimizer.update(jnp.array([1.0, -2.0]), optimizer.init(params))
    >>> updates.round(3)
    Array([-0.1,  0.1], dtype=float32)
    """
    settings = check_profile(profile).rmsprop
    return optax.rmsprop(
        _rate(profile, "rmsprop", learning_rate, settings.learning_rate),
        decay=settings.decay,
        eps=settings.epsilon,
        eps_in_sqrt=settings.is_epsilon_in_root,
    )


def adam(profile: Profile, learning_rate: optax.ScalarOrSchedule | None = None) -> optax.GradientTransformation:
    """Returns Adam with the defaults of a profile's library. Its state is that of `optax.adam` in all of them.

    Args:
        profile: such as `recurrent.profiles.keras`.
        learning_rate: a number or a schedule; by default the library's.

    Raises:
        ValueError: there is no learning rate, and the library has no default.

    >>> import jax.numpy as jnp, recurrent
    >>> from recurrent.training import adam
    >>> optimizer = adam(recurrent.profiles.keras)
    >>> state = optimizer.init(jnp.zeros(2))
    >>> [type(part).__name__ for part in state]
    ['ScaleByAdamState', 'EmptyState']
    """
    settings = check_profile(profile).adam
    rate = _rate(profile, "adam", learning_rate, settings.learning_rate)
    scale = _scale_by_epsilon_hat if settings.is_epsilon_hat else optax.scale_by_adam
    return optax.chain(scale(settings.b1, settings.b2, settings.epsilon), optax.scale_by_learning_rate(rate))


def _rate(
    profile: Profile, name: str, given: optax.ScalarOrSchedule | None, default: float | None
) -> optax.ScalarOrSchedule:
    rate = default if given is None else given
    if rate is None:
        raise ValueError(f"{name} of the profile {profile.name} has no default learning_rate: pass one.")
    return rate


def _scale_by_epsilon_hat(b1: float, b2: float, epsilon: float) -> optax.GradientTransformation:
    """Returns Adam's scaling with epsilon added before the second moment's bias is corrected, as in Keras."""
    moments = optax.scale_by_adam(b1, b2)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        after: Any = moments.update(updates, state, params)[1]

        def scaled(mu: jax.Array, nu: jax.Array) -> jax.Array:
            count = after.count.astype(nu.dtype)
            share = jnp.sqrt(1 - jnp.power(b2, count)) / (1 - jnp.power(b1, count))
            return share * mu.astype(nu.dtype) / (jnp.sqrt(nu) + epsilon)

        return jax.tree.map(scaled, after.mu, after.nu), after

    return optax.GradientTransformation(moments.init, update)
