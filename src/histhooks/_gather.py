"""What a session knows of itself, gathered on threads of ours, never on the program's."""

from __future__ import annotations

import time
import zlib
from dataclasses import asdict
from typing import Any

from histhooks import _code, _environment, _origin, _process
from histhooks._captures import Capture
from histhooks._data import sha256
from histhooks._ledger import canonical
from histhooks._time import now_us
from histhooks._values import dumps

Entry = tuple[Any, ...]


def version() -> str:
    """The version of histhooks."""
    import histhooks

    return histhooks.__version__


def content_id(row: dict[str, Any]) -> str:
    """The id of shared content: SHA-256 of its canonical form."""
    return sha256(canonical(row))


def session_facts() -> tuple[dict[str, Any], dict[str, str | None], str | None]:
    """What the first state of a session says.

    Returns
    -------
    facts : dict
        Columns of `sessions`.
    personal : dict
        Columns whose values can be erased.
    details : str or None
        JSON.
    """
    origin = _origin.gather()
    identity = asdict(_process.identity())
    row = {**identity, **origin.row, "recorder_version": version()}
    personal = {name: row.pop(name, None) for name in ("hostname", "username", "actor", "command", "cwd")}
    details = dumps(origin.details) if origin.details else None
    return row, personal, details


def surroundings(session_id: str, entry: str | None) -> list[Entry]:
    """Environment and code of a session, as entries for a batch; slow, so it comes after the first commit.

    Parameters
    ----------
    session_id : str
    entry : str or None
        The program's file.

    Returns
    -------
    list of tuple
    """
    entries: list[Entry] = []
    facts: dict[str, Any] = {}
    captures: list[tuple[Capture, float | None]] = [(c, None) for c in _origin.gather().captures]

    start = time.perf_counter()
    row, packages, told = _environment.gather()
    facts["environment_id"] = key = content_id({**row, "packages": [list(p) for p in packages]})
    entries.append(("content", "environments", [{"id": key, **row}]))
    if packages:
        entries.append(("content", "packages", [{"environment_id": key, "name": n, "version": v} for n, v in packages]))
    captures += [(c, time.perf_counter() - start) for c in told]

    start = time.perf_counter()
    row, contents, told = _code.gather(entry)
    facts["code_version_id"] = key = content_id(row)
    entries.append(("content", "code_versions", [{"id": key, **row}]))
    for digest, data in contents.items():
        entries.append(("content", "contents", [content_row(digest, "file", data)]))
    captures += [(c, time.perf_counter() - start) for c in told]

    entries.append(("state", "session", session_id, facts, None))
    for capture, duration in captures:
        row = {"session_id": session_id, "run_id": None, "collector": capture.collector, "status": capture.status}
        row |= {"note": capture.note, "duration_s": duration, "time": now_us()}
        entries.append(("row", "captures", session_id, row))
    return entries


def not_captured(entries: list[Entry]) -> list[str]:
    """Names of what was to be gathered and was not."""
    rows = [entry[3] for entry in entries if entry[:2] == ("row", "captures")]
    return sorted({row["collector"] for row in rows if row["status"] in ("failed", "skipped")})


def content_row(digest: str, kind: str, data: bytes) -> dict[str, Any]:
    """A row of `contents`: compressed where that is smaller."""
    packed = zlib.compress(data, 6)
    encoding, kept = ("zlib", packed) if len(packed) < len(data) else ("plain", data)
    return {"sha256": digest, "kind": kind, "size_bytes": len(data), "encoding": encoding, "data": kept}
