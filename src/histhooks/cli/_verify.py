"""``verify``: is the history unaltered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from histhooks._base.clock import iso
from histhooks._base.envelopes import TIME_STAMP
from histhooks._base.ids import short_id
from histhooks._base.text import counted
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from histhooks.verify import Report

_PROBLEMS = 20
_FEW = 5
# What is no change of a pack: nobody signed it, or another key did.
_NOT_AS_ASKED = ("MANIFEST.sig: it is missing, and", "key.pub: the pack is signed by key")
_ID = 36  # characters of the id of a run or a session; that of content has 64


@click.command(epilog="Example: histhooks verify histhooks.db --head 9f31c02ab4d7")
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.store_option
@click.option("--head", metavar="HEX", help="A digest that was kept elsewhere; it must be in the ledger.")
@click.option("--key", metavar="PUB", help="A public key (PEM): verify signatures by it; one must be there.")
@click.option("--signed", "is_signed", is_flag=True, help="A signed head must be there: by --key, else by any key.")
@click.option("--witness", metavar="WHERE", help="git or file:PATH: each head that was kept there must be in it.")
@click.option("--pack", metavar="PACK.zip", help="Verify a pack of evidence instead of a store.")
@click.option("--no-files", is_flag=True, help="Do not read the kept files.")
@common.json_option
@click.pass_context
def verify(
    context: click.Context,
    words: tuple[str, ...],
    store: str | None,
    head: str | None,
    key: str | None,
    is_signed: bool,
    witness: str | None,
    pack: str | None,
    no_files: bool,
    as_json: bool,
) -> None:
    """Check that the history is as it was written, and kept files too. Changes no byte.

    Exit code 1 if something does not match, the head is not in the ledger, or it is not signed as asked; 2 if it cannot
    be decided: a store of a newer version (update histhooks), a word that is not a head, or a file that is no key.

    Also reports what is missing on purpose (deleted, redacted, not in this file), sessions without an end, points that
    were dropped, and what could not be recorded.
    """
    from histhooks._host.store_location import is_target
    from histhooks.errors import StoreError
    from histhooks.history._opening import locate
    from histhooks.verify import newer_words
    from histhooks.verify import verify as check

    if pack is not None:
        if words or store or head or witness:
            raise click.UsageError("--pack verifies a pack alone; leave out the store, --head and --witness")
        _verify_pack(context, pack, key, is_signed=is_signed, as_json=as_json)
    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"verify takes a store's path, not {words[0]!r}")
    with common.progress("verifying", "lines and series") as told:
        asked: dict[str, Any] = {"head": head, "key": key, "is_signed": is_signed, "witness": witness}
        if is_target(store):
            path, report = _verify_target(str(store), {**asked, "progress": told, "kept_files": not no_files})
        else:
            path = locate(store)
            report = check(path, **asked, progress=told, kept_files=not no_files)
    if as_json:
        common.print_json(report.as_json())
        context.exit(2 if report.newer_version else 0 if report.ok else 1)
    if report.newer_version is not None:
        raise StoreError(f"{path} {newer_words(report.newer_version)}")
    for problem in report.problems[:_PROBLEMS]:
        is_row = problem not in report.file_problems and problem not in report.signature_problems
        click.echo(f"changed: {problem}" if is_row else problem)
    if len(report.problems) > _PROBLEMS:
        click.echo(f"... and {len(report.problems) - _PROBLEMS} more; --json has all")
    click.echo(f"{path}: {_verdict(report)}")
    _tell(report)
    _list_signatures(report)
    click.echo("A ledger cannot prove:")
    for text in report.cannot_prove:
        click.echo(f"  - {text}")
    context.exit(0 if report.ok else 1)


def _verify_target(word: str, asked: dict[str, Any]) -> tuple[Any, Report]:
    from histhooks.team.box.address import Box
    from histhooks.team.postgres.address import Database, target_of
    from histhooks.verify import verify as check

    target = target_of(word)
    if isinstance(target, Box):
        from histhooks.team.box.verifying import verify_box

        return target.shown, verify_box(target, **asked)
    if isinstance(target, Database):
        from histhooks.team.postgres.witnessing import verify_database

        return target.shown, verify_database(target, **asked)
    return target, check(target, **asked)


def _verify_pack(context: click.Context, pack: str, key: str | None, *, is_signed: bool, as_json: bool) -> NoReturn:
    from histhooks.evidence import verify_pack

    found = verify_pack(pack, key=key, is_signed=is_signed)
    if as_json:
        common.print_json(found.as_json())
        context.exit(0 if found.ok else 1)
    unasked = [each for each in found.problems if each.startswith(_NOT_AS_ASKED)]
    for problem in found.problems[:_PROBLEMS]:
        click.echo(problem if problem in unasked else f"changed: {problem}")
    if len(found.problems) > _PROBLEMS:
        click.echo(f"... and {len(found.problems) - _PROBLEMS} more; --json has all")
    verdict = "unaltered" if found.ok else "not signed as asked" if len(unasked) == len(found.problems) else "ALTERED"
    click.echo(f"{pack}: {verdict}, {found.members} members")
    if found.signed_by:
        whose = "the one given" if found.is_trusted else "compare its id with the one that you have by another way"
        click.echo(f"  signed by key {found.signed_by} ({whose})")
    elif not found.is_signed:
        click.echo("  not signed: whoever had the pack could have changed all of it")
    if found.ledger_lines is not None:
        click.echo(
            f"  its store fits its ledger: {found.ledger_lines:,} entries" if found.ok else "  its store was read"
        )
    click.echo(f"  records that it cites: {found.records:,}")
    context.exit(0 if found.ok else 1)


def _verdict(report: Report) -> str:
    rows = counted(report.rows, "row")
    entries = f"{report.lines:,} ledger entr{'y' if report.lines == 1 else 'ies'}"
    match = f"{rows} match {entries}"
    if report.ok:
        return f"unaltered, {match}"
    if report.file_problems and len(report.file_problems) == len(report.problems):
        number = len(report.file_problems)
        return f"{match}; of the kept files, {number} {'does' if number == 1 else 'do'} not match"
    if report.has_head is False and len(report.problems) == 1:
        return f"{match}, but no entry has that head"
    if report.signature_problems and len(report.signature_problems) == len(report.problems):
        is_missing = report.is_signed is False
        return f"{match}, but {'it is not signed as asked' if is_missing else 'not each signature or witness fits'}"
    return f"ALTERED, {rows} and {entries} were recomputed"


def _tell(report: Report) -> None:
    if report.head:
        click.echo(f"  the head is {report.head[:12]}; keep it elsewhere for --head")
    _tell_parts(report)
    for count, one, many in (
        (report.redacted, "personal value was erased (redacted)", "personal values were erased (redacted)"),
        (report.redacted_by_hand, "of them has no tombstone", "of them have no tombstone"),
        (
            report.redacted_parts,
            "part lost rows on purpose (redacted)",
            "parts lost rows on purpose (redacted)",
        ),
        (report.deleted, "part was deleted, with a tombstone", "parts were deleted, with a tombstone"),
        (report.evicted, "part was removed here for room", "parts were removed here for room"),
        (report.not_in_file, "part is not in this file", "parts are not in this file"),
        (len(report.still_recording), "session still records", "sessions still record"),
    ):
        if count:
            click.echo(f"  {count} {one if count == 1 else many}")
    _list([_deed(row) for row in reversed(report.tombstones)])
    _list([_eviction(row) for row in reversed(report.evictions)])
    if report.kept_files:
        click.echo(f"  kept files, read and verified too: {report.kept_files} ({common.size(report.kept_bytes)})")
    if report.kept_elsewhere:
        click.echo(f"  kept files that lie beside another store: {report.kept_elsewhere}")
    if report.spools:
        altered = sum(not spool["ok"] for spool in report.spools)
        outcome = f"{altered} ALTERED" if altered else "all unaltered"
        click.echo(f"  waiting spools, verified too: {len(report.spools)}, {outcome}")
    if report.without_end:
        click.echo(f"  sessions that did not record their own end: {len(report.without_end)}")
        rows = [
            f"{short_id(row['id'])}  {row['status']}, last seen {common.when(row['last_seen_at'])}  {row['kind']} "
            f"on {row['hostname'] or '?'} in {row['cwd'] or '?'}"
            for row in reversed(report.without_end)
        ]
        _list(rows)
    if report.dropped_points:
        click.echo(f"  points that were dropped, since neither disk nor memory had room: {report.dropped_points}")
        _list([f"{short_id(row['session_id'])}  {row['points']}" for row in report.dropped_by])
    if report.failed_captures:
        failed = report.failed_captures
        click.echo(f"  captures that failed: {sum(row['count'] for row in failed)}")
        _list([f"{row['count']} × {row['collector']}: {row['note'] or 'no reason given'}" for row in failed])


def _tell_parts(report: Report) -> None:
    """What of a history this is, where it is not all."""
    if report.not_visible is not None:
        more = f"; {report.not_visible} lines cover some of them" if report.not_visible else ""
        click.echo(
            f"  other projects, with their sessions and the receipts of other roles, are not visible to you{more}"
        )
        return
    for part in report.parts_of:
        made = common.when(iso(part["time"]))
        click.echo(
            f"  part of a history ({part['kind']} of {made}): {part['holds']} runs, sessions and contents are complete"
        )


def _eviction(row: dict[str, Any]) -> str:
    what = "points of " if row["points"] == row["runs"] else ""
    runs = f"{row['runs']} run{'' if row['runs'] == 1 else 's'}"
    return f"{what}{runs} by {row['evicted_by']}, {common.when(row['evicted_at'])}: {row['reason']}"


def _list_signatures(report: Report) -> None:
    found = report.signatures
    if report.witnessed:
        click.echo(f"  heads that were kept outside, all in the ledger: {report.witnessed}")
    if not found:
        return
    if report.is_signed is None:
        click.echo(f"  signatures, not verified: {len(found)}; --key PUB verifies those by a key, --signed by any")
    else:
        click.echo(f"  signatures: {len(found)}")
    _list([_signature(row) for row in reversed(found)])


def _signature(row: dict[str, Any]) -> str:
    """One signature: what it says of what, by whom, and how much of the history it covers."""
    if row["algorithm"] == TIME_STAMP:
        when = common.when(iso(row["time"]))
        return f"time stamp of {row['key_id']} {when}; head {row['subject_sha256'][:12]}; openssl ts -verify checks it"
    state = {True: "valid", False: "NOT VALID", None: "not verified"}[row["is_valid"]]
    name = f" {row['name']}" if row["name"] else ""
    who = f" by {row['author']}" if row["author"] else ""
    when = common.when(iso(row["time"]))
    subject = row["subject"] if row["subject"] == "head" else f"{row['subject']}{name}"
    if row["covers"]:
        subject += f", {row['covers']:,} of {row['lines']:,} entries"
    elif row["covers"] == 0:
        subject += ", not in this part"
    return f"{state}: {row['meaning']}{who} {when}, {subject}, key {row['key_id']}"


def _deed(row: dict[str, Any]) -> str:
    """What one command took out: runs and sessions by name, not the content that went with them."""
    subjects = [subject for subject in row["subject_ids"] if len(subject) == _ID]
    what = short_id(subjects[0]) if len(subjects) == 1 else f"{len(subjects)} runs and sessions"
    verb = "deleted" if row["action"] == "delete" else "redacted"
    when = common.when(iso(row["time"]))
    return f"{what} {verb} {when} by {row['actor'] or 'a person whose name was erased'}: {row['reason']}"


def _list(rows: Sequence[str]) -> None:
    for row in rows[:_FEW]:
        click.echo(f"    {row}")
    if len(rows) > _FEW:
        click.echo(f"    ... and {len(rows) - _FEW} more; --json has all")
