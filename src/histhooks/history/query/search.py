"""Search all text of a run: names, params, results, tags, notes, errors, files, metrics, events, and its hashes.

Plain scans: on a store of 73,000 runs they take a second or two (benchmarks/bench_reading.py), and a reader
cannot build an index, because it never writes to a store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks.errors import QueryError
from histhooks.history._records import RunRecord
from histhooks.history.query.hashes import READ_BEFORE
from histhooks.history.query.run_query import Query, rows_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

# Table, the run a row belongs to, and its texts with what each is called.
_OUTER = "JOIN runs AS o ON o.session_id = {}.{} AND o.parent_id IS NULL"
_SOURCES: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "runs AS x",
        "x.id",
        (
            ("name", "x.name"), ("project", "x.project"), ("group", "x.group_name"), ("framework", "x.framework"),
            ("model", "x.model_class"), ("call site", "x.call_site"), ("error", "x.error_type"),
            ("error", "x.error_message"), ("traceback", "x.traceback"),
        ),
    ),
    ("params AS x", "x.run_id", (("param", "x.key || ' = ' || trim(x.value, '\"')"),)),
    ("results AS x", "x.run_id", (("result", "x.key || ' = ' || trim(x.value, '\"')"),)),
    ("tags AS x", "x.run_id", (("tag", "x.key || ' = ' || coalesce(x.value, '')"),)),
    ("notes AS x", "x.run_id", (("note", "x.body"),)),
    ("run_artifacts AS x", "x.run_id", (("file", "x.path"), ("hash", "x.sha256"))),
    ("run_datasets AS x", "x.run_id", (("data", "x.name"), ("data", "x.source"))),
    ("run_datasets AS x JOIN datasets AS d ON d.id = x.dataset_id", "x.run_id",
     (("hash", "d.id"), ("hash", "d.content_hash"))),
    ("file_reads AS x", "x.run_id", (("file", "x.path"), ("hash", "x.sha256"))),
    (f"file_reads AS f {READ_BEFORE}", "o.id", (("file", "f.path"), ("hash", "f.sha256"))),
    ("dataset_digests AS x", "x.run_id", (("hash", "x.digest"),)),
    ("weights AS x", "x.run_id", (("hash", "x.digest"),)),
    ("metric_summaries AS x", "x.run_id", (("metric", "x.name"),)),
    ("optimizers AS x", "x.run_id", (("optimizer", "x.class_name"),)),
    ("events AS x", "x.run_id", (("event", "x.title"), ("event", "x.body"))),
    (f"events AS x {_OUTER.format('x', 'session_id')} AND x.run_id IS NULL", "o.id",
     (("event", "x.title"), ("event", "x.body"))),
    (f"sessions AS x {_OUTER.format('x', 'id')}", "o.id",
     (("command", "x.command"), ("folder", "x.cwd"), ("host", "x.hostname"), ("actor", "x.actor"),
      ("job", "x.job_id"))),
)  # fmt: skip
_ORDER = {"runs": "id", "sessions": "id", "metric_summaries": "name"}  # of the rest, the order of arrival
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{6,64}")
_AROUND = 40


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a word was found.

    Attributes
    ----------
    what : str
        `param`, `note`, `traceback`, …
    text : str
        The words with what stands around them, on one line.
    """

    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A run with what was found in it."""

    run: RunRecord
    hits: tuple[Hit, ...]


def search(history: Reader, text: str, query: Query, limit: int | None) -> tuple[list[Found], int]:
    """The newest runs that have all words of a text somewhere, and how many there are in all.

    Raises
    ------
    QueryError
        If there is no word in it.
    """
    words = list(dict.fromkeys(text.split()))
    if not words:
        raise QueryError("there is no word to look for")
    for word in words:
        sql, values = _anywhere(word)
        query.add(f"r.id IN ({sql})", *values)
    found, values = query.select("r.id")
    ids = [row["id"] for row in history.sql(found, *values)]
    shown = ids[:limit]
    hits = _hits(history, shown, words)
    return [Found(run, tuple(hits.get(run.id, ()))) for run in _records(history, shown)], len(ids)


def pattern_of(text: str) -> re.Pattern[str]:
    """Finds any word of a text, upper and lower case alike."""
    return re.compile("|".join(re.escape(word) for word in sorted(text.split(), key=len, reverse=True)), re.IGNORECASE)


def _records(history: Reader, ids: list[str]) -> list[RunRecord]:
    found = {row["id"]: row for row in rows_of(history, "SELECT * FROM runs WHERE id IN {}", ids)}
    return [RunRecord(history, found[i]) for i in ids]


def _condition(word: str, text: str) -> tuple[str, str]:
    """Whether a text has a word in it: LIKE knows upper and lower case of ASCII only."""
    if word.isascii():
        escaped = re.sub(r"([%_\\])", r"\\\1", word)
        return f"{text} LIKE ? ESCAPE '\\'", f"%{escaped}%"
    return f"hh_contains({text}, ?)", word


def _anywhere(word: str) -> tuple[str, list[Any]]:
    parts, values = [], []
    may_be_hash = _HEXADECIMAL.fullmatch(word) is not None
    for source, run, texts in _SOURCES:
        conditions = []
        for what, text in texts:
            if what == "hash" and not may_be_hash:
                continue
            condition, value = _condition(word, text)
            conditions.append(condition)
            values.append(value)
        if conditions:
            parts.append(f"SELECT {run} FROM {source} WHERE {' OR '.join(conditions)}")
    return " UNION ALL ".join(parts), values


def _hits(history: Reader, ids: list[str], words: list[str]) -> dict[str, list[Hit]]:
    pattern = pattern_of(" ".join(words))
    has_hash = any(map(_HEXADECIMAL.fullmatch, words))
    out: dict[str, dict[Hit, None]] = {}
    for source, run, texts in _SOURCES:
        columns = ", ".join(f"{text} AS c{number}" for number, (_, text) in enumerate(texts))
        order = _ORDER.get(source.partition(" ")[0], "ordinal")
        order = f"{source.split(' ')[2]}.{order}"
        sql = f"SELECT {run} AS run_id, {columns} FROM {source} WHERE {run} IN {{}} ORDER BY {order}"
        for row in rows_of(history, sql, ids):
            run_id, *values = row.values()
            for (what, _), value in zip(texts, values, strict=True):
                if what == "hash" and not has_hash:
                    continue
                text = "" if value is None else _readable(str(value))
                if pattern.search(text):
                    out.setdefault(run_id, {})[Hit(what, _around(text, pattern))] = None
    return {run_id: list(hits) for run_id, hits in out.items()}


def _readable(text: str) -> str:
    """JSON keeps what is not ASCII as escapes."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text) if "\\u" in text else text


def _around(text: str, pattern: re.Pattern[str]) -> str:
    """The line with a word, cut to what stands around it."""
    found = pattern.search(text)
    if found is None:
        return text[: 2 * _AROUND]
    begin = text.rfind("\n", 0, found.start()) + 1
    end = text.find("\n", found.end())
    end = len(text) if end < 0 else end
    left, right = max(begin, found.start() - _AROUND), min(end, found.end() + _AROUND)
    line = " ".join(text[left:right].split())
    return f"{'…' if left > begin else ''}{line}{'…' if right < end else ''}"
