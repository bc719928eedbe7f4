"""Which run a person means by a word, and what is said where another one could be meant."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import histhooks
from helpers.programs import script as record
from histhooks.errors import QueryError

PROGRAM = """
import histhooks
for number in range(3):
    with histhooks.start_run("train", params={"n": number}):
        with histhooks.start_run("inner"):
            pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "histhooks.db"
    record(path, PROGRAM, HISTHOOKS_PROJECT="mine")
    record(path, "import histhooks; histhooks.start_run('other').end()", HISTHOOKS_PROJECT="other")
    for number in ("1", "2"):
        jobs = {"SLURM_JOB_ID": f"470{number}", "SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": number}
        program = f"import histhooks; histhooks.start_run('task {number}').end()"
        record(path, program, HISTHOOKS_PROJECT="jobs", **jobs)
    return path


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def history(store: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[histhooks.History]:
    monkeypatch.setenv("HISTHOOKS_PROJECT", "mine")
    with histhooks.History(store) as opened:
        opened.tell = said.append
        yield opened


def test_an_id_and_a_part_of_one(history: histhooks.History, said: list[str]) -> None:
    for run in history.runs():
        for part in (run.id, run.id[-8:], run.id[-12:]):
            assert history.run(part).id == run.id
    assert said == []


def test_a_part_that_several_ids_have_is_refused_with_candidates(history: histhooks.History) -> None:
    century = history.run("other").id[:6]
    with pytest.raises(QueryError, match=r"9 ids have .* give more of it") as caught:
        history.run(century)
    assert "train" in str(caught.value)


def test_a_name_is_its_latest_run_and_that_is_said(history: histhooks.History, said: list[str]) -> None:
    run = history.run("train")
    assert run.params == {"n": 2}
    assert said == ["latest of 3 runs of that name"]
    history.run("other")
    assert len(said) == 1


def test_last_is_the_outer_run_of_this_project(history: histhooks.History, said: list[str]) -> None:
    assert [history.run(word).params["n"] for word in ("last", "last~0", "last~1", "last~2")] == [2, 2, 1, 0]
    with pytest.raises(QueryError, match="3 top-level runs of yours in project mine"):
        history.run("last~3")
    assert said == []


def test_last_falls_back_to_another_project_and_says_so(
    history: histhooks.History, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTHOOKS_PROJECT", "nobody")
    run = history.run("last")
    assert run.name == "task 2"
    assert said == [f"no run of project nobody here; {run.id[-8:]} is the latest of jobs"]


def test_last_falls_back_to_another_user_and_says_so(store: Path, tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "shared.db"
    record(path, "import histhooks; histhooks.start_run('mine').end()", HISTHOOKS_PROJECT="p")
    record(path, "import histhooks; histhooks.start_run('theirs').end()", HISTHOOKS_PROJECT="p", LOGNAME="somebody")
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(DISTINCT username) FROM sessions").fetchone() == (2,)
    program = "import histhooks, sys; h = histhooks.History(sys.argv[1]); h.tell = print; print(h.run('last').name)"

    def ask(user: str) -> list[str]:
        environment = {**os.environ, "HISTHOOKS_PROJECT": "p", "LOGNAME": user}
        command = [sys.executable, "-c", program, str(path)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()

    assert ask("somebody") == ["theirs"]
    line, name = ask("stranger")
    assert name == "theirs"
    assert line.startswith("no run of yours here; ")


def test_jobs_and_groups_are_selectors(history: histhooks.History, said: list[str]) -> None:
    assert history.run("4702").name == "task 2"
    assert history.run("4700_1").name == "task 1"
    assert history.run("job:4701").name == "task 1"
    assert said == []
    assert history.run("4700").name == "task 2"
    assert history.run("group:4700").name == "task 2"
    assert said == ["latest of 2 runs of job 4700", "latest of 2 runs of group 4700"]


def test_select_gives_all_runs_of_a_job_and_one_of_all_else(history: histhooks.History) -> None:
    names = [run.name for run in history.select("4700", "other", "4702", "last")]
    assert names == ["task 1", "task 2", "other", "train"]
    assert [run.name for run in history.select("group:4700")] == ["task 1", "task 2"]
    assert [run.name for run in history.select("train")] == ["train"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nobody", "the latest are: "),
        ("trian", "did you mean train"),
        ("job:77", "no run is 'job:77'"),
        ("last~x", "no run is"),
        ("", "no run is"),
        ("%", "no run is"),
        ("' OR 1=1 --", "no run is"),
        ("half a character: \udcff", "surrogates not allowed"),
    ],
)
def test_what_is_no_run_is_said_with_candidates(history: histhooks.History, word: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        history.run(word)


def test_an_empty_store_has_no_last_run(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    record(path, "import histhooks; histhooks.start_run('a').end()")
    with sqlite3.connect(path) as db:
        db.executescript("DELETE FROM runs")
    with histhooks.History(path) as history, pytest.raises(QueryError, match="no run in"):
        history.run("last")
