"""Copy a part of a history into a new store: the chosen runs, everything about them, and the ledger that covers it.

Every session that wrote about these runs is copied with all its ledger lines and parts, so that each chain can be
followed. Parts about other runs are then "not in this file".
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histhooks._base.clock import iso, now_us
from histhooks._base.ids import new_id
from histhooks._collect import survey
from histhooks._store.assembler import Assembler
from histhooks._store.data_rows import Chosen, Rows, free_ordinals, rows_for_kept
from histhooks._store.entries import Entry, content_entry, row_entry, state_entry
from histhooks._store.graves import LISTED
from histhooks._store.store import Store
from histhooks._store.tables import COVERED, TABLES, of_kind
from histhooks.errors import StoreError

_AT_ONCE = 5000
_IN, _CHOSEN = LISTED.format("?"), LISTED.format(":runs")
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Choice:
    """What goes into the file.

    Attributes
    ----------
    runs : list of str
        With the runs inside them, and those that they are inside of.
    versions : list of str
        Versions of models that these made.
    own : list of str
        Sessions that these ran in.
    sessions : list of str
        These, and all that wrote something about them.
    deeds : list of str
        Sessions that waived a check for these, or signed them or the history since.
    people : dict of str to set of str
        `username`, `hostname` and `actor` as those sessions have them.
    """

    runs: list[str]
    versions: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    deeds: list[str] = field(default_factory=list)
    people: dict[str, set[str]] = field(default_factory=dict)


def choose(source: sqlite3.Connection, run_ids: Iterable[str]) -> Choice:
    """Everything that belongs to some runs."""
    runs = sorted(_related(source, run_ids))
    own = _column(source, f"SELECT DISTINCT session_id FROM runs WHERE id {_IN} ORDER BY 1", runs)
    versions = _versions(source, runs)
    deeds = _deeds(source, runs)
    scopes = [*runs, *versions, *own]
    sessions = {*own, *deeds}
    for sql in (
        f"SELECT DISTINCT session_id FROM ledger_parts WHERE scope {_IN}",
        f"SELECT DISTINCT session_id FROM tombstones WHERE subject_id {_IN}",
    ):
        sessions |= set(_column(source, sql, scopes))
    is_closed = False
    while not is_closed:
        # A session that settled an exported session must be exported too.
        found = set(_column(source, f"SELECT session_id FROM states WHERE subject_id {_IN}", sorted(sessions)))
        is_closed = found <= sessions
        sessions |= found
    choice = Choice(runs, versions, own, sorted(sessions), deeds)
    for column in ("username", "hostname", "actor"):
        sql = f"SELECT DISTINCT {column} FROM sessions WHERE id {_IN} AND {column} IS NOT NULL"
        choice.people[column] = set(_column(source, sql, choice.sessions))
    return choice


def _deeds(source: sqlite3.Connection, runs: list[str]) -> list[str]:
    """Sessions that waived a check for runs, or signed what they made or the history since; none before schema 1.2."""
    if not source.execute("SELECT 1 FROM sqlite_master WHERE name = 'signatures'").fetchone():
        return []
    signed = (
        f"SELECT sha256 FROM run_artifacts WHERE run_id {_IN} AND direction = 'out' UNION "
        f"SELECT sha256 FROM model_versions WHERE run_id {_IN}"
    )
    since = f"(SELECT min(session_id) FROM runs WHERE id {_IN})"
    sql = (
        f"SELECT session_id FROM waivers WHERE run_id {_IN} UNION SELECT session_id FROM signatures WHERE "
        f"(subject <> 'head' AND subject_sha256 IN ({signed})) OR (subject = 'head' AND session_id > {since})"
    )
    text = json.dumps(runs)
    return sorted({str(row[0]) for row in source.execute(sql, (text, text, text, text))})


def _related(source: sqlite3.Connection, run_ids: Iterable[str]) -> set[str]:
    """Runs with those inside them, and those that they are inside of, without which nothing lists them."""
    found: set[str] = set()
    for step in ("r.parent_id = i.id", "r.id = (SELECT parent_id FROM runs WHERE id = i.id)"):
        sql = (
            f"WITH RECURSIVE i (id) AS (SELECT id FROM runs WHERE id {_IN} UNION "
            f"SELECT r.id FROM runs AS r JOIN i ON {step}) SELECT id FROM i"
        )
        found |= set(_column(source, sql, list(run_ids)))
    return found


def _versions(source: sqlite3.Connection, runs: list[str]) -> list[str]:
    """The versions of models that some runs made; an older store has none."""
    if not source.execute("SELECT 1 FROM sqlite_master WHERE name = 'model_versions'").fetchone():
        return []
    return _column(source, f"SELECT id FROM model_versions WHERE run_id {_IN} ORDER BY 1", runs)


def _column(source: sqlite3.Connection, sql: str, keys: list[str]) -> list[str]:
    return [str(row[0]) for row in source.execute(sql, (json.dumps(keys),))]


def copy_runs(
    source: sqlite3.Connection, choice: Choice, path: Path, *, is_anonymous: bool, progress: Progress | None = None
) -> None:
    """Make a store that holds some runs.

    Parameters
    ----------
    source : sqlite3.Connection
        In one read transaction.
    choice : Choice
    path : Path
        A new file: one file with a rollback journal.
    is_anonymous : bool
        Whether personal values and their salts stay behind.
    progress : callable, optional
        Called with the series that are copied and all there are.
    """
    store = Store(path, is_spool=True)
    try:
        target = store.connection
        with store.transaction(is_durable=True):
            _copy_rows(source, target, choice, is_anonymous=is_anonymous)
            _copy_series(source, target, choice, progress)
            rows = _missing_data(source, choice)
            entries = [*_missing_states(source, target), *_missing_sketches(source, target, rows)]
            session_id = _sign(store, entries, rows, is_anonymous=is_anonymous)
            held = sorted({*_held(source, target, choice), session_id})
            target.execute(
                "INSERT INTO exports (id, kind, holds, time) VALUES (?, 'export', ?, ?)",
                (new_id(), json.dumps(held), now_us()),
            )
    finally:
        store.close()


def _copy_rows(source: sqlite3.Connection, target: sqlite3.Connection, choice: Choice, *, is_anonymous: bool) -> None:
    def copy(table: str, where: str, keys: list[str]) -> None:
        personal = TABLES[table].personal if is_anonymous else ()
        columns = _shared(source, target, table)
        if not columns:
            return  # an older store has not all tables
        chosen = ", ".join(f"NULL AS {column}" if column in personal else column for column in columns)
        rows = source.execute(f"SELECT {chosen} FROM {table} WHERE {where} {_IN}", (json.dumps(keys),))
        marks = ", ".join("?" * len(columns))
        target.executemany(f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})", map(tuple, rows))

    copy("sessions", "id", choice.sessions)
    copy("runs", "id", choice.runs)
    copy("ledger", "session_id", choice.sessions)
    copy("ledger_parts", "session_id", choice.sessions)
    if not is_anonymous:
        copy("salts", "subject_id", [*choice.runs, *choice.versions, *choice.sessions])
    for table, spec in COVERED.items():
        if spec.kind == "content":
            continue
        elif table == "states":
            copy(table, spec.scope, [*choice.runs, *choice.sessions])
        elif table == "tombstones":
            copy(table, spec.scope, choice.sessions)
        elif spec.author is not None and spec.scope == "session_id":
            copy(table, spec.scope, choice.deeds)
        else:
            copy(table, spec.scope, [*choice.runs, *choice.versions, *choice.own])
    for table in of_kind("content"):
        if table == "contents":
            continue  # by what the ledger says of them, below
        named = " UNION ".join(f"SELECT {each.column} FROM {each.table}" for each in COVERED[table].named_by)
        copy(table, COVERED[table].scope, [row[0] for row in target.execute(named) if row[0] is not None])
    sql = f"SELECT scope FROM ledger_parts WHERE table_name = 'contents' AND session_id {_IN}"
    copy("contents", "sha256", _column(source, sql, choice.own))
    copy("contents", "sha256", [row[0] for row in target.execute("SELECT content_sha256 FROM signatures")])


def _shared(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> list[str]:
    """Columns that both have: an older store is read as it is, and lacks what later versions added."""
    theirs = {row[1] for row in source.execute(f"PRAGMA table_info({table})")}
    return [row[1] for row in target.execute(f"PRAGMA table_info({table})") if row[1] in theirs]


def _copy_series(
    source: sqlite3.Connection, target: sqlite3.Connection, choice: Choice, progress: Progress | None
) -> None:
    columns = _shared(source, target, "metric_summaries")
    sql = f"SELECT {', '.join(columns)} FROM metric_summaries WHERE run_id {_IN} ORDER BY run_id, name"
    series = [tuple(row) for row in source.execute(sql, (json.dumps(choice.runs),))]
    target.execute("PRAGMA ignore_check_constraints = ON")  # what a store holds was checked; it is half of the cost
    for key, (old, *rest) in enumerate(series, start=1):
        marks = ", ".join("?" * len(columns))
        target.execute(f"INSERT INTO metric_summaries ({', '.join(columns)}) VALUES ({marks})", (key, *rest))
        for table in ("points", "rollups"):
            names = [name for name in _shared(source, target, table) if name != "series"]
            marks = ", ".join("?" * len(names))
            rows = source.cursor()
            rows.row_factory = None  # plain tuples
            rows.execute(f"SELECT {', '.join(names)} FROM {table} WHERE series = ?", (old,))
            insert = f"INSERT OR IGNORE INTO {table} (series, {', '.join(names)}) VALUES ({key}, {marks})"
            while some := rows.fetchmany(_AT_ONCE):
                target.executemany(insert, some)
        if progress is not None:
            progress(key, len(series))
    target.execute("PRAGMA ignore_check_constraints = OFF")


def _held(source: sqlite3.Connection, target: sqlite3.Connection, choice: Choice) -> list[str]:
    """The scopes that are here whole; of a part of a history, those that it held whole."""
    held = {*choice.runs, *choice.versions, *choice.own}
    for table in of_kind("content"):
        held |= {row[0] for row in target.execute(f"SELECT {COVERED[table].scope} FROM {table}")}
    parts = source.execute("SELECT holds FROM exports WHERE kind = 'export'").fetchall()
    if parts:
        held &= {scope for row in parts for scope in json.loads(row[0])}
    return sorted(held)


def _missing_states(source: sqlite3.Connection, target: sqlite3.Connection) -> list[Entry]:
    """States of random generators that rows here name by their digest, and other runs hold."""
    import zlib

    sql = (
        "SELECT DISTINCT digest FROM rng_states WHERE digest NOT IN (SELECT sha256 FROM contents) "
        "AND digest NOT IN (SELECT digest FROM rng_states WHERE state IS NOT NULL)"
    )
    entries: list[Entry] = []
    for (digest,) in target.execute(sql).fetchall():
        row = source.execute(
            "SELECT state FROM rng_states WHERE digest = ? AND state IS NOT NULL LIMIT 1", (digest,)
        ).fetchone()
        if row is not None:
            data = zlib.decompress(row[0])
        else:
            row = source.execute("SELECT encoding, data FROM contents WHERE sha256 = ?", (digest,)).fetchone()
            if row is None:
                continue
            data = zlib.decompress(row[1]) if row[0] == "zlib" else row[1]
        entries.append(content_entry("contents", survey.content_row(digest, "rng_state", data)))
    return entries


def _missing_data(source: sqlite3.Connection, choice: Choice) -> Rows:
    """Rows about data of the chosen runs that another run holds."""
    chosen = Chosen(_CHOSEN, f"NOT {_CHOSEN}", is_of_ended=False, values={"runs": json.dumps(choice.runs)})
    return rows_for_kept(source, chosen)


def _missing_sketches(source: sqlite3.Connection, target: sqlite3.Connection, rows: Rows) -> list[Entry]:
    """The content of such rows that did not come with a session."""
    entries: list[Entry] = []
    columns = ("sha256", "kind", "size_bytes", "encoding", "data")
    for digest in sorted({row["content_sha256"] for table, row in rows if table == "dataset_sketches"}):
        if target.execute("SELECT 1 FROM contents WHERE sha256 = ?", (digest,)).fetchone() is None:
            found = source.execute(f"SELECT {', '.join(columns)} FROM contents WHERE sha256 = ?", (digest,))
            entries += [content_entry("contents", dict(zip(columns, row, strict=True))) for row in found]
    return entries


def _sign(store: Store, entries: list[Entry], rows: Rows, *, is_anonymous: bool) -> str:
    """Add a session of kind `command` that records the author of the file, and names the heads of all others in it.

    Returns
    -------
    str
        Its id.
    """
    session_id = new_id()
    assembler = Assembler(session_id, _refuse)
    assembler.begin(store.heads())
    assembler.number_from(free_ordinals(session_id, rows))
    entries = [*entries, *(row_entry(table, row["run_id"], row) for table, row in rows)]
    facts, personal, details = survey.session_facts()
    personal = {**personal, "command": "histhooks export"}
    if is_anonymous:
        personal = dict.fromkeys(personal)
    now = iso(now_us())
    facts = {**facts, "kind": "command", "status": "finished", "started_at": now, "ended_at": now, "details": details}
    known = {key: value for key, value in facts.items() if value is not None}
    store.write(assembler.build([state_entry("session", session_id, known, personal), *entries]))
    return session_id


def _refuse(run: Any, text: str) -> None:
    raise StoreError(text)
