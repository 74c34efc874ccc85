"""The mean loss of a batch and its gradient, from sums over shards: the same bits on any number of devices.

Each shard's gradient is a sum over its examples. The sums are exchanged, added in the shards' order, and divided by the
batch's weight. (A mean over devices would depend on their number, and would divide by zero on a device that only has
the fill rows of a short batch.) The sums are in at least float32, whatever the dtype of params and losses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from recurrent.cells.precision import carry_dtype
from recurrent.shapes import RandomKey
from recurrent.training.finite import finite_leaves
from recurrent.training.layout import WHOLE, Layout
from recurrent.training.mesh import AXIS
from recurrent.training.objective import Batch, Sums, check_metric

__all__ = ["BatchLoss", "Gradient", "Objective", "mean_loss"]

Objective = Callable[[Any, Batch, RandomKey], Sums]
"""(params, batch, key of the step) -> sums over the batch.

It is called once per shard, with the same key. Fold an example's number (`batch.number`) into it before drawing: draws
from the key itself would be the same in every shard.
"""


_LARGE = 2**16
"""The least number of elements of an array that is exchanged alone."""

_NUMBERS = (jax.Array, np.ndarray, np.generic, bool, int, float)


class Gradient(NamedTuple):
    """The gradient of a batch's mean loss, and the sums it comes from."""

    gradient: Any  # in the params' dtypes
    sums: Sums  # over the batch
    is_finite: Bool[Array, ""]


@dataclass(frozen=True)
class BatchLoss:
    """A batch's loss as a function of params, within `jax.shard_map`, where each device holds its own shards."""

    objective: Objective
    examples: Any  # the whole data set, on every device, or the rows of the device's shards
    rows: Int[Array, "shards rows"]
    weight: Float[Array, "shards rows"]
    number: Int[Array, "shards rows"]
    key: RandomKey  # of the step
    layout: Layout = WHOLE  # of the state

    def differentiate(self, params: Any) -> Gradient:
        """Returns the gradient of the mean loss and the sums it comes from."""

        def of_shard(shard: Batch) -> tuple[Any, Sums]:
            gradient, sums = jax.grad(lambda params: _with_sums(self._sums(params, shard)), has_aux=True)(params)
            return jax.tree.map(_widen, gradient), sums

        total, sums = self.layout.by_hand(_total, jax.lax.map(of_shard, self._shards()))
        mean = jax.tree.map(
            lambda leaf, like: (leaf / sums.weight.astype(leaf.dtype)).astype(like.dtype), total, params
        )
        return Gradient(mean, sums, jnp.all(finite_leaves((mean, sums))))

    def value(self, params: Any) -> Float[Array, ""]:
        """Returns the mean loss. Its reverse-mode derivative is that of `differentiate`: the derivative of a gathered
        sum would count each device's shards once per device.
        """

        @jax.custom_vjp
        def mean(params: Any) -> Float[Array, ""]:
            return mean_loss(_total(jax.lax.map(partial(self._sums, params), self._shards())))

        def forward(params: Any) -> tuple[Float[Array, ""], Any]:
            found = self.differentiate(params)
            return mean_loss(found.sums), found.gradient

        def backward(gradient: Any, slope: Float[Array, ""]) -> tuple[Any]:
            return (jax.tree.map(lambda leaf: leaf * jnp.asarray(slope, leaf.dtype), gradient),)

        mean.defvjp(forward, backward)
        return mean(params)

    def _shards(self) -> Batch:
        """Returns the shards without their examples, which are looked up one shard at a time."""
        return Batch(self.rows, self.number, self.weight)

    def _sums(self, params: Any, shard: Batch) -> Sums:
        batch = shard._replace(examples=jax.tree.map(lambda leaf: leaf[shard.examples], self.examples))
        return jax.tree.map(_widen, _checked(self.objective(self.layout.keep_params(params), batch, self.key)))


