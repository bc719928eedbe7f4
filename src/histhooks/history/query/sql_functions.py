"""Python functions for use in SQL: the value in a param's JSON, a settled status, words inside a text."""

from __future__ import annotations

import json
import re
import sqlite3
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import proxy

from histhooks._base.clock import from_iso
from histhooks._base.vocabulary import RUNNING
from histhooks.history._ranking import best_value

if TYPE_CHECKING:
    from histhooks.history._reader import Reader


def register(history: Reader, connection: sqlite3.Connection) -> None:
    """Teach a connection our functions; all but `hh_settled` depend on their arguments only."""
    for name, count, function in (
        ("hh_number", 1, number),
        ("hh_text", 1, text),
        ("hh_short", 1, short),
        ("hh_truth", 1, truth),
        ("hh_like", 2, like),
        ("hh_at", -1, at),
        ("hh_contains", 2, contains),
        ("hh_span", 2, span),
        ("hh_micros", 1, micros),
    ):
        connection.create_function(name, count, function, deterministic=True)
    # The garbage collector cannot see what a connection holds: a history that its own functions hold never closes.
    history = proxy(history)
    connection.create_function("hh_best", 2, lambda run_id, name: _best(history, run_id, name))
    connection.create_function("hh_settled", 1, lambda session_id: history.settled(session_id, RUNNING))


def _best(history: Reader, run_id: str, name: str) -> float | None:
    """The best value of a metric by the rule for all."""
    for row in history.sql("SELECT * FROM metric_summaries WHERE run_id = ? AND name = ?", run_id, name):
        best = best_value(history, run_id, row)
        return None if best is None else best.value
    return None


@lru_cache(maxsize=4096)
def _loaded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def number(value: str | None) -> float | None:
    """The number that JSON holds, also as text (`"0.1"`, as argparse leaves it) or as `{"$float": "inf"}`."""
    if not value or value[0] in "tfn[":
        return None
    held = _loaded(value) if value[0] in '"{' else value
    if isinstance(held, dict):
        held = held.get("$float")
    if held is None or isinstance(held, (list, dict)):
        return None
    try:
        return float(held)  # nan is NULL to SQLite, and so matches nothing
    except (ValueError, OverflowError):
        return None


def text(value: str | None) -> str | None:
    """What JSON holds, as a person writes it: a text without quotes, a number, the dotted name of a class."""
    if value is None or value[:1] not in '"{n':
        return value
    held = _loaded(value)
    if held is None or isinstance(held, str):
        return held
    if isinstance(held, dict):
        for key in ("$float", "$callable", "$object"):
            if isinstance(held.get(key), str):
                return str(held[key])
    return value


def short(value: str | None) -> str | None:
    """The name of a class or a function without its module."""
    held = _loaded(value) if value is not None and value[:1] == "{" else None
    if isinstance(held, dict):
        for key in ("$callable", "$object"):
            if isinstance(held.get(key), str):
                return str(held[key]).rpartition(".")[2]
    return text(value)


def truth(value: str | None) -> int | None:
    """1 for true, 0 for false, also as text; None for anything else."""
    held = _loaded(value) if value is not None and value[:1] in ("t", "f", '"') else None
    if isinstance(held, str):
        held = {"true": True, "false": False}.get(held.lower())
    return int(held) if isinstance(held, bool) else None


def at(value: str | None, *keys: str) -> str | None:
    """What lies under some keys of a JSON object, as JSON."""
    held = None if value is None else _loaded(value)
    for key in keys:
        held = held.get(key) if isinstance(held, dict) else None
    return None if held is None else json.dumps(held, sort_keys=True, separators=(",", ":"))


def span(start: str, end: str | None) -> float | None:
    """Seconds between two moments."""
    return None if end is None else max(0.0, (from_iso(end) - from_iso(start)) / 1e6)


def micros(moment: str) -> int:
    """A column `…_at` as a column `time` has it."""
    return from_iso(moment)


def like(value: Any, pattern: str) -> int | None:
    """Whether a text has another in it, or fits a pattern with `*` or `?` as a whole; upper and lower case alike."""
    if value is None:
        return None
    folded = str(value).casefold()
    if "*" in pattern or "?" in pattern:
        return int(_compiled(pattern.casefold()).match(folded) is not None)
    return int(pattern.casefold() in folded)


def contains(value: str | None, word: str) -> bool:
    """Whether a text has a word in it, in any alphabet; JSON keeps what is not ASCII as escapes."""
    if value is None:
        return False
    if "\\u" in value:
        value = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), value)
    return word.casefold() in value.casefold()


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))
