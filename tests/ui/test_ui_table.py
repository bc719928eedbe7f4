"""The table of runs in a real Chromium: groups, pins, a base, the menu of a cell, completion of names."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from helpers.browser import SHIFTS, THEMES, Tab, faults_of, follow
from helpers.pages import client
from helpers.programs import HOST, ON_THAT_HOST, wait_for
from histhooks import History
from histhooks.testing import run_program

pytest.importorskip("starlette")
pytest.importorskip("playwright.sync_api")

PROGRAM = """
import histhooks
for number in range(12):
    try:
        with histhooks.start_run(f"net {number // 6}", params={"lr": 10.0 ** -(number % 3), "seed": number, "same": 1},
                                 tags={"team": ("red", "blue")[number % 2]}) as run:
            run.log({"val_loss": 1 + number / 10}, step=0); run.log({"val_loss": 0.5 + number / 20}, step=1)
            run.log({"val_acc": number / 12}, step=1)
            if number == 5:
                raise ValueError("no")
    except ValueError:
        pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "h.db"
    code, _, error = run_program(ON_THAT_HOST + PROGRAM, path)
    assert code == 0, error
    return path


def words(page: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def shown(page: Any) -> list[str]:
    found: list[str] = page.evaluate("[...document.querySelectorAll('tr[data-run]')].map((row) => row.dataset.short)")
    return found


def text_of(page: Any, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def test_groups_are_those_of_the_command_line(store: Path) -> None:
    with client(store) as visitor, History(store) as history:
        asked = {"group": "params.lr,tags.team", "where": "val_acc < 0.9", "sort": "val_loss"}
        table = history.table(
            group_by=["params.lr", "tags.team"], where="val_acc < 0.9", order_by="val_loss", limit=100
        )
        assert visitor.get("/s/h/runs.json", params=asked).json() == json.loads(
            json.dumps([asdict(group) for group in table.groups])
        )
        rows = list(csv.DictReader(io.StringIO(visitor.get("/s/h/runs.csv", params=asked).text)))
        assert [int(row["count"]) for row in rows] == [group.count for group in table.groups]
        assert visitor.get("/s/h/runs?group=nothing").status_code == 400


def test_a_group_opens_in_place_and_alone_from_its_address(tab: Tab, chromium: Any, server: Any) -> None:
    page = tab.go("s/h/runs?group=params.lr&sort=val_loss")
    assert text_of(page, "#groups > tbody > tr > th") == ["▸ 1.0", "▸ 0.1", "▸ 0.01"]
    page.evaluate("document.body.dataset.mark = 'the same page'")
    page.click("#groups a.opens >> nth=1")
    page.wait_for_selector("#groups tr.inside")
    assert page.get_attribute("body", "data-mark") == "the same page"
    assert words(page)["open"] == "params.lr = 0.1"
    inside = shown(page)
    assert len(inside) == 4
    other = Tab(chromium, server.url)
    assert shown(other.go(page.url.removeprefix(tab.root))) == inside
    other.close()
    page.check("tr[data-run] >> nth=0 >> input")
    page.check("tr[data-run] >> nth=1 >> input")
    assert page.inner_text("#bar-count") == "2 chosen"
    page.click("#groups a.opens >> nth=1")
    page.wait_for_selector("#groups tr.inside", state="detached")
    assert "open" not in words(page)


def test_a_base_shows_differences_by_direction(tab: Tab) -> None:
    page = tab.go("s/h/runs?sort=params.seed+asc&cols=val_acc,params.seed")
    third = shown(page)[2]
    page.check(f"tr[data-short='{third}'] input")
    page.click("#bar-base")
    page.wait_for_url(f"**base={third}*")
    assert shown(page)[0] == third
    assert text_of(page, "tr.base .id") == [f"{third} base"]
    second = page.locator("tbody:not(.pinned) tr[data-run] >> nth=0")
    cells = second.locator("td.n")
    told = [" ".join(text.split()) for text in cells.all_inner_texts()]
    assert told[0] == "0.5 −0.1"  # the best val_loss: less is better
    assert cells.nth(0).locator(".delta").get_attribute("class") == "delta better"
    assert told[2] == "0 −0.1667"  # val_acc
    assert cells.nth(2).locator(".delta").get_attribute("class") == "delta worse"
    assert cells.nth(3).locator(".delta").get_attribute("class").strip() == "delta"  # a param is neither
    page.click(".chip >> text=difference to")
    page.wait_for_url(lambda url: "base=" not in url)
    assert page.locator(".delta").count() == 0


def test_pinned_rows_stay_on_top_whatever_the_filter_and_the_order(tab: Tab) -> None:
    page = tab.go("s/h/runs?where=tags.team+=+red")
    others = shown(tab.go("s/h/runs?where=tags.team+=+blue"))
    page = tab.go("s/h/runs?where=tags.team+=+red")
    pinned = f"{others[0]},{others[1]}"
    page = tab.go(f"s/h/runs?where=tags.team+=+red&pin={pinned}&sort=val_loss")
    assert shown(page)[:2] == others[:2]
    assert len(shown(page)) == 8
    page.keyboard.press("j")
    page.keyboard.press("p")  # takes it off again
    page.wait_for_url(lambda url: words(page).get("pin") == others[1])
    assert shown(page)[0] == others[1]
    assert len(shown(page)) == 7
    page = tab.go("s/h/runs?pin=nobody00")
    assert "No run is nobody00 any more" in page.inner_text("main")


def menu(page: Any, item: str) -> None:
    page.click(f".popup >> text='{item}'")


def test_a_click_with_shift_sorts_by_one_more_column(tab: Tab, store: Path) -> None:
    page = tab.go("s/h/runs?cols=params.lr,params.seed&sort=params.lr")
    page.click("thead th[data-name='params.seed'] a", modifiers=["Shift"])
    page.wait_for_url("**params.seed*")
    assert words(page)["sort"] == "params.lr, params.seed"
    with History(store) as history:
        expected = [run.id for run in history.runs(order_by="params.lr, params.seed")]
        turned = [run.id for run in history.runs(order_by="params.lr, params.seed asc")]
    assert page.eval_on_selector_all("tr[data-run]", "rows => rows.map((row) => row.dataset.run)") == expected
    page.click("thead th[data-name='params.seed'] a", modifiers=["Shift"])
    page.wait_for_url("**asc*")
    assert page.eval_on_selector_all("tr[data-run]", "rows => rows.map((row) => row.dataset.run)") == turned
    assert page.locator("thead th[aria-sort]").count() == 1
    assert page.inner_text("thead th[data-name='params.seed'] .arrow") == "↑2"
    page.click("thead th[data-name='params.seed'] a")
    page.wait_for_url(lambda url: "sort=params.seed" in url)
    assert turned != expected


def test_the_menu_of_a_cell_writes_the_filter(tab: Tab) -> None:
    page = tab.go("s/h/runs?cols=params.lr&sort=params.seed+asc")
    page.click("tbody tr >> nth=1 >> td[data-label='params.lr']")
    menu(page, "Only this")
    page.wait_for_url("**where=*")
    assert words(page)["where"] == "params.lr = 0.1"
    assert len(shown(page)) == 4
    page.click("tbody tr >> nth=0 >> .words > span >> text=blue")
    menu(page, "Not this")
    page.wait_for_url("**tags.team*")
    assert words(page)["where"] == "params.lr = 0.1 and tags.team != blue".replace("!= blue", '!= "blue"')
    assert len(shown(page)) == 2
    page = tab.go("s/h/runs?where=params.lr+=+1+or+params.lr+=+0.1")
    page.click("tbody tr >> nth=0 >> td[data-label=Status]")
    menu(page, "Only this")
    page.wait_for_url("**status*")
    assert words(page)["where"] == '(params.lr = 1 or params.lr = 0.1) and status = "finished"'
    page = tab.go("s/h/runs")
    exact = page.locator("tbody tr >> nth=3 >> td[data-label=val_acc]")
    assert exact.count() == 0
    page.click("tbody tr >> nth=3 >> td.n >> nth=0")  # a rounded number filters by what was recorded
    menu(page, "Only this")
    page.wait_for_url("**where=*")
    assert len(shown(page)) == 1


def test_the_value_at_a_step_is_a_column_that_sorts_and_filters(tab: Tab, store: Path) -> None:
    page = tab.go("s/h/columns")
    assert page.locator("input[value*='.at_']").count() == 0
    page.fill("input[name=step]", "1")
    page.keyboard.press("Enter")
    page.wait_for_url("**step=1*")
    page.check("input[value='val_loss.at_1']")
    page.click("button >> text=Show")
    page.wait_for_url("**/runs?*")
    assert words(page) == {"cols": "val_loss.at_1"}
    page.click("thead th[data-name='val_loss.at_1'] a")
    page.wait_for_url("**sort=*")
    assert text_of(page, "td[data-label='val_loss.at_1']") == [f"{0.5 + n / 20:.4g}" for n in range(12)]
    page.click("td[data-label='val_loss.at_1'] >> nth=3")
    menu(page, "Only this")
    page.wait_for_url("**where=*")
    assert words(page)["where"] == "val_loss.at_1 = 0.65"
    with History(store) as history:
        assert shown(page) == [run.id[-8:] for run in history.runs(where="val_loss.at_1 = 0.65")]
    page = tab.go("s/h/columns?cols=val_loss.at_1")
    assert page.is_checked("input[value='val_loss.at_1']")


def heads(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#runs thead th[data-kind=any]", "heads => heads.map((head) => head.dataset.name)"
    )
    return found


def test_a_column_is_dragged_to_its_place_and_the_address_holds_it(tab: Tab) -> None:
    page = tab.go("s/h/runs?cols=params.lr,val_acc.last,params.seed&sort=params.seed+asc&sel=none")
    page.drag_and_drop(
        "thead th[data-name='params.seed']", "thead th[data-name='params.lr']",
        source_position={"x": 30, "y": 15}, target_position={"x": 4, "y": 15},
    )  # fmt: skip
    page.wait_for_url("**cols=params.seed,*")
    assert heads(page) == ["params.seed", "params.lr", "val_acc.last"]
    assert words(page)["sort"] == "params.seed asc"
    width = page.locator("thead th[data-name='val_acc.last']").bounding_box()["width"]
    page.drag_and_drop(
        "thead th[data-name='params.seed']", "thead th[data-name='val_acc.last']",
        source_position={"x": 30, "y": 15}, target_position={"x": width - 12, "y": 15},
    )  # fmt: skip
    page.wait_for_url("**cols=params.lr,*")
    assert words(page)["cols"] == "params.lr,val_acc.last,params.seed"
    page.drag_and_drop("thead th[data-name='params.seed']", "thead th[data-name='status']")  # has its own place
    assert heads(page) == ["params.lr", "val_acc.last", "params.seed"]


def test_the_width_of_a_column_is_kept_and_nothing_moves_when_it_is_there_again(tab: Tab) -> None:
    def width(page: Any) -> float:
        found: float = page.locator("#runs thead th[data-name='params.lr']").bounding_box()["width"]
        return found

    path = "s/h/runs?cols=params.lr,val_acc.last"
    page = tab.go(path)
    before = width(page)
    box = page.locator("thead th[data-name='params.lr'] .grip").bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 64, box["y"] + 8, steps=4)
    page.mouse.up()
    wide = width(page)
    assert wide == pytest.approx(before + 60, abs=2)
    assert page.locator(".popup").count() == 0
    assert "cols=params.lr" in page.url
    tab.context.add_init_script(SHIFTS)
    page = tab.go("s/h/runs?cols=val_acc.last,params.lr")  # wherever the column stands
    page.wait_for_selector("body[data-live-state=live]")
    assert width(page) == wide
    assert page.evaluate("shifts") < 0.01
    page.click("thead th[data-name='params.lr']", position={"x": 3, "y": 3})
    menu(page, "Narrower")
    assert width(page) == pytest.approx(wide - 40, abs=2)
    page.dblclick("thead th[data-name='params.lr'] .grip")
    assert width(page) == pytest.approx(before, abs=2)
    assert page.evaluate("localStorage.getItem('histhooks-widths')") == "{}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("val_loss.at_0", "2.1"), ("val_loss.at_7", ""), ("val_loss.count", "2"), ("hostname", HOST),
        ("params.seed", "11"), ("tags.team", "blue"), ("status", "finished"),
    ],
)  # fmt: skip
def test_a_column_shows_what_its_name_means_to_a_filter(store: Path, name: str, text: str) -> None:
    with client(store) as visitor:
        found = visitor.get(f"/s/h/runs?cols={name}&where=params.seed+=+11").text
        assert re.findall(rf'data-label="{re.escape(name)}"[^>]*>([^<]*)<', found)[-1:] == [text]
        where = f"{name} is null" if not text else f"{name} = {text}"
        assert 'data-total="1"' in visitor.get(f"/s/h/runs?where=params.seed+=+11+and+{where}").text


