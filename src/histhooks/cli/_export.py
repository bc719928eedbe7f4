"""``export``: runs as a file of their own."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks export last last~1 -o two.db; histhooks export last | jq .runs[0].params")
@click.argument("words", nargs=-1, metavar="[STORE] RUN...")
@common.store_option
@click.option(
    "-o",
    "--output",
    "to",
    metavar="FILE",
    default="-",
    help=".json, .csv, .parquet, .db or .sqlite; - is stdout (JSON).",
)
@click.option("--project", metavar="NAME", help="All runs of a project.")
@click.option("--all", "is_all", is_flag=True, help="All runs.")
@click.option("--anonymous", is_flag=True, help="Without personal values.")
@click.option("--files", is_flag=True, help="Copy their kept files too, into FILE.files/ (of a .db or .sqlite).")
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
    files: bool,
    as_json: bool,
) -> None:
    """Write runs, and the runs inside them, to a file, or as JSON to stdout. The extension decides the format.

    .json has complete records with points; .csv and .parquet have a row for each point; .db and .sqlite are a store of
    only these runs, one file that passes `verify`.
    """
    from histhooks.export import export as write

    words, store = common.split_store(words, store)
    with common.open_history(store) as history:
        ids = tuple(run.id for run in history.select(*words))
    chosen: dict[str, Any] = {"store": store, "project": project, "is_all": is_all, "anonymous": anonymous}
    if files and to == "-":
        raise click.UsageError("--files takes a store to write to: -o FILE.db")
    if to == "-":
        _print(ids, chosen)
        return
    with common.progress("exporting", "series") as told:
        done = write(*ids, to=to, force=force, files=files, progress=told, **chosen)
    if as_json:
        common.print_json(asdict(done))
        return
    what = f"{done.runs} run{'' if done.runs == 1 else 's'}, {done.points} points"
    kept = f", {done.kept_files} kept file{'' if done.kept_files == 1 else 's'}" if files else ""
    click.echo(f"{what}{kept} → {done.path} ({common.size(done.size_bytes)})")
    for place, number in done.mentions.items():
        click.echo(f"still names a person or a machine: {place}, {number} row{'' if number == 1 else 's'}", err=True)
    if done.mentions:
        click.echo("the ledger covers these, so they stay; .json, .csv and .parquet leave them out", err=True)


def _print(ids: tuple[str, ...], chosen: dict[str, Any]) -> None:
    """Write the records of runs to stdout, as a .json file has them."""
    from histhooks.export import export as write

    with tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
        path = Path(folder) / "runs.json"
        write(*ids, to=path, **chosen)
        text = path.read_text(encoding="utf-8")
    click.echo(text if common.can_show("→") else json.dumps(json.loads(text)), nl=False)
