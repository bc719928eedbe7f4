"""Join files: into a file that is being made, and from there into a store that is in use, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histhooks._store.clashes import Clash, clashes
from histhooks._store.evicting import WITHOUT_POINTS, not_taken, take_evictions
from histhooks._store.evicting import settle as settle_evictions
from histhooks._store.graves import (
    LISTED,
    Graves,
    bury,
    erased_fields,
    graves_in,
    listed,
    outdated_rows,
    redacted_content,
)
from histhooks._store.joining import refused_in, take
from histhooks._store.joining_series import TAKEN, take_series
from histhooks._store.parts import declare
from histhooks._store.refolding import refold, resummarise
from histhooks._store.refusing import begun_later, content_of, drop, forget_uncovered, gaps, lacks_heads, strangers
from histhooks._store.shared_clashes import settle_content
from histhooks._store.store import Store
from histhooks._store.tables import COVERED, FOLDS
from histhooks._store.wholeness import Wholeness, scopes_in
from histhooks.team._sources import Source, attached


@dataclass(slots=True)
class Union:
    """What is known of files while they are joined.

    Attributes
    ----------
    graves : Graves
        Of all of them.
    wholeness : Wholeness
    forks : dict of str to (Clash, list of str)
        By session, with the files that it was seen in.
    missing : dict of str to (int, int)
        Sessions of which lines are in none of the files: the first and the last of these.
    told : list of dict
        Of each file: its path, and how many sessions, runs and points it has.
    places : dict of str to list of str
        The files that have a session.
    content : set of (str, str)
        Shared content that refused sessions wrote: table and id of each.
    deleted_runs : set of str
        Runs that a file has and a tombstone removes.
    redacted : set of (str, str)
        Values and texts that a file has and a tombstone removes.
    """

    graves: Graves = field(default_factory=Graves)
    wholeness: Wholeness = field(default_factory=Wholeness)
    forks: dict[str, tuple[Clash, list[str]]] = field(default_factory=dict)
    missing: dict[str, tuple[int, int]] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    places: dict[str, list[str]] = field(default_factory=dict)
    content: set[tuple[str, str]] = field(default_factory=set)
    deleted_runs: set[str] = field(default_factory=set)
    redacted: set[tuple[str, str]] = field(default_factory=set)

    @property
    def refused(self) -> frozenset[str]:
        """Sessions of which nothing is written."""
        return frozenset((*self.forks, *self.missing))

    def refuse(self, found: dict[str, Clash], *files: Path) -> None:
        """Refuse sessions, on account of what two files say."""
        for session_id, clash in found.items():
            _, places = self.forks.setdefault(session_id, (clash, []))
            found_in = [*map(str, files), *self.places.get(session_id, ())]
            places += [path for path in dict.fromkeys(found_in) if path not in places]


def unite(sources: Sequence[Source], path: Path, folder: Path) -> Union:
    """Make a file that holds all of some files.

    Parameters
    ----------
    sources : sequence of Source
    path : Path
        The file, which is made.
    folder : Path
        A place for copies.

    Raises
    ------
    Changed, TeamError
    """
    union = Union()
    store = Store(path, is_spool=True)
    try:
        connection = store.connection
        # Nobody else knows of this file: it is flushed once, when it is complete.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA secure_delete = ON")
        for source in sources:
            with attached(connection, source, folder):
                union.graves |= graves_in(connection, "source")
                union.wholeness.look_at(connection, "source")
        for source in sources:
            with attached(connection, source, folder):
                connection.execute("BEGIN")
                _take_source(connection, source, union)
                connection.execute("COMMIT")
        connection.execute("BEGIN")
        _complete(connection, union)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        store.close()
    return union


def _take_source(connection: sqlite3.Connection, source: Source, union: Union) -> None:
    union.graves |= graves_in(connection, "source")
    union.told.append({"path": str(source.path), **_counts(connection, "source")})
    for (session_id,) in connection.execute("SELECT DISTINCT session_id FROM source.ledger"):
        union.places.setdefault(session_id, []).append(str(source.path))
    if len(union.told) > 1:
        union.refuse(clashes(connection, "source", union.graves))
        shared = settle_content(connection, "source")
        union.refuse(shared.ours | shared.theirs)
    refused = refused_in(connection, union.refused, "source")
    union.content |= content_of(connection, union.refused, "source")
    union.wholeness.take(connection, "source")
    _look_at_removed(connection, "source", union, union.graves)
    take(connection, "source", union.graves, refused)
    take_series(connection, "source", union.graves.deleted | refused.scopes)
    take_evictions(connection, "source")
    _take_names(connection)


def _take_names(connection: sqlite3.Connection) -> None:
    """Which spools came home already, and when first."""
    connection.execute(
        "INSERT INTO main.merged_spools (name, time) SELECT name, time FROM source.merged_spools "
        "WHERE instr(name, '/') = 0 "  # others are files of a folder, which one copy of it took in
        "ON CONFLICT (name) DO UPDATE SET time = min(time, excluded.time)"
    )


def _complete(connection: sqlite3.Connection, union: Union) -> None:
    """Leave out what cannot be written, apply tombstones, and make again what follows from other rows."""
    union.missing = {key: lines for key, lines in gaps(connection).items() if key not in union.forks}
    left_out = drop(connection, union.refused, union.content) if union.refused else frozenset[str]()
    refold(connection)  # first, since what is shared stays for sessions that still record
    bury(connection, union.graves)
    settle_evictions(connection)
    resummarise(connection, f"SELECT series FROM main.metric_summaries WHERE run_id NOT IN ({WITHOUT_POINTS})")
    _declare(connection, union, left_out)


def _declare(connection: sqlite3.Connection, union: Union, left_out: frozenset[str]) -> None:
    """Say of the file that it is a part of a history, where it is one."""
    whole = union.wholeness
    later = begun_later(connection)
    is_part = bool(whole.is_part or left_out or later or lacks_heads(connection))
    connection.execute("DELETE FROM main.exports")
    if not is_part:
        return
    held = whole.whole() - left_out - refused_in(connection, later).scopes
    if left_out:  # with a session its tombstones go, and they alone say what is missing
        known = graves_in(connection)
        held -= union.graves.deleted - known.deleted
        held -= union.graves.redacted.keys() - known.redacted.keys()
    declare(connection, held & scopes_in(connection), is_view=whole.is_view)


def _counts(connection: sqlite3.Connection, schema: str) -> dict[str, int]:
    found = {table: connection.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone()[0] for table in FOLDS}
    sql = f"SELECT coalesce(sum(count), 0) FROM {schema}.metric_summaries"
    return {**found, "points": connection.execute(sql).fetchone()[0]}


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many sessions, runs and points a store has."""
    return _counts(connection, "main")


