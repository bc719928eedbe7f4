"""The routes, and what is answered if a question cannot be."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from histhooks._base.acting import acting_for
from histhooks._host.store_location import is_strict
from histhooks.errors import HisthooksError, QueryError, StoreError, TeamError
from histhooks.history import History
from histhooks.history._reader import limited
from histhooks.team.postgres.identity import RoleRefused
from histhooks.ui import (
    _audit,
    _charts,
    _columns,
    _compare,
    _content,
    _explore,
    _images,
    _kept,
    _lineage,
    _live,
    _models,
    _others,
    _points,
    _run,
    _runs,
    _series,
)
from histhooks.ui._gate import Gate
from histhooks.ui._identity import Proxies
from histhooks.ui._pages import STATIC, Ask, Handler, static_file
from histhooks.ui._stores import Busy, Stores

if TYPE_CHECKING:
    from histhooks.history._held import Limit
    from histhooks.ui._write import Writing

_THEMES = ("dark", "light")
_LIMIT_S = 10.0  # of a question

# A page of a store, by what comes behind `/s/STORE/`.
PAGES: dict[str, Handler] = {
    "runs": _runs.page,
    "runs.json": _runs.as_json,
    "runs.csv": _runs.as_csv,
    "columns": _columns.columns,
    "names.json": _columns.names_json,
    "runs/{run}": _run.overview,
    "runs/{run}.json": _run.as_json,
    "runs/{run}/report.html": _run.as_report,
    "runs/{run}/checks.json": _run.checks_json,
    "runs/{run}/series.json": _series.series,
    "runs/{run}/points.csv": _series.points,
    "runs/{run}/points": _points.page,
    "runs/{run}/charts": _charts.of_run,
    "runs/{run}/lineage": _lineage.of_run,
    "runs/{run}/lineage.json": _lineage.of_run_json,
    "runs/{run}/{part}": _run.part,
    "charts": _charts.of_runs,
    "charts.svg": _series.as_svg,
    "charts.png": _images.as_png,
    "compare": _compare.page,
    "compare.json": _compare.as_json,
    "compare.csv": _compare.as_csv,
    "diff/{a}/{b}": _compare.diff,
    "diff/{a}/{b}.json": _compare.diff_json,
    "diff/{a}/{b}.patch": _compare.patch,
    "data/{id}": _content.data,
    "data/{id}.json": _content.as_json("data"),
    "code/{id}": _content.code,
    "code/{id}.json": _content.as_json("code"),
    "files/{id}": _content.file,
    "files/{id}.json": _content.as_json("file"),
    "files/{sha256}.bin": _kept.kept_file,
    "sessions/{id}": _content.session,
    "sessions/{id}.json": _content.as_json("session"),
    "explore": _explore.page,
    "lineage": _lineage.page,
    "lineage.json": _lineage.as_json,
    "models": _models.page,
    "models.json": _models.as_json,
    "search": _others.search,
    "search.json": _others.search_json,
    "audit": _audit.page,
    "audit.json": _audit.as_json,
}


# Their answers change without the store, or are sent in parts.
_ALONE = {_audit.page, _audit.as_json, _series.points, _kept.kept_file}


def make(
    stores: Sequence[str | PathLike[str] | History],
    token: str | None,
    *,
    port: int = 0,
    host: str = "",
    hosts: Sequence[str] = (),
    frames: str = "'self'",
    write: bool = False,
    files: bool = False,
    proxies: Proxies | None = None,
    me: str = "",
) -> Gate:
    """Build the app; see :func:`histhooks.ui.app`."""
    held = Stores(stores, by_identity=proxies is not None, me=me)
    live = _live.Live(held)
    held.may_take = files
    deeds, end_writing = _deeds(held, token) if write else ([], lambda: None)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        for close in (live.close, end_writing, held.close):
            close()

    routes = [
        *deeds,
        Route("/", _sync(held, _others.stores)),
        Route("/help", _sync(held, _others.help_page)),
        Route("/favicon.ico", _icon),
        Route("/static/{name}", _static),
        Route("/s/{store}/live", live.stream),
        # Of two routes that fit, the first is taken: those that end in a word of their own come first.
        *(Route(f"/s/{{store}}/{path}", _sync(held, handler)) for path, handler in sorted(PAGES.items(), key=_order)),
        Route("/s/{store}", _sync(held, _others.to_runs)),
        Route("/{rest:path}", _sync(held, _others.nowhere)),
    ]
    inner = Starlette(
        routes=routes, lifespan=lifespan, middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)]
    )
    inner.router.redirect_slashes = False
    gate = Gate(
        inner, token, port=port, host=host, hosts=hosts, frames=frames, end=live.close, may_write=write, proxies=proxies
    )
    gate.shown = [place.shown for place in held.places]
    return gate


def _deeds(held: Stores, token: str | None) -> tuple[list[Route], Callable[[], None]]:
    """What forms are sent to, and what ends it."""
    from histhooks.ui import _write  # what writes is not loaded by a server that only shows

    held.form = _write.form_token(token)
    writing = _write.Writing()
    path = "/s/{store}/runs/{run}/"
    routes = [Route(path + deed, _posted(held, writing, deed), methods=["POST"]) for deed in _write.DEEDS]
    return routes, writing.close


def _order(item: tuple[str, Any]) -> tuple[int, int]:
    """A path with a fixed ending before one without."""
    path = item[0]
    return path.count("{"), -len(path)


def _sync(held: Stores, handler: Handler) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        ask = _asked(held, request)
        parts = ask.path.split("/")
        if len(parts) > 4 and ask.path.endswith("/") and parts[1] == "s" and parts[2] in ask.stores:
            here = ask.path.rstrip("/").rpartition("/")[2]
            return RedirectResponse(f"../{here}" + (f"?{ask.query}" if ask.query else ""), 302)
        try:
            if "store" in ask.words and ask.store not in ask.stores:
                return _others.sorry(ask, 404, f"there is no store {ask.words['store']!r} here")
            with ask.stores.asked():
                if not ask.store or handler in _ALONE or not ask.stores.is_open(ask.store):
                    return await held.ask(lambda: _answered(handler, ask))
                whole = replace(ask, etag="")
                key = (ask.path, ask.query, str(ask.is_framed))
                question = lambda: held.ask(lambda: _answered(handler, whole))  # noqa: E731
                return await ask.stores.shared.answer(key, ask.stores.state(ask.store), question, ask.etag)
        except Busy as error:
            answer = _others.sorry(ask, 503, str(error))
            answer.headers["retry-after"] = "2"
            return answer

    return answer


def _posted(held: Stores, writing: Writing, deed: str) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return await writing.answer(_asked(held, request), request, deed)

    return answer


def _answered(handler: Handler, ask: Ask) -> Response:
    """The answer, or what a person can do about it; never a traceback."""
    if not ask.store:
        return _tried(handler, ask, None)
    try:
        _ = ask.history  # which opens it, for whoever asks first
    except HisthooksError as error:
        return _refused(ask, error)
    with limited(ask.history, _LIMIT_S) as limit, acting_for(ask.stores.me, "proxy"):
        answer = _tried(handler, ask, limit)
    if not limit.is_over:
        return answer
    said = f"the question took longer than {_LIMIT_S:g} s and was ended, so that others are answered; ask for less"
    return _others.sorry(ask, 503, f"{said}, or ask it with the command line, which has no limit")


def _tried(handler: Handler, ask: Ask, limit: Limit | None) -> Response:
    try:
        if ask.store:
            if ask.stores.is_gone(ask.store):
                raise StoreError(f"{ask.place.shown} is gone: somebody moved or deleted it while this server ran")
            ask.history.refresh()
        return handler(ask)
    except QueryError as error:
        return _others.sorry(ask, 404 if _is_unknown(str(error)) else 400, str(error))
    except (StoreError, TeamError) as error:
        return _refused(ask, error)
    except HisthooksError as error:
        return _others.sorry(ask, 400, str(error))
    except sqlite3.DatabaseError as error:
        name = ask.place.short if ask.store else "the store"
        return _others.sorry(ask, 503, f"{name} cannot be read ({error}); restore it from a copy")
    except Exception as error:
        if is_strict() and not (limit is not None and limit.is_over):
            raise
        return _others.sorry(ask, 500, f"internal error: {type(error).__name__}; HISTHOOKS_STRICT=1 shows where")


def _refused(ask: Ask, error: HisthooksError) -> Response:
    """A store that cannot be read now, or not by who asks."""
    if isinstance(error, RoleRefused):
        said = f"nothing is shown to {error.role!r}: {error.why}"
        return _others.sorry(ask, 403, said, error.remedy)
    return _others.sorry(ask, 403 if " your role may not do this" in str(error) else 503, str(error))


def _is_unknown(said: str) -> bool:
    return said.startswith(("no run", "no model", "there is no"))


def _asked(held: Stores, request: Request) -> Ask:
    words = {name: str(value) for name, value in request.path_params.items()}
    query = request.url.query
    theme = dict(parse_qsl(query)).get("theme", "")
    seen = held.seen_by(request.scope.get("histhooks.identity", ""))
    return Ask(
        path=request.scope["path"],
        query=query,
        words=words,
        store=words.get("store", "") if words.get("store", "") in seen else "",
        stores=seen,
        etag=request.headers.get("if-none-match", ""),
        is_framed=bool(request.scope.get("histhooks.prefix")),
        theme=theme if theme in _THEMES else "",
        form=held.form_of(seen.identity),
        may_take=held.may_take,
    )


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    content = static_file(name)
    if content is None:
        return Response("no such file\n", 404, {"content-type": "text/plain"})
    age = "private, max-age=31536000, immutable" if request.url.query.startswith("v=") else "private, no-cache"
    return Response(content, 200, {"content-type": STATIC[name], "cache-control": age})


async def _icon(_: Request) -> Response:
    return Response(static_file("icon.svg"), 200, {"content-type": STATIC["icon.svg"]})
