"""Remove code, or rows of data in it, from a store: the rest is marked, and the ledger covers it again.

A code version is shared content, named by its hash. It is replaced by a redacted one: the sessions that had it get a
state with the new id, the old row and texts that nothing else needs are removed, and a tombstone has the digests of
their parts. Cells are rows of a session. They are changed in place, a tombstone has the digests of the parts that
covered them, and the ledger line of this transaction covers the rows as they are now.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from histhooks._base.values import dumps
from histhooks._collect import code_files
from histhooks._collect.changes import name_of
from histhooks._collect.survey import content_id, content_row
from histhooks._store.entries import Entry, content_entry, part_entry, state_entry
from histhooks._store.ledger import digest_rows
from histhooks._store.tables import COVERED
from histhooks.curate._session import CommandSession

MARK = "[redacted]"
# Parts of the details of a code version that name texts, by file.
_TEXTS = ("untracked", "sources", "locks")
# Gives what stays of a text, by what it is called; None if it goes whole.
Rule = Callable[[str, str], str | None]


@dataclass(slots=True)
class Recoded:
    """What was taken out.

    Attributes
    ----------
    values : dict of str to int
        `table.column` and how many values of it were changed.
    subjects : set of str
        Ids of the sessions that they belong to.
    left : set of str
        Ids of sessions that still record and keep theirs.
    """

    values: dict[str, int] = field(default_factory=dict)
    subjects: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)

    def count(self, place: str, number: int = 1) -> None:
        """Count values of a place."""
        self.values[place] = self.values.get(place, 0) + number


def without(pattern: re.Pattern[str]) -> Rule:
    """The rule that takes some words out of texts."""
    return lambda name, text: pattern.sub(MARK, text)


def nothing(name: str, text: str) -> str | None:
    """The rule that takes all of it."""
    return None


def code_only(name: str, text: str) -> str | None:
    """The rule that leaves what is recorded today: of files that are no code, no text."""
    if name == "diff":
        parts = re.split(r"(?m)^(?=diff --git )", text)
        return "".join(part for part in parts if not part or not _has_rows(part))
    return None if _is_data(name, text) else text


def _has_rows(section: str) -> bool:
    """Whether a section of a diff is of data. Of settings only what changed is here: it must look like settings too."""
    lines = section.partition("\n@@")[2].split("\n")[1:]
    texts = ["\n".join(line[1:] for line in lines if line[:1] in (mark, " ")) for mark in "+-"]
    name = name_of(section)
    if re.search(r"(?m)^Binary files .* differ$", section):
        return False
    if code_files.is_code_name(name):
        return any(code_files.is_table(text) for text in texts)
    if not code_files.may_be_code(name) or name.lower().endswith(".json"):
        return True
    return any(code_files.holds_rows(name, text) for text in texts if text.strip())


def _is_data(name: str, text: str) -> bool:
    if code_files.is_code_name(name) or not code_files.may_be_code(name):
        return code_files.is_table(text)
    return code_files.holds_rows(name, text)


def recode(
    session: CommandSession, rule: Rule, reason: str, *, of: set[str] | None = None, is_dry: bool = False
) -> tuple[Recoded, list[Entry]]:
    """Apply a rule to code and cells, inside a deed.

    Parameters
    ----------
    session : CommandSession
    rule : callable
    reason : str
        For the tombstones.
    of : set of str, optional
        Sessions whose code it is about; a code version that others share goes for them too. All by default.
    is_dry : bool
        Only count.

    Returns
    -------
    recoded : Recoded
    entries : list of tuple
        For the ledger.
    """
    done, entries = Recoded(), list[Entry]()
    rows = session.rows("SELECT id, status, code_version_id FROM sessions ORDER BY id")
    running = {row["id"] for row in rows if row["status"] == "running"}
    needed: set[str] = set()
    for version in session.rows("SELECT * FROM code_versions ORDER BY id"):
        owners = {row["id"] for row in rows if row["code_version_id"] == version["id"]}
        if of is not None and not owners & of:
            continue
        new, contents, places = _version(session, version, rule)
        if not places:
            continue
        if owners & running:
            done.left |= owners & running
            continue
        for place in places:
            done.count(place)
        done.subjects |= owners
        needed |= _named(json.loads(new["details"]))
        if not is_dry:
            entries += _replace(session, version, new, contents, owners, reason)
    entries += _cells(session, rule, of, running, reason, done, is_dry=is_dry)
    if not is_dry and done.values:
        entries += _unneeded(session, needed, reason)
    return done, entries


def _text(session: CommandSession, digest: str | None) -> str | None:
    """A kept text by its hash; None if this store has none."""
    for row in session.rows("SELECT encoding, data FROM contents WHERE sha256 = ?", digest):
        data = zlib.decompress(row["data"]) if row["encoding"] == "zlib" else bytes(row["data"])
        return data.decode("utf-8", "replace")
    return None


def _version(
    session: CommandSession, version: dict[str, Any], rule: Rule
) -> tuple[dict[str, Any], dict[str, bytes], list[str]]:
    """A code version after a rule, its new texts, and the places in which it differs."""
    details = json.loads(version["details"])
    contents: dict[str, bytes] = {}
    places: list[str] = []
    diff = version["diff"]
    if "diff_content" in details:
        diff = _text(session, details["diff_content"])
    kept = rule("diff", diff) if diff else diff
    row = {**version}
    if kept != diff:
        places.append("code_versions.diff")
        details["patch_redacted"] = True
        details.pop("diff_content", None)
        row["diff"] = kept or None
    for kind in _TEXTS if rule is not code_only else _TEXTS[:2]:  # a list of packages is no data
        for name, digest in list(details.get(kind, {}).items()):
            text = _text(session, digest)
            left = None if text is None else rule(name, text)
            if text is None or left == text:
                continue
            places.append("contents.data")
            details["patch_redacted"] = True
            if left is None:
                del details[kind][name]
            else:
                data = left.encode("utf-8")
                details[kind][name] = hashlib.sha256(data).hexdigest()
                contents[details[kind][name]] = data
    if places:
        row["entry_sha256"] = None
        details |= {"modules": dict.fromkeys(details["modules"])} if "modules" in details else {}
        row["details"] = dumps(details)
        del row["id"]
        row = {"id": content_id(row), **row}
    return row, contents, places


def _replace(
    session: CommandSession,
    old: dict[str, Any],
    new: dict[str, Any],
    contents: dict[str, bytes],
    owners: set[str],
    reason: str,
) -> Iterator[Entry]:
    for digest, data in contents.items():
        yield content_entry("contents", content_row(digest, "file", data))
    yield content_entry("code_versions", new)
    for owner in sorted(owners):
        session.not_before_states_of(owner)
        yield state_entry("session", owner, {"code_version_id": new["id"]})
    yield _gone(session, "code_versions", old["id"], reason)
    session.connection.execute("DELETE FROM code_versions WHERE id = ?", (old["id"],))


def _gone(session: CommandSession, table: str, scope: str, reason: str) -> Entry:
    sql = "SELECT digest FROM ledger_parts WHERE scope = ? AND table_name = ?"
    digests = sorted({row["digest"] for row in session.rows(sql, scope, table)})
    return session.tombstone("redact", scope, digests, reason)


def _cells(
    session: CommandSession,
    rule: Rule,
    of: set[str] | None,
    running: set[str],
    reason: str,
    done: Recoded,
    *,
    is_dry: bool,
) -> Iterator[Entry]:
    kinds = "('source')" if rule is code_only else "('source', 'cell', 'stderr')"
    sql = f"SELECT id, session_id, run_id, kind, title, body FROM events WHERE kind IN {kinds} AND body IS NOT NULL"
    changed: dict[str, dict[str, str | None]] = {}
    for row in session.rows(sql):
        if of is not None and row["session_id"] not in of:
            continue
        is_source = row["kind"] == "source"
        text = _text(session, row["body"]) if is_source else row["body"]
        kept = None if text is None else rule(row["title"], text)
        if kept == text:
            continue
        if row["session_id"] in running:
            done.left.add(row["session_id"])
            continue
        # A source that loses some words goes whole: its text has no place of its own to be changed in.
        changed.setdefault(row["run_id"] or row["session_id"], {})[row["id"]] = None if is_source else kept
        done.count("contents.data" if is_source else "events.body")
        done.subjects.add(row["session_id"])
    for scope, bodies in changed.items() if not is_dry else ():
        for event_id, body in bodies.items():
            session.connection.execute("UPDATE events SET body = ? WHERE id = ?", (body, event_id))
        yield _gone(session, "events", scope, reason)
        yield _covered(session, "events", scope)


def _covered(session: CommandSession, table: str, scope: str) -> Entry:
    """A part that covers all rows of a scope as they are now."""
    spec = COVERED[table]
    sql = f"SELECT ordinal, {', '.join(spec.columns)} FROM {table} WHERE {spec.scope} = ? ORDER BY ordinal"
    rows = session.connection.execute(sql, (scope,)).fetchall()
    digest = digest_rows(tuple(row)[1:] for row in rows)
    return part_entry(scope, table, rows[0][0], rows[-1][0], len(rows), digest)


def _unneeded(session: CommandSession, needed: set[str], reason: str) -> Iterator[Entry]:
    """Remove texts that no code version names any more; what this deed puts in is not here yet."""
    for row in session.rows("SELECT details FROM code_versions"):
        needed |= _named(json.loads(row["details"]))
    needed |= {row["body"] for row in session.rows("SELECT body FROM events WHERE kind = 'source'")}
    for row in session.rows("SELECT sha256 FROM contents WHERE kind = 'file'"):
        if row["sha256"] not in needed:
            yield _gone(session, "contents", row["sha256"], reason)
            session.connection.execute("DELETE FROM contents WHERE sha256 = ?", (row["sha256"],))


def _named(details: dict[str, Any]) -> set[str]:
    """The texts that a code version names."""
    kept = [digest for kind in _TEXTS for digest in details.get(kind, {}).values()]
    return {*kept, details["diff_content"]} if "diff_content" in details else {*kept}
