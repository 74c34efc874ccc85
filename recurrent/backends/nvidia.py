"""What the cuda and cudnn backends refuse alike."""

from typing import Any

import jax

from recurrent.cells.with_state import WithState

__all__ = ["why_not_cell", "why_not_here"]


def why_not_here() -> str | None:
    """Returns the reason why what is for NVIDIA GPUs cannot run on this machine, or None."""
    platform = jax.default_backend()
    if platform != "gpu":
        return f"it is for NVIDIA GPUs, and JAX computes on {platform}"
    if "cuda" not in jax.devices()[0].client.platform_version:
        return "it is for NVIDIA GPUs, and this GPU is of another make"
    return None


def why_not_cell(cell: Any) -> str | None:
    """Returns the reason why neither backend can compute a cell, or None."""
    if isinstance(cell, WithState):
        return "it does not return the states of all steps, which packed rows need"
    return None
