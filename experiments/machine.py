"""What an experiment settles before JAX starts: compiler flags, platform, CPU cores as devices, compilation cache.

Flags live in programs and never in the library: an unknown flag in XLA_FLAGS aborts the process of whoever imports it.
"""

import importlib.metadata
import os
from pathlib import Path

__all__ = ["set_xla_flags", "start_jax"]


DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"

MISCOMPILES = ("0.10.2",)
"""Releases of jaxlib that return wrong numbers for some fused matmuls and sums on a CPU (jax issue 39103)."""


def set_xla_flags(is_deterministic: bool = False) -> None:
    """Appends the compiler flags that this machine and this jaxlib need; a flag that is already set is left alone.

    Args:
        is_deterministic: has GPUs add up in a fixed order; other platforms do so anyway.

    Raises:
        ValueError: the user's own flags say the contrary.
    """
    present = os.environ.get("XLA_FLAGS", "")
    name = DETERMINISTIC_FLAG.split("=")[0]
    if is_deterministic and any(flag.split("=")[0] == name and flag != DETERMINISTIC_FLAG for flag in present.split()):
        raise ValueError(f"XLA_FLAGS ({present}) contradicts --deterministic: remove {name} from it.")
    flags = _flags() + ([DETERMINISTIC_FLAG] if is_deterministic else [])
    wanted = [flag for flag in flags if flag.split("=")[0] not in present]
    os.environ["XLA_FLAGS"] = " ".join([present, *wanted]).strip()


def _flags() -> list[str]:
    flags = []
    if importlib.metadata.version("jaxlib") in MISCOMPILES:
        flags.append("--xla_cpu_experimental_ynn_fusion_type=-reduce")
    if _has_avx512():
        flags.append("--xla_cpu_prefer_vector_width=512")
    return flags


def _has_avx512() -> bool:
    information = Path("/proc/cpuinfo")
    return information.exists() and "avx512f" in information.read_text()


def start_jax(
    device: str = "auto", num_cpu_devices: int = 1, is_float64: bool = False, is_deterministic: bool = False
) -> None:
    """Configures JAX for an experiment; to be called before anything is computed.

    Args:
        device: auto, cpu, gpu or tpu.
        num_cpu_devices: as how many devices the CPU shows itself.
        is_float64: lets arrays be float64.
        is_deterministic: see `set_xla_flags`.

    Raises:
        ValueError: the device is not there.
    """
    set_xla_flags(is_deterministic)
    import jax

    if device != "auto":
        jax.config.update("jax_platforms", {"gpu": "cuda"}.get(device, device))
    jax.config.update("jax_num_cpu_devices", num_cpu_devices)
    jax.config.update("jax_enable_x64", is_float64)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and (folder := _cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where no plugin for it is installed
        raise ValueError(f"--device {device}: JAX finds no such device here ({_why(device, error)}).") from error


def _cache_folder() -> Path | None:
    """Returns the folder of compiled programs; None where it can't be written, of which JAX would warn each time."""
    try:
        folder = Path.home() / ".cache" / "recurrent" / "jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter where there is no home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _why(device: str, error: Exception) -> str:
    """Says why a device is not there; where no plugin for it is installed, JAX' error says nothing."""
    if text := str(error).strip():
        return text.splitlines()[0].rstrip(".")
    extra = {"gpu": "cuda13", "tpu": "tpu"}.get(device)
    return "no plugin for it is installed" + (f"; pip install 'recurrent-jax[{extra}]' brings one" if extra else "")
