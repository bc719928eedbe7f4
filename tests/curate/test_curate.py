"""Tags, notes, names, deletion, pruning and redaction: what they leave, what they refuse, and that the ledger fits."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import held_data
from helpers.stores import VERIFIER
from histhooks import History, QueryError, StoreError, curate
from histhooks._store.spools import waiting
from histhooks.export import export
from histhooks.testing import query, run_program
from histhooks.verify import verify

SEARCH = """
import histhooks
with histhooks.start_run("search", params={"grid": [1, 2]}, tags={"team": "red"}) as search:
    search.log_dataset("train", np.arange(6.0).reshape(3, 2))
    for number in range(3):
        with histhooks.start_run(f"child {number}", params={"C": number}) as child:
            child.log_dataset("train", np.arange(6.0).reshape(3, 2))
            child.log_dataset("valid", np.ones((2, 2)))
            child.log_architecture("torch", "Net", ["layer"], 3, 3)
            for step in range(500):
                child.log({"loss": 1.0 / (step + 1), "val_loss": 2.0}, step=step)
            child.note("inside"); child.log_artifact("model.bin"); child.log_results({"best": number})
            child.event("milestone", "halfway"); child.log_optimizer(0, "Adam", {"lr": 0.1}, [{"lr": 0.1}])
with histhooks.start_run("other") as other:
    other.log_dataset("train", np.arange(6.0).reshape(3, 2))
    other.log({"loss": 0.5})
