"""Files in this user's cache that have what a target has: where they are, and one process at a time to change them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from histhooks._host.store_location import user_folder
from histhooks.errors import TeamError

_VARIABLE = "XDG_CACHE_HOME"


def folder() -> Path:
    """The folder of these files.

    Raises
    ------
    TeamError
        If there is no place for one.
    """
    found = user_folder(_VARIABLE, ".cache")
    try:
        if found is not None:
            place = found / "targets"
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            return place
    except OSError as error:
        raise TeamError(
            f"{found} cannot be written ({error.strerror}); name another cache: {_VARIABLE}=/var/cache/app"
        ) from error
    raise TeamError(f"this account has no folder for a cache; name one: {_VARIABLE}=/var/cache/app")


def name_of(shown: str, kind: str, *facts: str) -> str:
    """The name of a target's file.

    Parameters
    ----------
    shown : str
        The address, without secrets.
    kind : str
        The name of a target whose address ends in none.
    *facts : str
        What else tells it from others.
    """
    digest = hashlib.sha256("\n".join((shown, *facts)).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    name = re.sub(r"[^\w.-]", "", shown.partition("?")[0].rstrip("/").rpartition("/")[2])[:40] or kind
    return f"{name}-{digest}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time brings a file up to date."""
    with path.with_suffix(".lock").open("ab") as file:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


def heads_of(path: Path) -> dict[str, tuple[int, str]] | None:
    """The last line of each session in a file; None where there is no file, or it cannot be read."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            sql = "SELECT session_id, max(seq), digest FROM ledger GROUP BY session_id"
            return {session_id: (seq, digest) for session_id, seq, digest in connection.execute(sql)}
    except sqlite3.Error:
        return None


def put(part: Path, path: Path) -> None:
    """Put a file that was made anew in the place of one that was there."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.replace(part, path)
