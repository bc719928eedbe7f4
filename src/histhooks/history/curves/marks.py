"""What happened to a run beside its curves: checkpoints, learning rates, warnings, resumption and the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso
from histhooks._base.ids import short_id
from histhooks._base.text import number
from histhooks._base.vocabulary import RUNNING

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history._records import RunRecord

_MOST = 40  # of a kind; more would hide the curves
_WORDS = {"checkpoint": "checkpoints", "lr": "changes of the learning rate", "warning": "warnings"}
_LONGEST = (
    "SELECT series, start_time, count FROM metric_summaries WHERE run_id = ? AND count > 0 "
    "ORDER BY split IS 'system', count DESC, last_epoch IS NULL LIMIT 1"
)
_POINT = "SELECT coalesce(step, n), epoch, time FROM points WHERE series = ? AND n = ?"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment of a run.

    Attributes
    ----------
    kind : str
        `checkpoint`, `lr`, `warning`, `resumed` or `end`.
    says : str
        What it was, in a line.
    time : int, microseconds UTC
    step, epoch : int or None
        0-based; of the last point before it, if it has none of its own.
    relative : float, seconds
        Since the start of the run.
    """

    kind: str
    says: str
    time: int
    step: int | None = None
    epoch: int | None = None
    relative: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; `wall` is its time in seconds UTC."""
        return {**asdict(self), "wall": self.time / 1e6}


def marks_of(run: RunRecord) -> tuple[list[Mark], list[str]]:
    """The marks of a run in order of time, and what is not marked since there is too much of it."""
    every, found, notes = [*_files(run), *_rates(run), *_events(run)], list[Mark](), list[str]()
    for kind, words in _WORDS.items():
        here = [mark for mark in every if mark.kind == kind]
        if len(here) > _MOST:
            notes.append(f"{len(here):,} {words}; the last {_MOST} are marked")
        found += here[-_MOST:]
    found += [*_resumed(run), *_end(run)]
    return _placed(run, sorted(found, key=lambda mark: mark.time)), notes


def _files(run: RunRecord) -> Iterator[Mark]:
    for file in run.artifacts:
        if file["role"] == "checkpoint":
            word = "checkpoint" if file["direction"] == "out" else "loaded checkpoint"
            name = str(file["path"]).replace("\\", "/").rpartition("/")[2]
            yield Mark("checkpoint", f"{word} {name}", file["time"], file["step"])


def _rates(run: RunRecord) -> Iterator[Mark]:
    """Where a group of an optimizer goes on with another learning rate."""
    sql = "SELECT optimizer_id, position, lr, step, time FROM optimizer_groups WHERE run_id = ? ORDER BY ordinal"
    known: dict[tuple[str, int], float | None] = {}
    for optimizer, position, lr, step, time in run.history.cursor(sql, run.id):
        place = optimizer, position
        if place in known and known[place] != lr:
            yield Mark("lr", f"learning rate {number(known[place])} to {number(lr)}", time, step)
        known[place] = lr


def _events(run: RunRecord) -> Iterator[Mark]:
    for event in run.events:
        kind = "lr" if event["kind"].startswith("lr") else "checkpoint" if "checkpoint" in event["kind"] else None
        if event["severity"] in ("warning", "error"):
            kind = "warning"
        if kind is not None:
            yield Mark(kind, event["title"], event["time"], event["step"])


def _resumed(run: RunRecord) -> Iterator[Mark]:
    for link in run.links:
        if link["kind"] in ("resumes", "continues"):
            other = link["other_run_id"]
            yield Mark(
                "resumed", f"{link['kind']} {short_id(other)}" if other else link["kind"], from_iso(run.started_at)
            )


def _end(run: RunRecord) -> Iterator[Mark]:
    if run.status != RUNNING and run.row["ended_at"]:
        why = f": {run.error_type}" if run.error_type else ""
        yield Mark("end", f"{run.status}{why}", from_iso(run.row["ended_at"]), run.row["steps_done"] or None)


# --- their places -----------------------------------------------------------------------------------------------------


def _placed(run: RunRecord, marks: Sequence[Mark]) -> list[Mark]:
    start = from_iso(run.started_at)
    row = run.history.cursor(_LONGEST, run.id).fetchone()
    out = []
    for mark in marks:
        step, epoch = mark.step, mark.epoch
        if row is not None:
            series, series_start, count = row
            own = None if mark.kind == "end" else step
            wanted = mark.time - series_start if own is None else own
            near = _near(run.history, series, count, wanted, by_step=own is not None)
            if near is not None:
                step, epoch = (near[0] if own is None else own), near[1]
        out.append(replace(mark, step=step, epoch=epoch, relative=(mark.time - start) / 1e6))
    return out


def _near(reader: Reader, series: int, count: int, wanted: int, *, by_step: bool) -> tuple[int, int | None] | None:
    """Step and epoch of the last point up to a step or a time, else of the first point, found by halving."""
    column, low, high, found = 0 if by_step else 2, 0, count - 1, None
    while low <= high:
        middle = (low + high) // 2
        point = reader.cursor(_POINT, series, middle).fetchone()
        if point is None:
            high = middle - 1
        elif point[column] <= wanted:
            found, low = point, middle + 1
        else:
            high = middle - 1
    found = found or reader.cursor(_POINT, series, 0).fetchone()
    return None if found is None else (found[0], found[1])
