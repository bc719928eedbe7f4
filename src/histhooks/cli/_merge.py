"""``merge``: stores of several machines and people as one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from histhooks._base.text import counted
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.team import Merged

_MOST = 20


@click.command(epilog="Example: histhooks merge ann.db bob.db -o team.db; histhooks merge night.db --into team.db")
@click.argument("stores", nargs=-1, required=True, metavar="STORE...")
@click.option("-o", "--output", "new", metavar="FILE", help="A new store, which is made.")
@click.option("--into", metavar="STORE", help="A store that is there, and then also has what the others have.")
@click.option("--compact", is_flag=True, help="Of one folder or bucket: write all of it as one file, for readers.")
@click.option("--dry-run", is_flag=True, help="Only show what would be merged.")
@common.json_option
@click.pass_context
def merge(
    context: click.Context,
    stores: tuple[str, ...],
    new: str | None,
    into: str | None,
    compact: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Merge stores into one: each session, run and point once, in whatever order and however often they are merged.

    The named stores are only read, with the spools that wait beside them; programs may record to them meanwhile. What
    one of them deleted or redacted is not in the result. Kept files are copied too, and verified. A STORE may be a
    folder or a bucket that stores were pushed to: folder:PATH, s3://BUCKET/FOLDER.

    Exit code 1 if two stores say different things of one session, or something else was left out: nothing of that
    session is written, all else is. 2 if a store cannot be read, or the target cannot be written: nothing is written.
    """
    from histhooks.team import ForkError
    from histhooks.team import merge as write

    if compact:
        if new is not None or into is not None or dry_run or len(stores) != 1:
            raise click.UsageError("--compact takes one folder or bucket, and neither -o, --into nor --dry-run")
        context.exit(_compact(stores[0], as_json=as_json))
    if (new is None) == (into is None):
        raise click.UsageError("where to? -o FILE makes a new store, --into STORE adds to one that is there")
    if new is not None and Path(new).exists():
        raise click.UsageError(f"{new} is there already; add to it with --into {new}, or give another name")
    if into is not None and not Path(into).exists():
        raise click.UsageError(f"no store at {into}; make a new one with -o {into}")
    try:
        done = write(*stores, into=str(new or into), dry_run=dry_run)
    except ForkError as error:
        done = error.merged
    if as_json:
        common.print_json({"ok": done.ok, "dry_run": dry_run, **asdict(done)})
    else:
        _tell(done, is_dry=dry_run)
    context.exit(0 if done.ok else 1)


def _compact(word: str, *, as_json: bool) -> int:
    """Make the file of a folder with which readers begin; the exit code."""
    from histhooks.team.box.address import Box, is_box
    from histhooks.team.box.compacting import compact
    from histhooks.team.postgres.address import target_of

    if not is_box(word):
        raise click.UsageError(f"--compact takes a folder or a bucket, such as folder:/shared/runs, not {word!r}")
    box = target_of(word)
    assert isinstance(box, Box)
    done = compact(box)
    if as_json:
        common.print_json({"ok": not done.faults, **asdict(done)})
        return 1 if done.faults else 0
    click.echo(
        f"wrote {done.name} ({common.size(done.size_bytes)}) with {counted(done.files, 'file')} of {done.target}"
    )
    if done.joined:
        click.echo(f"{counted(done.joined, 'file')} of sessions that were pushed in parts became part of others")
    for name in done.cleared:
        click.echo(f"taken out of {name}: what was deleted or redacted")
    for fault in done.faults[:_MOST]:
        click.echo(f"left out: {fault}", err=True)
    return 1 if done.faults else 0


def _tell(done: Merged, *, is_dry: bool) -> None:
    new = [counted(getattr(done, name), name.removesuffix("s")) for name in ("runs", "sessions", "points")]
    new += [f"{counted(done.kept_files, 'kept file')} ({common.size(done.kept_bytes)})"] if done.kept_files else []
    files = counted(len(done.sources), "file")
    is_nothing = not (done.sessions or done.runs or done.points or done.kept_files)
    verb = "would merge" if is_dry else "merged"
    if is_nothing and done.ok and not (done.deleted_runs or done.redacted):
        click.echo(f"nothing new: {done.path} has all of {files}")
    else:
        click.echo(f"{verb} {files} into {done.path}: {', '.join(new)} more")
    if done.deleted_runs:
        click.echo(f"{counted(done.deleted_runs, 'run')} left out or removed, since one of the stores deleted them")
    if done.redacted:
        click.echo(
            f"{counted(done.redacted, 'value')} or texts left out or removed, since one of the stores redacted them"
        )
    if done.is_part:
        click.echo("the store holds a part of a history: `histhooks verify` says which")
    if done.notice:
        click.echo(done.notice)
    for fork in done.forks[:_MOST]:
        files = " and ".join(fork["files"])
        click.echo(f"differs between {files}: session {fork['session_id']}, {fork['what']}", err=True)
        for digest in fork["digests"]:
            click.echo(f"  {digest}", err=True)
    if len(done.forks) > _MOST:
        click.echo(f"... and {len(done.forks) - _MOST} more; --json has all", err=True)
    if done.forks:
        click.echo(
            f"nothing of {'this session' if len(done.forks) == 1 else 'these sessions'} was written; verify each file, "
            "and leave out the one that was changed",
            err=True,
        )
    for left in done.left_out[:_MOST]:
        click.echo(f"left out: {left['what']}: {left['why']}", err=True)
