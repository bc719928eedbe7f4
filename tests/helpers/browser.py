"""A real Chromium for tests: what it logs as an error, reports against a policy or asks from elsewhere is a fault.

axe-core checks pages (https://github.com/dequelabs/axe-core; its licence lies beside it).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_MS = 120_000  # of a busy machine
THEMES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
}
SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
_AXE = Path(__file__).parents[1] / "ui" / "axe" / "axe.min.js"


class Tab:
    """A page that fails the test for whatever the browser complains about."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.root = url.partition("?")[0]
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.faults: list[str] = []
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.route("**/*", self._only_ours)
        self.page = self.context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append("a dialog"), dialog.dismiss()))
        self.page.goto(url)

    def _only_ours(self, route: Any) -> None:
        if urlsplit(route.request.url).netloc == urlsplit(self.root).netloc:
            route.continue_()
        else:
            self.faults.append(f"asks {route.request.url}")
            route.abort()

    def _said(self, message: Any) -> None:
        # A page that answers 400 or 404 is one that a test asked for.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def go(self, path: str) -> Any:
        self.page.goto(self.root + path)
        return self.page

    def close(self) -> None:
        self.context.close()
        assert self.faults == []


def follow(page: Any, selector: str) -> None:
    """Click on what leads to another page, and wait for that page: a click alone returns before it is there."""
    with page.expect_navigation():
        page.click(selector)


def drawn(page: Any, count: int = 1) -> None:
    page.wait_for_selector(f":nth-match(.card.drawn canvas, {count})", state="attached")


def settled(page: Any) -> None:
    """Wait until each card shows what the address asks for."""
    page.wait_for_selector("[data-charts][data-settled]", state="attached")


def of_cards(page: Any, fact: str) -> list[str]:
    """What each card says of itself, for instance `high`: the right end of its axis."""
    found: list[str] = page.evaluate(f"[...document.querySelectorAll('.card')].map((card) => card.dataset.{fact})")
    return found


def faults_of(page: Any) -> list[str]:
    """What axe-core finds serious, and whether the page is wider than the window."""
    wide = [] if page.evaluate("document.documentElement.scrollWidth <= innerWidth") else ["wider than the window"]
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    answer = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})")
    serious = [one for one in answer["violations"] if one["impact"] in ("serious", "critical")]
    return [*wide, *(f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in serious)]
