"""What verbs share: how a store is named, how times and numbers look."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from histhooks.history import History

F = TypeVar("F", bound=Callable[..., Any])
STYLES = {"finished": "green", "running": "cyan", "failed": "bold red", "killed": "red", "lost": "red"}


def store_option(function: F) -> F:
    """The option that names a store."""
    return click.option("--store", metavar="PATH", help="The store to read; by default the one found here.")(function)


def json_option(function: F) -> F:
    """The option that asks for JSON."""
    return click.option("--json", "as_json", is_flag=True, help="JSON for programs.")(function)


def split_store(words: tuple[str, ...], store: str | None) -> tuple[tuple[str, ...], str | None]:
    """Take a store's path from the first argument, where it is one."""
    if store is None and words and (words[0].endswith(".db") or Path(words[0]).is_file()):
        return words[1:], words[0]
    return words, store


def open_history(store: str | None) -> History:
    """Open the store that a person meant."""
    from histhooks.history import History

    return History(store)


def console() -> Console:
    """The terminal."""
    from rich.console import Console

    return Console(highlight=False)


def print_json(value: Any) -> None:
    """Write JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def number(value: Any) -> str:
    """A number as people read it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def seconds(value: float | None) -> str:
    """A duration as people read it."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes} min {rest:02} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def size(value: int | None) -> str:
    """A size as people read it."""
    if value is None:
        return "–"
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def when(text: str | None) -> str:
    """A time in the person's own zone, short."""
    if not text:
        return "–"
    moment = datetime.fromisoformat(text).astimezone()
    today = datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")


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
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    bars = "▁▂▃▄▅▆▇█"
    return "".join(bars[int((v - low) / (high - low) * 7) if high > low else 3] for v in means)


def value_text(value: Any, width: int = 60) -> str:
    """A param as people read it."""
    if isinstance(value, dict) and len(value) <= 2 and next(iter(value), "").startswith("$"):
        inner = next(iter(value.values()))
        if isinstance(inner, str):
            return inner.rpartition(".")[2] + ("()" if "$object" in value else "")
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= width else text[: width - 1] + "…"
