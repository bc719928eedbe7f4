"""The line at the end of `histhooks run`: what checks find in the runs of the program, and nothing else changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = [sys.executable, "-m", "histhooks", "run"]
GOOD = """
import histhooks
with histhooks.start_run("good") as run:
    for epoch in range(10):
        run.log({"loss": 1 / (1 + epoch)}, step=epoch)
"""
BAD = (
    GOOD
    + """
with histhooks.start_run("bad") as run:
    for epoch in range(10):
        run.log({"loss": 1 / (1 + epoch) if epoch < 6 else float("nan")}, step=epoch)
"""
)
LINE = "histhooks: 1 finding: a loss is NaN or infinite (histhooks check last)"


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTHOOKS_QUIET", raising=False)


def stderr_of(program: str, *options: str, code: int = 0) -> list[str]:
    Path("train.py").write_text(program)
    done = subprocess.run([*RUN, *options, "train.py"], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stderr.splitlines()


def told(program: str, *options: str, code: int = 0) -> list[str]:
    return [line for line in stderr_of(program, *options, code=code) if "(histhooks check" in line]


def test_the_last_line_names_what_was_found_and_the_verb_that_shows_it() -> None:
    assert stderr_of(BAD)[-1] == LINE


def test_the_exit_code_is_that_of_the_program() -> None:
    assert told(BAD + "raise SystemExit(3)\n", code=3) == [LINE]


def test_only_runs_of_this_program_are_judged() -> None:
    assert told(BAD) == [LINE]
    assert told(GOOD) == []


def test_findings_of_several_runs_share_one_line_that_names_the_runs() -> None:
    (line,) = told(BAD + BAD)
    assert line.startswith("histhooks: 2 findings in 2 runs: a loss is NaN or infinite (histhooks check ")
    from histhooks import History

    ids = line.rstrip(")").split()[-2:]
    with History("histhooks.db") as history:
        assert [history.run(one).name for one in ids] == ["bad", "bad"]


def test_a_store_elsewhere_is_named(tmp_path: Path) -> None:
    place = Path("elsewhere")
    place.mkdir()
    (line,) = told(BAD, "--store", str(place / "other.db"))
    assert line.endswith("(histhooks check elsewhere/other.db last)")


def test_a_run_that_failed_says_so_itself() -> None:
    assert told(GOOD.replace("range(10)", "[0, 'x']"), code=1) == []


@pytest.mark.parametrize(
    ("name", "value"), [("HISTHOOKS_CHECK", "off"), ("HISTHOOKS_CHECK", "0"), ("HISTHOOKS_QUIET", "1")]
)
def test_a_setting_switches_it_off(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert told(BAD) == []


@pytest.mark.parametrize("table", ["after_run = false", 'skip = ["loss"]'])
def test_the_configuration_switches_it_off(table: str) -> None:
    Path("pyproject.toml").write_text(f"[tool.histhooks.check]\n{table}\n")
    assert told(BAD) == []


def test_what_fails_here_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_STRICT", "0")
    Path("pyproject.toml").write_text("[tool.histhooks.check]\nafter_run = 'sometimes'\n")
    lines = stderr_of(BAD + "raise SystemExit(4)\n", code=4)
    assert lines[-1].endswith("histhooks show last")
