"""``report``: one run as one page."""

from __future__ import annotations

import hashlib

import click

from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks report last -o report.html")
@click.argument("words", nargs=-1, metavar="[STORE] [RUN]")
@common.store_option
@click.option("-o", "--output", "path", required=True, metavar="FILE", help="Where to write it: FILE.html or FILE.md.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--no-verify", "is_quick", is_flag=True, help="Skip verification, which reads the whole store.")
@common.json_option
def report(words: tuple[str, ...], store: str | None, path: str, force: bool, is_quick: bool, as_json: bool) -> None:
    """Write one run as one self-contained page of facts."""
    from histhooks.report import report as write

    words, store = common.split_store(words, store)
    if len(words) > 1:
        raise click.UsageError(f"report takes one run, not {len(words)}")
    with common.open_history(store) as history:
        run = history.run(words[0] if words else "last")
        target = write(run, path, force=force, with_verify=not is_quick)
        if as_json:
            content = target.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            told = {"run_id": run.id, "name": run.name, "path": str(target.absolute())}
            common.print_json({**told, "size_bytes": len(content), "sha256": digest, "verified": not is_quick})
            return
        click.echo(f"{run.name} → {target} ({common.size(target.stat().st_size)})")
