"""A history in a notebook: HTML that stands alone, of which nothing that a program said is markup."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import histhooks

HOSTILE = "<script>alert('1')</script> & \"quoted\""


class Reader(HTMLParser):
    """Holds that every element is closed, and keeps the words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    assert reader.seen.isdisjoint({"script", "style", "link", "img"})
    return reader


def record(store: Path) -> None:
    histhooks.autolog("torch", store=store)
    histhooks.disable()
    with histhooks.start_run(HOSTILE, params={"lr": 0.1, HOSTILE: HOSTILE}) as run:
        for step in range(300):
            run.log({"val_loss": 1 / (step + 1), HOSTILE: float("nan") if step == 7 else step}, step=step)
    try:
        with histhooks.start_run("second"):
            raise ValueError(HOSTILE)
    except ValueError:
        pass
    histhooks.flush()


def test_a_run_shows_its_outcome_its_params_and_a_curve_of_each_metric(store_path: Path) -> None:
    record(store_path)
    with histhooks.History(store_path) as history:
        first = read(history.run(HOSTILE)._repr_html_())
        assert HOSTILE in first.text
        assert "2 chosen params" in first.text
        for word in ("finished", "val_loss", "0.003333", "299", "300"):
            assert word in first.text
        assert {"svg", "polyline"} <= first.seen
        assert f"ValueError: {HOSTILE}" in read(history.run("second")._repr_html_()).text


def test_runs_of_one_name_are_told_apart(store_path: Path) -> None:
    histhooks.autolog("torch", store=store_path)
    histhooks.disable()
    for lr in (0.1, 0.25):
        with histhooks.start_run("same", params={"lr": lr}) as run:
            run.log({"val_loss": lr}, step=0)
    histhooks.flush()
    with histhooks.History(store_path) as history:
        text = read(history.runs()._repr_html_()).text
        assert [word in text for word in ("differs in", "lr=0.1", "lr=0.25", "val_loss 0.25")] == [True] * 4
        assert "differs in" not in read(history.runs(limit=1)._repr_html_()).text


def test_a_history_shows_its_latest_runs(store_path: Path) -> None:
    record(store_path)
    with histhooks.History(store_path) as history:
        page = read(history._repr_html_())
    assert page.text.index("second") < page.text.index(HOSTILE)
    assert "2 top-level runs" in page.text
    assert "0.003333 val_loss" in page.text


def test_what_compares_is_short_in_a_terminal_and_a_table_in_a_notebook(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    program = (
        "import histhooks\nfor lr in (0.1, 0.2):\n"
        "    with histhooks.start_run('<b>', params={'lr': lr, '<i>': lr}) as run: run.log({'val_loss': lr})\n"
    )
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=300)
    with histhooks.History(store) as history:
        runs = history.runs()
        assert isinstance(runs, list)
        assert runs == [*runs]
        assert runs[0].id[-8:] in runs._repr_html_()  # type: ignore[attr-defined]
        assert history.runs(status="failed") == []
        found, side = history.diff("last~1", "last"), history.compare("last~1", "last")
        for shown in (found, side):
            assert len(repr(shown)) < 200
            html = shown._repr_html_()
            assert "<i>" not in html
            assert "&lt;i&gt;" in html
            assert "<b>" not in html
        assert "differs=True: params 2, metrics 1" in repr(found)
        assert "<strong>0.1</strong>" in side._repr_html_()


def test_a_difference_of_runs_reads_as_in_the_terminal(store_path: Path) -> None:
    program = """
import histhooks, os
for lr in (0.1, 0.2):
    with histhooks.start_run("mine", params={"lr": lr}, tags={"try": lr}) as run:
        for step in range(3):
            run.log({"val_loss": lr / (step + 1)}, step=step)
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=300)
    with histhooks.History(store_path) as history:
        page = read(history.diff("last~1", "last")._repr_html_())
        words = " ".join(page.text.split())
        assert "params lr 0.1 → 0.2" in words
        assert "metrics val_loss last 0.03333 → 0.06667" in words
        assert "worse by 100.0%" in words
        assert "They differ in params, metrics." in words
        assert "{" not in words  # no row of the store
        side = read(history.compare("last~1", "last")._repr_html_())
        assert "0.03333" in side.text
        assert {"details", "summary"} <= side.seen  # what is the same, behind a click
        assert "properties are the same" in side.text


def test_many_properties_of_a_few_runs_are_a_line_each_and_of_many_runs_a_column(store_path: Path) -> None:
    program = """
import histhooks
for n in range(12):
    with histhooks.start_run(f"run {n}", params={f"p{m}": n * m + 1 for m in range(40)}) as run:
        run.log({"val_loss": 1.0 / (n + 1)})
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=300)
    with histhooks.History(store_path) as history:
        few = history.compare("last~1", "last")._repr_html_()
        assert read(few).text.index("p1") < read(few).text.index("p20")
        assert "params." not in read(few).text.partition("same")[0]
        assert read(few).text.index("val_loss") < read(few).text.index("more that differ")
        assert "more that differ" in few
        assert few.count("<th") == 2 * 3  # a head for each run, in both tables
        many = history.compare(*(run.id for run in history.runs()))._repr_html_()
        read(many)
        assert many.count("<tr") == 1 + 12