def mean_loss(sums: Sums) -> Float[Array, ""]:
    """Returns the mean over examples."""
    return sums.loss / sums.weight.astype(sums.loss.dtype)


def _checked(sums: Any) -> Sums:
    """Returns the objective's answer.

    Raises:
        ValueError: it is not `Sums` of real numbers without axes.
    """
    wanted = "The objective must return recurrent.training.Sums of numbers"
    if not isinstance(sums, Sums):
        raise ValueError(f"{wanted}, not {_form(sums)}: binary_cross_entropy returns them.")
    if not isinstance(sums.metrics, dict):
        raise ValueError(f"{wanted}, but metrics is {_form(sums.metrics)}, not a dict of numbers by name.")
    for name in sums.metrics:
        check_metric(name)
    if sums.weight is None:
        raise ValueError(f"{wanted}, but weight is missing: it is what the loss is divided by.")
    if sums.correct is not None:
        sums = sums._replace(correct=None, metrics={"acc": sums.correct, **sums.metrics})
    for name, value in {"loss": sums.loss, "weight": sums.weight, **sums.metrics}.items():
        if not isinstance(value, _NUMBERS) or jnp.shape(value) or jnp.iscomplexobj(value):
            raise ValueError(f"{wanted}, but {name} is {_form(value)}: add up over the batch's examples.")
    return jax.tree.map(jnp.asarray, sums)


def _form(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "dtype") else f"a {type(value).__name__}"


def _with_sums(sums: Sums) -> tuple[Array, Sums]:
    return sums.loss, sums


def _widen(array: Array) -> Array:
    """Returns an array in at least float32."""
    is_inexact = jnp.issubdtype(array.dtype, jnp.inexact)
    return array.astype(carry_dtype(array.dtype) if is_inexact else jnp.float32)


def _total(local: Any) -> Any:
    """Adds the shards' sums of all devices in the shards' order.

    Small arrays of one dtype are exchanged as one, since devices wait for each other in every exchange, however small;
    to join large ones takes longer than it saves. One device does the same: without the exchange XLA fuses what
    surrounds it, and the last bits differ.
    """
    leaves, tree = jax.tree.flatten(local)
    totals: dict[int, Array] = {}
    small: dict[Any, list[int]] = {}
    for index, leaf in enumerate(leaves):
        if leaf[0].size >= _LARGE:
            totals[index] = _add_shards(leaf.reshape(len(leaf), -1)).reshape(leaf.shape[1:])
        else:
            small.setdefault(leaf.dtype, []).append(index)
    for own in small.values():
        joined = jnp.concatenate([leaves[index].reshape(len(leaves[index]), -1) for index in own], axis=1)
        ends = list(accumulate(leaves[index][0].size for index in own))
        for index, part in zip(own, jnp.split(_add_shards(joined), ends[:-1]), strict=True):
            totals[index] = part.reshape(leaves[index].shape[1:])
    return jax.tree.unflatten(tree, [totals[index] for index in range(len(leaves))])


def _add_shards(own: Float[Array, "own_shards size"]) -> Float[Array, "size"]:
    """Adds the shards of all devices in their order, in the way in which a device receives fewer bytes.

    Either a device gets all shards whole, or its slice of each, and then the sums of the others' slices. Each element
    is added in the same order, so the bits are the same.
    """
    num_devices, (num_own, size) = jax.lax.axis_size(AXIS), own.shape
    if size == 0 or num_own * num_devices <= num_own + 1:  # XLA exchanges no empty slices
        return reduce(jnp.add, list(jax.lax.all_gather(own, AXIS, tiled=True)))
    even = jnp.pad(own, ((0, 0), (0, -size % num_devices)))
    slices = jax.lax.all_to_all(even, AXIS, split_axis=1, concat_axis=0, tiled=True)
    return jax.lax.all_gather(reduce(jnp.add, list(slices)), AXIS, tiled=True)[:size]
