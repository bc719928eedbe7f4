"""Verify a target from here: its rows are fetched and hashed, and its receipts have to fit them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from histhooks.team.postgres import receipts
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.connecting import asking, check_version, transaction
from histhooks.team.postgres.fetching import Fetching
from histhooks.team.postgres.standing import sees_a_part
from histhooks.verify import Report, verify


def verify_database(database: Database, **asked: Any) -> Report:
    """Verify a target.

    Parameters
    ----------
    database : Database
    **asked
        As :func:`histhooks.verify.verify` takes it.

    Returns
    -------
    Report

    Raises
    ------
    TeamError, StoreError, QueryError
    """
    with tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
        path = Path(folder) / "target.db"
        with (
            asking(database, is_reading=True) as connection,
            transaction(connection, database.schema, is_snapshot=True, role=database.role),
        ):
            check_version(connection, database, is_reading=True)
            fetching = Fetching(connection)
            fetching.into_file(path)
            sql = "SELECT session_id, seq, digest FROM ledger"
            lines = {(session_id, seq): digest for session_id, seq, digest in fetching.rows(sql)}
            found = list(receipts.problems(connection, lines, is_whole=not sees_a_part(connection)))
        report = verify(path, **{**asked, "kept_files": False})
        report.problems[:0] = found  # first: the rest often follows from them
        report.ok = report.ok and not found
        return report
