"""The pages in a real Chromium: zoom, choice and live updates, and nothing that a browser complains about.

Whatever a page logs as an error, reports against its policy or asks from elsewhere fails the test; axe-core checks each
page.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from helpers.browser import THEMES, Tab, drawn, faults_of, follow, of_cards, settled
from helpers.pages import make, make_hostile

pytest.importorskip("starlette")

PAGES = (
    "runs", "runs?view=folded", "runs?where=val_loss+%3C", "runs?where=has+nothing.here", "columns", "runs/last",
    "runs/broken", "runs/last~1", "runs/last~1/params", "runs/last~1/data", "runs/last~1/code", "runs/last~1/events",
    "runs/last~1/environment", "runs/last~1/files", "runs/last~1/checks", "runs/last~1/lineage", "lineage",
    "runs/last~1/ledger", "models", "search?q=note", "audit?verify=1",
)  # fmt: skip
LIVE = """
import histhooks, sys, time
with histhooks.start_run("live", params={"lr": 0.5}) as run:
    for step in range(10_000):
        run.log({"loss": 1 / (step + 1)}, step=step)
        if step == 40:
            histhooks.flush()
            print("going", flush=True)
        time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("browser") / "h.db")


@pytest.mark.parametrize("options", THEMES.values(), ids=THEMES)
def test_each_page_is_accessible_and_fits(chromium: Any, server: Any, options: dict[str, Any]) -> None:
    tab = Tab(chromium, server.url, **options)
    page = tab.page
    ids = page.evaluate("[...document.querySelectorAll('tr[data-run]')].map((row) => row.dataset.run)")
    more = [f"charts?runs={ids[2]},{ids[3]}", f"compare?runs={ids[2]},{ids[3]}", f"diff/{ids[2]}/{ids[3]}"]
    found = {}
    more += ["runs?check=1", "runs/last~1/points", f"diff/{ids[2]}/{ids[3]}?view=split&not=metrics"]
    for path in (*PAGES, *more, f"runs/{ids[2]}/charts", "../../help"):
        tab.go(f"s/h/{path}")
        if "charts" in path:
            drawn(page)
        if faults := faults_of(page):
            found[path] = faults
    tab.close()
    assert found == {}


def test_a_link_that_is_good_once_opens_the_pages_once(chromium: Any, server: Any) -> None:
    used = server.url_once()
    tab = Tab(chromium, used)
    assert tab.go("s/h/runs").locator("tr[data-run]").count() > 2
    other = chromium.new_context()
    assert other.new_page().goto(used).status == 403
    other.close()
    tab.close()


def test_a_zoom_holds_for_all_cards_stands_in_the_address_and_can_be_undone(tab: Tab) -> None:
    run = tab.page.get_attribute("tr[data-run]:nth-child(3)", "data-run")
    page = tab.go(f"s/h/runs/{run}/charts")
    drawn(page, 3)
    settled(page)
    before = of_cards(page, "high")
    box = page.locator(".card .u-over").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=*")
    settled(page)
    zoomed = list(zip(of_cards(page, "low"), of_cards(page, "high"), strict=True))
    assert len({*zoomed}) == 1
    assert 80 < float(zoomed[0][0]) < float(zoomed[0][1]) < 190
    address = page.url
    page.reload()
    drawn(page, 3)
    settled(page)
    assert list(zip(of_cards(page, "low"), of_cards(page, "high"), strict=True)) == zoomed
    assert page.url == address
    page.keyboard.press("0")
    page.wait_for_url(lambda url: "from=" not in url)
    settled(page)
    assert of_cards(page, "high") == before


def test_a_smoothed_curve_and_a_logarithmic_axis_stand_in_the_address(tab: Tab) -> None:
    run = tab.page.get_attribute("tr[data-run]:nth-child(3)", "data-run")
    page = tab.go(f"s/h/runs/{run}/charts?m=loss")
    drawn(page)
    page.fill("input[name=smooth]", "0.9")
    page.wait_for_url("**smooth=0.9*")
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.wait_for_url("**log=1*")
    page.wait_for_selector(".u-series.raw", state="attached")


