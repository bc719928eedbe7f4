"""Verify a history: recompute every ledger line from the rows, and everything derived from them.

The file is opened read-only and not changed. docs/reference/ledger.md specifies the form. Spools that wait beside the
store are verified too, each from the line where the store's ledger of its session stops.

>>> from histhooks.verify import verify
>>> verify("histhooks.db").ok
True
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from histhooks._base.clock import now_us
from histhooks._base.vocabulary import RUNNING, UNREPORTED
from histhooks._host.process import judge
from histhooks._host.store_location import real_path
from histhooks._store.kept_record import wanted
from histhooks._store.spools import only_spools, waiting
from histhooks.errors import QueryError, StoreError
from histhooks.verify._again import AgainCheck
from histhooks.verify._derived import DerivedCheck
from histhooks.verify._kept import check_kept
from histhooks.verify._keys import PublicKey, cryptography, public_key
from histhooks.verify._ledger import LedgerCheck, Progress
from histhooks.verify._opening import copied, is_left_alone, newer_version, opened, state_of
from histhooks.verify._report import CANNOT_PROVE, Report
from histhooks.verify._signatures import check_signatures
from histhooks.verify._witnesses import check_witnesses, kept_at

__all__ = ["CANNOT_PROVE", "Report", "verify"]

_DIGEST = re.compile(r"[0-9a-f]{4,64}")
Sessions = dict[str, dict[str, Any]]
Answer = TypeVar("Answer")


def verify(
    path: str | Path,
    *,
    head: str | None = None,
    key: str | os.PathLike[str] | None = None,
    is_signed: bool = False,
    witness: str | None = None,
    progress: Progress | None = None,
    kept_files: bool = True,
) -> Report:
    """Verify a store, the spools that wait beside it, the files that are kept beside it, and its signatures.

    Parameters
    ----------
    path : str or Path
        The store.
    head : str, optional
        Digest of a ledger line, or its beginning, that was kept elsewhere; it must be in the store.
    key : str or path, optional
        A public key as a PEM file, or its text: signatures by it are verified, and one must be there.
    is_signed : bool
        Whether a signed head must be there: by `key`, else by any key.
    witness : str, optional
        `git` or `file:PATH`, where heads of this store were kept: each must be in the ledger, signed by `key` if given.
    progress : callable, optional
        Called with the number of lines and series that are done, and their total.
    kept_files : bool
        Whether kept files are read and verified too.

    Returns
    -------
    Report

    Raises
    ------
    StoreError
        If the file is missing, no store, or of a newer version and not understood; where all that is known of that
        version fits, :attr:`Report.newer_version` says that it is not the whole.
    QueryError
        If `head` is no part of a digest, `key` is no key, or cryptography is missing.

    Examples
    --------
    >>> from histhooks.verify import verify
    >>> report = verify("histhooks.db")
    >>> report.ok, report.problems
    (True, [])
    >>> verify("histhooks.db", head=report.head[:12]).has_head
    True
    """
    if head is not None:
        head = head.strip().lower()
        if not _DIGEST.fullmatch(head):
            raise QueryError(
                f"{head!r} is no head: that is 4 to 64 hexadecimal digits, such as the 12 at the end of a session's "
                "last line"
            )
    trusted = public_key(key) if key is not None else None
    if is_signed or witness is not None:
        cryptography()
    path = real_path(Path(path))
    witnesses = kept_at(witness, path) if witness is not None else None
    if not path.is_file() and not waiting(path):
        raise StoreError(f"no store at {path}; name one with --store PATH")
    try:
        report = _verify(path, head, progress)
        if report.newer_version is None:
            _verify_signatures(path, report, trusted, is_signed=is_signed)
            if witnesses is not None:
                check_witnesses(witnesses, _read(path, _lines), path, report, trusted)
        if kept_files and report.newer_version is None and path.is_file() and not only_spools(path):
            _verify_kept(path, report, progress)
        return report
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of SQLite's own words on a damaged file
        raise StoreError(f"{path} cannot be read ({error}); restore it from a copy") from error


def _verify(path: Path, head: str | None, progress: Progress | None) -> Report:
    sessions: Sessions = {}
    lines: dict[tuple[str, int], str] = {}
    report = Report()
    merged: set[str] = set()
    if path.is_file() and not only_spools(path):
        is_alone = is_left_alone(path)
        before = state_of(path)
        try:
            report = _verify_store(path, sessions, lines, merged, progress, is_alone=is_alone)
        except sqlite3.DatabaseError:
            # Half of what it was and half of what it is, where somebody wrote meanwhile.
            if not is_alone or state_of(path) == before:
                raise
        if is_alone and state_of(path) != before:
            # Once more, sharing the file with the other process.
            for kept in (sessions, lines, merged):
                kept.clear()
            report = _verify_store(path, sessions, lines, merged, progress, is_alone=False)
    for spool in waiting(path):
        if spool.name not in merged:
            _verify_spool(spool, report, sessions, lines)
    if report.newer_version is not None and not report.ok:
        # What a newer version added has rules that this one does not know: that is no word on whether it was altered.
        raise StoreError(f"{path} {newer_words(report.newer_version)}")
    report.has_head = None if head is None else True
    if head is not None and not any(digest.startswith(head) for digest in lines.values()):
        report.has_head = False
        report.problem(
            f"no ledger line has the digest {head}: this is not the history that it witnessed, or no longer all of it; "
            "a head of another store is never in this one"
        )
    _tell_ends(report, sessions)
    return report


def _verify_signatures(path: Path, report: Report, key: PublicKey | None, *, is_signed: bool) -> None:
    is_asked = key is not None or is_signed
    if not path.is_file() or only_spools(path):
        if is_asked:
            report.is_signed = False
            report.signature_problem("there is no signature: all that is here waits in spools")
        return
    _read(path, lambda connection: check_signatures(connection, report, key, is_asked=is_asked, needs_head=is_signed))


def _verify_kept(path: Path, report: Report, progress: Progress | None) -> None:
    check_kept(_read(path, wanted), path, report, progress)


def _read(path: Path, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
    is_alone = is_left_alone(path)
    try:
        with opened(path, is_alone=is_alone) as connection:
            return question(connection)
    except sqlite3.DatabaseError:
        if not is_alone:
            raise
        with opened(path, is_alone=False) as connection:  # somebody wrote meanwhile
            return question(connection)


def _lines(connection: sqlite3.Connection) -> dict[tuple[str, int], str]:
    return {(s, q): d for s, q, d in connection.execute("SELECT session_id, seq, digest FROM ledger")}


def newer_words(version: str) -> str:
    """What to say of a store of a newer version."""
    return f"has schema version {version}, which is newer than this histhooks knows: it cannot tell; update histhooks"


def _verify_store(
    path: Path,
    sessions: Sessions,
    lines: dict[tuple[str, int], str],
    merged: set[str],
    progress: Progress | None,
    *,
    is_alone: bool,
) -> Report:
    with opened(path, is_alone=is_alone) as connection:
        check = LedgerCheck(connection, progress=progress)
        check.report.newer_version = newer_version(connection)
        _run(check)
        _look(connection, check.report, sessions, lines)
        merged |= {name for (name,) in connection.execute("SELECT name FROM merged_spools")}
        row = connection.execute("SELECT digest FROM ledger ORDER BY time DESC, session_id, seq LIMIT 1").fetchone()
        check.report.head = row[0] if row else None
        check.report.tombstones = _tombstones(connection)
        if check.evicted:
            check.report.evictions = _evictions(connection)
        return check.report


def _run(check: LedgerCheck) -> None:
    try:
        check.run()
        DerivedCheck(check).run()
        AgainCheck(check).run()
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, struct.error) as error:
        # What histhooks wrote can be parsed; an altered row may have any form.
        check.report.problem(f"something here is not of the form in which it was written: {error}")


def _tombstones(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """One a deed: what one command took out for one reason."""
    sql = (
        "SELECT session_id, action, reason, actor, min(time), json_group_array(subject_id) FROM tombstones "
        "GROUP BY session_id, action, reason, actor ORDER BY min(time)"
    )
    return [
        {"action": action, "subject_ids": json.loads(ids), "reason": reason, "actor": actor, "time": time}
        for _, action, reason, actor, time, ids in connection.execute(sql)
    ]


def _evictions(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """One a deed, the latest last."""
    sql = (
        "SELECT evicted_by, evicted_at, reason, count(DISTINCT scope) FILTER (WHERE table_name IN ('runs', 'points')), "
        "count(*) FILTER (WHERE table_name = 'points') FROM evictions GROUP BY evicted_by, evicted_at, reason "
        "ORDER BY evicted_at"
    )
    names = ("evicted_by", "evicted_at", "reason", "runs", "points")
    return [dict(zip(names, row, strict=True)) for row in connection.execute(sql)]


def _verify_spool(spool: Path, report: Report, sessions: Sessions, lines: dict[tuple[str, int], str]) -> None:
    try:
        with copied(spool) as connection:
            check = LedgerCheck(connection, elsewhere=lines)
            report.newer_version = report.newer_version or newer_version(connection)
            _run(check)
            _look(connection, check.report, sessions, lines)
            found = check.report
            report.failed_captures += found.failed_captures
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        found = Report()
        found.problem(f"it cannot be read ({error})")
    report.take_in(str(spool), found)


def _look(
    connection: sqlite3.Connection, report: Report, sessions: Sessions, lines: dict[tuple[str, int], str]
) -> None:
    cursor = connection.execute("SELECT * FROM sessions ORDER BY id")
    names = [column[0] for column in cursor.description]
    sessions.update({row[names.index("id")]: dict(zip(names, row, strict=True)) for row in cursor})
    lines.update(_lines(connection))
    sql = (
        "SELECT collector, note, count(*) FROM captures WHERE status = 'failed' "
        "GROUP BY collector, note ORDER BY count(*) DESC, collector"
    )
    for collector, note, count in connection.execute(sql):
        report.failed_captures.append({"collector": collector, "note": note, "count": count})


def _tell_ends(report: Report, sessions: Sessions) -> None:
    """Sessions without an end of their own, those that live, and points that were dropped."""
    now = now_us()
    for session_id in sorted(sessions):
        row = sessions[session_id]
        if row["dropped_points"]:
            report.dropped_points += row["dropped_points"]
            report.dropped_by.append({"session_id": session_id, "points": row["dropped_points"]})
        if row["status"] not in UNREPORTED or row["signal"] is not None:
            continue
        status = judge(row, now) if row["status"] == RUNNING else row["status"]
        if status == RUNNING:
            report.still_recording.append(session_id)
            continue
        report.sessions_without_end.append(session_id)
        told = {name: row[name] for name in ("kind", "started_at", "hostname", "cwd")}
        told["last_seen_at"] = row["ended_at"] or row["heartbeat_at"]
        report.without_end.append({"id": session_id, "status": status, **told})
