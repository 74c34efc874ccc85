"""Networks of any cells: layer upon layer, in one direction or in both.

    x_0     = inputs
    y_l     = [forward_l(drop(x_l)), backward_l(drop(x_l))]      the first layer's x is not dropped
    x_{l+1} = y_l, or x_l + y_l in a residual network
    outputs = x_L

Noise falls on what a layer sees, never on a residual network's shortcut, and not on the outputs. In a bidirectional
network (Schuster & Paliwal 1997) each direction has params of its own, and step t of the outputs is about step t of the
inputs in both halves: the backward half of a padded sequence begins at its true last step.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int

from recurrent.arguments import fit
from recurrent.batch import run
from recurrent.cells.protocol import Cell, step
from recurrent.shapes import RandomKey
from recurrent.steps import output_like

__all__ = [
    "Directions",
    "Network",
    "check_layers",
    "init",
    "run_network",
    "step_batch",
    "step_network",
    "zero_batch",
    "zero_states",
]


@dataclass(frozen=True)
class Network:
    """What a network is; its params are `init`'s.

    Args:
        cells: one a layer, the one next to the inputs first; they need not be alike.
        hidden_sizes: one a layer, and for each of its directions.
        is_bidirectional: reads the inputs backwards too, in every layer.
        is_residual: adds what a layer is given to what it puts out, half by half where it has two directions. The first
            layer is left as it is where its sizes differ, since nobody chooses the size of the data.
        dropout_rate: of what each layer but the first is given, drawn anew at each step, and only where a key is given.

    Raises:
        ValueError: there is not one size for each cell, or the rate is no probability below 1.
    """

    cells: tuple[Cell, ...]
    hidden_sizes: tuple[int, ...]
    is_bidirectional: bool = False
    is_residual: bool = False
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(self.cells))  # a list could not be hashed
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        if not self.cells or len(self.cells) != len(self.hidden_sizes):
            raise ValueError(
                "A network needs cells, and a hidden size for each of them; "
                f"it was given {len(self.cells)} and the sizes {self.hidden_sizes}."
            )
        if not 0 <= self.dropout_rate < 1:
            raise ValueError(f"dropout_rate must be at least 0 and below 1, not {self.dropout_rate}.")


class Directions(NamedTuple):
    """A layer's params or states; `backward` is None where the network has one direction."""

    forward: Any
    backward: Any = None


def init(key: RandomKey, network: Network, input_size: int, **init_options: Any) -> tuple[Directions, ...]:
    """Draws params: for each layer and direction those of its cell.

    Args:
        init_options: for the `init` of every cell, such as `dtype`.

    Raises:
        ValueError: a size is below 1, or the sizes of a residual network's layers differ.
    """
    keys = jax.random.split(key, (len(network.cells), 2 if network.is_bidirectional else 1))
    params = []
    for layer, (cell, hidden_size) in enumerate(zip(network.cells, network.hidden_sizes, strict=True)):
        own = Directions(*(cell.init(own_key, input_size, hidden_size, **init_options) for own_key in keys[layer]))
        output_size = sum(_output_size(cell, of_direction, input_size) for _, of_direction in _each(own))
        _has_shortcut(network, layer, input_size, output_size)
        params.append(own)
        input_size = output_size
    return tuple(params)


def zero_states(network: Network, params: tuple[Directions, ...], batch: tuple[int, ...] = ()) -> Any:
    """Returns the states before the first step, with batch axes in front."""
    check_layers("params", network, params)
    return tuple(
        Directions(*(zero_batch(cell, of_direction, batch) for _, of_direction in _each(own)))
        for cell, own in zip(network.cells, params, strict=True)
    )


