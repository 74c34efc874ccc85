"""Takes the pictures of `explain` and `serve` again:  python -m tests.screenshots runs/imdb-lstm-seed1"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from experiments.imdb.answers.explanation import explain, make_explainer
from experiments.imdb.answers.page import write_page
from experiments.imdb.runs.open import open_run
from experiments.imdb.serving.requests import Limits
from tests.browser import new_page
from tests.imdb.serving.live import serve

EXPLAINED = (
    "I was bored at first, and the plot is a mess. But the last hour is wonderful, the acting superb, and I loved "
    "every minute of it. What a pity about the awful ending."
)
WRITTEN = (
    "This film was a wonderful surprise. The acting is terrible at first, but then it gets great! I loved it. "
    "<script>document.title='bad'</script>"
)
SCHEMES = {"light": False, "dark": True}


def take(run_dir: Path, folder: Path) -> None:
    """Writes explain-light.png and the others: 800 pixels wide, those for phones 390."""
    run = open_run(run_dir)
    with tempfile.TemporaryDirectory() as temporary:
        page_file = Path(temporary) / "explanation.html"
        write_page(explain(make_explainer(run), EXPLAINED), run_dir.name, page_file)
        for scheme, is_dark in SCHEMES.items():
            for width, name in ((800, "explain"), (390, "explain-phone")):
                with new_page(width=width, is_dark=is_dark) as page:
                    page.goto(page_file.as_uri())
                    page.wait_for_selector("#panel .strip")
                    save(page, folder / f"{name}-{scheme}.png")
    with serve(run, run_dir.name, Limits()) as address:
        with new_page() as page:  # compiles the programs, which would count among the milliseconds on the page
            page.goto(address)
            page.locator("#review").press_sequentially(WRITTEN)
            page.wait_for_timeout(5000)
        for scheme, is_dark in SCHEMES.items():
            with new_page(width=390, is_dark=is_dark) as page:
                page.goto(address)
                page.locator("#review").press_sequentially(WRITTEN, delay=30)
                page.wait_for_timeout(1000)  # the last answer, and the units of its strongest word
                page.wait_for_selector("#panel .strips:not(.outdated) .strip")
                save(page, folder / f"serve-phone-{scheme}.png")


def save(page: Page, path: Path) -> None:
    """Takes the whole page without the empty space at its end."""
    bottom = page.evaluate("Math.ceil(document.querySelector('main').lastElementChild.getBoundingClientRect().bottom)")
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size({"width": size["width"], "height": bottom + 16})
    page.screenshot(path=path)


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(__file__).parents[1] / "docs/imdb")
