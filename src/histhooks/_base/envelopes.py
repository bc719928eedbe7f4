"""The text that a signature is over, and the envelope in which a store keeps it.

A signed text has one fact a line. Anyone can verify it with `openssl dgst -sha256 -verify`.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

FORM = "histhooks-signature-1"
KIND = "envelope"  # in `contents`
TIME_STAMP = "rfc3161"  # as algorithm: the content is the answer of an authority, and the key its host
MEANINGS = ("trained", "reviewed", "validated", "approved")
# The lines below the first one, which says the form: `histhooks-head-1`. The digest of the subject is one of them.
LINES = {
    "head": ("store", "session", "seq", "digest", "time", "meaning"),
    "file": ("name", "digest", "size", "time", "meaning"),
    "pack": ("name", "digest", "size", "time", "meaning"),
    "version": ("model", "number", "id", "digest", "time", "meaning"),
}


def signed_text(subject: str, facts: dict[str, object]) -> str:
    """The text that is signed: the form, then one fact a line.

    Parameters
    ----------
    subject : str
        `head`, `file`, `pack` or `version`.
    facts : dict
        The lines that this subject has, by name.
    """
    lines = [_line(facts[name]) for name in LINES[subject]]
    return "\n".join([f"histhooks-{subject}-1", *lines, ""])


def _line(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signature with what it is over.

    Attributes
    ----------
    text : str
        What was signed.
    signature : bytes
        In DER form.
    algorithm : str
    public_key : str
        The key that verifies it, as PEM.
    """

    text: str
    signature: bytes
    algorithm: str
    public_key: str

    def as_bytes(self) -> bytes:
        """The envelope as a store keeps it: JSON, its keys sorted."""
        signature = base64.b64encode(self.signature).decode("ascii")
        facts = {"form": FORM, "text": self.text, "signature": signature, "algorithm": self.algorithm,
                 "public_key": self.public_key}  # fmt: skip
        return json.dumps(facts, sort_keys=True, indent=1).encode("ascii") + b"\n"

    @property
    def subject(self) -> str:
        """What kind of thing was signed: `head`, `file`, `pack` or `version`."""
        return self.text.partition("\n")[0].removeprefix("histhooks-").removesuffix("-1")

    @property
    def facts(self) -> dict[str, str]:
        """The lines of the text by name.

        Raises
        ------
        ValueError
            If it has not the lines of its subject.
        """
        first, *lines = self.text.split("\n")
        names = LINES.get(self.subject, ())
        if not names or first != f"histhooks-{self.subject}-1" or len(lines) != len(names) + 1 or lines[-1]:
            raise ValueError(f"no text of a signature: {self.text[:60]!r}")
        return dict(zip(names, lines))


def envelope_of(data: bytes) -> Envelope:
    """The envelope in these bytes.

    Raises
    ------
    ValueError
        If they are none.
    """
    try:
        facts = json.loads(data)
        if facts["form"] != FORM:
            raise ValueError(f"of the form {facts['form']!r}, which this version does not know")
        signature = base64.b64decode(facts["signature"], validate=True)
        texts = [facts[name] for name in ("text", "algorithm", "public_key")]
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"no envelope of a signature ({error})") from error
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("no envelope of a signature")
    return Envelope(texts[0], signature, texts[1], texts[2])
