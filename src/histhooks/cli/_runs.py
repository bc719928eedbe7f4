"""``runs``: the latest runs, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import RunRecord

_HIDDEN = ("preprocess",)


@click.command(epilog="Example: histhooks runs --status failed --limit 5")
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.store_option
@click.option("--project", help="Runs of one project.")
@click.option("--framework", help="Runs of one framework.")
@click.option("--status", help="Runs that ended so: finished, failed, killed, ...")
@click.option("--kind", help="Runs of one kind: fit, search, validate, block, ...")
@click.option("--order-by", default="started_at", show_default=True, help="A column, the greatest on top.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--all", "is_all", is_flag=True, help="Also runs inside others, and preprocessing.")
@common.json_option
def runs(words: tuple[str, ...], store: str | None, **options: Any) -> None:
    """List the latest runs, newest on top."""
    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"runs takes a store's path, not {words[0]!r}")
    with common.open_history(store) as history:
        wanted = {name: options[name] for name in ("project", "framework", "status", "kind", "order_by")}
        found = history.runs(**wanted, is_nested=None if options["is_all"] else False)
        if not options["is_all"] and options["kind"] is None:
            found = [run for run in found if run.kind not in _HIDDEN]
        shown = sorted(found, key=lambda run: run.status != "running")[: options["limit"]]
        if options["as_json"]:
            common.print_json([{**run.row, "status": run.status, "metrics": run.summaries} for run in shown])
            return
        hidden = len(history.sql("SELECT id FROM runs")) - len(found)
        table(shown)
        note = f", {hidden} more with --all" if hidden and not options["is_all"] else ""
        click.echo(f"{len(shown)} of {len(found)} runs in {history.path}{note}")


def table(found: list[RunRecord]) -> None:
    """Print runs, a line each."""
    from rich.table import Table

    if not found:
        return
    grid = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    grid.add_column("RUN", no_wrap=True)
    grid.add_column("NAME", overflow="ellipsis", no_wrap=True, ratio=3)
    grid.add_column("KIND", no_wrap=True)
    grid.add_column("STATUS", no_wrap=True)
    grid.add_column("STARTED", no_wrap=True)
    grid.add_column("TOOK", no_wrap=True, justify="right")
    grid.add_column("OUTCOME", overflow="ellipsis", no_wrap=True, ratio=3)
    grid.expand = True
    for run in found:
        cells = [run.id[-8:], run.name, run.kind, common.status(run.status)]
        grid.add_row(*cells, common.when(run.started_at), common.seconds(run.duration_s), _outcome(run))
    common.console().print(grid)


def _outcome(run: RunRecord) -> str:
    if run.error_type:
        return f"[red]{run.error_type}[/]"
    results = run.results
    for key in ("best_score", "mean_test_score"):
        if key in results:
            return f"{common.number(results[key])} {key}"
    ranked = [s for s in run.summaries if s["direction"]] or run.summaries
    preferred = [s for s in ranked if s["name"] == run.main_metric] or [s for s in ranked if s["split"] == "valid"]
    for summary in (preferred or ranked)[:1]:
        best = {1: summary["max"], -1: summary["min"], 0: summary["last"]}[summary["direction"]]
        return f"{common.number(best)} {summary['name']}"
    if "n_iter" in results:
        return f"{common.value_text(results['n_iter'], 20)} n_iter"
    return ""
