"""``verify``: is the history unaltered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from histhooks._base.clock import iso
from histhooks._base.ids import short_id
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from histhooks.verify import Report

_PROBLEMS = 20
_FEW = 5
_ID = 36  # characters of the id of a run or a session; that of content has 64


@click.command(epilog="Example: histhooks verify histhooks.db --head 9f31c02ab4d7")
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.store_option
@click.option("--head", metavar="HEX", help="A digest that was kept elsewhere; it must be in the ledger.")
@common.json_option
@click.pass_context
def verify(context: click.Context, words: tuple[str, ...], store: str | None, head: str | None, as_json: bool) -> None:
    """Check that the history is as it was written. Changes no byte.

    Exit code 1 if something does not match, or the head is not in the ledger; 2 if it cannot be decided: a store of a
    newer version (update histhooks), or a word that is not a head.

    Also reports what is missing on purpose (deleted, redacted, not in this file), sessions without an end, points that
    were dropped, and what could not be recorded.
    """
    from histhooks.errors import StoreError
    from histhooks.history._opening import locate
    from histhooks.verify import newer_words
    from histhooks.verify import verify as check

    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"verify takes a store's path, not {words[0]!r}")
    path = locate(store)
    with common.progress("verifying", "lines and series") as told:
        report = check(path, head=head, progress=told)
    if as_json:
        common.print_json(report.as_json())
        context.exit(2 if report.newer_version else 0 if report.ok else 1)
    if report.newer_version is not None:
        raise StoreError(f"{path} {newer_words(report.newer_version)}")
    for problem in report.problems[:_PROBLEMS]:
        click.echo(f"does not fit: {problem}")
    if len(report.problems) > _PROBLEMS:
        click.echo(f"... and {len(report.problems) - _PROBLEMS} more; --json has all")
    is_only_head = report.has_head is False and len(report.problems) == 1
    verdict = "fits" if report.ok else "fits by itself, and does not have that head" if is_only_head else "ALTERED"
    click.echo(f"{path}: {report.lines} lines and {report.rows} rows recomputed: {verdict}")
    _tell(report)
    click.echo("It cannot prove:")
    for text in report.cannot_prove:
        click.echo(f"  - {text}")
    context.exit(0 if report.ok else 1)


def _tell(report: Report) -> None:
    if report.head:
        click.echo(f"  the latest line is {report.head[:12]}; keep it elsewhere for --head")
    for part in report.parts_of:
        made = common.when(iso(part["time"]))
        click.echo(
            f"  this file says that it is part of a history ({part['kind']} of {made}), {part['holds']} scopes whole"
        )
    for count, one, many in (
        (report.redacted, "personal value was erased (redacted)", "personal values were erased (redacted)"),
        (report.redacted_by_hand, "of them has no tombstone", "of them have no tombstone"),
        (
            report.redacted_parts,
            "part lost rows on purpose (redacted)",
            "parts lost rows on purpose (redacted)",
        ),
        (report.deleted, "part was deleted, with a tombstone", "parts were deleted, with a tombstone"),
        (report.not_in_file, "part is not in this file", "parts are not in this file"),
        (len(report.still_recording), "session still records", "sessions still record"),
    ):
        if count:
            click.echo(f"  {count} {one if count == 1 else many}")
    _list([_deed(row) for row in reversed(report.tombstones)])
    if report.spools:
        altered = sum(not spool["ok"] for spool in report.spools)
        outcome = f"{altered} ALTERED" if altered else "all fit"
        click.echo(f"  waiting spools, verified too: {len(report.spools)}, {outcome}")
    if report.without_end:
        click.echo(f"  sessions that left no end of their own: {len(report.without_end)}")
        rows = [
            f"{short_id(row['id'])}  {row['status']}, last seen {common.when(row['last_seen_at'])}  {row['kind']} "
            f"on {row['hostname'] or '?'} in {row['cwd'] or '?'}"
            for row in reversed(report.without_end)
        ]
        _list(rows)
    if report.dropped_points:
        click.echo(f"  points that recorders dropped, having nowhere to keep them: {report.dropped_points}")
        _list([f"{short_id(row['session_id'])}  {row['points']}" for row in report.dropped_by])
    if report.failed_captures:
        failed = report.failed_captures
        click.echo(f"  captures that failed: {sum(row['count'] for row in failed)}")
        _list([f"{row['count']} × {row['collector']}: {row['note'] or 'no reason given'}" for row in failed])


def _deed(row: dict[str, Any]) -> str:
    """What one command took out: runs and sessions by name, not the content that went with them."""
    subjects = [subject for subject in row["subject_ids"] if len(subject) == _ID]
    what = short_id(subjects[0]) if len(subjects) == 1 else f"{len(subjects)} runs and sessions"
    verb = "deleted" if row["action"] == "delete" else "redacted"
    when = common.when(iso(row["time"]))
    return f"{what} {verb} {when} by {row['actor'] or 'somebody who is erased'}: {row['reason']}"


def _list(rows: Sequence[str]) -> None:
    for row in rows[:_FEW]:
        click.echo(f"    {row}")
    if len(rows) > _FEW:
        click.echo(f"    ... and {len(rows) - _FEW} more; --json has all")
