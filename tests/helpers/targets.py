"""Targets at PostgreSQL: what is wrong with one, and what stands in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from helpers.postgresql import ask_target
from helpers.team_stores import differences
from histhooks import team
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.witnessing import verify_database


def problems(target: str) -> list[str]:
    """What a verification of a target names."""
    database = target_of(target)
    assert isinstance(database, Database)
    return verify_database(database).problems


def new_target(postgresql: str) -> str:
    """A target in a schema of its own."""
    address = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema=hh_{uuid4().hex[:12]}"
    assert team.init(address)
    return address


def unlike(whole: Path, target: str, path: Path) -> dict[str, Any]:
    """Where a target differs from a file; which spools came home is a matter of files."""
    path.unlink(missing_ok=True)
    assert team.pull(target, into=path).ok
    found = differences(whole, path)
    found.pop("merged_spools", None)
    return found


def found_in(target: str, word: str) -> bool:
    """Whether a word stands anywhere in a target."""
    texts = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s"
    database = target_of(target)
    assert isinstance(database, Database)
    for table, column in ask_target(target, f"{texts} AND data_type = 'text'", database.schema):
        if ask_target(target, f"SELECT 1 FROM {table} WHERE strpos({column}, %s) > 0 LIMIT 1", word):
            return True
    return False
