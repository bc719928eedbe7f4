"""The part of a :class:`histhooks.History` that says what was recorded since a look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from histhooks._base.vocabulary import RUNNING
from histhooks.errors import QueryError

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_HEAD = "SELECT coalesce(max(time), 0), count(*) FROM ledger"
_BEFORE = "SELECT count(*) FROM ledger WHERE time <= ?"
_REMOVED = "SELECT count(*) FROM tombstones WHERE time > ?"
# A part of the ledger names the run, the session or the content that its rows belong to.
_SINCE = (
    "SELECT DISTINCT r.id FROM ledger AS l "
    "JOIN ledger_parts AS p ON p.session_id = l.session_id AND p.seq = l.seq "
    "JOIN runs AS r ON r.id = p.scope WHERE l.time > ? ORDER BY r.id"
)
_OPEN = (
    f"SELECT id, session_id FROM runs WHERE status = '{RUNNING}' "
    f"AND session_id IN (SELECT id FROM sessions WHERE status = '{RUNNING}')"
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What was recorded since a look.

    Attributes
    ----------
    cursor : str
        For the next look.
    runs : tuple of str
        Ids of the runs with new rows, or that run no longer, the earliest first.
    running : tuple of str
        Ids of the runs that run now.
    is_whole : bool
        Whether anything may have changed: at the first look, after a deletion, and if records came that are older than
        the last look, as with a merge.

    Examples
    --------
    >>> first = history.changes()
    >>> first.is_whole, history.changes(first.cursor).runs
    (True, ())
    """

    cursor: str
    runs: tuple[str, ...]
    running: tuple[str, ...]
    is_whole: bool

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed."""
        return not (self.runs or self.is_whole)


class Changing:
    """What is new in a store."""

    def changes(self, cursor: str | None = None) -> Changes:
        """The runs that were recorded to since a look. Reads no point.

        Parameters
        ----------
        cursor : str, optional
            The `cursor` of the look before. Without one, the look is the first: `is_whole` is true.

        Returns
        -------
        Changes

        Raises
        ------
        QueryError
            If the text is no cursor.

        Examples
        --------
        >>> history.changes().running
        ()
        """
        reader = cast("Reader", self)
        time, lines, running = _parsed(cursor)
        latest, total = reader.cursor(_HEAD).fetchone()
        now = {run_id for run_id, session in reader.cursor(_OPEN) if reader.settled(session, RUNNING) == RUNNING}
        (before,) = reader.cursor(_BEFORE, time).fetchone()
        (removed,) = reader.cursor(_REMOVED, time).fetchone()
        is_whole = cursor is None or before != lines or removed > 0
        changed = {run_id for (run_id,) in reader.cursor(_SINCE, time)} if not is_whole and total != before else set()
        changed |= running - now
        return Changes(
            cursor=json.dumps([latest, total, *sorted(now)], separators=(",", ":")),
            runs=tuple(sorted(changed)),
            running=tuple(sorted(now)),
            is_whole=is_whole,
        )


def _parsed(cursor: str | None) -> tuple[int, int, set[str]]:
    if cursor is None:
        return 0, 0, set()
    try:
        time, lines, *running = json.loads(cursor)
        if not isinstance(time, int) or not isinstance(lines, int) or not all(isinstance(i, str) for i in running):
            raise ValueError
    except (ValueError, TypeError):
        raise QueryError(f"{cursor!r} is no cursor of changes; take the one of the look before") from None
    return time, lines, set(running)
