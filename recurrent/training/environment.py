"""What decides the last bits of a run beside its recipe and its data: versions, processor, devices, compiler flags."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurrent.training.manifest import versions

__all__ = ["describe_environment", "processor"]


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
    }


def processor() -> str:
    """Names the processor, as results should."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
