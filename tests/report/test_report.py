"""Reports of trainings that were recorded for real: all of the facts, nothing from outside, nothing that runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import histhooks
from helpers import verbs
from helpers.sessions import end_session
from histhooks.report import _blocks, _html, _markdown, page_of, report
from histhooks.testing import run_program

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The elements, the words and the targets of a page; it complains where an element is not closed."""

    VOID = frozenset({"meta", "br", "path", "line", "rect", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def write(store: Path, name: str, target: Path) -> str:
    with histhooks.History(store) as history:
        found = [run for run in history.runs(is_nested=False) if run.name == name]
        return report(found[0] if found else history.run(name), target).read_text(encoding="utf-8")


def ask(*words: str) -> tuple[int, str, str]:
    return verbs.ask("report", *words)


def test_all_facts_of_a_loop_stand_on_its_page(trained: Path, tmp_path: Path) -> None:
    page = Page(write(trained, "loop·Sequential", tmp_path / "a.html"))
    assert page.open == []
    with histhooks.History(trained) as history:
        run = next(run for run in history.runs(is_nested=False) if run.name == "loop·Sequential")
        files = [run.datasets[0]["content_hash"], run.artifacts[-1]["sha256"]]
        hashes = [*files, run.code["commit_hash"], run.ledger["head"]]
        hashes += [state["digest"] for state in run.related("rng_states")]
        packages = run.packages
    for words in (
        "This history matches its ledger", "SGD momentum=0.9", "group 1: lr 0.2 → 0.02", "StepLR", "val_loss",
        "manual_seed(0)", "loop.py:7", "1,210", "RandomSampler", "+def unused():", "gpus ok", *hashes,
        f"torch {packages['torch']}", f"numpy {packages['numpy']}", "cannot prove",
    ):  # fmt: skip
        assert words in page.text, words
    assert "svg" in page.elements


@pytest.mark.parametrize(
    "name", ["loop·Sequential", "network·Sequential", "classic·Pipeline", "classic·GridSearchCV", "plain", "last"]
)
def test_no_page_needs_anything_beside_it(trained: Path, tmp_path: Path, name: str) -> None:
    text = write(trained, name, tmp_path / "a.html")
    page = Page(text)
    assert page.open == []
    assert not page.elements & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use"}
    for tag, attribute, value in page.attributes:
        assert attribute not in ("src", "href", "xlink:href", "action", "background", "srcset"), (tag, attribute)
        assert not attribute.startswith("on"), (tag, attribute)
        assert attribute == "xmlns" or "://" not in value, (tag, attribute, value)
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src &#x27;none&#x27;" in text


def test_hostile_names_are_words_and_nothing_else(trained: Path, tmp_path: Path) -> None:
    text = write(trained, "last", tmp_path / "a.html")
    assert "<script" not in text.lower()
    page = Page(text)
    assert page.text.count(HOSTILE) >= 8
    assert f"key] {HOSTILE}" in page.text
    assert not any(HOSTILE in value for _, name, value in page.attributes if name in ("class", "style"))


def test_control_characters_do_not_reach_the_page(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    histhooks.start_run("odd \x00\x1b[31m\x9f", params={"\x07": "\x0c"}).end()
    histhooks.flush()
    for name in ("a.html", "a.md"):
        text = write(tmp_path / "a.db", "last", tmp_path / name)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_a_history_that_was_changed_says_so_on_top(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(trained, copy)
    connection = sqlite3.connect(copy)
    connection.execute("UPDATE points SET value = value + 1 WHERE n = 1")
    connection.commit()
    connection.close()
    page = Page(write(copy, "last", tmp_path / "a.html"))
    assert "does not match its ledger" in page.text
    assert ("p", "class", "verdict bad") in page.attributes
    assert "matches its ledger" not in page.text


def test_a_file_that_is_there_stays_unless_forced(trained: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.html"
    target.write_text("mine")
    code, _, err = ask(str(trained), "last", "-o", str(target))
    assert (code, target.read_text()) == (2, "mine")
    assert "--force" in err
    code, out, _ = ask(str(trained), "last", "-o", str(target), "--force", "--no-verify")
    assert code == 0
    assert str(target) in out
    assert "was not verified" in Page(target.read_text()).text
    assert ask(str(trained), "last", "-o", str(tmp_path / "a.docx"))[0] == 2
    assert ask(str(trained), "last", "-o", str(tmp_path / "none" / "a.html"))[0] == 2
    assert ask(str(trained), "last")[0] == 2


def test_markdown_holds_the_same_facts_and_no_html(trained: Path, tmp_path: Path) -> None:
    text = write(trained, "last", tmp_path / "a.md")
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"(?<!\\)<(?!br>)", outside)
    assert "\\<script\\>alert(1)\\</script\\>" in outside
    for words in ("## Params", "## Ledger", "This history matches its ledger", "+def unused():"):
        assert words in text
    tables = [line for line in outside.splitlines() if line.startswith("|")]
    assert tables
    for line in tables:
        assert line.endswith("|")


def test_what_was_redacted_and_deleted_is_told_with_its_reason(tmp_path: Path) -> None:
    from histhooks import curate

    histhooks.autolog(store=tmp_path / "a.db")
    for name in ("keep", "drop"):
        with histhooks.start_run(name) as run:
            run.note("written by somebody")
    histhooks.flush()
    end_session()
    curate.redact(reason="asked to", runs=("keep",), store=tmp_path / "a.db")
    curate.delete("drop", reason="a mistake <b>", store=tmp_path / "a.db")
    page = Page(write(tmp_path / "a.db", "keep", tmp_path / "a.html"))
    for words in ("This history matches its ledger", "asked to", "a mistake <b>", "[erased]", "Redacted values"):
        assert words in page.text, words
    assert "somebody" not in page.text


def test_a_running_run_and_one_without_anything_can_be_reported(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    run = histhooks.start_run("going")
    run.log({"loss": 0.5})
    histhooks.flush()
    page = Page(write(tmp_path / "a.db", "last", tmp_path / "a.html"))
    run.end()
    assert "running" in page.text
    assert "No data was recorded." in page.text
    assert "No seed was set." in page.text


def test_a_program_is_told_what_was_written_where(tmp_path: Path) -> None:
    store, page = tmp_path / "histhooks.db", tmp_path / "page.md"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    program = "import histhooks; histhooks.start_run('small').end()"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    code, out, _ = ask(str(store), "small", "-o", str(page), "--json", "--no-verify")
    told = json.loads(out)
    assert code == 0
    assert told.pop("run_id")
    content = page.read_bytes()
    assert told == {
        "name": "small", "path": str(page), "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(), "verified": False,
    }  # fmt: skip


def test_what_speaks_against_a_run_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    program = (
        "import histhooks\nwith histhooks.start_run('good') as run: run.log({'loss': 1.0})\n"
        "try:\n    with histhooks.start_run('bad'): raise ValueError('no')\nexcept ValueError: pass\n"
    )
    code, _, err = run_program(program, path)
    assert code == 0, err
    with histhooks.History(path) as history:
        bad, good = (page_of(history.run(name), with_verify=False) for name in ("bad", "good"))
    assert bad.highlights[0] == ("checks", "1 fail")
    assert (bad.alarms, good.alarms) == ("1 fail", "")
    assert '<span class="status failed">failed</span> <span class="status fail">1 fail</span>' in _html.write(bad)
    assert "(failed, 1 fail)" in _markdown.write(bad)
    assert bad.sections[0].title == "Checks"
    assert "checks" not in [label for label, _ in good.highlights]
    assert good.sections[0].title != "Checks"


def test_a_split_of_other_data_is_no_split_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    program = (
        "import histhooks; histhooks.autolog('sklearn')\n"
        "from sklearn.datasets import make_regression\n"
        "from sklearn.linear_model import Ridge\n"
        "from sklearn.model_selection import train_test_split\n"
        "X, y = make_regression(100, 3, random_state=0)\n"
        "rest, _, goal, _ = train_test_split(X, y, test_size=20, random_state=0)\n"
        "half, _, of_half, _ = train_test_split(rest, goal, test_size=30, random_state=0)\n"
        "Ridge(alpha=2.0).fit(half, of_half)\n"
        "Ridge(alpha=3.0).fit(X[:70], y[:70])\n"
    )
    code, _, err = run_program(program, path)
    assert code == 0, err
    with histhooks.History(path) as history:
        latter, former = history.runs()
        told = [_parts_of(page_of(run, with_verify=False)) for run in (former, latter)]
    assert told == [["50 + 30", "80 + 20"], []]


def _parts_of(page: _blocks.Page) -> list[str]:
    tables = [block for section in page.sections for block in section.blocks if isinstance(block, _blocks.Table)]
    return [row[3] for table in tables if table.head[0] == "split" for row in table.rows]
