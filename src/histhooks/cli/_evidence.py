"""``evidence``: a pack of what is on record, for somebody who has neither the store nor histhooks."""

from __future__ import annotations

import os
from dataclasses import asdict

import click

from histhooks.cli import _common as common

_FORMATS = ("all", "model-card", "annex-iv", "in-toto", "cyclonedx", "ro-crate")
_OWN = "\0"  # --sign without a key


@click.command(epilog="Example: histhooks evidence credit@3 -o credit-3.zip --sign --require annex-iv")
@click.argument("words", nargs=-1, metavar="[STORE] NAME@V|RUN")
@common.store_option
@click.option("-o", "--output", "to", metavar="PACK.zip", required=True, help="The pack; or one document (--format).")
@click.option(
    "--sign", "key", metavar="[KEY]", is_flag=False, flag_value=_OWN, default=None,
    help="Sign it: with HISTHOOKS_SIGN_KEY, that of keygen, or a file.",
)  # fmt: skip
@click.option("--format", "formats", type=click.Choice(_FORMATS), default="all", help="One document instead of all.")
@click.option("--require", type=click.Choice(["annex-iv"]), help="Exit code 1 if a point that it asks for is open.")
@click.option("--anonymous", is_flag=True, help="Leave out persons, machines, paths, and the store.")
@click.option("--force", is_flag=True, help="Overwrite PACK.zip.")
@common.json_option
@click.pass_context
def evidence(
    ctx: click.Context,
    words: tuple[str, ...],
    store: str | None,
    to: str,
    key: str | None,
    formats: str,
    require: str | None,
    anonymous: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write what is on record of a run or a version as a pack that verifies itself.

    In it are a page for people, a model card, technical documentation in the order of Annex IV, provenance (in-toto,
    SLSA), a bill of materials (CycloneDX), a research object (RO-Crate), the history of these runs, and programs that
    verify it with Python alone. What is not on record reads "Not recorded".

    Exit code 0: written. 1: written, with open points that --require asks for. 2: not written.
    """
    from histhooks.evidence import pack

    words, store = common.split_store(words, store)
    if not words and key not in (None, _OWN) and not os.path.exists(str(key)):
        words, key = (str(key),), _OWN  # --sign NAME@V: a key is a file
    if len(words) != 1:
        raise click.UsageError("evidence of what? a run or a version: histhooks evidence credit@3 -o credit-3.zip")
    own = key == _OWN
    done = pack(
        words[0], to, sign=key is not None, key=None if own else key, formats=formats, anonymous=anonymous,
        force=force, store=store,
    )  # fmt: skip
    is_open = require is not None and bool(done.gaps)
    if as_json:
        common.print_json({**asdict(done), "required": require})
        ctx.exit(1 if is_open else 0)
    what = f"{len(done.members)} members, " if len(done.members) > 1 else ""
    click.echo(f"{what}{done.cited} records cited → {done.path} ({common.size(done.size_bytes)})")
    click.echo(f"  sha256  {done.sha256}")
    if len(done.members) > 1:
        click.echo(f"  signed  {f'by key {done.key_id}' if done.key_id else 'no; --sign signs it'}")
        click.echo(f"  verify  histhooks verify --pack {done.path}")
        click.echo(f"          unzip {done.path.name} -d pack && python3 -I -S pack/verify_pack.py pack")
    if require is not None and done.gaps:
        click.echo(f"not recorded, and required by {require} ({len(done.gaps)}):", err=True)
        for gap in done.gaps:
            click.echo(f"  {gap}", err=True)
        click.echo("  say it with `histhooks note RUN 'card purpose: ...'`; the guide has the keys", err=True)
    ctx.exit(1 if is_open else 0)
