"""Redaction: what was said of a person or a run is in no byte of the file, and both verifiers pass."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.curating import PERSON, SEARCH, fits, record, recording
from histhooks import curate
from histhooks.testing import query
from histhooks.verify import verify

NOTED = """
import histhooks, sys
sys.orig_argv.append("/home/zaphodbb/data.csv")
with histhooks.start_run("train", tags={"owner": "zaphodbb", "team": "red"}) as run:
    run.note("ask zaphodbb about this")
    run.log({"loss": 0.5})
"""


def test_a_redacted_person_is_in_no_byte_of_the_file_and_both_verifiers_pass(store_path: Path) -> None:
    record(store_path, NOTED, **PERSON)
    record(store_path, NOTED.replace("zaphodbb about", "trillian about").replace('"zaphodbb"', '"t"'), LOGNAME="other")
    curate.tag("train", {"seen": "yes"}, store=store_path)
    assert b"zaphodbb" in store_path.read_bytes()
    told = curate.redact(users=("zaphodbb",), reason="request 7", store=store_path, dry_run=True)
    assert told.values["sessions.username"] == 1
    assert b"zaphodbb" in store_path.read_bytes()
    done = curate.redact(users=("zaphodbb",), reason="request 7", store=store_path)
    assert done.values == told.values
    assert done.values["sessions.command"] == 2  # of the other account too, whose command line names this one
    assert (done.remains, done.left, done.notice) == ({}, [], None)
    for file in store_path.parent.glob("histhooks.db*"):
        assert b"zaphodbb" not in file.read_bytes(), file
    # Of this person all goes, of others what names them only.
    rows = query(store_path, "SELECT username, hostname IS NULL, cwd IS NULL FROM sessions "
                 "WHERE kind <> 'command' ORDER BY id")  # fmt: skip
    assert rows == [(None, 1, 1), ("other", 0, 0)]
    assert query(store_path, "SELECT count(*) FROM notes WHERE body LIKE '%trillian%'") == [(1,)]
    assert query(store_path, "SELECT key, value FROM tags ORDER BY key, value") == [
        ("owner", None), ("owner", "t"), ("seen", "yes"), ("team", None), ("team", "red")
    ]  # fmt: skip
    assert query(store_path, "SELECT DISTINCT action, reason FROM tombstones") == [("redact", "request 7")]
    report = verify(store_path)
    assert report.redacted == sum(done.values.values())
    fits(store_path)


def test_who_redacts_themselves_is_not_written_down_again(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(store_path, NOTED, **PERSON)
    for name, value in PERSON.items():
        monkeypatch.setenv(name, value)
    curate.note("last", "I am zaphodbb", store=store_path)
    curate.redact(users=("zaphodbb",), reason="my wish", store=store_path)
    assert b"zaphodbb" not in store_path.read_bytes()
    assert query(store_path, "SELECT count(*) FROM sessions WHERE hostname IS NOT NULL") == [(0,)]
    fits(store_path)


def test_what_the_ledger_covers_stays_and_is_told(store_path: Path) -> None:
    program = NOTED + "    run.log_params({'file': '/home/zaphodbb/a.csv'})\n"
    record(store_path, program, **PERSON)
    done = curate.redact(users=("zaphodbb",), reason="request 7", store=store_path)
    assert done.remains == {"params.value": 1}
    fits(store_path)


def test_the_values_of_one_run_go_and_those_of_others_stay(store_path: Path) -> None:
    record(store_path, NOTED, **PERSON)
    record(store_path, NOTED.replace('"train"', '"second"'), **PERSON)
    done = curate.redact(runs=("train",), reason="request 7", store=store_path)
    assert {place: done.values[place] for place in ("sessions.username", "notes.body", "tags.value")} == {
        "sessions.username": 1, "notes.body": 1, "tags.value": 2
    }  # fmt: skip
    assert query(store_path, "SELECT count(*) FROM sessions WHERE username = 'zaphodbb'") == [(1,)]
    assert query(store_path, "SELECT count(*) FROM notes WHERE body IS NOT NULL") == [(1,)]
    fits(store_path)


@pytest.mark.parametrize("network", ["0", "1"])
def test_a_session_that_still_records_keeps_its_values_until_it_has_ended(store_path: Path, network: str) -> None:
    record(store_path, NOTED, **PERSON)
    with recording(store_path, HISTHOOKS_NETWORK=network, **PERSON):
        done = curate.redact(users=("zaphodbb",), reason="request 7", store=store_path)
        assert len(done.left) == 1
        assert done.values["sessions.username"] == 1
    done = curate.redact(users=("zaphodbb",), reason="request 7", store=store_path)
    assert done.left == []
    assert b"zaphodbb" not in store_path.read_bytes()
    fits(store_path)


def test_what_was_erased_by_hand_has_no_tombstone(store_path: Path) -> None:
    record(store_path, NOTED, **PERSON)
    curate.redact(users=("zaphodbb",), reason="request 7", store=store_path)
    assert verify(store_path).redacted_by_hand == 0
    record(store_path, NOTED)
    connection = sqlite3.connect(store_path)
    connection.execute("UPDATE notes SET body = NULL")
    connection.execute("DELETE FROM salts WHERE field LIKE '%/body'")
    connection.commit()
    connection.close()
    report = verify(store_path)
    assert (report.ok, report.redacted_by_hand) == (True, 1)


def test_a_value_that_was_changed_instead_of_erased_is_found(store_path: Path) -> None:
    record(store_path, NOTED, **PERSON)
    curate.redact(users=("zaphodbb",), reason="request 7", store=store_path)
    connection = sqlite3.connect(store_path)
    connection.execute("UPDATE sessions SET username = 'ford' WHERE username IS NULL")
    connection.commit()
    connection.close()
    assert "username" in verify(store_path).problems[0]


def test_a_command_that_dies_in_the_middle_leaves_the_store_as_it_was(store_path: Path) -> None:
    record(store_path, SEARCH)
    program = f"""
import os, signal
from histhooks import curate
from histhooks._store.store import Store
write = Store.write
def die(self, batch):
    write(self, batch)
    os.kill(os.getpid(), signal.SIGKILL)
Store.write = die
curate.delete("search", reason="wrong", store={str(store_path)!r})
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL
    assert query(store_path, "SELECT count(*) FROM runs") == [(5,)]
    assert query(store_path, "SELECT count(*) FROM sessions") == [(1,)]
    fits(store_path)
    begin = time.monotonic()
    curate.delete("search", reason="wrong", store=store_path)
    assert time.monotonic() - begin < 60
    fits(store_path)
