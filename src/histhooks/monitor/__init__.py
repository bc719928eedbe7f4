"""Is a model inside what its training promised? Windows of production beside the training data of the version.

A server that runs under ``histhooks run --watch NAME@production`` leaves windows of counts; :func:`from_file` counts
the rows of a file. :func:`judge` holds both against the deciles, ranges and categories of the training data, and labels
against the last test score.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.clock import iso, now_us
from histhooks._base.secrets import mask_text
from histhooks._store.entries import row_entry
from histhooks.errors import QueryError
from histhooks.history._models import version_named
from histhooks.history.query.times import EXAMPLES, moment, span_s
from histhooks.monitor._types import Change, Report, Score, Signal, Window

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.monitor._baseline import Baseline
    from histhooks.monitor._judging import Versions

__all__ = ["Change", "Report", "Score", "Signal", "Window", "accept", "from_file", "judge"]

_Path = str | os.PathLike[str]


def judge(
    history: Reader, name: str, *, since: str | None = "7d", window: str = "1d", against: str = "train"
) -> Report:
    """Judge the recorded windows of a model; nothing is written.

    Parameters
    ----------
    history : History
    name : str
        ``"credit"`` for all versions, ``"credit@production"`` or ``"credit@3"`` for one.
    since : str, optional
        A date, or an age such as ``"7d"``; None for all.
    window : str
        The span of time that is judged at once: ``"1d"``, ``"1h"``.
    against : {'train', 'baseline'}
        The training data alone, or also the windows that a person accepted (:func:`accept`).

    Returns
    -------
    Report
        Its `state` is that of the latest window that has 100 rows.

    Raises
    ------
    QueryError
        If there is no such model, or a time cannot be read.

    Examples
    --------
    >>> from histhooks import monitor
    >>> report = monitor.judge(history, "churn")
    >>> report.state, report.code, report.why
    ('cannot tell', 2, 'no window of churn is recorded; ...
    """
    from histhooks.monitor._gathered import gathered
    from histhooks.monitor._judging import Versions, report

    if against not in ("train", "baseline"):
        raise QueryError(f"against is 'train' or 'baseline', not {against!r}")
    versions, version_id = Versions(history, _model_of(name)), None
    if "@" in name:
        version_id = version_named(history, name).id
    window_s, begin = _window_s(window), _begin(since)
    spans = gathered(
        history.sql, versions.model, window_s=window_s, since=begin, version_id=version_id,
    )  # fmt: skip
    baseline = _limits(history, window_s, versions) if against == "baseline" else None
    out = report(spans, versions, window_s=window_s, baseline=baseline)
    if not spans:
        return replace(out, why=_no_window(history, versions.model, name, since))
    return out


def _no_window(history: Reader, model: str, name: str, since: str | None) -> str:
    rows = history.sql("SELECT max(started_at) AS last, count(*) AS n FROM windows WHERE model = ?", model)
    if rows[0]["n"]:
        return f"no window of {name} began within {since}; the last one began {rows[0]['last'][:16]}; give --since"
    return (
        f"no window of {model} is recorded; run the server by `histhooks run --watch {model}@production SCRIPT`, or "
        f"count a file by `histhooks monitor {model} --data FILE`"
    )


def from_file(
    name: str,
    data: _Path,
    *,
    time: str | None = None,
    labels: _Path | None = None,
    key: str | None = None,
    prediction: str | None = None,
    target: str | None = None,
    window: str = "1d",
    against: str = "train",
    store: _Path | None = None,
) -> Report:
    """Count the rows of a file, store the windows in the history, and judge them. No row and no value is stored.

    Parameters
    ----------
    name : str
        ``"credit"`` for the version that is live as production, ``"credit@3"`` or ``"credit@staging"``.
    data : str or path
        CSV or Parquet, with the columns of the training data.
    time : str, optional
        The column that says when a row was predicted; without it the file is one window.
    labels : str or path, optional
        A file with the labels, where they are not in `data`.
    key : str, optional
        The column that `data` and `labels` share.
    prediction, target : str, optional
        The columns of what was predicted and of what was true.
    window : str
        The span of time that is judged at once.
    against : {'train', 'baseline'}
    store : str or path, optional

    Returns
    -------
    Report

    Raises
    ------
    QueryError
        If the model or a column is not there, or a file cannot be read.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> from histhooks import monitor
    >>> monitor.from_file("debit", "batch.csv", time="when", prediction="score", target="paid")
    Traceback (most recent call last):
    ...
    histhooks.errors.QueryError: no model is called 'debit' in ...
    """
    from histhooks.history import History
    from histhooks.monitor._files import Batch, stored
    from histhooks.monitor._gathered import gathered
    from histhooks.monitor._judging import Versions, report

    if against not in ("train", "baseline"):
        raise QueryError(f"against is 'train' or 'baseline', not {against!r}")
    window_s = _window_s(window)
    batch = Batch(Path(data), time, None if labels is None else Path(labels), key, prediction, target)
    ids, notes = stored(name, batch, window_s=window_s, store=store)
    with History(store) as history:
        versions = Versions(history, _model_of(name))
        spans = gathered(history.sql, versions.model, window_s=window_s, ids=ids)
        baseline = _limits(history, window_s, versions) if against == "baseline" else None
        out = report(spans, versions, window_s=window_s, baseline=baseline)
    return replace(out, notes=(*out.notes, *notes))


def accept(name: str, span: str, *, reason: str, window: str = "1d", store: _Path | None = None) -> int:
    """Accept the windows of a span of time as a baseline, for data with seasons that the training alone does not show.

    Parameters
    ----------
    name : str
    span : str
        An age such as ``"14d"``, up to now.
    reason : str
        Kept in the history, with your name.
    window : str
        The span of time that one window has.
    store : str or path, optional

    Returns
    -------
    int
        How many windows are accepted.

    Raises
    ------
    QueryError
        If there are fewer than 6 windows of 100 rows, or the reason is empty.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> from histhooks import monitor
    >>> monitor.accept("debit", "14d", reason="the autumn is as it should be")
    Traceback (most recent call last):
    ...
    histhooks.errors.QueryError: no model is called 'debit' in ...
    """
    from histhooks.curate._session import CommandSession
    from histhooks.history import History
    from histhooks.monitor._gathered import gathered
    from histhooks.monitor._judging import Versions, limits_of

    if not isinstance(reason, str) or not reason.strip():
        raise QueryError("a baseline needs a reason: --reason 'the autumn is as it should be'")
    begin, window_s, until = _begin(span), _window_s(window), iso(now_us())
    with History(store) as history:
        version = version_named(history, name)
        spans = gathered(history.sql, version.model, window_s=window_s, since=begin, until=until)
        baseline = limits_of(spans, Versions(history, version.model))
    with CommandSession(store, f"histhooks monitor {name} --accept {span}") as session, session.deed() as entries:
        fact = {
            "version_id": version.id, "session_id": session.id, "action": "note", "alias": None,
            "from_version_id": None, "reason": mask_text(reason.strip()), "run_id": version.run_id,
            "checks": json.dumps({"baseline": {"since": begin, "until": until, "windows": baseline.n_windows}}),
        }  # fmt: skip
        row = {**fact, "author": session.actor, "time": now_us()}
        entries.append(row_entry("model_events", version.id, row))
    return baseline.n_windows


def _model_of(name: str) -> str:
    model, sign, _ = name.rpartition("@")
    return model if sign else name


def _limits(history: Reader, window_s: float, versions: Versions) -> Baseline:
    from histhooks.monitor._baseline import accepted
    from histhooks.monitor._gathered import gathered
    from histhooks.monitor._judging import limits_of

    span = accepted(history.sql, versions.model)
    spans = gathered(history.sql, versions.model, window_s=window_s, since=span.since, until=span.until)
    return limits_of(spans, versions)


def _window_s(text: str) -> float:
    found = span_s(text)
    if not found:
        raise QueryError(f"{text!r} is no span of time; write 1d, 1h or 30m")
    return found


def _begin(text: str | None) -> str | None:
    if text is None:
        return None
    found = moment(text)
    if found is None:
        raise QueryError(f"{text!r} is no time; write one as {EXAMPLES}")
    return found[0]
