"""Time stamps of RFC 3161: the request, and what of the answer can be read without trusting anyone.

https://www.rfc-editor.org/rfc/rfc3161. `openssl ts -verify` tells whether an authority that one trusts made it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from histhooks.errors import QueryError

_SHA256 = bytes.fromhex("300d06096086480165030402010500")  # the algorithm, without parameters
_TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")  # the object identifier of what an authority signs
_SEQUENCE, _INTEGER, _OCTETS, _TIME, _FIRST = 0x30, 0x02, 0x04, 0x18, 0xA0
_MOST = 1 << 20  # bytes of an answer
_PATIENCE_S = 30


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """What an authority answered.

    Attributes
    ----------
    token : bytes
        The whole answer, as `openssl ts` reads it.
    time : int
        The time that it attests, microseconds UTC.
    authority : str
        The host that was asked.
    """

    token: bytes
    time: int
    authority: str


def stamp(url: str, data: bytes) -> TimeStamp:
    """Ask an authority to attest that data were there.

    Raises
    ------
    QueryError
        If it cannot be reached, refuses, or answers something else.
    """
    host = urlsplit(url).hostname
    if urlsplit(url).scheme not in ("http", "https") or not host:
        raise QueryError(f"{url!r} is no address of an authority; give one as rfc3161:https://HOST/PATH")
    digest, nonce = hashlib.sha256(data).digest(), int.from_bytes(os.urandom(8)) | 1
    query = Request(url, request(digest, nonce), {"Content-Type": "application/timestamp-query"})
    try:
        with urlopen(query, timeout=_PATIENCE_S) as answer:
            token = answer.read(_MOST)
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise QueryError(f"{host} gives no time stamp ({reason}); try again, or another authority") from error
    try:
        return TimeStamp(token, read(token, digest, nonce), host)
    except (ValueError, LookupError, StopIteration) as error:
        raise QueryError(f"what {host} answers is no time stamp of this head: {_words(error)}") from error


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else "a part of it is missing"


def request(digest: bytes, nonce: int) -> bytes:
    """A request in DER form: a SHA-256, a number that the answer has to repeat, and that it may bring certificates."""
    imprint = _of(_SEQUENCE, _SHA256 + _of(_OCTETS, digest))
    return _of(_SEQUENCE, _integer(1) + imprint + _integer(nonce) + b"\x01\x01\xff")


def read(token: bytes, digest: bytes, nonce: int) -> int:
    """The time that an answer attests, if it is of this digest and this request.

    Raises
    ------
    ValueError, LookupError, StopIteration
        If it is not.
    """
    answer = dict(enumerate(_parts(next(_parts(token))[1])))
    status = next(_parts(answer[0][1]))
    if int.from_bytes(status[1]) not in (0, 1):
        raise ValueError(f"the authority refuses it (status {int.from_bytes(status[1])})")
    place = token.find(_TST_INFO)
    if place < 0:
        raise ValueError("it holds no time stamp")
    wrapped = next(_parts(token[place + len(_TST_INFO) :]))
    if wrapped[0] != _FIRST:
        raise ValueError("it holds no time stamp")
    (_, octets) = next(_parts(wrapped[1]))
    info = list(_parts(next(_parts(octets))[1]))
    imprint = list(_parts(info[2][1]))
    if imprint[1][1] != digest:
        raise ValueError("it is of something else")
    time = next(value for tag, value in info if tag == _TIME).decode("ascii")
    numbers = [int.from_bytes(value) for tag, value in info[4:] if tag == _INTEGER]
    if nonce not in numbers:
        raise ValueError("it answers another request")
    return _microseconds(time)


def _microseconds(text: str) -> int:
    whole, _, part = text.removesuffix("Z").partition(".")
    moment = datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000 + int((part or "0").ljust(6, "0")[:6])


def _of(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 128 | len(length)]) + length + content


def _integer(value: int) -> bytes:
    return _of(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The values that stand one after the other: tag and content."""
    place = 0
    while place < len(data):
        tag, size = data[place], data[place + 1]
        place += 2
        if size & 128:
            n = size & 127
            if not 0 < n <= 4:
                raise ValueError("it is not of its form")
            size = int.from_bytes(data[place : place + n])
            place += n
        if place + size > len(data):
            raise ValueError("it is cut")
        yield tag, data[place : place + size]
        place += size
