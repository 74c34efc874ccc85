"""Whether JAX computes on an NVIDIA GPU."""

import jax

__all__ = ["why_not_here"]


def why_not_here() -> str | None:
    """Returns the reason why what is for NVIDIA GPUs cannot run on this machine, or None."""
    platform = jax.default_backend()
    if platform != "gpu":
        return f"it is for NVIDIA GPUs, and JAX computes on {platform}"
    if "cuda" not in jax.devices()[0].client.platform_version:
        return "it is for NVIDIA GPUs, and this GPU is of another make"
    return None
