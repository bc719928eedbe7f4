"""Runs and files that a promotion holds: what was live stays for the time that `[tool.histhooks.models]` says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from histhooks._base.clock import iso, now_us
from histhooks._base.text import when
from histhooks._store.graves import LISTED
from histhooks.curate._models_config import configured

_SQL = """
SELECT v.run_id, v.sha256, v.model || '@' || v.number AS name, e.alias, max(e.time) AS time
FROM model_events AS e JOIN model_versions AS v ON v.id = e.version_id
WHERE e.action IN ('promote', 'rollback') AND e.time > ? {} GROUP BY v.id, e.alias ORDER BY time DESC"""
_LISTED = LISTED.format("?")


class Promoted(NamedTuple):
    """A version that was promoted, and not long ago.

    Attributes
    ----------
    run_id : str or None
    sha256 : str
    name, alias : str
    time : int
        Of the last promotion, in microseconds UTC.
    """

    run_id: str | None
    sha256: str
    name: str
    alias: str
    time: int

    def why(self) -> str:
        """Why it stays, in words."""
        return f"{self.name} was promoted to {self.alias} {when(iso(self.time))}"


def kept_for() -> str:
    """For how long what was promoted stays, in words."""
    days = configured().retention_s / 86_400
    return f"{days / 365.25:.3g} years" if days > 731 else f"{days:.3g} days"


def promoted_runs(connection: sqlite3.Connection, run_ids: Iterable[str]) -> list[Promoted]:
    """Of some runs, those that a promotion holds, the latest promotion first."""
    return _found(connection, f"AND v.run_id {_LISTED}", json.dumps(list(run_ids)))


def promoted_files(connection: sqlite3.Connection, contents: Iterable[str]) -> list[Promoted]:
    """Of some files or folders, those that a promotion holds."""
    return _found(connection, f"AND v.sha256 {_LISTED}", json.dumps(list(contents)))


def _found(connection: sqlite3.Connection, which: str, listed: str) -> list[Promoted]:
    oldest = now_us() - int(configured().retention_s * 1e6)
    return [Promoted(*row) for row in connection.execute(_SQL.format(which), (oldest, listed))]
