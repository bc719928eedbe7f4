"""Find where two histories contradict each other: forks of a session, and rows of one key that are not equal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from histhooks._store.graves import Graves, outdated_rows
from histhooks._store.joining import of_alias, shared_columns
from histhooks._store.ledger import digest_rows
from histhooks._store.parts import is_view
from histhooks._store.tables import COVERED, PERSONAL_COLUMNS, TABLES, Table

_PART = ("first", "last", "n_rows", "digest", "ranges")
_POINT = ("step", "epoch", "time", "value", "special")
_SERIES = ("metric", "split", "direction", "start_time")


@dataclass(frozen=True, slots=True)
class Clash:
    """What two files say differently of a session.

    Attributes
    ----------
    session_id : str
    what : str
        In words: a line of its ledger, or a row that it wrote.
    seq : int or None
        The number of the line, where it is one.
    digests : tuple of str
        Those of the line, or of the rows, in this file and in the other one; empty for single values.
    """

    session_id: str
    what: str
    seq: int | None = None
    digests: tuple[str, ...] = ()


def clashes(connection: sqlite3.Connection, schema: str, graves: Graves) -> dict[str, Clash]:
    """What an attached file contradicts this one in, by session. What is deleted or redacted contradicts nothing."""
    sql = f"SELECT EXISTS (SELECT 1 FROM {schema}.sessions WHERE id IN (SELECT id FROM main.sessions))"
    if not connection.execute(sql).fetchone()[0]:
        return {}
    search = _Search(connection, schema, graves)
    found: dict[str, Clash] = {}
    for clashes in (search.lines(), search.parts(), search.rows(), search.points(), search.values()):
        for clash in clashes:
            found.setdefault(clash.session_id, clash)
    return found


def _differ(names: tuple[str, ...] | list[str], one: str = "o", other: str = "t") -> str:
    return "(" + " OR ".join(f"{one}.{name} IS NOT {other}.{name}" for name in names) + ")"


class _Search:
    """What is looked for in one pair of files."""

    def __init__(self, connection: sqlite3.Connection, schema: str, graves: Graves) -> None:
        self._all = connection.execute
        self._connection, self._schema, self._graves = connection, schema, graves
        self._ignored = {*outdated_rows(connection, graves), *outdated_rows(connection, graves, schema)}

    def lines(self) -> Iterator[Clash]:
        """Lines of the ledger."""
        sql = (
            f"SELECT o.session_id, o.seq, o.digest, t.digest FROM {self._schema}.ledger AS t "
            "CROSS JOIN main.ledger AS o ON o.session_id = t.session_id AND o.seq = t.seq "
            f"WHERE {_differ(('digest', 'previous', 'n_rows', 'time', 'heads'))} ORDER BY o.session_id, o.seq"
        )
        for session_id, seq, *digests in self._all(sql):
            yield Clash(session_id, f"ledger line {seq}", seq, tuple(digests))

    def parts(self) -> Iterator[Clash]:
        """What lines cover that both have; a part that one of them may not see contradicts nothing."""
        is_seen_whole = not is_view(self._connection) and not is_view(self._connection, self._schema)
        both = "LEFT JOIN" if is_seen_whole else "JOIN"
        key = ("session_id", "seq", "scope", "table_name")
        same = " AND ".join(f"o.{name} = t.{name}" for name in key)
        for one, other in ((self._schema, "main"), ("main", self._schema)):
            sql = (
                f"SELECT DISTINCT t.session_id, t.seq FROM {one}.ledger_parts AS t CROSS JOIN {other}.ledger AS l "
                "ON l.session_id = t.session_id AND l.seq = t.seq "
                f"{both} {other}.ledger_parts AS o ON {same} WHERE {_differ(_PART)} ORDER BY t.session_id, t.seq"
            )
            for session_id, seq in self._all(sql):
                yield Clash(session_id, f"what ledger line {seq} covers", seq)

    def rows(self) -> Iterator[Clash]:
        """Rows of one key."""
        for table, spec in COVERED.items():
            if spec.kind == "row":
                yield from self._rows_of(table, spec)

    def _rows_of(self, table: str, spec: Table) -> Iterator[Clash]:
        columns = [name for name in spec.columns if name in shared_columns(self._connection, self._schema, table)]
        if not columns:
            return
        scope, writer = of_alias("t", spec.scope), "t.session_id" if spec.by_session else "NULL"
        ours = of_alias("o", spec.scope)
        same = f"{ours} = {scope} AND o.ordinal = t.ordinal" + (
            " AND o.session_id = t.session_id" if spec.by_session else ""
        )
        pairs = [(same, _differ(columns))]
        if "id" in columns:
            pairs.append(("o.id = t.id", f"NOT ({same})"))
        for join, differs in pairs:
            both = ", ".join(f"{alias}.{name}" for alias in "ot" for name in columns)
            sql = (
                f"SELECT {scope}, t.ordinal, {writer}, {both} FROM {self._schema}.{table} AS t "
                f"CROSS JOIN main.{table} AS o ON {join} WHERE {differs}"
            )
            for key, ordinal, session_id, *rows in self._all(sql).fetchall():
                if key in self._graves.deleted or self._is_ignored(table, key, ordinal):
                    continue
                for owner in [session_id] if session_id else self._owners(table, key, ordinal):
                    digests = (digest_rows([rows[: len(columns)]]), digest_rows([rows[len(columns) :]]))
                    yield Clash(owner, f"{table} {ordinal} of {key}", digests=digests)

    def _is_ignored(self, table: str, scope: str, ordinal: int) -> bool:
        return any((table, scope) == place[:2] and place[2] <= ordinal <= place[3] for place in self._ignored)

    def _owners(self, table: str, scope: str, ordinal: int) -> list[str]:
        """The sessions whose lines cover a row, in either file."""
        sql = " UNION ".join(
            f"SELECT session_id FROM {schema}.ledger_parts WHERE scope = :scope AND table_name = :table "
            "AND :ordinal BETWEEN first AND last"
            for schema in ("main", self._schema)
        )
        return [row[0] for row in self._all(sql, {"scope": scope, "table": table, "ordinal": ordinal})]

    def points(self) -> Iterator[Clash]:
        """Points of one place in a series, and what the series is."""
        series = (
            f"SELECT r.session_id, t.run_id, t.name FROM {self._schema}.metric_summaries AS t CROSS JOIN "
            "main.metric_summaries AS o ON o.run_id = t.run_id AND o.name = t.name "
            "JOIN main.runs AS r ON r.id = t.run_id "
        )
        points = (
            f"CROSS JOIN {self._schema}.points AS p ON p.series = t.series "
            "CROSS JOIN main.points AS q ON q.series = o.series AND q.n = p.n "
        )
        for sql in (
            f"{series} WHERE {_differ(_SERIES)}",
            f"{series} {points} WHERE {_differ(_POINT, 'q', 'p')} GROUP BY 1, 2",
        ):
            for session_id, run_id, name in self._all(sql).fetchall():
                if run_id not in self._graves.deleted:
                    yield Clash(session_id, f"points of {name!r} of run {run_id}")

    def values(self) -> Iterator[Clash]:
        """Personal values, and their salts."""
        differ = " OR ".join(f"o.{name} <> t.{name}" for name in PERSONAL_COLUMNS)
        sql = (
            f"SELECT o.id FROM {self._schema}.sessions AS t CROSS JOIN main.sessions AS o ON o.id = t.id WHERE {differ}"
        )
        for (session_id,) in self._all(sql):
            yield Clash(session_id, "a personal value")
        for table, spec in TABLES.items():
            if spec.kind != "row" or not spec.personal or not shared_columns(self._connection, self._schema, table):
                continue
            differ = " OR ".join(f"o.{name} <> t.{name}" for name in spec.personal)
            key = ["ordinal", "session_id"] if "session_id" in spec.columns else ["ordinal"]
            same = " AND ".join(f"o.{name} = t.{name}" for name in dict.fromkeys((spec.scope, *key)))
            sql = (
                f"SELECT t.session_id, t.{spec.scope}, t.ordinal FROM {self._schema}.{table} AS t CROSS JOIN "
                f"main.{table} AS o ON {same} WHERE {differ}"
            )
            for session_id, scope, ordinal in self._all(sql).fetchall():
                if scope not in self._graves.deleted:
                    yield Clash(session_id, f"a personal value of {table} {ordinal} of {scope}")
        yield from self._salts()

    def _salts(self) -> Iterator[Clash]:
        sql = (
            f"SELECT o.subject_id, o.field FROM {self._schema}.salts AS t CROSS JOIN main.salts AS o "
            "ON o.subject_id = t.subject_id AND o.field = t.field WHERE o.salt <> t.salt"
        )
        for subject_id, field in self._all(sql).fetchall():
            if subject_id not in self._graves.deleted:
                yield Clash(field.split("/")[1] if "/" in field else subject_id, f"the salt of {field} of {subject_id}")
