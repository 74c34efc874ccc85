"""What decides the bits of a run beside its recipe and its data: versions, processor, devices, flags, settings."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from recurrent.training.checkpoints.seal import versions

__all__ = ["NOISE_SETTINGS", "describe_environment", "processor"]

NOISE_SETTINGS = ("jax_enable_x64", "jax_random_seed_offset", "jax_high_dynamic_range_gumbel")
"""Settings of JAX that change what an objective draws from the key it is given, or from a key it makes itself."""

_SETTINGS = (*NOISE_SETTINGS, "jax_default_matmul_precision")


def describe_environment(devices: Sequence[Any]) -> dict[str, Any]:
    """Describes the environment of a run on these devices."""
    return {
        "versions": versions(),
        "python": platform.python_version(),
        "device": devices[0].device_kind,
        "platform": devices[0].platform,
        "num_devices": len(devices),
        "processor": processor(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "settings": {name: getattr(jax.config, name) for name in _SETTINGS if hasattr(jax.config, name)},
    }


def processor() -> str:
    """Names the processor, as results should."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
