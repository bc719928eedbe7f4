"""The link that `histhooks ui` opens a browser with: it stands in the browser's command line, which all users can read.

So it holds no token, but a code that is good once, and on Linux for this user alone: of two users who read the code at
the same time, the owner of the server is let in.
"""

from __future__ import annotations

import hmac
import os
import secrets
import time
from contextlib import suppress

_GOOD_FOR_S = 300.0  # a browser may have to start first
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_ROOT = 0  # also the relay between Windows and its Linux; root can read the token from memory anyway


class OneUse:
    """A code in place of the token, for one request.

    Attributes
    ----------
    code : str
    """

    def __init__(self) -> None:
        self.code = secrets.token_urlsafe(24)
        self._until = time.monotonic() + _GOOD_FOR_S
        self._is_used = False

    def takes(self, given: str, client: tuple[str, int] | None, port: int) -> bool:
        """Whether a request is the one that the code is good for.

        Parameters
        ----------
        given : str
            What stands in the place of the token.
        client : (str, int) or None
            The address and the port that the request came from.
        port : int
            Where the server listens.
        """
        if self._is_used or time.monotonic() > self._until:
            return False
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.code.encode()):
            return False
        if client is not None and not users_of(client[1], port) <= _allowed():
            return False
        self._is_used = True
        return True


def _allowed() -> set[int]:
    return {_ROOT, os.getuid()} if hasattr(os, "getuid") else {_ROOT}


def users_of(client: int, server: int) -> set[int]:
    """The users whose connections lead from one port of this machine to another; none where the system does not say."""
    ends = [f"{client:04X}", f"{server:04X}"]
    found = set()
    for table in _TABLES:
        with suppress(OSError), open(table, encoding="ascii") as file:
            next(file, None)
            for line in file:
                words = line.split()
                if [word.rpartition(":")[2] for word in words[1:3]] == ends:
                    found.add(int(words[7]))
    return found
