"""One flipped bit anywhere in what the ledger covers is found, by ``verify`` and by the verifier that stands alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from histhooks._ledger import TABLES
from histhooks.errors import StoreError
from histhooks.verify import verify
from test_verify import PROGRAM, alone

EVERYTHING = (
    PROGRAM
    + """
import random
histhooks.autolog()
random.seed(3)
with histhooks.start_run("third") as run:
    run.log({"loss": float("nan")}, step=7, epoch=2); run.log({"loss": 0.25}, step=9)
    run.link("uses", None, "ab" * 32)
    run.log_optimizer(0, "SGD", {"lr": 0.1}, [{"lr": 0.1, "n_parameters": 3}])
    run.log_architecture("torch", "Net", [{"class": "Linear"}], 3, 3)
"""
)
OTHER_COVERED = {
    "points": ("step", "epoch", "time", "value", "special"),
    "metric_summaries": ("name", "metric", "split", "direction", "start_time"),
    "ledger": ("session_id", "seq", "digest", "previous", "time", "heads"),
    "ledger_parts": ("session_id", "seq", "scope", "table_name", "first", "last", "n_rows", "digest", "ranges"),
}


def flipped(value: str | bytes | int | float, bit: int) -> str | bytes | int | float:
    """The value with one bit of it changed, as it lies in the file."""
    if isinstance(value, int):
        return value ^ 1 << bit % 63
    data = bytearray(
        struct.pack("<d", value) if isinstance(value, float) else value.encode() if isinstance(value, str) else value
    )
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    if isinstance(value, float):
        return float(struct.unpack("<d", data)[0])
    return data.decode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(data)


@pytest.fixture(scope="module")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with rows in every table that a recorder fills."""
    folder = tmp_path_factory.mktemp("full")
    path = folder / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1", "HISTHOOKS": ""}
    subprocess.run([sys.executable, "-c", EVERYTHING], cwd=folder, env=environment, check=True, timeout=60)
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_one_flipped_bit_anywhere_in_what_is_covered_is_found_by_both(full_store: Path, data: st.DataObject) -> None:
    covered = {**{table: spec.columns for table, spec in TABLES.items()}, **OTHER_COVERED}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        shutil.copy(full_store, store)
        connection = sqlite3.connect(store, isolation_level=None)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        filled = [table for table in covered if connection.execute(f"SELECT count(*) FROM {table}").fetchone() != (0,)]
        assert len(filled) >= 20
        table = data.draw(st.sampled_from(filled))
        column = data.draw(st.sampled_from(covered[table]))
        rows = connection.execute(f"SELECT * FROM {table} WHERE {column} IS NOT NULL").fetchall()
        assume(rows)
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        row = dict(zip(names, data.draw(st.sampled_from(rows))))
        before = row[column]
        assume(before not in ("", b""))
        after = flipped(before, data.draw(st.integers(0, 2**16)))
        where = " AND ".join(f"{name} IS ?" for name in names)
        try:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (after, *row.values()))
        except (sqlite3.IntegrityError, UnicodeEncodeError):
            assume(False)
        assume((connection.execute("SELECT changes()").fetchone()) == (1,))
        connection.close()
        event(f"{table}.{column}")
        try:
            problems = verify(store).problems
        except StoreError as error:
            problems = [str(error)]
        assert problems, (table, column, before, after)
        code, out = alone(store)
        assert out, "it tells, and does not fail"
        assert code == 1, (table, column, before, after, out)
