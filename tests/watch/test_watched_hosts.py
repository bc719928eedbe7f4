"""What a program may give and do that is watched: it goes on as it would, at the same cost, and no value is stored."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histhooks
from histhooks import models
from histhooks._collect.window_counts import classes_of, outputs_of
from histhooks._watch import calls, kept, known, tally, watching
from histhooks.errors import QueryError


class Served:
    """A model that puts out what it was made with."""

    def __init__(self, out: Callable[[Any], Any] = lambda X: np.zeros(len(X))) -> None:
        self.out = out

    def predict(self, X: Any) -> Any:
        return self.out(X)


@pytest.fixture
def promoted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`churn@1` in production, of a run that recorded nothing of its data."""
    monkeypatch.setenv("HISTHOOKS_STORE", str(Path("h.db").resolve()))
    with histhooks.start_run("trained") as run:
        run.log({"loss": 1.0})
    end_session()
    Path("m.pkl").write_bytes(b"content")
    models.promote("m.pkl", model="churn", reason="test", check=False, store="h.db")
    yield
    end_session()


def end_session() -> None:
    from histhooks._record.engine import engine

    histhooks.disable()
    engine.finish("finished")


def query(sql: str) -> list[Any]:
    assert histhooks.flush()
    with sqlite3.connect("h.db") as connection:
        return connection.execute(sql).fetchall()


ODD: dict[str, dict[str, Any]] = {
    "a time in milliseconds": {"y_pred": [1], "time": 1.7e12},
    "a time in nanoseconds": {"y_pred": [1], "time": 1.7e18},
    "no times": {"y_pred": [1, 0], "time": [None, None]},
    "an infinite time": {"y_pred": [1], "time": float("inf")},
    "a generator": {"X": (row for row in [[1, 2]])},
    "words beside numbers": {"y_pred": ["a", "b"], "y_true": [1, 2]},
    "complex numbers": {"y_pred": np.array([1j, 0]), "y_true": [0, 1]},
    "rows of several lengths": {"X": [[1, 2], [3]]},
    "labels of two columns": {"y_pred": [1, 0], "y_true": np.zeros((2, 3))},
}


