"""Each question that stands in the code of the reading rooms is one that PostgreSQL answers too."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import histhooks
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.curves import asked_series
from histhooks.team.postgres.translating import translated

SOURCE = Path(histhooks.__file__).parent
ROOMS = ("history", "checks", "cli", "ui", "report", "plot", "models", "monitor", "evidence", "reproduce", "_views")


def questions(path: Path) -> Iterator[str]:
    """The statements of a module that stand there whole, or are put together from its constants."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = ".".join(("histhooks", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    module = vars(importlib.import_module(name))
    whole = [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.BinOp))]
    inner = {id(part) for node in whole for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        if id(node) in inner or not isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)):
            continue
        try:
            text = eval(compile(ast.Expression(node), str(path), "eval"), {"__builtins__": {}}, module)
        except Exception:  # put together from what only a call knows
            continue
        if isinstance(text, str) and re.match(r"\s*(SELECT|WITH)\s", text) and "{" not in text and " FROM " in text:
            yield f"{text} TRUE" if text.rstrip().endswith("WHERE") else text


def modules() -> list[Path]:
    parts_of_others = "_best_sql.py"  # what stands there is about a table of the question around it
    return [path for room in ROOMS for path in sorted((SOURCE / room).rglob("*.py"))
            if path.name != parts_of_others]  # fmt: skip


@pytest.fixture(scope="module")
def asked() -> dict[str, str]:
    pytest.importorskip("starlette")
    return {text: path.name for path in modules() for text in questions(path)}


def test_they_are_found(asked: dict[str, str]) -> None:
    assert len(asked) > 100


def test_postgresql_plans_each(asked: dict[str, str], target: str) -> None:
    import psycopg

    database = target_of(target)
    assert isinstance(database, Database)
    problems = []
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(f"SET search_path = {database.schema}, pg_catalog, pg_temp")
        for text, place in asked.items():
            if asked_series(text) is None:
                statement = translated(text).sql
                places = [int(each) for each in re.findall(r"\$(\d+)", statement)]
                try:
                    psycopg.RawCursor(connection).execute(f"EXPLAIN {statement}", [None] * max(places, default=0))
                except psycopg.Error as error:
                    problems.append(f"{place}: {text}\n{str(error).splitlines()[0]}")
    assert not problems, "\n\n".join(problems)
