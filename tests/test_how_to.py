"""The code of the how-to pages runs as it stands, and prints what the pages say."""

import contextlib
import io
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests import forked

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.stem for path in (DOCS / "how-to").glob("*.md") if path.stem != "index")
COMPARES_BITS = ("several-devices",)
NEEDS = {
    "equinox": "equinox",
    "exporting": "keras",
    "importing": "keras",
    "from-keras": "keras",
    "keras-layers": "keras",
    "from-pytorch": "torch",
}
RUN_OF = {"exporting": "runs/imdb-lstm-seed0"}
"""Pages whose reader has trained a run, and its folder."""


def blocks(page):
    """Returns the page's code, each block with the output that follows it (None where none is shown)."""
    text = (DOCS / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", text, flags=re.S)


def check(page):
    names = {"__name__": "page"}
    assert blocks(page)
    for code, expected in blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert not expected or printed.getvalue() == expected, code


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({*PAGES} - {*COMPARES_BITS}))
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(page, tmp_path, monkeypatch, relaxed):
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    monkeypatch.chdir(tmp_path)
    if page in RUN_OF:
        shutil.copytree(DOCS.parent / "tests" / "golden" / "run", tmp_path / RUN_OF[page])
    with relaxed():
        check(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", COMPARES_BITS)
def test_the_code_of_a_page_that_compares_bits_runs_as_users_compile_it(page, tmp_path, child_environment):
    on_two_devices = "import jax; jax.config.update('jax_num_cpu_devices', 2)"
    code = f"{on_two_devices}; from tests.test_how_to import check; check({page!r})"
    done = forked.run([sys.executable, "-c", code], cwd=tmp_path, env=child_environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["index", *PAGES])
def test_the_index_lists_every_page(page):
    index = (DOCS / "how-to" / "index.md").read_text(encoding="utf-8")
    assert page == "index" or (f"]({page}.md)" in index and f"\n{page}\n" in index)


def test_links_of_the_documents_lead_to_files():
    lost = []
    for path in [*DOCS.rglob("*.md"), *(DOCS.parent / "experiments").rglob("*.md")]:
        if "_build" in path.parts:
            continue
        links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        lost += [(path.name, link) for link in links if ":" not in link and not (path.parent / link).exists()]
    assert lost == []
