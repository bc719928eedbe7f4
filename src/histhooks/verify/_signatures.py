"""Signatures in a store: whether each is by its key, and how much of the ledger a signed head covers."""

from __future__ import annotations

import json
import sqlite3
import zlib
from typing import TYPE_CHECKING, Any

from histhooks._base.envelopes import Envelope, envelope_of
from histhooks._base.ids import short_id
from histhooks.errors import QueryError
from histhooks.verify._keys import ALGORITHM, PublicKey, public_key

if TYPE_CHECKING:
    from histhooks.verify._report import Report

Line = tuple[str, int]
_HEAD = 12


class Ledger:
    """The lines of a ledger, and what each of them chains.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.digests: dict[Line, str] = {}
        self.times: dict[Line, int] = {}
        self._named: dict[Line, list[Line]] = {}
        sql = "SELECT session_id, seq, digest, time, heads FROM ledger"
        for session_id, seq, digest, time, heads in connection.execute(sql):
            line = (session_id, seq)
            self.digests[line], self.times[line] = digest, time
            if heads is not None:
                self._named[line] = [(head[0], head[1]) for head in json.loads(heads)]

    def before(self, line: Line) -> set[Line]:
        """A line and all that it chains: those before it in its session, and those that first lines name."""
        found: set[Line] = set()
        waiting = [line]
        while waiting:
            each = waiting.pop()
            if each in found or each not in self.digests:
                continue
            found.add(each)
            waiting.append((each[0], each[1] - 1))
            waiting += self._named.get(each, [])
        return found


def listed(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """The rows of `signatures`, the earliest first, each with its envelope or None; a store before 1.2 has none."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'signatures'").fetchone():
        return []
    cursor = connection.execute(
        "SELECT s.*, c.encoding, c.data FROM signatures AS s LEFT JOIN contents AS c ON c.sha256 = s.content_sha256 "
        "ORDER BY s.time, s.session_id, s.ordinal"
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def check_signatures(
    connection: sqlite3.Connection, report: Report, key: PublicKey | None, *, is_asked: bool, needs_head: bool
) -> None:
    """Add the signatures of a store to its report, and as problems those that are not what they say.

    Parameters
    ----------
    connection : sqlite3.Connection
        In one read transaction.
    report : Report
    key : PublicKey or None
        The one that is trusted; None for the key that each signature brings.
    is_asked : bool
        Whether they are verified; else they are listed.
    needs_head : bool
        Whether a signed head must be there.
    """
    rows = listed(connection)
    ledger = Ledger(connection) if is_asked else None
    report.signatures = [_judged(row, ledger, report, key) for row in rows]
    if not is_asked:
        return
    good = [each for each in report.signatures if each["is_valid"]]
    by = f" by key {key.id}" if key is not None else ""
    if needs_head:
        good = [each for each in good if each["subject"] == "head"]
        what = "signed head"
    else:
        what = "signature"
    report.is_signed = bool(good)
    if not good:
        text = f"there is no valid {what}{by}"
        others = sorted({each["key_id"] for each in report.signatures} - ({key.id} if key else set()))
        report.signature_problem(text + (f"; there are some by {', '.join(others)}" if others else ""))


def _judged(row: dict[str, Any], ledger: Ledger | None, report: Report, key: PublicKey | None) -> dict[str, Any]:
    told = {
        name: row[name]
        for name in ("session_id", "subject", "subject_sha256", "meaning", "key_id", "algorithm", "author", "time")
    }
    told |= {"name": None, "is_valid": None, "why": None, "covers": None, "lines": None}
    envelope, why = _opened(row)
    if envelope is not None:
        facts = envelope.facts
        told["name"] = {"head": facts.get("store"), "version": f"{facts.get('model')}@{facts.get('number')}"}.get(
            row["subject"], facts.get("name")
        )
    if ledger is None or row["algorithm"] != ALGORITHM or (key is not None and key.id != row["key_id"]):
        return told
    if envelope is not None:
        why = _fault(row, envelope, key)
        if why is None and row["subject"] == "head":
            why = _covered(envelope.facts, ledger, report, told)
    told["is_valid"], told["why"] = why is None, why
    if why is not None:
        subject = f"{row['subject']} {row['subject_sha256'][:_HEAD]}"
        report.signature_problem(
            f"the signature of {subject} by key {row['key_id']} in session {short_id(row['session_id'])}: {why}"
        )
    return told


def _opened(row: dict[str, Any]) -> tuple[Envelope | None, str | None]:
    if row["algorithm"] != ALGORITHM:
        return None, None
    if row["data"] is None:
        return None, "its envelope is not there"
    try:
        envelope = envelope_of(zlib.decompress(row["data"]) if row["encoding"] == "zlib" else row["data"])
        envelope.facts  # noqa: B018, whether it has them
        return envelope, None
    except (ValueError, zlib.error) as error:
        return None, f"its envelope cannot be read: {error}"


def _fault(row: dict[str, Any], envelope: Envelope, key: PublicKey | None) -> str | None:
    """Why a signature is not what its row says; None if it is."""
    facts = envelope.facts
    said = {"subject": envelope.subject, "subject_sha256": facts["digest"], "meaning": facts["meaning"]}
    for name, value in said.items():
        if row[name] != value:
            return f"its row has another {name.replace('_', ' ')} than what was signed"
    try:
        key = key or public_key(envelope.public_key)
    except QueryError as error:
        return str(error)
    if key.id != row["key_id"]:
        return f"it brings the key {key.id}"
    return (
        None
        if key.is_by(envelope.signature, envelope.text.encode())
        else "it does not fit: not by that key, or altered"
    )


def _covered(facts: dict[str, str], ledger: Ledger, report: Report, told: dict[str, Any]) -> str | None:
    """Find the line that was signed, and count what it chains; else why it is not there."""
    line = (facts["session"], int(facts["seq"]) if facts["seq"].isdecimal() else -1)
    told["lines"] = len(ledger.digests)
    if line not in ledger.digests:
        if report.parts_of:
            told["covers"] = 0  # a part of a history need not hold it
            return None
        return "the ledger line that was signed is not there: this is another history, or no longer all of it"
    if ledger.digests[line] != facts["digest"] or str(ledger.times[line]) != facts["time"]:
        return "the ledger line that was signed is another one now"
    told["covers"] = len(ledger.before(line))
    return None
