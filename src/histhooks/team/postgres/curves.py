"""Curves of a target, held in memory: columns of chunks are fetched once, and questions of one series answered here.

So thinning, windows and smoothing read what they would of a file, and compute from the same buckets.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from histhooks._store.folds import LEVELS, Roller, bucket_of
from histhooks.team.postgres import chunks

_OF_ONE = re.compile(r"\bFROM (?:points|rollups) WHERE series = \?")
_FROM = re.compile(r"\bFROM (?!\()")
_OF_N = re.compile(r"\bn (?:(BETWEEN) (?:\?|\d+) AND (?:\?|\d+)|(>=|<=|=|<|>) (?:\?|\d+)|IN \([?, ]+\))")
_PART = LEVELS[0]
_FRESH_S = 0.25  # so long a series that was just looked at is not looked at again, if nothing else was asked since
_MOST_POINTS = 2_000_000
_LAST = "SELECT chunk, count FROM point_chunks WHERE series = $1 ORDER BY chunk DESC LIMIT 1"
_CHUNKS = "SELECT chunk, {} FROM point_chunks WHERE series = $1 AND chunk = ANY($2::bigint[])"
# As PostgreSQL sends arrays, in one piece: psycopg would make an object of each value, one after the other.
_COLUMNS = {
    "steps": "array_send(steps)", "epochs": "array_send(epochs)", "times": "array_send(times)",
    "values": 'array_send("values")', "specials": "specials",
}  # fmt: skip
_PLACES = (
    "SELECT c.steps[p.place], c.epochs[p.place], c.times[p.place] FROM unnest($2::bigint[], $3::bigint[]) "
    "WITH ORDINALITY AS p(chunk, place, n) JOIN point_chunks AS c ON c.series = $1 AND c.chunk = p.chunk ORDER BY p.n"
)
_TABLES = """
CREATE TABLE points (series INTEGER NOT NULL, n INTEGER NOT NULL, step INTEGER, epoch INTEGER, time INTEGER NOT NULL,
  value REAL, special TEXT, PRIMARY KEY (series, n)) STRICT, WITHOUT ROWID;
CREATE TABLE rollups (series INTEGER NOT NULL, level INTEGER NOT NULL, bucket INTEGER NOT NULL, first_step INTEGER,
  last_step INTEGER, count INTEGER, min REAL, max REAL, mean REAL, PRIMARY KEY (series, level, bucket))
  STRICT, WITHOUT ROWID;
