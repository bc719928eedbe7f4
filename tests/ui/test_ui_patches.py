"""Patches on pages: line by line, and side by side."""

from __future__ import annotations

import difflib
import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.pages import client

pytest.importorskip("starlette")

OLD = [f"line {number}" for number in range(1, 41)]
NEW = [*OLD[:4], "five", "and more", *OLD[5:20], *OLD[22:], "<last> & least"]


def patch() -> str:
    lines = difflib.unified_diff(OLD, NEW, "a/x.py", "b/x.py", lineterm="")
    return "\n".join(["diff --git a/x.py b/x.py", *lines])


def test_both_sides_have_all_lines_of_their_file_with_their_numbers() -> None:
    from histhooks.ui._patches import by_file, patch_lines, side_by_side

    ((name, lines),) = by_file(patch_lines(patch()))
    assert name == "x.py"
    pairs = list(side_by_side(lines))
    assert all(OLD[one.a.number - 1] == one.a.text for one in pairs if one.a)
    assert all(NEW[one.b.number - 1] == one.b.text for one in pairs if one.b)
    changed = [(one.a and one.a.text, one.b and one.b.text) for one in pairs if (one.a or one.b) and one.a != one.b]
    changed = [(a, b) for a, b in changed if a != b]
    assert changed == [
        ("line 5", "five"), (None, "and more"), ("line 21", None), ("line 22", None), (None, "<last> & least"),
    ]  # fmt: skip
    assert [one.said.text[:2] for one in pairs if one.said] == ["@@"] * 3
    assert {one.a.kind for one in pairs if one.a and one.a.text == "line 21"} == {"del"}


def test_a_diff_shows_its_patch_in_both_ways(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    store = tmp_path / "h.db"
    program = "import histhooks\nwith histhooks.start_run('net') as run:\n    run.log({'loss': %s})\n"
    variables = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1"}
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for number, value in enumerate(("1.0", "2.0 * '<b>'.count('b')")):
        (folder / "train.py").write_text(program % value)
        if not number:
            for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
                subprocess.run([*git, *words], cwd=folder, check=True)
        subprocess.run([sys.executable, "train.py"], cwd=folder, env=variables, check=True, timeout=120)
    with client(store) as visitor:
        plain = visitor.get("/s/h/diff/last~1/last?not=metrics").text
        assert '<span class="del">-    run.log' in plain
        (link,) = re.findall(r'id="sides" data-soft href="\?([^"]*)"', plain)
        beside = visitor.get(f"/s/h/diff/last~1/last?{html.unescape(link).partition('#')[0]}").text
        assert "view=split" in html.unescape(link)
        assert "not=metrics" in html.unescape(link)
        cells = r'<td class="no">3</td><td class="del">(.*?)</td><td class="no">3</td><td class="add">(.*?)</td>'
        rows = re.findall(cells, beside)
        assert [html.unescape(text) for text in rows[0]] == [
            "    run.log({'loss': 1.0})", "    run.log({'loss': 2.0 * '<b>'.count('b')})",
        ]  # fmt: skip
        assert "<b>'" not in beside
        assert "left out" in beside
        assert ">Metrics <" not in beside
