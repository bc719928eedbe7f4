"""The files that are joined: stores, and the spools that wait beside them. None of them is changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from histhooks._host.store_location import real_path
from histhooks._store.spools import only_spools, waiting
from histhooks._store.stamp import SCHEMA_VERSION, marks
from histhooks.errors import TeamError
from histhooks.verify._opening import is_left_alone, state_of, untouched


class Changed(Exception):
    """Somebody wrote to a store that nobody had open when it was looked at."""


@dataclass(slots=True)
class Source:
    """A file to join.

    Attributes
    ----------
    path : Path
        Where it is.
    store : Path
        The store that was named: itself, or the one that this spool waits beside.
    is_live : bool
        Whether somebody may write to it meanwhile.
    copy : Path or None
        What is read in its place.
    """

    path: Path
    store: Path
    is_live: bool = False
    copy: Path | None = None

    @property
    def is_spool(self) -> bool:
        """Whether it waits beside the store that was named."""
        return self.path != self.store


def find_sources(words: Iterable[str | os.PathLike[str]], target: Path, folder: Path) -> list[Source]:
    """The files of the stores that a person names, each once.

    Parameters
    ----------
    words : iterable of str or path
    target : Path
        The file that they are joined into, which is none of them.
    folder : Path
        A place for copies.

    Raises
    ------
    TeamError
        If one is missing, or no store.
    """
    found: dict[Path, Source] = {}
    for word in words:
        path = _named(word)
        if os.path.exists(target) and os.path.exists(path) and os.path.samefile(path, target):
            raise TeamError(f"{path} is the store that the others are merged into; name it once, after --into")
        has_file = path.is_file() and not only_spools(path)
        if has_file:
            found.setdefault(path, Source(path, path))
        merged = _merged_spools(found[path], folder) if has_file else set()
        for number, spool in enumerate(waiting(path)):
            if spool.name not in merged and spool not in found:
                copy = _copy_spool(spool, folder / f"{len(found)}-{number}")
                if copy is not None:
                    found[spool] = Source(spool, path, copy=copy)
    return list(found.values())


def _named(word: str | os.PathLike[str]) -> Path:
    text = os.fspath(word)
    path = real_path(Path(text))
    if path.is_dir():
        raise TeamError(f"{text} is a folder; name the stores in it, such as {Path(text) / '*.db'}")
    if not path.is_file() and not waiting(path):
        raise TeamError(f"no store at {text}; name one that is there")
    return path


def _merged_spools(source: Source, folder: Path) -> set[str]:
    """The spools that a store has taken in already; and whether it is a store at all."""
    with closing(sqlite3.connect(":memory:", uri=True, isolation_level=None)) as connection, \
            attached(connection, source, folder):  # fmt: skip
        return {name for (name,) in connection.execute("SELECT name FROM source.merged_spools")}


def _copy_spool(spool: Path, folder: Path) -> Path | None:
    """A copy of a spool, so that its session never waits; None of one that is empty still, or gone by now."""
    folder.mkdir(parents=True)
    copy = folder / spool.name
    uri = f"{spool.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error:
        # Cut short in a commit: SQLite mends a copy of it and its journal.
        copy.unlink(missing_ok=True)
        for file in (spool, spool.with_name(spool.name + "-journal")):
            if file.exists():
                shutil.copy(file, folder)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'ledger'").fetchone()
            return copy if tables == (1,) and connection.execute("SELECT 1 FROM ledger LIMIT 1").fetchone() else None
    except sqlite3.Error as error:
        raise TeamError(f"{spool} cannot be read ({error}); move it away or restore it") from error


@contextmanager
def attached(connection: sqlite3.Connection, source: Source, folder: Path) -> Iterator[None]:
    """A file as the schema `source` of a connection that is in no transaction.

    Raises
    ------
    Changed
        If somebody wrote to it and was not expected to: then what was read may be half of this and half of that.
    TeamError
        If it cannot be read, or is no store that this version knows.
    """
    path = source.copy or source.path
    is_alone = source.copy is None and not source.is_live and is_left_alone(path)
    before = state_of(path)
    place = folder / "copies"
    try:
        if source.copy is None:
            place.mkdir(exist_ok=True)
        uri = path.absolute().as_uri() if source.copy else untouched(path, str(place), is_alone=is_alone)
        connection.execute("ATTACH DATABASE ? AS source", (uri,))
    except sqlite3.Error as error:
        raise TeamError(f"{source.path} cannot be read ({error}); name another store") from error
    try:
        _check(connection, source)
        yield
    except sqlite3.DatabaseError as error:
        if is_alone and state_of(path) != before:
            source.is_live = True
            raise Changed(str(path)) from error
        raise
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("DETACH DATABASE source")
        shutil.rmtree(place, ignore_errors=True)
    if is_alone and state_of(path) != before:
        source.is_live = True
        raise Changed(str(path))


def _check(connection: sqlite3.Connection, source: Source) -> None:
    try:
        is_store, version = marks(connection, "source")
    except sqlite3.DatabaseError as error:
        raise TeamError(f"{source.path} cannot be read ({error}); restore it from a copy") from error
    if not is_store:
        raise TeamError(f"{source.path} is not a store of histhooks; name another")
    if version > SCHEMA_VERSION:
        number = f"{version // 1000}.{version % 1000}"
        raise TeamError(f"{source.path} has schema version {number}, newer than this histhooks knows; update histhooks")
