import sys

import numpy as np
import pytest

from experiments.speed.devices import measure_memory

MIB = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of resident memory can be set back on Linux alone")
def test_peaks_are_those_of_the_work_and_not_of_what_came_before():
    def allocate(num_bytes: int) -> float:
        return np.ones(num_bytes, np.uint8)[:: 2 * MIB].sum()

    held = np.ones(32 * MIB, np.uint8)  # is the process's, and so part of the base
    memory = measure_memory("jax", lambda: allocate(256 * MIB), lambda: allocate(64 * MIB))
    assert held.all()
    assert memory.first_memory_bytes == pytest.approx(256 * MIB, abs=8 * MIB)
    assert memory.memory_bytes == pytest.approx(64 * MIB, abs=8 * MIB)
    assert memory.step_memory_bytes == pytest.approx(64 * MIB, abs=8 * MIB)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of resident memory can be set back on Linux alone")
def test_what_the_first_work_keeps_is_part_of_the_second_peak():
    kept = []
    memory = measure_memory("jax", lambda: kept.append(np.ones(64 * MIB, np.uint8)), lambda: None)
    assert memory.memory_bytes == pytest.approx(64 * MIB, abs=8 * MIB)
    assert memory.step_memory_bytes < 8 * MIB
