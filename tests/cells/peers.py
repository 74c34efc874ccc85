"""PyTorch and Keras on the same problem, with our params: Keras' arrays are ours, PyTorch's are converted."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import recurrent
from recurrent import interop
from tests.reference import Problem

KERAS = {
    "simple_rnn": ("SimpleRNN", {}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {"reset_after": True}),
    "gru_reset_before": ("GRU", {"reset_after": False}),
}
TORCH = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def solve_with_keras(
    name: str,
    problem: Problem,
    is_token: np.ndarray | None,
    reverse: bool,
    relaxed: Callable[[], contextlib.AbstractContextManager[None]],
) -> tuple[Any, Any]:
    """Returns ((outputs, final), (params', inputs', initial's gradients)) of a batch, outputs in forward time."""
    import keras

    layer_name, options = KERAS[name]
    with relaxed():
        layer = getattr(keras.layers, layer_name)(
            problem.d_outputs.shape[-1], return_sequences=True, return_state=True, go_backwards=reverse, **options
        )
        layer.build(problem.inputs.shape)
        fixed = [variable.value for variable in layer.non_trainable_variables]

        def forward(params: Any, inputs: Any, initial: Any) -> Any:
            (outputs, *final), _ = layer.stateless_call(
                params, fixed, inputs, initial_state=list(initial), mask=is_token
            )
            # Keras' backward pass returns its outputs in the order in which it made them.
            return (jnp.flip(outputs, 1) if reverse else outputs), tuple(final)

        @jax.jit
        def solve(problem: Problem) -> tuple[Any, Any]:
            results, pullback = jax.vjp(forward, list(problem.params), problem.inputs, problem.initial)
            return results, pullback((problem.d_outputs, problem.d_final))

        return solve(jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), problem))


def solve_with_torch(
    name: str, forward: Problem, backward: Problem, lengths: np.ndarray, dtype: Any
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Runs a bidirectional module over packed sequences: both directions at once, and no step of padding in either.

    Returns for each direction ((outputs, final), (params', inputs', initial's gradients)); the inputs are `forward`'s,
    and so is where their gradient stands; the other's is None.
    """
    import torch

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.asarray(array, dtype), requires_grad=True)

    directions = (forward, backward)
    hidden_size = forward.d_outputs.shape[-1]
    module = getattr(torch.nn, TORCH[name])(
        forward.inputs.shape[-1], hidden_size, batch_first=True, bidirectional=True, dtype=tensor(np.zeros(1)).dtype
    )
    cell = recurrent.CELLS[name]
    network = recurrent.Network((cell,), (hidden_size,), is_bidirectional=True)
    params = recurrent.network.Directions(*(_params(cell, problem, dtype) for problem in directions))
    module.load_state_dict(interop.torch.network_to(network, (params,)))
    inputs = tensor(forward.inputs)
    initial = [tensor(np.stack(pair)) for pair in zip(forward.initial, backward.initial, strict=True)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        inputs, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    packed_outputs, final = module(packed, tuple(initial) if name == "lstm" else initial[0])
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(
        packed_outputs, batch_first=True, total_length=forward.inputs.shape[1]
    )
    final = final if isinstance(final, tuple) else (final,)
    d_outputs = np.concatenate([problem.d_outputs for problem in directions], axis=-1)
    d_final = [np.stack(pair) for pair in zip(forward.d_final, backward.d_final, strict=True)]
    torch.autograd.backward([outputs, *final], [tensor(array).detach() for array in (d_outputs, *d_final)])
    _, d_params = interop.torch.network_from(gradients(name, module))

    def of_direction(index: int) -> tuple[Any, Any]:
        own = slice(index * hidden_size, (index + 1) * hidden_size)
        results = outputs[..., own].detach().numpy(), tuple(state[index].detach().numpy() for state in final)
        d_initial = tuple(state.grad[index].numpy() for state in initial)
        return results, (d_params[0][index], inputs.grad.numpy() if index == 0 else None, d_initial)

    return of_direction(0), of_direction(1)


def _params(cell: Any, problem: Problem, dtype: Any) -> Any:
    return cell.Params(*(np.asarray(array, dtype) for array in problem.params))


def gradients(name: str, module: Any) -> dict[str, Any]:
    """Returns a module's gradients by name; where our cell has one bias, both of theirs have its gradient."""
    found = {weight: parameter.grad for weight, parameter in module.named_parameters()}
    if name == "gru":
        return found
    return {weight: 0 * each if "bias_hh" in weight else each for weight, each in found.items()}
