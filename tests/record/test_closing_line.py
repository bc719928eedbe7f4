"""The line at the end of a program that called ``autolog()`` itself: where it is printed; it changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.terminals import in_terminal

# Longer than a test waits for a program: no line means that there was none, and not that a busy machine found it late.
PROGRAM = """
import histhooks
from histhooks._record import closing_line
closing_line._MOST_S = closing_line._MOST_ASKED_S = 3600
histhooks.autolog()
with histhooks.start_run("odd") as run:
    for epoch in range(10):
        run.log({"loss": 1 / (1 + epoch) if epoch < LAST else float("nan")}, step=epoch)
"""
BAD, GOOD = PROGRAM.replace("LAST", "6"), PROGRAM.replace("LAST", "99")
LINE = "histhooks: 1 finding: a loss is NaN or infinite (histhooks check last)"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTHOOKS_QUIET", raising=False)
    monkeypatch.setenv("HISTHOOKS_CHECK", "1")


def lines_of(program: str, *command: str, code: int = 0) -> list[str]:
    Path("train.py").write_text(program)
    command = command or (sys.executable, "train.py")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    return [line for line in done.stderr.splitlines() if "(histhooks check" in line]


def test_a_program_that_is_asked_ends_with_what_was_found() -> None:
    assert lines_of(BAD) == [LINE]
    assert lines_of(GOOD) == []


def test_without_being_asked_it_is_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTHOOKS_CHECK")
    assert lines_of(BAD) == []
    code, shown = in_terminal([sys.executable, "train.py"])
    assert (code, shown.splitlines()[-1]) == (0, LINE)


@pytest.mark.parametrize(
    ("name", "value"), [("HISTHOOKS_CHECK", "off"), ("HISTHOOKS_CHECK", "0"), ("HISTHOOKS_QUIET", "1")]
)
def test_a_setting_switches_it_off(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert lines_of(BAD) == [LINE]
    monkeypatch.setenv(name, value)
    assert lines_of(BAD) == []


CHECK = "[tool.histhooks.check]\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (CHECK + "after_run = true", [LINE]),
        (CHECK + "after_run = false", []),
        (CHECK + '"after_run" = false', []),
        ("[tool.histhooks]\ncheck = { after_run = false }", []),
        ("[tool.other]\nafter_run = false", [LINE]),
        (CHECK + '[tool.histhooks]\n[other]\ntext = """\nafter_run = false\n"""', [LINE]),
        # What the verb refuses says nothing here.
        (CHECK + 'skip = ["loss"]', []),
        (CHECK + "after_run = 'sometimes'", []),
    ],
)
def test_the_configuration_switches_it_off(text: str, lines: list[str]) -> None:
    Path("pyproject.toml").write_text(text + "\n")
    assert lines_of(BAD) == lines


def test_a_program_that_switches_it_off_starts_no_process() -> None:
    from histhooks._record import closing_line

    assert not closing_line._is_opted_out()
    Path("pyproject.toml").write_text("[tool.histhooks]\ncheck = { after_run = false }\n")
    assert closing_line._is_opted_out()
    Path("pyproject.toml").write_text("[tool.other]\nafter_run = false\n")
    assert not closing_line._is_opted_out()


def test_under_a_supervisor_there_is_one_line() -> None:
    assert lines_of(BAD, sys.executable, "-m", "histhooks", "run", "train.py") == [LINE]


def test_a_program_that_fails_says_so_itself() -> None:
    assert lines_of(BAD) == [LINE]
    assert lines_of(BAD + "raise SystemExit(3)\n", code=3) == []
    assert lines_of(BAD + "raise ValueError('odd')\n", code=1) == []


def test_only_the_first_process_of_a_program_speaks() -> None:
    Path("inner.py").write_text(BAD)
    assert lines_of(BAD) == [LINE]
    outer = GOOD + "import subprocess, sys\nsubprocess.run([sys.executable, 'inner.py'], check=True)\n"
    assert lines_of(outer) == []
    forked = GOOD.replace("with", "def main():\n  with").replace("\n    ", "\n      ")
    assert lines_of(BAD.replace("with", "if True:\n  with").replace("\n    ", "\n      ")) == [LINE]
    workers = (
        "import multiprocessing\n"
        + forked.replace("99", "6")
        + "child = multiprocessing.get_context('fork').Process(target=main)\nchild.start()\nchild.join()\n"
    )
    assert lines_of(workers) == []


def test_a_program_that_handles_the_end_of_children_sees_none() -> None:
    seen = "import signal\nsignal.signal(signal.SIGCHLD, lambda *_: print('a child ended'))\n"
    assert lines_of("import signal\n" + BAD) == [LINE]
    assert lines_of(seen + BAD) == []


def test_modules_of_the_program_are_not_run() -> None:
    for name in ("json", "click", "sqlite3", "sitecustomize"):
        Path(f"{name}.py").write_text("raise SystemExit('mine')")
    Path("main").mkdir()
    Path("main/train.py").write_text(BAD)
    assert lines_of(BAD, sys.executable, "main/train.py") == [LINE]


def test_what_the_program_prints_and_returns_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    program = BAD + "import atexit\natexit.register(print, 'the end')\nprint('out')\n"
    Path("train.py").write_text(program)
    on = subprocess.run([sys.executable, "train.py"], capture_output=True, text=True, timeout=300)
    monkeypatch.setenv("HISTHOOKS_CHECK", "off")
    off = subprocess.run([sys.executable, "train.py"], capture_output=True, text=True, timeout=300)
    assert (on.returncode, on.stdout) == (off.returncode, off.stdout) == (0, "out\nthe end\n")


@pytest.mark.parametrize(
    "odd",
    [
        "import sys; sys.executable = '/bin/false'\n",
        "import sys; sys.executable = None\n",
        "import sys; sys.executable = '/nowhere/python'\n",
        "import os; os.mkdir('here'); os.chdir('here'); os.rmdir('../here')\n",
        "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n",
    ],
)
def test_where_it_cannot_be_found_the_program_ends_as_it_would(odd: str) -> None:
    Path("train.py").write_text(BAD + odd)
    done = subprocess.run([sys.executable, "train.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert set(done.stderr.splitlines()[2:]) <= {LINE}
