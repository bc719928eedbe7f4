"""``key``: the key with which rows of data are hashed."""

from __future__ import annotations

from pathlib import Path

import click

from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks key export -o team.key")
@click.argument("action", type=click.Choice(["show", "export", "import"]), default="show")
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--project", metavar="NAME", help="The project; by default the one of this folder.")
@click.option("--output", "-o", metavar="FILE", help="export: write it to a file that only you may read.")
@click.option("--force", is_flag=True, help="import: replace the key that this project has.")
@common.json_option
def key(action: str, file: str | None, project: str | None, output: str | None, force: bool, as_json: bool) -> None:
    """Show the key of row hashes, or share it with a team.

    Hashes of rows compare across runs that were recorded with one key. `show` prints its id and where it lies, `export`
    the key itself, and `import` takes the key in a file for this project. Runs that are recorded already keep theirs.
    """
    from histhooks._host.row_key import key_path, put, row_key
    from histhooks._host.store_location import project_name

    if file is not None and action != "import":
        raise click.UsageError(f"{action} takes no file" + (", but -o FILE" if action == "export" else ""))
    name = project_name(project)
    path = key_path(name)
    if action == "import":
        _import(name, path, file, force=force)
    found = row_key(name, make=action == "export")
    if found.id is None:
        raise click.ClickException(f"project {name} has no key that lasts: {found.why}")
    if action == "export" and output is None:
        click.echo(found.secret.hex())
    elif action == "export":
        if not put(Path(str(output)), found.secret):
            raise click.UsageError(f"{output} is there already")
        click.echo(f"key {found.id} of project {name} is in {output}", err=True)
    elif as_json:
        common.print_json({"project": name, "key_id": found.id, "path": None if path is None else str(path)})
    else:
        click.echo(f"project {name} has key {found.id} ({_place(path)})")


def _import(name: str, path: Path | None, file: str | None, *, force: bool) -> None:
    from histhooks._host.row_key import VARIABLE, id_of, parse, put

    if file is None:
        raise click.UsageError("import which key? give the file that `histhooks key export` wrote")
    if path is None:
        raise click.ClickException(f"there is no folder for data of this user; set {VARIABLE} instead")
    try:
        secret = parse(Path(file).read_text(encoding="ascii"))
        is_put = put(path, secret, replace=force)
        if not is_put and parse(path.read_text(encoding="ascii")) != secret:
            raise click.UsageError(f"project {name} has another key; --force replaces it with {id_of(secret)}")
    except (OSError, UnicodeError) as error:
        raise click.ClickException(f"{file}: {error}") from error
    except ValueError as error:
        raise click.ClickException(f"{file} holds no key: {error}") from error


def _place(path: Path | None) -> str:
    import os

    from histhooks._host.row_key import VARIABLE

    return f"from {VARIABLE}" if os.environ.get(VARIABLE) else str(path)
