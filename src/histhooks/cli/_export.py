"""``export``: runs as a file of their own."""

from __future__ import annotations

from dataclasses import asdict

import click

from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks export last last~1 -o two.db; histhooks export --project churn -o all.json")
@click.argument("words", nargs=-1, metavar="[STORE] RUN...")
@common.store_option
@click.option("-o", "--output", "to", metavar="FILE", required=True, help=".json, .csv, .parquet, .db or .sqlite.")
@click.option("--project", metavar="NAME", help="All runs of a project.")
@click.option("--all", "is_all", is_flag=True, help="All runs.")
@click.option("--anonymous", is_flag=True, help="Without personal values.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@common.json_option
def export(
    words: tuple[str, ...],
    store: str | None,
    to: str,
    project: str | None,
    is_all: bool,
    anonymous: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write runs, and the runs inside them, to a file. Its extension decides the format.

    .json has complete records with points; .csv and .parquet have a row for each point; .db and .sqlite are a store of
    only these runs, one file that passes `verify`.
    """
    from histhooks.export import export as write

    words, store = common.split_store(words, store)
    with common.open_history(store) as history:
        ids = tuple(run.id for run in history.select(*words))
    with common.progress("exporting", "series") as told:
        done = write(
            *ids, to=to, store=store, project=project, is_all=is_all, anonymous=anonymous, force=force, progress=told
        )
    if as_json:
        common.print_json(asdict(done))
        return
    what = f"{done.runs} run{'' if done.runs == 1 else 's'}, {done.points} points"
    click.echo(f"{what} → {done.path} ({common.size(done.size_bytes)})")
    for place, number in done.mentions.items():
        click.echo(f"still names a person or a machine: {place}, {number} row{'' if number == 1 else 's'}", err=True)
    if done.mentions:
        click.echo("the ledger covers these, so they stay; .json, .csv and .parquet leave them out", err=True)
