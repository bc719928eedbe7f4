"""``report``: one run, or one model, as one page."""

from __future__ import annotations

import hashlib

import click

from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks report last -o report.html; histhooks report fraud -o fraud.html")
@click.argument("words", nargs=-1, metavar="[STORE] [RUN|MODEL]")
@common.store_option
@click.option("-o", "--output", "path", required=True, metavar="FILE", help="Where to write it: FILE.html or FILE.md.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--no-verify", "is_quick", is_flag=True, help="Skip verification, which reads the whole store.")
@common.json_option
def report(words: tuple[str, ...], store: str | None, path: str, force: bool, is_quick: bool, as_json: bool) -> None:
    """Write one run as one self-contained page of facts; or the life of a model, with all that was done."""
    from histhooks.report import report as write

    words, store = common.split_store(words, store)
    if len(words) > 1:
        raise click.UsageError(f"report takes one run, not {len(words)}")
    with common.open_history(store) as history:
        name = words[0] if words else "last"
        model = next((each for each in history.models() if each.name == name), None)
        run = history.run(name) if model is None else None
        target = write(run or model, path, force=force, with_verify=not is_quick)  # type: ignore[arg-type]  # one of them
        if as_json:
            content = target.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            told = {
                "run_id": run.id if run else None,
                "name": run.name if run else name,
                "path": str(target.absolute()),
            }
            common.print_json({**told, "size_bytes": len(content), "sha256": digest, "verified": not is_quick})
            return
        click.echo(f"{run.name if run is not None else name} → {target} ({common.size(target.stat().st_size)})")
