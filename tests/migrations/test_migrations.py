"""Old stores, as version 1.0 really wrote them: read as they are, brought up to date once, and nothing of them lost."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from helpers.stores import VERIFIER
from histhooks import History
from histhooks._store.connection import is_busy
from histhooks._store.spools import waiting
from histhooks._store.stamp import SCHEMA_VERSION
from histhooks._store.upgrade import migrate_apart
from histhooks.cli import _doctor
from histhooks.export import export
from histhooks.testing import query, run_program
from histhooks.verify import verify

DATA = Path(__file__).parents[1] / "data"
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-fowner"] if os.geteuid() == 0 else []
NAMES = [
    "train·LogisticRegression", "train·LogisticRegression", "train·LogisticRegression", "train·GridSearchCV",
    "train·LogisticRegression", "loop",
]  # fmt: skip
SHORT = "import histhooks\nwith histhooks.start_run({!r}, params={{'lr': 0.1}}) as run:\n    run.log({{'loss': 1.0}})"
Rows = dict[str, set[tuple[Any, ...]]]


@pytest.fixture
def old_store(store_path: Path) -> Path:
    store_path.write_bytes(gzip.decompress((DATA / "store-1.0.db.gz").read_bytes()))
    assert query(store_path, "PRAGMA user_version") == [(1000,)]
    return store_path


def lay_old_spool(store: Path) -> Path:
    spool = store.with_name(store.name + ".spool") / "01a21026-808a-7889-9c68-3c5b0e768fcf.db"
    spool.parent.mkdir()
    spool.write_bytes(gzip.decompress((DATA / "spool-1.0.db.gz").read_bytes()))
    return spool


def rows_of(path: Path) -> Rows:
    """All rows of all tables, in the columns that version 1.0 had."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db, closing(made_old()) as old:
        found: Rows = {}
        for table, columns in columns_of(old).items():
            names = ", ".join(columns)
            found[table] = set(db.execute(f"SELECT {names} FROM {table}"))
        return found


def made_old() -> sqlite3.Connection:
    """The store of version 1.0, in memory."""
    db = sqlite3.connect(":memory:")
    db.deserialize(gzip.decompress((DATA / "store-1.0.db.gz").read_bytes()))
    return db


def columns_of(db: sqlite3.Connection) -> dict[str, list[str]]:
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlite_%'").fetchall()
    return {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for (table,) in tables}


def assert_nothing_lost(before: Rows, path: Path) -> None:
    after = rows_of(path)
    for table, rows in before.items():
        assert rows <= after[table], table


def assert_up_to_date(path: Path) -> None:
    """That a store is of this version, as a new one is, and that its ledger fits, whoever verifies."""
    with closing(sqlite3.connect(":memory:")) as new, closing(sqlite3.connect(path)) as db:
        new.executescript((files("histhooks._store") / "schema.sql").read_text(encoding="utf-8"))
        for sql in (
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name",
            "SELECT migration_set, name FROM _sqlite_migrations ORDER BY id",
            "PRAGMA application_id",
            "PRAGMA user_version",
        ):
            assert db.execute(sql).fetchall() == new.execute(sql).fetchall()
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert_verified(path)


