"""The one list of tables is held to the schema, and to what is made of it."""

import sqlite3
from importlib import resources

import pytest

from histhooks._store.tables import COVERED, FOLDS, TABLES, of_kind


@pytest.fixture(scope="module")
def schema() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(resources.files("histhooks._store").joinpath("schema.sql").read_text(encoding="utf-8"))
    return connection


def columns_of(schema: sqlite3.Connection, table: str) -> dict[str, int]:
    """Columns with their place in the primary key."""
    return {row[1]: row[5] for row in schema.execute(f"PRAGMA table_info({table})")}


def test_every_table_of_the_schema_has_an_entry_and_no_other(schema: sqlite3.Connection) -> None:
    rows = schema.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    assert {name for (name,) in rows} == set(TABLES)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_an_entry_says_what_the_schema_says(schema: sqlite3.Connection, table: str) -> None:
    spec, columns = TABLES[table], columns_of(schema, table)
    named = {name for name, place in columns.items() if place}
    assert set(spec.columns) <= set(columns)
    assert set(spec.personal) <= set(columns)
    assert spec.author is None or spec.author in spec.personal
    assert set(spec.key) <= set(columns)
    if spec.scope:
        schema.execute(f"SELECT {spec.scope} FROM {table} ORDER BY {spec.order}")
    if spec.kind == "row":
        # Every column is covered, a personal one by the commitment to it.
        assert set(columns) == set(spec.columns) | set(spec.personal)
        assert {f"{column}_sha256" for column in spec.personal} <= set(spec.columns)
        assert "ordinal" in columns
        assert spec.by_session == ({"session_id", "ordinal"} < named), "ordinals count per what the key says"
    if spec.kind == "content":
        assert set(columns) == set(spec.columns)
        assert spec.scope in named, "known by its content"
        assert spec.named_by, "nobody would know when it is no longer needed"
    if spec.kind == "fold":
        assert named == {"id"}


@pytest.mark.parametrize("table", of_kind("content"))
def test_what_names_shared_content_can_be_asked(schema: sqlite3.Connection, table: str) -> None:
    for each in COVERED[table].named_by:
        schema.execute(f"SELECT {each.column} FROM {each.table} WHERE {each.owner} IS NOT NULL")


def test_what_a_state_names_is_a_column_of_a_run_or_a_session(schema: sqlite3.Connection) -> None:
    known = set().union(*(columns_of(schema, table) for table in FOLDS))
    assert {spec.state_column for spec in TABLES.values() if spec.state_column} <= known


def test_columns_that_name_shared_content_are_known_to_its_entry(schema: sqlite3.Connection) -> None:
    """Each foreign key to shared content stands in `named_by`, so that deletion and export follow it."""
    for table in TABLES:
        for row in schema.execute(f"PRAGMA foreign_key_list({table})"):
            target, column = row[2], row[3]
            if TABLES[target].kind == "content" and TABLES[table].kind != "content":
                named = {(each.table, each.column) for each in COVERED[target].named_by}
                states = any(each.table == "states" and column in each.column for each in COVERED[target].named_by)
                assert (table, column) in named or states, (table, column)
