"""docs/reference/sql.md is true: every query of the page gives the same rows in each tool that is here."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import programs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "sql.md"
PROGRAM = """
import histhooks
histhooks.autolog()
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True)
for C in (0.1, 1.0):
    LogisticRegression(C=C, max_iter=500).fit(X, y)
with histhooks.start_run("loop", params={"lr": 0.1}) as run:
    for step, loss in enumerate([1.0, 0.5, float("nan"), 0.25]):
        run.log({"loss": loss, "val_loss": 2.0 - step / 10}, step=step)
try:
    LogisticRegression(C=-1).fit(X, y)
except ValueError:
    pass
"""


def questions() -> dict[str, str]:
    found, title, query = {}, "", None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            title = line[3:]
        elif line == "```sql":
            query = []
        elif line == "```" and query is not None:
            found[title], query = "\n".join(query), None
        elif query is not None:
            query.append(line)
    return found


QUESTIONS = questions()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sklearn")
    path = tmp_path_factory.mktemp("sql") / "histhooks.db"
    programs.script(path, PROGRAM)
    return path


@pytest.fixture
def connection(store: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    yield connection
    connection.close()


def plain(rows: Any) -> list[list[Any]]:
    """Rows as JSON would have them, so that tools with types of their own compare."""
    return [[None if isinstance(v, float) and math.isnan(v) else v for v in row] for row in rows]


@pytest.mark.parametrize("title", QUESTIONS)
def test_a_question_has_an_answer(title: str, connection: sqlite3.Connection) -> None:
    rows = connection.execute(QUESTIONS[title]).fetchall()
    assert rows
    text = repr(rows)
    telling = {
        "Which runs did best?": "val_loss",
        "What was a run trained with?": "'lr', '0.1'",
        "Which runs saw the same data?": "150, 4, 3",
        "What went wrong, and what was not recorded?": "InvalidParameterError",
        "The curve of a metric": "None, 'nan'",
    }
    assert telling.get(title, "CPython") in text


@pytest.mark.parametrize("title", QUESTIONS)
def test_the_sqlite3_shell_gives_the_same_rows(title: str, store: Path, connection: sqlite3.Connection) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("the sqlite3 shell is not installed")
    done = subprocess.run(
        ["sqlite3", "-readonly", "-json", str(store), QUESTIONS[title]], capture_output=True, text=True, check=True
    )
    rows = [list(row.values()) for row in json.loads(done.stdout)]
    assert rows == plain(connection.execute(QUESTIONS[title]).fetchall())


@pytest.mark.parametrize("title", QUESTIONS)
def test_pandas_gives_the_same_rows(title: str, connection: sqlite3.Connection) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_sql(QUESTIONS[title], connection)
    expected = plain(connection.execute(QUESTIONS[title]).fetchall())
    assert plain(frame.astype(object).where(frame.notna(), None).to_numpy().tolist()) == expected


@pytest.mark.parametrize("title", QUESTIONS)
def test_duckdb_gives_the_same_rows(title: str, store: Path, connection: sqlite3.Connection) -> None:
    duckdb = pytest.importorskip("duckdb")
    extensions = pytest.importorskip("duckdb_extensions")
    database = duckdb.connect()
    extensions.import_extension("sqlite_scanner", con=database)
    database.execute("LOAD sqlite_scanner")
    database.execute(f"ATTACH '{store}' AS history (TYPE sqlite, READ_ONLY)")
    database.execute("USE history")
    rows = plain(database.execute(QUESTIONS[title]).fetchall())
    database.close()
    # Where the order leaves rows equal, it is the tool's own.
    assert sorted(rows, key=repr) == sorted(plain(connection.execute(QUESTIONS[title]).fetchall()), key=repr)


def test_datasette_shows_runs_with_their_sessions_and_answers_the_questions(
    store: Path, connection: sqlite3.Connection
) -> None:
    pytest.importorskip("datasette")

    def get(path: str) -> Any:
        command = [sys.executable, "-m", "datasette", str(store), "--get", path]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)

    tables = {table["name"]: table for table in get("/histhooks.json")["tables"]}
    assert {"runs", "sessions", "params"} <= set(tables)
    (run, *_) = get("/histhooks/params.json?_labels=on&_shape=array&_size=1")
    assert "LogisticRegression" in run["run_id"]["label"]  # a run is shown by its name
    from urllib.parse import quote

    title = "Which runs did best?"
    rows = get(f"/histhooks.json?_shape=arrays&sql={quote(QUESTIONS[title])}")["rows"]
    assert rows == plain(connection.execute(QUESTIONS[title]).fetchall())


def test_the_page_has_questions() -> None:
    assert len(QUESTIONS) >= 5
