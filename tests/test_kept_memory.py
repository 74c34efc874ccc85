import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, threading
from recurrent.native import keep_memory

is_kept = keep_memory() if sys.argv[1] == "keep" else None

def fill():
    array = bytearray(2**27)  # 128 MiB
    array[:] = bytes(1) * len(array)

def fill_again():
    fill()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    fill()
    print(is_kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=fill_again)
thread.start()
thread.join()
"""


def faults(mode: str, **environment: str) -> tuple[str, int]:
    """Runs the program; returns what `keep_memory` returned, and the page faults of arrays on another thread."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", PROGRAM, mode]
    done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    kept, number = done.stdout.split()
    return kept, int(number)


@pytest.mark.skipif(
    sys.platform != "linux" or "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="glibc alone has these settings"
)
def test_freed_arrays_of_any_thread_are_used_again_without_a_page_fault():
    kept, after = faults("keep")
    _, before = faults("leave")
    assert kept == "True"
    assert after < before / 10


def test_settings_of_the_environment_stay():
    for name in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES"):
        assert faults("keep", **{name: "glibc.malloc.check=0" if name == "GLIBC_TUNABLES" else "2"})[0] == "False"
