"""Heads that were kept outside: whether the history still has each of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.envelopes import Envelope, envelope_of
from histhooks.errors import QueryError
from histhooks.verify._keys import PublicKey, public_key

if TYPE_CHECKING:
    from histhooks.verify._report import Report

GIT_REF = "histhooks"  # of refs/notes/
_KINDS = ("git", "file", "rfc3161")
_GIT_S = 60


def split(where: str) -> tuple[str, str]:
    """The kind of a witness, and the rest of its name.

    Raises
    ------
    QueryError
        If there is no such kind.
    """
    kind, _, rest = where.partition(":")
    if kind not in _KINDS or (kind == "git") == bool(rest):
        raise QueryError(f"a witness is git, file:PATH or rfc3161:URL, not {where!r}")
    return kind, rest


def kept_at(where: str, store: Path) -> list[Envelope]:
    """The heads that are kept in a place.

    Raises
    ------
    QueryError
        If it cannot be read.
    """
    kind, rest = split(where)
    if kind == "rfc3161":
        raise QueryError("a time stamp is kept in the history itself; docs/guide/evidence.md verifies it with openssl")
    if kind == "git":
        return list(_envelopes(_notes(store.absolute().parent)))
    try:
        return list(_envelopes(Path(rest).read_text(encoding="utf-8", errors="replace")))
    except OSError as error:
        raise QueryError(f"the witness {rest} cannot be read ({error.strerror})") from error


def _envelopes(text: str) -> Iterator[Envelope]:
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield envelope_of(line.encode())
            except ValueError as error:
                raise QueryError(f"the witness holds a line that is no signed head: {error}") from error


def _notes(folder: Path) -> str:
    """All notes of the repository of a folder, else of this one."""
    for place in dict.fromkeys((folder, Path.cwd())):
        listed = _git(place, "notes", f"--ref={GIT_REF}", "list")
        if listed is not None:
            notes = [line.split()[0] for line in listed.splitlines() if line.strip()]
            return "\n".join(_git(place, "cat-file", "blob", note) or "" for note in notes)
    raise QueryError(f"neither {folder} nor this folder is in a git repository")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=_GIT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueryError(f"git cannot be run ({error})") from error
    return done.stdout if done.returncode == 0 else None


def check_witnesses(
    envelopes: list[Envelope], lines: dict[tuple[str, int], str], store: Path, report: Report, key: PublicKey | None
) -> None:
    """Add to a report what is wrong with the heads that were kept outside.

    Parameters
    ----------
    envelopes : list of Envelope
    lines : dict of (session id, seq) to str
        Digests of the lines of the ledger.
    store : Path
        Heads of stores of another name are left out.
    report : Report
    key : PublicKey or None
        The one that is trusted; None for the key that each brings.
    """
    report.witnessed = 0
    for envelope in envelopes:
        try:
            facts = envelope.facts
            signer = key or public_key(envelope.public_key)
        except (ValueError, QueryError) as error:
            report.signature_problem(f"a witness cannot be read: {error}")
            continue
        if envelope.subject != "head" or facts["store"] != store.name:
            continue
        what = f"the witnessed head {facts['digest'][:12]}"
        if not signer.is_by(envelope.signature, envelope.text.encode()):
            report.signature_problem(f"{what}: its signature is not by key {signer.id}")
        elif lines.get((facts["session"], int(facts["seq"]))) != facts["digest"]:
            report.signature_problem(f"{what} is not in the ledger: this is another history, or no longer all of it")
        else:
            report.witnessed += 1
    if report.witnessed == 0 and not report.signature_problems:
        report.signature_problem(f"the witness has no head of a store that is called {store.name}")
