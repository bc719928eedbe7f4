"""One answer for all who ask the same of an unchanged store at about the same time, as viewers of a live page do."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.responses import Response

from histhooks._store.spools import waiting

_FRESH_S = 1.0  # a process that was killed changes no file
_MOST = 32
_MOST_BYTES = 512 * 1024


def files_of(path: Path) -> tuple[Any, ...]:
    """What changes with every commit to a store or to a spool of it."""
    found = []
    for file in [path, path.with_name(path.name + "-wal"), *waiting(path)]:
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((file.name, stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


@dataclass(slots=True)
class _Asked:
    state: tuple[Any, ...]
    began: float
    task: asyncio.Task[Response]


class Shared:
    """Answers that are being made, and those of the last second."""

    def __init__(self) -> None:
        self._asked: OrderedDict[tuple[str, ...], _Asked] = OrderedDict()

    async def answer(
        self, key: tuple[str, ...], state: tuple[Any, ...], question: Callable[[], Awaitable[Response]], etag: str
    ) -> Response:
        """The answer to a question; a visitor who has it already gets 304.

        Parameters
        ----------
        key : tuple of str
            What is asked; equal keys have equal answers.
        state : tuple
            What changes with the store; see :func:`files_of`.
        question : callable
            Makes the answer, whole and without regard to `etag`.
        etag : str
            What the visitor has.
        """
        now = time.monotonic()
        found = self._asked.get(key)
        if found is None or found.state != state or (found.task.done() and now - found.began > _FRESH_S):
            task = asyncio.ensure_future(self._made(key, question))
            self._asked[key] = found = _Asked(state, now, task)
            self._asked.move_to_end(key)
            while len(self._asked) > _MOST:
                self._asked.popitem(last=False)
        answer = await asyncio.shield(found.task)  # also if the visitor who came first goes away
        if answer.status_code == 200 and etag and (mark := answer.headers.get("etag")) and mark in etag:
            return Response(None, 304, {"etag": mark})
        # A copy, since compression changes the headers of what is sent.
        return Response(answer.body, answer.status_code, dict(answer.headers))

    async def _made(self, key: tuple[str, ...], question: Callable[[], Awaitable[Response]]) -> Response:
        is_kept = False
        try:
            answer = await question()
            is_kept = answer.status_code == 200 and len(answer.body) <= _MOST_BYTES
            return answer
        finally:
            mine = self._asked.get(key)
            if not is_kept and mine is not None and mine.task is asyncio.current_task():
                del self._asked[key]
