"""What stands in the way of a migration: another program, rights, files, a signal; and nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from helpers.old_stores import (
    SHORT,
    Rows,
    assert_nothing_lost,
    assert_up_to_date,
    assert_verified,
    number_of,
    rows_of,
)
from histhooks import History
from histhooks._store.connection import is_busy
from histhooks._store.spools import waiting
from histhooks._store.upgrade import migrate_apart
from histhooks.testing import query, run_program

WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-fowner"] if os.geteuid() == 0 else []


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


def test_an_old_store_that_somebody_holds_is_left_and_nothing_is_lost(old_store: Path, version: str) -> None:
    before = rows_of(old_store)
    with closing(sqlite3.connect(old_store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, _, err = run_program(SHORT.format("aside"), old_store)
        assert code == 0, err
        spooled(old_store, err, says="locked")
        other.execute("ROLLBACK")
    assert query(old_store, "PRAGMA user_version") == [(number_of(version),)]
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
    old_store: Path, tmp_path: Path, is_folder: bool, version: str
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
    assert query(store, "PRAGMA user_version") == [(number_of(version),)]
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
