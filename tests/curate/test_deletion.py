"""Deletion: what goes, what stays for others, and what it waits for."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from helpers import held_data
from helpers.curating import SEARCH, fits, places_of, record, recording
from histhooks import History, QueryError, StoreError, curate
from histhooks.export import export
from histhooks.testing import query
from histhooks.verify import verify


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