def test_the_menu_sorts_groups_adds_and_moves_columns(tab: Tab) -> None:
    page = tab.go("s/h/runs")
    page.click("tbody tr >> nth=0 >> .words > span >> nth=0")
    menu(page, "Add as column")
    page.wait_for_url("**cols=params.*")
    first = words(page)["cols"]
    page = tab.go(f"s/h/runs?cols={first},val_acc.last")
    page.click("thead th[data-name='val_acc.last']", position={"x": 3, "y": 3})
    menu(page, "Move left")
    page.wait_for_url("**cols=val_acc.last,*")
    assert words(page)["cols"] == f"val_acc.last,{first}"
    page.click("tbody tr >> nth=0 >> td[data-label='val_acc.last']")
    menu(page, "Sort by it")
    page.wait_for_url("**sort=val_acc.last*")
    page.click("tbody tr >> nth=0 >> .words > span >> text=team")
    menu(page, "Group by it")
    page.wait_for_url("**group=tags.team*")
    assert page.locator("#groups").count() == 1


NAMES = ("lr", "a b", "it's", 'say "x"', "a.b", "x=1", "and", "größe", "a,b", "p|q", "true", "1", "in (2)")
VALUES = ("adam", "a b", "it's", 'say "x"', "true", "1e-3", "-0.5", "inf", "x,y", "a = b", "", "null", "größe")


