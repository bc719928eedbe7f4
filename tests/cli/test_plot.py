"""``plot``: which words are runs, what a terminal and a pipe get, and files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.terminals import ask_on_terminal, environment
from helpers.verbs import ask
from histhooks.testing import run_program

PROGRAM = """
import histhooks, math
for name in ("first", "second"):
    with histhooks.start_run(name) as run:
        for step in range(100):
            run.log({"loss": 1 / (step + 1), "val_loss": 2 / (step + 1)}, step=step)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plot") / "histhooks.db"
    code, _, err = run_program(PROGRAM, path)
    assert code == 0, err
    return path


def labels(*words: str | Path) -> list[str]:
    code, out, err = ask("plot", *words, "--json")
    assert code == 0, err
    return [curve["label"] for curve in json.loads(out)["curves"]]


def test_the_first_words_that_mean_runs_are_runs(store: Path) -> None:
    assert labels(store) == ["loss", "val_loss"]
    assert labels(store, "first", "second", "loss") == ["first", "second"]
    assert labels(store, "last", "last~1", "val_*") == ["second", "first"]
    assert labels(store, "first", "loss", "val_loss") == ["loss", "val_loss"]
    assert labels(store, "val_loss") == ["val_loss"]
    assert ask("plot", store, "val_loss", "--json")[1].startswith('{\n  "title": "second"')


def test_a_metric_that_no_label_names_is_in_the_title(store: Path) -> None:
    titles = [
        json.loads(ask("plot", store, *words, "--json")[1])["title"]
        for words in (("first", "second", "val_loss"), ("first", "second", "*loss"), ("first", "val_loss"))
    ]
    assert titles == ["val_loss · first, second", "first, second", "first"]


def test_a_run_without_the_metric_is_named(store: Path, tmp_path: Path) -> None:
    program = (
        "import histhooks\nfor name in 'ab':\n with histhooks.start_run(name) as run: run.log({name: 1.0}, step=0)"
    )
    code, _, err = run_program(program, tmp_path / "other.db")
    assert code == 0, err
    code, _, err = ask("plot", tmp_path / "other.db", "a", "b", "a", "-o", tmp_path / "chart.svg")
    assert (code, err.splitlines()[-1]) == (0, "histhooks: b: has no a")
    assert "1 curve →" in err


def test_what_means_nothing_is_exit_code_2(store: Path) -> None:
    for words, told in (
        (("nobody",), "no run is 'nobody'"),
        (("first", "los"), "no metric 'los'; there is loss, val_loss"),
        (("first", "loss", "-o", "chart.gif"), ".png, .svg, .pdf or .html"),
        (("first", "--smooth", "1"), "--smooth"),
    ):
        code, out, err = ask("plot", store, *words)
        assert (code, out) == (2, ""), words
        assert told in err


def test_a_terminal_gets_colours_and_fits_unless_it_says_no(store: Path) -> None:
    code, shown = ask_on_terminal("plot", store, "first", "loss", "val_loss", columns=70, lines=24)
    assert code == 0
    assert "\x1b[" in shown
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(map(len, bare.splitlines())) <= 70
    assert len(bare.splitlines()) <= 24
    assert re.search("[\u2801-\u28ff]", bare)
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = ask_on_terminal("plot", store, "first", "loss", **variables)[1]
        assert "\x1b" not in shown
    assert shown.isascii()
    assert "\x1b" not in ask("plot", store, "first", "loss")[1]
    assert ask("plot", store, "first", "loss", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")[1].isascii()


def test_files_are_written_and_told_on_stderr(store: Path, tmp_path: Path) -> None:
    for ending in ("svg", "html"):
        target = tmp_path / f"chart.{ending}"
        code, out, err = ask("plot", store, "first", "second", "loss", "-o", target)
        assert (code, out) == (0, "")
        assert f"2 curves → {target}" in err
        assert "<svg" in target.read_text(encoding="utf-8")


def test_without_matplotlib_a_picture_is_refused_with_what_to_do(store: Path, tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["matplotlib"] = None
from histhooks.__main__ import main
sys.argv = ["histhooks", "plot", {str(store)!r}, "first", "loss", "-o", {str(tmp_path / "chart.png")!r}]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert 'pip install "histhooks[plot]"' in done.stderr
    assert not (tmp_path / "chart.png").exists()


def test_a_plot_in_the_terminal_imports_neither_numpy_nor_matplotlib_nor_rich(store: Path) -> None:
    program = f"""
import sys
from histhooks.__main__ import main
sys.argv = ["histhooks", "plot", {str(store)!r}, "first", "loss"]
try:
    main()
except SystemExit:
    pass
print([name for name in ("numpy", "matplotlib", "rich", "sqlite_utils") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
