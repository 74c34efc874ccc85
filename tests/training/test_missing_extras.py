"""Without the libraries of its extra, `recurrent.training` says what to install."""

import subprocess
import sys

import pytest

from tests.training.conftest import ROOT

PROGRAM = """
import sys
sys.modules[sys.argv[1]] = None  # what Python itself finds where a module is not installed
try:
    import recurrent.training
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "module, library", [("optax", "Optax"), ("orbax", "Orbax"), ("orbax.checkpoint", "Orbax"), ("filelock", "filelock")]
)
def test_the_message_names_the_library_and_the_extra(module, library):
    run = subprocess.run([sys.executable, "-c", PROGRAM, module], cwd=ROOT, check=True, capture_output=True, text=True)
    expected = f"recurrent.training needs {library}: pip install 'recurrent-jax[training]'"
    assert run.stdout.strip() == expected
