"""``reproduce``: run a run again from its record, and compare point by point."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from histhooks._base.ids import short_id
from histhooks._base.text import counted
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from histhooks.history import History
    from histhooks.reproduce import Plan, Reproduction

_FEW = 6
_STATES = {"here": "green", "elsewhere": "green", "changed": "red", "gone": "red", "not hashed": "yellow"}


@click.command(epilog="Example: histhooks reproduce last; histhooks reproduce last --exec --yes")
@click.argument("words", nargs=-1, metavar="[STORE] RUN")
@common.store_option
@click.option("--into", metavar="DIR", help="Write the code as it ran, its data and a script that starts it into DIR.")
@click.option("--lock", "is_locked", is_flag=True, help="With --into, also write pylock.toml: pip asks its index.")
@click.option("--exec", "is_run", is_flag=True, help="Run it here, record it, and compare every point.")
@click.option("--level", type=click.Choice(["bits", "curve", "metric"]), help="The level to reach, for exit code 0.")
@click.option(
    "--tolerance", default=1e-5, show_default=True, type=click.FloatRange(min=0), help="Relative, of the level curve."
)
@click.option("--in-place", is_flag=True, help="Run the files as they lie there now, not the code as it ran.")
@click.option("--python", metavar="PATH", help="Another interpreter, which must have histhooks.")
@click.option(
    "--timeout", metavar="S", type=click.FloatRange(min=0, min_open=True), help="End the program after S seconds."
)
@click.option("--yes", is_flag=True, help="Run without asking.")
@common.json_option
@click.pass_context
def reproduce(
    ctx: click.Context,
    words: tuple[str, ...],
    store: str | None,
    into: str | None,
    is_locked: bool,
    is_run: bool,
    level: str | None,
    tolerance: float,
    in_place: bool,
    python: str | None,
    timeout: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what repeating a run takes; with --exec, run it again and compare every point.

    Without --exec, nothing is written or run. Exit code 0: nothing blocks it; 1: something is gone or differs; 2: it
    cannot be run again at all.

    With --exec, 0: the level is reached (bits, curve or metric; by default the one that the plan expects); 1: it is
    not; 2: it did not run, or there is nothing to compare.
    """
    words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError(f"reproduce takes one run, not {len(words)}")
    if is_locked and into is None:
        raise click.UsageError("--lock writes into the folder of --into DIR")
    with common.open_history(store) as history:
        found = _plan(history, words[0], python)
        if is_run:
            ctx.exit(_execute(found, level, tolerance, in_place, into, python, timeout, is_sure=yes, as_json=as_json))
        folder = None
        if into is not None:
            from histhooks.reproduce import restore

            folder = str(restore(found, into))
            if is_locked:
                from histhooks.reproduce._lock import lock

                lock(Path(into) / "requirements.txt", python or sys.executable)
        if as_json:
            common.print_json({**found.as_json(), "folder_written": folder})
        else:
            _screen(found)
            if folder is not None:
                click.echo(f"\nWritten to {into}; start it with: sh {shlex.quote(os.path.join(into or '', 'run.sh'))}")
    ctx.exit(0 if found.is_possible else 2 if found.hard else 1)


def _plan(history: History, selector: str, python: str | None) -> Plan:
    from histhooks.reproduce import plan

    packages, interpreter = (None, None) if python is None else _facts_of(python)
    return plan(history.run(selector), packages=packages, interpreter=interpreter)


def _facts_of(python: str) -> tuple[dict[str, str], str]:
    """The packages of another interpreter, and which one it is."""
    import json
    import subprocess

    # The first of several of one name is the one that is imported.
    text = "import json, platform\nfrom importlib.metadata import distributions\n"
    text += "found = {each.name: each.version for each in reversed(list(distributions())) if each.name}\n"
    text += "which = f'{platform.python_implementation()} {platform.python_version()}'\n"
    text += "print(json.dumps([found, which]))"
    try:
        done = subprocess.run([python, "-c", text], capture_output=True, text=True, check=True, timeout=60)
        found, which = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise click.UsageError(f"{python} does not run as a Python: {error}") from error
    if "histhooks" not in found:
        raise click.UsageError(f"{python} has no histhooks: install it there, so that the run can be recorded")
    return found, str(which)


# --- the plan ---------------------------------------------------------------------------------------------------------


def _screen(found: Plan) -> None:
    from rich.text import Text

    from histhooks.cli._points import labelled

    console = common.console()
    run = found.run
    line = Text(common.plain(run.name), style="bold")
    line.append(f"  {short_id(run.id)}  {common.when(run.started_at)}  {run.status}", style="not bold dim")
    console.print(line)
    console.print()
    _needs(console, found)
    for label, texts, style in (
        ("blocked", _blocked(found), "red"),
        ("expected", [] if found.hard else [_expected(found)], "bold"),
        ("note", list(found.cautions), "yellow"),
    ):
        if texts:
            console.print()
        for text in texts:
            labelled(console, Text(f"{label:<8}", style=style), Text(common.plain(text)))


def _blocked(found: Plan) -> list[str]:
    """What blocks it; many packages in one line."""
    texts = [each.text for each in found.blockers if each.what != "packages"]
    packages = [each.text for each in found.blockers if each.what == "packages"]
    if len(packages) <= _FEW:
        return [*texts, *packages]
    named = _some([_package(each) for each in found.packages if each.is_computing])
    return [*texts, f"{len(packages)} packages that compute numbers are not here as they were: {named}"]


