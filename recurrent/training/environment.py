"""What decides a run's bits besides its recipe and data: versions, processor, devices, flags, settings, backend."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from functools import cache
from typing import Any

import jax

from recurrent.backends.cuda.library import load as load_cuda
from recurrent.backends.native.library import load
from recurrent.processor import processor_name

__all__ = ["NOISE_SETTINGS", "describe_environment", "versions"]

NOISE_SETTINGS = ("jax_enable_x64", "jax_random_seed_offset", "jax_high_dynamic_range_gumbel")
"""Settings of JAX that change what an objective draws from its key, or from a key that it makes itself."""

_SETTINGS = (*NOISE_SETTINGS, "jax_default_matmul_precision")


def describe_environment(devices: Sequence[Any], backend: str | None = None) -> dict[str, Any]:
    """Returns the environment of a run on these devices, in JSON's types.

    Args:
        devices: JAX's devices, at least one.
        backend: the backend that computes the run, as `recurrent.explain` names it; None leaves it out.

    Returns:
        A dict of versions, python, device, platform, num_devices, processor, xla_flags and settings; of the number of
        processes if there are several; and of the backend if it is given: its name, and of "native" and "cuda" also
        the digest of its library.

    >>> import jax
    >>> from recurrent.training import describe_environment
    >>> describe_environment(jax.local_devices()[:1])["num_devices"]
    1
    """
    num_processes = len({device.process_index for device in devices})
    return {
        "versions": versions(),
        "python": platform.python_version(),
        "device": devices[0].device_kind,
        "platform": devices[0].platform,
        "num_devices": len(devices),
        **({"num_processes": num_processes} if num_processes > 1 else {}),
        "processor": processor_name(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "settings": {name: getattr(jax.config, name) for name in _SETTINGS if hasattr(jax.config, name)},
        **({} if backend is None else {"backend": _describe_backend(backend)}),
    }


def _describe_backend(name: str) -> dict[str, str]:
    built = {"native": load, "cuda": load_cuda}[name]().built if name in ("native", "cuda") else None
    return {"name": name} | ({} if built is None else {"library": built.digest[:16]})


@cache
def versions() -> dict[str, str]:
    """Returns the versions of the libraries that a checkpoint's bytes and a run's bits depend on."""
    found = {}
    for name in ("jax", "jaxlib", "optax", "orbax-checkpoint", "flax", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
