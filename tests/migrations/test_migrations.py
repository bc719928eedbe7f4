"""Old stores, as versions 1.0 to 1.2 wrote them: read as they are, brought up to date once, and nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.old_stores import (
    SHORT,
    assert_nothing_lost,
    assert_up_to_date,
    assert_verified,
    columns_of,
    lay_old_spool,
    number_of,
    older_writer,
    rows_of,
)
from helpers.stores import VERIFIER
from histhooks import History, reproduce
from histhooks._store.spools import waiting
from histhooks._store.stamp import SCHEMA_VERSION
from histhooks._store.upgrade import migrate_apart
from histhooks.cli import _doctor
from histhooks.export import export
from histhooks.testing import query, run_program
from histhooks.verify import verify

NAMES = [
    "train·LogisticRegression", "train·LogisticRegression", "train·LogisticRegression", "train·GridSearchCV",
    "train·LogisticRegression", "loop",
]  # fmt: skip


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("histhooks.db*") if file.is_file()
    }


def ask(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "histhooks", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_an_old_store_is_read_as_it_is_and_no_byte_of_it_changes(old_store: Path, journal: str) -> None:
    assert query(old_store, f"PRAGMA journal_mode = {journal}") == [(journal,)]
    before = content_of(old_store.parent)
    with History(old_store) as history:
        runs = history.runs(is_nested=False, order_by="started_at asc")
        assert [run.name for run in runs] == NAMES
        loop = history.run("loop")
        assert loop.params == {"lr": 0.05, "betas": [0.9, 0.999], "optimizer.name": "adam"}
        assert loop.tags == {"team": "red", "checked": "yes"}
        assert len(loop.metrics("loss")) == 150
        assert [run.name for run in history.runs(where="params.C >= 1 and kind = fit")] == [NAMES[0]] * 2
        assert {row["collector"] for row in runs[0].captures} >= {"git", "data"}
        assert history.sql("SELECT count(*) AS n FROM latest_params WHERE key = 'lr'") == [{"n": 1}]
        assert history.sql("SELECT by, n_rows FROM transforms") == [], (
            "what a later version records is missing, not odd"
        )
        assert loop.check_results == []
        assert reproduce.plan(loop).command is not None
    for words in (
        ("runs", str(old_store)),
        ("show", "loop", "--store", str(old_store)),
        ("metrics", "loop", "val_loss", "--store", str(old_store)),
        ("compare", "loop", "inner", "--store", str(old_store)),
        ("search", "halved", "--store", str(old_store)),
        ("report", "loop", "--store", str(old_store), "-o", "report.html"),
    ):
        ask(*words)
    assert "redacted" in ask("verify", str(old_store))
    assert content_of(old_store.parent) == before
    assert_verified(old_store)
    assert old_store.read_bytes() == before["histhooks.db"]


def test_an_old_store_and_a_spool_of_today_are_read_as_one_and_the_reverse(old_store: Path, version: str) -> None:
    store = old_store.with_name("histhooks.db")
    run_program(SHORT.format("today"), old_store.with_name("other.db"), HISTHOOKS_NETWORK="1")
    (spool,) = waiting(old_store.with_name("other.db"))
    folder = store.with_name("histhooks.db.spool")
    spool.parent.rename(folder)
    assert query(folder / spool.name, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    before = content_of(store.parent)
    with History(store) as history:
        assert [run.name for run in history.runs(is_nested=False, order_by="started_at asc")] in (
            [*NAMES, "today"], ["today", *NAMES]
        )  # fmt: skip
        assert history.run("today").params == {"lr": 0.1}
    assert content_of(store.parent) == before

    other = store.with_name("other.db")
    lay_old_spool(other, version)
    with History(other) as history:
        assert [(run.name, run.params, run.tags) for run in history.runs()] == [("far", {"lr": 0.2}, {"team": "blue"})]
        assert len(history.run("far").metrics("loss")) == 70
        assert history.run("far").captures


def test_a_reader_of_an_old_store_sees_what_is_recorded_once_it_is_brought_up_to_date(old_store: Path) -> None:
    with History(old_store) as history:
        before = history.sql("SELECT * FROM splits")  # version 1.2 has some
        run_program(SHORT.format("today"), old_store)
        with closing(sqlite3.connect(old_store)) as db, db:
            sql = "INSERT INTO splits (session_id, ordinal, function, arguments, time) SELECT id, 9, 'f', '{}', 0 FROM "
            db.execute(f"{sql} sessions LIMIT 1")
        history.refresh()
        assert len(history.sql("SELECT * FROM splits")) == len(before) + 1
        assert history.sql("SELECT ordinal FROM splits WHERE function = 'f'") == [{"ordinal": 9}]


def test_an_old_store_is_exported_as_it_is(old_store: Path, tmp_path: Path) -> None:
    before = content_of(old_store.parent)
    export("loop", to=tmp_path / "part.db", store=old_store)
    assert content_of(old_store.parent) == before
    assert_up_to_date(tmp_path / "part.db")
    with History(tmp_path / "part.db") as history:
        assert {run.name for run in history.runs()} == {"loop", "inner"}
        assert len(history.run("loop").metrics("loss")) == 150


def test_what_a_later_version_added_is_not_missed_in_the_export_of_a_store_without_it(
    store_path: Path, tmp_path: Path
) -> None:
    run_program(SHORT.format("one"), store_path)
    with closing(sqlite3.connect(store_path)) as db:
        db.execute("ALTER TABLE runs DROP COLUMN epochs_planned")
        db.execute("ALTER TABLE metric_summaries DROP COLUMN last_epoch")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    export("one", to=tmp_path / "part.db", store=store_path)
    with History(tmp_path / "part.db") as history:
        assert [len(run.metrics("loss")) for run in history.runs()] == [1]
    assert query(tmp_path / "part.db", "SELECT epochs_planned FROM runs") == [(None,)]


def test_doctor_tells_of_an_old_store(old_store: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(_doctor, "FRAMEWORKS", {})  # importing each of them takes a minute
    told = CliRunner().invoke(_doctor.doctor, [str(old_store)]).output
    assert f"schema: {version}, which the next session that records here brings to 1." in told


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_session_brings_an_old_store_up_to_date_in_a_process_of_its_own(old_store: Path) -> None:
    before = rows_of(old_store)
    program = SHORT.format("today") + (
        "\nhisthooks.flush()\nimport sys\nheavy = {'sqlite_utils', 'numpy', 'pandas'} & set(sys.modules)"
        "\nassert not heavy, heavy"
    )
    code, _, err = run_program(program, old_store)
    assert (code, err) == (0, "")
    assert_up_to_date(old_store)
    assert_nothing_lost(before, old_store)
    with History(old_store) as history:
        assert [run.name for run in history.runs(is_nested=False, order_by="started_at")].count("today") == 1
        assert history.spools == []
    applied = query(old_store, "SELECT * FROM _sqlite_migrations")
    run_program(SHORT.format("tomorrow"), old_store)
    assert query(old_store, "SELECT * FROM _sqlite_migrations") == applied


@pytest.mark.parametrize("words", [("tag", "loop", "a=b"), ("delete", "loop", "--reason", "old", "--yes")])
def test_a_command_that_changes_something_brings_it_up_to_date_too(old_store: Path, words: tuple[str, ...]) -> None:
    ask(*words, "--store", str(old_store))
    assert_up_to_date(old_store)


def test_any_number_of_processes_may_open_it_at_once(old_store: Path) -> None:
    before = rows_of(old_store)
    environment = {**os.environ, "HISTHOOKS_STORE": str(old_store)}
    commands = [[sys.executable, "-c", SHORT.format(f"run {n}") + "\nhisthooks.flush()"] for n in range(4)]
    commands += [[sys.executable, "-m", "histhooks.migrations", str(old_store)]] * 3
    with closing(sqlite3.connect(old_store, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")  # they start at different speeds, and all wait here
        processes = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for command in commands]
        time.sleep(2)
        other.execute("ROLLBACK")
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [(process.returncode, text) for process, text in zip(processes, told, strict=True)] == [(0, b"")] * 7
    assert waiting(old_store) == []
    assert len(query(old_store, "SELECT 1 FROM runs WHERE name LIKE 'run %'")) == 4
    assert_up_to_date(old_store)
    assert_nothing_lost(before, old_store)


def test_a_session_of_the_older_version_goes_on_in_a_store_that_is_migrated_below_it(
    old_store: Path, version: str
) -> None:
    before = rows_of(old_store)
    with older_writer(old_store, version):
        assert query(old_store, "PRAGMA user_version") == [(number_of(version),)]
        run_program(SHORT.format("today"), old_store)
        assert query(old_store, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert_up_to_date(old_store)
    assert_nothing_lost(before, old_store)
    with History(old_store) as history:
        older = history.run("older")
        assert (older.status, older.params, older.tags) == ("finished", {"lr": 0.2}, {"late": "yes"})
        assert [point["value"] for point in older.metrics("loss")] == [1.0 / (n + 1) for n in range(10)]
        assert history.run("today").status == "finished"


def test_a_new_store_takes_all_that_an_older_version_wrote(old_store: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.executescript((files("histhooks._store") / "schema.sql").read_text(encoding="utf-8"))
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("ATTACH ? AS old", (str(old_store),))
        with closing(sqlite3.connect(old_store)) as old:
            columns = columns_of(old)
        db.execute("BEGIN")
        for table, found in columns.items():
            names = ", ".join(found)
            db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM old.{table}")
        db.execute("COMMIT")
    assert rows_of(new) == rows_of(old_store)
    assert_verified(new)


def test_a_store_of_a_newer_version_stays_as_it_is(old_store: Path) -> None:
    applied = query(old_store, "SELECT name FROM _sqlite_migrations")
    with closing(sqlite3.connect(old_store)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert migrate_apart(old_store) == ""
    assert query(old_store, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]
    assert query(old_store, "SELECT name FROM _sqlite_migrations") == applied
    run_program(SHORT.format("today"), old_store)
    assert len(query(old_store, "SELECT 1 FROM runs WHERE name = 'today'")) == 1
    assert query(old_store, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]
    assert verify(old_store).problems == []
    done = subprocess.run([sys.executable, str(VERIFIER), str(old_store)], capture_output=True, text=True, check=False)
    assert done.returncode == 2  # what a newer version may cover is not known to this one
    assert "newer" in done.stdout + done.stderr


def test_a_file_of_another_program_gets_no_tables_of_ours(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = other.read_bytes()
    command = [sys.executable, "-m", "histhooks.migrations", str(other)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"{other} is an SQLite file of another program; name another store\n"
    assert other.read_bytes() == before


# --- spools -----------------------------------------------------------------------------------------------------------


def test_a_spool_of_the_older_version_comes_home_into_a_store_of_today(store_path: Path, version: str) -> None:
    run_program(SHORT.format("today"), store_path)
    spool = lay_old_spool(store_path, version)
    before = rows_of(spool)
    assert ask("sync", str(store_path)).startswith("merged 1 session into")
    assert waiting(store_path) == []
    for table in ("exports", "points", "rollups", "metric_summaries", "sessions"):
        before.pop(table)  # local to a file, or counted on
    assert_nothing_lost(before, store_path)
    assert_up_to_date(store_path)
    with History(store_path) as history:
        assert len(history.run("far").metrics("loss")) == 70


def test_a_spool_of_today_waits_for_an_older_writer_and_comes_home_with_the_next_of_today(
    old_store: Path, version: str
) -> None:
    run_program(SHORT.format("today"), old_store.with_name("other.db"), HISTHOOKS_NETWORK="1")
    (spool,) = waiting(old_store.with_name("other.db"))
    spool.parent.rename(old_store.with_name("histhooks.db.spool"))
    with older_writer(old_store, version):
        assert len(waiting(old_store)) == 1
        assert query(old_store, "PRAGMA user_version") == [(number_of(version),)]
    run_program(SHORT.format("next"), old_store)
    assert waiting(old_store) == []
    with History(old_store) as history:
        assert {"today", "older", "next"} <= {run.name for run in history.runs()}
    assert_up_to_date(old_store)
