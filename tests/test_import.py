"""`import recurrent` is cheap: it needs JAX and jaxtyping alone, and starts nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import recurrent

ROOT = Path(__file__).parent.parent
HEAVY = {
    "absl",
    "array_record",
    "equinox",
    "experiments",
    "flax",
    "grain",
    "haiku",
    "keras",
    "matplotlib",
    "optax",
    "orbax",
    "pandas",
    "rich",
    "sklearn",
    "tensorflow",
    "tensorflow_datasets",
    "torch",
    "tyro",
}


def in_a_fresh_process(program: str) -> str:
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    return run.stdout


def loaded_by(program: str) -> set[str]:
    names = in_a_fresh_process(f"{program}\nimport sys; print(*sys.modules)")
    return {name.partition(".")[0] for name in names.split()}


def test_importing_recurrent_loads_nothing_but_jax_and_jaxtyping():
    loaded = loaded_by("import recurrent")
    assert "recurrent" in loaded
    assert not loaded & HEAVY
    # jaxtyping loads the last one when its names are first asked for.
    assert loaded - loaded_by("import jax, jaxtyping") <= {"recurrent", "wadler_lindig", *sys.stdlib_module_names}


def test_importing_recurrent_starts_no_backend():
    program = "import recurrent; from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    assert in_a_fresh_process(program).strip() == "False"


@pytest.mark.parametrize("name", ["layers.nnx", "training"])
def test_what_needs_more_says_so_by_its_folder(name):
    """The folder beside the core may load what the core must not."""
    assert loaded_by(f"import recurrent.{name}") & {"flax", "optax"}


def test_the_version_is_told_without_an_installation():
    program = "import recurrent; print(recurrent.__version__)"
    assert in_a_fresh_process(program).strip() == recurrent.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", recurrent.__version__)


def test_public_names_are_what_the_package_says():
    program = "import recurrent; print(*(name for name in recurrent.__all__ if not hasattr(recurrent, name)), sep='')"
    assert in_a_fresh_process(program).strip() == ""


def test_another_package_of_this_name_in_the_same_folder_is_an_error(tmp_path):
    (tmp_path / "recurrent").symlink_to(ROOT / "recurrent")
    other = tmp_path / "recurrent-0.4.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: recurrent\nVersion: 0.4.1\n")
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import recurrent"]
    run = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert "holds files of two packages: recurrent-jax and recurrent 0.4.1. Uninstall both" in run.stderr


def test_another_package_of_this_name_in_another_folder_is_no_error(tmp_path):
    other = tmp_path / "recurrent-0.4.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: recurrent\nVersion: 0.4.1\n")
    assert in_a_fresh_process(f"import sys; sys.path.append({str(tmp_path)!r}); import recurrent; print(1)") == "1\n"
