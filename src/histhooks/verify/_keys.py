"""Keys of signatures: ECDSA P-256, as PEM files. Nothing of cryptography is imported before one is used."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histhooks.errors import QueryError

ALGORITHM = "ecdsa-p256-sha256"
_ID = 16
_CURVE = "secp256r1"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies.

    Attributes
    ----------
    id : str
        First 16 hexadecimal digits of the SHA-256 of its DER form, as `openssl pkey -pubin -outform DER` writes it.
    pem : str
        The key as PEM.
    """

    id: str
    pem: str
    _key: Any = field(repr=False)

    def is_by(self, signature: bytes, text: bytes) -> bool:
        """Whether a signature in DER form is of this text and by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            self._key.verify(signature, text, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


def cryptography() -> Any:
    """The module that reads and writes PEM.

    Raises
    ------
    QueryError
        If cryptography is not installed; the message names the extra.
    """
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise QueryError("signatures need cryptography, which is missing: pip install 'histhooks[sign]'") from error
    return serialization


def public_key(source: str | os.PathLike[str]) -> PublicKey:
    """The public key in a PEM file; of a private key, its public half.

    Parameters
    ----------
    source : str or path
        A file, or the text of one.

    Raises
    ------
    QueryError
        If it cannot be read, is no key, or one of another kind.
    """
    pem = cryptography()
    data, name = read_pem(source, "public key")
    try:
        if b"PRIVATE KEY" in data:
            key = pem.load_pem_private_key(data, password=None).public_key()
        else:
            key = pem.load_pem_public_key(data)
    except (ValueError, TypeError) as error:
        raise QueryError(
            f"{name} holds no key that can be read: give a PEM file, as `histhooks keygen` writes it"
        ) from error
    return named(key, name)


def named(key: Any, name: str) -> PublicKey:
    """A loaded public key with its id.

    Raises
    ------
    QueryError
        If it is of another kind.
    """
    serialization = cryptography()
    curve = getattr(getattr(key, "curve", None), "name", None)
    if curve != _CURVE:
        raise QueryError(
            f"{name} is a key of another kind ({curve or type(key).__name__}); signatures are by ECDSA P-256"
        )
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_bytes(serialization.Encoding.DER, info)
    text = key.public_bytes(serialization.Encoding.PEM, info).decode("ascii")
    return PublicKey(hashlib.sha256(der).hexdigest()[:_ID], text, key)


def read_pem(source: str | os.PathLike[str], what: str) -> tuple[bytes, str]:
    """The bytes of a PEM file, or of a text that is one, and what to call it in a message.

    Raises
    ------
    QueryError
        If the file cannot be read.
    """
    if isinstance(source, str) and source.lstrip().startswith("-----BEGIN"):
        return source.encode("utf-8"), f"the {what} given"
    path = Path(source)
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        raise QueryError(f"the {what} {path} cannot be read ({error.strerror}); name a PEM file") from error
