"""Whether the cuda backend can run a call."""

import math

import jax
import jax.numpy as jnp

from recurrent.backends.cuda.compiler import architectures
from recurrent.backends.cuda.library import load
from recurrent.backends.cuda.sizes import KINDS, NUM_KEPT, SIZES, num_gates, num_states, padded
from recurrent.backends.native.plan import why_not_arrays
from recurrent.backends.nvidia import why_not_cell, why_not_here
from recurrent.call.call import ARRAYS, Call
from recurrent.call.meshes import is_placed_in_parts
from recurrent.cells import lstm

__all__ = ["segment_size", "shares_prefix", "skips", "why_not"]

MOST_BYTES = {"whole": 2**31, "in segments": 2**29}
"""The largest size of the projected inputs, residuals and cotangents of all steps, without and with `segment_size`.

Those of all steps are kept in either case.
"""

LEAST_CAPABILITY = 80
LARGE_MEMORY = frozenset((80, 87, 90, 100, 103, 110))
"""Compute capabilities, times ten, at which a block may have 160 KB of shared memory."""


def why_not(call: Call) -> str | None:
    """Returns the reason why this backend cannot run a call, or None."""
    if (reason := why_not_here() or why_not_cell(call.cell)) is not None:
        return reason
    if call.cell not in KINDS:
        return "the cell is none of simple_rnn, lstm and gru"
    reason = why_not_arrays(call) or _why_not_params(call) or _why_not_options(call)
    return reason or _why_not_placed(call) or _why_not_gpu(call) or load().why_not


def _why_not_placed(call: Call) -> str | None:
    """Returns the reason why a call computes elsewhere than on one GPU, as far as its arrays and JAX' settings tell."""
    device = getattr(jax.config, "jax_default_device", None)
    leaves = jax.tree.leaves([getattr(call, name) for name in ARRAYS])
    concrete = [leaf for leaf in leaves if isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)]
    platforms = {each.platform for leaf in concrete if leaf.committed for each in leaf.devices()}
    if device is not None:
        platforms.add(device if isinstance(device, str) else device.platform)
    if others := platforms - {"gpu", "cuda"}:
        return f"an array or JAX' default device is on {', '.join(sorted(others))}"
    if any(is_placed_in_parts(leaf) for leaf in jax.tree.leaves(call.inputs)):
        return "the inputs are spread over devices, and XLA does not split a call of CUDA: use `jax.shard_map`"
    return None


def _why_not_params(call: Call) -> str | None:
    if (dtype := call.params.recurrent_kernel.dtype) != jnp.float32:
        return f"the params are {dtype}, and all must be float32"
    if (size := len(call.params.recurrent_kernel)) > SIZES[-1]:
        return f"the hidden size is {size}, and it is for at most {SIZES[-1]}"
    return None


def _why_not_options(call: Call) -> str | None:
    for option in ("recurrent_mask", "truncate_every"):
        if getattr(call, option) is not None:
            return f"`{option}` is given"
    blocks = 2 * num_gates(call.cell) + NUM_KEPT[call.cell] + 2 * num_states(call.cell)
    num_rows, hidden = math.prod(call.layout.batch), padded(len(call.params.recurrent_kernel))
    num_bytes = num_rows * call.layout.num_steps * blocks * hidden * 4
    most = MOST_BYTES["whole" if call.segment_size is None else "in segments"]
    return None if num_bytes <= most else f"it would keep {num_bytes:,} bytes of all steps, and at most {most:,}"


def _why_not_gpu(call: Call) -> str | None:
    """Returns the reason why a GPU of this process cannot run a call, or None."""
    capabilities = [int(each) for each in architectures()]
    if min(capabilities) < LEAST_CAPABILITY:
        return f"the GPU has compute capability {min(capabilities) / 10}, and it is for 8.0 and later"
    is_large = call.cell is lstm and padded(len(call.params.recurrent_kernel)) == SIZES[-1]
    if is_large and not LARGE_MEMORY.issuperset(capabilities):
        return f"a hidden size above {SIZES[-2]} takes more shared memory than this GPU has"
    return None


def segment_size(call: Call) -> None:
    """Returns None: the residuals of all steps are kept."""


def skips(call: Call) -> bool:
    """Returns whether there are steps of a row that are not computed."""
    return call.is_token is not None


def shares_prefix(call: Call) -> bool:
    """Returns False: the prefix is computed for each row."""
    return False
