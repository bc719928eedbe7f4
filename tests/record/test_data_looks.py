"""Data is looked at by content beside the program: what is recorded of it, once, and what is not kept."""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

import histhooks
from helpers import programs
from histhooks._record import data_looks
from histhooks._record.engine import engine
from histhooks.curate import delete
from histhooks.testing import query
from histhooks.verify import verify

numpy = pytest.importorskip("numpy")

KEYED = ("rows", "order")


def numbers(n: int, width: int = 4, seed: int = 0) -> Any:
    return numpy.random.default_rng(seed).normal(size=(n, width))


@pytest.fixture
def store(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(data_looks, "_LEAST_S", 60.0)  # of the processor, which may be a slow one
    histhooks.autolog("sklearn", store=store_path)
    return store_path


def log(*data: tuple[str, Any], name: str = "run") -> str:
    with histhooks.start_run(name) as run:
        for role, X in data:
            run.log_dataset(role, X)
    return str(run.id)


def rows(store: Path, columns: str, table: str, where: str = "true") -> list[tuple[object, ...]]:
    """Rows of a table, once the session has ended, which waits for what is looked at."""
    engine.finish("finished")
    return query(store, f"SELECT {columns} FROM {table} WHERE {where} ORDER BY time, ordinal")


def is_gone_soon(held: weakref.ref[Any]) -> bool:
    """Whether data is let go of: a column that is being sorted when its fit ends is sorted to its end."""
    deadline = time.monotonic() + 120
    while held() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return held() is None


def test_data_has_digests_columns_and_a_sketch(store: Path) -> None:
    X = numbers(300)
    with histhooks.start_run("first") as run:
        run.log_dataset("train", X, X[:, 0] > 0)
    digests = rows(store, "part, algorithm, coverage, n_rows, key_id IS NULL", "dataset_digests")
    assert digests == [
        ("all", "xxh3_128", "all", 300, 1),
        ("features", "xxh3_128", "all", 300, 1),
        ("target", "xxh3_128", "all", 300, 1),
        ("rows", "bag64", "all", 300, 0),
        ("order", "xxh3_128", "all", 300, 0),
        ("all", "sha256", "all", 300, 1),
    ]
    columns = rows(store, "position, facts", "dataset_columns")
    assert [position for position, _ in columns] == [0, 1, 2, 3]
    assert json.loads(str(columns[0][1]))["distinct"] == 300
    found = query(
        store,
        "SELECT s.n_rows, s.n_distinct, s.part, c.kind, c.size_bytes FROM dataset_sketches AS s "
        "JOIN contents AS c ON c.sha256 = s.content_sha256",
    )
    assert found == [(300, 300, "features", "row_sketch", 8 * 300)]
    assert query(store, "SELECT count(*) FROM captures WHERE collector = 'data_content'") == [(0,)]
    report = verify(store)
    assert report.ok, report.problems


def test_data_of_many_runs_is_described_once(store: Path) -> None:
    X = numbers(100)
    for _ in range(5):
        log(("train", X.copy()), ("valid", X[:10] + 1.0))
    per_run = rows(store, "run_id, count(*)", "(SELECT *, 0 AS o FROM dataset_digests)", "true GROUP BY run_id")
    assert [count for _, count in per_run] == [10]
    assert rows(store, "count(DISTINCT run_id), count(*)", "dataset_overlaps") == [(5, 5)]


def test_a_changed_cell_of_large_data_is_seen_though_its_fingerprint_is_the_same(store: Path) -> None:
    X = numbers(100_000)
    for value in (1.0, 2.0, 1.0):
        X[40_000, 2] = value
        with histhooks.start_run("large") as run:
            run.log_dataset("train", X)
            settle()
    assert rows(store, "count(DISTINCT dataset_id)", "run_datasets") == [(1,)]
    digests = [digest for (digest,) in rows(store, "digest", "dataset_digests", "part = 'features'")]
    assert digests[0] == digests[2] != digests[1]


def settle() -> None:
    assert data_looks.looks.settle(60.0)


def test_rows_of_the_training_data_are_counted_in_other_data(store: Path) -> None:
    X = numbers(1000)
    log(("valid", X[950:]), ("train", X[:970]), ("test", numbers(50, seed=1)))
    found = rows(store, "n_rows, n_equal, n_twins, is_identifying, method, part, other_run_id", "dataset_overlaps")
    assert found == [(50, 20, 0, 1, "exact", "features", None), (50, 0, 0, 1, "exact", "features", None)]


def test_a_score_that_comes_later_is_compared_with_what_the_model_was_trained_on(store: Path) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    X = numbers(200)
    y = X[:, 0]
    model = linear_model.LinearRegression().fit(X[:150], y[:150])
    model.score(X[140:], y[140:])
    settle()
    model.score(X[100:], y[100:])
    assert rows(store, "n_rows, n_equal", "dataset_overlaps") == [(60, 10), (100, 50)]


def test_large_data_of_a_score_is_looked_at_while_it_is_scored_and_not_held_after(store: Path) -> None:
    dummy = pytest.importorskip("sklearn.dummy")
    X = numbers(100_000)
    model = dummy.DummyRegressor().fit(X[:1000], X[:1000, 0])
    held = weakref.ref(X)
    model.score(X, X[:, 0])
    del X
    assert is_gone_soon(held)
    assert rows(store, "count(*)", "run_datasets", "role IN ('test', 'evaluated')") == [(1,)]


def test_data_is_not_alive_after_its_run(store: Path) -> None:
    for n in (100, 200_000, 400_000):
        X = numbers(n, 8)
        held = weakref.ref(X)
        log(("train", X))
        del X
        assert is_gone_soon(held), n


def test_small_frames_of_polars_and_arrow_are_looked_at_after_a_block_that_ends_at_once(store: Path) -> None:
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    X = numbers(500)
    log(("train", X))
    log(("train", polars.DataFrame({f"c{n}": X[:, n] for n in range(X.shape[1])})), name="polars")
    log(("train", arrow.table({f"c{n}": X[:, n] for n in range(X.shape[1])})), name="arrow")
    digests = rows(store, "digest", "dataset_digests", "part = 'features' AND coverage = 'all'")
    assert len(digests) == 3
    assert len(set(digests)) == 1


def test_small_data_is_as_it_was_when_it_was_given(store: Path) -> None:
    X = numbers(500)
    with histhooks.start_run("first") as run:
        run.log_dataset("train", X)
        X[:] = 0.0
    log(("train", numbers(500)), name="second")
    assert len(rows(store, "DISTINCT digest", "dataset_digests", "part = 'features'")) == 1


def test_a_look_draws_no_random_number_and_changes_no_data(store: Path) -> None:
    X = numbers(5000)
    before = X.tobytes(), random.getstate(), numpy.random.get_state()[1].tobytes(), numpy.random.get_state()[2]
    log(("train", X[:4000]), ("valid", X[4000:]))
    rows(store, "*", "dataset_overlaps")
    after = X.tobytes(), random.getstate(), numpy.random.get_state()[1].tobytes(), numpy.random.get_state()[2]
    assert after == before


@pytest.mark.parametrize("mode", ["profile", "off"])
def test_other_modes_look_at_nothing(store: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_DATA", mode)
    log(("train", numbers(100)))
    assert rows(store, "count(*)", "run_datasets") == [(1,)]
    for table in ("dataset_digests", "dataset_columns", "dataset_sketches", "dataset_overlaps"):
        assert query(store, f"SELECT count(*) FROM {table}") == [(0,)]


def test_without_a_key_that_lasts_only_one_run_is_compared(store: Path) -> None:
    home = Path(os.environ["XDG_DATA_HOME"])
    home.parent.mkdir(parents=True, exist_ok=True)
    home.write_text("no folder")
    X = numbers(100)
    log(("train", X), ("test", X[:30]))
    assert [part for (part,) in rows(store, "part", "dataset_digests") if part in KEYED] == []
    assert rows(store, "n_equal, key_id", "dataset_overlaps") == [(30, None)]
    assert rows(store, "count(*)", "dataset_sketches") == [(0,)]
    notes = rows(store, "status, note", "captures", "collector = 'data_content'")
    assert [status for status, _ in notes] == ["ok", "ok"]
    assert "of this process only" in str(notes[0][1])


def test_no_value_of_the_data_is_in_the_store(store: Path) -> None:
    pandas = pytest.importorskip("pandas")
    words = [f"patient {number} of ward {number % 7}" for number in range(400)]
    values = [f"{value:.13f}" for value in numbers(400, 1)[:, 0]]
    accounts = numpy.random.default_rng(1).integers(10**9, 10**10, 400)
    frame = pandas.DataFrame({"who": words, "what": [float(value) for value in values], "code": range(7000, 7400)})
    frame["account"] = accounts
    log(("train", frame[:300]), ("test", frame[200:]))
    engine.finish("finished")
    files = [path.read_bytes() for path in store.parent.glob(f"{store.name}*") if path.is_file()]
    assert len(files) >= 1
    packed = [data for (data,) in query(store, "SELECT data FROM contents")]
    for word in (*words, *values, *(str(float(value)) for value in values), *map(str, accounts.tolist())):
        assert all(word.encode() not in data for data in (*files, *map(bytes, packed)))  # type: ignore[call-overload]
    raw = frame["what"].to_numpy()
    assert all(one.tobytes() not in data for one in raw for data in files)


def test_rows_that_had_to_give_way_are_hashed_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_looks, "_MOST_ROWS", 8 * 150)
    X = numbers(100)
    log(("train", X))
    settle()
    log(("train", numbers(100, seed=1)))
    settle()
    log(("train", X), ("test", X[:10]))
    assert rows(store, "n_equal", "dataset_overlaps") == [(10,)]


def test_more_data_than_is_copied_is_said_to_be_left_out(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_looks, "_MOST_COPIED", 10_000)
    with monkeypatch.context() as held:
        held.setattr(data_looks.looks, "_next", lambda: None)  # all of it waits until all is there
        log(("train", numbers(200)), ("valid", numbers(200, seed=1)), ("test", numbers(200, seed=2)))
    notes = rows(store, "status, note", "captures", "collector = 'data_content' AND status = 'skipped'")
    assert notes == [
        ("skipped", f"{role}: it was not looked at: more data waits than is kept") for role in ("valid", "test")
    ]


def test_data_that_cannot_be_read_costs_its_own_fact(store: Path) -> None:
    class Odd:
        shape = (3, 2)

        def __getattr__(self, name: str) -> object:
            raise KeyError(name)

    log(("train", numbers(20)), ("valid", [[1, 2], [3]]))
    with histhooks.start_run("odd") as run:
        run.log_dataset("train", numbers(10), numbers(11)[:, 0])
    notes = rows(store, "status, note", "captures", "collector = 'data_content'")
    found = {str(status): str(note) for status, note in notes}
    assert sorted(str(status) for status, _ in notes) == ["skipped", "truncated"]
    assert "10 rows of features and 11 of the target" in found["truncated"]


def test_a_failure_of_a_look_is_recorded_and_ends_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise LookupError("a fault of ours")

    monkeypatch.setenv("HISTHOOKS_STRICT", "0")
    monkeypatch.setattr("histhooks._record.run_looks.sketch", broken)
    log(("train", numbers(50)))
    settle()
    (note,) = rows(store, "status, note", "captures", "collector = 'data_content'")
    assert note[0] == "failed"
    assert "a fault of ours" in str(note[1])
    assert rows(store, "count(*)", "events", "kind = 'hook_error'") == [(1,)]


def test_sketches_go_with_the_last_run_that_has_them(store: Path) -> None:
    first = log(("train", numbers(100)))
    settle()
    second = log(("train", numbers(100, seed=1)))
    engine.finish("finished")
    assert query(store, "SELECT count(*) FROM contents WHERE kind = 'row_sketch'") == [(2,)]
    delete(first, reason="a test", store=store)
    assert query(store, "SELECT count(*) FROM contents WHERE kind = 'row_sketch'") == [(1,)]
    assert query(store, "SELECT DISTINCT run_id FROM dataset_sketches") == [(second,)]
    report = verify(store)
    assert report.ok, report.problems


LARGE = "import histhooks, numpy, os, signal, sys, time\nX = numpy.random.default_rng(0).normal(size=(400_000, 20))\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_during_a_look_starts_clean(store_path: Path) -> None:
    program = """
from histhooks._record import data_looks
data_looks._END_S = 120.0  # this machine may be a busy one
histhooks.autolog("sklearn")
with histhooks.start_run("parent") as run:
    run.log_dataset("train", X)
    pids = []
    for number in range(3):
        pid = os.fork()
        if not pid:
            with histhooks.start_run(f"child {number}") as run:
                run.log_dataset("train", X[:100 + number])
            histhooks.flush()
            sys.exit(0)
        pids.append(pid)
        time.sleep(0.01)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
"""
    programs.record(store_path, LARGE + program)
    found = query(
        store_path,
        "SELECT r.name, count(*) FROM runs AS r JOIN dataset_digests AS d ON d.run_id = r.id "
        "WHERE d.part = 'features' GROUP BY r.name ORDER BY r.name",
    )
    assert [name for name, _ in found] == ["child 0", "child 1", "child 2", "parent"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_a_process_that_is_killed_during_a_look_leaves_a_whole_history(store_path: Path, number: str) -> None:
    program = f"""
histhooks.autolog("sklearn")
with histhooks.start_run("killed") as run:
    run.log({{"loss": 0.5}})
    histhooks.flush()
    run.log_dataset("train", X)
    print("now", flush=True)
    os.kill(os.getpid(), signal.{number})
    time.sleep(60)
"""
    process = programs.start(store_path, LARGE + program)
    assert programs.hear(process) == "now"
    process.communicate(timeout=60)
    with histhooks.History(store_path) as history:
        assert history.run("last").status == "killed"
    report = verify(store_path)
    assert report.ok, report.problems


def test_a_program_that_ends_at_once_has_its_data(store_path: Path) -> None:
    program = """
import histhooks, numpy
histhooks.autolog("sklearn")
with histhooks.start_run("short") as run:
    run.log_dataset("train", numpy.arange(40.0).reshape(10, 4))
"""
    programs.record(store_path, program)
    assert query(store_path, "SELECT count(*) FROM dataset_digests") == [(5,)]
