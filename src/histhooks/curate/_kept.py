"""Kept files, if the runs go that had them: what no run needs any more is removed."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from histhooks._base import manifest
from histhooks._base.vocabulary import RUNNING
from histhooks._store.graves import LISTED
from histhooks._store.kept_files import find, folder_of, kept_in, remove
from histhooks._store.spools import waiting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from histhooks.curate._session import CommandSession

_MOMENT_S = 600.0  # between a copy and the row that names it there is less
_LONG_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Removed:
    """Kept files that are gone, or would be.

    Attributes
    ----------
    files, size_bytes : int
    notice : str or None
        What stays for now, and why.
    """

    files: int = 0
    size_bytes: int = 0
    notice: str | None = None


def contents_of(connection: sqlite3.Connection, which: str, *values: str, table: str = "run_artifacts") -> set[str]:
    """The contents of the files, and of the files in folders, of runs or of versions of models.

    Parameters
    ----------
    connection : sqlite3.Connection
    which : str
        A condition of SQL on the rows of the table; all of them by default.
    *values : str
        Of its parameters.
    table : str
        `run_artifacts` or `model_versions`.
    """
    sql = f"SELECT sha256 FROM {table} WHERE {which or 'true'}"
    found = {sha256 for (sha256,) in connection.execute(sql, values)}
    sql = f"SELECT encoding, data FROM contents WHERE sha256 IN ({sql}) AND kind = ?"
    for encoding, data in connection.execute(sql, (*values, manifest.KIND)):
        text = zlib.decompress(data) if encoding == "zlib" else bytes(data)
        found |= {file.sha256 for file in manifest.files_of(text) if file.sha256 is not None}
    return found


def no_longer_needed(connection: sqlite3.Connection, doomed: str) -> tuple[set[str], set[str]]:
    """The contents that only runs which go have, and those that others have.

    Parameters
    ----------
    connection : sqlite3.Connection
    doomed : str
        A subquery of SQL: the ids of the runs that go.
    """
    needed = contents_of(connection, f"run_id NOT IN {doomed}") | contents_of(connection, "", table="model_versions")
    return contents_of(connection, f"run_id IN {doomed}") - needed, needed


def kept_by(session: CommandSession, run_ids: Iterable[str]) -> set[str]:
    """The contents of runs of which there are copies."""
    listed = json.dumps(sorted(run_ids))
    found = contents_of(session.connection, f"run_id {LISTED.format('?')}", listed)
    return {sha256 for sha256 in found if find(session.path, sha256) is not None}


def there_are(session: CommandSession, contents: set[str]) -> Removed:
    """What would be removed."""
    places = [place for place in (find(session.path, sha256) for sha256 in contents) if place is not None]
    return Removed(len(places), sum(place.stat().st_size for place in places))


def remove_kept(session: CommandSession, gone: set[str], needed: set[str]) -> Removed:
    """Remove the copies of contents, and copies of which nobody has known for a day.

    A session that records may just have found such a copy, and be about to name it: then what is new stays for now.
    """
    (n_live,) = session.rows(f"SELECT count(*) AS n FROM sessions WHERE status = '{RUNNING}' AND id <> ?", session.id)
    now = time.time()
    files, size = remove(session.path, gone, is_young=lambda mtime: bool(n_live["n"]) and now - mtime < _MOMENT_S)
    left = there_are(session, gone).files
    if not n_live["n"] and not waiting(session.path):
        unknown = {path.name for path in kept_in(folder_of(session.path))} - needed - gone
        more = remove(session.path, unknown, is_young=lambda mtime: now - mtime < _LONG_S)
        files, size = files + more[0], size + more[1]
    notice = f"{left} kept files stay for now, since a session records; delete or prune again later" if left else None
    return Removed(files, size, notice)
