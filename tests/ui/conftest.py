"""What tests of the pages share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.browser import CHROMIUM, Tab


# Of a module: as long as Playwright lives, asyncio sees a loop that runs, and other tests cannot start theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; each test opens a context of its own."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[Any]:
    """The pages of the store of a module."""
    from histhooks.ui import serve

    found = serve([store])
    yield found
    found.close()


@pytest.fixture
def tab(chromium: Any, server: Any) -> Iterator[Tab]:
    """A tab of the browser that shows them."""
    made = Tab(chromium, server.url)
    yield made
    made.close()
