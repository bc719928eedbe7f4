"""Make one file of a box that has all of its history, with which readers then begin, and one of each session.

A session that was pushed while it recorded left a file a minute.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from histhooks.team._batch import Altered
from histhooks.team._outgoing import Outgoing
from histhooks.team._pushed import Pushed
from histhooks.team._workplace import workplace
from histhooks.team.box import clearing
from histhooks.team.box.address import Box
from histhooks.team.box.drops import Drop, drops_in, lines_of, merged_names, name_of, pack, packed, snapshots_in
from histhooks.team.box.places import Gone, Place, place_of
from histhooks.team.box.reading import cached


@dataclass(slots=True)
class Compacted:
    """What was made.

    Attributes
    ----------
    target : str
    name : str
        Of the file.
    files : int
        Files whose lines it has.
    size_bytes : int
    joined : int
        Files that became part of another one, which has all lines of their session.
    cleared : list of str
        Files out of which was taken what a tombstone names.
    faults : list of str
        Files that could not be read, which it has not.
    """

    target: str
    name: str = ""
    files: int = 0
    size_bytes: int = 0
    joined: int = 0
    cleared: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def compact(box: Box) -> Compacted:
    """Join the files of each session, write a snapshot of a box, and remove those before it. The files with lines stay:
    who pushes compares with them.

    Parameters
    ----------
    box : Box

    Raises
    ------
    TeamError
        If the box cannot be read or written.
    """
    place = place_of(box)
    path, gathered = cached(box, place)
    done = Compacted(box.shown, faults=gathered.faults)
    names = place.names()
    with workplace(None) as folder:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            done.cleared = clearing.uncleared(place, names, connection, folder)
        if done.cleared:
            clearing.clear(box, place, set(), folder, Pushed(path, box.shown))
        done.joined = _join(place, names, path, folder)
        if done.joined:  # a snapshot knows the files that it has
            path, gathered = cached(box, place)
            done.faults, names = gathered.faults, place.names()
        data = packed(path, folder)
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            done.files = len(merged_names(connection) & names)
        before = snapshots_in(names)
        number = before[-1][0] + 1 if before else 1
        while not place.write(f"snapshot-{number}.db.gz", data, replace=False):
            number += 1  # another one was made meanwhile
        done.name, done.size_bytes = f"snapshot-{number}.db.gz", len(data)
        for _, name in before:
            place.remove(name)
    return done


def _join(place: Place, names: set[str], path: Path, folder: Path) -> int:
    """Write one file of each session that has several, and remove those; how many went."""
    several = {key: drops for key, drops in drops_in(names).items() if len(drops) > 1}
    joined = 0
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        store = Outgoing(connection)
        heads = store.heads()
        for session_id, drops in several.items():
            lines, made = store.lines({session_id: -1}), list[Drop]()
            if heads.get(session_id, (-1,))[0] != max(drop.last for drop in drops):
                continue  # some of it could not be read
            with suppress(Altered, Gone):  # what verification names stays as it is
                start = 0
                while start < len(lines):
                    batch, start = store.batch(lines, start, set(), -1)
                    name = name_of(session_id, batch.lines[0].seq, batch.lines[-1].seq)
                    if name not in names:
                        place.write(name, pack(batch, store, folder), replace=False)
                    made.append(Drop(name, session_id, batch.lines[0].seq, batch.lines[-1].seq))
                for drop in made:
                    lines_of(drop.name, place.read(drop.name), folder)  # before what it has is removed elsewhere
                old = [drop for drop in drops if drop not in made]
                for drop in old:
                    place.remove(drop.name)
                joined += len(old)
    return joined
