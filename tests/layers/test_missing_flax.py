"""Without Flax, its layers say what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.modules["flax"] = None  # what Python itself finds where a module is not installed
try:
    import recurrent.layers.{name}
except ModuleNotFoundError as error:
    print(error, error.name)
"""


@pytest.mark.parametrize("name", ["nnx", "linen"])
def test_without_flax_the_message_says_what_to_install(name):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == f"recurrent.layers.{name} needs Flax: pip install 'recurrent-jax[flax]' flax"
