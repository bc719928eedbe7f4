"""Graphs in a real Chromium: they are walked with the keyboard alone, and they work without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from helpers.browser import THEMES, Tab, faults_of, follow
from helpers.lineages import make
from histhooks.testing import run_program

pytest.importorskip("starlette")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from histhooks.ui import serve

    found = serve([make(tmp_path_factory.mktemp("graphs") / "h.db")])
    yield found
    found.close()


SWEEP = """
import histhooks
for number in range(60):
    params = {"lr": 10.0 ** (-number / 15), "opt": ("adam", "sgd")[number % 2], "depth": number % 4}
    with histhooks.start_run("train", params=params) as run:
        run.log({"val_loss": 1.0 + abs(number - 30) / 10})
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from histhooks.ui import serve

    store = tmp_path_factory.mktemp("sweep") / "s.db"
    assert run_program(SWEEP, store)[0] == 0
    found = serve([store])
    yield found
    found.close()


PAGES = (
    "runs/fine-tune/lineage",
    "explore?axes=val_loss",
    "explore?where=name+%3C",
    "runs/alone/lineage",
    "lineage?version=churn@1&depth=2",
    "lineage?of=nobody",
)


@pytest.mark.parametrize("options", THEMES.values(), ids=THEMES)
def test_each_page_is_accessible_and_fits(chromium: Any, server: Any, options: dict[str, Any]) -> None:
    tab = Tab(chromium, server.url, **options)
    links = "[...document.querySelectorAll('.made a')].map((link) => link.getAttribute('href').split('s/h/')[1])"
    parts = tab.go("s/h/runs/fine-tune").evaluate(links)
    assert len(parts) >= 6
    found = {path: faults_of(tab.go(f"s/h/{path}")) for path in (*PAGES, *parts)}
    tab.close()
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_the_arrow_keys_go_along_the_links_and_enter_opens(chromium: Any, server: Any) -> None:
    tab = Tab(chromium, server.url)
    page = tab.go("s/h/runs/fine-tune/lineage")
    here = lambda: page.evaluate("document.activeElement.querySelector('.name')?.textContent")  # noqa: E731
    page.focus(".graph")
    seen = []
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
        seen.append(here())
    assert seen[:2] == ["fine-tune", "model.pt"]
    assert set(seen[2:]) == {"judge", "churn@1"}
    assert page.locator(".graph.walking .edge.near").count() >= 3
    page.focus(".graph .root")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert here() == "fine-tune"
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*-*")
    assert page.inner_text("h1") == "fine-tune"
    tab.close()


def test_without_javascript_a_click_opens_a_node(chromium: Any, server: Any) -> None:
    tab = Tab(chromium, server.url, java_script_enabled=False)
    page = tab.go("s/h/runs/fine-tune/lineage")
    assert page.locator(".graph a.node").count() == 11
    page.select_option("select[name=depth]", "1")
    follow(page, "form.lineage >> text=Show")
    assert "depth=1" in page.url
    assert page.locator(".graph a.fold").count() == 3
    follow(page, ".graph a.run:has-text('pretrain')")
    assert page.inner_text("h1") == "pretrain"
    tab.close()


@pytest.mark.parametrize("options", THEMES.values(), ids=THEMES)
def test_runs_are_explored_on_any_screen(chromium: Any, sweep: Any, options: dict[str, Any]) -> None:
    tab = Tab(chromium, sweep.url, **options)
    assert faults_of(tab.go("s/s/explore")) == []
    tab.close()


def drag(page: Any, selector: str, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over a part of an element, in shares of it."""
    box = page.locator(selector).bounding_box()
    for number, (across, down) in enumerate((begin, end)):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"], steps=4)
        if not number:
            page.mouse.down()
    page.mouse.up()


def test_a_brush_writes_the_filter_and_another_one_replaces_it(chromium: Any, sweep: Any) -> None:
    tab = Tab(chromium, sweep.url, viewport={"width": 1280, "height": 1100})
    page = tab.go("s/s/explore")
    where = lambda: page.input_value("[name=where]")  # noqa: E731
    count = lambda: page.locator(".stroke").count()  # noqa: E731
    lr = '.parallel .axis[data-name="params.lr"] .hold'
    assert count() == 60
    with page.expect_navigation():
        drag(page, lr, (0.5, 0.25), (0.5, 0.75))
    first = where()
    assert first.startswith("params.lr >= ")
    assert " and params.lr <= " in first
    assert 20 <= count() <= 40
    with page.expect_navigation():
        drag(page, '.parallel .axis[data-name="params.opt"] .hold', (0.5, 0.05), (0.5, 0.5))
    assert where() == f"{first} and params.opt in ('sgd')"
    half = count()
    assert half <= 20
    with page.expect_navigation():
        drag(page, lr, (0.5, 0.4), (0.5, 0.6))
    assert where().startswith("params.opt in ('sgd') and params.lr >= ")
    assert count() < half
    with page.expect_navigation():
        page.locator(lr).click()
    assert where() == "params.opt in ('sgd')"
    assert count() == 30
    with page.expect_navigation():
        drag(page, ".scatter .hold", (0.02, 0.5), (0.98, 0.99))
    assert "val_loss <= " in where()
    address = page.url
    kept = count()
    page.goto("about:blank")
    page.goto(address)
    assert count() == kept
    tab.close()


def test_a_run_stands_out_in_both_pictures_and_in_the_table(chromium: Any, sweep: Any) -> None:
    tab = Tab(chromium, sweep.url)
    page = tab.go("s/s/explore")
    page.hover("tr[data-row]:nth-child(2) td")
    assert page.locator(".stroke.near").count() == page.locator(".spot.near").count() == 1
    assert page.locator("tr.near").count() == 1
    tab.close()


def test_without_javascript_runs_are_explored_by_the_filter(chromium: Any, sweep: Any) -> None:
    tab = Tab(chromium, sweep.url, java_script_enabled=False)
    page = tab.go("s/s/runs")
    follow(page, ".title >> text=Explore")
    page.fill("[name=where]", "params.depth = 2")
    follow(page, "#explore >> text=Show")
    assert page.locator(".stroke").count() == 15
    assert page.locator("tr[data-row]").count() == 15
    page.click("summary >> text=Axes")
    page.uncheck("input[name=axes][value='params.opt']")
    follow(page, "#explore >> text=Show")
    assert page.locator(".parallel .axis").count() == 3
    follow(page, "tr[data-row] a >> nth=0")
    assert page.inner_text("h1") == "train"
    tab.close()
