import os
import re
import subprocess
import sys

import jax
import pytest

from experiments import machine
from recurrent import processor


def test_flags_depend_on_jaxlib_and_leave_the_users_alone(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.10.2")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=256 --xla_dump_to=x")
    machine.set_xla_flags()
    expected = "--xla_cpu_prefer_vector_width=256 --xla_dump_to=x --xla_cpu_experimental_ynn_fusion_type=-reduce"
    assert os.environ["XLA_FLAGS"] == expected
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.11.2")
    monkeypatch.setenv("XLA_FLAGS", "")
    machine.set_xla_flags()
    assert "ynn" not in os.environ["XLA_FLAGS"]  # a flag that jaxlib does not know would abort the process


def test_a_deterministic_gpu_is_one_flag_which_a_user_may_not_contradict(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    machine.set_xla_flags()
    assert machine.DETERMINISTIC_FLAG not in os.environ["XLA_FLAGS"]
    machine.set_xla_flags(is_deterministic=True)
    machine.set_xla_flags(is_deterministic=True)
    assert os.environ["XLA_FLAGS"].split().count(machine.DETERMINISTIC_FLAG) == 1
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=false")
    with pytest.raises(ValueError, match="contradicts --deterministic"):
        machine.set_xla_flags(is_deterministic=True)


def test_a_device_that_is_not_there_is_said_in_words(monkeypatch):
    """JAX raises an AssertionError without a word where no plugin for a device is installed."""
    for error, words in (
        (AssertionError(), "no plugin for it is installed; run pip install 'recurrent-jax[cuda13]'"),
        (RuntimeError("Unable to initialize.\nA page more"), "Unable to initialize"),
    ):

        def devices(error=error):
            raise error

        monkeypatch.setattr(jax, "devices", devices)
        monkeypatch.setattr(jax.config, "update", lambda name, value: None)
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
        with pytest.raises(
            ValueError, match=rf"^--device gpu: JAX finds no such device here \({re.escape(words)}\)\.$"
        ):
            machine.start_jax("gpu")


def test_programs_are_not_kept_where_there_is_no_home_to_write_in(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for home, expected in ((tmp_path, tmp_path / ".cache" / "recurrent" / "jax"), (tmp_path / "file" / "home", None)):
        updates = {}
        monkeypatch.setattr(jax.config, "update", updates.__setitem__)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        machine.start_jax()
        assert updates.get("jax_compilation_cache_dir") == (None if expected is None else str(expected))


def test_the_machine_is_named():
    assert {"processor", "cores", "memory_bytes", "system", "python"} <= machine.describe_machine().keys()
    assert machine.describe_machine()["memory_bytes"] > 2**28


def test_flags_count_until_the_first_backend_starts():
    program = """
import recurrent, os
os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=3"
import jax
print(jax.device_count("cpu"))
"""
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "-1", "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert ended.stdout == "3\n", ended.stderr


def test_flags_follow_the_processor(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    for flags, is_there in (("fpu avx2 avx512f", True), ("fpu avx2", False)):
        monkeypatch.setattr(processor, "cpuinfo", lambda flags=flags: {"flags": flags})
        monkeypatch.setenv("XLA_FLAGS", "")
        machine.set_xla_flags()
        assert ("--xla_cpu_prefer_vector_width=512" in os.environ["XLA_FLAGS"]) == is_there


def test_loops_are_graphs_of_cuda_where_there_is_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", "")
    for is_there in (False, True):
        if is_there:
            (tmp_path / "nvidiactl").touch()
        monkeypatch.setattr(machine, "NVIDIA", tmp_path / "nvidiactl")
        machine.set_xla_flags()
        assert ("--xla_gpu_enable_command_buffer=+WHILE" in os.environ["XLA_FLAGS"]) == is_there


def test_the_flags_of_gpus_are_known_to_every_build():
    environment = {**os.environ, "XLA_FLAGS": " ".join(machine.GPU_FLAGS), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", "import jax; jax.numpy.zeros(1)"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
