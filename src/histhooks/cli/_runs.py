"""``runs``: the latest runs, a line each."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import History, RunRecord
    from histhooks.history._run_rows import RunRows
    from histhooks.history._table import RunTable, TableRow

_FILTERS = ("project", "framework", "status", "kind", "group", "job", "since", "until", "where")


@click.command(
    epilog="Example: histhooks runs --where 'val_loss < 0.3 and params.lr > 1e-4' --sort val_loss --since 7d"
)
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.store_option
@click.option("--project", help="Runs of one project; by default the project of this folder.")
@click.option("--all-projects", "-A", is_flag=True, help="Runs of all projects.")
@click.option("--framework", help="Runs of one framework.")
@click.option("--status", help="Runs with this status: running, finished, failed, killed, ...")
@click.option("--kind", help="Runs of one kind: fit, search, validate, block, ...")
@click.option("--tag", multiple=True, metavar="KEY[=VALUE]", help="Runs with this tag; may be repeated.")
@click.option("--group", help="Runs of one group.")
@click.option("--job", metavar="ID", help="Runs of a batch job, of a job array, or of one task of an array: 4711_3.")
@click.option("--since", metavar="TIME", help="Runs that began at or after this time: 7d, 2026-11-01, yesterday.")
@click.option("--until", metavar="TIME", help="Runs that began up to this time; a date includes the whole day.")
@click.option("--where", metavar="EXPRESSION", help="Runs that match: val_loss < 0.3 and has tags.x.")
@click.option(
    "--sort", "--order-by", "order_by", metavar="NAME", help="Sort by a column, a metric (best on top) or a param."
)
@click.option("--reverse", is_flag=True, help="Reverse the order.")
@click.option(
    "--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="Maximum number of rows."
)
@click.option("--unfold", is_flag=True, help="Show a row for each run, even if many come from one call site.")
@click.option("--children", is_flag=True, help="Also show the runs inside each run, under it.")
@click.option("--all", "is_all", is_flag=True, help="Also show runs inside others, and preprocessing.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a column for each metric and param.")
@common.json_option
def runs(words: tuple[str, ...], store: str | None, **options: Any) -> None:
    """List the latest runs, newest on top.

    Lists the outer runs of this project, running ones first. Many runs of one call site are folded into one row (×12),
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
        shown = _table(history, asked, options)
        _print(shown.rows)
        click.echo(_footer(history, asked, options, shown))


def _project_here(history: History) -> dict[str, Any]:
    """The project that recording would use here, where the store has runs of it."""
    from histhooks._host.store_location import project_name

    name = project_name()
    return {"project": name} if history.table(limit=0, project=name, is_complete=True).total else {}


def _table(history: History, asked: dict[str, Any], options: dict[str, Any]) -> RunTable:
    from histhooks.history._table import FEW_INSIDE

    inner = None if options["is_all"] else FEW_INSIDE if options["children"] else 0
    order = {"order_by": options["order_by"], "reverse": options["reverse"], "is_folded": not options["unfold"]}
    return history.table(limit=options["limit"], inner=inner, is_complete=options["is_all"], **order, **asked)


def _print(rows: Sequence[TableRow]) -> None:
    from histhooks._views import run_table
    from histhooks._views import table as _table

    if rows:
        for line in _table.lines(*run_table.table(rows), _table.width()):
            click.echo(line, color=True)


def _footer(history: History, asked: dict[str, Any], options: dict[str, Any], shown: RunTable) -> str:
    """How many there are, and what is not shown."""
    total, listed, is_all = shown.total, shown.listed, options["is_all"]
    count = f"{listed} of {total} runs" if listed != total else f"{total} run{'' if total == 1 else 's'}"
    text = f"{count}{_of_project(asked, options)} in {history.path}"
    hints = []
    if any(len(row.ids) > 1 for row in shown.rows):
        hints.append("×n: from one call site, the best of them named; --unfold shows each")
    if not is_all and "kind" not in asked:
        n = history.table(limit=0, **{**asked, "kind": "preprocess"}).total
        hints += [f"{n} of preprocessing with --all"] if n else []
    if "project" in asked and not options["project"]:
        others = {name: value for name, value in asked.items() if name != "project"}
        n = history.table(limit=0, is_complete=is_all, **others).total - total
        hints += [f"{n} of other projects with --all-projects"] if n else []
    if not total:
        hints += _reasons(history, asked)
    return "\n".join([text, *(f"  {hint}" for hint in hints)])


def _of_project(asked: dict[str, Any], options: dict[str, Any]) -> str:
    if "project" in asked:
        return f" of {asked['project']}"
    return "" if options["all_projects"] else " of all projects"


def _reasons(history: History, asked: dict[str, Any]) -> list[str]:
    """If nothing was found, what the store has instead."""
    from histhooks.history.query.names import Names

    out = []
    for name in ("project", "framework", "group"):
        if name in asked:
            known = Names(history).choices(name, 8)
            if asked[name] not in known:
                out.append(f"{name} {asked[name]!r} has none; there are {', '.join(known) or 'none'}")
    return out


# --- for programs -----------------------------------------------------------------------------------------------------


def _found(history: History, asked: dict[str, Any], options: dict[str, Any]) -> Sequence[RunRows]:
    """The runs themselves, unfolded: running ones first, unless an order was asked for."""
    from histhooks.history._table import listed

    order = {"order_by": options["order_by"] or "started_at", "reverse": options["reverse"]}
    if options["is_all"] or options["children"]:
        return history.runs(**asked, **order, limit=options["limit"])
    is_plain = not options["order_by"] and not options["reverse"]
    return listed(history, asked, options["limit"], is_running_first=is_plain, **order)


def _data(found: Sequence[RunRows], history: History, *, as_csv: bool) -> None:
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


def _csv(
    found: Sequence[RunRows], summaries: dict[str, list[dict[str, Any]]], params: dict[str, dict[str, Any]]
) -> None:
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
    from histhooks.history._table import rows_for

    if found:
        _print(rows_for(found[0].history, found))
