"""The real libraries on one problem: cells with random weights, none of them zero, run from random states."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import recurrent
from recurrent import interop
from tests.backends import cudnn_stand_in

BATCH, TIME, INPUT, HIDDEN = (
    3,
    7,
    3,
    4,
)  # a batch and steps of a size of their own, so that no swapped axis goes unnoticed

Run = tuple[np.ndarray, tuple[np.ndarray, ...]]


class Library(NamedTuple):
    """How a library makes a cell, takes our weights, and runs.

    `make(cell, draw)` returns a cell with drawn weights, `load(cell, weights)` one with what `params_to` returned, and
    `run(cell, theirs, inputs, initial)` outputs ``[batch, time, hidden]`` and the final state, hidden first.
    """

    module: Any
    cells: tuple[str, ...]
    make: Callable[[str, Any], Any]
    load: Callable[[str, Any], Any]
    run: Callable[[str, Any, np.ndarray, tuple[np.ndarray, ...]], Run]


def drawn(tree: Any, draw: np.random.Generator) -> Any:
    """Returns the tree with random numbers in place of its arrays."""
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(0, 0.5, leaf.shape), leaf.dtype), tree)


def arrays(*results: Any) -> Any:
    return jax.tree.map(np.asarray, results)


KERAS = {
    "simple_rnn": ("SimpleRNN", {}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "gru_reset_before": ("GRU", {"reset_after": False}),
}


def keras_layer(cell: str, **options: Any) -> Any:
    import keras

    name, own = KERAS[cell]
    layer = getattr(keras.layers, name)(HIDDEN, return_sequences=True, return_state=True, **own, **options)
    layer.build((BATCH, TIME, INPUT))
    return layer


def make_keras(cell: str, draw: np.random.Generator) -> Any:
    layer = keras_layer(cell)
    return load_keras(cell, [draw.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])


def load_keras(cell: str, weights: Any) -> Any:
    layer = keras_layer(cell)
    layer.set_weights(weights)
    return layer


def run_keras(cell: str, layer: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    outputs, *final = layer(inputs, initial_state=list(initial))
    return arrays(outputs, tuple(final))


TORCH = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def torch_module(cell: str, **options: Any) -> Any:
    import torch

    return getattr(torch.nn, TORCH[cell])(INPUT, HIDDEN, batch_first=True, **options)


def fill(module: Any, draw: np.random.Generator) -> Any:
    """Gives a module of PyTorch random weights."""
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(draw.normal(0, 0.5, tuple(parameter.shape))))
    return module


def load_torch(cell: str, weights: Any) -> Any:
    module = torch_module(cell)
    module.load_state_dict(weights)
    return module


def run_torch(cell: str, module: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    import torch

    tensors = tuple(torch.from_numpy(state[None]) for state in initial)
    with torch.inference_mode():
        outputs, final = module(torch.from_numpy(inputs), tensors if cell == "lstm" else tensors[0])
    final = final if cell == "lstm" else (final,)
    return outputs.numpy(), tuple(state[0].numpy() for state in final)


def linen_cell(cell: str) -> Any:
    from flax import linen as nn

    return {"simple_rnn": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}[cell](HIDDEN)


def make_linen(cell: str, draw: np.random.Generator) -> Any:
    theirs = linen_cell(cell)
    carry = theirs.initialize_carry(jax.random.key(0), (BATCH, INPUT))
    return drawn(theirs.init(jax.random.key(0), carry, jnp.ones((BATCH, INPUT)))["params"], draw)


def run_linen(cell: str, tree: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    from flax import linen as nn

    layer = nn.RNN(linen_cell(cell), return_carry=True)
    carry = initial[::-1] if cell == "lstm" else initial[0]
    final, outputs = layer.apply({"params": {"cell": tree}}, inputs, initial_carry=carry)
    return arrays(outputs, final[::-1] if cell == "lstm" else (final,))


def nnx_cell(cell: str, name: str | None = None) -> Any:
    from flax import nnx

    names = {"simple_rnn": "SimpleCell", "lstm": "OptimizedLSTMCell", "gru": "GRUCell"}
    return getattr(nnx, name or names[cell])(INPUT, HIDDEN, rngs=nnx.Rngs(0))


def load_nnx(cell: str, weights: Any) -> Any:
    from flax import nnx

    theirs = nnx_cell(cell)
    nnx.update(theirs, weights)
    return theirs


def make_nnx(cell: str, draw: np.random.Generator, name: str | None = None) -> Any:
    from flax import nnx

    theirs = nnx_cell(cell, name)
    nnx.update(theirs, drawn(nnx.to_pure_dict(nnx.state(theirs, nnx.Param)), draw))
    return theirs


def run_nnx(cell: str, theirs: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    from flax import nnx

    carry = tuple(map(jnp.asarray, initial[::-1] if cell == "lstm" else initial))
    final, outputs = nnx.RNN(theirs, return_carry=True)(
        jnp.asarray(inputs), initial_carry=carry if cell == "lstm" else carry[0]
    )
    return arrays(outputs, final[::-1] if cell == "lstm" else (final,))


def scan_batch(step: Callable[[Any, Any], Any], inputs: np.ndarray, initial: Any) -> Any:
    """Scans a step of one example over a batch; the state's first array, or the state itself, is the output."""

    def scan(state: Any, x: Any) -> Any:
        state = step(state, x)
        return state, jax.tree.leaves(state)[0]

    final, outputs = jax.vmap(lambda state, xs: jax.lax.scan(scan, state, xs))(initial, jnp.asarray(inputs))
    return arrays(outputs, final)


