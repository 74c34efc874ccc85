"""Without Flax, Keras or Equinox, the layers for them say what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.modules["{missing}"] = None  # what Python itself finds where a module is not installed
try:
    import recurrent.layers.{name}
except ModuleNotFoundError as error:
    print(error, error.name)
"""


@pytest.mark.parametrize(
    "name, library", [("nnx", "Flax"), ("linen", "Flax"), ("keras", "Keras"), ("equinox", "Equinox")]
)
def test_without_the_library_the_message_says_what_to_install(name, library):
    missing = library.lower()
    program = PROGRAM.format(name=name, missing=missing)
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    expected = f"recurrent.layers.{name} needs {library}: pip install 'recurrent-jax[{missing}]' {missing}"
    assert run.stdout.strip() == expected
