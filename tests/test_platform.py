import os

import pytest

from experiments import platform


def test_flags_depend_on_jaxlib_and_leave_the_users_alone(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.10.2")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=256 --xla_dump_to=x")
    platform.set_xla_flags()
    expected = "--xla_cpu_prefer_vector_width=256 --xla_dump_to=x --xla_cpu_experimental_ynn_fusion_type=-reduce"
    assert os.environ["XLA_FLAGS"] == expected
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.11.2")
    monkeypatch.setenv("XLA_FLAGS", "")
    platform.set_xla_flags()
    assert "ynn" not in os.environ["XLA_FLAGS"]  # a flag that jaxlib does not know would abort the process


def test_a_deterministic_gpu_is_one_flag_which_a_user_may_not_contradict(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    platform.set_xla_flags()
    assert platform.DETERMINISTIC_FLAG not in os.environ["XLA_FLAGS"]
    platform.set_xla_flags(is_deterministic=True)
    platform.set_xla_flags(is_deterministic=True)
    assert os.environ["XLA_FLAGS"].split().count(platform.DETERMINISTIC_FLAG) == 1
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=false")
    with pytest.raises(ValueError, match="contradicts --deterministic"):
        platform.set_xla_flags(is_deterministic=True)
