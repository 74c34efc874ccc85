"""The processor that code is compiled for."""

import hashlib
import platform
from functools import cache
from pathlib import Path

__all__ = ["describe_processor", "machine"]


def machine() -> str:
    """Returns the processor's architecture."""
    return platform.machine()


@cache
def describe_processor() -> str:
    """Returns the architecture and a digest of the instruction sets that the processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{machine()} {platform.processor()}"
    sets = next((line.split(":", 1)[1] for line in lines if line.lower().startswith(("flags", "features"))), "")
    return f"{machine()} {hashlib.sha256(' '.join(sorted(sets.split())).encode()).hexdigest()}"
