"""`History.runs`: which runs, in which order, with what is true of them now."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import histhooks
from helpers.programs import script as record
from helpers.terminals import COMMAND, DOCTOR
from histhooks.errors import QueryError
from histhooks.history import _reader
from histhooks.history.query.run_query import params_of, results_of, summaries_of, tags_of
from histhooks.history.query.times import moment, span_s

PROGRAM = """
import histhooks
def run(name, lr, team, **curves):
    with histhooks.start_run(name, params={"lr": lr}, tags={"team": team}) as run:
        for metric, values in curves.items():
            for value in values:
                run.log({metric: value})
        if name == "a":
            with histhooks.start_run("inner", params={"depth": 3}):
                pass
run("a", 0.1, "red", val_loss=[0.5, 0.2, 0.3], accuracy=[0.1, 0.9], system_cpu=[1.0, 2.0])
run("b", "0.01", "blue", val_loss=[0.4, 0.4])
run("c", None, "red", val_loss=[0.6, 0.1], accuracy=[0.5])
run("d", 1, "red")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "histhooks.db"
    record(path, PROGRAM, HISTHOOKS_PROJECT="demo")
    return path


@pytest.fixture
def history(store: Path) -> Iterator[histhooks.History]:
    with histhooks.History(store) as opened:
        yield opened


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "d c b inner a"),
        ({"reverse": True}, "a inner b c d"),
        ({"order_by": "-started_at"}, "d c b inner a"),
        ({"order_by": "started_at asc"}, "a inner b c d"),
        ({"order_by": "started_at", "reverse": True}, "a inner b c d"),
        ({"order_by": "val_loss desc", "is_nested": False}, "b a c d"),
        ({"order_by": "val_loss ASC", "is_nested": False}, "c a b d"),
        ({"order_by": "accuracy asc", "limit": 1}, "c"),
        ({"limit": 2}, "d c"),
        ({"limit": 2, "offset": 1}, "c b"),
        ({"is_nested": True}, "inner"),
        ({"is_nested": False}, "d c b a"),
        ({"order_by": "name"}, "inner d c b a"),
        # of a metric the best on top, also where less is better; what has none comes last, both ways
        ({"order_by": "val_loss", "is_nested": False}, "c a b d"),
        ({"order_by": "-val_loss", "is_nested": False}, "b a c d"),
        ({"order_by": "val_loss.last", "is_nested": False}, "c a b d"),
        ({"order_by": "val_loss.max", "is_nested": False, "limit": 1}, "b"),
        # a later name orders what is equal by those before it
        ({"order_by": "tags.team asc, val_loss", "is_nested": False}, "b c a d"),
        ({"order_by": "tags.team, val_loss desc", "is_nested": False}, "a c d b"),
        ({"order_by": "tags.team, started_at asc", "is_nested": False}, "a c d b"),
        ({"order_by": "tags.team, started_at", "is_nested": False}, "d c a b"),
        ({"order_by": "started_at, tags.team", "is_nested": False}, "d c b a"),
        ({"order_by": "tags.team, val_loss", "reverse": True, "is_nested": False}, "b a c d"),
        ({"order_by": "accuracy", "limit": 2}, "a c"),
        ({"order_by": "val_loss.count", "limit": 1}, "a"),
        ({"order_by": "params.lr", "is_nested": False}, "d a b c"),
        ({"order_by": "params.lr", "reverse": True, "is_nested": False}, "b a d c"),
        ({"order_by": "tags.team", "is_nested": False, "limit": 3}, "d c a"),
        ({"tag": "team=red"}, "d c a"),
        ({"tag": {"team": "blue"}}, "b"),
        ({"tag": ["team", "team=red"], "limit": 1}, "d"),
        ({"since": "1h"}, "d c b inner a"),
        ({"until": "1h"}, ""),
        ({"until": "today", "limit": 1}, "d"),
        ({"project": "demo", "limit": 1}, "d"),
        ({"project": "other"}, ""),
        ({"kind": "block", "limit": 1}, "d"),
        ({"where": "params.depth = 3"}, "inner"),
        ({"where": "params.depth = 3", "is_nested": False}, ""),
        ({"where": "params.depth = 3", "is_nested": False, "with_inner": True}, "a"),
    ],
)
def test_runs_are_found_and_ordered(history: histhooks.History, asked: dict[str, object], found: str) -> None:
    assert " ".join(run.name for run in history.runs(**asked)) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"order_by": "val_lss"}, "val_loss"),
        ({"order_by": "lr"}, "params.lr"),
        ({"order_by": "id; DROP TABLE runs"}, "no column or metric"),
        ({"tag": "tam=red"}, "team"),
        ({"since": "last week"}, "7d"),
        ({"status": "done"}, "there are running"),
        ({"kind": "fitt"}, "did you mean fit"),
    ],
)
def test_what_cannot_be_asked_is_said(history: histhooks.History, asked: dict[str, object], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        history.runs(**asked)  # type: ignore[arg-type]


@pytest.mark.one_engine("it looks at what SQLite was asked")
def test_a_listing_asks_once_for_the_details_of_all_its_runs(history: histhooks.History) -> None:
    ids = [run.id for run in history.runs()]
    names = {run.id: run.name for run in history.runs()}
    statements: list[str] = []
    history._connection.set_trace_callback(statements.append)
    summaries, params, tags = summaries_of(history, ids), params_of(history, ids), tags_of(history, ids)
    assert results_of(history, ids) == {}
    assert len([text for text in statements if text.startswith("SELECT")]) == 4
    assert {names[i]: [s["name"] for s in rows] for i, rows in summaries.items()} == {
        "a": ["accuracy", "system_cpu", "val_loss"], "b": ["val_loss"], "c": ["accuracy", "val_loss"],
    }  # fmt: skip
    assert {names[i]: p for i, p in params.items()} == {
        "a": {"lr": 0.1}, "b": {"lr": "0.01"}, "c": {"lr": None}, "d": {"lr": 1}, "inner": {"depth": 3},
    }  # fmt: skip
    assert {names[i]: t for i, t in tags.items() if names[i] != "inner"}["b"] == {"team": "blue"}


def test_filters_and_orders_see_the_status_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reader, "_ON_ITS_WAY_US", 0)  # in a target, the end of a session may still come
    path = tmp_path / "killed.db"
    program = (
        "import histhooks, os, signal\nrun = histhooks.start_run('gone')\nrun.log({'loss': 1.0})\n"
        "histhooks.flush()\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(subprocess.CalledProcessError):
        record(path, program)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT status FROM runs").fetchall() == [("running",)]
    with histhooks.History(path) as history:
        assert history.runs(status="running") == []
        assert [run.name for run in history.runs(status="killed")] == ["gone"]
        assert [run.name for run in history.runs(where="status = killed", order_by="status")] == ["gone"]
        assert history.runs(where="status in (running, lost)") == []


@pytest.mark.one_engine("it trains for long")
def test_a_run_whose_process_is_gone_is_told_as_it_is_now_by_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    program = (
        "import histhooks, os, signal\nrun = histhooks.start_run('gone')\n"
        "for step in range(7):\n    run.log({'loss': 1.0}, step=step)\n"
        "histhooks.flush(60)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(subprocess.CalledProcessError):
        record(path, program)
    with histhooks.History(path) as history:
        run = history.run("gone")
        assert run.row["duration_s"] is None
        assert run.session["status"] == run.as_json()["session"]["status"] == "killed"
        assert run.duration_s is not None
        assert run.duration_s > 0
        assert run.steps_done == 7

    def ask(*words: str) -> str:
        command = [*DOCTOR, *words[1:]] if words[0] == "doctor" else [*COMMAND, *words]
        command += ["--store", str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout

    shown = ask("show", "gone")
    assert "running" not in shown
    assert "took –" not in shown
    assert "7 steps" in shown
    assert "0 ms" not in ask("tail", "gone", "--once")
    assert json.loads(ask("doctor", "--json"))["runs"] == {"killed": 1}


def test_runs_of_a_job_of_an_array_and_of_one_of_an_array(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    for number in ("1", "2"):
        jobs = {"SLURM_JOB_ID": f"470{number}", "SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": number}
        record(path, f"import histhooks; histhooks.start_run('task {number}').end()", **jobs)
    record(path, "import histhooks; histhooks.start_run('single').end()", SLURM_JOB_ID="5000")

    def found(job: str) -> list[str]:
        return [run.name for run in history.runs(job=job)]

    with histhooks.History(path) as history:
        assert found("4700") == ["task 2", "task 1"]
        assert found("4700_1") == ["task 1"]
        assert found("4702") == ["task 2"]
        assert found("5000") == ["single"]
        assert found("47") == []
        assert [run.name for run in history.runs(group="4700")] == ["task 2", "task 1"]


@pytest.mark.one_engine("spools lie beside a file")
def test_runs_of_a_waiting_spool_are_found_like_all_others(tmp_path: Path) -> None:
    path = tmp_path / "histhooks.db"
    record(path, PROGRAM)
    record(path, PROGRAM.replace('run("a", 0.1', 'run("spooled", 7.5'), HISTHOOKS_NETWORK="1")
    with histhooks.History(path) as history:
        assert history.spools
        assert [run.name for run in history.runs(where="params.lr > 5")] == ["spooled"]
        assert [run.name for run in history.runs(order_by="val_loss", limit=2)] == ["c", "c"]
        assert len(history.runs(tag="team=red", where="not val_loss > 5")) == 4


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("7d", 604800), ("2 weeks", 1209600)]
)
def test_a_span_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert span_s(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "7", "7 parsecs", "s7", "-7d"])
def test_what_is_no_span(text: str) -> None:
    assert span_s(text) is None


def test_a_date_is_the_persons_own_and_as_long_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert moment("2026-11-01") == ("2026-10-31T18:30:00.000000Z", "2026-11-01T18:30:00.000000Z")
        assert moment("2026-12") == ("2026-11-30T18:30:00.000000Z", "2026-12-31T18:30:00.000000Z")
        assert moment("2026-11-01T09:30") == ("2026-11-01T04:00:00.000000Z", "2026-11-01T04:01:00.000000Z")
        assert moment("2026-11-01T09:30:05Z") == ("2026-11-01T09:30:05.000000Z", "2026-11-01T09:30:06.000000Z")
        assert moment("2026-11-01T09:30+02:00") == ("2026-11-01T07:30:00.000000Z", "2026-11-01T07:31:00.000000Z")
        for text in ("2026-13-01", "soon", "0001-01-01", "99999d", "9" * 30 + "d"):
            found = moment(text)
            assert found is None or len(found[0]) == 27
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_a_metric_that_is_not_there_and_a_limit_below_nothing_are_said(history: histhooks.History) -> None:
    with pytest.raises(QueryError, match="no metric 'val_los'; it has val_loss"):
        history.run("a").metrics("val_los")
    with pytest.raises(QueryError, match="0 or more"):
        history.runs(limit=-1)
    assert history.runs(limit=0) == []


@pytest.mark.one_engine("it trains for long")
def test_a_commit_is_found_as_screens_show_it_and_a_framework_as_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import histhooks\nhisthooks.autolog('sklearn')\nfrom sklearn.linear_model import Ridge\n"
        "Ridge().fit([[0.0], [1.0]], [0.0, 1.0])\n"
    )
    who = {f"GIT_{role}_{what}": "me@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, env={**os.environ, **who}, check=True)
    store = tmp_path / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, env=environment, check=True, timeout=60)
    with histhooks.History(store) as history:
        (run,) = history.runs()
        commit = run.code["commit_hash"]
        for text in (commit, commit[:10], commit[:10].upper(), commit[:7]):
            assert len(history.runs(where=f"commit = '{text}'")) == 1, text
            assert history.runs(where=f"commit != '{text}'") == []
        assert len(history.runs(where=f"commit = {commit[:10]}")) == 1
        assert history.runs(where="commit = 0000000") == []
        assert len(history.runs(framework="scikit-learn")) == len(history.runs(framework="sklearn")) == 1
        assert len(history.runs(where="framework = scikit-learn")) == 1
        assert len(history.runs(where="framework in (pytorch, Scikit-Learn)")) == 1
        assert history.runs(where="framework != scikit-learn") == []