def make_equinox(cell: str, draw: np.random.Generator) -> Any:
    import equinox

    kind = {"lstm": equinox.nn.LSTMCell, "gru": equinox.nn.GRUCell}[cell]
    return drawn(kind(INPUT, HIDDEN, key=jax.random.key(0)), draw)


def run_equinox(cell: str, theirs: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    state = tuple(map(jnp.asarray, initial)) if cell == "lstm" else jnp.asarray(initial[0])
    outputs, final = scan_batch(lambda state, x: theirs(x, state), inputs, state)
    return outputs, final if cell == "lstm" else (final,)


def haiku_cell(cell: str) -> Any:
    import haiku

    kind = {"lstm": haiku.LSTM, "gru_reset_before": haiku.GRU, "simple_rnn": haiku.VanillaRNN}[cell]
    return haiku.without_apply_rng(haiku.transform(lambda x, state: kind(HIDDEN)(x, state)))


def haiku_state(cell: str, initial: tuple[np.ndarray, ...]) -> Any:
    import haiku

    state = tuple(map(jnp.asarray, initial))
    return haiku.LSTMState(*state) if cell == "lstm" else state[0]


def make_haiku(cell: str, draw: np.random.Generator) -> Any:
    state = haiku_state(cell, (np.zeros(HIDDEN, np.float32),) * (2 if cell == "lstm" else 1))
    return drawn(haiku_cell(cell).init(jax.random.key(0), jnp.ones(INPUT), state), draw)


def run_haiku(cell: str, tree: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    apply = haiku_cell(cell).apply
    outputs, final = scan_batch(lambda state, x: apply(tree, x, state)[1], inputs, haiku_state(cell, initial))
    return outputs, tuple(final) if cell == "lstm" else (final,)


CUDNN = SimpleNamespace(
    params_from=partial(interop.cudnn.params_from, input_size=INPUT, hidden_size=HIDDEN),
    params_to=interop.cudnn.params_to,
)


def make_cudnn(cell: str, draw: np.random.Generator) -> Any:
    return draw.normal(0, 0.5, 4 * HIDDEN * (INPUT + HIDDEN + 2)).astype(np.float32)


def run_cudnn(cell: str, weights: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    sizes = {"input_size": INPUT, "hidden_size": HIDDEN, "num_layers": 1, "bidirectional": False}
    lengths = jnp.full(len(inputs), inputs.shape[1], jnp.int32)
    states = (jnp.asarray(state)[None] for state in initial)
    outputs, *final = cudnn_stand_in.reference(jnp.asarray(inputs), *states, jnp.asarray(weights), lengths, sizes)
    return arrays(outputs, tuple(state[0] for state in final))


ONNX = {"simple_rnn": ("RNN", 1), "lstm": ("LSTM", 4), "gru": ("GRU", 3), "gru_reset_before": ("GRU", 3)}


WITH_STATES = SimpleNamespace(
    params_from=interop.onnx.params_from, params_to=partial(interop.onnx.params_to, takes_states=True)
)


def make_onnx(cell: str, draw: np.random.Generator, **attributes: Any) -> Any:
    """Returns a model of one node, written without our writer."""
    import onnx
    from onnx import helper

    kind, gates = ONNX[cell]
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = gates * HIDDEN
    shapes = {"W": (directions, rows, INPUT), "R": (directions, rows, HIDDEN), "B": (directions, 2 * rows)}
    held = [
        onnx.numpy_helper.from_array(draw.normal(0, 0.5, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    states = ["initial_h", "initial_c"][: 2 if cell == "lstm" else 1]
    final = ["Y_h", "Y_c"][: len(states)]
    if cell == "gru":
        attributes["linear_before_reset"] = 1
    node = helper.make_node(
        kind, ["X", "W", "R", "B", "", *states], ["Y", *final], name="cell", hidden_size=HIDDEN, **attributes
    )
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("X", *states)],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("Y", *final)],
        held,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def run_onnx(cell: str, model: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    is_ours = names[0] == "inputs"
    values = [inputs if is_ours else inputs.swapaxes(0, 1), *(state[None] for state in initial)]
    outputs, *final = session.run(None, dict(zip(names, values, strict=True)))
    return outputs if is_ours else outputs[:, 0].swapaxes(0, 1), tuple(state[0] for state in final)


def as_it_is(cell: str, weights: Any) -> Any:
    return weights


LIBRARIES = {
    "Keras": Library(interop.keras, tuple(KERAS), make_keras, load_keras, run_keras),
    "PyTorch": Library(
        interop.torch, tuple(TORCH), lambda cell, draw: fill(torch_module(cell), draw), load_torch, run_torch
    ),
    "Flax Linen": Library(interop.linen, tuple(TORCH), make_linen, as_it_is, run_linen),
    "Flax NNX": Library(interop.nnx, tuple(TORCH), make_nnx, load_nnx, run_nnx),
    "Equinox": Library(interop.equinox, ("lstm", "gru"), make_equinox, as_it_is, run_equinox),
    "Haiku": Library(interop.haiku, ("lstm", "gru_reset_before"), make_haiku, as_it_is, run_haiku),
    "cuDNN": Library(CUDNN, ("lstm",), make_cudnn, as_it_is, run_cudnn),
    "ONNX": Library(WITH_STATES, tuple(ONNX), make_onnx, as_it_is, run_onnx),
}
NEEDS = {
    "Keras": ("keras",),
    "PyTorch": ("torch",),
    "Equinox": ("equinox",),
    "Haiku": ("haiku",),
    "ONNX": ("onnx", "onnxruntime"),
}
MAPS = [(library, cell) for library, own in LIBRARIES.items() for cell in own.cells]


def params_of(cell: str, draw: np.random.Generator, dtype: Any = np.float32) -> Any:
    """Returns our params, all of them random."""
    params = jax.eval_shape(lambda: recurrent.CELLS[cell].init(jax.random.key(0), INPUT, HIDDEN))
    return type(params)(*(draw.normal(0, 0.5, leaf.shape).astype(dtype) for leaf in params))


def without_recurrent_bias_of_candidate(params: Any) -> Any:
    """Returns a GRU's params as Flax NNX can take them."""
    bias = params.bias.copy()
    bias[1, 2 * HIDDEN :] = 0
    return params._replace(bias=bias)


def run_ours(cell: str, params: Any, inputs: np.ndarray, initial: tuple[np.ndarray, ...]) -> Run:
    own = recurrent.CELLS[cell]
    params = jax.tree.map(jnp.asarray, params)
    outputs, final = recurrent.run(own, params, inputs, initial=own.State(*initial), backend="plain")
    return arrays(outputs, tuple(final))


def problem(cell: str, draw: np.random.Generator) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Returns inputs and initial states."""
    states = 2 if cell == "lstm" else 1
    normal = draw.normal(0, 1, (states, BATCH, HIDDEN)).astype(np.float32)
    return draw.normal(0, 1, (BATCH, TIME, INPUT)).astype(np.float32), tuple(normal)
