"""The documents can be built, and the tutorial's cells run as they stand; the executed copy is of these cells."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def cells(source):
    return [cell.strip() for cell in source]


def test_the_executed_tutorial_is_of_the_cells_that_are_written():
    written = re.findall(
        r"```\{code-cell\} ipython3\n(?::tags:[^\n]*\n|---\n.*?---\n)?(.*?)```", text("docs/tutorial.md"), flags=re.S
    )
    notebook = json.loads(text("docs/tutorial.ipynb"))
    executed = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells(executed) == cells(written)
    assert any(
        "image/svg+xml" in output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])
    )


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_documents_can_be_built_and_nothing_in_them_warns(tmp_path):
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-b", "html"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    build = subprocess.run(
        [*command, ROOT / "docs", tmp_path / "html"], env=environment, capture_output=True, text=True, timeout=500
    )
    assert build.returncode == 0, build.stderr
    page = (tmp_path / "html" / "tutorial.html").read_text(encoding="utf-8")
    # Figures that have a closed form, as the page's own cells computed them.
    assert "forget bias 1: gate 0.7311, half-life    2.2 steps, after 100 steps 2.5e-14" in page
    assert "forget bias 5: gate 0.9933, half-life  103.2 steps, after 100 steps 5.1e-01" in page
    assert "Traceback" not in page
