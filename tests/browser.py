"""A real browser for tests of pages: Debian's chromium without a window, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


_PATIENCE = 30_000
"""Milliseconds. Other tests run beside, and a server compiles at its first request."""

_shared: list[Browser] = []


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Starts a browser; skips the test where there is no chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


@contextmanager
def share_browser() -> Iterator[None]:
    """Lets pages share one browser, where starting it takes most of a test's time.

    Playwright runs an event loop in this thread until the end, so that nothing within may run one of asyncio's.
    """
    with open_browser() as browser:
        _shared.append(browser)
        try:
            yield
        finally:
            _shared.remove(browser)


@contextmanager
def new_page(width: int = 1280, height: int = 900, is_dark: bool = False) -> Iterator[Page]:
    """Opens an empty page that shares no cookies, storage or cache; the test fails where the page's scripts do.

    Skips the test where there is no chromium.
    """
    with nullcontext(_shared[-1]) if _shared else open_browser() as browser:
        scheme = "dark" if is_dark else "light"
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(_PATIENCE)
        expect.set_options(timeout=_PATIENCE)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        try:
            yield page
        finally:
            page.close()  # and its context with it
    assert problems == []
