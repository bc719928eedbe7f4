"""Where a server listens: a port of this machine, or a socket of the file system; and the certificate for TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from contextlib import suppress
from pathlib import Path

from histhooks.errors import HisthooksError

_MOST_WAITING = 128
_PATIENCE_S = 2.0


def at_port(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(_MOST_WAITING)
    except (OSError, OverflowError) as error:
        made.close()
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "another program listens there" if is_taken else str(error)
        raise HisthooksError(f"cannot listen on {host} port {port}: {why}; choose another --port") from error
    return made


def at_path(path: Path) -> socket.socket:
    """A socket of the file system that its user alone can connect to.

    What a server that was killed left there is replaced; anything else is kept.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise HisthooksError("this system has no sockets in the file system; leave out --uds")
    _make_room(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), 0o600)  # on Linux the file gets the mode of the socket, so that nobody is faster
        made.bind(str(path))
        os.chmod(path, 0o600)
        made.listen(_MOST_WAITING)
    except OSError as error:
        made.close()
        raise HisthooksError(f"cannot listen on {path}: {error.strerror or error}; choose another --uds") from error
    return made


def _make_room(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise HisthooksError(f"{path} is a file that is no socket, and is kept; choose another --uds")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with suppress(OSError):
                path.unlink()
            return
        except OSError as error:
            raise HisthooksError(f"cannot listen on {path}: {error.strerror or error}; choose another --uds") from error
    raise HisthooksError(f"cannot listen on {path}: another program listens there; choose another --uds")


def check_certificate(cert: str, key: str | None) -> None:
    """Refuse a certificate or a key that a server could not use.

    Raises
    ------
    HisthooksError
        With what is wrong.
    """
    for path in filter(None, (cert, key)):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise HisthooksError(f"{path} cannot be read ({error.strerror or error}); name a PEM file") from error

    def no_password() -> str:
        raise HisthooksError(
            f"the key in {key or cert} has a password; give one without: openssl pkey -in KEY -out NEW"
        )

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        raise HisthooksError(
            f"{cert} and {key or 'its key'} are no certificate and its key ({error.reason or error}); "
            "name two PEM files that belong together"
        ) from error
