"""`histhooks runs --timeline` and `History.timeline()`: what changed from one run to the next, and what it gained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers import verbs
from histhooks.errors import QueryError
from histhooks.history import TimelineRow
from histhooks.testing import run_program

FIRST = """
import sys
import histhooks
value = float(open("value.txt").read())
lr = float(sys.argv[1])
with histhooks.start_run("train", params={"lr": lr}) as run:
    run.log_dataset("train", [[1.0, 2.0], [3.0, value]])
    run.log({"val_loss": 0.05 / lr * (value - 3)})
"""
EDITED = "import json\n" + FIRST.replace("as run:", "as run:  # edited")
OTHER = "import histhooks\nwith histhooks.start_run('other') as run: run.log({'val_loss': 9.0})\n"


def ask(*words: str, width: int | None = 100) -> tuple[int, str, str]:
    return verbs.ask("runs", *words, **({} if width is None else {"COLUMNS": str(width)}))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs of one program, whose code, params and data change, with another program between."""
    folder = tmp_path_factory.mktemp("timeline")
    path, script, other = folder / "histhooks.db", folder / "train.py", folder / "other.py"
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1", "HISTHOOKS_PROJECT": "demo"}
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    script.write_text(FIRST)
    other.write_text(OTHER)
    (folder / ".gitignore").write_text("histhooks.db*\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], cwd=folder, check=True, timeout=60)

    def run(program: Path, *words: str) -> None:
        subprocess.run([sys.executable, str(program), *words], env=environment, cwd=folder, check=True, timeout=60)

    (folder / "value.txt").write_text("4")
    run(script, "0.1")
    run(script, "0.2")
    run(other)
    script.write_text(EDITED)
    (folder / "value.txt").write_text("5")
    run(script, "0.2")
    run(script, "0.2")
    return path


def names(row: TimelineRow) -> dict[str, list[str]]:
    return {part.name: [change.key for change in part.changes] for part in row.parts}


def test_each_run_is_compared_with_the_one_before_it_of_the_same_program(store: Path) -> None:
    with histhooks.History(store) as history:
        rows = history.timeline()
        assert [row.run["name"] for row in rows] == ["train", "train", "other", "train", "train"]
        first, faster, other, edited, again = rows
        assert [row.before_id for row in rows] == [None, first.run["id"], None, faster.run["id"], edited.run["id"]]
        assert [row.is_first for row in rows] == [True, False, True, False, False]
        assert names(faster) == {"params": ["lr"]}
        assert (faster.verdict, faster.gain, faster.share) == ("better", 0.25, 0.5)
        assert names(edited).keys() == {"data", "code"}
        assert (edited.lines, edited.files) == ((2, 1), ("train.py",))
        assert (edited.verdict, edited.gain, edited.share) == ("worse", -0.25, -1.0)
        assert (again.parts, again.lines, again.verdict) == ((), None, "same")
        assert (other.metric, other.value, other.gain, other.verdict) == ("val_loss", 9.0, None, None)


def test_a_limit_shows_the_latest_and_still_knows_what_was_before(store: Path) -> None:
    with histhooks.History(store) as history:
        (row,) = history.timeline(limit=1)
        assert row.before_id == history.timeline()[3].run["id"]
        (row,) = history.timeline(where="name = other")
        assert row.is_first
        with pytest.raises(QueryError, match="limit"):
            history.timeline(limit=0)


def test_the_screen_says_what_changed_below_each_run(store: Path) -> None:
    code, out, _ = ask(str(store), "-A", "--timeline")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["STARTED", "RUN", "NAME", "STATUS", "METRIC", "VALUE", "GAIN"]
    assert lines[1].endswith("first")
    assert lines[2].endswith("better by 50%")
    assert lines[3].split() == ["params", "lr", "0.1", "→", "0.2"]
    (code_line,) = [line for line in lines if line.split()[:1] == ["code"]]
    assert code_line.endswith("+2 −1 lines in train.py")
    assert "          nothing that is recorded changed" in lines
    with histhooks.History(store) as history:
        before = history.timeline()[1].run["id"][-8:]
    assert any(line.endswith(f"worse by 100% than {before}") for line in lines)
    assert lines[-1] == f"5 runs in {store}" or lines[-1].startswith("5 runs in postgresql://")


@pytest.mark.parametrize("width", [60, 80])
def test_no_line_is_wider_than_the_terminal(store: Path, width: int) -> None:
    _, out, _ = ask(str(store), "-A", "--timeline", width=width)
    assert max(len(line) for line in out.splitlines()[:-1]) <= width


def test_eleven_runs_are_runs(tmp_path: Path) -> None:
    program = "import histhooks\nfor n in range(11):\n with histhooks.start_run('a') as run: run.log({'loss': 1.0})"
    code, _, err = run_program(program, tmp_path / "eleven.db")
    assert code == 0, err
    _, out, _ = ask(str(tmp_path / "eleven.db"), "-A", "--timeline")
    assert "11 runs " in out.splitlines()[-1]


def test_in_a_pipe_each_run_is_a_line(store: Path) -> None:
    _, out, _ = ask(str(store), "-A", "--timeline", width=None)
    assert len(out.splitlines()) == 7
    assert "params: lr 0.1 → 0.2" in out.splitlines()[2]


def test_json_has_every_change(store: Path) -> None:
    _, out, _ = ask(str(store), "-A", "--timeline", "--json", "--limit", "2")
    edited, again = json.loads(out)
    assert edited["code_lines"] == {"added": 2, "removed": 1, "files": ["train.py"]}
    assert (edited["verdict"], edited["gain"], edited["before"], edited["value"]) == ("worse", -0.25, 0.25, 0.5)
    assert again["changes"] == {}
    assert again["before_id"] == edited["run"]["id"]


def test_an_order_and_a_timeline_do_not_go_together(store: Path) -> None:
    code, _, err = ask(str(store), "--timeline", "--sort", "val_loss")
    assert code == 2
    assert "takes no --sort" in err


def test_it_becomes_a_data_frame(store: Path) -> None:
    pytest.importorskip("pandas")
    with histhooks.History(store) as history:
        frame = history.timeline().to_pandas()
    assert list(frame["changes"])[:2] == ["", "params lr"]
    assert frame["verdict"][1] == "better"


def test_a_notebook_shows_it_as_a_table(store: Path) -> None:
    with histhooks.History(store) as history:
        shown = history.timeline()._repr_html_()
    assert shown.count("<tr>") == 6
    assert "better by 50%" in shown
    assert "lr 0.1 → 0.2" in shown
