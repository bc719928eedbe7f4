"""One flipped bit anywhere in what the ledger covers is found, by ``verify`` and by the verifier that stands alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from helpers.stores import VERIFIER, alone
from helpers.stores import WHOLE_PROGRAM as PROGRAM
from histhooks._store.spools import waiting
from histhooks._store.tables import COVERED as TABLES
from histhooks.errors import StoreError
from histhooks.testing import run_program
from histhooks.verify import verify

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
    subprocess.run([sys.executable, "-c", EVERYTHING], cwd=folder, env=environment, check=True, timeout=300)
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


def covered_rows(store: Path) -> dict[str, list[str]] | None:
    """All that is covered, as it lies in the tables themselves and not in their indexes; None where SQLite gives up."""
    keys = {"points": ("series", "n"), "metric_summaries": ("series", "run_id"), "ledger": ("n_rows",)}
    covered = {**{table: spec.columns for table, spec in TABLES.items()}, **OTHER_COVERED}
    with closing(sqlite3.connect(f"{store.as_uri()}?immutable=1", uri=True)) as connection:
        connection.text_factory = bytes
        try:
            return {
                table: sorted(
                    map(repr, connection.execute(
                        f"SELECT {', '.join([*keys.get(table, ()), *columns])} FROM {table} NOT INDEXED"
                    ))
                )
                for table, columns in covered.items()
            }  # fmt: skip
        except (sqlite3.Error, UnicodeDecodeError):
            return None


@pytest.fixture(scope="module")
def as_written(full_store: Path) -> tuple[bytes, dict[str, list[str]] | None]:
    return full_store.read_bytes(), covered_rows(full_store)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_one_flipped_bit_anywhere_in_the_file_is_found_where_it_touches_what_is_covered(
    as_written: tuple[bytes, dict[str, list[str]] | None], data: st.DataObject
) -> None:
    """Not as SQL changes a row, which moves it to where it belongs: an index is trusted when rows are looked up."""
    content, before = as_written
    assert before is not None
    where = data.draw(st.integers(0, len(content) * 8 - 1))
    changed = bytearray(content)
    changed[where // 8] ^= 1 << where % 8
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        store.write_bytes(changed)
        is_as_before = covered_rows(store) == before
        try:
            problems = verify(store).problems
        except StoreError as error:
            problems = [str(error)]
        done = subprocess.run(
            [sys.executable, "-I", str(VERIFIER), str(store)], capture_output=True, text=True, timeout=300
        )
        event("as before" if is_as_before else "changed")
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1, 2)
        if not is_as_before:
            assert problems
            assert done.returncode != 0, done.stdout


@pytest.mark.parametrize("column", ["session_id", "run_id", "subject_id"])
def test_a_bit_of_a_key_that_an_index_still_has_is_found_by_both(full_store: Path, tmp_path: Path, column: str) -> None:
    """The worst place of all: rows are found by the index, which is as it was."""
    connection = sqlite3.connect(full_store)
    table = {"session_id": "ledger_parts", "run_id": "metric_summaries", "subject_id": "states"}[column]
    (key,) = connection.execute(f"SELECT {column} FROM {table} ORDER BY {column} DESC LIMIT 1").fetchone()
    connection.close()
    content, store = full_store.read_bytes(), tmp_path / "histhooks.db"
    places = [at for at in range(len(content)) if content.startswith(key.encode(), at)]
    assert places
    before = covered_rows(full_store)
    for at in places[:: max(1, len(places) // 20)]:
        changed = bytearray(content)
        changed[at] ^= 16
        store.write_bytes(changed)
        if covered_rows(store) == before:
            continue
        assert not verify(store).ok, at
        assert alone(store)[0] == 1, at


def test_a_schema_that_is_no_text_any_more_is_told_and_left_alone(full_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    content = bytearray(full_store.read_bytes())
    content[content.index(b"title TEXT NOT NULL") + 9] = 0xA0
    store.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read"):
        verify(store)
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), str(store)], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('a') as run: run.log({'loss': 1.0})", store)
    assert code == 0, err
    assert store.read_bytes() == bytes(content)
    assert len(waiting(store)) == 1
    assert verify(waiting(store)[0]).problems == []
