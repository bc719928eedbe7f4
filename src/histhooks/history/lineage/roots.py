"""What a person means by a run, a file, a hash or a version, as the root of a lineage."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from histhooks.errors import QueryError
from histhooks.history._models import is_version_name, version_named
from histhooks.history.lineage.graph import FILE, RUN, VERSION
from histhooks.history.query.selectors import find
from histhooks.history.query.whence import is_hash, whence

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_LONG_ID = 36  # of a run
_MOST_NAMED = 5
# Content by its hash. What has several names for one content, as data has, is found by each.
_BY_HASH = """
SELECT DISTINCT kind, id FROM (
SELECT 'file' AS kind, sha256 AS id, sha256 AS hash FROM artifacts WHERE sha256 >= ?1 AND sha256 < ?2
UNION ALL SELECT 'file', sha256, sha256 FROM file_reads WHERE sha256 >= ?1 AND sha256 < ?2
UNION ALL SELECT 'data', id, id FROM datasets WHERE id >= ?1 AND id < ?2
UNION ALL SELECT 'data', id, content_hash FROM datasets WHERE content_hash >= ?1 AND content_hash < ?2
UNION ALL SELECT 'data', dataset_id, digest FROM dataset_digests WHERE digest >= ?1 AND digest < ?2
UNION ALL SELECT 'version', id, id FROM model_versions WHERE id = ?1
) LIMIT 50
"""


def root_of(reader: Reader, text: str, *, has_files: bool = True) -> tuple[str, str]:
    """Kind and id of what a person names: a version NAME@V, a RUN, a FILE on this machine, or a hash, in this order.

    Parameters
    ----------
    reader : Reader
    text : str
    has_files : bool
        Whether the text may be a path here.

    Raises
    ------
    QueryError
        If it is none of these, or could be several.
    """
    if is_version_name(reader, text):
        return VERSION, version_named(reader, text).id
    why: QueryError | None = None
    if len(text) <= _LONG_ID or not is_hash(text):
        try:
            return RUN, find(reader, text)["id"]
        except QueryError as error:
            why = error
    if has_files and os.path.exists(text):
        return FILE, _of_file(reader, text)
    found = by_hash(reader, text)
    if found is not None:
        return found
    if why is not None:
        known = "no file here and no hash" if has_files else "no hash"
        raise QueryError(f"{text!r} is {known} that is known, and {why}") from why
    raise QueryError(f"no file, data or version in {reader.place} has a hash that begins with {text}")


def by_hash(reader: Reader, text: str, kind: str | None = None) -> tuple[str, str] | None:
    """Kind and id of the content whose hash this is, or begins so; None if there is none.

    Raises
    ------
    QueryError
        If several contents have it.
    """
    low = text.lower()
    if not is_hash(low) and len(low) != _LONG_ID:
        return None
    rows = reader.sql(_BY_HASH, low, f"{low}g")
    found = [(row["kind"], row["id"]) for row in rows if kind in (None, row["kind"])]
    exact = [pair for pair in found if pair[1] == low]
    if exact:
        found = exact[:1]
    if len(found) > 1:
        named = ", ".join(f"{kind} {key[: max(12, len(low) + 4)]}" for kind, key in found[:_MOST_NAMED])
        count = "50 or more" if len(rows) == 50 else str(len(found))
        raise QueryError(f"{count} contents have a hash that begins with {text}: {named}; write more of it")
    return found[0] if found else None


def _of_file(reader: Reader, text: str) -> str:
    try:
        found = whence(reader, text)
    except OSError as error:
        raise QueryError(f"{text} cannot be read ({error.strerror})") from error
    is_known = bool(found.made or found.read or found.versions)
    if found.sha256 is None or not is_known:
        raise QueryError(
            f"no run in {reader.place} is known to have made or read {found.path}"
            + (", although one wrote other content there" if found.overwritten else "")
        )
    # Of a file in a folder that was recorded, the folder is what runs wrote and read.
    (row,) = reader.sql("SELECT count(*) AS n FROM artifacts WHERE sha256 = ?", found.sha256)
    if row["n"] or found.versions or any("location" in each for each in found.read):
        return found.sha256
    return _folder_of(reader, (found.made or found.read)[0])


def _folder_of(reader: Reader, row: dict[str, str]) -> str:
    sql = "SELECT sha256, path FROM run_artifacts WHERE run_id = ? ORDER BY length(path) DESC"
    for each in reader.sql(sql, row["id"]):
        if row["path"] == each["path"] or row["path"].startswith(f"{each['path']}/"):
            return str(each["sha256"])
    return row["sha256"]
