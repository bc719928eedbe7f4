"""The history in a browser: what the command line says, live, with charts that zoom.

`histhooks ui` starts it. It only shows unless it is told that it may annotate, listens on this machine only, and loads
nothing from elsewhere.

>>> from histhooks.ui import app
>>> application = app(["histhooks.db"], token="a secret of yours")  # for a server of ASGI that runs already
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histhooks.errors import HisthooksError

if TYPE_CHECKING:
    from histhooks.history import History
    from histhooks.ui._serving import Server

__all__ = ["app", "serve"]


def app(
    stores: Sequence[str | os.PathLike[str] | History],
    token: str | None = None,
    *,
    hosts: Sequence[str] = (),
    port: int = 0,
    write: bool = False,
    files: bool = False,
    trust_header: str | None = None,
    trusted_proxies: Sequence[str] = (),
) -> Any:
    """An ASGI app that shows stores, for a server that runs already.

    Parameters
    ----------
    stores : sequence of str, path or History
    token : str, optional
        What a visitor must know: ``?token=`` in the first address. It may be left out only with `trust_header`.
    hosts : sequence of str
        Names that the Host header may have, beside those of this machine.
    port : int
        Where it is served; the cookie is named after it.
    write : bool
        Whether visitors may tag, rename and leave notes, in your name.
    files : bool
        Whether visitors may take the files that were kept.
    trust_header : str, optional
        The header by which a proxy says who asks. A database, named by its address, is asked as that role.
    trusted_proxies : sequence of str
        Where such a proxy is: addresses and networks, IPv4 or IPv6; or `unix`, for a server that listens at a socket.

    Returns
    -------
    callable
        The ASGI app.

    Raises
    ------
    StoreError
        If a store cannot be read.
    HisthooksError
        If the extra `ui` is not installed, or nothing says who may look.

    Examples
    --------
    >>> from histhooks.ui import app
    >>> callable(app(["histhooks.db"], token="a secret of yours"))
    True
    >>> behind = app(["histhooks.db"], trust_header="X-Forwarded-User", trusted_proxies=["10.0.0.5"])
    """
    need()
    from histhooks.ui._app import make
    from histhooks.ui._identity import proxies_of
    from histhooks.ui._targets import check_targets

    proxies = proxies_of(trust_header, trusted_proxies, has_token=token is not None)
    if proxies is None and not token:
        raise HisthooksError("nothing says who may look: name a token, or trust_header and trusted_proxies")
    check_targets(stores, write=write, by_identity=proxies is not None)
    return make(stores, token, hosts=hosts, port=port, write=write, files=files, proxies=proxies)


def serve(
    stores: Sequence[str | os.PathLike[str] | History],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    hosts: Sequence[str] = (),
    frames: str = "'self'",
    uds: str | os.PathLike[str] | None = None,
    write: bool = False,
    files: bool = False,
    ssl_cert: str | None = None,
    ssl_key: str | None = None,
    trust_header: str | None = None,
    trusted_proxies: Sequence[str] = (),
) -> Server:
    """Serve stores from a thread of this process.

    Parameters
    ----------
    stores : sequence of str, path or History
    host : str
        An address of this machine.
    port : int
        0 takes a free one.
    token : str, optional
        A new one by default.
    hosts : sequence of str
        Names that the Host header may have, beside those of this machine.
    frames : str
        Who may show the pages in a frame, as the directive `frame-ancestors` of CSP writes it.
    uds : str or path, optional
        A socket of the file system to listen at instead of a port. It is yours alone (mode 0600), and needs no token.
    write, files : bool
        As for :func:`app`.
    ssl_cert, ssl_key : str, optional
        PEM files: with a certificate the pages come over TLS.
    trust_header, trusted_proxies : str, sequence of str
        As for :func:`app`: a proxy says who asks, and there is no token.

    Returns
    -------
    Server
        With `url`, and `close()`.

    Raises
    ------
    StoreError
        If a store cannot be read.
    HisthooksError
        If the extra `ui` is not installed, the address cannot be used, or what says who asks does not fit.

    Examples
    --------
    >>> from histhooks.ui import serve
    >>> server = serve(["histhooks.db"])
    >>> server.url.startswith("http://127.0.0.1:")
    True
    >>> server.close()
    """
    need()
    from histhooks.ui._serving import Server
    from histhooks.ui._targets import check_targets

    check_targets(stores, write=write, by_identity=trust_header is not None)
    server = Server(
        stores, host=host, port=port, token=token, hosts=hosts, frames=frames, uds=uds, write=write, files=files,
        ssl_cert=ssl_cert, ssl_key=ssl_key, trust_header=trust_header, trusted_proxies=trusted_proxies,
    )  # fmt: skip
    server.start()
    return server


def need() -> None:
    """Say what is missing, if the extra is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("starlette", "uvicorn", "jinja2") if find_spec(name) is None]
    if missing:
        raise HisthooksError(f"the UI needs {', '.join(missing)}: pip install 'histhooks[ui]'")