def run_network(
    network: Network,
    params: tuple[Directions, ...],
    inputs: Float[Array, "*batch time input"],
    *,
    is_token: Bool[Array, "*batch time"] | None = None,
    is_start: Bool[Array, "*batch time"] | None = None,
    initial: tuple[Directions, ...] | None = None,
    key: RandomKey | None = None,
    numbers: Int[Array, "*batch"] | None = None,
    segment_size: int | None = None,
    dtype: DTypeLike | None = None,
    backend: str = "auto",
) -> tuple[Float[Array, "*batch time output"], tuple[Directions, ...]]:
    """Runs a network over a batch of sequences; returns the last layer's outputs and the final states of all layers.

    What is not said here is as in `recurrent.run`, for every layer. Steps without a token repeat the last output, the
    shortcut's part of it too.

    Args:
        initial: states like those that come back; zero by default. A None in the place of a state is zero too.
        key: draws the noise of dropout; without one there is none.
        numbers: the examples' numbers in the data set. Noise is a function of key, number, layer, step and unit, so
            that an example has the same one wherever it stands in whichever batch; by default rows are counted.
        dtype: of all layers' outputs; the inputs' by default.

    Raises:
        ValueError: a shape or dtype does not fit, or params or states are those of another network.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.network import Network, init, run_network
    >>> network = Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)
    >>> params = init(jax.random.key(0), network, input_size=3)
    >>> outputs, final = run_network(network, params, jnp.ones((2, 7, 3)))
    >>> outputs.shape, final[0].forward.hidden.shape, final[1].backward.memory.shape
    ((2, 7, 10), (2, 4), (2, 5))
    """
    check_layers("params", network, params)
    if initial is not None and len(initial) != len(network.cells):
        raise ValueError(f"initial must have states for {len(network.cells)} layers, not {len(initial)}.")
    run_one_way = partial(
        run, is_token=is_token, is_start=is_start, segment_size=segment_size, dtype=dtype, backend=backend
    )
    x, final = inputs, []
    for layer, cell in enumerate(network.cells):
        seen = x
        if key is not None and layer > 0 and network.dropout_rate > 0:
            seen = _drop(jax.random.fold_in(key, layer), network.dropout_rate, x, numbers)
        start = Directions(None) if initial is None else initial[layer]
        halves, states = zip(
            *(
                run_one_way(cell, own, seen, initial=start[reverse], reverse=reverse)
                for reverse, own in _each(params[layer])
            ),
            strict=True,
        )
        if _has_shortcut(network, layer, x.shape[-1], sum(half.shape[-1] for half in halves)):
            halves = _add_shortcut(x, halves, is_token, is_start)
        x = jnp.concatenate(halves, axis=-1)
        final.append(Directions(*states))
    return x, tuple(final)


def step_network(
    network: Network,
    params: tuple[Directions, ...],
    states: tuple[Directions, ...],
    x: Float[Array, "*batch input"],
    *,
    dtype: DTypeLike | None = None,
) -> tuple[tuple[Directions, ...], Float[Array, "*batch output"]]:
    """Advances all layers by one step, for agents and streams; returns the next states and the last layer's output.

    Steps one after the other are what `run_network` is over all of them at once. There is no noise.

    Raises:
        ValueError: the network is bidirectional, or something does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.network import Network, init, step_network, zero_states
    >>> network = Network((recurrent.lstm, recurrent.lstm), (4, 4), is_residual=True)
    >>> params = init(jax.random.key(0), network, input_size=3)
    >>> states, output = step_network(network, params, zero_states(network, params, (2,)), jnp.ones((2, 3)))
    >>> output.shape
    (2, 4)
    """
    if network.is_bidirectional:
        raise ValueError("A bidirectional network has no single step: its outputs depend on what comes after them.")
    check_layers("params", network, params)
    check_layers("states", network, states)
    after = []
    for layer, cell in enumerate(network.cells):
        state, output = step_batch(cell, params[layer].forward, states[layer].forward, x, dtype=dtype)
        is_added = _has_shortcut(network, layer, x.shape[-1], output.shape[-1])
        x = output + x.astype(output.dtype) if is_added else output
        after.append(Directions(state))
    return tuple(after), x


def step_batch(
    cell: Cell, params: Any, state: Any, x: Float[Array, "*batch input"], *, dtype: DTypeLike | None = None
) -> tuple[Any, Float[Array, "*batch output"]]:
    """Advances a batch by one step: `recurrent.step` for each example, the output in the dtype that `run` would give.

    Raises:
        ValueError: the state does not fit the cell or the batch.
    """
    batch = x.shape[:-1]
    state = fit("state", state, cell.zero_state(params), batch)
    advance = partial(step, cell, params)
    for _ in batch:
        advance = jax.vmap(advance)
    state, output = advance(state, x)
    return state, output.astype(dtype or x.dtype)


def zero_batch(cell: Cell, params: Any, batch: tuple[int, ...]) -> Any:
    """Returns a batch of a cell's zero states."""
    return jax.tree.map(lambda zero: jnp.broadcast_to(zero, (*batch, *zero.shape)), cell.zero_state(params))