def assert_verified(path: Path) -> None:
    assert verify(path).problems == []
    done = subprocess.run([sys.executable, str(VERIFIER), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


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
        runs = history.runs(is_nested=False, order_by="-started_at")
        assert [run.name for run in runs] == NAMES
        loop = history.run("loop")
        assert loop.params == {"lr": 0.05, "betas": [0.9, 0.999], "optimizer.name": "adam"}
        assert loop.tags == {"team": "red", "checked": "yes"}
        assert len(loop.metrics("loss")) == 150
        assert [run.name for run in history.runs(where="params.C >= 1 and kind = fit")] == [NAMES[0]] * 2
        assert {row["collector"] for row in runs[0].captures} >= {"git", "data"}
        assert history.sql("SELECT count(*) AS n FROM latest_params WHERE key = 'lr'") == [{"n": 1}]
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


def test_an_old_store_and_a_spool_of_today_are_read_as_one_and_the_reverse(old_store: Path) -> None:
    store = old_store.with_name("histhooks.db")
    run_program(SHORT.format("today"), old_store.with_name("other.db"), HISTHOOKS_NETWORK="1")
    (spool,) = waiting(old_store.with_name("other.db"))
    folder = store.with_name("histhooks.db.spool")
    spool.parent.rename(folder)
    assert query(folder / spool.name, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    before = content_of(store.parent)
    with History(store) as history:
        assert [run.name for run in history.runs(is_nested=False, order_by="-started_at")] in (
            [*NAMES, "today"], ["today", *NAMES]
        )  # fmt: skip
        assert history.run("today").params == {"lr": 0.1}
    assert content_of(store.parent) == before

    other = store.with_name("other.db")
    lay_old_spool(other)
    with History(other) as history:
        assert [(run.name, run.params, run.tags) for run in history.runs()] == [("far", {"lr": 0.2}, {"team": "blue"})]
        assert len(history.run("far").metrics("loss")) == 70
        assert history.run("far").captures


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


def test_doctor_tells_of_an_old_store(old_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor, "FRAMEWORKS", {})  # importing each of them takes a minute
    told = CliRunner().invoke(_doctor.doctor, [str(old_store)]).output
    assert "schema: 1.0, which the next session that records here brings to 1." in told


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


@pytest.mark.parametrize("words", [("tag", "loop", "a=b"), ("delete", "loop", "--reason", "old")])
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


OLDER = """
import sys
from histhooks._store import opening
opening.SCHEMA_VERSION = 1000  # it knows of nothing later, and writes what it always wrote
import histhooks
with histhooks.start_run("older", params={"lr": 0.3}) as run:
    for step in range(5):
        run.log({"loss": 1.0 / (step + 1)}, step=step)
    histhooks.flush()
    print("ready", flush=True)
    sys.stdin.readline()
    run.log_params({"lr": 0.2})
    run.tag("late", "yes")
    for step in range(5, 10):
        run.log({"loss": 1.0 / (step + 1)}, step=step)
"""


@contextmanager
def older_writer(store: Path) -> Iterator[None]:
    """A session of version 1.0 that records before and after what is done inside."""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    process = subprocess.Popen(
        [sys.executable, "-c", OLDER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield
    process.communicate("go\n", timeout=60)
    assert process.returncode == 0


def test_a_session_of_the_older_version_goes_on_in_a_store_that_is_migrated_below_it(old_store: Path) -> None:
    before = rows_of(old_store)
    with older_writer(old_store):
        assert query(old_store, "PRAGMA user_version") == [(1000,)]
        run_program(SHORT.format("today"), old_store)
        assert query(old_store, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert_up_to_date(old_store)
    assert_nothing_lost(before, old_store)
    with History(old_store) as history:
        older = history.run("older")
        assert (older.status, older.params, older.tags) == ("finished", {"lr": 0.2}, {"late": "yes"})
        assert [point["value"] for point in older.metrics("loss")] == [1.0 / (n + 1) for n in range(10)]
        assert history.run("today").status == "finished"


def test_a_new_store_takes_all_that_version_1_0_wrote(old_store: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.executescript((files("histhooks._store") / "schema.sql").read_text(encoding="utf-8"))
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("ATTACH ? AS old", (str(old_store),))
        with closing(made_old()) as old:
            columns = columns_of(old)
        db.execute("BEGIN")
        for table, found in columns.items():
            names = ", ".join(found)
            db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM old.{table}")
        db.execute("COMMIT")
    assert rows_of(new) == rows_of(old_store)
    assert_verified(new)


def test_a_store_of_a_newer_version_stays_as_it_is(old_store: Path) -> None:
    with closing(sqlite3.connect(old_store)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert migrate_apart(old_store) == ""
    assert query(old_store, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]
    assert query(old_store, "SELECT name FROM _sqlite_migrations") == [("0001_initial",)]
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


def test_a_spool_of_the_older_version_comes_home_into_a_store_of_today(store_path: Path) -> None:
    run_program(SHORT.format("today"), store_path)
    spool = lay_old_spool(store_path)
    before = rows_of(spool)
    assert ask("sync", str(store_path)).startswith("1 session came home")
    assert waiting(store_path) == []
    for table in ("exports", "points", "rollups", "metric_summaries", "sessions"):
        before.pop(table)  # local to a file, or counted on
    assert_nothing_lost(before, store_path)
    assert_up_to_date(store_path)
    with History(store_path) as history:
        assert len(history.run("far").metrics("loss")) == 70


def test_a_spool_of_today_waits_for_an_older_writer_and_comes_home_with_the_next_of_today(old_store: Path) -> None:
    run_program(SHORT.format("today"), old_store.with_name("other.db"), HISTHOOKS_NETWORK="1")
    (spool,) = waiting(old_store.with_name("other.db"))
    spool.parent.rename(old_store.with_name("histhooks.db.spool"))
    with older_writer(old_store):
        assert len(waiting(old_store)) == 1
        assert query(old_store, "PRAGMA user_version") == [(1000,)]
    run_program(SHORT.format("next"), old_store)
    assert waiting(old_store) == []
    with History(old_store) as history:
        assert {"today", "older", "next"} <= {run.name for run in history.runs()}
    assert_up_to_date(old_store)


# --- what stands in the way -------------------------------------------------------------------------------------------


def spooled(store: Path, err: str, *, says: str) -> None:
    """That a session told once why it records in a spool, and did."""
    assert err.count("this session records in a spool") == 1, err
    assert says in err
    with History(store) as history:
        assert len(history.spools) == 1
        assert history.run("aside").params == {"lr": 0.1}


def comes_home(store: Path, before: Rows) -> None:
    run_program(SHORT.format("next"), store)
    assert waiting(store) == []
    assert_up_to_date(store)
    assert_nothing_lost(before, store)
    with History(store) as history:
        assert {"aside", "next"} <= {run.name for run in history.runs()}


def test_an_old_store_that_somebody_holds_is_left_and_nothing_is_lost(old_store: Path) -> None:
    before = rows_of(old_store)
    with closing(sqlite3.connect(old_store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, _, err = run_program(SHORT.format("aside"), old_store)
        assert code == 0, err
        spooled(old_store, err, says="locked")
        other.execute("ROLLBACK")
    assert query(old_store, "PRAGMA user_version") == [(1000,)]
    comes_home(old_store, before)


def test_a_migration_that_cannot_have_the_store_for_itself_says_so_and_changes_nothing(old_store: Path) -> None:
    before = old_store.read_bytes()
    with closing(sqlite3.connect(old_store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as caught:
            migrate_apart(old_store)
        other.execute("ROLLBACK")
    assert is_busy(caught.value)
    assert old_store.read_bytes() == before
    assert migrate_apart(old_store) == ""
    assert_up_to_date(old_store)


@pytest.mark.skipif(bool(WITHOUT_RIGHTS) and not shutil.which("setpriv"), reason="root writes into any file")
@pytest.mark.parametrize("is_folder", [False, True])
def test_an_old_store_that_cannot_be_written_is_left_and_nothing_is_lost(
    old_store: Path, tmp_path: Path, is_folder: bool
) -> None:
    before = rows_of(old_store)
    folder = tmp_path / "closed"
    folder.mkdir()
    store = old_store.rename(folder / "histhooks.db")
    closed, mode = (folder, 0o555) if is_folder else (store, 0o444)
    closed.chmod(mode)
    try:
        environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
        command = [*WITHOUT_RIGHTS, sys.executable, "-c", SHORT.format("aside")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        spooled(store, done.stderr, says="make it writable")
    finally:
        closed.chmod(0o755)
    assert query(store, "PRAGMA user_version") == [(1000,)]
    comes_home(store, before)


def test_an_old_store_that_no_step_fits_is_left_and_says_why(old_store: Path) -> None:
    with closing(sqlite3.connect(old_store)) as db, db:
        db.execute("DELETE FROM _sqlite_migrations")
    before = old_store.read_bytes()
    code, _, err = run_program(SHORT.format("aside"), old_store)
    assert code == 0
    spooled(old_store, err, says="could not be brought up to date (OperationalError: table environments already exists")
    assert old_store.read_bytes() == before
    assert_verified(old_store)


def test_files_of_the_program_are_not_taken_for_ours_by_the_process_that_migrates(old_store: Path) -> None:
    for name in ("sqlite3.py", "sqlite_utils.py", "runpy.py"):
        Path(name).write_text("raise SystemExit('not this one')")
    assert migrate_apart(old_store) == ""
    assert_up_to_date(old_store)


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="here every interpreter finds histhooks by itself")
def test_where_the_program_found_us_the_process_that_migrates_finds_us_too(old_store: Path) -> None:
    bare = str(Path(sys.base_prefix) / "bin" / "python3")
    assert subprocess.run([bare, "-c", "import histhooks"], capture_output=True).returncode != 0
    program = f"import sys\nsys.path += {[folder for folder in sys.path if folder]!r}\n{SHORT.format('bare')}"
    environment = {**os.environ, "HISTHOOKS_STORE": str(old_store), "HISTHOOKS_STRICT": "0"}
    done = subprocess.run([bare, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert_up_to_date(old_store)


def test_ctrl_c_while_a_store_is_migrated_loses_nothing(old_store: Path) -> None:
    before = rows_of(old_store)
    program = (
        f"import os, psutil, signal, time\n{SHORT.format('cut')}\n"
        "    while all(os.getsid(child.pid) == os.getsid(0) for child in psutil.Process().children()): pass\n"
        "    os.killpg(0, signal.SIGINT); time.sleep(60)"
    )
    environment = {**os.environ, "HISTHOOKS_STORE": str(old_store)}
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60,
        start_new_session=True,
    )  # fmt: skip
    assert time.monotonic() - begin < 60
    assert "KeyboardInterrupt" in done.stderr
    assert waiting(old_store) == []
    assert_up_to_date(old_store)
    assert_nothing_lost(before, old_store)
    assert query(old_store, "SELECT status FROM runs WHERE name = 'cut'") == [("interrupted",)]
