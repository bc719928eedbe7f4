"""``ui``: the history in a browser."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from histhooks.cli import _common as common
from histhooks.errors import HisthooksError

if TYPE_CHECKING:
    from histhooks.history import History
    from histhooks.ui._serving import Server

_PORT = 6100
_LEAST_TOKEN = 16


@click.command(epilog="Example: histhooks ui --port 6100")
@click.argument("stores", nargs=-1, metavar="[STORE]...")
@common.store_option
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"The port to listen on; by default {_PORT}, or a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address of this machine to listen on.")
@click.option("--uds", metavar="PATH", help="A socket of the file system to listen at instead, that only you can use.")
@click.option(
    "--open/--no-open", "does_open", default=None, help="Whether to open a browser; not by default with --json or ssh."
)
@click.option("--write", is_flag=True, help="Let visitors tag, rename and leave notes, in your name; never delete.")
@click.option("--files", is_flag=True, help="Let visitors download the files that were kept.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False),
    metavar="PATH",
    help="A file with the token, that only you can read; made with a new one if it is not there.",
)
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A name that a proxy has for this server.")
@click.option("--behind-proxy", is_flag=True, help="Allow an address that is not of the loopback; a proxy adds TLS.")
@click.option(
    "--trust-header",
    metavar="NAME",
    help="The header by which a proxy says who asks; a database is asked as that role.",
)
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="NET",
    help="Where that proxy is: an address or a network, or unix with --uds. Repeatable.",
)
@click.option("--ssl-cert", metavar="PEM", help="A certificate: the pages come over TLS, on any address.")
@click.option("--ssl-key", metavar="PEM", help="Its key, if it is not in the same file.")
@click.option(
    "--embed", metavar="ORIGIN", help="A site that may show the pages in a frame, at the address /@TOKEN/; * is any."
)
@click.option("--while-stdin", is_flag=True, hidden=True, help="End when standard input does.")
@common.json_option
def ui(
    stores: tuple[str, ...],
    store: str | None,
    does_open: bool | None,
    token_file: str | None,
    embed: str | None,
    while_stdin: bool,
    as_json: bool,
    behind_proxy: bool,
    **options: Any,
) -> None:
    """Show the history in a browser, live, until Ctrl-C.

    It listens on this machine only, and asks for the token in the address that it prints. It changes nothing unless
    --write is given, and loads nothing from elsewhere. On another machine it prints the line for ssh that brings the
    port here.
    """
    from histhooks.ui import need

    need()
    _refuse_what_does_not_fit(options, token_file, embed, behind_proxy)
    named: list[str | None] = [*([store] if store else []), *stores] or [None]
    opened: list[History] = []
    try:
        shown = [_opened(each, opened, options) for each in named]
        server = _server(shown, {**options, "token": _token(token_file), "frames": _frames(embed), "me": _me()})
    except BaseException:
        for history in opened:
            history.close()
        raise
    is_asked = does_open or (does_open is None and not as_json and "SSH_CONNECTION" not in os.environ)

    def ready() -> None:
        _say(server, as_json)
        if is_asked and server.token is not None:
            _open(server)
        if while_stdin:
            _end_with_stdin(server)

    try:
        server.run(ready)
    finally:
        for history in opened:
            history.close()


def _me() -> str:
    """The actor that recording here would name."""
    from histhooks._collect.origin import actor

    return actor()[0] or ""


def _opened(word: str | None, opened: list[History], options: dict[str, Any]) -> str | History:
    """A store that everybody sees alike; or the address of a database, which is asked in the name of each visitor."""
    from histhooks._host.store_location import is_target
    from histhooks.history import History

    if is_target(word) and options["write"]:
        from histhooks.ui._targets import WRITES_NOT

        raise HisthooksError(WRITES_NOT)
    if options["trust_header"] is not None and word is not None and is_target(word):
        from histhooks.team.postgres.address import is_database
        from histhooks.team.postgres.login import check_login

        if is_database(word):
            for line in check_login(word):
                click.echo(f"histhooks: {line}", err=True)
            return word
    history = History(word)
    opened.append(history)
    return history


def _refuse_what_does_not_fit(
    options: dict[str, Any], token_file: str | None, embed: str | None, behind_proxy: bool
) -> None:
    context = click.get_current_context()
    if options["uds"] is not None:
        is_given = {
            name: context.get_parameter_source(name) == ParameterSource.COMMANDLINE for name in ("host", "port")
        }
        is_given |= {"token-file": token_file is not None, "embed": embed is not None}
        is_given |= {"ssl-cert": options["ssl_cert"] is not None, "open": bool(context.params["does_open"])}
        for name in (name for name, is_there in is_given.items() if is_there):
            raise click.UsageError(f"--uds listens at a socket that only you can use; leave out --{name}")
    header, proxies = options["trust_header"], options["trusted_proxies"]
    if header is not None and not proxies:
        raise click.UsageError("--trust-header believes a proxy alone: say where it is, with --trusted-proxy ADDRESS")
    if proxies and header is None:
        raise click.UsageError("--trusted-proxy is for a header that says who asks: add --trust-header NAME")
    if header is not None and ("unix" in proxies) != (options["uds"] is not None):
        raise click.UsageError("the proxy that comes by a socket is --trusted-proxy unix, together with --uds PATH")
    if header is not None:
        given = {"token-file": token_file is not None, "embed": embed is not None, "open": context.params["does_open"]}
        for name in (name for name, is_there in given.items() if is_there):
            raise click.UsageError(f"with --trust-header a proxy says who asks; leave out --{name}")
    if options["ssl_key"] is not None and options["ssl_cert"] is None:
        raise click.UsageError("--ssl-key is the key of a certificate; add --ssl-cert PEM")
    _refuse_outside(options["host"], is_safe=behind_proxy or options["ssl_cert"] is not None)


def _open(server: Server) -> None:
    """Open a browser from a thread, since one in a terminal ends only when its user ends it."""
    import webbrowser

    def opening(url: str) -> None:
        with suppress(webbrowser.Error):
            webbrowser.open(url)

    threading.Thread(target=opening, args=(server.url_once(),), daemon=True).start()


def _server(opened: Sequence[str | History], options: dict[str, Any]) -> Server:
    """A server on the usual port, or on a free one if that is taken and none was asked for."""
    from histhooks.ui._serving import Server

    if options["port"] is not None or options["uds"] is not None:
        return Server(opened, **{**options, "port": options["port"] or 0})
    try:
        return Server(opened, **{**options, "port": _PORT})
    except HisthooksError:
        return Server(opened, **{**options, "port": 0})


def _frames(embed: str | None) -> str:
    """Who may show the pages in a frame, as CSP writes it."""
    if embed is None:
        return "'self'"
    if embed != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", embed):
        raise HisthooksError(f"--embed takes an origin such as https://notebooks.example, or *, not {embed!r}")
    return embed


def _end_with_stdin(server: Server) -> None:
    """End the server when whoever started it is gone, and its pipe with it."""

    def wait() -> None:
        with suppress(OSError, ValueError):
            while sys.stdin.buffer.read(4096):
                pass
        server.end()

    threading.Thread(target=wait, daemon=True).start()


def _refuse_outside(host: str, is_safe: bool) -> None:
    import ipaddress

    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    if not is_here and not is_safe:
        raise HisthooksError(
            f"{host} can be reached from other machines, and this server has no TLS: forward the port with ssh, name a "
            "certificate with --ssl-cert and --ssl-key, or put a proxy with TLS before it and add --behind-proxy and "
            "--allow-host NAME"
        )


def _token(path: str | None) -> str | None:
    if path is None:
        return None
    file = Path(path)
    try:
        if not file.exists():
            _make_token(file)
        mode, token = file.stat().st_mode, file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise HisthooksError(f"{path} cannot be read ({error}); name a file with a token in it") from error
    if mode & 0o077:
        raise HisthooksError(f"others can read {path}; run `chmod 600 {path}`")
    if len(token) < _LEAST_TOKEN or not all(c.isalnum() or c in "-_" for c in token):
        raise HisthooksError(f"the token in {path} needs {_LEAST_TOKEN} letters, digits, - or _ at least")
    return token


def _make_token(file: Path) -> None:
    import secrets

    made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(made, "w", encoding="utf-8") as stream:
        stream.write(f"{secrets.token_urlsafe(24)}\n")


def _say(server: Server, as_json: bool) -> None:
    if as_json:
        uds = str(server.uds) if server.uds else None
        found = {"url": server.url, "port": server.port or None, "uds": uds, "pid": os.getpid()}
        common.print_json({**found, "stores": server.shown}, indent=None)
        sys.stdout.flush()
        return
    for shown in server.shown:
        click.echo(f"histhooks: {shown}")
    if server.uds is not None:
        click.echo(f"histhooks: {server.uds}  (Ctrl-C ends it)")
        click.echo(f"for example: curl --unix-socket {shlex.quote(str(server.uds))} http://localhost/healthz")
    else:
        click.echo(f"histhooks: {server.url}  (Ctrl-C ends it)")
    if server.token is None and server.uds is None:
        pass  # visitors come by the proxy
    elif "SSH_CONNECTION" in os.environ:
        where = f"{getpass.getuser()}@{socket.gethostname()}"
        far = server.uds or f"127.0.0.1:{server.port}"
        click.echo(f"on your own machine: ssh -N -L {server.port or _PORT}:{far} {where}")
    sys.stdout.flush()
