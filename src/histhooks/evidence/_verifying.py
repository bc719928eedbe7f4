"""Verify a pack: the program that is in each pack does it, in the form that this histhooks has of it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from histhooks.errors import QueryError
from histhooks.verify import verify
from histhooks.verify._keys import public_key, read_pem

_Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class PackReport:
    """What was found in a pack.

    Attributes
    ----------
    ok : bool
    problems : tuple of str
        What does not fit, each with the member that it is in.
    members : int
    is_signed : bool
        Whether the pack says that it is signed.
    signed_by : str or None
        The key whose signature fits.
    is_trusted : bool
        Whether that key was given, and not only found in the pack.
    records : int
        Ids of records that its documents cite.
    ledger_lines : int or None
        Lines of the ledger of its store that were recomputed; None if there is no store in it.
    """

    ok: bool
    problems: tuple[str, ...]
    members: int
    is_signed: bool
    signed_by: str | None
    is_trusted: bool
    records: int
    ledger_lines: int | None

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


def verify_pack(path: _Path, *, key: _Path | None = None, is_signed: bool = False) -> PackReport:
    """Verify a pack: each member, the ledger of the store in it, the ids that it cites, and its signature.

    Nothing of the pack is run. Without histhooks, `python3 -I -S verify_pack.py PACK.zip` does the same; of the pack it
    runs `verify_ledger.py` alone, and only if that is, byte for byte, the one that it knows.

    Parameters
    ----------
    path : str or path
        The pack, or the folder that it was unpacked into.
    key : str or path, optional
        The public key that must have signed it.
    is_signed : bool
        Whether it must be signed, by any key.

    Returns
    -------
    PackReport

    Raises
    ------
    QueryError
        If it is no pack, the key is none, or neither cryptography nor openssl is there for a signature.

    Examples
    --------
    >>> from histhooks import evidence
    >>> made = evidence.pack("last", "verified.zip")
    >>> report = evidence.verify_pack("verified.zip")
    >>> report.ok, report.is_signed, report.records > 0
    (True, False, True)
    """
    names = _program()
    names["check_ledger"] = _ledger
    has_cryptography = find_spec("cryptography") is not None  # else openssl verifies
    trusted = None
    if key is not None:
        trusted = public_key(key).pem.encode("ascii") if has_cryptography else read_pem(key, "public key")[0]
    try:
        found = names["verify"](path, trusted, _is_by if has_cryptography else names["openssl"])
    except names["CannotTell"] as error:
        raise QueryError(str(error)) from error
    del found["has_store"]
    problems = list(found["problems"])
    if is_signed and not found["is_signed"]:
        problems.append("MANIFEST.sig: it is missing, and a signature was asked for")
    return PackReport(**{**found, "ok": not problems, "problems": tuple(dict.fromkeys(problems))})


def _program() -> dict[str, Any]:
    text = (files("histhooks.evidence") / "_alone" / "verify_pack.py.txt").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "verify_pack"}
    exec(compile(text, "verify_pack.py", "exec"), names)
    return names


def _is_by(pem: bytes, signature: bytes, text: bytes) -> bool:
    try:
        return public_key(pem.decode("ascii", "replace")).is_by(signature, text)
    except QueryError:
        return False


def _ledger(members: dict[str, Any]) -> tuple[int | None, list[str]]:
    """Whether the store fits its ledger, by this histhooks and not by what lies in the pack."""
    store = members.get("store.db")
    if not isinstance(store, bytes):
        return None, []
    with tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
        path = Path(folder) / "store.db"
        path.write_bytes(store)
        report = verify(path, kept_files=False)
    return report.lines, [f"store.db: {each}" for each in report.problems]
