"""Take the files of a drop box into a store: each once, and of each session only what follows on what is there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from histhooks._base.clock import from_iso, now_us
from histhooks._store.graves import graves_in
from histhooks._store.parts import declare
from histhooks._store.refusing import begun_later, lacks_heads
from histhooks._store.stamp import SCHEMA_VERSION, marks
from histhooks._store.store import Store
from histhooks._store.tables import FOLDS, LIVE_COLUMNS
from histhooks._store.wholeness import scopes_in
from histhooks.errors import TeamError
from histhooks.team._joining import bring_in, unite
from histhooks.team._sources import Source, attached
from histhooks.team.box.drops import Drop, covering, drops_in, merged_names, unpack
from histhooks.team.box.places import Gone, Place

_AT_ONCE = 250  # files, of half a megabyte each and more while they are taken in
_PATIENCE_S = 30.0
BEATS = "beats"
# What SQLite says of values that a column does not hold.
_NO_VALUES = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError)


@dataclass(slots=True)
class Gathered:
    """What came of files.

    Attributes
    ----------
    taken : int
        How many were taken in.
    faults : list of str
        What was left out, and why.
    """

    taken: int = 0
    faults: list[str] = field(default_factory=list)


def gather(place: Place, names: set[str], path: Path, folder: Path) -> Gathered:
    """Take into a store the files that it has not taken in yet.

    Parameters
    ----------
    place : Place
    names : set of str
        All files there.
    path : Path
        The store; made where there is none.
    folder : Path
        A place for files that are being made.

    Raises
    ------
    TeamError
    """
    done = Gathered()
    known, heads = _known(path)
    wanted: dict[str, list[Drop]] = {}
    skipped: list[str] = []
    for session_id, drops in drops_in(names).items():
        fresh = [drop for drop in drops if drop.name not in known]
        if fresh:
            head = heads.get(session_id, -1)
            needed = [drop for drop in covering(fresh) if drop.last > head]
            skipped += [drop.name for drop in fresh if drop not in needed]
            wanted[session_id] = needed
    for number, some in enumerate(_chunks(wanted)):
        _take(place, some, heads, path, folder / f"chunk-{number}", done)
    if skipped or not path.exists():
        with closing(Store(path, timeout_s=_PATIENCE_S)) as store, store.transaction(is_durable=False):
            _note(store.connection, skipped)
    return done


def _known(path: Path) -> tuple[set[str], dict[str, int]]:
    if not path.exists():
        return set(), {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        sql = "SELECT session_id, max(seq) FROM ledger GROUP BY session_id"
        return merged_names(connection), dict(connection.execute(sql).fetchall())


def _chunks(wanted: dict[str, list[Drop]]) -> Iterator[dict[str, list[Drop]]]:
    """Some sessions at a time, each with all of its files."""
    some: dict[str, list[Drop]] = {}
    count = 0
    for session_id, drops in wanted.items():
        some[session_id] = drops
        count += len(drops)
        if count >= _AT_ONCE:
            yield some
            some, count = {}, 0
    if some:
        yield some


def _take(
    place: Place, wanted: dict[str, list[Drop]], heads: dict[str, int], path: Path, folder: Path, done: Gathered
) -> None:
    """Take in some files, in one transaction."""
    folder.mkdir()
    sources, names = _unpacked(place, wanted, heads, folder, done)
    if not sources:
        return
    part = folder / "part.db"
    union = unite(sources, part, folder)
    with closing(sqlite3.connect(part, isolation_level=None)) as connection:
        connection.execute("DELETE FROM exports")  # each file is a part, and all of them are the whole
    with closing(Store(path, timeout_s=_PATIENCE_S)) as store, attached(store.connection, Source(part, part), folder):
        connection = store.connection
        connection.execute("PRAGMA secure_delete = ON")
        union.graves = graves_in(connection, "source")
        with store.transaction(is_durable=False):
            bring_in(connection, union, path)
            is_part = begun_later(connection) or lacks_heads(connection)
            connection.execute("DELETE FROM main.exports")
            if is_part:
                declare(connection, scopes_in(connection))
            _note(connection, (name for name in names if names[name] not in union.refused))
    for session_id, (clash, _) in union.forks.items():
        done.faults.append(f"session {session_id}: {clash.what} differs in two files of it")
    done.taken += len(names)
    part.unlink()
    for source in sources:
        source.path.unlink()


def _unpacked(
    place: Place, wanted: dict[str, list[Drop]], heads: dict[str, int], folder: Path, done: Gathered
) -> tuple[list[Source], dict[str, str]]:
    """The stores of some files, as far as they can be read and follow on each other; and the session of each."""
    sources: list[Source] = []
    names: dict[str, str] = {}
    drops = {drop.name: drop for some in wanted.values() for drop in some}
    last = {session_id: heads.get(session_id, -1) for session_id in wanted}
    for number, (name, data) in enumerate(place.read_all(drops)):
        drop, path = drops[name], folder / f"{number}.db"
        head = last[drop.session_id]
        if drop.first > head + 1:
            lines = f"line {head + 1} is" if drop.first == head + 2 else f"lines {head + 1} to {drop.first - 1} are"
            done.faults.append(f"{name}: it is left out, since {lines} not there")
            continue
        try:
            if data is None:
                raise Gone(f"{name}: it is gone since it was listed, or cannot be read")
            unpack(name, data, path)
            _check(name, drop, path)
        except (Gone, sqlite3.DatabaseError) as error:
            path.unlink(missing_ok=True)
            done.faults.append(str(error) if isinstance(error, Gone) else f"{name}: {error}")
            continue
        last[drop.session_id] = max(head, drop.last)
        names[name] = drop.session_id
        sources.append(Source(path, path, copy=path))
    return sources, names


def _check(name: str, drop: Drop, path: Path) -> None:
    """See that a file has what its name says, and is of a version that this one knows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        is_store, version = marks(connection)
        if not is_store:
            raise Gone(f"{name}: it is no store of histhooks")
        if version > SCHEMA_VERSION:
            number = f"{version // 1000}.{version % 1000}"
            raise TeamError(f"{name} has schema version {number}, newer than this histhooks knows; update histhooks")
        sql = "SELECT session_id, min(seq), max(seq), count(*) FROM ledger GROUP BY session_id"
        found = connection.execute(sql).fetchall()
        if found != [(drop.session_id, drop.first, drop.last, drop.last - drop.first + 1)]:
            raise Gone(f"{name}: it has not the lines that its name says")


