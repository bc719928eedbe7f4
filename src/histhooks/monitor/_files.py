"""Windows of a batch in a file: counted, stored with their sums of errors, and judged."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso, now_us
from histhooks._base.ids import new_id
from histhooks._base.tallies import add, add_columns
from histhooks._collect.window_counts import Edges, classes_of, count, edges_of, outputs_of
from histhooks._collect.window_scores import OF_LABELS, are_many, sums_of
from histhooks._host.row_key import RowKey, row_key
from histhooks._host.store_location import project_name
from histhooks._store import model_rows
from histhooks._store.entries import Entry, row_entry
from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError
from histhooks.history import History
from histhooks.history._models import version_named
from histhooks.monitor._gathered import DEFAULT_SPAN_S
from histhooks.monitor._reading import Part, parts_of, seconds_in

if TYPE_CHECKING:
    import os

    from histhooks._store.model_rows import Trained
    from histhooks.history._version_rows import ModelVersion


@dataclass(slots=True)
class _Span:
    """What is counted of the rows of one span of time."""

    begins: float = float("inf")
    ends: float = float("-inf")
    n_rows: int = 0
    columns: dict[int, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counting:
    """How rows of a version are counted here.

    Attributes
    ----------
    edges : tuple of Edges
    key : RowKey
    notes : tuple of str
        What cannot be counted here, and why.
    classes : frozenset of str
        Whole numbers that the training had as its classes.
    """

    edges: tuple[Edges, ...]
    key: RowKey
    notes: tuple[str, ...]
    classes: frozenset[str]


def counting(trained: Trained) -> Counting:
    """The edges of the training data, with the key of its texts where it is here."""
    project = trained.project or project_name()
    key = row_key(project, make=False)
    is_same = trained.key_id is not None and key.id == trained.key_id
    notes = []
    if not is_same and any("categories" in one["facts"] for one in trained.columns):
        notes.append(
            f"texts are not counted: their hashes in training have the key {trained.key_id}, which is not here; "
            f"`histhooks key export` there and `histhooks key import` here, or set HISTHOOKS_KEY"
        )
    edges = edges_of(trained.columns, trained.profile, is_same_key=is_same)
    return Counting(edges, key, tuple(notes), classes_of(trained.profile))


@dataclass(frozen=True, slots=True)
class Batch:
    """A file of rows that were predicted.

    Attributes
    ----------
    data : Path
    time : str or None
        The column that says when.
    labels : Path or None
        Where the labels are, if not in the file.
    key : str or None
        The column that rows and labels share.
    prediction, target : str or None
        Columns of what was predicted, and of what was true.
    """

    data: Path
    time: str | None = None
    labels: Path | None = None
    key: str | None = None
    prediction: str | None = None
    target: str | None = None


def stored(
    name: str, batch: Batch, *, window_s: float, store: str | os.PathLike[str] | None
) -> tuple[list[str], tuple[str, ...]]:
    """Count the rows of a file, and store the windows; a file that is stored already stays as it is.

    Returns
    -------
    list of str, and tuple of str
        The ids of the windows; what could not be counted, and why.

    Raises
    ------
    QueryError
        If a column is not in the file, the file cannot be read, or the name means no version.
    """
    import_numpy()
    _check(batch)
    with History(store) as history:
        version = version_named(history, name)
        trained = model_rows.trained_on(history.sql, version.run_id)
        how, digest = counting(trained), _digest(batch)
        known = _known(history, version.id, digest, window_s)
    if known:
        return known, (*how.notes, f"{batch.data} is recorded already; its windows are judged again")
    spans = _spans(batch, how, trained, window_s)
    ids: list[str] = []
    with CommandSession(store, f"histhooks monitor {name} --data") as session, session.deed() as entries:
        for _, span in sorted(spans.items()):
            ids.append(_write(entries, session.id, version, span, {"file": digest, "span": window_s}))
    return ids, how.notes


def import_numpy() -> None:
    """Import NumPy, which counts.

    Raises
    ------
    QueryError
        If it is not installed.
    """
    try:
        import numpy  # noqa: F401
    except ImportError as error:
        raise QueryError("to count rows takes NumPy: pip install numpy") from error


def _check(batch: Batch) -> None:
    if batch.labels is not None and batch.key is None:
        raise QueryError("--labels takes --key COLUMN: which column do rows and labels share?")
    if batch.labels is not None and batch.prediction is None:
        raise QueryError("--labels takes --prediction COLUMN: which column of the data was predicted?")
    if batch.labels is None and batch.target is not None and batch.prediction is None:
        raise QueryError("--target takes --prediction COLUMN: which column of the data was predicted?")


def _digest(batch: Batch) -> str:
    found = hashlib.sha256(json.dumps([batch.time, batch.key, batch.prediction, batch.target]).encode())
    for path in (batch.data, batch.labels):
        if path is None:
            continue
        try:
            with path.open("rb") as file:
                while data := file.read(1 << 20):
                    found.update(data)
        except OSError as error:
            raise QueryError(f"{path} cannot be read: {error.strerror}") from error
    return found.hexdigest()


def _known(history: History, version_id: str, digest: str, window_s: float) -> list[str]:
    rows = history.sql(
        "SELECT id, json_extract(outputs, '$.span') AS span FROM windows WHERE version_id = ? AND source = 'file' "
        "AND json_extract(outputs, '$.file') = ?",
        version_id, digest,
    )  # fmt: skip
    return [row["id"] for row in rows if float(row["span"] or DEFAULT_SPAN_S) == window_s]


def _spans(batch: Batch, how: Counting, trained: Trained, window_s: float) -> dict[int, _Span]:
    labels = None if batch.labels is None else _labels(batch)
    target = ((trained.profile or {}).get("y") or {}).get("values") or {}
    is_classifier = True if any(name.startswith("classes") for name in target) else None
    now = batch.data.stat().st_mtime
    spans: dict[int, _Span] = {}
    for part in parts_of(batch.data):
        _has(part, batch)
        times = None if batch.time is None else seconds_in(part.column(batch.time), batch.time)
        for bucket, rows in _buckets(part, times, window_s, now):
            span = spans.setdefault(bucket, _Span())
            _take(span, part, rows, batch, how)
            moments = (now, now) if times is None else (float(times[rows].min() // 1), float(times[rows].max() // 1))
            span.begins, span.ends = min(span.begins, moments[0]), max(span.ends, moments[1])
            _score(span, part, rows, batch, labels, is_classifier)
    if not spans:
        raise QueryError(f"{batch.data} has no rows")
    return spans


def _has(part: Part, batch: Batch) -> None:
    wanted = {"--time": batch.time, "--key": batch.key, "--prediction": batch.prediction,
              "--target": batch.target if batch.labels is None else None}  # fmt: skip
    for option, name in wanted.items():
        if name is not None and name not in part.names:
            there = ", ".join(map(repr, part.names[:8])) + (", …" if len(part.names) > 8 else "")
            raise QueryError(f"{option}: {batch.data} has no column {name!r}; it has {there}")


def _buckets(part: Part, times: Any, window_s: float, now: float) -> list[tuple[int, Any]]:
    import numpy

    n = len(part.column(part.names[0])) if part.names else 0
    if times is None or not n:
        return [(int(now // window_s), numpy.ones(n, bool))] if n else []
    there = numpy.isfinite(times)
    buckets = numpy.where(there, times // window_s, 0).astype("i8")
    return [(one, there & (buckets == one)) for one in sorted(set(buckets[there].tolist()))]


def _take(span: _Span, part: Part, rows: Any, batch: Batch, how: Counting) -> None:
    apart = {batch.time, batch.key, batch.prediction, batch.target}
    names = [name for name in part.names if name not in apart]
    span.n_rows += int(rows.sum())
    if names:
        add_columns(span.columns, count(part.table(names, rows), how.edges, how.key.secret))
    if batch.prediction is not None:
        values = part.column(batch.prediction)[rows]
        is_score = values.dtype.kind == "f" and bool(((values >= 0) & (values <= 1)).all())
        add(span.outputs, outputs_of(values, how.key.secret, is_score=is_score, classes=how.classes))


def _labels(batch: Batch) -> Mapping[Any, Any]:
    found: dict[Any, Any] = {}
    for part in parts_of(batch.labels or Path()):
        if batch.key not in part.names:
            raise QueryError(f"--key: {batch.labels} has no column {batch.key!r}; it has {', '.join(part.names[:8])}")
        others = [name for name in part.names if name != batch.key]
        target = batch.target or (others[0] if len(others) == 1 else None)
        if target is None or target not in part.names:
            raise QueryError(f"--target COLUMN: which column of {batch.labels} is true? it has {', '.join(others[:8])}")
        found.update(zip(part.column(str(batch.key)).tolist(), part.column(target).tolist(), strict=True))
    return found


def _score(
    span: _Span, part: Part, rows: Any, batch: Batch, labels: Mapping[Any, Any] | None, is_classifier: bool | None
) -> None:
    import numpy

    if batch.prediction is None or (labels is None and batch.target is None):
        return
    predicted = part.column(batch.prediction)[rows]
    if labels is not None:
        keys = part.column(str(batch.key))[rows].tolist()
        there = numpy.array([key in labels for key in keys], dtype=bool)
        true = numpy.array([labels[key] for key in keys if key in labels])
        predicted = predicted[there]
    else:
        true = part.column(str(batch.target))[rows]
    if is_classifier is None and true.dtype.kind in "iu" and predicted.dtype.kind == "f":
        is_classifier = None if set(true.tolist()) <= {0, 1} else False
    sums, by_class = sums_of(predicted, true, is_classifier=is_classifier)
    for metric, (total, n) in sums.items():
        there_ = span.sums.setdefault(metric, [0.0, 0])
        there_[0] += total
        there_[1] += n
    if by_class:
        add(span.outputs, {"by_class": by_class})


def _write(entries: list[Entry], session_id: str, version: ModelVersion, span: _Span, origin: Mapping[str, Any]) -> str:
    window_id, now = new_id(), now_us()
    row = {
        "id": window_id, "session_id": session_id, "model": version.model, "version_id": version.id,
        "sha256": version.sha256, "started_at": iso(int(span.begins * 1e6)), "ended_at": iso(int(span.ends * 1e6)),
        "n_calls": 0, "n_rows": span.n_rows, "n_errors": None, "latency": None,
        "columns": json.dumps(list(span.columns.values()), separators=(",", ":")),
        "outputs": json.dumps({**span.outputs, **origin}, separators=(",", ":")), "source": "file", "time": now,
    }  # fmt: skip
    entries.append(row_entry("windows", session_id, row))
    for metric, (total, n) in span.sums.items():
        if metric in OF_LABELS and not are_many(span.sums):
            continue
        delay = max(0.0, time.time() - span.ends)
        score = {"window_id": window_id, "session_id": session_id, "metric": metric, "sum": total, "count": int(n),
                 "value": None, "n_late": 0, "delay_s": delay, "time": now}  # fmt: skip
        entries.append(row_entry("window_metrics", session_id, score))
    return window_id
