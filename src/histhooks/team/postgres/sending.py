"""Write what one transaction brings into a target, by the rules that join files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from histhooks._store.folds import Summary
from histhooks._store.graves import LISTED, Graves, bury, erased_fields, listed, outdated_rows
from histhooks._store.joining import of_alias, take
from histhooks._store.shared_clashes import settle_content
from histhooks._store.tables import FOLDS, LIVE_COLUMNS, TABLES
from histhooks.team._batch import Batch
from histhooks.team._outgoing import Outgoing
from histhooks.team.postgres import bringing, chunks, receipts
from histhooks.team.postgres.dialect import OTHER, Asked, encoded
from histhooks.team.postgres.standing import Standing, gone_of, keep_out

_SUMMARY = tuple(each.name for each in fields(Summary))
_FACTS = ("metric", "split", "direction", "start_time")
_ALWAYS = ("ledger", "ledger_parts", "tombstones", "states", "salts", "sessions", "runs")
_MOST_NOTIFIED = 100


class Moved(Exception):
    """Somebody else pushed lines of the same sessions meanwhile."""


class Fork(Exception):
    """The target says something else of a session."""

    def __init__(self, session_id: str, what: str, digests: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.session_id, self.what, self.digests = session_id, what, digests


@dataclass(slots=True)
class Sent:
    """What one transaction wrote."""

    rows: int = 0
    points: int = 0
    runs: int = 0
    sessions: int = 0
    deleted_runs: int = 0
    redacted: int = 0
    receipt: tuple[int, str] | None = None


def lock(connection: Any, schema: str) -> None:
    """Wait until no other push writes: then tombstones, folds and receipts of two of them never mix."""
    connection.execute(f"SELECT {schema}.hh_lock()")


def send(connection: Any, schema: str, batch: Batch, store: Outgoing, standing: Standing) -> Sent:
    """Write a batch, inside a transaction.

    Raises
    ------
    Moved, Fork
        Nothing is written, if the transaction is rolled back.
    """
    asked: Any = Asked(connection, schema)
    named = bringing.named_in(batch, store) if standing.is_by_project else []
    bringing.add_unheld(connection, named, batch, store)
    _load(connection, asked, batch, store)
    lock(connection, schema)
    _check_heads(connection, batch)
    gone = gone_of(connection, asked, batch, standing)
    graves = gone.graves
    if graves.redacted:
        _load_all_lines(connection, batch, store)
    shared = settle_content(asked, OTHER, may_choose=standing.is_curator, may_mend=False)
    for clash in (shared.ours | shared.theirs).values():
        if clash.session_id in batch.base:
            raise Fork(clash.session_id, clash.what, clash.digests)
    sent = Sent(rows=batch.n_rows)
    before = _counts(connection)
    _look_at_removed(asked, graves, sent)
    if not standing.is_curator:
        graves = keep_out(asked, batch, graves)
    take(asked, OTHER, graves, may_change=standing.is_curator)
    if standing.is_by_project:
        bringing.hold(connection, asked, named, standing)
    _check_rows(asked, batch, graves)
    sent.points = _take_curves(connection, batch, graves.deleted | gone.points)
    _live_columns(asked, batch)
    connection.execute(f"SELECT hh_refold(ARRAY(SELECT DISTINCT subject_id FROM {OTHER}.states))")
    if standing.is_curator:
        bury(asked, graves)
    after = _counts(connection)
    sent.sessions, sent.runs = (max(new - old, 0) for new, old in zip(after, before, strict=True))
    sent.receipt = receipts.add(connection, store.store_id(), batch.n_rows, batch.heads)
    # Whoever may connect may listen: where not everybody may know of everything, only that something came.
    told = [] if standing.is_by_project else sorted(batch.base)[:_MOST_NOTIFIED]
    connection.execute("SELECT pg_notify('histhooks', %s)", (",".join(told),))
    return sent


def _counts(connection: Any) -> tuple[int, ...]:
    return tuple(connection.execute("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM runs)").fetchone())


def _copy(connection: Any, table: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    names = ", ".join(f'"{name}"' if name.isalpha() else name for name in columns)
    with connection.cursor().copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([encoded(value) for value in row])


def _load(connection: Any, asked: Any, batch: Batch, store: Outgoing) -> None:
    """Lay the rows of a batch beside the target, as temporary tables of the same names."""
    ledger = {line[:2]: tuple(line) for line in batch.lines}
    columns = dict(store.columns)
    columns["ledger"] = list(batch.lines[0]._fields)
    columns["ledger_parts"] = [
        "session_id", "seq", "scope", "table_name", "first", "last", "n_rows", "digest", "ranges"
    ]  # fmt: skip
    columns["salts"] = ["subject_id", "field", "salt"]
    rows: dict[str, Any] = {**batch.rows, "ledger": ledger, "ledger_parts": dict(enumerate(batch.parts))}
    tables = [table for table in TABLES if table in _ALWAYS or rows.get(table)]
    made = ";".join(
        f"CREATE TEMP TABLE {table} ON COMMIT DROP AS SELECT "
        f"{', '.join(f'{name}' for name in columns[table])} FROM {asked.schema}.{table} WHERE false"
        for table in tables
    )
    connection.execute(made)
    for table in tables:
        if rows.get(table):
            _copy(connection, f"{OTHER}.{table}", columns[table], rows[table].values())
    asked.there = {table: columns[table] for table in tables}
    _load_chunks(connection, batch)


def _load_chunks(connection: Any, batch: Batch) -> None:
    if not batch.curves:
        return
    names = ", ".join(f"c.{name}" for name in chunks.COLUMNS)
    connection.execute(
        f"CREATE TEMP TABLE new_chunks ON COMMIT DROP AS SELECT s.run_id, s.name, {names} "
        "FROM point_chunks AS c, metric_summaries AS s WHERE false"
    )
    sql = f"COPY {OTHER}.new_chunks (run_id, name, {', '.join(chunks.COLUMNS)}) FROM STDIN"
    with connection.cursor().copy(sql) as copy:
        for (run_id, name), curve in batch.curves.items():
            key = (encoded(run_id), encoded(name))
            for row in chunks.packed([*curve.before, *curve.points]):
                copy.write_row((*key, *row))


def _load_all_lines(connection: Any, batch: Batch, store: Outgoing) -> None:
    """Whether content was recorded anew after a redaction, only all lines together say."""
    upto = {key: seq for key, (seq, _) in batch.heads.items()}
    known = connection.execute("SELECT session_id, max(seq) FROM ledger GROUP BY session_id").fetchall()
    upto = dict(known) | upto
    lines, parts = store.all_lines(upto)
    columns = {
        "ledger": ("session_id", "seq", "n_rows", "digest", "previous", "time", "heads"),
        "ledger_parts": ("session_id", "seq", "scope", "table_name", "first", "last", "n_rows", "digest", "ranges"),
    }
    for table, rows in zip(columns, (lines, parts), strict=True):
        connection.execute(f"DELETE FROM {OTHER}.{table}")
        _copy(connection, f"{OTHER}.{table}", columns[table], rows)


def _check_heads(connection: Any, batch: Batch) -> None:
    sql = "SELECT session_id, seq FROM hh_heads(%s::text[], %s::bigint[])"
    heads = dict(connection.execute(sql, (batch.sessions, [-1] * len(batch.sessions))).fetchall())
    if {**dict.fromkeys(batch.base, -1), **heads} != batch.base:
        raise Moved


def _look_at_removed(asked: Any, graves: Graves, sent: Sent) -> None:
    """Count what the target has and tombstones of the store remove."""
    if not graves:
        return
    ids = (listed(graves.deleted),)
    (sent.deleted_runs,) = asked.execute(
        f"SELECT count(*) FROM main.runs WHERE id {LISTED.format('?')}", ids
    ).fetchone() or (0,)
    there = set(asked.execute("SELECT subject_id, field FROM main.salts")) if graves.redacted else set()
    if there:
        sent.redacted = len(there & set(erased_fields(asked, graves)))


def _check_rows(asked: Any, batch: Batch, graves: Graves) -> None:
    """Rows that the target has under the same keys have to be the same rows."""
    ignored = {*outdated_rows(asked, graves, OTHER)} if graves else set()
    for table, rows in batch.rows.items():
        spec = TABLES[table]
        if spec.kind != "row" or asked.inserted.get(table, 0) == len(rows):
            continue
        columns = [name for name in spec.columns if name in asked.there[table]]
        same = " AND ".join(f"o.{name} IS NOT DISTINCT FROM t.{name}" for name in columns)
        writer = "t.session_id" if "session_id" in columns else "NULL"
        key = f"o.ordinal = t.ordinal AND {of_alias('o', spec.scope)} = {of_alias('t', spec.scope)}"
        sql = (
            f"SELECT {of_alias('t', spec.scope)}, t.ordinal, {writer} FROM {OTHER}.{table} AS t "
            f"WHERE NOT EXISTS (SELECT 1 FROM main.{table} AS o WHERE {key} AND {same})"
        )
        for scope, ordinal, session_id in asked.execute(sql):
            if scope in graves.deleted or any(
                (table, scope) == each[:2] and each[2] <= ordinal <= each[3] for each in ignored
            ):
                continue
            raise Fork(session_id or _owner(batch, table, scope, ordinal), f"{table} {ordinal} of {scope}")


def _owner(batch: Batch, table: str, scope: str, ordinal: int) -> str:
    """The session whose line covers a row."""
    for session_id, _, of, name, first, last, *_ in batch.parts:
        if (of, name) == (scope, table) and first <= ordinal <= last:
            return str(session_id)
    return next(iter(batch.base))


def _take_curves(connection: Any, batch: Batch, gone: frozenset[str]) -> int:
    curves = {key: curve for key, curve in batch.curves.items() if key[0] not in gone}
    if not curves:
        return 0
    summaries = _summaries(connection, batch, curves)
    columns = ("run_id", "name", *_FACTS, *_SUMMARY)
    names = ", ".join(columns)
    connection.execute(
        f"CREATE TEMP TABLE new_series ON COMMIT DROP AS SELECT {names}, 0::bigint AS place FROM metric_summaries "
        "WHERE false"
    )
    rows = [
        (*key, *curves[key].facts, *(getattr(summary, name) for name in _SUMMARY), curves[key].place)
        for key, summary in summaries.items()
    ]
    _copy(connection, f"{OTHER}.new_series", (*columns, "place"), rows)
    updates = ", ".join(f"{name} = excluded.{name}" for name in _SUMMARY)
    same = " AND ".join(f"metric_summaries.{name} IS NOT DISTINCT FROM excluded.{name}" for name in _FACTS)
    sql = (
        f"INSERT INTO metric_summaries ({names}) SELECT {names} FROM {OTHER}.new_series ORDER BY place "
        f"ON CONFLICT (run_id, name) DO UPDATE SET {updates} WHERE {same} RETURNING run_id, name"
    )
    _same(batch, curves, connection.execute(sql).fetchall(), "the series")
    names = ", ".join(chunks.COLUMNS)
    theirs = ", ".join(f"c.{name}" for name in chunks.COLUMNS)
    updates = ", ".join(f"{name} = excluded.{name}" for name in chunks.COLUMNS if name != "chunk")
    held = " AND ".join(
        f"(excluded.{name})[1:point_chunks.count] IS NOT DISTINCT FROM point_chunks.{name}"
        for name in ("times", '"values"')
    )
    sql = (
        f"INSERT INTO point_chunks (series, {names}) SELECT s.series, {theirs} FROM {OTHER}.new_chunks AS c "
        "JOIN metric_summaries AS s ON s.run_id = c.run_id AND s.name = c.name ORDER BY s.series, c.chunk "
        f"ON CONFLICT (series, chunk) DO UPDATE SET {updates} WHERE excluded.count > point_chunks.count AND {held} "
        "RETURNING (SELECT run_id FROM metric_summaries AS m WHERE m.series = point_chunks.series), "
        "(SELECT name FROM metric_summaries AS m WHERE m.series = point_chunks.series)"
    )
    _same(batch, curves, connection.execute(sql).fetchall(), "points")
    return sum(len(curve.points) for curve in curves.values())


def _same(batch: Batch, curves: Any, written: list[tuple[str, str]], what: str) -> None:
    """All series have to be written; what was not is other in the target."""
    found = set(written)
    for run_id, name in curves:
        if (run_id, encoded(name)) not in found:
            raise Fork(_owner(batch, "points", run_id, curves[run_id, name].first), f"{what} {name!r} of run {run_id}")


def _summaries(connection: Any, batch: Batch, curves: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Summary]:
    """Summaries made again: from what the target has, and the new points."""
    begun = [key for key, curve in curves.items() if curve.first]
    held: dict[tuple[str, str], Summary] = {}
    if begun:
        sql = (
            f"SELECT s.run_id, s.name, {', '.join(f's.{name}' for name in _SUMMARY)} FROM metric_summaries AS s "
            "JOIN unnest(%s::text[], %s::text[]) AS u (run_id, name) ON u.run_id = s.run_id AND u.name = s.name"
        )
        ids, names = [key[0] for key in begun], [encoded(key[1]) for key in begun]
        by_name = {(key[0], encoded(key[1])): key for key in begun}
        for run_id, name, *values in connection.execute(sql, (ids, names)):
            held[by_name[run_id, name]] = Summary(*values)
    found = {}
    for key, curve in curves.items():
        summary = held.get(key, Summary())
        if summary.count != curve.first:
            what = f"points of {key[1]!r} of run {key[0]}: the target has {summary.count}, not {curve.first}"
            raise Fork(_owner(batch, "points", key[0], curve.first), what)
        summary.add(curve.points)
        found[key] = summary
    return found


def _live_columns(asked: Any, batch: Batch) -> None:
    """What a process brings up to date beside its states."""
    for table in FOLDS:
        names = [name for name in asked.there[table] if name in LIVE_COLUMNS and name != "heartbeat_at"]
        if names and batch.rows.get(table):
            updates = ", ".join(f"{name} = t.{name}" for name in names)
            asked.execute(f"UPDATE main.{table} AS o SET {updates} FROM {OTHER}.{table} AS t WHERE o.id = t.id")


def heartbeats(connection: Any, beats: list[tuple[str, str]]) -> int:
    """Bring the last signs of life of sessions up to date; how many were older."""
    sql = (
        "UPDATE sessions AS s SET heartbeat_at = u.at FROM unnest(%s::text[], %s::text[]) AS u (id, at) "
        'WHERE s.id = u.id AND s.heartbeat_at < u.at COLLATE "C"'
    )
    return int(connection.execute(sql, ([key for key, _ in beats], [at for _, at in beats])).rowcount)