def test_runs_are_chosen_and_compared_with_the_keyboard_alone(tab: Tab) -> None:
    page = tab.go("s/h/runs?where=has+val_loss")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    page.wait_for_url("**sel=*,*")
    assert page.inner_text("#bar-count") == "2 chosen"
    assert page.inner_text("#bar-command").startswith("histhooks diff ")
    page.keyboard.press("d")
    page.wait_for_url("**/diff/*/*")
    assert "They differ in" in page.inner_text(".verdict")


def test_keys_are_switched_off_on_all_pages_until_they_are_on_again(tab: Tab) -> None:
    page = tab.go("help")
    assert page.is_checked("#keys")
    page.uncheck("#keys")
    other = tab.context.new_page()
    other.goto(f"{tab.root}s/h/runs")
    for key in ("j", "x", "o", "/"):
        other.keyboard.press(key)
    assert other.locator("tr.here, .popup").count() == 0
    assert other.evaluate("document.activeElement.tagName") == "BODY"
    assert tab.go("help").is_checked("#keys") is False
    page.check("#keys")
    other.wait_for_selector("body:not(.keys-off)")
    other.keyboard.press("j")
    assert other.locator("tr.here").count() == 1


def test_without_javascript_the_table_and_the_charts_are_there(chromium: Any, server: Any) -> None:
    tab = Tab(chromium, server.url, java_script_enabled=False)
    page = tab.go("s/h/runs?where=has+val_loss")
    follow(page, "thead >> text=Took")
    assert "sort=duration_s" in page.url
    page.check("tr[data-run]:nth-child(1) input")
    page.check("tr[data-run]:nth-child(2) input")
    follow(page, "#bar >> text=Charts")
    assert page.locator(".card svg").count() >= 2
    page.go_back()
    follow(page, "tr[data-run]:nth-child(1) .name a")
    follow(page, "nav.tabs >> text=Charts")
    assert page.locator(".card svg").count() >= 2
    tab.close()


def test_hostile_texts_do_nothing_and_keep_the_width(chromium: Any, tmp_path: Path) -> None:
    from histhooks.ui import serve

    server = serve([make_hostile(tmp_path / "bad.db")])
    tab = Tab(chromium, server.url)
    ids = tab.page.evaluate("[...document.querySelectorAll('tr[data-run]')].map((row) => row.dataset.run)")
    assert ids
    paths = [
        "runs",
        "explore",
        "columns",
        "search?q=1",
        f"compare?runs={','.join(ids)}",
        f"charts?runs={ids[0]},{ids[1]}",
    ]
    for path in [*paths, *(f"runs/{i}{part}" for i in ids for part in ("", "/charts", "/lineage"))]:
        page = tab.go(f"s/bad/{path}")
        if path.endswith("charts") or path.startswith("charts"):
            drawn(page)
        assert page.title() != "1", path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    tab.close()
    server.close()