def test_what_the_menu_writes_finds_the_run_that_has_it(tab: Tab, tmp_path: Path) -> None:
    text = (files("histhooks.ui") / "static" / "table.js").read_text(encoding="utf-8")
    section = text.partition("// --- what a filter says ---")[2].partition("// --- the menu of a cell ---")[0]
    page = tab.go("s/h/runs")
    pairs = [(f"params.{name}", value) for name in NAMES for value in VALUES if value]
    written = page.evaluate(f"(pairs) => {{ {section}\nreturn pairs.map(([n, v]) => condition(n, v, false)); }}", pairs)
    program = f"""
import histhooks
for number, (name, value) in enumerate({pairs!r}):
    with histhooks.start_run(str(number), params={{name.removeprefix("params."): value}}): pass
with histhooks.start_run("none"): pass
"""
    store = tmp_path / "named.db"
    code, _, error = run_program(program, store)
    assert code == 0, error
    with History(store) as history:
        for number, (pair, where) in enumerate(zip(pairs, written, strict=True)):
            assert str(number) in [run.name for run in history.runs(where=where)], (pair, where)
            assert [run.name for run in history.runs(where=f"{where} and name = none")] == [], (pair, where)


def test_the_keyboard_reaches_the_menu_of_a_cell(tab: Tab) -> None:
    page = tab.go("s/h/runs?cols=params.lr")
    for key in ("j", "j", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".popup")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "menuitem"
    page.keyboard.press("Escape")
    assert page.locator(".popup").count() == 0
    assert page.evaluate("document.activeElement.dataset.label") == "Status"


