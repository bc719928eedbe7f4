"""``show``: one run on one screen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.ids import short_id
from histhooks._base.vocabulary import GRADES
from histhooks._views import run_words as facts
from histhooks._views.table import Cell, Column, cut, is_endless, lines, width
from histhooks.cli import _common as common
from histhooks.history._ranking import best_of, main_of, mean_of_folds, outcomes_of
from histhooks.history.query.run_query import beyond_of

if TYPE_CHECKING:
    from rich.console import Console

    from histhooks.history import RunRecord

_FEW = 8
_SIDE_BY_SIDE = 72  # from this width on two params stand side by side
_MEAN = "~"
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
@click.option("--env", "wants_packages", is_flag=True, help="Show only the packages, as pip lists them.")
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
    _metrics(run, console, is_full)
    _children(run, console, is_full)
    _texts(run, console, is_full)
    missed = [c for c in run.captures if c["status"] != "ok"]
    if missed:
        _title(console, "Not captured")
        for capture in missed:
            note = f", {capture['note']}" if capture["note"] else ""
            console.print(Text(common.plain(f"  {capture['collector']}: {capture['status']}{note}"), style="dim"))


def _facts(run: RunRecord, is_full: bool) -> list[tuple[str, str]]:
    found, most = run.session, 1000 if is_full else _FEW
    numbers = [f"{r['library']} {r['digest'][:8]}" for r in run.related("rng_states")]
    optimizers = [line for each in run.optimizers for line in facts.optimizer(each)]
    notes = [_note(note["body"]) + (f"  ({note['author']})" if note["author"] else "") for note in run.notes]
    events = [event for event in run.events if event["kind"] not in ("determinism", "stderr")]
    project = facts.join(run.project, f"group {run.group_name}" if run.group_name else None)
    machine = f"on {found['hostname']}" if found["hostname"] else None
    return [
        ("outcome", _cut(facts.outcome(run), most) if run.status != "finished" or run.error_type else ""),
        ("progress", facts.progress(run)),
        ("when", facts.took(run)),
        ("where", facts.join(run.call_site, machine, f"in project {project}" if project else None)),
        ("who", facts.join(found["actor"], f"(by {found['actor_source']})" if found["actor_source"] else None)),
        ("command", found["command"] or ""),
        ("session", facts.session(found)),
        ("links", _cut("\n".join(facts.links(run)), most)),
        ("model", "\n".join(facts.model(run))),
        ("optimizer", _cut("\n".join(optimizers), most)),
        ("data", _cut("\n".join(facts.dataset(data) for data in run.datasets), most)),
        ("seeds", facts.seeds(run)),
        ("random state", ", ".join(numbers)),
        ("determinism", _determinism(run)),
        ("code", facts.code(run)),
        ("environment", facts.environment(run)),
        ("threads", facts.threads(run)),
        ("tags", ", ".join(_tag(key, value) for key, value in run.tags.items())),
        ("notes", _cut("\n".join(notes), most)),
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


def _title(console: Console, word: str, rest: str = "") -> None:
    console.print(f"\n[bold]{word}[/]" + (f" [dim]{rest}[/]" if rest else ""))


def _params(run: RunRecord, console: Console, is_full: bool) -> None:
    from rich.columns import Columns
    from rich.text import Text

    everything, chosen = run.params, run.chosen
    if not everything:
        return
    # The line of the optimizer says these.
    has_optimizers = bool(run.optimizers) and not is_full
    told = everything if is_full else chosen
    told = {key: value for key, value in told.items() if not (has_optimizers and key.startswith("optimizer."))}
    most = len(told) if is_full else 24
    defaults = len(everything) - len(chosen)
    rest = [f"{defaults} left at their default" if defaults else ""]
    rest += [f"{len(chosen) - len(told)} of the optimizer above" if len(told) < len(chosen) and not is_full else ""]
    rest += [f"{len(told) - most} more with --params" if len(told) > most else ""]
    _title(console, "Params", ", ".join(filter(None, rest)))
    cells = []
    for key, value in list(told.items())[:most]:
        text = Text("  ").append(common.plain(key)).append(" = ", style="dim")
        text.append(common.plain(common.value_text(value, 1000 if is_full else 60)))
        cells.append(text)
    half = console.width // 2 - 2
    if console.width < _SIDE_BY_SIDE or is_endless():
        half = console.width
    if not is_full:
        for text in cells:
            text.truncate(half, overflow="ellipsis")
    if half == console.width:
        for text in cells:
            console.print(text, soft_wrap=is_endless())
    else:
        console.print(Columns(cells, padding=(0, 2), column_first=True))
    results = list(run.results.items())
    if results:
        _title(
            console, "Results", f"{len(results) - _FEW} more with --full" if len(results) > _FEW > 0 == is_full else ""
        )
        for key, value in results if is_full else results[:_FEW]:
            text = Text("  ").append(common.plain(key)).append(" = ", style="dim")
            console.print(text.append(common.plain(common.value_text(value, 400 if is_full else 70))))


def _metrics(run: RunRecord, console: Console, is_full: bool) -> None:
    summaries = sorted(run.summaries, key=lambda s: s["split"] == "system")
    if not summaries:
        return
    own = [s for s in summaries if s["split"] != "system"]
    shown, main = summaries if is_full else own[:14], main_of(summaries, run.main_metric)
    hidden = [(len(own) - len(shown), "more"), (len(summaries) - len(own), "of the machine")]
    rest = ", ".join(f"{n} {what}" for n, what in hidden if n > 0)
    _title(console, "Metrics", f"{rest} with --full" if rest and not is_full else "")
    has_epochs = any(s["last_epoch"] is not None for s in shown)
    best_title = "mean" if run.kind in ("candidate", "validate") else "best"
    columns = [
        Column("  metric", least=14),
        Column("split", rank=3),
        Column("points", rank=2, is_right=True),
        *(Column(title, is_right=True) for title in ("last", best_title, "at epoch" if has_epochs else "at step")),
        Column("not finite", is_right=True),
        Column("curve", rank=1),
    ]
    curve_width = 24 if console.width >= 96 else 10 if console.width >= 72 else 6
    rows = []
    for s in shown:
        texts = [s["split"] or "", f"{s['count']:,}", *_last_and_best(run, s, has_epochs)]
        odd = Cell(f"{s['nonfinite']:,}" if s["nonfinite"] else "", "error")
        curve = common.sparkline(run.outline(s["name"]), curve_width)
        name = Cell(("* " if s is main else "  ") + common.plain(s["name"]), "bold" if s is main else "")
        rows.append([name, *map(Cell, texts), odd, Cell(curve, "running")])
    _table(columns, rows)
    if any(texts[4].text.endswith(_MEAN) for texts in rows):
        click.echo(f"  {_MEAN} the best mean: of an epoch, or of a part where no epochs are known")


def _table(columns: list[Column], rows: list[list[Cell]]) -> None:
    """Print a table in which numbers and ids are never cut."""
    for line in lines(columns, rows, width()) if rows else []:
        click.echo(line, color=True)


def _last_and_best(run: RunRecord, summary: Mapping[str, Any], has_epochs: bool) -> tuple[str, str, str]:
    last, best = summary["last_special"] or common.number(summary["last"]), best_of(run, summary)
    mean = mean_of_folds(run, summary)
    if mean is not None:
        return last, common.number(mean), "–"
    if best is None:
        return last, "–", "–"
    epoch = None
    if has_epochs:
        epoch = best.epoch if best.mean_of else run.epoch_at(summary["name"], best.step)
    step = common.number(best.step)
    at = facts.epoch(run.framework, epoch) if epoch is not None else f"step {step}" if has_epochs else step
    return last, common.number(best.value) + (_MEAN if best.mean_of else ""), at


def _children(run: RunRecord, console: Console, is_full: bool) -> None:
    """The runs inside it: what varies, and the best of each; the best of all on top."""
    children = run.children
    if not children:
        return
    most = len(children) if is_full else _FEW
    beyond = beyond_of(run.history, [run.id]).get(run.id, 0)
    count = (
        f"{len(children)}" if not beyond else f"{len(children) + beyond}, of which {beyond} stand in the results only"
    )
    rest = count + (f", the best {most}; all with --full" if len(children) > most else "")
    _title(console, "Children", rest)
    rows, varied, title = ranked(children)
    columns = [
        Column("  run"),
        Column("name", least=8),
        Column("status", rank=1),
        Column("took", rank=2, is_right=True),
        Column(common.plain(title or "best"), is_right=True),
        *(Column(common.plain(name), rank=3 + n, is_right=True) for n, name in enumerate(varied[:4])),
    ]
    table = []
    for child, params, value in rows[:most]:
        told = [common.value_text(params[key], 24) if key in params else "–" for key in varied[:4]]
        texts = [common.seconds(child.duration_s), common.number(value), *map(common.plain, told)]
        head = [
            Cell(f"  {short_id(child.id)}"),
            Cell(common.plain(child.name) if is_endless() else cut(common.plain(child.name), 40)),
            Cell(child.status, child.status),
        ]
        table.append([*head, *map(Cell, texts)])
    _table(columns, table)


def ranked(
    children: list[RunRecord],
) -> tuple[list[tuple[RunRecord, dict[str, Any], float | None]], list[str], str | None]:
    """Runs with their params and the best of what ranks most of them, best first; what varies; what ranks them."""
    outcomes = outcomes_of(children[0].history, {child.id: child.main_metric for child in children})
    names = [one.name for one in outcomes.values() if one is not None]
    title = max(dict.fromkeys(names), key=names.count) if names else None
    params = {child.id: child.params for child in children}
    keys = dict.fromkeys(key for values in params.values() for key in values)
    varied = [key for key in keys if len({repr(values.get(key, "")) for values in params.values()}) > 1]
    rows, sign = [], 0
    for child in children:
        one = outcomes[child.id]
        is_ranked = one is not None and one.name == title
        sign = one.direction if one is not None and is_ranked else sign
        rows.append((child, params[child.id], one.best if one is not None and is_ranked else None))
    if sign:
        rows.sort(key=lambda row: (row[2] is None, -sign * (row[2] or 0)))
    return rows, varied, title


def _texts(run: RunRecord, console: Console, is_full: bool) -> None:
    from rich.text import Text

    stderr = "\n".join(facts.stderr(run))
    for title, text, style in (("Traceback", run.traceback, "red"), ("Last lines of stderr", stderr, "dim")):
        if text:
            lines = common.plain(text.rstrip()).splitlines()
            most = len(lines) if is_full else _LINES // 2
            _title(console, title, f"its last {most} lines; all with --traceback" if len(lines) > most else "")
            console.print(Text("\n".join(lines[-most:]), style=style))


def _all_params(run: RunRecord) -> None:
    rows = run.as_json()["params_told"]
    for row in rows:
        click.echo(common.plain(f"{row['key']} = {common.value_text(row['value'], 10_000)}  ({row['source']})"))
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
    if code is not None and code["details"].get("diff_masked"):
        click.echo("# secrets in it are masked", err=True)
    for text in [*lacking(run), *facts.others_changed(code)]:
        click.echo(f"# {text}", err=True)


def _packages(run: RunRecord) -> None:
    for name, version in run.packages.items():
        click.echo(common.plain(f"{name}=={version}"))
    if not run.packages:
        click.echo("packages were not recorded", err=True)


def _trace(run: RunRecord) -> None:
    stderr = facts.stderr(run)
    for text in filter(None, [run.traceback, *stderr]):
        click.echo(common.plain(text.rstrip()))
    if not run.traceback and not stderr:
        click.echo("no traceback and no stderr were recorded", err=True)