"""


def record(store: Path, program: str, **variables: str) -> None:
    (store.parent / "model.bin").write_bytes(b"weights")
    code, _, err = run_program("import numpy as np\n" + textwrap.dedent(program), store, **variables)
    assert code == 0, err


def fits(store: Path) -> None:
    """Both verifiers say yes, no reference leads nowhere, and the file is sound."""
    report = verify(store)
    assert report.problems == []
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), str(store)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert query(store, "PRAGMA foreign_key_check") == []
    assert query(store, "PRAGMA integrity_check") == [("ok",)]


def places_of(store: Path, word: str) -> set[str]:
    """Every table.column that has a word in it."""
    connection = sqlite3.connect(store)
    found = set()
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for column in [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]:
            if connection.execute(f"SELECT 1 FROM {table} WHERE instr({column}, ?) LIMIT 1", (word,)).fetchone():
                found.add(f"{table}.{column}")
    connection.close()
    return found


@contextmanager
def recording(store: Path, more: str = "pass", **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a run that has ended and a run that has not."""
    program = f"""
import sys, histhooks
with histhooks.start_run("early") as run:
    run.log({{"loss": 1.0}})
with histhooks.start_run("live") as run:
    run.log({{"loss": 1.0}})
    {more}
    histhooks.flush()
    print("ready", flush=True)
    sys.stdin.readline()
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", **variables}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.communicate("go\n", timeout=300)


# --- tags, notes, names -----------------------------------------------------------------------------------------------


def test_a_tag_a_note_and_a_name_are_sessions_of_their_own_with_author_time_and_ledger(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store_path, SEARCH)
    monkeypatch.setenv("HISTHOOKS_ACTOR", "ann@example.org")
    run_id = curate.tag("other", {"team": "blue", "api_key": "abcdefgh12345678", "baseline": ""}, store=store_path)
    assert curate.note(run_id, "the first\nof its kind", store=store_path) == run_id
    assert curate.rename(run_id[-8:], "  baseline  ", store=store_path) == run_id
    with History(store_path) as history:
        run = history.run("baseline")
        assert run.id == run_id
        tags = {row["key"]: (row["value"], row["author"]) for row in run.related("tags")}
        assert tags["team"] == ("blue", "ann@example.org")
        assert tags["baseline"] == ("", "ann@example.org")
        assert "abcdefgh" not in str(tags["api_key"][0])
        assert [(row["body"], row["author"]) for row in run.related("notes")] == [
            ("the first\nof its kind", "ann@example.org")
        ]
    sessions = query(store_path, "SELECT status, command FROM sessions WHERE kind = 'command' ORDER BY id")
    assert [(status, str(command).split()[1]) for status, command in sessions] == [
        ("finished", "tag"), ("finished", "note"), ("finished", "rename")
    ]  # fmt: skip
    assert query(store_path, "SELECT count(*) FROM ledger WHERE session_id IN "
                 "(SELECT id FROM sessions WHERE kind = 'command')") == [(3,)]  # fmt: skip
    names = query(store_path, f"SELECT json_extract(state, '$.name') FROM states WHERE subject_id = '{run_id}' "
                  "AND json_extract(state, '$.name') IS NOT NULL ORDER BY time")  # fmt: skip
    assert names == [("other",), ("baseline",)]
    assert places_of(store_path, "the first") == {"notes.body"}
    fits(store_path)


def test_a_run_that_still_records_can_be_tagged_and_renamed_and_keeps_its_new_name(store_path: Path) -> None:
    with recording(store_path):
        curate.tag("live", {"hot": "yes"}, store=store_path)
        curate.rename("live", "the hot one", store=store_path)
    with History(store_path) as history:
        assert history.run("the hot one").status == "finished"
    fits(store_path)


@pytest.mark.parametrize("call", [
    lambda store: curate.tag("other", {}, store=store),
    lambda store: curate.tag("other", {" ": "x"}, store=store),
    lambda store: curate.note("other", " \n", store=store),
    lambda store: curate.rename("other", "  ", store=store),
    lambda store: curate.tag("nobody", {"a": "b"}, store=store),
    lambda store: curate.delete("nobody", reason="x", store=store),
    lambda store: curate.delete("other", reason="  ", store=store),
    lambda store: curate.delete(reason="x", store=store),
    lambda store: curate.prune(store=store),
    lambda store: curate.prune(older_than="soon", store=store),
    lambda store: curate.prune(status="fine", store=store),
    lambda store: curate.prune(status="failed", dry_run=False, store=store),
    lambda store: curate.redact(reason="x", store=store),
    lambda store: curate.redact(reason="x", users=("",), store=store),
    lambda store: curate.redact(reason="ann asked for it", users=("ann",), store=store),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused_and_changes_nothing(store_path: Path, call: object) -> None:
    record(store_path, SEARCH)
    before = query(store_path, "SELECT count(*), max(digest) FROM ledger")
    with pytest.raises(QueryError):
        call(store_path)  # type: ignore[operator]
    assert query(store_path, "SELECT count(*), max(digest) FROM ledger") == before


def test_there_is_no_store_and_none_is_made(store_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        curate.tag("last", {"a": "b"}, store=store_path)
    assert not store_path.exists()


# --- deletion ---------------------------------------------------------------------------------------------------------


def test_a_deleted_run_goes_with_its_children_and_leaves_tombstones_and_nothing_else(store_path: Path) -> None:
    record(store_path, SEARCH)
    ids = [str(i) for (i,) in query(store_path, "SELECT id FROM runs WHERE name <> 'other'")]
    shared = query(store_path, "SELECT dataset_id FROM run_datasets WHERE run_id NOT IN "
                   "(SELECT id FROM runs WHERE name <> 'other')")  # fmt: skip
    told = curate.delete("search", reason="wrong data", store=store_path, dry_run=True)
    assert sorted(run["id"] for run in told.runs) == sorted(ids)
    fits(store_path)
    assert query(store_path, "SELECT count(*) FROM runs") == [(5,)]
    before = store_path.stat().st_size
    done = curate.delete("search", reason="wrong data", store=store_path)
    assert [run["is_child"] for run in done.runs] == [False, True, True, True]
    assert done.notice is None
    assert store_path.stat().st_size < before - 50_000
    assert done.freed_bytes > 50_000
    assert query(store_path, "SELECT name FROM runs") == [("other",)]
    for run_id in ids:
        assert places_of(store_path, run_id) == {"ledger_parts.scope", "tombstones.subject_id"}
    assert query(store_path, "SELECT id FROM datasets") == [shared[0]]
    for table in ("architectures", "artifacts", "optimizers", "params"):
        assert query(store_path, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert query(store_path, "SELECT DISTINCT action, reason FROM tombstones") == [("delete", "wrong data")]
    assert query(store_path, "SELECT count(*) FROM tombstones") == [(4 + 4,)]  # a data set, its sketch, a file, layers
    assert query(store_path, "SELECT count(*) FROM tombstones WHERE actor IS NULL") == [(0,)]
    report = verify(store_path)
    assert report.deleted > 10
    (deed,) = report.tombstones
    assert (deed["action"], deed["reason"], len(deed["subject_ids"])) == ("delete", "wrong data", 4 + 4)
    with History(store_path) as history, pytest.raises(QueryError, match=r"it was deleted .* by .*: wrong data"):
        history.run(ids[0][-8:])
    fits(store_path)
    # What was deleted may be recorded again.
    record(store_path, SEARCH)
    fits(store_path)


def test_a_kept_file_goes_with_the_last_run_that_needs_it(store_path: Path) -> None:
    record(store_path, """
        import histhooks
        open("other.bin", "w").write("more")
        import pathlib
        pathlib.Path("folder").mkdir(); pathlib.Path("folder/model.bin").write_bytes(b"weights")
        pathlib.Path("folder/inside.bin").write_bytes(b"inside")
        with histhooks.start_run("one") as run:
            run.log_artifact("model.bin", keep=True); run.log_artifact("other.bin", keep=True)
        with histhooks.start_run("two") as run: run.log_artifact("folder", keep=True)
        with histhooks.start_run("three") as run: run.log_artifact("other.bin", role="config")
    """)  # fmt: skip
    kept = store_path.with_name("histhooks.db.files")

    def left() -> set[bytes]:
        return {path.read_bytes() for path in kept.rglob("*") if path.is_file()}

    assert left() == {b"weights", b"more", b"inside"}
    would = curate.delete("two", reason="wrong", store=store_path, dry_run=True)
    assert (would.kept_files, would.kept_bytes) == (1, 6)
    done = curate.delete("one", reason="wrong", store=store_path)
    assert (done.kept_files, left()) == (0, {b"weights", b"more", b"inside"})
    done = curate.delete("two", reason="wrong", store=store_path)
    assert (done.kept_files, done.kept_bytes, left()) == (2, 13, {b"more"})
    assert query(store_path, "SELECT count(*) FROM contents WHERE kind = 'manifest'") == [(0,)]
    curate.delete("three", reason="wrong", store=store_path)
    assert left() == set()
    fits(store_path)


def test_a_copy_of_which_nobody_knows_is_removed_after_a_day(store_path: Path) -> None:
    record(store_path, """
        import histhooks
        with histhooks.start_run("one") as run: run.log_artifact("model.bin", keep=True)
        with histhooks.start_run("two") as run: pass
        with histhooks.start_run("three") as run: pass
    """)  # fmt: skip
    place = store_path.with_name("histhooks.db.files") / "ab"
    place.mkdir()
    (place / ("ab" * 32)).write_bytes(b"of nobody")
    (place / "README").write_text("of a person")
    curate.delete("two", reason="wrong", store=store_path)
    assert (place / ("ab" * 32)).exists()
    os.utime(place / ("ab" * 32), (0, 0))
    curate.delete("three", reason="wrong", store=store_path)
    assert [path.name for path in place.iterdir()] == ["README"]
    assert verify(store_path).kept_files == 1


def test_a_new_copy_stays_while_a_session_records(store_path: Path) -> None:
    record(store_path, """
        import histhooks
        with histhooks.start_run("one") as run: run.log_artifact("model.bin", keep=True)
    """)  # fmt: skip
    (path,) = (path for path in store_path.with_name("histhooks.db.files").rglob("*") if path.is_file())
    with recording(store_path):
        done = curate.delete("one", reason="wrong", store=store_path)
        assert path.exists()
        assert "1 kept files stay for now" in str(done.notice)


def test_kept_files_of_a_run_are_redacted_if_that_is_asked_for(store_path: Path) -> None:
    record(store_path, """
        import histhooks
        with histhooks.start_run("one") as run: run.log_artifact("model.bin", keep=True)
    """)  # fmt: skip
    kept = store_path.with_name("histhooks.db.files")
    with pytest.raises(QueryError, match="name a run too"):
        curate.redact(users=("ann",), files=True, reason="request", store=store_path)
    assert curate.redact(runs=("one",), reason="request", store=store_path).kept_files == 0
    assert verify(store_path).kept_files == 1
    assert curate.redact(runs=("one",), files=True, reason="request", store=store_path, dry_run=True).kept_files == 1
    assert curate.redact(runs=("one",), files=True, reason="request", store=store_path).kept_files == 1
    assert [path for path in kept.rglob("*") if path.is_file()] == []
    fits(store_path)


def test_a_name_that_could_mean_another_run_is_not_enough_to_delete_or_redact(store_path: Path) -> None:
    record(store_path, SEARCH, HISTHOOKS_PROJECT="elsewhere")
    record(store_path, SEARCH, HISTHOOKS_PROJECT="somewhere")
    for selector in ("search", "last"):
        with pytest.raises(QueryError, match="could mean another run"):
            curate.delete(selector, reason="wrong", store=store_path)
    with pytest.raises(QueryError, match="could mean another run"):
        curate.redact(runs=("search",), reason="wrong", store=store_path)
    assert query(store_path, "SELECT count(*) FROM runs") == [(10,)]
    (latest,) = query(store_path, "SELECT max(id) FROM runs WHERE name = 'search'")[0]
    curate.tag("search", {"a": "b"}, store=store_path)
    assert query(store_path, "SELECT run_id FROM tags WHERE key = 'a'") == [(latest,)]
    curate.delete(str(latest)[-8:], reason="wrong", store=store_path)
    fits(store_path)


def test_a_group_goes_as_one_and_is_exported_as_one(store_path: Path, tmp_path: Path) -> None:
    for group in ("sweep", "sweep", "other"):
        record(store_path, SEARCH, HISTHOOKS_GROUP=group)
    assert export("sweep", to=tmp_path / "sweep.db", store=store_path).runs == 2 * 5
    fits(tmp_path / "sweep.db")
    done = curate.delete("group:sweep", reason="wrong", store=store_path)
    assert len(done.runs) == 2 * 5
    assert query(store_path, "SELECT DISTINCT group_name FROM runs WHERE parent_id IS NULL") == [("other",)]
    fits(store_path)


def test_a_deletion_is_no_licence_to_take_out_more(store_path: Path) -> None:
    record(store_path, SEARCH)
    curate.delete("search", reason="wrong data", store=store_path)
    connection = sqlite3.connect(store_path)
    connection.execute("DELETE FROM tombstones WHERE ordinal = 2")
    connection.commit()
    connection.close()
    assert not verify(store_path).ok


def test_what_still_records_is_not_deleted_and_can_be_once_its_process_is_gone(store_path: Path) -> None:
    with recording(store_path) as process:
        for name, word in (("live", "still runs"), ("early", "process still records")):
            with pytest.raises(StoreError, match=f"{word}.*process {process.pid}"):
                curate.delete(name, reason="wrong", store=store_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = curate.delete("live", reason="wrong", store=store_path)
        assert [run["status"] for run in done.runs] == ["killed"]
    assert query(store_path, "SELECT name, status FROM runs") == [("early", "finished")]
    assert query(store_path, "SELECT status FROM sessions WHERE kind <> 'command'") == [("killed",)]
    fits(store_path)


def test_content_of_a_session_that_still_records_stays_though_no_row_names_it_yet(store_path: Path) -> None:
    shared = "log_dataset('train', [[1.0, 2.0], [3.0, 4.0]])"
    record(store_path, f"import histhooks\nwith histhooks.start_run('ended') as run:\n    run.{shared}")
    with recording(store_path, f"import numpy; run.{shared}"), closing(sqlite3.connect(store_path)) as connection:
        ((dataset,),) = query(store_path, "SELECT id FROM datasets")
        with connection:
            # As where the data has come and what names it is on its way.
            connection.execute("DELETE FROM run_datasets WHERE run_id = (SELECT id FROM runs WHERE name = 'live')")
        assert dataset not in curate.delete("ended", reason="wrong", store=store_path).contents
        assert query(store_path, "SELECT id FROM datasets") == [(dataset,)]
    with closing(sqlite3.connect(store_path)) as connection, connection:
        for table in held_data.TABLES:
            connection.execute(f"DELETE FROM {table} WHERE run_id = (SELECT id FROM runs WHERE name = 'live')")
    record(store_path, f"import histhooks\nwith histhooks.start_run('ended') as run:\n    run.{shared}")
    assert dataset in curate.delete("ended", reason="wrong", store=store_path).contents


def test_a_random_state_that_other_runs_need_outlives_the_run_that_held_it(store_path: Path) -> None:
    record(store_path, """
        import histhooks, random
        histhooks.autolog()
        random.seed(5)
        with histhooks.start_run("first"): pass
        with histhooks.start_run("second"): pass
    """)  # fmt: skip
    held = query(store_path, "SELECT digest FROM rng_states WHERE state IS NOT NULL AND run_id = "
                 "(SELECT id FROM runs WHERE name = 'first')")  # fmt: skip
    named = query(store_path, "SELECT digest FROM rng_states WHERE state IS NULL AND run_id = "
                  "(SELECT id FROM runs WHERE name = 'second')")  # fmt: skip
    needed = {digest for (digest,) in held} & {digest for (digest,) in named}
    assert needed
    curate.delete("first", reason="wrong", store=store_path)
    assert {d for (d,) in query(store_path, "SELECT sha256 FROM contents WHERE kind = 'rng_state'")} == needed
    fits(store_path)
    curate.delete("second", reason="wrong", store=store_path)
    assert query(store_path, "SELECT count(*) FROM contents WHERE kind = 'rng_state'") == [(0,)]
    fits(store_path)


def test_what_is_known_of_data_outlives_the_run_that_held_it(store_path: Path) -> None:
    record(store_path, held_data.PROGRAM)
    known = {name: held_data.known_of(store_path, name) for name in ("second", "third", "other")}
    assert all(data["digests"] and data["columns"] and data["sketches"] for found in known.values() for data in found)
    assert held_data.holders(store_path, "dataset_columns") == ["first", "other"]
    for gone, left in (("first", ("second", "third", "other")), ("second", ("third", "other"))):
        curate.delete(gone, reason="wrong", store=store_path)
        assert {name: held_data.known_of(store_path, name) for name in left} == {name: known[name] for name in left}
        assert held_data.holders(store_path, "dataset_columns") == sorted([left[0], "other"])
        fits(store_path)
    sketches = query(store_path, "SELECT count(*) FROM contents WHERE kind = 'row_sketch'")
    curate.delete("third", reason="wrong", store=store_path)
    assert query(store_path, "SELECT count(*) FROM contents WHERE kind = 'row_sketch'") < sketches
    assert {name for table in held_data.TABLES for name in held_data.holders(store_path, table)} == {"other"}
    assert held_data.known_of(store_path, "other") == known["other"]
    fits(store_path)


def test_data_that_another_run_holds_as_well_is_written_for_none(store_path: Path) -> None:
    record(store_path, held_data.PROGRAM)
    record(store_path, held_data.PROGRAM)  # another session, which has rows of its own
    before = {table: query(store_path, f"SELECT count(*) FROM {table}") for table in held_data.TABLES}
    known = held_data.known_of(store_path, "second")
    ((oldest,),) = query(store_path, "SELECT id FROM runs ORDER BY started_at, id LIMIT 1")
    gone = {table: query(store_path, f"SELECT count(*) FROM {table} WHERE run_id = '{oldest}'") for table in before}
    curate.delete(oldest, reason="wrong", store=store_path)
    after = {table: query(store_path, f"SELECT count(*) FROM {table}") for table in held_data.TABLES}
    assert {table: [(before[table][0][0] - gone[table][0][0],)] for table in before} == after
    assert held_data.known_of(store_path, "second") == known
    fits(store_path)


def test_pruning_leaves_what_is_known_of_data(store_path: Path) -> None:
    record(store_path, held_data.PROGRAM)
    known = {name: held_data.known_of(store_path, name) for name in ("third", "other")}
    curate.prune(keep_last=2, reason="room", store=store_path, dry_run=False)
    assert {name: held_data.known_of(store_path, name) for name in known} == known
    fits(store_path)


def test_another_writer_is_waited_for_and_not_for_ever(store_path: Path) -> None:
    record(store_path, SEARCH)
    other = sqlite3.connect(store_path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"in use by another writer.*try again"):
        curate.delete("search", reason="wrong", store=store_path, patience_s=0.2)
    assert query(store_path, "SELECT count(*) FROM runs") == [(5,)]
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    curate.delete("search", reason="wrong", store=store_path)
    other.close()
    assert query(store_path, "SELECT count(*) FROM runs") == [(1,)]
    fits(store_path)


def test_a_reader_is_not_disturbed_and_the_file_shrinks_later(store_path: Path) -> None:
    record(store_path, SEARCH)
    with History(store_path) as history:
        history._connection.execute("BEGIN")
        assert len(history.runs()) == 5
        done = curate.delete("search", reason="wrong", store=store_path)
        assert done.notice is not None
        assert "VACUUM" in done.notice
        assert len(history.runs()) == 5
    with History(store_path) as history:
        assert len(history.runs()) == 1
    fits(store_path)


def test_deletion_beside_a_writer_leaves_both_whole(store_path: Path) -> None:
    record(store_path, SEARCH)
    with recording(store_path):
        curate.delete("search", reason="wrong", store=store_path)
    assert {name for (name,) in query(store_path, "SELECT name FROM runs")} == {"other", "early", "live"}
    fits(store_path)


# --- spools -----------------------------------------------------------------------------------------------------------


def test_a_run_in_a_spool_is_left_until_its_session_has_ended_and_then_comes_home_first(store_path: Path) -> None:
    record(store_path, SEARCH)
    with recording(store_path, HISTHOOKS_NETWORK="1"):
        assert len(waiting(store_path)) == 1
        for call in (
            lambda: curate.tag("live", {"a": "b"}, store=store_path),
            lambda: curate.delete("live", reason="wrong", store=store_path),
            lambda: curate.rename("live", "x", store=store_path),
        ):
            with pytest.raises(StoreError, match="lies in the spool"):
                call()
    curate.delete("live", reason="wrong", store=store_path)
    assert waiting(store_path) == []
    assert {n for (n,) in query(store_path, "SELECT name FROM runs WHERE parent_id IS NULL")} == {
        "search", "other", "early"
    }  # fmt: skip
    fits(store_path)


# --- pruning ----------------------------------------------------------------------------------------------------------


def test_pruning_follows_its_rules_and_by_default_only_tells(store_path: Path) -> None:
    for first, project in ((0, "a"), (4, "b")):
        record(store_path, f"""
            import histhooks
            for number in range({first}, {first + 4 - first // 2}):
                try:
                    with histhooks.start_run(f"run {{number}}") as run:
                        run.log({{"loss": 1.0}})
                        with histhooks.start_run("inside"): pass
                        if number % 2: raise ValueError("no")
                except ValueError: pass
        """, HISTHOOKS_PROJECT=project)  # fmt: skip

    def outer(**rules: object) -> list[str]:
        told = curate.prune(store=store_path, **rules)  # type: ignore[arg-type]
        return [run["name"] for run in told.deletion.runs if not run["is_child"]]

    assert outer(status="failed") == ["run 1", "run 3", "run 5"]
    assert outer(status="failed", keep_last=1) == ["run 1"]  # the last of each project stays
    assert outer(status="failed", project="b") == ["run 5"]
    assert outer(older_than="1h") == []
    assert len(outer(older_than="0h")) == 6
    assert outer(kind="preprocess") == []
    assert query(store_path, "SELECT count(*) FROM runs") == [(12,)]
    assert query(store_path, "SELECT count(*) FROM sessions") == [(2,)]
    done = curate.prune(status="failed", store=store_path, reason="no use", dry_run=False)
    assert len(done.deletion.runs) == 6
    assert query(store_path, "SELECT name FROM runs WHERE parent_id IS NULL ORDER BY id") == [
        ("run 0",), ("run 2",), ("run 4",)
    ]  # fmt: skip
    fits(store_path)


def test_pruning_leaves_what_still_records_and_what_a_run_that_stays_goes_back_to(store_path: Path) -> None:
    record(store_path, """
        import histhooks
        with histhooks.start_run("first") as a: pass
        with histhooks.start_run("second") as b: b.link("resumes", a.id)
        try:
            with histhooks.start_run("third") as c: c.link("resumes", b.id); raise ValueError("no")
        except ValueError: pass
        with histhooks.start_run("alone"): pass
    """)  # fmt: skip
    with recording(store_path):
        done = curate.prune(status="finished", store=store_path, reason="old", dry_run=False)
    assert [run["name"] for run in done.deletion.runs] == ["alone"]
    assert {run["name"]: run["why"] for run in done.left} == {
        "first": "a run that stays goes back to it",
        "second": "a run that stays goes back to it",
        "early": "its session has not ended",
    }
    done = curate.prune(older_than="0h", store=store_path, reason="old", dry_run=False)
    assert done.left == []
    assert query(store_path, "SELECT count(*) FROM runs") == [(0,)]
    fits(store_path)


# --- redaction --------------------------------------------------------------------------------------------------------

PERSON = {"LOGNAME": "zaphodbb", "USER": "zaphodbb", "HISTHOOKS_ACTOR": "zaphodbb@heartofgold.example"}
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


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("recorded") / "histhooks.db"
    record(store, SEARCH, **PERSON)
    record(store, SEARCH.replace('"other"', '"another"'), HISTHOOKS_ACTOR="ford")
    return store


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["tag", "note", "rename", "delete", "prune", "redact run", "redact user", "export"]),
        st.integers(0, 9),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS)
def test_whatever_is_done_in_whatever_order_both_verifiers_pass(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deeds: list[tuple[str, int]]
) -> None:
    monkeypatch.setenv("HISTHOOKS_ACTOR", "marvin")  # no question to git each time
    store = tmp_path / f"{time.monotonic_ns()}.db"
    shutil.copy(recorded, store)
    for number, (deed, place) in enumerate(deeds):
        ids = [str(i) for (i,) in query(store, "SELECT id FROM runs ORDER BY id")]
        if not ids:
            break
        run = ids[place % len(ids)]
        if deed == "tag":
            curate.tag(run, {"a": place, "b": None}, store=store)
        elif deed == "note":
            curate.note(run, "text " * (place + 1), store=store)
        elif deed == "rename":
            curate.rename(run, f"name {place}", store=store)
        elif deed == "delete":
            curate.delete(run, reason="x", store=store)
            assert query(store, f"SELECT 1 FROM runs WHERE id = '{run}'") == []
        elif deed == "prune":
            curate.prune(older_than="0h", keep_last=place % 3, reason="x", dry_run=False, store=store)
        elif deed == "redact run":
            curate.redact(runs=(run,), reason="x", store=store)
        elif deed == "redact user":
            curate.redact(users=(("zaphodbb", "ford", "marvin")[place % 3],), reason="x", store=store)
        else:
            part = tmp_path / f"{store.stem}-{number}.db"
            export(run, to=part, store=store, anonymous=bool(place % 2))
            fits(part)
            store = part  # and go on with it
        fits(store)
