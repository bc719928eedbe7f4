"""Stores and spools that older versions wrote, and what is asked of one that is brought up to date."""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from helpers.stores import VERIFIER
from histhooks.testing import query
from histhooks.verify import verify

DATA = Path(__file__).parents[1] / "data"


SHORT = "import histhooks\nwith histhooks.start_run({!r}, params={{'lr': 0.1}}) as run:\n    run.log({{'loss': 1.0}})"


SPOOLS = {
    "1.0": "01a21026-808a-7889-9c68-3c5b0e768fcf.db",
    "1.1": "01a228a5-a913-7550-963b-26bfd5fc953e.db",
    "1.2": "01a22bd3-c2dd-7efe-aa27-36ed3f0ab71b.db",
}


Rows = dict[str, set[tuple[Any, ...]]]


def number_of(version: str) -> int:
    """The version of a schema as the file holds it."""
    major, minor = version.split(".")
    return 1000 * int(major) + int(minor)


def lay_old_store(store: Path, version: str) -> Path:
    """Write a store of an old version."""
    store.write_bytes(gzip.decompress((DATA / f"store-{version}.db.gz").read_bytes()))
    assert query(store, "PRAGMA user_version") == [(number_of(version),)]
    return store


def lay_old_spool(store: Path, version: str) -> Path:
    """Write a spool of an old version beside a store."""
    spool = store.with_name(store.name + ".spool") / SPOOLS[version]
    spool.parent.mkdir()
    spool.write_bytes(gzip.decompress((DATA / f"spool-{version}.db.gz").read_bytes()))
    return spool


def rows_of(path: Path) -> Rows:
    """All rows of all tables, in the columns that version 1.0 had, which later ones kept."""
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
    """The columns of each table."""
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlite_%'").fetchall()
    return {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for (table,) in tables}


def assert_nothing_lost(before: Rows, path: Path) -> None:
    """That a store has all rows that it had."""
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
    """That a store verifies, also without this package."""
    assert verify(path).problems == []
    done = subprocess.run([sys.executable, str(VERIFIER), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


OLDER = """
import sys
from histhooks._store import opening
opening.SCHEMA_VERSION = {known}  # it knows of nothing later, and writes what it always wrote
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
def older_writer(store: Path, version: str) -> Iterator[None]:
    """A session of an older version that records before and after what is done inside."""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    process = subprocess.Popen(
        [sys.executable, "-c", OLDER.replace("{known}", str(number_of(version)))],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield
    process.communicate("go\n", timeout=60)
    assert process.returncode == 0