"""
Fetch = Callable[..., list[Any]]


def asked_series(query: str) -> int | None:
    """The place of the value that names the series, if a question is of the points of one series alone."""
    found = _OF_ONE.search(query)
    if found is None or len(_FROM.findall(query)) != 1:
        return None
    return query.count("?", 0, found.end()) - 1


class _Known:
    """What is known of a series: columns of its chunks, and of which parts the points are in the table."""

    __slots__ = ("age", "columns", "count", "filled", "is_whole", "looked_at", "rolled", "roller", "turn")

    def __init__(self) -> None:
        self.count = self.rolled = 0
        self.looked_at = float("-inf")
        self.age = self.turn = -1
        self.roller = Roller()
        self.columns: dict[str, dict[int, Any]] = {name: {} for name in _COLUMNS}
        self.filled: set[int] = set()
        self.is_whole = False

    def rows(self, part: int) -> Iterator[tuple[Any, ...]]:
        """The points of a part."""
        chunk, place = divmod(part, chunks.SIZE // _PART)
        begin, end = place * _PART, place * _PART + _PART
        columns = (self.columns[name][chunk] for name in _COLUMNS)
        return chunks.rows(part * _PART, *(None if column is None else column[begin:end] for column in columns))

    def missing(self, name: str, wanted: Iterable[int]) -> set[int]:
        """The chunks among some of which a column is not here yet."""
        return set(wanted) - self.columns[name].keys()

    def grow(self, count: int) -> None:
        """Points came: what was known of the chunk that was not full is not the whole of it."""
        for column in self.columns.values():
            column.pop(self.count // chunks.SIZE, None)
        self.filled.discard(self.count // _PART)
        self.is_whole = False
        self.count = count


class _Gone(Exception):
    """Chunks of a series were deleted after it was looked at."""


class Curves:
    """Points and their buckets, in memory.

    Attributes
    ----------
    age, turn : int
        With another one, each series is looked at again.
    """

    def __init__(self) -> None:
        self.age = self.turn = 0
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.executescript(_TABLES)
        self._known: dict[int, _Known] = {}

    def close(self) -> None:
        """Forget all."""
        self._connection.close()
        self._known.clear()

    def ask(self, query: str, values: Sequence[Any], place: int, fetch: Fetch) -> sqlite3.Cursor:
        """The answer to a question of one series."""
        series = values[place]
        self._of(series, fetch, lambda known: self._bring(series, known, query, values, fetch))
        self._connection.execute("PRAGMA query_only = ON")  # a person may ask anything
        try:
            return self._connection.execute(query, values)
        finally:
            self._connection.execute("PRAGMA query_only = OFF")

    def extremes(self, series: int, low: int, high: int, part: int, fetch: Fetch) -> list[tuple[Any, ...]]:
        """The rows of points that thinning keeps, as `histhooks.history.curves.thinning` says which they are.

        Parameters
        ----------
        series : int
        low, high : int
            The first point and the last.
        part : int
            How many points make one part of the series.
        fetch : callable
        """
        found: list[tuple[Any, ...]] = []

        def bring(known: _Known) -> None:
            wanted = range(low // chunks.SIZE, high // chunks.SIZE + 1)
            self._need(series, known, ("values", "specials"), wanted, fetch)
            kept = _extremes(known, low, min(high, known.count - 1), part)
            places = [divmod(n, chunks.SIZE) for n, _, _ in kept]
            given = [chunk for chunk, _ in places], [place + 1 for _, place in places]
            rest = fetch(_PLACES, series, *given) if kept else []
            if len(rest) < len(kept):
                raise _Gone
            found[:] = [
                (n, n if step is None else step, epoch, moment, value, special)
                for (n, value, special), (step, epoch, moment) in zip(kept, rest, strict=True)
            ]

        self._of(series, fetch, bring)
        return found

    def _of(self, series: int, fetch: Fetch, bring: Callable[[_Known], None]) -> None:
        """Bring what a question reads of a series; look at it anew if it was deleted meanwhile."""
        try:
            bring(self._looked_at(series, fetch))
        except _Gone:
            self._forget(series)
            bring(self._looked_at(series, fetch))

    def _bring(self, series: int, known: _Known, query: str, values: Sequence[Any], fetch: Fetch) -> None:
        if "FROM rollups" in query:
            self._roll(series, known, fetch)
        elif not known.is_whole:
            self._fill(series, known, _parts(query, values, known.count), fetch)

    def _looked_at(self, series: int, fetch: Fetch) -> _Known:
        known = self._known.pop(series, None) or _Known()
        now = time.monotonic()
        is_new = (known.age, known.turn) != (self.age, self.turn)
        if is_new or now - known.looked_at > _FRESH_S:
            known = self._fetched(series, known, fetch)
            known.age, known.turn, known.looked_at = self.age, self.turn, now
        self._known[series] = known  # the one that was asked last is last
        held = sum(each.count for each in self._known.values())
        while held > _MOST_POINTS and len(self._known) > 1:
            oldest = next(iter(self._known))
            held -= self._known[oldest].count
            self._forget(oldest)
        return known

    def _fetched(self, series: int, known: _Known, fetch: Fetch) -> _Known:
        found = fetch(_LAST, series)
        last = found[0][0] * chunks.SIZE + found[0][1] if found else 0
        if last < known.count:  # it was deleted, or restored as it was earlier
            self._forget(series)
            known = _Known()
        if last > known.count:
            known.grow(last)
        return known

    def _need(self, series: int, known: _Known, names: Sequence[str], wanted: Iterable[int], fetch: Fetch) -> None:
        """Have columns of some chunks here."""
        wanted = [*wanted]
        lacking = set().union(*(known.missing(name, wanted) for name in names))
        if not lacking:
            return
        selected = ", ".join(_COLUMNS[name] for name in names)
        rows = fetch(_CHUNKS.format(selected), series, sorted(lacking))
        if len(rows) < len(lacking):
            raise _Gone
        for chunk, *given in rows:
            length = min(known.count - chunk * chunks.SIZE, chunks.SIZE)  # more may have come since
            for name, column in zip(names, given, strict=True):
                made = chunks.received(column) if isinstance(column, bytes) else column
                known.columns[name][chunk] = made if made is None else made[:length]

    def _forget(self, series: int) -> None:
        self._known.pop(series, None)
        for table in ("points", "rollups"):
            self._connection.execute(f"DELETE FROM {table} WHERE series = ?", (series,))

    def _fill(self, series: int, known: _Known, parts: Iterable[int] | None, fetch: Fetch) -> None:
        """Bring the points of some parts into the table; of all, where None is given."""
        wanted = range(-(-known.count // _PART)) if parts is None else parts
        fresh = [part for part in wanted if part not in known.filled]
        if fresh:
            self._need(series, known, [*_COLUMNS], {part * _PART // chunks.SIZE for part in fresh}, fetch)
            sql = f"INSERT OR REPLACE INTO points VALUES ({series}, ?, ?, ?, ?, ?, ?)"
            self._connection.execute("BEGIN")
            self._connection.executemany(sql, chain.from_iterable(map(known.rows, fresh)))
            self._connection.execute("COMMIT")
            known.filled.update(fresh)
        known.is_whole = parts is None

    def _roll(self, series: int, known: _Known, fetch: Fetch) -> None:
        """The buckets of what came since they were made last."""
        fresh = range(known.rolled // _PART, known.count // _PART)
        if not fresh:
            return
        wanted = range(fresh[0] * _PART // chunks.SIZE, fresh[-1] * _PART // chunks.SIZE + 1)
        self._need(series, known, ("values", "specials", "steps"), wanted, fetch)
        full: list[tuple[Any, ...]] = []
        for part in fresh:
            chunk, place = divmod(part, chunks.SIZE // _PART)
            begin, end = place * _PART, place * _PART + _PART
            steps, values = known.columns["steps"][chunk], known.columns["values"][chunk]
            first, last = part * _PART, part * _PART + _PART - 1
            if steps is not None:  # NULL stands for n there too
                first, last = (
                    n if step is None else step for n, step in ((first, steps[begin]), (last, steps[end - 1]))
                )
            full += known.roller.add_bucket(bucket_of(part, first, last, values[begin:end]))
        known.rolled = known.count // _PART * _PART
        insert = f"INSERT OR REPLACE INTO rollups VALUES ({series}, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._connection.execute("BEGIN")
        self._connection.executemany(insert, full)
        self._connection.execute("COMMIT")


def _extremes(known: _Known, low: int, high: int, part: int) -> list[tuple[int, float | None, str | None]]:
    """Of each part the first least point and the first greatest, and the first and last that is not finite."""
    values, specials = known.columns["values"], known.columns["specials"]
    kept: list[tuple[int, float | None, str | None]] = []
    for number in range(low // part, high // part + 1):
        begin, end = max(low, number * part), min(high + 1, number * part + part)
        some: list[float | None] = []
        odd: list[tuple[int, float | None, str | None]] = []
        for chunk in range(begin // chunks.SIZE, (end - 1) // chunks.SIZE + 1):
            first = max(begin, chunk * chunks.SIZE)
            place, stop = first - chunk * chunks.SIZE, end - chunk * chunks.SIZE
            some += values[chunk][place:stop]
            if specials[chunk] is not None:
                words = chunks.words(specials[chunk][place:stop])
                odd += [(n, None, word) for n, word in enumerate(words, first) if word is not None]
        finite = [value for value in some if value is not None] if odd else some
        if finite:
            least, greatest = min(finite), max(finite)  # type: ignore[type-var]  # a copy without None takes longer
            kept += [(begin + some.index(value), value, None) for value in (least, greatest)]
        kept += [odd[0], odd[-1]] if odd else []
    return kept


@lru_cache(maxsize=256)
def _bounds(query: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What a question says of `n`: an operator, and where its values are; a written number as -1 minus it."""
    found = []
    for each in _OF_N.finditer(query):
        first = query.count("?", 0, each.start())
        places = []
        for word in re.findall(r"\?|\d+", each[0]):
            places.append(first if word == "?" else -1 - int(word))
            first += word == "?"
        found.append(((each[1] or each[2] or "IN").split(" ")[0], tuple(places)))
    return tuple(found)


def _parts(query: str, values: Sequence[Any], count: int) -> Iterable[int] | None:
    """The parts that a question reads; None if it may be any."""
    low, high = 0, count - 1
    for operator, places in _bounds(query):
        given = [values[place] if place >= 0 else -1 - place for place in places]
        if operator == "IN":
            return sorted({n // _PART for n in given if 0 <= n < count})
        if operator in ("=", "BETWEEN", ">=", ">"):
            low = max(low, given[0])
        if operator in ("=", "BETWEEN", "<=", "<"):
            high = min(high, given[-1])
    if (low, high) == (0, count - 1):
        return None
    return range(low // _PART, high // _PART + 1) if low <= high else ()
