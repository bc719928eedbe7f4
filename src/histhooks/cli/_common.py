"""Shared by the verbs: how a store is named, how a status looks."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from histhooks._base.text import finite, is_flat, number, plain, seconds, size, value_text, when
from histhooks._base.vocabulary import GRADES
from histhooks._host.store_location import is_target

__all__ = ["number", "plain", "seconds", "size", "value_text", "when"]

if TYPE_CHECKING:
    from rich.console import Console

    from histhooks.history import History

F = TypeVar("F", bound=Callable[..., Any])
_STYLES = {"good": "green", "going": "cyan", "failure": "bold red", "bad": "red", "doubtful": "yellow"}


def store_option(function: F) -> F:
    """The option that names a store."""
    return click.option("--store", metavar="PATH", help="The store to read; by default the one found here.")(function)


def written_store_option(function: F) -> F:
    """The option that names a store that is written to."""
    return click.option("--store", metavar="PATH", help="The store to write to; by default the one found here.")(
        function
    )


def json_option(function: F) -> F:
    """The option that asks for JSON."""
    return click.option("--json", "as_json", is_flag=True, help="JSON for programs.")(function)


def split_store(words: tuple[str, ...], store: str | None) -> tuple[tuple[str, ...], str | None]:
    """Take a store's path from the first argument, where it is one."""
    if store is None and words and (words[0].endswith(".db") or is_target(words[0]) or _is_sqlite(words[0])):
        return words[1:], words[0]
    return words, store


def _is_sqlite(word: str) -> bool:
    """Whether a word is the path of an SQLite file, and not by chance that of another one (a script called `train`)."""
    try:
        with Path(word).open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except (OSError, ValueError):
        return False


def open_history(store: str | None) -> History:
    """Open the store that a person meant."""
    from histhooks.history import History

    history = History(store)
    history.tell = lambda text: click.echo(f"histhooks: {text}", err=True)
    return history


_FILL = re.compile(r"[ ]+(?=\n)")


def console() -> Console:
    """The terminal."""
    from rich.console import Console

    from histhooks._views.table import is_endless, width

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # the reader has closed the output, which is not an error

        def _render_buffer(self, buffer: Any) -> str:
            text = super()._render_buffer(buffer)
            # In a pipe a table is as wide as its longest cell: what fills the other rows would fill a screen of `less`.
            return _FILL.sub("", text) if is_endless() else text

    return Ours(highlight=False, width=width(), height=shutil.get_terminal_size((80, 24)).lines)


@contextmanager
def progress(title: str, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far something long is, on stderr; None if that is no terminal.

    Yields
    ------
    callable or None
        To be called with how many are done and how many there are.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Write JSON; what is not finite as a word. Without an indent it is one line, as of a program that goes on."""
    is_ascii = not can_show("→")  # what a program reads must not lose a sign
    click.echo(json.dumps(finite(value), indent=indent, ensure_ascii=is_ascii, allow_nan=False, default=str))


def can_show(sign: str) -> bool:
    """Whether standard output takes a sign."""
    try:
        sign.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return True


def status(word: str) -> str:
    """A status in its colour; the word alone says it too."""
    style = _STYLES[GRADES.get(word, "doubtful")]
    return f"[{style}]{word}[/]"


def sparkline(values: list[float | None], width: int = 24) -> str:
    """A curve in one line: each column the mean of its part, × where no value of it is finite."""
    if len(values) < 2 or all(v is None for v in values):
        return ""
    columns = min(width, len(values))
    means: list[float | None] = []
    for column in range(columns):
        start, stop = (place * len(values) // columns for place in (column, column + 1))
        part = [v for v in values[start:stop] if v is not None]
        # From the least on, so that the mean of equal values is that value.
        least, n = min(part, default=0.0), len(part)
        means.append(least + sum(v / n - least / n for v in part) if part else None)
    known = [v for v in means if v is not None]
    low, high = min(known), max(known)
    bars = "▁▂▃▄▅▆▇█"
    if is_flat(low, high):
        return "".join("×" if v is None else bars[3] for v in means)
    # Halved first: the span of very great values is no float.
    shares = (None if v is None else (v / 2 - low / 2) / (high / 2 - low / 2) for v in means)
    return "".join("×" if share is None else bars[int(share * 7 + 1e-9)] for share in shares)


_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}


def interval_s(option: str, text: str) -> float:
    """The seconds that an option means by `10s`, `500ms`, `2m`, or a number alone.

    Raises
    ------
    click.UsageError
        If it is no time.
    """
    found = _INTERVAL.fullmatch(text.strip())
    if found is None:
        raise click.UsageError(f"{option} {text}: that is no time; write 10s, 500ms or 2m")
    return float(found[1]) * _SECONDS[found[2]]
