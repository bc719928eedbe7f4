"""Change a history on purpose: add tags, notes and names, and delete or redact, which leaves a trace.

Nothing here rewrites what was recorded. Each call is a session of kind `command`, with its author, its time and its
ledger line; docs/guide/curate.md says what remains after each.

>>> from histhooks import curate
>>> curate.tag("last", {"team": "red"})
>>> curate.delete("last~3", reason="wrong data")
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from histhooks._base.clock import now_us
from histhooks._base.ids import short_id
from histhooks._base.secrets import mask_text, mask_value
from histhooks._base.values import dumps
from histhooks._store.entries import row_entry, state_entry
from histhooks.curate._checking import save_checks, waive
from histhooks.curate._deleting import Deletion, delete
from histhooks.curate._pruning import Pruning, prune
from histhooks.curate._redacting import Redaction, redact
from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError, StoreError
from histhooks.history import History

__all__ = [
    "Deletion",
    "Pruning",
    "Redaction",
    "delete",
    "note",
    "prune",
    "redact",
    "rename",
    "save_checks",
    "tag",
    "untag",
    "waive",
]

_Store = str | os.PathLike[str] | None


def tag(run: str, tags: Mapping[str, Any], *, store: _Store = None) -> str:
    """Tag a run; the latest value of a key counts.

    Parameters
    ----------
    run : str
        An id, a part of one, a name, `last` or `last~2`.
    tags : mapping
        Secrets among them are masked.
    store : str or path, optional

    Returns
    -------
    str
        The id of the run.

    Raises
    ------
    QueryError
        If no run is meant, several are, or a tag has no name.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> curate.tag("last", {"stage": "prod"}) == run.id
    True
    """
    if not tags or not all(isinstance(key, str) and key.strip() for key in tags):
        raise QueryError("a tag is KEY or KEY=VALUE, such as team=red; give at least one, none with an empty name")
    with CommandSession(store, f"histhooks tag {run}") as session:
        (row,) = session.find((run,))
        with session.deed() as entries:
            for key, value in tags.items():
                masked = mask_value(key, value)
                text = masked if isinstance(masked, str) else dumps(masked)
                fact = {"run_id": row["id"], "session_id": session.id, "key": key, "value": text, "time": now_us()}
                entries.append(row_entry("tags", row["id"], {**fact, "author": session.actor}))
    return str(row["id"])


def untag(run: str, *keys: str, store: _Store = None) -> str:
    """Take tags off a run. That it had them, and who took them off and when, stays in the history.

    Parameters
    ----------
    run : str
        As for :func:`tag`.
    *keys : str
    store : str or path, optional

    Returns
    -------
    str
        The id of the run.

    Raises
    ------
    QueryError
        If no run is meant, several are, or the run has no such tag; the message names those that it has.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> curate.untag("last", "team") == run.id
    True
    """
    if not keys:
        raise QueryError("which tag? give at least one key")
    with CommandSession(store, f"histhooks untag {run}") as session:
        (row,) = session.find((run,))
        with History(session.path) as history:
            tags = history.run(row["id"]).tags
        for key in keys:
            if key not in tags:
                there = f"it has {', '.join(tags)}" if tags else "it has none"
                raise QueryError(f"run {short_id(row['id'])} has no tag {key!r}; {there}")
        with session.deed() as entries:
            for key in dict.fromkeys(keys):
                fact = {"run_id": row["id"], "session_id": session.id, "key": key, "value": None, "time": now_us()}
                entries.append(row_entry("tags", row["id"], {**fact, "author": session.actor}))
    return str(row["id"])


def note(run: str, text: str, *, store: _Store = None) -> str:
    """Leave a note on a run; parameters, result and errors as for :func:`tag`.

    Examples
    --------
    >>> curate.note("last", "the baseline for all that follow") == run.id
    True
    """
    if not text.strip():
        raise QueryError("the note is empty; give its text, or - to read it from stdin")
    with CommandSession(store, f"histhooks note {run}") as session:
        (row,) = session.find((run,))
        with session.deed() as entries:
            fact = {"run_id": row["id"], "session_id": session.id, "body": mask_text(text), "time": now_us()}
            entries.append(row_entry("notes", row["id"], {**fact, "author": session.actor}))
    return str(row["id"])


def rename(run: str, name: str, *, store: _Store = None) -> str:
    """Give a run another name; that it had another one before stays in `states`.

    Parameters, result and errors are those of :func:`tag`.

    Examples
    --------
    >>> curate.rename("last", "baseline") == run.id
    True
    """
    if not name.strip():
        raise QueryError("the new name is empty; give a word")
    with CommandSession(store, f"histhooks rename {run}") as session:
        (row,) = session.find((run,))
        spool = session.spool_of(row["session_id"])
        if spool is not None:
            # What comes home from there brings the old name with it.
            raise StoreError(f"run {short_id(row['id'])} goes on in {spool}; rename it when its session has ended")
        with session.deed() as entries:
            session.not_before_states_of(row["id"])
            entries.append(state_entry("run", row["id"], {"name": mask_text(name.strip())}))
    return str(row["id"])
