"""``tag``, ``note``, ``rename``, ``delete``, ``prune`` and ``redact``: changing a history on purpose."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.ids import short_id
from histhooks._base.text import counted
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.curate import Deletion

_SHOWN = 15


def _ids(selectors: tuple[str, ...], store: str | None) -> tuple[str, ...]:
    """Ids of the selected runs; a line on stderr says so if a name could mean several."""
    with common.open_history(store) as history:
        return tuple(history.run(selector).id for selector in selectors)


@click.command(epilog="Example: histhooks tag last team=red baseline")
@click.argument("words", nargs=-1, metavar="[STORE] RUN KEY[=VALUE]...")
@common.written_store_option
@common.json_option
def tag(words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Tag a run, with your name and the time. The latest value of a key counts; secrets are masked."""
    from histhooks import curate

    words, store = common.split_store(words, store)
    if len(words) < 2:
        raise click.UsageError("tag takes a run and at least one KEY or KEY=VALUE: histhooks tag last team=red")
    run, *pairs = words
    for pair in pairs:
        key, sign, value = pair.partition("=")
        parts = key.split()
        if len(parts) > 1:
            right = f"{'_'.join(parts)}={value}" if sign else f"{parts[0]}={'_'.join(parts[1:])}"
            raise click.UsageError(f"the name of a tag has no spaces: {right}, not {pair!r}; for a text, use note")
    tags = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    run_id = curate.tag(_ids((run,), store)[0], tags, store=store)
    if as_json:
        common.print_json({"run_id": run_id, "tags": sorted(tags)})
        return
    click.echo(f"{short_id(run_id)} tagged: {', '.join(tags)}")


