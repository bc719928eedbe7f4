"""Keep verdicts in the history, and waive checks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from math import isfinite
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.secrets import mask_text
from histhooks._base.values import dumps
from histhooks._store.entries import Entry, row_entry
from histhooks.checks._registry import known
from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError
from histhooks.history import History
from histhooks.history._models import is_version_name

if TYPE_CHECKING:
    from histhooks.checks import Verdict
    from histhooks.history import ModelVersion

_Store = str | os.PathLike[str] | None


def save_checks(verdicts: Iterable[Verdict], *, store: _Store = None) -> int:
    """Keep what checks said of runs: rows of `check_results`, covered by the ledger.

    Parameters
    ----------
    verdicts : iterable of Verdict
        As :meth:`histhooks.History.check` gives them. Checks that do not apply leave no row.
    store : str or path, optional

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    QueryError
        If a run is not in the store.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> verdict = history.check("last", only=["leak.rows"])
    >>> curate.save_checks([verdict])
    1
    """
    found = list(verdicts)
    with CommandSession(store, "histhooks check --save") as session:
        session.find(tuple(verdict.run["id"] for verdict in found), is_exact=True)
        with session.deed() as entries:
            for verdict in found:
                entries += _rows(verdict, session.id)
            count = len(entries)
    return count


def _rows(verdict: Verdict, session_id: str) -> list[Entry]:
    run_id, now = verdict.run["id"], now_us()
    rows: list[dict[str, Any]] = []
    for level, findings in ((None, verdict.findings), ("waived", verdict.waived)):
        by_check: dict[str, Any] = {}
        for found in findings:  # the gravest comes first, and stands for the others of its check
            by_check.setdefault(found.id, found)
        for found in by_check.values():
            evidence = {"says": mask_text(found.says), **found.evidence}
            rows.append({
                "check_id": found.id, "version": found.version, "level": level or found.level,
                "value": _real(found.value), "threshold": _real(found.threshold), "evidence": dumps(evidence),
            })  # fmt: skip
    told = {row["check_id"] for row in rows}
    for one in verdict.cannot_tell:
        if one.id not in told:
            told.add(one.id)
            evidence = {"why": mask_text(one.why)}
            rows.append({"check_id": one.id, "version": one.version, "level": "cannot_tell",
                         "evidence": dumps(evidence)})  # fmt: skip
    rows += [{"check_id": name, "version": verdict.versions[name], "level": "pass"} for name in verdict.passed]
    keys = {"run_id": run_id, "session_id": session_id, "time": now}
    empty = dict.fromkeys(("value", "threshold", "evidence"))
    return [row_entry("check_results", run_id, {**empty, **row, **keys}) for row in rows]


def _real(value: float | None) -> float | None:
    """A number as the store gives it back; None for one that is not finite."""
    return float(value) if value is not None and isfinite(value) else None


def waive(check: str, run: str, *, reason: str, until: str, store: _Store = None) -> str:
    """Waive a check for a run or a version of a model until a day: its findings are listed as waived, and fail nothing.

    Parameters
    ----------
    check : str
        Id of a check, as `leak.groups`.
    run : str
        An id, a part of one, a name, `last` or `last~2`; or a version of a model: `fraud@3`.
    reason : str
        Kept in the history, with your name.
    until : str
        The last day it holds, as `2027-01-31`.
    store : str or path, optional

    Returns
    -------
    str
        The id of the run.

    Raises
    ------
    QueryError
        If there is no such check or run, the reason is empty, or the day is none or has passed.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> waiver = curate.waive("leak.prep", "last", reason="transductive by design", until="2099-01-31")
    >>> [row["reason"] for row in history.run("last").waivers]
    ['transductive by design']
    """
    (name, *others) = known([check])
    if others:
        raise QueryError(f"{check!r} are {len(others) + 1} checks; waive one at a time, such as {name}")
    if not reason.strip():
        raise QueryError("a waiver needs a reason: --reason 'transductive by design'")
    try:
        day = date.fromisoformat(until)
    except ValueError as error:
        raise QueryError(f"{until!r} is no day; give one as 2027-01-31") from error
    if day < date.fromtimestamp(now_us() / 1e6):
        raise QueryError(f"{until} has passed; give the last day on which the waiver holds")
    with CommandSession(store, f"histhooks waive {name} {run}") as session:
        version = _version(session, run)
        (row,) = session.find((run,))
        of_run = {"run_id": row["id"], "model": None, "version_id": None}
        of_version = {"run_id": None, "model": version.model, "version_id": version.id} if version else of_run
        with session.deed() as entries:
            fact = {"session_id": session.id, "check_id": name, **of_version,
                    "reason": mask_text(reason.strip()), "until": day.isoformat()}  # fmt: skip
            entries.append(row_entry("waivers", session.id, {**fact, "author": session.actor, "time": now_us()}))
    return str(row["id"])


def _version(session: CommandSession, name: str) -> ModelVersion | None:
    """The version of a model that is named; None if it is a run."""
    with History(session.path) as history:
        return history.version(name) if is_version_name(history, name) else None