def _each(own: Directions) -> Iterator[tuple[bool, Any]]:
    """Yields a layer's directions, each as (reverse, what it has)."""
    return ((bool(index), of_direction) for index, of_direction in enumerate(own) if of_direction is not None)


def check_layers(name: str, network: Network, layers: tuple[Directions, ...]) -> None:
    """Raises ValueError for params or states of another depth, or of other directions."""
    given = [len(list(_each(own))) for own in layers]
    expected = [2 if network.is_bidirectional else 1] * len(network.cells)
    if given != expected:
        raise ValueError(f"{name} must have {expected} directions, a number for each layer, not {given}.")


def _output_size(cell: Cell, params: Any, input_size: int) -> int:
    """Returns the size of a cell's output, which need not be its hidden size.

    Raises:
        ValueError: the output is not one vector, so that no layer can be put upon it.
    """
    x = jax.ShapeDtypeStruct((input_size,), jax.tree.leaves(params)[0].dtype)
    output = output_like(cell, params, x)
    if getattr(output, "ndim", None) != 1:
        raise ValueError(f"A network needs cells that put out one vector a step, not {output}.")
    return output.shape[0]


def _has_shortcut(network: Network, layer: int, input_size: int, output_size: int) -> bool:
    """Says whether a layer's input is added to its output.

    Raises:
        ValueError: it has to be and can't.
    """
    if network.is_residual and layer > 0 and input_size != output_size:
        raise ValueError(
            f"A residual network adds what a layer is given to what it puts out, but layer {layer} is given "
            f"{input_size} units and puts out {output_size}: give all layers the same output size."
        )
    return network.is_residual and input_size == output_size


def _add_shortcut(
    x: Float[Array, "*batch time input"],
    halves: Sequence[Array],
    is_token: Bool[Array, "*batch time"] | None,
    is_start: Bool[Array, "*batch time"] | None,
) -> list[Array]:
    """Adds a layer's input to its output, in each direction its part of it."""
    parts = jnp.split(x, len(halves), axis=-1)
    if is_token is not None:
        parts = [_hold(part, is_token, is_start, bool(reverse)) for reverse, part in enumerate(parts)]
    return [half + part.astype(half.dtype) for half, part in zip(halves, parts, strict=True)]


def _hold(
    x: Float[Array, "*batch time input"],
    is_token: Bool[Array, "*batch time"],
    is_start: Bool[Array, "*batch time"] | None,
    reverse: bool,
) -> Float[Array, "*batch time input"]:
    """Repeats x where there is no token as `run` repeats outputs: zero before the first one and after a start."""
    num_steps = is_token.shape[-1]
    at = jnp.broadcast_to(jnp.arange(num_steps), is_token.shape)
    find_last = partial(jax.lax.cummin, reverse=True) if reverse else jax.lax.cummax
    last = find_last(jnp.where(is_token, at, num_steps if reverse else -1), axis=is_token.ndim - 1)
    is_seen = (last >= 0) & (last < num_steps)
    last = jnp.clip(last, 0, max(num_steps - 1, 0))
    if is_start is not None:
        sequence = jnp.cumsum(is_start, axis=-1)
        is_seen &= jnp.take_along_axis(sequence, last, axis=-1) == sequence
    return jnp.where(is_seen[..., None], jnp.take_along_axis(x, last[..., None], axis=-2), 0)


def _drop(
    key: RandomKey, rate: float, x: Float[Array, "*batch time input"], numbers: Int[Array, "*batch"] | None
) -> Float[Array, "*batch time input"]:
    """Sets a share of x to zero and scales up the rest (inverted dropout, Srivastava et al. 2014).

    Raises:
        ValueError: there is not one number for each example.
    """
    batch = x.shape[:-2]
    if numbers is None:
        numbers = jnp.arange(math.prod(batch)).reshape(batch)
    if numbers.shape != batch or not jnp.issubdtype(numbers.dtype, jnp.integer):
        raise ValueError(f"numbers must be int{list(batch)}, one an example, not {numbers.dtype}{list(numbers.shape)}.")

    def drop(number: Array, x: Array) -> Array:
        is_kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - rate, x.shape)
        return jnp.where(is_kept, x / (1 - rate), 0)

    for _ in batch:
        drop = jax.vmap(drop)
    return drop(numbers, x)
