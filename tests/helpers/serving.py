"""`histhooks ui` as a process of its own, asked through a socket as a stranger would."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

PATIENCE_S = 120.0


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8")


class Unix(http.client.HTTPConnection):
    """A connection to a socket of the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


class Served:
    """A server that runs.

    Attributes
    ----------
    told : dict
        What `histhooks ui --json` printed.
    cookie : str
        What a visitor with the token sends.
    """

    def __init__(self, process: subprocess.Popen[str], told: dict[str, Any], context: ssl.SSLContext | None) -> None:
        self.process, self.told, self._context = process, told, context
        parts = urlsplit(told["url"])
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.token = parse_qs(parts.query).get("token", [""])[0]
        self.cookie = ""
        if self.token:
            found = self.ask(f"/?token={self.token}", cookie="")
            self.cookie = found.headers["set-cookie"].partition(";")[0]

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """Ask over a connection of its own; underscores of header names are dashes."""
        given = {"cookie": self.cookie, **headers}
        sent = {name.replace("_", "-"): value for name, value in given.items() if value}
        line = self._line()
        try:
            line.request(method, path, body, sent)
            answer = line.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            line.close()

    def send(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """Send a form, as a page of this server would."""
        body = urlencode(fields).encode()
        given = {"origin": self.origin, "content_type": "application/x-www-form-urlencoded", **headers}
        return self.ask(path, "POST", body, **given)

    def _line(self) -> http.client.HTTPConnection:
        if self.told["uds"]:
            return Unix(self.told["uds"])
        if self._context is not None:
            return http.client.HTTPSConnection(
                "127.0.0.1", self.told["port"], timeout=PATIENCE_S, context=self._context
            )
        return http.client.HTTPConnection("127.0.0.1", self.told["port"], timeout=PATIENCE_S)


@contextmanager
def served(*arguments: str | Path, context: ssl.SSLContext | None = None, **variables: str) -> Iterator[Served]:
    """Start `histhooks ui --json` with some arguments; it must end well with Ctrl-C."""
    command = [sys.executable, "-m", "histhooks", "ui", "--json", *map(str, arguments)]
    environment = {**os.environ, **variables}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    limit = threading.Timer(PATIENCE_S, process.kill)
    limit.start()
    try:
        assert process.stdout is not None
        text = process.stdout.readline()
        assert text.endswith("}\n"), process.communicate()
        yield Served(process, json.loads(text), context)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
        assert (process.returncode, error) == (0, "")
    finally:
        limit.cancel()
        process.kill()
        process.communicate()
