"""What the role of a connection may do at a target, and what the target knows of what it sends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from histhooks._store.graves import (
    LISTED,
    Graves,
    erased_fields,
    graves_in,
    listed,
    needed_content,
    redacted_content,
)
from histhooks._store.tables import COVERED, FOLDS, of_kind
from histhooks.errors import TeamError
from histhooks.team._batch import Batch
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.dialect import OTHER
from histhooks.team.postgres.rights import BY_PROJECT


@dataclass(frozen=True, slots=True)
class Standing:
    """What a role may do.

    Attributes
    ----------
    role : str
        Whom the server authenticated.
    is_curator : bool
        Whether it may remove rows.
    is_by_project : bool
        Whether roles read only some projects of the target.
    """

    role: str
    is_curator: bool
    is_by_project: bool


def standing_of(connection: Any, database: Database) -> Standing:
    """What the role of a connection may do.

    Raises
    ------
    TeamError
        If it may not push.
    """
    sql = (
        "SELECT session_user::text, has_any_column_privilege(%(t)s, 'INSERT'), has_table_privilege(%(t)s, 'DELETE'), "
        f"(SELECT value FROM {database.schema}.store_info WHERE key = 'rights')"
    )
    role, may_add, may_remove, mode = connection.execute(sql, {"t": f"{database.schema}.params"}).fetchone()
    if not may_add:
        raise TeamError(
            f"{database.shown}: your role may not do this ({role} reads, and pushes nothing); its owner gives the "
            f"right with: GRANT histhooks_writer TO {role}"
        )
    return Standing(role, bool(may_remove), mode == BY_PROJECT)


def sees_a_part(connection: Any) -> bool:
    """Whether the role that asks sees only some projects of a target, in a transaction in its schema."""
    row = connection.execute("SELECT value FROM store_info WHERE key = 'rights'").fetchone()
    if row is None or row[0] != BY_PROJECT:
        return False
    sql = "SELECT NOT hh_sees_all() AND row_security_active('runs') AND NOT has_table_privilege('runs', 'DELETE')"
    return bool(connection.execute(sql).fetchone()[0])


@dataclass(frozen=True, slots=True)
class Gone:
    """What is not to come back to a target.

    Attributes
    ----------
    graves : Graves
        What was deleted or redacted, and the runs and contents that were evicted.
    points : frozenset of str
        Runs whose points alone were evicted.
    """

    graves: Graves
    points: frozenset[str] = frozenset()


def removed_of(connection: Any, ids: Iterable[str], *, with_evictions: bool = True) -> Gone:
    """What tombstones and evictions of a target say of runs, sessions and contents, also to who does not see them."""
    sql = "SELECT action, subject_id, digests, session_id, seq FROM hh_graves(%s)"
    deleted, erased, points = set[str](), set[str](), set[str]()
    redacted: dict[str, set[tuple[str, int]]] = {}
    for action, subject_id, digests, session_id, seq in connection.execute(sql, (sorted(ids),)):
        if action == "redact":
            redacted.setdefault(subject_id, set()).add((session_id, seq))
            erased.update(json.loads(digests))
        elif action == "evict" and not with_evictions:
            continue
        elif action == "evict" and session_id == "points":
            points.add(subject_id)
        else:
            deleted.add(subject_id)
    known = Graves(frozenset(deleted), {key: frozenset(lines) for key, lines in redacted.items()}, frozenset(erased))
    return Gone(known, frozenset(points))


def gone_of(connection: Any, asked: Any, batch: Batch, standing: Standing) -> Gone:
    """What of a batch, or of all that a curator may remove, was removed."""
    ids = {part[2] for part in batch.parts} | {key[0] for table in FOLDS for key in batch.rows.get(table, ())}
    found = removed_of(connection, ids)
    if not standing.is_curator:
        return found
    return Gone(found.graves | graves_in(asked) | graves_in(asked, OTHER), found.points)


def keep_out(asked: Any, batch: Batch, graves: Graves) -> Graves:
    """Leave out of a batch what a role that removes nothing may not bring; what of the graves is left to look for.

    Nothing that is at the target is removed by who may only add. So what tombstones of the target name is taken out of
    the temporary tables before they are joined, and so are rows of the sessions of others, which are there.
    """
    own = (listed(batch.base),)
    for subject_id, name in erased_fields(asked, graves):
        asked.execute(f"DELETE FROM {OTHER}.salts WHERE subject_id = ? AND field = ?", (subject_id, name))
        if "/" not in name:
            asked.execute(f"UPDATE {OTHER}.sessions SET {name} = NULL WHERE id = ?", (subject_id,))
    hidden = redacted_content(asked, graves, OTHER) if graves.redacted else {}
    for table in of_kind("content"):
        if table in asked.there:
            gone = hidden.get(table, set()) | _unneeded(asked, table, graves)
            _drop(asked, table, COVERED[table].scope, gone)
    for table, column in (
        ("runs", "session_id"),
        ("sessions", "id"),
        ("ledger", "session_id"),
        ("ledger_parts", "session_id"),
    ):
        asked.execute(f"DELETE FROM {OTHER}.{table} WHERE {column} NOT {LISTED.format('?')}", own)
    shared = {part[2] for part in batch.parts if COVERED.get(part[3]) and COVERED[part[3]].kind == "content"}
    redacted = {key: lines for key, lines in graves.redacted.items() if key not in shared}
    return Graves(graves.deleted - shared, redacted, graves.erased)


def _unneeded(asked: Any, table: str, graves: Graves) -> set[str]:
    """Shared content that was deleted, and that no row names here or in what is brought."""
    scope = COVERED[table].scope
    sql = f"SELECT DISTINCT {scope} FROM {OTHER}.{table} WHERE {scope} {LISTED.format('?')}"
    found = {key for (key,) in asked.execute(sql, (listed(graves.deleted),))} if graves.deleted else set()
    found -= needed_content(asked, table, found)
    for each in COVERED[table].named_by if found else ():
        if each.table in asked.there:
            sql = f"SELECT DISTINCT {each.column} FROM {OTHER}.{each.table} WHERE {each.column} {LISTED.format('?')}"
            found -= {key for (key,) in asked.execute(sql, (listed(found),))}
    return found


def _drop(asked: Any, table: str, column: str, keys: Iterable[str]) -> None:
    some = sorted(keys)
    if some:
        asked.execute(f"DELETE FROM {OTHER}.{table} WHERE {column} {LISTED.format('?')}", (listed(some),))
