"""Collect the facts of a session on threads of histhooks, never on those of the program."""

from __future__ import annotations

import os
import stat
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from histhooks._base.captures import Capture
from histhooks._base.secrets import mask_text
from histhooks._base.values import dumps
from histhooks._base.version import __version__
from histhooks._collect import code, environment
from histhooks._collect import origin as _origin
from histhooks._collect import sources as _sources
from histhooks._collect.changes import Asked
from histhooks._collect.fingerprint import sha256
from histhooks._host import process as _process
from histhooks._host.subprocesses import Inquiry, Question
from histhooks._store.entries import Entry, capture_entry, content_entry, event_entry, state_entry
from histhooks._store.ledger import canonical

_SEEN_S = 10.0  # between two looks for sources that came late
_LATE_S = 1.0  # for git, where a source came late
_TOGETHER_S = 0.25  # both parts in one state of the session, where the second is that near


def content_id(row: dict[str, Any]) -> str:
    """The id of shared content: SHA-256 of its canonical form."""
    return sha256(canonical(row))


def session_facts(
    rank: int = 0, world_size: int = 1, *, is_test: bool = False
) -> tuple[dict[str, Any], dict[str, str | None], str | None]:
    """What the first state of a session says.

    Parameters
    ----------
    rank, world_size : int
        Which of how many processes of a distributed job this is.
    is_test : bool
        Whether pytest runs the program.

    Returns
    -------
    facts : dict
        Columns of `sessions`.
    personal : dict
        Columns whose values can be erased.
    details : str or None
        JSON.
    """
    origin = _origin.gather(rank, world_size, is_test=is_test)
    identity = asdict(_process.identity())
    row = {**identity, **origin.row, "recorder_version": __version__}
    personal = {name: row.pop(name, None) for name in ("hostname", "username", "actor", "command", "cwd")}
    given = {"stdin": stdin} if (stdin := _stdin()) else {}
    details = dumps({**origin.details, **given}) if origin.details or given else None
    return row, personal, details


def _stdin() -> str | None:
    """`pipe` or `file` if the program was given something to read; None for a terminal, and for nothing."""
    try:
        found = os.fstat(0)
    except OSError:
        return None
    if stat.S_ISREG(found.st_mode) and found.st_size:
        return "file"
    return "pipe" if stat.S_ISFIFO(found.st_mode) else None


