"""Resolve a selector to runs: an id, a part of one, a name, a job, a group, `last` or `last~2`."""

from __future__ import annotations

import getpass
import re
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso
from histhooks._base.ids import short_id
from histhooks._base.text import when
from histhooks._host.store_location import project_name
from histhooks.errors import QueryError
from histhooks.history._models import is_version_name, version_named
from histhooks.history.query.run_query import job_condition

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_LONG = 6  # a shorter part of an id gives way to a name
_LAST = re.compile(r"last(?:~(\d{1,9}))?")
_NEWEST = "ORDER BY r.started_at DESC, r.id DESC"


def find(history: Reader, selector: str) -> dict[str, Any]:
    """The row of `runs` for a selector; if several are possible, ``history.tell`` gets a line about the choice.

    Raises
    ------
    QueryError
        If there is none, or several ids have that part; the message names candidates.
    """
    last = _LAST.fullmatch(selector)
    if last is not None:
        return _last(history, selector, int(last[1] or 0))
    exact = history.sql("SELECT * FROM runs WHERE id = ?", selector) or _of_version(history, selector)
    if exact:
        return exact[0]
    parts = _parts(history, selector)
    if len(parts) == 1 and len(selector) >= _LONG:
        return parts[0]
    for condition, what in _several(selector):
        found = _newest(history, condition, what)
        if found is not None:
            return found
    if len(parts) == 1:
        return parts[0]
    if parts:
        raise QueryError(f"{_count(parts)} ids have {selector!r} in them: {_named(parts[:5])}; give more of it")
    raise QueryError(f"no run is {selector!r} in {history.place}; {_instead(history, selector)}")


def _of_version(history: Reader, selector: str) -> list[dict[str, Any]]:
    """The run of a version such as `fraud@3` or `fraud@production`; nothing if it names none, or a run is called so."""
    if "@" not in selector or not is_version_name(history, selector):
        return []
    if history.sql("SELECT 1 FROM runs WHERE name = ? LIMIT 1", selector):
        return []
    version = version_named(history, selector)
    rows = history.sql("SELECT * FROM runs WHERE id = ?", version.run_id)
    if not rows:
        why = "is not in this store" if version.run_id else "is not known: no recorded run wrote its file"
        raise QueryError(f"the run of {version.name} {why}; histhooks models {version.model} shows what is known")
    return rows


def select(history: Reader, selector: str) -> list[dict[str, Any]]:
    """All rows that a selector means: the top-level runs of a job or a group, else the one run."""
    kind, _, word = selector.partition(":")
    wanted = {"job": [job_condition(word)], "group": [("r.group_name = ?", word)]}.get(kind if word else "", [])
    if not wanted and not _is_one(history, selector):
        wanted = [job_condition(selector), ("r.group_name = ?", selector)]
    for sql, *values in wanted:
        query = f"SELECT r.* FROM runs AS r WHERE r.parent_id IS NULL AND {sql} ORDER BY r.started_at, r.id"
        rows = history.sql(query, *values)
        if rows:
            return rows
    return [find(history, selector)]


def _is_one(history: Reader, selector: str) -> bool:
    if "@" in selector and is_version_name(history, selector):
        return True
    if _LAST.fullmatch(selector) or history.sql(
        "SELECT 1 FROM runs WHERE id = ? OR name = ? LIMIT 1", selector, selector
    ):
        return True
    return len(selector) >= _LONG and len(_parts(history, selector)) == 1


def _parts(history: Reader, selector: str) -> list[dict[str, Any]]:
    """Some runs with a part in their ids; more than a few serve as candidates only."""
    if not re.fullmatch(r"[0-9a-f-]+", selector):
        return []
    ids = [row["id"] for row in history.sql("SELECT id FROM runs WHERE instr(id, ?) > 0 LIMIT 100", selector)]
    if not ids:  # of none PostgreSQL takes no list
        return []
    return history.sql(f"SELECT * FROM runs WHERE id IN ({', '.join('?' * len(ids))}) ORDER BY started_at DESC", *ids)


def _several(selector: str) -> list[tuple[tuple[Any, ...], str]]:
    """What else a word may be, in this order: a name, a job, a group; or what it says itself that it is."""
    kind, _, word = selector.partition(":")
    name = (("r.name = ?", selector), "runs of that name")
    if kind == "job" and word:
        return [(job_condition(word), f"runs of job {word}"), name]
    if kind == "group" and word:
        return [(("r.group_name = ?", word), f"runs of group {word}"), name]
    return [
        name,
        (job_condition(selector), f"runs of job {selector}"),
        (("r.group_name = ?", selector), f"runs of group {selector}"),
    ]


def _newest(history: Reader, condition: tuple[Any, ...], what: str) -> dict[str, Any] | None:
    sql, *values = condition
    ids = history.sql(f"SELECT r.id, r.parent_id FROM runs AS r WHERE {sql} {_NEWEST}", *values)
    if not ids:
        return None
    outer = [row for row in ids if row["parent_id"] is None] or ids
    if len(outer) > 1:
        sql = "SELECT 1 FROM runs AS r JOIN sessions AS s ON s.id = r.session_id WHERE r.id = ? AND s.job_id IS NULL"
        if what.startswith("runs of job ") and history.sql(sql, outer[0]["id"]):
            what = f"runs of group {what.removeprefix('runs of job ')}"  # a job's id may stand there, too
        history.tell(f"latest of {len(outer)} {what}")
    return history.sql("SELECT * FROM runs WHERE id = ?", outer[0]["id"])[0]


