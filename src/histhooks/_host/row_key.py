"""The key of row hashes: 16 random bytes of a project, which no store holds.

A hash of a row without a key could be guessed: who has the store would hash rows until one fits. The key lies in the
user's data folder, in a file that its owner alone may read, and stores name it by its id: the first eight digits of its
SHA-256. Hashes of rows compare across runs whose id is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from histhooks._host.store_location import user_folder

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "HISTHOOKS_KEY"
SIZE = 16
_PLAIN = re.compile(r"[\w][\w. -]{0,79}", re.ASCII)
_of_process: list[bytes] = []  # where no file can be kept: known to this process and its forks alone


@dataclass(frozen=True, slots=True)
class RowKey:
    """The key of a project.

    Attributes
    ----------
    secret : bytes
        16 of them.
    id : str or None
        First eight hexadecimal digits of the key's SHA-256; None of a key that ends with the process.
    why : str
        Why it ends with the process, else empty.
    """

    secret: bytes
    id: str | None
    why: str = ""

    def __repr__(self) -> str:
        return f"RowKey(id={self.id!r})"  # in no traceback


def row_key(project: str, *, make: bool = True) -> RowKey:
    """The key of a project; where the user's data folder cannot be written, one that ends with this process.

    Parameters
    ----------
    project : str
    make : bool
        Whether it is made if there is none yet.
    """
    given = os.environ.get("HISTHOOKS_KEY")
    if given:
        try:
            return _named(parse(given))
        except ValueError as error:
            return _own(f"{VARIABLE}: {error}")
    path = key_path(project)
    if path is None:
        return _own("the user has no folder for data")
    try:
        found = _read(path)
        if found is None and not make:
            return _own("none was made yet")
        return _named(found or _make(path))
    except OSError as error:
        return _own(f"{path} cannot be {'read' if path.exists() else 'written'}: {error.strerror}")
    except ValueError as error:
        return _own(f"{path}: {error}")


def key_path(project: str) -> Path | None:
    """Where the key of a project lies, or would; None for a user without a home."""
    folder = user_folder("XDG_DATA_HOME", ".local/share")
    if folder is None:
        return None
    name = project
    if not _PLAIN.fullmatch(project):
        digest = hashlib.sha256(project.encode("utf-8", "surrogatepass")).hexdigest()
        name = f"{re.sub(r'[^A-Za-z0-9]+', '-', project).strip('-')[:60]}-{digest[:12]}"
    return folder / "keys" / f"{name}.key"


def parse(text: str) -> bytes:
    """A key of its 32 hexadecimal digits.

    Raises
    ------
    ValueError
        If it is none; the message does not repeat it.
    """
    digits = text.strip()
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * SIZE}}}", digits):
        raise ValueError(f"a key is {2 * SIZE} hexadecimal digits")
    return bytes.fromhex(digits)


def id_of(secret: bytes) -> str:
    """The name of a key in a store."""
    return hashlib.sha256(secret).hexdigest()[:8]


def put(path: Path, secret: bytes, *, replace: bool = False) -> bool:
    """Write a key file that its owner alone may read; whole or not at all, whoever else writes it just now.

    Parameters
    ----------
    path : Path
    secret : bytes
    replace : bool
        Whether a key that is there gives way.

    Returns
    -------
    bool
        False if there is one already, and it stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret.hex() + "\n")
        if replace:
            os.replace(part, path)
            return True
        os.link(part, path)  # fails if it is there, and shows it whole
        return True
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _read(path: Path) -> bytes | None:
    try:
        return parse(path.read_text(encoding="ascii", errors="replace"))
    except FileNotFoundError:
        return None


def _make(path: Path) -> bytes:
    secret = os.urandom(SIZE)
    if put(path, secret):
        return secret
    return _read(path) or secret  # another process was first


def _named(secret: bytes) -> RowKey:
    return RowKey(secret, id_of(secret))


def _own(why: str) -> RowKey:
    if not _of_process:
        _of_process.append(os.urandom(SIZE))
    return RowKey(_of_process[0], None, why)
