"""The canonical form of what a ledger covers. docs/ledger.md is its specification; change neither without the other.

Shared by who writes and who verifies; imports neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

from histhooks._encoding import encoder_of

if TYPE_CHECKING:
    from histhooks._entries import Point

FORM = "histhooks-ledger-1"


class TableSpec(NamedTuple):
    """How the rows of one table enter the ledger.

    Attributes
    ----------
    columns : tuple of str
        Covered columns, in the order of the canonical form.
    scope : str
        SQL expression of the scope that a row belongs to.
    order : str
        SQL expression that orders the rows of one part; its first column where a part has one row only.
    by_session : bool
        Whether ordinals count per writing session, which the row names.
    """

    columns: tuple[str, ...]
    scope: str
    order: str = "1"
    by_session: bool = False


_RUN_OR_SESSION = "coalesce(run_id, session_id)"

TABLES: dict[str, TableSpec] = {
    "states": TableSpec(
        ("subject_id", "session_id", "ordinal", "time", "subject", "state"), "subject_id", by_session=True
    ),
    "run_links": TableSpec(
        ("run_id", "session_id", "ordinal", "kind", "other_run_id", "sha256", "time"), "run_id", by_session=True
    ),
    "params": TableSpec(("run_id", "ordinal", "key", "value", "source", "time"), "run_id"),
    "results": TableSpec(("run_id", "ordinal", "key", "value", "time"), "run_id"),
    "optimizers": TableSpec(
        ("id", "run_id", "ordinal", "position", "class_name", "settings", "scheduler", "time"), "run_id"
    ),
    "optimizer_groups": TableSpec(
        ("optimizer_id", "run_id", "ordinal", "position", "n_parameters", "lr", "settings", "step", "time"), "run_id"
    ),
    "run_datasets": TableSpec(("run_id", "ordinal", "dataset_id", "role", "name", "source", "time"), "run_id"),
    "run_artifacts": TableSpec(("run_id", "ordinal", "sha256", "path", "role", "direction", "step", "time"), "run_id"),
    "seeds": TableSpec(
        ("session_id", "run_id", "ordinal", "library", "call", "value", "location", "time"), _RUN_OR_SESSION
    ),
    "rng_states": TableSpec(
        ("session_id", "run_id", "ordinal", "point", "library", "device", "algorithm", "digest", "state", "time"),
        _RUN_OR_SESSION,
    ),
    "events": TableSpec(
        ("id", "session_id", "run_id", "ordinal", "time", "step", "kind", "severity", "title", "body", "count"),
        _RUN_OR_SESSION,
    ),
    "captures": TableSpec(
        ("session_id", "run_id", "ordinal", "collector", "status", "note", "duration_s", "time"), _RUN_OR_SESSION
    ),
    "tags": TableSpec(
        ("run_id", "session_id", "ordinal", "key", "value_sha256", "author_sha256", "time"), "run_id", by_session=True
    ),
    "notes": TableSpec(
        ("run_id", "session_id", "ordinal", "body_sha256", "author_sha256", "time"), "run_id", by_session=True
    ),
    "tombstones": TableSpec(
        ("session_id", "ordinal", "action", "subject_id", "digests", "reason", "actor_sha256", "time"), "session_id"
    ),
    "environments": TableSpec(("id", "python", "os", "machine", "cpu", "memory_bytes", "gpus", "details"), "id"),
    "packages": TableSpec(("environment_id", "name", "version"), "environment_id", "name"),
    "code_versions": TableSpec(
        ("id", "repository", "commit_hash", "branch", "dirty", "diff", "entry_script", "entry_sha256", "details"),
        "id",
    ),
    "contents": TableSpec(("sha256", "kind", "size_bytes", "encoding", "data"), "sha256"),
    "datasets": TableSpec(
        ("id", "kind", "n_rows", "n_columns", "size_bytes", "coverage", "content_hash", "schema", "profile"), "id"
    ),
    "architectures": TableSpec(("id", "framework", "class_name", "n_parameters", "n_trainable", "layers"), "id"),
    "artifacts": TableSpec(("sha256", "size_bytes", "format"), "sha256"),
}

# Tables whose rows belong to a content id: a part covers all of them at once and has no ordinals.
CONTENT_TABLES = frozenset(
    {"environments", "packages", "code_versions", "contents", "datasets", "architectures", "artifacts"}
)

# Columns of a state, and the tables of which they name a row.
REFERENCES = {
    "environment_id": "environments", "code_version_id": "code_versions", "architecture_id": "architectures",
}  # fmt: skip

# Personal columns of `sessions`: states hold their commitments only.
PERSONAL_COLUMNS = ("hostname", "username", "actor", "command", "cwd")

_POINT = Struct("<qqqdB")
_SPECIAL = {None: 0, "nan": 1, "inf": 2, "-inf": 3}


def canonical(value: Any) -> bytes:
    """Canonical JSON: ASCII, keys sorted, no spaces, no NaN; bytes stand as ``{"$sha256": hex}``."""
    return _encode(value).encode("ascii")


def _blob(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return {"$sha256": hashlib.sha256(value).hexdigest()}
    raise TypeError(f"no canonical form for {type(value).__name__}")


_encode = encoder_of(
    json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_blob)
)


def commitment(salt: str, value: str | None) -> str:
    """SHA-256 of a salt (32 hexadecimal digits, as bytes) and a personal value, hexadecimal."""
    text = b"\x00" if value is None else b"\x01" + value.encode("utf-8")
    return hashlib.sha256(bytes.fromhex(salt) + text).hexdigest()


def digest_rows(rows: Iterable[Sequence[Any]]) -> str:
    """SHA-256 over rows in order: each its canonical JSON array and a line feed."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(canonical(list(row)) + b"\n")
    return digest.hexdigest()


def series_header(
    name: str, metric: str, split: str | None, direction: int, start_time: int, first: int, last: int
) -> bytes:
    """The line before the points of one series in a part."""
    return canonical([name, metric, split, direction, start_time, first, last]) + b"\n"


def pack_points(points: Iterable[Point]) -> bytes:
    """33 bytes a point: step, epoch (-1 for none), time as int64, value as float64 (0 where special), special."""
    pack = _POINT.pack
    return b"".join(
        [
            pack(step, -1 if epoch is None else epoch, time, 0.0 if value is None else value, _SPECIAL[special])
            for _, step, epoch, time, value, special in points
        ]
    )


def line_digest(
    session_id: str, seq: int, time: int, previous: str | None, heads: Any, parts: Iterable[Sequence[Any]]
) -> str:
    """SHA-256 of a line.

    Parameters
    ----------
    session_id : str
    seq : int
    time : int, microseconds UTC
    previous : str or None
        Digest of the session's line before.
    heads : list of [session id, seq, digest], or None
        First line only: last lines of other sessions.
    parts : iterable of (scope, table_name, first, last, n_rows, digest, ranges)
        In any order; they are sorted by scope and table.
    """
    ordered = sorted(list(part) for part in parts)
    return hashlib.sha256(canonical([FORM, session_id, seq, time, previous, heads, ordered])).hexdigest()
