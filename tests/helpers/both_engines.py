"""Every question that any test makes the reading code ask of a file, asked of PostgreSQL's planner too.

Where a server is named by HISTHOOKS_TEST_POSTGRESQL. Questions that stand whole in the code are held by
tests/team/test_words_of_both_engines.py in any case; this adds those that are put together.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import histhooks
from helpers.postgresql import ANOTHER

SOURCE = str(Path(histhooks.__file__).parent)
_SEVERAL = re.compile(r"\?(, \?)+")
Asked = dict[str, tuple[str, tuple[Any, ...]]]


@contextmanager
def remembered() -> Iterator[Asked]:
    """The questions that SQLite answered meanwhile, each once, with where it was asked and its values."""
    from histhooks.history._reader import Reader

    asked: Asked = {}

    def watched(method: Any) -> Any:
        @wraps(method)
        def ask(self: Any, query: str, *values: Any) -> Any:
            answer = method(self, query, *values)
            place = sys._getframe(1).f_code
            if place.co_filename.startswith(SOURCE) and not self.is_there:
                asked.setdefault(
                    _SEVERAL.sub("?, ?", query), (f"{place.co_filename}: {place.co_name}", (query, *values))
                )
            return answer

        return ask

    before = Reader.sql, Reader.cursor
    Reader.sql, Reader.cursor = map(watched, before)  # type: ignore[method-assign, assignment]
    try:
        yield asked
    finally:
        Reader.sql, Reader.cursor = before  # type: ignore[method-assign]


def check(asked: Asked) -> None:
    """Let PostgreSQL plan them; fails with those that it refuses."""
    if asked and os.environ.get(ANOTHER):
        problems = refused(os.environ[ANOTHER], asked)
        assert not problems, "\n\n".join(problems)


def refused(address: str, asked: Asked) -> list[str]:
    """Those of some questions that PostgreSQL refuses, each with why."""
    import psycopg

    from histhooks import team
    from histhooks.team.postgres.curves import asked_series
    from histhooks.team.postgres.dialect import encoded
    from histhooks.team.postgres.translating import translated

    schema = f"hh_words_{os.getpid()}"
    team.init(f"{address}{'&' if '?' in address else '?'}histhooks_schema={schema}")
    problems = []
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"SET search_path = {schema}, pg_catalog, pg_temp")
        for place, (query, *values) in asked.values():
            if query.startswith("PRAGMA data_version") or asked_series(query) is not None:
                continue
            statement = translated(query)
            try:
                psycopg.RawCursor(connection).execute(f"EXPLAIN {statement.sql}", [encoded(value) for value in values])
            except psycopg.Error as error:
                problems.append(f"{place}\n{query}\n{str(error).splitlines()[0]}")
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
    return problems
