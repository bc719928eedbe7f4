"""``runs``: the latest runs, a line each."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks._views.run_table import Line
    from histhooks.history import History, RunRecord

_FILTERS = ("project", "framework", "status", "kind", "group", "job", "since", "until", "where")
_FEW_CHILDREN = 10
# By the index of sessions, since few of them run.
_RUNNING = (
    "r.status = 'running' AND r.session_id IN (SELECT s.id FROM sessions AS s WHERE s.status = 'running') "
    "AND hh_settled(r.session_id) = 'running'"
)


@click.command(
    epilog="Example: histhooks runs --where 'val_loss < 0.3 and params.lr > 1e-4' --sort val_loss --since 7d"
)
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.store_option
@click.option("--project", help="Runs of one project; by default the one that is recorded to here.")
@click.option("--all-projects", "-A", is_flag=True, help="Runs of all projects.")
@click.option("--framework", help="Runs of one framework.")
@click.option("--status", help="Runs that stand or ended so: running, finished, failed, killed, ...")
@click.option("--kind", help="Runs of one kind: fit, search, validate, block, ...")
@click.option("--tag", multiple=True, metavar="KEY[=VALUE]", help="Runs with a tag; may be given several times.")
@click.option("--group", help="Runs that were started together.")
@click.option("--job", metavar="ID", help="Runs of a batch job, of an array of them, or of one of an array: 4711_3.")
@click.option("--since", metavar="TIME", help="Runs that began since: 7d, 2026-11-01, yesterday.")
@click.option("--until", metavar="TIME", help="Runs that began until then; a date counts whole.")
@click.option("--where", metavar="EXPRESSION", help="Runs that fit: val_loss < 0.3 and has tags.x.")
@click.option("--sort", "--order-by", "order_by", metavar="NAME", help="A column, a metric (best on top) or a param.")
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="How many rows.")
@click.option("--unfold", is_flag=True, help="A row for each run, also where many come from one call site.")
@click.option("--children", is_flag=True, help="Also runs inside others, under them.")
@click.option("--all", "is_all", is_flag=True, help="Also runs inside others, and preprocessing.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, with a column for each metric and param.")
@common.json_option
def runs(words: tuple[str, ...], store: str | None, **options: Any) -> None:
    """List the latest runs, newest on top.

    Those of this project that are not inside others; running ones first. Many from one call site are one row (×12),
    which names the best of them.
    """
    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"runs takes a store's path, not {words[0]!r}")
    with common.open_history(store) as history:
        asked = {name: options[name] for name in _FILTERS if options[name] is not None}
        if options["tag"]:
            asked["tag"] = options["tag"]
        if "project" not in asked and not options["all_projects"]:
            asked |= _project_here(history)
        if options["as_json"] or options["as_csv"]:
            _data(_found(history, asked, options), history, as_csv=options["as_csv"])
            return
        shown = _lines(history, asked, options)
        _print(history, shown, options)
        click.echo(_footer(history, asked, options, shown))


def _project_here(history: History) -> dict[str, Any]:
    """The project that recording would use here, where the store has runs of it."""
    from histhooks._host.store_location import project_name

    name = project_name()
    return {"project": name} if history.sql("SELECT 1 FROM runs WHERE project = ? LIMIT 1", name) else {}


def _query(history: History, asked: dict[str, Any], options: dict[str, Any], **more: Any) -> Any:
    from histhooks.history.query.run_query import build

    # Candidates are always inside a search: who asks for them means those.
    is_nested = None if asked.get("kind") == "candidate" else False
    query = build(history, **{**asked, **more}, is_nested=is_nested, with_inner=True)
    if not options["is_all"] and "kind" not in asked:
        query.add("r.kind <> 'preprocess'")
    return query


def _found(history: History, asked: dict[str, Any], options: dict[str, Any]) -> list[RunRecord]:
    """The runs themselves, unfolded: running ones first, unless an order was asked for."""
    from histhooks.history import RunRecord

    if options["is_all"] or options["children"]:
        order = {"order_by": options["order_by"] or "started_at", "reverse": options["reverse"]}
        return history.runs(**asked, **order, limit=options["limit"])
    order_by, reverse = options["order_by"] or "started_at", options["reverse"]
    query = _query(history, asked, options, order_by=order_by, reverse=reverse)
    if not options["order_by"] and not reverse:
        query.order.insert(0, f"({_RUNNING}) DESC")
    sql, values = query.select("r.*", options["limit"])
    return [RunRecord(history, row) for row in history.sql(sql, *values)]


def _lines(history: History, asked: dict[str, Any], options: dict[str, Any]) -> list[Line]:
    from histhooks._views.run_table import Line, line_of
    from histhooks.history import RunRecord
    from histhooks.history.query.folding import fold

    if options["order_by"] or options["reverse"] or options["unfold"]:
        return _with_children(history, [line_of(run) for run in _outer(history, asked, options)], options)
    running = _query(history, asked, options)
    running.add(_RUNNING)
    sql, values = running.select("r.*", options["limit"])
    out = [line_of(RunRecord(history, row)) for row in history.sql(sql, *values)]
    rest = _query(history, asked, options)
    rest.add(f"NOT ({_RUNNING})")
    rows = fold(history, rest, options["limit"] - len(out)) if len(out) < options["limit"] else []
    records = _records(history, [row.members[0].id for row in rows])
    for row in rows:
        took = [member.duration_s for member in row.members if member.duration_s is not None]
        took = took or [s for s in (records[row.members[0].id].duration_s,) if s is not None]
        statuses = Counter(member.status for member in row.members)
        ids = [member.id for member in row.members]
        out.append(Line(records[ids[0]], ids, statuses, sum(took) if took else None))
    return _with_children(history, out, options)


def _outer(history: History, asked: dict[str, Any], options: dict[str, Any]) -> list[RunRecord]:
    from histhooks.history import RunRecord

    order = {"order_by": options["order_by"] or "started_at", "reverse": options["reverse"]}
    sql, values = _query(history, asked, options, **order).select("r.*", options["limit"])
    return [RunRecord(history, row) for row in history.sql(sql, *values)]


def _records(history: History, ids: list[str]) -> dict[str, RunRecord]:
    from histhooks.history import RunRecord
    from histhooks.history.query.run_query import rows_of

    rows = rows_of(history, "SELECT * FROM runs WHERE id IN {}", ids)
    return {row["id"]: RunRecord(history, row) for row in rows}


def _with_children(history: History, shown: list[Line], options: dict[str, Any]) -> list[Line]:
    """Put the runs inside others under them, level by level: one query for each level."""
    from histhooks._views.run_table import line_of
    from histhooks.history import RunRecord
    from histhooks.history.query.run_query import rows_of

    if not (options["children"] or options["is_all"]):
        return shown
    inside: dict[str, list[Line]] = {}
    level, depth = [line.run.id for line in shown if len(line.ids) == 1], 1
    while level:
        sql = "SELECT * FROM runs WHERE parent_id IN {} ORDER BY started_at, id"
        found = [RunRecord(history, row) for row in rows_of(history, sql, level)]
        for run in found:
            inside.setdefault(run.parent_id, []).append(line_of(run, depth))
        level, depth = [run.id for run in found], depth + 1
    out: list[Line] = []

    def add(line: Line) -> None:
        out.append(line)
        children = inside.get(line.run.id, [])
        few = children if options["is_all"] else children[:_FEW_CHILDREN]
        for child in few:
            add(child)

    for line in shown:
        add(line)
    return out


def _print(history: History, shown: list[Line], options: dict[str, Any]) -> None:
    from histhooks._views import run_table
    from histhooks._views import table as _table

    if not shown:
        return
    metric, param = _sorted_by(history, options["order_by"])
    details = run_table.details_of(history, shown, metric, param)
    if options["children"] or options["is_all"]:
        whole = {line.run.parent_id for line in shown}
        details.inside = {i: n for i, n in details.inside.items() if i not in whole or n > _FEW_CHILDREN}
    columns, rows = run_table.table(history, shown, details)
    for line in _table.lines(columns, rows, _table.width()):
        click.echo(line, color=True)


def _sorted_by(history: History, order_by: str | None) -> tuple[str | None, str | None]:
    """The metric, or the param, that the rows are sorted by."""
    from histhooks.history.query.names import Names, split

    if order_by is None:
        return None, None
    found = Names(history).resolve(*split(order_by.removeprefix("-")))
    what, _, name = found.title.partition(" ")
    return (name, None) if what == "metric" else (None, name) if what == "param" else (None, None)


def _footer(history: History, asked: dict[str, Any], options: dict[str, Any], shown: list[Line]) -> str:
    """How many there are, and what is not shown."""
    total = _count(history, asked, options)
    listed = sum(len(line.ids) for line in shown if line.depth == 0)
    count = f"{listed} of {total} runs" if listed != total else f"{total} run{'' if total == 1 else 's'}"
    text = f"{count}{_of_project(asked, options)} in {history.path}"
    hints = []
    if any(len(line.ids) > 1 for line in shown):
        hints.append("×n: from one call site, the best of them named; --unfold shows each")
    if not options["is_all"] and "kind" not in asked:
        n = _count(history, {**asked, "kind": "preprocess"}, options)
        hints += [f"{n} of preprocessing with --all"] if n else []
    if "project" in asked and not options["project"]:
        n = _count(history, {name: value for name, value in asked.items() if name != "project"}, options) - total
        hints += [f"{n} of other projects with --all-projects"] if n else []
    if not total:
        hints += _reasons(history, asked)
    return "\n".join([text, *(f"  {hint}" for hint in hints)])


def _count(history: History, asked: dict[str, Any], options: dict[str, Any]) -> int:
    query = _query(history, asked, options)
    return int(history.sql(f"SELECT count(*) AS n FROM runs AS r{query.condition}", *query.values)[0]["n"])


def _of_project(asked: dict[str, Any], options: dict[str, Any]) -> str:
    if "project" in asked:
        return f" of {asked['project']}"
    return "" if options["all_projects"] else " of all projects"


def _reasons(history: History, asked: dict[str, Any]) -> list[str]:
    """Where nothing was found, what the store has instead."""
    out = []
    for name in ("project", "framework", "group"):
        if name in asked:
            column = {"group": "group_name"}.get(name, name)
            rows = history.sql(f"SELECT DISTINCT {column} AS x FROM runs WHERE {column} IS NOT NULL LIMIT 8")
            known = [row["x"] for row in rows]
            if asked[name] not in known:
                out.append(f"{name} {asked[name]!r} has none; there are {', '.join(known) or 'none'}")
    return out


# --- for programs -----------------------------------------------------------------------------------------------------


def _data(found: list[RunRecord], history: History, *, as_csv: bool) -> None:
    from histhooks.history.query.run_query import params_of, results_of, summaries_of, tags_of

    ids = [run.id for run in found]
    summaries, params = summaries_of(history, ids), params_of(history, ids)
    results, tags = results_of(history, ids), tags_of(history, ids)
    if as_csv:
        _csv(found, summaries, params)
        return
    common.print_json(
        [
            {
                **run.row, "status": run.status, "metrics": summaries.get(run.id, []),
                "params": params.get(run.id, {}), "results": results.get(run.id, {}),
                "tags": tags.get(run.id, {}),
            }
            for run in found
        ]
    )  # fmt: skip


_CSV = (
    "id", "name", "project", "group_name", "kind", "framework", "model_class", "status", "started_at", "ended_at",
    "duration_s", "parent_id", "error_type",
)  # fmt: skip


def _csv(found: list[RunRecord], summaries: dict[str, list[dict[str, Any]]], params: dict[str, dict[str, Any]]) -> None:
    from histhooks.history._ranking import best_of

    metrics = list(dict.fromkeys(row["name"] for run in found for row in summaries.get(run.id, [])))
    keys = list(dict.fromkeys(key for run in found for key in params.get(run.id, {})))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    titles = [f"metrics.{name}.{stat}" for name in metrics for stat in ("best", "last")]
    writer.writerow([*_CSV, *titles, *(f"params.{key}" for key in keys)])
    for run in found:
        rows = {row["name"]: row for row in summaries.get(run.id, [])}
        values: list[Any] = [run.status if column == "status" else run.row[column] for column in _CSV]
        for name in metrics:
            row = rows.get(name)
            best = None if row is None else best_of(run, row)
            values += [
                None if best is None else best.value,
                None if row is None else row["last_special"] or row["last"],
            ]
        own = params.get(run.id, {})
        values += [own[key] if isinstance(own.get(key), (str, int, float)) else _json(own.get(key)) for key in keys]
        writer.writerow(values)


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def table(found: list[RunRecord]) -> None:
    """Print runs, a line each."""
    from histhooks._views import run_table
    from histhooks._views import table as _table

    if not found:
        return
    history = found[0].history
    shown = [run_table.line_of(run) for run in found]
    columns, rows = run_table.table(history, shown, run_table.details_of(history, shown))
    for line in _table.lines(columns, rows, _table.width()):
        click.echo(line, color=True)
