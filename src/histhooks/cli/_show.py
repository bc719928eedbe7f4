"""``show``: one run on one screen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.telling import inner
from histhooks._base.vocabulary import GRADES
from histhooks._views import data_words as words_of
from histhooks._views import result_words
from histhooks._views import run_words as facts
from histhooks._views.model_words import version_lines
from histhooks._views.table import is_endless
from histhooks.cli import _common as common
from histhooks.cli._risks import print_risks
from histhooks.cli._show_tables import children, metrics, title

if TYPE_CHECKING:
    from rich.console import Console

    from histhooks.history import RunRecord

_FEW, _FEWER, _VARIED = 8, 2, 4
_SIDE_BY_SIDE = 72  # from this width on two params stand side by side
_LINES = 12  # of long texts


@click.command(epilog="Example: histhooks show last --code")
@click.argument("words", nargs=-1, metavar="[STORE] [RUN]")
@common.store_option
@click.option("--full", "is_full", is_flag=True, help="Show all of each part, however long.")
@click.option("--params", "wants_params", is_flag=True, help="Show only the params, all of them, with their sources.")
@click.option(
    "--code",
    "wants_code",
    is_flag=True,
    help="Show only the code: cells, sources, the diff and new files.",
)
@click.option("--env", "wants_packages", is_flag=True, help="Show only the packages, as a requirements file for pip.")
@click.option(
    "--traceback", "wants_traceback", is_flag=True, help="Show only the traceback and the last lines of stderr."
)
@common.json_option
def show(words: tuple[str, ...], store: str | None, is_full: bool, as_json: bool, **wanted: bool) -> None:
    """Show one run on one screen. RUN is an id, a part of one, a name, `last` or `last~2`.

    --json prints the complete record except the points; `metrics` and `export` have those.
    """
    words, store = common.split_store(words, store)
    if len(words) > 1:
        raise click.UsageError(f"show takes one run, not {len(words)}")
    parts = {"wants_params": _all_params, "wants_code": _code, "wants_packages": _packages, "wants_traceback": _trace}
    with common.open_history(store) as history:
        run = history.run(words[0] if words else "last")
        if as_json:
            common.print_json(run.as_json())
        elif any(wanted.values()):
            for name, part in parts.items():
                if wanted[name]:
                    part(run)
        else:
            screen(run, is_full=is_full)


def screen(run: RunRecord, *, is_full: bool = False) -> None:
    """Print one run."""
    from rich.table import Table
    from rich.text import Text

    console = common.console()
    head = Text(f"{common.plain(run.name)}", style="bold")
    head.append(f"  {run.kind}", style="not bold").append("  ").append_text(Text.from_markup(common.status(run.status)))
    console.print(head.append(f"  {run.id}", style="not bold dim"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in _facts(run, is_full):
        if text:
            style = "red" if label == "outcome" and GRADES.get(run.status) in ("failure", "bad") else ""
            grid.add_row(label, Text(common.plain(text), style=style))
    console.print(grid)
    _params(run, console, is_full)
    _results(run, console, is_full)
    metrics(run, console, is_full)
    print_risks(run, console)
    children(run, console, is_full)
    _texts(run, console, is_full)
    missed = [c for c in run.captures if c["status"] != "ok"]
    if missed:
        title(console, "Not captured")
        for line in _missed(missed, is_full):
            console.print(Text(common.plain(f"  {line}"), style="dim"))


def _missed(captures: list[dict[str, Any]], is_full: bool) -> list[str]:
    """What was not captured, a line for each collector and status, with its first note."""
    found: dict[str, list[str]] = {}
    for capture in captures:
        found.setdefault(f"{capture['collector']}: {capture['status']}", []).append(capture["note"] or "")
    lines = []
    for head, notes in found.items():
        most = len(notes) if is_full or len(notes) <= _FEWER else 1
        more = f", and {len(notes) - most} more with --full" if len(notes) > most else ""
        lines += [f"{head}{', ' if note else ''}{note}{more}" for note in notes[:most]]
    return lines


def _facts(run: RunRecord, is_full: bool) -> list[tuple[str, str]]:
    found, most, few = run.session, *((1000, 1000) if is_full else (_FEW, _FEWER))
    numbers = [f"{r['library']} {r['digest'][:8]}" for r in run.states_at_start]
    optimizers = [line for each in run.optimizers for line in facts.optimizer(each)]
    notes = [_note(note["body"]) + (f"  ({note['author']})" if note["author"] else "") for note in run.notes]
    events = [event for event in run.events if event["kind"] not in ("determinism", "stderr", "kept")]
    sizes = [data["n_rows"] for data in run.datasets]
    project = facts.join(run.project, f"group {run.group_name}" if run.group_name else None)
    machine = f"on {found['hostname']}" if found["hostname"] else None
    return [
        ("version", "\n".join(version_lines(run.versions))),
        ("outcome", _cut(facts.outcome(run), most) if run.status != "finished" or run.error_type else ""),
        ("progress", facts.progress(run)),
        ("when", facts.took(run)),
        ("where", facts.join(run.call_site, machine, f"in project {project}" if project else None)),
        ("who", facts.who(run)),
        ("command", found["command"] or ""),
        ("session", facts.session(found)),
        ("links", _cut("\n".join(facts.links(run)), most)),
        ("model", "\n".join(facts.model(run))),
        ("optimizer", _cut("\n".join(optimizers), most)),
        ("data", _cut("\n".join(dict.fromkeys(map(facts.dataset, run.datasets))), most)),
        ("shared rows", _cut("\n".join(words_of.overlapping(run)), few)),
        (
            "split",
            _cut(
                "\n".join(words_of.split(each) for each in words_of.latest(run.splits, [] if is_full else sizes)), few
            ),
        ),
        ("seen by", _cut("\n".join(f"{t.role}: {words_of.transform(t, run)}" for t in run.transforms), few)),
        ("weights", words_of.weights(run.weights)),
        ("seeds", facts.seeds(run)),
        ("random state", ", ".join(numbers)),
        ("determinism", _determinism(run)),
        ("code", facts.code(run)),
        ("modules", facts.modules(run)),
        ("settings", facts.settings_parsed(run)),
        ("environment", facts.environment(run)),
        ("threads", facts.threads(run)),
        ("tags", ", ".join(_tag(key, value) for key, value in run.tags.items())),
        ("notes", _cut("\n".join(notes), most)),
        ("files read", "\n".join(words_of.file_reads(run, few))),
        ("files", "\n".join(facts.artifacts(run, most))),
        ("events", _cut("\n".join(_event(event) for event in events[-most:]), most)),
    ]


def _determinism(run: RunRecord) -> str:
    """The flags; those at torch's defaults in few words."""
    flags = {key.removeprefix("torch.").removeprefix("backends."): value for key, value in run.determinism.items()}
    return ", ".join(f"{key}={common.value_text(value)}" for key, value in flags.items())


