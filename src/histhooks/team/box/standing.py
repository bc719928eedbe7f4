"""How a box stands: what is in it, who pushed, what was refused, and what of a store it lacks."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from histhooks._store.stamp import marks
from histhooks.history._opening import open_store
from histhooks.team._outgoing import Outgoing
from histhooks.team._status import Status
from histhooks.team.box import receipts
from histhooks.team.box.address import Box
from histhooks.team.box.places import Place, place_of
from histhooks.team.box.pushing import CONFLICTS
from histhooks.team.box.reading import cached

_CONFLICT = ("session_id", "what", "seq", "digest", "other_digest", "store_id", "pushed_by", "found_at")


def look(box: Box, store: Path | None, found: Status) -> None:
    """Fill in how a box stands.

    Parameters
    ----------
    box : Box
    store : Path or None
        A store to compare with it.
    found : Status

    Raises
    ------
    TeamError, StoreError
    """
    place = place_of(box)
    path, done = cached(box, place)
    found.faults = done.faults
    files = place.files()
    found.files = len(files)
    found.size_bytes = sum(int(state.split(" ")[0]) for state in files.values())
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        _, version = marks(connection)
        found.schema_version = f"{version // 1000}.{version % 1000}"
        sql = (
            "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM runs), "
            "(SELECT coalesce(sum(count), 0) FROM metric_summaries), (SELECT min(started_at) FROM sessions)"
        )
        found.sessions, found.runs, found.points, since = connection.execute(sql).fetchone()
        found.created_at = since or ""
        sql = "SELECT session_id, max(seq) FROM ledger GROUP BY session_id"
        there = dict(connection.execute(sql).fetchall())
    _look_at_receipts(place, files, found)
    found.conflicts = _conflicts(place, files)
    if store is not None:
        opened = open_store(store)
        try:
            heads = Outgoing(opened.connection).heads()
        finally:
            opened.close()
        behind = [seq - there.get(key, -1) for key, (seq, _) in heads.items() if seq > there.get(key, -1)]
        found.store, found.waiting = str(store), {"sessions": len(behind), "lines": sum(behind)}


def _look_at_receipts(place: Place, files: dict[str, str], found: Status) -> None:
    by_name: dict[str, list[dict[str, Any]]] = {}
    for _, receipt in receipts.all_of(place, files):
        if receipt is not None:
            found.pushes += 1
            by_name.setdefault(str(receipt["pushed_by"]), []).append(receipt)
    for who, some in by_name.items():
        last = max(some, key=lambda each: str(each["pushed_at"]))
        found.pushed_by.append({
            "role": who, "pushes": len(some), "last_at": last["pushed_at"],
            "recorder_version": last["recorder_version"],
        })  # fmt: skip
    found.pushed_by.sort(key=lambda row: str(row["last_at"]), reverse=True)


def _conflicts(place: Place, files: dict[str, str]) -> list[dict[str, Any]]:
    found = []
    for _, data in place.read_all(sorted(name for name in files if name.startswith(f"{CONFLICTS}/"))):
        try:
            row = json.loads(data or b"")
            found.append({name: row[name] for name in _CONFLICT})
        except (ValueError, TypeError, KeyError):
            continue
    return sorted(found, key=lambda row: str(row["found_at"]), reverse=True)