def _note(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    now = now_us()
    sql = "INSERT OR IGNORE INTO main.merged_spools (name, time) VALUES (?, ?)"
    connection.executemany(sql, [(name, now) for name in names])


def take_beats(place: Place, names: set[str], path: Path) -> None:
    """Bring up to date what a process says of itself beside its states, of sessions that have not ended."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        sql = "SELECT id, heartbeat_at FROM sessions WHERE ended_at IS NULL"
        known = dict(connection.execute(sql).fetchall())
    wanted = {f"{BEATS}/{session_id}.json": session_id for session_id in known}
    found = []
    for name, data in place.read_all(name for name in wanted if name in names):
        try:
            beat = json.loads(data or b"")
            if not all(isinstance(facts, dict) for facts in (beat, beat["runs"], *beat["runs"].values())):
                raise TypeError
            from_iso(beat["heartbeat_at"])
            if beat["heartbeat_at"] != known[wanted[name]]:
                found.append((wanted[name], beat))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # half written by something else than histhooks, or gone by now
    if not found:
        return
    with closing(Store(path, timeout_s=_PATIENCE_S)) as store, store.transaction(is_durable=False):
        for session_id, beat in found:
            _set(store.connection, "sessions", session_id, beat)
            for run_id, facts in beat["runs"].items():
                _set(store.connection, "runs", run_id, facts)


def _set(connection: sqlite3.Connection, table: str, key: str, facts: dict[str, object]) -> None:
    assert table in FOLDS
    names = [name for name in facts if name in LIVE_COLUMNS]
    if names:
        updates = ", ".join(f"{name} = ?" for name in names)
        sql = f"UPDATE {table} SET {updates} WHERE id = ? AND ended_at IS NULL"
        with suppress(*_NO_VALUES):
            connection.execute(sql, (*(facts[name] for name in names), key))


def beat_of(store: sqlite3.Connection, session_id: str) -> dict[str, object]:
    """What a session that has not ended says of itself beside its states, for others."""
    found: dict[str, dict[str, object]] = {}
    for table, which in (("sessions", "id"), ("runs", "session_id")):
        cursor = store.execute(f"SELECT * FROM {table} WHERE {which} = ? AND ended_at IS NULL", (session_id,))
        names = [column[0] for column in cursor.description]
        for values in cursor:
            row = dict(zip(names, values, strict=True))
            found[row["id"]] = {name: row[name] for name in names if name in LIVE_COLUMNS and row[name] is not None}
    own = found.pop(session_id, {})
    return {**own, "runs": dict(sorted(found.items()))} if own.get("heartbeat_at") else {}
