"""What stands around a run: scores on the same data, other judging in its session, its files as they are now."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histhooks.history.query.run_query import rows_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history._run_rows import RunRows

_HASHED = 32 << 20  # bytes of a file that is hashed again
_MOST = 20  # files


def was_validated(run: RunRows, *, by_folds: bool = False) -> bool:
    """Whether anything in the run's session judged a model: other data, a score; or only a search or a validation."""
    if by_folds:
        sql = "SELECT EXISTS (SELECT 1 FROM runs WHERE session_id = ? AND kind IN ('search', 'validate'))"
        ((found,),) = run.history.cursor(sql, run.row["session_id"]).fetchall()
        return bool(found)
    sql = (
        "SELECT EXISTS (SELECT 1 FROM runs WHERE session_id = ?1 AND kind IN ('search', 'validate', 'evaluate')) "
        "OR EXISTS (SELECT 1 FROM runs AS r JOIN run_datasets AS d ON d.run_id = r.id "
        "WHERE r.session_id = ?1 AND d.role IN ('valid', 'test')) "
        "OR EXISTS (SELECT 1 FROM runs AS r JOIN metric_summaries AS m ON m.run_id = r.id "
        "WHERE r.session_id = ?1 AND m.split IN ('valid', 'test'))"
    )
    ((found,),) = run.history.cursor(sql, run.row["session_id"]).fetchall()
    return bool(found)


def scores_on(run: RunRows, dataset_id: str) -> dict[str, float | None]:
    """The last score of each run that was tested on some data, this one included: that of this run's first score.

    None for a run without a score of that name.
    """
    which = "run_id = ? AND split = 'test' AND direction = 1 ORDER BY series LIMIT 1"
    sql = f"SELECT name FROM metric_summaries WHERE {which}"
    name = run.history.cursor(sql, run.id).fetchone()
    sql = (
        "SELECT DISTINCT d.run_id, m.last FROM run_datasets AS d JOIN runs AS r ON r.id = d.run_id "
        "LEFT JOIN metric_summaries AS m ON m.run_id = d.run_id AND m.name = ? "
        "WHERE d.dataset_id = ? AND d.role = 'test' AND r.kind NOT IN ('candidate', 'preprocess')"
    )
    return dict(run.history.cursor(sql, name[0] if name else None, dataset_id).fetchall())


def kept_risks(history: Reader, run_ids: Sequence[str]) -> dict[str, Counter[str]]:
    """How many checks of each run and of the runs in it found something, by level, in the verdicts that were kept."""
    if not history.sql("SELECT 1 FROM check_results LIMIT 1"):
        return {}
    above = {run_id: {run_id} for run_id in run_ids}
    below = list(above)
    while below:
        # Candidates of a search can be many, and are checked only if somebody names one.
        sql = "SELECT id, parent_id FROM runs WHERE kind <> 'candidate' AND parent_id IN {}"
        rows, below = rows_of(history, sql, below), []
        for row in rows:
            known = above.setdefault(row["id"], set())
            if not above[row["parent_id"]] <= known:
                known |= above[row["parent_id"]]
                below.append(row["id"])
    sql = (
        "SELECT run_id, level, count(*) AS n FROM latest_checks "
        "WHERE level IN ('fail', 'warn') AND run_id IN {} GROUP BY run_id, level"
    )
    found: dict[str, Counter[str]] = {}
    for row in rows_of(history, sql, above):
        for run_id in above[row["run_id"]]:
            found.setdefault(run_id, Counter())[row["level"]] += row["n"]
    return found


def state_of_file(path: str, sha256: str) -> str:
    """`same`, `gone`, or `other` for another content."""
    try:
        with open(path, "rb") as file:
            return "same" if hashlib.file_digest(file, "sha256").hexdigest() == sha256 else "other"
    except OSError:
        return "gone"


def differs_now(reads: Iterable[Mapping[str, Any]]) -> list[str]:
    """Paths of files that have another content than when they were read; those that are gone are left out.

    A file of the same size and time counts as the same; small ones that differ in time alone are hashed.
    """
    latest = {row["path"]: row for row in reads if os.path.isabs(row["path"])}
    found = []
    for path, row in list(latest.items())[:_MOST]:
        try:
            now = os.stat(path)
        except OSError:
            continue
        if row["size_bytes"] is None or now.st_size != row["size_bytes"]:
            found += [path] if row["size_bytes"] is not None else []
        elif (
            row["mtime"] is not None
            and abs(now.st_mtime_ns // 1000 - row["mtime"]) > 1
            and now.st_size <= _HASHED
            and state_of_file(path, row["sha256"]) == "other"
        ):
            found.append(path)
    return found


def neighbours_of(run: RunRows) -> tuple[str | None, str | None]:
    """The run that began before this one in the same place, and the one that began after it."""
    found = []
    for sign, order in (("<", "DESC"), (">", "ASC")):
        sql = (
            f"SELECT id FROM runs WHERE parent_id IS ? AND (started_at, id) {sign} (?, ?) "
            f"ORDER BY started_at {order}, id {order} LIMIT 1"
        )
        row = run.history.cursor(sql, run.parent_id, run.started_at, run.id).fetchone()
        found.append(None if row is None else str(row[0]))
    return found[0], found[1]
