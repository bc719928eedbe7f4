"""Write runs as JSON, CSV and Parquet, from a store that contains only them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from histhooks._base.clock import iso, now_us
from histhooks._base.version import __version__
from histhooks._store.name_search import pattern_of
from histhooks.errors import QueryError
from histhooks.history import History, RunRecord

FORM = "histhooks-export-1"
COLUMNS = ("run_id", "run_name", "name", "metric", "split", "step", "epoch", "time", "value")
_AT_ONCE = 50_000
# Accounts and hosts that are words of the trade, too: they are taken out of paths only.
_WORDS = frozenset("root user admin ubuntu runner jovyan train valid test model data localhost".split())

Scrub = Callable[[str], str]


def scrubber(people: dict[str, set[str]]) -> Scrub:
    """What takes the names of people and machines out of a text.

    Parameters
    ----------
    people : dict of str to set of str
        `username`, `hostname` and `actor`.

    Returns
    -------
    callable
        Home folders become `~`, names `[user]`, `[host]` and `[actor]`.
    """
    users = sorted(people.get("username", ()), key=len, reverse=True)
    homes = "|".join(
        [r"/root(?=[/\\\"'\s:]|$)"] + [rf"(?:/home/|/Users/|[A-Za-z]:\\Users\\){re.escape(u)}(?!\w)" for u in users]
    )
    steps = [(re.compile(homes), "~")]
    for column, shown in (("actor", "[actor]"), ("hostname", "[host]"), ("username", "[user]")):
        pattern = pattern_of(people.get(column, set()) - _WORDS)
        if pattern is not None:
            steps.append((pattern, shown))

    def scrub(text: str) -> str:
        for pattern, shown in steps:
            text = pattern.sub(shown, text)
        return text

    return scrub


def as_it_is(text: str) -> str:
    """The text."""
    return text


def write_json(history: History, path: Path, scrub: Scrub, *, is_anonymous: bool) -> None:
    """Complete records with points; a number that is not finite is `"nan"`, `"inf"` or `"-inf"`."""

    head = {"form": FORM, "histhooks": __version__, "exported_at": iso(now_us()), "anonymous": is_anonymous}
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "runs": [')
        for number, run in enumerate(_in_order(history)):
            record = {**run.as_json(), "packages": _packages(run), "points": _points_of(history, run.id)}
            file.write((",\n" if number else "\n") + json.dumps(plain(record, scrub), ensure_ascii=False, default=str))
        file.write("\n]}\n")


def plain(value: Any, scrub: Scrub) -> Any:
    """A value as JSON can hold it, its texts scrubbed; keys stay."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(inner, scrub) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner, scrub) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float)) else scrub(str(value))


def _in_order(history: History) -> list[RunRecord]:
    return sorted(history.runs(), key=lambda run: (run.row["started_at"], run.id))


def _packages(run: RunRecord) -> dict[str, str | None]:
    sql = "SELECT name, version FROM packages WHERE environment_id = ? ORDER BY name"
    rows = run.history.sql(sql, run.session["environment_id"])
    return {row["name"]: row["version"] for row in rows}


def _points_of(history: History, run_id: str) -> dict[str, dict[str, list[Any]]]:
    found: dict[str, dict[str, list[Any]]] = {}
    sql = "SELECT name, step, epoch, time, value, special FROM metrics WHERE run_id = ? ORDER BY name, n"
    for name, step, epoch, time, value, special in history.cursor(sql, run_id):
        columns = found.setdefault(name, {"step": [], "epoch": [], "time": [], "value": []})
        for column, item in zip(columns.values(), (step, epoch, time, special or value), strict=True):
            column.append(item)
    return found


def _rows(history: History, scrub: Scrub) -> Iterator[tuple[Any, ...]]:
    sql = (
        "SELECT m.name, m.metric, m.split, m.step, m.epoch, m.time, m.value, m.special FROM metrics AS m "
        "WHERE m.run_id = ? ORDER BY m.name, m.n"
    )
    for run in _in_order(history):
        name = scrub(run.name)
        for row in history.cursor(sql, run.id):
            yield (run.id, name, *row)


def write_csv(history: History, path: Path, scrub: Scrub) -> None:
    """A line a point; a value that is not finite is `nan`, `inf` or `-inf`, times are microseconds UTC."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((*row[:8], row[9] or repr(row[8])) for row in _rows(history, scrub))


def check_parquet() -> None:
    """Whether Parquet can be written.

    Raises
    ------
    QueryError
        If pyarrow is missing.
    """
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise QueryError("Parquet needs pyarrow, which is missing: pip install 'histhooks[parquet]', or write .csv")


def write_parquet(history: History, path: Path, scrub: Scrub) -> None:
    """A row a point, as in CSV; a value that is not finite is one."""
    import pyarrow
    from pyarrow import parquet

    text, number = pyarrow.string(), pyarrow.int64()
    kinds = (text, text, text, text, text, number, number, pyarrow.timestamp("us", tz="UTC"), pyarrow.float64())
    schema = pyarrow.schema(list(zip(COLUMNS, kinds, strict=True)), metadata={"histhooks": FORM})
    with parquet.ParquetWriter(path, schema) as writer:
        columns: list[list[Any]] = [[] for _ in COLUMNS]
        for row in _rows(history, scrub):
            for column, item in zip(columns, (*row[:8], row[8] if row[9] is None else float(row[9])), strict=True):
                column.append(item)
            if len(columns[0]) == _AT_ONCE:
                writer.write_table(_table(pyarrow, columns, schema))
                columns = [[] for _ in COLUMNS]
        writer.write_table(_table(pyarrow, columns, schema))


def _table(pyarrow: Any, columns: list[list[Any]], schema: Any) -> Any:
    arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pyarrow.Table.from_arrays(arrays, schema=schema)
