"""Which run a person means: an id, a part of one, a name, `last` or `last~2`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._ids import short_id
from histhooks.errors import QueryError

if TYPE_CHECKING:
    from histhooks.history import History


def find(history: History, selector: str) -> dict[str, Any]:
    """The row of `runs` that a selector means.

    Raises
    ------
    QueryError
        Where there is none, or several ids have that part; the message names candidates.
    """
    word, _, back = selector.partition("~")
    if word == "last" and (back.isdigit() or not back):
        outer = history.sql("SELECT * FROM runs WHERE parent_id IS NULL ORDER BY started_at DESC, id DESC")
        if len(outer) <= int(back or 0):
            raise QueryError(f"there are {len(outer)} outer runs in {history.path}, so none is {selector!r}")
        return outer[int(back or 0)]
    rows = history.sql("SELECT * FROM runs WHERE id = ? OR instr(id, ?) ORDER BY started_at DESC", selector, selector)
    exact = [row for row in rows if row["id"] == selector]
    rows = exact or rows
    if len(rows) > 1:
        names = ", ".join(f"{short_id(row['id'])} {row['name']}" for row in rows[:5])
        raise QueryError(f"{len(rows)} ids have {selector!r} in them: {names}; give more of it")
    if not rows:
        rows = history.sql("SELECT * FROM runs WHERE name = ? ORDER BY started_at DESC LIMIT 1", selector)
    if not rows:
        latest = history.sql("SELECT id, name FROM runs ORDER BY started_at DESC LIMIT 5")
        names = ", ".join(f"{short_id(row['id'])} {row['name']}" for row in latest) or "there are none"
        raise QueryError(f"no run is {selector!r} in {history.path}; the latest are: {names}")
    return rows[0]
