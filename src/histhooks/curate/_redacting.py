"""Erase personal values: the value and its salt are removed, so that the remaining digest reveals nothing."""

from __future__ import annotations

import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from histhooks._base.ids import short_id
from histhooks._base.vocabulary import RUNNING
from histhooks._store.kept_files import remove
from histhooks._store.name_search import mentions, pattern_of
from histhooks._store.tables import COVERED, PERSONAL, PERSONAL_COLUMNS
from histhooks.curate._deleting import checked_reason
from histhooks.curate._kept import kept_by, there_are
from histhooks.curate._promoted import kept_for, promoted_runs
from histhooks.curate._recoding import Rule, code_only, nothing, recode, without
from histhooks.curate._session import CommandSession, Personal
from histhooks.curate._space import free_space
from histhooks.errors import QueryError, StoreError
from histhooks.history import History


@dataclass(frozen=True, slots=True)
class Redaction:
    """What was erased, or would be.

    Attributes
    ----------
    values : dict of str to int
        `table.column` and how many values of it.
    subjects : list of str
        Ids of the sessions and runs that they belonged to.
    left : list of str
        Ids of sessions that still record and keep their values until they have ended.
    remains : dict of str to int
        `table.column` and in how many rows the words still stand: what the ledger covers cannot be changed.
    notice : str or None
        Why traces may be left in free pages of the file.
    texts : dict of str to int
        `table.column` and how many texts of code (diffs, files, sources, cells) lost something.
    kept_files : int
        Copies in `<store>.files/` that are gone; their hashes stay.
    """

    values: dict[str, int]
    subjects: list[str]
    left: list[str]
    remains: dict[str, int]
    notice: str | None = None
    texts: dict[str, int] = field(default_factory=dict)
    kept_files: int = 0


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that goes."""

    table: str
    column: str
    subject_id: str
    field: str
    digests: tuple[str, ...]
    keys: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _Wish:
    """Whose values go."""

    users: frozenset[str]
    hosts: frozenset[str]
    sessions: frozenset[str]
    runs: frozenset[str]
    pattern: re.Pattern[str] | None

    def names(self, value: str | None) -> bool:
        return value is not None and self.pattern is not None and self.pattern.search(value) is not None


def _kept(personal: Personal, users: tuple[str, ...], pattern: re.Pattern[str] | None) -> Personal:
    """The personal values of the session that redacts, without those that it erases."""
    is_own = personal.get("username") in users or personal.get("actor") in users
    return {
        name: None if is_own or (value is not None and pattern is not None and pattern.search(value)) else value
        for name, value in personal.items()
    }


def redact(
    *,
    reason: str,
    users: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    runs: tuple[str, ...] = (),
    data_rows: bool = False,
    files: bool = False,
    store: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
) -> Redaction:
    """Erase personal values: hostname, username, actor, command, cwd, values of tags, notes, and their authors.

    Parameters
    ----------
    reason : str
        Kept in the tombstones, so it must not name whom it is about.
    users : tuple of str
        All personal values of the sessions of these accounts or actors, what they wrote in tags and notes, and every
        other personal value that names them.
    hosts : tuple of str
        Every personal value that names these machines.
    runs : tuple of str
        All personal values of the sessions of these runs and of the runs inside them, their tags and notes, and the
        text of their code: diff, files, sources, cells, the last lines of stderr.
    data_rows : bool
        What is no code in recorded diffs and files, of all runs: earlier versions kept it of every file that git had.
    files : bool
        The kept files of `runs`, also where other runs have the same; their hashes stay.
    store : str or path, optional
    dry_run : bool
        Only report what would be erased.

    Returns
    -------
    Redaction

    Raises
    ------
    QueryError
        If nobody is named, there is no reason, or it names whom it is about.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> curate.redact(users=("ann",), reason="asked to be forgotten", dry_run=True).remains
    {}
    """
    if not (users or hosts or runs or data_rows):
        raise QueryError("whose values? name a user, a host or a run (--user NAME, --host NAME, --run RUN)")
    if files and not runs:
        raise QueryError("whose kept files? name a run too (--run RUN)")
    if not all(word.strip() for word in (*users, *hosts)):
        raise QueryError("the name of a user or a host is empty; give the whole name")
    reason = "-" if dry_run else checked_reason(reason)
    pattern = pattern_of((*users, *hosts))
    if pattern is not None and pattern.search(reason):
        raise QueryError("the reason stays in the history and names what is to be erased; word it without")

    with CommandSession(store, "histhooks redact", kept=lambda personal: _kept(personal, users, pattern)) as session:
        found = session.find(runs, is_exact=True)
        session.connection.execute("PRAGMA secure_delete = ON")
        with session.deed() as entries:
            wish = _wish(session, users, hosts, [row["id"] for row in found], pattern)
            values = list(_values(session, wish))
            left = _still_open(session, wish)
            if not dry_run:
                by_subject: dict[str, list[_Value]] = {}
                for value in values:
                    by_subject.setdefault(value.subject_id, []).append(value)
                    _erase(session.connection, value)
                for subject_id, gone in by_subject.items():
                    digests = sorted({digest for value in gone for digest in value.digests})
                    entries.append(session.tombstone("redact", subject_id, digests, reason))
            copies = kept_by(session, wish.runs) if files else set()
            _refuse_promoted(session, wish.runs if files else frozenset())
            if not dry_run:
                entries += [session.tombstone("redact", sha256, [], reason) for sha256 in sorted(copies)]
        n_kept = there_are(session, copies).files if dry_run else remove(session.path, copies)[0]
        texts, owners, still = _recode(session, wish, reason, data_rows=data_rows, is_dry=dry_run)
        left = sorted({*left, *still})
        notice = None if dry_run or not (values or texts) else free_space(session.store, is_needed=True)
        words = (*users, *hosts)
        remains = {} if dry_run else mentions(session.connection, words)
    counts = dict(Counter(f"{value.table}.{value.column}" for value in values))
    subjects = sorted({value.subject_id for value in values} | owners)
    return Redaction(counts, subjects, left, remains, notice, texts, n_kept)


def _refuse_promoted(session: CommandSession, run_ids: Iterable[str]) -> None:
    held = promoted_runs(session.connection, run_ids)
    if held:
        raise StoreError(
            f"the kept files of run {short_id(str(held[0].run_id))} stay: {held[0].why()}, and what was promoted is "
            f"kept for {kept_for()} (retention in [tool.histhooks.models])"
        )


def _recode(
    session: CommandSession, wish: _Wish, reason: str, *, data_rows: bool, is_dry: bool
) -> tuple[dict[str, int], set[str], set[str]]:
    """Take it out of the code, too: each rule in a transaction of its own, since it changes what the next one reads."""
    rules: list[tuple[Rule, set[str] | None]] = [(nothing, {*wish.sessions})] if wish.sessions else []
    rules += [(without(wish.pattern), None)] if wish.pattern is not None else []
    rules += [(code_only, None)] if data_rows else []
    counts: dict[str, int] = {}
    subjects, left = set[str](), set[str]()
    for rule, of in rules:
        with session.deed() as entries:
            done, new = recode(session, rule, reason, of=of, is_dry=is_dry)
            entries += new
        for place, number in done.values.items():
            counts[place] = counts.get(place, 0) + number
        subjects |= done.subjects
        left |= done.left
    return counts, subjects, left


def _wish(
    session: CommandSession,
    users: tuple[str, ...],
    hosts: tuple[str, ...],
    run_ids: list[str],
    pattern: re.Pattern[str] | None,
) -> _Wish:
    sql = (
        "WITH RECURSIVE inside (id) AS (SELECT ? UNION SELECT r.id FROM runs AS r JOIN inside "
        "ON r.parent_id = inside.id) SELECT id, session_id FROM runs WHERE id IN (SELECT id FROM inside)"
    )
    rows = [row for run_id in run_ids for row in session.rows(sql, run_id)]
    sessions = frozenset(row["session_id"] for row in rows)
    return _Wish(frozenset(users), frozenset(hosts), sessions, frozenset(row["id"] for row in rows), pattern)


def _is_whole(row: dict[str, Any], wish: _Wish) -> bool:
    """Whether all personal values of a session go."""
    return row["id"] in wish.sessions or row["username"] in wish.users or row["actor"] in wish.users


def _of_session(row: dict[str, Any], wish: _Wish) -> list[str]:
    is_whole = _is_whole(row, wish)
    return [c for c in PERSONAL_COLUMNS if row[c] is not None and (is_whole or wish.names(row[c]))]


def _still_open(session: CommandSession, wish: _Wish) -> list[str]:
    """Sessions that record here, or in a spool that waits until they have ended."""
    ended = {row["id"] for row in session.rows(f"SELECT id FROM sessions WHERE status <> '{RUNNING}'")}
    with History(session.path) as history:
        rows = history.sql("SELECT * FROM sessions ORDER BY id")
    return [row["id"] for row in rows if row["id"] not in ended and _of_session(row, wish)]


def _values(session: CommandSession, wish: _Wish) -> Iterator[_Value]:
    # A session that still records holds its values in memory, and would bring them back with a spool.
    for row in session.rows(f"SELECT * FROM sessions WHERE status <> '{RUNNING}' ORDER BY id"):
        columns = _of_session(row, wish)
        if columns:
            promises = _promises(session, row["id"])
            for column in columns:
                yield _Value("sessions", column, row["id"], column, promises.get(column, ()), (("id", row["id"]),))
    sessions = session.rows("SELECT id, username, actor FROM sessions")
    theirs = {row["id"] for row in sessions if {row["username"], row["actor"]} & wish.users}
    for table, columns_of in PERSONAL.items():
        spec = COVERED[table]
        names = ("id",) if "id" in spec.columns else (str(spec.scope), "session_id", "ordinal")
        keys = [name for name in dict.fromkeys(names) if name in spec.columns]
        for row in session.rows(f"SELECT * FROM {table} ORDER BY {', '.join(keys)}"):
            is_theirs = row["session_id"] in theirs or row[str(spec.author)] in wish.users
            is_whole = is_theirs or row.get("run_id") in wish.runs
            for column in columns_of:
                if row[column] is not None and (is_whole or wish.names(row[column])):
                    field = f"{table}/{row['session_id']}/{row['ordinal']}/{column}"
                    place = tuple((key, row[key]) for key in keys)
                    yield _Value(table, column, row[spec.scope], field, (row[f"{column}_sha256"],), place)


def _promises(session: CommandSession, session_id: str) -> dict[str, tuple[str, ...]]:
    import json

    found: dict[str, tuple[str, ...]] = {}
    for row in session.rows("SELECT state FROM states WHERE subject_id = ?", session_id):
        for column, value in json.loads(row["state"]).items():
            if isinstance(value, dict) and "$personal" in value:
                found[column] = (*found.get(column, ()), value["$personal"])
    return found


def _erase(connection: sqlite3.Connection, value: _Value) -> None:
    where = " AND ".join(f"{key} IS ?" for key, _ in value.keys)
    keys = tuple(key for _, key in value.keys)
    connection.execute(f"UPDATE {value.table} SET {value.column} = NULL WHERE {where}", keys)
    connection.execute("DELETE FROM salts WHERE subject_id = ? AND field = ?", (value.subject_id, value.field))
