"""Prune: delete top-level runs by rule, with the runs inside them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any

from histhooks._base.clock import iso, now_us
from histhooks._base.vocabulary import ENDS, OPEN, in_sql
from histhooks.curate._deleting import Deletion, checked_reason, delete_rows
from histhooks.curate._promoted import promoted_runs
from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError

_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a rule means.

    Attributes
    ----------
    deletion : Deletion
        What was deleted, or would be.
    left : list of dict
        Runs that the rule means and that stay, with `why`.
    """

    deletion: Deletion
    left: list[dict[str, Any]] = field(default_factory=list)


def prune(
    *,
    reason: str = "",
    older_than: str | None = None,
    status: str | None = None,
    kind: str | None = None,
    project: str | None = None,
    keep_last: int | None = None,
    store: str | os.PathLike[str] | None = None,
    dry_run: bool = True,
) -> Pruning:
    """Delete top-level runs that fit all of the rules given, with the runs inside them.

    What still records stays, and so does a run that a run which stays goes back to (`resumes`, `continues`, ...), or
    that made a version of a model which was promoted in the last 10 years (`[tool.histhooks.models] retention`).

    Parameters
    ----------
    reason : str
        Kept in the tombstones; needed unless `dry_run`.
    older_than : str, optional
        Runs that began longer ago: `90d`, `12h`, `8w`.
    status, kind, project : str, optional
        Runs that ended so, of that kind, of that project.
    keep_last : int, optional
        Never the latest so many of each project.
    store : str or path, optional
    dry_run : bool
        Only report what would be deleted; the default.

    Returns
    -------
    Pruning

    Raises
    ------
    QueryError
        If no rule is given, or one cannot be read.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> found = curate.prune(keep_last=1, project=run.project, dry_run=True)
    >>> [run["name"] for run in found.deletion.runs]
    ['train']
    """
    if older_than is None and status is None and kind is None and keep_last is None:
        raise QueryError("prune needs a rule: --older-than 90d, --status failed, --kind preprocess or --keep-last 50")
    if status is not None and status not in ENDS:
        raise QueryError(f"no run ends as {status!r}; choose one of {', '.join(ENDS)}")
    clauses = ["parent_id IS NULL"]
    values: list[str | int] = []
    for column, value in (("status", status), ("kind", kind), ("project", project)):
        if value is not None:
            clauses.append(f"{column} = ?")
            values.append(value)
    if older_than is not None:
        clauses.append("started_at < ?")
        values.append(iso(now_us() - seconds_of(older_than) * 1_000_000))
    if keep_last is not None:
        clauses.append(
            "id NOT IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY project "
            "ORDER BY started_at DESC, id DESC) AS place FROM runs WHERE parent_id IS NULL) WHERE place <= ?)"
        )
        values.append(keep_last)
    reason = "-" if dry_run else checked_reason(reason)
    with CommandSession(store, "histhooks prune") as session:
        meant = session.rows(f"SELECT * FROM runs WHERE {' AND '.join(clauses)} ORDER BY started_at", *values)
        chosen, left = _choose(session, meant)
        if not chosen:
            return Pruning(Deletion([], 0, [], 0), left)
        return Pruning(delete_rows(session, chosen, reason, dry_run=dry_run), left)


def seconds_of(text: str) -> int:
    """Seconds of `90d`, `12h` or `8w`.

    Raises
    ------
    QueryError
        If it is none of these.
    """
    found = re.fullmatch(r"(\d+)\s*([hdw])", text.strip())
    if found is None:
        raise QueryError(f"{text!r} is no span of time; write hours, days or weeks: 12h, 90d, 8w")
    return int(found[1]) * _UNITS[found[2]]


_INSIDE = (
    "WITH RECURSIVE inside (id) AS (SELECT ? UNION SELECT r.id FROM runs AS r JOIN inside ON r.parent_id = inside.id) "
)


def _choose(session: CommandSession, meant: list[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    left: list[dict[str, Any]] = []
    chosen: dict[str, set[str]] = {}
    open_sql = (
        f"{_INSIDE}SELECT 1 FROM inside JOIN runs AS r ON r.id = inside.id JOIN sessions AS s ON s.id = r.session_id "
        f"WHERE s.status IN {in_sql(OPEN)} LIMIT 1"
    )
    for row in meant:
        if session.rows(open_sql, row["id"]):
            left.append({"id": row["id"], "name": row["name"], "why": "its session has not ended"})
            continue
        chosen[row["id"]] = {inner["id"] for inner in session.rows(f"{_INSIDE}SELECT id FROM inside", row["id"])}
    names = {row["id"]: row["name"] for row in meant}
    everything = set[str]().union(*chosen.values())
    promoted = {str(each.run_id): each for each in promoted_runs(session.connection, everything)}
    for outer in [outer for outer, inside in chosen.items() if inside & promoted.keys()]:
        why = next(promoted[each].why() for each in sorted(chosen.pop(outer)) if each in promoted)
        left.append({"id": outer, "name": names[outer], "why": why})
    links = session.rows("SELECT DISTINCT run_id, other_run_id FROM run_links WHERE other_run_id IS NOT NULL")
    is_settled = False
    while not is_settled:
        # What stays may hold on to more: a chain of resumed trainings stays whole.
        going = set().union(*chosen.values()) if chosen else set()
        needed = {link["other_run_id"] for link in links if link["run_id"] not in going}
        held = [run_id for run_id, inside in chosen.items() if inside & needed]
        for run_id in held:
            del chosen[run_id]
            left.append({"id": run_id, "name": names[run_id], "why": "a run that stays goes back to it"})
        is_settled = not held
    return list(chosen), left
