"""Where the output goes: odd encodings, closed, a pipe, a narrow or a dumb terminal; sparklines that say what was."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from histhooks._collect import origin
from histhooks.cli._common import sparkline

LONG = "a_rather_long_name_of_a_run·XGBRegressor"
TEXT = "an option of some length that says what was chosen, and of what nothing must be cut: END"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("output") / "a.db"
    program = """
import math, sys, histhooks
with histhooks.start_run(sys.argv[1], params={"C": float(sys.argv[4]), "text": sys.argv[2]}) as run:
    for step in range(96):
        run.log({"val_loss": 1 / (step + 1) if step < 24 else math.nan, "lr": 0.01 if step < 48 else 0.005}, step=step)
    run.log_results({"mean_fit_time": float(sys.argv[4]), "score_time": float(sys.argv[4])})
"""
    file = path.with_name("train.py")
    file.write_text(program, encoding="utf-8")
    for hard in ("0.5", "0.9"):
        command = [sys.executable, str(file), LONG, TEXT, "--hard", hard]
        environment = {**os.environ, "HISTHOOKS_STORE": str(path), "PYTHONUTF8": "1"}
        subprocess.run(command, check=True, capture_output=True, env=environment)
    return path


def ask(store: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "histhooks", *words, "--store", str(store)], env={**environment, **variables},
        capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip


VERBS = ("show last", "runs --all-projects", "diff last~1 last", "compare last~1 last", "search XGB", "plot last lr")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_each_verb_prints_where_output_is_no_utf8(store: Path, encoding: str) -> None:
    for verb in VERBS:
        done = ask(store, *verb.split(), PYTHONIOENCODING=encoding)
        assert done.returncode in (0, 1), (verb, done.stderr)
        assert "failure" not in done.stderr, verb
        assert done.stdout, verb


def test_output_that_is_closed_or_that_nobody_reads_is_no_failure(store: Path) -> None:
    python = f"{shlex.quote(sys.executable)} -m histhooks"
    for verb in VERBS:
        for shell in (f"{python} {verb} --store {store} >&-", f"{python} {verb} --store {store} | head -c 1"):
            done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
            assert "Traceback" not in done.stderr, (verb, done.stderr)
            assert "internal error" not in done.stderr, (verb, done.stderr)
            assert done.returncode in (0, 1), (verb, done.stderr)


def test_nothing_is_cut_in_a_pipe_and_nothing_is_wider_than_a_terminal(store: Path) -> None:
    for verb in ("runs --all-projects", "show last", "compare last~1 last"):
        whole = ask(store, *verb.split()).stdout
        assert "…" not in whole, verb
        if verb != "compare last~1 last":
            assert LONG in whole, verb
        for width in (40, 60, 120):
            text = ask(store, *verb.split(), COLUMNS=str(width)).stdout
            lines = [line for line in text.splitlines() if str(store) not in line]
            assert max(map(len, lines)) <= max(width, 62), (verb, width)
            assert "\x1b" not in text
    assert TEXT in ask(store, "show", "last").stdout
    assert "\x1b" not in ask(store, "show", "last", TERM="dumb").stdout


def test_a_param_has_the_whole_width_of_a_narrow_terminal(store: Path) -> None:
    (line,) = [line for line in ask(store, "show", "last", COLUMNS="60").stdout.splitlines() if "text = " in line]
    assert len(line) > 55


def test_compare_shows_arguments_and_keeps_what_was_chosen_before_times(store: Path) -> None:
    wide = ask(store, "compare", "last~1", "last").stdout
    assert "--hard" in wide
    assert "0.9" in wide
    for width in ("44", "60"):
        text = ask(store, "compare", "last~1", "last", COLUMNS=width).stdout
        shown = text.partition("not shown")[0]
        assert "params.C" in shown or "score_time" not in shown, (width, text)


def test_sparklines_show_gaps_and_constants() -> None:
    values = [1 / (n + 1) if n < 24 else None for n in range(96)]
    drawn = sparkline(values, 24)
    assert (len(drawn), drawn.count("×")) == (24, 18)
    assert drawn.endswith("×" * 18)
    assert sparkline([0.01] * 48 + [0.005] * 48, 10) == "█████▁▁▁▁▁"
    assert sparkline([0.1] * 7, 3) == "▄▄▄"
    assert sparkline([None, 1.0, None], 3) == "×▄×"
    assert sparkline([None, None], 3) == sparkline([1.0], 3) == ""
    assert sparkline([-1.7e308, 1.7e308, 1.7e308], 3) == "▁██"


def test_git_names_the_author_as_git_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HISTHOOKS_ACTOR", *origin._CI_ACTORS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "config", "user.email", "bob@example.com"], check=True)
    assert origin.actor() == ("bob@example.com", "git")
    subprocess.run(["git", "config", "author.email", "cleo@example.com"], check=True)
    assert origin.actor() == ("cleo@example.com", "git")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ann@example.com")
    assert origin.actor() == ("ann@example.com", "git")
    monkeypatch.setenv("HISTHOOKS_ACTOR", "dora")
    assert origin.actor() == ("dora", "HISTHOOKS_ACTOR")


def test_completion_loads_compinit_and_offers_files_to_run() -> None:
    def complete(**variables: str) -> str:
        environment = {**os.environ, **variables}
        command = [sys.executable, "-c", "import sys; sys.argv = ['histhooks']; import histhooks.cli as c; c.main()"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    assert "compinit" in complete(_HISTHOOKS_COMPLETE="zsh_source").splitlines()[0]
    offered = complete(_HISTHOOKS_COMPLETE="bash_complete", COMP_WORDS="histhooks run tr", COMP_CWORD="2")
    assert offered.startswith("file,")


def test_epochs_stand_as_the_host_prints_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from histhooks.cli._metrics import _print_table
    from histhooks.history.curves.thinning import find_series, read_points
    from histhooks.recorder import open_run

    histhooks.autolog("torch", store=tmp_path / "a.db")
    histhooks.disable()
    run = open_run(kind="fit", framework="keras", name="k")
    for epoch in range(3):
        run.log({"val_loss": 1 - epoch / 10}, step=epoch * 4, epoch=epoch)
    run.end()
    histhooks.flush()
    with histhooks.History(tmp_path / "a.db") as history:
        record = history.run("k")
        found = find_series(history, record.id, "val_loss")
        _print_table(record, [found], ((found, point) for point in read_points(history, found)))
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == ["1", "2", "3"]
    assert ask(tmp_path / "a.db", "show", "k", COLUMNS="100").stdout.count("0.8         3")
    assert [point["epoch"] for point in histhooks.History(tmp_path / "a.db").run("k").metrics()] == [0, 1, 2]
