"""On a mesh of 2 x 4 devices: cells whose units are split, against one device. Run in a process of its own."""

import json

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import recurrent
from recurrent.sharding import Split, collectives, join_units, split_units

CELLS = ("lstm", "gru", "simple_rnn")
BATCH, TIME, INPUTS, HIDDEN, PARTS = 4, 6, 3, 8, 4
STEP_SIZE = 0.01


def weighted(cell, params, x, weights, mask, backend="auto"):
    outputs, final = recurrent.run(cell, params, x, is_token=mask, backend=backend)
    return jax.numpy.sum(outputs * weights), (outputs, final)


def train_step(cell, backend, psum=lambda loss: loss):
    """A step of gradient descent, and all that it computes."""

    def step(params, x, weights, mask):
        (loss, results), (gradient, d_x) = jax.value_and_grad(
            lambda params, x: weighted(cell, params, x, weights, mask, backend), argnums=(0, 1), has_aux=True
        )(params, x)
        trained = jax.tree.map(lambda leaf, slope: leaf - STEP_SIZE * slope, params, gradient)
        return psum(loss), results, gradient, d_x, trained

    return step


def largest_difference(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)))) for a, b in pairs)


def main():
    draw = np.random.default_rng(0)
    x, weights = (draw.normal(size=(BATCH, TIME, size)).astype(np.float32) for size in (INPUTS, HIDDEN))
    mask = np.arange(TIME)[None] < np.array([[6], [4], [0], [1]])
    print(json.dumps({name: examine(name, x, weights, mask) for name in CELLS}))


def examine(name, x, weights, mask):
    cell = recurrent.CELLS[name]
    params = cell.init(jax.random.key(0), INPUTS, HIDDEN)
    alone = jax.jit(train_step(cell, "plain"))(params, x, weights, mask)
    mesh = jax.make_mesh((2, PARTS), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    columns = jax.tree.map(lambda leaf: P(*[None] * (leaf.ndim - 1), "model"), params)
    on_columns = jax.tree.map(lambda spec: NamedSharding(mesh, spec), columns)
    by_row = jax.device_put((x, weights, mask), NamedSharding(mesh, P("data")))

    state_lies = jax.tree.map(lambda _: P("data", "model"), cell.zero_state(params))
    outputs_lie = P("data", None, "model")
    split = jax.jit(
        jax.shard_map(
            train_step(Split(cell, "model"), "auto", lambda loss: jax.lax.psum(loss, ("data", "model"))),
            mesh=mesh,
            in_specs=(columns, P("data"), outputs_lie, P("data")),
            out_specs=(P(), (outputs_lie, state_lies), columns, P("data"), columns),
        )
    )
    own_units = jax.device_put(split_units(cell, params, PARTS), on_columns)
    loss, results, gradient, d_x, trained = split(own_units, *by_row)
    joined = (loss, results, *(join_units(cell, each, PARTS) for each in (gradient, trained)))
    expected = (*alone[:3], alone[4])
    by_xla = jax.jit(train_step(cell, "plain"))(jax.device_put(params, on_columns), *by_row)
    placed = jax.device_put(params, on_columns)
    native = recurrent.explain(cell, placed, by_row[0]).refusals.get("native", "")
    answer = {
        "split": largest_difference(joined, expected),
        "d_x": largest_difference(d_x, alone[3]),
        "by_xla": largest_difference(by_xla, alone),
        "parts": sorted({leaf.sharding.shard_shape(leaf.shape)[-1] for leaf in jax.tree.leaves(trained)}),
        "in_steps": [each[:2] for each in collectives(split, own_units, *by_row) if each.loops[-1:] == (TIME,)],
        "native": native,
    }
    if name == "lstm":
        explained = recurrent.explain(cell, placed, by_row[0], backend="plain")
        answer["explained"] = [tuple(each) for each in explained.forward_collectives]
        answer["in_words"] = str(explained)
    return answer