def _tag(key: str, value: str | None) -> str:
    return f"{key}=[erased]" if value is None else f"{key}={value}" if value else key


def _note(body: str | None) -> str:
    return "[erased]" if body is None else body or "(empty)"


def _event(event: Mapping[str, Any]) -> str:
    times = f" × {event['count']}" if event["count"] > 1 else ""
    step = f" at step {event['step']:,}" if event["step"] is not None else ""
    return f"{event['severity']}: {event['title']}{step}{times}"


def _cut(text: str, most: int) -> str:
    lines = text.splitlines()
    return text if len(lines) <= most else "\n".join([*lines[:most], f"… {len(lines) - most} more lines with --full"])


def _params(run: RunRecord, console: Console, is_full: bool) -> None:
    from rich.columns import Columns
    from rich.text import Text

    everything, chosen = run.params, run.chosen
    if not everything:
        return
    # The line of the optimizer says these; what holds parts, or is there twice, is said by others.
    has_optimizers = bool(run.optimizers) and not is_full
    repeated = set[str]() if is_full else inner(everything) & chosen.keys()
    told = everything if is_full else {key: value for key, value in chosen.items() if key not in repeated}
    n_own = len(told)
    told = {key: value for key, value in told.items() if not (has_optimizers and key.startswith("optimizer."))}
    most = len(told) if is_full else 24
    defaults = len(everything) - len(chosen)
    rest = [f"{defaults} defaults hidden (--params shows them)" if defaults else ""]
    rest += [f"{n_own - len(told)} shown with the optimizer" if len(told) < n_own else ""]
    rest += [f"{len(repeated)} that repeat these" if repeated else ""]
    rest += [f"{len(told) - most} more with --params" if len(told) > most else ""]
    title(console, "Params", ", ".join(filter(None, rest)))
    cells = []
    for key, value in list(told.items())[:most]:
        text = Text("  ").append(common.plain(key)).append(" = ", style="dim")
        cells.append(text.append(common.plain(common.value_text(value, 1000 if is_full else 200))))
    has_columns = console.width >= _SIDE_BY_SIDE and not is_endless() and not is_full
    short = [text for text in cells if has_columns and text.cell_len <= console.width // 2 - 2]
    if len(short) < len(cells) <= _FEW:
        short = []
    if short:
        console.print(Columns(short, padding=(0, 2), column_first=True))
    for text in cells:
        if text not in short:
            if not is_full:
                text.truncate(console.width, overflow="ellipsis")
            console.print(text, soft_wrap=is_endless())


def _results(run: RunRecord, console: Console, is_full: bool) -> None:
    """Outcomes that are no curve: numbers and words first, then what has many parts, cut to a line."""
    from rich.text import Text

    results = sorted(run.results.items(), key=lambda item: isinstance(item[1], (dict, list)))
    if not results:
        return
    shown = results if is_full else results[:_FEW]
    rest = f"{len(results) - len(shown)} more with --full" if len(shown) < len(results) else ""
    title(console, "Results", rest)
    for key, value in shown:
        text = Text("  ").append(common.plain(key)).append(" = ", style="dim")
        room = 400 if is_full else max(40, console.width - len(key) - 5)
        told = common.value_text(value, 200) if is_endless() else result_words.text(value, room)
        text.append(common.plain(told))
        if not is_full:
            text.truncate(console.width, overflow="ellipsis")
        console.print(text, soft_wrap=is_endless())


def _texts(run: RunRecord, console: Console, is_full: bool) -> None:
    from rich.text import Text

    stderr = "\n".join(facts.stderr(run))
    for head, text, style in (("Traceback", run.traceback, "red"), ("Last lines of stderr", stderr, "dim")):
        if text:
            lines = common.plain(text.rstrip()).splitlines()
            most = len(lines) if is_full else _LINES // 2
            title(console, head, f"its last {most} lines; all with --traceback" if len(lines) > most else "")
            console.print(Text("\n".join(lines[-most:]), style=style))


def _all_params(run: RunRecord) -> None:
    rows = run.as_json()["params_told"]
    for row in rows:
        click.echo(
            common.plain(f"{row['key']} = {common.value_text(row['value'], 10_000, is_exact=True)}  ({row['source']})")
        )
    if not rows:
        click.echo("no params were recorded", err=True)


def _code(run: RunRecord) -> None:
    """The patch that leads from the commit to the code that ran, its sources and cells; what it lacks, on stderr."""
    import difflib

    from histhooks.history.compare.code import as_script, lacking

    code, diff, sources, cells = run.code, run.code_diff, run.sources, run.cells
    has_commit = code is not None and code["commit_hash"] is not None
    if code is not None and has_commit:
        click.echo(f"# {code['repository']} at {code['commit_hash']} ({code['branch'] or 'no branch'})", err=True)
    if cells:
        click.echo(common.plain(as_script(cells)))
    # What cannot be applied to a clone stands before the patch: `git apply` passes over it.
    for path, text in sources.items():
        if not has_commit or os.path.isabs(path) or path.startswith(("-", "<")):
            click.echo(common.plain(f"# {path}\n{text.rstrip()}\n"))
    if diff:
        click.echo(common.plain(diff), nl=not diff.endswith("\n"))
    new = {path: text for path, text in sources.items() if has_commit and not os.path.isabs(path)}
    new = {path: text for path, text in new.items() if not path.startswith(("-", "<"))}
    for path, text in {**run.untracked, **new}.items():
        lines = difflib.unified_diff([], text.splitlines(), "/dev/null", f"b/{path}", lineterm="")
        click.echo(common.plain("\n".join([f"diff --git a/{path} b/{path}", "new file mode 100644", *lines])))
    if code is None or not (diff or run.untracked or sources or cells):
        what = "nothing differed from the commit" if has_commit else "which code ran was not recorded"
        click.echo(what if has_commit else f"{what}: no git repository, or no commit", err=True)
    for text in facts.masked(code):
        click.echo(f"# {text}", err=True)
    for text in [*lacking(run), *facts.others_changed(code)]:
        click.echo(f"# {text}", err=True)


def _packages(run: RunRecord) -> None:
    text = run.requirements()
    click.echo(common.plain(text), nl=False)
    if not text:
        click.echo("packages were not recorded", err=True)


def _trace(run: RunRecord) -> None:
    stderr = facts.stderr(run)
    for text in filter(None, [run.traceback, *stderr]):
        click.echo(common.plain(text.rstrip()))
    if not run.traceback and not stderr:
        click.echo("no traceback and no stderr were recorded", err=True)
