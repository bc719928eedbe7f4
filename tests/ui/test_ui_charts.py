"""Charts in a real Chromium: each way to move in them, each way to look, and that an address alone opens the same."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from helpers.browser import SHIFTS, Tab, drawn, follow, of_cards, settled
from helpers.pages import client
from histhooks import History
from histhooks.history.curves.band import band_of, clip_of
from histhooks.history.curves.thinning import find_series
from histhooks.plot._looks import ON_WHITE, looks_of
from histhooks.testing import run_program

pytest.importorskip("starlette")
pytest.importorskip("playwright.sync_api")

PROGRAM = """
import histhooks, math, random
from pathlib import Path
random.seed(5)
first = None
for number in range(3):
    with histhooks.start_run("net", params={"lr": 10.0 ** -number}) as run:
        for step in range(4000):
            value = math.exp(-step / 900) + number / 10 + random.gauss(0, 0.02) + (50 if step == 1234 else 0)
            run.log({"loss": value}, step=step, epoch=step // 500)
            if step % 100 == 0:
                run.log({"val_loss": value + 0.1}, step=step, epoch=step // 500)
        run.log({"odd": 1.0}, step=0); run.log({"odd": math.nan}, step=10); run.log({"odd": math.inf}, step=20)
        run.log({"odd": 2.0}, step=30); run.log({"once": 0.7})
        for step in (0, 1, 2, 3, 1, 2, 3):
            run.log({"back": float(step)}, step=step)
        Path("weights.pt").write_bytes(b"x"); run.log_artifact("weights.pt", role="checkpoint", step=2000)
        run.event("alert", "the loss is high", step=1234, severity="warning")
    first = first or run.id
with histhooks.start_run("again") as run:
    run.link("resumes", first)
    for step in range(3000, 5000):
        run.log({"loss": 0.01 + math.exp(-step / 900)}, step=step)
"""

# What a framework that counts anew leaves: of 30, of 20 and of 20 steps.
RESUMED = """
import histhooks
before = None
for steps in (30, 20, 20):
    with histhooks.start_run("net") as run:
        if before:
            run.link("resumes", before)
        for step in range(steps):
            run.log({"loss": 1.0}, step=step)
    before = run.id
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("charts") / "h.db"
    code, _, error = run_program(PROGRAM, path)
    assert code == 0, error
    return path


@pytest.fixture(scope="module")
def ids(store: Path) -> list[str]:
    with History(store) as history:
        return [run.id for run in reversed(history.runs())]


def opened(tab: Tab, path: str, count: int = 1) -> Any:
    page = tab.go(f"s/h/{path}")
    drawn(page, count)
    settled(page)
    return page


def window(page: Any) -> tuple[float, float]:
    """What the address says of the x-axis."""
    words = parse_qs(urlsplit(page.url).query)
    return float(words["from"][0]), float(words["to"][0])


def of_card(page: Any, title: str, fact: str) -> str:
    found: str = page.get_attribute(f".card[data-card='{title}']", f"data-{fact}")
    return found


def over(page: Any, title: str = "loss") -> dict[str, float]:
    box: dict[str, float] = page.locator(f".card[data-card='{title}'] .u-over").bounding_box()
    return box


def drag(page: Any, box: dict[str, float], a: tuple[float, float], b: tuple[float, float], key: str = "") -> None:
    """Press, move and let go, at shares of a box."""
    if key:
        page.keyboard.down(key)
    page.mouse.move(box["x"] + box["width"] * a[0], box["y"] + box["height"] * a[1])
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * b[0], box["y"] + box["height"] * b[1], steps=4)
    page.mouse.up()
    if key:
        page.keyboard.up(key)


def same_alone(tab: Tab, browser: Any, server: Any) -> None:
    """The address opens the same ranges in another browser."""
    facts = {fact: of_cards(tab.page, fact) for fact in ("low", "high", "y", "points")}
    other = Tab(browser, server.url)
    page = other.go(tab.page.url.removeprefix(tab.root))
    drawn(page, tab.page.locator(".card.drawn").count())
    settled(page)
    assert {fact: of_cards(page, fact) for fact in facts} == facts
    other.close()


def test_a_chart_is_moved_and_zoomed_and_each_step_has_a_way_back(
    tab: Tab, chromium: Any, server: Any, ids: list[str]
) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts?m=loss,once,odd", 3)
    whole = of_cards(page, "high")
    box = over(page)
    drag(page, box, (0.25, 0.5), (0.75, 0.5))
    settled(page)
    low, high = window(page)
    assert (low, high) == pytest.approx((1000, 3000), abs=30)
    drag(page, box, (0.5, 0.5), (0.25, 0.5), "Control")  # the paper moves with the hand
    settled(page)
    moved = window(page)
    assert moved == pytest.approx((low + 500, high + 500), abs=30)
    page.keyboard.down("Control")
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.wheel(0, -100)
    page.wait_for_url(lambda url: f"from={moved[0]:g}&" not in url)
    settled(page)
    page.keyboard.up("Control")
    near = window(page)
    assert moved[0] < near[0] < near[1] < moved[1]
    assert sum(near) == pytest.approx(sum(moved), abs=20)
    assert page.evaluate("scrollY") == 0
    same_alone(tab, chromium, server)
    page.keyboard.press("-")
    settled(page)
    assert window(page) == moved
    page.click("#back")
    settled(page)
    assert window(page) == (low, high)
    page.mouse.dblclick(box["x"] + 100, box["y"] + 50)
    page.wait_for_url(lambda url: "from=" not in url)
    settled(page)
    assert of_cards(page, "high") == whole
    page.keyboard.press("-")
    settled(page)
    assert window(page) == (low, high)
    page.keyboard.press("0")
    page.wait_for_url(lambda url: "from=" not in url)
    settled(page)
    assert of_cards(page, "high") == whole


def test_the_wheel_alone_scrolls_the_page(tab: Tab, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts")
    box = over(page)
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.wheel(0, 200)
    while not page.evaluate("scrollY"):
        page.wait_for_timeout(50)
    assert "from=" not in page.url


def test_shift_zooms_both_axes_of_one_card(tab: Tab, chromium: Any, server: Any, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts?m=loss,once", 2)
    drag(page, over(page), (0.2, 0.2), (0.6, 0.7), "Shift")
    page.wait_for_url("**y=loss:*")
    settled(page)
    low, high = map(float, of_card(page, "loss", "y").split(","))
    word = parse_qs(urlsplit(page.url).query)["y"][0]
    assert word == f"loss:{low:g}:{high:g}" or [float(v) for v in word.split(":")[1:]] == [low, high]
    assert of_card(page, "once", "low") == of_card(page, "loss", "low")  # the x-axis is that of all
    same_alone(tab, chromium, server)
    page.click("#reset")
    page.wait_for_url(lambda url: "y=" not in url and "from=" not in url)


def test_buttons_do_what_the_pointer_does(tab: Tab, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts?m=loss")
    for button in ("zoom-in", "pan-right", "pan-left", "zoom-in", "zoom-out"):
        page.click(f"#{button}")
        settled(page)
    assert window(page) == pytest.approx((1000, 3000), abs=5)


@pytest.mark.parametrize("x", ["step", "epoch", "time", "wall", "n"])
def test_each_axis_is_zoomed_and_opens_alone(tab: Tab, chromium: Any, server: Any, ids: list[str], x: str) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts?m=loss")
    page.select_option("select[name=x]", x)
    settled(page)
    low, high = float(of_card(page, "loss", "low")), float(of_card(page, "loss", "high"))
    assert high > low
    drag(page, over(page), (0.05, 0.5), (0.9, 0.5))
    page.wait_for_url("**from=*")
    settled(page)
    a, b = window(page)
    unit = {"step": 1, "n": 1, "epoch": 1}.get(x, (high - low) * 0.01)
    assert (a, b) == pytest.approx(
        (low + 0.05 * (high - low), low + 0.9 * (high - low)), abs=unit + (high - low) * 0.01
    )
    assert int(of_card(page, "loss", "points")) > 0
    same_alone(tab, chromium, server)


def test_a_band_and_percentiles_are_over_all_points(store: Path, ids: list[str]) -> None:
    with client(store) as visitor, History(store) as history:
        asked = {"m": "loss", "from": "1000", "to": "3000", "band": "1", "clip": "1", "n": "400"}
        (curve,) = visitor.get(f"/s/h/runs/{ids[0]}/series.json", params=asked).json()["curves"]
        found = find_series(history, ids[0], "loss")
        assert curve["band"] == band_of(history, found, 100, "step", 1000, 3000).as_json()
        clip = clip_of(history, found, "step", 1000, 3000)
        assert clip is not None
        assert curve["clip"] == clip.as_json()
        assert max(curve["band"]["max"]) > 50 > clip.high
        assert visitor.get(f"/s/h/runs/{ids[0]}/charts?y=loss:2:1").status_code == 400


def test_outliers_are_clipped_and_the_card_says_so(tab: Tab, chromium: Any, server: Any, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[0]}/charts?m=loss")
    assert float(of_card(page, "loss", "y").split(",")[1]) > 50
    page.check("input[name=clip]")
    settled(page)
    assert float(of_card(page, "loss", "y").split(",")[1]) < 2
    assert "1st to 99th percentile" in page.inner_text(".card .count")
    page.check("input[name=band]")
    settled(page)
    assert re.search(r"mean, least and greatest of \d+ parts of \d,\d+ points", page.inner_text(".card .count"))
    page.check("input[name=logx]")
    settled(page)
    assert "clip=1" in page.url
    assert "band=1" in page.url
    same_alone(tab, chromium, server)


def test_what_is_not_finite_is_counted_in_words_and_a_single_point_is_seen(tab: Tab, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts?m=odd,once", 2)
    assert page.inner_text(".card[data-card=odd] .odd") == "odd: ✕ 1 nan, ▲ 1 inf"
    assert page.inner_text(".card[data-card=once] .count") == "1 point"
    low, high = map(float, of_card(page, "once", "y").split(","))
    assert low < 0.7 < high
    # The point is there, in the middle of the canvas.
    ink = """() => {
      const card = document.querySelector(".card[data-card=once]"), canvas = card.querySelector("canvas");
      const at = card.querySelector(".u-over").getBoundingClientRect(), all = canvas.getBoundingClientRect();
      const ratio = canvas.width / all.width;
      const box = [at.left - all.left + at.width / 2 - 6, at.top - all.top, 12, at.height];
      const data = canvas.getContext("2d").getImageData(...box.map((side) => side * ratio)).data;
      let found = 0;
      for (let i = 0; i < data.length; i += 4) {
        const colours = data.slice(i, i + 3);
        if (data[i + 3] > 200 && Math.min(...colours) < 120) found += 1;  // the grid is fainter
      }
      return found;
    }"""
    assert page.evaluate(ink) > 30


def test_pieces_are_not_joined_where_the_axis_goes_back(tab: Tab, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[0]}/charts?m=back")
    assert page.locator(".card[data-card=back] .u-series").count() == 2  # a piece each
    page = opened(tab, f"runs/{ids[0]}/charts?m=loss")
    lines = page.get_attribute(".card[data-card=loss]", "data-lines")
    assert '"label":"loss \\u00b7 attempt 2"' in lines  # another attempt of the same training
    assert "attempt 2: 2,000 points" in page.inner_text(".card[data-card=loss] .said")


def test_marks_are_drawn_and_said(tab: Tab, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts?m=loss")
    said = page.locator("#marks li").all_text_contents()
    words = [" ".join(text.split()) for text in said]
    assert words == ["checkpoint weights.pt at step 2,000", "the loss is high at step 1,234", "finished at step 3,999"]
    box = over(page)
    page.mouse.move(box["x"] + box["width"] * 2000 / 3999, box["y"] + 60)
    page.wait_for_selector(".tip:not([hidden]) >> text=checkpoint weights.pt")
    again = opened(tab, f"runs/{ids[3]}/charts")
    assert "resumes" in again.inner_text("#marks summary") + again.locator("#marks").text_content()


def test_the_tip_is_on_all_cards_with_values_in_order_and_the_difference_to_a_base(tab: Tab, ids: list[str]) -> None:
    page = opened(tab, f"charts?runs={','.join(ids[:3])}&m=loss,val_loss&smooth=0.5", 2)
    page.select_option("select[name=base]", index=1)
    base = page.input_value("select[name=base]")
    page.wait_for_url(f"**base={base}*")
    box = over(page)
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.9)
    page.wait_for_selector(":nth-match(.tip:not([hidden]), 2)")
    rows = """(card) => [...document.querySelectorAll(`.card[data-card=${card}] .tip tr`)]
      .map((row) => [...row.cells].map((cell) => cell.textContent))"""
    for card in ("loss", "val_loss"):
        found = page.evaluate(rows, card)
        assert len(found) == 3
        assert all(row[2].startswith("raw ") for row in found)
        assert sorted(row[3][:1] for row in found) == ["", "+", "+"]
    values = [float(row[1]) for row in page.evaluate(rows, "val_loss")]
    assert values == sorted(values, reverse=True)
    page.mouse.move(5, 5)
    page.wait_for_selector(".tip:not([hidden])", state="detached")


def test_pinned_cards_come_first(tab: Tab, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[0]}/charts?from=100&to=900")
    page.click(".card[data-card=once] [data-tool=pin]")
    page.wait_for_url("**card=once*")
    assert "from=100" in page.url
    drawn(page)
    assert page.get_attribute(".card >> nth=0", "data-card") == "once"
    assert page.inner_text("h2 >> nth=0") == "Pinned"
    page.click(".card[data-card=once] [data-tool=pin]")
    page.wait_for_url(lambda url: "card=" not in url)


def test_one_card_has_a_logarithmic_axis_and_the_address_holds_it(
    tab: Tab, chromium: Any, server: Any, ids: list[str]
) -> None:
    def lows(page: Any) -> dict[str, float]:
        return {title: float(of_card(page, title, "y").split(",")[0]) for title in ("loss", "once")}

    page = tab.go(f"s/h/runs/{ids[2]}/charts?smooth=0.9")
    drawn(page, 4)
    settled(page)
    linear = lows(page)
    page.click("[data-card='loss'] [data-tool='log']")
    settled(page)
    assert parse_qs(urlsplit(page.url).query)["logy"] == ["loss"]
    assert page.locator("[data-tool='log'][aria-current]").count() == 1
    only = lows(page)
    assert only["once"] == linear["once"]
    assert (linear["loss"] < 0, only["loss"] > 0) == (True, True)
    saved = page.get_attribute("[data-card='loss'] [data-tool='save']", "href")
    assert saved is not None
    assert ("log=1" in saved, "logy" in saved) == (True, False)
    same_alone(tab, chromium, server)
    page.check("#controls input[name=log]")  # of all: that of the card is the other one again
    settled(page)
    assert lows(page)["loss"] == linear["loss"]
    plain = Tab(chromium, server.url, java_script_enabled=False)
    there = plain.go(f"s/h/runs/{ids[2]}/charts")
    before = there.inner_html("[data-card='loss'] .plot"), there.inner_html("[data-card='once'] .plot")
    follow(there, "[data-card='loss'] [data-tool='log']")
    after = there.inner_html("[data-card='loss'] .plot"), there.inner_html("[data-card='once'] .plot")
    assert (after[0] != before[0], after[1] == before[1]) == (True, True)
    assert "logy=loss" in there.url
    follow(there, "[data-card='loss'] [data-tool='log']")
    assert "logy" not in there.url
    plain.close()


def test_a_card_alone_keeps_what_was_seen_and_has_controls_of_its_own(
    tab: Tab, chromium: Any, server: Any, ids: list[str]
) -> None:
    page = tab.go(f"s/h/runs/{ids[0]}/charts?smooth=0.5")
    drawn(page, 2)
    page.click("#zoom-in")
    settled(page)
    zoomed = parse_qs(urlsplit(page.url).query)
    assert set(zoomed) == {"from", "to", "smooth"}
    page.click("[data-card='loss'] [data-tool='alone']")
    page.wait_for_url("**m=*")
    drawn(page)
    assert page.eval_on_selector_all("[data-card]", "cards => cards.map((card) => card.dataset.card)") == ["loss"]
    assert parse_qs(urlsplit(page.url).query) == {**zoomed, "m": ["loss,val_loss"]}
    assert page.locator("[data-tool='alone']").count() == 0
    page.check("#controls input[name=log]")
    page.click("#reset")
    settled(page)
    assert set(parse_qs(urlsplit(page.url).query)) == {"m", "smooth", "log"}
    assert page.locator("canvas").first.evaluate("canvas => canvas.clientHeight") > 300
    other = Tab(chromium, server.url, java_script_enabled=False)
    alone = other.go(page.url.removeprefix(tab.root))
    assert alone.locator("[data-card] svg").count() == 1
    follow(alone, "text=all metrics")
    assert alone.locator("[data-card]").count() > 2
    assert "log=1" in alone.url
    other.close()


def test_a_chart_is_saved_as_it_is_seen(tab: Tab, store: Path, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts?m=loss")
    page.click("#zoom-in")
    settled(page)
    links = page.evaluate("[...document.querySelectorAll('.menu-items a')].map((link) => link.href)")
    assert window(page) == (999, 3000)
    assert "from=999&to=3000" in links[0]
    with client(store) as visitor:
        path = [urlsplit(link).path + "?" + urlsplit(link).query for link in links]
        svg = visitor.get(path[0])
        assert svg.headers["content-type"] == "image/svg+xml"
        assert "<polyline" in svg.text or "<path" in svg.text
        lines = visitor.get(path[2]).text.splitlines()
        assert len(lines) == 4001
        assert {line.split(",")[0] for line in lines[1:]} == {"loss"}
        assert lines[1].startswith("loss,0,")
        png = visitor.get(path[1])
        if png.status_code == 501:
            assert "needs matplotlib" in png.text
        else:
            assert png.content.startswith(b"\x89PNG")
            assert len(png.content) > 5000
        assert visitor.get(f"/s/h/charts.png?runs={ids[0]}&m=nothing").status_code in (400, 404, 501)


def test_what_is_saved_has_the_clip_the_band_and_the_range_of_its_card(tab: Tab, store: Path, ids: list[str]) -> None:
    words = "m=loss,val_loss&clip=1&band=1&smooth=0.5&y=val_loss:0.1:0.9&align=1"
    page = opened(tab, f"charts?runs={ids[0]},{ids[1]}&{words}", 2)
    links = page.evaluate("[...document.querySelectorAll('.menu-items a')].map((link) => link.href)")
    paths = [urlsplit(link).path + "?" + urlsplit(link).query for link in links if "charts.svg" in link]
    with client(store) as visitor:
        loss, val_loss = (visitor.get(path).text for path in paths)
    assert "clipped to" in loss
    assert loss.count('opacity="0.2"/>') == 2  # a ribbon for each run
    assert "y from 0.1 to 0.9" in val_loss
    colours = re.findall(r'fill="(#\w+)" opacity="0.2"', loss)
    looks = looks_of(ids[:2])
    assert colours == [ON_WHITE[looks[run][0]] for run in ids[:2]]  # those of the canvas
    with client(store) as visitor:
        text = visitor.get(f"/s/h/charts?runs={ids[0]},{ids[1]}&{words}").text
    card = text[text.index('data-card="loss"') : text.index('data-card="val_loss"')]
    assert card.count('opacity="0.2"/>') == 2  # and without JavaScript
    assert "clipped to" in card


def test_runs_that_go_on_from_others_are_lined_up(tmp_path: Path, chromium: Any) -> None:
    from histhooks.ui import serve

    code, _, error = run_program(RESUMED, tmp_path / "h.db")
    assert code == 0, error
    served = serve([tmp_path / "h.db"])
    with History(tmp_path / "h.db") as history:
        first, second, third = (run.id for run in reversed(history.runs()))
    other = Tab(chromium, served.url)
    page = opened(other, f"charts?runs={first},{second},{third}&m=loss")
    assert of_card(page, "loss", "high") == "29"
    page.click("input[name=align]")
    settled(page)
    assert "align=1" in page.url
    assert (of_card(page, "loss", "low"), of_card(page, "loss", "high")) == ("0", "69")
    page = opened(other, f"runs/{third}/charts?align=1&from=55")
    assert of_card(page, "loss", "points") == "15"  # a window is one of the axis that goes on
    other.close()
    served.close()


def test_one_run_of_several_stands_out_and_any_can_be_left_out(tab: Tab, ids: list[str]) -> None:
    page = opened(tab, f"charts?runs={ids[0]},{ids[1]},{ids[2]}&m=loss&from=0&to=2000")

    def seen() -> str:
        found: str = page.evaluate("document.querySelector('.card canvas').toDataURL()")
        return found

    before = seen()
    page.hover(f".legend [data-run='{ids[1]}'] > a")
    during = seen()
    page.mouse.move(0, 0)
    page.focus(".legend [data-run] a.off")
    focused = seen()
    page.evaluate("document.activeElement.blur()")
    assert len({before, during, focused}) == 3
    assert seen() == before
    page.click("#zoom-in")
    settled(page)
    range_ = window(page)
    follow(page, f".legend [data-run='{ids[0]}'] .off")
    drawn(page)
    assert page.locator(".legend [data-run]").count() == 2
    assert window(page) == range_  # what was seen stays
    follow(page, ".legend .off >> nth=0")
    assert page.locator(".legend .off").count() == 0  # one is left


def test_the_points_of_a_card_are_a_table(tab: Tab, store: Path, ids: list[str]) -> None:
    page = opened(tab, f"runs/{ids[1]}/charts?m=val_loss")
    page.click("#zoom-in")
    settled(page)
    page.click("figure.card details.menu summary")
    follow(page, "a[data-tool='table']")
    with History(store) as history:
        points = history.run(ids[1]).curve("val_loss", start=window(page)[0], stop=window(page)[1]).points
    assert page.locator(".points tbody tr").count() == len(points) == 20
    first = page.locator(".points tbody tr").first
    assert first.locator("th").text_content() == f"{points[0].step:,}"
    assert first.locator("td").first.text_content() == f"{points[0].value:.10g}"
    zoomed = window(page)
    follow(page, "text=Back to the charts")
    drawn(page)
    assert window(page) == zoomed
    with client(store) as visitor:
        text = visitor.get(f"/s/h/runs/{ids[1]}/points?m=loss").text
        assert re.search(r"[0-9]+ of 4,000 points, no extreme left out", text)
        assert 'class="n">1,234</th>' in text  # the outlier
        assert visitor.get(f"/s/h/runs/{ids[1]}/points?m=nothing").status_code == 400


def test_a_curve_of_one_run_looks_the_same_on_a_card_and_as_it_is_saved(store: Path, ids: list[str]) -> None:
    with client(store) as visitor:
        page = visitor.get(f"/s/h/runs/{ids[0]}/charts").text
        lines = json.loads(html.unescape(re.findall(r'data-card="loss" data-lines="([^"]*)"', page)[0]))
        own = [line for line in lines if not line["faint"]]
        assert [line["name"] for line in own] == ["loss", "val_loss"]  # the noisy one lies below
        svg = visitor.get(f"/s/h/charts.svg?runs={ids[0]}&m=loss,val_loss").text
    found = re.findall(r'h22" stroke="(#\w+)"', svg)
    assert found == [ON_WHITE[line["colour"]] for line in own]


def test_runs_that_belong_to_one_are_links(store: Path, ids: list[str]) -> None:
    with client(store) as visitor:
        page = visitor.get(f"/s/h/runs/{ids[3]}").text
        assert re.search(rf'resumes <a href="[^"]*runs/{ids[0]}">{ids[0][-8:]}</a>', page)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_while_a_page_becomes_what_it_is(chromium: Any, server: Any, ids: list[str], width: int) -> None:
    tab = Tab(chromium, server.url, viewport={"width": width, "height": 900})
    tab.context.add_init_script(SHIFTS)
    for path in (
        "runs",
        f"runs/{ids[0]}/charts",
        f"charts?runs={','.join(ids[:3])}",
        "runs?group=params.lr",
        f"runs/{ids[0]}/charts?m=loss",
    ):
        page = tab.go(f"s/h/{path}")
        page.wait_for_selector("body[data-live-state=live]")
        if "charts" in path:
            drawn(page, 1 if "m=" in path else 2)
            settled(page)
        assert page.evaluate("shifts") < 0.05, path  # https://web.dev/articles/cls: 0.1 is good
    tab.close()
