"""Which requests are answered, by token, Host, method and path; and the headers of each answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from histhooks.ui._identity import Proxies
from histhooks.ui._one_use import OneUse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors {}"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Also as they are written in a URL: a proxy may decode once more.
_UNSAFE = re.compile(rb"\.\.|\\|%2e|%2f|%5c|%00|%25|\x00", re.IGNORECASE)
_DATA = re.compile(r"\.(json|csv|patch|svg|png|html|bin)$|/live$")
_WAIT_S = 0.3


class Gate:
    """Lets a request through if it has the token, names this machine, and only reads or may write.

    Parameters
    ----------
    app : ASGI app
    token : str or None
        None on a socket of the file system, whose mode says who may ask.
    port : int
        Names the cookie, so that several servers have one each.
    host : str
        The address that it listens at.
    hosts : iterable of str
        Names beside it and those of the loopback that the Host header may have.
    end : callable
        Ends the streams, which have no end of their own.
    frames : str
        Who may show a page in a frame if the token is a part of its path, as CSP writes it.
    may_write : bool
        Whether forms may be sent, from pages of this server alone.
    proxies : Proxies or None
        Who says who asks; then there is no token.

    Attributes
    ----------
    shown : list of str
        How the stores of its pages are called.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        *,
        port: int = 0,
        host: str = "",
        hosts: Iterable[str] = (),
        frames: str = "'self'",
        end: Callable[[], None] = lambda: None,
        may_write: bool = False,
        proxies: Proxies | None = None,
    ) -> None:
        self.end = end
        self.shown: list[str] = []
        self._app = app
        self._token = token
        self._port = port
        self._once: OneUse | None = None
        self._cookie = f"histhooks-{port}"
        self._secret = hmac.new((token or "").encode(), b"cookie", hashlib.sha256).hexdigest()
        self._host = host.lower()
        self._hosts = {name.lower() for name in hosts}
        self._frames = frames
        self._may_write = may_write
        self._proxies = proxies

    def once(self) -> str:
        """A code that one request may have in place of the token; a new one ends the one before."""
        self._once = OneUse()
        return self._once.code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        is_framed = scope["path"].startswith("/@")
        scope, refusal = self._judged(scope)
        if refusal is not None and refusal.status_code == 403:
            await asyncio.sleep(_WAIT_S)  # slows down guesses of the token
        await (refusal or self._app)(scope, receive, self._with_headers(send, self._frames if is_framed else "'self'"))

    def _judged(self, scope: Scope) -> tuple[Scope, Response | None]:
        """The request as the pages see it, and the answer if they must not see it."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._is_ours(host):
            said = f"the host {host!r} is not this machine; start the server with --allow-host {_name(host) or 'NAME'}"
            return scope, PlainTextResponse(said + "\n", 421)
        if scope["method"] not in ("GET", "HEAD") and (refusal := self._unwritten(scope, headers)) is not None:
            return scope, refusal
        if _UNSAFE.search(scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")):
            return scope, PlainTextResponse("no such page\n", 404)
        if scope["path"] == "/healthz":
            return scope, PlainTextResponse("ok\n")
        if headers.get("sec-fetch-site") == "cross-site" and _DATA.search(scope["path"]):
            return scope, PlainTextResponse("data is not given to other sites\n", 403)
        if self._proxies is not None:
            return self._with_identity(scope, self._proxies)
        return self._with_token(scope, headers)

    def _with_identity(self, scope: Scope, proxies: Proxies) -> tuple[Scope, Response | None]:
        name = proxies.identity_of(scope)
        if name:
            return {**scope, "histhooks.identity": name}, None
        said = (
            f"nobody is signed in: this server takes {proxies.header} from its proxy and from nobody else. Open the "
            "address of the proxy and sign in there; if you did, the proxy sends no such header, or --trusted-proxy "
            "does not name its address\n"
        )
        return scope, PlainTextResponse(said, 401)

    def _unwritten(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """Why something may not be written; None if a page of this server asks for it."""
        if not self._may_write:
            said = "this server only shows; start it with --write to annotate runs\n"
            return PlainTextResponse(said, 405, {"allow": "GET, HEAD"})
        if scope["method"] != "POST":
            return PlainTextResponse("there is no such method\n", 405, {"allow": "GET, HEAD, POST"})
        origin = headers.get("origin", "")
        try:
            found = urlsplit(origin)
        except ValueError:
            found = urlsplit("")
        is_ours = found.netloc.lower() == headers.get("host", "").lower() or _name(found.netloc) in self._hosts
        needed = ("https",) if _is_encrypted(scope, headers) else ("http", "https")
        if is_ours and found.netloc and found.scheme in needed:
            return None
        told = _name(found.netloc) or "NAME"
        said = f"only forms of this server's own pages are taken, not of {origin or 'a page without an origin'!r}"
        return PlainTextResponse(f"{said}; behind a proxy, start the server with --allow-host {told}\n", 403)

    def _with_token(self, scope: Scope, headers: dict[str, str]) -> tuple[Scope, Response | None]:
        if self._token is None:
            return scope, None
        if scope["path"].startswith("/@"):
            given, _, rest = scope["path"][2:].partition("/")
            scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode(), "histhooks.prefix": 1}
            return scope, None if self._is_token(given) else _refused()
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in asked if name == "token"), "")
        if given:
            if not self._is_token(given) and not self._is_once(scope, given):
                return scope, _refused()
            rest = urlencode([(name, value) for name, value in asked if name != "token"])
            # Relative, so that it holds behind a proxy with a prefix; what is before a colon would be a scheme.
            last = scope["path"].rpartition("/")[2]
            here = f"./{last}" if ":" in last else last or "."
            answer = RedirectResponse(f"{here}?{rest}" if rest else here, 303)
            is_secure = _is_encrypted(scope, headers)
            answer.set_cookie(self._cookie, self._secret, httponly=True, samesite="strict", secure=is_secure)
            return scope, answer
        cookie = _cookie(headers.get("cookie", ""), self._cookie)
        return scope, None if hmac.compare_digest(cookie.encode(), self._secret.encode()) else _refused()

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), (self._token or "").encode())

    def _is_once(self, scope: Scope, given: str) -> bool:
        if self._once is None or scope["method"] != "GET":
            return False
        return self._once.takes(given, scope.get("client"), self._port)

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if name in ("localhost", *self._hosts) or (name and name == self._host) or (not host and self._token is None):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def _with_headers(self, send: Send, frames: str) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                told = {**_HEADERS, "content-security-policy": _POLICY.format(frames)}
                if frames != "'self'":  # a page of another site shows it
                    told["cross-origin-resource-policy"] = "cross-origin"
                told["cache-control"] = "private, no-cache"
                new = [(n.encode(), v.encode()) for n, v in told.items() if n.encode() not in given]
                if self._proxies is not None:
                    new.append((b"vary", self._proxies.header.encode()))  # beside that of compression
                message = {**message, "headers": [*message["headers"], *new]}
            await send(message)

        return sending


def _refused() -> Response:
    return PlainTextResponse(
        "this page needs the token of the server: open the address that `histhooks ui` printed\n", 403
    )


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_encrypted(scope: Scope, headers: dict[str, str]) -> bool:
    """Whether the browser came by HTTPS, to this server or to a proxy before it.

    Whoever lies in the header keeps a cookie of their own from themselves.
    """
    forwarded = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return scope["scheme"] == "https" or forwarded == "https"


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value