def test_what_is_recorded_appears_and_nothing_that_was_chosen_moves(chromium: Any, tmp_path: Path) -> None:
    from histhooks.ui import serve

    store = make(tmp_path / "h.db")
    server = serve([store])
    tab = Tab(chromium, server.url)
    page = tab.go("s/h/runs?sort=val_loss")
    page.wait_for_selector("body[data-live-state=live]")
    for row in (1, 2, 3):
        page.check(f"tr[data-run]:nth-child({row}) input")
    address = page.url
    rows = "[...document.querySelectorAll('tr[data-run]')].map((row) => row.dataset.run)"
    before = page.evaluate(rows)
    variables = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1"}
    process = subprocess.Popen([sys.executable, "-c", LIVE], env=variables, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        page.wait_for_selector("#new-runs:not([hidden])")
        assert page.inner_text("#new-runs") == "1 new run"
        assert page.evaluate(rows) == before
        assert page.url == address
        assert page.locator("tr[data-run] input:checked").count() == 3
        page.goto(f"{tab.root}s/h/runs/live/charts?from=5&to=20")
        drawn(page)
        settled(page)
        first = page.get_attribute(".card", "data-points")
        page.wait_for_selector("body[data-refreshed]")
        settled(page)
        assert page.get_attribute(".card", "data-points") == first == "16"
        assert "from=5" in page.url
        page.goto(f"{tab.root}s/h/runs/live")
        page.wait_for_selector("text=running")
        process.kill()
        page.wait_for_selector("[data-fresh=status] >> text=killed")
    finally:
        process.kill()
        process.communicate()
    page.keyboard.press(".")
    page.wait_for_selector("body[data-live-state=paused]")
    page.keyboard.press(".")
    page.wait_for_selector("body[data-live-state=live]")
    tab.faults.clear()
    server.close()
    page.wait_for_selector("body[data-live-state=lost]")
    tab.context.close()


def test_a_run_that_is_killed_before_its_page_listens_is_not_shown_as_running(chromium: Any, tmp_path: Path) -> None:
    from histhooks.ui import serve

    store = make(tmp_path / "h.db")
    variables = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1"}
    process = subprocess.Popen([sys.executable, "-c", LIVE], env=variables, stdout=subprocess.PIPE, text=True)
    server = serve([store])
    tab = Tab(chromium, server.url)
    held: list[Any] = []
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        tab.page.route("**/s/h/live", lambda route: held.append(route))  # playwright marks the function
        page = tab.go("s/h/runs/live")
        page.wait_for_selector("[data-fresh=status] >> text=running")
        while not held:
            page.wait_for_timeout(20)
    finally:
        process.kill()
        process.communicate()
    for each in held:
        each.continue_()
    page.wait_for_selector("[data-fresh=status] >> text=killed")
    tab.close()
    server.close()


def test_the_verb_prints_the_address_and_ends_with_control_c(tmp_path: Path) -> None:
    import json
    import signal
    from urllib.request import urlopen

    store = make(tmp_path / "h.db")
    process = subprocess.Popen(
        [sys.executable, "-m", "histhooks", "ui", str(store), "--json", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    limit = threading.Timer(120, process.kill)
    limit.start()
    try:
        text = process.stdout.readline()
        assert text.endswith("}\n"), process.communicate()
        told = json.loads(text)
        assert told["stores"] == [str(store)]
        with urlopen(f"http://127.0.0.1:{told['port']}/healthz", timeout=60) as answer:
            assert answer.read() == b"ok\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    finally:
        limit.cancel()
        process.kill()
    assert (process.returncode, error) == (0, "")
    assert sorted(path.name for path in store.parent.iterdir() if path.name.startswith("h.db")) == ["h.db"]


def test_a_form_annotates_a_run_as_a_person_would(chromium: Any, tmp_path: Path) -> None:
    from histhooks.ui import serve

    server = serve([make(tmp_path / "h.db")], write=True)
    tab = Tab(chromium, server.url)
    page = tab.go("s/h/runs/broken")
    page.fill("input[name=tag]", 'stage="><img src=x>')
    follow(page, "text=Add tag")
    page.wait_for_selector('.words > span:has-text("<img src=x>")')
    page.fill("textarea[name=text]", "two\nlines")
    follow(page, "text=Add note")
    page.wait_for_selector("blockquote:has-text('two')")
    page.click("summary:has-text('Rename')")
    page.fill("input[name=name]", "repaired")
    follow(page, "form[action$=rename] button")
    page.wait_for_selector("h1:has-text('repaired')")
    page.click("summary:has-text('Rename')")
    follow(page, "form[action$=untag] button")
    page.wait_for_selector('.words > span:has-text("stage")', state="detached")
    assert faults_of(page) == []
    tab.close()
    server.close()


def test_a_verification_is_shown_once_it_is_done(chromium: Any, server: Any) -> None:
    tab = Tab(chromium, server.url)
    page = tab.go("s/h/audit")
    page.click("button:has-text('Verify'):not([disabled])")  # now, or again: another test may have asked before
    page.wait_for_url("**verify=*")
    page.wait_for_selector("h2:has-text('Unaltered')")
    page.wait_for_selector("button:has-text('Verify again')")
    tab.close()
