"""The processor: what Linux says of it. Programs choose compiler flags by it, before JAX starts a backend."""

import platform
from pathlib import Path

__all__ = ["cpuinfo", "processor_name"]


def cpuinfo() -> dict[str, str]:
    """Returns the fields of the first processor, such as "model name" and "flags"; nothing on other systems."""
    file, fields = Path("/proc/cpuinfo"), {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields


def processor_name() -> str:
    """Returns the model name of the processor, such as AMD EPYC 7B13."""
    return cpuinfo().get("model name") or platform.processor() or platform.machine()
