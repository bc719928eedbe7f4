"""Whatever a program says, in whatever order, is read back as it was said, and the history fits its ledger."""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import histhooks
from helpers.sessions import end_session
from histhooks import History
from histhooks._base.names import clean_text
from histhooks._base.secrets import mask_text, mask_value
from histhooks.history import RunRecord
from histhooks.verify import verify

TEXT = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(["", "$float", "$dict", "a.b", ".", "\0"])
# Hypothesis tries the words of our own modules too, and what is under a secret one is masked.
TEXT = TEXT.filter(lambda text: mask_value(text, "word " * 9) == "word " * 9 and mask_text(text) == text)
NAMES = TEXT | st.text(st.characters(codec=None), max_size=12) | st.sampled_from(["loss", "val_loss", "x" * 5000])
WHOLE = st.integers(-(2**70), 2**70) | st.sampled_from([2**53 + 1, 10**400, -(10**400)])
NUMBERS = (
    st.floats()
    | WHOLE
    | st.booleans()
    | st.just(-0.0)
    | st.builds(np.int64, st.integers(-(2**63), 2**63 - 1))
    | st.builds(np.uint64, st.integers(0, 2**64 - 1))
    | st.builds(np.float32, st.floats(width=32))
    | st.builds(lambda value: np.array([value]), st.floats() | st.integers(2**53, 2**60))
)
STEPS = st.none() | st.integers(0, 2**40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PARAMS = st.dictionaries(TEXT, JSON, max_size=4)
CALLS = st.lists(st.tuples(st.dictionaries(NAMES, NUMBERS, min_size=1, max_size=3), STEPS, STEPS), max_size=30)


def cleaned(value: Any) -> Any:
    """A JSON value with the text that UTF-8 can hold."""
    if isinstance(value, list):
        return [cleaned(v) for v in value]
    if isinstance(value, dict):
        return {clean_text(k): cleaned(v) for k, v in value.items()}
    return clean_text(value) if isinstance(value, str) else value


def flat(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Params as they are stored: keys of mappings joined with dots; none without a name."""
    out: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, dict) and value:
            out |= flat(value, f"{prefix}{key}.")
        else:
            out[clean_text(prefix + key)] = cleaned(value)
    return {key: value for key, value in out.items() if key}


def plain(number: Any) -> Any:
    return number.item() if hasattr(number, "item") else number


def same(read: Any, said: Any) -> bool:
    """Equal, where NaN equals NaN and -0.0 is 0.0."""
    if isinstance(said, float) and isinstance(read, float):
        return read == said or (math.isnan(read) and math.isnan(said))
    if isinstance(said, dict):
        return isinstance(read, dict) and read.keys() == said.keys() and all(same(read[k], said[k]) for k in said)
    if isinstance(said, list):
        return isinstance(read, list) and len(read) == len(said) and all(map(same, read, said))
    return type(read) is type(said) and read == said


def number_of(point: dict[str, Any]) -> float:
    return float(point["special"]) if point["special"] is not None else point["value"]


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is odd is refused with a word, as in a program."""
    monkeypatch.setenv("HISTHOOKS_STRICT", "")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CALLS, PARAMS, PARAMS)
@example([({"\ud800": 1.0}, None, None), ({"\\ud800": 2.0}, None, None), ({"\ud800": 3}, None, None)], {}, {})
@example([({"": 1.0, "a": 2.0, "b": 10**400, "c": np.int64(2**60 + 1), "d": 10**5000}, None, None)], {}, {})
def test_any_calls_are_read_back_as_they_were_said(
    calls: list[Any], params: dict[str, Any], results: dict[str, Any]
) -> None:
    folder = Path(tempfile.mkdtemp())
    store = folder / "histhooks.db"
    expected: dict[str, list[tuple[int, int | None, float]]] = {}
    try:
        histhooks.autolog(store=store)
        with histhooks.start_run("any", params=params) as run:
            for metrics, step, epoch in calls:
                run.log(metrics, step=step, epoch=epoch)
                for name, value in metrics.items():
                    with suppress(OverflowError):
                        number = float(plain(value)) + 0.0
                        if name:
                            series = expected.setdefault(clean_text(name), [])
                            series.append((len(series) if step is None else step, epoch, number))
            run.log_results(results)
        assert histhooks.flush()
        report = verify(store)
        assert report.problems == []
        with History(store) as history:
            (record,) = history.runs()
            assert same(record.params, flat(params))
            assert same(record.results, {clean_text(key): cleaned(value) for key, value in results.items() if key})
            assert {point["name"] for point in record.metrics() if point["split"] != "system"} == set(expected)
            for name, series in expected.items():
                found = [(p["step"], p["epoch"], number_of(p)) for p in record.metrics(name)]
                assert len(found) == len(series)
                assert all(a[:2] == b[:2] and same(a[2], b[2]) for a, b in zip(found, series)), name
            said = [plain(v) for metrics, *_ in calls for name, v in metrics.items() if name]
            said = [v for v in said if type(v) is int and abs(v) > 2**53]
            kept = [int(event["body"], 0) for event in record.related("events") if event["kind"] == "integer"]
            assert sorted(kept) == sorted(said)
    finally:
        end_session()
        shutil.rmtree(folder)


def points_of(record: RunRecord, name: str) -> list[dict[str, Any]]:
    """Points of a metric; none where the run was told none."""
    return [point for point in record.metrics() if point["name"] == name]


class Life(RuleBasedStateMachine):
    """Runs that open, log, end, are told things too late, and are flushed in any order."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = self.folder / "histhooks.db"
        histhooks.autolog(store=self.store)
        self.runs: list[histhooks.Run] = []
        self.points: dict[str, int] = {}
        self.statuses: dict[str, str] = {}

    @rule()
    def open(self) -> None:
        run = histhooks.start_run(f"run {len(self.runs)}")
        self.runs.append(run)
        self.points[str(run.id)], self.statuses[str(run.id)] = 0, "running"

    @rule(which=st.integers(0, 20), count=st.integers(1, 70))
    def log(self, which: int, count: int) -> None:
        if self.runs:
            run = self.runs[which % len(self.runs)]
            for number in range(count):
                run.log({"loss": float(number)})
            if run.status == "running":
                self.points[str(run.id)] += count

    @rule(which=st.integers(0, 20), how=st.sampled_from(["finished", "failed", "interrupted", "twice"]))
    def end(self, which: int, how: str) -> None:
        if self.runs:
            run = self.runs[which % len(self.runs)]
            became = how if how != "twice" else "finished"
            if self.statuses[str(run.id)] == "running":
                self.statuses[str(run.id)] = became
            for _ in range(2 if how == "twice" else 1):
                run.end(error=ArithmeticError("odd")) if how == "failed" else run.end(became)

    @rule(which=st.integers(0, 20))
    def say_more(self, which: int) -> None:
        if self.runs:
            run = self.runs[which % len(self.runs)]
            run.note("a word")
            run.tag("key", "value")
            run.log({"": 1.0, "word": "none"})

    @rule()
    def flush(self) -> None:
        assert histhooks.flush()

    @invariant()
    def statuses_are_as_told(self) -> None:
        assert all(run.status == self.statuses[str(run.id)] for run in getattr(self, "runs", []))

    def teardown(self) -> None:
        assert histhooks.flush()
        if self.runs:
            assert verify(self.store).problems == []
            with History(self.store) as history:
                found = {run.id: run for run in history.runs()}
                assert {run: len(points_of(found[run], "loss")) for run in self.points} == self.points
                assert {run: found[run].status for run in self.statuses} == self.statuses
        end_session()
        shutil.rmtree(self.folder)


def test_the_life_of_runs_in_any_order() -> None:
    run_state_machine_as_test(Life, settings=settings(max_examples=12, stateful_step_count=20, deadline=None))


WORK = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=10, deadline=None)
@given(st.lists(WORK, min_size=2, max_size=4))
def test_runs_threads_and_flushes_in_any_interleaving_keep_the_order_of_each_series(work: list[Any]) -> None:
    """Each thread logs to three runs that all share: to a series of its own, and to one that all of them write."""
    folder = Path(tempfile.mkdtemp())
    store = folder / "histhooks.db"
    said: dict[tuple[int, int], list[float]] = {}
    try:
        histhooks.autolog(store=store)
        runs = [histhooks.start_run(f"run {number}") for number in range(3)]
        start = threading.Barrier(len(work))

        def log(thread: int) -> None:
            start.wait()
            number = 0
            for which, count, is_flushed in work[thread]:
                for _ in range(count):
                    value = thread * 1e6 + number
                    number += 1
                    said.setdefault((which, thread), []).append(value)
                    runs[which].log({f"own {thread}": value, "shared": value})
                if is_flushed:
                    histhooks.flush()

        threads = [threading.Thread(target=log, args=(thread,)) for thread in range(len(work))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for run in runs:
            run.end()
        assert histhooks.flush()
        assert verify(store).problems == []
        with History(store) as history:
            for record in history.runs():
                which = int(record.name[-1])
                shared = [point["value"] for point in points_of(record, "shared")]
                assert len(shared) == sum(len(values) for (run, _), values in said.items() if run == which)
                for thread in range(len(work)):
                    own = said.get((which, thread), [])
                    assert [point["value"] for point in points_of(record, f"own {thread}")] == own
                    assert [value for value in shared if value // 1e6 == thread] == own
    finally:
        end_session()
        shutil.rmtree(folder)
