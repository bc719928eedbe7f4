"""Tampering of every kind is found, named by its first row, by both verifiers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from histhooks._ledger import TABLES
from histhooks.verify import verify

PROGRAM = """
import histhooks
open("model.bin", "wb").write(b"weights")
for name in ("first", "second"):
    with histhooks.start_run(name, params={"a": 1, "b": [1, 2]}, tags={"team": "red"}) as run:
        for step in range(200):
            run.log({"loss": 1.0 / (step + 1), "val_acc": step / 200}, step=step, epoch=step // 10)
        run.log_results({"best": 3}); run.note("fine"); run.event("milestone", "halfway")
        run.log_artifact("model.bin"); run.log_dataset("train", [[1, 2]])
histhooks.flush()
"""
VERIFIER = Path(__file__).parent.parent / "docs" / "verify_ledger.py"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "histhooks.db"
    monkeypatch.setenv("HISTHOOKS_STORE", str(path))
    monkeypatch.setenv("HISTHOOKS_QUIET", "1")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, check=True, timeout=60)
    return path


def alone(store: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-I", str(VERIFIER), str(store), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout


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
    script = VERIFIER.read_text(encoding="utf-8")
    for table, spec in TABLES.items():
        assert f"| `{table}` |" in text
        assert ", ".join(spec.columns) in text
        assert ", ".join(spec.columns) in script
