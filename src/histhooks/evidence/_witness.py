"""Keep a signed head where nobody who can write the store can change it: in git, in a file, with a time stamp."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from histhooks._base.clock import now_us
from histhooks._base.envelopes import TIME_STAMP
from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError
from histhooks.evidence._keys import signing_key
from histhooks.evidence._signing import HEAD, Signature, head_of, put, record, write
from histhooks.evidence._time_stamps import stamp
from histhooks.verify._witnesses import GIT_REF, split

_Path = str | os.PathLike[str]
_GIT_S = 60


@dataclass(frozen=True, slots=True)
class Witness:
    """A head that was kept outside.

    Attributes
    ----------
    where : str
        As it was asked: `git`, `file:PATH` or `rfc3161:URL`.
    place : str
        The commit, the file, or the authority.
    time : int or None
        The time that an authority attests (microseconds UTC); None elsewhere.
    signature : Signature
        The signed head.
    """

    where: str
    place: str
    time: int | None
    signature: Signature


def witness(
    where: str,
    *,
    meaning: str = "reviewed",
    key: _Path | None = None,
    store: _Path | None = None,
    to: _Path | None = None,
) -> Witness:
    """Sign the head of the history, and keep it outside of the store.

    `verify(..., witness=where)` finds out later whether the history still has every head that was kept there.

    Parameters
    ----------
    where : str
        `git`: a note (ref `refs/notes/histhooks`) on the commit that is checked out where the store lies, else here.
        `file:PATH`: a line at the end of a file. `rfc3161:URL`: a time stamp by an authority, kept in the history.
    meaning, key, store : optional
        As for :func:`sign`.
    to : str or path, optional
        A file for the envelope; with a time stamp, that goes beside it, into `<to>.tsr`.

    Returns
    -------
    Witness

    Raises
    ------
    QueryError
        If it cannot be kept there; then the history has the signature all the same. Or if there is no key.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> from histhooks import evidence
    >>> keys = evidence.keygen("witness.pem")
    >>> kept = evidence.witness("file:heads.jsonl", key=keys.path)
    >>> from histhooks.verify import verify
    >>> verify("histhooks.db", witness="file:heads.jsonl").witnessed
    1
    """
    kind, rest = split(where)
    signer = signing_key(key)
    with CommandSession(store, f"histhooks witness {kind}") as session:
        signature = record(session, head_of(session), meaning, signer)
        folder = session.path.parent
    envelope = signature.envelope
    if to is not None:
        write(Path(to), envelope)
    if kind == "file":
        return Witness(where, _in_file(Path(rest), envelope.as_bytes()), None, signature)
    if kind == "git":
        return Witness(where, _in_git(folder, envelope.as_bytes()), None, signature)
    found = stamp(rest, envelope.as_bytes())
    row = {"subject": HEAD, "subject_sha256": signature.sha256, "meaning": meaning, "key_id": found.authority,
           "algorithm": TIME_STAMP}  # fmt: skip
    with CommandSession(store, f"histhooks witness {kind}") as session:
        put(session, row, found.token, now_us())
    if to is not None:
        Path(f"{os.fspath(to)}.tsr").write_bytes(found.token)
    return Witness(where, found.authority, found.time, signature)


def _line(envelope: bytes) -> str:
    return json.dumps(json.loads(envelope), sort_keys=True) + "\n"


def _in_file(path: Path, envelope: bytes) -> str:
    try:
        with path.open("a", encoding="ascii") as file:  # a line at once, also beside others
            file.write(_line(envelope))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise QueryError(f"{path} cannot be written ({error.strerror}); the history has the signed head") from error
    return str(path)


def _in_git(folder: Path, envelope: bytes) -> str:
    """A note on the commit that is checked out, behind those that it has; the commit."""
    for place in dict.fromkeys((folder, Path.cwd())):
        done = _git(place, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if done.returncode == 0:
            commit = done.stdout.strip()
            note = _git(place, "notes", f"--ref={GIT_REF}", "append", "-m", _line(envelope).strip(), commit)
            if note.returncode != 0:
                raise QueryError(f"git keeps no note ({note.stderr.strip()}); the history has the signed head")
            return commit
    raise QueryError(f"neither {folder} nor this folder has a git commit to leave a note on; try file:PATH")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=_GIT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueryError(f"git cannot be run ({error}); the history has the signed head") from error
