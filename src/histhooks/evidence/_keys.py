"""Keys that sign: made once, kept in a file that its owner alone may read, and never in a store."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histhooks._host.store_location import user_folder
from histhooks.errors import QueryError
from histhooks.verify._keys import PublicKey, cryptography, named, read_pem

VARIABLE = "HISTHOOKS_SIGN_KEY"
NAME = "signing.pem"
_Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Keys:
    """The files of a new key.

    Attributes
    ----------
    path : Path
        The private key, for its owner alone.
    public_path : Path
        The public key, for everyone who verifies.
    id : str
        What signatures name the key by: the first 16 hexadecimal digits of the SHA-256 of the public key in DER form.
    """

    path: Path
    public_path: Path
    id: str


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs."""

    public: PublicKey
    name: str
    _key: Any = field(repr=False)

    def sign(self, text: bytes) -> bytes:
        """The signature of a text, in DER form; by RFC 6979 where that is at hand, so that it is the same each time."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            return bytes(self._key.sign(text, ECDSA(SHA256(), deterministic_signing=True)))
        except (TypeError, UnsupportedAlgorithm):  # before cryptography 43, or with OpenSSL before 3.2
            return bytes(self._key.sign(text, ECDSA(SHA256())))


def keygen(path: _Path | None = None) -> Keys:
    """Make a key that signs, and its public half beside it. No key that is there is overwritten.

    Parameters
    ----------
    path : str or path, optional
        By default `signing.pem` in the user's data folder, where :func:`sign` finds it.

    Returns
    -------
    Keys

    Raises
    ------
    QueryError
        If there is a file already, it cannot be written, or cryptography is missing.

    Examples
    --------
    >>> from histhooks import evidence
    >>> keys = evidence.keygen("signing.pem")
    >>> keys.public_path.name, len(keys.id), oct(keys.path.stat().st_mode)[-3:]
    ('signing.pem.pub', 16, '600')
    """
    serialization = cryptography()
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    target = Path(path) if path is not None else default_path()
    if target is None:
        raise QueryError("this account has no folder for data; name a file: histhooks keygen -o signing.pem")
    public_path = target.with_name(target.name + ".pub")
    for each in (target, public_path):
        if os.path.lexists(each):
            raise QueryError(f"{each} is there already; keep it, or name another file: histhooks keygen -o FILE")
    key = generate_private_key(SECP256R1())
    public = named(key.public_key(), str(target))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    try:
        if path is None:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _put(target, pem, 0o600)
        _put(public_path, public.pem.encode("ascii"), 0o644)
    except OSError as error:
        raise QueryError(f"{target} cannot be written ({error.strerror}); name another file with -o FILE") from error
    return Keys(target, public_path, public.id)


def _put(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all, and never over another one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
        os.link(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def default_path() -> Path | None:
    """Where this user's key lies, or would; None for a user without a home."""
    folder = user_folder("XDG_DATA_HOME", ".local/share")
    return None if folder is None else folder / "keys" / NAME


def signing_key(source: _Path | None = None) -> SigningKey:
    """The key to sign with: the one named, else that of HISTHOOKS_SIGN_KEY, else the user's own.

    Raises
    ------
    QueryError
        If there is none, or it cannot be used.
    """
    serialization = cryptography()
    own = default_path()
    found = source or os.environ.get("HISTHOOKS_SIGN_KEY") or (own if own is not None and own.exists() else None)
    if found is None:
        raise QueryError(
            f"there is no key to sign with: make one with `histhooks keygen`, or name one with --key FILE or {VARIABLE}"
        )
    data, name = read_pem(found, "signing key")
    if b"PRIVATE KEY" not in data:
        raise QueryError(f"{name} is no private key; sign with the file that `histhooks keygen` wrote, not its .pub")
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError as error:
        raise QueryError(
            f"{name} is encrypted with a password; give it as plain PEM, readable by its owner alone"
        ) from error
    except ValueError as error:
        raise QueryError(f"{name} holds no key that can be read; make one with `histhooks keygen`") from error
    return SigningKey(named(key.public_key(), name), name, key)
