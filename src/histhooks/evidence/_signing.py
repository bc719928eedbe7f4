"""Sign the head of a history, a file, a pack of evidence or a version of a model."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histhooks._base.clock import now_us
from histhooks._base.envelopes import KIND, MEANINGS, Envelope, signed_text
from histhooks._collect.survey import content_row
from histhooks._store.entries import content_entry, row_entry
from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError
from histhooks.evidence._keys import SigningKey, signing_key
from histhooks.history import History
from histhooks.history._models import is_version_name
from histhooks.verify._keys import ALGORITHM

HEAD = "head"
MANIFEST = "MANIFEST.sha256"
_CHUNK = 1 << 20
_Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as the history keeps it.

    Attributes
    ----------
    subject : str
        `head`, `file`, `pack` or `version`.
    name : str
        The store, the file, or the model and the number of its version.
    sha256 : str
        Digest of the subject; of a head, that of its ledger line.
    meaning : str
        `trained`, `reviewed`, `validated` or `approved`.
    key_id : str
    author : str or None
    time : int
        Microseconds UTC.
    envelope : Envelope
        What was signed and the signature; docs/guide/evidence.md says how to verify it without histhooks.
    """

    subject: str
    name: str
    sha256: str
    meaning: str
    key_id: str
    author: str | None
    time: int
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be signed: its kind and its lines, but for the meaning."""

    kind: str
    name: str
    facts: dict[str, object]


def sign(
    what: _Path,
    *,
    meaning: str = "approved",
    key: _Path | None = None,
    store: _Path | None = None,
    to: _Path | None = None,
) -> Signature:
    """Sign something, and keep the signature in the history.

    Parameters
    ----------
    what : str or path
        `head` for all of the history up to now, a file, a pack that :func:`evidence` wrote, or `NAME@3` for a version
        of a model.
    meaning : str
        What the signature says: `trained`, `reviewed`, `validated` or `approved`.
    key : str or path, optional
        A private key as a PEM file, or its text. By default that of HISTHOOKS_SIGN_KEY, else the one that
        :func:`keygen` made.
    store : str or path, optional
    to : str or path, optional
        A file to write the envelope to, too.

    Returns
    -------
    Signature

    Raises
    ------
    QueryError
        If there is no such thing or no key, `to` cannot be written, or cryptography is missing.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> from histhooks import evidence
    >>> keys = evidence.keygen("team.pem")
    >>> signature = evidence.sign("head", meaning="reviewed", key=keys.path)
    >>> signature.subject, signature.name, signature.meaning, signature.key_id == keys.id
    ('head', 'histhooks.db', 'reviewed', True)
    """
    if meaning not in MEANINGS:
        raise QueryError(f"a signature says {', '.join(MEANINGS[:-1])} or {MEANINGS[-1]}, not {meaning!r}")
    signer = signing_key(key)
    word = os.fspath(what)
    subject = None if word == HEAD else _subject(word, store)
    shown = HEAD if subject is None else subject.kind  # a path may hold a name that has to be erased later
    with CommandSession(store, f"histhooks sign {shown}") as session:
        if subject is None:
            subject = head_of(session)
        signature = record(session, subject, meaning, signer)
    if to is not None:
        write(Path(to), signature.envelope)
    return signature


def record(session: CommandSession, subject: Subject, meaning: str, signer: SigningKey) -> Signature:
    """Sign a subject, and write the signature in a session."""
    facts = {"time": now_us(), **subject.facts, "meaning": meaning}
    text = signed_text(subject.kind, facts)
    envelope = Envelope(text, signer.sign(text.encode()), ALGORITHM, signer.public.pem)
    digest = str(facts["digest"])
    time = now_us()
    row = {"subject": subject.kind, "subject_sha256": digest, "meaning": meaning, "key_id": signer.public.id,
           "algorithm": ALGORITHM}  # fmt: skip
    put(session, row, envelope.as_bytes(), time)
    return Signature(subject.kind, subject.name, digest, meaning, signer.public.id, session.actor, time, envelope)


def put(session: CommandSession, row: dict[str, Any], envelope: bytes, time: int) -> None:
    """Write a row of `signatures` and its envelope."""
    content = hashlib.sha256(envelope).hexdigest()
    with session.deed() as entries:
        entries.append(content_entry("contents", content_row(content, KIND, envelope)))
        fact = {"session_id": session.id, **row, "content_sha256": content, "author": session.actor, "time": time}
        entries.append(row_entry("signatures", session.id, fact))


def head_of(session: CommandSession) -> Subject:
    """The head of the history: a line of this session that chains all others."""
    seq, digest, time = session.head()
    name = session.path.name
    return Subject(HEAD, name, {"store": name, "session": session.id, "seq": seq, "digest": digest, "time": time})


def _subject(word: str, store: _Path | None) -> Subject:
    """A file, a pack, or a version of a model."""
    path = Path(word)
    if path.is_file():
        digest, size = digest_of(path)
        return Subject(
            "pack" if is_pack(path) else "file", path.name, {"name": path.name, "digest": digest, "size": size}
        )
    with History(store) as history:
        if is_version_name(history, word):
            version = history.version(word)
            facts = {"model": version.model, "number": version.number, "id": version.id, "digest": version.sha256}
            return Subject("version", version.name, facts)
    if path.is_dir():
        raise QueryError(f"{path} is a folder; sign a file, `head`, or a version such as credit@3")
    raise QueryError(f"there is no file {path}; sign `head`, a file, a pack, or a version such as credit@3")


def is_pack(path: Path) -> bool:
    """Whether a file is a pack of evidence."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return MANIFEST in file.namelist() and "verify_pack.py" in file.namelist()
    except zipfile.BadZipFile:
        return False


def digest_of(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file.

    Raises
    ------
    QueryError
        If it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
                size += len(data)
    except OSError as error:
        raise QueryError(f"{path} cannot be read ({error.strerror})") from error
    return digest.hexdigest(), size


def write(path: Path, envelope: Envelope) -> None:
    """Write an envelope to a file.

    Raises
    ------
    QueryError
        If it cannot be written.
    """
    try:
        path.write_bytes(envelope.as_bytes())
    except OSError as error:
        raise QueryError(f"{path} cannot be written ({error.strerror}); the history has the signature") from error
