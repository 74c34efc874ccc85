"""The resident memory of this process."""

import sys
from pathlib import Path

__all__ = ["peak_bytes", "resident_bytes"]


def peak_bytes() -> int | None:
    """Returns the most memory that this process has had resident; None on Windows."""
    found = _status("VmHWM")
    return _maximum() if found is None else found


def resident_bytes() -> int | None:
    """Returns the memory that is resident now; without /proc the peak, and None on Windows."""
    found = _status("VmRSS")
    return _maximum() if found is None else found


def _status(field: str) -> int | None:
    """Returns a field of /proc/self/status in bytes; None where there is no such file or field."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next((line for line in status.read_text().splitlines() if line.startswith(field)), None)
    return None if line is None else int(line.split()[1]) * 1024


def _maximum() -> int | None:
    try:
        import resource  # no such module on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
