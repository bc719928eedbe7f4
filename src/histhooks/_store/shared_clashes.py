"""Shared content that two files have under one id and not in the same words.

A file has one ending in one session and another one in the next; two builds of zlib compress a text differently. Both
are what a line of the ledger covers: then one of them stays, the same whatever is joined with what. Content that no
line covers was changed.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from histhooks._store.clashes import Clash
from histhooks._store.graves import LISTED, listed
from histhooks._store.joining import shared_columns
from histhooks._store.ledger import digest_rows
from histhooks._store.tables import CONTENT, COVERED


@dataclass(slots=True)
class Shared:
    """What became of content that differs.

    Attributes
    ----------
    ours, theirs : dict of str to Clash
        Sessions that wrote content which was changed in this file, and in the other one.
    """

    ours: dict[str, Clash] = field(default_factory=dict)
    theirs: dict[str, Clash] = field(default_factory=dict)


def settle_content(
    connection: sqlite3.Connection, schema: str, *, may_choose: bool = True, may_mend: bool = True
) -> Shared:
    """Compare the content that both files have. What this file has and must give way is removed, so that the other
    file's is taken in.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction, with the other file attached.
    schema : str
        The name that it is attached under.
    may_choose : bool
        Whether content may give way here to the same content in other words.
    may_mend : bool
        Whether content that was changed may give way here.
    """
    found = Shared()
    for table in sorted(CONTENT):
        keys = _different(connection, schema, table)
        parts = {one: _parts(connection, one, table, keys) for one in ("main", schema)} if keys else {}
        for key in keys:
            covered = {digest for of in parts.values() for digest, _ in of.get(key, ())}
            ours, theirs = (content_digest(connection, one, table, key) for one in ("main", schema))
            for digest, one, bad in ((ours, "main", found.ours), (theirs, schema, found.theirs)):
                if digest not in covered:
                    for _, session_id in parts[one].get(key, ()):
                        bad.setdefault(session_id, Clash(session_id, f"{table} {key}", digests=(ours, theirs)))
            gives_way = may_choose and theirs < ours if ours in covered else may_mend
            if theirs in covered and gives_way:
                connection.execute(f"DELETE FROM main.{table} WHERE {COVERED[table].scope} = ?", (key,))
    return found


def _different(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    spec = COVERED[table]
    columns = [name for name in spec.columns if name in shared_columns(connection, schema, table)]
    if not columns:
        return []
    if spec.order == "1":  # one row of an id
        differ = " OR ".join(f"o.{name} IS NOT t.{name}" for name in columns)
        sql = (
            f"SELECT t.{spec.scope} FROM {schema}.{table} AS t CROSS JOIN main.{table} AS o "
            f"ON o.{spec.scope} = t.{spec.scope} WHERE {differ} ORDER BY 1"
        )
    else:
        names = ", ".join(columns)
        both = f"{spec.scope} IN (SELECT {spec.scope} FROM {{}}.{table})"
        sql = " UNION ".join(
            f"SELECT {spec.scope} FROM (SELECT {names} FROM {one}.{table} WHERE {both.format(other)} "
            f"EXCEPT SELECT {names} FROM {other}.{table}) AS {one}_only"
            for one, other in (("main", schema), (schema, "main"))
        )
    return [key for (key,) in connection.execute(sql)]


def _parts(
    connection: sqlite3.Connection, schema: str, table: str, keys: list[str]
) -> dict[str, list[tuple[str, str]]]:
    """Digests that lines cover, and the sessions of these, by id."""
    sql = (
        f"SELECT scope, digest, session_id FROM {schema}.ledger_parts "
        f"WHERE table_name = ? AND scope {LISTED.format('?')}"
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for scope, digest, session_id in connection.execute(sql, (table, listed(keys))):
        found.setdefault(scope, []).append((digest, session_id))
    return found


def content_digest(connection: sqlite3.Connection, schema: str, table: str, key: str) -> str:
    """The digest of shared content, as a file has it."""
    spec = COVERED[table]
    sql = f"SELECT {', '.join(spec.columns)} FROM {schema}.{table} WHERE {spec.scope} = ? ORDER BY {spec.order}"
    return digest_rows(connection.execute(sql, (key,)))
