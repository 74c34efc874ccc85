"""The environments of contestants' processes, and denormal numbers in PyTorch."""

import dataclasses
import os
import subprocess
import sys

import pytest

from experiments.machine import num_cores
from experiments.speed import settings
from experiments.speed.settings import allocator, environment
from experiments.speed.task import Task

BEFORE = {"XLA_FLAGS": "--xla_a", "JAX_NUM_CPU_DEVICES": "3", "HOME": "/home"}


@pytest.fixture
def libraries(monkeypatch):
    """Sets which allocators are installed."""

    def install(*names):
        monkeypatch.setattr("ctypes.util.find_library", lambda name: f"lib{name}.so.9" if name in names else None)

    install()
    return install


def test_pytorch_has_a_bound_thread_for_each_core(libraries):
    found = environment("pytorch", Task(), BEFORE)
    assert (found["OMP_NUM_THREADS"], found["OMP_PROC_BIND"], found["OMP_SCHEDULE"]) == (
        str(num_cores()), "CLOSE", "STATIC",
    )  # fmt: skip
    assert environment("pytorch_packed", Task(), BEFORE) == found
    assert found.items() >= BEFORE.items()


@pytest.mark.parametrize(
    "installed, preloaded",
    [
        (("jemalloc",), "libjemalloc.so.9"),
        (("tcmalloc", "jemalloc"), "libtcmalloc.so.9"),
        (("tcmalloc_minimal", "jemalloc"), "libtcmalloc_minimal.so.9"),
        ((), None),
    ],
)
@pytest.mark.parametrize("name", ["pytorch", "keras_tensorflow"])
def test_an_allocator_that_reuses_memory_is_taken_where_there_is_one(libraries, name, installed, preloaded):
    libraries(*installed)
    found = environment(name, Task(), BEFORE)
    assert found.get("LD_PRELOAD") == preloaded
    assert ("MALLOC_TRIM_THRESHOLD_" in found) == (preloaded is None)
    assert ("MALLOC_CONF" in found) == (preloaded == "libjemalloc.so.9")


def test_contestants_on_jax_have_none_of_it(libraries):
    for name in ("ours", "own_loop", "linen", "keras_jax"):
        assert environment(name, Task(), BEFORE) == {**BEFORE, **settings.EVERY}


def test_what_a_user_has_set_stays(libraries):
    libraries("jemalloc")
    before = {"OMP_NUM_THREADS": "7", "LD_PRELOAD": "mine.so"}
    assert environment("pytorch", Task(), before).items() >= before.items()


def test_jax_as_it_comes_has_no_flags_and_tensorflow_never_those_of_jax():
    task = dataclasses.replace(Task(), start="default")
    for name in ("own_loop", "linen", "pytorch"):
        assert not {"XLA_FLAGS", "JAX_NUM_CPU_DEVICES"} & environment(name, task, BEFORE).keys()
    assert "XLA_FLAGS" not in environment("keras_tensorflow", Task(), BEFORE)
    assert environment("linen", Task(), BEFORE)["XLA_FLAGS"] == "--xla_a"


@pytest.mark.parametrize(
    "variables, words",
    [
        ({"LD_PRELOAD": "libtcmalloc_minimal.so.4"}, "tcmalloc"),
        ({"LD_PRELOAD": "x.so libjemalloc.so.2"}, "jemalloc"),
        ({"MALLOC_TRIM_THRESHOLD_": "1"}, "glibc's allocator, which keeps memory"),
        ({}, "the system's allocator"),
    ],
)
def test_the_allocator_is_named(monkeypatch, variables, words):
    for name in ("LD_PRELOAD", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert allocator() == words


def test_pytorch_flushes_denormals_in_every_thread():
    program = """
from experiments.speed.contestants import pytorch
said = pytorch.start()
import torch
tiny = torch.full((1_000_000,), 1e-30)  # many enough for all threads
print(said, bool((tiny * 1e-10 == 0).all()))
"""
    found = environment("pytorch", Task(), os.environ)
    ended = subprocess.run([sys.executable, "-c", program], env=found, capture_output=True, text=True)
    assert ended.stdout == f"{num_cores()} threads, denormals flushed True\n", ended.stderr
