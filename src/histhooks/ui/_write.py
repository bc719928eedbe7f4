"""Forms that annotate runs, under `histhooks ui --write`: the only part of the pages that can change a store.

Each is a verb of the command line: `tag`, `untag`, `note` and `rename`. Nothing is ever deleted. The gate has seen that
a form comes from a page of this server; that it is one that this server made, its own token says.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.responses import RedirectResponse, Response

from histhooks import curate
from histhooks._base.acting import acting_for
from histhooks.errors import HisthooksError, QueryError, StoreError
from histhooks.ui import _others

if TYPE_CHECKING:
    from starlette.requests import Request

    from histhooks.ui._pages import Ask

MOST_BYTES = 64 * 1024
_FORM = "application/x-www-form-urlencoded"


def _tag(run: str, text: str, store: Path) -> str:
    key, _, value = text.partition("=")
    key = key.strip()
    if len(key.split()) > 1:
        raise QueryError(
            f"the name of a tag has no spaces: {'_'.join(key.split())}, not {key!r}; for a text, use a note"
        )
    return curate.tag(run, {key: value.strip()}, store=store)


# A deed by the last word of its path: its field, and what is done.
DEEDS: dict[str, tuple[str, Callable[[str, str, Path], str]]] = {
    "tag": ("tag", _tag),
    "untag": ("tag", lambda run, key, store: curate.untag(run, key, store=store)),
    "note": ("text", lambda run, text, store: curate.note(run, text, store=store)),
    "rename": ("name", lambda run, name, store: curate.rename(run, name, store=store)),
}


def form_token(token: str | None) -> str:
    """What each form of a server carries; other sites cannot know it."""
    return hmac.new((token or secrets.token_urlsafe(24)).encode(), b"form", hashlib.sha256).hexdigest()


class Writing:
    """Takes the forms of a server, one after the other."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="histhooks-ui-write")

    def close(self) -> None:
        """Finish what is being written."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def answer(self, ask: Ask, request: Request, word: str) -> Response:
        """Do what a form asks for, and go back to the run."""
        if not ask.store:
            return _others.sorry(ask, 404, f"there is no store {ask.words['store']!r} here")
        field, deed = DEEDS[word]
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return _others.sorry(ask, 415, f"a form of the type {_FORM} is needed")
        body = await _read(request)
        if body is None:
            return _others.sorry(ask, 413, f"more than {MOST_BYTES // 1024} KiB; use the command line for long texts")
        given = parse_qsl(body.decode("latin-1"), keep_blank_values=True, errors="replace")
        words = dict(given)
        if not hmac.compare_digest(words.pop("form", "").encode(), ask.form.encode()):
            return _others.sorry(ask, 403, "this form is not of this server, or of one before; load the page again")
        if list(words) != [field] or len(given) != 2:
            return _others.sorry(ask, 400, f"the form has one field, {field}")
        text = words[field].replace("\r\n", "\n")
        question = lambda: _done(ask, deed, text)  # noqa: E731
        return await asyncio.get_running_loop().run_in_executor(self._pool, question)


async def _read(request: Request) -> bytes | None:
    """The body; None if it is too long."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BYTES:
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return body


def _done(ask: Ask, deed: Callable[[str, str, Path], str], text: str) -> Response:
    try:
        with acting_for(ask.stores.identity, "proxy"):
            run_id = deed(ask.history.run(ask.words["run"]).id, text, ask.history.path)
    except QueryError as error:
        return _others.sorry(ask, 404 if str(error).startswith(("no run", "there is no")) else 400, str(error))
    except StoreError as error:
        return _others.sorry(ask, 503, str(error))
    except HisthooksError as error:
        return _others.sorry(ask, 400, str(error))
    theme = f"?theme={ask.theme}" if ask.theme else ""
    return RedirectResponse(f"../{run_id}{theme}#annotations", 303)
