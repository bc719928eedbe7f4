"""Changes of the stores, sent to the open pages: one watcher for each store, while a page is open."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse, Response, StreamingResponse

from histhooks.errors import HisthooksError, QueryError
from histhooks.ui._stores import Seen, Stores

if TYPE_CHECKING:
    from starlette.requests import Request

    from histhooks.history import Changes

_EVERY_S = 0.7
_ANYWAY_S = 3.0  # a process that was killed writes nothing
_QUIET_S = 15.0
_MOST_STREAMS = 50


class Live:
    """The streams of a server.

    Parameters
    ----------
    stores : Stores
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._n_streams = 0
        self._over = asyncio.Event()

    async def stream(self, request: Request) -> Response:
        """Server-sent events: a message for each change, and a comment from time to time."""
        name = request.path_params["store"]
        seen = self._stores.seen_by(request.scope.get("histhooks.identity", ""))
        if name not in seen:
            return PlainTextResponse("no such store\n", 404)
        if self._n_streams >= _MOST_STREAMS:
            return PlainTextResponse("too many pages are open\n", 503, {"retry-after": "5"})
        cursor = request.headers.get("last-event-id") or request.query_params.get("cursor")
        return StreamingResponse(self._messages(seen, name, cursor), 200, None, "text/event-stream")

    def close(self) -> None:
        """End all streams."""
        self._over.set()

    async def _messages(self, seen: Seen, name: str, cursor: str | None) -> AsyncIterator[str]:
        self._n_streams += 1
        watcher: _Watcher = seen.watchers.setdefault(name, _Watcher(self._stores, seen, name))
        try:
            with seen.asked():
                yield "retry: 2000\n\n"
                spoken = time.monotonic()
                while not self._over.is_set():
                    changes = await watcher.since(cursor)
                    if changes is not None and changes.cursor != cursor:
                        cursor, spoken = changes.cursor, time.monotonic()
                        yield f"id: {cursor}\ndata: {_told(changes)}\n\n"
                    elif time.monotonic() - spoken > _QUIET_S:
                        spoken = time.monotonic()
                        yield ": still here\n\n"
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._over.wait(), _EVERY_S)
        finally:
            self._n_streams -= 1


def _told(changes: Changes) -> str:
    found: dict[str, Any] = {"runs": changes.runs, "running": changes.running, "whole": changes.is_whole}
    return json.dumps(found, separators=(",", ":"))


class _Watcher:
    """Reads the changes of a store once for all open pages, and no more often than is needed."""

    def __init__(self, stores: Stores, seen: Seen, name: str) -> None:
        self._stores, self._seen, self._name = stores, seen, name
        self._known: dict[str | None, Changes] = {}
        self._state: tuple[Any, ...] = ()
        self._looked_s = 0.0
        self._lock = asyncio.Lock()

    async def since(self, cursor: str | None) -> Changes | None:
        """The changes since a cursor; None if the store cannot be read now."""
        async with self._lock:
            state, now = self._seen.files(self._name), time.monotonic()
            if state != self._state or now - self._looked_s > _ANYWAY_S:
                self._state, self._looked_s = state, now
                self._known.clear()
            if cursor not in self._known:
                try:
                    self._known[cursor] = await self._stores.ask(lambda: self._look(cursor))
                except HisthooksError:
                    return None
            return self._known[cursor]

    def _look(self, cursor: str | None) -> Changes:
        history = self._seen[self._name]
        history.refresh()
        try:
            found = history.changes(cursor)
        except QueryError:  # what the browser kept is of another server
            found = history.changes()
        self._seen.cursors[self._name] = found.cursor
        return found