@pytest.mark.parametrize("given", ODD.values(), ids=ODD.keys())
def test_observe_never_raises(promoted: None, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    monkeypatch.delenv("HISTHOOKS_STRICT")
    histhooks.observe("churn", **given)
    histhooks.observe("churn", y_pred=[1, 1, 0])
    assert (3,) in query("SELECT n_rows FROM windows")


@pytest.mark.parametrize("time", [1.7e12, [1.7e18], "1969-12-31", np.array(["NaT"], dtype="M8[s]")])
def test_a_time_that_is_none_is_named(promoted: None, time: Any) -> None:
    with pytest.raises(ValueError, match="is no number of seconds since 1970"):
        histhooks.observe("churn", y_pred=[1], time=time)


def test_a_fault_of_histhooks_is_one_warning(promoted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> Any:
        raise RuntimeError("a fault")

    monkeypatch.delenv("HISTHOOKS_STRICT")
    monkeypatch.setattr(known, "version_named", fails)
    model = Served()
    histhooks.observe("churn", y_pred=[1])
    with histhooks.watch("churn", model) as same:
        assert same is model


def test_a_name_that_is_no_text_is_a_warning(
    promoted: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HISTHOOKS_STRICT")
    nothing: Any = None
    histhooks.observe(nothing, y_pred=[1])
    assert histhooks.watch(nothing, Served()).name is None
    assert "not a NoneType" in capfd.readouterr().err


def test_sparse_rows_and_a_single_prediction_are_counted(promoted: None) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    histhooks.observe("churn", X=sparse.csr_matrix(np.eye(3)))
    histhooks.observe("churn", y_pred=1)
    assert query("SELECT n_rows FROM windows ORDER BY ordinal") == [(3,), (1,)]


def test_a_model_of_no_module_is_watched(promoted: None) -> None:
    class Odd(Served):
        __module__: Any = None

    with histhooks.watch("churn", Odd()) as model:
        model.predict(np.zeros((2, 2)))
    assert query("SELECT n_rows FROM windows") == [(2,)]


def test_a_store_that_cannot_be_read_is_a_query_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("folder.db").mkdir()
    monkeypatch.setattr(known, "store_path", lambda: Path("folder.db"))
    with pytest.raises(QueryError, match="cannot be read"):
        known.version_named("churn")
    assert known.version_of("0" * 64, None) is None


def test_of_two_versions_with_one_number_the_bare_number_is_refused(promoted: None) -> None:
    versions = [{"id": "01-aaaa", "number": 3}, {"id": "01-bbbb", "number": 3}]
    with pytest.raises(QueryError, match="churn@3·aaaa or churn@3·bbbb"):
        known._chosen(None, "churn", versions, "3")
    assert known._chosen(None, "churn", versions, "3·bbbb") is versions[1]


def test_wide_rows_are_not_copied_whole(promoted: None) -> None:
    room = kept.Room()
    images = np.zeros((64, 150_528), dtype="f4")
    some = kept.snap(images, room)
    assert (type(some), some.shape, some.rows.shape) == (kept.Some, (64,), (1, 150_528))
    assert kept.snap(np.zeros((2, 1 << 20)), room).shape == (2,)
    torch = sys.modules.get("torch")
    if torch is not None:
        assert kept.snap(torch.zeros(64, 150_528), room).rows.shape == (1, 150_528)
    narrow = kept.snap(np.zeros((1_000_000, 2)), room)
    assert narrow.shape == (1_000_000,)
    assert narrow.rows.nbytes <= 1 << 20


def test_what_waits_is_bounded_and_all_rows_are_counted(promoted: None) -> None:
    X = np.zeros((4000, 30))
    with histhooks.watch("churn", Served()) as model:
        (counts,) = calls.tallies()
        with counts._lock:
            for _ in range(100):
                model.predict(X)
            held = sum(one[0].nbytes for one in counts.ring if type(one[0]) is np.ndarray)
        assert 0 < held <= kept.ROOM + X.nbytes
    assert query("SELECT sum(n_calls), sum(n_rows) FROM windows") == [(100, 400_000)]


def test_frames_and_lists_that_wait_are_bounded(promoted: None) -> None:
    pd = pytest.importorskip("pandas")
    for X in (pd.DataFrame(np.zeros((200_000, 10))), [[0.0] * 10] * 20_000):
        room, n = kept.Room(), 0
        while type(kept.snap(X, room)) is not kept.Rows:
            n += 1
            assert n < 100
        assert n > 0
        assert kept.snap(X, room).shape == (len(X),)


def test_rows_of_a_large_array_are_all_counted(promoted: None) -> None:
    with histhooks.watch("churn", Served(lambda X: np.zeros(len(X)))) as model:
        model.predict(np.zeros((300_000, 2)))
    assert query("SELECT n_rows FROM windows") == [(300_000,)]


@pytest.mark.parametrize("out", [[1, 2, 3], np.zeros(3)], ids=["list", "array"])
def test_results_beyond_those_that_wait_have_their_rows(promoted: None, out: Any) -> None:
    class Odd:
        @property
        def shape(self) -> Any:
            raise RuntimeError("no shape")

    with histhooks.watch("churn", Served(lambda X: Odd() if X is None else out)) as model:
        (counts,) = calls.tallies()
        with counts._lock:
            for _ in range(kept.MOST_CALLS):
                model.predict([[1]] * 3)
            assert isinstance(model.predict(None), Odd)
            model.predict([[1]] * 3)
            assert counts.ring[-1][1].shape == (3,)
            assert counts.ring[-2][1].shape == (1,)


def test_models_watched_by_threads_at_once_share_their_counts(promoted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(4)
    begin = tally.Tally.__init__

    def slow(self: Any, version: Any) -> None:
        begin(self, version)
        together.wait(60)

    monkeypatch.setattr(tally.Tally, "__init__", slow)
    served = [Served() for _ in range(4)]
    threads = [threading.Thread(target=histhooks.watch, args=("churn", model)) for model in served]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls.tallies() == list(watching._state.tallies.values())
    for model in served:
        model.predict(np.zeros((5, 2)))
    assert query("SELECT sum(n_rows) FROM windows") == [(20,)]


def test_the_text_of_an_exception_of_the_program_is_not_stored(promoted: None) -> None:
    class Row:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise ValueError("bad value SECRET")

        def __len__(self) -> int:
            return 1

    with histhooks.watch("churn", Served(lambda X: [Row()])) as model:
        model.predict(np.zeros((1, 2)))
    ((note,),) = query("SELECT note FROM captures WHERE collector = 'watch' AND status = 'failed'")
    assert note.endswith("rows are not counted: ValueError")


def test_a_whole_number_that_is_no_class_is_not_stored(promoted: None) -> None:
    assert outputs_of(np.array([777_001, 777_002]), b"", is_score=False) == {"numbers": {"+19": 2}}
    assert outputs_of(np.array([True, False]), b"", is_score=False) == {"classes": {"0": 1, "1": 1}}
    found = outputs_of(np.array([3, 7, 7, 777_001]), b"", is_score=False, classes={"3", "7", "9"})
    assert found == {"classes": {"3": 1, "7": 2}, "numbers": {"+19": 1}}
    histhooks.observe("churn", y_pred=np.array([777_001, 777_002]))
    assert query("SELECT outputs FROM windows") == [('{"numbers":{"+19":2}}',)]


def test_classes_of_the_training_are_counted_by_name(promoted: None) -> None:
    profile = {"y": {"values": {"count": 3, "classes": {"3": 1, "7": 2}}}}
    assert classes_of(profile) == {"3", "7"}
    assert classes_of(None) == set()


def test_sums_of_labels_are_stored_of_ten_rows_or_more(promoted: None) -> None:
    labels = [52_341.5 + n for n in range(12)]
    for label in labels[:9]:
        histhooks.observe("churn", y_pred=[51_000.0], y_true=[label], time="2026-11-01T09:00")
    histhooks.observe("churn", y_pred=[51_000.0], y_true=[1.5], time="2026-11-01T11:00")
    assert query("SELECT count(*) FROM window_metrics WHERE metric LIKE 'target%'") == [(0,)]
    for label in labels[9:]:
        histhooks.observe("churn", y_pred=[51_000.0], y_true=[label], time="2026-11-01T09:00")
    found = query("SELECT sum, count FROM window_metrics WHERE metric = 'target'")
    assert found == [(sum(labels[:10]), 10)]
    assert query("SELECT sum(count) FROM window_metrics WHERE metric = 'squared_error'") == [(13,)]


FIRST = """
import numpy as np, sys, time
import histhooks
from histhooks._watch import watching
watching._FIRST_S = 0.0
class Served:
    def predict(self, X):
        return np.zeros(len(X))
written = []
windows = watching.windows
watching.windows = lambda: (written.append(1), windows())
watch = histhooks.watch("churn", Served())
watch._model.predict(np.zeros((1, 2)))
until = time.monotonic() + 60
while time.monotonic() < until and watching._state.thread is None:
    time.sleep(0.01)
looks = []
drain = watching._drain
watching._drain = lambda: (looks.append(1), drain())
while time.monotonic() < until and len(looks) < 3:
    time.sleep(0.01)
print(len(looks) >= 3, len(written) > 0)
"""


@pytest.mark.parametrize(("given", "is_early"), [("3600", False), ("", True)])
def test_the_first_window_is_early_only_where_no_interval_is_set(promoted: None, given: str, is_early: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST], env={**os.environ, "HISTHOOKS_WATCH_S": given},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.split() == ["True", str(is_early)], done.stderr


def test_columns_of_some_rows_are_counted_of_rows_from_all_parts() -> None:
    room = kept.Room()
    X = np.repeat(np.arange(10.0), 50_000)[:, None]
    some = kept.snap(X, room)
    assert set(some.rows[:, 0].tolist()) == set(range(10))
    assert json.loads(json.dumps(some.shape)) == [500_000]
