"""``push``: send a store to the target of a team."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.text import counted
from histhooks.cli import _common as common
from histhooks.cli._watching import Ending

if TYPE_CHECKING:
    from histhooks.team import Pushed

_MOST = 20
_LEAST_S, _LONGEST_S = 0.1, 300.0


@click.command(epilog="Example: histhooks push --to postgresql://db.example/ml; histhooks push --watch --until-idle")
@click.argument("words", nargs=-1, metavar="[STORE]")
@click.option("--store", metavar="PATH", help="The store to send; by default the one found here.")
@click.option(
    "--to", metavar="TARGET",
    help="postgresql://..., folder:PATH, s3://... or a path that ends in .db; by default HISTHOOKS_TEAM or pyproject.",
)  # fmt: skip
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Only the sessions of this run; may be repeated.")
@click.option("--where", metavar="CONDITION", help="Only the sessions of runs that match, as in `runs --where`.")
@click.option("--dry-run", is_flag=True, help="Only show what would be sent.")
@click.option("--watch", is_flag=True, help="Go on sending what is recorded, until Ctrl-C.")
@click.option("--every", metavar="TIME", default="10s", show_default=True, help="With --watch: how often.")
@click.option("--until-idle", is_flag=True, help="With --watch: end a while after the last session has ended.")
@common.json_option
@click.pass_context
def push(
    context: click.Context,
    words: tuple[str, ...],
    store: str | None,
    to: str | None,
    runs: tuple[str, ...],
    where: str | None,
    dry_run: bool,
    watch: bool,
    every: str,
    until_idle: bool,
    as_json: bool,
) -> None:
    """Send what a store has and a target lacks. Sending it again changes nothing; a killed push goes on next time.

    The store is only read; programs may record to it meanwhile. What it deleted or redacted is removed from the target.

    Exit code 1 if store and target say different things of a session, or something else was left out: nothing of that
    session is written, all else is. 2 if the target cannot be reached or written; what was sent before is there.
    """
    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"push takes a store's path, not {words[0]!r}; the target follows --to")
    if until_idle and not watch:
        raise click.UsageError("--until-idle ends --watch; give both")
    if dry_run and watch:
        raise click.UsageError("--dry-run sends nothing, and --watch goes on sending; give one of them")
    asked: dict[str, Any] = {"store": store, "to": to, "runs": runs, "where": where}
    if watch:
        context.exit(
            _watch(asked, common.interval_s("--every", every) or _LEAST_S, until_idle=until_idle, as_json=as_json)
        )
    with common.progress("sending", "ledger lines") as told:
        done = _pushed(**asked, dry_run=dry_run, progress=told)
    if as_json:
        common.print_json({**done.as_json(), "dry_run": dry_run})
    else:
        tell(done, is_dry=dry_run)
    context.exit(0 if done.ok else 1)


def _pushed(**asked: Any) -> Pushed:
    from histhooks.team import ForkError
    from histhooks.team import push as send

    try:
        return send(**asked)
    except ForkError as error:
        done: Pushed = error.merged
        return done


def _watch(asked: dict[str, Any], every_s: float, *, until_idle: bool, as_json: bool) -> int:
    """Send again and again; the exit code."""
    from histhooks.errors import TeamError
    from histhooks.team._push import is_idle

    pause, quiet_since, told = every_s, time.monotonic(), set[str]()
    is_ok = True
    with Ending() as ending:
        while True:
            try:
                done = _pushed(**asked)
                pause, is_ok = every_s, done.ok
                if done.lines or {fork["session_id"] for fork in done.forks} - told:
                    told |= {fork["session_id"] for fork in done.forks}
                    quiet_since = time.monotonic()
                    common.print_json(done.as_json()) if as_json else tell(done, is_dry=False)
            except TeamError as error:
                pause, is_ok = min(max(pause, 1.0) * 2, _LONGEST_S), False
                click.echo(f"histhooks: {error}; trying again in {pause:.0f} s", err=True)
            is_quiet = time.monotonic() - quiet_since >= min(3 * every_s, 60.0)
            if until_idle and is_ok and is_quiet and is_idle(asked["store"]):
                return 0
            if ending.wait(pause):
                return 0 if is_ok else 1


def tell(done: Pushed, *, is_dry: bool) -> None:
    """What a push did, in words."""
    verb = "would send" if is_dry else "sent"
    if done.lines:
        new = ", ".join(counted(getattr(done, name), name.removesuffix("s")) for name in ("runs", "sessions", "points"))
        click.echo(f"{verb} {counted(done.rows, 'row')} to {done.target}: {new} more")
    elif done.ok:
        click.echo(f"nothing new: {done.target} has all of {done.store}")
    if done.kept_files:
        click.echo(f"{counted(done.kept_files, 'kept file')} copied")
    if done.deleted_runs:
        click.echo(f"{counted(done.deleted_runs, 'run')} removed there, since the store deleted them")
    if done.redacted:
        click.echo(f"{counted(done.redacted, 'value')} removed there, since the store redacted them")
    for fork in done.forks[:_MOST]:
        place = f"session {fork['session_id']}, {fork['what']}"
        click.echo(f"differs between {done.target} and {done.store}: {place}", err=True)
        for digest in fork["digests"]:
            click.echo(f"  {digest}", err=True)
    if done.forks:
        what = "this session" if len(done.forks) == 1 else "these sessions"
        click.echo(f"nothing of {what} was written; `histhooks verify` says which of both was changed", err=True)
    for left in done.left_out[:_MOST]:
        click.echo(f"left out: {left['what']}: {left['why']}", err=True)
