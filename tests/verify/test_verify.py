"""Tampering of every kind is found, named by its first row, by both verifiers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.stores import VERIFIER, alone
from helpers.stores import WHOLE_PROGRAM as PROGRAM
from histhooks import History, QueryError, StoreError
from histhooks._store.stamp import SCHEMA_VERSION
from histhooks._store.tables import COVERED as TABLES
from histhooks.testing import query
from histhooks.verify import verify


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "histhooks.db"
    monkeypatch.setenv("HISTHOOKS_STORE", str(path))
    monkeypatch.setenv("HISTHOOKS_QUIET", "1")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, check=True, timeout=60)
    return path


def change(store: Path, sql: str) -> None:
    connection = sqlite3.connect(store)
    assert connection.execute(sql).rowcount > 0
    connection.commit()
    connection.close()


def test_an_untouched_store_fits_for_both_verifiers_and_neither_changes_a_byte(store: Path) -> None:
    before = store.read_bytes()
    report = verify(store)
    assert report.ok, report.problems
    assert report.lines > 2
    assert report.cannot_prove
    assert alone(store)[0] == 0
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("UPDATE points SET value = 0.25 WHERE n = 7", "points"),
        ("UPDATE points SET step = 99 WHERE n = 7", "points"),
        ("DELETE FROM points WHERE n = 100", "points"),
        ("UPDATE params SET value = '2' WHERE key = 'a'", "params"),
        ("DELETE FROM params WHERE key = 'b'", "params"),
        ("UPDATE states SET state = replace(state, 'finished', 'failed')", "states"),
        ("UPDATE results SET value = '4'", "results"),
        ("UPDATE events SET title = 'nothing'", "events"),
        ("UPDATE artifacts SET size_bytes = 8", "artifacts"),
        ("UPDATE run_artifacts SET path = '/else'", "run_artifacts"),
        ("UPDATE datasets SET n_rows = 5", "datasets"),
        ("UPDATE tags SET value_sha256 = replace(value_sha256, 'a', 'b')", "tags"),
        ("DELETE FROM notes", "notes"),
        ("UPDATE metric_summaries SET direction = 1 WHERE name = 'loss'", "points"),
        ("UPDATE ledger SET digest = replace(digest, '0', '1')", "ledger"),
        ("UPDATE ledger SET time = time + 1 WHERE seq = 0", "ledger"),
        ("DELETE FROM ledger WHERE seq = 0", "ledger"),
        ("DELETE FROM ledger_parts WHERE table_name = 'params'", "ledger"),
    ],
)
def test_a_change_to_what_is_covered_is_found_by_both(store: Path, sql: str, names: str) -> None:
    change(store, sql)
    report = verify(store)
    assert not report.ok
    assert names in report.problems[0]
    code, out = alone(store)
    assert code == 1
    assert names in out or "line" in out


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("UPDATE runs SET status = 'failed' WHERE name = 'first'", "status"),
        ("UPDATE runs SET duration_s = 1000", "duration_s"),
        ("UPDATE sessions SET exit_code = 0", "exit_code"),
        ("UPDATE metric_summaries SET min = 0", "summary"),
        ("UPDATE rollups SET mean = 0", "rollups"),
        ("UPDATE sessions SET username = 'somebody'", "username"),
        ("UPDATE tags SET value = 'blue'", "value"),
        ("INSERT INTO params SELECT run_id, ordinal + 10, key, value, source, time FROM params", "params"),
        ("INSERT INTO packages SELECT id, 'zzz', '1' FROM environments", "packages"),
    ],
)
def test_a_change_to_what_is_derived_or_added_is_found(store: Path, sql: str, names: str) -> None:
    change(store, sql)
    report = verify(store)
    assert not report.ok
    assert names in report.problems[0]


def test_a_tombstone_that_no_line_covers_excuses_nothing(store: Path) -> None:
    connection = sqlite3.connect(store)
    session_id, digest, run_id = connection.execute(
        "SELECT session_id, digest, scope FROM ledger_parts WHERE table_name = 'params' LIMIT 1"
    ).fetchone()
    connection.execute("DELETE FROM params WHERE run_id = ?", (run_id,))
    connection.execute(
        "INSERT INTO tombstones (session_id, ordinal, action, subject_id, digests, reason, actor_sha256, time) "
        "VALUES (?, 0, 'delete', ?, json_array(?), 'none', '', 0)",
        (session_id, run_id, digest),
    )
    connection.commit()
    connection.close()
    assert not verify(store).ok
    assert alone(store)[0] == 1


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE states SET state = 'no JSON'",
        "UPDATE states SET state = '[1]'",
        "UPDATE ledger SET heads = 'no JSON' WHERE heads IS NOT NULL",
        "UPDATE ledger SET heads = '[[1]]' WHERE heads IS NOT NULL",
        "UPDATE ledger_parts SET ranges = 'no JSON' WHERE table_name = 'points'",
        "UPDATE ledger_parts SET ranges = '{}' WHERE table_name = 'points'",
        "UPDATE salts SET salt = 'no salt'",
        "UPDATE points SET special = 'odd' WHERE n = 3",
        "UPDATE ledger_parts SET table_name = 'nothing' WHERE table_name = 'params'",
    ],
)
def test_a_change_that_breaks_the_form_is_found_too(store: Path, sql: str) -> None:
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    assert connection.execute(sql).rowcount > 0
    connection.commit()
    connection.close()
    report = verify(store)
    assert not report.ok
    assert report.problems


def test_a_session_that_was_cut_short_is_missed_by_a_later_one(store: Path) -> None:
    connection = sqlite3.connect(store)
    (session_id, last) = connection.execute(
        "SELECT session_id, max(seq) FROM ledger GROUP BY session_id ORDER BY min(time)"
    ).fetchone()
    connection.execute("DELETE FROM ledger WHERE session_id = ? AND seq = ?", (session_id, last))
    connection.execute("DELETE FROM ledger_parts WHERE session_id = ? AND seq = ?", (session_id, last))
    connection.commit()
    connection.close()
    assert any("cut short" in problem for problem in verify(store).problems)


def test_erased_personal_values_are_redacted_and_fit(store: Path) -> None:
    change(store, "UPDATE sessions SET username = NULL, hostname = NULL")
    change(store, "DELETE FROM salts WHERE field IN ('username', 'hostname')")
    report = verify(store)
    assert report.ok, report.problems
    assert report.redacted == 4
    assert alone(store)[0] == 0


def test_a_head_that_was_kept_elsewhere_must_be_there(store: Path) -> None:
    connection = sqlite3.connect(store)
    (head,) = connection.execute("SELECT digest FROM ledger ORDER BY time DESC").fetchone()
    connection.close()
    assert verify(store, head=head[:12]).ok
    assert not verify(store, head="0" * 12).ok
    assert alone(store, head)[0] == 0
    assert alone(store, "0" * 12)[0] == 1


def test_the_specification_names_every_covered_column() -> None:
    text = (VERIFIER.parent / "ledger.md").read_text(encoding="utf-8")
    script = VERIFIER.read_text(encoding="utf-8").replace('"\n        "', "")
    for table, spec in TABLES.items():
        assert f"| `{table}` |" in text
        assert ", ".join(spec.columns) in text
        assert ", ".join(spec.columns) in script


# Root writes into any folder, unless it gives up the right to.
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-fowner"] if os.geteuid() == 0 else []


def may_lack_rights() -> bool:
    return not WITHOUT_RIGHTS or shutil.which("setpriv") is not None


# --- what surrounds a store -------------------------------------------------------------------------------------------

LIVE = """
import sys, histhooks
from histhooks._record.engine import engine
with histhooks.start_run("live") as run:
    run.log({"loss": 1.0})
    histhooks.recorder.note_capture("thing", "failed", "it was not there", run=run)
    engine.session.dropped_points = 7
    histhooks.flush()
    print("ready", flush=True)
    sys.stdin.readline()
    run.log({"loss": 0.5})
