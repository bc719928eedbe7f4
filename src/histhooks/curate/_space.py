"""Return free space to the file system, if that blocks no other process."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from histhooks._base.vocabulary import RUNNING
from histhooks._store.store import Store

_BIG_BYTES = 200 << 20  # above it, moving the whole file takes seconds in which nobody can write
_SMALL_BYTES = 64 << 20
_NOTHING_BYTES = 1 << 20
_WORTH = 0.05
_PATIENCE_MS = 2000


def size_of(store: Path) -> int:
    """Bytes of a store and its log."""
    files = (store, store.with_name(store.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def free_space(store: Store, *, is_needed: bool = False) -> str | None:
    """Shrink a store that has free pages.

    Parameters
    ----------
    store : Store
    is_needed : bool
        Also where little is won: free pages may hold what was erased.

    Returns
    -------
    str or None
        Why the file did not shrink, and what to do.
    """
    execute = store.connection.execute
    (pages,), (free,), (page_bytes,) = (
        execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    later = f'to shrink the file when nobody writes: sqlite3 {store.path} "VACUUM"'
    if not is_needed and free < pages * _WORTH and pages * page_bytes > _SMALL_BYTES:
        if free * page_bytes < _NOTHING_BYTES:
            return None
        return f"{free * page_bytes >> 10} KiB are free inside the file and will be used again; {later}"
    (live,) = execute(f"SELECT count(*) FROM sessions WHERE status = '{RUNNING}'").fetchone()
    if live and pages * page_bytes > _BIG_BYTES:
        return f"the file did not shrink, since {live} sessions record and it would stop them; {later}"
    try:
        execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        execute("VACUUM")
        is_busy = bool(execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    except sqlite3.OperationalError as error:
        return f"the file did not shrink ({error}); {later}"
    return f"the file shrinks when those who read it now have finished; {later}" if is_busy else None
