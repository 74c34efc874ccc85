"""Strict settings for the whole session, made before JAX starts and before `recurrent` is imported."""

import ctypes
import gc
import importlib.util
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

from tests import compiler

compiler.set_quick_flags()

import jax  # noqa: E402
import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

ROOT = Path(__file__).parents[1]
MEMORY, ROOM_BYTES = Path("/dev/shm"), 4_000_000_000
MEMORY_BYTES = 2_500_000_000
EXAMPLES_NEED = {
    ROOT / "recurrent" / "interop" / "equinox.py": "equinox",
    ROOT / "recurrent" / "interop" / "torch.py": "torch",
    ROOT / "recurrent" / "layers" / "equinox.py": "equinox",
}
"""Files whose examples need a library that is not installed with every Python."""
STRICT = {
    "jax_numpy_rank_promotion": "raise",
    "jax_numpy_dtype_promotion": "strict",
    "jax_debug_key_reuse": True,
    "jax_num_cpu_devices": 2,
}

if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    # A run that saves each step waits for a disk two thirds of its time; a kill does not lose what a disk has not got.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

for name, value in STRICT.items():
    jax.config.update(name, value)

# Only the cells: the doors before them raise errors of their own, which a type checker would preempt.
install_import_hook("recurrent.cells", "beartype.beartype")


@contextmanager
def _relaxed() -> Iterator[None]:
    settings = (
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.debug_key_reuse(False),
    )
    with ExitStack() as stack:
        for setting in settings:
            stack.enter_context(setting)
        yield


@pytest.fixture(scope="session")
def relaxed() -> Callable[[], AbstractContextManager[None]]:
    """JAX' default flags for the length of a `with relaxed():`; other libraries do not survive the strict ones."""
    return _relaxed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files that hold slow tests, so that no process is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        needed = EXAMPLES_NEED.get(item.path) if isinstance(item, pytest.DoctestItem) else None
        if needed is not None and importlib.util.find_spec(needed) is None:
            item.add_marker(pytest.mark.skip(reason=f"its example needs {needed}"))
        if reason := _why_not_on_these_devices(item):
            item.add_marker(pytest.mark.skip(reason=reason))


def _why_not_on_these_devices(item: pytest.Item) -> str | None:
    if item.get_closest_marker("cpu") and jax.default_backend() != "cpu":
        return f"it is about JAX on a CPU, and JAX computes on {jax.default_backend()}"
    devices = item.get_closest_marker("devices")
    if devices and jax.device_count() < devices.args[0]:
        return f"it needs {devices.args[0]} devices, and JAX has {jax.device_count()}"
    return None


def pytest_collection_finish() -> None:
    """Leaves the modules and tests out of garbage collections, which took a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory() -> Iterator[None]:
    """Frees compiled programs between modules once the process is large; it would grow to 5 GB."""
    yield
    sizes = Path("/proc/self/statm")
    if sizes.exists() and int(sizes.read_text().split()[1]) * resource.getpagesize() > MEMORY_BYTES:
        jax.clear_caches()
        gc.collect()
        with suppress(AttributeError):  # of C libraries other than GNU's
            ctypes.CDLL(None).malloc_trim(0)  # or freed memory would not go back to the machine


@pytest.fixture(scope="session")
def child_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of processes that tests start: they compile as users do, and share what they have compiled."""
    own = {
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": "",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return {**os.environ, **own}


@pytest.fixture(scope="module")
def one_browser() -> Iterator[None]:
    """One browser for all pages of a file; skips its tests where there is none."""
    from tests.browser import share_browser

    with share_browser():
        yield


@pytest.fixture
def float64() -> Iterator[None]:
    """64-bit arrays for the length of a test."""
    with jax.enable_x64(True):
        yield
