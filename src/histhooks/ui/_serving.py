"""A server for the pages: in a thread, or until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import uvicorn

from histhooks.errors import HisthooksError
from histhooks.ui._app import make
from histhooks.ui._gate import Gate
from histhooks.ui._identity import proxies_of
from histhooks.ui._sockets import at_path, at_port, check_certificate

if TYPE_CHECKING:
    from histhooks.history import History

_PATIENCE_S = 60.0
_ANY = ("", "0.0.0.0", "::")  # addresses that stand for all of a machine's, and are no name of it


class _Ending(uvicorn.Server):
    """A server that ends the streams of its pages before it waits for them.

    It lets go of its place there too: a signal that ended it is repeated before :meth:`run` returns.
    """

    def __init__(self, config: uvicorn.Config, gate: Gate, let_go: Callable[[], None]) -> None:
        super().__init__(config)
        self._gate = gate
        self._let_go = let_go
        self.ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gate.end()
        await super().shutdown(sockets)
        self._let_go()


class Server:
    """A server of some stores.

    Parameters
    ----------
    stores : sequence of str, path or History
    host, port
        Where it listens; port 0 takes a free one.
    uds : str or path, optional
        A socket of the file system to listen at instead. Its mode lets in this user alone, so there is no token.
    token : str, optional
        A new one by default.
    hosts : sequence of str
    frames : str
    write, files : bool
        Whether visitors may annotate, and take files that were kept.
    ssl_cert, ssl_key : str, optional
        PEM files, for TLS.
    trust_header, trusted_proxies : str, sequence of str
        The header of a proxy that says who asks, and where such a proxy is; then there is no token.
    me : str
        The actor whose runs are called mine, where no proxy says who asks.

    Attributes
    ----------
    url : str
        The address, with the token: whoever has it may look.
    port : int
        0 for a socket of the file system.
    token : str or None
    uds : Path or None
    shown : list of str
        The paths of the stores, or their addresses without secrets.
    """

    def __init__(
        self,
        stores: Sequence[str | os.PathLike[str] | History],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        uds: str | os.PathLike[str] | None = None,
        token: str | None = None,
        hosts: Sequence[str] = (),
        frames: str = "'self'",
        write: bool = False,
        files: bool = False,
        ssl_cert: str | None = None,
        ssl_key: str | None = None,
        trust_header: str | None = None,
        trusted_proxies: Sequence[str] = (),
        me: str = "",
    ) -> None:
        proxies = proxies_of(
            trust_header, trusted_proxies, has_token=token is not None, at_socket=uds is not None
        )  # fmt: skip
        if ssl_cert is not None:
            check_certificate(ssl_cert, ssl_key)
        self.uds = None if uds is None else Path(uds).absolute()
        self.token = None if self.uds is not None or proxies is not None else token or secrets.token_urlsafe(24)
        self.host = host
        self._scheme = "http" if ssl_cert is None else "https"
        self._socket = at_port(host, port) if self.uds is None else at_path(self.uds)
        self.port: int = self._socket.getsockname()[1] if self.uds is None else 0
        self._mark = None if self.uds is None else _mark_of(self.uds)
        try:
            gate = make(
                stores, self.token, port=self.port, host="" if host in _ANY else host, hosts=hosts, frames=frames,
                write=write, files=files, proxies=proxies, me=me,
            )  # fmt: skip
        except BaseException:
            self._let_go()
            raise
        self._gate = gate
        self.shown = gate.shown
        config = uvicorn.Config(
            gate, log_config=None, log_level="critical", access_log=False, server_header=False, ws="none", http="h11",
            loop="asyncio", timeout_graceful_shutdown=1, lifespan="on", proxy_headers=False, ssl_certfile=ssl_cert,
            ssl_keyfile=ssl_key,
        )  # fmt: skip
        self._server = _Ending(config, gate, self._let_go)
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """The address without the token."""
        if self.uds is not None:
            return f"http+unix://{quote(str(self.uds), safe='')}/"
        return f"{self._scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    @property
    def url(self) -> str:
        """The address, with the token."""
        return self.address if self.token is None else f"{self.address}?token={self.token}"

    def url_once(self) -> str:
        """The address with a code that lets in once, for a command line, which other users can read."""
        return f"{self.address}?token={self._gate.once()}"

    @property
    def frame_url(self) -> str:
        """The address for a frame in a page of another site, to which browsers send no cookie."""
        return f"{self.address}@{self.token}/"

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until Ctrl-C, or a signal that ends the process; `ready` is called once it answers."""
        self._server.ready = ready
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            return  # uvicorn repeats the signal after it has ended well
        finally:
            self._let_go()

    def start(self) -> None:
        """Serve from a thread, and come back when it answers."""
        self._thread = threading.Thread(target=self.run, name="histhooks-ui", daemon=True)
        self._thread.start()
        until = time.monotonic() + _PATIENCE_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise HisthooksError(f"the server on port {self.port} did not start; try another --port")
            time.sleep(0.01)

    def end(self) -> None:
        """Ask it to end, without waiting."""
        self._server.should_exit = True

    def close(self) -> None:
        """End it, and let go of its stores."""
        self.end()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)
        self._let_go()

    def _let_go(self) -> None:
        self._socket.close()
        if self.uds is not None and self._mark is not None:
            with suppress(OSError):
                if _mark_of(self.uds) == self._mark:  # not the socket of another server that came meanwhile
                    self.uds.unlink()


def _mark_of(path: Path) -> tuple[int, int]:
    """Which file it is."""
    found = path.lstat()
    return found.st_dev, found.st_ino
