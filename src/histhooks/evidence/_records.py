"""The records that a pack cites: rows of the store, each by an id that resolves in the pack."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from histhooks._base.text import plain

if TYPE_CHECKING:
    from histhooks.history import History

Scrub = Callable[[str], str]
CHECKS = "checks.json"  # the ids of findings begin with the member that has them
# The columns by which a row is cited; they name one row in any store.
_KEYS = {
    "runs": ("id",), "sessions": ("id",), "environments": ("id",), "packages": ("environment_id", "name"),
    "code_versions": ("id",), "datasets": ("id",), "architectures": ("id",), "artifacts": ("sha256",),
    "events": ("id",), "model_versions": ("id",), "optimizers": ("id",), "metric_summaries": ("run_id", "name"),
    "tags": ("run_id", "session_id", "ordinal"), "notes": ("run_id", "session_id", "ordinal"),
    "run_links": ("run_id", "session_id", "ordinal"), "reproductions": ("run_id", "session_id", "ordinal"),
    "model_events": ("version_id", "session_id", "ordinal"), "waivers": ("session_id", "ordinal"),
    "signatures": ("session_id", "ordinal"), "seeds": ("session_id", "run_id", "ordinal"),
    "splits": ("session_id", "run_id", "ordinal"), "file_reads": ("session_id", "run_id", "ordinal"),
    "captures": ("session_id", "run_id", "ordinal"), "ledger": ("session_id", "seq"),
}  # fmt: skip
_OF_RUN = ("run_id", "ordinal")  # all other tables
# Of the machine and of the account: in no anonymous pack.
_PRIVATE = ("repository", "branch", "boot_id", "pid", "pid_namespace", "process_started", "job_id", "details")
_PATHS = ("path", "location", "call_site", "entry_script", "cwd", "command")
# They say nothing to a reader, and could be compared with those of other histories.
_COMMITMENTS = ("author_sha256", "value_sha256", "body_sha256", "actor_sha256")


@dataclass(frozen=True, slots=True)
class Record:
    """A row, and the id that cites it."""

    id: str
    row: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.row[name]


class Records:
    """Reads rows of a store, and remembers which were cited.

    Parameters
    ----------
    history : History
    scrub : callable or None
        Takes names and paths out of a text; None for a pack that is not anonymous.
    """

    def __init__(self, history: History, scrub: Scrub | None) -> None:
        self.history = history
        self.is_anonymous = scrub is not None
        self.scrub = scrub or _as_it_is
        self._read: dict[str, Mapping[str, Any]] = {}
        self._tables = {row["name"] for row in history.sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
        self.cited: dict[str, Mapping[str, Any]] = {}

    def read(self, table: str, rest: str, *values: Any) -> list[Record]:
        """Rows of a table that meet a condition, which may be followed by an order; none if there is no such table."""
        if table not in self._tables:
            return []
        return [self._record(table, row) for row in self.history.sql(f"SELECT * FROM {table} WHERE {rest}", *values)]

    def one(self, table: str, rest: str, *values: Any) -> Record | None:
        """The first of these rows; None if there is none."""
        return next(iter(self.read(table, rest, *values)), None)

    def finding(self, check_id: str, said: Mapping[str, Any]) -> str:
        """The id of what a check says."""
        record_id = f"{CHECKS}/{check_id}"
        self._read[record_id] = said
        return record_id

    def cite(self, ids: Iterable[str]) -> None:
        """Keep the rows of these ids for the pack."""
        for each in ids:
            self.cited.setdefault(each, self._read[each])

    def as_json(self) -> str:
        """The cited rows by id."""
        return json.dumps(dict(sorted(self.cited.items())), indent=1, ensure_ascii=False, default=str) + "\n"

    def _record(self, table: str, row: Mapping[str, Any]) -> Record:
        keys = [row[name] for name in _KEYS.get(table, _OF_RUN)]
        record_id = "/".join([table, *("-" if key is None else quote(str(key), safe="") for key in keys)])
        hidden = _PRIVATE if self.is_anonymous else ()
        shown = {name: None if name in hidden else self._shown(name, value) for name, value in row.items()}
        self._read[record_id] = {name: value for name, value in shown.items() if name not in _COMMITMENTS}
        return Record(record_id, shown)

    def _shown(self, name: str, value: Any) -> Any:
        if isinstance(value, bytes):
            return {"sha256": hashlib.sha256(value).hexdigest()}
        if not isinstance(value, str) or not self.is_anonymous:
            return value
        return self.scrub(base_name(value) if name in _PATHS else value)


_PART = r"[^\s\"'<>:,;()\\/|]+"
_PATH = re.compile(rf"(?<![\w/:.~\-\]])(?:~|/{_PART})(?:/{_PART})*/({_PART})")
# An id in a document; a bracket of a program's own has a backslash before it.
CITED = re.compile(r"(?<!\\)\[([\w.]+/[^\[\]\s]+)\]")


# In JSON and Markdown each of its signs is doubled.
_WINDOWS = re.compile(rf"(?<!\w)[A-Za-z]:(?:\\{{1,4}}{_PART})+\\{{1,4}}({_PART})")


def without_paths(text: str) -> str:
    """A text whose absolute paths are cut to their last part."""
    return _PATH.sub(r"\1", _WINDOWS.sub(r"\1", text.replace("file://", "")))


def _as_it_is(text: str) -> str:
    return text


def base_name(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or path


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement with the ids of the records that it rests on."""

    text: str
    ids: tuple[str, ...]


def said(text: str, *records: Record | str | None) -> Sentence:
    """A statement that rests on records."""
    ids = (record.id if isinstance(record, Record) else record for record in records if record is not None)
    return Sentence(" ".join(plain(text).split()), tuple(dict.fromkeys(ids)))


NOT_RECORDED = Sentence("Not recorded.", ())
