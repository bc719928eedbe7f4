"""The schema of a target is that of a store, in PostgreSQL's words."""

from __future__ import annotations

import importlib.util
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

from helpers.postgresql import ask_target

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "src" / "histhooks" / "_store" / "schema.sql"
TYPES = {"TEXT": "text", "INTEGER": "bigint", "REAL": "double precision", "BLOB": "bytea"}
OF_FILES = {"_sqlite_migrations"}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_what_the_script_writes() -> None:
    written = (ROOT / "src" / "histhooks" / "_store" / "schema_pg.sql").read_text(encoding="utf-8")
    assert written == script("make_schema_pg").text(), "run `python docs/tools/make_schema_pg.py`"


def test_a_target_has_every_table_view_column_type_and_comment_of_a_store(target: str) -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA.read_text(encoding="utf-8"))
    comments = {
        name: script("make_schema").comments_of(sql)
        for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    }
    sql = (
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation::text, "
        "col_description(a.attrelid, a.attnum), a.attnotnull FROM pg_attribute AS a "
        "WHERE a.attrelid = %s::regclass AND a.attnum > 0 ORDER BY a.attnum"
    )
    rows = db.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    for name, kind in rows:
        if name in OF_FILES:
            continue
        there = {column: rest for column, *rest in ask_target(target, sql, name)}
        columns = db.execute(f"PRAGMA table_info({name})").fetchall()
        assert [row[1] for row in columns] == list(there)[: len(columns)], name
        is_stored = kind == "table" and name not in ("points", "rollups")
        for _, column, declared, required, *_ in columns if is_stored else ():
            found, collation, comment, is_required = there[column]
            assert found == TYPES[declared], (name, column)
            assert is_required == bool(required), (name, column)
            assert comment == comments[name].get(column), (name, column)
            if found == "text":
                assert collation == '"C"', (name, column)
    db.close()


def test_init_twice_is_init_once_and_sql_is_what_it_runs(postgresql: str) -> None:
    from histhooks import team
    from histhooks.team._target import init_sql

    mark = "&" if "?" in postgresql else "?"
    made, printed = (f"{postgresql}{mark}histhooks_schema=hh_{id(object())}_{n}" for n in range(2))
    assert [team.init(made), team.init(made)] == [True, False]
    ask_target(printed, init_sql(printed))
    sql = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = %s "
        "ORDER BY 1, 2"
    )
    one, other = (ask_target(made, sql, address.rpartition("=")[2]) for address in (made, printed))
    assert one == other
    assert team.init(printed) is False


@pytest.mark.parametrize(
    ("text", "number", "words", "truth"),
    [
        ("0.1", 0.1, "0.1", None),
        ('"0.1"', 0.1, "0.1", None),
        ("true", None, "true", 1),
        ('"False"', None, "False", 0),
        ("null", None, None, None),
        ('{"$float":"inf"}', float("inf"), "inf", None),
        ('{"$callable":"a.b"}', None, "a.b", None),
        ("[1,2]", None, "[1,2]", None),
        ("-3e5", -3e5, "-3e5", None),
    ],
)
def test_functions_of_a_target_say_what_those_of_a_store_say(
    target: str, text: str, number: float | None, words: str | None, truth: int | None
) -> None:
    from histhooks.history.query import sql_functions

    assert ask_target(target, "SELECT hh_number(%s), hh_text(%s), hh_truth(%s)", text, text, text) == [
        (number, words, truth)
    ]
    assert (sql_functions.number(text), sql_functions.text(text), sql_functions.truth(text)) == (number, words, truth)