def bring_in(connection: sqlite3.Connection, union: Union, path: Path) -> None:
    """Join a file that was made of others into a store, inside a transaction: the store keeps what it has.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of the store, with the file attached as `source`.
    union : Union
        What is known of the files; forks are added.
    path : Path
        Of the store, as a message has it.
    """
    graves = graves_in(connection) | union.graves
    found = clashes(connection, "source", graves)
    shared = settle_content(connection, "source", may_choose=False, may_mend=False)
    union.refuse(found | shared.theirs | _writers(connection, shared.ours), path)
    for session_id, other in strangers(connection, "source").items():
        union.refuse({session_id: Clash(session_id, f"it saw another ledger of session {other}")}, path)
    refused = refused_in(connection, union.refused, "source")
    if not refused.sessions:  # whose words are not here
        settle_content(connection, "source", may_mend=False)
    graves = graves_in(connection) | graves_in(connection, "source", refused.sessions)
    whole = Wholeness()
    for schema in ("main", "source"):
        whole.look_at(connection, schema)
    whole.take(connection, "main")
    held = set(whole.holds)
    whole.take(connection, "source")
    _look_at_removed(connection, "main", union, graves)
    gone, without_points = not_taken(connection)
    take(connection, "source", graves | gone, refused)
    take_series(connection, "source", (graves | gone).deleted | without_points | refused.scopes)
    take_evictions(connection, "source")
    lacking = frozenset[str]()
    if refused.sessions:
        lacking = forget_uncovered(connection, content_of(connection, refused.sessions, "source"))
    refold(connection, "SELECT subject_id FROM source.states")
    bury(connection, graves | gone)
    settle_evictions(connection)
    resummarise(connection, TAKEN)
    _take_names(connection)
    _declare_store(connection, whole, held, refused.scopes, lacking)


def _writers(connection: sqlite3.Connection, found: dict[str, Clash]) -> dict[str, Clash]:
    """Where content of the store itself was changed, the sessions of the file that wrote it too are left out."""
    sql = "SELECT DISTINCT session_id FROM source.ledger"
    there = {session_id for (session_id,) in connection.execute(sql)}
    return {session_id: clash for session_id, clash in found.items() if session_id in there}


def _declare_store(
    connection: sqlite3.Connection, whole: Wholeness, held: set[str], refused: frozenset[str], lacking: frozenset[str]
) -> None:
    later = begun_later(connection)
    if whole.is_part or later or lacking or lacks_heads(connection):
        scopes = whole.whole() - (refused - held) - refused_in(connection, later).scopes - lacking
        declare(connection, scopes & scopes_in(connection), is_view=whole.is_view)


def _look_at_removed(connection: sqlite3.Connection, schema: str, union: Union, graves: Graves) -> None:
    """Note what a file has that tombstones remove."""
    if not graves:
        return
    sql = f"SELECT id FROM {schema}.runs WHERE id {LISTED.format('?')}"
    union.deleted_runs |= {run_id for (run_id,) in connection.execute(sql, (listed(graves.deleted),))}
    if not graves.redacted:
        return
    there = set(connection.execute(f"SELECT subject_id, field FROM {schema}.salts"))
    union.redacted |= there & set(erased_fields(connection, graves, schema))
    union.redacted |= {
        (table, f"{scope} {first}") for table, scope, first, _ in outdated_rows(connection, graves, schema)
    }
    for table, keys in redacted_content(connection, graves, schema).items():
        sql = f"SELECT {COVERED[table].scope} FROM {schema}.{table}"
        union.redacted |= {(table, key) for (key,) in connection.execute(sql) if key in keys}