@click.command(epilog="Example: histhooks untag last baseline team")
@click.argument("words", nargs=-1, metavar="[STORE] RUN KEY...")
@common.written_store_option
@common.json_option
def untag(words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Take tags off a run. That it had them stays in the history, with your name and the time."""
    from histhooks import curate

    words, store = common.split_store(words, store)
    if len(words) < 2:
        raise click.UsageError("untag takes a run and at least one KEY: histhooks untag last baseline")
    run, *keys = words
    keys = [key.partition("=")[0] for key in keys]
    run_id = curate.untag(_ids((run,), store)[0], *keys, store=store)
    if as_json:
        common.print_json({"run_id": run_id, "tags": sorted(keys)})
        return
    click.echo(f"{short_id(run_id)} is no longer tagged: {', '.join(keys)}")


@click.command(epilog='Example: histhooks note last "the first with the new data"; histhooks note last - < notes.txt')
@click.argument("words", nargs=-1, metavar="[STORE] RUN [TEXT | -]")
@common.written_store_option
@common.json_option
def note(words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Add a note to a run, with your name and the time. Without TEXT, your editor opens; - reads stdin."""
    from histhooks import curate

    words, store = common.split_store(words, store)
    if not words:
        raise click.UsageError('note takes a run and a text: histhooks note last "the first with the new data"')
    run, *rest = words
    (meant,) = _ids((run,), store)
    text = _text(rest)
    run_id = curate.note(meant, text, store=store)
    if as_json:
        common.print_json({"run_id": run_id, "characters": len(text)})
        return
    click.echo(f"{short_id(run_id)} has a new note")


def _text(words: list[str]) -> str:
    if words == ["-"]:
        return sys.stdin.read().strip()
    if words:
        return " ".join(words)
    if not sys.stdin.isatty():
        raise click.UsageError("no text; give one, or - to read it from stdin")
    return (click.edit() or "").strip()


@click.command(epilog='Example: histhooks rename last "baseline, new data"')
@click.argument("words", nargs=-1, metavar="[STORE] RUN NAME")
@common.written_store_option
@common.json_option
def rename(words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Give a run another name. The old one stays in the history."""
    from histhooks import curate

    words, store = common.split_store(words, store)
    if len(words) != 2:
        raise click.UsageError('rename takes a run and its new name: histhooks rename last "baseline"')
    run_id = curate.rename(_ids(words[:1], store)[0], words[1], store=store)
    if as_json:
        common.print_json({"run_id": run_id, "name": words[1].strip()})
        return
    click.echo(f"{short_id(run_id)} is now {words[1].strip()!r}")


@click.command(epilog='Example: histhooks delete 4f1c9a2b --reason "trained on the wrong file" --yes')
@click.argument("words", nargs=-1, metavar="[STORE] RUN...")
@common.written_store_option
@click.option("--reason", help="Reason, kept in the history.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted, as without --yes.")
@click.option(
    "--yes", "is_meant", is_flag=True, help="Do not ask. Without a terminal to ask on, nothing is done without --yes."
)
@common.json_option
def delete(
    words: tuple[str, ...], store: str | None, reason: str | None, dry_run: bool, is_meant: bool, as_json: bool
) -> None:
    """Delete runs, the runs inside them, and content that no other run needs. A tombstone stays; `verify` passes.

    Asks first, and without a terminal only shows what would go, unless --yes is given.
    """
    from histhooks import curate

    words, store = common.split_store(words, store)
    if not words:
        raise click.UsageError("delete takes at least one run: histhooks delete last --reason WHY")
    if reason is None and is_meant and not dry_run:
        raise click.UsageError('why? add --reason "..."; it stays in the history (--dry-run only shows what would go)')
    is_meant = is_meant and not dry_run
    can_ask = not (is_meant or dry_run or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
    done = curate.delete(*words, reason=reason or "-", store=store, dry_run=not is_meant)
    if can_ask:
        _tell(done, is_done=False)
        reason = reason or click.prompt("why (it stays in the history)")
        is_meant = click.confirm("delete?")
        if is_meant:
            done = curate.delete(*(run["id"] for run in done.runs if not run["is_child"]), reason=reason, store=store)
    if as_json:
        common.print_json({"deleted": is_meant, **asdict(done)})
        return
    if is_meant or not can_ask:
        _tell(done, is_done=is_meant)
    if not is_meant:
        click.echo(
            "nothing was changed" if can_ask or dry_run else "nothing was changed; add --reason WHY --yes to do it"
        )


def _tell(done: Deletion, *, is_done: bool) -> None:
    if not done.runs:
        click.echo("no run fits the rules; nothing was changed")
        return
    outer = [run for run in done.runs if not run["is_child"]]
    for run in outer[:_SHOWN]:
        click.echo(f"  {short_id(run['id'])} {run['name']}  {run['status']}  {common.when(run['started_at'])}")
    if len(outer) > _SHOWN:
        click.echo(f"  ... and {len(outer) - _SHOWN} more")
    inside = len(done.runs) - len(outer)
    what = f"{counted(len(outer), 'run')}{f' with {inside} inside' if inside else ''}, {counted(done.rows, 'row')}"
    if done.kept_files:
        what += f", {counted(done.kept_files, 'kept file')} ({common.size(done.kept_bytes)})"
    if not is_done:
        click.echo(f"would delete {what}")
        return
    freed = f"; the file is {common.size(done.freed_bytes)} smaller" if done.freed_bytes else ""
    click.echo(f"deleted {what}{freed}; a tombstone stays")
    if done.notice:
        click.echo(done.notice, err=True)


@click.command(epilog='Example: histhooks prune --older-than 90d --status failed --reason "spring cleaning" --yes')
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.written_store_option
@click.option("--older-than", metavar="SPAN", help="Runs that began longer ago than this: 12h, 90d, 8w.")
@click.option("--status", help="Runs with this status: failed, interrupted, killed, ...")
@click.option("--kind", help="Runs of one kind: preprocess, evaluate, fit, ...")
@click.option("--project", help="Runs of one project only.")
@click.option("--keep-last", metavar="N", type=click.IntRange(min=0), help="Keep the latest N of each project.")
@click.option("--reason", help="Reason, kept in the history.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted, as without --yes.")
@click.option("--yes", "is_meant", is_flag=True, help="Apply the change; without it, only show what would change.")
@common.json_option
def prune(
    words: tuple[str, ...], store: str | None, dry_run: bool, is_meant: bool, as_json: bool, **rules: Any
) -> None:
    """Delete top-level runs that match all given rules, and the runs inside them. Without --yes, only shows them.

    Runs that still record are kept, and so are runs that a kept run resumed or continued.
    """
    from histhooks import curate

    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"prune takes a store's path and rules, not {words[0]!r}")
    is_meant = is_meant and not dry_run
    if is_meant and not rules["reason"]:
        raise click.UsageError('why? add --reason "..."; it stays in the history')
    rules["reason"] = rules["reason"] or "-"
    done = curate.prune(**rules, store=store, dry_run=not is_meant)
    if as_json:
        common.print_json({"deleted": is_meant, **asdict(done.deletion), "left": done.left})
        return
    _tell(done.deletion, is_done=is_meant)
    reasons: dict[str, int] = {}
    for run in done.left:
        reasons[run["why"]] = reasons.get(run["why"], 0) + 1
    for why, number in reasons.items():
        click.echo(f"  {counted(number, 'run')} left: {why}")
    if not is_meant and done.deletion.runs:
        click.echo("nothing was changed" if dry_run else "nothing was changed; add --reason WHY --yes to do it")


@click.command(epilog='Example: histhooks redact --user ann --reason "request of 3 May" --yes')
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.written_store_option
@click.option("--user", "users", multiple=True, metavar="NAME", help="All values of an account or an actor.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Values that name a machine.")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Values of a run's session, its tags and notes.")
@click.option("--files", is_flag=True, help="Also the kept files of the runs of --run; their hashes stay.")
@click.option("--data-rows", is_flag=True, help="Whatever is not code in recorded diffs and files, of all runs.")
@click.option("--reason", help="Reason, kept in the history; do not name a person in it.")
@click.option("--dry-run", is_flag=True, help="Only show what would be erased, as without --yes.")
@click.option("--yes", "is_meant", is_flag=True, help="Apply the change; without it, only show what would change.")
@common.json_option
@click.pass_context
def redact(
    context: click.Context,
    /,
    words: tuple[str, ...],
    store: str | None,
    is_meant: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Erase personal values permanently: names, hosts, commands, folders, notes, values of tags. `verify` still passes.

    Recorded code is redacted too: words in diffs, files and cells; with --run all code of the session; with --data-rows
    everything that is not code.

    Without --yes, only shows what would be erased. Exit code 1 if sessions that still record keep their values.
    """
    from histhooks import curate

    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"redact takes a store's path and --user, --host or --run, not {words[0]!r}")
    is_meant = is_meant and not dry_run
    if is_meant and not options["reason"]:
        raise click.UsageError('why? add --reason "..."; it stays in the history, so do not name a person in it')
    options["reason"] = options["reason"] or "-"
    done = curate.redact(**options, store=store, dry_run=not is_meant)
    code = 1 if done.left else 0
    if as_json:
        common.print_json({"erased": is_meant, **asdict(done)})
        context.exit(code)
    for place, number in [*sorted(done.values.items()), *sorted(done.texts.items())]:
        click.echo(f"  {number} × {place}")
    if done.kept_files:
        click.echo(f"  {counted(done.kept_files, 'kept file')}")
    total = counted(sum(done.values.values()) + sum(done.texts.values()), "value")
    subjects = f"{total} of {len(done.subjects)} sessions and runs"
    click.echo(f"erased {subjects}; a tombstone stays" if is_meant else f"would erase {subjects}")
    for place, number in done.remains.items():
        click.echo(f"still named in {place}, {counted(number, 'row')}: the ledger covers it, only `delete` removes it")
    if done.left:
        verbs = "still records and keeps its own" if len(done.left) == 1 else "still record and keep theirs"
        click.echo(f"{counted(len(done.left), 'session')} {verbs}; run this again later")
    if done.notice:
        click.echo(f"traces may be left in free pages: {done.notice}", err=True)
    if not is_meant and (done.values or done.texts or done.kept_files):
        hint = "" if dry_run else ", and this cannot be undone; add --reason WHY --yes to do it"
        click.echo(f"nothing was changed{hint}")
    context.exit(code)
