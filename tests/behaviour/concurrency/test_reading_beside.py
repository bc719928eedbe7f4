"""Reading disturbs nobody: eight writers write while it reads, and a store that is read stays as it was."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers.terminals import COMMAND, DOCTOR
from histhooks.verify import verify

WRITER = """
import sys, time, histhooks
with histhooks.start_run(f"writer {sys.argv[1]}", params={"number": int(sys.argv[1])}) as run:
    run.tag("team", "red")
    end = time.monotonic() + float(sys.argv[2])
    step = 0
    while time.monotonic() < end or step < 1000:
        run.log({"loss": 1.0 / (step + 1), "val_loss": 2.0 / (step + 1)}, step=step)
        step += 1
        time.sleep(0.0005)
"""
VERBS = (
    ("runs",),
    ("runs", "--json"),
    ("show", "writer 3"),
    ("show", "writer 3", "--json"),
    ("metrics", "writer 3", "loss"),
    ("doctor", "--json"),
)


def ask(store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*DOCTOR, *words[1:]] if words[0] == "doctor" else [*COMMAND, *words]
    command += ["--store", str(store)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_every_reading_verb_answers_while_eight_writers_write_and_none_of_them_waits(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(n), "4"], env=environment, stderr=subprocess.PIPE, text=True
        )
        for n in range(8)
    ]
    try:
        while not store.exists() or len(_runs(store)) < 8:
            assert all(writer.poll() in (None, 0) for writer in writers)
        asked = 0
        while any(writer.poll() is None for writer in writers):
            for verb in VERBS:
                done = ask(store, *verb)
                assert done.returncode == 0, (verb, done.stderr)
                asked += 1
        assert asked >= len(VERBS)
    finally:
        told = [writer.communicate(timeout=60)[1] for writer in writers]
    assert told == [""] * 8
    with histhooks.History(store) as history:
        for run in history.runs():
            assert run.status == "finished"
            steps = [point["step"] for point in run.metrics("loss")]
            assert steps == list(range(len(steps)))
            assert len(steps) >= 1000
    assert verify(store).problems == []


def _runs(store: Path) -> list[histhooks.history.RunRecord]:
    try:
        with histhooks.History(store) as history:
            return history.runs()
    except histhooks.HisthooksError:
        return []  # in the making


def test_reading_changes_no_byte_of_a_store(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    subprocess.run([sys.executable, "-c", WRITER, "3", "0"], env=environment, check=True, timeout=60)
    before = _files(tmp_path)
    assert list(before) == ["histhooks.db"]
    for verb in (*VERBS, ("verify",)):
        done = ask(store, *verb)
        assert done.returncode == 0, (verb, done.stderr)
        assert _files(tmp_path) == before, verb


def _files(folder: Path) -> dict[str, str]:
    """What is in a folder, by content."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("histhooks.db*"))}


def test_verify_changes_no_byte_of_a_log_that_was_left_behind(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    program = (
        "import histhooks, os; histhooks.start_run('gone').log({'a': 1.0}); histhooks.flush(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], env=environment, check=False, timeout=60)
    assert (tmp_path / "histhooks.db-wal").stat().st_size
    for left in ({"histhooks.db-shm"}, set()):
        before = _files(tmp_path)
        assert {*before} == {"histhooks.db", "histhooks.db-wal", *left}
        done = ask(store, "verify")
        assert done.returncode == 0, done.stdout
        assert _files(tmp_path) == before
        (tmp_path / "histhooks.db-shm").unlink(missing_ok=True)
    with histhooks.History(store) as history:
        assert [run.name for run in history.runs()] == ["gone"]


def test_a_history_that_was_opened_before_sees_what_a_later_writer_writes(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    for number in ("1", "2"):
        command = [sys.executable, "-c", WRITER, number, "0"]
        subprocess.run(command, env=environment, check=True, timeout=60)
        if number == "1":
            history = histhooks.History(store)
            assert len(history.runs()) == 1
    assert len(history.runs()) == 2
    history.close()
    assert [path.name for path in tmp_path.glob("histhooks.db*")] == ["histhooks.db"]


@pytest.mark.parametrize(
    "attempt",
    ["PRAGMA query_only = OFF", "PRAGMA journal_mode = DELETE", "PRAGMA user_version = 7", "PRAGMA wal_checkpoint"],
)
def test_no_question_lets_a_later_one_write(tmp_path: Path, attempt: str) -> None:
    store = tmp_path / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    subprocess.run([sys.executable, "-c", WRITER, "3", "0"], env=environment, check=True, timeout=60)
    before = hashlib.sha256(store.read_bytes()).hexdigest()
    with histhooks.History(store) as history:
        with pytest.raises(histhooks.QueryError):
            history.sql(attempt)
        with pytest.raises(histhooks.QueryError, match="readonly"):
            history.sql("UPDATE runs SET name = 'x'")
        for made in ("ATTACH '{}' AS other", "VACUUM INTO '{}'"):
            with pytest.raises(histhooks.QueryError):
                history.sql(made.format(tmp_path / "made.db"))
        assert history.sql("PRAGMA table_info(runs)")
        assert history.sql("PRAGMA query_only") == [{"query_only": 1}]
    assert not (tmp_path / "made.db").exists()
    assert hashlib.sha256(store.read_bytes()).hexdigest() == before
