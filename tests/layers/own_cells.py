"""Cells of a user's own, whose params are not a NamedTuple of arrays."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class State(NamedTuple):
    hidden: jax.Array


class Gate(NamedTuple):
    kernel: jax.Array
    recurrent: jax.Array


class Nested(NamedTuple):
    gate: Gate
    bias: jax.Array | None
    scale: jax.Array


class Colliding(NamedTuple):
    cell: jax.Array
    train: dict[str, jax.Array]
    layout: None


class Counted(NamedTuple):
    kernel: jax.Array
    recurrent: jax.Array
    order: jax.Array  # integers: which unit each unit listens to


@jax.tree_util.register_dataclass
@dataclass
class Data:
    kernel: jax.Array
    recurrent: jax.Array


@dataclass(frozen=True)
class Own:
    """h' = tanh(x W + h U + b), with params of any structure; its `init` knows no options."""

    kind: str

    def init(self, key, input_size, hidden_size):
        both = 0.5 * jax.random.normal(key, (input_size + hidden_size, hidden_size))
        kernel, recurrent = both[:input_size], both[input_size:]
        return {
            "nested": Nested(Gate(kernel, recurrent), None, jnp.ones(())),
            "dict": {"gate": {"kernel": kernel}, "recurrent": [recurrent]},
            "dataclass": Data(kernel, recurrent),
            "array": both,
            "names of the layer's own": Colliding(kernel, {"eval": recurrent}, None),
            "integers": Counted(kernel, recurrent, jnp.arange(hidden_size)[::-1]),
        }[self.kind]

    def weights(self, params) -> tuple[Any, Any]:
        """Returns W and U."""
        match self.kind:
            case "nested":
                return params.gate.kernel * params.scale, params.gate.recurrent
            case "dict":
                return params["gate"]["kernel"], params["recurrent"][0]
            case "array":
                return params[: -params.shape[1]], params[-params.shape[1] :]
            case "names of the layer's own":
                return params.cell, params.train["eval"]
            case "integers":
                return params.kernel, params.recurrent[params.order]
            case _:
                return params.kernel, params.recurrent

    def zero_state(self, params):
        return State(jnp.zeros(self.weights(params)[1].shape[0]))

    def project(self, params, x):
        return x @ self.weights(params)[0].astype(x.dtype)

    def recur(self, params, state):
        recurrent = self.weights(params)[1]
        return state.hidden.astype(recurrent.dtype) @ recurrent

    def update(self, params, state, projected, recurrent):
        hidden = jnp.tanh(projected.astype(jnp.float32) + recurrent.astype(jnp.float32))
        return State(hidden), hidden


PATHS = {
    "nested": [("gate", "kernel"), ("gate", "recurrent"), ("scale",)],
    "dict": [("gate", "kernel"), ("recurrent", "0")],
    "dataclass": [("kernel",), ("recurrent",)],
    "array": [("weights",)],
    "names of the layer's own": [("cell",), ("train", "eval")],
    "integers": [("kernel",), ("order",), ("recurrent",)],
}
"""What the arrays of each kind are called."""
