"""``diff``: what changed between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from histhooks._base.ids import short_id
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from histhooks.history.compare.change import Change
    from histhooks.history.compare.differences import Differences, Part

_FEW, _PATCH_LINES = 24, 40
_CURVE = ("last", "best", "mean", "points", "not_finite", "first", "min", "max")


@click.command(epilog="Example: histhooks diff last~1 last --code")
@click.argument("words", nargs=-1, metavar="[STORE] A B")
@common.store_option
@click.option("--code", "is_whole", is_flag=True, help="Show the whole patch of the code, and all of each list.")
@click.option(
    "--tolerance", default=0.0, type=click.FloatRange(min=0), help="Relative tolerance; closer metrics are equal."
)
@common.json_option
@click.pass_context
def diff(
    ctx: click.Context, words: tuple[str, ...], store: str | None, is_whole: bool, tolerance: float, as_json: bool
) -> None:
    """Show what changed between two runs, the most important parts first.

    Exit code 0: nothing that counts differs; 1: something does; 2: the record is not enough to decide. Inputs and
    outcomes count; names, times, durations and paths do not.
    """
    words, store = common.split_store(words, store)
    if len(words) != 2:
        raise click.UsageError(f"diff takes two runs, not {len(words)}")
    with common.open_history(store) as history:
        found = history.diff(*words, tolerance=tolerance)
        if as_json:
            common.print_json(found.as_json())
        else:
            screen(found, is_whole=is_whole)
    ctx.exit({True: 1, False: 0, None: 2}[found.differs])


def screen(found: Differences, *, is_whole: bool = False) -> None:
    """Print what differs between two runs."""
    from rich.text import Text

    console = common.console()
    for name, run in (("A", found.a), ("B", found.b)):
        line = Text(f"{name}  ", style="bold").append(common.plain(run["name"]))
        line.append(f"  {short_id(run['id'])}  {common.when(run['started_at'])}  {run['status']}", style="not bold dim")
        console.print(line)
    for part in found.parts:
        patch = found.patch if part.name == "code" else None
        if part.changes or part.notes or (patch is not None and (patch.text or patch.notes)):
            _part(console, part, is_whole)
            if patch is not None:
                _patch(console, found, is_whole)
    unknown = [f"{part.name}: {why}" for part in found.parts for why in part.unknown]
    console.print()
    for label, texts in (("cannot tell", unknown), ("not captured", list(found.not_captured))):
        for text in texts:
            console.print(Text(f"{label}  ", style="yellow").append(common.plain(text), style="default"))
    if found.same:
        console.print(Text("same  ", style="dim").append(", ".join(found.same)))
    counted = [part.name for part in found.parts if any(change.counts for change in part.changes)]
    verdict = {
        True: f"They differ in {', '.join(counted)}.",
        False: "Nothing that counts differs.",
        None: "Nothing that is recorded differs, but not all that counts is recorded.",
    }[found.differs]
    console.print(Text(verdict, style="bold"))


def _part(console: Console, part: Part, is_whole: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"\n{part.name}", style="bold"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold", max_width=max(20, console.width * 2 // 5))
    grid.add_column(overflow="fold")
    shown = part.changes if is_whole else part.changes[:_FEW]
    for change in shown:
        style = "" if change.counts else "dim"
        mark = {"added": "+ ", "removed": "- ", "changed": "  "}[change.kind]
        colour = {"added": "green", "removed": "red", "changed": ""}[change.kind]
        key = Text(mark + common.plain(change.key), style=style or colour)
        grid.add_row(key, _curve(change) if part.name == "metrics" else _values(change, style))
    console.print(grid)
    if len(shown) < len(part.changes):
        console.print(Text(f"  … {len(part.changes) - len(shown)} more with --code", style="dim"))
    for note in part.notes:
        console.print(Text(f"  {common.plain(note)}", style="dim"))


def _values(change: Change, style: str) -> Text:
    from rich.text import Text

    texts = [_value(value, change.key) for value in (change.a, change.b)]
    if texts[0] == texts[1] and change.kind == "changed":  # they differ further down
        texts = [common.plain(common.value_text(value, 10_000)) for value in (change.a, change.b)]
    out = Text(style=style)
    if change.kind == "changed":
        out.append(texts[0], style="red").append(" → ", style="dim").append(texts[1], style="green")
    else:
        out.append(texts[1] if change.is_in_b else texts[0])
    if change.note:
        out.append(f"  ({common.plain(change.note)})", style="dim")
    if not change.counts:
        out.append("  (does not count)", style="dim")
    return out


def _value(value: Any, key: str) -> str:
    if key.endswith("_s") and isinstance(value, float):
        return common.seconds(value)
    if isinstance(value, str) and len(value) in (40, 64) and all(letter in "0123456789abcdef" for letter in value):
        return value[:12]
    if value is None or isinstance(value, float):
        return "none" if value is None else common.number(value)
    return common.plain(common.value_text(value, 80))


def _curve(change: Change) -> Text:
    """Last and best of a metric, and only what else differs."""
    from rich.text import Text

    out = Text(style="" if change.counts else "dim")
    if change.kind != "changed":
        row = change.b if change.is_in_b else change.a
        return out.append(f"last {common.number(row['last'])}, best {common.number(row['best'])}")
    a, b = change.a, change.b
    # A difference at the ends stands for the rest, too.
    differing = [key for key in _CURVE if a.get(key) != b.get(key)]
    told = [key for key in differing if key in _CURVE[:5]] or differing
    for key in told:
        out.append(f"{key.replace('_', ' ')} ", style="dim")
        out.append(f"{common.number(a.get(key))} → {common.number(b.get(key))}  ")
    if change.note:
        before, after = (each.get("mean") if each["best"] is None else each["best"] for each in (a, b))
        share = f" by {abs(after - before) / abs(before):.1%}" if before else ""
        out.append(f"{change.note}{share}", style="green" if change.note == "better" else "red")
    return out.append("" if change.counts else "(does not count)", style="dim")


def _patch(console: Console, found: Differences, is_whole: bool) -> None:
    from rich.text import Text

    patch = found.patch
    assert patch is not None
    for note in patch.notes:
        console.print(Text(f"  {common.plain(note)}", style="yellow"))
    lines = common.plain(patch.text or "").splitlines()
    added, removed = patch.n_lines
    if lines:
        what = "the patch from A to B" if patch.kind == "states" else "how the recorded diffs differ"
        console.print(Text(f"  {what}: +{added} −{removed}", style="dim"))
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines if is_whole else lines[:_PATCH_LINES]:
        is_head = line.startswith(("diff ", "index ", "--- ", "+++ ", "new file", "deleted file"))
        style = "bold" if is_head else styles.get(line[:1], "")
        console.print(Text(line, style=style), soft_wrap=True)
    if not is_whole and len(lines) > _PATCH_LINES:
        console.print(Text(f"… {len(lines) - _PATCH_LINES} more lines with --code", style="dim"))
