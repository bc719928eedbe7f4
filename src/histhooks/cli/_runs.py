"""``runs``: the latest runs, a line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.text import counted
from histhooks._views import run_data
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import History, RunRecord
    from histhooks.history._run_rows import RunRows
    from histhooks.history._table import RunTable, TableRow

_FILTERS = ("project", "framework", "status", "kind", "group", "job", "who", "since", "until", "where")


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
@click.option("--who", metavar="NAME", help="Runs of this actor: ann@example.com, or ann.")
@click.option("--mine", is_flag=True, help="Your runs: --who with the name that recording gives you here.")
@click.option("--since", metavar="TIME", help="Runs that began at or after this time: 7d, 2026-11-01, yesterday.")
@click.option("--until", metavar="TIME", help="Runs that began up to this time; a date includes the whole day.")
@click.option("--where", metavar="EXPRESSION", help="Runs that match: val_loss < 0.3 and has tags.x.")
@click.option(
    "--sort",
    "--order-by",
    "order_by",
    metavar="NAME",
    help="Sort by a column, a metric (best on top) or a param; by several: 'NAME, OTHER'.",
)
@click.option("--reverse", is_flag=True, help="Reverse the order.")
@click.option(
    "--group-by", multiple=True, metavar="NAME",
    help="A row for all runs with the same value of a column, param, result or tag; may be repeated.",
)  # fmt: skip
@click.option(
    "--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="Maximum number of rows."
)
@click.option("--unfold", is_flag=True, help="Show a row for each run, even if many come from one call site.")
@click.option("--children", is_flag=True, help="Also show the runs inside each run, under it.")
@click.option("--all", "is_all", is_flag=True, help="Also show runs inside others, and preprocessing.")
@click.option(
    "--timeline", is_flag=True, help="Oldest first: what changed from one run to the next, and what it gained."
)
@click.option("--check", is_flag=True, help="Check each run that is listed, and show how many checks found something.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a column for each metric and param.")
@common.json_option
def runs(words: tuple[str, ...], store: str | None, **options: Any) -> None:
    """List the latest runs, newest on top.

    Lists the top-level runs of this project, running ones first. Many runs of one call site are folded into one row
    (×12), which names the best of them.
    """
    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"runs takes a store's path, not {words[0]!r}")
    with common.open_history(store) as history:
        asked = {name: options[name] for name in _FILTERS if options[name] is not None}
        if options["mine"]:
            asked["who"] = _me(options["who"])
        if options["tag"]:
            asked["tag"] = options["tag"]
        if "project" not in asked and not options["all_projects"]:
            asked |= _project_here(history)
        if options["timeline"]:
            _timeline(history, asked, options)
            return
        if options["group_by"]:
            _groups(history, asked, options)
            return
        if options["as_json"] or options["as_csv"]:
            _data(_found(history, asked, options), history, options)
            return
        shown = _table(history, asked, options)
        dropped = _print(shown.rows)
        click.echo(_footer(history, asked, options, shown))
        for line in dropped:
            click.echo(line, color=True)


def _timeline(history: History, asked: dict[str, Any], options: dict[str, Any]) -> None:
    """The latest runs, the earliest of them first."""
    from histhooks.cli import _timeline as screens

    for name, option in (("order_by", "--sort"), ("reverse", "--reverse"), ("children", "--children"),
                         ("as_csv", "--csv"), ("group_by", "--group-by"), ("check", "--check")):  # fmt: skip
        if options[name]:
            raise click.UsageError(f"--timeline is in the order of time, with --json or without: it takes no {option}")
    found = history.timeline(limit=options["limit"], is_complete=options["is_all"], **asked)
    if options["as_json"]:
        common.print_json(found.as_json())
        return
    screens.screen(found)
    total = history.table(limit=0, is_complete=options["is_all"], **asked).total
    runs = counted(total, "run")
    shown = f"the latest {len(found)} of {runs}" if len(found) < total else runs
    click.echo(f"{shown}{_of_project(asked, options)} in {history.place}")


def _groups(history: History, asked: dict[str, Any], options: dict[str, Any]) -> None:
    """Runs by what they have in common."""
    from histhooks._views import group_table
    from histhooks._views import table as _table

    if options["children"]:
        raise click.UsageError("--group-by counts top-level runs: it takes no --children")
    if options["check"]:
        raise click.UsageError("--group-by has a row for many runs: it takes no --check")
    order = {"order_by": options["order_by"], "reverse": options["reverse"], "is_complete": options["is_all"]}
    found = history.table(group_by=options["group_by"], limit=options["limit"], **order, **asked)
    if options["as_json"]:
        common.print_json([asdict(group) for group in found.groups])
        return
    if options["as_csv"]:
        click.echo(group_table.as_csv(options["group_by"], found.groups), nl=False)
        return
    room = _table.width()
    fitted = _table.fit(*group_table.cells(options["group_by"], found.groups), room)
    for line in fitted.lines if found.groups else ():
        click.echo(line, color=True)
    groups = f"{len(found.groups)} group{'' if len(found.groups) == 1 else 's'}"
    shown = f"the first {groups}" if found.next_key else groups
    click.echo(f"{shown} of {counted(found.total, 'run')}{_of_project(asked, options)} in {history.place}")
    for line in _table.without(fitted.dropped, room):
        click.echo(line, color=True)


def _me(who: str | None) -> str:
    """The name that recording gives this person here."""
    from histhooks._collect.origin import actor

    if who is not None:
        raise click.UsageError("--mine is --who with your own name; give one of them")
    name, _ = actor()
    if name is None:
        raise click.UsageError("nobody says who you are; set HISTHOOKS_ACTOR, or give --who NAME")
    return name


def _project_here(history: History) -> dict[str, Any]:
    """The project that recording would use here, where the store has runs of it."""
    from histhooks._host.store_location import project_name

    name = project_name()
    return {"project": name} if history.table(limit=0, project=name, is_complete=True).total else {}


def _table(history: History, asked: dict[str, Any], options: dict[str, Any]) -> RunTable:
    from histhooks.history._table import FEW_INSIDE

    inner = None if options["is_all"] else FEW_INSIDE if options["children"] else 0
    order = {"order_by": options["order_by"], "reverse": options["reverse"], "is_folded": not options["unfold"]}
    order["check"] = options["check"]
    return history.table(limit=options["limit"], inner=inner, is_complete=options["is_all"], **order, **asked)


def _print(rows: Sequence[TableRow]) -> list[str]:
    """Print rows, and give the lines that say what is not repeated, and which columns had no room."""
    from histhooks._views import run_table
    from histhooks._views import table as _table

    if not rows:
        return []
    room = _table.width()
    fitted = run_table.lines(rows, room)
    for line in fitted.lines:
        click.echo(line, color=True)
    shared = "" if _table.is_endless() else run_table.shared_name(rows)
    said = [_table.styled(f"  all names begin with {shared}", "dim")] if shared else []
    return [*said, *_table.without(fitted.dropped, room)]


def _footer(history: History, asked: dict[str, Any], options: dict[str, Any], shown: RunTable) -> str:
    """How many there are, and what is not shown."""
    from histhooks._views.run_table import MEAN, MEAN_SAID

    total, listed, is_all = shown.total, shown.listed, options["is_all"]
    count = f"{listed} of {total} runs" if listed != total else counted(total, "run")
    text = f"{count}{_of_project(asked, options)} in {history.place}"
    hints = []
    if any(len(row.ids) > 1 for row in shown.rows):
        hints.append("×n: from one call site, the best of them named; --unfold shows each")
    if any(row.values["mean_of"] for row in shown.rows):
        hints.append(f"{MEAN} {MEAN_SAID}")
    if options["check"] and shown.rows:
        n = sum(bool(row.values["risks"]) for row in shown.rows)
        hints.append(
            f"checks found something in {n} of {counted(len(shown.rows), 'row')}; histhooks check RUN says what"
        )
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
    for name in ("project", "framework", "group", "who"):
        if name in asked:
            known = Names(history).choices(name, 8)
            if asked[name] not in known:
                out.append(f"{name} {asked[name]!r} has none; there are {', '.join(known) or 'none'}")
    return [*out, *_seen(history)]


def _seen(history: History) -> list[str]:
    """Which projects of a database the asking role reads, if not all of them."""
    from histhooks._host.store_location import is_target

    if not is_target(history.source):
        return []
    from histhooks.team.postgres.address import is_database
    from histhooks.team.postgres.sight import projects_of

    projects = projects_of(history.sql) if is_database(history.source) else None
    if projects is None:
        return []
    if projects:
        return [f"your role reads there: {', '.join(projects)}"]
    return ["your role reads no project there; its owner runs: histhooks team grant TARGET ROLE PROJECT"]


# --- for programs -----------------------------------------------------------------------------------------------------


def _found(history: History, asked: dict[str, Any], options: dict[str, Any]) -> Sequence[RunRows]:
    """The runs themselves, unfolded: running ones first, unless an order was asked for."""
    from histhooks.history._table import listed

    order = {"order_by": options["order_by"] or "started_at", "reverse": options["reverse"]}
    if options["is_all"] or options["children"]:
        return history.runs(**asked, **order, limit=options["limit"])
    is_plain = not options["order_by"] and not options["reverse"]
    return listed(history, asked, options["limit"], is_running_first=is_plain, **order)


def _data(found: Sequence[RunRows], history: History, options: dict[str, Any]) -> None:
    risks = _asking(history) if options["check"] else None
    if options["as_csv"]:
        click.echo(run_data.as_csv(history, found, risks=risks), nl=False)
    else:
        common.print_json(run_data.as_json(history, found, risks))


def _asking(history: History) -> Callable[[str], Counter[str]]:
    """What checks a run by its id."""
    from histhooks.checks import risks_in

    return lambda run_id: risks_in(history.run(run_id))


def table(found: list[RunRecord]) -> None:
    """Print runs, a line each."""
    from histhooks.history._table import rows_for

    if found:
        _print(rows_for(found[0].history, found))