class Look:
    """Collects the environment and the code of one session.

    It begins after the first commit. Each part is handed over as soon as it is complete, so that an early exit still
    has the other one. If a slow program (git, nvidia-smi) has not answered when the process ends, its facts are
    recorded as missing.

    Parameters
    ----------
    session_id : str
    entry : str or None
        The program's file.
    put : callable
        Takes entries for a batch.
    importing : lock
        Held by the caller of a part, and released while waiting for other programs.
    """

    def __init__(
        self, session_id: str, entry: str | None, put: Callable[[list[Entry]], None], importing: threading.Lock
    ) -> None:
        self.inquiry = Inquiry(importing)
        self._importing = importing
        # What is done, in this order, and the collectors that each answers for.
        self.parts: tuple[tuple[Callable[[], None], tuple[str, ...]], ...] = (
            (self._ask, ("git",)),
            (self._environment, ("environment", "packages", "gpus")),
            (self._code, ("git",)),
        )
        self._session_id = session_id
        self._entry = entry
        self._put = put
        self._begun = time.monotonic()
        self._gpus: Question | None = None
        self._asked: Asked | None = None
        self._count, self._seen = (0, 0), time.monotonic()
        self._lock = threading.Lock()
        self._is_closed = False
        self._facts: dict[str, Any] = {}
        self._entries: list[Entry] = []
        self._told: dict[str, str] = {}
        self._absent: set[str] = set()

    def close(self) -> list[Entry]:
        """Take no more; what was not handed over yet, and what is missing."""
        self.told([Capture(name, "skipped", self._too_late()) for _, names in self.parts for name in names])
        with self._lock:
            self._is_closed = True
            return self._taken()

    def failed(self, names: tuple[str, ...], error: Exception) -> None:
        """A part came to no end."""
        text = mask_text(f"{type(error).__name__}: {error}")[:300]
        self.told([Capture(name, "failed", text) for name in names])
        self._hand_over()

    def told(self, captures: list[Capture], duration_s: float | None = None) -> None:
        """What came of gathering something; the first word on it counts."""
        with self._lock:
            for capture in captures:
                if capture.collector in self._told:
                    continue
                self._told[capture.collector] = capture.status
                if capture.note == code.NO_REPOSITORY:
                    self._absent.add(capture.collector)
                self._entries.append(capture_entry(self._session_id, None, **asdict(capture), duration_s=duration_s))

    def not_captured(self) -> list[str]:
        """Names of what was to be gathered and was not; a folder without git has nothing of git to gather."""
        missing = {name for name, status in self._told.items() if status in ("failed", "skipped")}
        return sorted(missing - self._absent)

    def _ask(self) -> None:
        self._gpus = environment.ask(self.inquiry)
        self._count = _sources.count()
        self._asked = code.ask(self._entry, self.inquiry)

    def _environment(self) -> None:
        start = time.perf_counter()
        row, packages, captures = environment.gather(self._gpus, self.inquiry)
        key = content_id({**row, "packages": [list(p) for p in packages]})
        entries: list[Entry] = [content_entry("environments", {"id": key, **row})]
        if packages:
            rows = [{"environment_id": key, "name": name, "version": version} for name, version in packages]
            entries.append(content_entry("packages", *rows))
        self._add({"environment_id": key}, entries)
        self.told(captures, time.perf_counter() - start)
        if self._asked is None or not self.inquiry.read(*self._asked.questions, within_s=_TOGETHER_S):
            self._hand_over()

    def _code(self) -> None:
        if self._asked is None:
            return
        start = time.perf_counter()
        row, contents, captures = code.gather(self._asked, self.inquiry)
        key = content_id(row)
        entries: list[Entry] = [content_entry("code_versions", {"id": key, **row})]
        entries += [content_entry("contents", content_row(digest, "file", data)) for digest, data in contents.items()]
        self._add({"code_version_id": key}, entries)
        self.told(captures, time.perf_counter() - start)
        self._hand_over()

    @property
    def has_more(self) -> bool:
        """Whether sources may have come since the last look, and that is some time ago."""
        is_due = time.monotonic() - self._seen > _SEEN_S
        return is_due and self._asked is not None and self._count != _sources.count()

    def late(self) -> list[Entry]:
        """Sources that came since the look, as events of kind `source`: the text lies in `contents`, by the body."""
        if self._asked is None or self._count == _sources.count():
            return []
        self._count, self._seen = _sources.count(), time.monotonic()
        kept, contents, lost = code.gather_late(self._asked, Inquiry(self._importing, _LATE_S))
        entries: list[Entry] = [
            content_entry("contents", content_row(digest, "file", data)) for digest, data in contents.items()
        ]
        told: list[tuple[str, str, str, str | None]] = [
            ("source", "info", name, digest) for name, digest in kept.items()
        ]
        told += [("source_lost", "warning", text, None) for text in lost]
        for kind, severity, title, body in told:
            entries.append(event_entry(self._session_id, None, kind, title, body, severity=severity))
        return entries

    def _too_late(self) -> str:
        return f"not there yet when the process ended, {time.monotonic() - self._begun:.1f} s after the session began"

    def _add(self, facts: dict[str, Any], entries: list[Entry]) -> None:
        with self._lock:
            self._facts |= facts
            self._entries += entries

    def _hand_over(self) -> None:
        with self._lock:
            if not self._is_closed:
                self._put(self._taken())

    def _taken(self) -> list[Entry]:
        entries = self._entries
        if self._facts:
            entries.append(state_entry("session", self._session_id, self._facts))
        self._entries, self._facts = [], {}
        return entries


def content_row(digest: str, kind: str, data: bytes) -> dict[str, Any]:
    """A row of `contents`: compressed where that is smaller."""
    packed = zlib.compress(data, 6)
    encoding, kept = ("zlib", packed) if len(packed) < len(data) else ("plain", data)
    return {"sha256": digest, "kind": kind, "size_bytes": len(data), "encoding": encoding, "data": kept}