def _expected(found: Plan) -> str:
    from histhooks.cli._points import LEVEL_WORDS

    why = f": {'; '.join(found.reasons)}" if found.reasons else ""
    return f"{found.expected}, {LEVEL_WORDS[found.expected]}{why}"


def _needs(console: Console, found: Plan) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _rows(found):
        table.add_row(label, Text(common.plain(text)))
    for file in found.files[:_FEW]:
        table.add_row("data", Text(common.plain(file.path)).append(f"  {file.state}", style=_STATES[file.state]))
    if len(found.files) > _FEW:
        table.add_row("", f"… {len(found.files) - _FEW} more files, in --json")
    for label, text in _surroundings(found):
        table.add_row(label, Text(common.plain(text)))
    console.print(table)


def _rows(found: Plan) -> Iterator[tuple[str, str]]:
    """Command and code."""
    code = found.code
    if found.command is not None:
        yield "command", shlex.join(["python", *found.command.words])
        if found.folder != ".":
            yield "in", f"{found.folder}/"
        for name in found.command.masked:
            yield "secret", f"{name} was not kept; it is asked for"
    if code.commit is not None:
        more = [
            *(["the recorded changes"] if code.diff else []),
            *([counted(len(code.texts), "new file")] if code.texts else []),
        ]
        text = f"commit {code.commit[:12]}" + (f" with {' and '.join(more)}" if more else "")
        yield "code", f"{text}, from {code.clone or code.repository}"
    elif found.run.session["kind"] in ("notebook", "repl"):
        yield "code", "its cells, in the order in which they ran, as a script"
    elif code.texts:
        yield "code", f"{counted(len(code.texts), 'kept file')}: {_some(sorted(code.texts))}"


def _surroundings(found: Plan) -> Iterator[tuple[str, str]]:
    """Packages, variables and the machine."""
    n = len(found.packages)
    words = (
        "none was recorded" if not found.n_packages else f"{found.n_packages - n} of {found.n_packages} as they were"
    )
    yield "packages", words + (f"; others: {_some([_package(each) for each in found.packages])}" if n else "")
    for name, value in found.variables.items():
        yield "variable", f"{name}={value}"
    kept = [*found.generators, *([f"PYTHONHASHSEED {found.hash_seed}"] if found.hash_seed is not None else [])]
    yield "generators", "; ".join(kept) or "none was kept"
    if found.machine:
        yield "machine", "; ".join(found.machine)


def _package(each: object) -> str:
    name, version, here = (getattr(each, key) for key in ("name", "version", "here"))
    return f"{name} {version} → {here or 'not installed'}"


def _some(texts: list[str]) -> str:
    return ", ".join([*texts[:_FEW], *([f"{len(texts) - _FEW} more"] if len(texts) > _FEW else [])])


# --- running ----------------------------------------------------------------------------------------------------------


def _execute(
    found: Plan,
    level: str | None,
    tolerance: float,
    in_place: bool,
    into: str | None,
    python: str | None,
    timeout: float | None,
    *,
    is_sure: bool,
    as_json: bool,
) -> int:
    from histhooks.errors import HisthooksError
    from histhooks.reproduce import execute

    if not is_sure:
        _ask(found, in_place=in_place)
    try:
        done = execute(
            found, level=level, tolerance=tolerance, in_place=in_place, into=into, python=python, timeout_s=timeout,
            ask=_secret,
        )  # fmt: skip
    except HisthooksError as error:
        click.echo(f"histhooks: {error}", err=True)
        return 2
    if as_json:
        common.print_json({"plan": found.as_json(), **done.as_json()})
    else:
        _verdict(done)
    if done.new_run_id is None or done.level is None:
        return 2
    return 0 if done.is_reached else 1


def _ask(found: Plan, *, in_place: bool) -> None:
    """Have a person say yes to the command, or refuse."""
    words = shlex.join(["python", *found.command.words]) if found.command is not None else "nothing"
    where = "in the present tree" if in_place else "from the recorded code"
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would run `{words}` {where}; add --yes to run it without asking")
    click.confirm(f"Run `{words}` {where}?", abort=True, err=True)


def _secret(name: str) -> str:
    from histhooks.errors import ReproduceError
    from histhooks.reproduce._command import given_secret, secret_variable

    value = given_secret(name)
    if value is not None:
        return value
    if not sys.stdin.isatty():
        raise ReproduceError(f"the value of {name} was a secret and was not kept; set {secret_variable(name)} to it")
    return str(click.prompt(f"{name}, a secret that was not kept", hide_input=True, err=True))


def _verdict(done: Reproduction) -> None:
    from rich.text import Text

    from histhooks.cli._points import labelled, reasons, screen

    console = common.console()
    if done.agreement is None:
        console.print(Text("failed", style="bold red").append(f"  {common.plain(done.why)}", style="default not bold"))
    else:
        screen(done.agreement)
        if done.why:
            labelled(console, Text(f"{'why':<9}", style="yellow"), Text(common.plain(done.why)))
        reasons(console, done.agreement, done.causes)
    if done.agreement is None or done.level == "failed":
        tail = common.plain(done.output.rstrip()).splitlines()[-15:]
        for line in tail:
            console.print(Text(f"  {line}", style="dim"), soft_wrap=True)
    if done.folder is not None:
        console.print(Text(f"Its code and output lie in {done.folder}", style="dim"), soft_wrap=True)
