"""Which contents runs had copied, and whether these copies can lie beside what is read at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from histhooks._store.kept_files import elsewhere, find

if TYPE_CHECKING:
    from histhooks.history._reader import Reader


def asked_by(reader: Reader, run_id: str) -> set[str]:
    """The contents that a run had copied."""
    rows = reader.sql("SELECT body FROM events WHERE run_id = ? AND kind = 'kept' AND body IS NOT NULL", run_id)
    return {json.loads(row["body"])["sha256"] for row in rows}


def was_asked(reader: Reader, sha256: str) -> bool:
    """Whether any run, or a promotion, had a content copied."""
    sql = (
        "SELECT 1 AS is_asked FROM model_versions WHERE sha256 = ? AND kept = 1 UNION ALL "
        "SELECT 1 FROM run_artifacts AS a JOIN events AS e ON e.run_id = a.run_id "
        "WHERE a.sha256 = ? AND e.kind = 'kept' AND e.body LIKE ? LIMIT 1"
    )
    return bool(reader.sql(sql, sha256, sha256, f"%{sha256}%"))


def look(contents: list[Any], reader: Reader, is_asked: Callable[[], bool]) -> dict[str, bool]:
    """Whether a file, or each file of a folder, is `kept`; else whether its copy is `lost` or `elsewhere`."""
    is_kept = all(sha256 and find(reader.beside, sha256) is not None for sha256 in contents)
    is_missing = not is_kept and is_asked()
    is_elsewhere = is_missing and _are_elsewhere(reader, contents)
    return {"kept": is_kept, "elsewhere": is_elsewhere, "lost": is_missing and not is_elsewhere}


def copies_of(reader: Reader) -> str:
    """Where copies are that are elsewhere: a folder or a bucket has them, a database does not."""
    if reader.is_target and not reader.is_there:
        return f"comes with `histhooks pull {reader.place}`"
    return "lies beside the store that it was recorded to"


def _are_elsewhere(reader: Reader, contents: list[Any]) -> bool:
    """Whether copies of contents that are not here lie beside another store.

    So it is at the target of a team, in a part of a history, and of what was pulled from a database.
    """
    if reader.is_target or reader.sql("SELECT 1 FROM exports WHERE kind = 'export' LIMIT 1"):
        return True
    named = elsewhere(reader.beside)
    return all(sha256 in named or (sha256 and find(reader.beside, sha256) is not None) for sha256 in contents)
