"""Deletions and redactions in a box: what they name goes from its files, whoever wrote them and whenever.

Each file with tombstones is announced by a mark before it is written. Who pushes reads the marks first, and takes out
of their own lines what these tombstones name; and looks at the marks again afterwards. Who brings a tombstone looks for
files with what it names after the mark is there. So one of two who push at once sees the other. A mark that nobody has
confirmed is followed up by the next push, so that one which was killed is finished.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from histhooks._store.graves import LISTED, Graves, bury_rows, graves_in, listed, outdated_rows
from histhooks._store.tables import COVERED, of_kind
from histhooks.team._files import named_files
from histhooks.team._pushed import Pushed
from histhooks.team.box import reading
from histhooks.team.box.address import Box
from histhooks.team.box.drops import drop_of, drops_in, packed, snapshots_in, unpack
from histhooks.team.box.files import FILES
from histhooks.team.box.places import Gone, Place

MARKS = "tombstones"
_DONE = ".done"


@dataclass(slots=True)
class Tombs:
    """The tombstones in a box.

    Attributes
    ----------
    files : dict of str to Path
        Stores with them, by the session that wrote them.
    graves : Graves
        What they name.
    seen : set of str
        Names of the files in the box.
    """

    files: dict[str, list[Path]] = field(default_factory=dict)
    graves: Graves = field(default_factory=Graves)
    seen: set[str] = field(default_factory=set)

    def concerning(self, path: Path) -> dict[str, list[Path]]:
        """Of these, those that a store has not and that name something in it, if any does."""
        if not self.files or not path.is_file():
            return {}
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            there = {key for (key,) in connection.execute("SELECT DISTINCT session_id FROM ledger")}
            unknown = {key: paths for key, paths in self.files.items() if key not in there}
            if not unknown:
                return {}
            ids = listed((*self.graves.deleted, *self.graves.redacted))
            sql = f"SELECT 1 FROM ledger_parts WHERE scope {LISTED.format('?')} LIMIT 1"
            return unknown if connection.execute(sql, (ids,)).fetchone() else {}


def marks_in(place: Place) -> tuple[set[str], set[str]]:
    """The files that are said to have tombstones: all of them, and those that were followed up."""
    marks = {name.removeprefix(f"{MARKS}/") for name in place.files(MARKS)}
    done = {mark.removesuffix(_DONE) for mark in marks if mark.endswith(_DONE)}
    return {_file_of(mark) for mark in marks if not mark.endswith(_DONE)}, {_file_of(mark) for mark in done}


def _file_of(mark: str) -> str:
    session_id, _, lines = mark.rpartition(".")
    return f"{session_id}/{lines}.db.gz"


def _mark_of(name: str) -> str:
    return f"{MARKS}/{name.removesuffix('.db.gz').replace('/', '.')}"


def announce(place: Place, name: str) -> None:
    """Say that a file will have tombstones."""
    place.write(_mark_of(name), b"{}\n", replace=False)


def known(place: Place, folder: Path) -> Tombs:
    """The tombstones in a box."""
    tombs = Tombs()
    for number, name in enumerate(sorted(marks_in(place)[0])):
        drop = drop_of(name)
        path = folder / f"tombs-{number}.db"
        if drop is None:
            continue
        try:
            unpack(name, place.read(name), path)
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("DELETE FROM exports")
                tombs.graves |= graves_in(connection)
        except (Gone, sqlite3.Error):
            path.unlink(missing_ok=True)  # not written yet
            continue
        tombs.seen.add(name)
        tombs.files.setdefault(drop.session_id, []).append(path)
    return tombs


def clear(box: Box, place: Place, seen: set[str], folder: Path, done: Pushed) -> None:
    """Take out of all files what tombstones name that nobody followed up yet.

    Parameters
    ----------
    box : Box
    place : Place
    seen : set of str
        Files with tombstones that this push knew of before it wrote.
    folder : Path
        A place for files that are being made.
    done : Pushed
        Gets the numbers.
    """
    marks, followed = marks_in(place)
    open_marks = sorted(name for name in (marks - followed) | (marks - seen) if place.state(name))
    if not open_marks:
        return
    path, _ = reading.cached(box, place)  # all that is known of the history says which content is still needed
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as whole:
        graves = graves_in(whole)
        gone = _gone_content(whole, graves)
        files = place.files()
        for name in _concerned(whole, graves, files):
            _clear(place, name, graves, gone, folder, done)
        for _, name in snapshots_in(files):
            place.remove(name)  # `merge --compact` makes one without
        needed = named_files(whole)
        for name in files:
            sha256 = name.rpartition("/")[2]
            if name.startswith(f"{FILES}/") and sha256 in (graves.deleted | graves.redacted.keys()) - needed:
                place.remove(name)
    for name in open_marks:
        place.write(f"{_mark_of(name)}{_DONE}", b"{}\n", replace=False)


def uncleared(place: Place, names: Iterable[str], whole: sqlite3.Connection, folder: Path) -> list[str]:
    """The files that still have what a tombstone names, as may be after a merge of branches or a copy of old files.

    Parameters
    ----------
    place : Place
    names : iterable of str
        All files in the box.
    whole : sqlite3.Connection
        All that is known of the history.
    folder : Path
        A place for files that are being made.
    """
    graves = graves_in(whole)
    gone = _gone_content(whole, graves)
    return [
        name
        for name in _concerned(whole, graves, names)
        if _clear(place, name, graves, gone, folder, Pushed(folder, ""), is_dry=True)
    ]


def _concerned(whole: sqlite3.Connection, graves: Graves, names: Iterable[str]) -> list[str]:
    """The files that may have something that tombstones name."""
    if not graves:
        return []
    ids = listed((*graves.deleted, *graves.redacted))
    sql = f"SELECT DISTINCT session_id FROM ledger_parts WHERE scope {LISTED.format('?')}"
    sessions = {session_id for (session_id,) in whole.execute(sql, (ids,))}
    return [drop.name for session_id, drops in drops_in(names).items() if session_id in sessions for drop in drops]


def _gone_content(whole: sqlite3.Connection, graves: Graves) -> dict[str, set[str]]:
    """The shared content that tombstones name, and that no run needs any more, by table."""
    ids = graves.deleted | graves.redacted.keys()
    found = {}
    for table in of_kind("content"):
        scope = COVERED[table].scope
        sql = f"SELECT DISTINCT {scope} FROM {table} WHERE {scope} {LISTED.format('?')}"
        found[table] = set(ids) - {key for (key,) in whole.execute(sql, (listed(ids),))}
    return found


def _clear(
    place: Place,
    name: str,
    graves: Graves,
    gone: dict[str, set[str]],
    folder: Path,
    done: Pushed,
    *,
    is_dry: bool = False,
) -> bool:
    """Take out of a file what tombstones name; whether there was anything."""
    path = folder / "cleared.db"
    try:
        unpack(name, place.read(name), path)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
            before = connection.total_changes
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            bury_rows(connection, graves, "main")
            redacted = 0
            for table, scope, first, last in outdated_rows(connection, graves):
                sql = f"DELETE FROM {table} WHERE {COVERED[table].scope} = ? AND ordinal BETWEEN ? AND ?"
                redacted += connection.execute(sql, (scope, first, last)).rowcount
            for table, keys in gone.items():
                sql = f"DELETE FROM {table} WHERE {COVERED[table].scope} {LISTED.format('?')}"
                connection.execute(sql, (listed(keys),))
            connection.execute("COMMIT")
            if connection.total_changes == before:
                return False
            left = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        if not is_dry:
            place.write(name, packed(path, folder), replace=True)
            done.deleted_runs += runs - left
            done.redacted += redacted
        return True
    except (Gone, sqlite3.DatabaseError):
        return False  # what cannot be read is nobody's, and `verify` names it
    finally:
        path.unlink(missing_ok=True)
