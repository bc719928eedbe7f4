"""``pull``: bring what a target has into a file."""

from __future__ import annotations

import click

from histhooks._base.text import counted
from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks pull postgresql://db.example/ml -o road.db --project churn --since 7d")
@click.argument("target", required=False, metavar="[TARGET]")
@click.option("-o", "--output", default="team.db", show_default=True, metavar="FILE",
              help="A new file, or a store that then also has what the target has.")  # fmt: skip
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Only this run, and the runs inside it; repeatable.")
@click.option("--project", metavar="NAME", help="Only runs of a project.")
@click.option("--since", metavar="WHEN", help="Only runs since then, as in `runs --since`.")
@click.option("--where", metavar="CONDITION", help="Only runs that match, as in `runs --where`.")
@common.json_option
@click.pass_context
def pull(
    context: click.Context,
    target: str | None,
    output: str,
    runs: tuple[str, ...],
    project: str | None,
    since: str | None,
    where: str | None,
    as_json: bool,
) -> None:
    """Bring what a target has into a file, with its ledger: all of it, or whole runs.

    TARGET is postgresql://..., folder:PATH, s3://..., sqlite:///... or a path that ends in .db; by default
    HISTHOOKS_TEAM or pyproject.toml.

    Exit code 1 if file and target say different things of a session: nothing of it is written, all else is. 2 if the
    target cannot be read, or the file cannot be written.
    """
    from histhooks.team import ForkError
    from histhooks.team import pull as fetch

    try:
        done = fetch(target, into=output, runs=runs, project=project, since=since, where=where)
    except ForkError as error:
        done = error.merged
    if as_json:
        common.print_json(done.as_json())
        context.exit(0 if done.ok else 1)
    if done.sessions or done.runs or done.points:
        new = ", ".join(counted(getattr(done, name), name.removesuffix("s")) for name in ("runs", "sessions", "points"))
        click.echo(f"pulled from {done.target} into {done.path}: {new} more")
    elif done.ok:
        click.echo(f"nothing new: {done.path} has all of it")
    if done.kept_files:
        click.echo(f"{counted(done.kept_files, 'kept file')} copied")
    for left in done.left_out:
        click.echo(f"left out: {left['what']}: {left['why']}", err=True)
    if done.is_part:
        click.echo("the file holds a part of a history: `histhooks verify` says which")
    for fork in done.forks:
        click.echo(
            f"differs between {done.path} and {done.target}: session {fork['session_id']}, {fork['what']}", err=True
        )
        for digest in fork["digests"]:
            click.echo(f"  {digest}", err=True)
    context.exit(0 if done.ok else 1)