def _last(history: Reader, selector: str, back: int) -> dict[str, Any]:
    """The top-level run started latest by this user in this project; where there is none, the next best."""
    project, user = project_name(), _user()
    own = "r.session_id IN (SELECT s.id FROM sessions AS s WHERE s.username = ?)"
    here, shown = "r.project = ?", "r.kind <> 'preprocess'"
    for clauses, values, what in (
        ([here, own, shown], [project, user], f"of yours in project {project}"),
        ([here, shown], [project], f"in project {project}"),
        ([own, shown], [user], "of yours"),
        ([shown], [], ""),
        ([], [], ""),
    ):
        where = " AND ".join(["r.parent_id IS NULL", *clauses])
        if not history.sql(f"SELECT 1 FROM runs AS r WHERE {where} LIMIT 1", *values):
            continue
        found = history.sql(f"SELECT r.* FROM runs AS r WHERE {where} {_NEWEST} LIMIT 1 OFFSET ?", *values, back)
        if not found:
            count = history.sql(f"SELECT count(*) AS n FROM runs AS r WHERE {where}", *values)[0]["n"]
            raise QueryError(
                f"there {'is 1 top-level run' if count == 1 else f'are {count} top-level runs'} {what or 'in all'} in "
                f"{history.place}, so none is {selector!r}"
            )
        _say(history, found[0], here in clauses, own in clauses, project)
        return found[0]
    raise QueryError(f"there is no run in {history.place} yet")


def _say(history: Reader, row: dict[str, Any], is_here: bool, is_own: bool, project: str) -> None:
    """Say whose run it is, where another one could be meant."""
    if not is_here and history.sql("SELECT 1 FROM runs WHERE project IS NOT ? LIMIT 1", row["project"]):
        history.tell(f"no run of project {project} here; {short_id(row['id'])} is the latest of {row['project']}")
    elif not is_own and history.sql(
        "SELECT 1 FROM sessions WHERE username IS NOT (SELECT username FROM sessions WHERE id = ?) LIMIT 1",
        row["session_id"],
    ):
        history.tell(f"no run of yours here; {short_id(row['id'])} is the latest of anyone")


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # the last on Windows, where no variable names the account
        return None


def _count(parts: list[dict[str, Any]]) -> str:
    return "100 or more" if len(parts) == 100 else str(len(parts))


def _named(rows: list[dict[str, Any]]) -> str:
    return ", ".join(f"{short_id(row['id'])} {row['name']}" for row in rows)


def _instead(history: Reader, selector: str) -> str:
    """That it was deleted, else names that are close, else the latest runs."""
    from difflib import get_close_matches

    sql = "SELECT * FROM tombstones WHERE action = 'delete' AND length(subject_id) = 36 AND instr(subject_id, ?) > 0"
    gone = history.sql(sql, selector) if len(selector) >= _LONG else []
    if len(gone) == 1:
        who = gone[0]["actor"] or "a person whose name was erased"
        return f"it was deleted {when(iso(gone[0]['time']))} by {who}: {gone[0]['reason']}"
    removed = _evicted(history, selector) if len(selector) >= _LONG else []
    if len(removed) == 1:
        row = removed[0]
        return (
            f"it was removed there for room {when(row['evicted_at'])} by {row['evicted_by']}: {row['reason']}; "
            "the store that recorded it has it still, unless it was deleted"
        )
    latest = history.sql(f"SELECT r.id, r.name FROM runs AS r WHERE r.parent_id IS NULL {_NEWEST} LIMIT 1000")
    close = get_close_matches(selector, list(dict.fromkeys(row["name"] for row in latest)), n=3, cutoff=0.7)
    if close:
        return f"did you mean {', '.join(close)}?"
    return f"the latest are: {_named(latest[:5]) or 'there are none'}"


def _evicted(history: Reader, selector: str) -> list[dict[str, Any]]:
    """Runs that were removed for room, by a part of an id."""
    if not history.sql("SELECT 1 FROM sqlite_master WHERE name = 'evictions'"):  # an older store
        return []
    sql = "SELECT * FROM evictions WHERE table_name = 'runs' AND instr(scope, ?) > 0"
    return history.sql(sql, selector)


def names_beginning(history: Reader, start: str) -> list[tuple[str, int]]:
    """Names of runs that begin so, with how many runs have each, the latest first."""
    sql = (
        "SELECT name, count(*) FROM runs WHERE name LIKE ? ESCAPE '\\' GROUP BY name "
        "ORDER BY max(started_at) DESC LIMIT 50"
    )
    return history.cursor(sql, _beginning(start)).fetchall()


def ids_beginning(history: Reader, start: str) -> list[tuple[str, str, str]]:
    """Short ids that begin so, with the name and the status of each run, the latest first."""
    sql = (
        "SELECT substr(id, -8), name, status FROM runs WHERE substr(id, -8) LIKE ? ESCAPE '\\' "
        "ORDER BY started_at DESC LIMIT 20"
    )
    return history.cursor(sql, _beginning(start)).fetchall()


def _beginning(start: str) -> str:
    return start.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
