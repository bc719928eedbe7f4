"""``verify``: is the history unaltered."""

from __future__ import annotations

import click

from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks verify histhooks.db --head 9f31c02ab4d7")
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.store_option
@click.option("--head", metavar="HEX", help="A digest that was kept elsewhere: it must be in the ledger.")
@common.json_option
@click.pass_context
def verify(context: click.Context, words: tuple[str, ...], store: str | None, head: str | None, as_json: bool) -> None:
    """Check that the history is as it was written. Changes no byte. Exit code 1 where something does not fit."""
    from histhooks.history._opening import locate
    from histhooks.verify import verify as check

    words, store = common.split_store(words, store)
    path = locate(store)
    report = check(path, head=head)
    if as_json:
        common.print_json(report.as_json())
        context.exit(0 if report.ok else 1)
    for problem in report.problems[:20]:
        click.echo(f"does not fit: {problem}")
    if len(report.problems) > 20:
        click.echo(f"... and {len(report.problems) - 20} more")
    click.echo(
        f"{path}: {report.lines} lines and {report.rows} rows recomputed: " + ("fits" if report.ok else "ALTERED")
    )
    for count, what in (
        (report.redacted, "personal values were erased (redacted)"),
        (report.deleted, "parts were deleted, with a tombstone"),
        (report.not_in_file, "parts are not in this file"),
        (len(report.sessions_without_end), "sessions left no end of their own"),
        (report.dropped_points, "points were dropped by recorders"),
    ):
        if count:
            click.echo(f"  {count} {what}")
    click.echo("It cannot prove:")
    for text in report.cannot_prove:
        click.echo(f"  - {text}")
    context.exit(0 if report.ok else 1)
