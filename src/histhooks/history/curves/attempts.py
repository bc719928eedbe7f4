"""The attempts of one training: a run, the runs that it resumed, and those that resumed it.

A link names the resumed run, or only the file that was loaded; then it is the run that wrote that file, by its hash. If
several runs resumed one, the latest of them is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_KINDS = "('resumes', 'continues')"
_FROM = f"SELECT other_run_id, sha256 FROM run_links WHERE run_id = ? AND kind IN {_KINDS} ORDER BY time"
_IS_HERE = "SELECT id FROM runs WHERE id = ?"
_WROTE = (
    "SELECT r.id FROM run_artifacts AS a JOIN runs AS r ON r.id = a.run_id "
    "WHERE a.sha256 = ? AND a.direction = 'out' AND r.id <> ? "
    "AND r.started_at <= (SELECT started_at FROM runs WHERE id = ?) ORDER BY r.started_at DESC LIMIT 1"
)
_ON = (
    "SELECT DISTINCT l.run_id, r.started_at FROM run_links AS l JOIN runs AS r ON r.id = l.run_id "
    f"WHERE l.kind IN {_KINDS} AND (l.other_run_id = ? OR (l.other_run_id IS NULL AND l.sha256 IN "
    "(SELECT sha256 FROM run_artifacts WHERE run_id = ? AND direction = 'out'))) ORDER BY r.started_at DESC"
)


def attempts_of(history: Reader, run_id: str) -> list[str]:
    """Ids of the attempts that a run is one of, the earliest first."""
    line = [run_id]
    while (earlier := _before(history, line[0])) and earlier not in line:
        line.insert(0, earlier)
    while (later := _after(history, line[-1])) and later not in line:
        line.append(later)
    return line


def _before(history: Reader, run_id: str) -> str | None:
    for other, sha256 in history.cursor(_FROM, run_id).fetchall():
        found = history.cursor(_IS_HERE, other).fetchone() if other else None
        if found is None and other is None and sha256:
            found = history.cursor(_WROTE, sha256, run_id, run_id).fetchone()
        if found is not None:
            return str(found[0])
    return None


def _after(history: Reader, run_id: str) -> str | None:
    candidates = [str(row[0]) for row in history.cursor(_ON, run_id, run_id).fetchall()]
    return next((other for other in candidates if _before(history, other) == run_id), None)