def test_names_and_values_are_completed_and_an_error_has_its_caret(tab: Tab) -> None:
    page = tab.go("s/h/runs")
    box = page.locator("#where")
    with page.expect_response("**/names.json"):
        page.keyboard.press("/")

    def is_completed() -> bool:  # once the names are read, which they are a moment after they came
        box.fill("")
        box.press_sequentially("val_a")
        return bool(page.locator(".options li >> text=val_acc").count())

    wait_for(is_completed)
    page.keyboard.press("ArrowDown")
    assert box.get_attribute("aria-activedescendant") == "where-options-0"
    page.keyboard.press("Enter")
    assert box.input_value() == "val_acc "
    box.press_sequentially("> 0.5 and stat")
    page.keyboard.press("Tab")
    assert box.input_value() == "val_acc > 0.5 and status "
    box.press_sequentially("= fin")
    page.keyboard.press("Tab")
    assert box.input_value() == "val_acc > 0.5 and status = finished "
    page.keyboard.press("Enter")
    page.wait_for_url("**where=*")
    assert len(shown(page)) == 5
    page = tab.go("s/h/runs?where=val_loss+<+0.7+and+nothing+>+2")
    lines = page.inner_text("#error").splitlines()
    assert lines[1][lines[2].index("^") :].startswith("nothing")
    selected = "[document.activeElement.id, document.activeElement.selectionStart, document.activeElement.selectionEnd]"
    assert page.evaluate(selected) == ["where", 19, 26]