"""


@contextmanager
def live(store: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, **variables}
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.communicate("go\n", timeout=60)


def folder_of(store: Path) -> dict[str, str]:
    files = [path for path in store.parent.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_verifying_changes_no_byte_of_the_folder_and_leaves_no_file_in_it(store: Path) -> None:
    for path in store.parent.glob("histhooks.db-*"):
        path.unlink()
    before = folder_of(store)
    assert verify(store).ok
    assert folder_of(store) == before


def test_a_log_that_a_killed_process_left_is_read_and_left(store: Path) -> None:
    with live(store) as process:
        process.kill()
        process.wait()
    wal = store.with_name("histhooks.db-wal")
    before = hashlib.sha256(wal.read_bytes()).hexdigest()
    assert wal.stat().st_size > 0
    report = verify(store)
    assert report.problems == []
    assert hashlib.sha256(wal.read_bytes()).hexdigest() == before
    (gone,) = report.without_end
    assert (gone["status"], gone["kind"], gone["cwd"]) == ("killed", "script", os.getcwd())
    assert gone["last_seen_at"] > gone["started_at"]
    assert report.sessions_without_end == [gone["id"]]


def test_sessions_that_live_dropped_points_and_failed_captures_are_told(store: Path) -> None:
    with live(store):
        report = verify(store)
        assert report.problems == []
        assert len(report.still_recording) == 1
        assert report.sessions_without_end == []
        assert {"collector": "thing", "note": "it was not there", "count": 1} in report.failed_captures
        (session_id,) = report.still_recording
    report = verify(store)
    assert report.still_recording == []
    assert report.dropped_points == 7
    assert report.dropped_by == [{"session_id": session_id, "points": 7}]


def test_who_writes_in_the_middle_is_no_forger(store: Path) -> None:
    for path in store.parent.glob("histhooks.db-*"):
        path.unlink()
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        if not told:
            subprocess.run([sys.executable, "-c", PROGRAM], cwd=store.parent, check=True, timeout=60)
        told.append((done, total))

    lines = verify(store).lines
    report = verify(store, progress=progress)
    assert report.problems == []
    assert report.lines > lines
    assert told[-1][0] == told[-1][1]


def test_waiting_spools_are_verified_and_so_is_where_they_follow(store: Path) -> None:
    for _ in range(2):
        environment = {**os.environ, "HISTHOOKS_NETWORK": "1"}
        subprocess.run([sys.executable, "-c", PROGRAM], cwd=store.parent, env=environment, check=True, timeout=60)
    for path in store.parent.glob("histhooks.db-*"):
        path.unlink()
    before = folder_of(store)
    alone_lines = len(query(store, "SELECT 1 FROM ledger"))
    for path in store.parent.glob("histhooks.db-*"):
        path.unlink()
    report = verify(store)
    assert report.problems == []
    assert [spool["ok"] for spool in report.spools] == [True, True]
    assert report.lines == alone_lines + sum(spool["lines"] for spool in report.spools)
    assert folder_of(store) == before
    spool = Path(report.spools[1]["path"])
    (head,) = query(spool, "SELECT digest FROM ledger ORDER BY time DESC LIMIT 1")[0]
    assert verify(store, head=str(head)[:12]).ok
    change(spool, "UPDATE params SET value = '5'")
    report = verify(store)
    assert not report.ok
    assert report.problems[0].startswith(f"{spool}: params")
    assert [told["ok"] for told in report.spools] == [True, False]
    spool.write_bytes(b"no database, though long enough to be looked at" * 100)
    assert "cannot be read" in verify(store).problems[0]


def test_a_session_that_moved_to_a_spool_follows_its_lines_in_the_store(store: Path) -> None:
    # Somebody else holds the store when the session ends, for longer than an end can wait.
    with live(store):
        other = sqlite3.connect(store, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
    other.execute("COMMIT")
    other.close()
    report = verify(store)
    assert report.problems == []
    assert len(report.spools) == 1
    with History(store) as history:
        assert [point["value"] for point in history.run("live").metrics("loss")] == [1.0, 0.5]
        assert history.run("live").status == "finished"
    session_id = Path(report.spools[0]["path"]).stem
    assert session_id not in report.sessions_without_end  # its end lies in the spool
    last = f"(SELECT max(seq) FROM ledger WHERE session_id = '{session_id}')"
    change(store, f"DELETE FROM ledger_parts WHERE session_id = '{session_id}' AND seq = {last}")
    change(store, f"DELETE FROM ledger WHERE session_id = '{session_id}' AND seq = {last}")
    assert any("missing" in problem for problem in verify(store).problems if session_id in problem)


def test_spools_without_a_store_are_verified(store: Path) -> None:
    environment = {**os.environ, "HISTHOOKS_NETWORK": "1", "HISTHOOKS_STORE": str(store.with_name("none.db"))}
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=store.parent, env=environment, check=True, timeout=60)
    store.with_name("none.db").unlink(missing_ok=True)
    report = verify(store.with_name("none.db"))
    assert (report.ok, len(report.spools)) == (True, 1)
    assert report.lines > 2


def test_a_store_of_a_newer_minor_version_is_verified_and_of_a_newer_major_one_is_not(store: Path) -> None:
    connection = sqlite3.connect(store)
    connection.execute("ALTER TABLE runs ADD COLUMN mood TEXT")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    assert verify(store).ok
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA user_version = 2000")
    connection.close()
    with pytest.raises(StoreError, match="update histhooks"):
        verify(store)


@pytest.mark.skipif(not may_lack_rights(), reason="root writes into any folder")
@pytest.mark.parametrize("has_log", [False, True])
def test_a_store_in_a_folder_that_cannot_be_written_is_verified(store: Path, has_log: bool) -> None:
    if has_log:
        with live(store) as process:
            process.kill()
            process.wait()
        store.with_name("histhooks.db-shm").unlink()
    else:
        for path in store.parent.glob("histhooks.db-*"):
            path.unlink()
    before = folder_of(store)
    store.parent.chmod(0o555)
    try:
        command = [*WITHOUT_RIGHTS, sys.executable, "-m", "histhooks", "verify", str(store)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        store.parent.chmod(0o755)
    assert (done.returncode, "unaltered" in done.stdout) == (0, True), done.stderr
    assert folder_of(store) == before


def test_the_verb_fits_a_screen_and_its_json_has_all(store: Path) -> None:
    for _ in range(8):
        with live(store) as process:
            process.kill()
            process.wait()
    command = [sys.executable, "-m", "histhooks", "verify", str(store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    for word in (
        "did not record their own end: 8",
        "... and 3 more",
        "captures that failed: 8",
        "8 × thing: it was not",
    ):
        assert word in done.stdout
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert len(json.loads(done.stdout)["without_end"]) == 8
    assert subprocess.run([*command, "more"], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("word", ["zz", "", "9f3", "g" * 12, "0" * 65, "9f31c02ab4d7 x"])
def test_a_word_that_is_no_digest_is_wrong_use_and_no_accusation(store: Path, word: str) -> None:
    with pytest.raises(QueryError, match="is no head"):
        verify(store, head=word)
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", "verify", str(store), "--head", word],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "ALTERED" in done.stdout + done.stderr) == (2, False)
    assert alone(store, word)[0] == 2


def test_a_head_that_is_not_here_is_told_apart_from_a_change(store: Path) -> None:
    def ask() -> tuple[int, str]:
        command = [sys.executable, "-m", "histhooks", "verify", str(store), "--head", "ABCDEF123456"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    code, text = ask()
    assert (code, "ALTERED" in text, "but no entry has that head" in text) == (1, False, True)
    change(store, "UPDATE events SET title = 'other' WHERE kind = 'milestone'")
    code, text = ask()
    assert (code, "ALTERED" in text) == (1, True)


def test_a_store_of_a_newer_minor_is_read_and_never_called_altered(store: Path) -> None:
    connection = sqlite3.connect(store)
    connection.executescript(
        f"PRAGMA user_version = {SCHEMA_VERSION + 1}; CREATE TABLE versions (id TEXT PRIMARY KEY, n INTEGER) STRICT;"
        "ALTER TABLE runs ADD COLUMN verdict TEXT; INSERT INTO versions VALUES ('a', 1);"
        "INSERT INTO ledger_parts SELECT session_id, seq, 'a', 'versions', 0, 0, 1, digest, NULL FROM ledger LIMIT 1;"
    )
    connection.close()
    for words in (["runs"], ["show", "last"], ["metrics", "last"]):
        done = subprocess.run(
            [sys.executable, "-m", "histhooks", *words, "--store", str(store)], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    done = subprocess.run([sys.executable, "-m", "histhooks", "verify", str(store)], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"update histhooks" in done.stderr
    assert b"ALTERED" not in done.stdout + done.stderr
    done = subprocess.run([sys.executable, "-I", VERIFIER, store], capture_output=True, check=False)
    assert (done.returncode, b"update histhooks" in done.stderr) == (2, True)
    assert query(store, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]


def test_the_verifier_that_stands_alone_knows_the_newest_schema() -> None:
    assert f"NEWEST = {SCHEMA_VERSION} " in VERIFIER.read_text(encoding="utf-8")
