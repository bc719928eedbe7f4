"""Programs that record in processes of their own, and what is then in the store."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from histhooks.verify import verify


def start(store: Path, program: str, **variables: str) -> subprocess.Popen[str]:
    ours = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": ""}
    # Since 3.12 Python warns of a fork beside any thread, and the writer is one (README, "What it does not do").
    ours["PYTHONWARNINGS"] = "ignore:This process:DeprecationWarning"
    environment = {**os.environ, **ours, **variables}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=store.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def record(store: Path, program: str, **variables: str) -> tuple[int, str, str]:
    process = start(store, program, **variables)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def rows(store: Path, sql: str, *values: Any) -> list[Any]:
    connection = sqlite3.connect(store)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def assert_fits(store: Path) -> None:
    report = verify(store)
    assert report.problems == []


def assert_lasts(store: Path, name: str) -> None:
    """A run that somebody else settled has the length that its ends tell."""
    sql = "SELECT duration_s, (julianday(ended_at) - julianday(started_at)) * 86400 FROM runs WHERE name = ?"
    ((told, seen),) = rows(store, sql, name)
    assert told == pytest.approx(seen, abs=0.01)
    assert told >= 0.0