def test_columns_are_chosen_with_their_statistic_and_by_what_varies(tab: Tab) -> None:
    page = tab.go("s/h/columns?where=tags.team+=+red")
    page.check("input[value='val_loss.first']")
    page.check("input[value='params.same']")
    page.click("text=Show")
    page.wait_for_url("**cols=*")
    assert text_of(page, "thead th[data-kind=any]") == ["val_loss.first", "params.same"]
    assert words(page)["where"] == "tags.team = red"
    page = tab.go("s/h/columns?where=tags.team+=+red&vary=1")
    values = page.evaluate("[...document.querySelectorAll('input[name=cols]')].map((box) => box.value)")
    assert "params.seed" in values
    assert "params.same" not in values
    assert "tags.team" not in values


def test_the_run_before_and_after_are_a_key_away(tab: Tab) -> None:
    ids = tab.page.evaluate("[...document.querySelectorAll('tr[data-run]')].map((row) => row.dataset.run)")
    page = tab.go(f"s/h/runs/{ids[3]}/params")
    page.keyboard.press("[")
    page.wait_for_url(f"**/{ids[4]}/params")
    page.keyboard.press("]")
    page.wait_for_url(f"**/{ids[3]}/params")
    for key, place in (("a", "audit"), ("c", "runs/last/charts"), ("r", "runs"), ("s", "search")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/s/h/{place}")


@pytest.mark.parametrize("options", THEMES.values(), ids=THEMES)
def test_the_new_tables_are_accessible_and_fit(chromium: Any, server: Any, options: dict[str, Any]) -> None:
    tab = Tab(chromium, server.url, **options)
    ids = shown(tab.page)
    found = {}
    for path in (
        f"runs?base={ids[2]}&pin={ids[5]}&cols=val_acc,params.lr", "runs?group=params.lr,tags.team",
        "runs?group=params.lr&open=params.lr+=+0.1&cols=val_acc", "columns?vary=1",
    ):  # fmt: skip
        page = tab.go(f"s/h/{path}")
        if faults := faults_of(page):
            found[path] = faults
    tab.close()
    assert found == {}


def test_a_finding_of_a_check_stands_beside_the_status(tmp_path: Path) -> None:
    program = """
    import histhooks, math
    with histhooks.start_run("bad") as run:
        for step in range(30):
            run.log({"loss": math.nan if step > 20 else 1.0}, step=step)
    """
    code, _, error = run_program(program, tmp_path / "h.db")
    assert code == 0, error
    command = [sys.executable, "-m", "histhooks", "check", str(tmp_path / "h.db"), "bad", "--save"]
    subprocess.run(command, check=False, capture_output=True, timeout=120)
    with client(tmp_path / "h.db") as visitor:
        page = visitor.get("/s/h/runs").text
        (found,) = re.findall(r'<a class="risk (\w+)" href="([^"]*)"[^>]*>(\d+ \w+)</a>', page)
        assert found[1].endswith("/checks")
        assert found[2].split()[1] == found[0]


def test_runs_are_checked_where_it_is_asked_for_and_as_far_as_a_page_has_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from histhooks.ui import _checked

    program = """
    import histhooks, math
    for name in ("good", "bad", "worse"):
        with histhooks.start_run(name) as run:
            for step in range(30):
                run.log({"loss": math.nan if step > 20 and name != "good" else 1.0 / (step + 1)}, step=step)
    """
    code, _, error = run_program(program, tmp_path / "h.db")
    assert code == 0, error
    found = r'<a class="risk (\w+)" href="([^"]*)"[^>]*>(\d+ \w+)</a>'
    with client(tmp_path / "h.db") as visitor, History(tmp_path / "h.db") as history:
        assert not re.findall(found, visitor.get("/s/h/runs").text)
        page = visitor.get("/s/h/runs?check=1").text
        links = [href for _, href, _ in re.findall(found, page)]
        assert links == [f"runs/{history.run(name).id}/checks" for name in ("worse", "bad")]
        assert "Checks found something in 2 of 3 rows" in page
        rows = visitor.get("/s/h/runs.json?check=1").json()
        assert {row["name"]: row["risks"] for row in rows} == {
            row.values["name"]: {"fail": 0, "warn": 0} | row.values["risks"]
            for row in history.table(check=True, is_folded=False).rows
        }
        assert "risks" not in visitor.get("/s/h/runs.json").json()[0]
        assert visitor.get("/s/h/runs.csv?check=1").text.splitlines()[0].count("risks.") == 2
        monkeypatch.setattr(_checked, "_MOST_S", 0)
        page = visitor.get("/s/h/runs?check=1&sort=name").text
        assert "2 rows could not be checked in the time of a page" in page
        (rest,) = re.findall(r'time of a page. <a href="\?([^"]+)"', page)
        monkeypatch.undo()
        assert "in 2 of 3 rows" in visitor.get(f"/s/h/runs?{rest.replace('&amp;', '&')}").text


def test_what_was_found_is_remembered_until_somebody_waives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histhooks import checks
    from histhooks.ui import _checked

    path = tmp_path / "h.db"
    program = """
    import histhooks, math
    with histhooks.start_run("bad") as run:
        for step in range(30):
            run.log({"loss": math.nan if step > 20 else 1.0 / (step + 1)}, step=step)
    """
    code, _, error = run_program(program, path)
    assert code == 0, error
    asked: list[str] = []
    judge = checks.risks

    def counted(run: Any) -> Any:
        asked.append(run.name)
        return judge(run)

    monkeypatch.setattr(checks, "risks", counted)
    monkeypatch.setattr(_checked, "_FRESH_S", 3600.0)
    with client(path) as visitor, History(path) as history:
        (kind,) = {each.id for each in history.check("bad").findings if each.level == "fail"}
        for query in ("", "&sort=name", "&sort=status"):  # pages of their own
            assert "1 fail" in visitor.get(f"/s/h/runs?check=1{query}").text
        assert asked == ["bad"]
        command = [sys.executable, "-m", "histhooks", "waive", str(path), kind, "bad"]
        command += ["--reason", "meant", "--until", "2999-12-31"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "1 fail" not in visitor.get("/s/h/runs?check=1&sort=duration_s").text
        assert asked == ["bad", "bad"]


def test_the_last_columns_and_the_order_are_offered_again(tab: Tab) -> None:
    page = tab.go("s/h/runs?where=has+val_loss&cols=params.lr&sort=val_loss")
    page = tab.go("s/h/runs?status=finished")
    assert "cols" not in page.url  # an address shows the same to everybody
    follow(page, "#last-view")
    words = parse_qs(urlsplit(page.url).query)
    assert words == {"status": ["finished"], "cols": ["params.lr"], "sort": ["val_loss"]}
    assert page.locator("thead th[data-name='params.lr']").count() == 1
    assert page.locator("#last-view:visible").count() == 0
