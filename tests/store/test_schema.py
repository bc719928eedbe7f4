"""The schema: what the migrations build, what the file says of itself, and what its constraints refuse."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from histhooks._store.joining_series import VALID
from histhooks._store.tables import SERIES

SCHEMA = (files("histhooks._store") / "schema.sql").read_text(encoding="utf-8")
TIME = "2026-01-02T03:04:05.000006Z"


@pytest.fixture
def db(store_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(store_path)
    connection.executescript(SCHEMA)
    connection.execute("PRAGMA foreign_keys = ON")
    yield connection
    connection.close()


def add_session(db: sqlite3.Connection, session_id: str = "s", status: str = "running", kind: str = "script") -> None:
    db.execute(
        "INSERT INTO sessions (id, kind, started_at, status, recorder_version) VALUES (?, ?, ?, ?, '0')",
        (session_id, kind, TIME, status),
    )


def add_run(db: sqlite3.Connection, run_id: str = "r", status: str = "running", kind: str = "fit") -> None:
    db.execute(
        "INSERT INTO runs (id, session_id, name, kind, status, started_at) VALUES (?, 's', 'name', ?, ?, ?)",
        (run_id, kind, status, TIME),
    )


def add_series(db: sqlite3.Connection, split: str = "train", direction: int = 0) -> None:
    db.execute(
        "INSERT INTO metric_summaries (series, run_id, name, metric, split, direction, start_time, count, nonfinite) "
        "VALUES (1, 'r', 'loss', 'loss', ?, ?, 5000, 0, 0)",
        (split, direction),
    )


def migrations_in_a_process(*arguments: str) -> str:
    # sqlite-utils pulls NumPy and pandas, so migrations never run inside a process that trains, nor in this one.
    command = [sys.executable, "-m", "histhooks.migrations", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def tables(db: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    return [name for (name,) in db.execute(query)]


def test_schema_sql_is_what_the_migrations_build() -> None:
    assert migrations_in_a_process() == SCHEMA


def test_a_store_made_from_schema_sql_and_one_that_was_migrated_hold_the_same(
    db: sqlite3.Connection, tmp_path: Path
) -> None:
    migrations_in_a_process(str(tmp_path / "migrated.db"))
    migrated = sqlite3.connect(tmp_path / "migrated.db")
    for query in (
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid",
        "SELECT migration_set, name FROM _sqlite_migrations",
        "PRAGMA application_id",
        "PRAGMA user_version",
    ):
        assert db.execute(query).fetchall() == migrated.execute(query).fetchall()
    migrated.close()


def test_a_store_made_from_schema_sql_has_no_pending_migration(db: sqlite3.Connection, store_path: Path) -> None:
    before = list(db.iterdump())
    db.close()
    program = (
        "import sys; from sqlite_utils import Database; from histhooks.migrations import migrations; "
        "print(len(list(migrations.pending(Database(sys.argv[1])))))"
    )
    command = [sys.executable, "-c", program, str(store_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "0\n"

    migrations_in_a_process(str(store_path))
    after = sqlite3.connect(store_path)
    assert list(after.iterdump()) == before
    after.close()


def test_the_file_says_that_it_is_ours_and_of_which_version(db: sqlite3.Connection) -> None:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    assert application_id.to_bytes(4, "big") == b"HIST"
    assert db.execute("PRAGMA user_version").fetchone() == (1003,)


def test_the_package_carries_the_schema_and_every_step() -> None:
    package = files("histhooks")
    assert (package / "py.typed").is_file()
    steps = sorted(entry.name for entry in (package / "migrations").iterdir() if entry.name.endswith(".sql"))
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    applied = [f"{name}.sql" for (name,) in db.execute("SELECT name FROM _sqlite_migrations ORDER BY id")]
    db.close()
    assert steps == applied


def test_every_table_is_strict(db: sqlite3.Connection) -> None:
    strict = {name: strict for _, name, kind, _, _, strict in db.execute("PRAGMA table_list") if kind == "table"}
    loose = {name for name, is_strict in strict.items() if not is_strict}
    assert loose == {"_sqlite_migrations", "sqlite_schema", "sqlite_temp_schema"}, (
        "both belong to others: sqlite-utils and SQLite"
    )


def test_every_column_has_a_comment(db: sqlite3.Connection) -> None:
    for name in tables(db):
        if name == "_sqlite_migrations":
            continue
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        lines = sql.splitlines()
        for row in db.execute(f'PRAGMA table_info("{name}")'):
            first = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{row[1]} "))
            last = next(i for i in range(first, len(lines)) if lines[i].startswith(("  ", ")")) and "--" in lines[i])
            # The comment stands on the column's own line, or on the one that closes its CHECK.
            assert last == first or lines[last].startswith("  )"), f"{name}.{row[1]}"
            assert lines[last].partition(" -- ")[2].strip(), f"{name}.{row[1]}"


def test_every_foreign_key_points_to_a_key_that_exists(db: sqlite3.Connection) -> None:
    for name in tables(db):
        by_key: dict[int, list[tuple[str, str]]] = {}
        for number, _, target, _, to, *_ in db.execute(f'PRAGMA foreign_key_list("{name}")'):
            by_key.setdefault(number, []).append((target, to))
        for pairs in by_key.values():
            target, wanted = pairs[0][0], [to for _, to in pairs]
            columns = {row[1]: row[5] for row in db.execute(f'PRAGMA table_info("{target}")')}
            assert [column for column, place in sorted(columns.items(), key=lambda c: c[1]) if place] == wanted
    # SQLite itself refuses a foreign key that does not fit only when a row is written or checked.
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_every_run_and_session_id_is_a_foreign_key(db: sqlite3.Connection) -> None:
    # Datasette and its kin draw links from foreign keys. A link to another store's run cannot be one.
    # Nor can one from what outlives the run, such as a version of its model.
    outlives = {"waivers", "model_versions", "model_events"}
    for name in tables(db):
        linked = {row[3]: row[2] for row in db.execute(f'PRAGMA foreign_key_list("{name}")')}
        for _, column, *_ in db.execute(f'PRAGMA table_info("{name}")'):
            if name in outlives and column in {"run_id", "parent_id"}:
                continue
            if column in {"run_id", "parent_id"}:
                assert linked.get(column) == "runs", f"{name}.{column}"
            if column == "session_id":
                assert linked.get(column) in {"sessions", "ledger"}, f"{name}.{column}"


def test_a_row_may_come_before_what_it_refers_to_but_not_be_committed_without_it(db: sqlite3.Connection) -> None:
    add_run(db)
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        db.commit()
    db.rollback()
    add_run(db)
    add_session(db)
    db.commit()
    assert db.execute("SELECT session_id FROM runs").fetchall() == [("s",)]


def test_all_seven_statuses_are_accepted_and_no_other(db: sqlite3.Connection) -> None:
    for status in ("running", "finished", "failed", "interrupted", "killed", "lost", "ended"):
        add_session(db, f"s-{status}", status)
    add_session(db)
    for status in ("running", "finished", "failed", "interrupted", "killed", "lost", "ended"):
        add_run(db, f"r-{status}", status)
    for status in ("", "done", "Finished", "FAILED"):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            add_session(db, "x", status)
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            add_run(db, "x", status)


def test_a_kind_that_nobody_documented_is_refused(db: sqlite3.Connection) -> None:
    add_session(db)
    for kind in ("fit", "search", "candidate", "validate", "evaluate", "preprocess", "loop", "block"):
        add_run(db, f"r-{kind}", kind=kind)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        add_run(db, "x", kind="experiment")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        add_session(db, "x", kind="daemon")


@pytest.mark.parametrize(("split", "direction"), [("val", 0), ("", 0), ("train", 2), ("train", -2)])
def test_a_wrong_split_or_direction_of_a_curve_is_refused(db: sqlite3.Connection, split: str, direction: int) -> None:
    add_session(db)
    add_run(db)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        add_series(db, split, direction)


@pytest.mark.parametrize("direction", ["input", "IN", ""])
def test_a_file_is_read_or_written_and_nothing_else(db: sqlite3.Connection, direction: str) -> None:
    add_session(db)
    add_run(db)
    db.execute("INSERT INTO artifacts (sha256, size_bytes) VALUES ('h', 1)")
    insert = (
        "INSERT INTO run_artifacts (run_id, ordinal, sha256, path, role, direction, time) "
        "VALUES ('r', ?, 'h', 'model.pt', 'model', ?, 0)"
    )
    for ordinal, right in enumerate(("in", "out")):
        db.execute(insert, (ordinal, right))
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        db.execute(insert, (2, direction))


def test_what_is_called_json_must_be_json(db: sqlite3.Connection) -> None:
    add_session(db)
    add_run(db)
    insert = "INSERT INTO params (run_id, ordinal, key, value, source, time) VALUES ('r', ?, 'C', ?, 'user', 0)"
    db.execute(insert, (0, "0.1"))
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        db.execute(insert, (1, "{not json"))


def test_a_strict_column_refuses_a_value_of_another_type(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"):
        db.execute("INSERT INTO artifacts (sha256, size_bytes) VALUES ('h', 'large')")


def test_the_view_of_metrics_fills_in_the_step_and_the_wall_clock(db: sqlite3.Connection) -> None:
    add_session(db)
    add_run(db)
    add_series(db)
    points = [(0, None, None, 10, 0.5, None), (1, None, 0, 20, None, "nan"), (2, 7, 1, 30, 0.25, None)]
    db.executemany("INSERT INTO points VALUES (1, ?, ?, ?, ?, ?, ?)", points)
    rows = db.execute("SELECT run_id, name, split, step, epoch, time, value, special, n FROM metrics").fetchall()
    assert rows == [
        ("r", "loss", "train", 0, None, 5010, 0.5, None, 0),
        ("r", "loss", "train", 1, 0, 5020, None, "nan", 1),
        ("r", "loss", "train", 7, 1, 5030, 0.25, None, 2),
    ]


def test_the_views_of_params_and_results_show_the_last_value_of_each_key(db: sqlite3.Connection) -> None:
    add_session(db)
    add_run(db)
    values = [(0, "C", "1"), (1, "tol", "0.1"), (2, "C", "2")]
    db.executemany("INSERT INTO params VALUES ('r', ?, ?, ?, 'user', 0)", values)
    db.executemany("INSERT INTO results VALUES ('r', ?, ?, ?, 0)", values)
    expected = [("C", "2"), ("tol", "0.1")]
    assert db.execute("SELECT key, value FROM latest_params ORDER BY key").fetchall() == expected
    assert db.execute("SELECT key, value FROM latest_results ORDER BY key").fetchall() == expected


def test_the_view_of_one_curve_reads_only_that_curve(db: sqlite3.Connection) -> None:
    query = "EXPLAIN QUERY PLAN SELECT * FROM metrics WHERE run_id = 'r' AND name = 'loss' ORDER BY n"
    plan = " / ".join(row[3] for row in db.execute(query))
    assert "SCAN" not in plan, plan


def test_what_a_merge_asks_of_points_are_the_constraints_of_their_tables(db: sqlite3.Connection) -> None:
    assert {*VALID} == {*SERIES} - {"metric_summaries"}
    rows: dict[str, list[dict[str, Any]]] = {
        "points": [{"n": n, "time": 0, "special": special}
                   for n in (-1, 0, 5) for special in (None, "nan", "inf", "-inf", "NaN", "")],
        "rollups": [{"level": level, "bucket": bucket, "first_step": 0, "last_step": 0, "count": 0}
                    for level in (0, 1, 4, 5) for bucket in (-1, 0, 7)],
    }  # fmt: skip
    for table, some in rows.items():
        kept, asked = [], []
        for row in some:
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            values = [*row.values()]
            db.execute(f"DELETE FROM {table}")
            try:
                db.execute(f"INSERT INTO {table} (series, {names}) VALUES (1, {marks})", values)
                kept.append(row)
            except sqlite3.IntegrityError:
                pass
            chosen = ", ".join(f"? AS {name}" for name in row)
            if db.execute(f"SELECT 1 FROM (SELECT {chosen}) AS p WHERE {VALID[table]}", values).fetchone():
                asked.append(row)
        assert asked == kept
        assert 0 < len(kept) < len(some)
