"""Upgrade an old store in a separate process, since a training process must not import sqlite-utils."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

BUSY = 75  # exit code of a migration for which somebody held the store too long: EX_TEMPFAIL of sysexits.h
_TIMEOUT_S = 120.0
# What this program finds, that one finds too, after what it finds itself. Without the two that sqlite-utils looks for
# it takes half the time, and this program waits for it.
_PROGRAM = (
    "import runpy, sys; path, *folders = sys.argv[1:]; sys.path += folders; sys.argv[1:] = [path]; "
    "sys.modules |= {'numpy': None, 'pandas': None}; "
    "runpy.run_module('histhooks.migrations', run_name='__main__', alter_sys=True)"
)


def migrate_apart(path: Path) -> str:
    """Bring a store up to date, whoever else is trying to at the same moment.

    Parameters
    ----------
    path : Path
        The store.

    Returns
    -------
    str
        What stood in the way; empty if it is done.

    Raises
    ------
    sqlite3.OperationalError
        If somebody else holds the store.
    """
    if getattr(sys, "frozen", False) or not sys.executable:
        return "there is no interpreter beside this program"
    # -P: a file in the folder of the program may be called as one of the standard library's.
    command = [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM, os.path.abspath(path), *sys.path]
    try:
        # In a session of its own: Ctrl-C is for the program.
        done = subprocess.run(
            command, env={**os.environ, "HISTHOOKS": "off"}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_TIMEOUT_S, check=False, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    if done.returncode == BUSY:
        busy = sqlite3.OperationalError("database is locked")
        busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise busy
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return ""


def run_script(connection: sqlite3.Connection, script: Path) -> None:
    """Run a script inside the transaction that is open: ``executescript()`` would commit it."""
    statement = ""
    for line in script.read_text(encoding="utf-8").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
