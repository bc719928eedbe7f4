"""What tests of the pages share."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from helpers.browser import CHROMIUM, Tab
from helpers.engines import FILES, on_both

# Pages that are read; the browser's tests are about the page, whoever answers.
READING = frozenset({"content", "explore", "lineage", "pages", "twins"})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of what pages say on each engine."""
    if metafunc.module.__name__.rpartition(".")[2].removeprefix("test_ui_") in READING:
        on_both(metafunc)


@pytest.fixture(scope="module", autouse=True)
def _asked(engine: str) -> Iterator[None]:
    """Each module here has an engine; a database is called in addresses of pages as the file that it stands for."""
    if engine == "sqlite":
        yield
        return
    from histhooks.ui._places import Place, place_of

    def named(word: str, taken: set[str]) -> Place:
        place = place_of(word, taken)
        return dataclasses.replace(place, name=place_of(str(FILES[word]), taken).name) if word in FILES else place

    with mock.patch("histhooks.ui._stores.place_of", named):
        yield


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short, as that of a socket has to be, wherever other folders of tests are."""
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as place:
        yield Path(place)


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
