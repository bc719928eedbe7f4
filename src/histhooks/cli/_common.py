"""What verbs share: how a store is named, how a status looks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from histhooks._text import finite, is_flat, number, plain, seconds, size, value_text, when

__all__ = ["number", "plain", "seconds", "size", "value_text", "when"]

if TYPE_CHECKING:
    from rich.console import Console

    from histhooks.history import History

F = TypeVar("F", bound=Callable[..., Any])
STYLES = {"finished": "green", "running": "cyan", "failed": "bold red", "killed": "red", "lost": "red"}


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
    if store is None and words and (words[0].endswith(".db") or _is_sqlite(words[0])):
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


def console() -> Console:
    """The terminal."""
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # who reads has enough, which is no failure

    return Ours(highlight=False)


@contextmanager
def progress(title: str, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far something long is, on stderr; None where that is no terminal.

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


def print_json(value: Any) -> None:
    """Write JSON; what is not finite as a word."""
    click.echo(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False, default=str))


def status(word: str) -> str:
    """A status in its colour; the word alone says it too."""
    style = STYLES.get(word, "yellow")
    return f"[{style}]{word}[/]"


def sparkline(values: list[float | None], width: int = 24) -> str:
    """A curve in one line: each column the mean of its part."""
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return ""
    columns = min(width, len(known))
    means = []
    for column in range(columns):
        part = known[column * len(known) // columns : (column + 1) * len(known) // columns]
        means.append(sum(v / len(part) for v in part))
    low, high = min(means), max(means)
    bars = "▁▂▃▄▅▆▇█"
    flat = is_flat(low, high)
    # Halved first: the span of very great values is no float.
    return "".join(bars[3 if flat else int((v / 2 - low / 2) / (high / 2 - low / 2) * 7)] for v in means)
