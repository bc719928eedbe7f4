"""What verification found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

CANNOT_PROVE = (
    "that nobody with write access to the file rewrote it whole: keep a head elsewhere (--head), or sign it (--key)",
    "that what a program reported was true",
    "that clocks were right",
)


@dataclass(slots=True)
class Report:
    """The result of a verification.

    Attributes
    ----------
    ok : bool
        Whether everything matches.
    problems : list of str
        Each mismatch, in row order.
    lines, rows : int
        Ledger lines and rows that were recomputed, those of waiting spools included.
    redacted : int
        Personal values that were erased, which is allowed.
    redacted_by_hand : int
        How many of these no tombstone accounts for.
    redacted_parts : int
        Parts from which something was removed on purpose, such as code or rows of data in it.
    not_in_file : int
        Parts whose rows this file does not claim to hold, as in an export.
    not_visible : int or None
        Of a team's target of which you see some projects: ledger lines that cover more than you see, which nobody else
        than you lacks. None where you see all of it.
    parts_of : list of dict
        If the file declares itself a part of a history: kind (`export`, `spool`), the number of scopes that it `holds`
        whole, and the time of the copy (microseconds UTC).
    deleted : int
        Parts whose rows a tombstone accounts for.
    evicted : int
        Parts whose rows were removed from this store alone, for room.
    evictions : list of dict
        Each such deed: evicted_by, evicted_at, reason, runs, and how many of these lost their points alone (`points`).
    tombstones : list of dict
        What was deleted or redacted on purpose: action, subject_ids, reason, actor, time (microseconds UTC).
    head : str or None
        Digest of the latest line: keep it elsewhere.
    newer_version : str or None
        Schema version of the store if it is newer than this histhooks; then not all of it was verified.
    has_head : bool or None
        Whether the given head is in the ledger; None if none was given.
    signatures : list of dict
        Each signature: session_id, subject (`head`, `file`, `pack`, `version`), subject_sha256, name, meaning, key_id,
        algorithm, author, time (microseconds UTC), is_valid (None if it was not verified), why (what is wrong with it),
        covers (lines of the ledger that a signed head covers) and lines (all there are).
    witnessed : int or None
        Heads that were kept outside and are in the ledger; None if no witness was asked.
    signature_problems : list of str
        Those of `problems` that are about signatures and witnesses.
    is_signed : bool or None
        Whether a valid signature was found; None if none was asked for.
    sessions_without_end : list of str
        Ids of sessions that left no final state and are gone.
    without_end : list of dict
        For each of these: id, status, kind, started_at, last_seen_at, hostname, cwd.
    still_recording : list of str
        Ids of sessions that live.
    dropped_points : int
        Points that recorders had to drop, by their own account.
    dropped_by : list of dict
        Sessions that dropped points: session_id and points.
    failed_captures : list of dict
        What could not be recorded: collector, note, and in how many sessions or runs.
    spools : list of dict
        Spools that wait beside the store, each verified too: path, ok, lines, rows, problems.
    kept_files, kept_bytes : int
        Kept files beside the store that were read and verified, and their size.
    file_problems : list of str
        Those of `problems` that are about kept files: the history itself is not touched by them.
    kept_elsewhere : int
        Kept files that lie beside another store: an export left them there, or a database has none.
    cannot_prove : list of str
        What no ledger in one file can show.
    """

    ok: bool = True
    problems: list[str] = field(default_factory=list)
    lines: int = 0
    rows: int = 0
    redacted: int = 0
    redacted_by_hand: int = 0
    redacted_parts: int = 0
    not_in_file: int = 0
    not_visible: int | None = None
    parts_of: list[dict[str, Any]] = field(default_factory=list)
    deleted: int = 0
    evicted: int = 0
    evictions: list[dict[str, Any]] = field(default_factory=list)
    tombstones: list[dict[str, Any]] = field(default_factory=list)
    head: str | None = None
    newer_version: str | None = None
    has_head: bool | None = None
    signatures: list[dict[str, Any]] = field(default_factory=list)
    witnessed: int | None = None
    signature_problems: list[str] = field(default_factory=list)
    is_signed: bool | None = None
    sessions_without_end: list[str] = field(default_factory=list)
    without_end: list[dict[str, Any]] = field(default_factory=list)
    still_recording: list[str] = field(default_factory=list)
    dropped_points: int = 0
    dropped_by: list[dict[str, Any]] = field(default_factory=list)
    failed_captures: list[dict[str, Any]] = field(default_factory=list)
    spools: list[dict[str, Any]] = field(default_factory=list)
    kept_files: int = 0
    kept_bytes: int = 0
    file_problems: list[str] = field(default_factory=list)
    kept_elsewhere: int = 0
    cannot_prove: list[str] = field(default_factory=lambda: list(CANNOT_PROVE))

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)

    def problem(self, text: str) -> None:
        """Add a mismatch."""
        self.ok = False
        self.problems.append(text)

    def file_problem(self, text: str) -> None:
        """Add something that is wrong with a kept file."""
        self.problem(text)
        self.file_problems.append(text)

    def signature_problem(self, text: str) -> None:
        """Add something that is wrong with a signature, or that there is none."""
        self.problem(text)
        self.signature_problems.append(text)

    def take_in(self, spool: str, other: Report) -> None:
        """Add the result of a spool."""
        self.ok = self.ok and other.ok
        self.problems += [f"{spool}: {text}" for text in other.problems]
        for name in ("lines", "rows", "redacted", "redacted_by_hand", "redacted_parts", "deleted"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        told = {"ok": other.ok, "lines": other.lines, "rows": other.rows, "problems": other.problems}
        self.spools.append({"path": spool, **told})
