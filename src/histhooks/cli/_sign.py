"""``keygen`` and ``sign``: keys, and what they sign."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.clock import iso
from histhooks._base.envelopes import MEANINGS
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.evidence import Signature

_HASH = 12


@click.command(epilog="Example: histhooks keygen -o team.pem")
@click.option("-o", "--output", metavar="FILE", help="Where the key goes; by default the user's data folder.")
@common.json_option
def keygen(output: str | None, as_json: bool) -> None:
    """Make a key that signs: a private key that only you may read, and beside it the public one (.pub) for all others.

    Keys are ECDSA P-256 in PEM, which OpenSSL reads. No key that is there is overwritten. Needs cryptography:
    pip install 'histhooks[sign]'.
    """
    from histhooks.evidence import keygen as make

    keys = make(output)
    if as_json:
        common.print_json({"path": str(keys.path), "public_path": str(keys.public_path), "key_id": keys.id})
        return
    click.echo(f"key {keys.id}")
    click.echo(f"  private  {keys.path}  (only you may read it; keep a copy, and give it to nobody)")
    click.echo(f"  public   {keys.public_path}  (for everyone who verifies: histhooks verify --key FILE)")


@click.command(epilog="Example: histhooks sign head --meaning reviewed; histhooks sign model.joblib --key team.pem")
@click.argument("words", nargs=-1, metavar="[STORE] head|FILE|PACK|NAME@V")
@common.written_store_option
@click.option("--meaning", type=click.Choice(MEANINGS), default="approved", show_default=True, help="What it says.")
@click.option("--key", metavar="FILE", help="The private key; by default HISTHOOKS_SIGN_KEY, else that of keygen.")
@click.option("-o", "--output", metavar="FILE", help="Write the envelope with the signature to a file, too.")
@common.json_option
def sign(
    words: tuple[str, ...], store: str | None, meaning: str, key: str | None, output: str | None, as_json: bool
) -> None:
    """Sign the head of the history, a file, a pack of evidence, or a version of a model.

    `head` stands for all that is in the history now. The signature is kept in the history, with your name and the time.
    """
    from histhooks.evidence import sign as make

    if len(words) > 1:
        words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError(
            "sign what? `head`, a file, a pack, or a version: histhooks sign head --meaning reviewed"
        )
    signature = make(words[0], meaning=meaning, key=key, store=store, to=output)
    if as_json:
        common.print_json(as_plain(signature))
        return
    what = f"head of {signature.name}" if signature.subject == "head" else f"{signature.subject} {signature.name}"
    by = f" by {signature.author}" if signature.author else ""
    click.echo(f"signed as {meaning}: {what}, {signature.sha256[:_HASH]}")
    click.echo(f"  key {signature.key_id}{by}")
    click.echo(f"  signature {base64.b64encode(signature.envelope.signature).decode('ascii')}")
    if output is not None:
        click.echo(f"  envelope → {output}")


@click.command(epilog="Example: histhooks witness git; histhooks witness file:/mnt/worm/heads.jsonl")
@click.argument("words", nargs=-1, metavar="[STORE] git|file:PATH|rfc3161:URL")
@common.written_store_option
@click.option("--meaning", type=click.Choice(MEANINGS), default="reviewed", show_default=True, help="What it says.")
@click.option("--key", metavar="FILE", help="The private key; by default HISTHOOKS_SIGN_KEY, else that of keygen.")
@click.option("-o", "--output", metavar="FILE", help="Write the signed head to FILE, too; a time stamp to FILE.tsr.")
@common.json_option
def witness(
    words: tuple[str, ...], store: str | None, meaning: str, key: str | None, output: str | None, as_json: bool
) -> None:
    """Sign the head of the history, and keep it outside of the store.

    `git` leaves a note on the commit that is checked out (ref refs/notes/histhooks; push it), `file:PATH` a line at the
    end of a file, `rfc3161:URL` asks an authority for a time stamp, which the history keeps. `verify --witness` finds
    out whether the history still has every head that is kept in git or a file.
    """
    from histhooks.evidence import witness as make

    words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError("where? histhooks witness git, or file:PATH, or rfc3161:URL")
    found = make(words[0], meaning=meaning, key=key, store=store, to=output)
    if as_json:
        told = {"where": found.where, "place": found.place, "time": found.time}
        common.print_json({**told, "signature": as_plain(found.signature)})
        return
    kind = words[0].partition(":")[0]
    place = {
        "git": f"in a note on commit {found.place[:12]}; git push origin refs/notes/histhooks",
        "file": f"in {found.place}", "rfc3161": f"with a time stamp of {found.place}",
    }[kind]  # fmt: skip
    at = f", {common.when(iso(found.time))}" if found.time is not None else ""
    click.echo(f"head {found.signature.sha256[:_HASH]} is kept {place}{at}")
    click.echo(f"  signed  by key {found.signature.key_id} as {meaning}")
    if kind != "rfc3161":
        click.echo(f"  check   histhooks verify --witness {words[0]}")


def as_plain(signature: Signature) -> dict[str, Any]:
    """A signature for JSON."""
    return {
        "subject": signature.subject, "name": signature.name, "sha256": signature.sha256,
        "meaning": signature.meaning, "key_id": signature.key_id, "author": signature.author, "time": signature.time,
        "text": signature.envelope.text,
        "signature": base64.b64encode(signature.envelope.signature).decode("ascii"),
        "algorithm": signature.envelope.algorithm, "public_key": signature.envelope.public_key,
    }  # fmt: skip
