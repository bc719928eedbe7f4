"""Open a store for reading, even if its folder cannot be written, with the spools that wait beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._host import inherited_files, recording_here
from histhooks._host.store_location import find_store, is_target, real_path
from histhooks._store.known_stores import known_stores
from histhooks._store.overlay import show_missing, show_spools
from histhooks._store.spools import only_spools, waiting
from histhooks._store.stamp import marks
from histhooks.errors import StoreError

if TYPE_CHECKING:
    from histhooks.team.postgres.reading import Target

# Pragmas whose argument only says what to look at, and those that do something without one.
_LOOKS = ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list")
_DEEDS = ("wal_checkpoint", "optimize", "incremental_vacuum")
MAJOR = 1
_MOST = 8


@dataclass(slots=True)
class Opened:
    """A store that is open for reading.

    Attributes
    ----------
    connection : sqlite3.Connection
        Read-only; temporary views show the spools as if they had come home.
    spools : list of Path
        The spools that are shown.
    copy : TemporaryDirectory or None
        Where the store was copied to, because its folder cannot be written and its log is not empty.
    is_live : bool
        Whether what others write to the store is seen.
    is_older : bool
        Whether an older version made it, so that empty tables stand for those that it lacks.
    may_write : bool
        Whether the connection may bring the log home when it is closed last.
    remembered : dict
        Results computed from this connection, by a key of the caller.
    """

    connection: sqlite3.Connection
    spools: list[Path] = field(default_factory=list)
    copy: tempfile.TemporaryDirectory[str] | None = None
    is_live: bool = True
    is_older: bool = False
    may_write: bool = False
    remembered: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def close(self) -> None:
        """Close the store."""
        self.connection.close()
        if self.copy is not None:
            self.copy.cleanup()

    def keep_away(self, path: Path) -> None:
        """In a forked child: never use the connection, nor close it."""
        try:
            inherited_files.leave(inherited_files.place_of(os.stat(path)), self.connection)
        except OSError:
            inherited_files.leave(None, self.connection)
        if self.copy is not None:
            self.copy._finalizer.detach()  # type: ignore[attr-defined]


def locate(store: str | os.PathLike[str] | None = None, *, is_again: bool = False) -> Path:
    """The store that a person means; of a target that is open already, what came since.

    Raises
    ------
    StoreError
        If there is none.
    """
    if is_target(store):
        from histhooks.team._reading import located

        return located(str(store), is_again=is_again)
    if store is None and is_target(os.environ.get("HISTHOOKS_STORE")):
        raise StoreError("HISTHOOKS_STORE names a file to record to and to read; name a target with --store")
    path = find_store(store) if store is not None else recording_here.store_here() or find_store()
    if path is not None:
        recording_here.catch_up(path)
    if path is None:
        raise StoreError(
            f"no store here; name one with --store PATH, or record something first (histhooks demo){_known()}"
        )
    if not path.is_file() and not waiting(path):
        raise StoreError(f"no store at {path}; name another with --store PATH{_known()}")
    return path


def open_target(word: str, settled: Callable[[], dict[str, str]]) -> Target | None:
    """A database that is read where it is; None if the word names a file, or if it is to be read through a copy.

    Parameters
    ----------
    word : str
    settled : callable
        Gives the status, as it is now, of each session that says it is running.
    """
    from histhooks.team.postgres.address import is_database

    if not is_database(word):
        return None
    from histhooks.team.postgres import reading
    from histhooks.team.postgres.address import Database, target_of

    target = target_of(word)
    assert isinstance(target, Database)
    return reading.opened(target, settled)


def heard_since(word: str, moments: dict[str, str]) -> set[str]:
    """The sessions of a target from whose store something was pushed after a moment."""
    from histhooks.team import _reading

    return _reading.heard_since(word, moments)


def last_push(word: str) -> tuple[str, str] | None:
    """When something was pushed last to a target, and by which role."""
    from histhooks.team import _reading

    return _reading.last_push(word)


def _known() -> str:
    """The stores that this user has recorded to, as lines of a message."""
    found = known_stores()
    shown = "".join(f"\n  {path}{_size(path)}" for path in found[:_MOST])
    more = f"\n  and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return f"; you have recorded to:{shown}{more}" if found else ""


def _size(path: Path) -> str:
    """How many runs are in a store, where that is soon said."""
    how = "immutable=1&mode=ro" if _is_closed(path) else "mode=ro"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=0.1)
    except sqlite3.Error:
        return ""
    try:
        (count,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    except sqlite3.Error:
        return ""
    finally:
        connection.close()
    return f" ({count} run{'' if count == 1 else 's'})"


def open_store(path: Path, *, may_write: bool = False) -> Opened:
    """Open a store; nothing of it is ever written.

    Parameters
    ----------
    path : Path
    may_write : bool
        Whether the reader has another connection to it that may bring the log home.

    Raises
    ------
    StoreError
        If it is not a store that this version can read.
    """
    path = real_path(path)
    if path.is_file() and not only_spools(path):
        opened = _connect(path, may_write=may_write)
        _check(path, opened)
    else:
        opened = Opened(_empty(), is_live=False)
    try:
        opened.connection.execute("PRAGMA query_only = OFF")  # a place for spools is made, in memory
        opened.spools = show_spools(opened.connection, path)
        opened.is_older = show_missing(opened.connection)
        opened.connection.execute("PRAGMA query_only = ON")
        opened.connection.set_authorizer(_only_looks)
    except BaseException:
        opened.close()
        raise
    return opened


def _only_looks(action: int, name: str | None, argument: str | None, *_: str | None) -> int:
    """Refuse what `query_only` does not: pragmas that change something, and files that ATTACH and VACUUM INTO make."""
    if action == sqlite3.SQLITE_ATTACH:
        return sqlite3.SQLITE_DENY
    if action != sqlite3.SQLITE_PRAGMA or (name in _LOOKS or (argument is None and name not in _DEEDS)):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _empty() -> sqlite3.Connection:
    """A store to lay spools over where nothing came home yet."""
    connection = sqlite3.connect(":memory:", uri=True, isolation_level=None)
    connection.executescript(resources.files("histhooks._store").joinpath("schema.sql").read_text(encoding="utf-8"))
    return connection


def _connect(path: Path, *, may_write: bool) -> Opened:
    uri, copy, is_live = path.absolute().as_uri(), None, True
    log = path.with_name(path.name + "-wal")
    is_inherited = inherited_files.holds(path)
    if is_inherited or (not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-shm").exists()):
        # SQLite needs a -shm file beside a WAL store, and cannot make one here.
        is_live = False
        if is_inherited or (log.exists() and log.stat().st_size):
            copy = tempfile.TemporaryDirectory(prefix="histhooks-")
            for file in (path, log):
                if file.exists():
                    shutil.copy(file, copy.name)
            uri = (Path(copy.name) / path.name).as_uri()
        else:
            uri += "?immutable=1"
    # The last connection to close a WAL store removes the files beside it; one that may not write would leave both.
    # So the one that comes to a store that nobody has open may, and one in the process that records there;
    # `query_only` holds it to reading.
    may_write = is_live and (may_write or _is_closed(path) or recording_here.is_recorded_to(path))
    uri += ("&" if "?" in uri else "?") + f"mode={'rw' if may_write else 'ro'}"
    # Closed by another thread where a process forks or ends; a lock of `Held` keeps these apart.
    connection = sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
    return Opened(connection, copy=copy, is_live=is_live, may_write=may_write)


def _is_closed(path: Path) -> bool:
    """Whether nobody has a store open, nor left it open."""
    return not any(path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-shm", "-journal"))


def _check(path: Path, opened: Opened) -> None:
    try:
        opened.connection.execute("PRAGMA query_only = ON")
        is_store, version = marks(opened.connection)
    except sqlite3.DatabaseError as error:
        opened.close()
        raise StoreError(f"{path} cannot be read ({error}); name another with --store PATH") from error
    if not is_store or version // 1000 > MAJOR:
        opened.close()
        fact = "is not a store of histhooks" if not is_store else "is of a newer version"
        raise StoreError(f"{path} {fact}; name another with --store PATH, or update histhooks")
