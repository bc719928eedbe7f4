"""What programs call to be watched: ``histhooks.watch`` and ``histhooks.observe``."""

from __future__ import annotations

import json
import sys
import time as clock
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from numbers import Real
from typing import Any

from histhooks._base.clock import iso, now_us
from histhooks._base.exceptions import UnansweredError, ask, message_of
from histhooks._base.ids import new_id
from histhooks._collect.content_kept import keep
from histhooks._collect.content_tables import table_of
from histhooks._collect.window_counts import count, outputs_of
from histhooks._collect.window_scores import OF_LABELS, Sums, are_many, sums_of
from histhooks._host.guard import guarded
from histhooks._host.messages import warn_once
from histhooks._host.store_location import is_off, is_strict
from histhooks._record.engine import engine
from histhooks._store.entries import row_entry
from histhooks._watch import calls, known, watching
from histhooks.errors import QueryError

_LATE_S = 3600.0  # after which a label counts as late
_HOUR_S = 3600
_LATEST_S = 253_402_300_800.0  # the year 10000


class Watch:
    """A model that is watched; with ``with``, as long as the block goes on.

    Attributes
    ----------
    name : str or None
        The version, as ``"credit@3"``; None if it is not watched.
    """

    def __init__(self, model: Any, name: str | None) -> None:
        self._model, self.name = model, name

    def __repr__(self) -> str:
        return f"<Watch {self.name}>"

    def __enter__(self) -> Any:
        return self._model

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Watch the model no more, and write what was counted.

        Examples
        --------
        >>> class Always:
        ...     def predict(self, X):
        ...         return [1 for _ in X]
        >>> histhooks.watch("churn", Always()).stop()
        """
        if self.name is not None:
            calls.unwatch(self._model)
            guarded(watching.windows)()


def watch(name: str, model: Any) -> Watch:
    """Watch a model in production: count what it is given and what it predicts, and keep no row of it.

    Under ``histhooks run --watch NAME@production`` a program needs no such call: a model whose file is a version is
    watched from the moment it is loaded. A problem with the name is one warning, and the model goes on
    unwatched, unless ``HISTHOOKS_STRICT=1`` is set.

    Parameters
    ----------
    name : str
        ``"credit@production"``, ``"credit@3"``, or ``"credit"`` for its production.
    model : object
        With ``predict`` (scikit-learn, XGBoost, Keras), or a module of PyTorch, which is watched in eval mode.

    Returns
    -------
    Watch
        For use with ``with``, which gives the model; or for :meth:`Watch.stop`.

    Examples
    --------
    >>> class Always:
    ...     def predict(self, X):
    ...         return [1 for _ in X]
    >>> with histhooks.watch("churn@production", Always()) as served:
    ...     served.predict([[0.5, 1.0], [1.0, 0.5]])
    [1, 1]
    """
    return (None if is_off() else _watch(name, model)) or Watch(model, None)


@guarded
def _watch(name: str, model: Any) -> Watch:
    try:
        version = known.version_named(name)
        if not watching.watch_now(model, version):
            raise QueryError(f"calls of a {type(model).__name__} are not seen: it has no predict and is no module")
    except QueryError as error:
        if is_strict():
            raise
        warn_once(f"watch/{name}", str(error))
        return Watch(model, None)
    return Watch(model, version.name)


def observe(name: str, X: Any = None, y_pred: Any = None, y_true: Any = None, time: Any = None) -> None:
    """Count rows, predictions or labels of a model in production: for models elsewhere, and for labels that come late.

    Labels that come days after the predictions are given with these, and with the time of the predictions. Sums of
    errors and counts by class are stored; sums of numeric labels, which R² takes, of ten rows or more together, which
    one process gives for one hour. A problem is one warning, unless ``HISTHOOKS_STRICT=1`` is set.

    Parameters
    ----------
    name : str
        ``"credit@production"``, ``"credit@3"``, or ``"credit"`` for its production.
    X : array-like of shape (n_samples, n_features), optional
        What was predicted on, if it is not watched.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_classes), optional
        Classes, numbers or probabilities.
    y_true : array-like of shape (n_samples,), optional
        The labels of these predictions.
    time : str, datetime, number of seconds, or array-like of them, optional
        When they were predicted; now by default.

    Examples
    --------
    >>> import numpy
    >>> histhooks.observe("churn", y_pred=[1, 0, 1], y_true=[1, 0, 0], time="2026-11-01T09:00")
    >>> histhooks.flush()
    True
    """
    if not is_off():
        _ask_to_observe(name, X, y_pred, y_true, time)


@guarded
def _ask_to_observe(name: str, X: Any, y_pred: Any, y_true: Any, time: Any) -> None:
    try:
        _observe(name, X, y_pred, y_true, time)
    except (QueryError, ValueError, UnansweredError) as error:
        if is_strict():
            raise
        warn_once(f"observe/{name}", f"observe({name!r}): {message_of(error)}")


def _observe(name: str, X: Any, y_pred: Any, y_true: Any, time: Any) -> None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise ValueError("rows are counted by NumPy, which this program has not imported")
    if X is None and y_pred is None:
        raise ValueError("there is nothing to count: give X, y_pred, or y_pred with y_true")
    if y_true is not None and y_pred is None:
        raise ValueError("labels take the predictions that they belong to: observe(..., y_pred=..., y_true=...)")
    version = known.version_named(name)
    predicted = None if y_pred is None else ask(lambda: numpy.atleast_1d(numpy.asarray(y_pred)))
    labels = None if y_true is None else ask(lambda: numpy.atleast_1d(numpy.asarray(y_true)))
    if predicted is not None and labels is not None and len(predicted) != len(labels):
        raise ValueError(f"{len(predicted):,} predictions and {len(labels):,} labels; each prediction takes one label")
    n = len(predicted) if predicted is not None else ask(_n_rows, X)
    watching.begin_session()
    for rows, begins, ends in _spans(numpy, time, n):
        part = None if X is None else X if rows is None else ask(_some, X, rows)
        _write(
            version,
            part,
            predicted if predicted is None or rows is None else predicted[rows],
            labels if labels is None or rows is None else labels[rows],
            begins,
            ends,
        )


def _n_rows(X: Any) -> int:
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple) and shape:
        return int(shape[0])
    if not hasattr(X, "__len__"):
        raise ValueError(f"a {type(X).__name__} does not say how many rows it has; give an array or a list as X")
    return len(X)


def _some(X: Any, rows: Any) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows] if hasattr(X, "shape") else [X[row] for row in rows.tolist()]


def _spans(numpy: Any, time: Any, n: int) -> Iterator[tuple[Any, float, float]]:
    """The rows of each hour, with their first and last moment; None for all rows."""
    if time is None:
        now = clock.time()
        yield None, now, now
        return
    if isinstance(time, (str, datetime, int, float)) or not hasattr(time, "__len__"):
        at = _seconds(time)
        yield None, at, at
        return
    values = time.tolist() if hasattr(time, "tolist") else list(time)
    if getattr(getattr(time, "dtype", None), "kind", "") == "M":
        array = numpy.asarray(time).astype("M8[us]").astype("i8") / 1e6
    else:
        array = numpy.array([_seconds(one) for one in values])
    if len(array) != n:
        raise ValueError(f"{len(array):,} times for {n:,} rows; give one, or one for each row")
    for one in (array.min(), array.max()) if n else ():
        _in_range(float(one))
    hours = (array // _HOUR_S).astype("i8")
    for hour in sorted(set(hours.tolist())):
        rows = numpy.flatnonzero(hours == hour)
        yield rows, float(array[rows].min()), float(array[rows].max())


def _seconds(value: Any) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        seconds = float(value)
    else:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        seconds = (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    return _in_range(seconds)


def _in_range(seconds: float) -> float:
    if not 0.0 <= seconds < _LATEST_S:
        raise ValueError(f"the time {seconds:g} is no number of seconds since 1970 (of milliseconds, divide by 1,000)")
    return seconds


_MOST_HOURS = 1000
_few: dict[tuple[str, str, int], deque[Sums]] = {}  # sums of labels that are too few to be written, by the hour


def _targets(version: known.Version, sums: Sums, ends: float) -> Sums:
    """Sums of labels with those that wait, as soon as they are of so many rows that they give no label back."""
    mine = {name: sums.pop(name) for name in OF_LABELS if name in sums}
    if not mine:
        return {}
    if len(_few) >= _MOST_HOURS:
        _few.pop(next(iter(list(_few))), None)
    held = _few.setdefault((engine.session.id, version.id, int(ends // _HOUR_S)), deque())
    held.append(mine)
    taken = []
    while held:
        try:
            taken.append(held.popleft())
        except IndexError:  # another thread took it
            break
    out: Sums = {}
    for one in taken:
        for name, (total, n) in one.items():
            there = out.get(name, (0.0, 0))
            out[name] = (there[0] + total, there[1] + n)
    if not are_many(out):
        held.append(out)
        return {}
    return out


def _write(version: known.Version, X: Any, predicted: Any, labels: Any, begins: float, ends: float) -> None:
    columns: list[dict[str, Any]] = []
    outputs: dict[str, Any] = {}
    sums: Sums = {}
    n_rows = 0
    if X is not None:
        table = ask(lambda: table_of(keep(X, 0)))
        columns, n_rows = count(table, version.edges, version.key), table.n_rows
    if predicted is not None and (X is not None or labels is None):
        is_score = predicted.dtype.kind == "f" and bool(((predicted >= 0) & (predicted <= 1)).all())
        outputs = ask(lambda: outputs_of(predicted, version.key, is_score=is_score, classes=version.classes))
        n_rows = len(predicted)
    if labels is not None:
        sums, by_class = ask(lambda: sums_of(predicted, labels, is_classifier=version.is_classifier))
        sums |= _targets(version, sums, ends)
        if by_class:
            outputs = {**outputs, "by_class": by_class}
    window_id, now, session_id = new_id(), now_us(), engine.session.id
    row = {
        "id": window_id, "session_id": session_id, "model": version.model, "version_id": version.id,
        "sha256": version.sha256, "started_at": iso(int(begins * 1e6)), "ended_at": iso(int(ends * 1e6)), "n_calls": 0,
        "n_rows": n_rows, "n_errors": 0, "latency": None, "columns": json.dumps(columns, separators=(",", ":")),
        "outputs": json.dumps(outputs, separators=(",", ":")), "source": "live", "time": now,
    }  # fmt: skip
    engine.session.buffer.append(row_entry("windows", session_id, row))
    delay = max(0.0, now / 1e6 - ends)
    for metric, (total, n) in sums.items():
        score = {"window_id": window_id, "session_id": session_id, "metric": metric, "sum": total, "count": n,
                 "value": None, "n_late": n if delay > _LATE_S else 0, "delay_s": delay, "time": now}  # fmt: skip
        engine.session.buffer.append(row_entry("window_metrics", session_id, score))
