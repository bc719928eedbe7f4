"""From entries to a batch: nothing is known of a batch that was not written, and all of one that was."""

from __future__ import annotations

import time
from typing import Any

from histhooks._base.metric_names import Metric, describe
from histhooks._store.assembler import Assembler
from histhooks._store.batch import Batch
from histhooks._store.entries import content_entry, forget_entry, params_entry, row_entry, state_entry


class Source:
    """What stands for a run."""

    def __init__(self, run_id: str) -> None:
        self.id, self.start_us = run_id, time.time_ns() // 1000

    def what_is(self, name: str) -> Metric:
        return describe(name)


def assembler() -> tuple[Assembler, list[str]]:
    refused: list[str] = []
    found = Assembler("session", lambda run, text: refused.append(text))
    found.begin([["other", 3, "digest"]])
    return found, refused


def entries_of(run: Source, value: float = 0.5) -> list[tuple[Any, ...]]:
    return [
        state_entry("session", "session", {"status": "running", "started_at": "now", "actor": "ada"}),
        state_entry("run", run.id, {"status": "running", "started_at": "now"}),
        content_entry("architectures", {"id": "shape", "layers": "[]"}),
        params_entry(run.id, 1, (("lr", "0.1", "user"),)),
        row_entry("results", run.id, {"run_id": run.id, "key": "k", "value": "1", "time": 1}),
        (run, {"loss": value, "accuracy": 1.0}, None, None, time.time_ns()),
        (run, {"loss": value}, None, None, time.time_ns()),
    ]


def covered(batch: Batch) -> list[tuple[Any, ...]]:
    """What a batch covers, but for digests of rows that hold the time of writing."""
    return sorted(part[:5] + (part[5:] if part[1] in ("points", "params", "results") else ()) for part in batch.parts)


def ordinals(batch: Batch) -> dict[str, int]:
    return {part[1]: part[2] for part in batch.parts}


def test_a_batch_that_is_not_written_leaves_no_trace() -> None:
    run = Source("run")
    one, _ = assembler()
    entries = [*entries_of(run), forget_entry("run")]
    dropped = one.build(entries)
    assert one.subjects == {}
    assert one.previous is None
    again = one.build(entries)
    assert covered(again) == covered(dropped)
    assert (again.line or ())[:2] == ("session", 0)
    assert set(again.rows) == set(dropped.rows)
    assert "architectures" in again.rows, "the content was not written, so it comes again"


def test_what_follows_goes_on_where_a_written_batch_ended() -> None:
    run = Source("run")
    one, _ = assembler()
    first = one.build(entries_of(run))
    one.done(first)
    assert one.previous == (first.line or ("",) * 4)[3]
    assert set(one.subjects) == {"session", "run"}
    second = one.build(entries_of(run))
    assert ordinals(first)["points"] == 0
    assert ordinals(second) == {"states": 1, "params": 1, "results": 1, "points": 3}
    assert (second.line or ("",) * 7)[1:7:3] == (1, one.previous)
    assert {series.name: [point[0] for point in new] for series, _, new, _ in second.points} == {
        "loss": [2, 3],
        "accuracy": [1],
    }
    assert {summary.count for _, summary, _, _ in second.points} == {4, 2}
    assert {series.summary.count for series, _, _, _ in second.points} == {2, 1}, "until it is written"


def test_a_batch_that_is_done_twice_counts_once() -> None:
    run = Source("run")
    one, _ = assembler()
    first = one.build(entries_of(run))
    one.done(first)
    second = one.build(entries_of(run, 0.25))
    one.done(second)
    one.done(first)
    third = one.build(entries_of(run))
    assert (third.line or ("",) * 2)[1] == 2
    assert ordinals(third)["points"] == 6


def test_a_run_that_is_forgotten_keeps_the_names_that_it_had_once_that_is_written() -> None:
    run = Source("run")
    one, refused = assembler()
    one.done(one.build(entries_of(run)))
    one.build([forget_entry("run")])  # dropped
    one.done(one.build([(run, {"loss": 1.0}, None, None, time.time_ns())]))
    assert refused == []
    one.done(one.build([forget_entry("run")]))
    late = one.build([(run, {"loss": 1.0, "test_loss": 1.0}, None, None, time.time_ns())])
    assert refused == ["metric 'loss' was refused: the run had it before it ended"]
    assert [series.name for series, _, _, _ in late.points] == ["test_loss"]
    assert ordinals(late) == {"points": 4}


def test_names_that_a_run_has_and_forgets_in_one_batch_are_refused_after_it() -> None:
    run = Source("run")
    one, refused = assembler()
    one.done(one.build([*entries_of(run), forget_entry("run")]))
    one.build([(run, {"accuracy": 1.0}, None, None, time.time_ns())])
    assert refused == ["metric 'accuracy' was refused: the run had it before it ended"]
