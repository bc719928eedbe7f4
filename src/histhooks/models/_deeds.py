"""What every deed on a model does: one session, one transaction, events that nobody changes later."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.ids import new_id
from histhooks._base.secrets import mask_text
from histhooks._base.values import dumps
from histhooks._store.entries import Entry, row_entry
from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError
from histhooks.history._models import LATEST

if TYPE_CHECKING:
    from histhooks.history._named_versions import Meant

_ALIAS = re.compile(r"[^\W\d][\w.+-]*")
_NAME = re.compile(r"[^\s@/\\](?:[^@/\\\x00-\x1f\x7f]*[^\s@/\\])?")
_LIVE = "SELECT version_id, number FROM live_versions WHERE model = ? AND alias = ?"


def checked_reason(reason: str | None) -> str:
    """The reason as it is kept.

    Raises
    ------
    QueryError
        If it is empty.
    """
    if not reason or not reason.strip():
        raise QueryError(
            'why? give a reason, such as --reason "better recall on new customers"; it stays in the history'
        )
    return mask_text(reason.strip())


def checked_alias(alias: str) -> str:
    """A name that may point to versions.

    Raises
    ------
    QueryError
        If it could be taken for something else.
    """
    if alias == LATEST or not _ALIAS.fullmatch(alias):
        why = "it means the version made last" if alias == LATEST else "it begins with a letter and has no spaces"
        raise QueryError(f"{alias!r} is no alias: {why}; such as production, staging or champion")
    return alias


def checked_model(name: str) -> str:
    """A name that a model may have.

    Raises
    ------
    QueryError
        If it could be taken for something else.
    """
    if not _NAME.fullmatch(name) or name.endswith(".db"):
        raise QueryError(f"{name!r} is no name of a model: it has no @, / or \\, and does not end with .db")
    return name


class Deed:
    """Events of one model that are being written, inside the transaction of a session.

    Their times follow all earlier ones of the model, whatever the clock here shows: the latest event counts.

    Parameters
    ----------
    session : CommandSession
    model : str
    entries : list of tuple
        Of the transaction.
    """

    def __init__(self, session: CommandSession, model: str, entries: list[Entry]) -> None:
        self.session, self.model, self._entries = session, model, entries
        sql = (
            "SELECT max(e.time) AS event, max(v.time) AS version, max(v.number) AS number FROM model_versions AS v "
            "LEFT JOIN model_events AS e ON e.version_id = v.id WHERE v.model = ?"
        )
        (row,) = session.rows(sql, model)
        self.time = max(now_us(), (row["event"] or 0) + 1, (row["version"] or 0) + 1)
        self._next_number = (row["number"] or 0) + 1

    def live(self, alias: str) -> str | None:
        """The version that an alias points to now."""
        rows = self.session.rows(_LIVE, self.model, alias)
        return rows[0]["version_id"] if rows else None

    def aliases_of(self, version_id: str) -> list[str]:
        """The aliases that point to a version now."""
        sql = "SELECT alias FROM live_versions WHERE version_id = ? ORDER BY alias"
        return [str(row["alias"]) for row in self.session.rows(sql, version_id)]

    def label(self, version_id: str) -> str:
        """A version as messages name it."""
        rows = self.session.rows("SELECT number FROM model_versions WHERE id = ?", version_id)
        return f"{self.model}@{rows[0]['number']}" if rows else self.model

    def version_of(self, found: Meant) -> str | None:
        """The version that is meant; of a file the one that is live, else the first with its content."""
        if found.version is not None and found.version.model == self.model:
            return found.version.id
        sql = (
            "SELECT v.id FROM model_versions AS v WHERE v.model = ? AND v.sha256 = ? ORDER BY "
            "v.id IN (SELECT version_id FROM live_versions) DESC, v.number, v.time, v.id LIMIT 1"
        )
        rows = self.session.rows(sql, self.model, found.sha256)
        return rows[0]["id"] if rows else None

    def add_version(self, sha256: str, **facts: Any) -> str:
        """Make a version; its id."""
        row = {
            "id": new_id(), "session_id": self.session.id, "model": self.model, "number": self._next_number,
            "sha256": sha256, **facts, "author": self.session.actor, "time": self.time,
        }  # fmt: skip
        self._next_number += 1
        self._entries.append(row_entry("model_versions", row["id"], row))
        return str(row["id"])

    def add_event(
        self,
        version_id: str,
        action: str,
        reason: str,
        *,
        alias: str | None = None,
        before: str | None = None,
        run_id: str | None = None,
        checks: dict[str, Any] | None = None,
    ) -> None:
        """Say what is done to a version."""
        row = {
            "version_id": version_id, "session_id": self.session.id, "action": action, "alias": alias,
            "from_version_id": before, "reason": reason, "run_id": run_id,
            "checks": None if checks is None else dumps(checks), "author": self.session.actor, "time": self.time,
        }  # fmt: skip
        self._entries.append(row_entry("model_events", version_id, row))
        self.time += 1
