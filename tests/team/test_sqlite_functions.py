"""Functions that SQLite has give the same at a target: what a person asks of a file may be asked there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from histhooks import History
from histhooks.errors import QueryError

TIMES = (
    "'2026-11-30T13:29:59.123456Z'", "'2026-11-30T13:29:59.9996Z'", "'2026-11-30'", "'2026-02-28 23:59'",
    "'2024-02-29 10:00:00'", "'13:00'", "'2026-11-30 10:00+02:00'", "2460000.5", "1700000000", "'1700000000'",
    "'nonsense'", "''", "NULL", "'2026-13-01'", "'2026-11-30 25:00'", "'1969-12-31 23:59:59.5'",
    "'2026-11-30 10:00:60'", "1700000000.75", "'2026-11-30T'",
)  # fmt: skip
CHANGES = (
    "", "'+1 day'", "'-1 month'", "'+1 month', 'start of month'", "'start of year'", "'weekday 0'", "'weekday 1'",
    "'unixepoch'", "'+1.5 hours'", "'-30 seconds'", "'+2 years'", "'start of day'", "'+0.0004 seconds'", "'foo'",
    "NULL", "'-1.5 months'",
)  # fmt: skip
OF_TIMES = (
    "datetime({})", "date({})", "time({})", "julianday({})", "unixepoch({})",
    "strftime('%Y-%m-%d %H:%M:%f %S %j %s %w %W %%', {})",
)  # fmt: skip
OTHERS = (
    "printf('%.3f', 0.125)", "printf('%5.1f|%-6d|%06d|%+d|%,d', 3.14159, 42, -42, 7, 1234567)",
    "printf('%s %s', 1, 'x')", "printf('%s', NULL)", "printf('%d', '12abc')", "printf('%d', 12.9)",
    "printf('%f', 1.5)", "printf('%%')",
    "printf('%10s|%-10s|%.2s', 'abc', 'abc', 'abc')", "format('%.1f', 2.25)", "printf('%.3f', -0.0004)",
    "printf('%,d', 123)", "printf('% d', 5)", "printf('%.0f', 2.5)", "printf('%-5s|', NULL)",
    "typeof(1)", "typeof(1.5)", "typeof('x')", "typeof(NULL)", "typeof(1 > 0)", "typeof(1.0)",
    "typeof(2 * 3.0)", "iif(1 > 0, 'yes', 'no')",
)  # fmt: skip


@pytest.fixture
def there(target: str) -> Iterator[History]:
    with History(target) as history:
        yield history


def of_sqlite(expressions: list[str]) -> list[object]:
    with sqlite3.connect(":memory:") as connection:
        return list(connection.execute(f"SELECT {', '.join(expressions)}").fetchone())


def test_times_are_understood_and_changed_as_in_a_file(there: History) -> None:
    if sqlite3.sqlite_version_info < (3, 38):
        pytest.skip("SQLite has unixepoch() since 3.38")
    for time in TIMES:
        given = [", ".join(filter(None, (time, change))) for change in CHANGES]
        asked = [form.format(each) for each in given for form in OF_TIMES]
        found = list(there.cursor(f"SELECT {', '.join(asked)}").fetchone())
        assert dict(zip(asked, found, strict=True)) == dict(zip(asked, of_sqlite(asked), strict=True))


def test_values_are_printed_as_in_a_file(there: History) -> None:
    found = there.cursor(f"SELECT {', '.join(OTHERS)}").fetchone()
    assert dict(zip(OTHERS, found, strict=True)) == dict(zip(OTHERS, of_sqlite([*OTHERS]), strict=True))


def test_columns_of_a_history_are_taken(there: History) -> None:
    sql = "SELECT date(started_at) AS day, count(*), typeof(max(duration_s)) FROM runs GROUP BY day"
    assert there.sql(sql) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("datetime('now', 'localtime')", "'localtime' is computed by a file alone"),
        ("strftime('%q', 'now')", "strftime knows no %q"),
        ("printf('%g', 1.5)", "printf knows no %g"),
        ("date('2026-02-31')", "'2026-02-31' is a time that no calendar has"),
        ("rowid FROM runs", "rows of a target have no rowid"),
        ("nothing_such(1)", r"function nothing_such\(integer\) does not exist"),
    ],
)
def test_what_is_not_the_same_is_named(there: History, asked: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        there.sql(f"SELECT {asked}")
