"""docs/reference/schema.md says what schema.sql says, of every table, view and column."""

import importlib.util
import re
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

from histhooks._store.stamp import SCHEMA_VERSION

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def make_schema() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_schema", ROOT / "docs" / "tools" / "make_schema.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes(make_schema: ModuleType) -> None:
    written = (ROOT / "docs" / "reference" / "schema.md").read_text(encoding="utf-8")
    assert written == make_schema.page(), "run `python docs/tools/make_schema.py`"


def test_the_page_says_what_each_version_changed(make_schema: ModuleType) -> None:
    rows = re.findall(r"^\| (1\.\d+) \|(.*)\|$", make_schema.page(), re.MULTILINE)
    assert [version for version, _ in rows] == [f"1.{minor}" for minor in range(SCHEMA_VERSION % 1000 + 1)]
    assert all(changed.strip() for _, changed in rows[1:])


def test_every_table_view_and_column_is_on_the_page_with_a_meaning(make_schema: ModuleType) -> None:
    sections = make_schema.page().split("\n### ")[1:]
    shown = {
        text.splitlines()[0]: {
            cells[1].strip(): cells[4].strip()
            for cells in (line.split("|") for line in text.splitlines() if line.startswith("| "))
            if cells[1].strip() != "column"
        }
        for text in sections
    }
    db = sqlite3.connect(":memory:")
    db.executescript((ROOT / "src" / "histhooks" / "_store" / "schema.sql").read_text(encoding="utf-8"))
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    assert sorted(shown) == sorted(names)
    for name in names:
        columns = [row[1] for row in db.execute(f'PRAGMA table_info("{name}")')]
        assert list(shown[name]) == columns
        assert all(shown[name].values()), name
    db.close()


def test_a_comment_behind_a_check_of_several_lines_belongs_to_its_column(make_schema: ModuleType) -> None:
    sql = "CREATE TABLE t (\n  a TEXT, -- first\n  b TEXT CHECK (\n    b IN ('x', 'y')\n  ), -- second\n  UNIQUE (a)\n)"
    assert make_schema.comments_of(sql) == {"a": "first", "b": "second"}
    assert make_schema.choices_of(sql, "b") == ["x", "y"]
    assert make_schema.choices_of(sql, "a") == []
