"""Bring the content that a push names, where roles read only their projects and each shows that it has it.

A later session of a store names content that an earlier one recorded, perhaps pushed by somebody else; see
:mod:`histhooks.team.postgres.possession`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from histhooks._store.tables import COVERED, TABLES, of_kind
from histhooks.team._batch import Batch
from histhooks.team._outgoing import Outgoing
from histhooks.team.postgres.dialect import OTHER
from histhooks.team.postgres.standing import Standing

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Naming(NamedTuple):
    """A content, and the run or session whose row names it."""

    table: str
    key: str
    scope: str


def named_in(batch: Batch, store: Outgoing) -> list[Naming]:
    """The content that rows of a batch name and the store has."""
    found = [*dict.fromkeys(_named(batch, store))]
    here: set[tuple[str, str]] = set()
    for table in {each.table for each in found}:
        scope = COVERED[table].scope
        keys = json.dumps([each.key for each in found if each.table == table])
        sql = f"SELECT DISTINCT {scope} FROM {table} WHERE {scope} IN (SELECT value FROM json_each(?))"
        here.update((table, key) for (key,) in store.all(sql, keys))
    return [each for each in found if each[:2] in here]


def _named(batch: Batch, store: Outgoing) -> Iterator[Naming]:
    for table in of_kind("content"):
        if table not in store.columns:
            continue
        for each in COVERED[table].named_by:
            if each.table == "states":  # the fold of the run has it too
                yield from _values(batch, store, table, "runs", str(TABLES[table].state_column))
            else:
                column = "sha256" if each.column.startswith("(") else each.column
                yield from _values(batch, store, table, each.table, column)
    texts: dict[str, list[str]] = {}
    for _, key, scope in _values(batch, store, "contents", "sessions", "code_version_id"):
        if key not in texts:
            details = store.all("SELECT details FROM code_versions WHERE id = ?", key)
            texts[key] = _SHA256.findall(details[0][0]) if details else []
        yield from (Naming("contents", digest, scope) for digest in texts[key])


def _values(batch: Batch, store: Outgoing, table: str, where: str, column: str) -> Iterator[Naming]:
    rows = batch.rows.get(where)
    if not rows or column not in store.columns[where]:
        return
    columns = store.columns[where]
    place = columns.index(column)
    scope = columns.index(next(name for name in ("session_id", "run_id", "id") if name in columns))
    if where in ("runs", "sessions"):
        scope = columns.index("id")
    for row in rows.values():
        if row[place] is not None:
            yield Naming(table, row[place], row[scope])


def add_unheld(connection: Any, named: Iterable[Naming], batch: Batch, store: Outgoing) -> None:
    """Add to a batch what the target has and this role has not brought."""
    keys = sorted({each[:2] for each in named})
    if not keys:
        return
    sql = "SELECT kind, id FROM hh_unheld(%s::text[], %s::text[])"
    for table, key in connection.execute(sql, [[key[place] for key in keys] for place in (0, 1)]).fetchall():
        spec = COVERED[table]
        sql = f"SELECT {', '.join(store.columns[table])} FROM {table} WHERE {spec.scope} = ? ORDER BY {spec.order}"
        kept = batch.rows.setdefault(table, {})
        kept.update(((key, number), row) for number, row in enumerate(store.all(sql, key)))


def hold(connection: Any, asked: Any, named: list[Naming], standing: Standing) -> None:
    """Keep what was brought, after it was joined: packages by what came; of a curator, all for whom it pushes."""
    if "packages" in asked.there:
        connection.execute(
            "SELECT hh_hold_packages(environment_id, array_agg(name), array_agg(version)) "
            f"FROM {OTHER}.packages GROUP BY environment_id"
        )
    if not standing.is_curator or not named:
        return
    sql = (
        "INSERT INTO content_holders (table_name, key, role) SELECT DISTINCT a.kind, a.id, s.pushed_by "
        "FROM unnest(%s::text[], %s::text[], %s::text[]) AS a (kind, id, scope) "
        "JOIN sessions AS s ON s.id = coalesce((SELECT r.session_id FROM runs AS r WHERE r.id = a.scope), a.scope) "
        "ON CONFLICT DO NOTHING"
    )
    connection.execute(sql, [[each[place] for each in named] for place in range(3)])
