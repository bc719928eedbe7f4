"""Who asks, by the word of a proxy: a header is believed from the networks that were named, and from nobody else."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from histhooks.errors import HisthooksError

if TYPE_CHECKING:
    from starlette.types import Scope

SOCKET = "unix"
_HEADER = re.compile(r"[A-Za-z0-9-]{1,80}")
# What a proxy or a browser sets for another reason, and a visitor may have written.
_OTHER = frozenset({"host", "cookie", "authorization", "origin", "referer", "x-forwarded-proto", "x-forwarded-for"})
_MOST = 200


class Proxies:
    """The proxies whose header says who asks.

    Parameters
    ----------
    header : str
        Its name, in any case.
    networks : iterable of str
        Addresses and networks, IPv4 or IPv6, in which the proxies are; `unix` for a socket of the file system.

    Raises
    ------
    HisthooksError
        If one of them is none, or would trust everybody.
    """

    def __init__(self, header: str, networks: Iterable[str]) -> None:
        if not _HEADER.fullmatch(header) or header.lower() in _OTHER:
            raise HisthooksError(
                f"--trust-header {header!r} cannot say who asks; name one that your proxy sets, as X-Forwarded-User"
            )
        self.header = header
        self._key = header.lower().encode()
        words = list(networks)
        self._has_socket = SOCKET in words
        self._networks = [_network(word) for word in words if word != SOCKET]

    def identity_of(self, scope: Scope) -> str:
        """The name of who asks; empty for nobody, and for whoever does not come by a proxy of these."""
        given = {value for name, value in scope["headers"] if name.lower() == self._key}
        # Two different ones: the proxy passed on one of the visitor's, and nobody knows which.
        if len(given) != 1 or not self._trusts(scope.get("client")):
            return ""
        try:
            name = given.pop().decode("utf-8").strip()
        except UnicodeDecodeError:
            return ""
        return name if name.isprintable() and len(name) <= _MOST else ""

    def _trusts(self, client: tuple[str, int] | None) -> bool:
        if client is None or not client[0]:
            return self._has_socket
        try:
            address = ipaddress.ip_address(client[0].partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped  # of a socket that hears both
        return any(address in network for network in self._networks if network.version == address.version)


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        found = ipaddress.ip_network(word)
    except ValueError as error:
        raise HisthooksError(
            f"--trusted-proxy {word!r} is no address and no network ({error}); write 10.0.0.5, 10.0.0.0/8 or fd00::/8"
        ) from None
    if not found.prefixlen:
        raise HisthooksError(
            f"--trusted-proxy {word} trusts everybody, so that anybody could be anybody; name your proxy"
        )
    return found


def proxies_of(
    header: str | None, networks: Sequence[str], *, has_token: bool = False, at_socket: bool | None = None
) -> Proxies | None:
    """Who says who asks; None if nobody does.

    Parameters
    ----------
    header : str or None
    networks : sequence of str
    has_token : bool
        Whether there is a token, which does not fit.
    at_socket : bool, optional
        Whether the server listens at a socket of the file system; None if nobody knows.

    Raises
    ------
    HisthooksError
    """
    if header is None:
        if networks:
            raise HisthooksError("trusted_proxies are for a header that says who asks: name it as trust_header")
        return None
    if isinstance(networks, str):
        networks = (networks,)
    if not networks:
        raise HisthooksError("trust_header believes a proxy alone: say where it is, with trusted_proxies=[ADDRESS]")
    if at_socket is not None and at_socket != (SOCKET in networks):
        raise HisthooksError("the proxy that comes by a socket is in trusted_proxies as unix, together with uds=PATH")
    if has_token:
        raise HisthooksError("with trust_header a proxy says who asks: leave out the token")
    return Proxies(header, networks)
