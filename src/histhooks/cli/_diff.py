"""``diff``: what changed between two runs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.ids import short_id
from histhooks._views import change_words as words_of
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from histhooks.history import History
    from histhooks.history.compare.change import Change
    from histhooks.history.compare.differences import Differences, Part

_PATCH_LINES = 40


@click.command(epilog="Example: histhooks diff last~1 last --code")
@click.argument("words", nargs=-1, metavar="[STORE] A B")
@common.store_option
@click.option("--code", "is_whole", is_flag=True, help="Show the whole patch of the code, and all of each list.")
@click.option(
    "--without", multiple=True, metavar="NAME",
    help="Leave out a key, a part, or both, as params.lr; may be a pattern, and repeated. It does not count.",
)  # fmt: skip
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="Relative tolerance; closer metrics are equal. By default 0, and 1e-05 with --points.",
)
@click.option(
    "--points", "by_points", is_flag=True, help="Compare every point of every metric: the first step that differs."
)
@common.json_option
@click.pass_context
def diff(
    ctx: click.Context,
    words: tuple[str, ...],
    store: str | None,
    is_whole: bool,
    without: tuple[str, ...],
    tolerance: float | None,
    by_points: bool,
    as_json: bool,
) -> None:
    """Show what changed between two runs, the most important parts first.

    Exit code 0: nothing that counts differs; 1: something does; 2: the record is not enough to decide. Inputs and
    outcomes count; names, times, durations and paths do not.

    With --points, 0: all points, weights and results agree, bit by bit or within the tolerance; 1: they do not; 2:
    there is nothing to compare.
    """
    words, store = common.split_store(words, store)
    if len(words) != 2:
        raise click.UsageError(f"diff takes two runs, not {len(words)}")
    with common.open_history(store) as history:
        if by_points and without:
            raise click.UsageError("--points compares every point: it takes no --without")
        if by_points:
            ctx.exit(_points(history, words, tolerance, as_json))
        found = history.diff(*words, tolerance=tolerance or 0.0, without=without)
        if as_json:
            common.print_json({**found.as_json(), **_versions_json(history, words)})
        else:
            screen(found, is_whole=is_whole, names=[_version_name(history, word) for word in words])
    ctx.exit({True: 1, False: 0, None: 2}[found.differs])


def _points(history: History, words: tuple[str, ...], tolerance: float | None, as_json: bool) -> int:
    """Compare point by point, and give the exit code."""
    from histhooks.cli._points import reasons
    from histhooks.cli._points import screen as points_screen
    from histhooks.history.compare.causes import causes, stage_of

    runs = [history.run(word) for word in words]
    found = history.agreement(*runs, tolerance=1e-5 if tolerance is None else tolerance)
    why = causes(runs[0], runs[1], found)
    if as_json:
        stage = None if found.level == "bits" else stage_of(found, why)
        common.print_json({**found.as_json(), "stage": stage, "causes": [each.as_json() for each in why]})
    else:
        points_screen(found)
        reasons(common.console(), found, why)
    return 2 if found.level is None else int(not found.reaches("curve"))


def _version_name(history: History, word: str) -> str:
    """The version of a model that a word names, with what points to it; empty if it names a run."""
    from histhooks.history._models import is_version_name

    if not is_version_name(history, word):
        return ""
    version = history.version(word)
    aliases = history.model(version.model).aliases_of(version)
    live = f" ({', '.join(aliases)})" if aliases else ""
    return f"{version.name}{live}, sha256 {version.sha256[:12]}"


def _versions_json(history: History, words: tuple[str, ...]) -> dict[str, Any]:
    from histhooks.history._models import is_version_name

    found = [history.version(word).as_json() if is_version_name(history, word) else None for word in words]
    return {"versions": dict(zip("ab", found, strict=True))} if any(found) else {}


def screen(found: Differences, *, is_whole: bool = False, names: Sequence[str] = ("", "")) -> None:
    """Print what differs between two runs, or between two versions of models by their names."""
    from rich.text import Text

    console = common.console()
    for name, run, version in zip("AB", (found.a, found.b), names, strict=True):
        line = (
            Text(f"{name}  ", style="bold").append(f"{version}: " if version else "").append(common.plain(run["name"]))
        )
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
    console.print(Text(words_of.verdict(found), style="bold"))


def _part(console: Console, part: Part, is_whole: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"\n{part.name}", style="bold"))
    shown = part.changes if is_whole else words_of.few(part)
    most = max(20, console.width * 2 // 5)
    keys = [_folded(common.plain(change.key), most) for change in shown]
    grid = Table.grid()
    grid.add_column(no_wrap=True)
    # Its width is its own: else a long value takes it, and keys are folded for which there was room.
    grid.add_column(no_wrap=True, width=max((len(line) for key in keys for line in key.split("\n")), default=1) + 2)
    grid.add_column(overflow="fold")
    for change, key in zip(shown, keys, strict=True):
        style = "" if change.counts else "dim"
        mark = {"added": "+ ", "removed": "- ", "changed": "  "}[change.kind]
        colour = {"added": "green", "removed": "red", "changed": ""}[change.kind]
        told = _curve(change) if part.name == "metrics" else _values(change, style)
        grid.add_row(Text(mark, style=style or colour), Text(key, style=style or colour), told)
    console.print(grid)
    if len(shown) < len(part.changes):
        console.print(Text(f"  … {len(part.changes) - len(shown)} more with --code", style="dim"))
    for note in part.notes:
        wrapped = textwrap.wrap(
            common.plain(note), console.width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
        )
        for line in wrapped:
            console.print(Text(line, style="dim"))


def _folded(key: str, room: int) -> str:
    """A name in lines that fit, broken where a word of it ends if there is such a place."""
    lines = []
    while len(key) > room:
        place = key.rfind(" ", room // 3, room + 1) + 1
        place = place or max(key.rfind(sign, room // 3, room) for sign in "._/") + 1
        lines.append(key[: place or room].rstrip())
        key = key[place or room :]
    return "\n".join([*lines, key])


def _values(change: Change, style: str) -> Text:
    from rich.text import Text

    a, b = words_of.values(change)
    out = Text(style=style)
    if change.kind == "changed":
        out.append(a, style="red").append(" → ", style="dim").append(b, style="green")
    else:
        out.append(b or a)
    if change.note:
        out.append(f"  ({common.plain(change.note)})", style="dim")
    if not change.counts:
        out.append("  (does not count)", style="dim")
    return out


def _curve(change: Change) -> Text:
    """Last and best of a metric, and only what else differs."""
    from rich.text import Text

    out = Text(style="" if change.counts else "dim")
    told = words_of.curve(change)
    if change.kind != "changed":
        return out.append(", ".join(f"{label} {a or b}" for label, a, b in told))
    for label, a, b in told:
        out.append(f"{label} ", style="dim")
        out.append(f"{a} → {b}  ")
    gain = words_of.gain(change)
    out.append(gain, style="green" if gain.startswith("better") else "red")
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
